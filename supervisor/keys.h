#ifndef SUPERVISOR_KEYS_H
#define SUPERVISOR_KEYS_H
/*
 * Private keys on their way to the signer. They are kept as they were read
 * (tls.h), so that a signer that died is followed by one with the same keys.
 */
#include "common/messages.h"
#include "supervisor/tls.h"

struct supervisor;
struct process;

/* Send the signer all keys of f, which belong to this version. */
void keys_send(struct process *signer, const struct tls_files *f, uint64_t version);

/* It was sent all that it needs to begin with: it is to say `keys_loaded`. */
void keys_sent(struct process *signer, uint64_t version);

/* keys_loaded. 0; -EBADMSG: it cannot have meant that. */
int keys_receive(struct process *signer, const struct msg_keys_loaded *m);

/* Are there keys that a signer has yet to load before anybody serves? */
bool keys_awaited(struct supervisor *s);
#endif

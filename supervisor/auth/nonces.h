#ifndef AUTH_NONCES_H
#define AUTH_NONCES_H
/*
 * What clients with an nkey have to sign. Numbered, given out in batches, each
 * taken once and only by the worker that it was given to. The oldest
 * batch goes when a worker has NONCE_BATCHES: a client that has waited through as
 * many connections comes too late.
 */
#include "common/messages.h"

#define NONCE_BATCH	256u
#define NONCE_BATCHES	128u	/* of a worker */

struct nonce_batch;

/* Of one worker; zeroed at its start. */
struct nonces { struct nonce_batch *all[NONCE_BATCHES]; uint64_t made; };

/*
 * A new batch: raw, its NONCE_BATCH * NONCE_RAW bytes, are valid until the next call. *next: the number of its
 * first; counted up for the batch after it, whichever worker's. 0 or -ENOMEM.
 */
int nonces_make(struct nonces *n, uint64_t *next, struct bytes *raw);
/* The NONCE_TEXT characters of this one, which is not to be had again. False: there is none. */
bool nonces_take(struct nonces *n, uint64_t number, char text[NONCE_ROOM]);
void nonces_free(struct nonces *n);

/* Is sig, in base64, that of nonce by the owner of this public key? Ed25519 by OpenSSL. */
bool nonce_is_signed(struct bytes key, struct bytes sig, struct bytes nonce);
/* Let OpenSSL load what it will need, before the sandbox. False: it has no Ed25519. */
bool nonces_prepare(void);
#endif

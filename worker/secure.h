#ifndef WORKER_SECURE_H
#define WORKER_SECURE_H
/*
 * The TLS of a client: whether it comes, the handshake, and what is read
 * through it. A client without TLS has none of this (client.secure is NULL).
 *
 *             fallback over              first byte is no handshake's
 *   waits ------------------> sniffs ------------------------------> plaintext
 *     |  first byte              |  first byte of a handshake
 *     +---------> shakes <-------+
 *                   |
 *                 done: client.secure stays, without a handshake
 *
 * waits: handshake_first with a fallback; it has no INFO yet. sniffs: it may
 * come with TLS or without. shakes: what it sends is a handshake, or an
 * error. Where only TLS will do it begins with `shakes`. It is not read
 * meanwhile (CLIENT_SHAKES), and auth_timeout begins when this is over.
 *
 * Handshakes cost time: each step waits on worker.shaking until messages were
 * passed on, and SECURE_A_TURN of them are made in one turn of the loop.
 */
#include <sys/uio.h>
#include "tls/stream.h"
#include "nats/info.h"
#include "worker/client.h"

#define SECURE_A_TURN	1u	/* steps of handshakes */

struct handshake;
struct settings;

struct secure {
	struct tls_stream	*stream;	/* NULL: not a byte of a handshake came */
	struct handshake	*handshake;	/* NULL: it is done */
	bool			 maps;		/* its certificate names its user */
	bool			 first;		/* it shook hands before INFO */
};

/* c is open: does it need TLS, or may have it? Then it has c->secure and is not read. 0 or -ENOMEM. */
int secure_new(struct client *c);
/* INFO was said, unless it is to wait (secure_is_silent()): go on. */
void secure_begin(struct client *c);
/* It is closing: nothing more is to happen by itself. */
void secure_rest(struct client *c);
/* What was to be written is: goodbye. */
void secure_close(struct client *c);
/* Forget it all, if there is any. The socket stays. */
void secure_free(struct client *c);

/* Its socket is ready, while there is a handshake. */
void secure_event(struct client *c, int events);
/* All else of a turn is done: the first on worker.shaking go on. True: another turn is to follow at once. */
bool secure_turn(struct worker *w);

/* What INFO says of TLS to it. */
void secure_describe(const struct client *c, struct nats_info *info);
/* INFO waits for the handshake, or for the fallback. */
bool secure_is_silent(const struct client *c);
/* Nothing may be said to it: a handshake is under way. */
bool secure_is_mute(const struct client *c);
/* What client_watch() asks for besides: EV_READ, EV_WRITE or both. */
int secure_events(const struct client *c);

/* As recv(2) into these pieces, through TLS if it has that. */
ssize_t secure_read(struct client *c, struct iovec *iov, unsigned count);
/* It was read or resumed: what is left in the stream is read in the next turn, from worker.unread. */
void secure_look(struct client *c);
/* Bytes that wait in the stream to be sent. */
size_t secure_unsent(const struct client *c);
/* Bytes that are kept for its TLS. */
uint64_t secure_held(const struct client *c);
/* Records `certificate_name` for `login`, if its certificate names its user. 0, -ENOMEM, -EMSGSIZE. */
int secure_names(const struct client *c, msgpack_sbuffer *out);

/* The context that is in force, and the one that a reload prepares. 0; or -errno and *why, a sentence. */
int secure_init(struct worker *w, const char **why);
int secure_check(struct worker *w, int document, const struct settings *s, const char **why);
void secure_apply(struct worker *w);
void secures_free(struct worker *w);
#endif

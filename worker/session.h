#ifndef WORKER_SESSION_H
#define WORKER_SESSION_H
/*
 * What a client says and what it is answered: the operations of the client
 * protocol (bulkhead-protocol(7)).
 */
#include "worker/client.h"

/* Around all that one read or resumption brings. */
void session_begin(struct client *c);
void session_end(struct client *c);

/*
 * Handle data[0..len), which may be read INPUT_SLACK bytes beyond its end.
 * How many bytes of it are done with: less than len if the rest is no whole
 * line or message, or the client was stopped or closed.
 */
size_t session_run(struct client *c, const char *data, size_t len);

/*
 * Auth let c in: what it said goes on. connect NULL: that was no CONNECT;
 * drops: its old subscriptions have to go first.
 */
void session_admitted(struct client *c, const struct nats_connect *connect, bool drops);

/* c->incoming is complete: publish it. It stays if that has to wait. */
void session_incoming(struct client *c);
/* More of it came: is it still plausible? */
void session_look_incoming(struct client *c);
/* max_payload is another one: may what c is sending still come? */
void session_look_payload(struct client *c);
#endif

#ifndef WORKER_PING_H
#define WORKER_PING_H
/* PINGs to quiet clients, as the 2.x server times them. */
#include "worker/client.h"

/* No PING is due. */
void ping_init(struct client *c);
/* It was let in: the first PING comes after ping_interval. */
void ping_begin(struct client *c);
/* It said its first CONNECT: how long that took is a first guess of the round trip. */
void ping_connected(struct client *c);
/* It said CONNECT: the first PING comes in two seconds or so, to measure the round trip. */
void ping_soon(struct client *c);
/* ping_interval is another one: who would wait longer for the next PING waits at most that. */
void ping_retime(struct client *c);
/* It said PONG: the round trip goes into its record. */
void ping_answered(struct client *c);
/* No more PINGs. */
void ping_end(struct client *c);
#endif

#ifndef WORKER_SLOW_H
#define WORKER_SLOW_H
/*
 * Clients that do not take what is sent to them as fast as it comes. One
 * that still takes something paces whoever publishes to it; one that takes
 * nothing is left alone until it is over a limit, then cut, by itself.
 */
#include "broker/broker.h"
#include "worker/client.h"

#define SLOW_ALIVE	0.1	/* seconds within which a slow client took something */
#define SLOW_TRY	0.01	/* seconds between two looks whether it does */
#define SLOW_PACE	0.01	/* seconds that a publisher to it is not read */
#define SLOW_SETTLE	0.001	/* seconds in which another worker says that it still is too fast */
#define SLOW_SETTLED	0.05	/* seconds without that, after which it goes on as before */
#define SLOW_ALLOWANCE	(16u << 10)	/* bytes that it may send between two such pauses */

/*
 * A message for c is about to be queued, and c->mark is reached: have it
 * written out early, or say whether it is slow. DELIVERY_REFUSED: the message
 * is not to be queued.
 */
enum delivery slow_look(struct client *c, struct subscription *sub);

/* c's output changed: from how many bytes on has slow_look() to be asked? */
void slow_mark(struct client *c);

/* Cut c for that reason; sub: whose message was the last straw (NULL: any). */
void slow_cut(struct client *c, const struct subscription *sub, enum close_reason reason);
/* Cut c, which is open, for this limit of its account or user, as the log names it. */
void slow_cut_for(struct client *c, const char *limit);

/*
 * Its socket took `sent` bytes and is full. What waits by then has to be gone
 * before write_deadline is over; then the same begins anew with what waits.
 */
void slow_wrote(struct client *c, size_t sent);

/* It took all. */
void slow_recovered(struct client *c);

/*
 * write_deadline is over: cut it, unless write_timeout says `retry` and it
 * took something.
 */
void slow_write_over(struct client *c);

/* struct broker_calls: a subscriber of this publisher is slow. */
void worker_pace(void *program, uint32_t connection, uint64_t cid);
/* A pause is over. */
void slow_pace_over(struct client *c);
void slow_settle_over(struct client *c);

/* It used up `used` of c->allowance, which is not 0: stop it when that was all. */
void slow_allowance(struct client *c, size_t used);
#endif

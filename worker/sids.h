#ifndef WORKER_SIDS_H
#define WORKER_SIDS_H
/*
 * A connection's subscriptions by the ids that its client gave them. Few are
 * a list; more get a table that grows and shrinks by one bucket at a time
 * (linear hashing), so that no client makes the others wait for a rehash.
 */
#include "broker/broker.h"

struct client;
struct worker;

/* Its subscription with this sid; 0: none. */
uint32_t sid_find(const struct client *c, struct bytes sid);

/* Subscription `slot` is c's from now on and has this sid. 0 or -ENOMEM. */
int sid_add(struct client *c, uint32_t slot, struct bytes sid);

/* It is so no more. */
void sid_remove(struct client *c, uint32_t slot);

/* The sid of a subscription of ours. */
struct bytes sid_of(struct worker *w, const struct subscription *sub);

/* A plain subscription of c that matches this published subject; NULL: none. */
struct subscription *sid_for_subject(struct client *c, struct bytes subject);

/* Compaction: a subscription of c has a new number; called in the order of the old. */
void sid_moved(struct client *c, uint32_t from, uint32_t to);

/* Free the table of c, whose subscriptions are gone. */
void sids_forget(struct client *c);
/* Free the long sids of all. */
void sids_free(struct worker *w);
#endif

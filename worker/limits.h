#ifndef WORKER_LIMITS_H
#define WORKER_LIMITS_H
/*
 * What accounts and users have left of their limits (common/limits.def), as
 * far as this worker holds it, and whose turn it is. bulkhead-auth knows the
 * totals and lends parts of them; a worker asks when its part runs short, in
 * chunks, so that no message and hardly a subscription waits for an answer.
 * docs/limits.md.
 *
 * A tenant is an account, or a user who has limits of its own, that has
 * clients here. One without limits has no more than its place in the turn.
 *
 *   lease           free is                          used is
 *   subscriptions   what may be added at once        those that there are
 *   pending         what may be added; below 0: over bytes that wait for its clients
 *   memory          the same                         bytes that are held for its clients: what waits,
 *                                                    input, TLS, LIMITS_CLIENT, LIMITS_SUBSCRIPTION each
 *   messages, bytes what may be published at once    -
 *
 * Of the first three, free + used is what auth counts as lent. Auth's word is
 * believed only as far as it harms the clients themselves.
 */
#include <sys/tree.h>
#include <ev.h>
#include "worker/client.h"

struct accounts;
struct limited;
struct tenant;
struct worker;

TAILQ_HEAD(tenant_list, tenant);
RB_HEAD(tenants, tenant);

/* All tenants of a worker; in struct worker. */
struct limits {
	struct tenants		 all;
	struct tenant_list	 waiting;	/* they have clients that wait for the next turn */
	uint64_t		 turn;		/* number of this turn of the loop */
	uint64_t		 began;		/* when the read that goes on did, in nanoseconds */
	uint32_t		 readers, last_readers;	/* accounts read in this turn, in the last */
	uint32_t		 limited;	/* how many tenants have limits */
	ev_timer		 idle;		/* gives back what is not needed; runs while there are such */
};

/* Of one client that was let in; in its struct identity, zeroed at its start. */
struct tenancy {
	struct tenant	*account, *user;	/* user NULL: it has no limits of its own */
	uint64_t	 pending;		/* bytes that are counted for it */
	uint64_t	 memory;		/* the same of those that are held; 0: it is not counted */
};

/*
 * c was let in, or what it may is another than before, as `admitted` says: account, number, limits.
 * Its identity is there. 0 or -ENOMEM: as before.
 */
int limits_enter(struct client *c, const struct msg_admitted *m);
/* It is gone, and so are its subscriptions. */
void limits_leave(struct client *c);
/* Other accounts are in force, w->accounts: theirs are the limits from now on. */
void limits_reload(struct worker *w);

/* A new channel to auth: `leased` for each lease that there is, before `holds_end`. */
void limits_tell(struct worker *w);
/* Behind `holds_end`: ask again for what was not answered. */
void limits_renew(struct worker *w);
/* `leases` or `lease_recall`. 0. */
int limits_receive(struct worker *w, const struct msg *m);

enum limits_answer {
	LIMITS_GRANTED,
	LIMITS_ASKED,		/* c was stopped: the same comes again */
	LIMITS_REFUSED,		/* the log has been told */
	LIMITS_FULL,		/* the same, since there is no memory for it */
};
/* May c have one subscription more? Granted: it is counted. */
enum limits_answer limits_subscribe(struct client *c);
/* One less. */
void limits_unsubscribe(struct client *c);

/* Bytes that a message of c's may have: the least of the server's, the account's and the user's. */
uint64_t limits_payload(const struct client *c);
/*
 * Bytes up to which a message without headers need not be looked at before it is published;
 * -1: each has to be. For session_begin(); c changes nothing of it in between.
 */
int64_t limits_unlooked(const struct client *c);
/* A message comes, which is not counted yet: is there a rest of its rate? False: c was stopped or closed. */
bool limits_message(struct client *c);
/* One was larger than limits_payload(): for the counters. */
void limits_over_payload(struct client *c);

/*
 * Around all that one read or resumption of c brings: begin is asked before anything is read.
 * False: its account had its share of this turn, c was stopped until the next; or there is no
 * memory for a new one: it was stopped until auth answers, or closed.
 */
bool limits_begin(struct client *c);
/* messages, bytes: published meanwhile. */
void limits_end(struct client *c, uint64_t messages, uint64_t bytes);
/* A turn begins, before its events: those who waited are read. */
void limits_turn(struct worker *w);
/* Is somebody waiting for the next turn? */
static inline bool
limits_wait(const struct limits *l)
{
	return !TAILQ_EMPTY(&l->waiting);
}

/* c's pending bytes, or what else is held for it, may be others than when this was last called. */
void limits_pending(struct client *c);
/* Pending bytes from which on limits_pending() is to be called again; UINT64_MAX: never. */
uint64_t limits_mark(const struct client *c);

#define LIMITS_MARK	(64u << 10)	/* bytes that may pile up for a client before they are counted */
/*
 * Bytes for each client and for each subscription: what an idle one takes in all processes, as conns10k and
 * subs1m of docs/performance.md measure it. Not the sizes of structs, which leave out what the allocator, the index
 * and the supervisor add, and the limit is there for what the machine loses.
 */
#define LIMITS_CLIENT	966u
#define LIMITS_SUBSCRIPTION 132u

void limits_init(struct worker *w);
/* Of a worker whose clients are gone. */
void limits_free(struct worker *w);
#endif

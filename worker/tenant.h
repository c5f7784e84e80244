#ifndef WORKER_TENANT_H
#define WORKER_TENANT_H
/*
 * Accounts and users that have clients here: limits.h, of which this is the
 * inside. tenant.c has their lives and their turns, limits.c what their clients
 * do, leases.c what is asked of auth.
 */
#include "worker/limits.h"

#define LIMIT_TEXT	1200	/* bytes of a setting, a user and an account in the log */

/* In the order of enum lease_kind. */
enum lease_of { LEASE_SUBSCRIPTIONS, LEASE_MESSAGES, LEASE_BYTES, LEASE_PENDING, LEASE_MEMORY, LEASES };

struct lease {
	int64_t		 free;
	uint64_t	 used;
	bool		 asked;		/* auth has not answered */
	bool		 dry;		/* a rate of which nothing is left: not asked for until limited.again */
	bool		 busy;		/* since limits.idle was over */
};

struct limited {
	uint64_t		 limits[LIMITS];
	struct lease		 leases[LEASES];
	struct client_list	 subscribing, rated, housing;	/* they wait for a lease; housing: for memory */
	ev_timer		 again;
	double			 told[LIMITS];	/* when the log had a line about it */
};

struct tenant {
	RB_ENTRY(tenant)	 entry;
	TAILQ_ENTRY(tenant)	 turns;		/* of limits.waiting */
	struct worker		*worker;
	uint64_t		 number;
	uint32_t		 clients;
	bool			 user;		/* else an account */
	bool			 queued;	/* in limits.waiting */
	uint64_t		 turn, spent;	/* nanoseconds of that turn of the loop */
	struct client_list	 waiting;	/* for the next turn */
	struct limited		*limited;	/* NULL: it has no limits */
};

/* Accounts come before users. */
int tenant_compare(const struct tenant *a, const struct tenant *b);
RB_PROTOTYPE(tenants, tenant, entry, tenant_compare)

/* NULL: there is none. */
struct tenant *tenant_find(const struct worker *w, bool user, uint64_t number);
/* Made if there is none. NULL: no memory. */
struct tenant *tenant_get(struct worker *w, bool user, uint64_t number);
/* Freed if it has no clients. NULL is nothing. */
void tenant_put(struct tenant *t);

/* It has limits from now on, none of them set; or none any more. 0 or -ENOMEM. */
int tenant_limited_new(struct tenant *t);
void tenant_limited_free(struct tenant *t);

/* ---- leases.c: what auth lends */

enum limit lease_limit(enum lease_of i);
bool lease_is_limited(const struct limited *l, enum lease_of i);
/* What is asked for beyond what is needed at once. */
int64_t lease_part(const struct limited *l, enum lease_of i);
/* Ask for what it lacks, if that was not done. */
void lease_want(struct tenant *t, enum lease_of i);
/* Clients came with more than is lent, which auth is told: it counts as lent from now on. t NULL is nothing. */
void lease_claim(struct tenant *t, enum lease_of i);
/* Give back all but `but` of what is free. */
void lease_return(struct tenant *t, enum lease_of i, int64_t but);
/* The same of what it is not likely to need. t NULL or without that limit is nothing. */
void lease_trim(struct tenant *t, enum lease_of i);
/* Say that this much comes back, which may be 0. 0 or -errno. */
int lease_back(const struct tenant *t, enum lease_of i, int64_t amount);
/* The limit was `before`. */
void lease_change(struct tenant *t, enum lease_of i, uint64_t before);
/* They try again at the end of this turn. */
void list_wake(struct client_list *list);
/* Its last client is gone: everything back. */
void limits_return(struct tenant *t);
/* Two timers: of a rate that was used up, of all that has limits. */
void limits_again(struct ev_loop *loop, ev_timer *timer, int events);
void limits_idle(struct ev_loop *loop, ev_timer *timer, int events);

/* ---- limits.c: what its clients do */

/* What its clients have of it, of which nobody kept count. */
uint64_t limits_used(const struct tenant *t, enum lease_of i);
/* This was published: pay for it, and ask for what comes next. */
void limits_spend(struct tenant *t, uint64_t messages, uint64_t bytes);
/* Nothing is left of this rate: who wants to publish waits, or is closed, as over_rate says. */
void limits_over_rate(struct tenant *t, enum limit limit);
/* Too many bytes wait, or are held, for all of its clients, here and elsewhere: one is cut. */
void limits_cut(struct tenant *t, enum lease_of i);
/* Input may be kept of c, or is not any more. */
void limits_memory(struct client *c);
/* Is there memory for c, which is new? As limits_begin(). */
bool limits_house(struct client *c);
/* Bytes that c, which waits for memory, needs. */
int64_t limits_need(const struct client *c);
#endif

#ifndef AUTH_LEASES_H
#define AUTH_LEASES_H
/*
 * What workers hold of the limits of accounts and users. Of what is counted
 * (subscriptions, pending bytes, memory) the parts never add up to more than the limit;
 * of a rate, what is lent follows a token bucket. Nothing is asked for each message or
 * subscription: parts are lent in chunks, so that a busy worker asks some 20 times a second.
 *
 * Who asks for more than there is waits until all others have said what they do not
 * need (`lease_recall`, `lease_back`), and then hears that there is none. If it owes them, as clients have
 * them already, the worker that holds most hears it in its place, cuts a client, and gives back. A worker
 * that does not answer holds this up for LEASE_PATIENCE. Workers are slots; now: seconds, monotonic.
 */
#include "common/messages.h"
#include "supervisor/auth/map.h"

#define LEASE_PATIENCE	0.5	/* seconds */
#define LEASE_ASKS	20.0	/* a second, of one worker about one rate */

struct leases;

struct lease_calls {
	/* What is in force; NO_LIMIT: everything. burst: of a rate, what may come at once. */
	uint64_t	(*limit)(void *arg, enum lease_kind kind, uint64_t of, uint64_t *burst);
	void		(*answer)(void *arg, unsigned worker, enum lease_kind kind, uint64_t of,
			    uint64_t amount, unsigned wait);
	void		(*recall)(void *arg, unsigned worker, enum lease_kind kind, uint64_t of);
};

int leases_new(struct leases **out, const struct lease_calls *calls, void *arg);	/* 0 or -ENOMEM */
void leases_free(struct leases *l);	/* NULL is nothing */

/* `lease`: answered now or later. 0 or -ENOMEM. */
int leases_ask(struct leases *l, unsigned worker, enum lease_kind kind, uint64_t of, uint64_t least,
    uint64_t wish, bool owed, double now);
/* `lease_back`. 0; -EPROTO: it never had so much. */
int leases_back(struct leases *l, unsigned worker, enum lease_kind kind, uint64_t of, uint64_t amount,
    double now);
/* `leased`: what it has, whatever was known of it. 0 or -ENOMEM. */
int leases_told(struct leases *l, unsigned worker, enum lease_kind kind, uint64_t of, uint64_t amount,
    double now);
/* Its part is free again. */
void leases_worker_gone(struct leases *l, unsigned worker, double now);
/* Limits are others. */
void leases_reload(struct leases *l, double now);
/*
 * Until leases_resume(), or `until`, nothing is lent but of rates: a worker's channel is new, and what it has
 * is not known yet.
 */
void leases_hold(struct leases *l, double until);
void leases_resume(struct leases *l, double now);
/* When leases_tick() is to be called; 0: nobody waits. */
double leases_due(const struct leases *l);
void leases_tick(struct leases *l, double now);
#endif

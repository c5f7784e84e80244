#include <errno.h>
#include "worker/login.h"
#include "worker/tenant.h"
#include "worker/worker.h"

#define RATE_PARTS	20		/* of what a second allows: one is asked for at a time */
#define SUBSCRIPTIONS_PARTS 64		/* of the limit; SUBSCRIPTIONS_MOST at most */
#define SUBSCRIPTIONS_MOST 1024
#define PENDING_PARTS	16
#define PENDING_MOST	(1u << 20)
#define RATE_WAIT	0.05		/* seconds until a rate is asked for again, if auth does not say */
#define AMOUNT_MOST	(INT64_MAX / 8)	/* of one grant: sums stay numbers */

static const struct { enum limit limit; bool rate; } leases[LEASES] = {
	[LEASE_SUBSCRIPTIONS] = { LIMIT_SUBSCRIPTIONS, false },
	[LEASE_MESSAGES] = { LIMIT_MESSAGES, true },
	[LEASE_BYTES] = { LIMIT_BYTES, true },
	[LEASE_PENDING] = { LIMIT_PENDING, false },
	[LEASE_MEMORY] = { LIMIT_MEMORY, false },
};

enum limit
lease_limit(enum lease_of i)
{
	return leases[i].limit;
}

bool
lease_is_limited(const struct limited *l, enum lease_of i)
{
	return l->limits[leases[i].limit] != NO_LIMIT;
}

/* ---- what auth is told */

static uint64_t
lease_kind(const struct tenant *t, enum lease_of i)
{
	return (uint64_t)(t->user ? LEASE_USER_SUBSCRIPTIONS : LEASE_ACCOUNT_SUBSCRIPTIONS) + i;
}

static int64_t
part(uint64_t limit, uint64_t parts, uint64_t most)
{
	uint64_t	 n = limit / parts;

	if (n > most)
		n = most;
	return n == 0 ? 1 : (int64_t)n;
}

int64_t
lease_part(const struct limited *l, enum lease_of i)
{
	uint64_t	 limit = l->limits[leases[i].limit];

	if (leases[i].rate)
		return part(limit, RATE_PARTS, AMOUNT_MOST);
	if (i == LEASE_PENDING || i == LEASE_MEMORY)
		return part(limit, PENDING_PARTS, PENDING_MOST);
	return part(limit, SUBSCRIPTIONS_PARTS, SUBSCRIPTIONS_MOST);
}

static void
lease_ask(struct tenant *t, enum lease_of i, int64_t least, int64_t wish)
{
	struct lease	*lease = &t->limited->leases[i];
	struct msg	 m = { .type = MSG_lease, .u.lease = { .kind = lease_kind(t, i),
	    .of = t->number, .least = (uint64_t)least, .wish = (uint64_t)wish,
	    .owed = !leases[i].rate && lease->free < 0 } };

	if (!lease->asked && !lease->dry && auth_tell(t->worker, &m) == 0)
		lease->asked = true;
}

int
lease_back(const struct tenant *t, enum lease_of i, int64_t amount)
{
	struct msg	 m = { .type = MSG_lease_back, .u.lease_back = { .kind = lease_kind(t, i),
	    .of = t->number, .amount = (uint64_t)amount } };

	return auth_tell(t->worker, &m);
}

static void
lease_tell(const struct tenant *t, enum lease_of i, uint64_t amount)
{
	struct msg	 m = { .type = MSG_leased, .u.leased = { .kind = lease_kind(t, i),
	    .of = t->number, .amount = amount } };

	(void)auth_tell(t->worker, &m);	/* no channel: the next one begins with it */
}

/* What auth counts as lent to us. */
static uint64_t
lease_held(const struct lease *lease)
{
	int64_t	 held = lease->free + (int64_t)lease->used;

	return held < 0 ? 0 : (uint64_t)held;
}

/* While auth is asked, its answer and this would cross: then it is done after the answer. */
void
lease_claim(struct tenant *t, enum lease_of i)
{
	struct lease	*lease;

	if (t == NULL || t->limited == NULL || leases[i].rate || !lease_is_limited(t->limited, i))
		return;
	lease = &t->limited->leases[i];
	if (lease->asked || lease->free >= 0)
		return;
	lease->free = 0;
	lease_tell(t, i, lease->used);
}

void
lease_return(struct tenant *t, enum lease_of i, int64_t but)
{
	struct lease	*lease = &t->limited->leases[i];
	int64_t		 back = lease->free - but;

	if (back <= 0)
		return;
	lease->free = but;
	if (lease_back(t, i, back) != 0)
		lease_tell(t, i, lease_held(lease));	/* auth is still being told what we have */
}

void
lease_want(struct tenant *t, enum lease_of i)
{
	const struct limited	*l = t->limited;
	int64_t			 free = l->leases[i].free, more = lease_part(l, i), need;
	const struct client	*c;

	if (!lease_is_limited(l, i))
		return;
	if (leases[i].rate) {
		if (free < (more + 1) / 2)
			lease_ask(t, i, 1, more - free);
	} else if (free < 0)
		lease_ask(t, i, -free, more - free);
	else if (i == LEASE_SUBSCRIPTIONS && free == 0 && !TAILQ_EMPTY(&l->subscribing))
		lease_ask(t, i, 1, more);
	else if (i == LEASE_MEMORY && (c = TAILQ_FIRST(&l->housing)) != NULL &&
	    (need = limits_need(c) + more - free) > 0)
		lease_ask(t, i, need, need + more);
}

void
lease_trim(struct tenant *t, enum lease_of i)
{
	int64_t	 keep;

	if (t == NULL || t->limited == NULL || !lease_is_limited(t->limited, i))
		return;
	keep = lease_part(t->limited, i);
	if (t->limited->leases[i].free > 2 * keep)
		lease_return(t, i, keep);
}

/* ---- what auth says */

void
list_wake(struct client_list *list)
{
	struct client	*c;

	while ((c = TAILQ_FIRST(list)) != NULL)
		client_stop(c, CLIENT_YIELDS);
}

/* Nothing is left of a rate: it is not asked for before `wait` seconds are over. */
static void
rate_dry(struct tenant *t, enum lease_of i, double wait)
{
	struct limited	*l = t->limited;

	l->leases[i].dry = true;
	if (ev_is_active(&l->again))
		return;
	ev_timer_set(&l->again, wait > 0 ? wait : RATE_WAIT, 0);
	ev_timer_start(t->worker->loop, &l->again);
}

/* For who waits for it, or, if nobody does or there is too little for those who are in, for who has most. */
static void
memory_none(struct tenant *t)
{
	struct client	*c = TAILQ_FIRST(&t->limited->housing);

	if (c == NULL || t->limited->leases[LEASE_MEMORY].free < 0) {
		limits_cut(t, LEASE_MEMORY);
		return;
	}
	c->flags |= CLIENT_FULL;
	client_stop(c, CLIENT_YIELDS);
	lease_want(t, LEASE_MEMORY);
}

static void
lease_none(struct tenant *t, enum lease_of i, double wait)
{
	struct limited	*l = t->limited;
	struct client	*c;

	switch (i) {
	case LEASE_SUBSCRIPTIONS:
		if ((c = TAILQ_FIRST(&l->subscribing)) != NULL) {
			c->flags |= CLIENT_DENIED;
			client_stop(c, CLIENT_YIELDS);
		}
		lease_claim(t, i);
		lease_want(t, i);	/* the others have not been answered */
		break;
	case LEASE_MESSAGES: case LEASE_BYTES:
		rate_dry(t, i, wait);
		if (l->leases[i].free <= 0)
			limits_over_rate(t, leases[i].limit);
		break;
	case LEASE_PENDING:
		limits_cut(t, i);
		break;
	case LEASE_MEMORY:
		memory_none(t);
		break;
	case LEASES:
		break;
	}
}

static void
lease_granted(struct tenant *t, enum lease_of i, int64_t amount)
{
	struct limited	*l = t->limited;
	struct lease	*lease = &l->leases[i];

	if (lease->free < AMOUNT_MOST)
		lease->free += amount;
	lease->busy = true;
	if (lease->free > 0 && i != LEASE_PENDING)
		list_wake(i == LEASE_SUBSCRIPTIONS ? &l->subscribing : i == LEASE_MEMORY ? &l->housing : &l->rated);
	lease_want(t, i);
}

static void
leases_came(struct worker *w, const struct msg_leases *m)
{
	enum lease_of	 i = (enum lease_of)(m->kind % LEASES);
	struct tenant	*t = tenant_find(w, m->kind >= LEASES, m->of);
	int64_t		 amount = m->amount < AMOUNT_MOST ? (int64_t)m->amount : AMOUNT_MOST;
	struct tenant	 gone = { .worker = w, .user = m->kind >= LEASES, .number = m->of };

	if (t == NULL || t->limited == NULL || !lease_is_limited(t->limited, i)) {
		if (amount > 0)
			(void)lease_back(&gone, i, amount);
		return;
	}
	t->limited->leases[i].asked = false;
	if (amount > 0)
		lease_granted(t, i, amount);
	else
		lease_none(t, i, (double)m->wait / 1000);
}

static void
lease_recalled(struct worker *w, const struct msg_lease_recall *m)
{
	enum lease_of	 i = (enum lease_of)(m->kind % LEASES);
	struct tenant	*t = tenant_find(w, m->kind >= LEASES, m->of);
	struct tenant	 gone = { .worker = w, .user = m->kind >= LEASES, .number = m->of };

	if (t != NULL && t->limited != NULL && t->limited->leases[i].free > 0)
		lease_return(t, i, 0);
	else
		(void)lease_back(&gone, i, 0);
}

int
limits_receive(struct worker *w, const struct msg *m)
{
	if (m->type == MSG_leases)
		leases_came(w, &m->u.leases);
	else
		lease_recalled(w, &m->u.lease_recall);
	return 0;
}

/* ---- a limit changes, a channel to auth comes, time passes */

void
lease_change(struct tenant *t, enum lease_of i, uint64_t before)
{
	struct lease	*lease = &t->limited->leases[i];
	uint64_t	 now = t->limited->limits[leases[i].limit];

	if (now == before)
		return;
	lease->dry = false;
	if (now == NO_LIMIT)
		lease_tell(t, i, 0);
	else if (before != NO_LIMIT)
		lease_return(t, i, 0);
	else {
		*lease = (struct lease){ .used = leases[i].rate ? 0 : limits_used(t, i) };
		if (lease->used > 0)
			lease_tell(t, i, lease->used);
		lease_want(t, i);
	}
}

void
limits_return(struct tenant *t)
{
	for (enum lease_of i = 0; t->limited != NULL && i < LEASES; i++)
		if (lease_is_limited(t->limited, i))
			lease_return(t, i, 0);
}

void
limits_tell(struct worker *w)
{
	struct tenant	*t;
	struct lease	*lease;

	RB_FOREACH(t, tenants, &w->limits.all)
		for (enum lease_of i = 0; t->limited != NULL && i < LEASES; i++) {
			lease = &t->limited->leases[i];
			lease->asked = lease->dry = false;
			if (lease_is_limited(t->limited, i) && lease_held(lease) > 0)
				lease_tell(t, i, lease_held(lease));
		}
}

/* Those who wait have it asked for. */
static void
tenant_want(struct tenant *t)
{
	lease_want(t, LEASE_SUBSCRIPTIONS);
	lease_want(t, LEASE_PENDING);
	lease_want(t, LEASE_MEMORY);
	if (!TAILQ_EMPTY(&t->limited->rated)) {
		lease_want(t, LEASE_MESSAGES);
		lease_want(t, LEASE_BYTES);
	}
}

void
limits_renew(struct worker *w)
{
	struct tenant	*t;

	RB_FOREACH(t, tenants, &w->limits.all)
		if (t->limited != NULL)
			tenant_want(t);
}

void
limits_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct tenant	*t = timer->data;

	t->limited->leases[LEASE_MESSAGES].dry = t->limited->leases[LEASE_BYTES].dry = false;
	tenant_want(t);
}

/* What was not needed since the last time goes back; what could not be asked for is. */
void
limits_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker	*w = timer->data;
	struct tenant	*t;
	struct lease	*lease;

	RB_FOREACH(t, tenants, &w->limits.all) {
		for (enum lease_of i = 0; t->limited != NULL && i < LEASES; i++) {
			lease = &t->limited->leases[i];
			if (lease_is_limited(t->limited, i) && !lease->busy)
				lease_return(t, i, 0);
			lease->busy = false;
		}
		if (t->limited != NULL)
			tenant_want(t);
	}
}

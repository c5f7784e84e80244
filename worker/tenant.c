#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "worker/identity.h"
#include "worker/input.h"
#include "worker/tenant.h"
#include "worker/worker.h"

#define TURN		1000000u	/* nanoseconds of reading in one turn, for all accounts together */
#define SHARE_LEAST	50000u		/* of them, for one account among very many */
#define IDLE		1.0		/* seconds after which what was not needed is given back */

int
tenant_compare(const struct tenant *a, const struct tenant *b)
{
	if (a->user != b->user)
		return a->user ? 1 : -1;
	return a->number < b->number ? -1 : a->number > b->number;
}

RB_GENERATE(tenants, tenant, entry, tenant_compare)

/* ---- their lives */

struct tenant *
tenant_find(const struct worker *w, bool user, uint64_t number)
{
	struct tenant	 key = { .user = user, .number = number };

	return RB_FIND(tenants, (struct tenants *)(uintptr_t)&w->limits.all, &key);
}

struct tenant *
tenant_get(struct worker *w, bool user, uint64_t number)
{
	struct tenant	*t = tenant_find(w, user, number);

	if (t != NULL || (t = calloc(1, sizeof(*t))) == NULL)
		return t;
	t->worker = w;
	t->user = user;
	t->number = number;
	TAILQ_INIT(&t->waiting);
	RB_INSERT(tenants, &w->limits.all, t);
	return t;
}

void
tenant_put(struct tenant *t)
{
	if (t == NULL || t->clients > 0)
		return;
	if (t->limited != NULL) {
		limits_return(t);
		tenant_limited_free(t);
	}
	if (t->queued)
		TAILQ_REMOVE(&t->worker->limits.waiting, t, turns);
	RB_REMOVE(tenants, &t->worker->limits.all, t);
	free(t);
}

int
tenant_limited_new(struct tenant *t)
{
	struct limits	*all = &t->worker->limits;
	struct limited	*l = calloc(1, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < LIMITS; i++)
		l->limits[i] = NO_LIMIT;
	TAILQ_INIT(&l->subscribing);
	TAILQ_INIT(&l->rated);
	TAILQ_INIT(&l->housing);
	ev_timer_init(&l->again, limits_again, 0, 0);
	l->again.data = t;
	t->limited = l;
	if (all->limited++ == 0) {
		ev_timer_set(&all->idle, IDLE, IDLE);
		ev_timer_start(t->worker->loop, &all->idle);
	}
	return 0;
}

void
tenant_limited_free(struct tenant *t)
{
	struct limits	*all = &t->worker->limits;

	ev_timer_stop(t->worker->loop, &t->limited->again);
	free(t->limited);
	t->limited = NULL;
	if (--all->limited == 0)
		ev_timer_stop(t->worker->loop, &all->idle);
}

void
limits_init(struct worker *w)
{
	RB_INIT(&w->limits.all);
	TAILQ_INIT(&w->limits.waiting);
	ev_timer_init(&w->limits.idle, limits_idle, 0, 0);
	w->limits.idle.data = w;
}

/* ---- their turns */

static uint64_t
nanoseconds(void)
{
	struct timespec	 t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* How long an account's clients may be read in this turn: as many share it as did in the last. */
static uint64_t
turn_share(const struct limits *l)
{
	uint64_t	 share = l->last_readers > 1 ? TURN / l->last_readers : TURN;

	return share < SHARE_LEAST ? SHARE_LEAST : share;
}

/* Has it some of this turn left? */
static bool
tenant_may(struct tenant *t)
{
	struct limits	*l = &t->worker->limits;

	if (t->turn != l->turn) {
		t->turn = l->turn;
		t->spent = 0;
		l->readers++;
	}
	return t->spent < turn_share(l);
}

bool
limits_begin(struct client *c)
{
	struct limits	*l = &c->worker->limits;
	struct tenant	*t = c->identity == NULL ? NULL : c->identity->tenancy.account;

	if (t == NULL)
		return true;
	if (!limits_house(c))
		return false;
	if (tenant_may(t)) {
		l->began = nanoseconds();
		return true;
	}
	client_stop(c, CLIENT_WAITS);
	client_move(c, &t->waiting);
	if (!t->queued)
		TAILQ_INSERT_TAIL(&l->waiting, t, turns);
	t->queued = true;
	return false;
}

void
limits_end(struct client *c, uint64_t messages, uint64_t bytes)
{
	struct limits	*l = &c->worker->limits;
	struct tenancy	*own = c->identity == NULL ? NULL : &c->identity->tenancy;

	if (own == NULL || own->account == NULL)
		return;
	if (l->began != 0)
		own->account->spent += nanoseconds() - l->began;
	l->began = 0;
	if (own->account->limited != NULL)
		limits_spend(own->account, messages, bytes);
	if (own->user != NULL && own->user->limited != NULL)
		limits_spend(own->user, messages, bytes);
	limits_memory(c);
}

/* Those who waited longest are read first. */
static void
tenant_read(struct tenant *t)
{
	struct client	*c;

	while ((c = TAILQ_FIRST(&t->waiting)) != NULL && tenant_may(t)) {
		client_resume(c);
		if (c->state == CLIENT_OPEN && c->stop == CLIENT_READS)
			input_read(c);
	}
}

void
limits_turn(struct worker *w)
{
	struct limits		*l = &w->limits;
	struct tenant_list	 all = TAILQ_HEAD_INITIALIZER(all);
	struct tenant		*t;

	l->turn++;
	l->last_readers = l->readers;
	l->readers = 0;
	TAILQ_CONCAT(&all, &l->waiting, turns);
	while ((t = TAILQ_FIRST(&all)) != NULL) {
		tenant_read(t);
		TAILQ_REMOVE(&all, t, turns);
		if (TAILQ_EMPTY(&t->waiting))
			t->queued = false;
		else
			TAILQ_INSERT_TAIL(&l->waiting, t, turns);
	}
}

void
limits_free(struct worker *w)
{
	struct tenant	*t;

	while ((t = RB_MIN(tenants, &w->limits.all)) != NULL) {
		t->clients = 0;
		tenant_put(t);
	}
	ev_timer_stop(w->loop, &w->limits.idle);
}

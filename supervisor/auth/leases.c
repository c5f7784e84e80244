#include <sys/queue.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "supervisor/auth/leases.h"

#define WAIT_MOST	60000u		/* messages.def: milliseconds */
#define SWEEP_LEAST	64u
#define EARLY		0.002		/* seconds that a timer may be before its time, */
#define LATE		0.01		/* and after it */
#define AMOUNT_MOST	(UINT64_C(1) << 40)	/* of one message, and what a holder is believed to have: */
#define HELD_MOST	(UINT64_C(1) << 56)	/* the sum over all workers stays in range */

struct holder {
	unsigned	worker;
	uint64_t	held;
	uint64_t	least, wish;	/* what it asked for and waits for; wish 0: nothing */
	double		promise;	/* of a rate: when it may come again; 0: whenever */
	bool		 owed;		/* clients have it already */
	bool		 recalled;	/* has not answered yet */
};

struct pool {
	struct map_node		 node;
	TAILQ_ENTRY(pool)	 waiting;
	enum lease_kind		 kind;
	uint64_t		 of;
	struct holder		*holders;
	unsigned		 count, room;
	uint64_t		 held;		/* of all */
	double			 tokens, at;	/* of a rate: how many there were, when */
	double			 promised;	/* the last promise */
	double			 until;		/* patience; 0: nobody waits */
	bool			 cutting;	/* the one that holds most was told so */
};

struct leases {
	struct map		 pools;
	TAILQ_HEAD(, pool)	 waiting;	/* by `until` */
	double			 held_until;	/* leases_hold(); 0: not */
	size_t			 sweep;
	const struct lease_calls *calls;
	void			*arg;
};

static bool
is_rate(enum lease_kind kind)
{
	return kind == LEASE_ACCOUNT_MESSAGES || kind == LEASE_ACCOUNT_BYTES ||
	    kind == LEASE_USER_MESSAGES || kind == LEASE_USER_BYTES;
}

/* Does cutting a client free some of it? */
static bool
is_held(enum lease_kind kind)
{
	return kind == LEASE_ACCOUNT_PENDING || kind == LEASE_USER_PENDING ||
	    kind == LEASE_ACCOUNT_MEMORY || kind == LEASE_USER_MEMORY;
}

int
leases_new(struct leases **out, const struct lease_calls *calls, void *arg)
{
	struct leases	*l = calloc(1, sizeof(*l));

	if (l == NULL || map_init(&l->pools) != 0) {
		free(l);
		return -ENOMEM;
	}
	TAILQ_INIT(&l->waiting);
	l->sweep = SWEEP_LEAST;
	l->calls = calls;
	l->arg = arg;
	*out = l;
	return 0;
}

static void
waits_end(struct leases *l, struct pool *p)
{
	if (p->until != 0)
		TAILQ_REMOVE(&l->waiting, p, waiting);
	p->until = 0;
	p->cutting = false;
}

static void
pool_free(struct leases *l, struct pool *p)
{
	waits_end(l, p);
	map_remove(&l->pools, &p->node);
	free(p->holders);
	free(p);
}

/* f for each pool; it may free it. */
static void
pools_each(struct leases *l, void (*f)(struct leases *l, struct pool *p, double now), double now)
{
	struct map_node	*n, *next;
	size_t		 i;

	for (i = 0; i < l->pools.size; i++)
		for (n = l->pools.buckets[i]; n != NULL; n = next) {
			next = n->next;
			f(l, (struct pool *)n, now);
		}
}

static void
pool_end(struct leases *l, struct pool *p, double now)
{
	pool_free(l, p);
}

void
leases_free(struct leases *l)
{
	if (l == NULL)
		return;
	pools_each(l, pool_end, 0);
	map_free(&l->pools);
	free(l);
}

/* -- pools and holders */

static uint64_t
pool_limit(const struct leases *l, const struct pool *p, uint64_t *burst)
{
	return l->calls->limit(l->arg, p->kind, p->of, burst);
}

static void
tokens_refill(const struct leases *l, struct pool *p, double now)
{
	uint64_t	burst, limit = pool_limit(l, p, &burst);

	if (now > p->at)
		p->tokens += (now - p->at) * (double)limit;
	p->at = now;
	if (p->tokens > (double)burst)
		p->tokens = (double)burst;
}

/* A pool that nobody has a part of says nothing, unless its bucket has still to fill. */
static void
pool_sweep(struct leases *l, struct pool *p, double now)
{
	uint64_t	burst, limit = pool_limit(l, p, &burst);

	if (p->count > 0)
		return;
	if (is_rate(p->kind) && limit != NO_LIMIT) {
		tokens_refill(l, p, now);
		if (p->tokens < (double)burst)
			return;
	}
	pool_free(l, p);
}

static struct pool *
pool_find(const struct leases *l, enum lease_kind kind, uint64_t of)
{
	struct map_node	*n;
	struct pool	*p;

	for (n = map_first(&l->pools, map_mix(of, kind)); n != NULL; n = map_next(n)) {
		p = (struct pool *)n;
		if (p->kind == kind && p->of == of)
			return p;
	}
	return NULL;
}

static struct pool *
pool_make(struct leases *l, enum lease_kind kind, uint64_t of, double now)
{
	struct pool	*p = pool_find(l, kind, of);
	uint64_t	 burst;

	if (p != NULL)
		return p;
	if (l->pools.count >= l->sweep) {
		pools_each(l, pool_sweep, now);
		l->sweep = l->pools.count * 2 > SWEEP_LEAST ? l->pools.count * 2 : SWEEP_LEAST;
	}
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->kind = kind;
	p->of = of;
	p->at = now;
	(void)pool_limit(l, p, &burst);
	p->tokens = (double)burst;
	map_add(&l->pools, &p->node, map_mix(of, kind));
	return p;
}

static struct holder *
holder_find(struct pool *p, unsigned worker)
{
	unsigned	i;

	for (i = 0; i < p->count; i++)
		if (p->holders[i].worker == worker)
			return &p->holders[i];
	return NULL;
}

static struct holder *
holder_make(struct pool *p, unsigned worker)
{
	struct holder	*h = holder_find(p, worker), *more;

	if (h != NULL)
		return h;
	if (p->count == p->room) {
		if ((more = reallocarray(p->holders, p->room + 4, sizeof(*more))) == NULL)
			return NULL;
		p->holders = more;
		p->room += 4;
	}
	h = &p->holders[p->count++];
	*h = (struct holder){ .worker = worker };
	return h;
}

/* In the order in which they came, which is that of who waits. */
static void
holder_remove(struct pool *p, struct holder *h)
{
	const size_t	after = (size_t)(p->holders + p->count - (h + 1));

	p->held -= h->held;
	memmove(h, h + 1, after * sizeof(*h));
	p->count--;
}

static void
held_set(struct pool *p, struct holder *h, uint64_t held)
{
	held = held < HELD_MOST ? held : HELD_MOST;
	p->held += held - h->held;
	h->held = held;
}

/* -- what is counted */

static void
holder_answer(struct leases *l, struct pool *p, struct holder *h, uint64_t amount)
{
	h->least = h->wish = 0;
	held_set(p, h, h->held + amount);
	l->calls->answer(l->arg, h->worker, p->kind, p->of, amount, 0);
}

/* Give all that wait what there is; a quarter of what is left, so that others find some. */
static bool
pool_serve(struct leases *l, struct pool *p)
{
	uint64_t	burst, limit = pool_limit(l, p, &burst), left, amount;
	bool		served = true;
	unsigned	i;

	for (i = 0; i < p->count; i++) {
		struct holder	*h = &p->holders[i];

		if (h->wish == 0)
			continue;
		left = limit > p->held ? limit - p->held : 0;
		amount = limit == NO_LIMIT ? h->wish : left / 4 > h->least ? left / 4 : h->least;
		if (amount > h->wish)
			amount = h->wish;
		if (left < amount)
			served = false;
		else
			holder_answer(l, p, h, amount);
	}
	return served;
}

static unsigned
recalls_left(const struct pool *p)
{
	unsigned	i, left = 0;

	for (i = 0; i < p->count; i++)
		left += p->holders[i].recalled;
	return left;
}

/* Ask whoever has something and does not ask for more itself. How many are asked. */
static unsigned
pool_recall(struct leases *l, struct pool *p, bool waiters_too)
{
	unsigned	i, asked = 0;

	for (i = 0; i < p->count; i++) {
		struct holder	*h = &p->holders[i];

		if (h->held == 0 || h->recalled || (h->wish > 0 && !waiters_too))
			continue;
		h->recalled = true;
		asked++;
		l->calls->recall(l->arg, h->worker, p->kind, p->of);
	}
	return asked;
}

static void
pool_wait(struct leases *l, struct pool *p, double now)
{
	if (p->until != 0)
		return;
	p->until = now + LEASE_PATIENCE;
	TAILQ_INSERT_TAIL(&l->waiting, p, waiting);
}

/* What its clients have, as far as that is known. */
static uint64_t
holder_has(const struct holder *h)
{
	return h->wish > 0 && h->owed ? h->held + h->least : h->held;
}

static struct holder *
holder_of_most(struct pool *p)
{
	struct holder	*most = &p->holders[0];
	unsigned	 i;

	for (i = 1; i < p->count; i++)
		if (holder_has(&p->holders[i]) > holder_has(most))
			most = &p->holders[i];
	return most;
}

/* There is none. Who holds most hears it, if it can free some; true: it gives back, others wait. */
static bool
pool_cut(struct leases *l, struct pool *p)
{
	struct holder	*most = holder_of_most(p);

	if (!is_held(p->kind) || p->cutting || (most->wish > 0 && !most->owed) || holder_has(most) == 0)
		return false;
	p->cutting = true;
	most->recalled = true;
	holder_answer(l, p, most, 0);		/* if it waits too, it asks again */
	return true;
}

/* Does one of those who wait have it in use already? */
static bool
pool_is_owed(const struct pool *p)
{
	unsigned	i;

	for (i = 0; i < p->count; i++)
		if (p->holders[i].wish > 0 && p->holders[i].owed)
			return true;
	return false;
}

/* More waits than there may since a reload, though nobody asks for more: the same, until there is less. */
static void
pool_shrink(struct leases *l, struct pool *p)
{
	uint64_t	burst;

	if (p->count > 0 && recalls_left(p) == 0 && p->held > pool_limit(l, p, &burst))
		(void)pool_cut(l, p);
}

/* All that could be had was given back. */
static void
pool_settle(struct leases *l, struct pool *p)
{
	unsigned	i;

	for (i = 0; i < p->count; i++)
		p->holders[i].recalled = false;
	waits_end(l, p);
	if (pool_serve(l, p))
		return;
	for (i = p->count; i-- > 0;) {
		if (p->holders[i].wish > 0)
			holder_answer(l, p, &p->holders[i], 0);
		if (p->holders[i].held == 0)
			holder_remove(p, &p->holders[i]);
	}
}

/* Something changed: who waits may get it, or has to wait, or hears that there is none. */
static void
pool_work(struct leases *l, struct pool *p, double now)
{
	if (l->held_until != 0)
		return;
	if (pool_serve(l, p)) {
		if (recalls_left(p) == 0)
			waits_end(l, p);
	} else if (p->until == 0) {
		pool_wait(l, p, now);
		if (pool_recall(l, p, false) == 0 && !(pool_is_owed(p) && pool_cut(l, p)))
			pool_settle(l, p);
	} else if (recalls_left(p) == 0 && !(pool_is_owed(p) && pool_cut(l, p)))
		pool_settle(l, p);
}

/* -- rates */

static unsigned
milliseconds(double seconds)
{
	const double	wait = ceil(seconds * 1000);

	return wait < 1 ? 1 : wait > WAIT_MOST ? WAIT_MOST : (unsigned)wait;
}

/* Is one of the others to have the next of what comes in? */
static bool
others_come(const struct pool *p, const struct holder *h, double now)
{
	unsigned	i;

	for (i = 0; i < p->count; i++)
		if (&p->holders[i] != h && p->holders[i].promise != 0 && p->holders[i].promise + LATE > now)
			return true;
	return false;
}

/* How long until it has `need`, after those who were promised before; it may be one of them. Milliseconds. */
static unsigned
rate_promise(struct pool *p, struct holder *h, double need, double limit, double now)
{
	double	when = now + (need > p->tokens ? need - p->tokens : 0) / limit;

	if (h->promise == 0 && others_come(p, h, now) && p->promised + need / limit > when)
		when = p->promised + need / limit;
	h->promise = when;
	if (when > p->promised)
		p->promised = when;
	return milliseconds(when - now);
}

static void
rate_ask(struct leases *l, struct pool *p, struct holder *h, uint64_t least, uint64_t wish, double now)
{
	uint64_t	burst, limit = pool_limit(l, p, &burst), need;

	if (limit == NO_LIMIT || limit == 0) {
		l->calls->answer(l->arg, h->worker, p->kind, p->of, limit == 0 ? 0 : wish,
		    limit == 0 ? WAIT_MOST : 0);
		return;
	}
	tokens_refill(l, p, now);
	need = (uint64_t)((double)limit / LEASE_ASKS) > least ? (uint64_t)((double)limit / LEASE_ASKS) : least;
	need = need > wish ? wish : need;
	need = need > burst ? burst : need;
	need = need == 0 ? 1 : need;
	if (h->promise > now + EARLY) {		/* too early, and none the sooner for that */
		l->calls->answer(l->arg, h->worker, p->kind, p->of, 0, milliseconds(h->promise - now));
		return;
	}
	if (p->tokens < (double)need || (h->promise == 0 && others_come(p, h, now))) {
		l->calls->answer(l->arg, h->worker, p->kind, p->of, 0,
		    rate_promise(p, h, (double)need, (double)limit, now));
		return;
	}
	h->promise = 0;
	p->tokens -= (double)need;
	held_set(p, h, h->held + need);
	l->calls->answer(l->arg, h->worker, p->kind, p->of, need, 0);
}

/* -- what workers say */

int
leases_ask(struct leases *l, unsigned worker, enum lease_kind kind, uint64_t of, uint64_t least,
    uint64_t wish, bool owed, double now)
{
	struct pool	*p = pool_make(l, kind, of, now);
	struct holder	*h = p == NULL ? NULL : holder_make(p, worker);

	if (h == NULL)
		return -ENOMEM;
	least = least < AMOUNT_MOST ? least : AMOUNT_MOST;
	wish = wish < AMOUNT_MOST ? wish : AMOUNT_MOST;
	if (wish < least)
		wish = least;
	if (is_rate(kind)) {
		rate_ask(l, p, h, least, wish, now);
		return 0;
	}
	h->least = least;
	h->wish = wish;
	h->owed = owed;
	pool_work(l, p, now);
	return 0;
}

int
leases_back(struct leases *l, unsigned worker, enum lease_kind kind, uint64_t of, uint64_t amount, double now)
{
	struct pool	*p = pool_find(l, kind, of);
	struct holder	*h = p == NULL ? NULL : holder_find(p, worker);
	bool		 cut = p != NULL && p->cutting;

	if (h == NULL)
		return amount == 0 ? 0 : -EPROTO;
	if (amount > h->held)
		return -EPROTO;
	held_set(p, h, h->held - amount);
	h->recalled = false;
	if (is_rate(kind)) {
		tokens_refill(l, p, now);
		p->tokens += (double)amount;
		return 0;
	}
	if (h->held == 0 && h->wish == 0)
		holder_remove(p, h);
	pool_work(l, p, now);
	if (amount > 0 || !cut)		/* else it has nobody to cut */
		pool_shrink(l, p);
	pool_sweep(l, p, now);
	return 0;
}

int
leases_told(struct leases *l, unsigned worker, enum lease_kind kind, uint64_t of, uint64_t amount, double now)
{
	struct pool	*p = pool_make(l, kind, of, now);
	struct holder	*h = p == NULL ? NULL : holder_make(p, worker);

	if (h == NULL)
		return -ENOMEM;
	amount = amount < AMOUNT_MOST ? amount : AMOUNT_MOST;
	if (is_rate(kind)) {
		tokens_refill(l, p, now);
		p->tokens -= (double)amount < p->tokens ? (double)amount : p->tokens;
	}
	held_set(p, h, amount);
	return 0;
}

static void
pool_lose(struct leases *l, struct pool *p, unsigned worker, double now)
{
	struct holder	*h = holder_find(p, worker);

	if (h == NULL)
		return;
	holder_remove(p, h);
	if (!is_rate(p->kind) && p->count > 0)
		pool_work(l, p, now);
	pool_sweep(l, p, now);
}

void
leases_worker_gone(struct leases *l, unsigned worker, double now)
{
	struct map_node	*n, *next;
	size_t		 i;

	for (i = 0; i < l->pools.size; i++)
		for (n = l->pools.buckets[i]; n != NULL; n = next) {
			next = n->next;
			pool_lose(l, (struct pool *)n, worker, now);
		}
}

/* Who holds more than there is now gives back what it does not need. */
static void
pool_review(struct leases *l, struct pool *p, double now)
{
	uint64_t	burst, limit = pool_limit(l, p, &burst);

	if (is_rate(p->kind)) {
		tokens_refill(l, p, now);
		p->promised = now;
		return;
	}
	if (p->held > limit)
		(void)pool_recall(l, p, true);
	if (p->count > 0)
		pool_work(l, p, now);
}

void
leases_reload(struct leases *l, double now)
{
	pools_each(l, pool_review, now);
}

void
leases_hold(struct leases *l, double until)
{
	l->held_until = until;
}

static void
pool_resume(struct leases *l, struct pool *p, double now)
{
	if (!is_rate(p->kind) && p->count > 0)
		pool_work(l, p, now);
}

void
leases_resume(struct leases *l, double now)
{
	if (l->held_until == 0)
		return;
	l->held_until = 0;
	pools_each(l, pool_resume, now);
}

double
leases_due(const struct leases *l)
{
	const struct pool	*p = TAILQ_FIRST(&l->waiting);

	return l->held_until != 0 ? l->held_until : p == NULL ? 0 : p->until;
}

void
leases_tick(struct leases *l, double now)
{
	struct pool	*p;

	if (l->held_until > now)
		return;
	leases_resume(l, now);
	while ((p = TAILQ_FIRST(&l->waiting)) != NULL && p->until <= now)
		pool_settle(l, p);
}

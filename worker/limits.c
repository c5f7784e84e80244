#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "worker/input.h"
#include "worker/limits.h"
#include "worker/login.h"
#include "worker/secure.h"
#include "worker/slow.h"
#include "worker/tenant.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define QUIET		2.0		/* seconds between two lines of the log about a limit of one tenant */
#define MEMORY_ERROR	"-ERR 'maximum memory exceeded'\r\n"

static const char *const limit_keys[LIMITS] = {
#define LIMIT(name, key, unit, help) [LIMIT_##name] = #key,
#include "common/limits.def"
};

static struct tenancy *
tenancy_of(const struct client *c)
{
	return c->identity == NULL ? NULL : &c->identity->tenancy;
}

/* Its account, then its user; NULL: there is none, or it has no limits. */
static struct limited *
limited_of(const struct client *c, unsigned i)
{
	const struct tenancy	*own = tenancy_of(c);
	const struct tenant	*t = own == NULL ? NULL : i == 0 ? own->account : own->user;

	return t == NULL ? NULL : t->limited;
}

static void
client_wait(struct client *c, enum client_stop why, struct client_list *list)
{
	client_stop(c, why);
	client_move(c, list);
}

/* May the log have a line about this limit of it, and the counter one more? */
static bool
limited_tells(struct tenant *t, enum limit limit)
{
	struct worker	*w = t->worker;
	double		 now = ev_now(w->loop);

	counter_add(&w->head->over_limit[limit], 1);
	if (now - t->limited->told[limit] < QUIET)
		return false;
	t->limited->told[limit] = now;
	return true;
}

/* `max_payload of account "A"`, `max_payload of user "u" of account "A"`. */
static const char *
limit_text(char *text, size_t size, const struct client *c, const struct tenant *t, enum limit limit)
{
	const char	*account = account_name(c->worker, c->account), *user = c->identity->user;

	if (t->user)
		snprintf(text, size, "%s of user \"%.256s\" of account \"%s\"", limit_keys[limit],
		    user == NULL ? "" : user, account);
	else
		snprintf(text, size, "%s of account \"%s\"", limit_keys[limit], account);
	return text;
}

/* ---- what is counted */

/* c has n more of what this lease counts. */
static void
lease_use(struct client *c, enum lease_of i, int64_t n)
{
	struct limited	*l;
	struct lease	*lease;

	for (unsigned k = 0; n != 0 && k < 2; k++)
		if ((l = limited_of(c, k)) != NULL && lease_is_limited(l, i)) {
			lease = &l->leases[i];
			lease->used += (uint64_t)n;
			lease->free -= n;
			lease->busy = true;
		}
}

/* Does its account or its user have one of these limits? */
static bool
is_limited(const struct client *c, enum lease_of one, enum lease_of other)
{
	const struct limited	*l;

	for (unsigned i = 0; i < 2; i++)
		if ((l = limited_of(c, i)) != NULL && (lease_is_limited(l, one) || lease_is_limited(l, other)))
			return true;
	return false;
}

static void
pending_count(struct client *c, struct tenancy *own, uint64_t n)
{
	lease_use(c, LEASE_PENDING, (int64_t)(n - own->pending));
	own->pending = n;
}

static void
memory_count(struct client *c, struct tenancy *own, uint64_t n)
{
	lease_use(c, LEASE_MEMORY, (int64_t)(n - own->memory));
	own->memory = n;
}

/*
 * What is held for c. One that is closing gives the rest back soon, whatever is done. What came
 * behind a line that has to wait is not c's fault, and no more is read.
 */
static uint64_t
memory_of(const struct client *c)
{
	uint64_t	 pending = c->identity->tenancy.pending;

	if (c->state != CLIENT_OPEN)
		return pending;
	return pending + ((c->flags & CLIENT_REPEATS) != 0 ? 0 : input_held(c)) +
	    LIMITS_CLIENT + secure_held(c) + (uint64_t)c->subscriptions * LIMITS_SUBSCRIPTION;
}

/* ---- memory */

/*
 * Its account or user that does not have so much left, and a part for what comes in and waits, or
 * whoever is there would be cut for that; NULL: none.
 */
static struct tenant *
memory_lacks(const struct client *c, int64_t need)
{
	const struct tenancy	*own = tenancy_of(c);
	const struct limited	*l;

	for (unsigned i = 0; i < 2; i++)
		if ((l = limited_of(c, i)) != NULL && lease_is_limited(l, LEASE_MEMORY) &&
		    l->leases[LEASE_MEMORY].free < need + lease_part(l, LEASE_MEMORY))
			return i == 0 ? own->account : own->user;
	return NULL;
}

int64_t
limits_need(const struct client *c)
{
	return c->identity->tenancy.memory == 0 ? LIMITS_CLIENT + (int64_t)secure_held(c) : LIMITS_SUBSCRIPTION;
}

static void
memory_tell(struct client *c, struct tenant *t)
{
	char	 text[LIMIT_TEXT];

	if (limited_tells(t, LIMIT_MEMORY))
		client_error(c, "maximum memory exceeded (%s)", limit_text(text, sizeof(text), c, t, LIMIT_MEMORY));
}

/* Auth is asked; false: it was, and there is none. */
static bool
memory_ask(struct client *c, struct tenant *t, bool refused)
{
	if (refused) {
		memory_tell(c, t);
		return false;
	}
	client_wait(c, CLIENT_LEASE, &t->limited->housing);
	lease_want(t, LEASE_MEMORY);
	return true;
}

bool
limits_house(struct client *c)
{
	struct tenancy	*own = tenancy_of(c);
	bool		 refused = (c->flags & CLIENT_FULL) != 0;
	struct tenant	*t;

	if (own->memory > 0 || !is_limited(c, LEASE_MEMORY, LEASE_MEMORY))
		return true;
	c->flags &= ~(uint32_t)CLIENT_FULL;
	if ((t = memory_lacks(c, limits_need(c))) == NULL) {
		memory_count(c, own, memory_of(c));
		return true;
	}
	if (!memory_ask(c, t, refused)) {
		client_say(c, BYTES(MEMORY_ERROR));
		client_close(c, CLOSE_MAX_MEMORY);
	}
	return false;
}

/* ---- subscriptions */

static enum limits_answer
subscribe_short(struct client *c, struct tenant *t, bool refused)
{
	char	 text[LIMIT_TEXT];

	if (!refused) {
		client_wait(c, CLIENT_LEASE, &t->limited->subscribing);
		lease_want(t, LEASE_SUBSCRIPTIONS);
		return LIMITS_ASKED;
	}
	if (limited_tells(t, LIMIT_SUBSCRIPTIONS))
		client_error(c, "maximum subscriptions exceeded (%s)",
		    limit_text(text, sizeof(text), c, t, LIMIT_SUBSCRIPTIONS));
	return LIMITS_REFUSED;
}

enum limits_answer
limits_subscribe(struct client *c)
{
	bool		 refused = (c->flags & CLIENT_DENIED) != 0, full = (c->flags & CLIENT_FULL) != 0;
	struct tenancy	*own = tenancy_of(c);
	struct limited	*l;
	struct tenant	*t;

	c->flags &= ~(uint32_t)(CLIENT_DENIED | CLIENT_FULL);
	for (unsigned i = 0; i < 2; i++)
		if ((l = limited_of(c, i)) != NULL && lease_is_limited(l, LEASE_SUBSCRIPTIONS) &&
		    l->leases[LEASE_SUBSCRIPTIONS].free <= 0)
			return subscribe_short(c, i == 0 ? own->account : own->user, refused);
	if ((t = memory_lacks(c, LIMITS_SUBSCRIPTION)) != NULL)
		return memory_ask(c, t, full) ? LIMITS_ASKED : LIMITS_FULL;
	lease_use(c, LEASE_SUBSCRIPTIONS, 1);
	if (own != NULL && own->memory > 0)
		memory_count(c, own, own->memory + LIMITS_SUBSCRIPTION);
	return LIMITS_GRANTED;
}

void
limits_unsubscribe(struct client *c)
{
	struct tenancy	*own = tenancy_of(c);

	if (own == NULL)
		return;
	lease_use(c, LEASE_SUBSCRIPTIONS, -1);
	if (own->memory > 0)
		memory_count(c, own, memory_of(c));
	for (unsigned i = 0; i < 2; i++) {
		lease_trim(i == 0 ? own->account : own->user, LEASE_SUBSCRIPTIONS);
		lease_trim(i == 0 ? own->account : own->user, LEASE_MEMORY);
	}
}

/* ---- messages */

uint64_t
limits_payload(const struct client *c)
{
	uint64_t		 most = c->worker->settings->max_payload;
	const struct limited	*l;

	for (unsigned i = 0; i < 2; i++)
		if ((l = limited_of(c, i)) != NULL && l->limits[LIMIT_PAYLOAD] < most)
			most = l->limits[LIMIT_PAYLOAD];
	return most;
}

int64_t
limits_unlooked(const struct client *c)
{
	const struct limited	*l;

	for (unsigned i = 0; i < 2; i++)
		if ((l = limited_of(c, i)) != NULL &&
		    (lease_is_limited(l, LEASE_MESSAGES) || lease_is_limited(l, LEASE_BYTES)))
			return -1;
	return (int64_t)limits_payload(c);
}

void
limits_over_payload(struct client *c)
{
	counter_add(&c->worker->head->over_limit[LIMIT_PAYLOAD], 1);
}

static void
rate_close(struct client *c, struct tenant *t, enum limit limit)
{
	char	 text[LIMIT_TEXT];

	if (limited_tells(t, limit))
		client_error(c, "maximum message rate exceeded (%s)",
		    limit_text(text, sizeof(text), c, t, limit));
	client_say(c, BYTES("-ERR 'maximum message rate exceeded'\r\n"));
	client_close(c, CLOSE_RATE);
}

void
limits_over_rate(struct tenant *t, enum limit limit)
{
	struct client	*c = TAILQ_FIRST(&t->limited->rated);
	char		 text[LIMIT_TEXT];

	if (t->limited->limits[LIMIT_OVER_RATE] != 1) {
		if (c != NULL && limited_tells(t, limit))
			log_limited(LOG_WARN, "rates", "%s exceeded: its clients are read more slowly",
			    limit_text(text, sizeof(text), c, t, limit));
		return;
	}
	for (; c != NULL; c = TAILQ_FIRST(&t->limited->rated))
		rate_close(c, t, limit);
}

/* What is here of a rate is used up, and a message comes. */
static void
rate_over(struct client *c, struct tenant *t, enum lease_of i)
{
	client_wait(c, CLIENT_RATED, &t->limited->rated);
	if (t->limited->leases[i].dry)
		limits_over_rate(t, lease_limit(i));
}

/* Is something left of it, less what this read brought? */
static bool
rate_is_left(const struct limited *l, enum lease_of i, uint64_t used)
{
	return !lease_is_limited(l, i) || l->leases[i].free > (int64_t)used;
}

bool
limits_message(struct client *c)
{
	const struct worker	*w = c->worker;
	struct tenancy		*own = tenancy_of(c);
	struct limited		*l;

	for (unsigned i = 0; i < 2; i++) {
		if ((l = limited_of(c, i)) == NULL)
			continue;
		if (rate_is_left(l, LEASE_MESSAGES, w->in_msgs) && rate_is_left(l, LEASE_BYTES, w->in_bytes))
			continue;
		rate_over(c, i == 0 ? own->account : own->user,
		    rate_is_left(l, LEASE_MESSAGES, w->in_msgs) ? LEASE_BYTES : LEASE_MESSAGES);
		return false;
	}
	return true;
}

/* What was published is paid for, and what comes next is asked for. */
void
limits_spend(struct tenant *t, uint64_t messages, uint64_t bytes)
{
	struct lease	*lease = t->limited->leases;

	if (messages > 0) {
		lease[LEASE_MESSAGES].free -= (int64_t)messages;
		lease[LEASE_BYTES].free -= (int64_t)bytes;
		lease[LEASE_MESSAGES].busy = lease[LEASE_BYTES].busy = true;
	} else if (TAILQ_EMPTY(&t->limited->rated))
		return;
	lease_want(t, LEASE_MESSAGES);
	lease_want(t, LEASE_BYTES);
}

/* ---- bytes that wait or are held */

/* Ask for what its account and its user lack, give back what they have too much of. */
static void
leases_fit(struct client *c, struct tenancy *own, enum lease_of i)
{
	for (unsigned k = 0; k < 2; k++)
		if (limited_of(c, k) != NULL) {
			lease_want(k == 0 ? own->account : own->user, i);
			lease_trim(k == 0 ? own->account : own->user, i);
		}
}

void
limits_memory(struct client *c)
{
	struct tenancy	*own = tenancy_of(c);

	if (own->memory == 0)
		return;
	memory_count(c, own, memory_of(c));
	leases_fit(c, own, LEASE_MEMORY);
}

void
limits_pending(struct client *c)
{
	struct tenancy	*own = tenancy_of(c);

	if (own == NULL || !is_limited(c, LEASE_PENDING, LEASE_MEMORY))
		return;
	pending_count(c, own, c->out.pending);
	leases_fit(c, own, LEASE_PENDING);
	limits_memory(c);
}

uint64_t
limits_mark(const struct client *c)
{
	return is_limited(c, LEASE_PENDING, LEASE_MEMORY) ? c->out.pending + LIMITS_MARK : UINT64_MAX;
}

static uint64_t
tenancy_has(const struct tenancy *own, enum lease_of i)
{
	return i == LEASE_MEMORY ? own->memory : own->pending;
}

/* The one of its clients with most of it. */
static struct client *
tenant_largest(const struct tenant *t, enum lease_of i)
{
	const struct worker	*w = t->worker;
	struct client		*c, *most = NULL;
	const struct tenancy	*own;

	for (uint32_t n = 0; n < w->top; n++) {
		if ((c = w->clients[n]) == NULL || c->state != CLIENT_OPEN ||
		    (own = tenancy_of(c)) == NULL || (own->account != t && own->user != t))
			continue;
		if (tenancy_has(own, i) > (most == NULL ? 0 : tenancy_has(tenancy_of(most), i)))
			most = c;
	}
	return most;
}

static void
pending_cut(struct tenant *t, struct client *c)
{
	char	 text[LIMIT_TEXT];

	counter_add(&t->worker->head->over_limit[LIMIT_PENDING], 1);
	slow_cut_for(c, limit_text(text, sizeof(text), c, t, LIMIT_PENDING));
	client_hang_up(c);
}

/* It hears of it if its socket takes that. */
static void
memory_cut(struct tenant *t, struct client *c)
{
	memory_tell(c, t);
	client_say(c, BYTES(MEMORY_ERROR));
	client_flush(c);
	client_close(c, CLOSE_MAX_MEMORY);
	if (c->out.pending > 0)
		client_hang_up(c);
}

/*
 * There is no more: who has most pays for all, and what that frees goes to
 * whoever asked auth, perhaps ourselves.
 */
void
limits_cut(struct tenant *t, enum lease_of i)
{
	struct client	*c = tenant_largest(t, i);
	struct lease	*lease = &t->limited->leases[i];

	lease->asked = true;	/* not before all that it had is free */
	if (c != NULL && i == LEASE_MEMORY)
		memory_cut(t, c);
	else if (c != NULL)
		pending_cut(t, c);
	lease->asked = false;
	if (lease->free > 0)
		lease_return(t, i, 0);
	else
		(void)lease_back(t, i, 0);
	lease_want(t, i);
}

/* ---- other limits */

/* What its clients have of it, where that was not counted. */
uint64_t
limits_used(const struct tenant *t, enum lease_of i)
{
	const struct worker	*w = t->worker;
	struct client		*c;
	struct tenancy		*own;
	uint64_t		 used = 0;

	for (uint32_t n = 0; t->clients > 0 && n < w->top; n++) {
		if ((c = w->clients[n]) == NULL || (own = tenancy_of(c)) == NULL ||
		    (own->account != t && own->user != t))
			continue;
		if (i == LEASE_MEMORY) {
			pending_count(c, own, c->out.pending);
			memory_count(c, own, memory_of(c));
		}
		used += i == LEASE_SUBSCRIPTIONS ? c->subscriptions : tenancy_has(own, i);
	}
	return used;
}

static bool
limits_are_any(const uint64_t *limits)
{
	if (limits == NULL)
		return false;
	for (enum lease_of i = 0; i < LEASES; i++)
		if (limits[lease_limit(i)] != NO_LIMIT)
			return true;
	return limits[LIMIT_PAYLOAD] != NO_LIMIT;
}

/* It has these limits from now on. NULL: none. 0 or -ENOMEM. */
static int
tenant_limit(struct tenant *t, const uint64_t *limits)
{
	struct limited	*l;
	uint64_t	 before[LIMITS];
	bool		 any = limits_are_any(limits);

	if (!any && t->limited == NULL)
		return 0;
	if (t->limited == NULL && tenant_limited_new(t) != 0)
		return -ENOMEM;
	l = t->limited;
	memcpy(before, l->limits, sizeof(before));
	for (unsigned i = 0; i < LIMITS; i++)
		l->limits[i] = limits == NULL ? NO_LIMIT : limits[i];
	for (enum lease_of i = 0; i < LEASES; i++)
		lease_change(t, i, before[lease_limit(i)]);
	list_wake(&l->subscribing);
	list_wake(&l->rated);
	list_wake(&l->housing);
	if (!any)
		tenant_limited_free(t);
	return 0;
}

static const uint64_t *
account_limits(const struct worker *w, uint64_t number)
{
	const struct account	*a = w->accounts == NULL ? NULL : accounts_find(w->accounts, (uint32_t)number);

	return a == NULL ? NULL : a->limits;
}

void
limits_reload(struct worker *w)
{
	struct tenant	*t;

	RB_FOREACH(t, tenants, &w->limits.all)
		if (!t->user && tenant_limit(t, account_limits(w, t->number)) != 0)
			log_error("no memory for the limits of account \"%s\": they are as they were",
			    account_name(w, (uint32_t)t->number));
}

/* ---- clients come and go */

static void
tenant_count(struct tenant *t, int n)
{
	if (t != NULL)
		t->clients += (uint32_t)n;
}

/* What c has goes over to other tenants. */
static void
tenancy_change(struct client *c, struct tenant *account, struct tenant *user)
{
	struct tenancy	*own = tenancy_of(c);
	uint64_t	 pending = own->pending;
	bool		 housed = own->memory > 0 || own->account != NULL;	/* else limits_house() is asked */

	if (c->state == CLIENT_OPEN && c->list != NULL && c->stop >= CLIENT_LEASE)
		client_stop(c, CLIENT_YIELDS);	/* it is not to wait for those that it leaves */
	tenant_count(account, 1);
	tenant_count(user, 1);
	lease_use(c, LEASE_SUBSCRIPTIONS, -(int64_t)c->subscriptions);
	pending_count(c, own, 0);
	memory_count(c, own, 0);
	tenant_count(own->account, -1);
	tenant_count(own->user, -1);
	tenant_put(own->account);
	tenant_put(own->user);
	own->account = account;
	own->user = user;
	lease_use(c, LEASE_SUBSCRIPTIONS, (int64_t)c->subscriptions);
	pending_count(c, own, pending);
	if (housed)
		memory_count(c, own, memory_of(c));
	for (enum lease_of i = 0; i < LEASES; i++) {
		lease_claim(account, i);
		lease_claim(user, i);
	}
}

int
limits_enter(struct client *c, const struct msg_admitted *m)
{
	struct worker	*w = c->worker;
	struct tenancy	*own = tenancy_of(c);
	struct tenant	*account = tenant_get(w, false, m->account);
	struct tenant	*user = m->number == 0 ? NULL : tenant_get(w, true, m->number);
	uint64_t	 limits[LIMITS];
	int		 rc = 0;

	for (unsigned i = 0; i < LIMITS; i++)
		limits[i] = msg_number(&m->limits, i);
	if (account == NULL || (m->number != 0 && user == NULL))
		rc = -ENOMEM;
	if (rc == 0)
		rc = tenant_limit(account, account_limits(w, m->account));
	if (rc == 0 && user != NULL)
		rc = tenant_limit(user, limits);
	if (rc != 0 || (own->account == account && own->user == user)) {
		tenant_put(account);
		tenant_put(user);
	} else
		tenancy_change(c, account, user);
	slow_mark(c);
	return rc;
}

void
limits_leave(struct client *c)
{
	if (tenancy_of(c) != NULL)
		tenancy_change(c, NULL, NULL);
}

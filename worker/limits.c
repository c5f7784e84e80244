#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "worker/limits.h"
#include "worker/login.h"
#include "worker/slow.h"
#include "worker/tenant.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define QUIET		2.0		/* seconds between two lines of the log about a limit of one tenant */

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

static void
subscriptions_add(struct client *c, int64_t n)
{
	struct limited	*l;
	struct lease	*lease;

	for (unsigned i = 0; i < 2; i++)
		if ((l = limited_of(c, i)) != NULL && lease_is_limited(l, LEASE_SUBSCRIPTIONS)) {
			lease = &l->leases[LEASE_SUBSCRIPTIONS];
			lease->used += (uint64_t)n;
			lease->free -= n;
			lease->busy = true;
		}
}

enum limits_answer
limits_subscribe(struct client *c)
{
	bool		 refused = (c->flags & CLIENT_DENIED) != 0;
	struct tenancy	*own = tenancy_of(c);
	struct limited	*l;

	c->flags &= ~(uint32_t)CLIENT_DENIED;
	for (unsigned i = 0; i < 2; i++)
		if ((l = limited_of(c, i)) != NULL && lease_is_limited(l, LEASE_SUBSCRIPTIONS) &&
		    l->leases[LEASE_SUBSCRIPTIONS].free <= 0)
			return subscribe_short(c, i == 0 ? own->account : own->user, refused);
	subscriptions_add(c, 1);
	return LIMITS_GRANTED;
}

void
limits_unsubscribe(struct client *c)
{
	struct tenancy	*own = tenancy_of(c);

	if (own == NULL)
		return;
	subscriptions_add(c, -1);
	lease_trim(own->account, LEASE_SUBSCRIPTIONS);
	lease_trim(own->user, LEASE_SUBSCRIPTIONS);
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

/* ---- pending bytes */

static void
pending_add(struct client *c, struct tenancy *own, int64_t n)
{
	struct limited	*l;
	struct lease	*lease;

	own->pending = (uint64_t)((int64_t)own->pending + n);
	for (unsigned i = 0; i < 2; i++)
		if ((l = limited_of(c, i)) != NULL && lease_is_limited(l, LEASE_PENDING)) {
			lease = &l->leases[LEASE_PENDING];
			lease->used += (uint64_t)n;
			lease->free -= n;
			lease->busy = true;
		}
}

static bool
pending_is_limited(const struct client *c)
{
	const struct limited	*l;

	for (unsigned i = 0; i < 2; i++)
		if ((l = limited_of(c, i)) != NULL && lease_is_limited(l, LEASE_PENDING))
			return true;
	return false;
}

void
limits_pending(struct client *c)
{
	struct tenancy	*own = tenancy_of(c);

	if (own == NULL || own->pending == c->out.pending || !pending_is_limited(c))
		return;
	pending_add(c, own, (int64_t)c->out.pending - (int64_t)own->pending);
	for (unsigned i = 0; i < 2; i++) {
		if (limited_of(c, i) == NULL)
			continue;
		lease_want(i == 0 ? own->account : own->user, LEASE_PENDING);
		lease_trim(i == 0 ? own->account : own->user, LEASE_PENDING);
	}
}

uint64_t
limits_mark(const struct client *c)
{
	return pending_is_limited(c) ? c->out.pending + LIMITS_MARK : UINT64_MAX;
}

/* The one of its clients with most pending. */
static struct client *
tenant_slowest(const struct tenant *t)
{
	const struct worker	*w = t->worker;
	struct client		*c, *most = NULL;
	const struct tenancy	*own;

	for (uint32_t i = 0; i < w->top; i++) {
		if ((c = w->clients[i]) == NULL || c->state != CLIENT_OPEN ||
		    (own = tenancy_of(c)) == NULL || (own->account != t && own->user != t))
			continue;
		if (own->pending > 0 && (most == NULL || own->pending > tenancy_of(most)->pending))
			most = c;
	}
	return most;
}

/*
 * There is no more: who has most pays for all, and what that frees goes to
 * whoever asked auth, perhaps ourselves.
 */
void
limits_cut(struct tenant *t)
{
	struct client	*c = tenant_slowest(t);
	char		 text[LIMIT_TEXT];

	if (c != NULL) {
		counter_add(&t->worker->head->over_limit[LIMIT_PENDING], 1);
		slow_cut_for(c, limit_text(text, sizeof(text), c, t, LIMIT_PENDING));
		client_hang_up(c);
	}
	if (t->limited->leases[LEASE_PENDING].free > 0)
		lease_return(t, LEASE_PENDING, 0);
	else
		(void)lease_back(t, LEASE_PENDING, 0);
	lease_want(t, LEASE_PENDING);
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
		used += i == LEASE_SUBSCRIPTIONS ? c->subscriptions : own->pending;
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

	tenant_count(account, 1);
	tenant_count(user, 1);
	subscriptions_add(c, -(int64_t)c->subscriptions);
	pending_add(c, own, -(int64_t)pending);
	tenant_count(own->account, -1);
	tenant_count(own->user, -1);
	tenant_put(own->account);
	tenant_put(own->user);
	own->account = account;
	own->user = user;
	subscriptions_add(c, (int64_t)c->subscriptions);
	pending_add(c, own, (int64_t)pending);
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

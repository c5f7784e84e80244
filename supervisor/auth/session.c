#include <errno.h>
#include <stdlib.h>
#include "supervisor/auth/attempt.h"
#include "supervisor/auth/grant.h"
#include "supervisor/auth/worker.h"

/* -- the table */

static uint64_t
session_hash(const struct worker *w, uint64_t cid)
{
	return map_mix(cid, w->slot);
}

struct session *
session_find(struct auth *a, struct worker *w, uint64_t cid)
{
	struct map_node	*n;
	struct session	*s;

	for (n = map_first(&a->sessions, session_hash(w, cid)); n != NULL; n = map_next(n)) {
		s = (struct session *)n;
		if (s->worker == w && s->cid == cid)
			return s;
	}
	return NULL;
}

struct session *
session_new(struct auth *a, struct worker *w, uint64_t cid)
{
	struct session	*s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->worker = w;
	s->cid = cid;
	map_add(&a->sessions, &s->node, session_hash(w, cid));
	LIST_INSERT_HEAD(&w->sessions, s, entry);
	w->count++;
	return s;
}

void
session_free(struct auth *a, struct session *s)
{
	struct worker	*w = s->worker;

	attempt_cancel(a, s);
	if (s->state == SESSION_REFUSED)
		free(s->u.claims);
	session_uncount(a, s);
	expiry_remove(&a->expiry, s);
	if (s->tell != TELL_NOTHING)
		TAILQ_REMOVE(&w->telling, s, telling);
	map_remove(&a->sessions, &s->node);
	LIST_REMOVE(s, entry);
	w->count--;
	free(s);
}

/* -- counting */

static struct source
at_worker(const struct worker *w)
{
	return (struct source){ 0, w->slot };
}

/* What is counted for s, one after the other; what has no limit is not, but for who is at which worker. */
struct counted { enum count_of kind; uint64_t of; struct source from; };

static unsigned
counted_list(const struct auth *a, const struct session *s, struct counted list[6])
{
	const struct account	*account = users_account(a->users, s->account);
	const struct user	*user = s->user;
	unsigned		 n = 0;

	list[n++] = (struct counted){ COUNT_ACCOUNT_WORKER, s->account, at_worker(s->worker) };
	if (account_limit(account, LIMIT_CONNECTIONS) != NO_LIMIT)
		list[n++] = (struct counted){ COUNT_ACCOUNT, s->account, COUNT_ANYWHERE };
	if (account_limit(account, LIMIT_ADDRESS) != NO_LIMIT)
		list[n++] = (struct counted){ COUNT_ACCOUNT_SOURCE, s->account, s->source };
	if (user == NULL || user->limits == NULL)
		return n;
	list[n++] = (struct counted){ COUNT_USER_WORKER, user->number, at_worker(s->worker) };
	if (user_limit(user, LIMIT_CONNECTIONS) != NO_LIMIT)
		list[n++] = (struct counted){ COUNT_USER, user->number, COUNT_ANYWHERE };
	if (user_limit(user, LIMIT_ADDRESS) != NO_LIMIT)
		list[n++] = (struct counted){ COUNT_USER_SOURCE, user->number, s->source };
	return n;
}

int
session_count(struct auth *a, struct session *s)
{
	struct counted	list[6];
	unsigned	n = counted_list(a, s, list), i, k;

	for (i = 0; i < n; i++) {
		if (counts_add(&a->counts, list[i].kind, list[i].of, list[i].from) == 0)
			continue;
		for (k = 0; k < i; k++)
			counts_remove(&a->counts, list[k].kind, list[k].of, list[k].from);
		return -ENOMEM;
	}
	s->counted = true;
	return 0;
}

void
session_uncount(struct auth *a, struct session *s)
{
	struct counted	list[6];
	unsigned	n, i;

	if (!s->counted)
		return;
	n = counted_list(a, s, list);
	for (i = 0; i < n; i++)
		counts_remove(&a->counts, list[i].kind, list[i].of, list[i].from);
	s->counted = false;
}

/* AUTH_REFUSALS: there is room for one more. */
static enum auth_refusal
limits_refuse(const struct auth *a, const struct session *s)
{
	const struct account	*account = users_account(a->users, s->account);
	const struct counts	*c = &a->counts;
	const struct user	*user = s->user;
	const uint64_t		 number = user == NULL ? 0 : user->number;

	if (counts_get(c, COUNT_ACCOUNT, s->account, COUNT_ANYWHERE) >=
	    account_limit(account, LIMIT_CONNECTIONS))
		return AUTH_ACCOUNT_CONNECTIONS;
	if (counts_get(c, COUNT_USER, number, COUNT_ANYWHERE) >= user_limit(user, LIMIT_CONNECTIONS))
		return AUTH_USER_CONNECTIONS;
	if (counts_get(c, COUNT_ACCOUNT_SOURCE, s->account, s->source) >=
	    account_limit(account, LIMIT_ADDRESS) ||
	    counts_get(c, COUNT_USER_SOURCE, number, s->source) >= user_limit(user, LIMIT_ADDRESS))
		return AUTH_ADDRESS_CONNECTIONS;
	return AUTH_REFUSALS;
}

/* -- what is decided */

void
session_refuse(struct auth *a, struct session *s, enum auth_refusal why, const char *claims)
{
	s->state = SESSION_REFUSED;
	s->u.claims = claims[0] == '\0' ? NULL : strdup(claims);
	worker_note(s, why, TELL_REFUSED);
}

/* It is counted already, and in from now on, until it expires. 0 or -ENOMEM. */
static int
session_enter(struct auth *a, struct session *s)
{
	if (s->user != NULL && s->user->expires != 0 &&
	    expiry_add(&a->expiry, s, s->user->expires) != 0)
		return -ENOMEM;
	s->state = SESSION_IN;
	if (s->expires == 1)
		sessions_expire(a);
	return 0;
}

void
session_admit(struct auth *a, struct session *s, enum login_how how, const struct user *user, const char *claims)
{
	const uint64_t		now = (uint64_t)(ev_time() * 1e6);
	enum auth_refusal	why = AUTH_VIOLATION;

	s->how = (uint8_t)how;
	s->user = user;
	s->account = user == NULL ? ACCOUNT_UNASKED : user->account;
	s->peer_known = how == LOGIN_PEER;
	if ((user != NULL && user->expires != 0 && user->expires <= now) ||
	    (why = limits_refuse(a, s)) != AUTH_REFUSALS || session_count(a, s) != 0) {
		session_refuse(a, s, why == AUTH_REFUSALS ? AUTH_VIOLATION : why, claims);
		return;
	}
	s->grant = grant_make(&a->grants, how, a->users, user);
	worker_note(s, 0, TELL_ADMITTED);
	if (session_enter(a, s) != 0)
		session_revoke(a, s, AUTH_VIOLATION);
}

void
session_revoke(struct auth *a, struct session *s, enum auth_refusal why)
{
	expiry_remove(&a->expiry, s);
	s->state = SESSION_REVOKED;
	worker_note(s, why, TELL_REVOKED);
}

/* -- time */

static void
expiry_timer(struct auth *a)
{
	uint64_t	when;

	ev_periodic_stop(a->child.loop, &a->expires);
	if (expiry_first(&a->expiry, &when) == NULL)
		return;
	ev_periodic_set(&a->expires, (double)when / 1e6, 0, NULL);
	ev_periodic_start(a->child.loop, &a->expires);
}

void
sessions_expire(struct auth *a)
{
	const uint64_t	 now = (uint64_t)(ev_time() * 1e6);
	struct session	*s;
	struct worker	*w;
	uint64_t	 when;

	while ((s = expiry_first(&a->expiry, &when)) != NULL && when <= now) {
		w = s->worker;
		session_revoke(a, s, AUTH_EXPIRED);
		worker_flush(w);
	}
	expiry_timer(a);
}

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/auth/attempt.h"
#include "supervisor/auth/worker.h"

#define TELL_MOST	(1u << 20)	/* bytes that may wait for the worker to read them */

/* -- telling */

void
worker_note(struct session *s, enum auth_refusal why, unsigned tell)
{
	s->why = (uint8_t)why;
	if (s->tell == TELL_NOTHING)
		TAILQ_INSERT_TAIL(&s->worker->telling, s, telling);
	/* Of one who is in already nothing is known there until it was told so. */
	if (s->tell == TELL_ADMITTED && tell == TELL_REVOKED && !s->told)
		s->tell = TELL_REFUSED;
	else
		s->tell = (uint8_t)tell;
}

static int
tell_permissions(struct worker *w, const struct session *s, const struct permission_set *set)
{
	const struct msg	m = { .type = MSG_permissions, .u.permissions = { .cid = s->cid } };

	return channel_send(&w->channel, &m, &set->fd);
}

static int
tell_admitted(struct worker *w, struct session *s)
{
	static const uint64_t		 unlimited[LIMITS] = {
#define LIMIT(name, key, unit, help) [LIMIT_##name] = LIMIT_##name == LIMIT_MESSAGES_BURST || \
	LIMIT_##name == LIMIT_BYTES_BURST || LIMIT_##name == LIMIT_OVER_RATE ? 0 : NO_LIMIT,
#include "common/limits.def"
	};
	const struct permission_set	*set = users_permissions(w->auth->users, s->user);
	const struct user		*user = s->user;
	struct msg			 m = { .type = MSG_admitted, .u.admitted = { .cid = s->cid,
					    .version = w->auth->child.version, .grant = s->grant,
					    .account = s->account,
					    .number = user == NULL ? 0 : user->number,
					    .expires = user == NULL ? 0 : user->expires,
					    .user = login_text((enum login_how)s->how, user),
					    .limits = { .own = user == NULL || user->limits == NULL ?
					    unlimited : user->limits, .count = LIMITS },
					    .permissions = set == NULL ? BYTES("") : set->records } };
	int				 rc;

	if (set != NULL && set->fd != -1) {
		if ((rc = tell_permissions(w, s, set)) != 0)
			return rc;
		m.u.admitted.permissions = BYTES("");
	}
	s->told = true;
	return channel_send(&w->channel, &m, NULL);
}

static int
tell_refused(struct worker *w, const struct session *s)
{
	const char		*claims = s->state == SESSION_REFUSED ? s->u.claims : NULL;
	const struct msg	 m = { .type = MSG_refused, .u.refused = { .cid = s->cid, .why = s->why,
				    .user = claims == NULL ? BYTES("") : bytes_of(claims) } };

	return channel_send(&w->channel, &m, NULL);
}

static int
tell_revoked(struct worker *w, const struct session *s)
{
	const struct msg	m = { .type = MSG_revoked, .u.revoked = { .cid = s->cid, .why = s->why } };

	return channel_send(&w->channel, &m, NULL);
}

static int
session_tell(struct worker *w, struct session *s, unsigned what)
{
	switch (what) {
	case TELL_ADMITTED:
		return tell_admitted(w, s);
	case TELL_REFUSED:
		return tell_refused(w, s);
	default:
		return tell_revoked(w, s);
	}
}

void
worker_flush(struct worker *w)
{
	struct session	*s;
	unsigned	 what;

	while (w->channel.queued < TELL_MOST && (s = TAILQ_FIRST(&w->telling)) != NULL) {
		TAILQ_REMOVE(&w->telling, s, telling);
		what = s->tell;
		s->tell = TELL_NOTHING;
		if (session_tell(w, s, what) != 0)
			return;		/* its end is seen where it is read */
		if (what == TELL_REFUSED)
			session_free(w->auth, s);
	}
}

static void
worker_reads(struct channel *ch)
{
	worker_flush(ch->owner);
}

/* -- leases */

static enum limit
lease_limit_of(enum lease_kind kind, enum limit *burst)
{
	*burst = LIMITS;
	switch (kind) {
	case LEASE_ACCOUNT_SUBSCRIPTIONS:
	case LEASE_USER_SUBSCRIPTIONS:
		return LIMIT_SUBSCRIPTIONS;
	case LEASE_ACCOUNT_MESSAGES:
	case LEASE_USER_MESSAGES:
		*burst = LIMIT_MESSAGES_BURST;
		return LIMIT_MESSAGES;
	case LEASE_ACCOUNT_BYTES:
	case LEASE_USER_BYTES:
		*burst = LIMIT_BYTES_BURST;
		return LIMIT_BYTES;
	case LEASE_ACCOUNT_MEMORY:
	case LEASE_USER_MEMORY:
		return LIMIT_MEMORY;
	default:
		return LIMIT_PENDING;
	}
}

static bool
is_of_user(enum lease_kind kind)
{
	return kind >= LEASE_USER_SUBSCRIPTIONS;
}

static uint64_t
limit_in_force(void *arg, enum lease_kind kind, uint64_t of, uint64_t *burst)
{
	struct auth		*a = arg;
	enum limit		 burst_of, which = lease_limit_of(kind, &burst_of);
	const struct user	*user = NULL;
	const struct account	*account = NULL;
	uint64_t		 limit;

	if (is_of_user(kind))
		user = users_numbered(a->users, of);
	else if (of <= ACCOUNT_MOST)
		account = users_account(a->users, (uint32_t)of);
	limit = is_of_user(kind) ? user_limit(user, which) : account_limit(account, which);
	*burst = limit;
	if (burst_of != LIMITS && limit != NO_LIMIT) {
		*burst = is_of_user(kind) ? user_limit(user, burst_of) : account_limit(account, burst_of);
		if (*burst == 0 || *burst == NO_LIMIT)
			*burst = limit;
	}
	return limit;
}

static void
lease_answer(void *arg, unsigned slot, enum lease_kind kind, uint64_t of, uint64_t amount, unsigned wait)
{
	const struct msg	m = { .type = MSG_leases, .u.leases = { .kind = kind, .of = of,
				    .amount = amount, .wait = wait } };
	struct auth		*a = arg;

	if (a->workers[slot] != NULL)
		(void)channel_send(&a->workers[slot]->channel, &m, NULL);
}

static void
lease_recall(void *arg, unsigned slot, enum lease_kind kind, uint64_t of)
{
	const struct msg	m = { .type = MSG_lease_recall, .u.lease_recall = { .kind = kind, .of = of } };
	struct auth		*a = arg;

	if (a->workers[slot] != NULL)
		(void)channel_send(&a->workers[slot]->channel, &m, NULL);
}

const struct lease_calls worker_leases = { limit_in_force, lease_answer, lease_recall };

/* A worker gets a part only of what its clients belong to; the last may be gone meanwhile. */
static int
lease_asked(struct auth *a, struct worker *w, const struct msg_lease *m)
{
	const enum count_of	kind = is_of_user((enum lease_kind)m->kind) ? COUNT_USER_WORKER :
				    COUNT_ACCOUNT_WORKER;

	if (counts_get(&a->counts, kind, m->of, (struct source){ 0, w->slot }) == 0) {
		lease_answer(a, w->slot, (enum lease_kind)m->kind, m->of, 0, 0);
		return 0;
	}
	return leases_ask(a->leases, w->slot, (enum lease_kind)m->kind, m->of, m->least, m->wish,
	    m->owed == 1, auth_now());
}

static int
lease_receive(struct worker *w, const struct msg *m)
{
	struct auth	*a = w->auth;
	int		 rc;

	if (m->type == MSG_lease)
		rc = lease_asked(a, w, &m->u.lease);
	else if (m->type == MSG_lease_back)
		rc = leases_back(a->leases, w->slot, (enum lease_kind)m->u.lease_back.kind,
		    m->u.lease_back.of, m->u.lease_back.amount, auth_now());
	else
		rc = leases_told(a->leases, w->slot, (enum lease_kind)m->u.leased.kind,
		    m->u.leased.of, m->u.leased.amount, auth_now());
	auth_timer(a, &a->patience, leases_due(a->leases));
	return rc;
}

bool
workers_told(const struct auth *a)
{
	unsigned	i;

	if (auth_now() >= a->early_until)
		return true;
	for (i = 0; i < WORKERS; i++)
		if (a->workers[i] != NULL && !a->workers[i]->told)
			return false;
	return a->coming == 0;
}

/* What came before all had said who is in and what they have goes on, if they have by now. */
static void
workers_resume(struct auth *a)
{
	if (!workers_told(a))
		return;
	attempts_resume_early(a);
	leases_resume(a->leases, auth_now());
	auth_timer(a, &a->patience, leases_due(a->leases));
}

/* -- what it says */

static int
nonces_send(struct worker *w)
{
	struct msg	m = { .type = MSG_nonces, .u.nonces = { .first = w->auth->nonces } };
	int		rc = nonces_make(&w->nonces, &w->auth->nonces, &m.u.nonces.raw);

	return rc != 0 ? rc : channel_send(&w->channel, &m, NULL);
}

/* Unknown ones were refused, and are forgotten already. */
static void
gone_receive(struct worker *w, const struct numbers *cids)
{
	struct session	*s;
	uint32_t	 i;

	for (i = 0; i < cids->count; i++)
		if ((s = session_find(w->auth, w, msg_number(cids, i))) != NULL)
			session_free(w->auth, s);
}

static int
worker_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct worker	*w = ch->owner;

	switch (m->type) {
	case MSG_holds:
		return w->told ? -EPROTO : session_hold(w->auth, w, &m->u.holds);
	case MSG_leased:
		return lease_receive(w, m);
	case MSG_holds_end:
		if (w->told)
			return -EPROTO;
		w->told = true;
		sessions_expire(w->auth);
		workers_resume(w->auth);
		worker_flush(w);
		return 0;
	case MSG_gone:
		gone_receive(w, &m->u.gone.cids);
		return 0;
	case MSG_nonces_wanted:
		return nonces_send(w);
	case MSG_login:
		return w->told ? attempt_begin(w->auth, w, &m->u.login) : -EPROTO;
	case MSG_lease:
	case MSG_lease_back:
		return w->told ? lease_receive(w, m) : -EPROTO;
	default:
		return -EPERM;
	}
}

/* -- life */

static void
worker_free(struct worker *w)
{
	struct auth	*a = w->auth;
	struct session	*s;

	a->workers[w->slot] = NULL;
	while ((s = LIST_FIRST(&w->sessions)) != NULL)
		session_free(a, s);
	leases_worker_gone(a->leases, w->slot, auth_now());
	auth_timer(a, &a->patience, leases_due(a->leases));
	nonces_free(&w->nonces);
	free(w);
}

/* It ended, or broke the rules: the supervisor brings its successor, or this one a new channel. */
static void
worker_broken(struct channel *ch, int error, const char *why)
{
	struct worker	*w = ch->owner;
	struct auth	*a = w->auth;

	if (error != 0)
		log_warn("worker %u: its channel was closed: %s (%s)", w->slot, why, strerror(-error));
	worker_free(w);
	workers_resume(a);
}

int
worker_open(struct auth *a, unsigned slot, uint64_t incarnation, int fd)
{
	struct worker	*w;

	if (a->workers[slot] != NULL)
		worker_close(a->workers[slot]);
	if ((w = calloc(1, sizeof(*w))) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	w->auth = a;
	w->slot = slot;
	w->incarnation = incarnation;
	LIST_INIT(&w->sessions);
	TAILQ_INIT(&w->telling);
	a->workers[slot] = w;
	channel_open(&w->channel, a->child.loop, fd, ROLE_AUTH, ROLE_WORKER, worker_receive, worker_broken, w);
	w->channel.state = MSG_READY;
	w->channel.sent = worker_reads;
	return 0;
}

void
worker_close(struct worker *w)
{
	channel_close(&w->channel);
	worker_free(w);
}

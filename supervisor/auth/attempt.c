#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "common/log.h"
#include "supervisor/auth/attempt.h"
#include "supervisor/auth/worker.h"

/* A copy of what a client offered, while it waits for anything; wiped after use. */
struct attempt {
	struct turn		 turn;		/* WAITS_TURN */
	TAILQ_ENTRY(attempt)	 entry;		/* WAITS_EARLY */
	struct session		*session;
	struct bcrypt_job	*job;		/* WAITS_HASH */
	double			 due;		/* WAITS_EARLY */
	enum { WAITS_EARLY, WAITS_TURN, WAITS_HASH } waits;
	bool			 turned;	/* it had its turn */
	size_t			 size;
	struct msg_login	 login;		/* points into data */
	char			 data[];
};

static struct bytes
copy(char **at, struct bytes b)
{
	struct bytes	to = { *at, b.len };

	memcpy(*at, b.data, b.len);
	*at += b.len;
	return to;
}

static void
login_copy(struct attempt *it, const struct msg_login *m)
{
	char	*at = it->data;

	it->login = *m;
	it->login.address = copy(&at, m->address);
	it->login.user = copy(&at, m->user);
	it->login.pass = copy(&at, m->pass);
	it->login.token = copy(&at, m->token);
	it->login.nkey = copy(&at, m->nkey);
	it->login.sig = copy(&at, m->sig);
	it->login.certificate = copy(&at, m->certificate);
}

static size_t
login_size(const struct msg_login *m)
{
	return sizeof(struct attempt) + m->address.len + m->user.len + m->pass.len + m->token.len +
	    m->nkey.len + m->sig.len + m->certificate.len;
}

/* NULL: there is no room. */
static struct attempt *
attempt_new(struct session *s, const struct msg_login *m)
{
	const size_t	 size = login_size(m);
	struct attempt	*it;

	if (s->worker->waiting + size > WORKER_WAITING || (it = calloc(1, size)) == NULL)
		return NULL;
	it->session = s;
	it->size = size;
	login_copy(it, m);
	s->worker->waiting += size;
	return it;
}

static void
attempt_free(struct worker *w, struct attempt *it)
{
	w->waiting -= it->size;
	explicit_bzero(it, it->size);
	free(it);
}

static void
delay_timer(struct auth *a)
{
	const struct attempt	*early = TAILQ_FIRST(&a->early);
	double			 due = 0;

	if (turns_first(&a->turns, &due) == NULL || (early != NULL && early->due < due))
		due = early == NULL ? 0 : early->due;
	auth_timer(a, &a->delay, due);
}

static bool
source_delays(const struct auth *a, const struct session *s)
{
	return throttle_delays(&a->throttle, s->source, auth_now());
}

/* A reload that stops counting failures lets all go that wait. */
static double
turn_after(const struct auth *a, double now)
{
	const struct settings	*st = &a->child.settings;

	return st->auth_failures == 0 ? now : now + st->auth_failure_delay;
}

/* False: there is no room, and nothing happened. */
static bool
wait_turn(struct auth *a, struct attempt *it)
{
	struct session	*s = it->session;
	double		 when;

	if (turns_add(&a->turns, &it->turn, s->source, turn_after(a, auth_now())) != 0)
		return false;
	it->waits = WAITS_TURN;
	s->state = SESSION_DELAYED;
	s->user = NULL;
	s->u.attempt = it;
	a->throttled++;
	if (turns_first(&a->turns, &when) == &it->turn)
		delay_timer(a);
	return true;
}

static bool
wait_early(struct auth *a, struct attempt *it)
{
	it->waits = WAITS_EARLY;
	it->due = auth_now() + EARLY_PATIENCE;
	it->session->state = SESSION_DELAYED;
	it->session->u.attempt = it;
	TAILQ_INSERT_TAIL(&a->early, it, entry);
	if (TAILQ_FIRST(&a->early) == it)
		delay_timer(a);
	return true;
}

/* False: there is no room. */
static bool
attempt_delay(struct auth *a, struct session *s, const struct msg_login *m, bool early)
{
	struct attempt	*it = attempt_new(s, m);

	if (it == NULL)
		return false;
	if (early ? wait_early(a, it) : wait_turn(a, it))
		return true;
	attempt_free(s->worker, it);
	return false;
}

/* False: there is no room. */
static bool
attempt_hash(struct auth *a, struct session *s, const struct msg_login *m, const struct verdict *v, bool turned)
{
	struct attempt	*it = attempt_new(s, m);

	if (it == NULL)
		return false;
	it->waits = WAITS_HASH;
	it->turned = turned;
	it->job = bcrypt_submit(a->bcrypt, s->source, user_secret(v->user), v->password, s);
	if (it->job == NULL) {
		attempt_free(s->worker, it);
		return false;
	}
	s->user = v->user;
	s->u.attempt = it;
	s->state = SESSION_HASHING;
	return true;
}

/* What was offered is wrong. Who offers nothing guesses nothing. */
static void
attempt_failed(struct auth *a, struct session *s, const char *claims)
{
	const struct settings	*st = &a->child.settings;

	if (s->how != LOGIN_ANONYMOUS &&
	    throttle_failed(&a->throttle, s->source, auth_now()))
		log_limited(LOG_WARN, "addresses of failed logins",
		    "auth_failures: %llu logins from one address failed in %gs, further ones are looked at one after the other, %gs apart (%llu waited so far)",
		    (unsigned long long)st->auth_failures, st->auth_failure_window,
		    st->auth_failure_delay, (unsigned long long)a->throttled);
	session_refuse(a, s, AUTH_VIOLATION, claims);
}

void
attempt_hashed(void *auth, void *session, bool right)
{
	struct auth	*a = auth;
	struct session	*s = session;
	struct worker	*w = s->worker;
	char		 claims[LOGIN_TEXT];
	struct bytes	 text = login_text(s->how, s->user);

	memcpy(claims, text.data, text.len);
	claims[text.len] = '\0';
	attempt_free(w, s->u.attempt);
	s->state = SESSION_NEW;
	if (right)
		session_admit(a, s, s->how, s->user, claims);
	else
		attempt_failed(a, s, claims);
	worker_flush(w);
}

/*
 * Passwords that came all at once, before the first of them turned out to be wrong, wait
 * for their turns too.
 */
bool
attempt_may(void *auth, void *session)
{
	struct auth	*a = auth;
	struct session	*s = session;
	struct attempt	*it = s->u.attempt;

	return it->turned || !source_delays(a, s) || !wait_turn(a, it);
}

/* s is in a state, or gone, after this. turned: it had its turn. */
static void
attempt_decide(struct auth *a, struct session *s, const struct msg_login *m, bool turned)
{
	struct verdict	v;
	char		nonce[NONCE_ROOM], claims[LOGIN_TEXT];
	struct bytes	text = { nonce, 0 };

	if (m->nonce != 0 && nonces_take(&s->worker->nonces, m->nonce, nonce))
		text.len = NONCE_TEXT;
	login_claimed(m, claims);
	login_decide(a->users, m, text, a->child.settings.tls_maps_users, &v);
	s->how = (uint8_t)v.how;
	switch (v.is) {
	case VERDICT_ADMITTED:
		session_admit(a, s, v.how, v.user, claims);
		break;
	case VERDICT_HASH:
		if (attempt_hash(a, s, m, &v, turned))
			break;
		log_limited(LOG_WARN, "logins that cannot wait",
		    "too many logins wait for their password to be checked: one was refused");
		session_refuse(a, s, AUTH_VIOLATION, claims);
		break;
	case VERDICT_REFUSED:
		attempt_failed(a, s, claims);
		break;
	}
}

/* There is no memory to remember who was refused. */
static int
refuse_at_once(struct worker *w, const struct msg_login *m)
{
	const struct msg	answer = { .type = MSG_refused, .u.refused = { .cid = m->cid,
				    .why = AUTH_VIOLATION, .user = BYTES("") } };

	log_limited(LOG_ERROR, "logins without memory", "no memory for a login: it was refused");
	return channel_send(&w->channel, &answer, NULL);
}

/* It waits, or there is no room for it. */
static void
attempt_wait(struct auth *a, struct session *s, const struct msg_login *m, bool early)
{
	char	claims[LOGIN_TEXT];

	if (attempt_delay(a, s, m, early))
		return;
	login_claimed(m, claims);
	session_refuse(a, s, AUTH_VIOLATION, claims);
}

/*
 * s is in a state, or gone, after this. While others of its source wait it stands behind them, also when
 * failures of that source are not too many any more: nobody overtakes.
 */
static void
attempt_look(struct auth *a, struct session *s, const struct msg_login *m)
{
	s->u.peer.uid = (uint32_t)m->peer_uid;
	s->u.peer.gid = (uint32_t)m->peer_gid;
	if (source_delays(a, s) || turns_wait(&a->turns, s->source))
		attempt_wait(a, s, m, false);
	else
		attempt_decide(a, s, m, false);
}

static void
attempt_start(struct auth *a, struct session *s, const struct msg_login *m)
{
	s->source = source_of(m->address);
	s->type = (uint8_t)m->connection_type;
	if (workers_told(a))
		attempt_look(a, s, m);
	else
		attempt_wait(a, s, m, true);
}

int
attempt_begin(struct auth *a, struct worker *w, const struct msg_login *m)
{
	struct session	*s;

	if (session_find(a, w, m->cid) != NULL)
		return -EPROTO;
	if (w->count >= WORKER_SESSIONS)
		return -EMFILE;
	if ((s = session_new(a, w, m->cid)) == NULL)
		return refuse_at_once(w, m);
	attempt_start(a, s, m);
	worker_flush(w);
	return 0;
}

static void
early_look(struct auth *a, struct attempt *it)
{
	struct session	*s = it->session;
	struct worker	*w = s->worker;

	TAILQ_REMOVE(&a->early, it, entry);
	s->state = SESSION_NEW;
	attempt_look(a, s, &it->login);
	attempt_free(w, it);
	worker_flush(w);
}

/*
 * The next of its source is looked at after the delay, or right now if that source's failures
 * are not too many any more.
 */
static void
turn_look(struct auth *a, struct attempt *it, double now)
{
	struct session		*s = it->session;
	struct worker		*w = s->worker;
	const struct source	 from = s->source;

	s->state = SESSION_NEW;
	s->u.peer.uid = (uint32_t)it->login.peer_uid;
	s->u.peer.gid = (uint32_t)it->login.peer_gid;
	attempt_decide(a, s, &it->login, true);
	if (throttle_delays(&a->throttle, from, now))
		turns_done(&a->turns, &it->turn, turn_after(a, now));
	else
		turns_cancel(&a->turns, &it->turn);
	attempt_free(w, it);
	worker_flush(w);
}

static void
early_resume(struct auth *a, double until)
{
	struct attempt	*it;

	while ((it = TAILQ_FIRST(&a->early)) != NULL && it->due <= until)
		early_look(a, it);
}

static void
turns_resume(struct auth *a, double now)
{
	struct turn	*it;
	double		 when;

	while ((it = turns_first(&a->turns, &when)) != NULL && when <= now)
		turn_look(a, (struct attempt *)it, now);
}

void
attempts_resume(struct auth *a)
{
	const double	now = auth_now();

	early_resume(a, now);
	turns_resume(a, now);
	delay_timer(a);
}

void
attempts_resume_early(struct auth *a)
{
	early_resume(a, INFINITY);
	delay_timer(a);
}

void
attempts_reload(struct auth *a)
{
	turns_hasten(&a->turns, turn_after(a, auth_now()));
	delay_timer(a);
}

void
attempt_cancel(struct auth *a, struct session *s)
{
	struct attempt	*it;

	if (s->state != SESSION_DELAYED && s->state != SESSION_HASHING)
		return;
	it = s->u.attempt;
	if (it->waits == WAITS_TURN)
		turns_cancel(&a->turns, &it->turn);
	else if (it->waits == WAITS_EARLY)
		TAILQ_REMOVE(&a->early, it, entry);
	else
		bcrypt_cancel(a->bcrypt, it->job);
	if (it->waits != WAITS_HASH)
		delay_timer(a);
	attempt_free(s->worker, it);
	s->state = SESSION_NEW;
}

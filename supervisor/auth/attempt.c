#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "common/log.h"
#include "supervisor/auth/attempt.h"
#include "supervisor/auth/worker.h"

/* A copy of what a client offered, wiped after use. */
struct delayed {
	TAILQ_ENTRY(delayed)	 entry;
	struct session		*session;
	double			 due;
	bool			 early;		/* on auth.early */
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
login_copy(struct delayed *d, const struct msg_login *m)
{
	char	*at = d->data;

	d->login = *m;
	d->login.address = copy(&at, m->address);
	d->login.user = copy(&at, m->user);
	d->login.pass = copy(&at, m->pass);
	d->login.token = copy(&at, m->token);
	d->login.nkey = copy(&at, m->nkey);
	d->login.sig = copy(&at, m->sig);
	d->login.certificate = copy(&at, m->certificate);
}

static size_t
login_size(const struct msg_login *m)
{
	return sizeof(struct delayed) + m->address.len + m->user.len + m->pass.len + m->token.len +
	    m->nkey.len + m->sig.len + m->certificate.len;
}

static struct delayed_list *
delayed_list(struct auth *a, bool early)
{
	return early ? &a->early : &a->delayed;
}

static void
delay_timer(struct auth *a)
{
	const struct delayed	*d = TAILQ_FIRST(&a->delayed), *early = TAILQ_FIRST(&a->early);

	if (d == NULL || (early != NULL && early->due < d->due))
		d = early;
	auth_timer(a, &a->delay, d == NULL ? 0 : d->due);
}

static void
delayed_free(struct auth *a, struct delayed *d)
{
	TAILQ_REMOVE(delayed_list(a, d->early), d, entry);
	d->session->worker->waiting -= d->size;
	explicit_bzero(d, d->size);
	free(d);
}

/* False: there is no room. A reload may have made the delay shorter: order is that of arrival. */
static bool
attempt_delay(struct auth *a, struct session *s, const struct msg_login *m, bool early)
{
	const size_t	 size = login_size(m);
	struct delayed	*d;

	if (s->worker->waiting + size > WORKER_WAITING || (d = malloc(size)) == NULL)
		return false;
	d->session = s;
	d->due = auth_now() + (early ? EARLY_PATIENCE : a->child.settings.auth_failure_delay);
	d->early = early;
	d->size = size;
	login_copy(d, m);
	s->worker->waiting += size;
	s->state = SESSION_DELAYED;
	s->u.delayed = d;
	TAILQ_INSERT_TAIL(delayed_list(a, early), d, entry);
	if (TAILQ_FIRST(delayed_list(a, early)) == d)
		delay_timer(a);
	a->throttled += !early;
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
		    "auth_failures: %llu logins from one address failed in %gs, further ones are delayed by %gs (%llu were so far)",
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
	s->state = SESSION_NEW;
	if (right)
		session_admit(a, s, s->how, s->user, claims);
	else
		attempt_failed(a, s, claims);
	worker_flush(w);
}

/* s is in a state, or gone, after this. */
static void
attempt_decide(struct auth *a, struct session *s, const struct msg_login *m)
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
		s->user = v.user;
		s->u.job = bcrypt_submit(a->bcrypt, s->source, user_secret(v.user), v.password, s);
		if (s->u.job != NULL)
			s->state = SESSION_HASHING;
		else {
			log_limited(LOG_WARN, "logins that cannot wait",
			    "too many logins wait for their password to be checked: one was refused");
			session_refuse(a, s, AUTH_VIOLATION, claims);
		}
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

/* s is in a state, or gone, after this. */
static void
attempt_look(struct auth *a, struct session *s, const struct msg_login *m, bool early, bool delays)
{
	char	claims[LOGIN_TEXT];

	s->u.peer.uid = (uint32_t)m->peer_uid;
	s->u.peer.gid = (uint32_t)m->peer_gid;
	if (!early && !delays)
		attempt_decide(a, s, m);
	else if (!attempt_delay(a, s, m, early)) {
		login_claimed(m, claims);
		session_refuse(a, s, AUTH_VIOLATION, claims);
	}
}

static void
attempt_start(struct auth *a, struct session *s, const struct msg_login *m)
{
	s->source = source_of(m->address);
	s->type = (uint8_t)m->connection_type;
	attempt_look(a, s, m, !workers_told(a), throttle_delays(&a->throttle, s->source, auth_now()));
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
delayed_decide(struct auth *a, struct delayed *d)
{
	struct session	*s = d->session;
	struct worker	*w = s->worker;

	s->state = SESSION_NEW;
	attempt_look(a, s, &d->login, false, d->early && throttle_delays(&a->throttle, s->source, auth_now()));
	w->waiting -= d->size;
	TAILQ_REMOVE(delayed_list(a, d->early), d, entry);
	explicit_bzero(d, d->size);
	free(d);
	worker_flush(w);
}

static void
delayed_resume(struct auth *a, struct delayed_list *all, double until)
{
	struct delayed	*d;

	while ((d = TAILQ_FIRST(all)) != NULL && d->due <= until)
		delayed_decide(a, d);
}

void
attempts_resume(struct auth *a)
{
	delayed_resume(a, &a->early, auth_now());
	delayed_resume(a, &a->delayed, auth_now());
	delay_timer(a);
}

void
attempts_resume_early(struct auth *a)
{
	if (!workers_told(a))
		return;
	delayed_resume(a, &a->early, INFINITY);
	delay_timer(a);
}

void
attempt_cancel(struct auth *a, struct session *s)
{
	if (s->state == SESSION_DELAYED) {
		delayed_free(a, s->u.delayed);
		delay_timer(a);
	} else if (s->state == SESSION_HASHING)
		bcrypt_cancel(a->bcrypt, s->u.job);
	s->state = SESSION_NEW;
}

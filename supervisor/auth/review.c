/* Who is in, looked at again: after a reload, or by a new process of ours. */
#include <errno.h>
#include <openssl/crypto.h>
#include "supervisor/auth/attempt.h"
#include "supervisor/auth/grant.h"
#include "supervisor/auth/worker.h"

/* Who says nothing is, as things are now. False: nobody. */
static bool
nobody_becomes(const struct auth *a, enum login_how *how, const struct user **user)
{
	*user = users_anonymous(a->users);
	*how = LOGIN_ANONYMOUS;
	if (*user == NULL && users_ask_nobody(a->users))
		*how = LOGIN_UNASKED;
	return *user != NULL || *how == LOGIN_UNASKED;
}

/* The user who is let in so today under this name. NULL: nobody. */
static const struct user *
user_today(const struct auth *a, enum login_how how, struct bytes name)
{
	const struct user	*user;

	switch (how) {
	case LOGIN_NKEY:
		return users_nkey(a->users, name);
	case LOGIN_TOKEN:
		return users_token(a->users);
	case LOGIN_PASSWORD:
		user = users_named(a->users, name);
		return user != NULL && user->kind == USER_PASSWORD ? user : NULL;
	case LOGIN_PEER:
		user = users_named(a->users, name);
		return user != NULL && user->peer ? user : NULL;
	default:
		return users_named(a->users, name);
	}
}

static bool
secret_same(const struct user *x, const struct user *y)
{
	const struct bytes	a = user_secret(x), b = user_secret(y);

	return x->kind == y->kind && a.len == b.len && CRYPTO_memcmp(a.data, b.data, a.len) == 0;
}

static bool
rights_same(const struct users *ux, const struct user *x, const struct users *uy, const struct user *y)
{
	const struct permission_set	*px = users_permissions(ux, x), *py = users_permissions(uy, y);
	uint32_t			 i;

	if ((px == NULL) != (py == NULL) || (px != NULL && !bytes_equal(px->records, py->records)))
		return false;
	if (x == NULL || y == NULL)
		return x == y;
	for (i = 0; i < LIMITS; i++)
		if (user_limit(x, i) != user_limit(y, i))
			return false;
	return x->expires == y->expires && x->number == y->number && bytes_equal(user_name(x), user_name(y));
}

/* Does the way in which s came still lead to `user`? */
static bool
credential_holds(const struct auth *a, const struct session *s, const struct user *user)
{
	switch (s->how) {
	case LOGIN_PASSWORD:
	case LOGIN_TOKEN:
	case LOGIN_NKEY:
		return secret_same(s->user, user);
	case LOGIN_PEER:
		return !s->peer_known || users_peer(a->users, s->u.peer.uid, s->u.peer.gid) == user;
	default:
		return true;
	}
}

/* Who is s today, and does it come in? */
static bool
session_today(const struct auth *a, const struct session *s, enum login_how *how, const struct user **user)
{
	*how = (enum login_how)s->how;
	if (*how == LOGIN_UNASKED || *how == LOGIN_ANONYMOUS) {
		if (!nobody_becomes(a, how, user))
			return false;
	} else {
		*user = user_today(a, *how, user_name(s->user));
		if (*user == NULL || !credential_holds(a, s, *user))
			return false;
	}
	return (*user == NULL ? ACCOUNT_UNASKED : (*user)->account) == s->account &&
	    users_account(a->users, s->account) != NULL &&
	    (*user == NULL || user_comes_by(*user, s->type));
}

/* Counted anew: those in force before are not known any more. */
static void
session_take(struct auth *a, struct session *s, const struct user *user)
{
	expiry_remove(&a->expiry, s);
	s->user = user;
	if (session_count(a, s) != 0 || (user != NULL && user->expires != 0 &&
	    expiry_add(&a->expiry, s, user->expires) != 0))
		session_revoke(a, s, AUTH_REVOKED);
}

static void
session_review(struct auth *a, struct session *s, const struct users *before)
{
	const struct user	*user, *was = s->user;
	enum login_how		 how;

	if (!session_today(a, s, &how, &user)) {
		s->user = NULL;
		session_revoke(a, s, AUTH_REVOKED);
		return;
	}
	s->how = (uint8_t)how;
	if (!rights_same(before, was, a->users, user)) {
		s->grant = grant_make(&a->grants, how, a->users, user);
		worker_note(s, 0, TELL_ADMITTED);
	}
	session_take(a, s, user);
}

/* One whose password is being looked at. */
static void
hashing_review(struct auth *a, struct session *s)
{
	const struct user	*user;
	enum login_how		 how;

	s->account = s->user->account;
	if (session_today(a, s, &how, &user)) {
		s->user = user;
		return;
	}
	attempt_cancel(a, s);
	session_refuse(a, s, AUTH_VIOLATION, "");
}

static void
worker_review(struct auth *a, struct worker *w, const struct users *before)
{
	struct session	*s;

	LIST_FOREACH(s, &w->sessions, entry)
		if (s->state == SESSION_IN)
			session_review(a, s, before);
		else if (s->state == SESSION_HASHING)
			hashing_review(a, s);
		else if (s->state == SESSION_REVOKED)
			s->user = NULL;
}

void
sessions_review(struct auth *a, const struct users *before)
{
	struct session	*s;
	unsigned	 i;

	counts_clear(&a->counts);
	for (i = 0; i < WORKERS; i++) {
		if (a->workers[i] == NULL)
			continue;
		LIST_FOREACH(s, &a->workers[i]->sessions, entry)
			s->counted = false;
		worker_review(a, a->workers[i], before);
	}
	for (i = 0; i < WORKERS; i++)
		if (a->workers[i] != NULL)
			worker_flush(a->workers[i]);
	sessions_expire(a);
}

/* -- who was in before us */

/* As session_today(), from what the worker knows. */
static bool
holder_today(const struct auth *a, const struct msg_holds *m, enum login_how *how, const struct user **user)
{
	*how = grant_how(m->grant);
	*user = NULL;
	if (*how == LOGIN_HOWS)
		return false;
	if (*how == LOGIN_UNASKED || *how == LOGIN_ANONYMOUS) {
		if (!nobody_becomes(a, how, user))
			return false;
	} else {
		*user = user_today(a, *how, m->user);
		if (*user == NULL || ((*how == LOGIN_PASSWORD || *how == LOGIN_TOKEN) &&
		    !grant_of_credential(m->grant, *user)))
			return false;
	}
	return (*user == NULL ? ACCOUNT_UNASKED : (*user)->account) == m->account &&
	    users_account(a->users, (uint32_t)m->account) != NULL;
}

int
session_hold(struct auth *a, struct worker *w, const struct msg_holds *m)
{
	const struct user	*user;
	struct session		*s;
	enum login_how		 how;

	if (session_find(a, w, m->cid) != NULL)
		return -EPROTO;
	if (w->count >= WORKER_SESSIONS)
		return -EMFILE;
	if ((s = session_new(a, w, m->cid)) == NULL)
		return -ENOMEM;
	s->source = source_of(m->address);
	s->account = (uint32_t)m->account;
	s->grant = m->grant;
	s->state = SESSION_IN;
	s->told = true;
	if (!holder_today(a, m, &how, &user)) {
		session_revoke(a, s, AUTH_REVOKED);
		return 0;
	}
	s->how = (uint8_t)how;
	if (!grant_of_rights(m->grant, a->users, user) || !bytes_equal(m->user, login_text(how, user))) {
		s->grant = grant_make(&a->grants, how, a->users, user);
		worker_note(s, 0, TELL_ADMITTED);
	}
	session_take(a, s, user);
	return 0;
}

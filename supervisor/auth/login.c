#include <openssl/crypto.h>
#include <openssl/sha.h>
#include "common/records.h"
#include "supervisor/auth/login.h"
#include "supervisor/auth/nonces.h"

#define REDACTED	BYTES("[REDACTED]")

/* In a time that does not depend on where they differ, nor on how long the secret one is. */
static bool
secret_equal(struct bytes offered, struct bytes secret)
{
	unsigned char	a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];
	bool		equal;

	SHA256((const unsigned char *)offered.data, offered.len, a);
	SHA256((const unsigned char *)secret.data, secret.len, b);
	equal = CRYPTO_memcmp(a, b, sizeof(a)) == 0;
	explicit_bzero(a, sizeof(a));
	explicit_bzero(b, sizeof(b));
	return equal;
}

/* A hash knows no NUL in a password, so one with a NUL is no right one. */
static void
secret_decide(struct verdict *v, const struct user *user, struct bytes offered)
{
	v->user = user;
	v->password = offered;
	if (!user->hashed)
		v->is = secret_equal(offered, user_secret(user)) ? VERDICT_ADMITTED : VERDICT_REFUSED;
	else
		v->is = memchr(offered.data, '\0', offered.len) == NULL ? VERDICT_HASH : VERDICT_REFUSED;
}

static void
nkey_decide(const struct users *u, const struct msg_login *m, struct bytes nonce, struct verdict *v)
{
	const struct user	*user = users_nkey(u, m->nkey);

	v->how = LOGIN_NKEY;
	v->user = user;
	if (user != NULL && user_comes_by(user, m->connection_type) && nonce.len > 0 &&
	    nonce_is_signed(user_secret(user), m->sig, nonce))
		v->is = VERDICT_ADMITTED;
}

struct certificate { const struct users *users; uint64_t type; const struct user *user; };

/* One name of a certificate; 1 ends the search. */
static int
certificate_try(void *arg, const struct msg *record)
{
	const struct msg_certificate_name	*m = &record->u.certificate_name;
	struct certificate			*c = arg;
	const struct user			*user = NULL;

	if (record->type != MSG_certificate_name)
		return 0;
	if (m->kind == CERTIFICATE_SUBJECT)
		user = users_distinguished(c->users, m->name, c->type);
	if (user == NULL)
		user = users_named(c->users, m->name);
	if (user == NULL || !user_comes_by(user, c->type))
		return 0;
	c->user = user;
	return 1;
}

/* Whom it names has to say its password too, if it has one, and none otherwise; as the real server has it. */
static void
certificate_decide(const struct users *u, const struct msg_login *m, struct verdict *v)
{
	struct certificate	 c = { u, m->connection_type, NULL };
	const char		*why;

	v->how = LOGIN_CERTIFICATE;
	if (records_each(m->certificate, ROLE_WORKER, ROLE_AUTH, certificate_try, &c, &why) != 1)
		return;
	secret_decide(v, c.user, m->pass);
}

/*
 * Nothing was offered: whoever is known from the socket, or who says nothing. One who has not even
 * said CONNECT is no nkey's user, as the real server has it.
 */
static void
nothing_decide(const struct users *u, const struct msg_login *m, struct verdict *v)
{
	const struct user	*user = users_peer(u, m->peer_uid, m->peer_gid);

	v->how = LOGIN_PEER;
	if (user == NULL) {
		v->how = LOGIN_ANONYMOUS;
		user = users_anonymous(u);
		if (user != NULL && user->kind == USER_NKEY && m->implicit != 0)
			user = NULL;
	}
	v->user = user;
	if (user != NULL && user_comes_by(user, m->connection_type))
		v->is = VERDICT_ADMITTED;
}

static void
name_decide(const struct users *u, const struct msg_login *m, struct verdict *v)
{
	const struct user	*user = users_named(u, m->user);

	v->how = LOGIN_PASSWORD;
	if (user != NULL && user->kind == USER_PASSWORD && user_comes_by(user, m->connection_type))
		secret_decide(v, user, m->pass);
}

static void
token_decide(const struct users *u, const struct msg_login *m, struct verdict *v)
{
	const struct user	*user = users_token(u);

	v->how = LOGIN_TOKEN;
	if (user != NULL && user_comes_by(user, m->connection_type))
		secret_decide(v, user, m->token);
}

void
login_decide(const struct users *u, const struct msg_login *m, struct bytes nonce, bool maps,
    struct verdict *v)
{
	const bool	nkey = m->nkey.len > 0 && users_have_nkeys(u);
	const bool	nothing = m->user.len == 0 && m->pass.len == 0 && m->token.len == 0 && !nkey;

	*v = (struct verdict){ .is = VERDICT_REFUSED };
	if (users_ask_nobody(u))
		*v = (struct verdict){ .is = VERDICT_ADMITTED, .how = LOGIN_UNASKED };
	else if (nkey)
		nkey_decide(u, m, nonce, v);
	else if (maps && m->peer_uid == NO_PEER && users_have_names(u))
		certificate_decide(u, m, v);
	else if (nothing)
		nothing_decide(u, m, v);
	else if (m->user.len > 0 && users_have_names(u))
		name_decide(u, m, v);
	else
		token_decide(u, m, v);
}

void
login_claimed(const struct msg_login *m, char out[LOGIN_TEXT])
{
	struct bytes	claim = m->nkey.len > 0 ? m->nkey : m->user.len > 0 ? m->user :
			    m->token.len > 0 ? REDACTED : BYTES("");
	size_t		len = strnlen(claim.data, claim.len < LOGIN_TEXT ? claim.len : LOGIN_TEXT - 1);

	memcpy(out, claim.data, len);
	out[len] = '\0';
}

struct bytes
login_text(enum login_how how, const struct user *user)
{
	if (user == NULL)
		return BYTES("");
	return how == LOGIN_TOKEN ? REDACTED : user_name(user);
}

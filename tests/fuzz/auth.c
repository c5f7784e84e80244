/*
 * Accounts documents and what clients offer, as auth reads them. The first
 * byte says which: the rest is a document's records, or a login for users that
 * are there, its fields cut at the bytes' own lengths. A document is read or refused,
 * and of what was offered none but the right secret lets in.
 */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/memfd.h"
#include "common/records.h"
#include "supervisor/auth/distinguished.h"
#include "supervisor/auth/login.h"
#include "supervisor/auth/nonces.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char	password[] = "a secret that no input has by accident";
static struct users	*users;

static void
demand(bool so)
{
	if (!so)
		abort();
}

static void
user_add(msgpack_sbuffer *b, enum user_kind kind, const char *name, const char *secret)
{
	static const uint64_t	limits[LIMITS];
	const struct msg	m = { .type = MSG_user, .u.user = { .account = 1, .kind = kind,
				    .name = bytes_of(name), .secret = bytes_of(secret),
				    .limits = { .own = limits, .count = LIMITS }, .peer_uid = NO_PEER, .peer_gid = NO_PEER } };

	demand(records_add(b, &m) == 0);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint64_t	limits[LIMITS];
	const struct msg	account = { .type = MSG_account, .u.account = { .number = 1, .name = BYTES("$G"),
				    .limits = { .own = limits, .count = LIMITS } } };
	msgpack_sbuffer		b;
	const char		*why;
	int			 fd;

	map_seed();
	msgpack_sbuffer_init(&b);
	demand(records_add(&b, &account) == 0);
	user_add(&b, USER_PASSWORD, "a", password);
	user_add(&b, USER_PASSWORD, "CN=x+OU=y,O=z", password);
	user_add(&b, USER_NKEY, "UKEY", "01234567890123456789012345678901");
	user_add(&b, USER_TOKEN, "", password);
	fd = records_seal(&b);
	demand(fd >= 0 && users_load(&users, fd, &why) == 0);
	close(fd);
	msgpack_sbuffer_destroy(&b);
	return 0;
}

static void
document_try(struct bytes text)
{
	char		*whole = malloc(text.len + 1);
	struct users	*u;
	const char	*why;
	int		 fd;

	demand(whole != NULL);
	memcpy(whole, text.data, text.len);
	whole[text.len] = '\xc0';	/* the end of a document: common/records.c */
	fd = memfd_sealed("fuzz", (struct bytes){ whole, text.len + 1 });
	free(whole);
	demand(fd >= 0);
	if (users_load(&u, fd, &why) == 0) {
		(void)users_named(u, BYTES("a"));
		(void)users_distinguished(u, BYTES("CN=a"), 0);
		users_free(u);
	}
	close(fd);
}

/* The next field: a byte that is its length, then its bytes. */
static struct bytes
field(struct bytes *from)
{
	size_t		n = from->len == 0 ? 0 : (uint8_t)from->data[0];
	struct bytes	f;

	if (from->len == 0)
		return BYTES("");
	*from = (struct bytes){ from->data + 1, from->len - 1 };
	n = n < from->len ? n : from->len;
	f = (struct bytes){ from->data, n };
	*from = (struct bytes){ from->data + n, from->len - n };
	return f;
}

static void
login_try(struct bytes b)
{
	struct msg_login	m = { .cid = 1, .peer_uid = NO_PEER, .peer_gid = NO_PEER };
	struct verdict		v;
	struct bytes		nonce, a, c;
	char			claimed[LOGIN_TEXT];

	m.user = field(&b);
	m.pass = field(&b);
	m.token = field(&b);
	m.nkey = field(&b);
	m.sig = field(&b);
	nonce = field(&b);
	a = field(&b);
	c = field(&b);
	m.certificate = b;
	login_claimed(&m, claimed);
	login_decide(users, &m, nonce, b.len % 2 != 0, &v);
	demand(v.is != VERDICT_ADMITTED || v.how == LOGIN_CERTIFICATE ||
	    bytes_equal(v.how == LOGIN_TOKEN ? m.token : m.pass, bytes_of(password)));
	demand(distinguished_compare(a, c) == distinguished_compare(c, a));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bytes	rest = { (const char *)data + 1, size - 1 };

	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		document_try(rest);
	else
		login_try(rest);
	return 0;
}

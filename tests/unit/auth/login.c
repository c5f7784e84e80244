/* Who is let in as whom, and why not: the table of the real server's decisions, ours beside it. */
#include <openssl/evp.h>
#include "supervisor/auth/grant.h"
#include "supervisor/auth/nonces.h"
#include "supervisor/auth/users.h"
#include "tests/unit/auth/document.h"

#define HASH	"$2a$04$ucVT7S2gsdWsrRkuHEpCoe0lmRZNPQIt/VS8g8xfl5D6PMpmQOhYS"
#define NKEY	"UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
#define NONCE	"abcdefghijklmno"

static struct users	*users;
static char		 signature[128], padded[128], other[128];
static uint8_t		 key[32];
static EVP_PKEY		*pair;

/* The base64url of OpenSSL's signature of text. */
static void
sign(const char *text, char out[128], bool standard)
{
	EVP_MD_CTX	*c = EVP_MD_CTX_new();
	unsigned char	 raw[64];
	size_t		 len = sizeof(raw);
	char		*at;

	ck_assert_int_eq(EVP_DigestSignInit(c, NULL, NULL, NULL, pair), 1);
	ck_assert_int_eq(EVP_DigestSign(c, raw, &len, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(c);
	EVP_EncodeBlock((unsigned char *)out, raw, (int)len);
	if (standard)
		return;
	out[strcspn(out, "=")] = '\0';
	for (at = out; *at != '\0'; at++)
		*at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
}

static void
users_add(struct document *d)
{
	struct msg	u = document_user(USER_NKEY, 1, NKEY, (struct bytes){ (const char *)key, 32 });

	document_add(d, u);
	document_password(d, 1, "a", "b");
	document_password(d, 1, "empty", "");
	document_password(d, 1, "h", HASH);
	document_password(d, 1, "CN=x,OU=y", "dn");
	document_password(d, 1, "x@example.com", "mail");
	u = document_user(USER_WITHOUT, 1, "peer", BYTES(""));
	u.u.user.peer_uid = 1000;
	document_add(d, u);
	u = document_user(USER_WITHOUT, 1, "group", BYTES(""));
	u.u.user.peer_gid = 50;
	document_add(d, u);
	u = document_user(USER_WITHOUT, 1, "both", BYTES(""));
	u.u.user.peer_uid = 7;
	u.u.user.peer_gid = 8;
	document_add(d, u);
	u = document_user(USER_PASSWORD, 1, "ws", BYTES("ws"));
	u.u.user.connection_types = 1 << CONNECTION_WEBSOCKET;
	document_add(d, u);
	document_add(d, document_user(USER_TOKEN, 1, "", BYTES("token")));
	u = document_user(USER_PASSWORD, 1, "nobody", BYTES("secret"));
	u.u.user.anonymous = 1;
	document_add(d, u);
}

static void
setup(void)
{
	struct document	 d;
	const char	*why;
	size_t		 len = sizeof(key);
	int		 fd;

	map_seed();
	ck_assert(nonces_prepare());
	pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	ck_assert_int_eq(EVP_PKEY_get_raw_public_key(pair, key, &len), 1);
	sign(NONCE, signature, false);
	sign(NONCE, padded, true);
	sign("another", other, false);
	document_begin(&d);
	users_add(&d);
	fd = document_end(&d);
	ck_assert_int_eq(users_load(&users, fd, &why), 0);
	close(fd);
}

static void
teardown(void)
{
	users_free(users);
	EVP_PKEY_free(pair);
}

#define OUT	VERDICT_REFUSED
#define IN	VERDICT_ADMITTED
#define NONE	NO_PEER

static const struct {
	const char	*user, *pass, *token, *nkey, *sig;
	unsigned	 type;
	uint64_t	 uid, gid;
	int		 is;
	const char	*name, *claims;
} cases[] = {
	{ "a", "b", "", "", "", 0, NONE, NONE, IN, "a", "a" },
	{ "a", "c", "", "", "", 0, NONE, NONE, OUT, NULL, "a" },
	{ "a", "", "", "", "", 0, NONE, NONE, OUT, NULL, "a" },
	{ "A", "b", "", "", "", 0, NONE, NONE, OUT, NULL, "A" },
	{ "", "b", "", "", "", 0, NONE, NONE, OUT, NULL, "" },
	{ "empty", "", "", "", "", 0, NONE, NONE, IN, "empty", "empty" },
	{ "empty", "x", "", "", "", 0, NONE, NONE, OUT, NULL, "empty" },
	{ "h", "password", "", "", "", 0, NONE, NONE, VERDICT_HASH, "h", "h" },
	{ "h", HASH, "", "", "", 0, NONE, NONE, VERDICT_HASH, "h", "h" },
	{ "peer", "", "", "", "", 0, NONE, NONE, OUT, NULL, "peer" },	/* has no password */
	{ NKEY, "", "", "", "", 0, NONE, NONE, OUT, NULL, NKEY },	/* an nkey is no name */
	{ "ws", "ws", "", "", "", CONNECTION_STANDARD, NONE, NONE, OUT, NULL, "ws" },
	{ "ws", "ws", "", "", "", CONNECTION_WEBSOCKET, NONE, NONE, IN, "ws", "ws" },
	/* token */
	{ "", "", "token", "", "", 0, NONE, NONE, IN, "", "[REDACTED]" },
	{ "", "", "tokem", "", "", 0, NONE, NONE, OUT, NULL, "[REDACTED]" },
	{ "x", "", "token", "", "", 0, NONE, NONE, OUT, NULL, "x" },	/* a user goes before */
	{ "a", "b", "tokem", "", "", 0, NONE, NONE, IN, "a", "a" },
	/* nkey */
	{ "", "", "", NKEY, signature, 0, NONE, NONE, IN, NKEY, NKEY },
	{ "", "", "", NKEY, padded, 0, NONE, NONE, IN, NKEY, NKEY },
	{ "", "", "", NKEY, other, 0, NONE, NONE, OUT, NULL, NKEY },
	{ "", "", "", NKEY, "", 0, NONE, NONE, OUT, NULL, NKEY },
	{ "", "", "", NKEY, "$$$$", 0, NONE, NONE, OUT, NULL, NKEY },
	{ "a", "b", "", "UX", signature, 0, NONE, NONE, OUT, NULL, "UX" },	/* an unknown one decides too */
	/* nothing */
	{ "", "", "", "", "", 0, NONE, NONE, IN, "nobody", "" },
	{ "", "", "", "", "", 0, 1000, 1000, IN, "peer", "" },
	{ "", "", "", "", "", 0, 1001, 50, IN, "group", "" },
	{ "", "", "", "", "", 0, 7, 8, IN, "both", "" },
	{ "", "", "", "", "", 0, 7, 9, IN, "nobody", "" },
	{ "a", "x", "", "", "", 0, 1000, 1000, OUT, NULL, "a" },	/* who says something is judged by it */
};

static void
decide(const struct msg_login *m, struct verdict *v)
{
	login_decide(users, m, BYTES(NONCE), false, v);
}

static void
decide_mapped(const struct msg_login *m, struct verdict *v)
{
	login_decide(users, m, BYTES(NONCE), true, v);
}

START_TEST(who)
{
	struct msg_login	m = { .cid = 1, .address = BYTES("::1"), .connection_type = cases[_i].type,
				    .user = bytes_of(cases[_i].user), .pass = bytes_of(cases[_i].pass),
				    .token = bytes_of(cases[_i].token), .nkey = bytes_of(cases[_i].nkey),
				    .sig = bytes_of(cases[_i].sig), .certificate = BYTES(""),
				    .peer_uid = cases[_i].uid, .peer_gid = cases[_i].gid };
	struct verdict		v;
	char			claims[LOGIN_TEXT];

	decide(&m, &v);
	ck_assert_int_eq(v.is, cases[_i].is);
	if (v.is != OUT)
		ck_assert(bytes_equal(user_name(v.user), bytes_of(cases[_i].name)));
	login_claimed(&m, claims);
	ck_assert_str_eq(claims, cases[_i].claims);
}
END_TEST

/* The secret is a prefix of what is offered, and the other way round; a NUL hides nothing. */
START_TEST(secrets_are_whole)
{
	static const char	nul[] = "password\0more";
	struct msg_login	m = { .user = BYTES("a"), .pass = BYTES("bb"), .token = BYTES(""),
				    .nkey = BYTES(""), .sig = BYTES(""), .certificate = BYTES(""),
				    .peer_uid = NO_PEER, .peer_gid = NO_PEER };
	struct verdict		v;

	decide(&m, &v);
	ck_assert_int_eq(v.is, OUT);
	m.pass = (struct bytes){ "b\0", 2 };
	decide(&m, &v);
	ck_assert_int_eq(v.is, OUT);
	m.user = BYTES("h");
	m.pass = (struct bytes){ nul, sizeof(nul) - 1 };
	decide(&m, &v);
	ck_assert_int_eq(v.is, OUT);
}
END_TEST

static const struct { int kind; const char *name; const char *user, *pass; } certificates[] = {
	{ CERTIFICATE_EMAIL, "x@example.com", "x@example.com", "mail" },
	{ CERTIFICATE_DNS, "x.example.com", NULL, "" },
	{ CERTIFICATE_SUBJECT, "CN=x,OU=y", "CN=x,OU=y", "dn" },
	{ CERTIFICATE_SUBJECT, "OU=y,CN=x", "CN=x,OU=y", "dn" },
	{ CERTIFICATE_SUBJECT, "cn=x, ou=y", "CN=x,OU=y", "dn" },
	{ CERTIFICATE_SUBJECT, "CN=X,OU=y", NULL, "" },
	{ CERTIFICATE_SUBJECT, "CN=x,OU=y,OU=z", NULL, "" },
	{ CERTIFICATE_SUBJECT, "CN=x+OU=y", NULL, "" },
	{ CERTIFICATE_DNS, "ws", NULL, "" },		/* not by this connection */
	{ CERTIFICATE_URI, NKEY, NULL, "" },
};

/* A certificate's names decide who it is, whatever CONNECT says. */
START_TEST(a_certificate_decides)
{
	struct msg		 r = { .type = MSG_certificate_name, .u.certificate_name = {
				    .kind = (uint64_t)certificates[_i].kind, .name = bytes_of(certificates[_i].name) } };
	struct msg_login	 m = { .user = BYTES("a"), .pass = bytes_of(certificates[_i].pass), .token = BYTES(""),
				    .nkey = BYTES(""), .sig = BYTES(""), .peer_uid = NO_PEER, .peer_gid = NO_PEER };
	msgpack_sbuffer		 b;
	struct verdict		 v;

	msgpack_sbuffer_init(&b);
	ck_assert_int_eq(records_add(&b, &r), 0);
	m.certificate = (struct bytes){ b.data, b.size };
	decide_mapped(&m, &v);
	ck_assert_int_eq(v.is, certificates[_i].user == NULL ? OUT : IN);
	if (v.is == IN)
		ck_assert(bytes_equal(user_name(v.user), bytes_of(certificates[_i].user)));
	m.pass = BYTES("b");			/* its own password, as at all times */
	decide_mapped(&m, &v);
	ck_assert_int_eq(v.is, OUT);
	m.certificate = BYTES("\xc1");		/* no record at all */
	decide_mapped(&m, &v);
	ck_assert_int_eq(v.is, OUT);
	m.certificate = BYTES("");		/* none was shown, or it names nobody */
	decide_mapped(&m, &v);
	ck_assert_int_eq(v.is, OUT);
	msgpack_sbuffer_destroy(&b);
}
END_TEST

/* Where certificates name no users, names in them are nothing; an nkey or who is at a Unix socket has no need of one. */
START_TEST(who_needs_no_certificate)
{
	struct msg_login	m = { .user = BYTES("a"), .pass = BYTES("b"), .token = BYTES(""),
				    .nkey = BYTES(""), .sig = BYTES(""), .certificate = BYTES("\xc1"),
				    .peer_uid = NO_PEER, .peer_gid = NO_PEER };
	struct verdict		v;

	decide(&m, &v);
	ck_assert_int_eq(v.is, IN);
	ck_assert_int_eq(v.how, LOGIN_PASSWORD);
	m.certificate = BYTES("");
	m.peer_uid = m.peer_gid = 1000;
	decide_mapped(&m, &v);
	ck_assert_int_eq(v.is, IN);
	ck_assert_int_eq(v.how, LOGIN_PASSWORD);
	m.peer_uid = m.peer_gid = NO_PEER;
	m.nkey = BYTES(NKEY);
	m.sig = bytes_of(signature);
	decide_mapped(&m, &v);
	ck_assert_int_eq(v.is, IN);
	ck_assert_int_eq(v.how, LOGIN_NKEY);
}
END_TEST

/* What there are no users of is not looked at. */
START_TEST(what_there_is_not_is_not_looked_at)
{
	struct msg_login	 m = { .user = BYTES("x"), .pass = BYTES("y"), .token = BYTES("T"),
				    .nkey = BYTES("UX"), .sig = BYTES("z"), .certificate = BYTES(""),
				    .peer_uid = NO_PEER, .peer_gid = NO_PEER };
	struct document		 d;
	struct msg		 u;
	struct users		*few;
	struct verdict		 v;
	const char		*why;
	int			 fd;

	document_begin(&d);
	document_add(&d, document_user(USER_TOKEN, 1, "", BYTES("T")));
	u = document_user(USER_WITHOUT, 1, "", BYTES(""));
	u.u.user.anonymous = 1;
	document_add(&d, u);
	fd = document_end(&d);
	ck_assert_int_eq(users_load(&few, fd, &why), 0);
	close(fd);
	login_decide(few, &m, BYTES(NONCE), false, &v);
	ck_assert_int_eq(v.is, IN);
	ck_assert_int_eq(v.how, LOGIN_TOKEN);
	m.user = m.pass = m.token = BYTES("");
	login_decide(few, &m, BYTES(NONCE), false, &v);
	ck_assert_int_eq(v.is, IN);
	ck_assert_int_eq(v.how, LOGIN_ANONYMOUS);
	users_free(few);
}
END_TEST

/* An nkey's user may be who says nothing in CONNECT, but not who does not say CONNECT. */
START_TEST(implicit_is_no_nkey)
{
	struct msg_login	 m = { .user = BYTES(""), .pass = BYTES(""), .token = BYTES(""),
				    .nkey = BYTES(""), .sig = BYTES(""), .certificate = BYTES(""),
				    .peer_uid = NO_PEER, .peer_gid = NO_PEER };
	struct document		 d;
	struct msg		 u = document_user(USER_NKEY, 1, NKEY, (struct bytes){ (const char *)key, 32 });
	struct users		*few;
	struct verdict		 v;
	const char		*why;
	int			 fd;

	document_begin(&d);
	u.u.user.anonymous = 1;
	document_add(&d, u);
	fd = document_end(&d);
	ck_assert_int_eq(users_load(&few, fd, &why), 0);
	close(fd);
	login_decide(few, &m, BYTES(""), false, &v);
	ck_assert_int_eq(v.is, IN);
	m.implicit = 1;
	login_decide(few, &m, BYTES(""), false, &v);
	ck_assert_int_eq(v.is, OUT);
	users_free(few);
}
END_TEST

/* Each nonce once, only by the worker that has it, and not when it is too old. */
START_TEST(nonces_are_taken_once)
{
	struct nonces	one = { .made = 0 }, two = { .made = 0 };
	char		text[NONCE_ROOM], again[NONCE_ROOM];
	uint64_t	next = 1, i;
	struct bytes	raw;

	ck_assert_int_eq(nonces_make(&one, &next, &raw), 0);
	ck_assert_uint_eq(raw.len, NONCE_BATCH * NONCE_RAW);
	ck_assert_int_eq(nonces_make(&two, &next, &raw), 0);
	ck_assert(nonces_take(&one, 1, text));
	ck_assert(!nonces_take(&one, 1, again));
	ck_assert(!nonces_take(&one, NONCE_BATCH + 1, again));
	ck_assert(nonces_take(&two, NONCE_BATCH + 1, again));
	ck_assert(!nonces_take(&one, 0, again));
	ck_assert(!nonces_take(&one, UINT64_MAX, again));
	for (i = 0; i < NONCE_BATCHES - 1; i++)
		ck_assert_int_eq(nonces_make(&one, &next, &raw), 0);
	ck_assert(nonces_take(&one, 2, text));
	ck_assert_int_eq(nonces_make(&one, &next, &raw), 0);
	ck_assert(!nonces_take(&one, 3, text));
	nonces_free(&one);
	nonces_free(&two);
}
END_TEST

/* The text is base64url of the bytes: as OpenSSL has it. */
START_TEST(a_nonce_is_base64url)
{
	struct nonces	n = { .made = 0 };
	char		text[NONCE_ROOM];
	unsigned char	expected[32];
	uint64_t	next = 1, i;
	struct bytes	raw;
	unsigned	k;

	ck_assert_int_eq(nonces_make(&n, &next, &raw), 0);
	for (i = 0; i < NONCE_BATCH; i++) {
		ck_assert(nonces_take(&n, 1 + i, text));
		EVP_EncodeBlock(expected, (const unsigned char *)raw.data + i * NONCE_RAW, NONCE_RAW);
		for (k = 0; k < NONCE_TEXT; k++)
			ck_assert_int_eq(text[k], expected[k] == '+' ? '-' : expected[k] == '/' ? '_' : expected[k]);
	}
	nonces_free(&n);
}
END_TEST

/* A successor of this process sees another password and other rights, and needs no key for it. */
START_TEST(grants_say_what_was_decided)
{
	const struct user	*a = users_named(users, BYTES("a")), *h = users_named(users, BYTES("h"));
	uint64_t		 serial = 0, grant = grant_make(&serial, LOGIN_PASSWORD, users, a);

	ck_assert_int_eq(grant_how(grant), LOGIN_PASSWORD);
	ck_assert(grant_of_credential(grant, a) && grant_of_rights(grant, users, a));
	ck_assert(!grant_of_credential(grant, h));
	ck_assert_uint_ne(grant, grant_make(&serial, LOGIN_PASSWORD, users, a));
	ck_assert_int_eq(grant_how(15), LOGIN_HOWS);
	serial = 0xffffff;
	ck_assert_uint_ne(grant_make(&serial, LOGIN_UNASKED, users, NULL), 0);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("login");
	TCase	*t = tcase_create("login");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, who, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, secrets_are_whole);
	tcase_add_test(t, who_needs_no_certificate);
	tcase_add_loop_test(t, a_certificate_decides, 0, (int)(sizeof(certificates) / sizeof(certificates[0])));
	tcase_add_test(t, what_there_is_not_is_not_looked_at);
	tcase_add_test(t, implicit_is_no_nkey);
	tcase_add_test(t, nonces_are_taken_once);
	tcase_add_test(t, a_nonce_is_base64url);
	tcase_add_test(t, grants_say_what_was_decided);
	suite_add_tcase(s, t);
	return run(s);
}

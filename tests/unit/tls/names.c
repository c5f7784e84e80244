/*
 * What names of a certificate a user is looked for by, and what reports say of it: as the real server has them.
 */
#include "rig.h"

static const struct rig_make	authority_make = { .subject = "/O=Test/CN=ca", .authority = true };
static const struct rig_make	server_make = { .subject = "/CN=localhost" };
static struct rig		r;
static struct identity		authority, own;

static void
setup(void)
{
	rig_init(&r);
	authority = identity_make(EC_P256, &authority_make, NULL);
	own = identity_make(EC_P256, &server_make, &authority);
	document_context(&r, true, TLS1_2_VERSION);
	document_certificate(&r, &own);
	document_authority(&r, authority.certificate);
	document_use(&r);
}

static void
teardown(void)
{
	identity_free(&authority);
	identity_free(&own);
	rig_free(&r);
}

struct list { char text[4096]; size_t len; };

static int
name_list(void *arg, const struct msg *m)
{
	struct list		*l = arg;
	const struct bytes	 name = m->u.certificate_name.name;

	l->len += (size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len, "%c %.*s\n",
	    "EDUST"[m->u.certificate_name.kind], (int)name.len, name.data);
	return 0;
}

/* A connection that shows it: its names, one on a line, and what reports say. */
static void
show(const struct identity *i, struct list *l, struct tls_peer *facts)
{
	SSL_CTX		*c = client_make(i, TLS1_3_VERSION);
	struct pair	 p;
	msgpack_sbuffer	 b;
	const char	*why;

	msgpack_sbuffer_init(&b);
	*l = (struct list){ .len = 0 };
	pair_init(&p, &r, c);
	ck_assert(!tls_peer_facts(p.server, facts));
	ck_assert_msg(pair_shake(&p, &r) == 0, "%s", tls_error(p.server));
	ck_assert_int_eq(tls_names(p.server, &b), 0);
	ck_assert_int_eq(records_each((struct bytes){ b.data, b.size }, ROLE_WORKER, ROLE_AUTH, name_list, l, &why), 0);
	ck_assert(tls_peer_facts(p.server, facts));
	msgpack_sbuffer_destroy(&b);
	pair_free(&p);
	SSL_CTX_free(c);
}

static const struct { const char *subject, *names, *listed, *reported; } cases[] = {
	{ "/O=Test/CN=a", "email:x@y.z,DNS:one,DNS:two,URI:nats://u",
	    "E x@y.z\nD one\nD two\nU nats://u\nS CN=a,O=Test\nT CN=a,O=Test\n", "CN=a,O=Test" },
	{ "/CN=first/O=Test/C=DE/OU=b/OU=a", NULL,
	    "S OU=a,OU=b,C=DE,O=Test,CN=first\nT CN=first,OU=b+OU=a,O=Test,C=DE\n", "CN=first,OU=b+OU=a,O=Test,C=DE" },
	{ "/DC=com/DC=example/O=Test/CN=a", NULL,
	    "S CN=a,O=Test,DC=example,DC=com\nT CN=a,O=Test,DC=com,DC=example\nT CN=a,O=Test\n",
	    "CN=a,O=Test,0.9.2342.19200300.100.1.25=#13076578616d706c65,0.9.2342.19200300.100.1.25=#1303636f6d" },
	{ "/emailAddress=m@n.o/CN=a", NULL, "T CN=a\n", "CN=a,1.2.840.113549.1.9.1=#0c056d406e2e6f" },
	{ "/CN=a,b+c\"d;<>#", NULL, "S CN=a\\,b\\+c\\\"d\\;\\<\\>#\nT CN=a\\,b\\+c\\\"d\\;\\<\\>#\n", "CN=a\\,b\\+c\\\"d\\;\\<\\>#" },
	{ "/CN= #a ", NULL, "S CN=\\ #a\\ \nT CN=\\ #a\\ \n", "CN=\\ #a\\ " },
	{ "/CN=a\tb", "DNS:fine", "D fine\n", "" },
	{ "/CN=M\xc3\xbcller", NULL, "S CN=M\xc3\xbcller\nT CN=M\xc3\xbcller\n", "CN=M\xc3\xbcller" },
	{ "/O=Test/OU=b/+CN=a", NULL, "S OU=b+CN=a,O=Test\nT CN=a,OU=b,O=Test\n", "CN=a,OU=b,O=Test" },
	{ "", "DNS:only", "D only\n", "" },
};

START_TEST(names_are_those_of_the_real_server)
{
	const struct rig_make	 make = { .subject = cases[_i].subject, .names = cases[_i].names };
	struct identity		 i = identity_make(EC_P256, &make, &authority);
	struct tls_peer		 facts;
	struct list		 l;
	uint8_t			 digest[32];

	show(&i, &l, &facts);
	ck_assert_str_eq(l.text, cases[_i].listed);
	if (*cases[_i].reported != '\0')
		ck_assert_str_eq(facts.subject, cases[_i].reported);
	X509_digest(i.certificate, EVP_sha256(), digest, NULL);
	ck_assert_mem_eq(facts.certificate, digest, 32);
	identity_free(&i);
}
END_TEST

/* "good.example\0.evil" is not good.example. */
START_TEST(a_name_with_a_nul_is_nobodys)
{
	const struct rig_make	 make = { .subject = "/CN=a" };
	struct identity		 i = identity_make(EC_P256, &make, &authority);
	GENERAL_NAMES		*all = GENERAL_NAMES_new();
	static const char *const names[] = { "good\0evil", "fine" };
	static const int	 lengths[] = { 9, 4 };
	struct tls_peer		 facts;
	struct list		 l;
	int			 k;

	for (k = 0; k < 2; k++) {
		GENERAL_NAME	*g = GENERAL_NAME_new();
		ASN1_IA5STRING	*s = ASN1_IA5STRING_new();

		ASN1_STRING_set(s, names[k], lengths[k]);
		GENERAL_NAME_set0_value(g, GEN_DNS, s);
		sk_GENERAL_NAME_push(all, g);
	}
	ck_assert_int_eq(X509_add1_ext_i2d(i.certificate, NID_subject_alt_name, all, 0, 0), 1);
	GENERAL_NAMES_free(all);
	ck_assert_int_gt(X509_sign(i.certificate, authority.key, EVP_sha256()), 0);
	show(&i, &l, &facts);
	ck_assert_str_eq(l.text, "D fine\nS CN=a\nT CN=a\n");
	identity_free(&i);
}
END_TEST

START_TEST(too_many_names_are_an_error)
{
	const struct rig_make	 make = { .subject = "/CN=a" };
	struct identity		 i = identity_make(EC_P256, &make, &authority);
	GENERAL_NAMES		*all = GENERAL_NAMES_new();
	char			 name[64];
	SSL_CTX			*c;
	struct pair		 p;
	msgpack_sbuffer		 b;
	int			 k;

	for (k = 0; k < 1000; k++) {
		GENERAL_NAME	*g = GENERAL_NAME_new();
		ASN1_IA5STRING	*s = ASN1_IA5STRING_new();

		snprintf(name, sizeof(name), "name-number-%04d.example", k);
		ASN1_STRING_set(s, name, -1);
		GENERAL_NAME_set0_value(g, GEN_DNS, s);
		sk_GENERAL_NAME_push(all, g);
	}
	ck_assert_int_eq(X509_add1_ext_i2d(i.certificate, NID_subject_alt_name, all, 0, 0), 1);
	GENERAL_NAMES_free(all);
	ck_assert_int_gt(X509_sign(i.certificate, authority.key, EVP_sha256()), 0);
	c = client_make(&i, TLS1_3_VERSION);
	pair_init(&p, &r, c);
	ck_assert_int_eq(pair_shake(&p, &r), 0);
	msgpack_sbuffer_init(&b);
	ck_assert_int_eq(tls_names(p.server, &b), -EMSGSIZE);
	ck_assert_uint_eq(b.size, 0);
	msgpack_sbuffer_destroy(&b);
	pair_free(&p);
	SSL_CTX_free(c);
	identity_free(&i);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("tls/names");
	TCase	*t = tcase_create("names");
	SRunner	*sr = srunner_create(s);
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, names_are_those_of_the_real_server, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, a_name_with_a_nul_is_nobodys);
	tcase_add_test(t, too_many_names_are_an_error);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

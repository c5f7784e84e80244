#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include "nats/connect.h"

#define V "{\"verbose\":false"

/* What the real server (2.15.2) takes and refuses; verbose and protocol as they are then. */
static const struct {
	const char *json;
	int rc;
	bool verbose;
	int protocol;
} cases[] = {
	{ "{}", 0, true, 0 },
	{ " { } \t", 0, true, 0 },
	{ "null", 0, true, 0 },
	{ "{\"verbose\":false}", 0, false, 0 },
	{ "{\"VerBose\":false}", 0, false, 0 },
	{ "{\"verbose\":null}", 0, true, 0 },
	{ "{\"verbose\":false,\"verbose\":true}", 0, true, 0 },
	{ "{\"verbose\":true,\"VERBOSE\":false}", 0, false, 0 },
	{ "{\"VERBOSE\":false,\"verbose\":true}", 0, true, 0 },
	{ V ",\"protocol\":1}", 0, false, 1 },
	{ V ",\"protocol\":-0}", 0, false, 0 },
	{ V ",\"protocol\":2}", 0, false, 2 },
	{ V ",\"protocol\":-1}", 0, false, -1 },
	{ V ",\"protocol\":null}", 0, false, 0 },
	{ V ",\"protocol\":4294967297}", 0, false, INT_MAX },
	{ V ",\"protocol\":-4294967295}", 0, false, INT_MIN },
	{ V ",\"x\":99999999999999999999}", 0, false, 0 },
	{ V ",\"protocol\":1,\"x\":99999999999999999999}", 0, false, 1 },
	{ V ",\"x\":{\"verbose\":[1,{\"echo\":3}]},\"\":1}", 0, false, 0 },
	{ V ",\"a\\u0000\":1}", 0, false, 0 },
	{ V ",\"account\":\"\",\"new_account\":false}", 0, false, 0 },
	{ V ",\"import\":{\"allow\":[\"a\"],\"deny\":null,\"x\":1},\"export\":null}", 0, false, 0 },

	{ "", -EBADMSG, true, 0 },
	{ "x", -EBADMSG, true, 0 },
	{ "{", -EBADMSG, true, 0 },
	{ "[]", -EBADMSG, true, 0 },
	{ "1", -EBADMSG, true, 0 },
	{ "\"\"", -EBADMSG, true, 0 },
	{ "true", -EBADMSG, true, 0 },
	{ "{}x", -EBADMSG, true, 0 },
	{ "{}{}", -EBADMSG, true, 0 },
	{ V "}\xff", -EBADMSG, true, 0 },
	{ "\xff" V "}", -EBADMSG, true, 0 },
	{ "\xef\xbb\xbf" V "}", -EBADMSG, true, 0 },
	{ "\x0b" V "}", -EBADMSG, true, 0 },
	{ V ",}", -EBADMSG, true, 0 },
	{ "{'verbose':false}", -EBADMSG, true, 0 },
	{ "{verbose:false}", -EBADMSG, true, 0 },
	{ "{\"verbose\":False}", -EBADMSG, true, 0 },
	{ "{\"verbose\":0}", -EBADMSG, true, 0 },
	{ "{\"verbose\":\"false\"}", -EBADMSG, true, 0 },
	{ V ",\"echo\":1}", -EBADMSG, true, 0 },
	{ V ",\"headers\":[]}", -EBADMSG, true, 0 },
	{ V ",\"protocol\":1.0}", -EBADMSG, true, 0 },
	{ V ",\"protocol\":1e0}", -EBADMSG, true, 0 },
	{ V ",\"protocol\":\"1\"}", -EBADMSG, true, 0 },
	{ V ",\"name\":1}", -EBADMSG, true, 0 },
	{ V ",\"jwt\":{}}", -EBADMSG, true, 0 },
	{ V ",\"user\":\"a\",\"pass\":1}", -EBADMSG, true, 0 },
	{ V ",\"account\":1}", -EBADMSG, true, 0 },
	{ V ",\"new_account\":\"x\"}", -EBADMSG, true, 0 },
	{ V ",\"remote_account\":1}", -EBADMSG, true, 0 },
	{ V ",\"proxy_sig\":1}", -EBADMSG, true, 0 },
	{ V ",\"import\":1}", -EBADMSG, true, 0 },
	{ V ",\"import\":{\"allow\":\"a\"}}", -EBADMSG, true, 0 },
	{ V ",\"import\":{\"allow\":[1]}}", -EBADMSG, true, 0 },
	{ V ",\"export\":[]}", -EBADMSG, true, 0 },
	{ V ",\"name\":\"a\tb\"}", -EBADMSG, true, 0 },
	{ V ",\"name\":\"\\x\"}", -EBADMSG, true, 0 },
	{ V ",\"name\":\"\\u12\"}", -EBADMSG, true, 0 },
	{ V ",\"name\":\"\\", -EBADMSG, true, 0 },
	{ V ",\"name\":\"\\u", -EBADMSG, true, 0 },
};

/* From memory of just that size, so that the sanitizer sees a byte too many. */
static int
parse(struct nats_connect *c, const char *json, size_t len)
{
	char *copy = malloc(len + (len == 0));
	int rc;

	memcpy(copy, json, len);
	rc = nats_connect_parse(c, (struct bytes){ copy, len });
	free(copy);
	return rc;
}

START_TEST(json_is_judged_as_the_real_server_does)
{
	struct nats_connect c;

	nats_connect_defaults(&c);
	ck_assert_msg(parse(&c, cases[_i].json, strlen(cases[_i].json)) == cases[_i].rc,
	    "%s", cases[_i].json);
	ck_assert_msg(c.verbose == cases[_i].verbose, "%s", cases[_i].json);
	ck_assert_int_eq(c.protocol, cases[_i].protocol);
	ck_assert(c.pedantic && c.echo);
	ck_assert(!c.account_given);
	ck_assert_ptr_null(c.user);
	nats_connect_free(&c);
}
END_TEST

/* Cut short anywhere, nothing is taken. */
START_TEST(json_is_split_at_every_byte)
{
	static const char json[] = V ",\"name\":\"\\u00e9\\ud83d\\ude00\\\\u0000\",\"x\":[1.5e3,null]}";
	struct nats_connect c;
	size_t len;

	nats_connect_defaults(&c);
	for (len = 0; len < sizeof(json) - 1; len++)
		ck_assert_int_eq(parse(&c, json, len), -EBADMSG);
	ck_assert(c.verbose);
	ck_assert_int_eq(parse(&c, json, len), 0);
	ck_assert_str_eq(c.name, "\xc3\xa9\xf0\x9f\x98\x80\\u0000");
	nats_connect_free(&c);
}
END_TEST

START_TEST(everything_is_read)
{
	static const char json[] = "{\"verbose\":false,\"pedantic\":false,\"echo\":false,"
	    "\"headers\":true,\"no_responders\":true,\"tls_required\":true,\"protocol\":1,"
	    "\"name\":\"n\",\"lang\":\"C\",\"version\":\"3.8\",\"user\":\"u\",\"pass\":\"p\","
	    "\"auth_token\":\"t\",\"nkey\":\"U\",\"sig\":\"s\",\"jwt\":\"j\"}";
	struct nats_connect c;

	nats_connect_defaults(&c);
	ck_assert_int_eq(parse(&c, json, sizeof(json) - 1), 0);
	ck_assert(!c.verbose && !c.pedantic && !c.echo);
	ck_assert(c.headers && c.no_responders && c.tls_required);
	ck_assert_int_eq(c.protocol, 1);
	ck_assert_str_eq(c.name, "n");
	ck_assert_str_eq(c.lang, "C");
	ck_assert_str_eq(c.version, "3.8");
	ck_assert_str_eq(c.user, "u");
	ck_assert_str_eq(c.pass, "p");
	ck_assert_str_eq(c.auth_token, "t");
	ck_assert_str_eq(c.nkey, "U");
	ck_assert_str_eq(c.sig, "s");
	ck_assert_str_eq(c.jwt, "j");
	nats_connect_free(&c);
	ck_assert_ptr_null(c.pass);
}
END_TEST

static const struct { const char *json; bool given; } accounts[] = {
	{ "{\"account\":\"x\"}", true }, { "{\"account\":\"\"}", false },
	{ "{\"account\":null}", false }, { "{\"new_account\":true}", true },
	{ "{\"account\":\"x\",\"new_account\":false}", true },
	{ "{\"new_account\":true,\"account\":\"\"}", true },
};

START_TEST(account_is_noticed)
{
	struct nats_connect c;

	nats_connect_defaults(&c);
	ck_assert_int_eq(parse(&c, accounts[_i].json, strlen(accounts[_i].json)), 0);
	ck_assert_int_eq(c.account_given, accounts[_i].given);
	nats_connect_free(&c);
}
END_TEST

/* Bytes and escapes that no text can hold become U+FFFD; a name is never cut short. */
#define FFFD "\xef\xbf\xbd"
static const struct { struct bytes json; const char *name; } texts[] = {
	{ BYTES("{\"name\":\"\xff\xfe\"}"), FFFD FFFD },
	{ BYTES("{\"name\":\"a\xed\xa0\x80z\"}"), "a" FFFD FFFD FFFD "z" },
	{ BYTES("{\"name\":\"\xc3\"}"), FFFD },
	{ BYTES("{\"na\xffme\":\"x\",\"name\":\"y\"}"), "y" },
	{ BYTES("{\"name\":\"admin\\u0000x\"}"), "admin" FFFD "x" },
	{ BYTES("{\"name\":\"\\ud800\"}"), FFFD },
	{ BYTES("{\"name\":\"\\udc00\\ud800x\"}"), FFFD FFFD "x" },
	{ BYTES("{\"name\":\"\\ud800\\ud83d\\ude00\"}"), FFFD "\xf0\x9f\x98\x80" },
	{ BYTES("{\"name\":\"\\uD83D\\uDE00\\u00E9\"}"), "\xf0\x9f\x98\x80\xc3\xa9" },
	{ BYTES("{\"name\":\"\\\\u0000\"}"), "\\u0000" },
	{ BYTES("{\"name\":\"\\\\\\u0000\"}"), "\\" FFFD },
	{ BYTES("{\"name\":\"\"}"), "" },
};

START_TEST(text_is_repaired)
{
	struct nats_connect c;

	nats_connect_defaults(&c);
	ck_assert_int_eq(parse(&c, texts[_i].json.data, texts[_i].json.len), 0);
	ck_assert_str_eq(c.name, texts[_i].name);
	nats_connect_free(&c);
}
END_TEST

START_TEST(nul_bytes_are_refused)
{
	struct nats_connect c;

	nats_connect_defaults(&c);
	ck_assert_int_eq(parse(&c, "{}\0", 3), -EBADMSG);
	ck_assert_int_eq(parse(&c, "{\"x\":\"\0\"}", 9), -EBADMSG);
	nats_connect_free(&c);
}
END_TEST

/* A second CONNECT changes what it names; one that is refused changes nothing. */
START_TEST(second_connect_adds)
{
	struct nats_connect c;
	char *name;

	nats_connect_defaults(&c);
	ck_assert_int_eq(nats_connect_parse(&c,
	    BYTES("{\"verbose\":false,\"name\":\"a\",\"user\":\"u\"}")), 0);
	name = c.name;
	ck_assert_int_eq(nats_connect_parse(&c,
	    BYTES("{\"name\":\"b\",\"NAME\":\"c\",\"echo\":false,\"lang\":7}")), -EBADMSG);
	ck_assert_ptr_eq(c.name, name);
	ck_assert_str_eq(c.name, "a");
	ck_assert(c.echo);
	ck_assert_int_eq(nats_connect_parse(&c,
	    BYTES("{\"name\":\"b\",\"NAME\":\"c\",\"echo\":false}")), 0);
	ck_assert_str_eq(c.name, "c");
	ck_assert_str_eq(c.user, "u");
	ck_assert(!c.verbose && !c.echo);
	nats_connect_free(&c);
}
END_TEST

START_TEST(depth_is_bounded)
{
	static char json[1 << 20];
	struct nats_connect c;
	size_t depth, len;

	nats_connect_defaults(&c);
	for (depth = 1500; depth <= 300000; depth *= 200) {
		len = (size_t)sprintf(json, "{\"x\":");
		memset(json + len, '[', depth);
		memset(json + len + depth, ']', depth);
		json[len + 2 * depth] = '}';
		ck_assert_int_eq(parse(&c, json, len + 2 * depth + 1), depth == 1500 ? 0 : -EBADMSG);
	}
	nats_connect_free(&c);
}
END_TEST

#define COUNT(array)	((int)(sizeof(array) / sizeof((array)[0])))

int
main(void)
{
	Suite *s = suite_create("connect");
	TCase *c = tcase_create("json");
	SRunner *r;
	int failed;

	tcase_add_loop_test(c, json_is_judged_as_the_real_server_does, 0, COUNT(cases));
	tcase_add_test(c, json_is_split_at_every_byte);
	tcase_add_test(c, everything_is_read);
	tcase_add_loop_test(c, account_is_noticed, 0, COUNT(accounts));
	tcase_add_loop_test(c, text_is_repaired, 0, COUNT(texts));
	tcase_add_test(c, nul_bytes_are_refused);
	tcase_add_test(c, second_connect_adds);
	tcase_add_test(c, depth_is_bounded);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

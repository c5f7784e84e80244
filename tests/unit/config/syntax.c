/* What the parser understands, and what it says about what it does not. */
#include <check.h>
#include <stdlib.h>
#include "supervisor/config/digest.h"
#include "supervisor/config/parser.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static struct config_errors	errors;
static struct config_value	root;
static char			*text;
static struct config_source	source;

static void
parse_bytes(const char *data, size_t len)
{
	text = malloc(len + 1);		/* exactly: ASan sees what is read behind it */
	memcpy(text, data, len);
	config_errors_init(&errors, BYTES("f"));
	ck_assert_int_eq(config_parse(&root, text, len, &source, &errors), 0);
	config_errors_finish(&errors);
}

static void
parse(const char *config)
{
	parse_bytes(config, strlen(config));
}

static void
done(void)
{
	config_value_free(&root);
	config_errors_free(&errors);
	config_texts_free(&source.texts);
	free(text);
}

/* Config and digest, as the real server prints it with -t. */
static const struct { const char *config, *digest; } golden[] = {
	{ "{port: 4222}",
	  "sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e" },
	{ "port = 4222;host=x;",
	  "sha256:4e31f80dd34c230ec8681415e9e9babe1b3878b189bd7e19ddae5c8d5250dfa9" },
	{ "PORT: 1MB, max_pending 64mib\nmax_subs=10k; max_conn: -1\n",
	  "sha256:b2e2a10cb231a1fd83353cb1b5f0f69e8bbfb485293e9cb0876faacd933e01e5" },
	{ "# c\nport 4222 // x\nhttp: 8222 # y\n",
	  "sha256:f625dd9370e71b29f3fd9c2a142b41a5c8eb04421269a0d969b256ba1ff2a09e" },
	{ "authorization { user: a, password: b, timeout: 0.1 }\n",
	  "sha256:4e67baac72ec9697da21d57a2905778f601dc56fb75db161c251f88a4732bb9d" },
	{ "authorization { user: a, password: b, timeout: 0.0000001 }\n",
	  "sha256:a90500e991b3491be0a086e653a0b9023d6cd4e9a1e1280ce897c9094a337997" },
	{ "server_metadata { a: \"x\\ty\", b: \"<&>\", \"c d\": e, \"\xc3\xa4\": \"\xff\xe2\x80\xa8\x7f\x01\" }\n",
	  "sha256:3f930e7d6b184f19a99e661fc6a76d4b51d36bff47f541aeb7f6e20221a47d60" },
	{ "server_tags: [a, \"b\",\n c\n d]\n",
	  "sha256:a057de580ac2a3b1353aeb9683e7d567d9b1eab61a4b42c3e16e25d2f4924769" },
	{ "host: 'a\nb'\n",
	  "sha256:00ea180a5738e587f1e7e8234578f7462a9bf5ce0a2aafb449c037c470a8dd33" },
	{ "port: 4222\nport: 4223",
	  "sha256:7449cc5fbb986e8b76590f56e7ce89b5bf692007a0a0eb2849103d2cc91fabad" },
	{ "authorization { users [ {user: a, password: $2a$11$abc} ], users [ {user: b, password: $2a$11$abc} ] }\n",
	  "sha256:f71ffcc4200ed9c2639c556778e77459e47932be98ab437358142bfeed8f8316" },
	{ "debug: YES, trace: oFf\nlogtime true\n",
	  "sha256:0589b0a4c3c290650e27b50c4dfec3386f9831e5134c8ee331cc8d939174a9bd" },
	{ "accounts { A {}, B: { users: [] } }\n",
	  "sha256:b084e061176f7553a352b4225bee1babed0444e95d91f4e6e11bf84fba2a6f3f" },
	{ "host\n\nx\n",
	  "sha256:1e42122a06747b02d6e6a7ea7d4186401dd44182017b8b1d22ce608fc1067bc6" },
	{ "listen: 127.0.0.1:-1\n",
	  "sha256:b0f7691df1003bd3924dcf3e7766b266cbaab4d564b73d9a581c6f689c6ec533" },
	{ "port: 4222 }",
	  "sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e" },
	{ "host \"\\x41\\\\\"\n",
	  "sha256:799963872f1b43ce82e654a07af1cfbfef52a4e7f9ded0ab2ff7dc574c43de56" },
	{ "max_pending 7e\nmax_payload 1\n",
	  "sha256:59c17061134239ad8438760b247bf359c4301addfcb3eb82252aa6721cfd3e18" },
};

START_TEST(digest_is_the_real_servers)
{
	char	digest[DIGEST_TEXT];

	parse(golden[_i].config);
	ck_assert_msg(errors.count == 0, "%s", errors.text);
	ck_assert_int_eq(digest_config(&root, digest), 0);
	ck_assert_str_eq(digest, golden[_i].digest);
	done();
}
END_TEST

static const struct { const char *config, *json; } values[] = {
	{ "a: 1k, b: 1kb, c: 1KiB, d: 1m, e: 1Mi, f: 2G, g: -3k", "{\"a\":1000,\"b\":1024,\"c\":1024,"
	  "\"d\":1000000,\"e\":1048576,\"f\":2000000000,\"g\":-3000}\n" },
	{ "a: -9223372036854775808, b: 9223372036854775807",
	  "{\"a\":-9223372036854775808,\"b\":9223372036854775807}\n" },
	{ "a: 4222abc, b: 2s, c: 127.0.0.1:4222, d: 10.0.0.1, e: 1kk, f: 5i",
	  "{\"a\":\"4222abc\",\"b\":\"2s\",\"c\":\"127.0.0.1:4222\",\"d\":\"10.0.0.1\",\"e\":\"1kk\",\"f\":\"5i\"}\n" },
	{ "a: 1.5, b: -0.25, c: 100.0, d: 0.1, e: 123456789012345678901.0, f: 1000000000000000000000.0, g: 0.00000125, h: 0.000000125",
	  "{\"a\":1.5,\"b\":-0.25,\"c\":100,\"d\":0.1,\"e\":123456789012345680000,\"f\":1e+21,"
	  "\"g\":0.00000125,\"h\":1.25e-7}\n" },
	{ "a: 2026-11-21T08:44:13Z", "{\"a\":\"2026-11-21T08:44:13Z\"}\n" },
	{ "a {b {c [1, [2], {d: e}]}}", "{\"a\":{\"b\":{\"c\":[1,[2],{\"d\":\"e\"}]}}}\n" },
	{ "\r\n{\r\n\ta: 1\r\n\tb: 2 # c\r\n}\r\n# end", "{\"a\":1,\"b\":2}\n" },
	{ "a: http://x#y, b: x=y", "{\"a\":\"http://x#y\",\"b\":\"x=y\"}\n" },
	{ "a: 'raw \\n \"', b: \"\\r\\n\"", "{\"a\":\"raw \\\\n \\\"\",\"b\":\"\\r\\n\"}\n" },
	{ "a: \\x74rue, b: true, c: \"true\"", "{\"a\":\"true\",\"b\":true,\"c\":\"true\"}\n" },
	{ "a: \"./x\", b: /y", "{\"a\":\"./x\",\"b\":\"/y\"}\n" },
	{ "a: (x\n)y\n)\nb: [(\n)\n 1]", "{\"a\":\"x\\n)y\\n\",\"b\":[\"\\n\",1]}\n" },
	{ "a: (x\n)", "{\"a\":\"x\\n)\"}\n" },	/* odd, and the same in the real server */
	{ "a: 1; b: $a; c {d: $a, e: [$b, {f: $d}]}", "{\"a\":1,\"b\":1,\"c\":{\"d\":1,\"e\":[1,{\"f\":1}]}}\n" },
	{ "a: 1, b: {a: 2, c: $a}, c: $a, A: 3, d: $A", "{\"A\":3,\"a\":1,\"b\":{\"a\":2,\"c\":2},\"c\":1,\"d\":3}\n" },
	{ "a: 1, a: 2, b: $A", "{\"a\":2,\"b\":2}\n" },
	{ "a: {b: [x]}, c: {d: $a, e: $a}", "{\"a\":{\"b\":[\"x\"]},\"c\":{\"d\":{\"b\":[\"x\"]},\"e\":{\"b\":[\"x\"]}}}\n" },
	{ "a: $2a$10$x, b: \\x24a, c: '$a', d: $a'\n", "{\"a\":\"$2a$10$x\",\"b\":\"$a\",\"c\":\"$a\",\"d\":\"$a\"}\n" },
	{ "a: 42\\x41, b: 1.2., c: -1.2.3-4:5, d: 5m\\x41, e: [1k], f: [1k ]", "{\"a\":\"42\\\\x41\","
	  "\"b\":\"1.2.\",\"c\":\"-1.2.3-4:5\",\"d\":\"5mA\",\"e\":[\"1k\"],\"f\":[1000]}\n" },
	{ "a {b:\n 1, c\n: 2}\nd\n3 } e: 4", "{\"a\":{\"b\":1,\"c\":2},\"d\":3,\"e\":4}\n" },
	{ "{a: 1}{b: 2}\n{{c: 3}\n, d: 4} e: 5", "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}\n" },
	{ "include: x, 'include' y", "{\"include\":\"y\"}\n" },
	{ "a: #x\nb: //y\nc: [#z\n 1 //w\n]", "{\"a\":\"#x\",\"b\":\"//y\",\"c\":[1]}\n" },
	{ "z: 1, Z: 2, a: 3, aa: 4", "{\"Z\":2,\"a\":3,\"aa\":4,\"z\":1}\n" },
};

START_TEST(values_are_read)
{
	size_t	 len;
	char	*json;

	parse(values[_i].config);
	ck_assert_msg(errors.count == 0, "%s", errors.text);
	json = digest_json(&root, &len);
	ck_assert_str_eq(json, values[_i].json);
	free(json);
	done();
}
END_TEST

#define NUMBER	"expected a number; text that looks like one needs quotes"
#define UNSET	"which no entry before this one and no variable of the environment sets"
#define PATH	"expected the path of a file; other than letters need quotes"

static const struct { const char *config, *said; } wrong[] = {
	{ "", "f: config has no values or is empty" },
	{ "# nothing\n", "f: config has no values or is empty" },
	{ "port 4222 host x", "f:1:11: found 'h', expected ',', ';' or a new line behind the value" },
	{ "a: 1\n  b: 1.5MB\n", "f:2:9: found 'M', " NUMBER },
	{ "a: \"x\\q\"", "f:1:7: found 'q', expected one of x t n r \" \\ behind a backslash" },
	{ "a: \"\\x4g\"", "f:1:6: found 'x', expected two hexadecimal digits behind \\x" },
	{ "a: 'x\n", "f:1:4: found the end of the file inside this text, expected its closing '" },
	{ "a:\n", "f:1:3: found the end of the line, expected a value" },
	{ "a", "f:1:2: found the end of the file, expected a value" },
	{ "a: {b: 1", "f:1:9: found the end of the file, expected the '}' for the '{' in line 1" },
	{ "{a: 1", "f:1:6: found the end of the file, expected the '}' for the '{' in line 1" },
	{ "{a: 1}}\nb: 1", "f:2:1: found 'b', expected nothing behind the closing '}'" },
	{ "a: [1 2]", "f:1:7: found '2', expected ',', ']' or a new line in a list" },
	{ "a: [,1]", "f:1:5: found ',', expected a value" },
	{ ": 1", "f:1:1: found ':', expected a key" },
	{ "a: 9223372036854775808", "f:1:4: found \"9223372036854775808\", expected a number that fits in 64 bits" },
	{ "a: 9223372036854775807k", "f:1:4: found \"9223372036854775807\", expected a number that fits in 64 bits" },
	{ "a: -abc", "f:1:5: found 'a', " NUMBER },
	{ "a: .5", "f:1:4: found '.', " NUMBER },
	{ "a: 2026-13-21T08:44:13Z", "f:1:4: found 2026-13-21T08:44:13Z, expected a date and time that exist" },
	{ "a: 2026-02-30T08:44:13Z", "f:1:4: found 2026-02-30T08:44:13Z, expected a date and time that exist" },
	{ "a: $x", "f:1:4: found the variable \"x\", " UNSET },
	{ "a: $2b$10$x", "f:1:4: found the variable [REDACTED], which is not set; put the hash of a password in quotes" },
	{ "a: 1kbb", "f:1:4: found the unit \"kbb\", expected k, kb, ki, kib or such of m, g, t, p, e" },
	{ "a: 12-x", "f:1:6: found '-', " NUMBER },
	{ "a: -1x\nb: don't\n",
	  "f:1:6: found 'x', expected ',', ';' or a new line behind the value\n"
	  "f:2:8: found 't', expected ',', ';' or a new line behind the value" },
	{ "a: [x\n, y]", "f:2:1: found ',', expected a value" },
	{ "{{a: 1} b: 2}", "f:1:9: found 'b', expected ',', ';' or '}' behind the inner '}'" },
	{ "a: (\nx\n) \n", "f:1:4: found the end of the file inside this text, expected a ')' in a line of its own" },
	{ "include\n", "f:1:8: found the end of the line, " PATH },
	{ "include 1.conf", "f:1:9: found '1', " PATH },
	{ "include 'x", "f:1:9: found the end of the file inside this text, expected its closing '" },
	{ "include ''", "f:1:1: found \"\", expected the path of a file" },
	{ "include x.conf\n", "f:1:1: include: there are no other files" },
	{ "a: {\n b: $x\n c: 1\n}\nd: [1, $y,\n {e: 1}]\nf: -\n",	/* all of them, and nothing else */
	  "f:2:5: found the variable \"x\", " UNSET "\n"
	  "f:5:8: found the variable \"y\", " UNSET "\n"
	  "f:7:5: found the end of the line, " NUMBER },
	{ "a: x\x1b[31m, \x1b: 1, b: -\x1b[", "f:1:22: found the byte 0x1b, " NUMBER },
};

START_TEST(errors_say_where_and_what)
{
	parse(wrong[_i].config);
	ck_assert_str_eq(errors.text, wrong[_i].said);
	done();
}
END_TEST

START_TEST(nesting_is_bounded)
{
	size_t	 n = 1000000, i;
	char	*deep = malloc(n + 2);

	memcpy(deep, "a:", 2);
	for (i = 0; i < n; i++)
		deep[2 + i] = "[{"[_i % 2];
	if (_i == 2)
		for (i = 0; i + 2 < n; i += 3)
			memcpy(deep + 2 + i, "{a ", 3);
	parse_bytes(deep, n + 2);
	ck_assert_uint_gt(errors.count, 0);
	ck_assert_uint_lt(errors.count, 200);
	done();
	/* as deep as is allowed is good */
	for (i = 0; i < CONFIG_DEPTH_MAX; i++) {
		deep[2 + i] = '[';
		deep[2 + CONFIG_DEPTH_MAX + i] = ']';
	}
	parse_bytes(deep, 2 + 2 * CONFIG_DEPTH_MAX);
	ck_assert_msg(errors.count == 0, "%s", errors.text);
	done();
	free(deep);
}
END_TEST

START_TEST(errors_are_bounded)
{
	size_t	 n = 100000, i;
	char	*many = malloc(n * 4);

	for (i = 0; i < n; i++)
		memcpy(many + i * 4, "a:-\n", 4);
	parse_bytes(many, n * 4);
	ck_assert_uint_le(errors.count, 100);
	ck_assert_uint_le(errors.len, CONFIG_ERRORS_MAX);
	done();
	free(many);
	config_errors_init(&errors, BYTES("f"));
	for (i = 0; i < n; i++)
		config_error(&errors, (struct config_position){ 1, 1, 0 }, "something that is wrong");
	config_errors_finish(&errors);
	ck_assert_uint_le(errors.len, CONFIG_ERRORS_MAX);
	ck_assert_ptr_nonnull(strstr(errors.text, " more"));
	ck_assert_uint_eq(strlen(errors.text), errors.len);
}
END_TEST

/* Every prefix of every configuration here, and every one with one byte changed. */
START_TEST(no_bytes_are_fatal)
{
	const char	*all[COUNT(golden) + COUNT(values) + COUNT(wrong)];
	char		 copy[512];
	size_t		 len, i;
	int		 n = 0, k;

	for (k = 0; k < COUNT(golden); k++)
		all[n++] = golden[k].config;
	for (k = 0; k < COUNT(values); k++)
		all[n++] = values[k].config;
	for (k = 0; k < COUNT(wrong); k++)
		all[n++] = wrong[k].config;
	for (k = 0; k < n; k++) {
		len = strlen(all[k]);
		ck_assert_uint_lt(len, sizeof(copy));
		for (i = 0; i <= len; i++) {
			parse_bytes(all[k], i);
			done();
		}
		for (i = 0; i < len * 16; i++) {
			memcpy(copy, all[k], len);
			copy[i / 16] = "\0{}[]\"'\\,;:\n#$-\xff"[i % 16];
			parse_bytes(copy, len);
			done();
		}
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("config syntax");
	TCase	*c = tcase_create("parser");
	SRunner	*r;
	int	 failed;

	if (digest_prepare() != 0)
		return EXIT_FAILURE;
	tcase_add_loop_test(c, digest_is_the_real_servers, 0, COUNT(golden));
	tcase_add_loop_test(c, values_are_read, 0, COUNT(values));
	tcase_add_loop_test(c, errors_say_where_and_what, 0, COUNT(wrong));
	tcase_add_loop_test(c, nesting_is_bounded, 0, 3);
	tcase_add_test(c, errors_are_bounded);
	tcase_add_test(c, no_bytes_are_fatal);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

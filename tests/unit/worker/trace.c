/* Nothing that is secret gets into the log. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "worker/trace.h"
#include "worker/worker.h"

static const struct { const char *what, *json, *want; } cases[] = {
	{ "nothing to hide", "{\"user\":\"u\",\"name\":\"pass\"}", "{\"user\":\"u\",\"name\":\"pass\"}" },
	{ "a password", "{\"pass\":\"secret\",\"user\":\"u\"}", "{\"pass\":\"[REDACTED]\",\"user\":\"u\"}" },
	{ "blanks", "{ \"pass\" :\t \"secret\" }", "{ \"pass\" :\t \"[REDACTED]\" }" },
	{ "a token", "{\"auth_token\":\"secret\"}", "{\"auth_token\":\"[REDACTED]\"}" },
	{ "the others", "{\"jwt\":\"secret\",\"nkey\":\"secret\",\"sig\":\"secret\",\"proxy_sig\":\"secret\"}",
	    "{\"jwt\":\"[REDACTED]\",\"nkey\":\"[REDACTED]\",\"sig\":\"[REDACTED]\",\"proxy_sig\":\"[REDACTED]\"}" },
	{ "upper case", "{\"PassWord\":\"secret\"}", "{\"PassWord\":\"[REDACTED]\"}" },
	{ "not known", "{\"user_password\":\"secret\",\"key\":\"secret\"}", "{\"user_password\":\"[REDACTED]\",\"key\":\"[REDACTED]\"}" },
	{ "an escaped name", "{\"p\\u0061ss\":\"secret\"}", "{\"p\\u0061ss\":\"[REDACTED]\"}" },
	{ "a quote in it", "{\"pass\":\"secret\\\"secret\",\"name\":1}", "{\"pass\":\"[REDACTED]\",\"name\":1}" },
	{ "a backslash at its end", "{\"pass\":\"secret\\\\\",\"name\":1}", "{\"pass\":\"[REDACTED]\",\"name\":1}" },
	{ "a number", "{\"pass\":12345,\"name\":1}", "{\"pass\":[REDACTED],\"name\":1}" },
	{ "an array", "{\"pass\":[\"secret\",[\"secret\"],\"]secret\"],\"name\":1}", "{\"pass\":[REDACTED],\"name\":1}" },
	{ "an object", "{\"pass\":{\"a\":\"secret\",\"b\":{}},\"name\":1}", "{\"pass\":[REDACTED],\"name\":1}" },
	{ "nested", "{\"tls\":{\"b\":[{\"key\":\"secret\"}]}}", "{\"tls\":[REDACTED]}" },
	{ "two of a name", "{\"pass\":\"secret\",\"pass\":\"secret\"}", "{\"pass\":\"[REDACTED]\",\"pass\":\"[REDACTED]\"}" },
	{ "without an end", "{\"pass\":\"secret", "{\"pass\":\"[REDACTED]\"" },
	{ "without quotes", "{pass: secret word, name: 1}", "{pass: [REDACTED], name: 1}" },
	{ "without a value", "{\"pass\":", "{\"pass\":[REDACTED]" },
	{ "an array without an end", "{\"pass\":[\"secret\",\"a\":1", "{\"pass\":[REDACTED]" },
	{ "a lone quote", "\"", "\"" },
	{ "nothing", "", "" },
};

START_TEST(secrets_are_left_out)
{
	char		out[512];
	struct bytes	got = trace_redact(out, sizeof(out), bytes_of(cases[_i].json));

	ck_assert_msg(got.len == strlen(cases[_i].want) && memcmp(got.data, cases[_i].want, got.len) == 0,
	    "%s: %.*s", cases[_i].what, (int)got.len, got.data);
}
END_TEST

START_TEST(cut_short_it_says_no_more)
{
	char		out[512];
	size_t		size;
	struct bytes	got;

	for (size = 0; size < 200; size++) {
		memset(out, '#', sizeof(out));
		got = trace_redact(out, size, bytes_of(cases[_i].json));
		ck_assert_uint_le(got.len, size);
		ck_assert_int_eq(out[size], '#');
		ck_assert_ptr_null(memmem(got.data, got.len, "secret", 6));
	}
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

int
main(void)
{
	Suite	*s = suite_create("trace");
	TCase	*c = tcase_create("trace");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(c, secrets_are_left_out, 0, COUNT(cases));
	tcase_add_loop_test(c, cut_short_it_says_no_more, 0, COUNT(cases));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

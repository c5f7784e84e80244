#include <check.h>
#include <stdlib.h>
#include "nats/subject.h"

static const struct {
	const char *subject;
	bool valid, literal, wildcard;
	unsigned tokens;
} cases[] = {
	{ "foo",	true,  true,  false, 1 },
	{ "foo.bar.baz", true, true,  false, 3 },
	{ "*",		true,  false, true,  1 },
	{ ">",		true,  false, true,  1 },
	{ "foo.*",	true,  false, true,  2 },
	{ "*.foo",	true,  false, true,  2 },
	{ "foo.*.bar",	true,  false, true,  3 },
	{ "foo.>",	true,  false, true,  2 },
	{ "*.*.>",	true,  false, true,  3 },
	{ "foo.>.bar",	false, false, false, 3 },
	{ ">.foo",	false, false, false, 2 },
	{ ">.>",	false, false, true,  2 },
	{ "foo*",	true,  true,  false, 1 },
	{ "*foo",	true,  true,  false, 1 },
	{ "**",		true,  true,  false, 1 },
	{ "foo.**.bar",	true,  true,  false, 3 },
	{ "foo.>x",	true,  true,  false, 2 },
	{ "x>.foo",	true,  true,  false, 2 },
	{ ">>",		true,  true,  false, 1 },
	{ "foo.*x.>",	true,  false, true,  3 },
	{ "",		false, false, false, 0 },
	{ ".",		false, false, false, 2 },
	{ "..",		false, false, false, 3 },
	{ ".foo",	false, false, false, 2 },
	{ "foo.",	false, false, false, 2 },
	{ "foo..bar",	false, false, false, 3 },
	{ "foo..>",	false, false, true,  3 },
	{ "*.",		false, false, true,  2 },
	{ "F\xc3\xb6\xc3\xb6.\xff", true, true, false, 2 },
	{ "$SYS.REQ",	true,  true,  false, 2 },
	{ "a\x0c" "b.\x0b", true, true, false, 2 },
};

START_TEST(subject_is_classed)
{
	struct bytes s = bytes_of(cases[_i].subject);

	ck_assert_msg(subject_valid(s) == cases[_i].valid, "valid: %s", s.data);
	ck_assert_msg(subject_literal(s) == cases[_i].literal, "literal: %s", s.data);
	ck_assert_msg(subject_has_wildcard(s) == cases[_i].wildcard, "wildcard: %s", s.data);
	ck_assert_uint_eq(subject_tokens(s), cases[_i].tokens);
}
END_TEST

static const struct { const char *pattern, *subject; bool matches; } pairs[] = {
	{ "foo", "foo", true }, { "foo", "bar", false }, { "foo", "fo", false },
	{ "fo", "foo", false }, { "foo", "Foo", false },
	{ "foo.bar", "foo", false }, { "foo", "foo.bar", false }, { "foo.bar", "foo.bar", true },
	{ "*", "foo", true }, { "*", "foo.bar", false }, { "*.*", "foo.bar", true },
	{ "*.bar", "foo.bar", true }, { "*.bar", "foo.baz", false }, { "foo.*", "foo", false },
	{ ">", "foo", true }, { ">", "foo.bar.baz", true }, { "foo.>", "foo", false },
	{ "foo.>", "foo.bar", true }, { "foo.>", "foo.bar.baz", true }, { "foo.>", "fo.bar", false },
	{ "*.>", "foo", false }, { "*.>", "foo.bar", true },
	/* published as they stand */
	{ "foo.*", "foo.*", true }, { "foo.*", "foo.>", true }, { "foo.bar", "foo.*", false },
	{ ">", ">", true }, { "*", ">", true }, { "foo*", "foo*", true }, { "foo*", "foobar", false },
	/* with an empty token: nothing gets it */
	{ ">", "", false }, { ">", ".", false }, { ">", ".foo", false }, { ">", "foo.", false },
	{ ">", "foo..bar", false }, { "*", "", false }, { "foo.*", "foo.", false },
	{ "foo.>", "foo.", false }, { "foo.>", "foo.bar.", false }, { "foo.>", "foo..bar", false },
	{ "*.foo", ".foo", false }, { "foo.*.bar", "foo..bar", false },
};

START_TEST(pattern_matches)
{
	ck_assert_msg(subject_matches(bytes_of(pairs[_i].pattern), bytes_of(pairs[_i].subject)) ==
	    pairs[_i].matches, "%s on %s", pairs[_i].pattern, pairs[_i].subject);
}
END_TEST

/* As the protocol's text has it: cut both into lists, compare the lists. */
static size_t
naive_cut(const char *text, char tokens[16][16])
{
	size_t n = 0, len = 0;

	for (;; text++) {
		if (*text != '.' && *text != '\0') {
			tokens[n][len++] = *text;
			continue;
		}
		tokens[n++][len] = '\0';
		len = 0;
		if (*text == '\0')
			return n;
	}
}

static bool
naive_valid(const char *text)
{
	char tokens[16][16];
	size_t n = naive_cut(text, tokens), i;

	for (i = 0; i < n; i++)
		if (tokens[i][0] == '\0' || (strcmp(tokens[i], ">") == 0 && i + 1 < n))
			return false;
	return true;
}

static bool
naive_matches(const char *pattern, const char *subject)
{
	char p[16][16], s[16][16];
	size_t np = naive_cut(pattern, p), ns = naive_cut(subject, s), i;
	bool all = strcmp(p[np - 1], ">") == 0;

	for (i = 0; i < ns; i++)
		if (s[i][0] == '\0')
			return false;
	if (all ? ns < np : ns != np)
		return false;
	for (i = 0; i < np - all; i++)
		if (strcmp(p[i], "*") != 0 && strcmp(p[i], s[i]) != 0)
			return false;
	return true;
}

START_TEST(random_subjects_agree_with_the_lists)
{
	static const char alphabet[] = "aab..*>";
	char text[2][12], copy[2][12];
	int round, k, matched = 0;
	size_t len, i;

	srandom(11);
	for (round = 0; round < 2000000; round++) {
		struct bytes s[2];

		for (k = 0; k < 2; k++) {
			len = (size_t)random() % 9;
			for (i = 0; i < len; i++)
				text[k][i] = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
			text[k][len] = '\0';
			/* what is behind the length has no say */
			memcpy(copy[k], text[k], len);
			copy[k][len] = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
			s[k] = (struct bytes){ copy[k], len };
		}
		ck_assert_msg(subject_valid(s[0]) == naive_valid(text[0]), "%s", text[0]);
		if (!naive_valid(text[0]))
			continue;
		matched += naive_matches(text[0], text[1]);
		ck_assert_msg(subject_matches(s[0], s[1]) == naive_matches(text[0], text[1]),
		    "%s on %s", text[0], text[1]);
	}
	ck_assert_int_gt(matched, 10000);
}
END_TEST

static const struct { const char *a, *b; bool within, overlaps; } relations[] = {
	{ "foo", "foo", true, true }, { "foo", "bar", false, false }, { "foo", "foo.bar", false, false },
	{ "foo.*", "foo.*", true, true }, { "foo.*", "foo.>", true, true }, { "foo.>", "foo.*", false, true },
	{ "foo.>", ">", true, true }, { ">", "foo.>", false, true }, { "*", ">", true, true }, { ">", "*", false, true },
	{ "foo", "*", true, true }, { "*", "foo", false, true }, { "*.bar", "foo.*", false, true },
	{ "foo.bar", "foo.>", true, true }, { "foo", "foo.>", false, false }, { "foo.>", "foo.bar.>", false, true },
	{ "foo.*.>", "foo.>", true, true }, { "foo.>", "foo.*.>", false, true }, { "*.a", "b.*.c", false, false },
	{ "foo*", "foo*", true, true }, { "foo*", "foox", false, false }, { "*foo", "*", true, true },
};

START_TEST(patterns_are_related)
{
	struct bytes a = bytes_of(relations[_i].a), b = bytes_of(relations[_i].b);

	ck_assert_msg(subject_within(a, b) == relations[_i].within, "%s within %s", a.data, b.data);
	ck_assert_msg(subject_overlaps(a, b) == relations[_i].overlaps, "%s overlaps %s", a.data, b.data);
	ck_assert_int_eq(subject_overlaps(b, a), relations[_i].overlaps);
}
END_TEST

static void
random_pattern(char *out)
{
	unsigned n = 1 + (unsigned)random() % 4, i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			*out++ = '.';
		*out++ = i == n - 1 && random() % 4 == 0 ? '>' : "ab*"[random() % 3];
	}
	*out = '\0';
}

/* All subjects of up to 5 tokens of a, b and one that no pattern names: who matches both, who only the first? */
static void
naive_relation(const char *a, const char *b, bool *within, bool *overlaps)
{
	unsigned tokens, number, i, n;
	char text[16], *at;

	*within = true;
	*overlaps = false;
	for (tokens = 1; tokens <= 5; tokens++)
		for (number = 0; number < 243; number++) {
			for (at = text, i = 0, n = number; i < tokens; i++, n /= 3) {
				*at++ = "abc"[n % 3];
				*at++ = '.';
			}
			at[-1] = '\0';
			if (!naive_matches(a, text))
				continue;
			if (naive_matches(b, text))
				*overlaps = true;
			else
				*within = false;
		}
}

START_TEST(random_patterns_are_related_as_what_they_match)
{
	char a[16], b[16];
	bool within, overlaps;
	int round, found = 0;

	srandom(7);
	for (round = 0; round < 4000; round++) {
		random_pattern(a);
		random_pattern(b);
		naive_relation(a, b, &within, &overlaps);
		found += within + overlaps;
		if (subject_within(bytes_of(a), bytes_of(b)) != within ||
		    subject_overlaps(bytes_of(a), bytes_of(b)) != overlaps)
			ck_abort_msg("%s and %s", a, b);
	}
	ck_assert_int_gt(found, 1000);
}
END_TEST

/* The right column is what strconv.Quote() of Go 1.26 says. */
static const struct { struct bytes text; const char *quoted; } quotes[] = {
	{ { "foo", 3 }, "\"foo\"" },
	{ { "", 0 }, "\"\"" },
	{ { "a\"b\\c", 5 }, "\"a\\\"b\\\\c\"" },
	{ { "\a\b\f\n\r\t\v", 7 }, "\"\\a\\b\\f\\n\\r\\t\\v\"" },
	{ { "\0\x1f\x7f", 3 }, "\"\\x00\\x1f\\x7f\"" },
	{ { "f\303\266\346\227\245\360\237\230\200", 10 },
	    "\"f\303\266\346\227\245\360\237\230\200\"" },
	{ { "\302\200\302\237\302\240\302\255", 8 }, "\"\\u0080\\u009f\\u00a0\\u00ad\"" },
	{ { "\357\273\277\342\200\250\342\200\251\342\200\213\343\200\200", 15 },
	    "\"\\ufeff\\u2028\\u2029\\u200b\\u3000\"" },
	{ { "\377\303(\355\240\200", 6 }, "\"\\xff\\xc3(\\xed\\xa0\\x80\"" },
	{ { "\357\277\275", 3 }, "\"\357\277\275\"" },
	{ { "\363\240\200\201\364\217\277\277", 8 }, "\"\\U000e0001\\U0010ffff\"" },
	{ { "\364\220\200\200\300\200", 6 }, "\"\\xf4\\x90\\x80\\x80\\xc0\\x80\"" },
	{ { "\356\200\200", 3 }, "\"\\ue000\"" },
	{ { "a'b%s", 5 }, "\"a'b%s\"" },
};

START_TEST(subject_is_quoted_as_go_does)
{
	char out[128];

	ck_assert_str_eq(subject_quote(out, sizeof(out), quotes[_i].text), quotes[_i].quoted);
}
END_TEST

/* Cut between characters, always closed, never beyond size. */
START_TEST(quoting_is_cut_to_size)
{
	struct bytes text = quotes[_i].text;
	char whole[128], *out;
	size_t size, len;

	subject_quote(whole, sizeof(whole), text);
	for (size = 1; size <= strlen(whole) + 1; size++) {
		out = malloc(size);
		ck_assert_ptr_eq(subject_quote(out, size, text), out);
		len = strlen(out);
		ck_assert_uint_lt(len, size);
		if (size < 3) {
			ck_assert_uint_eq(len, 0);
		} else {
			ck_assert_int_eq(out[len - 1], '"');
			ck_assert_int_eq(memcmp(out, whole, len - 1), 0);
		}
		free(out);
	}
	ck_assert_ptr_null(subject_quote(NULL, 0, text));
}
END_TEST

#define COUNT(array)	((int)(sizeof(array) / sizeof((array)[0])))

int
main(void)
{
	Suite *s = suite_create("subject");
	TCase *c = tcase_create("subjects");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, subject_is_classed, 0, COUNT(cases));
	tcase_add_loop_test(c, pattern_matches, 0, COUNT(pairs));
	tcase_add_test(c, random_subjects_agree_with_the_lists);
	tcase_add_loop_test(c, patterns_are_related, 0, COUNT(relations));
	tcase_add_test(c, random_patterns_are_related_as_what_they_match);
	tcase_add_loop_test(c, subject_is_quoted_as_go_does, 0, COUNT(quotes));
	tcase_add_loop_test(c, quoting_is_cut_to_size, 0, COUNT(quotes));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

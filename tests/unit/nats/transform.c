/*
 * Mappings of subjects. What each function gives is what nats-server 2.15.2 gives:
 * millions of random cases were compared once, some are here.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "nats/subject.h"
#include "nats/transform.h"

static const struct { const char *source, *destination, *subject, *becomes; } cases[] = {
	{ "foo", "bar", "foo", "bar" },
	{ "foo.*", "bar", "foo.x", "bar" },
	{ "foo.*.*", "bar.$2.{{wildcard(1)}}", "foo.a.b", "bar.b.a" },
	{ "foo.>", "bar.>", "foo.a.b.c", "bar.a.b.c" },
	{ "foo.*.>", "$1.x.>", "foo.a.b.c", "a.x.b.c" },
	{ ">", "pre.>", "a.b", "pre.a.b" },
	{ "*", "{{partition(10,1)}}", "foo", "3" },
	{ "*.*", "p.{{partition(5, 1, 2)}}.$1", "fo.o", "p.3.fo" },
	{ "a.>", "{{partition(1000)}}.>", "a.b.c", "311.b.c" },
	{ "*", "{{sliceFromLeft(1,3)}}", "abcdefgh", "abc.def.gh" },
	{ "*", "{{sliceFromRight(1,3)}}", "abcdefgh", "ab.cde.fgh" },
	{ "*", "{{sliceFromRight(1,4)}}", "abcdefgh", "abcd.efgh" },
	{ "*", "{{split(1,-)}}", "-a--b-", "a.b" },
	{ "*", "{{split(1,-)}}", "--a", ".a" },
	{ "*", "{{split(1,-)}}", "-", "" },
	{ "*", "{{split(1,)}}", "ab\303\251c\377d", "a.b.\303\251.c.\377.d" },
	{ "*", "$x.${{wildcard(1)}}.{{}}", "a", "$x.${{wildcard(1)}}.{{}}" },
	{ "*", "$99999999999999999999", "a", "$99999999999999999999" },
	{ "b", "{{partition(11)}}.{{}}.y",
	    "b", "10.{{}}.y" },
	{ "*.b.*.foo", "{{ left (1, +2) }}.{{Split(2,)}}.{{ right (1, 2) }}.$2",
	    "b--.b.1.foo", "b-.1.--.1" },
	{ "a.*.b", "y.{{}}.$1",
	    "a.-2--.b", "y.{{}}.-2--" },
	{ "a.*.*", "$2.{{slicefromRight(1, 3)}}.{{splitfromleft(1,2)}}",
	    "a.22---b.-12", "-12.22-.--b.22.---b" },
	{ "a.foo.*.*", "{{splitfromleft(2, -1)}}.y",
	    "a.foo.a.-", "-.y" },
	{ "*", "{{splitFromLeft(1, 3)}}",
	    "2b", "2b" },
	{ "*.b", "{{left(1,1)}}.bar.{{left(1, 1)}}",
	    "a2b.b", "a.bar.a" },
	{ "*.*", "$1.$1.{{ SplitFromRight (2,1) }}",
	    "-.a", "-.-.a" },
	{ "foo.b", "{{ partition (3,2,2) }}",
	    "foo.b", "1" },
	{ "*.*", "{{wildcard(2)}}.$2.$2.$1",
	    "1bb--2.-21-bb1", "-21-bb1.-21-bb1.-21-bb1.1bb--2" },
	{ "*.*.a.*", "y.{{ splitfromleft (1,+2) }}.$3.{{split(1,--)}}",
	    "a2-.bba112.a.1-", "y.a2.-.1-.a2-" },
	{ "*.*", "{{ slicefromRight (2,7) }}",
	    "2.aba221", "aba221" },
	{ "b", "{{}}.{{random(1)}}",
	    "b", "{{}}.0" },
	{ "a.*.b", "{{ Wildcard (1) }}",
	    "a.b.b", "b" },
	{ "foo.*.*.*", "$3.{{Partition(8,3,1)}}.$1",
	    "foo.ab--b-.--1.1b--b-b", "1b--b-b.5.ab--b-" },
	{ "*.a", "{{random(1)}}.$x",
	    "a.a", "0.$x" },
	{ "*.foo.b", "{{ random (1) }}.$x.$1",
	    "--.foo.b", "0.$x.--" },
	{ "*.*.foo", "{{ sliceFromRight (1,1) }}",
	    "bb.-2---22.foo", "b.b" },
	{ "*.foo.a", "{{splitFromLeft(1, +2)}}",
	    "1-21-2b.foo.a", "1-.21-2b" },
	{ "b.b.*.a", "{{}}.{{random(1)}}",
	    "b.b.-a2ba1.a", "{{}}.0" },
	{ "*", "{{wildcard(1)}}.y",
	    "-a--b", "-a--b.y" },
	{ "*.*.*.b", "{{Wildcard(3)}}",
	    "1--b.a1b-.-22a.b", "-22a" },
	{ "b", "{{}}.{{}}.{{ Partition (10) }}",
	    "b", "{{}}.{{}}.7" },
	{ "a.a", "x.{{Partition(7,1)}}",
	    "a.a", "x.6" },
	{ "*.*", "{{ left (2,1) }}",
	    "2a.a", "a" },
	{ "*.a.*.*", "$1.{{split(2, 1)}}",
	    "b21b-.a.2a-ab.1a2", "b21b-.2a-ab" },
	{ "b.b", "bar.{{random(1)}}",
	    "b.b", "bar.0" },
	{ "foo.b.foo.*", "{{ SplitFromRight (1, 7) }}",
	    "foo.b.foo.baa---", "baa---" },
	{ "a.*.foo", "{{split(1, -)}}.bar",
	    "a.1-a.foo", "1.a.bar" },
	{ "a.*.foo.*", "{{ Split (2,a) }}.{{SliceFromLeft(2, 7)}}.$1",
	    "a.-2-.foo.--", "--.--.-2-" },
	{ "*.*.foo", "{{wildcard(2)}}",
	    "-12b.212a1a.foo", "212a1a" },
	{ "b.*", "{{ right (1,3) }}.y",
	    "b.-", "-.y" },
	{ "a.*.*", "{{ sliceFromRight (2, 2) }}",
	    "a.2.-b1-1-", "-b.1-.1-" },
	{ "*.a.b.*", "{{}}.x.{{right(1, 1)}}",
	    "2-.a.b.-", "{{}}.x.-" },
	{ "b.b.*", "bar.{{SplitFromRight(1,2)}}",
	    "b.b.2ba-b", "bar.2ba.-b" },
	{ "*.*.*", "{{}}.$x.$3.{{sliceFromRight(1, -1)}}",
	    "-b-2aa.22-b.a--", "{{}}.$x.a--.-b-2aa" },
	{ "*", "bar.{{ left (1, -1) }}",
	    "1-", "bar.1-" },
	{ "*.*.*", "{{ right (1, -1) }}.$1.{{left(3,1)}}",
	    "2b-2a1.1a11-.-", "2b-2a1.2b-2a1.-" },
	{ "*.*.*", "bar.{{ SplitFromRight (1, -1) }}.$3.{{}}",
	    "1a.1.2", "bar.1a.2.{{}}" },
	{ "foo.*", "$x.{{right(1,-1)}}.$1",
	    "foo.a", "$x.a.a" },
	{ "*.*.a.a", "{{ SplitFromRight (1,0) }}",
	    "1a2-.2-b--1.a.a", "1a2-" },
	{ "*.*.b.b", "{{ Split (1,) }}.{{SliceFromLeft(2, 7)}}.{{ left (2, 3) }}",
	    "a-.12-ba.b.b", "a.-.12-ba.12-" },
	{ "*.*", "{{SliceFromLeft(2,+2)}}",
	    "bb2.aa", "aa" },
	{ "*.*", "$x.{{SliceFromLeft(2, 2)}}.{{SliceFromLeft(2,2)}}.{{}}",
	    "--.21b-2", "$x.21.b-.2.21.b-.2.{{}}" },
};

static struct transform *
made(const char *source, const char *destination, bool strict)
{
	struct transform *t = NULL;
	const char *why = NULL;

	ck_assert_msg(transform_new(&t, bytes_of(source), bytes_of(destination), strict, &why) == 0,
	    "%s to %s: %s", source, destination, why);
	return t;
}

START_TEST(subject_becomes_what_the_real_server_makes_of_it)
{
	struct transform *t = made(cases[_i].source, cases[_i].destination, false);
	struct bytes subject = bytes_of(cases[_i].subject);
	size_t wanted = strlen(cases[_i].becomes), size;
	char *out;

	ck_assert(transform_matches(t, subject));
	for (size = 0; size <= wanted + 1; size++) {
		out = malloc(size + 1);
		if (size < wanted) {
			ck_assert_int_eq(transform_subject(t, subject, 1, out, size), -ENOSPC);
		} else {
			ck_assert_int_eq(transform_subject(t, subject, 1, out, size), (int)wanted);
			out[wanted] = '\0';
			ck_assert_str_eq(out, cases[_i].becomes);
		}
		free(out);
	}
	transform_free(t);
}
END_TEST

static const struct { const char *source, *destination; bool strict; const char *why; } bad[] = {
	{ "", "a", false, "invalid subject" },
	{ "a", "", false, "invalid subject" },
	{ "a..b", "a", false, "invalid subject" },
	{ "a", "a.>.b", false, "invalid subject" },
	{ "a.*", "b.*", false, "a destination has no `*`, but $1 or {{wildcard(1)}}" },
	{ "a.>", "b", false, "source and destination have to end in `>` both, or neither" },
	{ "a", "b.>", false, "source and destination have to end in `>` both, or neither" },
	{ "a.*", "b c", false, "invalid transform" },
	{ "a.*", "$2", false, "wildcard index out of range" },
	{ "a", "$1", false, "wildcard index out of range" },
	{ "a.*", "$0", false, "wildcard index out of range" },
	{ "a.*", "{{wildcard(-1)}}", false, "wildcard index out of range" },
	{ "a.*", "{{wildcard(4294967297)}}", false, "function argument is invalid or in the wrong format" },
	{ "a.*", "{{partition(3,2)}}", false, "wildcard index out of range" },
	{ "a.*", "{{left(2,1)}}", false, "wildcard index out of range" },
	{ "a.*", "{{wildcard()}}", false, "not enough arguments passed to the function" },
	{ "a.*", "{{wildcard( )}}", false, "function argument is invalid or in the wrong format" },
	{ "a.*", "{{wildcard(1,1)}}", false, "too many arguments passed to the function" },
	{ "a.*", "{{split(1)}}", false, "not enough arguments passed to the function" },
	{ "a.*", "{{split(1,x y)}}", false, "function argument is invalid or in the wrong format" },
	{ "a.*", "{{right(1,x)}}", false, "function argument is invalid or in the wrong format" },
	{ "a.*", "{{right(1,2,3)}}", false, "too many arguments passed to the function" },
	{ "a.*", "{{partition()}}", false, "function argument is invalid or in the wrong format" },
	{ "a.*", "{{partition(2147483648)}}", false, "function argument is invalid or in the wrong format" },
	{ "a.*", "{{random(1,2)}}", false, "too many arguments passed to the function" },
	{ "a.*", "{{random(x)}}", false, "function argument is invalid or in the wrong format" },
	{ "a.*", "{{wildcards(1)}}", false, "unknown function" },
	{ "a.*", "{{WILDCARD(1)}}", false, "unknown function" },
	{ "a.*", "{{wildcard(1}}", false, "unknown function" },
	{ "a.*", "{{wildcard}}", false, "unknown function" },
	{ "a.*.*", "$1", true, "not using all of the token wildcard(s)" },
	{ "a.*", "$1.$1", true, "a wildcard is used twice" },
	{ "a.*", "{{left(1,1)}}", true, "the only mapping function allowed for import transforms is {{Wildcard()}}" },
};

START_TEST(what_makes_no_sense_is_refused)
{
	struct transform *t = NULL;
	const char *why = NULL;

	ck_assert_int_eq(transform_new(&t, bytes_of(bad[_i].source), bytes_of(bad[_i].destination),
	    bad[_i].strict, &why), -EINVAL);
	ck_assert_str_eq(why, bad[_i].why);
	ck_assert_ptr_null(t);
}
END_TEST

START_TEST(random_takes_each_number_below_its_argument)
{
	struct transform *t = made("*", "{{random(5)}}.{{random(5)}}", false);
	unsigned seen[5][5] = { { 0 } }, i, j;
	char out[8];

	ck_assert(!transform_fixed(t));
	for (i = 0; i < 5000; i++) {
		ck_assert_int_eq(transform_subject(t, BYTES("x"), i * UINT64_C(0x9e3779b97f4a7c15), out, sizeof(out)), 3);
		ck_assert(out[0] >= '0' && out[0] < '5' && out[1] == '.' && out[2] >= '0' && out[2] < '5');
		seen[out[0] - '0'][out[2] - '0']++;
	}
	for (i = 0; i < 5; i++)
		for (j = 0; j < 5; j++)
			ck_assert_uint_gt(seen[i][j], 100);
	transform_free(t);
}
END_TEST

/* ---- back */

static const struct { const char *source, *destination, *wanted, *back; } backs[] = {
	{ "a.*", "b.$1", "b.*", "a.*" }, { "a.*", "b.$1", "b.c", "a.c" }, { "a.*", "b.$1", ">", "a.*" },
	{ "a.*", "b.$1", "b.>", "a.*" }, { "a.*", "b.$1", "a.c", NULL }, { "a.*", "b.$1", "b", NULL },
	{ "a.*", "b.$1", "b.*.c", NULL }, { "a.*.*", "$2.$1", "x.>", "a.*.x" }, { "a.*.*", "$2.$1", "*.y", "a.y.*" },
	{ "a.>", "p.a.>", "p.a.b.*", "a.b.*" }, { "a.>", "p.a.>", "p.>", "a.>" }, { "a.>", "p.a.>", ">", "a.>" },
	{ "a.>", "p.a.>", "p.a", NULL }, { "a.>", "p.a.>", "*.*.c.>", "a.c.>" }, { "a.b", "c", "*", "a.b" },
	{ "a.*.>", "$1.x.>", "q.x.r", "a.q.r" }, { ">", ">", "q.*.r", "q.*.r" },
};

START_TEST(a_subscription_is_taken_back)
{
	struct transform *t = made(backs[_i].source, backs[_i].destination, true);
	struct bytes wanted = bytes_of(backs[_i].wanted);
	char out[64];
	int len = transform_back(t, wanted, out, sizeof(out));

	if (backs[_i].back == NULL)
		ck_assert_int_eq(len, -ENOENT);
	else {
		ck_assert_int_ge(len, 0);
		out[len] = '\0';
		ck_assert_str_eq(out, backs[_i].back);
		ck_assert_int_eq(transform_back(t, wanted, out, (size_t)len - 1), -ENOSPC);
	}
	transform_free(t);
}
END_TEST

/* A subject of tokens a, b, c; star: `*` too; rest: perhaps with `>` at the end. */
static void
random_subject(char *out, bool star, bool rest)
{
	unsigned n = 1 + (unsigned)random() % 4, i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			*out++ = '.';
		*out++ = rest && i == n - 1 && random() % 3 == 0 ? '>' :
		    star && random() % 3 == 0 ? '*' : "abc"[random() % 3];
	}
	*out = '\0';
}

/* All wildcards of source, in some order, between other tokens. */
static void
random_destination(char *out, const char *source)
{
	unsigned stars = 0, used = 0, n;
	const char *c;

	for (c = source; *c != '\0'; c++)
		stars += *c == '*';
	for (n = (unsigned)random() % 2 + (stars == 0 && strchr(source, '>') == NULL); used < stars || n > 0;) {
		if (n > 0 && random() % 2 == 0) {
			out += sprintf(out, "%c.", "abc"[random() % 3]);
			n--;
		} else if (used < stars)
			out += sprintf(out, random() % 2 == 0 ? "$%u." : "{{wildcard(%u)}}.", ++used);
	}
	if (strchr(source, '>') != NULL)
		*out++ = '>';
	else
		out--;
	*out = '\0';
}

/*
 * What is delivered to a subscriber of `wanted` by way of the pattern over source is just
 * what, mapped, matches `wanted`.
 */
START_TEST(taken_back_a_pattern_matches_what_maps_to_the_wanted)
{
	char source[16], destination[128], wanted[16], subject[16], back[64], becomes[64];
	struct transform *t;
	int round, i, length, len, hits = 0;
	bool wants;

	srandom(5);
	for (round = 0; round < 100000; round++) {
		random_subject(source, true, true);
		random_destination(destination, source);
		t = made(source, destination, true);
		random_subject(wanted, true, true);
		length = transform_back(t, bytes_of(wanted), back, sizeof(back));
		if (length != -ENOENT && (length < 0 || !subject_valid((struct bytes){ back, (size_t)length })))
			ck_abort_msg("%s to %s wanted %s", source, destination, wanted);
		for (i = 0; i < 10; i++) {
			random_subject(subject, false, false);
			wants = false;
			if (transform_matches(t, bytes_of(subject))) {
				len = transform_subject(t, bytes_of(subject), 0, becomes, sizeof(becomes));
				wants = subject_matches(bytes_of(wanted), (struct bytes){ becomes, (size_t)len });
			}
			hits += wants;
			if (wants != (length >= 0 &&
			    subject_matches((struct bytes){ back, (size_t)length }, bytes_of(subject))))
				ck_abort_msg("%s to %s wanted %s: %s", source, destination, wanted, subject);
		}
		transform_free(t);
	}
	ck_assert_int_gt(hits, 10000);
}
END_TEST

#define COUNT(array)	((int)(sizeof(array) / sizeof((array)[0])))

int
main(void)
{
	Suite *s = suite_create("transform");
	TCase *c = tcase_create("transforms");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, subject_becomes_what_the_real_server_makes_of_it, 0, COUNT(cases));
	tcase_add_loop_test(c, what_makes_no_sense_is_refused, 0, COUNT(bad));
	tcase_add_test(c, random_takes_each_number_below_its_argument);
	tcase_add_loop_test(c, a_subscription_is_taken_back, 0, COUNT(backs));
	tcase_add_test(c, taken_back_a_pattern_matches_what_maps_to_the_wanted);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

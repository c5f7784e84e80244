/* Failed logins against a list of all of them, which is what is meant. */
#include <stdlib.h>
#include "supervisor/auth/throttle.h"
#include "tests/unit/auth/document.h"

static struct throttle	throttle;

static void
setup(void)
{
	map_seed();
	ck_assert_int_eq(throttle_init(&throttle), 0);
}

static void
teardown(void)
{
	throttle_free(&throttle);
}

static struct source
from(unsigned i)
{
	return (struct source){ 1, i };
}

/* Between the window and an eighth more of it, both answers are right. */
START_TEST(as_a_list_has_it)
{
	enum { SOURCES = 4, MOST = 4000 };
	static double	times[SOURCES][MOST];
	unsigned	n[SOURCES] = { 0 }, i, k, who, surely, perhaps, seed = (unsigned)_i;
	const double	window = 0.5 + _i;
	const uint64_t	failures = 1 + (uint64_t)_i % 12;
	double		now = 12345;

	throttle_set(&throttle, failures, window);
	for (i = 0; i < MOST; i++) {
		now += (double)(rand_r(&seed) % 1000) / 1000 * window / (double)failures;
		who = (unsigned)rand_r(&seed) % SOURCES;
		if (rand_r(&seed) % 3 != 0) {
			throttle_failed(&throttle, from(who), now);
			times[who][n[who]++] = now;
		}
		for (surely = perhaps = 0, k = n[who]; k-- > 0 && times[who][k] > now - 2 * window;) {
			surely += times[who][k] >= now - window;
			perhaps += times[who][k] >= now - window * 9 / 8 - 1e-6;
		}
		if (throttle_delays(&throttle, from(who), now))
			ck_assert_uint_ge(perhaps, failures);
		else
			ck_assert_uint_lt(surely, failures);
	}
}
END_TEST

START_TEST(the_one_that_begins_it_is_told)
{
	int	i;

	throttle_set(&throttle, 10, 10);
	for (i = 1; i <= 15; i++)
		ck_assert_int_eq(throttle_failed(&throttle, from(1), 100), i == 10);
	ck_assert(!throttle_delays(&throttle, from(2), 100));
	ck_assert(throttle_delays(&throttle, from(1), 110));
	ck_assert(!throttle_delays(&throttle, from(1), 111.3));
}
END_TEST

START_TEST(zero_delays_nobody)
{
	throttle_set(&throttle, 0, 10);
	ck_assert(!throttle_failed(&throttle, from(1), 1));
	ck_assert(!throttle_delays(&throttle, from(1), 1));
	ck_assert_uint_eq(throttle.all.count, 0);
}
END_TEST

/* The table is bounded, and the one that failed last is in it. */
START_TEST(it_is_bounded)
{
	unsigned	i;

	throttle_set(&throttle, 1, 1e6);
	for (i = 0; i < THROTTLE_SOURCES * 2; i++)
		throttle_failed(&throttle, from(i), 1 + i * 1e-6);
	ck_assert_uint_le(throttle.all.count, THROTTLE_SOURCES);
	ck_assert(throttle_delays(&throttle, from(i - 1), 2));
	ck_assert(!throttle_delays(&throttle, from(0), 2));
	/* and what is over goes by itself */
	throttle_failed(&throttle, from(i), 1e8);
	ck_assert_uint_eq(throttle.all.count, 1);
}
END_TEST

static const struct { const char *a, *b; bool same; } addresses[] = {
	{ "192.0.2.1", "192.0.2.1", true }, { "192.0.2.1", "192.0.2.2", false },
	{ "192.0.2.1", "::ffff:192.0.2.1", true },
	{ "2001:db8::1", "2001:db8::ffff:1", true }, { "2001:db8::1", "2001:db8:0:1::1", false },
	{ "fe80::1%eth0", "fe80::2%eth1", true }, { "unix/1000", "unix/1000", true },
	{ "unix/1000", "unix/1001", false }, { "::", "unix/0", false }, { "0.0.0.0", "::", false },
};

START_TEST(addresses_are_one_source)
{
	ck_assert_int_eq(source_equal(source_of(bytes_of(addresses[_i].a)), source_of(bytes_of(addresses[_i].b))),
	    addresses[_i].same);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("throttle");
	TCase	*t = tcase_create("throttle");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, as_a_list_has_it, 0, 30);
	tcase_add_test(t, the_one_that_begins_it_is_told);
	tcase_add_test(t, zero_delays_nobody);
	tcase_add_test(t, it_is_bounded);
	tcase_add_loop_test(t, addresses_are_one_source, 0, (int)(sizeof(addresses) / sizeof(addresses[0])));
	suite_add_tcase(s, t);
	return run(s);
}

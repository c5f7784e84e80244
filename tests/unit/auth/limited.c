/* Limits of connections and subscriptions over two workers; sources that fail too often. */
#include "tests/unit/auth/rig.h"

static void
setup_limited(void)
{
	uint64_t	limits[LIMITS], user_limits[LIMITS];
	struct document	d;
	struct msg	u;

	setup();
	memcpy(limits, document_unlimited, sizeof(limits));
	limits[LIMIT_CONNECTIONS] = 5;
	limits[LIMIT_ADDRESS] = 3;
	limits[LIMIT_SUBSCRIPTIONS] = 10;
	memcpy(user_limits, document_unlimited, sizeof(user_limits));
	user_limits[LIMIT_CONNECTIONS] = 2;
	document_begin(&d);
	document_account_limited(&d, 4, "T", limits);
	document_password(&d, 4, "t", "t");
	document_password(&d, 4, "h", HASH);
	u = document_user(USER_PASSWORD, 1, "two", BYTES("two"));
	u.u.user.limits.own = user_limits;
	document_add(&d, u);
	start(document_end(&d));
}

START_TEST(connections_are_counted_over_workers)
{
	say(0, login(1, "two", "two"));
	ck_assert_uint_ne(hear(0, MSG_admitted).c, 0);
	say(1, login(1, "two", "two"));
	hear(1, MSG_admitted);
	say(1, login(2, "two", "two"));
	ck_assert_uint_eq(hear(1, MSG_refused).a, AUTH_USER_CONNECTIONS);
	gone(0, 1);
	say(0, login(2, "two", "two"));
	hear(0, MSG_admitted);
	/* a worker that ends takes its clients along */
	worker_connect(1);
	worker_ready(1);
	say(1, login(7, "two", "two"));
	hear(1, MSG_admitted);
	say(1, login(8, "two", "two"));
	ck_assert_uint_eq(hear(1, MSG_refused).a, AUTH_USER_CONNECTIONS);
}
END_TEST

START_TEST(addresses_are_counted_by_network)
{
	uint64_t	i;
	char		address[64];

	for (i = 1; i <= 4; i++) {
		snprintf(address, sizeof(address), "2001:db8:0:1::%llx", (unsigned long long)i);
		say(0, login_from(i, "t", "t", address));
		if (i <= 3)
			hear(0, MSG_admitted);
	}
	ck_assert_uint_eq(hear(0, MSG_refused).a, AUTH_ADDRESS_CONNECTIONS);
	say(0, login_from(5, "t", "t", "2001:db8:0:2::1"));
	say(0, login_from(6, "t", "t", "192.0.2.9"));
	say(0, login_from(7, "t", "t", "192.0.2.10"));
	hear(0, MSG_admitted);
	hear(0, MSG_admitted);
	ck_assert_uint_eq(hear(0, MSG_refused).a, AUTH_ACCOUNT_CONNECTIONS);
}
END_TEST

/* Ten subscriptions over two workers, to the last one; none for who has nobody in the account. */
START_TEST(subscriptions_are_exact_over_workers)
{
	uint64_t	have[2] = { 0, 0 }, amount;

	say(0, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 100));
	ck_assert_uint_eq(hear(0, MSG_leases).a, 0);
	say(0, login_from(1, "t", "t", "::1"));
	say(1, login_from(1, "t", "t", "::1"));
	hear(0, MSG_admitted);
	hear(1, MSG_admitted);
	say(0, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 4, 4));
	ck_assert_uint_eq(have[0] = hear(0, MSG_leases).a, 4);
	while (have[0] + have[1] < 10) {
		say(1, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 100));
		ck_assert_uint_gt(amount = hear(1, MSG_leases).a, 0);
		have[1] += amount;
	}
	ck_assert_uint_eq(have[0] + have[1], 10);
	/* the last one is with worker 0, which has one it does not need */
	say(1, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 100));
	hear(0, MSG_lease_recall);
	say(0, (struct msg){ .type = MSG_lease_back, .u.lease_back = { LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 0 } });
	ck_assert_uint_eq(hear(1, MSG_leases).a, 1);
	say(1, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 1));
	hear(0, MSG_lease_recall);
	say(0, (struct msg){ .type = MSG_lease_back, .u.lease_back = { LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 0, 0 } });
	ck_assert_uint_eq(hear(1, MSG_leases).a, 0);
	/* what a dead worker had is there again */
	worker_connect(0);
	worker_ready(0);
	say(1, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 3, 3));
	ck_assert_uint_eq(hear(1, MSG_leases).a, 3);
}
END_TEST

static struct msg
leased(uint64_t amount)
{
	return (struct msg){ .type = MSG_leased, .u.leased = { LEASE_ACCOUNT_SUBSCRIPTIONS, 4, amount, 0 } };
}

/* Of 10 another worker has 8, which it says after this one has asked; or, _i 1, it says nothing for a second. */
START_TEST(nothing_is_lent_before_all_said_what_they_have)
{
	double	began;

	say(1, login_from(1, "t", "t", "::1"));
	hear(1, MSG_admitted);
	worker_connect(0);
	began = program_now();
	say(1, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 3, 3));
	say(1, (struct msg){ .type = MSG_nonces_wanted });
	hear(1, MSG_nonces);			/* it has been asked */
	if (_i == 1) {
		ck_assert_uint_eq(hear(1, MSG_leases).a, 3);
		ck_assert_double_gt(program_now() - began, 0.5);
		return;
	}
	say(0, leased(8));
	worker_ready(0);
	hear(0, MSG_lease_recall);
	say(0, (struct msg){ .type = MSG_lease_back, .u.lease_back = { LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 0 } });
	ck_assert_uint_eq(hear(1, MSG_leases).a, 3);
}
END_TEST

/* After three failures from an address its logins wait, right ones too; others do not. */
START_TEST(failures_delay_their_address)
{
	double		began;
	char		text[4096];
	uint64_t	i;

	setup();
	settings.auth_failures = 3;
	settings.auth_failure_delay = 0.3;
	settings.has_auth_failure_delay = true;
	start(document_usual("b", "x"));
	for (i = 1; i <= 3; i++) {
		say(0, login(i, "a", "wrong"));
		hear(0, MSG_refused);
	}
	began = program_now();
	say(0, login(4, "a", "b"));
	say(1, login_from(5, "a", "b", "192.0.2.2"));
	hear(1, MSG_admitted);
	ck_assert_double_lt(program_now() - began, 0.3);
	hear(0, MSG_admitted);
	ck_assert_double_ge(program_now() - began, 0.29);
	program_log(&auth, text, sizeof(text));
	ck_assert_ptr_nonnull(memmem(text, sizeof(text), "auth_failures: 3 logins", 23));
}
END_TEST

static void
throttled_start(uint64_t failures, double delay)
{
	setup();
	settings.auth_failures = failures;
	settings.auth_failure_delay = delay;
	settings.has_auth_failure_delay = true;
	start(document_usual("b", "x"));
}

/* All at once over two workers: one answer each delay, in the order in which they came at a worker. */
START_TEST(one_source_is_looked_at_one_by_one)
{
	double		began;
	uint64_t	i;

	throttled_start(1, 0.2);
	say(0, login(1, "a", "wrong"));
	hear(0, MSG_refused);
	began = program_now();
	for (i = 2; i <= 4; i++) {
		say(0, login(i, "a", "wrong"));
		say(1, login(i, "a", "wrong"));
	}
	for (i = 2; i <= 4; i++) {
		ck_assert_uint_eq(hear(0, MSG_refused).cid, i);
		ck_assert_double_ge(program_now() - began, 0.19 + 0.4 * (double)(i - 2));
		ck_assert_uint_eq(hear(1, MSG_refused).cid, i);
	}
	ck_assert_double_ge(program_now() - began, 1.19);
	ck_assert_double_lt(program_now() - began, 2.5);
}
END_TEST

/* Who goes gives its time to those behind it. */
START_TEST(who_goes_gives_its_turn)
{
	const double	began = program_now();
	uint64_t	i;

	throttled_start(1, 0.5);
	say(0, login(1, "a", "wrong"));
	hear(0, MSG_refused);
	for (i = 2; i <= 20; i++)
		say(0, login(i, "a", "wrong"));
	say(0, login(21, "a", "b"));
	for (i = 2; i <= 20; i++)
		gone(0, i);
	ck_assert_uint_eq(hear(0, MSG_admitted).cid, 21);
	ck_assert_double_lt(program_now() - began, 3);
}
END_TEST

/* Hashes take longer than all logins to come; a reload that counts no failures lets go who waits. */
START_TEST(hashed_ones_that_came_at_once_wait_too)
{
	enum { ALL = 100, FAILURES = 5, THREADS = 2 };
	double		began;
	uint64_t	i;

	throttled_start(FAILURES, 60);
	for (i = 1; i <= ALL; i++)
		say(0, login(i, "h", "wrong"));
	for (i = 0; i < FAILURES; i++)
		hear(0, MSG_refused);
	for (i = 1; i <= 30; i++) {		/* sources take turns: as many of the first would be answered */
		say(1, login_from(i, "h", "password", "192.0.2.2"));
		hear(1, MSG_admitted);
	}
	ck_assert_uint_le(workers[0].count, FAILURES + THREADS);
	settings.auth_failures = 0;
	began = program_now();
	reload(document_usual("b", "x"));
	for (i = FAILURES; i < ALL; i++)
		hear(0, MSG_refused);
	ck_assert_double_lt(program_now() - began, 30);
}
END_TEST

/* Its failures are too old to count: those that wait are looked at together. */
START_TEST(the_line_ends_with_the_failures)
{
	double		began;
	uint64_t	i;

	setup();
	settings.auth_failure_window = 0.1;
	settings.has_auth_failure_window = true;
	settings.auth_failures = 1;
	settings.auth_failure_delay = 0.5;
	settings.has_auth_failure_delay = true;
	start(document_usual("b", "x"));
	say(0, login(1, "a", "wrong"));
	hear(0, MSG_refused);
	began = program_now();
	for (i = 2; i <= 21; i++)
		say(0, login(i, "a", "b"));
	for (i = 2; i <= 21; i++)
		ck_assert_uint_eq(hear(0, MSG_admitted).cid, i);
	ck_assert_double_ge(program_now() - began, 0.49);
	ck_assert_double_lt(program_now() - began, 2);
}
END_TEST

START_TEST(a_delayed_or_hashing_one_that_goes_is_forgotten)
{
	uint64_t	i;

	setup();
	settings.auth_failures = 1;
	settings.auth_failure_delay = 0.2;
	settings.has_auth_failure_delay = true;
	start(document_usual("b", "x"));
	for (i = 1; i <= 50; i++)
		say(0, login_from(i, "h", "password", "192.0.2.7"));
	for (i = 1; i <= 50; i++)
		gone(0, i);
	say(1, login(1, "a", "wrong"));
	hear(1, MSG_refused);
	say(1, login(2, "a", "b"));
	gone(1, 2);
	say(1, login(3, "a", "b"));
	ck_assert_uint_eq(hear(1, MSG_admitted).cid, 3);
	say(0, login_from(99, "a", "b", "192.0.2.8"));
	while (workers[0].at == 0 || workers[0].all[workers[0].at - 1].cid != 99)
		hear(0, MSG_admitted);		/* what was answered before `gone` came */
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("auth limited");
	TCase	*limited = tcase_create("limited"), *own = tcase_create("own");

	tcase_add_checked_fixture(limited, setup_limited, teardown);
	tcase_add_test(limited, connections_are_counted_over_workers);
	tcase_add_test(limited, addresses_are_counted_by_network);
	tcase_add_test(limited, subscriptions_are_exact_over_workers);
	tcase_add_loop_test(limited, nothing_is_lent_before_all_said_what_they_have, 0, 2);
	tcase_set_timeout(limited, 60);
	suite_add_tcase(s, limited);
	tcase_add_checked_fixture(own, NULL, teardown);
	tcase_add_test(own, failures_delay_their_address);
	tcase_add_test(own, one_source_is_looked_at_one_by_one);
	tcase_add_test(own, who_goes_gives_its_turn);
	tcase_add_test(own, hashed_ones_that_came_at_once_wait_too);
	tcase_add_test(own, the_line_ends_with_the_failures);
	tcase_add_test(own, a_delayed_or_hashing_one_that_goes_is_forgotten);
	tcase_set_timeout(own, 60);
	suite_add_tcase(s, own);
	return run(s);
}

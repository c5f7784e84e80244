/* The supervisor with an auth that comes and goes, and with accounts. */
#include "tests/unit/supervisor/tree.h"

/* Each worker has a channel to it, whichever of the two is new. */
START_TEST(workers_meet_auth)
{
	config_write(7000);
	server_serves("good");
	err_await_more("has an auth", WORKERS);
	kill(child_pid("auth 0"), SIGKILL);
	err_await("auth 0 (process");
	err_await_more("has an auth", 2 * WORKERS);
	kill(child_pid("worker 1"), SIGKILL);
	err_await_more("has an auth", 2 * WORKERS + 1);
	err_await_more("auth has worker 1", 3);
	nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);	/* longer than a pause */
	ck_assert_int_le(err_count("has an auth"), 3 * WORKERS + 1);	/* `auth_lost` may have crossed */
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 2);
}
END_TEST

/* They meet again, but not in a loop. */
START_TEST(workers_meet_an_auth_that_loses_them_after_a_pause)
{
	double begun;

	config_write(7000);
	server_serves("loses-workers");
	err_await_more("has an auth", WORKERS);
	begun = now();
	err_await_more("has an auth", 4 * WORKERS);
	ck_assert_double_gt(now() - begun, 1);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* It is there before a worker asks it, and until the last one does not any more. */
START_TEST(auth_comes_and_goes_by_reload)
{
	const char *text;
	int i;

	config_write(1000);
	server_serves("good");
	for (i = 1; i <= 2; i++) {
		reload(7000);
		err_await_more("Reloaded server configuration", 2 * i - 1);
		ck_assert_int_eq(err_count("started auth 0"), i);
		err_await_more("has an auth", i * WORKERS);
		reload(1000);
		err_await_more("Reloaded server configuration", 2 * i);
	}
	text = err_text();
	ck_assert(strstr(text, "worker 0 has an auth") <
	    strstr(text, "worker 0 goes from 1000 to 7000"));
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
	ck_assert_int_eq(err_count("Reloaded: accounts\n"), 4);
	ck_assert_int_eq(err_count("Reloaded: auth"), 0);
	ck_assert_int_eq(err_count("Reloaded: account_numbers"), 0);
}
END_TEST

/* It is wanted again before the one that was dismissed has ended. */
START_TEST(auth_comes_back_while_it_goes)
{
	config_write(1000);
	server_serves("auth-ends-slowly");
	reload(7000);
	err_await_more("Reloaded server configuration", 1);
	reload(1000);
	err_await_more("Reloaded server configuration", 2);
	reload(7000);
	err_await_more("Reloaded server configuration", 3);
	ck_assert_int_eq(err_count("started auth 0"), 2);
	ck_assert_int_eq(err_count("did not come up"), 0);
	server_stop();
}
END_TEST

START_TEST(without_auth_there_is_no_reload_that_needs_it)
{
	config_write(1000);
	server_serves("auth-never-ready");
	reload(7000);
	err_await("Failed to reload server configuration: auth did not come up");
	reload(2000);
	err_await("Reloaded server configuration");
	all_have(2000);
	server_stop();
	ck_assert_int_eq(err_count("goes from 1000 to 7000"), 0);
	ck_assert_int_eq(err_count("started auth 0"), 1);
}
END_TEST

/* Numbers 1 to 3 are always served, others while the settings of before or of after have them. */
START_TEST(accounts_are_served_while_they_are_there)
{
	config_write(1000);
	server_serves("looks-at-accounts");
	reload(7001);
	err_await("after: 4 4 4 4 4 0 0 0");
	ck_assert_int_eq(err_count("meanwhile: 4 4 4 4 4 0 0 0"), 1);
	reload(7002);		/* C and D are new, B is gone */
	err_await("after: 4 4 4 4 0 4 4 0");
	ck_assert_int_eq(err_count("meanwhile: 4 4 4 4 4 4 4 0"), 1);
	reload(7003);
	err_await("configuration: the numbers of accounts do not continue those in force");
	reload(7004);		/* B is there again, with its number */
	err_await("after: 4 4 4 4 4 4 4 0");
	kill(child_pid("worker 0"), SIGKILL);
	err_await_more("segments of worker 0", 2);
	server_stop();
}
END_TEST

static Suite *
auth_suite(void)
{
	Suite *s = suite_create("auth");
	TCase *c = tcase_create("auth");

	tcase_set_timeout(c, 90);
	tcase_add_test(c, workers_meet_auth);
	tcase_add_test(c, workers_meet_an_auth_that_loses_them_after_a_pause);
	tcase_add_test(c, auth_comes_and_goes_by_reload);
	tcase_add_test(c, auth_comes_back_while_it_goes);
	tcase_add_test(c, without_auth_there_is_no_reload_that_needs_it);
	tcase_add_test(c, accounts_are_served_while_they_are_there);
	suite_add_tcase(s, c);
	return s;
}

int
main(int argc, char **argv)
{
	return tree_main(argv, auth_suite);
}

/* The supervisor reloads, with children that follow, refuse, or do neither. */
#include "tests/unit/supervisor/tree.h"

START_TEST(all_processes_follow)
{
	config_write(1000);
	server_serves("good");
	reload(2000);
	err_await("Reloaded: max_payload = 2000");
	err_await("Reloaded server configuration (sha256:0)");
	all_have(2000);
	ck_assert_int_eq(err_count("goes from 1000 to 2000"), WORKERS);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
	ck_assert_int_eq(err_count("Reloaded: "), 1);
}
END_TEST

START_TEST(one_refusal_is_all_it_takes)
{
	config_write(1000);
	server_serves("refuses");
	reload(2000);
	err_await("Failed to reload server configuration: worker 1: not with me");
	reload(555);
	err_await("Failed to reload server configuration: config reload not supported for workers: old=3, new=9");
	reload(666);
	err_await("Failed to reload server configuration: f:1:1: no");
	err_await("Failed to reload server configuration: f:2:2: never");
	ck_assert_int_eq(err_count("goes from"), 0);
	ck_assert_int_eq(err_count("Reloaded"), 0);
	reload(3000);		/* with that one everybody can go along */
	err_await("Reloaded server configuration");
	ck_assert_int_eq(err_count("goes from 1000 to 3000"), WORKERS);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 4);
}
END_TEST

/* One worker spoils it for itself: it is replaced, and its successor has what is in force. */
static const struct { const char *how, *line; } spoilers[] = {
	{ "dies-preparing",	"was ended by signal 9" },
	{ "hangs-preparing",	"it did not answer to a reload within 0.4 s" },
	{ "dies-committing",	"was ended by signal 9" },
	{ "hangs-committing",	"it did not answer to a reload within 0.4 s" },
	{ "commits-too-early",	"what it sent was refused: committed" },
	{ "commits-twice",	"what it sent was refused: committed" },
	{ "prepares-the-future", "what it sent was refused: prepared" },
};

START_TEST(who_does_not_follow_is_replaced)
{
	config_write(1000);
	server_serves(spoilers[_i].how);
	reload(2000);
	err_await("Reloaded server configuration");
	err_await(spoilers[_i].line);
	while (err_count("worker 0 starts with") < 2)
		nap();
	while (err_count("worker 0 (process") < 4)	/* started, ready, ended, started */
		nap();
	err_await("it is replaced");
	reload(3000);
	while (err_count("Reloaded server configuration") < 2)
		nap();
	while (err_count(" to 3000\n") < WORKERS)	/* a successor that is not ready follows later */
		nap();
	all_have(3000);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

/* A successor that becomes ready in each phase of a reload, and after it. */
START_TEST(who_comes_late_follows)
{
	config_write(1000);
	server_serves("late");
	for (unsigned i = 0; i < 6; i++) {
		int before = err_count("Reloaded server configuration");
		char what[64];
		snprintf(what, sizeof(what), "worker %d", i % 2 == 0 ? 0 : 2);
		kill(child_pid(what), SIGKILL);
		reload(2000 + i);
		usleep(i * 30000);		/* at different moments */
		while (err_count("Reloaded server configuration") == before)
			nap();
		while (err_count(" starts with ") < WORKERS + 1 + (int)i)
			nap();
		snprintf(what, sizeof(what), "%u\n", 2000 + i);
		while (err_count(what) < WORKERS + 1)	/* each worker's, and `Reloaded` */
			nap();
		all_have(2000 + i);
	}
	server_stop();
}
END_TEST

/* Wanted again while its predecessor is still ending. */
START_TEST(monitoring_comes_back)
{
	config_write(1000);
	server_serves("monitor-ends-late");
	reload(444);
	err_await("Reloaded server configuration");
	reload(2000);
	while (err_count("Reloaded server configuration") < 2)
		nap();
	ck_assert_int_eq(err_count("started monitor 0"), 1);
	while (err_count("started monitor 0") < 2)
		nap();
	while (err_count("monitor 0 (process") < 3)	/* started, ready, started */
		nap();
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
	ck_assert_int_eq(err_count("started monitor 0"), 2);
}
END_TEST

static Suite *
reload_suite(void)
{
	Suite *s = suite_create("reload");
	TCase *c = tcase_create("reload");

	tcase_set_timeout(c, 90);
	tcase_add_test(c, all_processes_follow);
	tcase_add_test(c, one_refusal_is_all_it_takes);
	tcase_add_loop_test(c, who_does_not_follow_is_replaced, 0,
	    sizeof(spoilers) / sizeof(spoilers[0]));
	tcase_add_test(c, who_comes_late_follows);
	tcase_add_test(c, monitoring_comes_back);
	suite_add_tcase(s, c);
	return s;
}

int
main(int argc, char **argv)
{
	return tree_main(argv, reload_suite);
}

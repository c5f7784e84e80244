/* What the process of the system account asks of the supervisor, and is told. */
#include "tests/unit/supervisor/tree.h"

START_TEST(system_has_its_reloads)
{
	config_write(1000);
	server_serves("asks-for-a-reload");
	err_await_more("reloaded: \n", 2);
	config_write(666);
	kill(child_pid("system 0"), SIGKILL);
	err_await_more("reloaded: f:1:1: no", 2);	/* escaped: the lines are one in the log */
	server_stop();
}
END_TEST

START_TEST(system_kicks_one_client)
{
	unsigned slot, other;
	unsigned long incarnation;
	char line[64];

	server_serves("kicks");
	client_greeted(client(), &slot, &incarnation);
	snprintf(line, sizeof(line), "worker %u closes 1 for 4\n", slot);
	err_await(line);
	snprintf(line, sizeof(line), "worker %u tells 1\n", slot);
	err_await(line);
	client_greeted(client(), &other, &incarnation);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
	ck_assert_int_eq(err_count(" closes 1 for"), err_count(" closes "));
}
END_TEST

/* The system account hears of the end while there are workers to tell it. */
START_TEST(system_tells_before_workers_go)
{
	const char *text;

	server_serves("tells-its-end");
	server_stop();
	text = err_text();
	ck_assert_int_eq(err_count("system tells of the end"), 1);
	ck_assert_int_eq(err_count("is to end"), WORKERS);
	ck_assert(strstr(text, "system tells of the end") < strstr(text, "is to end"));
}
END_TEST

START_TEST(a_silent_system_is_not_waited_for)
{
	server_serves("silent");
	server_stop();
	server_serves("silent");
	kill(child_pid("system 0"), SIGSTOP);
	err_await("is stopped; it is replaced");
	server_stop();
}
END_TEST

START_TEST(system_says_nothing_unasked)
{
	server_start("told-early");
	err_await("what it sent was refused: left_word");
	err_await("Server is ready");
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

START_TEST(the_end_comes_before_a_reload)
{
	double seconds;

	config_write(1000);
	server_serves("hangs-preparing");
	reload(2000);
	while (err_count("config 0") < 4)	/* it has answered: all are being asked */
		nap();
	kill(server, SIGTERM);
	ck_assert_int_eq(server_ends(&seconds), 0);
	ck_assert_int_eq(err_count("goes from"), 0);
}
END_TEST

static Suite *
system_suite(void)
{
	Suite *s = suite_create("system");
	TCase *c = tcase_create("system");

	tcase_set_timeout(c, 90);
	tcase_add_test(c, system_has_its_reloads);
	tcase_add_test(c, system_kicks_one_client);
	tcase_add_test(c, system_tells_before_workers_go);
	tcase_add_test(c, a_silent_system_is_not_waited_for);
	tcase_add_test(c, system_says_nothing_unasked);
	tcase_add_test(c, the_end_comes_before_a_reload);
	suite_add_tcase(s, c);
	return s;
}

int
main(int argc, char **argv)
{
	return tree_main(argv, system_suite);
}

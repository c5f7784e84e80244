/* The supervisor with children that misbehave, die, stop, and end. */
#include "tests/unit/supervisor/tree.h"

START_TEST(connections_are_spread)
{
	unsigned slot, each[WORKERS] = { 0 }, seen = 0;
	unsigned long incarnation;
	int i;

	server_serves("good");
	for (i = 0; i < 60 || seen != (1u << WORKERS) - 1; i++) {	/* some begin later than others */
		client_greeted(client(), &slot, &incarnation);
		ck_assert_uint_lt(slot, WORKERS);
		seen |= 1u << slot;
		each[slot]++;
	}
	for (; each[0] != each[1] || each[1] != each[2]; i++) {	/* but all get the same in the end */
		ck_assert_int_lt(i, 1000);
		client_greeted(client(), &slot, &incarnation);
		each[slot]++;
	}
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* What each of these does ends it, and nobody else. */
static const struct { const char *how, *line; } liars[] = {
	{ "unsealed",            "what it sent was refused: sealed" },
	{ "wrong-generation",    "what it sent was refused: sealed" },
	{ "seals-twice",         "what it sent was refused: lane_sealed" },
	{ "joins-twice",         "what it sent was refused: joined" },
	{ "takes-nothing-given", "what it sent was refused: taken" },
	{ "ready-twice",         "what it sent was refused: state" },
	{ "garbage",             "what it sent was refused:" },
	{ "closes-channel",      "exited with status 0; it is replaced" },
	{ "drains-early",        "what it sent was refused: drained" },
	{ "joins-the-future",    "what it sent was refused: joined" },
	{ "closes-nothing-given", "what it sent was refused: closed" },
	{ "complains-about-itself", "what it sent was refused: complaint" },
	{ "complains-about-nobody", "what it sent was refused: complaint" },
	{ "compacts-twice", "what it sent was refused: compact" },
	{ "fails-to-compact-nothing", "what it sent was refused: compaction_failed" },
};

START_TEST(a_liar_is_replaced)
{
	unsigned slot, seen = 0;
	unsigned long incarnation;
	double until = now() + 10;
	int fd;

	server_serves(liars[_i].how);
	err_await(liars[_i].line);
	while (seen != (1u << WORKERS) - 1 && now() < until) {	/* the successor serves, the others still do */
		fd = client();
		client_greeted(fd, &slot, &incarnation);
		seen |= 1u << slot;
	}
	ck_assert_uint_eq(seen, (1u << WORKERS) - 1);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

START_TEST(nobody_is_reset_whom_a_dead_worker_had_not_taken)
{
	unsigned slot;
	unsigned long incarnation;
	int fds[60], i;

	server_serves(_i == 0 ? "dies-untaken" : _i == 1 ? "takes-nothing" : "all-die-untaken");
	for (i = 0; i < 60; i++)
		fds[i] = client();
	for (i = 0; i < 60; i++)
		client_greeted(fds[i], &slot, &incarnation);
	while (_i == 1 && err_count("did not take a connection within watchdog") == 0)
		client_greeted(client(), &slot, &incarnation);	/* if that worker began late */
	server_stop();
}
END_TEST

/* Who was spoken to is lost with its worker; nobody else may go on with it. */
START_TEST(the_answered_end_with_their_worker)
{
	unsigned slot;
	unsigned long incarnation;
	char byte;
	int fd;

	server_serves("dies-answered");
	fd = client();
	client_greeted(fd, &slot, &incarnation);
	ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
	server_stop();
}
END_TEST

START_TEST(what_never_is_ready_is_given_up)
{
	double seconds;

	server_start("never-ready");
	/* 10 deaths, backing off from 0.1 s up to 5 s */
	ck_assert_int_eq(server_ends(&seconds), 1);
	ck_assert_msg(err_count("[FTL] worker") == 1, "%s", err_tail());
	ck_assert_int_eq(err_count("died 10 times before it was ready, the last time it exited with status 7"), 1);
}
END_TEST

static const struct { const char *how, *line; } configs[] = {
	{ "config-refuses", "f:1:2: first\n" },
	{ "config-refuses", "f:3:4: second\n" },
	{ "config-dies", "was ended by signal 9" },
	{ "config-leaves", "exited with status 0" },
	{ "config-hangs", "it did not answer within" },
};

START_TEST(without_configuration_it_does_not_start)
{
	double seconds;

	server_start(configs[_i].how);
	ck_assert_int_eq(server_ends(&seconds), 1);
	ck_assert_msg(err_count(configs[_i].line) == 1, "%s", err_tail());
	ck_assert_int_eq(err_count("Listening"), 0);
}
END_TEST

START_TEST(who_does_not_end_is_ended)
{
	server_serves("never-ends");
	server_stop();
	ck_assert_int_eq(err_count("did not end within 0.5 s"), WORKERS);
}
END_TEST

START_TEST(a_complaint_replaces_the_accused)
{
	server_serves("complains");
	err_await("it broke the rules of its lane to worker 0: impossible bytes");
	server_stop();
}
END_TEST

START_TEST(who_complains_about_everybody_is_replaced)
{
	double seconds;

	server_start("complains-always");	/* it never serves: somebody is always being replaced */
	err_await("it complained about others more than 10 times");
	kill(server, SIGTERM);
	ck_assert_int_eq(server_ends(&seconds), 0);
}
END_TEST

START_TEST(compaction_goes_round)
{
	server_serves("compacts");
	err_await("compacted to generation 1");
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* It is forgotten on both sides, and the next one goes round. */
START_TEST(a_compaction_that_fails_is_not_the_last)
{
	server_serves("compacts-badly");
	err_await("refused a thousand times");
	err_await("compacted to generation 1");
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* However often a worker asks, the supervisor gives, and writes, little; and gives again when it can. */
START_TEST(without_descriptors_compaction_waits)
{
	const char *failure = "no segments to compact worker 0 into: Too many open files";
	struct rlimit limit, none;
	int before;
	double begun;

	server_serves("compacts-always");
	err_await_more("compacted to generation", 2);
	ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, NULL, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, &none, NULL), 0);
	err_await(failure);
	begun = now();
	err_await_more(failure, 3);
	ck_assert_double_gt(now() - begun, 1);
	ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, &limit, NULL), 0);
	before = err_count("compacted to generation");
	err_await_more("compacted to generation", before + 2);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* Both get a new channel, but not in a loop. */
START_TEST(monitor_and_system_meet_again)
{
	double begun;

	server_serves("loses-monitor");
	err_await("monitor has a system");
	begun = now();
	err_await_more("monitor has a system", 5);
	ck_assert_double_gt(now() - begun, 1);
	kill(child_pid("system 0"), SIGKILL);
	err_await("was ended by signal 9");
	err_await_more("monitor has a system", err_count("monitor has a system") + 2);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

/* One that nobody breaks is left alone, also when one of both is new. */
START_TEST(monitor_and_system_that_have_met_stay_together)
{
	server_serves("good");
	err_await("monitor has a system");
	kill(child_pid("system 0"), SIGKILL);
	err_await("was ended by signal 9");
	err_await_more("monitor has a system", 2);
	nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);	/* longer than a pause */
	ck_assert_int_eq(err_count("monitor has a system"), 2);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

START_TEST(a_dead_workers_counters_are_kept_as_far_as_they_are_plausible)
{
	char line[128];

	server_serves(_i == 0 ? "good" : "boaster");
	err_await("segments of worker 0");
	kill(child_pid("worker 0"), SIGKILL);
	err_await("was ended by signal 9");
	kill(child_pid("system 0"), SIGKILL);
	snprintf(line, sizeof(line), "departed in_msgs=%llu replaced=2",
	    _i == 0 ? 5ull : 1ull << 62);
	err_await(line);
	server_stop();
}
END_TEST

START_TEST(a_stopped_child_is_replaced_one_that_goes_on_is_not)
{
	pid_t pid;

	server_serves("good");
	pid = child_pid(_i == 0 ? "worker 1" : _i == 1 ? "log 0" : "system 0");
	kill(pid, SIGSTOP);
	if (_i != 1) {		/* the log cannot tell while it is stopped */
		err_await("is stopped; it is replaced");
		kill(pid, SIGCONT);
		err_await("goes on");
		kill(pid, SIGSTOP);
	}
	err_await("it was stopped for longer than watchdog allows");
	ck_assert_int_eq(kill(pid, 0), -1);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

/* A new log process writes what the old one had not read. */
START_TEST(no_line_is_lost_with_the_log)
{
	int i;

	server_serves("good");
	for (i = 0; i < 5; i++) {
		pid_t pid = child_pid("log 0");
		kill(pid, SIGSTOP);
		kill(server, SIGHUP);
		kill(child_pid("system 0"), SIGKILL);	/* a reason for lines */
		nap();
		kill(pid, SIGKILL);
		double until = now() + 10;
		while (err_count("started log 0") < i + 2 && now() < until)
			nap();
	}
	server_stop();
	ck_assert_msg(err_count("can only reload config when a file is provided") == 5, "%s", err_tail());
	ck_assert_msg(err_count("lines were lost") == 0, "%s", err_tail());
}
END_TEST

START_TEST(lame_duck_ends_when_all_have_drained)
{
	double seconds;

	server_serves("good");
	kill(server, SIGUSR2);
	ck_assert_int_eq(server_ends(&seconds), 0);
	ck_assert_int_eq(err_count("Entering lame duck mode"), 1);
	ck_assert_int_eq(err_count("Server Exiting.."), 1);
}
END_TEST

START_TEST(who_dies_in_lame_duck_mode_is_said)
{
	pid_t pid;
	double seconds;

	server_serves("never-drains");
	pid = child_pid("worker 1");
	kill(server, SIGUSR2);
	err_await("Entering lame duck mode");
	kill(pid, SIGKILL);
	err_await("was ended by signal 9");
	kill(server, SIGINT);
	ck_assert_int_eq(server_ends(&seconds), 0);
	ck_assert_msg(err_count("[ERR] worker 1") == 1, "%s", err_tail());
}
END_TEST

/* More than its channel takes at once: the rest is accepted when there is room again. */
START_TEST(monitor_is_given_more_than_its_channel_takes)
{
	int fds[900], i;
	char byte;

	server_serves("good");
	for (i = 0; i < 900; i++)
		fds[i] = connected(http_port);
	for (i = 0; i < 900; i++) {
		ck_assert_msg(recv(fds[i], &byte, 1, 0) == 0, "connection %d: %s", i, strerror(errno));
		close(fds[i]);
	}
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* Nobody is left, whatever the supervisor died of. */

START_TEST(children_end_with_the_supervisor)
{
	static const char *const names[] = { "worker 0", "worker 1", "worker 2", "system 0", "log 0" };
	pid_t pids[5];
	double until;
	char path[64], state;
	FILE *f;
	int i;

	server_serves("never-ends");
	for (i = 0; i < 5; i++)
		pids[i] = child_pid(names[i]);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	until = now() + 5;
	for (i = 0; i < 5; i++) {
		state = '?';
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pids[i]);
		while ((f = fopen(path, "r")) != NULL && now() < until) {
			if (fscanf(f, "%*d %*s %c", &state) != 1)
				state = 'Z';
			fclose(f);
			if (state == 'Z')	/* whoever inherited it waits for it, or not */
				break;
			nap();
		}
		ck_assert_msg(now() < until, "%s lives", names[i]);
	}
}
END_TEST

static Suite *
tree_suite(void)
{
	Suite *s = suite_create("tree");
	TCase *c = tcase_create("tree");

	tcase_set_timeout(c, 90);
	tcase_add_test(c, connections_are_spread);
	tcase_add_loop_test(c, a_liar_is_replaced, 0, sizeof(liars) / sizeof(liars[0]));
	tcase_add_loop_test(c, nobody_is_reset_whom_a_dead_worker_had_not_taken, 0, 3);
	tcase_add_test(c, the_answered_end_with_their_worker);
	tcase_add_test(c, what_never_is_ready_is_given_up);
	tcase_add_loop_test(c, without_configuration_it_does_not_start, 0,
	    sizeof(configs) / sizeof(configs[0]));
	tcase_add_test(c, who_does_not_end_is_ended);
	tcase_add_test(c, a_complaint_replaces_the_accused);
	tcase_add_test(c, who_complains_about_everybody_is_replaced);
	tcase_add_test(c, compaction_goes_round);
	tcase_add_test(c, a_compaction_that_fails_is_not_the_last);
	tcase_add_test(c, without_descriptors_compaction_waits);
	tcase_add_test(c, monitor_and_system_meet_again);
	tcase_add_test(c, monitor_and_system_that_have_met_stay_together);
	tcase_add_loop_test(c, a_dead_workers_counters_are_kept_as_far_as_they_are_plausible, 0, 2);
	tcase_add_loop_test(c, a_stopped_child_is_replaced_one_that_goes_on_is_not, 0, 3);
	tcase_add_test(c, no_line_is_lost_with_the_log);
	tcase_add_test(c, lame_duck_ends_when_all_have_drained);
	tcase_add_test(c, who_dies_in_lame_duck_mode_is_said);
	tcase_add_test(c, monitor_is_given_more_than_its_channel_takes);
	tcase_add_test(c, children_end_with_the_supervisor);
	suite_add_tcase(s, c);
	return s;
}

int
main(int argc, char **argv)
{
	return tree_main(argv, tree_suite);
}

/* Who is counted among the server's processes, and for how long. */
#include <sys/wait.h>
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "admin/system/usage.h"

static pid_t
process_new(int *stat)
{
	char	path[64];
	pid_t	pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	*stat = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(*stat, 0);
	return pid;
}

static void
process_end(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static const struct msg_process worker = { .role = ROLE_WORKER, .slot = 3, .pid = 1 };

/* Workers may be replaced for years without a look at /varz. */
START_TEST(who_ended_holds_no_descriptor)
{
	struct usage	 u;
	pid_t		 pid, last = 0;
	int		 i, stat;

	usage_init(&u);
	for (i = 0; i < 20; i++) {
		pid = process_new(&stat);
		ck_assert_int_eq(usage_add(&u, &worker, stat), 0);
		ck_assert_uint_eq(u.count, 1);
		ck_assert_int_ge(u.processes[0].fd, 0);
		last = pid;
		if (i < 19)
			process_end(pid);
	}
	ck_assert_uint_gt(usage_memory(&u), 0);
	process_end(last);
	ck_assert_uint_eq(usage_memory(&u), 0);
	ck_assert_int_eq(u.processes[0].fd, -1);
	usage_free(&u);
}
END_TEST

static void
add(struct usage *u, uint64_t role, uint64_t slot)
{
	const struct msg_process	p = { .role = role, .slot = slot, .pid = 1, .restarts = 0 };
	int				fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(usage_add(u, &p, fd), 0);
}

/* The status lists them so, whoever was ready first. */
START_TEST(places_are_in_order)
{
	static const struct { enum role role; uint64_t slot; } order[] = {
		{ ROLE_SUPERVISOR, 0 }, { ROLE_WORKER, 0 }, { ROLE_WORKER, 2 }, { ROLE_WORKER, 10 }, { ROLE_AUTH, 0 },
	};
	struct usage	u;
	size_t		i;

	usage_init(&u);
	add(&u, ROLE_WORKER, 10);
	add(&u, ROLE_AUTH, 0);
	add(&u, ROLE_WORKER, 0);
	add(&u, ROLE_SUPERVISOR, 0);
	add(&u, ROLE_WORKER, 2);
	add(&u, ROLE_WORKER, 0);
	ck_assert_uint_eq(u.count, 5);
	for (i = 0; i < u.count; i++) {
		ck_assert_uint_eq(u.processes[i].facts.role, order[i].role);
		ck_assert_uint_eq(u.processes[i].facts.slot, order[i].slot);
	}
	usage_free(&u);
}
END_TEST

START_TEST(who_is_to_be_replaced_keeps_its_place)
{
	struct msg_process_gone	gone = { .role = ROLE_WORKER, .slot = 3, .restarts = 7, .replaced = 1 };
	struct usage_now	now;
	struct usage		u;

	usage_init(&u);
	add(&u, ROLE_WORKER, 3);
	add(&u, ROLE_SYSTEM, 0);
	ck_assert(usage_read(&u, &u.processes[0], &now));
	ck_assert(!now.stopped);
	ck_assert_int_eq(usage_gone(&u, &gone), 0);
	ck_assert_uint_eq(u.count, 2);
	ck_assert_uint_eq(u.processes[0].facts.restarts, 7);
	ck_assert_uint_eq(u.processes[0].facts.pid, 0);
	ck_assert(!usage_read(&u, &u.processes[0], &now));
	gone.replaced = 0;
	ck_assert_int_eq(usage_gone(&u, &gone), 0);
	ck_assert_uint_eq(u.count, 1);
	ck_assert_uint_eq(u.processes[0].facts.role, ROLE_SYSTEM);
	ck_assert_int_eq(usage_gone(&u, &gone), 0);	/* one that was never there */
	ck_assert_uint_eq(u.count, 1);
	usage_free(&u);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("usage");
	TCase	*c = tcase_create("processes");
	SRunner	*r;
	int	 failed;

	tcase_add_test(c, who_ended_holds_no_descriptor);
	tcase_add_test(c, places_are_in_order);
	tcase_add_test(c, who_is_to_be_replaced_keeps_its_place);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

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

/* Workers may be replaced for years without a look at /varz. */
START_TEST(who_ended_holds_no_descriptor)
{
	struct usage	 u;
	pid_t		 pid, last = 0;
	int		 i, stat;

	usage_init(&u);
	for (i = 0; i < 20; i++) {
		pid = process_new(&stat);
		ck_assert_int_eq(usage_add(&u, stat), 0);
		ck_assert_uint_eq(u.count, 1);
		last = pid;
		if (i < 19)
			process_end(pid);
	}
	ck_assert_uint_gt(usage_memory(&u), 0);
	process_end(last);
	ck_assert_uint_eq(usage_memory(&u), 0);
	ck_assert_uint_eq(u.count, 0);
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
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Hashes compared on threads: right and wrong, in turns, cancelled, too many. */
#include <sys/wait.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "common/loop.h"
#include "supervisor/auth/bcrypt.h"
#include "tests/unit/auth/document.h"

#define HASH8	"$2b$08$ucVT7S2gsdWsrRkuHEpCoe8cgx7rIU8.dYNRC66FWQbwLiY68i3s2"
#define HASH4	"$2a$04$ucVT7S2gsdWsrRkuHEpCoe0lmRZNPQIt/VS8g8xfl5D6PMpmQOhYS"	/* "password" */

static struct ev_loop	*loop;
static struct bcrypt	*b;
static int		 order[100000], done, rights;
static int		 banned;		/* jobs of this number may not begin; 0: all may */

static void
job_done(void *arg, void *of, bool right)
{
	ck_assert_int_lt(done, (int)(sizeof(order) / sizeof(order[0])));
	order[done++] = *(int *)of;
	rights += right;
}

static bool
job_may(void *arg, void *of)
{
	return banned == 0 || *(int *)of != banned;
}

static void
begin(unsigned threads)
{
	map_seed();
	loop = loop_new();
	done = rights = banned = 0;
	ck_assert_int_eq(bcrypt_new(&b, loop, threads, job_done, job_may, NULL), 0);
	ck_assert_int_eq(bcrypt_start(b), 0);
}

static void
teardown(void)
{
	bcrypt_free(b);
	ev_loop_destroy(loop);
}

static void
wait_for(int n)
{
	while (done < n)
		ev_run(loop, EVRUN_ONCE);
}

static struct source
from(uint64_t i)
{
	return (struct source){ 0, i };
}

static const struct { const char *hash, *password; bool right; } cases[] = {
	{ HASH4, "password", true }, { HASH4, "Password", false }, { HASH4, "", false },
	{ "$2b$04$ucVT7S2gsdWsrRkuHEpCoe0lmRZNPQIt/VS8g8xfl5D6PMpmQOhYS", "password", true },
	{ "$2y$04$ucVT7S2gsdWsrRkuHEpCoe0lmRZNPQIt/VS8g8xfl5D6PMpmQOhYS", "password", true },
	{ "$2a$04$ucVT7S2gsdWsrRkuHEpCoe0lmRZNPQIt/VS8g8xfl5D6PMpmQOhY", "password", false },
	{ "$2a$04$", "password", false }, { "$2a$99$ucVT7S2gsdWsrRkuHEpCoe0lmRZNPQIt/VS8g8xfl5D6PMpmQOhYS", "password", false },
	/* of the real server's generator: 72 bytes count, what follows does not */
	{ "$2a$04$ucVT7S2gsdWsrRkuHEpCoe0lmRZNPQIt/VS8g8xfl5D6PMpmQOhYSxxxx", "password", true },
};

START_TEST(right_and_wrong)
{
	int	of = 7;

	begin(1);
	ck_assert_ptr_nonnull(bcrypt_submit(b, from(1), bytes_of(cases[_i].hash), bytes_of(cases[_i].password), &of));
	wait_for(1);
	ck_assert_int_eq(rights, cases[_i].right);
	ck_assert_int_eq(order[0], 7);
	ck_assert_uint_eq(bcrypt_jobs(b), 0);
}
END_TEST

/* Those that wait are asked about when they would begin; of those that may not nothing is heard. */
START_TEST(what_may_not_begin_is_gone)
{
	int	i, of[2] = { 1, 2 };

	begin(1);
	for (i = 0; i < 20; i++)
		ck_assert_ptr_nonnull(bcrypt_submit(b, from((uint64_t)i % 3), bytes_of(HASH4), bytes_of("password"),
		    &of[i % 2]));
	banned = 2;
	wait_for(10);
	ck_assert_uint_eq(bcrypt_jobs(b), 0);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(order[i], 1);
}
END_TEST

START_TEST(which_are_hashes)
{
	static const struct { const char *text; bool is; } texts[] = {
		{ HASH4, true }, { "$2a$11$", true }, { "$2x$11$whatever", true }, { "$2$11$", false },
		{ "$2a$1$", false }, { "$2z$11$", false }, { "password", false }, { "", false }, { "$2a$11", false },
	};
	size_t	i;

	begin(1);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_int_eq(bcrypt_is(bytes_of(texts[i].text)), texts[i].is);
}
END_TEST

/* One source has a thousand waiting; another's two come after at most two of them each. */
START_TEST(sources_take_turns)
{
	static int	of[1002];
	int		i;

	begin(1);
	for (i = 0; i < 1002; i++)
		of[i] = i;
	for (i = 0; i < 1000; i++)
		ck_assert_ptr_nonnull(bcrypt_submit(b, from(1), BYTES(HASH4), BYTES("x"), &of[i]));
	for (; i < 1002; i++)
		ck_assert_ptr_nonnull(bcrypt_submit(b, from(2), BYTES(HASH4), BYTES("password"), &of[i]));
	wait_for(6);
	ck_assert_int_eq(rights, 2);
}
END_TEST

START_TEST(cancelled_ones_are_never_heard_of)
{
	static int		 of[200];
	struct bcrypt_job	*jobs[200];
	int			 i;

	begin(2);
	for (i = 0; i < 200; i++) {
		of[i] = i;
		jobs[i] = bcrypt_submit(b, from((uint64_t)i % 3), BYTES(HASH4), BYTES("password"), &of[i]);
		ck_assert_ptr_nonnull(jobs[i]);
	}
	for (i = 0; i < 200; i++)
		if (i % 2 == 0)
			bcrypt_cancel(b, jobs[i]);
	wait_for(100);
	while (bcrypt_jobs(b) > 0)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(done, 100);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(order[i] % 2, 1);
}
END_TEST

/* Full: who has most gives way, and who has most is refused. */
START_TEST(the_queue_is_bounded)
{
	static int	of = 1, others = 2;
	unsigned	i, accepted = 0;

	begin(1);
	for (i = 0; i < BCRYPT_JOBS + 100; i++)
		accepted += bcrypt_submit(b, from(1), BYTES(HASH4), BYTES("x"), &of) != NULL;
	ck_assert_uint_le(accepted, BCRYPT_JOBS + 2);
	ck_assert_ptr_nonnull(bcrypt_submit(b, from(2), BYTES(HASH4), BYTES("password"), &others));
	ck_assert_int_ge(done, 1);		/* the one that gave way was told */
	ck_assert_int_eq(rights, 0);
	while (rights == 0)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_lt(done, 100);
}
END_TEST

/* The threads' own scheduling: a loop that is busy loses next to nothing to them. */
START_TEST(threads_but_one_are_idle_ones)
{
	char	 path[64], line[512], *end;
	FILE	*f;
	int	 idle = 0, policy, i;

	begin(3);
	snprintf(path, sizeof(path), "cat /proc/%d/task/*/stat", (int)getpid());
	f = popen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		end = strrchr(line, ')');
		for (i = 0; i < 39 && end != NULL; i++)		/* field 41: policy */
			end = strchr(end + 1, ' ');
		policy = end == NULL ? -1 : atoi(end + 1);
		idle += policy == 5;
	}
	pclose(f);
	ck_assert_int_eq(idle, 2);
}
END_TEST

/* Whoever wants all of the processors has them, and yet a password is compared. */
START_TEST(a_busy_machine_is_slow_not_closed)
{
	static int	 of = 1;
	pid_t		 busy[64];
	int		 i, n = 2 * (int)sysconf(_SC_NPROCESSORS_ONLN);
	double		 began;

	begin(2);
	n = n < 64 ? n : 64;
	for (i = 0; i < n; i++)
		if ((busy[i] = fork()) == 0)
			for (alarm(60);;)
				;
	began = ev_time();
	ck_assert_ptr_nonnull(bcrypt_submit(b, from(1), bytes_of(HASH8), BYTES("password"), &of));
	wait_for(1);
	began = ev_time() - began;
	for (i = 0; i < n; i++) {
		kill(busy[i], SIGKILL);
		waitpid(busy[i], NULL, 0);
	}
	ck_assert_int_eq(rights, 1);
	ck_assert_double_lt(began, 5);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("bcrypt");
	TCase	*t = tcase_create("bcrypt");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_loop_test(t, right_and_wrong, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, what_may_not_begin_is_gone);
	tcase_add_test(t, which_are_hashes);
	tcase_add_test(t, sources_take_turns);
	tcase_add_test(t, cancelled_ones_are_never_heard_of);
	tcase_add_test(t, the_queue_is_bounded);
	tcase_add_test(t, threads_but_one_are_idle_ones);
	tcase_add_test(t, a_busy_machine_is_slow_not_closed);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	return run(s);
}

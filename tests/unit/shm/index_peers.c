/*
 * The index between processes: a writer that works, dies at any instruction, or
 * lies, and a reader that must not notice (the first two) or not crash and not
 * hang (the third). CHECK_LONG=1: a minute each instead of a few seconds.
 */
#include <sys/prctl.h>
#include <sys/wait.h>
#include <check.h>
#include <signal.h>
#include "tests/unit/shm/index_help.h"

#define STABLE		20000u	/* subjects, there once the writer has said so */
#define PATTERNS	500u
#define CHANGING	40000u

struct tally { uint64_t lookups, missing, extra, maybe; double slowest; };

static double
duration(double usual)
{
	return getenv("CHECK_LONG") != NULL ? 60 : usual;
}

/* "st.n00017.v0...7": lengths that mix. */
static struct bytes
name(char *buf, size_t size, const char *prefix, uint32_t i)
{
	return (struct bytes){ buf, (size_t)snprintf(buf, size, "%s.n%05u.v%0*u", prefix, i, (int)(1 + i % 17), i % 10) };
}

/* ---- the writer's process */

static void
must(int rc)
{
	if (rc < 0)
		abort();
}

static void
write_stable(struct index *idx)
{
	uint32_t i, record;
	char buf[64];

	for (i = 0; i < STABLE; i++) {
		must(index_add(idx, 1, name(buf, sizeof(buf), "st", i), BYTES(""), &record));
		if (i % 10 == 0)
			must(index_add(idx, 1, name(buf, sizeof(buf), "st", i), BYTES("grp"), &record));
	}
	for (i = 0; i < PATTERNS; i++) {
		snprintf(buf, sizeof(buf), "w.n%05u.*", i);
		must(index_add(idx, 1, bytes_of(buf), BYTES(""), &record));
	}
}

/* Add and remove others, for ever. */
static void
write_changes(struct index *idx)
{
	static uint32_t records[CHANGING];
	uint32_t i;
	char buf[64];
	struct bytes subject;

	for (;;) {
		i = random_below(CHANGING);
		if (records[i] != 0) {
			index_remove(idx, records[i]);
			records[i] = 0;
			continue;
		}
		if (i % 8 == 0) {
			snprintf(buf, sizeof(buf), i % 16 ? "w.*.c%05u" : "ch.n%05u.>", i);
			subject = bytes_of(buf);
		} else
			subject = name(buf, sizeof(buf), "ch", i);
		must(index_add(idx, 1 + i % 3, subject, i % 7 == 0 ? BYTES("q") : BYTES(""), &records[i]));
	}
}

/* Random words, and such that look right: offsets, links to itself, rings. */
static void
scribble(char *base, unsigned round)
{
	const uint64_t used = 4u << 20, table = 8192;
	uint64_t at, value, record;
	volatile unsigned wait;

	for (;;) {
		value = random_number();
		record = INDEX_FIRST + random_below((uint32_t)(used / INDEX_UNIT));
		switch (random_below(9)) {
		case 0:
			at = random_below(INDEX_TABLE);
			break;
		case 1:
			at = offsetof(struct index_head, shape);
			value = value % 2 ? value : (value >> 40) % table;
			break;
		case 2:		/* a slot with a good offset */
			at = INDEX_TABLE + random_below((uint32_t)table * 64);
			value = (value & ~UINT64_C(0xffffffff)) | record;
			break;
		case 3:		/* an overflow bucket: the bucket itself, or anything */
			at = INDEX_TABLE + random_below((uint32_t)table) * 64 + 56;
			value = value % 2 ? (at - 56) / INDEX_UNIT : record & ~UINT64_C(3);
			break;
		case 4:
			at = INDEX_ARENA + random_below((uint32_t)used);
			break;
		case 5:		/* all words of a record are offsets */
			at = INDEX_ARENA + random_below((uint32_t)used);
			value = record << 32 | record;
			break;
		case 6:		/* links of a record to itself */
			at = INDEX_ARENA + random_below((uint32_t)used) / INDEX_UNIT * INDEX_UNIT;
			value = (at / INDEX_UNIT) << 32 | at / INDEX_UNIT;
			at += 8 + 8 * random_below(4);
			break;
		case 7:
			at = offsetof(struct index_head, frees);
			break;
		default:
			at = random_below(64) ? INDEX_TABLE : random_number() % (INDEX_SIZE - 8);
			break;
		}
		*(volatile uint64_t *)(base + at / 8 * 8) = value;
		for (wait = 0; wait < (round % 2 ? 20000u : 200u); wait++)
			;
	}
}

enum work { WORK_CHANGES, WORK_SCRIBBLE };

/* Fork a writer on seg; its end of a pipe says when the stable ones are there. */
static pid_t
writer_start(const struct segment *seg, enum work work, unsigned round, int *ready)
{
	struct index *idx;
	int ends[2];
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	if ((pid = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		random_state += round * 2;
		if (index_new(&idx, seg, test_secret) != 0)
			abort();
		write_stable(idx);
		if (write(ends[1], "", 1) != 1)
			abort();
		if (work == WORK_SCRIBBLE)
			scribble(seg->base, round);
		write_changes(idx);
	}
	ck_assert_int_gt(pid, 0);
	close(ends[1]);
	*ready = ends[0];
	return pid;
}

static void
writer_await(int ready)
{
	char c;

	ck_assert_int_eq(read(ready, &c, 1), 1);
	close(ready);
}

static void
writer_kill(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- the reader's */

/* One lookup each of what must be there, what was never there, and a pattern. */
static void
look(struct index_view *v, struct tally *t, bool stable)
{
	uint32_t i = random_below(STABLE);
	double since = t->lookups % 64 == 0 ? seconds(CLOCK_MONOTONIC) : 0;
	enum index_answer answer;
	struct index_match m;
	char buf[64];

	answer = index_match(v, 1, name(buf, sizeof(buf), "st", i), &m);
	t->maybe += answer == INDEX_MAYBE;
	if (stable)
		t->missing += answer == INDEX_NO || (answer == INDEX_YES &&
		    (!m.plain || m.nqueues != (i % 10 == 0)));
	answer = index_match(v, 1, name(buf, sizeof(buf), "gh", i), &m);
	t->maybe += answer == INDEX_MAYBE;
	t->extra += answer == INDEX_YES;
	snprintf(buf, sizeof(buf), "w.n%05u.zz", i % PATTERNS);
	answer = index_match(v, 1, bytes_of(buf), &m);
	t->maybe += answer == INDEX_MAYBE;
	if (stable)
		t->missing += answer == INDEX_NO || (answer == INDEX_YES && (!m.plain || m.nqueues != 0));
	if (since != 0 && seconds(CLOCK_MONOTONIC) - since > t->slowest)
		t->slowest = seconds(CLOCK_MONOTONIC) - since;
	t->lookups += 3;
}

static void
look_for(struct index_view *v, struct tally *t, bool stable, double time)
{
	double until = seconds(CLOCK_MONOTONIC) + time;
	unsigned i;

	do
		for (i = 0; i < 100; i++)
			look(v, t, stable);
	while (seconds(CLOCK_MONOTONIC) < until);
}

static void
tally_print(const char *what, unsigned writers, const struct tally *t, const struct index_view *v)
{
	printf("%s: %u writers, %llu lookups, %llu missing, %llu extra, %llu maybe, %llu retries, "
	    "%llu hostile, slowest three %.0f us\n", what, writers, (unsigned long long)t->lookups,
	    (unsigned long long)t->missing, (unsigned long long)t->extra, (unsigned long long)t->maybe,
	    (unsigned long long)v->retries, (unsigned long long)v->hostile, t->slowest * 1e6);
	fflush(stdout);
}

static void
view_reset(struct index_view *v, const struct segment *seg)
{
	uint64_t retries = v->retries, maybes = v->maybes, hostile = v->hostile;

	index_view_init(v, seg, test_secret);
	v->retries = retries;
	v->maybes = maybes;
	v->hostile = hostile;
}

/* kill -9 at any instruction, also while it is building: what was there stays, nothing else appears. */
START_TEST(a_dead_writer_harms_nobody)
{
	struct index_view v = { 0 };
	struct tally t = { 0 };
	struct segment seg;
	double until;
	unsigned writers = 0;
	bool early;
	pid_t pid;
	int ready;

	random_init("a_dead_writer_harms_nobody");
	for (until = seconds(CLOCK_MONOTONIC) + duration(5); seconds(CLOCK_MONOTONIC) < until; writers++) {
		seg = partition_new();
		view_reset(&v, &seg);
		pid = writer_start(&seg, WORK_CHANGES, writers, &ready);
		early = random_below(4) == 0;
		if (!early)
			writer_await(ready);
		look_for(&v, &t, !early, random_below(12000) * 1e-6);
		writer_kill(pid);
		look_for(&v, &t, !early, 0.002);
		if (early)
			close(ready);
		partition_free(&seg);
	}
	tally_print("killed", writers, &t, &v);
	ck_assert_uint_gt(writers, 10);
	ck_assert_uint_eq(t.missing + t.extra + t.maybe + v.hostile, 0);
}
END_TEST

/* The table grows to many times its size, and chains are packed, under a reader. */
START_TEST(a_growing_table_hides_nothing)
{
	struct index_view v = { 0 };
	struct tally t = { 0 };
	struct segment seg = partition_new();
	double until;
	unsigned writers = 0;
	uint32_t i, record;
	struct index *idx;
	char buf[64];
	pid_t pid;
	int status;

	random_init("a_growing_table_hides_nothing");
	for (until = seconds(CLOCK_MONOTONIC) + duration(3); seconds(CLOCK_MONOTONIC) < until; writers++) {
		partition_free(&seg);
		seg = partition_new();
		view_reset(&v, &seg);
		ck_assert_int_eq(index_new(&idx, &seg, test_secret), 0);
		write_stable(idx);
		if ((pid = fork()) == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (i = 0; i < 400000; i++) {
				snprintf(buf, sizeof(buf), "grow.%u", i);
				must(index_add(idx, 1, bytes_of(buf), BYTES(""), &record));
				if (i % 3 == 0)
					index_remove(idx, record);
			}
			_exit(0);
		}
		while (waitpid(pid, &status, WNOHANG) == 0)
			look_for(&v, &t, true, 0.001);
		ck_assert_int_eq(status, 0);
		index_free(idx);
	}
	tally_print("grown", writers, &t, &v);
	partition_free(&seg);
	ck_assert_uint_eq(t.missing + t.extra + t.maybe + v.hostile, 0);
}
END_TEST

/* Nothing it writes makes the reader crash, hang or take long; it is caught at it. */
START_TEST(a_lying_writer_is_survived)
{
	struct index_view v = { 0 };
	struct tally t = { 0 };
	struct segment seg;
	double until;
	unsigned writers = 0;
	const char *what;
	pid_t pid;
	int ready;

	random_init("a_lying_writer_is_survived");
	for (until = seconds(CLOCK_MONOTONIC) + duration(4); seconds(CLOCK_MONOTONIC) < until; writers++) {
		seg = partition_new();
		view_reset(&v, &seg);
		pid = writer_start(&seg, WORK_SCRIBBLE, writers, &ready);
		writer_await(ready);
		look_for(&v, &t, false, 0.4);
		ck_assert_int_le(index_check(&seg, &what), 0);
		writer_kill(pid);
		ck_assert_int_le(index_check(&seg, &what), 0);
		partition_free(&seg);
	}
	tally_print("lying", writers, &t, &v);
	ck_assert_uint_gt(v.hostile, 0);
	ck_assert_uint_eq(t.maybe, v.hostile + v.maybes);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("index peers");
	TCase *c = tcase_create("peers");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 200);
	tcase_add_test(c, a_dead_writer_harms_nobody);
	tcase_add_test(c, a_growing_table_hides_nothing);
	tcase_add_test(c, a_lying_writer_is_survived);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * What the owner does under a reader that is slow: the reader is this file's
 * own copy, with a delay between two levels of a trie and two buckets of a
 * chain, and a quarantine of four. With validation it never takes one pattern's
 * subtree for another's; with validation switched off it does, which proves that
 * the test can see it. And it finds slots that are moved in the meantime.
 */
#include <sys/prctl.h>
#include <sys/wait.h>
#include <check.h>
#include <signal.h>
#include "tests/unit/shm/index_help.h"

#define QUARANTINE	4u

static uint64_t validated;
static unsigned delay;

static void
pause_reader(void)
{
	volatile unsigned i;

	for (i = 0; i < delay; i++)
		;
}

#define INDEX_VIEW_QUARANTINE	validated
#define INDEX_VIEW_PAUSE()	pause_reader()
#include "shm/index_view.c"

/* Subscribe to p.kN.*.t1 or q.kN.*.t2 and unsubscribe, for ever. */
static void
writer(struct index *idx)
{
	volatile unsigned wait;
	uint32_t record;
	char text[32];
	bool p;

	for (;;) {
		p = random_below(2);
		snprintf(text, sizeof(text), "%c.k%u.*.t%u", p ? 'p' : 'q', random_below(4), p ? 1 : 2);
		if (index_add(idx, 1, bytes_of(text), BYTES(""), &record) < 0)
			abort();
		for (wait = 0; wait < 2000; wait++)
			;
		index_remove(idx, record);
	}
}

struct tally { uint64_t lookups, crossed, missing, seen, maybe; };

static void
look(struct index_view *v, struct tally *t)
{
	bool p = random_below(2);
	enum index_answer answer;
	struct index_match m;
	unsigned k = random_below(4);
	char text[32];

	/* p. only ever goes with t1 */
	snprintf(text, sizeof(text), "%c.k%u.zz.t%u", p ? 'p' : 'q', k, p ? 2 : 1);
	answer = index_match(v, 1, bytes_of(text), &m);
	t->crossed += answer == INDEX_YES;
	t->maybe += answer == INDEX_MAYBE;
	snprintf(text, sizeof(text), "%c.k%u.zz.t%u", p ? 'p' : 'q', k, p ? 1 : 2);
	t->seen += index_match(v, 1, bytes_of(text), &m) == INDEX_YES;
	t->missing += index_match(v, 1, BYTES("keep.x"), &m) == INDEX_NO;
	t->lookups += 3;
}

/* Look until `time` has passed or something crossed, if that is enough. */
static struct tally
run(uint64_t validate, unsigned quarantined, double time, bool enough)
{
	struct segment seg = partition_new();
	double until = seconds(CLOCK_MONOTONIC) + time;
	struct index_view v;
	struct tally t = { 0 };
	struct index *idx;
	uint32_t record;
	unsigned i;
	pid_t pid;

	validated = validate;
	ck_assert_int_eq(index_new(&idx, &seg, test_secret), 0);
	idx->quarantine = quarantined;
	index_view_init(&v, &seg, test_secret);
	ck_assert_int_eq(index_add(idx, 1, BYTES("keep.*"), BYTES(""), &record), 1);
	if ((pid = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		writer(idx);
	}
	ck_assert_int_gt(pid, 0);
	do
		for (i = 0; i < 100; i++)
			look(&v, &t);
	while (seconds(CLOCK_MONOTONIC) < until && !(enough && t.crossed > 0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	printf("quarantine %u, %svalidated: %llu lookups, %llu crossed, %llu missing, %llu seen, %llu maybe, %llu hostile\n",
	    quarantined, validate > INDEX_QUARANTINE ? "not " : "", (unsigned long long)t.lookups,
	    (unsigned long long)t.crossed, (unsigned long long)t.missing, (unsigned long long)t.seen,
	    (unsigned long long)t.maybe, (unsigned long long)v.hostile);
	fflush(stdout);
	ck_assert_uint_eq(v.hostile, validate > INDEX_QUARANTINE ? v.hostile : 0);
	index_free(idx);
	partition_free(&seg);
	return t;
}

static double
duration(double usual)
{
	return getenv("CHECK_LONG") != NULL ? 30 : usual;
}

/* Twelve subjects in each of a few buckets: the last ones of a bucket are in its overflow bucket. */
#define BUCKETS		8u
#define SUBJECTS	(BUCKETS * 12)
#define FILLERS		(SUBJECTS / 3 * 2)
static char subjects[SUBJECTS][16];

static void
subjects_choose(void)
{
	unsigned in[BUCKETS] = { 0 };
	uint32_t bucket, i;
	char text[16];

	for (i = 0; i < 4000000; i++) {
		snprintf(text, sizeof(text), "s%u", i);
		bucket = index_bucket_of(index_tag(test_secret, INDEX_LITERAL, 1, bytes_of(text)),
		    INDEX_BUCKETS_MIN);
		if (bucket < BUCKETS && in[bucket] < SUBJECTS / BUCKETS)
			strlcpy(subjects[in[bucket]++ * BUCKETS + bucket], text, sizeof(subjects[0]));
	}
}

/*
 * Fill the buckets, then add those that the reader looks for: *round is odd
 * while these are there. Removing the others moves them to the front.
 */
static void
mover(struct index *idx, _Atomic uint32_t *round)
{
	uint32_t records[SUBJECTS], i, k, start;
	volatile unsigned wait;

	for (;;) {
		for (i = 0; i < SUBJECTS; i++)
			if (index_add(idx, 1, bytes_of(subjects[i]), BYTES(""), &records[i]) < 0)
				abort();
		atomic_fetch_add(round, 1);
		start = random_below(FILLERS);
		for (k = 0; k < FILLERS; k++) {
			for (wait = 0; wait < 300; wait++)
				;
			index_remove(idx, records[(start + k) % FILLERS]);
		}
		atomic_fetch_add(round, 1);
		for (i = FILLERS; i < SUBJECTS; i++)
			index_remove(idx, records[i]);
	}
}

START_TEST(a_moving_slot_is_found)
{
	struct segment seg = partition_new();
	uint64_t lookups = 0, missing = 0, maybe = 0, i;
	struct index_view v;
	struct index_match m;
	enum index_answer answer;
	struct index *idx;
	_Atomic uint32_t *round;
	uint32_t before;
	double until;
	pid_t pid;

	random_init("a_moving_slot_is_found");
	subjects_choose();
	round = mmap(NULL, sizeof(*round), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(round, MAP_FAILED);
	ck_assert_int_eq(index_new(&idx, &seg, test_secret), 0);
	index_view_init(&v, &seg, test_secret);
	delay = 300;
	validated = INDEX_QUARANTINE;
	if ((pid = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		mover(idx, round);
	}
	ck_assert_int_gt(pid, 0);
	until = seconds(CLOCK_MONOTONIC) + duration(3);
	for (i = 0; i % 100 != 0 || seconds(CLOCK_MONOTONIC) < until; i++) {
		if ((before = atomic_load(round)) % 2 == 0)
			continue;
		answer = index_match(&v, 1,
		    bytes_of(subjects[FILLERS + random_below(SUBJECTS - FILLERS)]), &m);
		if (atomic_load(round) != before)
			continue;
		lookups++;
		missing += answer == INDEX_NO;
		maybe += answer == INDEX_MAYBE;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	printf("%llu lookups, %llu missing, %llu maybe, %llu hostile\n", (unsigned long long)lookups,
	    (unsigned long long)missing, (unsigned long long)maybe, (unsigned long long)v.hostile);
	ck_assert_uint_gt(lookups, 1000);
	ck_assert_uint_eq(missing + v.hostile, 0);
	ck_assert_uint_lt(maybe, lookups / 10);
	index_free(idx);
	partition_free(&seg);
}
END_TEST

START_TEST(validation_is_needed)
{
	struct tally t;

	random_init("validation_is_needed");
	delay = 8000;
	t = run(UINT64_MAX, QUARANTINE, 60, true);
	ck_assert_uint_gt(t.crossed, 0);
}
END_TEST

START_TEST(validation_is_enough)
{
	struct tally t;

	random_init("validation_is_enough");
	delay = 8000;
	t = run(QUARANTINE, QUARANTINE, duration(4), false);
	ck_assert_uint_eq(t.crossed + t.missing, 0);
	ck_assert_uint_gt(t.seen, 0);
}
END_TEST

START_TEST(the_real_quarantine_costs_no_answer)
{
	struct tally t;

	random_init("the_real_quarantine_costs_no_answer");
	delay = 0;
	t = run(INDEX_QUARANTINE, INDEX_QUARANTINE, duration(2), false);
	ck_assert_uint_eq(t.crossed + t.missing, 0);
	ck_assert_uint_gt(t.seen, 0);
	/* Only a reader that loses its processor in a lookup may have to give up. */
	ck_assert_uint_le(t.maybe, t.lookups / 1000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("index recycle");
	TCase *c = tcase_create("recycle");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 200);
	tcase_add_test(c, a_moving_slot_is_found);
	tcase_add_test(c, validation_is_needed);
	tcase_add_test(c, validation_is_enough);
	tcase_add_test(c, the_real_quarantine_costs_no_answer);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

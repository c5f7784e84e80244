/*
 * Rings between two processes that run, sleep and wake at the same time, on
 * two cores where there are two. A wake-up that is lost leaves both asleep:
 * seen as PATIENCE without an event. How often the two met in the moment that
 * matters depends on what else runs, so it is printed. CHECK_LONG=1: more of
 * everything.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include "tests/unit/shm/ring_pair.h"

#define PATIENCE	20000	/* ms */

/* Exit codes of a child that failed. */
enum { LOST_WAKE_UP = 10, WRONG_RECORD, NO_RACE, BROKEN };

struct party {
	struct lane	*lane;
	int		 wake_peer;	/* eventfd; the peer's epoll has it */
	int		 epoll;		/* has ours, edge-triggered, never read */
	uint64_t	 seed, slept, raced;
};

static struct pair p;
static int wakes[2];	/* eventfds of a and b */
static cpu_set_t cpus;	/* those we may use */

static uint64_t
times(uint64_t few, uint64_t many)
{
	return getenv("CHECK_LONG") != NULL ? many : few;
}

static void
party_init(struct party *party, int me)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	cpu_set_t one;
	int cpu = -1;

	*party = (struct party){ .lane = me == 0 ? &p.a : &p.b, .wake_peer = wakes[!me],
	    .epoll = epoll_create1(EPOLL_CLOEXEC), .seed = (uint64_t)me };
	if (epoll_ctl(party->epoll, EPOLL_CTL_ADD, wakes[me], &e) != 0)
		abort();
	CPU_ZERO(&one);
	if (CPU_COUNT(&cpus) < 2)
		return;
	for (int left = me + 1; left > 0; left--)
		while (!CPU_ISSET(++cpu, &cpus))
			;
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void
party_wake_peer(struct party *party)
{
	if (eventfd_write(party->wake_peer, 1) != 0)
		abort();
}

static void
party_publish(struct party *party)
{
	if (lane_publish(party->lane))
		party_wake_peer(party);
}

static void
party_release(struct party *party)
{
	if (lane_release(party->lane))
		party_wake_peer(party);
}

static void
party_wait(struct party *party)
{
	struct epoll_event e;

	party->slept++;
	while (epoll_wait(party->epoll, &e, 1, PATIENCE) != 1)
		if (errno != EINTR)
			_exit(LOST_WAKE_UP);
}

static void
party_sleep(struct party *party)
{
	if (!lane_sleep(party->lane)) {
		party->raced++;
		return;
	}
	party_wait(party);
	lane_wake(party->lane);
}

static uint64_t
party_random(struct party *party)
{
	return mix(party->seed += 2);
}

/* Nothing for a while that differs each time, so that every line meets every other. */
static void
party_dawdle(struct party *party, uint64_t most)
{
	volatile uint64_t spin = party_random(party) % most;

	while (spin > 0)
		spin--;
}

/* Which ring record n goes to, and how long it is. */
static enum ring
ring_of(uint64_t n)
{
	return mix(n) % 8 == 0 ? RING_SMALL : RING_BULK;
}

static size_t
len_of(uint64_t n, const struct lane *lane)
{
	const size_t most = ring_record_max(lane, ring_of(n));
	const uint64_t bits = mix(n) >> 8;

	return bits % 16 == 0 ? (bits >> 4) % (most + 1) : (bits >> 4) % (200 < most ? 200 : most);
}

static pid_t
party_fork(void)
{
	pid_t pid, parent = getpid();

	fflush(NULL);
	pid = fork();
	if (pid == -1)
		abort();
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent))
		_exit(1);
	return pid;
}

static void
party_join(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: %s %d",
	    WIFEXITED(status) ? "exit" : "signal",
	    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void
open_with(size_t bulk, size_t small)
{
	pair_open(&p, bulk, small);
	pair_attach(&p);
	for (int i = 0; i < 2; i++)
		ck_assert_int_ge(wakes[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), 0);
}

/* ---- a stream of records, back-pressure and all */

static void
write_record(struct party *party, uint64_t n)
{
	const enum ring which = ring_of(n);
	const size_t len = len_of(n, party->lane);

	while (!put(party->lane, which, n, len)) {
		if (party->lane->broken != NULL)
			_exit(BROKEN);
		party_publish(party);
		if (lane_want_space(party->lane, which, len))
			party_wait(party);
		else
			party->raced++;
	}
}

static void
stream_write(struct party *party, uint64_t count)
{
	for (uint64_t n = 0; n < count; n++) {
		write_record(party, n);
		if (party_random(party) % 8 == 0)
			party_publish(party);
	}
	party_publish(party);
}

/* The next record of this ring at or after n. */
static uint64_t
next_of(enum ring which, uint64_t n)
{
	while (ring_of(n) != which)
		n++;
	return n;
}

/* Take what is there of one ring; how many, or _exit(). */
static uint64_t
stream_take(struct party *party, enum ring which, uint64_t *n, uint64_t most)
{
	uint64_t taken = 0;
	int rc;

	while (taken < most &&
	    (rc = take(party->lane, which, *n, len_of(*n, party->lane))) != 0) {
		if (rc < 0)
			_exit(rc == -EPROTO ? BROKEN : WRONG_RECORD);
		*n = next_of(which, *n + 1);
		taken++;
		if (party_random(party) % 16 == 0)
			party_release(party);
	}
	return taken;
}

static void
stream_read(struct party *party, uint64_t count)
{
	uint64_t n[RINGS] = { next_of(RING_BULK, 0), next_of(RING_SMALL, 0) }, taken;

	while (count > 0) {
		taken = stream_take(party, RING_SMALL, &n[RING_SMALL], UINT64_MAX);
		taken += stream_take(party, RING_BULK, &n[RING_BULK], 100);
		party_release(party);
		count -= taken;
		if (taken == 0)
			party_sleep(party);
	}
}

static const struct { size_t bulk, small; uint64_t count; } streams[] = {
	{ 1 << 20, 1 << 16, 2000000 },
	{ 1 << 16, 1 << 12, 1000000 },
	{ 1 << 12, 1 << 12, 300000 },	/* full and empty all the time */
};

START_TEST(stream_is_whole_and_in_order)
{
	const uint64_t count = streams[_i].count * times(1, 10);
	struct party party;
	pid_t pid;

	open_with(streams[_i].bulk, streams[_i].small);
	pid = party_fork();
	if (pid == 0) {
		party_init(&party, 1);
		stream_read(&party, count);
		_exit(0);
	}
	party_init(&party, 0);
	stream_write(&party, count);
	party_join(pid);
	ck_assert_ptr_null(p.a.broken);
	printf("  %zu KiB: %llu records, writer waited for space %llu times, found some %llu times\n",
	    streams[_i].bulk >> 10, (unsigned long long)count,
	    (unsigned long long)party.slept, (unsigned long long)party.raced);
}
END_TEST

/* ---- one record to and fro, both sides about to sleep all the time */

static void
pong_take(struct party *party, uint64_t n)
{
	uint64_t looks = 0;
	int rc;

	/* From none to about 100 us, longer than a wake-up takes, so that the
	 * peer is awake, and on its way, when we lie down. */
	while ((rc = take(party->lane, RING_BULK, n, 16)) == 0) {
		if (looks == 0)
			looks = (uint64_t)1 << party_random(party) % 16;
		else if (--looks == 0)
			party_sleep(party);
	}
	if (rc < 0)
		_exit(WRONG_RECORD);
	party_release(party);
}

static void
pong_put(struct party *party, uint64_t n)
{
	party_dawdle(party, 1 << party_random(party) % 10);
	if (!put(party->lane, RING_BULK, n, 16))
		_exit(BROKEN);
	party_publish(party);
}

START_TEST(ring_sleep_race)
{
	const uint64_t count = times(100000, 2000000);
	struct party party;
	pid_t pid;

	open_with(4096, 4096);
	pid = party_fork();
	party_init(&party, pid == 0);
	for (uint64_t n = 0; n < count; n++) {
		if (pid != 0)
			pong_put(&party, n);
		pong_take(&party, n);
		if (pid == 0)
			pong_put(&party, n);
	}
	if (pid == 0)
		_exit(party.lane->broken == NULL ? 0 : BROKEN);
	party_join(pid);
	printf("  %llu round trips: slept %llu times, a record came between look and sleep %llu times\n",
	    (unsigned long long)count, (unsigned long long)party.slept,
	    (unsigned long long)party.raced);
	ck_assert_uint_gt(party.slept, count / 100);
}
END_TEST

/* ---- the mirror image: the writer fills the ring, the reader empties it and
 * gives all of it back at once, so no later release makes up for a lost wake-up */

#define FOURTH	1000	/* four of these fill 4096 bytes */

static void
space_read(struct party *party, uint64_t n)
{
	uint64_t looks = (uint64_t)1 << party_random(party) % 16;

	for (int i = 0; i < 4; i++)
		while (take(party->lane, RING_BULK, n + i, FOURTH) != 1)
			if (looks == 0 || --looks == 0)
				party_sleep(party);
	party_dawdle(party, 1 << party_random(party) % 10);
	party_release(party);
}

static void
space_write(struct party *party, uint64_t n)
{
	uint64_t looks = (uint64_t)1 << party_random(party) % 16;

	for (int i = 0; i < 4; i++)
		while (!put(party->lane, RING_BULK, n + i, FOURTH)) {
			if (looks > 1 && --looks > 1)
				continue;
			if (lane_want_space(party->lane, RING_BULK, FOURTH))
				party_wait(party);
			else
				party->raced++;
		}
	party_dawdle(party, 1 << party_random(party) % 10);
	party_publish(party);
}

START_TEST(ring_space_race)
{
	const uint64_t count = times(100000, 2000000);
	struct party party;
	pid_t pid;

	open_with(4096, 4096);
	pid = party_fork();
	party_init(&party, pid == 0);
	for (uint64_t n = 0; n < count * 4; n += 4)
		if (pid == 0)
			space_read(&party, n);
		else
			space_write(&party, n);
	if (pid == 0)
		_exit(party.lane->broken == NULL ? 0 : BROKEN);
	party_join(pid);
	printf("  ring filled %llu times: waited %llu times, space came between look and wait %llu times\n",
	    (unsigned long long)count, (unsigned long long)party.slept,
	    (unsigned long long)party.raced);
	ck_assert_uint_gt(party.slept, count / 100);
}
END_TEST

/* ---- kill -9 */

/* What a writer is doing, in memory that survives it. */
struct doing { _Atomic uint32_t inside; };

/* As put(), byte by byte, so that death finds half a record more often. */
static bool
put_slowly(struct lane *lane, uint64_t n, struct doing *doing)
{
	const enum ring which = ring_of(n);
	const size_t len = len_of(n, lane);
	static char made[1 << 16];
	volatile char *at = ring_reserve(lane, which, len);

	if (at == NULL)
		return false;
	atomic_store(&doing->inside, 1);
	fill(made, len, mix(n));
	for (size_t i = 0; i < len; i++)
		at[i] = made[i];
	ring_commit(lane, which, (uint32_t)n, len);
	atomic_store(&doing->inside, 0);
	return true;
}

static _Noreturn void
write_until_killed(struct doing *doing)
{
	struct party party;

	party_init(&party, 0);
	for (uint64_t n = 0;; n++) {
		while (!put_slowly(party.lane, n, doing)) {
			party_publish(&party);
			if (lane_want_space(party.lane, ring_of(n), len_of(n, party.lane)))
				party_wait(&party);
		}
		if (party_random(&party) % 4 == 0)
			party_publish(&party);
	}
}

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Read until the writer has been killed at `end`, then the rest. How many. */
static uint64_t
read_and_kill(struct party *party, pid_t pid, uint64_t end)
{
	uint64_t n[RINGS] = { next_of(RING_BULK, 0), next_of(RING_SMALL, 0) };
	uint64_t got, all = 0;
	bool alive = true;
	int status;

	do {
		got = stream_take(party, RING_BULK, &n[RING_BULK], 100);
		got += stream_take(party, RING_SMALL, &n[RING_SMALL], 100);
		party_release(party);
		all += got;
		if (alive && now() >= end) {
			ck_assert_int_eq(kill(pid, SIGKILL), 0);
			ck_assert_int_eq(waitpid(pid, &status, 0), pid);
			ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
			alive = false;
			got = 1;	/* look once more */
		}
	} while (alive || got > 0);
	return all;
}

START_TEST(a_killed_writer_leaves_whole_records)
{
	const uint64_t rounds = times(200, 10000);
	struct doing *doing = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct party party;
	struct epoll_event e;
	uint64_t records = 0, inside = 0, before_any = 0, got;
	pid_t pid;

	for (uint64_t round = 0; round < rounds; round++) {
		open_with(1 << 16, 1 << 12);
		atomic_store(&doing->inside, 0);
		pid = party_fork();
		if (pid == 0)
			write_until_killed(doing);
		party_init(&party, 1);
		party.seed = mix(round);
		/* It runs when its first record came; every eighth dies even before. */
		if (round % 8 != 0 && lane_sleep(party.lane)) {
			ck_assert_int_eq(epoll_wait(party.epoll, &e, 1, PATIENCE), 1);
			lane_wake(party.lane);
		}
		got = read_and_kill(&party, pid, now() + party_random(&party) % 3000000);
		records += got;
		before_any += got == 0;
		inside += atomic_load(&doing->inside);
		ck_assert_ptr_null(party.lane->broken);
		ck_assert(lane_sleep(party.lane));	/* nothing is left */
		close(party.epoll);
		close(wakes[0]);
		close(wakes[1]);
		pair_close(&p);
	}
	printf("  %llu writers killed, %llu within a record, %llu before their first; %llu records read\n",
	    (unsigned long long)rounds, (unsigned long long)inside,
	    (unsigned long long)before_any, (unsigned long long)records);
	ck_assert_uint_gt(inside, rounds / 20);	/* or this test shows nothing */
	munmap(doing, 4096);
}
END_TEST

START_TEST(a_killed_reader_leaves_the_writer_free)
{
	struct party party;
	uint64_t n = 0;
	int status;
	pid_t pid;

	open_with(1 << 16, 1 << 12);
	pid = party_fork();
	if (pid == 0) {
		party_init(&party, 1);
		stream_read(&party, UINT64_MAX);
	}
	party_init(&party, 0);
	for (; n < 10000; n++)
		write_record(&party, n);
	party_publish(&party);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (; put(party.lane, ring_of(n), n, len_of(n, party.lane)); n++)
		lane_publish(party.lane);
	ck_assert(lane_want_space(party.lane, ring_of(n), len_of(n, party.lane)));
	ck_assert(!lane_publish(party.lane));
	ck_assert(lane_sleep(party.lane));
	ck_assert_ptr_null(party.lane->broken);
}
END_TEST

/* ---- a peer that writes anything into its segment, all the time */

static _Noreturn void
scribble(struct lane *lane)
{
	struct lane_words *w = lane->mine;

	for (uint64_t n = 0;; n++) {
		const uint64_t r = mix(n), by = r >> 16;
		const enum ring which = r >> 8 & 1;
		char *data = lane->out[which].data + by % lane->out[which].size / 8 * 8;

		switch (r % 16) {
		case 0: atomic_store(&w->head[which].at, by); break;
		case 1: atomic_fetch_add(&w->head[which].at, by % 20000); break;
		case 2: atomic_store(&w->tail[which].at, by); break;
		case 3: atomic_fetch_add(&w->tail[which].at, by % 2000 * 8); break;
		case 4: atomic_store(&w->asleep, by); break;
		case 5: atomic_store(&w->wants_space, by); break;
		case 6: case 7: case 8: atomic_fetch_add(&w->head[which].at, by % 64 * 8); break;
		case 9: memcpy(data, &by, 8); break;
		default: atomic_store((_Atomic uint32_t *)data, (uint32_t)(by % 1100));
		}
	}
}

/* Take and write what can be; the liar's page may say anything next time. */
static void
meet_scribbler(struct lane *lane, enum ring which, uint64_t *records)
{
	const struct ring_in *in = &lane->in[which];
	struct ring_record r;
	char copy[1 << 14];
	int rc;

	for (int i = 0; i < 100 && (rc = ring_next(lane, which, &r)) == 1; i++) {
		ck_assert(r.len <= ring_record_max(lane, which));
		ck_assert(r.data > in->data && r.data + r.len <= in->data + 2 * in->size);
		memcpy(copy, r.data, r.len);
		ring_consume(lane, which, &r);
		ck_assert(in->head - in->tail <= in->size && in->tail - in->released <= in->size);
		++*records;
	}
	*records += put(lane, which, 0, 100);
	ck_assert(lane->out[which].head - lane->out[which].tail <= lane->out[which].size);
	lane_publish(lane);
	lane_release(lane);
	if (lane_sleep(lane))
		lane_wake(lane);
}

START_TEST(a_scribbling_peer_only_breaks_its_lane)
{
	const uint64_t rounds = times(300000, 5000000);
	uint64_t records = 0, breaks = 0;
	pid_t pid;

	open_with(1 << 16, 1 << 12);
	pid = party_fork();
	if (pid == 0)
		scribble(&p.a);
	for (uint64_t n = 0; n < rounds; n++) {
		meet_scribbler(&p.b, n % RINGS, &records);
		if (p.b.broken == NULL)
			continue;
		breaks++;
		p.b.broken = NULL;	/* begin again where the liar claims to be */
		for (int i = 0; i < RINGS; i++) {
			p.b.in[i].tail = atomic_load(&p.b.theirs->head[i].at) / 8 * 8;
			p.b.in[i].head = p.b.in[i].released = p.b.in[i].tail;
			p.b.out[i].tail = atomic_load(&p.b.theirs->tail[i].at) / 8 * 8;
			p.b.out[i].head = p.b.out[i].published = p.b.out[i].tail;
		}
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	printf("  %llu rounds with a scribbler: %llu records, %llu times broken\n",
	    (unsigned long long)rounds, (unsigned long long)records, (unsigned long long)breaks);
	ck_assert_uint_gt(breaks, 100);
	ck_assert_uint_gt(records, 1000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ring between processes");
	TCase *c = tcase_create("ring");
	SRunner *r;
	int failed;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		CPU_ZERO(&cpus);
	tcase_set_timeout(c, times(600, 3600));
	tcase_add_loop_test(c, stream_is_whole_and_in_order, 0,
	    sizeof(streams) / sizeof(streams[0]));
	tcase_add_test(c, ring_sleep_race);
	tcase_add_test(c, ring_space_race);
	tcase_add_test(c, a_killed_writer_leaves_whole_records);
	tcase_add_test(c, a_killed_reader_leaves_the_writer_free);
	tcase_add_test(c, a_scribbling_peer_only_breaks_its_lane);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

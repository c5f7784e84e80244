/*
 * What a ring costs between two processes: throughput of records published one
 * by one and by 32, and the round trip through two sleeping processes. CPU time
 * for each record is the figure to compare: wall-clock time depends on what
 * else runs.
 *
 *   ring_bench [millions of records, default 3]
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include "tests/unit/shm/ring_pair.h"

#define BULK		((size_t)1 << 20)
#define SMALL		((size_t)1 << 16)
#define ROUND_TRIPS	20000
#define WARM		1000	/* of them not counted */

struct side { struct lane *lane; int wake_peer, epoll; uint64_t writes, sleeps; };

struct outcome { double cpu; uint64_t sleeps, sum; };	/* of the child */

static struct pair p;
static int wakes[2];
static struct outcome *child;	/* shared memory */

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void
pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void
must(bool right, const char *what)
{
	if (right)
		return;
	perror(what);
	exit(1);
}

static void
side_init(struct side *s, int me, int cpu)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };

	*s = (struct side){ .lane = me == 0 ? &p.a : &p.b, .wake_peer = wakes[!me],
	    .epoll = epoll_create1(EPOLL_CLOEXEC) };
	must(epoll_ctl(s->epoll, EPOLL_CTL_ADD, wakes[me], &e) == 0, "epoll_ctl");
	pin(cpu);
}

static void
side_wake_peer(struct side *s)
{
	s->writes++;
	must(eventfd_write(s->wake_peer, 1) == 0, "eventfd");
}

static void
side_wait(struct side *s)
{
	struct epoll_event e;

	s->sleeps++;
	must(epoll_wait(s->epoll, &e, 1, 10000) == 1, "no event in 10 s");
}

static void
side_sleep(struct side *s)
{
	if (!lane_sleep(s->lane))
		return;
	side_wait(s);
	lane_wake(s->lane);
}

static void
side_publish(struct side *s)
{
	if (lane_publish(s->lane))
		side_wake_peer(s);
}

static void
side_release(struct side *s)
{
	if (lane_release(s->lane))
		side_wake_peer(s);
}

/* As a worker does: write, publish by batches, wait when the ring is full. */
static void
produce(struct side *s, uint64_t count, size_t len, unsigned batch)
{
	static char from[4096];
	char *at;

	for (uint64_t i = 0; i < count; i++) {
		while ((at = ring_reserve(s->lane, RING_BULK, len)) == NULL) {
			side_publish(s);
			if (lane_want_space(s->lane, RING_BULK, len))
				side_wait(s);
		}
		memcpy(from, &i, sizeof(i));
		memcpy(at, from, len);
		ring_commit(s->lane, RING_BULK, 1, len);
		if ((i + 1) % batch == 0)
			side_publish(s);
	}
	side_publish(s);
}

/* Copy each record out; space goes back by eighths of the ring. */
static void
consume(struct side *s, uint64_t count)
{
	static char to[4096];
	struct ring_record r;
	uint64_t since = 0, n;

	while (count > 0) {
		while (ring_next(s->lane, RING_BULK, &r) == 1) {
			memcpy(to, r.data, r.len);
			memcpy(&n, to, sizeof(n));
			child->sum += n;
			ring_consume(s->lane, RING_BULK, &r);
			count--;
			since += r.len + 8;
			if (since > BULK / 8) {
				side_release(s);
				since = 0;
			}
		}
		side_release(s);
		if (count > 0)
			side_sleep(s);
	}
}

static void
open_both(void)
{
	pair_open(&p, BULK, SMALL);
	pair_attach(&p);
	for (int i = 0; i < 2; i++)
		must((wakes[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0, "eventfd");
	memset(child, 0, sizeof(*child));
}

static void
close_both(pid_t pid, struct side *s)
{
	int status;

	must(waitpid(pid, &status, 0) == pid && status == 0, "child");
	close(s->epoll);
	close(wakes[0]);
	close(wakes[1]);
	pair_close(&p);
}

static pid_t
side_fork(void)
{
	pid_t pid;

	fflush(stdout);
	must((pid = fork()) != -1, "fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void
throughput(uint64_t count, size_t len, unsigned batch, int cpu)
{
	struct side s;
	double cpu0, start, wall;
	pid_t pid;

	open_both();
	pid = side_fork();
	side_init(&s, pid == 0, pid == 0 ? cpu : 0);
	cpu0 = cpu_seconds();
	start = seconds();
	if (pid == 0) {
		consume(&s, count);
		child->cpu = cpu_seconds() - cpu0;
		child->sleeps = s.sleeps;
		_exit(0);
	}
	produce(&s, count, len, batch);
	cpu0 = cpu_seconds() - cpu0;
	close_both(pid, &s);
	wall = seconds() - start;
	must(child->sum == count * (count - 1) / 2, "records were lost");
	printf("%5zu B, by %2u, %s: %6.2f M/s, CPU ns each: writer %4.0f reader %4.0f; "
	    "reader slept %llu, writer waited %llu\n", len, batch,
	    cpu == 0 ? "one core " : "two cores", (double)count / wall * 1e-6,
	    cpu0 / (double)count * 1e9, child->cpu / (double)count * 1e9,
	    (unsigned long long)child->sleeps, (unsigned long long)s.sleeps);
}

static int
compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
bounce_take(struct side *s, bool spin)
{
	struct ring_record r;

	while (ring_next(s->lane, RING_BULK, &r) != 1)
		if (!spin)
			side_sleep(s);
	ring_consume(s->lane, RING_BULK, &r);
	side_release(s);
}

static void
bounce_put(struct side *s)
{
	char *at = ring_reserve(s->lane, RING_BULK, 128);

	must(at != NULL, "full");
	memset(at, 'x', 128);
	ring_commit(s->lane, RING_BULK, 1, 128);
	side_publish(s);
}

static void
round_trip(bool spin, int cpu)
{
	static double took[ROUND_TRIPS];
	struct side s;
	pid_t pid;

	open_both();
	pid = side_fork();
	side_init(&s, pid == 0, pid == 0 ? cpu : 0);
	for (int i = 0; i < ROUND_TRIPS; i++) {
		took[i] = seconds();
		if (pid != 0)
			bounce_put(&s);
		bounce_take(&s, spin);
		if (pid == 0)
			bounce_put(&s);
		took[i] = seconds() - took[i];
	}
	if (pid == 0)
		_exit(0);
	close_both(pid, &s);
	qsort(took + WARM, ROUND_TRIPS - WARM, sizeof(took[0]), compare);
	printf("round trip of 128 B, %s, %s: p50 %.2f us, p99 %.2f us\n",
	    cpu == 0 ? "one core " : "two cores", spin ? "looking all the time" : "sleeping",
	    took[WARM + (ROUND_TRIPS - WARM) / 2] * 1e6,
	    took[WARM + (ROUND_TRIPS - WARM) * 99 / 100] * 1e6);
}

int
main(int argc, char **argv)
{
	static const size_t lens[] = { 16, 128, 1024 };
	const uint64_t count = (argc > 1 ? strtoull(argv[1], NULL, 10) : 3) * 1000000;
	const int second = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0;

	child = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(child != MAP_FAILED, "mmap");
	for (int cpu = second; cpu >= 0; cpu--)
		for (int i = 0; i < 3; i++) {
			throughput(count, lens[i], 1, cpu);
			throughput(count, lens[i], 32, cpu);
		}
	if (second == 1)
		round_trip(true, 1);
	for (int cpu = second; cpu >= 0; cpu--)
		round_trip(false, cpu);
	return 0;
}

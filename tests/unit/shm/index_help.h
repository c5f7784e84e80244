#ifndef TESTS_INDEX_HELP_H
#define TESTS_INDEX_HELP_H
/* What the index's tests and its benchmark share: a partition in anonymous memory, numbers, time. */
#include <sys/mman.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "shm/index_owner.h"

static uint64_t random_state;
static uint8_t test_secret[INDEX_SECRET];

/* xorshift64* */
static inline uint64_t
random_number(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint32_t
random_below(uint32_t n)
{
	return (uint32_t)((random_number() >> 32) % n);
}

/* SEED=n repeats a run. */
static inline void
random_init(const char *what)
{
	const char *given = getenv("SEED");
	struct timespec t;
	size_t i;

	clock_gettime(CLOCK_REALTIME, &t);
	random_state = given != NULL ? strtoull(given, NULL, 0) :
	    (uint64_t)t.tv_nsec << 20 ^ (uint64_t)t.tv_sec ^ (uint64_t)getpid() << 40;
	random_state |= 1;
	printf("%s: SEED=%llu\n", what, (unsigned long long)random_state);
	fflush(stdout);
	for (i = 0; i < sizeof(test_secret); i++)
		test_secret[i] = (uint8_t)(random_number() >> 56);
}

static inline double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Shared with children that are forked later. */
static inline struct segment
partition_new(void)
{
	struct segment seg = { NULL, INDEX_SIZE };

	seg.base = mmap(NULL, INDEX_SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (seg.base == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return seg;
}

static inline void
partition_free(struct segment *seg)
{
	munmap(seg->base, seg->size);
}
#endif

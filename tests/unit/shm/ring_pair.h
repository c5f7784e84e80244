#ifndef TESTS_RING_PAIR_H
#define TESTS_RING_PAIR_H
/* Both ends of a lane in one process; after fork() each side uses one of them. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "shm/ring.h"

struct pair { struct lane a, b; int fd_a, fd_b; };

static inline void
pair_must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "%s: %d\n", what, rc);
	abort();
}

/* Neither has seen the other's segment yet. */
static inline void
pair_open(struct pair *p, size_t bulk, size_t small)
{
	p->fd_a = segment_create("a", LANE_SIZE(bulk, small));
	p->fd_b = segment_create("b", LANE_SIZE(bulk, small));
	pair_must(lane_open(&p->a, dup(p->fd_a), bulk, small), "lane_open");
	pair_must(lane_open(&p->b, dup(p->fd_b), bulk, small), "lane_open");
}

static inline void
pair_attach(struct pair *p)
{
	pair_must(lane_attach(&p->a, dup(p->fd_b)), "lane_attach");
	pair_must(lane_attach(&p->b, dup(p->fd_a)), "lane_attach");
}

static inline void
pair_close(struct pair *p)
{
	lane_close(&p->a);
	lane_close(&p->b);
	close(p->fd_a);
	close(p->fd_b);
}

/* As if both had exchanged `position` bytes already. */
static inline void
pair_advance(struct pair *p, enum ring which, uint64_t position)
{
	struct lane *side[] = { &p->a, &p->b };

	for (int i = 0; i < 2; i++) {
		struct ring_out *out = &side[i]->out[which];
		struct ring_in *in = &side[i]->in[which];

		out->head = out->published = out->tail = position;
		in->head = in->tail = in->released = position;
		atomic_store(&side[i]->mine->head[which].at, position);
		atomic_store(&side[i]->mine->tail[which].at, position);
	}
}

/* Well mixed bits of n: what a test's n-th record looks like follows from it. */
static inline uint64_t
mix(uint64_t n)
{
	n += UINT64_C(0x9e3779b97f4a7c15);
	n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
	return n ^ (n >> 31);
}

static inline void
fill(char *at, size_t len, uint64_t seed)
{
	size_t i;

	for (i = 0; i + 8 <= len; i += 8, seed += UINT64_C(0x0101010101010107))
		memcpy(at + i, &seed, 8);
	memcpy(at + i, &seed, len - i);
}

static inline bool
filled(const char *at, size_t len, uint64_t seed)
{
	size_t i;

	for (i = 0; i + 8 <= len; i += 8, seed += UINT64_C(0x0101010101010107))
		if (memcmp(at + i, &seed, 8) != 0)
			return false;
	return memcmp(at + i, &seed, len - i) == 0;
}

/* Write record n of len bytes. False: full. */
static inline bool
put(struct lane *lane, enum ring which, uint64_t n, size_t len)
{
	char *at = ring_reserve(lane, which, len);

	if (at == NULL)
		return false;
	fill(at, len, mix(n));
	ring_commit(lane, which, (uint32_t)n, len);
	return true;
}

/* Take record n of len bytes. 1; 0 none; -EPROTO; -EBADMSG another one. */
static inline int
take(struct lane *lane, enum ring which, uint64_t n, size_t len)
{
	struct ring_record r;
	int rc = ring_next(lane, which, &r);

	if (rc != 1)
		return rc;
	if (r.type != (uint32_t)n || r.len != len || !filled(r.data, len, mix(n)))
		return -EBADMSG;
	ring_consume(lane, which, &r);
	return 1;
}
#endif

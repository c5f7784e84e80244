#ifndef SHM_RING_H
#define SHM_RING_H
/*
 * Lanes and rings. A lane connects two participants: each of them owns one
 * segment that the other maps read-only. My segment holds
 *
 *   page 0   my words: head of each ring that I write, tail of each ring
 *            that I read, asleep, wants_space
 *   then     bulk ring data, small ring data (what I write)
 *
 * so every word has one writer. The bulk ring carries messages, the small one
 * what must never wait (queue messages passed on, pace, none): see
 * docs/architecture.md 2. Positions are free-running u64; data is mapped twice
 * back to back, so that a record is always contiguous. docs/shm-ring.md has
 * the protocol, word by word.
 *
 * What is called for each record is inline here: bench/ring_bench.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include "common/bytes.h"
#include "shm/segment.h"

enum ring { RING_BULK, RING_SMALL, RINGS };

#define LANE_PAGE		4096
#define LANE_SIZE(bulk, small)	((size_t)LANE_PAGE + (bulk) + (small))
#define RING_LEAST		4096	/* bytes of a ring's data, a power of two */
#define RING_MOST		((size_t)1 << 32)

struct lane_words {
	struct { _Alignas(64) _Atomic uint64_t at; } head[RINGS];	/* of what I write */
	struct { _Alignas(64) _Atomic uint64_t at; } tail[RINGS];	/* of what I read */
	_Alignas(64) _Atomic uint64_t asleep;		/* odd: wake me when you publish */
	_Alignas(64) _Atomic uint64_t wants_space;	/* odd: wake me when you free space */
};

/* What precedes each record, at a multiple of 8; its bytes follow, padded to one. */
struct record_head { _Atomic uint32_t len, type; };

struct ring_out { char *data; uint64_t size, head, published, tail; };
struct ring_in { const char *data; uint64_t size, tail, released, head; };

struct lane {
	struct lane_words	*mine;		/* ours to write */
	const struct lane_words	*theirs;	/* NULL until the peer's segment came */
	struct ring_out		 out[RINGS];
	struct ring_in		 in[RINGS];
	uint64_t		 woken, freed;	/* the odd values already answered */
	size_t			 bulk, small;
	const char		*broken;	/* what the peer did; NULL: nothing */
};

/*
 * Map and seal our segment (fd consumed, also on error). Writing may begin at
 * once; it waits in the ring until the peer reads. The lane may be moved.
 * 0 or -errno of segment_map_own(), -EINVAL sizes: not a power of two in
 * RING_LEAST..RING_MOST.
 */
int lane_open(struct lane *lane, int fd, size_t bulk, size_t small);

/*
 * Map the peer's (fd consumed, also on error). 0 or -errno of
 * segment_map_peer(), -EALREADY. Then, once: read what is there already, call
 * lane_publish() for what was written before (the peer may sleep over it),
 * try again what waits for space.
 */
int lane_attach(struct lane *lane, int fd);
/* Unmap both segments. */
void lane_close(struct lane *lane);

/* -- writing */

/*
 * Room for one record of len bytes, or NULL: full (or the peer broke the
 * rules: lane->broken). Write there, then ring_commit(). len at most
 * ring_record_max().
 */
static inline void *ring_reserve(struct lane *lane, enum ring which, size_t len);

/* len: at most what was reserved. Nobody sees the record before lane_publish(). */
static inline void ring_commit(struct lane *lane, enum ring which, uint32_t type, size_t len);

/* Longest record: a quarter of the ring less its head. */
static inline size_t ring_record_max(const struct lane *lane, enum ring which);

/* Let the peer see what was committed. True: it sleeps and its eventfd must be
 * written, once. Wait-free, no system call. Call once for many records. */
bool lane_publish(struct lane *lane);

/*
 * We wait for space in a full ring: ask the peer to wake us. False: there is
 * space by now, try again instead of waiting. Publish first, or there may be
 * nothing the peer could free. Ask again after each wake-up that was in vain.
 */
bool lane_want_space(struct lane *lane, enum ring which, size_t len);

/* -- reading */

struct ring_record { uint32_t type, len; const char *data; };

/*
 * The next record: its length was read once and checked; data is the peer's
 * memory and may change under us: copy, check, use. 1; 0: none;
 * -EPROTO: the peer broke the rules (lane->broken says how).
 * The record stays until ring_consume(); several may be taken before lane_release().
 */
static inline int ring_next(struct lane *lane, enum ring which, struct ring_record *r);
static inline void ring_consume(struct lane *lane, enum ring which, const struct ring_record *r);

/* Give the space of consumed records back, before sleeping at the latest.
 * True: the peer waits for space, its eventfd must be written. */
bool lane_release(struct lane *lane);

/* About to sleep. False: there is something to read, do not. */
bool lane_sleep(struct lane *lane);
void lane_wake(struct lane *lane);	/* awake again */

/* -- what the inline functions leave to ring.c */

/* Read the peer's tail again. True: there are so many bytes. */
bool ring_look_for_space(struct lane *lane, enum ring which, uint64_t bytes);
int ring_look_for_records(struct lane *lane, enum ring which);	/* as ring_next() */

/* The peer broke the rules; the first time counts. what: static. */
static inline int
lane_break(struct lane *lane, const char *what)
{
	if (lane->broken == NULL)
		lane->broken = what;
	return -EPROTO;
}

/* Bytes that a record takes up. */
static inline uint64_t
ring_record_bytes(uint64_t len)
{
	return (len + sizeof(struct record_head) + 7) & ~(uint64_t)7;
}

static inline size_t
ring_record_max(const struct lane *lane, enum ring which)
{
	return lane->out[which].size / 4 - sizeof(struct record_head);
}

static inline void *
ring_reserve(struct lane *lane, enum ring which, size_t len)
{
	const struct ring_out	*out = &lane->out[which];
	const uint64_t		 bytes = ring_record_bytes(len);

	assert(len <= ring_record_max(lane, which));
	if ((out->size - (out->head - out->tail) < bytes || lane->broken != NULL) &&
	    !ring_look_for_space(lane, which, bytes))
		return NULL;
	return out->data + (out->head & (out->size - 1)) + sizeof(struct record_head);
}

static inline void
ring_commit(struct lane *lane, enum ring which, uint32_t type, size_t len)
{
	struct ring_out		*out = &lane->out[which];
	struct record_head	*head;

	head = (struct record_head *)(out->data + (out->head & (out->size - 1)));
	atomic_store_explicit(&head->len, (uint32_t)len, memory_order_relaxed);
	atomic_store_explicit(&head->type, type, memory_order_relaxed);
	out->head += ring_record_bytes(len);
	assert(out->head - out->tail <= out->size);
}

static inline int
ring_next(struct lane *lane, enum ring which, struct ring_record *r)
{
	const struct ring_in		*in = &lane->in[which];
	const struct record_head	*head;
	uint32_t			 len;
	int				 rc;

	if (in->tail == in->head || lane->broken != NULL) {
		rc = ring_look_for_records(lane, which);
		if (rc != 1)
			return rc;
	}
	head = (const struct record_head *)(in->data + (in->tail & (in->size - 1)));
	/* Once each: a second look could find something else. */
	len = atomic_load_explicit(&head->len, memory_order_relaxed);
	if (len > in->head - in->tail - sizeof(*head))
		return lane_break(lane, "a record passes the head of its ring");
	if (len > in->size / 4 - sizeof(*head))
		return lane_break(lane, "a record is longer than its ring allows");
	r->len = len;
	r->type = atomic_load_explicit(&head->type, memory_order_relaxed);
	r->data = (const char *)(head + 1);
	return 1;
}

static inline void
ring_consume(struct lane *lane, enum ring which, const struct ring_record *r)
{
	lane->in[which].tail += ring_record_bytes(r->len);
}
#endif

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
 * back to back, so that a record is always contiguous.
 */
#include <stdatomic.h>
#include <stdint.h>
#include "common/bytes.h"
#include "shm/segment.h"

enum ring { RING_BULK, RING_SMALL, RINGS };

#define LANE_PAGE		4096
#define LANE_SIZE(bulk, small)	((size_t)LANE_PAGE + (bulk) + (small))

struct lane_words {
	struct { _Alignas(64) _Atomic uint64_t at; } head[RINGS];	/* of what I write */
	struct { _Alignas(64) _Atomic uint64_t at; } tail[RINGS];	/* of what I read */
	_Alignas(64) _Atomic uint32_t asleep;		/* odd: wake me when you publish */
	_Alignas(64) _Atomic uint32_t wants_space;	/* odd: wake me when you free space */
};

struct ring_out { char *data; uint64_t size, head, published, tail; };
struct ring_in { const char *data; uint64_t size, tail, released, head; };

struct lane {
	struct lane_words	*mine;		/* ours to write */
	const struct lane_words	*theirs;	/* NULL until the peer's segment came */
	struct ring_out		 out[RINGS];
	struct ring_in		 in[RINGS];
	uint32_t		 woken, freed;	/* the odd values already answered */
	size_t			 bulk, small;
	const char		*broken;	/* what the peer did; NULL: nothing */
};

/* Map and seal our segment (fd consumed). Writing may begin at once; it waits
 * in the ring until the peer reads. 0 or -errno of segment_map_own(), -EINVAL sizes. */
int lane_open(struct lane *lane, int fd, size_t bulk, size_t small);

/* Map the peer's (fd consumed). 0 or -errno of segment_map_peer(). */
int lane_attach(struct lane *lane, int fd);
void lane_close(struct lane *lane);

/* -- writing */

/*
 * Room for one record of len bytes, or NULL: full (or the peer broke the
 * rules: lane->broken). Write there, then ring_commit(). len at most
 * ring_record_max().
 */
void *ring_reserve(struct lane *lane, enum ring which, size_t len);
void ring_commit(struct lane *lane, enum ring which, uint32_t type, size_t len);

/* Longest record: a quarter of the ring less its head. */
size_t ring_record_max(const struct lane *lane, enum ring which);

/* Let the peer see what was committed. True: it sleeps and its eventfd must be
 * written, once. Wait-free, no system call. Call once for many records. */
bool lane_publish(struct lane *lane);

/* We wait for space in a full ring: ask the peer to wake us. False: there is
 * space by now, try again instead of waiting. */
bool lane_want_space(struct lane *lane, enum ring which, size_t len);

/* -- reading */

struct ring_record { uint32_t type, len; const char *data; };

/*
 * The next record: its length was read once and checked; data is the peer's
 * memory and may change under us: copy, check, use. 1; 0: none;
 * -EPROTO: the peer broke the rules (lane->broken says how).
 * The record stays until ring_consume(); several may be taken before lane_release().
 */
int ring_next(struct lane *lane, enum ring which, struct ring_record *r);
void ring_consume(struct lane *lane, enum ring which, const struct ring_record *r);

/* Give the space of consumed records back. True: the peer waits for space,
 * its eventfd must be written. */
bool lane_release(struct lane *lane);

/* About to sleep. False: there is something to read, do not. */
bool lane_sleep(struct lane *lane);
void lane_wake(struct lane *lane);	/* awake again */
#endif

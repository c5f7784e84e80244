#ifndef SHM_INDEX_LAYOUT_H
#define SHM_INDEX_LAYOUT_H
/*
 * What a partition of the subject index looks like in memory; private to
 * shm/index*.c and their tests. Drawn in docs/shm.md, explained in README.md.
 *
 *   0               struct index_head
 *   INDEX_TABLE     struct index_bucket [INDEX_BUCKETS_MAX]
 *   INDEX_ARENA     records and overflow buckets, in units of 16 bytes
 *   INDEX_ARENA_END slack: a 16-bit length from here stays in the mapping
 *   INDEX_SIZE
 *
 * Zeros are a valid, empty partition. Nothing here says how large anything is
 * that a reader could not know: all geometry is in this file.
 */
#include <stdatomic.h>
#include <stddef.h>
#include "shm/hash.h"
#include "shm/index.h"

#define INDEX_UNIT		16u
#define INDEX_BUCKETS_MIN	1024u
#define INDEX_BUCKETS_MAX	(1u << 22)
#define INDEX_TABLE		((size_t)1 << 16)
#define INDEX_ARENA		(INDEX_TABLE + (size_t)INDEX_BUCKETS_MAX * 64)
#define INDEX_SLACK		((size_t)1 << 17)
#define INDEX_ARENA_END		(INDEX_SIZE - INDEX_SLACK)
#define INDEX_FIRST		((uint32_t)(INDEX_ARENA / INDEX_UNIT))		/* offsets in units */
#define INDEX_BEHIND		((uint32_t)(INDEX_ARENA_END / INDEX_UNIT))

/* Frees that pass before a freed record may be used again. A reader that saw
 * fewer during its whole lookup read nothing that was used again. */
#define INDEX_QUARANTINE	4096u

/* Stripes of stamps. */
#define INDEX_LITERALS		4096u	/* by (account, subject) */
#define INDEX_WILDS		1024u	/* by (account, first token) */
#define INDEX_ALLS		256u	/* by account: patterns that begin with a wildcard */

struct index_head {
	/* Low half: buckets beyond INDEX_BUCKETS_MIN. High half: slots moved
	 * inside their chain. Published between copying a slot and clearing it. */
	_Atomic uint64_t	shape;
	_Atomic uint64_t	frees;		/* records and overflow buckets ever freed */
	_Atomic uint64_t	generation;	/* changes ever */
	_Alignas(64) _Atomic uint32_t all[INDEX_ALLS];
	_Atomic uint32_t	wild[INDEX_WILDS];
	_Atomic uint32_t	literal[INDEX_LITERALS];
};

#define INDEX_SLOTS	7
struct index_bucket {
	_Atomic uint64_t	slot[INDEX_SLOTS];	/* tag << 32 | record; 0: free */
	_Atomic uint64_t	next;			/* overflow bucket, in units; 0: none */
};

enum index_kind {
	INDEX_ACCOUNT = 1,	/* an account with interest; root of its trie of wildcards */
	INDEX_LITERAL,		/* a subject without wildcards */
	INDEX_NODE,		/* a token of a pattern; its path from the root is the pattern */
	INDEX_QUEUE,		/* a queue group of a LITERAL or NODE */
};

/*
 *            number          weight     links                           bytes
 *  ACCOUNT   account         interests  star, rest, children            none
 *  LITERAL   account         members    queues                          subject
 *  NODE      node above it   members    queues, star, rest, children    token
 *  QUEUE     what it is of   members    queues (next), prev             name
 *
 * All are in the table under (kind, number, bytes), but for the nodes of `*` and `>`,
 * which hang on star and rest of the node above them.
 */
struct index_record {
	_Atomic uint32_t	tag;		/* in a free one: the next free one */
	_Atomic uint8_t		kind, unused;
	_Atomic uint16_t	len;		/* of its bytes */
	_Atomic uint32_t	number;
	_Atomic uint32_t	weight;
	_Atomic uint32_t	note;		/* the owner's */
	_Atomic uint32_t	queues;
	union {
		char			subject[12];	/* LITERAL, on to len */
		struct {
			_Atomic uint32_t	star, rest, children;
		};
		_Atomic uint32_t	prev;		/* QUEUE; 0: the first */
	};
};

#define INDEX_LITERAL_BYTES	offsetof(struct index_record, subject)
#define INDEX_QUEUE_BYTES_AT	(offsetof(struct index_record, prev) + 4)
#define INDEX_NODE_BYTES	sizeof(struct index_record)

_Static_assert(sizeof(struct index_head) <= INDEX_TABLE, "head and table overlap");
_Static_assert(sizeof(struct index_bucket) == 64, "one cache line");
_Static_assert(sizeof(struct index_record) == 36 && INDEX_LITERAL_BYTES == 24, "bytes per subscription");
_Static_assert(INDEX_SIZE / INDEX_UNIT <= UINT32_MAX, "offsets are 32 bits");
_Static_assert(INDEX_ARENA % 64 == 0, "overflow buckets are cache lines");
_Static_assert(INDEX_SLACK >= sizeof(struct index_record) + UINT16_MAX, "lengths are 16 bits");
_Static_assert(INDEX_SECRET == HASH_SECRET, "one secret");

/* Relaxed access, for words that something else orders. */
#define index_load(word)	atomic_load_explicit((word), memory_order_relaxed)
#define index_store(word, value) atomic_store_explicit((word), (value), memory_order_relaxed)

/* Where the bytes of a record of this kind begin. */
static inline size_t
index_bytes_at(unsigned kind)
{
	return kind == INDEX_LITERAL ? INDEX_LITERAL_BYTES :
	    kind == INDEX_QUEUE ? INDEX_QUEUE_BYTES_AT : INDEX_NODE_BYTES;
}

static inline uint32_t
index_units(unsigned kind, uint32_t len)
{
	return (uint32_t)((index_bytes_at(kind) + len + INDEX_UNIT - 1) / INDEX_UNIT);
}

#define INDEX_UNITS_MAX	((sizeof(struct index_record) + UINT16_MAX + INDEX_UNIT - 1) / INDEX_UNIT)

/* The hash of (kind, number, bytes) when that of the bytes is known. */
static inline uint32_t
index_tag_of(uint64_t hash, unsigned kind, uint32_t number)
{
	return (uint32_t)(hash_mix(hash, (uint64_t)kind << 32 | number) >> 32);
}

static inline uint32_t
index_tag(const uint8_t *secret, unsigned kind, uint32_t number, struct bytes b)
{
	return index_tag_of(hash_bytes(secret, b), kind, number);
}

/* Linear hashing: where a tag lives in a table of n buckets. */
static inline uint32_t
index_bucket_of(uint32_t tag, uint32_t n)
{
	uint32_t mask = (1u << (31 - __builtin_clz(n))) - 1;
	uint32_t i = tag & (mask << 1 | 1);

	return i < n ? i : tag & mask;
}

/* The token that begins at `at`; ends before the next dot or at the end. */
static inline struct bytes
index_token(struct bytes subject, size_t at)
{
	const char *p = subject.data + at;
	const char *dot = at < subject.len ? memchr(p, '.', subject.len - at) : NULL;

	return (struct bytes){ p, dot != NULL ? (size_t)(dot - p) : subject.len - at };
}

/* Stripes: the same for owner and peer. */
static inline uint32_t
index_literal_stripe(uint32_t tag)
{
	return tag % INDEX_LITERALS;
}

static inline uint32_t
index_wild_stripe(const uint8_t *secret, uint32_t account, struct bytes first)
{
	return index_tag(secret, 0, account, first) % INDEX_WILDS;
}

static inline uint32_t
index_all_stripe(uint32_t account)
{
	return (uint32_t)(hash_mix(0, account) >> 32) % INDEX_ALLS;
}

/* As index_check(), and with a secret that every tag is right. */
int index_check_keyed(const struct segment *seg, const uint8_t *secret, const char **what);
#endif

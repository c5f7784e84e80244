#ifndef SHM_INDEX_OWNER_H
#define SHM_INDEX_OWNER_H
/*
 * What the owner of a partition knows of it and nobody else; private to
 * shm/index*.c. Tests lower `limit` and `quarantine` of an empty index.
 */
#include "shm/index_layout.h"

/* A record or an overflow bucket (units 0) that readers may still look at. */
struct index_freed { uint32_t at, units; };

struct index {
	char			*base;
	struct index_head	*head;
	_Alignas(64) uint8_t	 secret[INDEX_SECRET];

	/* arena */
	uint64_t		 top, limit;		/* bytes from base: first never used; end */
	uint64_t		 live;			/* bytes of records and overflow buckets in use */
	uint32_t		 blocks, nblocks;	/* free overflow buckets, linked by their next */
	uint32_t		 free[INDEX_UNITS_MAX + 1];	/* free records by units, linked by their tag */
	uint64_t		 sizes[INDEX_UNITS_MAX / 64 + 1];	/* which of free[] have any */
	unsigned		 quarantine;		/* how many of freed[] are used */
	uint64_t		 freed_first, freed_end;	/* positions in freed[], free-running */
	struct index_freed	 freed[INDEX_QUARANTINE];

	/* table */
	uint32_t		 buckets;
	uint64_t		 slots;			/* in use */

	uint64_t		 records;		/* interests */
	uint32_t		 account, account_at;	/* the last one looked up; at 0: none */
	uint32_t		*frontier;		/* scratch of index_match_own() */
	size_t			 frontier_room;
};

static inline struct index_record *
index_record_at(const struct index *idx, uint32_t at)
{
	return (struct index_record *)(idx->base + (size_t)at * INDEX_UNIT);
}

static inline struct index_bucket *
index_bucket_at(const struct index *idx, uint64_t at)
{
	return (struct index_bucket *)(idx->base + at * INDEX_UNIT);
}

static inline struct bytes
index_record_bytes(const struct index_record *r)
{
	return (struct bytes){ (const char *)r + index_bytes_at(index_load(&r->kind)),
	    index_load(&r->len) };
}

/* index_arena.c: memory. A number of units or an offset; 0: full. */
uint32_t index_alloc(struct index *idx, uint32_t units);
/* Into the quarantine: readers may still look at it. */
void index_free_record(struct index *idx, uint32_t at);
/* See to it that so many index_alloc_block() succeed. False: full. */
bool index_reserve_blocks(struct index *idx, uint32_t count);
uint32_t index_alloc_block(struct index *idx);
void index_free_block(struct index *idx, uint32_t at);

/* index_table.c: the hash table. */
void index_prefetch(const struct index *idx, uint32_t tag);
uint32_t index_peek(const struct index *idx, uint32_t tag);	/* perhaps of another with this tag */
uint32_t index_find(const struct index *idx, unsigned kind, uint32_t number, struct bytes b, uint32_t tag);
int index_put(struct index *idx, uint32_t tag, uint32_t at);	/* 0 or -ENOSPC */
void index_drop(struct index *idx, uint32_t tag, uint32_t at);
#endif

/*
 * The owner's side of the hash table: linear hashing over cache lines of seven
 * slots. Only the last bucket of a chain has free slots, so that overflow
 * buckets are few and go back as soon as they can.
 *
 * A slot that moves is in its new place before it leaves the old one, and
 * `shape` changes between the two: a reader that found it in neither sees
 * another shape than before and looks again.
 */
#include <errno.h>
#include "shm/index_owner.h"

#define LOAD_NUMERATOR		2	/* more than 9/2 slots for each bucket: split one */
#define LOAD_DENOMINATOR	9

static struct index_bucket *
bucket_first(const struct index *idx, uint32_t i)
{
	return (struct index_bucket *)(idx->base + INDEX_TABLE) + i;
}

static struct index_bucket *
bucket_next(const struct index *idx, const struct index_bucket *b)
{
	uint64_t next = index_load(&b->next);

	return next == 0 ? NULL : index_bucket_at(idx, next);
}

static bool
record_is(const struct index_record *r, unsigned kind, uint32_t number, struct bytes b)
{
	return index_load(&r->kind) == kind && index_load(&r->number) == number &&
	    index_load(&r->len) == b.len &&
	    memcmp((const char *)r + index_bytes_at(kind), b.data, b.len) == 0;
}

/* The record, or 0. */
uint32_t
index_find(const struct index *idx, unsigned kind, uint32_t number, struct bytes bytes, uint32_t tag)
{
	const struct index_bucket *b = bucket_first(idx, index_bucket_of(tag, idx->buckets));
	uint64_t slot;
	unsigned i;

	for (; b != NULL; b = bucket_next(idx, b))
		for (i = 0; i < INDEX_SLOTS; i++) {
			slot = index_load(&b->slot[i]);
			if (slot >> 32 == tag && slot != 0 &&
			    record_is(index_record_at(idx, (uint32_t)slot), kind, number, bytes))
				return (uint32_t)slot;
		}
	return 0;
}

void
index_prefetch(const struct index *idx, uint32_t tag)
{
	__builtin_prefetch(bucket_first(idx, index_bucket_of(tag, idx->buckets)));
}

uint32_t
index_peek(const struct index *idx, uint32_t tag)
{
	const struct index_bucket *b = bucket_first(idx, index_bucket_of(tag, idx->buckets));
	uint64_t slot;
	unsigned i;

	for (i = 0; i < INDEX_SLOTS; i++) {
		slot = index_load(&b->slot[i]);
		if (slot >> 32 == tag && slot != 0)
			return (uint32_t)slot;
	}
	return 0;
}

/* Into the chain's first free slot. 0 or -ENOSPC. */
static int
chain_put(struct index *idx, struct index_bucket *b, uint64_t slot)
{
	struct index_bucket *next;
	uint32_t at;
	unsigned i;

	for (;; b = next) {
		for (i = 0; i < INDEX_SLOTS; i++)
			if (index_load(&b->slot[i]) == 0) {
				atomic_store_explicit(&b->slot[i], slot, memory_order_release);
				return 0;
			}
		if ((next = bucket_next(idx, b)) == NULL)
			break;
	}
	if ((at = index_alloc_block(idx)) == 0)
		return -ENOSPC;
	index_store(&index_bucket_at(idx, at)->slot[0], slot);
	atomic_store_explicit(&b->next, at, memory_order_release);
	return 0;
}

static void
shape_publish(struct index *idx, uint64_t change)
{
	atomic_store_explicit(&idx->head->shape, index_load(&idx->head->shape) + change,
	    memory_order_release);
	/* Before the slots that are cleared next. */
	atomic_thread_fence(memory_order_release);
}

/*
 * Clear b->slot[i] of the chain that begins with `first`, and close the gap
 * with the chain's last slot. True: b itself is gone.
 */
static bool
chain_clear(struct index *idx, struct index_bucket *first, struct index_bucket *b, unsigned i)
{
	struct index_bucket *last = first, *before = NULL, *next;
	unsigned top = INDEX_SLOTS;

	while ((next = bucket_next(idx, last)) != NULL) {
		before = last;
		last = next;
	}
	if (before == NULL) {
		atomic_store_explicit(&b->slot[i], 0, memory_order_release);
		return false;
	}
	while (top > 0 && index_load(&last->slot[top - 1]) == 0)
		top--;
	top--;
	if (last != b || top != i) {
		atomic_store_explicit(&b->slot[i], index_load(&last->slot[top]), memory_order_release);
		shape_publish(idx, UINT64_C(1) << 32);
	}
	atomic_store_explicit(&last->slot[top], 0, memory_order_release);
	if (top > 0)
		return false;
	atomic_store_explicit(&before->next, 0, memory_order_release);
	index_free_block(idx, (uint32_t)((size_t)((char *)last - idx->base) / INDEX_UNIT));
	return last == b;
}

/* How many slots of bucket `from` belong to bucket `to` when it exists. */
static uint32_t
split_count(const struct index *idx, uint32_t from, uint32_t to)
{
	const struct index_bucket *b;
	uint32_t count = 0;
	uint64_t slot;
	unsigned i;

	for (b = bucket_first(idx, from); b != NULL; b = bucket_next(idx, b))
		for (i = 0; i < INDEX_SLOTS; i++) {
			slot = index_load(&b->slot[i]);
			count += slot != 0 && index_bucket_of((uint32_t)(slot >> 32), to + 1) == to;
		}
	return count;
}

static void
split_copy(struct index *idx, uint32_t from, uint32_t to)
{
	const struct index_bucket *b;
	uint64_t slot;
	unsigned i;

	for (b = bucket_first(idx, from); b != NULL; b = bucket_next(idx, b))
		for (i = 0; i < INDEX_SLOTS; i++) {
			slot = index_load(&b->slot[i]);
			if (slot != 0 && index_bucket_of((uint32_t)(slot >> 32), to + 1) == to)
				(void)chain_put(idx, bucket_first(idx, to), slot);	/* blocks are reserved */
		}
}

static void
split_clear(struct index *idx, uint32_t from, uint32_t to)
{
	struct index_bucket *first = bucket_first(idx, from), *b;
	uint64_t slot;
	unsigned i;

	for (b = first; b != NULL; b = bucket_next(idx, b))
		for (i = 0; i < INDEX_SLOTS; i++)
			/* What fills the gap may have to go as well. */
			while ((slot = index_load(&b->slot[i])) != 0 &&
			    index_bucket_of((uint32_t)(slot >> 32), to + 1) == to)
				if (chain_clear(idx, first, b, i))
					return;
}

/* One more bucket. Where there is no memory for it, chains grow instead. */
static void
split(struct index *idx)
{
	uint32_t to = idx->buckets, from = to - (1u << (31 - __builtin_clz(to)));
	uint32_t moving = split_count(idx, from, to);

	if (moving > INDEX_SLOTS &&
	    !index_reserve_blocks(idx, (moving - 1) / INDEX_SLOTS))
		return;
	split_copy(idx, from, to);
	idx->buckets++;
	shape_publish(idx, 1);
	split_clear(idx, from, to);
}

/* Publish a record that is all written. 0 or -ENOSPC. */
int
index_put(struct index *idx, uint32_t tag, uint32_t at)
{
	int rc = chain_put(idx, bucket_first(idx, index_bucket_of(tag, idx->buckets)),
	    (uint64_t)tag << 32 | at);

	if (rc != 0)
		return rc;
	idx->slots++;
	if (idx->slots * LOAD_NUMERATOR > (uint64_t)idx->buckets * LOAD_DENOMINATOR &&
	    idx->buckets < INDEX_BUCKETS_MAX)
		split(idx);
	return 0;
}

/* Take a record out of the table. */
void
index_drop(struct index *idx, uint32_t tag, uint32_t at)
{
	struct index_bucket *first = bucket_first(idx, index_bucket_of(tag, idx->buckets)), *b;
	uint64_t slot = (uint64_t)tag << 32 | at;
	unsigned i;

	for (b = first; b != NULL; b = bucket_next(idx, b))
		for (i = 0; i < INDEX_SLOTS; i++)
			if (index_load(&b->slot[i]) == slot) {
				chain_clear(idx, first, b, i);
				idx->slots--;
				return;
			}
}

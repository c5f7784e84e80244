/* Memory inside the owner's partition: records of any size, overflow buckets, quarantine. */
#include "shm/index_owner.h"

#define SIZES		(INDEX_UNITS_MAX + 1)
#define LARGE		64u	/* units from which on a record is cut to fit */
#define BLOCK_UNITS	((uint32_t)(sizeof(struct index_bucket) / INDEX_UNIT))
#define BLOCKS_AT_ONCE	16u	/* overflow buckets made together: less is lost to alignment */

static void
free_push(struct index *idx, uint32_t at, uint32_t units)
{
	index_store(&index_record_at(idx, at)->tag, idx->free[units]);
	idx->free[units] = at;
	idx->sizes[units / 64] |= UINT64_C(1) << units % 64;
}

static uint32_t
free_pop(struct index *idx, uint32_t units)
{
	uint32_t at = idx->free[units];

	if (at != 0 && (idx->free[units] = index_load(&index_record_at(idx, at)->tag)) == 0)
		idx->sizes[units / 64] &= ~(UINT64_C(1) << units % 64);
	return at;
}

/* The smallest free size of at least `units`; 0: none. */
static uint32_t
free_at_least(const struct index *idx, uint32_t units)
{
	uint64_t word;
	size_t i;

	for (i = units / 64; i < sizeof(idx->sizes) / sizeof(idx->sizes[0]); i++) {
		word = idx->sizes[i];
		if (i == units / 64)
			word &= ~UINT64_C(0) << units % 64;
		if (word != 0)
			return (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(word);
	}
	return 0;
}

/* Cut `units` off a larger free record of at least `least`. */
static uint32_t
free_cut(struct index *idx, uint32_t units, uint32_t least)
{
	uint32_t size, at;

	if ((size = free_at_least(idx, least > units ? least : units)) == 0)
		return 0;
	at = free_pop(idx, size);
	if (size > units)
		free_push(idx, at + units, size - units);
	return at;
}

/*
 * An exact fit, a piece of something large, new memory, and when there is none
 * a piece of anything: so small sizes do not crumble while there is room.
 */
uint32_t
index_alloc(struct index *idx, uint32_t units)
{
	uint32_t at;

	if ((at = free_pop(idx, units)) == 0 && (at = free_cut(idx, units, LARGE)) == 0) {
		if (idx->top + (uint64_t)units * INDEX_UNIT <= idx->limit) {
			at = (uint32_t)(idx->top / INDEX_UNIT);
			idx->top += (uint64_t)units * INDEX_UNIT;
		} else if ((at = free_cut(idx, units, units)) == 0)
			return 0;
	}
	idx->live += (uint64_t)units * INDEX_UNIT;
	return at;
}

static void
block_push(struct index *idx, uint32_t at)
{
	index_store(&index_bucket_at(idx, at)->next, idx->blocks);
	idx->blocks = at;
	idx->nblocks++;
}

static void
reuse(struct index *idx, const struct index_freed *f)
{
	if (f->units == 0)
		block_push(idx, f->at);
	else
		free_push(idx, f->at, f->units);
}

/*
 * Nothing new can reach `at` from here on; readers that are under way can.
 * What was freed as number f is used again when frees >= f + quarantine at the
 * earliest. The fence keeps the count before whatever is then written there, so
 * that a reader that sees the new bytes sees the count as well (it fences the
 * other way round: bytes, fence, count).
 */
static void
quarantine(struct index *idx, uint32_t at, uint32_t units)
{
	index_store(&idx->head->frees, index_load(&idx->head->frees) + 1);
	atomic_thread_fence(memory_order_release);
	if (idx->freed_end - idx->freed_first == idx->quarantine)
		reuse(idx, &idx->freed[idx->freed_first++ % idx->quarantine]);
	idx->freed[idx->freed_end++ % idx->quarantine] = (struct index_freed){ at, units };
}

void
index_free_record(struct index *idx, uint32_t at)
{
	const struct index_record *r = index_record_at(idx, at);
	uint32_t units = index_units(index_load(&r->kind), index_load(&r->len));

	idx->live -= (uint64_t)units * INDEX_UNIT;
	quarantine(idx, at, units);
}

/* As many overflow buckets as lie in [at, at + units), at most `most`; the rest is kept for records. */
static void
carve(struct index *idx, uint32_t at, uint32_t units, uint32_t most)
{
	uint32_t skip = (BLOCK_UNITS - at % BLOCK_UNITS) % BLOCK_UNITS, i;
	uint32_t count = (units - skip) / BLOCK_UNITS;

	if (count > most)
		count = most;
	for (i = count; i > 0; i--)
		block_push(idx, at + skip + (i - 1) * BLOCK_UNITS);
	if (skip > 0)
		free_push(idx, at, skip);
	units -= skip + count * BLOCK_UNITS;
	if (units > 0)
		free_push(idx, at + skip + count * BLOCK_UNITS, units);
}

/* Some overflow buckets from new memory, or from a free record. */
static bool
carve_blocks(struct index *idx)
{
	uint32_t at = (uint32_t)(idx->top / INDEX_UNIT);
	uint64_t end = (idx->top + 63) / 64 * 64 + BLOCKS_AT_ONCE * sizeof(struct index_bucket);
	uint32_t units;

	if (end <= idx->limit) {
		carve(idx, at, (uint32_t)(end / INDEX_UNIT) - at, BLOCKS_AT_ONCE);
		idx->top = end;
		return true;
	}
	if ((units = free_at_least(idx, 2 * BLOCK_UNITS - 1)) == 0)
		return false;
	carve(idx, free_pop(idx, units), units, BLOCKS_AT_ONCE);
	return true;
}

bool
index_reserve_blocks(struct index *idx, uint32_t count)
{
	while (idx->nblocks < count)
		if (!carve_blocks(idx))
			return false;
	return true;
}

/* An empty overflow bucket. */
uint32_t
index_alloc_block(struct index *idx)
{
	struct index_bucket *b;
	uint32_t at, i;

	if (!index_reserve_blocks(idx, 1))
		return 0;
	at = idx->blocks;
	b = index_bucket_at(idx, at);
	idx->blocks = (uint32_t)index_load(&b->next);
	idx->nblocks--;
	idx->live += sizeof(*b);
	for (i = 0; i < INDEX_SLOTS; i++)
		index_store(&b->slot[i], 0);
	index_store(&b->next, 0);
	return at;
}

void
index_free_block(struct index *idx, uint32_t at)
{
	idx->live -= sizeof(struct index_bucket);
	quarantine(idx, at, 0);
}

/*
 * Which entries there are: sets of CACHE_WAYS, found by hash. An entry keeps
 * its address for ever; what a set has is its number.
 *
 * The cache begins small and doubles while that helps: what was evicted leaves
 * a ghost, and misses that find their own are hits that the largest cache would
 * have had. Publishers of a million subjects make few such hits and leave it
 * small, where it stays in the processor's caches.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/private.h"

static uint32_t
tag_of(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1;	/* 0 is a free place */
}

static struct cache_set *
set_of(const struct cache *c, uint64_t hash)
{
	return &c->sets[hash & (c->capacity / CACHE_WAYS - 1)];
}

/* Where the hash leaves a ghost, and which. */
static uint16_t *
ghost_of(const struct cache *c, uint64_t hash, uint16_t *ghost)
{
	*ghost = (uint16_t)(hash >> 48) | 1;
	return &c->ghosts[hash % CACHE_MOST];
}

static struct entry *
entry_at(const struct cache *c, uint32_t number)
{
	return &c->chunks[number / CACHE_CHUNK][number % CACHE_CHUNK];
}

int
cache_init(struct cache *c)
{
	c->capacity = CACHE_LEAST;
	c->sets = aligned_alloc(64, CACHE_LEAST / CACHE_WAYS * sizeof(*c->sets));
	c->ghosts = calloc(CACHE_MOST, sizeof(*c->ghosts));
	if (c->sets == NULL || c->ghosts == NULL)
		return -ENOMEM;
	memset(c->sets, 0, CACHE_LEAST / CACHE_WAYS * sizeof(*c->sets));
	return 0;
}

static void
entry_clear(struct cache *c, struct entry *e)
{
	e->epoch = e->own_epoch = 0;
	if (e->room != 0)
		free(e->takers);
	c->bytes -= e->room;
	e->room = 0;
	e->takers = e->few;
	e->nlocals = e->nmembers = e->ngroups = 0;
}

void
cache_free(struct cache *c)
{
	uint32_t i;

	for (i = 0; i < c->used; i++) {
		entry_clear(c, entry_at(c, i));
		if (entry_at(c, i)->subject_room != 0)
			free(entry_at(c, i)->subject);
	}
	for (i = 0; i < CACHE_MOST / CACHE_CHUNK; i++)
		free(c->chunks[i]);
	free(c->sets);
	free(c->ghosts);
	free(c->stamps);
}

void
cache_forget(struct cache *c)
{
	uint32_t i;

	for (i = 0; i < c->used; i++)
		entry_at(c, i)->epoch = entry_at(c, i)->own_epoch = 0;
}

int
cache_widen(struct cache *c, uint32_t participants)
{
	uint32_t *stamps;

	if (participants <= c->stride)
		return 0;
	stamps = calloc((size_t)c->capacity * participants, sizeof(*stamps));
	if (stamps == NULL)
		return -ENOMEM;
	free(c->stamps);		/* who widens makes all entries ask again */
	c->stamps = stamps;
	c->stride = participants;
	return 0;
}

struct entry *
cache_find(const struct cache *c, uint64_t hash, uint32_t account, struct bytes subject)
{
	const struct cache_set	*set = set_of(c, hash);
	uint32_t		 tag = tag_of(hash);
	struct entry		*e;
	unsigned		 i;

	for (i = 0; i < CACHE_WAYS; i++)
		if (set->tag[i] == tag) {
			e = entry_at(c, set->entry[i]);
			__builtin_prefetch(e->few);
			if (entry_is(e, account, subject))
				return e;
		}
	return NULL;
}

/* ---- growing */

/* Twice the sets; each old one splits in two, so that none overflows. */
static void
sets_split(struct cache *c, struct cache_set *sets)
{
	uint32_t		 i, way, n = c->capacity * 2 / CACHE_WAYS;
	const struct cache_set	*from;
	struct cache_set	*to;
	struct entry		*e;

	memset(sets, 0, n * sizeof(*sets));
	for (i = 0; i < n / 2 * CACHE_WAYS; i++) {
		from = &c->sets[i / CACHE_WAYS];
		if (from->tag[i % CACHE_WAYS] == 0)
			continue;
		e = entry_at(c, from->entry[i % CACHE_WAYS]);
		to = &sets[e->hash & (n - 1)];
		for (way = 0; to->tag[way] != 0; way++)
			;
		to->tag[way] = tag_of(e->hash);
		to->entry[way] = e->number;
	}
}

/* Without the memory it stays as it is. */
static void
cache_grow(struct cache *c)
{
	uint32_t		 more = c->capacity * 2;
	struct cache_set	*sets;
	uint32_t		*stamps = NULL;

	sets = aligned_alloc(64, more / CACHE_WAYS * sizeof(*sets));
	if (c->stride != 0)
		stamps = realloc(c->stamps, (size_t)more * c->stride * sizeof(*stamps));
	if (stamps != NULL)
		c->stamps = stamps;
	if (sets == NULL || (stamps == NULL && c->stride != 0)) {
		free(sets);
		return;
	}
	sets_split(c, sets);
	free(c->sets);
	c->sets = sets;
	c->capacity = more;
}

static void
cache_missed(struct cache *c, uint64_t hash)
{
	uint16_t ghost, *place = ghost_of(c, hash, &ghost);

	if (*place == ghost) {
		*place = 0;
		c->ghost_hits++;
	}
	if (++c->misses < CACHE_WINDOW)
		return;
	if (c->ghost_hits >= CACHE_WINDOW / 8 && c->capacity < CACHE_MOST)
		cache_grow(c);
	c->misses = c->ghost_hits = 0;
}

/* ---- taking */

static struct entry *
entry_fresh(struct cache *c)
{
	struct entry	**chunk = &c->chunks[c->used / CACHE_CHUNK];
	struct entry	 *e;

	if (*chunk == NULL) {
		*chunk = aligned_alloc(64, CACHE_CHUNK * sizeof(**chunk));
		if (*chunk == NULL)
			return NULL;
		memset(*chunk, 0, CACHE_CHUNK * sizeof(**chunk));
	}
	e = entry_at(c, c->used);
	e->number = c->used++;
	e->subject = e->short_subject;
	e->takers = e->few;
	return e;
}

/* Place of a free way, or of who has to go. */
static unsigned
way_choose(struct cache *c, const struct cache_set *set)
{
	unsigned way;

	for (way = 0; way < CACHE_WAYS; way++)
		if (set->tag[way] == 0)
			return way;
	return c->victim++ % CACHE_WAYS;
}

static int
entry_name(struct entry *e, uint32_t account, struct bytes subject)
{
	char *own = NULL;

	if (subject.len > ENTRY_SUBJECT && subject.len > e->subject_room &&
	    (own = malloc(subject.len)) == NULL)
		return -ENOMEM;
	if (e->subject_room != 0 && (own != NULL || subject.len <= ENTRY_SUBJECT)) {
		free(e->subject);
		e->subject_room = 0;
	}
	if (own != NULL) {
		e->subject = own;
		e->subject_room = (uint32_t)subject.len;
	} else if (e->subject_room == 0)
		e->subject = e->short_subject;
	if (subject.len != 0)
		memcpy(e->subject, subject.data, subject.len);
	e->account = account;
	e->length = (uint32_t)subject.len;
	return 0;
}

struct entry *
cache_take(struct cache *c, uint64_t hash, uint32_t account, struct bytes subject)
{
	struct cache_set	*set;
	struct entry		*e;
	unsigned		 way;
	uint16_t		 ghost, *place;

	cache_missed(c, hash);
	set = set_of(c, hash);
	way = way_choose(c, set);
	if (set->tag[way] == 0) {
		if ((e = entry_fresh(c)) == NULL)
			return NULL;
	} else {
		e = entry_at(c, set->entry[way]);
		place = ghost_of(c, e->hash, &ghost);
		*place = ghost;
	}
	set->entry[way] = e->number;
	set->tag[way] = tag_of(hash);
	e->epoch = e->own_epoch = 0;
	e->membership = 0;
	e->permitted = 0;
	e->hash = hash;
	return entry_name(e, account, subject) == 0 ? e : NULL;
}

/* ---- memory of the takers */

/* Let entries have none, in turn, until no more than `most` bytes are held. */
void
cache_shrink(struct cache *c, const struct entry *keep, size_t most)
{
	uint32_t	 i;
	struct entry	*e;

	for (i = 0; i < c->used && c->bytes > most; i++) {
		c->hand = (c->hand + 1) % c->used;
		e = entry_at(c, c->hand);
		if (e != keep && e->room != 0)
			entry_clear(c, e);
	}
}

int
cache_reserve(struct cache *c, struct entry *e, size_t bytes)
{
	void	*own;
	size_t	 room;

	if (bytes <= sizeof(e->few)) {
		if (e->room > CACHE_KEEP)
			entry_clear(c, e);
		return 0;
	}
	if (bytes <= e->room && (e->room <= CACHE_KEEP || bytes > e->room / 4))
		return 0;
	entry_clear(c, e);
	if (c->bytes + bytes > CACHE_BYTES)
		cache_shrink(c, e, CACHE_BYTES / 4 * 3);
	room = (bytes + 63) & ~(size_t)63;
	if (room > UINT32_MAX || (own = malloc(room)) == NULL)
		return -ENOMEM;
	e->takers = own;
	e->room = (uint32_t)room;
	c->bytes += room;
	return 0;
}

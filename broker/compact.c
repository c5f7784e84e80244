/*
 * Moving to new segments when much of the old ones is free: records get new
 * slots in the order of the old, each interest keeps the order of its list.
 * Peers read the old partition until broker_compacted(): changes go there too.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/private.h"

#define COMPACT_LEAST	(16u << 20)	/* bytes in use, below which it is not worth it */

bool
broker_wants_compaction(const struct broker *b)
{
	struct index_usage	u;
	uint64_t		top, live;

	if (b->old_index != NULL)
		return false;
	index_usage(b->index, &u);
	top = u.top_bytes + (uint64_t)b->top * sizeof(struct subscription);
	live = u.live_bytes + b->live * sizeof(struct subscription);
	return top > COMPACT_LEAST && live < top / 4;
}

/* New slot of each old one, 0 for the free. */
static uint32_t *
slots_map(const struct broker *b)
{
	uint32_t slot, n = 0, *map = calloc((size_t)b->top + 1, sizeof(*map));

	if (map == NULL)
		return NULL;
	for (slot = 1; slot <= b->top; slot++)
		if (b->subs[slot].record != 0)
			map[slot] = ++n;
	return map;
}

/* Copy the record of `slot`, its interest into `index`, its links as map says. */
static int
subscription_move(struct broker *b, uint32_t slot, struct index *index,
    struct subscription *subs, const uint32_t *map)
{
	const struct subscription	*from = &b->subs[slot];
	struct subscription		*to = &subs[map[slot]];
	uint32_t			 record;
	int				 len, rc;

	len = index_subject(b->index, from->record, b->subject, sizeof(b->subject));
	assert(len >= 0);
	rc = index_add(index, index_account(b->index, from->record),
	    (struct bytes){ b->subject, (size_t)len }, index_queue(b->index, from->record), &record);
	if (rc < 0)
		return rc;
	memcpy(to, from, sizeof(*to));
	to->record = record;
	to->next = map[from->next];
	to->prev = map[from->prev];
	if (from->prev == 0)
		index_set_note(index, record, map[slot]);
	if ((from->flags & SUBSCRIPTION_INTERNAL) != 0)
		return 0;		/* its hash_next is no slot */
	to->conn_next = from->conn_next <= b->top ? map[from->conn_next] : 0;
	to->conn_prev = from->conn_prev <= b->top ? map[from->conn_prev] : 0;
	to->hash_next = from->hash_next <= b->top ? map[from->hash_next] : 0;
	return 0;
}

static void
tables_switch(struct broker *b, void *tables, uint32_t top)
{
	struct tables_head *head = tables_head(tables);

	atomic_store_explicit(&head->records_lost,
	    atomic_load_explicit(&b->tables->records_lost, memory_order_relaxed), memory_order_relaxed);
	atomic_store_explicit(&head->subscriptions, b->live - b->internal, memory_order_relaxed);
	atomic_store_explicit(&head->subscription_top, top, memory_order_relaxed);
	b->tables = head;
	b->subs = tables_subscriptions(tables);
	b->top = top;
	b->free = 0;
}

/* What the old partition calls each interest, by new slot. */
static int
records_note(struct broker *b, const uint32_t *map)
{
	uint32_t slot, room = (uint32_t)b->live + 64;

	if ((b->old_records = calloc(room, sizeof(*b->old_records))) == NULL)
		return -ENOMEM;
	b->old_room = room;
	for (slot = 1; slot <= b->top; slot++)
		if (map[slot] != 0)
			b->old_records[map[slot]] = b->subs[slot].record;
	return 0;
}

int
broker_compact(struct broker *b, const struct segment *partition, const struct segment *tables,
    void (*moved)(void *program, uint32_t connection, uint32_t from, uint32_t to))
{
	struct index	*index = NULL;
	uint32_t	*map, slot, top = b->top;
	int		 rc;

	if (b->old_index != NULL || b->routing != 0)
		return -EBUSY;
	if ((map = slots_map(b)) == NULL)
		return -ENOMEM;
	if ((rc = index_new(&index, partition, b->secret)) != 0 || (rc = records_note(b, map)) != 0)
		goto fail;
	for (slot = 1; slot <= top; slot++)
		if (map[slot] != 0 && (rc = subscription_move(b, slot, index,
		    tables_subscriptions(tables->base), map)) != 0)
			goto fail;
	tables_switch(b, tables->base, (uint32_t)b->live);
	b->old_index = b->index;
	b->index = index;
	cache_forget(&b->cache);
	shadows_moved(b, map, top);
	answers_moved(b, map);
	for (slot = 1; slot <= top; slot++)
		if (map[slot] != 0 && (b->subs[map[slot]].flags & SUBSCRIPTION_INTERNAL) == 0)
			moved(b->program, b->subs[map[slot]].connection, slot, map[slot]);
	free(map);
	return 0;
 fail:
	if (index != NULL)
		index_free(index);
	free(map);
	free(b->old_records);
	b->old_records = NULL;
	b->old_room = 0;
	return rc;
}

void
broker_compacted(struct broker *b)
{
	subscription_forget_old(b);
}

/*
 * Subscriptions: records of the tables, in a list for each interest of the
 * index, which has the newest in its note. Free slots are chained by `next`.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/private.h"

static void
counter_set(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* ---- slots */

static uint32_t
slot_take(struct broker *b)
{
	uint32_t slot = b->free;

	if (slot != 0) {
		b->free = b->subs[slot].next;
		memset(&b->subs[slot], 0, sizeof(b->subs[slot]));
		return slot;
	}
	if (b->top + 1 >= TABLES_SUBSCRIPTIONS)
		return 0;
	counter_set(&b->tables->subscription_top, ++b->top);
	return b->top;
}

static void
slot_give(struct broker *b, uint32_t slot)
{
	memset(&b->subs[slot], 0, sizeof(b->subs[slot]));
	b->subs[slot].next = b->free;
	b->free = slot;
}

/* ---- the partition that peers still read while a new one takes its place */

static int
old_room(struct broker *b, uint32_t slot)
{
	uint32_t *records, room;

	if (slot < b->old_room)
		return 0;
	room = slot + slot / 2 + 64;
	if ((records = realloc(b->old_records, room * sizeof(*records))) == NULL)
		return -ENOMEM;
	memset(records + b->old_room, 0, (room - b->old_room) * sizeof(*records));
	b->old_records = records;
	b->old_room = room;
	return 0;
}

static int
old_add(struct broker *b, uint32_t slot, uint32_t account, struct bytes subject, struct bytes queue)
{
	int rc;

	if ((rc = old_room(b, slot)) == 0)
		rc = index_add(b->old_index, account, subject, queue, &b->old_records[slot]);
	return rc < 0 ? rc : 0;
}

void
subscription_forget_old(struct broker *b)
{
	if (b->old_index != NULL)
		index_free(b->old_index);
	free(b->old_records);
	b->old_index = NULL;
	b->old_records = NULL;
	b->old_room = 0;
}

/* ---- the list of an interest */

static void
subscription_link(struct broker *b, uint32_t slot, uint32_t record)
{
	struct subscription	*sub = &b->subs[slot];
	uint32_t		 first = index_note(b->index, record);

	sub->next = first;
	sub->prev = 0;
	if (first != 0)
		b->subs[first].prev = slot;
	index_set_note(b->index, record, slot);
	sub->record = record;
}

static void
subscription_unlink(struct broker *b, uint32_t slot)
{
	const struct subscription *sub = &b->subs[slot];

	if (sub->prev != 0)
		b->subs[sub->prev].next = sub->next;
	else
		index_set_note(b->index, sub->record, sub->next);
	if (sub->next != 0)
		b->subs[sub->next].prev = sub->prev;
}

/* Clients' own. */
static void
subscriptions_count(struct broker *b)
{
	counter_set(&b->tables->subscriptions, b->live - b->internal);
}

int
subscription_add(struct broker *b, uint32_t account, uint32_t connection, struct bytes subject,
    struct bytes queue, uint8_t flags, uint32_t *slot_out)
{
	uint32_t	record, slot;
	int		rc;

	if ((rc = index_add(b->index, account, subject, queue, &record)) < 0)
		return rc;
	if ((slot = slot_take(b)) == 0) {
		index_remove(b->index, record);
		return -ENOSPC;
	}
	if (b->old_index != NULL && (rc = old_add(b, slot, account, subject, queue)) != 0) {
		index_remove(b->index, record);
		slot_give(b, slot);
		return rc;
	}
	b->subs[slot].connection = connection;
	b->subs[slot].flags = flags;
	subscription_link(b, slot, record);
	b->live++;
	b->internal += flags != 0;
	subscriptions_count(b);
	match_changed(b, account, subject);
	*slot_out = slot;
	return 0;
}

int
broker_subscribe(struct broker *b, uint32_t account, uint32_t connection,
    struct bytes subject, struct bytes queue, uint32_t *slot_out)
{
	uint32_t	slot;
	int		rc;

	if ((rc = subscription_add(b, account, connection, subject, queue, 0, &slot)) != 0)
		return rc;
	if (b->accounts != NULL && (rc = shadows_add(b, slot)) != 0) {
		subscription_drop(b, slot);
		return rc;
	}
	*slot_out = slot;
	return 0;
}

void
subscription_drop(struct broker *b, uint32_t slot)
{
	struct subscription	*sub = &b->subs[slot];
	uint32_t		 account = index_account(b->index, sub->record);
	int			 len;

	len = index_subject(b->index, sub->record, b->subject, sizeof(b->subject));
	assert(len >= 0);
	subscription_unlink(b, slot);
	index_remove(b->index, sub->record);
	if (b->old_index != NULL)
		index_remove(b->old_index, b->old_records[slot]);
	match_changed(b, account, (struct bytes){ b->subject, (size_t)len });
	b->live--;
	b->internal -= (sub->flags & SUBSCRIPTION_INTERNAL) != 0;
	slot_give(b, slot);
	subscriptions_count(b);
}

static void
subscription_remove(struct broker *b, uint32_t slot)
{
	uint32_t	account = index_account(b->index, b->subs[slot].record);

	b->calls.removed(b->program, b->subs[slot].connection, slot);
	if ((b->subs[slot].flags & SUBSCRIPTION_IMPORTS) != 0)
		shadows_remove(b, slot);
	subscription_drop(b, slot);
	if (b->answers != NULL)
		answers_unsubscribed(b, account);
}

void
broker_unsubscribe(struct broker *b, uint32_t slot)
{
	if (b->routing != 0)
		subscription_leave(b, slot);
	else
		subscription_remove(b, slot);
}

/* ---- while a message is on its way, nothing goes; what has to go is noted */

void
subscription_leave(struct broker *b, uint32_t slot)
{
	uint32_t *leaving, room;

	if ((b->subs[slot].flags & SUBSCRIPTION_LEAVING) != 0)
		return;
	b->subs[slot].flags |= SUBSCRIPTION_LEAVING;
	if (b->nleaving == b->leaving_room) {
		room = b->leaving_room == 0 ? 64 : b->leaving_room * 2;
		if ((leaving = realloc(b->leaving, room * sizeof(*leaving))) == NULL) {
			b->leaving_lost = true;
			return;
		}
		b->leaving = leaving;
		b->leaving_room = room;
	}
	b->leaving[b->nleaving++] = slot;
}

/* Short of memory, the note was only made in the record. */
static void
subscriptions_sweep(struct broker *b)
{
	uint32_t slot;

	b->leaving_lost = false;
	for (slot = 1; slot <= b->top; slot++)
		if (b->subs[slot].record != 0 && (b->subs[slot].flags & SUBSCRIPTION_LEAVING) != 0)
			subscription_remove(b, slot);
}

void
subscriptions_leave(struct broker *b)
{
	while (b->nleaving != 0)
		subscription_remove(b, b->leaving[--b->nleaving]);
	if (b->leaving_lost)
		subscriptions_sweep(b);
	if (b->leaving_room > 4096) {
		free(b->leaving);
		b->leaving = NULL;
		b->leaving_room = 0;
	}
}

/* ---- looking */

struct subscription *
broker_subscription(struct broker *b, uint32_t slot)
{
	return &b->subs[slot];
}

size_t
broker_subject(struct broker *b, uint32_t slot, char *buf, size_t size, struct bytes *queue)
{
	uint32_t	record = b->subs[slot].record;
	int		len = index_subject(b->index, record, buf, size);

	*queue = index_queue(b->index, record);
	if (len >= 0)
		return (size_t)len;
	len = index_subject(b->index, record, b->subject, sizeof(b->subject));
	if (len < 0)
		return 0;
	if ((size_t)len < size)
		size = (size_t)len;
	memcpy(buf, b->subject, size);
	return size;
}

struct bytes
broker_queue(const struct broker *b, const struct subscription *sub)
{
	return index_queue(b->index, sub->record);
}

uint32_t
broker_find_plain(struct broker *b, uint32_t account, uint32_t connection, struct bytes subject)
{
	uint32_t	slot;
	size_t		i;

	b->hits.count = 0;
	if (index_match_own(b->index, account, subject, &b->hits) != 0)
		return 0;
	for (i = 0; i < b->hits.count; i++) {
		if (index_queue(b->index, b->hits.records[i]).len != 0)
			continue;
		slot = index_note(b->index, b->hits.records[i]);
		for (; slot != 0; slot = b->subs[slot].next)
			if (b->subs[slot].connection == connection &&
			    (b->subs[slot].flags & SUBSCRIPTION_INTERNAL) == 0)
				return slot;
	}
	return 0;
}

/*
 * Stream imports. A subscription that a stream import's local subjects overlap
 * has a shadow for it: a slot of its own, in the exporter's account, in the same
 * queue group, that nobody but the broker knows. So the exporter's participants
 * see it as they see any interest, and a message that comes to it goes on to
 * the subscription it belongs to, under the importer's subject.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/private.h"
#include "common/log.h"
#include "nats/transform.h"

/* ---- places */

/* 0: no memory. */
static uint32_t
shadow_take(struct broker *b)
{
	struct shadow	*shadows;
	uint32_t	 room, n = b->free_shadow;

	if (n != 0) {
		b->free_shadow = b->shadows[n].next;
		return n;
	}
	if (b->nshadows + 1 >= b->shadows_room) {
		room = b->shadows_room == 0 ? 64 : b->shadows_room * 2;
		if ((shadows = reallocarray(b->shadows, room, sizeof(*shadows))) == NULL)
			return 0;
		b->shadows = shadows;
		b->shadows_room = room;
	}
	return ++b->nshadows;
}

static void
shadow_give(struct broker *b, uint32_t n)
{
	b->shadows[n] = (struct shadow){ .next = b->free_shadow };
	b->free_shadow = n;
}

static int
first_room(struct broker *b, uint32_t slot)
{
	uint32_t	*first, room;

	if (slot < b->first_room)
		return 0;
	room = slot + slot / 2 + 64;
	if ((first = reallocarray(b->first_shadow, room, sizeof(*first))) == NULL)
		return -ENOMEM;
	memset(first + b->first_room, 0, (room - b->first_room) * sizeof(*first));
	b->first_shadow = first;
	b->first_room = room;
	return 0;
}

/* ---- coming and going */

/* A shadow for one import, if what it brings can match. subject: the parent's. */
static int
shadow_add(struct broker *b, uint32_t parent, struct bytes subject, const struct stream_import *import)
{
	uint32_t	 n, slot;
	int		 rc, len;

	len = transform_back(import->to, subject, b->pattern, sizeof(b->pattern));
	if (len < 0)
		return 0;
	if ((n = shadow_take(b)) == 0)
		return -ENOMEM;
	rc = subscription_add(b, import->from, b->subs[parent].connection,
	    (struct bytes){ b->pattern, (size_t)len }, index_queue(b->index, b->subs[parent].record),
	    SUBSCRIPTION_SHADOW, &slot);
	if (rc != 0) {
		shadow_give(b, n);
		return rc;
	}
	b->subs[slot].hash_next = n;
	b->shadows[n] = (struct shadow){ import, slot, parent, b->first_shadow[parent] };
	b->first_shadow[parent] = n;
	b->subs[parent].flags |= SUBSCRIPTION_IMPORTS;
	return 0;
}

int
shadows_add(struct broker *b, uint32_t parent)
{
	const struct importer	*im = importer_find(b, index_account(b->index, b->subs[parent].record));
	struct bytes		 subject = { b->parent, 0 };
	uint32_t		 i;
	int			 rc, len;

	if (im == NULL)
		return 0;
	if ((rc = first_room(b, parent)) != 0)
		return rc;
	len = index_subject(b->index, b->subs[parent].record, b->parent, sizeof(b->parent));
	assert(len >= 0);
	subject.len = (size_t)len;
	if ((rc = importer_streams(b, im, subject)) != 0)
		return rc;
	for (i = 0; i < b->nfound; i++)
		if ((rc = shadow_add(b, parent, subject, &importer_account(im)->streams[b->found[i].import])) != 0) {
			shadows_remove(b, parent);
			return rc;
		}
	return 0;
}

/* Those from n on, of one parent. */
static void
shadows_drop(struct broker *b, uint32_t n)
{
	uint32_t	 next;

	for (; n != 0; n = next) {
		next = b->shadows[n].next;
		subscription_drop(b, b->shadows[n].slot);
		shadow_give(b, n);
	}
}

void
shadows_remove(struct broker *b, uint32_t parent)
{
	uint32_t	 first = b->first_shadow[parent];

	b->first_shadow[parent] = 0;
	b->subs[parent].flags &= (uint8_t)~SUBSCRIPTION_IMPORTS;
	shadows_drop(b, first);
}

void
shadows_moved(struct broker *b, const uint32_t *map, uint32_t top)
{
	uint32_t	 slot, first, n;

	for (n = 1; n <= b->nshadows; n++)
		if (b->shadows[n].slot != 0) {
			b->shadows[n].slot = map[b->shadows[n].slot];
			b->shadows[n].parent = map[b->shadows[n].parent];
		}
	/* Slots only go down, so that none is overwritten before it is read. */
	for (slot = 1; slot <= top && slot < b->first_room; slot++) {
		first = b->first_shadow[slot];
		b->first_shadow[slot] = 0;
		if (first != 0)
			b->first_shadow[map[slot]] = first;
	}
}

void
shadows_free(struct broker *b)
{
	free(b->shadows);
	free(b->first_shadow);
}

/* ---- another configuration */

/* The same imports, in another place. */
static void
shadows_follow(struct broker *b, uint32_t first, const struct stream_import *before,
    const struct stream_import *now)
{
	for (; first != 0; first = b->shadows[first].next)
		b->shadows[first].import = now + (b->shadows[first].import - before);
}

/* The new ones come before the old ones go: what both of them bring is not missed in between. */
static int
shadows_renew(struct broker *b, uint32_t parent)
{
	const struct importer		*im = importer_find(b, index_account(b->index, b->subs[parent].record));
	const struct stream_import	*before;
	bool				 had = (b->subs[parent].flags & SUBSCRIPTION_IMPORTS) != 0;
	uint32_t			 old = had ? b->first_shadow[parent] : 0;
	int				 rc;

	if (im != NULL && !b->imports_missing && importer_same(im, &before)) {
		shadows_follow(b, old, before, importer_account(im)->streams);
		return 0;
	}
	if (had) {
		b->first_shadow[parent] = 0;
		b->subs[parent].flags &= (uint8_t)~SUBSCRIPTION_IMPORTS;
	}
	rc = shadows_add(b, parent);
	shadows_drop(b, old);
	return rc;
}

int
broker_set_accounts(struct broker *b, const struct accounts *accounts)
{
	uint32_t	 slot;
	int		 rc = 0, failed;

	if (accounts != NULL && (rc = answers_new(b)) != 0)
		accounts = NULL;
	if ((failed = enter_set_accounts(b, accounts)) != 0 || (failed = importers_set(b, accounts)) != 0)
		rc = failed;
	b->accounts = accounts;
	answers_accounts(b);
	for (slot = 1; slot <= b->top; slot++) {
		if (b->subs[slot].record == 0 || (b->subs[slot].flags & SUBSCRIPTION_INTERNAL) != 0)
			continue;
		if ((failed = shadows_renew(b, slot)) != 0)
			rc = failed;
	}
	b->imports_missing = rc != 0;
	if (rc != 0)
		log_limited(LOG_ERROR, "imports", "no room for the imports of some subscriptions: %s",
		    strerror(-rc));
	cache_forget(&b->cache);
	b->own_epoch++;
	b->epoch++;
	return rc;
}

/* ---- delivering */

bool
shadow_deliver(struct broker *b, const struct subscription *sub, const struct message *m)
{
	const struct shadow	*s = &b->shadows[sub->hash_next];
	struct taker		 t = { { b->subs[s->parent].connection }, { s->parent } };
	struct message		 copy = *m;
	int			 len;

	if (m->imported)
		return false;
	len = transform_subject(s->import->to, m->subject, 0, b->mapped, sizeof(b->mapped));
	if (len < 0)
		return false;
	copy.account = index_account(b->index, b->subs[s->parent].record);
	copy.subject = (struct bytes){ b->mapped, (size_t)len };
	return deliver_one(b, t, &copy);
}

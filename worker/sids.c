#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "nats/subject.h"
#include "shm/hash.h"
#include "worker/client.h"
#include "worker/identity.h"
#include "worker/limits.h"
#include "worker/sids.h"
#include "worker/worker.h"

#define SIDS_LIST	16u	/* up to so many are a list */
#define SIDS_BUCKETS	32u	/* of the smallest table */
#define SID_LONG	255	/* subscription.sid_len: kept aside */

/* A sid that does not fit into its subscription. */
struct long_sid {
	RB_ENTRY(long_sid)	 entry;
	uint32_t		 slot;
	size_t			 len;
	char			 text[];
};

static int
long_sid_compare(const struct long_sid *a, const struct long_sid *b)
{
	return a->slot < b->slot ? -1 : a->slot > b->slot;
}

RB_GENERATE_INTERNAL(long_sids, long_sid, entry, long_sid_compare, static __attribute__((unused)))

static struct long_sid *
long_sid_find(struct worker *w, uint32_t slot)
{
	struct long_sid	 key = { .slot = slot };

	return RB_FIND(long_sids, &w->long_sids, &key);
}

static int
long_sid_add(struct worker *w, uint32_t slot, struct bytes sid)
{
	struct long_sid	*l = malloc(sizeof(*l) + sid.len);

	if (l == NULL)
		return -ENOMEM;
	l->slot = slot;
	l->len = sid.len;
	memcpy(l->text, sid.data, sid.len);
	RB_INSERT(long_sids, &w->long_sids, l);
	return 0;
}

static void
long_sid_remove(struct worker *w, uint32_t slot)
{
	struct long_sid	*l = long_sid_find(w, slot);

	RB_REMOVE(long_sids, &w->long_sids, l);
	free(l);
}

struct bytes
sid_of(struct worker *w, const struct subscription *sub)
{
	struct long_sid	*l;

	if (sub->sid_len != SID_LONG)
		return (struct bytes){ sub->sid, sub->sid_len };
	l = long_sid_find(w, (uint32_t)(sub - broker_subscription(w->broker, 0)));
	return (struct bytes){ l->text, l->len };
}

static struct subscription *
sid_subscription(const struct client *c, uint32_t slot)
{
	return broker_subscription(c->worker->broker, slot);
}

static uint32_t
sid_hash(const struct client *c, struct bytes sid)
{
	return (uint32_t)hash_bytes(c->worker->part.secret, sid);
}

static uint32_t
power_of_two(uint32_t n)
{
	return n <= 1 ? 1 : UINT32_C(1) << (32 - __builtin_clz(n - 1));
}

/* Where a hash belongs among n buckets. */
static uint32_t
bucket_of(uint32_t hash, uint32_t n)
{
	uint32_t	 room = power_of_two(n), b = hash & (room - 1);

	return b < n ? b : b & (room / 2 - 1);
}

static bool
sid_is(const struct client *c, const struct subscription *sub, uint32_t hash, struct bytes sid)
{
	return sub->hash == (uint16_t)hash && bytes_equal(sid_of(c->worker, sub), sid);
}

uint32_t
sid_find(const struct client *c, struct bytes sid)
{
	uint32_t		 hash = sid_hash(c, sid), slot;
	struct subscription	*sub;

	slot = c->sids == NULL ? c->first : c->sids[bucket_of(hash, c->sid_buckets)];
	for (; slot != 0; slot = c->sids == NULL ? sub->conn_next : sub->hash_next) {
		sub = sid_subscription(c, slot);
		if (sid_is(c, sub, hash, sid))
			return slot;
	}
	return 0;
}

static void
bucket_put(struct client *c, uint32_t bucket, uint32_t slot, struct subscription *sub)
{
	sub->hash_next = c->sids[bucket];
	c->sids[bucket] = slot;
}

static void
sids_put(struct client *c, uint32_t slot, struct subscription *sub)
{
	uint32_t	 hash = sid_hash(c, sid_of(c->worker, sub));

	bucket_put(c, bucket_of(hash, c->sid_buckets), slot, sub);
}

/* One bucket more: the one it splits from gives it what belongs there. */
static void
sids_grow(struct client *c)
{
	uint32_t		 n = c->sid_buckets, *sids, slot, next;
	struct subscription	*sub;

	if (n == power_of_two(n)) {
		if ((sids = reallocarray(c->sids, n, 2 * sizeof(*sids))) == NULL)
			return;		/* longer chains do as well */
		c->sids = sids;
	}
	c->sids[n] = 0;
	c->sid_buckets = n + 1;
	slot = c->sids[bucket_of(n, n)];
	c->sids[bucket_of(n, n)] = 0;
	for (; slot != 0; slot = next) {
		sub = sid_subscription(c, slot);
		next = sub->hash_next;
		sids_put(c, slot, sub);
	}
}

/* One bucket less: what is in it goes back to where it came from. */
static void
sids_shrink(struct client *c)
{
	uint32_t		 n = c->sid_buckets - 1, slot = c->sids[n], next, *sids;
	struct subscription	*sub;

	c->sid_buckets = n;
	for (; slot != 0; slot = next) {
		sub = sid_subscription(c, slot);
		next = sub->hash_next;
		bucket_put(c, bucket_of(n, n), slot, sub);
	}
	if (n == power_of_two(n) && (sids = reallocarray(c->sids, n, sizeof(*sids))) != NULL)
		c->sids = sids;
}

static void
sids_start(struct client *c)
{
	struct subscription	*sub;
	uint32_t		 n = c->subscriptions < SIDS_BUCKETS ? SIDS_BUCKETS : c->subscriptions;

	if ((c->sids = calloc(power_of_two(n), sizeof(*c->sids))) == NULL)
		return;			/* the list does as well */
	c->sid_buckets = n;
	for (uint32_t slot = c->first; slot != 0; slot = sub->conn_next) {
		sub = sid_subscription(c, slot);
		sids_put(c, slot, sub);
	}
}

static void
sids_fit(struct client *c)
{
	if (c->sids == NULL) {
		if (c->subscriptions > SIDS_LIST)
			sids_start(c);
	} else if (c->subscriptions > c->sid_buckets)
		sids_grow(c);
	else if (c->subscriptions < SIDS_LIST / 2)
		sids_forget(c);
	else	/* two for each that goes, or it would not keep up */
		for (int i = 0; i < 2; i++)
			if (c->sid_buckets > SIDS_BUCKETS && c->subscriptions < c->sid_buckets / 2)
				sids_shrink(c);
}

/* The newest of c's list. */
static void
list_add(struct client *c, uint32_t slot, struct subscription *sub)
{
	struct connection_record	*r = client_record(c);

	sub->conn_prev = 0;
	sub->conn_next = c->first;
	if (c->first != 0)
		sid_subscription(c, c->first)->conn_prev = slot;
	c->first = slot;
	c->subscriptions++;
	atomic_store_explicit(&r->first, c->first, memory_order_relaxed);
	atomic_store_explicit(&r->subscriptions, c->subscriptions, memory_order_relaxed);
}

static void
list_remove(struct client *c, struct subscription *sub)
{
	struct connection_record	*r = client_record(c);

	if (sub->conn_prev != 0)
		sid_subscription(c, sub->conn_prev)->conn_next = sub->conn_next;
	else
		c->first = sub->conn_next;
	if (sub->conn_next != 0)
		sid_subscription(c, sub->conn_next)->conn_prev = sub->conn_prev;
	c->subscriptions--;
	atomic_store_explicit(&r->first, c->first, memory_order_relaxed);
	atomic_store_explicit(&r->subscriptions, c->subscriptions, memory_order_relaxed);
}

int
sid_add(struct client *c, uint32_t slot, struct bytes sid)
{
	struct subscription	*sub = sid_subscription(c, slot);
	int			 rc;

	if (sid.len <= SID_INLINE) {
		memcpy(sub->sid, sid.data, sid.len);
		sub->sid[sid.len] = ' ';
		sub->sid_len = (uint8_t)sid.len;
	} else {
		if ((rc = long_sid_add(c->worker, slot, sid)) != 0)
			return rc;
		sub->sid_len = SID_LONG;
	}
	sub->hash = (uint16_t)sid_hash(c, sid);
	list_add(c, slot, sub);
	if (c->sids != NULL)
		sids_put(c, slot, sub);
	sids_fit(c);
	return 0;
}

void
sid_remove(struct client *c, uint32_t slot)
{
	struct subscription	*sub = sid_subscription(c, slot);
	uint32_t		*at;

	if (c->sids != NULL) {
		at = &c->sids[bucket_of(sid_hash(c, sid_of(c->worker, sub)), c->sid_buckets)];
		while (*at != slot)
			at = &sid_subscription(c, *at)->hash_next;
		*at = sub->hash_next;
	}
	identity_follow(c, slot, sub->conn_next);
	list_remove(c, sub);
	if (sub->sid_len == SID_LONG)
		long_sid_remove(c->worker, slot);
	if (c->inbox == slot)
		c->inbox = 0;
	sids_fit(c);
	limits_unsubscribe(c);
}

static bool
sid_matches(struct client *c, uint32_t slot, struct bytes subject)
{
	char		 text[4096];
	struct bytes	 queue;
	size_t		 len = broker_subject(c->worker->broker, slot, text, sizeof(text), &queue);

	return queue.len == 0 && len < sizeof(text) &&	/* as long: it may be cut */
	    subject_matches((struct bytes){ text, len }, subject);
}

struct subscription *
sid_for_subject(struct client *c, struct bytes subject)
{
	if (c->inbox == 0 || !sid_matches(c, c->inbox, subject))
		c->inbox = broker_find_plain(c->worker->broker, c->account, c->slot, subject);
	return c->inbox == 0 ? NULL : sid_subscription(c, c->inbox);
}

void
sids_forget(struct client *c)
{
	free(c->sids);
	c->sids = NULL;
	c->sid_buckets = 0;
}

static void
slot_moved(uint32_t *slot, uint32_t from, uint32_t to)
{
	if (*slot == from)
		*slot = to;
}

/*
 * Slots come in rising order and only fall, so one that was changed is not
 * met again, and the long sids keep their order.
 */
void
sid_moved(struct client *c, uint32_t from, uint32_t to)
{
	struct subscription	*sub = sid_subscription(c, to);
	struct long_sid		*l;

	if (sub->sid_len == SID_LONG && (l = long_sid_find(c->worker, from)) != NULL)
		l->slot = to;
	if (c->sids != NULL)
		slot_moved(&c->sids[bucket_of(sid_hash(c, sid_of(c->worker, sub)),
		    c->sid_buckets)], from, to);
	slot_moved(&c->first, from, to);
	slot_moved(&c->inbox, from, to);
	identity_follow(c, from, to);
	atomic_store_explicit(&client_record(c)->first, c->first, memory_order_relaxed);
}

void
sids_free(struct worker *w)
{
	struct long_sid	*l;

	while ((l = RB_MIN(long_sids, &w->long_sids)) != NULL) {
		RB_REMOVE(long_sids, &w->long_sids, l);
		free(l);
	}
}

/*
 * What an entry says, and how long it is true.
 *
 * Ours: a literal subject's entry is found and made untrue when one of its
 * subscriptions comes or goes. Patterns make all entries of their stripe
 * untrue: (account, first token), or the account where that is a wildcard.
 * Only ours are added up: nobody else writes there.
 *
 * Theirs: broker_refresh() looks at each partition's generation; an entry of
 * an older epoch compares its stamp of each partition that changed since.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/private.h"
#include "nats/subject.h"
#include "shm/hash.h"

static uint64_t
match_hash(const struct broker *b, uint32_t account, struct bytes subject)
{
	return hash_mix(hash_bytes(b->secret, subject), account);
}

/* ---- stripes of our own patterns */

static struct bytes
token_first(struct bytes subject)
{
	const char *dot = memchr(subject.data, '.', subject.len);

	return (struct bytes){ subject.data, dot == NULL ? subject.len : (size_t)(dot - subject.data) };
}

static uint32_t
stripe_of_token(const struct broker *b, uint32_t account, struct bytes subject)
{
	return match_hash(b, account, token_first(subject)) % STRIPES;
}

static uint32_t
stripe_of_account(uint32_t account)
{
	return hash_mix(0, account) % STRIPES;
}

static uint32_t
own_stamp(const struct broker *b, const struct entry *e)
{
	return b->stripes[e->token] + b->stripes[e->any];
}

void
match_changed(struct broker *b, uint32_t account, struct bytes subject)
{
	struct bytes	 first;
	struct entry	*e;

	if (!subject_has_wildcard(subject)) {
		e = cache_find(&b->cache, match_hash(b, account, subject), account, subject);
		if (e != NULL)
			e->epoch = e->own_epoch = 0;
		return;
	}
	first = token_first(subject);
	if (first.len == 1 && (first.data[0] == '*' || first.data[0] == '>'))
		b->stripes[stripe_of_account(account)]++;
	else
		b->stripes[stripe_of_token(b, account, subject)]++;
	b->own_epoch++;
	b->epoch++;
}

void
match_membership(struct broker *b)
{
	if (++b->membership == 0)
		b->membership = 1;
	b->epoch++;
}

/* ---- asking */

static uint64_t
account_participants(const struct broker *b, uint32_t account)
{
	if (account >= DIRECTORY_ACCOUNTS)
		return 0;
	return b->joined & atomic_load_explicit(&b->directory->participants[account],
	    memory_order_relaxed);
}

static int
item_add(struct broker *b, struct bytes name, uint32_t participant, uint32_t weight, uint32_t record)
{
	struct item	*items;
	size_t		 room;

	if (b->nitems == b->items_room) {
		room = b->items_room == 0 ? 64 : b->items_room * 2;
		if ((items = realloc(b->items, room * sizeof(*items))) == NULL)
			return -ENOMEM;
		b->items = items;
		b->items_room = room;
	}
	b->items[b->nitems++] = (struct item){ name.data, (uint32_t)name.len, participant, weight, record };
	return 0;
}

/* Our own: hits and group items. 0 or -ENOMEM; *nlocals plain subscriptions. */
static int
ask_own(struct broker *b, struct entry *e, uint32_t *nlocals)
{
	struct bytes	subject = { e->subject, e->length }, queue;
	uint32_t	weight;
	size_t		i;
	int		rc;

	e->own_stamp = own_stamp(b, e);
	b->hits.count = 0;
	if ((rc = index_match_own(b->index, e->account, subject, &b->hits)) != 0)
		return rc;
	for (i = 0; i < b->hits.count; i++) {
		weight = index_weight(b->index, b->hits.records[i]);
		queue = index_queue(b->index, b->hits.records[i]);
		if (queue.len == 0)
			*nlocals += weight;
		else if ((rc = item_add(b, queue, ITEM_OWN, weight, b->hits.records[i])) != 0)
			return rc;
	}
	return 0;
}

#define WEIGHT_MOST	(1u << 26)	/* members one participant can have */

static int
ask_peer(struct broker *b, struct entry *e, struct peer *p)
{
	struct bytes	 subject = { e->subject, e->length }, name;
	unsigned	 i;
	uint32_t	 weight;
	int		 rc;

	/* The stamp first: a change in between makes it differ later. */
	entry_stamps(&b->cache, e)[p->number] = index_stamp_by_key(&p->view, e->key);
	switch (index_match(&p->view, e->account, subject, &p->match)) {
	case INDEX_NO:
		return 0;
	case INDEX_MAYBE:
		e->maybe |= BIT(p->number);
		e->lanes |= BIT(p->number);
		return 0;
	case INDEX_YES:
		break;
	}
	if (p->match.plain)
		e->lanes |= BIT(p->number);
	for (i = 0; i < p->match.nqueues; i++) {
		weight = p->match.queue[i].weight;
		if (weight == 0)
			continue;
		name = (struct bytes){ p->match.names + p->match.queue[i].at, p->match.queue[i].len };
		rc = item_add(b, name, p->number + 1, weight < WEIGHT_MOST ? weight : WEIGHT_MOST, 0);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
ask_peers(struct broker *b, struct entry *e)
{
	struct bytes	subject = { e->subject, e->length };
	uint64_t	left;
	int		rc;

	e->allowed = account_participants(b, e->account);
	e->membership = b->membership;
	if (e->allowed == 0)
		return 0;
	e->key = index_key(b->secret, e->account, subject);
	for (left = e->allowed; left != 0; left &= left - 1)
		if ((rc = ask_peer(b, e, b->peers[__builtin_ctzll(left)])) != 0)
			return rc;
	return 0;
}

/* ---- filling in */

static int
name_compare(const char *a, uint32_t alen, const char *b, uint32_t blen)
{
	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a, b, alen);
}

/* By name, ours first. */
static int
item_compare(const void *left, const void *right)
{
	const struct item	*a = left, *b = right;
	int			 order = name_compare(a->name, a->length, b->name, b->length);

	if (order != 0)
		return order;
	return (a->participant > b->participant) - (a->participant < b->participant);
}

static bool
item_same_group(const struct item *a, const struct item *b)
{
	return name_compare(a->name, a->length, b->name, b->length) == 0;
}

/* The subscriptions of one interest, oldest first, to t[0..weight). */
static void
takers_fill(const struct broker *b, struct taker *t, uint32_t record)
{
	uint32_t slot = index_note(b->index, record), left = index_weight(b->index, record);

	for (; slot != 0; slot = b->subs[slot].next) {
		assert(left > 0);
		left--;
		t[left].connection = b->subs[slot].connection;
		t[left].slot = slot;
	}
	assert(left == 0);
}

static void
locals_fill(const struct broker *b, struct entry *e)
{
	struct taker	*t = e->takers;
	uint32_t	 record;
	size_t		 i;

	for (i = 0; i < b->hits.count; i++) {
		record = b->hits.records[i];
		if (b->nitems != 0 && index_queue(b->index, record).len != 0)
			continue;
		takers_fill(b, t, record);
		t += index_weight(b->index, record);
	}
}

static void
groups_fill(const struct broker *b, struct entry *e)
{
	struct group		*g = entry_groups(e) - 1;
	char			*names = (char *)(entry_groups(e) + e->ngroups);
	const struct item	*item;
	uint32_t		 at = e->nlocals, name = 0;
	size_t			 i;

	for (i = 0; i < b->nitems; i++) {
		item = &b->items[i];
		if (i == 0 || !item_same_group(item, item - 1)) {
			*++g = (struct group){ .name = name, .length = item->length, .first = at };
			memcpy(names + name, item->name, item->length);
			name += item->length;
		}
		g->total += item->weight;
		if (item->participant == ITEM_OWN) {
			takers_fill(b, e->takers + at, item->record);
			at += item->weight;
			g->nlocal += item->weight;
		} else {
			e->takers[at].participant = item->participant - 1;
			e->takers[at++].weight = item->weight;
			g->nremote++;
		}
	}
}

/* Bytes for what was found; sets the counts. */
static size_t
entry_measure(const struct broker *b, struct entry *e, uint32_t nlocals)
{
	size_t i, names = 0;

	e->nlocals = nlocals;
	e->nmembers = e->ngroups = 0;
	for (i = 0; i < b->nitems; i++) {
		e->nmembers += b->items[i].participant == ITEM_OWN ? b->items[i].weight : 1;
		if (i == 0 || !item_same_group(&b->items[i], &b->items[i - 1])) {
			e->ngroups++;
			names += b->items[i].length;
		}
	}
	return ((size_t)nlocals + e->nmembers) * sizeof(struct taker) +
	    e->ngroups * sizeof(struct group) + names;
}

/* Service imports: they count as members of no group. How many, or -ENOMEM. */
static int
ask_services(struct broker *b, struct entry *e, bool all)
{
	bool	special = false;
	int	n;

	e->nservices = 0;
	if (!all || b->accounts == NULL)
		return 0;
	if ((n = services_find(b, e, &special)) >= 0 && special)
		e->lanes |= BIT(b->participant);
	return n;
}

static int
entry_fill(struct broker *b, struct entry *e, bool all)
{
	uint32_t	nlocals = 0, nmembers, ngroups, nservices;
	size_t		bytes;
	int		rc;

	e->lanes = e->maybe = e->allowed = 0;
	e->membership = 0;
	if ((rc = ask_services(b, e, all)) < 0)
		return rc;
	nservices = (uint32_t)rc;
	b->nitems = 0;
	if ((rc = ask_own(b, e, &nlocals)) != 0 || (all && (rc = ask_peers(b, e)) != 0))
		return rc;
	if (b->nitems > 1)
		qsort(b->items, b->nitems, sizeof(*b->items), item_compare);
	bytes = entry_measure(b, e, nlocals) + nservices * sizeof(struct taker);
	nmembers = e->nmembers + nservices;
	ngroups = e->ngroups;
	if ((rc = cache_reserve(&b->cache, e, bytes)) != 0)
		return rc;
	e->nlocals = nlocals;		/* cleared with the memory it had */
	e->nmembers = nmembers;
	e->ngroups = ngroups;
	e->nservices = nservices;
	if (nservices != 0)
		memcpy(e->takers + nlocals + nmembers - nservices, b->found, nservices * sizeof(*b->found));
	locals_fill(b, e);
	groups_fill(b, e);
	e->own_epoch = b->own_epoch;
	if (all)
		e->epoch = b->epoch;
	return 0;
}

/* Once more without what the rest of the cache holds, if memory is short. */
static struct entry *
entry_build(struct broker *b, struct entry *e, bool all)
{
	e->epoch = e->own_epoch = 0;
	b->built++;
	if (entry_fill(b, e, all) == 0)
		return e;
	cache_shrink(&b->cache, e, 0);
	if (entry_fill(b, e, all) == 0)
		return e;
	e->nlocals = e->nmembers = e->ngroups = 0;
	e->epoch = e->own_epoch = 0;
	return NULL;
}

/* ---- still true? */

static bool
own_true(const struct broker *b, struct entry *e)
{
	if (e->own_epoch == b->own_epoch)
		return true;
	if (e->own_epoch == 0 || own_stamp(b, e) != e->own_stamp)
		return false;
	e->own_epoch = b->own_epoch;
	return true;
}

static bool
all_true(const struct broker *b, struct entry *e)
{
	const uint32_t		*stamps = entry_stamps(&b->cache, e);
	const struct peer	*p;
	uint64_t		 left;

	if (e->epoch == b->epoch)
		return true;
	if (e->epoch == 0 || e->membership != b->membership || !own_true(b, e) ||
	    e->allowed != account_participants(b, e->account))
		return false;
	for (left = e->allowed; left != 0; left &= left - 1) {
		p = b->peers[__builtin_ctzll(left)];
		if (p->changed > e->epoch && ((e->maybe & BIT(p->number)) != 0 ||
		    index_stamp_by_key(&p->view, e->key) != stamps[p->number]))
			return false;
	}
	e->epoch = b->epoch;
	return true;
}

static struct entry *
match_take(struct broker *b, uint64_t hash, uint32_t account, struct bytes subject, bool all)
{
	struct entry *e = cache_take(&b->cache, hash, account, subject);

	if (e == NULL)
		return NULL;
	e->token = stripe_of_token(b, account, subject);
	e->any = stripe_of_account(account);
	return entry_build(b, e, all);
}

/* all: true for all participants, not only for our own subscriptions. */
static inline struct entry *
match(struct broker *b, uint32_t account, struct bytes subject, bool all)
{
	uint64_t	 hash;
	struct entry	*e;

	if (subject.len > INDEX_SUBJECT_MAX)
		return &b->nobody;
	hash = match_hash(b, account, subject);
	e = cache_find(&b->cache, hash, account, subject);
	if (e == NULL)
		return match_take(b, hash, account, subject, all);
	return (all ? all_true(b, e) : own_true(b, e)) ? e : entry_build(b, e, all);
}

struct entry *
match_find(struct broker *b, uint32_t account, struct bytes subject)
{
	if (subject.len > INDEX_SUBJECT_MAX)
		return NULL;
	return cache_find(&b->cache, match_hash(b, account, subject), account, subject);
}

struct entry *
match_own(struct broker *b, uint32_t account, struct bytes subject)
{
	return match(b, account, subject, false);
}

struct entry *
match_all(struct broker *b, uint32_t account, struct bytes subject)
{
	return match(b, account, subject, true);
}

struct group *
match_group(const struct entry *e, struct bytes name)
{
	struct group	*groups = entry_groups(e);
	struct bytes	 other;
	uint32_t	 low = 0, high = e->ngroups, middle;
	int		 order;

	while (low < high) {
		middle = low + (high - low) / 2;
		other = entry_group_name(e, &groups[middle]);
		order = name_compare(name.data, (uint32_t)name.len, other.data, (uint32_t)other.len);
		if (order == 0)
			return &groups[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool
broker_wanted(struct broker *b, uint32_t account, struct bytes subject)
{
	const struct entry	*e = match_all(b, account, subject);

	return e == NULL || (e->lanes | e->nlocals | e->ngroups) != 0;
}

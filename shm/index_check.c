/*
 * Every invariant of a partition, whatever bytes it has. For a partition that
 * nobody writes: its owner is us, or stopped between two calls. Linear in what
 * it claims to hold, but for one sort.
 *
 * First all buckets: each slot's record is whole, alone on its units, and where
 * its tag says. Then everything from the top: accounts down their tries, subjects
 * down their groups; what is reached must be what is in the table, each once.
 */
#include <sys/mman.h>
#include <errno.h>
#include <stdlib.h>
#include "shm/index_layout.h"

#define UNITS	((size_t)INDEX_BEHIND - INDEX_FIRST)
#define BITMAP	(UNITS / 8 + 8)

struct pair { uint32_t key, at; };
struct list { struct pair *items; size_t count, room; };

struct check {
	const char		*base;
	const uint8_t		*secret;	/* NULL: tags cannot be computed */
	const char		*what;
	uint8_t			*used;		/* units that a record or bucket lies on */
	struct list		 accounts;	/* account number, record */
	struct list		 interests;	/* account number of a LITERAL's; at is unused */
	struct list		 nodes;		/* node above, record; those in the table */
	struct list		 queues;	/* what it is of, record */
	struct list		 bases;		/* LITERALs that have groups */
	struct list		 todo;		/* nodes to go down to */
	size_t			 queues_seen, nodes_seen;
};

static int
bad(struct check *c, const char *what)
{
	c->what = what;
	return -EBADMSG;
}

static int
list_add(struct list *l, uint32_t key, uint32_t at)
{
	size_t room = l->room == 0 ? 256 : l->room * 2;
	struct pair *more;

	if (l->count == l->room) {
		if ((more = reallocarray(l->items, room, sizeof(*more))) == NULL)
			return -ENOMEM;
		l->items = more;
		l->room = room;
	}
	l->items[l->count++] = (struct pair){ key, at };
	return 0;
}

static int
pair_compare(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static void
list_sort(struct list *l)
{
	if (l->count > 0)
		qsort(l->items, l->count, sizeof(*l->items), pair_compare);
}

/* The first position with a key of at least `key`. */
static size_t
list_find(const struct list *l, uint32_t key)
{
	size_t from = 0, to = l->count, middle;

	while (from < to) {
		middle = from + (to - from) / 2;
		if (l->items[middle].key < key)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static size_t
list_count(const struct list *l, uint32_t key)
{
	return (key == UINT32_MAX ? l->count : list_find(l, key + 1)) - list_find(l, key);
}

static const struct index_record *
record_at(const struct check *c, uint32_t at)
{
	if (at < INDEX_FIRST || at >= INDEX_BEHIND)
		return NULL;
	return (const struct index_record *)(c->base + (size_t)at * INDEX_UNIT);
}

/* These units are used by nobody else. */
static int
claim(struct check *c, uint32_t at, uint32_t units)
{
	size_t i = at - INDEX_FIRST, end = i + units;

	if (end > UNITS)
		return bad(c, "behind the arena");
	for (; i < end; i++) {
		if (c->used[i / 8] & 1u << i % 8)
			return bad(c, "used twice");
		c->used[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return 0;
}

/* A record of one of the kinds (a bit each), its memory its own. */
static int
claim_record(struct check *c, uint32_t at, unsigned kinds, const struct index_record **r)
{
	unsigned kind;

	if ((*r = record_at(c, at)) == NULL)
		return bad(c, "offset of a record");
	kind = index_load(&(*r)->kind);
	if (kind < INDEX_ACCOUNT || kind > INDEX_QUEUE || !(kinds & 1u << kind))
		return bad(c, "kind of a record");
	return claim(c, at, index_units(kind, index_load(&(*r)->len)));
}

/* ---- the table */

static int
check_tag(struct check *c, const struct index_record *r, uint32_t tag)
{
	unsigned kind = index_load(&r->kind);
	struct bytes b = { (const char *)r + index_bytes_at(kind), index_load(&r->len) };

	if (index_load(&r->tag) != tag)
		return bad(c, "tag of a slot");
	if (c->secret != NULL && index_tag(c->secret, kind, index_load(&r->number), b) != tag)
		return bad(c, "tag of a record");
	return 0;
}

static int
check_slot(struct check *c, uint64_t slot, uint32_t bucket, uint32_t buckets)
{
	uint32_t tag = (uint32_t)(slot >> 32), at = (uint32_t)slot, number;
	const struct index_record *r;
	int rc;

	if (index_bucket_of(tag, buckets) != bucket)
		return bad(c, "slot in the wrong bucket");
	rc = claim_record(c, at, 1u << INDEX_ACCOUNT | 1u << INDEX_LITERAL | 1u << INDEX_NODE |
	    1u << INDEX_QUEUE, &r);
	if (rc != 0 || (rc = check_tag(c, r, tag)) != 0)
		return rc;
	number = index_load(&r->number);
	switch (index_load(&r->kind)) {
	case INDEX_ACCOUNT:
		return list_add(&c->accounts, number, at);
	case INDEX_NODE:
		return list_add(&c->nodes, number, at);
	case INDEX_QUEUE:
		return list_add(&c->queues, number, at);
	}
	if (index_load(&r->weight) == 0 && index_load(&r->queues) == 0)
		return bad(c, "empty subject");
	if (index_load(&r->weight) != 0 && (rc = list_add(&c->interests, number, 0)) != 0)
		return rc;
	return index_load(&r->queues) != 0 ? list_add(&c->bases, number, at) : 0;
}

static int
check_chain(struct check *c, uint32_t bucket, uint32_t buckets)
{
	const struct index_bucket *b = (const struct index_bucket *)(c->base + INDEX_TABLE) + bucket;
	unsigned i, used;
	uint64_t slot, next;
	int rc;

	for (;;) {
		for (i = used = 0; i < INDEX_SLOTS; i++) {
			slot = index_load(&b->slot[i]);
			used += slot != 0;
			if (slot != 0 && (rc = check_slot(c, slot, bucket, buckets)) != 0)
				return rc;
		}
		if ((next = index_load(&b->next)) == 0)
			return used != 0 || (const char *)b < c->base + INDEX_ARENA ? 0 :
			    bad(c, "empty overflow bucket");
		if (used < INDEX_SLOTS)
			return bad(c, "gap before an overflow bucket");
		if (next > UINT32_MAX || next % (sizeof(*b) / INDEX_UNIT) != 0 ||
		    record_at(c, (uint32_t)next) == NULL)
			return bad(c, "offset of an overflow bucket");
		if ((rc = claim(c, (uint32_t)next, sizeof(*b) / INDEX_UNIT)) != 0)
			return rc;
		b = (const struct index_bucket *)(c->base + next * INDEX_UNIT);
	}
}

static int
check_table(struct check *c)
{
	uint32_t splits = (uint32_t)index_load(&((const struct index_head *)c->base)->shape);
	uint32_t i;
	int rc = 0;

	if (splits > INDEX_BUCKETS_MAX - INDEX_BUCKETS_MIN)
		return bad(c, "number of buckets");
	for (i = 0; rc == 0 && i < INDEX_BUCKETS_MIN + splits; i++)
		rc = check_chain(c, i, INDEX_BUCKETS_MIN + splits);
	list_sort(&c->accounts);
	list_sort(&c->interests);
	list_sort(&c->nodes);
	list_sort(&c->queues);
	return rc;
}

/* ---- from the top */

/* The groups of a LITERAL or NODE; *count of them. */
static int
check_queues(struct check *c, uint32_t of, uint32_t at, uint32_t *count)
{
	size_t most = list_count(&c->queues, of);
	const struct index_record *q;
	uint32_t prev = 0;

	for (*count = 0; at != 0; at = index_load(&q->queues)) {
		if (++*count > most)
			return bad(c, "groups that are not in the table");
		if ((q = record_at(c, at)) == NULL || index_load(&q->kind) != INDEX_QUEUE ||
		    index_load(&q->number) != of)
			return bad(c, "link to a group");
		if (index_load(&q->prev) != prev)
			return bad(c, "link back from a group");
		if (index_load(&q->weight) == 0)
			return bad(c, "group without members");
		if (index_load(&q->len) == 0)
			return bad(c, "group without a name");
		prev = at;
	}
	if (*count != most)
		return bad(c, "groups that are only in the table");
	c->queues_seen += *count;
	return 0;
}

/* A node that hangs on star or rest: not in the table, so its memory is claimed here. */
static int
check_link(struct check *c, uint32_t at, uint32_t above, char token)
{
	const struct index_record *r;
	int rc = claim_record(c, at, 1u << INDEX_NODE, &r);

	if (rc != 0)
		return rc;
	if (index_load(&r->number) != above || index_load(&r->len) != 1 ||
	    ((const char *)r)[INDEX_NODE_BYTES] != token)
		return bad(c, "node of a wildcard");
	if (token == '>' && (index_load(&r->star) | index_load(&r->rest) | index_load(&r->children)) != 0)
		return bad(c, "something below `>`");
	return list_add(&c->todo, above, at);
}

/* A node or an account's root: its links, its children in the table. */
static int
check_below(struct check *c, const struct index_record *r, uint32_t at)
{
	uint32_t star = index_load(&r->star), rest = index_load(&r->rest);
	size_t i = list_find(&c->nodes, at), count = list_count(&c->nodes, at);
	int rc;

	if (index_load(&r->children) != count)
		return bad(c, "number of children");
	c->nodes_seen += count;
	if ((star != 0 && (rc = check_link(c, star, at, '*')) != 0) ||
	    (rest != 0 && (rc = check_link(c, rest, at, '>')) != 0))
		return rc;
	for (; count > 0; count--, i++)
		if ((rc = list_add(&c->todo, at, c->nodes.items[i].at)) != 0)
			return rc;
	return 0;
}

/* A node; *interests counts what it says. */
static int
check_node(struct check *c, uint32_t at, uint64_t *interests)
{
	const struct index_record *r = record_at(c, at);
	uint32_t groups, weight = index_load(&r->weight);
	int rc = check_queues(c, at, index_load(&r->queues), &groups);

	if (rc != 0)
		return rc;
	if (weight == 0 && groups == 0 &&
	    (index_load(&r->star) | index_load(&r->rest) | index_load(&r->children)) == 0)
		return bad(c, "empty node");
	*interests += groups + (weight != 0);
	return check_below(c, r, at);
}

/* Its trie, and that its weight is the number of its interests. */
static int
check_account(struct check *c, const struct pair *account)
{
	const struct index_record *r = record_at(c, account->at);
	uint64_t interests = list_count(&c->interests, account->key);
	int rc;

	if (index_load(&r->len) != 0 || index_load(&r->queues) != 0)
		return bad(c, "an account with a name");
	if ((rc = check_below(c, r, account->at)) != 0)
		return rc;
	while (c->todo.count > 0)
		if ((rc = check_node(c, c->todo.items[--c->todo.count].at, &interests)) != 0)
			return rc;
	if (interests == 0 || index_load(&r->weight) != interests)
		return bad(c, "number of an account's interests");
	return 0;
}

static int
check_all(struct check *c)
{
	const struct index_record *r;
	uint32_t groups;
	size_t i;
	int rc;

	if ((rc = check_table(c)) != 0)
		return rc;
	for (i = 0; i < c->bases.count; i++) {
		r = record_at(c, c->bases.items[i].at);
		rc = check_queues(c, c->bases.items[i].at, index_load(&r->queues), &groups);
		for (; rc == 0 && groups > 0; groups--)
			rc = list_add(&c->interests, c->bases.items[i].key, 0);
		if (rc != 0)
			return rc;
	}
	list_sort(&c->interests);
	for (i = 0; i < c->accounts.count; i++) {
		if (i > 0 && c->accounts.items[i].key == c->accounts.items[i - 1].key)
			return bad(c, "an account twice");
		if ((rc = check_account(c, &c->accounts.items[i])) != 0)
			return rc;
	}
	for (i = 0; i < c->interests.count; i++)
		if (list_count(&c->accounts, c->interests.items[i].key) == 0)
			return bad(c, "a subject of no account");
	if (c->nodes_seen != c->nodes.count)
		return bad(c, "a node of no account");
	return c->queues_seen == c->queues.count ? 0 : bad(c, "a group of no subject");
}

int
index_check_keyed(const struct segment *seg, const uint8_t *secret, const char **what)
{
	struct check c = { .base = seg->base, .secret = secret };
	int rc;

	*what = "too small";
	if (seg->size < INDEX_SIZE)
		return -EBADMSG;
	*what = NULL;
	/* Zeros that cost nothing until they are touched. */
	c.used = mmap(NULL, BITMAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c.used == MAP_FAILED)
		return -ENOMEM;
	rc = check_all(&c);
	*what = rc == -ENOMEM ? "no memory to check it" : c.what;
	munmap(c.used, BITMAP);
	free(c.accounts.items);
	free(c.interests.items);
	free(c.nodes.items);
	free(c.queues.items);
	free(c.bases.items);
	free(c.todo.items);
	return rc;
}

int
index_check(const struct segment *seg, const char **what)
{
	return index_check_keyed(seg, NULL, what);
}

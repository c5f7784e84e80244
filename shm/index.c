/* The owner's partition: interests in and out, what they say, stamps. README.md has the idea. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "shm/index_owner.h"

int
index_new(struct index **out, const struct segment *seg, const uint8_t secret[INDEX_SECRET])
{
	struct index *idx;

	if ((idx = aligned_alloc(_Alignof(struct index), sizeof(*idx))) == NULL)
		return -ENOMEM;
	memset(idx, 0, sizeof(*idx));
	idx->base = seg->base;
	idx->head = seg->base;
	memcpy(idx->secret, secret, INDEX_SECRET);
	idx->top = INDEX_ARENA;
	idx->limit = INDEX_ARENA_END;
	idx->quarantine = INDEX_QUARANTINE;
	idx->buckets = INDEX_BUCKETS_MIN;
	*out = idx;
	return 0;
}

void
index_free(struct index *idx)
{
	if (idx == NULL)
		return;
	explicit_bzero(idx->secret, sizeof(idx->secret));
	free(idx->frontier);
	free(idx);
}

/* ---- stamps */

static void
bump(_Atomic uint32_t *counter)
{
	atomic_store_explicit(counter, index_load(counter) + 1, memory_order_release);
}

/* The account's record above `at`, and through *first the node below it on the way. */
static uint32_t
climb(const struct index *idx, uint32_t at, uint32_t *first)
{
	const struct index_record *r = index_record_at(idx, at);

	while (index_load(&r->kind) != INDEX_ACCOUNT) {
		*first = at;
		at = index_load(&r->number);
		r = index_record_at(idx, at);
	}
	return at;
}

/* The LITERAL or NODE that a record is or belongs to. */
static uint32_t
subject_of(const struct index *idx, uint32_t record)
{
	const struct index_record *r = index_record_at(idx, record);

	return index_load(&r->kind) == INDEX_QUEUE ? index_load(&r->number) : record;
}

/* The counter of the stripe that a LITERAL or NODE falls into. */
static _Atomic uint32_t *
stripe_of(const struct index *idx, uint32_t at)
{
	const struct index_record *r = index_record_at(idx, at), *top;
	struct bytes token;
	uint32_t account, first = 0, root;

	if (index_load(&r->kind) == INDEX_LITERAL)
		return &idx->head->literal[index_literal_stripe(index_load(&r->tag))];
	root = climb(idx, at, &first);
	top = index_record_at(idx, root);
	account = index_load(&top->number);
	if (first == index_load(&top->star) || first == index_load(&top->rest))
		return &idx->head->all[index_all_stripe(account)];
	token = index_record_bytes(index_record_at(idx, first));
	return &idx->head->wild[index_wild_stripe(idx->secret, account, token)];
}

/* After all else: who sees the new stamp sees the change. */
static void
changed(struct index *idx, _Atomic uint32_t *stripe)
{
	bump(stripe);
	atomic_store_explicit(&idx->head->generation,
	    index_load(&idx->head->generation) + 1, memory_order_release);
}

/* ---- records */

/* A record without weight and links, not yet reachable. 0: full. */
static uint32_t
record_new(struct index *idx, unsigned kind, uint32_t number, struct bytes b, uint32_t tag)
{
	struct index_record *r;
	uint32_t at = index_alloc(idx, index_units(kind, (uint32_t)b.len));

	if (at == 0)
		return 0;
	r = index_record_at(idx, at);
	index_store(&r->tag, tag);
	index_store(&r->kind, (uint8_t)kind);
	index_store(&r->unused, 0);
	index_store(&r->len, (uint16_t)b.len);
	index_store(&r->number, number);
	index_store(&r->weight, 0);
	index_store(&r->note, 0);
	index_store(&r->queues, 0);
	if (kind == INDEX_QUEUE)
		index_store(&r->prev, 0);
	else if (kind != INDEX_LITERAL) {
		index_store(&r->star, 0);
		index_store(&r->rest, 0);
		index_store(&r->children, 0);
	}
	if (b.len > 0)
		memcpy((char *)r + index_bytes_at(kind), b.data, b.len);
	return at;
}

/* Find it, or make it and put it into the table. 0: full. */
static uint32_t
record_get(struct index *idx, unsigned kind, uint32_t number, struct bytes b, bool *made)
{
	uint32_t tag = index_tag(idx->secret, kind, number, b);
	uint32_t at = index_find(idx, kind, number, b, tag);

	*made = at == 0;
	if (at != 0)
		return at;
	if ((at = record_new(idx, kind, number, b, tag)) == 0)
		return 0;
	if (index_put(idx, tag, at) != 0) {
		index_free_record(idx, at);
		return 0;
	}
	return at;
}

/* An account's record if it has interest; 0. */
static uint32_t
account_find(struct index *idx, uint32_t account)
{
	uint32_t tag;

	if (idx->account_at != 0 && idx->account == account)
		return idx->account_at;
	tag = index_tag(idx->secret, INDEX_ACCOUNT, account, BYTES(""));
	idx->account = account;
	return idx->account_at = index_find(idx, INDEX_ACCOUNT, account, BYTES(""), tag);
}

static uint32_t
account_get(struct index *idx, uint32_t account)
{
	bool made;

	if (account_find(idx, account) == 0)
		idx->account_at = record_get(idx, INDEX_ACCOUNT, account, BYTES(""), &made);
	return idx->account_at;
}

static bool
is_wildcard(struct bytes token)
{
	return token.len == 1 && (token.data[0] == '*' || token.data[0] == '>');
}

/* The node of the next token under `above`. 0: full. */
static uint32_t
node_get(struct index *idx, uint32_t above, struct bytes token)
{
	struct index_record *r = index_record_at(idx, above);
	_Atomic uint32_t *link;
	uint32_t at;
	bool made;

	if (is_wildcard(token)) {
		link = token.data[0] == '*' ? &r->star : &r->rest;
		if ((at = index_load(link)) == 0 &&
		    (at = record_new(idx, INDEX_NODE, above, token, 0)) != 0)
			atomic_store_explicit(link, at, memory_order_release);
		return at;
	}
	at = record_get(idx, INDEX_NODE, above, token, &made);
	if (at != 0 && made)
		atomic_store_explicit(&r->children, index_load(&r->children) + 1, memory_order_release);
	return at;
}

static void
node_unlink(struct index *idx, uint32_t at)
{
	struct index_record *r = index_record_at(idx, at);
	struct index_record *above = index_record_at(idx, index_load(&r->number));

	if (index_load(&above->star) == at)
		atomic_store_explicit(&above->star, 0, memory_order_release);
	else if (index_load(&above->rest) == at)
		atomic_store_explicit(&above->rest, 0, memory_order_release);
	else {
		index_drop(idx, index_load(&r->tag), at);
		atomic_store_explicit(&above->children, index_load(&above->children) - 1,
		    memory_order_release);
	}
}

static bool
record_is_empty(const struct index_record *r)
{
	if (index_load(&r->weight) != 0 || index_load(&r->queues) != 0)
		return false;
	return index_load(&r->kind) == INDEX_LITERAL ||
	    (index_load(&r->star) | index_load(&r->rest) | index_load(&r->children)) == 0;
}

/* Free a LITERAL, NODE or ACCOUNT that says nothing any more, and what it leaves empty above. */
static void
prune(struct index *idx, uint32_t at)
{
	const struct index_record *r;
	uint32_t above;

	for (; at != 0 && record_is_empty(r = index_record_at(idx, at)); at = above) {
		switch (index_load(&r->kind)) {
		case INDEX_NODE:
			above = index_load(&r->number);
			node_unlink(idx, at);
			break;
		case INDEX_LITERAL:
			above = account_find(idx, index_load(&r->number));
			index_drop(idx, index_load(&r->tag), at);
			break;
		default:
			above = 0;
			index_drop(idx, index_load(&r->tag), at);
			idx->account_at = 0;
			break;
		}
		index_free_record(idx, at);
	}
}

/* The node of a pattern. 0: full, and nothing is left of it. */
static uint32_t
pattern_get(struct index *idx, uint32_t root, struct bytes pattern)
{
	struct bytes token;
	uint32_t at = root, next;
	size_t i;

	for (i = 0; i <= pattern.len; i += token.len + 1) {
		token = index_token(pattern, i);
		if ((next = node_get(idx, at, token)) == 0) {
			prune(idx, at);
			return 0;
		}
		at = next;
	}
	return at;
}

static bool
has_wildcard(struct bytes subject)
{
	struct bytes token;
	size_t i;

	for (i = 0; i <= subject.len; i += token.len + 1) {
		token = index_token(subject, i);
		if (is_wildcard(token))
			return true;
	}
	return false;
}

/* The record of a subject, with or without wildcards. 0: full, and nothing is left. */
static uint32_t
subject_get(struct index *idx, uint32_t account, struct bytes subject)
{
	uint32_t root, at;
	bool made;

	if ((root = account_get(idx, account)) == 0)
		return 0;
	if (has_wildcard(subject))
		return pattern_get(idx, root, subject);
	if ((at = record_get(idx, INDEX_LITERAL, account, subject, &made)) == 0)
		prune(idx, root);
	return at;
}

/* ---- queue groups */

/* The group of a LITERAL or NODE. 0: full. */
static uint32_t
queue_get(struct index *idx, uint32_t of, struct bytes name)
{
	struct index_record *base = index_record_at(idx, of), *q;
	uint32_t tag = index_tag(idx->secret, INDEX_QUEUE, of, name), at, next;

	if ((at = index_find(idx, INDEX_QUEUE, of, name, tag)) != 0)
		return at;
	if ((at = record_new(idx, INDEX_QUEUE, of, name, tag)) == 0)
		return 0;
	q = index_record_at(idx, at);
	next = index_load(&base->queues);
	index_store(&q->queues, next);
	if (index_put(idx, tag, at) != 0) {
		index_free_record(idx, at);
		return 0;
	}
	if (next != 0)
		index_store(&index_record_at(idx, next)->prev, at);
	atomic_store_explicit(&base->queues, at, memory_order_release);
	return at;
}

static void
queue_unlink(struct index *idx, uint32_t at)
{
	struct index_record *q = index_record_at(idx, at);
	uint32_t next = index_load(&q->queues), prev = index_load(&q->prev);
	uint32_t before = prev != 0 ? prev : index_load(&q->number);

	atomic_store_explicit(&index_record_at(idx, before)->queues, next, memory_order_release);
	if (next != 0)
		index_store(&index_record_at(idx, next)->prev, prev);
	index_drop(idx, index_load(&q->tag), at);
	index_free_record(idx, at);
}

/* ---- interests */

static void
interests_add(struct index *idx, uint32_t account, int32_t count)
{
	struct index_record *r = index_record_at(idx, account_find(idx, account));

	index_store(&r->weight, index_load(&r->weight) + (uint32_t)count);
	idx->records += (uint64_t)(int64_t)count;
}

int
index_add(struct index *idx, uint32_t account, struct bytes subject,
    struct bytes queue, uint32_t *record)
{
	struct index_record *r;
	uint32_t base, at, weight;

	if (subject.len > INDEX_SUBJECT_MAX || queue.len > INDEX_SUBJECT_MAX)
		return -E2BIG;
	if ((base = subject_get(idx, account, subject)) == 0)
		return -ENOSPC;
	if ((at = queue.len == 0 ? base : queue_get(idx, base, queue)) == 0) {
		prune(idx, base);
		return -ENOSPC;
	}
	r = index_record_at(idx, at);
	if ((weight = index_load(&r->weight)) == 0) {
		index_store(&r->note, 0);
		interests_add(idx, account, 1);
	}
	/* The interest exists from here on: a record without weight says nothing. */
	atomic_store_explicit(&r->weight, weight + 1, memory_order_release);
	changed(idx, stripe_of(idx, base));
	*record = at;
	return weight == 0;
}

int
index_remove(struct index *idx, uint32_t record)
{
	struct index_record *r = index_record_at(idx, record);
	uint32_t base = subject_of(idx, record), weight = index_load(&r->weight);
	_Atomic uint32_t *stripe = stripe_of(idx, base);

	assert(weight > 0);
	atomic_store_explicit(&r->weight, weight - 1, memory_order_release);
	if (weight == 1) {
		interests_add(idx, index_account(idx, base), -1);
		if (base != record)
			queue_unlink(idx, record);
		prune(idx, base);
	}
	changed(idx, stripe);
	return weight == 1;
}

uint32_t
index_note(const struct index *idx, uint32_t record)
{
	return index_load(&index_record_at(idx, record)->note);
}

void
index_set_note(struct index *idx, uint32_t record, uint32_t note)
{
	index_store(&index_record_at(idx, record)->note, note);
}

uint32_t
index_account(const struct index *idx, uint32_t record)
{
	uint32_t at = subject_of(idx, record), first = 0;
	const struct index_record *r = index_record_at(idx, at);

	if (index_load(&r->kind) != INDEX_LITERAL)
		r = index_record_at(idx, climb(idx, at, &first));
	return index_load(&r->number);
}

struct bytes
index_queue(const struct index *idx, uint32_t record)
{
	const struct index_record *r = index_record_at(idx, record);

	return index_load(&r->kind) == INDEX_QUEUE ? index_record_bytes(r) : BYTES("");
}

uint32_t
index_weight(const struct index *idx, uint32_t record)
{
	return index_load(&index_record_at(idx, record)->weight);
}

/* Length of the pattern that ends at a node. */
static size_t
pattern_length(const struct index *idx, const struct index_record *r)
{
	size_t len = 0;

	for (; index_load(&r->kind) == INDEX_NODE; r = index_record_at(idx, index_load(&r->number)))
		len += index_load(&r->len) + 1u;
	return len - 1;
}

int
index_subject(const struct index *idx, uint32_t record, char *buf, size_t size)
{
	const struct index_record *r = index_record_at(idx, subject_of(idx, record));
	bool literal = index_load(&r->kind) == INDEX_LITERAL;
	struct bytes b = index_record_bytes(r);
	size_t len = literal ? b.len : pattern_length(idx, r), at = len;

	if (len > size)
		return -ENOSPC;
	if (literal) {
		memcpy(buf, b.data, b.len);
		return (int)len;
	}
	for (;;) {
		b = index_record_bytes(r);
		at -= b.len;
		memcpy(buf + at, b.data, b.len);
		if (at == 0)
			return (int)len;
		buf[--at] = '.';
		r = index_record_at(idx, index_load(&r->number));
	}
}

void
index_usage(const struct index *idx, struct index_usage *u)
{
	uint64_t fixed = INDEX_TABLE + (uint64_t)idx->buckets * sizeof(struct index_bucket);

	u->records = idx->records;
	u->live_bytes = fixed + idx->live;
	u->top_bytes = fixed + idx->top - INDEX_ARENA;
}

/* f for a record that is in the table, and for the nodes of wildcards that hang on it. */
static int
each_from(const struct index *idx, uint32_t at, int (*f)(void *, uint32_t), void *arg)
{
	const struct index_record *r;
	uint32_t rest;
	int rc;

	for (; at != 0; at = index_load(&r->star)) {
		r = index_record_at(idx, at);
		if (index_load(&r->kind) != INDEX_ACCOUNT && index_load(&r->weight) != 0 &&
		    (rc = f(arg, at)) != 0)
			return rc;
		if (index_load(&r->kind) == INDEX_LITERAL || index_load(&r->kind) == INDEX_QUEUE)
			return 0;
		rest = index_load(&r->rest);
		if (rest != 0 && index_load(&index_record_at(idx, rest)->weight) != 0 &&
		    (rc = f(arg, rest)) != 0)
			return rc;
	}
	return 0;
}

int
index_each(const struct index *idx, int (*f)(void *arg, uint32_t record), void *arg)
{
	const struct index_bucket *b;
	uint64_t slot, next;
	uint32_t n, i;
	int rc;

	for (n = 0; n < idx->buckets; n++) {
		b = (const struct index_bucket *)(idx->base + INDEX_TABLE) + n;
		for (;; b = index_bucket_at(idx, next)) {
			for (i = 0; i < INDEX_SLOTS; i++) {
				slot = index_load(&b->slot[i]);
				if (slot != 0 && (rc = each_from(idx, (uint32_t)slot, f, arg)) != 0)
					return rc;
			}
			if ((next = index_load(&b->next)) == 0)
				break;
		}
	}
	return 0;
}

/* ---- stamps, the asking side */

struct index_key
index_key(const uint8_t secret[INDEX_SECRET], uint32_t account, struct bytes subject)
{
	return (struct index_key){
		index_literal_stripe(index_tag(secret, INDEX_LITERAL, account, subject)),
		index_wild_stripe(secret, account, index_token(subject, 0)) |
		    index_all_stripe(account) << 16,
	};
}

/*
 * Each of the three only grows, so their sum stays equal only when nothing
 * happened. (Sums over partitions would not do: a liar can count down.)
 */
static uint32_t
stamp(const struct index_head *head, struct index_key key)
{
	return atomic_load_explicit(&head->literal[key.literal % INDEX_LITERALS], memory_order_acquire) +
	    atomic_load_explicit(&head->wild[(key.wild & 0xffff) % INDEX_WILDS], memory_order_acquire) +
	    atomic_load_explicit(&head->all[(key.wild >> 16) % INDEX_ALLS], memory_order_acquire);
}

uint32_t
index_stamp_by_key(const struct index_view *v, struct index_key key)
{
	return stamp((const struct index_head *)v->base, key);
}

uint32_t
index_own_stamp_by_key(const struct index *idx, struct index_key key)
{
	return stamp(idx->head, key);
}

uint32_t
index_stamp(const struct index_view *v, uint32_t account, struct bytes subject)
{
	return index_stamp_by_key(v, index_key(v->secret, account, subject));
}

uint32_t
index_own_stamp(const struct index *idx, uint32_t account, struct bytes subject)
{
	return index_own_stamp_by_key(idx, index_key(idx->secret, account, subject));
}

uint64_t
index_generation(const struct index_view *v)
{
	return atomic_load_explicit(&((const struct index_head *)v->base)->generation,
	    memory_order_acquire);
}

uint64_t
index_own_generation(const struct index *idx)
{
	return index_load(&idx->head->generation);
}

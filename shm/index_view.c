/*
 * A peer's partition: hostile memory that may change under us at any time.
 *
 * - Offsets are checked against the arena and then clamped (record_at()); a
 *   length is 16 bits and the arena ends 128 KiB before the mapping does, so no
 *   record can lead out of it.
 * - Each word is loaded once, checked, then used. Bytes are looked at only by
 *   shared_equal() and shared_copy().
 * - Every record and bucket that is looked at is one step, of a bounded number.
 * - A lookup counts only if fewer than INDEX_QUARANTINE records were freed
 *   meanwhile: then nothing that it could reach was used for something else.
 *   That goes for the verdict `corrupt` as well.
 */
#include <errno.h>
#include "shm/index_layout.h"

#ifndef INDEX_VIEW_QUARANTINE		/* tests make it small, or switch it off */
#define INDEX_VIEW_QUARANTINE	INDEX_QUARANTINE
#endif
#ifndef INDEX_VIEW_PAUSE		/* tests wait here: between levels of a trie, buckets of a chain */
#define INDEX_VIEW_PAUSE()	((void)0)
#endif

#define ATTEMPTS	4u	/* lookups before `maybe`, when too much was freed meanwhile */
#define LOOKS		6u	/* at a bucket that is split under us */
#define CHAIN		32u	/* overflow buckets; keyed hashing makes a few at most */
#define FRONTIER	32u	/* nodes on one level of a trie */
#define STEPS		512u	/* records and buckets in one lookup */

/* One lookup. Its functions return 0; -E2BIG more than we care to follow (an
 * honest peer's clients can do that); -EBADMSG corrupt; -EAGAIN try again. */
struct lookup {
	const char			*base;
	const struct index_head		*head;
	const uint8_t			*secret;
	unsigned			 steps;
	size_t				 used;		/* of match.names */
	struct index_match		 match;
};

/* ---- the only places where a peer's bytes, other than words, are read */

/*
 * Eight bytes from anywhere. Volatile: one load, not repeated and not assumed
 * to stay what it was. On machines without unaligned loads the compiler makes
 * it several: still only garbage that the caller has to live with.
 */
struct unaligned { uint64_t word; } __attribute__((packed, may_alias));

static inline uint64_t
shared_load(const char *shared)
{
	return ((const volatile struct unaligned *)shared)->word;
}

static inline uint64_t
private_load(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/*
 * Are len bytes of a peer's memory equal to ours? Somebody may be writing there:
 * formally a race, and the answer then is worth nothing, which frees tell. It
 * reads shared[0..len) and nothing else. The caller has checked that it is mapped.
 */
static inline bool
shared_equal(const char *shared, const char *ours, size_t len)
{
	uint64_t differ = 0;
	size_t i;

	if (len < sizeof(differ)) {
		for (i = 0; i < len; i++)
			differ |= (uint64_t)(((const volatile char *)shared)[i] ^ ours[i]);
		return differ == 0;
	}
	for (i = 0; i + sizeof(differ) <= len; i += sizeof(differ))
		differ |= shared_load(shared + i) ^ private_load(ours + i);
	i = len - sizeof(differ);
	return (differ | (shared_load(shared + i) ^ private_load(ours + i))) == 0;
}

/* Copy len bytes of a peer's memory, each read once; the same caveats. */
static inline void
shared_copy(char *ours, const char *shared, size_t len)
{
	uint64_t word;
	size_t i;

	for (i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
		word = shared_load(shared + i);
		memcpy(ours + i, &word, sizeof(word));
	}
	for (; i < len; i++)
		ours[i] = ((const volatile char *)shared)[i];
}

/* ---- offsets */

/*
 * An offset that is inside the arena, unchanged; NULL if it is not. The mask
 * keeps a mispredicted branch from loading what a peer chose (Spectre v1;
 * Linux' array_index_nospec()): the compiler may not know that it is all ones.
 */
static inline const void *
arena_at(const struct lookup *l, uint64_t at)
{
	const uint64_t size = INDEX_BEHIND - INDEX_FIRST;
	uint64_t i = at - INDEX_FIRST;

	if (i >= size)
		return NULL;
	__asm__ volatile("" : "+r" (i));
	i &= (uint64_t)(~(int64_t)(i | (size - 1 - i)) >> 63);
	return l->base + (INDEX_FIRST + i) * INDEX_UNIT;
}

/* The record at an offset, one step. */
static inline int
record_at(struct lookup *l, uint32_t at, const struct index_record **r)
{
	if (++l->steps > STEPS)
		return -E2BIG;
	return (*r = arena_at(l, at)) == NULL ? -EBADMSG : 0;
}

/* ---- the table */

/* Is it the record of (kind, number, bytes)? Its length is compared with ours before a byte is read. */
static inline bool
record_is(const struct index_record *r, unsigned kind, uint32_t number, struct bytes b)
{
	return index_load(&r->kind) == kind && index_load(&r->number) == number &&
	    index_load(&r->len) == b.len &&
	    shared_equal((const char *)r + index_bytes_at(kind), b.data, b.len);
}

/* Look through one chain. *at: 0 not there. */
static int
chain_find(struct lookup *l, const struct index_bucket *b, unsigned kind, uint32_t number,
    struct bytes bytes, uint32_t tag, uint32_t *at)
{
	const struct index_record *r;
	uint64_t slot, next;
	unsigned i, count;
	int rc;

	for (count = 0; count < CHAIN; count++) {
		if (++l->steps > STEPS)
			return -E2BIG;
		for (i = 0; i < INDEX_SLOTS; i++) {
			slot = atomic_load_explicit(&b->slot[i], memory_order_acquire);
			if (slot >> 32 != tag || slot == 0)
				continue;
			if ((rc = record_at(l, (uint32_t)slot, &r)) != 0)
				return rc;
			if (record_is(r, kind, number, bytes)) {
				*at = (uint32_t)slot;
				return 0;
			}
		}
		next = atomic_load_explicit(&b->next, memory_order_acquire);
		if (next == 0) {
			*at = 0;
			return 0;
		}
		if (next % (sizeof(*b) / INDEX_UNIT) != 0 || (b = arena_at(l, next)) == NULL)
			return -EBADMSG;
		INDEX_VIEW_PAUSE();
	}
	return -EBADMSG;
}

/*
 * Find a record. That one is not there is believed only when the table had the
 * same shape before and after, as far as our bucket goes: see shape_publish().
 */
static int
find(struct lookup *l, unsigned kind, uint32_t number, struct bytes b, uint32_t tag, uint32_t *at)
{
	uint64_t shape, after = atomic_load_explicit(&l->head->shape, memory_order_acquire);
	uint32_t bucket, look;
	int rc;

	for (look = 0; look < LOOKS; look++) {
		shape = after;
		if ((uint32_t)shape > INDEX_BUCKETS_MAX - INDEX_BUCKETS_MIN)
			return -EBADMSG;
		bucket = index_bucket_of(tag, INDEX_BUCKETS_MIN + (uint32_t)shape) % INDEX_BUCKETS_MAX;
		rc = chain_find(l, (const struct index_bucket *)(l->base + INDEX_TABLE) + bucket,
		    kind, number, b, tag, at);
		if (rc != 0 || *at != 0)
			return rc;
		atomic_thread_fence(memory_order_acquire);
		after = index_load(&l->head->shape);
		if (after == shape)
			return 0;
		atomic_thread_fence(memory_order_acquire);
	}
	return -EAGAIN;
}

/* ---- what a record says */

/* A group's name is copied behind those that we have, and stays if it is new. */
static int
match_queue(struct lookup *l, const struct index_record *q)
{
	struct index_match *m = &l->match;
	uint32_t weight = index_load(&q->weight);
	uint16_t len = index_load(&q->len);
	unsigned i;

	if (weight == 0)
		return 0;
	if (len == 0)			/* nobody but a liar has a group without a name */
		return -EBADMSG;
	if (len > sizeof(m->names) - l->used)
		return -E2BIG;
	shared_copy(m->names + l->used, (const char *)q + INDEX_QUEUE_BYTES_AT, len);
	for (i = 0; i < m->nqueues; i++)
		if (m->queue[i].len == len &&
		    memcmp(m->names + m->queue[i].at, m->names + l->used, len) == 0) {
			if (m->queue[i].weight > UINT32_MAX - weight)
				weight = UINT32_MAX - m->queue[i].weight;
			m->queue[i].weight += weight;
			return 0;
		}
	if (m->nqueues == INDEX_QUEUES)
		return -E2BIG;
	m->queue[i].weight = weight;
	m->queue[i].at = (uint16_t)l->used;
	m->queue[i].len = len;
	m->nqueues++;
	l->used += len;
	return 0;
}

/* Members and groups of the LITERAL or NODE r at `of`. */
static int
match_record(struct lookup *l, const struct index_record *r, uint32_t of)
{
	const struct index_record *q;
	uint32_t at;
	int rc;

	if (atomic_load_explicit(&r->weight, memory_order_acquire) != 0)
		l->match.plain = true;
	for (at = atomic_load_explicit(&r->queues, memory_order_acquire); at != 0;
	    at = atomic_load_explicit(&q->queues, memory_order_acquire)) {
		if ((rc = record_at(l, at, &q)) != 0)
			return rc;
		if (index_load(&q->kind) != INDEX_QUEUE || index_load(&q->number) != of)
			return -EBADMSG;
		if ((rc = match_queue(l, q)) != 0)
			return rc;
	}
	return 0;
}

/* ---- the trie */

/* The node that star or rest of the node at `above` leads to. */
static int
node_at(struct lookup *l, uint32_t at, uint32_t above, const struct index_record **r)
{
	int rc = record_at(l, at, r);

	if (rc != 0)
		return rc;
	return index_load(&(*r)->kind) == INDEX_NODE && index_load(&(*r)->number) == above ? 0 : -EBADMSG;
}

struct frontier { uint32_t at[FRONTIER]; unsigned count; };

static int
frontier_add(struct frontier *f, uint32_t at)
{
	if (f->count == FRONTIER)
		return -E2BIG;
	f->at[f->count++] = at;
	return 0;
}

/* One token down from the node at `at`. */
static int
descend(struct lookup *l, uint32_t at, struct bytes token, uint64_t hash, struct frontier *next)
{
	const struct index_record *r, *child;
	uint32_t to;
	int rc;

	if ((rc = record_at(l, at, &r)) != 0)
		return rc;
	if ((to = atomic_load_explicit(&r->rest, memory_order_acquire)) != 0 &&
	    ((rc = node_at(l, to, at, &child)) != 0 || (rc = match_record(l, child, to)) != 0))
		return rc;
	if ((to = atomic_load_explicit(&r->star, memory_order_acquire)) != 0 &&
	    ((rc = node_at(l, to, at, &child)) != 0 || (rc = frontier_add(next, to)) != 0))
		return rc;
	if (atomic_load_explicit(&r->children, memory_order_acquire) == 0)
		return 0;
	rc = find(l, INDEX_NODE, at, token, index_tag_of(hash, INDEX_NODE, at), &to);
	return rc != 0 || to == 0 ? rc : frontier_add(next, to);
}

static int
match_patterns(struct lookup *l, uint32_t root, struct bytes subject)
{
	struct frontier now = { { root }, 1 }, next;
	const struct index_record *r;
	struct bytes token;
	uint64_t hash;
	unsigned i;
	size_t at;
	int rc;

	for (at = 0; at <= subject.len; at += token.len + 1) {
		token = index_token(subject, at);
		if (token.len == 0) {
			l->match.plain = false;
			l->match.nqueues = 0;
			return 0;
		}
		if (now.count == 0)
			continue;
		hash = hash_bytes(l->secret, token);
		next.count = 0;
		INDEX_VIEW_PAUSE();
		for (i = 0; i < now.count; i++)
			if ((rc = descend(l, now.at[i], token, hash, &next)) != 0)
				return rc;
		now.count = next.count;
		memcpy(now.at, next.at, next.count * sizeof(next.at[0]));
	}
	for (i = 0; i < now.count; i++)
		if ((rc = record_at(l, now.at[i], &r)) != 0 || (rc = match_record(l, r, now.at[i])) != 0)
			return rc;
	return 0;
}

/* ---- one lookup, and its validation */

static int
match_once(struct lookup *l, uint32_t account, struct bytes subject)
{
	const struct index_record *r, *literal;
	uint32_t root, at;
	int rc;

	l->steps = 0;
	l->used = 0;
	l->match.plain = false;
	l->match.nqueues = 0;
	rc = find(l, INDEX_ACCOUNT, account, BYTES(""),
	    index_tag(l->secret, INDEX_ACCOUNT, account, BYTES("")), &root);
	if (rc != 0 || root == 0)
		return rc;
	rc = find(l, INDEX_LITERAL, account, subject,
	    index_tag(l->secret, INDEX_LITERAL, account, subject), &at);
	if (rc != 0 || (at != 0 && ((rc = record_at(l, at, &literal)) != 0 ||
	    (rc = match_record(l, literal, at)) != 0)))
		return rc;
	if ((rc = record_at(l, root, &r)) != 0)
		return rc;
	if (atomic_load_explicit(&r->star, memory_order_acquire) == 0 &&
	    atomic_load_explicit(&r->rest, memory_order_acquire) == 0 &&
	    atomic_load_explicit(&r->children, memory_order_acquire) == 0)
		return 0;
	return match_patterns(l, root, subject);
}

static void
match_deliver(const struct lookup *l, struct index_match *m)
{
	m->plain = l->match.plain;
	m->nqueues = l->match.nqueues;
	memcpy(m->queue, l->match.queue, l->match.nqueues * sizeof(m->queue[0]));
	memcpy(m->names, l->match.names, l->used);
}

void
index_view_init(struct index_view *v, const struct segment *seg, const uint8_t secret[INDEX_SECRET])
{
	*v = (struct index_view){ .base = seg->base, .secret = secret };
}

enum index_answer
index_match(struct index_view *v, uint32_t account, struct bytes subject, struct index_match *m)
{
	struct lookup l;
	uint64_t frees;
	unsigned i;
	int rc;

	l.base = v->base;
	l.head = (const struct index_head *)v->base;
	l.secret = v->secret;
	for (i = 0; i < ATTEMPTS; i++) {
		frees = atomic_load_explicit(&l.head->frees, memory_order_acquire);
		rc = match_once(&l, account, subject);
		/* Pairs with the fence in quarantine(): who read new bytes sees the count. */
		atomic_thread_fence(memory_order_acquire);
		if (rc == -EAGAIN || index_load(&l.head->frees) - frees >= INDEX_VIEW_QUARANTINE) {
			v->retries++;
			continue;
		}
		if (rc == -EBADMSG) {
			v->hostile++;
			return INDEX_MAYBE;
		}
		if (rc != 0)
			break;
		if (!l.match.plain && l.match.nqueues == 0)
			return INDEX_NO;
		match_deliver(&l, m);
		return INDEX_YES;
	}
	v->maybes++;
	return INDEX_MAYBE;
}

/* ---- one record, for reports */

/* Write a token of a pattern before *from, with a dot behind it unless it is the last. */
static int
interest_token(const struct index_record *r, struct index_interest *out, size_t *from)
{
	const size_t end = INDEX_INTEREST_TEXT;
	uint16_t len = index_load(&r->len);
	size_t dot = *from == end ? 0 : 1;

	if (len + dot > *from)
		return -E2BIG;
	if (dot != 0)
		out->text[*from - 1] = '.';
	*from -= len + dot;
	shared_copy(out->text + *from, (const char *)r + INDEX_NODE_BYTES, len);
	return 0;
}

/* From the node r up to its account. */
static int
interest_pattern(struct lookup *l, const struct index_record *r, struct index_interest *out)
{
	size_t from = INDEX_INTEREST_TEXT;
	unsigned kind;
	int rc;

	while ((kind = index_load(&r->kind)) == INDEX_NODE) {
		if ((rc = interest_token(r, out, &from)) != 0 ||
		    (rc = record_at(l, index_load(&r->number), &r)) != 0)
			return rc;
	}
	out->account = index_load(&r->number);
	out->subject = (struct bytes){ out->text + from, INDEX_INTEREST_TEXT - from };
	return kind == INDEX_ACCOUNT ? 0 : -EBADMSG;
}

static int
interest_literal(const struct index_record *r, struct index_interest *out)
{
	uint16_t len = index_load(&r->len);

	if (len > INDEX_INTEREST_TEXT)
		return -E2BIG;
	shared_copy(out->text, (const char *)r + INDEX_LITERAL_BYTES, len);
	out->account = index_load(&r->number);
	out->subject = (struct bytes){ out->text, len };
	return 0;
}

static int
interest_queue(const struct index_record *r, struct index_interest *out)
{
	uint16_t len = index_load(&r->len);

	if (len > INDEX_INTEREST_TEXT)
		return -E2BIG;
	shared_copy(out->text + INDEX_INTEREST_TEXT, (const char *)r + INDEX_QUEUE_BYTES_AT, len);
	out->queue = (struct bytes){ out->text + INDEX_INTEREST_TEXT, len };
	return 0;
}

static int
interest_once(struct lookup *l, uint32_t record, struct index_interest *out)
{
	const struct index_record *r;
	int rc;

	l->steps = 0;
	out->queue = (struct bytes){ "", 0 };
	if ((rc = record_at(l, record, &r)) != 0)
		return rc;
	if (index_load(&r->kind) == INDEX_QUEUE && ((rc = interest_queue(r, out)) != 0 ||
	    (rc = record_at(l, index_load(&r->number), &r)) != 0))
		return rc;
	return index_load(&r->kind) == INDEX_LITERAL ? interest_literal(r, out) : interest_pattern(l, r, out);
}

int
index_view_interest(struct index_view *v, uint32_t record, struct index_interest *out)
{
	struct lookup l;
	uint64_t frees;
	unsigned i;
	int rc;

	l.base = v->base;
	l.head = (const struct index_head *)v->base;
	l.secret = v->secret;
	for (i = 0; i < ATTEMPTS; i++) {
		frees = atomic_load_explicit(&l.head->frees, memory_order_acquire);
		rc = interest_once(&l, record, out);
		atomic_thread_fence(memory_order_acquire);
		if (index_load(&l.head->frees) - frees < INDEX_VIEW_QUARANTINE)
			return rc == -EBADMSG ? -ENOENT : rc;
		v->retries++;
	}
	return -ENOENT;
}

/*
 * The owner matches in its own partition: nobody else can write there, so
 * nothing is checked and nothing is limited. A subject without wildcards in
 * the account costs two cache lines, its bucket and its record.
 */
#include <errno.h>
#include <stdlib.h>
#include "shm/index_owner.h"

static int
hits_add(struct index_hits *hits, uint32_t record)
{
	size_t room = hits->room == 0 ? 16 : hits->room * 2;
	uint32_t *more;

	if (hits->count == hits->room) {
		if ((more = reallocarray(hits->records, room, sizeof(*more))) == NULL)
			return -ENOMEM;
		hits->records = more;
		hits->room = room;
	}
	hits->records[hits->count++] = record;
	return 0;
}

/* What a LITERAL or NODE says: members, and its queue groups. */
static int
hits_add_all(const struct index *idx, struct index_hits *hits, uint32_t at)
{
	const struct index_record *r = index_record_at(idx, at);
	int rc = 0;

	if (index_load(&r->weight) != 0)
		rc = hits_add(hits, at);
	for (at = index_load(&r->queues); rc == 0 && at != 0;
	    at = index_load(&index_record_at(idx, at)->queues))
		rc = hits_add(hits, at);
	return rc;
}

/* Room for `count` entries in the frontier. */
static int
frontier_grow(struct index *idx, size_t count)
{
	size_t room = idx->frontier_room == 0 ? 64 : idx->frontier_room;
	uint32_t *more;

	if (count <= idx->frontier_room)
		return 0;
	while (room < count)
		room *= 2;
	if ((more = reallocarray(idx->frontier, room, sizeof(*more))) == NULL)
		return -ENOMEM;
	idx->frontier = more;
	idx->frontier_room = room;
	return 0;
}

/*
 * Go one token down from the `count` nodes of the frontier, which then holds
 * what was reached. A `>` is done with here: it takes all that follows.
 * The new count, or -ENOMEM.
 */
static ssize_t
descend(struct index *idx, size_t count, struct bytes token, struct index_hits *hits)
{
	uint64_t hash = hash_bytes(idx->secret, token);
	const struct index_record *r;
	size_t i, end = count;
	uint32_t at, next;
	int rc;

	if ((rc = frontier_grow(idx, 3 * count)) != 0)
		return rc;
	for (i = 0; i < count; i++) {
		at = idx->frontier[i];
		r = index_record_at(idx, at);
		if ((next = index_load(&r->rest)) != 0 && (rc = hits_add_all(idx, hits, next)) != 0)
			return rc;
		if ((next = index_load(&r->star)) != 0)
			idx->frontier[end++] = next;
		if (index_load(&r->children) != 0 && (next = index_find(idx, INDEX_NODE, at, token,
		    index_tag_of(hash, INDEX_NODE, at))) != 0)
			idx->frontier[end++] = next;
	}
	memmove(idx->frontier, idx->frontier + count, (end - count) * sizeof(*idx->frontier));
	return (ssize_t)(end - count);
}

static int
match_patterns(struct index *idx, uint32_t root, struct bytes subject, struct index_hits *hits)
{
	struct bytes token;
	ssize_t i, count = 1;
	size_t at;
	int rc = frontier_grow(idx, 1);

	if (rc != 0)
		return rc;
	idx->frontier[0] = root;
	for (at = 0; at <= subject.len; at += token.len + 1) {
		token = index_token(subject, at);
		if (token.len == 0) {
			hits->count = 0;
			return 0;
		}
		if (count > 0 && (count = descend(idx, (size_t)count, token, hits)) < 0)
			return (int)count;
	}
	for (i = 0; rc == 0 && i < count; i++)
		rc = hits_add_all(idx, hits, idx->frontier[i]);
	return rc;
}

static uint32_t
account_at(const struct index *idx, uint32_t account)
{
	if (idx->account_at != 0 && idx->account == account)
		return idx->account_at;
	return index_find(idx, INDEX_ACCOUNT, account, BYTES(""),
	    index_tag(idx->secret, INDEX_ACCOUNT, account, BYTES("")));
}

int
index_match_own(const struct index *idx, uint32_t account, struct bytes subject,
    struct index_hits *hits)
{
	const struct index_record *r;
	uint32_t root, at;
	int rc;

	hits->count = 0;
	if ((root = account_at(idx, account)) == 0)
		return 0;
	at = index_find(idx, INDEX_LITERAL, account, subject,
	    index_tag(idx->secret, INDEX_LITERAL, account, subject));
	if (at != 0 && (rc = hits_add_all(idx, hits, at)) != 0)
		return rc;
	r = index_record_at(idx, root);
	if ((index_load(&r->star) | index_load(&r->rest) | index_load(&r->children)) == 0)
		return 0;
	/* The frontier is scratch, not part of what the caller's const is about. */
	return match_patterns((struct index *)(uintptr_t)idx, root, subject, hits);
}

void
index_expect(const struct index *idx, uint32_t account, const struct bytes *subjects,
    unsigned count, uint32_t *notes)
{
	uint32_t tags[INDEX_EXPECTED], at[INDEX_EXPECTED];
	unsigned i;

	for (i = 0; i < count; i++) {
		tags[i] = index_tag(idx->secret, INDEX_LITERAL, account, subjects[i]);
		index_prefetch(idx, tags[i]);
	}
	for (i = 0; i < count; i++) {
		at[i] = index_peek(idx, tags[i]);
		__builtin_prefetch(index_record_at(idx, at[i]));
	}
	for (i = 0; i < count; i++)
		notes[i] = at[i] == 0 ? 0 : index_load(&index_record_at(idx, at[i])->note);
}

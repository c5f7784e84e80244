#ifndef SHM_INDEX_H
#define SHM_INDEX_H
/*
 * The subject index: each participant publishes in a partition of its own the
 * distinct (account, subject, queue group) that it has interest in, with the
 * number of members as weight. shm/README.md has the idea, docs/shm.md the
 * layout. One partition is one segment of INDEX_SIZE bytes.
 *
 * The owner both writes its partition and matches in it (struct index: exact,
 * no limits: nobody else can write there). Peers read it (struct index_view:
 * every byte hostile; the answer is no, yes or maybe).
 */
#include <stdint.h>
#include "common/bytes.h"
#include "shm/segment.h"

#define INDEX_SIZE		((size_t)4 << 30)
#define INDEX_SECRET		192	/* bytes of the hash's key, from the supervisor */
#define INDEX_SUBJECT_MAX	65535	/* bytes of a subject or queue group */

/* ---- the owner */

struct index;

/* base: INDEX_SIZE bytes of zeros, mapped writable. 0 or -ENOMEM. */
int index_new(struct index **out, const struct segment *seg, const uint8_t secret[INDEX_SECRET]);
void index_free(struct index *idx);	/* not the segment */

/*
 * One more member of (account, subject, queue); queue.len 0: no group.
 * subject is valid for SUB (nats/subject.h). *record names the interest until
 * its last member is removed.
 * 0; 1: this is the first member; -ENOSPC the partition is full (nothing changed);
 * -E2BIG too long.
 */
int index_add(struct index *idx, uint32_t account, struct bytes subject,
    struct bytes queue, uint32_t *record);

/* One member less. 0; 1: that was the last, the record is gone. */
int index_remove(struct index *idx, uint32_t record);

/* A word of the record that is its owner's to use: 0 in a new one. Peers may see it. */
uint32_t index_note(const struct index *idx, uint32_t record);
void index_set_note(struct index *idx, uint32_t record, uint32_t note);

/* What the record says. queue points into the partition. */
uint32_t index_account(const struct index *idx, uint32_t record);
struct bytes index_queue(const struct index *idx, uint32_t record);
uint32_t index_weight(const struct index *idx, uint32_t record);

/* The subject as it was subscribed, into buf. Its length; -ENOSPC if longer than size. */
int index_subject(const struct index *idx, uint32_t record, char *buf, size_t size);

/*
 * Every record that matches a published subject (bytes as published; one with
 * an empty token matches nothing; `foo.*` matches the literal `foo.*` and
 * wildcards, as the real server does).
 * Grows hits->records as needed; 0 or -ENOMEM.
 */
struct index_hits { uint32_t *records; size_t count, room; };
int index_match_own(const struct index *idx, uint32_t account, struct bytes subject,
    struct index_hits *hits);

/*
 * Bring near what index_match_own() will read of `count` subjects, at most
 * INDEX_EXPECTED: the processor waits for all at once rather than for one after
 * the other. notes[i]: what index_note() says for subject i without wildcards, 0
 * if it has none.
 */
#define INDEX_EXPECTED		16u
void index_expect(const struct index *idx, uint32_t account, const struct bytes *subjects,
    unsigned count, uint32_t *notes);

struct index_usage { uint64_t records, live_bytes, top_bytes; };
/* records: interests; bytes with the table: in use, and up to the highest ever used. */
void index_usage(const struct index *idx, struct index_usage *u);

/* Walk all records (unit tests, compaction). Stops when f returns non-zero, and returns that. */
int index_each(const struct index *idx, int (*f)(void *arg, uint32_t record), void *arg);

/* Every invariant of the structure (tests; a partition that a peer accuses).
 * 0, or -EBADMSG with *what. Works on any bytes. */
int index_check(const struct segment *seg, const char **what);

/* ---- a peer */

struct index_view {
	const char	*base;
	const uint8_t	*secret;
	uint64_t	 retries, maybes, hostile;	/* for statistics */
};

/* seg: mapped read-only; secret: kept by the caller. Both outlive v, which has nothing to free. */
void index_view_init(struct index_view *v, const struct segment *seg, const uint8_t secret[INDEX_SECRET]);

enum index_answer {
	INDEX_NO,
	INDEX_YES,	/* what m says */
	INDEX_MAYBE,	/* ask the owner: send it the message */
};

#define INDEX_QUEUES		32	/* groups in one answer; more: INDEX_MAYBE */
#define INDEX_QUEUE_BYTES	1024	/* bytes of their names; more: INDEX_MAYBE */

struct index_match {
	bool		 plain;		/* members without a group */
	unsigned	 nqueues;
	struct { uint32_t weight; uint16_t at, len; } queue[INDEX_QUEUES];
	char		 names[INDEX_QUEUE_BYTES];
};

/* Same rules as index_match_own(). *m is written for INDEX_YES only. Never
 * blocks, never writes what is shared, bounded steps whatever the bytes are. */
enum index_answer index_match(struct index_view *v, uint32_t account,
    struct bytes subject, struct index_match *m);

#define INDEX_INTEREST_TEXT	4096u	/* bytes of a subject, and of a group's name, that reports show */

/* What a record says, for reports; its texts are copies. */
struct index_interest {
	uint32_t	 account;
	struct bytes	 subject, queue;	/* in text */
	char		 text[2 * INDEX_INTEREST_TEXT];
};

/*
 * The interest at `record`, which a peer named. As index_match() it may be asked for anything: 0;
 * -ENOENT: there is none, or it changes faster than it can be read; -E2BIG: longer than what is shown.
 */
int index_view_interest(struct index_view *v, uint32_t record, struct index_interest *out);

/* Changes with every change of the partition: equal twice, nothing happened. */
uint64_t index_generation(const struct index_view *v);

/*
 * Changes whenever the answer for (account, subject) may have changed: a
 * cached answer is good while its stamp is. Never add stamps of several
 * partitions: a liar could cancel another's change.
 */
uint32_t index_stamp(const struct index_view *v, uint32_t account, struct bytes subject);
/* The same for the owner's own. */
uint64_t index_own_generation(const struct index *idx);
uint32_t index_own_stamp(const struct index *idx, uint32_t account, struct bytes subject);

/*
 * The parts of a stamp that depend on the subject only; compute once, keep in
 * the cache entry, ask each partition with it.
 */
struct index_key { uint32_t literal, wild; };
struct index_key index_key(const uint8_t secret[INDEX_SECRET], uint32_t account, struct bytes subject);
uint32_t index_stamp_by_key(const struct index_view *v, struct index_key key);
uint32_t index_own_stamp_by_key(const struct index *idx, struct index_key key);
#endif

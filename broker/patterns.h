#ifndef BROKER_PATTERNS_H
#define BROKER_PATTERNS_H
/*
 * Subjects with wildcards, thousands of them, asked about one subject: a trie
 * of tokens, the exact ones of all nodes in one hash table. An answer costs one look
 * for each token and each node that is under way, however many patterns there are.
 *
 * Who publishes chooses what is asked, never what is in it. Some 60 bytes for each
 * token that is not there yet.
 */
#include <stdint.h>
#include "common/bytes.h"

struct patterns;

/* secret: HASH_SECRET bytes, kept by the caller. NULL: no memory. */
struct patterns *patterns_new(const uint8_t *secret);
void patterns_free(struct patterns *p);		/* NULL is nothing */

/* pattern: valid. number: told back, need not be unique. 0 or -ENOMEM. */
int patterns_add(struct patterns *p, struct bytes pattern, uint32_t number);

enum patterns_asked {
	PATTERNS_MATCH,		/* those that match this published subject, as subject_matches() has it */
	PATTERNS_CONTAIN,	/* those that this pattern is within, subject_within() */
	PATTERNS_OVERLAP,	/* those that it overlaps, subject_overlaps() */
};

/* One of them. True: that is enough. */
typedef bool patterns_found(void *arg, uint32_t number);

/* Tell `found` of those asked for, in no order. True: it said that it has enough. */
bool patterns_ask(struct patterns *p, enum patterns_asked asked, struct bytes subject, patterns_found *found,
    void *arg);
#endif

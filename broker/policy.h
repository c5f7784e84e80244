#ifndef BROKER_POLICY_H
#define BROKER_POLICY_H
/*
 * What one client may publish and subscribe to. The one place that decides it,
 * for every way in: docs/architecture.md 3.2. A policy is made from records of
 * messages.def (permission_set, then permission) and shared by all clients
 * that have the same records; an answer is cached in it, within bounds.
 *
 * Memory: the records, some 100 bytes for each pattern of three tokens, and a cache that
 * grows while it is missed, of 2 KiB to 32 KiB, of all policies together 32 MiB.
 *
 * A subject is allowed if a pattern allows it, or if none are given, and no
 * pattern denies it; deny wins.
 */
#include <stdint.h>
#include "common/bytes.h"

struct policy;

/* Policies of one process, by what they say. */
struct policies;
int policies_new(struct policies **out);	/* 0 or -ENOMEM */
void policies_free(struct policies *all);	/* with all in it */

/*
 * The policy of these records, with one more reference. 0; -EBADMSG with *why;
 * -ENOMEM. records.len 0: *out is NULL, everything is allowed.
 */
int policy_get(struct policies *all, struct bytes records, struct policy **out, const char **why);
void policy_put(struct policy *p);		/* a reference less; NULL is nothing */
/* The bytes that it was made of. */
struct bytes policy_records(const struct policy *p);

/* May it publish there? Of a subject asked before this is a look into the cache. */
bool policy_publish(struct policy *p, struct bytes subject);

/*
 * The same for who often asks the same: *place is where the last answer was, any number at first. Hot path:
 * one compare.
 */
bool policy_publish_near(struct policy *p, struct bytes subject, uint32_t *place);

/* Names it in this process: never given twice, never 0. A policy does not change, so who remembers that one of
 * this serial allows a subject need not ask again. */
uint64_t policy_serial(const struct policy *p);

enum policy_subscribes {
	SUBSCRIBE_REFUSED,
	SUBSCRIBE_ALLOWED,	/* all it matches */
	SUBSCRIBE_FILTERED,	/* it overlaps what is denied: policy_delivers() before each message */
};

/*
 * May it subscribe? Only to a subset of what one pattern allows: `foo.>` is not one of
 * `foo.*`. queue.len 0: without a group. Patterns with a queue group are for
 * subscriptions in a group of that name, or that it matches; where such patterns allow the
 * subject, the group has to be one of theirs. Of what is denied, `foo.*` refuses `foo.>` too, as the real server does.
 */
enum policy_subscribes policy_subscribe(struct policy *p, struct bytes subject, struct bytes queue);

/* Of a SUBSCRIBE_FILTERED one: is this published subject free of what is denied? Cached. */
bool policy_delivers(struct policy *p, struct bytes subject, struct bytes queue);

/* allow_responses: are replies to what is delivered allowed, how many (NO_LIMIT: any number), for how long
 * (negative: for ever)? */
bool policy_responds(const struct policy *p, uint64_t *messages, double *seconds);

/*
 * Reply subjects that one client may publish to because it was sent them; zeroed at its start. GRANTS_MOST
 * of them, in GRANTS_BYTES with their texts: then the oldest makes room.
 */
struct grants { struct grants_table *table; };
#define GRANTS_MOST	65536
#define GRANTS_BYTES	((size_t)16 << 20)

/*
 * A message with this reply was delivered: as many messages more may come there, unless p allows them anyway.
 * now: seconds, monotonic. False: no memory, it is not granted.
 */
bool grants_add(struct grants *g, struct policy *p, struct bytes reply, double now);
/* Is subject granted? Then it is one time less. */
bool grants_use(struct grants *g, struct bytes subject, double now);
void grants_free(struct grants *g);
#endif

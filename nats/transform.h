#ifndef NATS_TRANSFORM_H
#define NATS_TRANSFORM_H
/*
 * One subject from another: account mappings, the local subjects of imports.
 * docs.nats.io, "Subject Mapping and Partitioning"; server/subject_transform.go
 * of the real server decides where that is silent.
 *
 * source: a subject with wildcards. destination: tokens that are taken as they
 * are, or `$1` and {{wildcard(1)}}, {{partition(n,1,2)}}, {{partition(n)}},
 * {{split(1,-)}}, {{splitFromLeft(1,2)}}, {{splitFromRight(1,2)}},
 * {{sliceFromLeft(1,2)}}, {{sliceFromRight(1,2)}}, {{left(1,2)}},
 * {{right(1,2)}}, {{random(n)}}; the number is that of a `*` in source, from 1. Where source
 * has none, partition takes the whole subject.
 */
#include <stdint.h>
#include "common/bytes.h"

struct transform;

/*
 * 0: *out is for transform_free(). -EINVAL: *why says what is wrong (static).
 * -ENOMEM. strict: all wildcards of source have to be used once, as a mapping
 * of an import has to, so that transform_back() exists.
 */
int transform_new(struct transform **out, struct bytes source, struct bytes destination, bool strict,
    const char **why);
void transform_free(struct transform *t);	/* NULL is nothing */

/* Does source match? */
bool transform_matches(const struct transform *t, struct bytes subject);

/*
 * What becomes of subject, which matches, into out. random: any number, for
 * random(n). The length; -ENOSPC: longer than size. What split() makes of a token
 * may be empty: then it is a subject that nobody can subscribe to.
 */
int transform_subject(const struct transform *t, struct bytes subject, uint64_t random, char *out, size_t size);

/* What it was made of, as long as it lives. */
struct bytes transform_source(const struct transform *t);
struct bytes transform_destination(const struct transform *t);
/* Does it make the same of the same subject each time? Not if random(n) is in it. */
bool transform_fixed(const struct transform *t);

/*
 * The other way, for subscriptions: which pattern over `source` gives messages
 * that the transform turns into ones that pattern `wanted` matches? Strict ones only.
 * The length into out; -ENOENT: none can; -ENOSPC.
 */
int transform_back(const struct transform *t, struct bytes wanted, char *out, size_t size);
#endif

#ifndef NATS_SUBJECT_H
#define NATS_SUBJECT_H
/* Subjects: tokens between dots. docs: bulkhead-protocol(7). */
#include "common/bytes.h"

/* May be subscribed to: no empty token, `>` alone and last, `*` alone. */
bool subject_valid(struct bytes subject);

/* May be published to under pedantic: as above, and without wildcards. */
bool subject_literal(struct bytes subject);

/* Has a token `*` or a last token `>`. (`foo*` has not.) */
bool subject_has_wildcard(struct bytes subject);

/* Does a valid pattern match a published subject? One with an empty token matches nothing. */
bool subject_matches(struct bytes pattern, struct bytes subject);

/*
 * Does `of` match whatever pattern does? `foo.>` is not within `foo.*`, nor `*` within `foo`. Both valid; but
 * any queue name may stand for pattern: behind what `>` begins, it is not looked at.
 */
bool subject_within(struct bytes pattern, struct bytes of);

/* Is there a subject that both valid patterns match? */
bool subject_overlaps(struct bytes a, struct bytes b);

/* Dots and one; 0 for an empty subject. */
unsigned subject_tokens(struct bytes subject);

/* As Go's %q: in double quotes, with \" \\ \n \xHH \uHHHH...; cut to size. Returns out. */
char *subject_quote(char *out, size_t size, struct bytes subject);
#endif

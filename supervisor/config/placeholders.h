#ifndef CONFIG_PLACEHOLDERS_H
#define CONFIG_PLACEHOLDERS_H
/* `*` in subjects and what stands for it in a transform: $1, {{wildcard(1)}}. Texts are to free(); NULL: no memory. */
#include <stdbool.h>
#include "common/bytes.h"

/* Is there a token that a transform could take for more than a text? */
bool placeholders_in(struct bytes subject);

/* "a.*.*" as "a.$1.$2" */
char *placeholders_set(struct bytes subject);

/* "b.$2.$1" as "b.*.*" */
char *placeholders_clear(struct bytes transform);

/*
 * theirs "q.*.*" and what a transform of it has, "help.$2.$1": the transform the
 * other way, of "help.*.*": "q.$2.$1". Each `*` of theirs is in transform once.
 */
char *placeholders_turn(struct bytes theirs, struct bytes transform);
#endif

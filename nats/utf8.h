#ifndef NATS_UTF8_H
#define NATS_UTF8_H
/* UTF-8 where it matters: JSON and quoted subjects. On the wire bytes are opaque. */
#include <stdint.h>
#include "common/bytes.h"

#define UTF8_GROWTH	3	/* what one bad byte becomes */

/* Bytes of the character that text begins with, 1..4; 0: none, or not valid. */
size_t utf8_decode(struct bytes text, uint32_t *character);

/*
 * Copy text to out, each byte that is no part of a valid character replaced by
 * U+FFFD, as Go's encoding/json does. out has room for UTF8_GROWTH * text.len.
 * Returns the bytes written.
 */
size_t utf8_repair(char *out, struct bytes text);
#endif

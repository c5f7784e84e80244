#ifndef NATS_BASE64_H
#define NATS_BASE64_H
/* base64 as clients write signatures: RFC 4648. */
#include <stdint.h>
#include "common/bytes.h"

/*
 * text into out: base64url (`-` and `_`) without padding, or base64 (`+` and `/`) with it. Line ends are
 * skipped and bits that are left over are not looked at, as Go's encoding/base64 has it. The bytes; -EBADMSG:
 * neither of the two; -ENOSPC: more than size.
 */
int base64_decode(struct bytes text, uint8_t *out, size_t size);

/* raw[0..len) as base64url without padding, with its NUL; text has BASE64_ROOM(len). The length of the text. */
#define BASE64_ROOM(len)	(((len) + 2) / 3 * 4 + 1)
size_t base64url_encode(char *text, const uint8_t *raw, size_t len);
#endif

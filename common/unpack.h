#ifndef COMMON_UNPACK_H
#define COMMON_UNPACK_H
/*
 * msgpack from outside. The library believes what an array says of its length
 * and reserves memory for it; so the heads are counted first.
 */
#include <msgpack.h>
#include "common/bytes.h"

/*
 * Unpack b, which must be exactly one object with at most `most` objects in
 * it. u: initialised by the caller, destroyed by the caller in any case; what
 * it holds points into b. At most some 32 bytes are taken for each byte of b.
 * 0; -EBADMSG cut short, too long, nested too deep, or over `most`.
 */
int unpack_bounded(msgpack_unpacked *u, struct bytes b, size_t most);

/*
 * How many bytes the first object of b takes, which has at most `most` objects
 * in it. 0 or -EBADMSG, as of unpack_bounded().
 */
int unpack_length(struct bytes b, size_t most, size_t *length);
#endif

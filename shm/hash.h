#ifndef SHM_HASH_H
#define SHM_HASH_H
/*
 * The keyed hash of subjects. Clients choose subjects, so whoever knows the
 * key can choose collisions: it comes from the supervisor, new at each start,
 * and leaves no process. XXH3 with a secret of 192 random bytes (libxxhash).
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "common/bytes.h"

#define HASH_SECRET	192

static inline uint64_t
hash_bytes(const uint8_t secret[HASH_SECRET], struct bytes b)
{
	return XXH3_64bits_withSecret(b.data, b.len, secret, HASH_SECRET);
}

/* Mix a number (account, node) into a hash. */
static inline uint64_t
hash_mix(uint64_t hash, uint64_t number)
{
	hash ^= (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
	hash ^= hash >> 32;
	return hash * UINT64_C(0xd6e8feb86659fd93);
}
#endif

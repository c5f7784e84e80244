#ifndef AUTH_SOURCE_H
#define AUTH_SOURCE_H
/* Where a client comes from, as far as limits tell addresses apart. */
#include "supervisor/auth/map.h"

struct source { uint64_t high, low; };

/*
 * Of IPv6 the network of 64 bits, since a host has all addresses of it. What
 * is no address, as "unix/UID" of a Unix socket, is told by its text.
 */
struct source source_of(struct bytes address);

static inline bool
source_equal(struct source a, struct source b)
{
	return a.high == b.high && a.low == b.low;
}

static inline uint64_t
source_hash(struct source s)
{
	return map_mix(s.high, s.low);
}
#endif

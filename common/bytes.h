#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes that somebody else owns; says nowhere that a NUL follows. */
struct bytes { const char *data; size_t len; };

#define BYTES(literal)	((struct bytes){ (literal), sizeof(literal) - 1 })

static inline struct bytes
bytes_of(const char *string)
{
	return (struct bytes){ string, strlen(string) };
}

static inline bool
bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
#endif

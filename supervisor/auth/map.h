#ifndef AUTH_MAP_H
#define AUTH_MAP_H
/*
 * What all tables here are: chains of nodes that their owners embed, found by
 * a keyed hash, since outsiders choose names, addresses and numbers. The owner
 * compares keys: walk map_first(), map_next() until one is equal.
 */
#include <stdint.h>
#include "common/bytes.h"
#include "shm/hash.h"

struct map_node {
	struct map_node	*next;
	uint64_t	 hash;
};

struct map {
	struct map_node	**buckets;	/* a power of two of them */
	size_t		  size, count;
};

/* The key of this process: made once, before the sandbox. */
void map_seed(void);
/* The hash of bytes, and of a hash and a number more. */
uint64_t map_hash(struct bytes b);
static inline uint64_t
map_mix(uint64_t hash, uint64_t number)
{
	return map_hash((struct bytes){ (const char *)(uint64_t[]){ hash, number }, 2 * sizeof(uint64_t) });
}

int map_init(struct map *m);		/* 0 or -ENOMEM */
void map_free(struct map *m);		/* the nodes stay their owners' */
/* Without memory for more buckets the chains get longer: never fails. */
void map_add(struct map *m, struct map_node *n, uint64_t hash);
void map_remove(struct map *m, struct map_node *n);
/* The first of this hash, the next of the same; NULL: none. */
struct map_node *map_first(const struct map *m, uint64_t hash);
struct map_node *map_next(const struct map_node *n);
#endif

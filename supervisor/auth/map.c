#include <errno.h>
#include <stdlib.h>
#include "supervisor/auth/map.h"

#define BUCKETS_LEAST	16u

static uint8_t	secret[HASH_SECRET];

void
map_seed(void)
{
	arc4random_buf(secret, sizeof(secret));
}

uint64_t
map_hash(struct bytes b)
{
	return hash_bytes(secret, b);
}

int
map_init(struct map *m)
{
	*m = (struct map){ .buckets = calloc(BUCKETS_LEAST, sizeof(*m->buckets)), .size = BUCKETS_LEAST };
	return m->buckets == NULL ? -ENOMEM : 0;
}

void
map_free(struct map *m)
{
	free(m->buckets);
	m->buckets = NULL;
}

static void
map_grow(struct map *m)
{
	struct map_node	**more = calloc(m->size * 2, sizeof(*more)), *n, **to;
	size_t		  i;

	if (more == NULL)
		return;
	for (i = 0; i < m->size; i++)
		while ((n = m->buckets[i]) != NULL) {
			m->buckets[i] = n->next;
			to = &more[n->hash & (m->size * 2 - 1)];
			n->next = *to;
			*to = n;
		}
	free(m->buckets);
	m->buckets = more;
	m->size *= 2;
}

void
map_add(struct map *m, struct map_node *n, uint64_t hash)
{
	struct map_node	**to;

	if (m->count >= m->size)
		map_grow(m);
	to = &m->buckets[hash & (m->size - 1)];
	*n = (struct map_node){ .next = *to, .hash = hash };
	*to = n;
	m->count++;
}

void
map_remove(struct map *m, struct map_node *n)
{
	struct map_node	**at = &m->buckets[n->hash & (m->size - 1)];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	m->count--;
}

struct map_node *
map_first(const struct map *m, uint64_t hash)
{
	struct map_node	*n = m->buckets[hash & (m->size - 1)];

	while (n != NULL && n->hash != hash)
		n = n->next;
	return n;
}

struct map_node *
map_next(const struct map_node *n)
{
	const uint64_t	hash = n->hash;

	do
		n = n->next;
	while (n != NULL && n->hash != hash);
	return (struct map_node *)(uintptr_t)n;
}

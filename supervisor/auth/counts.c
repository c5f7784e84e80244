#include <errno.h>
#include <stdlib.h>
#include "supervisor/auth/counts.h"

struct count {
	struct map_node	 node;
	enum count_of	 kind;
	uint64_t	 of;
	struct source	 from;
	uint64_t	 clients;
};

int
counts_init(struct counts *c)
{
	return map_init(&c->all);
}

void
counts_clear(struct counts *c)
{
	struct map_node	*n;
	size_t		 i;

	for (i = 0; i < c->all.size; i++)
		while ((n = c->all.buckets[i]) != NULL) {
			c->all.buckets[i] = n->next;
			free(n);
		}
	c->all.count = 0;
}

void
counts_free(struct counts *c)
{
	counts_clear(c);
	map_free(&c->all);
}

static uint64_t
count_hash(enum count_of kind, uint64_t of, struct source from)
{
	return map_mix(source_hash(from), of << 3 | kind);
}

static struct count *
count_find(const struct counts *c, enum count_of kind, uint64_t of, struct source from)
{
	struct map_node	*n;
	struct count	*it;

	for (n = map_first(&c->all, count_hash(kind, of, from)); n != NULL; n = map_next(n)) {
		it = (struct count *)n;
		if (it->kind == kind && it->of == of && source_equal(it->from, from))
			return it;
	}
	return NULL;
}

uint64_t
counts_get(const struct counts *c, enum count_of kind, uint64_t of, struct source from)
{
	const struct count	*it = count_find(c, kind, of, from);

	return it == NULL ? 0 : it->clients;
}

int
counts_add(struct counts *c, enum count_of kind, uint64_t of, struct source from)
{
	struct count	*it = count_find(c, kind, of, from);

	if (it == NULL) {
		if ((it = malloc(sizeof(*it))) == NULL)
			return -ENOMEM;
		*it = (struct count){ .kind = kind, .of = of, .from = from };
		map_add(&c->all, &it->node, count_hash(kind, of, from));
	}
	it->clients++;
	return 0;
}

void
counts_remove(struct counts *c, enum count_of kind, uint64_t of, struct source from)
{
	struct count	*it = count_find(c, kind, of, from);

	if (it == NULL || --it->clients > 0)
		return;
	map_remove(&c->all, &it->node);
	free(it);
}

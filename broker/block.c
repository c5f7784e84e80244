#include <stdlib.h>
#include "broker/broker.h"

struct block *
block_new(size_t size)
{
	struct block *b;

	if (size > UINT32_MAX || (b = malloc(sizeof(*b) + size)) == NULL)
		return NULL;
	b->references = 1;
	b->size = (uint32_t)size;
	return b;
}

void
block_unref(struct block *b)
{
	if (b != NULL && --b->references == 0)
		free(b);
}

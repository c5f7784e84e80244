#define XXH_INLINE_ALL
#include <xxhash.h>
#include <errno.h>
#include <stdlib.h>
#include "supervisor/config/known.h"

#define KNOWN_LEAST	8	/* slots; a power of two, at most half of them in use */

/* Its slot, or the free one where it belongs. There is always a free one. */
static struct known_name *
known_slot(const struct known *n, struct bytes text)
{
	size_t	i = (size_t)XXH3_64bits(text.data, text.len) & (n->room - 1);

	while (n->slots[i].text.data != NULL && !bytes_equal(n->slots[i].text, text))
		i = (i + 1) & (n->room - 1);
	return &n->slots[i];
}

static int
known_grow(struct known *n)
{
	struct known	more = { .count = n->count, .room = n->room == 0 ? KNOWN_LEAST : n->room * 2 };
	size_t		i;

	more.slots = calloc(more.room, sizeof(*more.slots));
	if (more.slots == NULL)
		return -ENOMEM;
	for (i = 0; i < n->room; i++)
		if (n->slots[i].text.data != NULL)
			*known_slot(&more, n->slots[i].text) = n->slots[i];
	free(n->slots);
	*n = more;
	return 0;
}

int
known_add(struct known *n, struct bytes text, uint32_t value, uint32_t *found)
{
	struct known_name	*slot;

	if (n->count * 2 >= n->room && known_grow(n) != 0)
		return -ENOMEM;
	slot = known_slot(n, text);
	if (slot->text.data != NULL) {
		if (found != NULL)
			*found = slot->value;
		return -EEXIST;
	}
	*slot = (struct known_name){ text, value };
	n->count++;
	return 0;
}

bool
known_find(const struct known *n, struct bytes text, uint32_t *value)
{
	const struct known_name	*slot;

	if (n->room == 0)
		return false;
	slot = known_slot(n, text);
	if (slot->text.data == NULL)
		return false;
	*value = slot->value;
	return true;
}

void
known_free(struct known *n)
{
	free(n->slots);
	*n = (struct known){ NULL, 0, 0 };
}

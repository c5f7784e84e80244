#include <errno.h>
#include <stdlib.h>
#include "supervisor/connections.h"

#define CONNECTIONS_LEAST	64

void
connections_init(struct connections *c)
{
	*c = (struct connections){ .entries = NULL };
}

void
connections_free(struct connections *c)
{
	free(c->entries);
	connections_init(c);
}

/* cids are our own, rising: spread them, no key is needed. */
static size_t
connections_home(const struct connections *c, uint64_t cid)
{
	return (size_t)((cid * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (c->size - 1);
}

static size_t
connections_find(const struct connections *c, uint64_t cid)
{
	size_t i = connections_home(c, cid);

	while (c->entries[i].cid != 0 && c->entries[i].cid != cid)
		i = (i + 1) & (c->size - 1);
	return i;
}

static int
connections_resize(struct connections *c, size_t size)
{
	struct connections bigger = { .size = size, .used = c->used,
	    .leaving = c->leaving };
	size_t i;

	bigger.entries = calloc(size, sizeof(*bigger.entries));
	if (bigger.entries == NULL)
		return -ENOMEM;
	for (i = 0; i < c->size; i++)
		if (c->entries[i].cid != 0)
			bigger.entries[connections_find(&bigger, c->entries[i].cid)] = c->entries[i];
	free(c->entries);
	*c = bigger;
	return 0;
}

int
connections_add(struct connections *c, uint64_t cid, unsigned worker, struct address *address)
{
	int rc;

	if ((c->used + 1) * 4 > c->size * 3) {
		rc = connections_resize(c, c->size == 0 ? CONNECTIONS_LEAST : c->size * 2);
		if (rc != 0)
			return rc;
	}
	c->entries[connections_find(c, cid)] = (struct connection){ .cid = cid,
	    .address = address, .worker = worker };
	c->used++;
	return 0;
}

/*
 * Free entry i and move back those behind it that could then not be found: an
 * entry may fill the hole if its home is not cyclically in (hole, entry].
 */
static void
connections_erase(struct connections *c, size_t i)
{
	size_t mask = c->size - 1, j = i;

	c->leaving -= c->entries[i].leaving;
	for (;;) {
		j = (j + 1) & mask;
		if (c->entries[j].cid == 0)
			break;
		if (((j - connections_home(c, c->entries[j].cid)) & mask) < ((j - i) & mask))
			continue;
		c->entries[i] = c->entries[j];
		i = j;
	}
	c->entries[i].cid = 0;
	c->used--;
}

/* Give memory back after a burst; if there is none to move to, stay. */
static void
connections_shrink(struct connections *c)
{
	size_t size = c->size;

	while (size > CONNECTIONS_LEAST && c->used * 8 < size)
		size /= 2;
	if (size < c->size)
		(void)connections_resize(c, size);
}

bool
connections_remove(struct connections *c, uint64_t cid, unsigned worker, struct address **address)
{
	size_t i;

	if (c->size == 0 || cid == 0)
		return false;
	i = connections_find(c, cid);
	if (c->entries[i].cid == 0 || c->entries[i].worker != worker)
		return false;
	*address = c->entries[i].address;
	connections_erase(c, i);
	connections_shrink(c);
	return true;
}

size_t
connections_remove_worker(struct connections *c, unsigned worker,
    void (*left)(void *arg, struct address *address), void *arg)
{
	size_t i, count = 0;

	for (i = 0; i < c->size; i++)
		/* erasing may move another entry to i: look again */
		while (c->entries[i].cid != 0 && c->entries[i].worker == worker) {
			left(arg, c->entries[i].address);
			connections_erase(c, i);
			count++;
		}
	connections_shrink(c);
	return count;
}

void
connections_leave(struct connections *c, uint64_t cid)
{
	struct connection *entry = &c->entries[connections_find(c, cid)];

	c->leaving += !entry->leaving;
	entry->leaving = true;
}

const struct connection *
connections_get(const struct connections *c, uint64_t cid)
{
	const struct connection *entry;

	if (c->size == 0 || cid == 0)
		return NULL;
	entry = &c->entries[connections_find(c, cid)];
	return entry->cid != 0 ? entry : NULL;
}

/* Selection sampling: one pass, each taken with the chance that is still needed. */
const struct connection *
connections_sample(struct connections *c, struct sample *sample, size_t *at)
{
	struct connection *entry;

	while (*at < c->size && sample->count > 0) {
		entry = &c->entries[(*at)++];
		if (entry->cid == 0 || entry->leaving)
			continue;
		if (arc4random_uniform((uint32_t)sample->left--) >= sample->count)
			continue;
		sample->count--;
		entry->leaving = true;
		c->leaving++;
		return entry;
	}
	return NULL;
}

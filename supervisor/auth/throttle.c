#include <stdlib.h>
#include "supervisor/auth/throttle.h"

struct throttled {
	struct map_node		 node;
	TAILQ_ENTRY(throttled)	 entry;
	struct source		 from;
	uint64_t		 part;		/* number of the last one that something was counted in */
	uint32_t		 counts[THROTTLE_PARTS + 1];	/* of it and those before it, by their number */
};

int
throttle_init(struct throttle *t)
{
	*t = (struct throttle){ .window = 1 };
	TAILQ_INIT(&t->oldest);
	return map_init(&t->all);
}

static void
throttled_forget(struct throttle *t, struct throttled *it)
{
	TAILQ_REMOVE(&t->oldest, it, entry);
	map_remove(&t->all, &it->node);
	free(it);
}

static void
throttle_clear(struct throttle *t)
{
	struct throttled	*it;

	while ((it = TAILQ_FIRST(&t->oldest)) != NULL)
		throttled_forget(t, it);
}

void
throttle_free(struct throttle *t)
{
	throttle_clear(t);
	map_free(&t->all);
}

void
throttle_set(struct throttle *t, uint64_t failures, double window)
{
	if (window != t->window || failures == 0)
		throttle_clear(t);
	t->failures = failures;
	t->window = window;
}

static struct throttled *
throttled_find(const struct throttle *t, struct source from)
{
	struct map_node	*n;

	for (n = map_first(&t->all, source_hash(from)); n != NULL; n = map_next(n))
		if (source_equal(((struct throttled *)n)->from, from))
			return (struct throttled *)n;
	return NULL;
}

static uint64_t
part_of(const struct throttle *t, double now)
{
	return (uint64_t)(now * THROTTLE_PARTS / t->window);
}

/* Failures that are still counted at this part. */
static uint64_t
throttled_sum(const struct throttled *it, uint64_t part)
{
	uint64_t	sum = 0, i;

	for (i = 0; i <= THROTTLE_PARTS && i <= it->part; i++)
		if (it->part - i + THROTTLE_PARTS >= part)
			sum += it->counts[(it->part - i) % (THROTTLE_PARTS + 1)];
	return sum;
}

/* Those whose failures do not count any more, and as many as are too many. */
static void
throttle_age(struct throttle *t, uint64_t part)
{
	struct throttled	*it;

	while ((it = TAILQ_FIRST(&t->oldest)) != NULL &&
	    (it->part + THROTTLE_PARTS < part || t->all.count > THROTTLE_SOURCES))
		throttled_forget(t, it);
}

static struct throttled *
throttled_make(struct throttle *t, struct source from, uint64_t part)
{
	struct throttled	*it = throttled_find(t, from);

	if (it != NULL) {
		TAILQ_REMOVE(&t->oldest, it, entry);
		TAILQ_INSERT_TAIL(&t->oldest, it, entry);
		return it;
	}
	if ((it = calloc(1, sizeof(*it))) == NULL)
		return NULL;
	it->from = from;
	it->part = part;
	map_add(&t->all, &it->node, source_hash(from));
	TAILQ_INSERT_TAIL(&t->oldest, it, entry);
	throttle_age(t, part);
	return it;
}

bool
throttle_failed(struct throttle *t, struct source from, double now)
{
	const uint64_t		 part = part_of(t, now);
	struct throttled	*it;

	if (t->failures == 0 || (it = throttled_make(t, from, part)) == NULL)
		return false;
	if (part > it->part + THROTTLE_PARTS)
		memset(it->counts, 0, sizeof(it->counts));
	else
		while (it->part < part)
			it->counts[++it->part % (THROTTLE_PARTS + 1)] = 0;
	if (it->part < part)
		it->part = part;
	it->counts[it->part % (THROTTLE_PARTS + 1)]++;
	return throttled_sum(it, it->part) == t->failures;
}

bool
throttle_delays(const struct throttle *t, struct source from, double now)
{
	const struct throttled	*it = t->failures == 0 ? NULL : throttled_find(t, from);

	return it != NULL && throttled_sum(it, part_of(t, now)) >= t->failures;
}

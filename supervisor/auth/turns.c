#include <errno.h>
#include <stdlib.h>
#include "supervisor/auth/turns.h"

TAILQ_HEAD(turn_list, turn);

/* Of one source; only while somebody waits. */
struct line {
	struct map_node		 node;
	TAILQ_ENTRY(line)	 entry;
	struct source		 from;
	double			 when;		/* it is the turn of its first */
	struct turn_list	 turns;
};

int
turns_init(struct turns *t)
{
	TAILQ_INIT(&t->lines);
	return map_init(&t->all);
}

void
turns_free(struct turns *t)
{
	map_free(&t->all);
}

static struct line *
line_find(const struct turns *t, struct source from)
{
	struct map_node	*n;

	for (n = map_first(&t->all, source_hash(from)); n != NULL; n = map_next(n))
		if (source_equal(((struct line *)n)->from, from))
			return (struct line *)n;
	return NULL;
}

static struct line *
line_make(struct turns *t, struct source from, double when)
{
	struct line	*l = line_find(t, from);

	if (l != NULL || (l = malloc(sizeof(*l))) == NULL)
		return l;
	*l = (struct line){ .from = from, .when = when };
	TAILQ_INIT(&l->turns);
	map_add(&t->all, &l->node, source_hash(from));
	TAILQ_INSERT_TAIL(&t->lines, l, entry);
	return l;
}

int
turns_add(struct turns *t, struct turn *it, struct source from, double when)
{
	struct line	*l = line_make(t, from, when);

	if (l == NULL)
		return -ENOMEM;
	it->line = l;
	TAILQ_INSERT_TAIL(&l->turns, it, entry);
	return 0;
}

bool
turns_wait(const struct turns *t, struct source from)
{
	return line_find(t, from) != NULL;
}

struct turn *
turns_first(const struct turns *t, double *when)
{
	const struct line	*l = TAILQ_FIRST(&t->lines);

	if (l == NULL)
		return NULL;
	*when = l->when;
	return TAILQ_FIRST(&l->turns);
}

void
turns_done(struct turns *t, struct turn *it, double when)
{
	struct line	*l = it->line;

	l->when = when;
	TAILQ_REMOVE(&t->lines, l, entry);
	TAILQ_INSERT_TAIL(&t->lines, l, entry);
	turns_cancel(t, it);
}

void
turns_cancel(struct turns *t, struct turn *it)
{
	struct line	*l = it->line;

	TAILQ_REMOVE(&l->turns, it, entry);
	if (!TAILQ_EMPTY(&l->turns))
		return;
	TAILQ_REMOVE(&t->lines, l, entry);
	map_remove(&t->all, &l->node);
	free(l);
}

void
turns_hasten(struct turns *t, double latest)
{
	struct line	*l;

	TAILQ_FOREACH(l, &t->lines, entry)
		if (l->when > latest)
			l->when = latest;
}

/*
 * Imports that feed themselves: what an account imports from another is, there,
 * the import of a third, and so on back to the first. One import leads to those
 * of the account it is from whose subjects here overlap its own there.
 *
 * Imports of one subject from one account lead to the same ones, whoever has them:
 * they are one point of the walk. Thousands that import from a hub are one, too.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/patterns.h"
#include "supervisor/config/tenants.h"

enum mark { MARK_NEW, MARK_OPEN, MARK_DONE };	/* OPEN: on the way that is being walked */

/* An import on the way, and those it leads to, by their places in their account. */
struct step {
	struct tenant_import	*import;
	uint32_t		*next;
	size_t			 at, count, room;
};

struct walk {
	struct tenants	*t;
	struct step	*steps;		/* the way */
	size_t		 count, room;
	unsigned char	*marks;		/* of points */
	int		 rc;		/* -ENOMEM */
};

/* Imports of a kind by what they are called in their account. NULL: no memory. */
static struct patterns *
imports_by_name(struct tenants *t, struct tenant *a, bool service)
{
	struct patterns	**p = &a->ours[service];
	size_t		  i;

	if (*p == NULL)
		*p = patterns_new(t->secret);
	else
		return *p;
	for (i = 0; *p != NULL && i < a->nimports; i++)
		if (a->imports[i].service == service &&
		    patterns_add(*p, bytes_of(a->imports[i].ours), (uint32_t)i) != 0) {
			patterns_free(*p);
			*p = NULL;
		}
	return *p;
}

/* The last step leads to this one of the imports. True: no memory. */
static bool
next_add(void *arg, uint32_t place)
{
	struct walk		*w = arg;
	struct step		*top = &w->steps[w->count - 1];
	struct tenant		*a = &w->t->accounts[top->import->from];
	void			*next = top->next;

	if (w->marks[a->imports[place].point] == MARK_DONE)
		return false;
	if (config_room(&next, top->count, &top->room, sizeof(*top->next)) != 0) {
		w->rc = -ENOMEM;
		return true;
	}
	top->next = next;
	top->next[top->count++] = place;
	return false;
}

static int
place_compare(const void *a, const void *b)
{
	const uint32_t	*x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int
way_add(struct walk *w, struct tenant_import *m)
{
	struct tenant	*from = &w->t->accounts[m->from];
	struct patterns	*names;
	struct step	*top;
	void		*steps = w->steps;

	if (config_room(&steps, w->count, &w->room, sizeof(*w->steps)) != 0)
		return -ENOMEM;
	w->steps = steps;
	top = &w->steps[w->count++];
	*top = (struct step){ .import = m };
	w->marks[m->point] = MARK_OPEN;
	if (from->nimports == 0)
		return 0;
	names = imports_by_name(w->t, from, m->service);
	if (names == NULL)
		return -ENOMEM;
	(void)patterns_ask(names, PATTERNS_OVERLAP, m->subject, next_add, w);
	if (top->count > 0)		/* errors are told in the order of the text */
		qsort(top->next, top->count, sizeof(*top->next), place_compare);
	return w->rc;
}

static bool
is_behind(struct config_position a, struct config_position b)
{
	if (a.file != b.file)
		return a.file > b.file;
	return a.line > b.line || (a.line == b.line && a.column > b.column);
}

/* The way leads back to a point on it, by this import: told at the last of the cycle's imports in the text. */
static void
cycle_tell(const struct walk *w, const struct tenant_import *back)
{
	const struct tenant_import	*m, *last = back;
	char				 ours[CONFIG_QUOTED], theirs[CONFIG_QUOTED], account[CONFIG_QUOTED];
	size_t				 i;

	for (i = w->count; w->steps[--i].import->point != back->point; ) {
		m = w->steps[i].import;
		if (is_behind(m->at, last->at))
			last = m;
	}
	config_error(w->t->errors, last->at, "found an import that closes a cycle of %zu: %s of this account is %s of %s, "
	    "and leads back", w->count - i, config_quote(ours, bytes_of(last->ours)),
	    config_quote(theirs, last->subject), config_quote(account, last->account));
}

/* One step on, or one back. 0 or -ENOMEM. */
static int
way_walk(struct walk *w)
{
	struct step		*top = &w->steps[w->count - 1];
	struct tenant		*a = &w->t->accounts[top->import->from];
	struct tenant_import	*next;

	while (top->at < top->count) {
		next = &a->imports[top->next[top->at++]];
		if (w->marks[next->point] == MARK_NEW)
			return way_add(w, next);
		if (w->marks[next->point] == MARK_OPEN)
			cycle_tell(w, next);
	}
	w->marks[top->import->point] = MARK_DONE;
	free(top->next);
	w->count--;
	return 0;
}

/* Give each import its point. 0 or -ENOMEM. */
static int
points_give(struct walk *w)
{
	struct tenant_import	*m;
	uint32_t		 points = 0;
	size_t			 i, j;
	int			 rc;

	for (i = 0; i < w->t->count; i++)
		for (j = 0; j < w->t->accounts[i].nimports; j++) {
			m = &w->t->accounts[i].imports[j];
			m->point = points;
			rc = known_add(&w->t->accounts[m->from].asked[m->service], m->subject, points, &m->point);
			if (rc == -ENOMEM)
				return rc;
			points += rc == 0;
		}
	w->marks = calloc(points + (size_t)1, sizeof(*w->marks));
	return w->marks == NULL ? -ENOMEM : 0;
}

int
cycles_find(struct tenants *t)
{
	struct walk	 w = { .t = t };
	struct tenant	*a;
	size_t		 i, j;
	int		 rc = points_give(&w);

	for (i = 0; i < t->count && rc == 0; i++) {
		a = &t->accounts[i];
		for (j = 0; j < a->nimports && rc == 0; j++) {
			if (w.marks[a->imports[j].point] == MARK_NEW)
				rc = way_add(&w, &a->imports[j]);
			while (rc == 0 && w.count > 0)
				rc = way_walk(&w);
		}
	}
	while (w.count > 0)
		free(w.steps[--w.count].next);
	free(w.steps);
	free(w.marks);
	return rc;
}

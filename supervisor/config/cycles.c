/*
 * Imports that feed themselves: what an account imports from another is, there,
 * the import of a third, and so on back to the first. One import leads to those
 * of the account it is from whose subjects here overlap its own there.
 */
#include <errno.h>
#include <stdlib.h>
#include "nats/subject.h"
#include "supervisor/config/tenants.h"

enum mark { MARK_NEW, MARK_OPEN, MARK_DONE };	/* OPEN: on the way that is being walked */

/* The way: each import, and which of those it may lead to comes next. */
struct step { struct tenant_import *import; size_t next; };
struct way { struct step *steps; size_t count, room; };

static int
way_add(struct way *way, struct tenant_import *m)
{
	void	*steps = way->steps;

	if (config_room(&steps, way->count, &way->room, sizeof(*way->steps)) != 0)
		return -ENOMEM;
	way->steps = steps;
	way->steps[way->count++] = (struct step){ m, 0 };
	m->mark = MARK_OPEN;
	return 0;
}

static bool
leads_to(const struct tenant_import *m, const struct tenant_import *next)
{
	return m->service == next->service && next->mark != MARK_DONE &&
	    subject_overlaps(m->subject, bytes_of(next->ours));
}

/* Where a cycle that begins at `from` on the way is closed: at the last of its imports in the text. */
static void
cycle_tell(struct tenants *t, const struct way *way, const struct tenant_import *from)
{
	const struct tenant_import	*m, *last = from;
	char				 ours[CONFIG_QUOTED], theirs[CONFIG_QUOTED];
	size_t				 i = way->count;

	do {
		m = way->steps[--i].import;
		if (m->at.file > last->at.file || (m->at.file == last->at.file &&
		    (m->at.line > last->at.line || (m->at.line == last->at.line && m->at.column > last->at.column))))
			last = m;
	} while (m != from);
	config_error(t->errors, last->at, "found an import that closes a cycle of %zu: %s of this account is %s of %.*s, "
	    "and leads back", way->count - i, config_quote(ours, bytes_of(last->ours)),
	    config_quote(theirs, last->subject), (int)last->account.len, last->account.data);
}

/* One step on, or one back. 0 or -ENOMEM. */
static int
way_walk(struct tenants *t, struct way *way)
{
	struct step		*top = &way->steps[way->count - 1];
	struct tenant		*a = &t->accounts[top->import->from];
	struct tenant_import	*next;

	while (top->next < a->nimports) {
		next = &a->imports[top->next++];
		if (!leads_to(top->import, next))
			continue;
		if (next->mark == MARK_NEW)
			return way_add(way, next);
		cycle_tell(t, way, next);
	}
	top->import->mark = MARK_DONE;
	way->count--;
	return 0;
}

int
cycles_find(struct tenants *t)
{
	struct way	 way = { NULL, 0, 0 };
	struct tenant	*a;
	size_t		 i, j;
	int		 rc = 0;

	for (i = 0; i < t->count && rc == 0; i++) {
		a = &t->accounts[i];
		for (j = 0; j < a->nimports && rc == 0; j++) {
			if (a->imports[j].mark == MARK_NEW)
				rc = way_add(&way, &a->imports[j]);
			while (rc == 0 && way.count > 0)
				rc = way_walk(t, &way);
		}
	}
	free(way.steps);
	return rc;
}

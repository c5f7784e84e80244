#include <errno.h>
#include <stdlib.h>
#include "supervisor/auth/expiry.h"
#include "supervisor/auth/session.h"

/* Places begin with 1, so that a session without one has 0. */
static void
place(struct expiry *e, uint32_t at, struct expiring it)
{
	e->all[at - 1] = it;
	it.session->expires = at;
}

static void
rise(struct expiry *e, uint32_t at)
{
	const struct expiring	it = e->all[at - 1];

	for (; at > 1 && e->all[at / 2 - 1].when > it.when; at /= 2)
		place(e, at, e->all[at / 2 - 1]);
	place(e, at, it);
}

static void
sink(struct expiry *e, uint32_t at)
{
	const struct expiring	it = e->all[at - 1];
	uint32_t		child;

	for (; (child = at * 2) <= e->count; at = child) {
		if (child < e->count && e->all[child].when < e->all[child - 1].when)
			child++;
		if (e->all[child - 1].when >= it.when)
			break;
		place(e, at, e->all[child - 1]);
	}
	place(e, at, it);
}

int
expiry_add(struct expiry *e, struct session *s, uint64_t when)
{
	struct expiring	*more;
	const uint32_t	 room = e->room == 0 ? 64 : e->room * 2;

	if (e->count == e->room) {
		if (room < e->room || (more = reallocarray(e->all, room, sizeof(*more))) == NULL)
			return -ENOMEM;
		e->all = more;
		e->room = room;
	}
	e->all[e->count++] = (struct expiring){ when, s };
	rise(e, e->count);
	return 0;
}

void
expiry_remove(struct expiry *e, struct session *s)
{
	const uint32_t	at = s->expires;
	struct expiring	last;

	if (at == 0)
		return;
	s->expires = 0;
	last = e->all[--e->count];
	if (last.session == s)
		return;
	place(e, at, last);
	rise(e, at);
	sink(e, last.session->expires);
}

struct session *
expiry_first(const struct expiry *e, uint64_t *when)
{
	if (e->count == 0)
		return NULL;
	*when = e->all[0].when;
	return e->all[0].session;
}

void
expiry_free(struct expiry *e)
{
	free(e->all);
	*e = (struct expiry){ NULL, 0, 0 };
}

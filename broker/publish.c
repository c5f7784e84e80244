/*
 * A message that enters here: to our own subscriptions, to one member of each
 * queue group, and one record to each other participant with interest.
 */
#include "broker/private.h"

/* To a slot that is no client's. Apart, so that other deliveries do not pay for its registers. */
__attribute__((noinline)) bool
deliver_internal(struct broker *b, const struct subscription *sub, const struct message *m)
{
	if ((sub->flags & SUBSCRIPTION_SHADOW) != 0)
		return shadow_deliver(b, sub, m);
	if (m->account != ACCOUNT_SERVER)
		return answers_take(b, m);
	responders_hear(b, m);
	return true;
}

/* Reasons to be here are rare. */
void
publish_after(struct broker *b, const struct message *m, uint64_t cid)
{
	if (b->nleaving != 0 || b->leaving_lost)
		subscriptions_leave(b);
	if (b->slow) {
		b->slow = false;
		if (m->publisher != NO_CONNECTION)
			b->calls.pace(b->program, m->publisher, cid);
	}
}

bool
publish_blocked(const struct broker *b, const struct entry *e, const struct message *m)
{
	const struct group	*g = entry_groups(e);
	uint32_t		 i;

	if ((e->lanes & b->blocked) != 0)
		return true;
	for (i = 0; i < e->ngroups; i++)
		if (g[i].nremote != 0 && queue_blocked(b, e, &g[i], m))
			return true;
	return false;
}

/* ---- other participants */

/* Names of the groups that p was chosen for. */
static void
names_picked(struct broker *b, struct wire_out *w, const struct entry *e, unsigned p)
{
	size_t i;

	for (i = 0; i < b->npicks; i++)
		if (b->picks[i].participant == p)
			(void)wire_add_name(w, entry_group_name(e, &entry_groups(e)[b->picks[i].group]));
}

/* Names of all groups that somebody was chosen for. False: too many to list. */
static bool
names_served(struct wire_out *w, const struct entry *e)
{
	const struct group	*g = entry_groups(e);
	uint32_t		 i;

	wire_add_served(w);
	for (i = 0; i < e->ngroups; i++)
		if (g[i].served && !wire_add_name(w, entry_group_name(e, &g[i])))
			return false;
	return true;
}

/* The record's head for participant p; serve: it may serve groups that are not known here. */
static struct bytes
head_for(struct broker *b, struct wire_out *w, const struct entry *e, unsigned p, bool serve)
{
	wire_again(w, serve ? WIRE_SERVE : 0);
	names_picked(b, w, e, p);
	if (serve && !names_served(w, e)) {
		wire_again(w, 0);
		names_picked(b, w, e, p);
	}
	return wire_end(w);
}

/* To all participants of `set`, who answer `request`. */
static void
publish_remote(struct broker *b, const struct entry *e, const struct message *m, uint64_t cid,
    uint64_t set, uint32_t request)
{
	struct source	 s = { .body = m->body };
	struct wire_out	 w;
	uint64_t	 maybe = e->maybe;
	unsigned	 p;

	if (!wire_begin(&w, b->head, m, cid, request)) {
		counter_add(&b->tables->records_lost, 1);
		return;
	}
	for (; set != 0; set &= set - 1) {
		p = (unsigned)__builtin_ctzll(set);
		s.head = head_for(b, &w, e, p, (maybe & BIT(p)) != 0);
		if ((maybe & BIT(p)) != 0)
			maybe = 0;
		peer_send(b, b->peers[p], &s, m->block);
	}
}

/* Into publish_widely(), which most messages to other participants take, and into publish_route(). */
static inline __attribute__((always_inline)) bool
route(struct broker *b, const struct entry *e, const struct message *m, uint64_t cid,
    uint32_t *root, uint64_t *set)
{
	struct group	*g = entry_groups(e), *end = g + e->ngroups;
	uint32_t	 request = 0;
	bool		 taken;
	size_t		 i;

	*set = e->lanes & ~BIT(b->participant);
	b->npicks = 0;
	b->routing++;
	taken = deliver_plain(b, e, m);
	for (; g < end; g++)
		taken |= queue_publish(b, e, g, m);
	for (i = 0; i < b->npicks; i++)
		*set |= BIT(b->picks[i].participant);
	if (*set != 0 && !taken && root != NULL)
		request = request_child(b, *set, *root);
	else if (*set != 0 && !taken && m->wants_503 && m->reply.len <= WIRE_TEXT_MAX)
		request = request_new(b, *set, m, cid);
	if (*set != 0)
		publish_remote(b, e, m, cid, *set, request);
	b->routing--;
	return taken;
}

bool
publish_route(struct broker *b, const struct entry *e, const struct message *m, uint64_t cid,
    uint32_t *root, uint64_t *set)
{
	return route(b, e, m, cid, root, set);
}

/* With queue groups or other participants. */
static enum published
publish_widely(struct broker *b, const struct entry *e, const struct message *m, uint64_t cid)
{
	uint64_t	 set;
	bool		 taken;

	if ((e->lanes & BIT(b->participant)) != 0)
		return services_publish(b, m, cid);
	if (b->blocked != 0 && publish_blocked(b, e, m))
		return PUBLISH_BLOCKED;
	taken = route(b, e, m, cid, NULL, &set);
	publish_after(b, m, cid);
	if (m->wants_503 && !taken && set == 0)
		b->calls.no_responders(b->program, m->publisher, cid, m->subject, m->reply);
	return PUBLISHED;
}

/* ---- entering */

void
broker_expect(const struct broker *b, uint32_t account, const struct bytes *subjects, unsigned count)
{
	uint32_t	 slots[BROKER_EXPECTED];
	unsigned	 i;

	index_expect(b->index, account, subjects, count, slots);
	for (i = 0; i < count; i++)
		__builtin_prefetch(&b->subs[slots[i]]);
}

enum published
broker_publish(struct broker *b, const struct message *m, uint64_t cid, struct publish_hint *hint)
{
	struct entry	*e = hint->entry;
	uint64_t	 built = b->built;
	bool		 taken;

	if (e == NULL || e->epoch != b->epoch ||
	    (hint->entered != b->built && !entry_is(e, m->account, m->subject))) {
		e = match_all(b, m->account, m->subject);
		if (e == NULL) {
			counter_add(&b->tables->records_lost, 1);
			return PUBLISHED;
		}
		hint->entry = e;
		hint->missed |= b->built != built;
	}
	hint->entered = 0;
	if ((e->lanes | e->ngroups) != 0)
		return publish_widely(b, e, m, cid);
	b->routing++;
	taken = deliver_plain(b, e, m);
	b->routing--;
	if (b->slow || (b->nleaving | b->leaving_lost) != 0)
		publish_after(b, m, cid);
	if (!taken && m->wants_503)
		b->calls.no_responders(b->program, m->publisher, cid, m->subject, m->reply);
	return PUBLISHED;
}

/*
 * What comes in on lanes: every byte may be hostile. It is copied out, checked,
 * then used; what cannot be breaks the lane. Only a body is used where it lies:
 * nobody parses it.
 */
#include <stdlib.h>
#include "broker/private.h"

#define SHARE_FROM	16384	/* bytes of a body that outputs then share by reference */

/* ---- answers */

static void
tell_none(struct broker *b, struct peer *p, uint32_t request)
{
	struct wire_none	none = { request };
	struct source		s = { { (const char *)&none, sizeof(none) }, { NULL, 0 } };

	(void)peer_tell(b, p, WIRE_NONE, &s);
}

/* Once for each publisher in a batch, as far as we remember. */
static void
tell_pace(struct broker *b, struct peer *p, const struct wire_in *w)
{
	struct wire_pace	 pace = { .cid = w->cid, .connection = w->publisher };
	struct source		 s = { { (const char *)&pace, sizeof(pace) }, { NULL, 0 } };
	uint64_t		*told = &p->paced[w->cid % PACED];

	if (w->publisher == NO_CONNECTION || *told == w->cid)
		return;
	*told = w->cid;
	p->any_paced = true;
	(void)peer_tell(b, p, WIRE_PACE, &s);
}

/* ---- passing on: the chosen group has no member here any more */

/* One of the groups in b->text, from `missing`. Picks carry its place in the list. */
static uint64_t
pass_choose(struct broker *b, struct wire_in *w, const struct bytes *missing, size_t n)
{
	const struct entry	*e;
	const struct group	*g;
	uint64_t		 set = 0;
	int			 p;
	size_t			 i;

	broker_refresh(b);
	if ((e = match_all(b, w->m.account, w->m.subject)) == NULL)
		return 0;
	b->npicks = 0;
	for (i = 0; i < n; i++) {
		g = match_group(e, missing[i]);
		p = g == NULL ? -1 : queue_participant(b, e, g);
		if (p < 0 && e->maybe != 0)
			p = __builtin_ctzll(e->maybe);
		if (p < 0)
			continue;
		b->picks[b->npicks++] = (struct pick){ (uint32_t)p, (uint32_t)i };
		set |= BIT(p);
	}
	return set;
}

/* Pass the message on for these groups. nobody: no other took it here.
 * True: who answers `none`, if anyone, is not us. */
static bool
pass_on(struct broker *b, struct peer *from, struct wire_in *w, const struct bytes *missing,
    size_t n, bool nobody)
{
	uint64_t	 set = pass_choose(b, w, missing, n), left, failed = 0;
	uint32_t	 request = 0;
	struct wire_out	 out;
	struct source	 s = { .body = w->m.body };
	unsigned	 p;
	size_t		 i;

	if (set == 0)
		return false;
	if (w->request != 0 && nobody)
		request = request_relay(b, set, from, w->request);
	if (!wire_begin(&out, b->head, &w->m, w->cid, request))
		return false;
	for (left = set; left != 0; left &= left - 1) {
		p = (unsigned)__builtin_ctzll(left);
		wire_again(&out, WIRE_PASSED);
		for (i = 0; i < b->npicks; i++)
			if (b->picks[i].participant == p)
				(void)wire_add_name(&out, missing[b->picks[i].group]);
		s.head = wire_end(&out);
		if (!peer_tell(b, b->peers[p], WIRE_MESSAGE, &s))
			failed |= BIT(p);
	}
	for (left = failed; request != 0 && left != 0; left &= left - 1)
		request_none(b, request, (unsigned)__builtin_ctzll(left));
	return true;
}

/* ---- delivering */

#define MISSING_MOST	INDEX_QUEUES

/* The groups chosen for us. Those without a taker go to missing[]. */
static bool
deliver_named(struct broker *b, const struct entry *e, const struct wire_in *w,
    struct bytes *missing, size_t *n)
{
	struct bytes		 list = w->names, name;
	const struct group	*g;
	bool			 taken = false;

	while (wire_next_name(&list, &name)) {
		g = match_group(e, name);
		if (g != NULL && queue_deliver(b, e, g, &w->m))
			taken = true;
		else if (*n < MISSING_MOST)
			missing[(*n)++] = name;
	}
	return taken;
}

static bool
list_has(struct bytes list, struct bytes name)
{
	struct bytes other;

	while (wire_next_name(&list, &other))
		if (bytes_equal(other, name))
			return true;
	return false;
}

/* Our groups that the sender did not know of, since it could not look. */
static bool
deliver_unnamed(struct broker *b, const struct entry *e, const struct wire_in *w)
{
	const struct group	*g = entry_groups(e);
	bool			 taken = false;
	uint32_t		 i;

	for (i = 0; i < e->ngroups; i++)
		if (!list_has(w->names, entry_group_name(e, &g[i])) &&
		    !list_has(w->served, entry_group_name(e, &g[i])))
			taken |= queue_deliver(b, e, &g[i], &w->m);
	return taken;
}

/* The entry of a message that came in; NULL: no memory, or *why. */
static struct entry *
receive_match(struct broker *b, struct peer *p, const struct wire_in *w, const char **why)
{
	struct entry *e = p->hint.entry;

	if (e != NULL && e->own_epoch == b->own_epoch && entry_is(e, w->m.account, w->m.subject))
		return e;
	if (!wire_text_clean(w->m.subject)) {
		*why = "subject";
		return NULL;
	}
	e = match_own(b, w->m.account, w->m.subject);
	if (e == NULL)
		counter_add(&b->tables->records_lost, 1);
	else
		p->hint.entry = e;
	return e;
}

/* Large bodies are copied once, however many outputs take them. */
static void
receive_share(struct wire_in *w, const struct entry *e, struct block **own)
{
	if (w->m.block != NULL || w->m.body.len < SHARE_FROM || e->nlocals + e->nmembers == 0)
		return;
	if ((*own = block_new(w->m.body.len)) == NULL)
		return;
	memcpy((*own)->data, w->m.body.data, w->m.body.len);
	w->m.block = *own;
	w->m.body.data = (*own)->data;
}

static const char *
receive_deliver(struct broker *b, struct peer *p, struct wire_in *w)
{
	const char	*why = NULL;
	struct entry	*e = receive_match(b, p, w, &why);
	struct block	*own = NULL;
	struct bytes	 missing[MISSING_MOST];
	size_t		 n = 0;
	bool		 taken = false, passed = false;

	if (e == NULL)
		return why;
	b->receivers = e->nlocals;
	receive_share(w, e, &own);
	b->routing++;
	if ((w->flags & WIRE_PASSED) == 0)
		taken = deliver_plain(b, e, &w->m);
	if (w->names.len != 0)
		taken |= deliver_named(b, e, w, missing, &n);
	if ((w->flags & WIRE_SERVE) != 0)
		taken |= deliver_unnamed(b, e, w);
	b->routing--;
	if (b->slow) {
		b->slow = false;
		tell_pace(b, p, w);
	}
	if (n != 0 && (w->flags & WIRE_PASSED) == 0)
		passed = pass_on(b, p, w, missing, n, !taken);
	if (w->request != 0 && !taken && !passed)
		tell_none(b, p, w->request);
	if (b->nleaving != 0 || b->leaving_lost)
		subscriptions_leave(b);
	if (b->answers != NULL)
		answers_continue(b);
	block_unref(own);
	return NULL;
}

/* A whole message. block: holds data, or NULL. */
static const char *
receive_message(struct broker *b, struct peer *p, enum ring ring, const char *data, size_t len,
    struct block *block)
{
	struct wire_in	 w;
	const char	*why = wire_read(&w, b->text, data, len, b->max_payload);

	if (why != NULL)
		return why;
	if (((w.flags & WIRE_PASSED) != 0) != (ring == RING_SMALL))
		return "a message in the wrong ring";
	if (w.m.account >= DIRECTORY_ACCOUNTS || (atomic_load_explicit(
	    &b->directory->participants[w.m.account], memory_order_relaxed) & BIT(p->number)) == 0)
		return "a message of an account it does not serve";
	w.m.block = block;
	return receive_deliver(b, p, &w);
}

/* ---- pieces */

static const char *
receive_first(struct broker *b, struct peer *p, const struct ring_record *r)
{
	struct wire_first first;

	if (p->partial != NULL || r->len <= sizeof(first))
		return "a first piece out of its place";
	memcpy(&first, r->data, sizeof(first));
	if (first.total > WIRE_HEAD_MAX + b->max_payload + WIRE_ADDED || first.total <= r->len - sizeof(first))
		return "size of a message in pieces";
	if ((p->partial = block_new(first.total)) == NULL)
		return "no memory for a message in pieces";
	p->partial_len = r->len - sizeof(first);
	memcpy(p->partial->data, r->data + sizeof(first), p->partial_len);
	return NULL;
}

static const char *
receive_more(struct broker *b, struct peer *p, const struct ring_record *r)
{
	struct block	*whole = p->partial;
	const char	*why;

	if (whole == NULL || r->len == 0 || r->len > whole->size - p->partial_len)
		return "a piece out of its place";
	memcpy(whole->data + p->partial_len, r->data, r->len);
	p->partial_len += r->len;
	if (p->partial_len < whole->size)
		return NULL;
	p->partial = NULL;
	why = receive_message(b, p, RING_BULK, whole->data, whole->size, whole);
	block_unref(whole);
	return why;
}

/* ---- records */

static const char *
receive_bulk(struct broker *b, struct peer *p, const struct ring_record *r)
{
	switch (r->type) {
	case WIRE_MESSAGE:
		if (p->partial != NULL)
			return "a message between pieces";
		return receive_message(b, p, RING_BULK, r->data, r->len, NULL);
	case WIRE_FIRST:
		return receive_first(b, p, r);
	case WIRE_MORE:
		return receive_more(b, p, r);
	}
	return "unknown record";
}

static const char *
receive_small(struct broker *b, struct peer *p, const struct ring_record *r)
{
	struct wire_none	none;
	struct wire_pace	pace;

	switch (r->type) {
	case WIRE_MESSAGE:
		return receive_message(b, p, RING_SMALL, r->data, r->len, NULL);
	case WIRE_NONE:
		if (r->len != sizeof(none))
			return "length of `none`";
		memcpy(&none, r->data, sizeof(none));
		request_none(b, none.request, p->number);
		return NULL;
	case WIRE_PACE:
		if (r->len != sizeof(pace))
			return "length of `pace`";
		memcpy(&pace, r->data, sizeof(pace));
		if (pace.zero != 0 || pace.connection >= TABLES_CONNECTIONS)
			return "connection of `pace`";
		b->calls.pace(b->program, pace.connection, pace.cid);
		return NULL;
	}
	return "unknown record";
}

/* ---- draining */

#define SMALL_EVERY	64	/* bulk records between looks at the small ring */
#define RECEIVER_COST	2	/* bytes of the budget: a short message may have very many */

/* Up to `most` records of one ring, `*budget` bytes. False: the lane is broken. */
static bool
ring_drain(struct broker *b, struct peer *p, enum ring ring, unsigned most, size_t *budget)
{
	struct ring_record	 r;
	const char		*why;
	size_t			 cost;
	int			 rc = 0;

	while (most-- != 0 && *budget != 0 && (rc = ring_next(&p->lane, ring, &r)) == 1) {
		b->receivers = 0;
		why = ring == RING_BULK ? receive_bulk(b, p, &r) : receive_small(b, p, &r);
		if (why != NULL) {
			peer_break(b, p, why);
			return false;
		}
		if (p->broken)
			return false;
		ring_consume(&p->lane, ring, &r);
		cost = r.len + sizeof(struct record_head) + (size_t)b->receivers * RECEIVER_COST;
		*budget -= cost < *budget ? cost : *budget;
	}
	if (rc < 0)
		peer_break(b, p, p->lane.broken);
	return rc >= 0;
}

static void
peer_release(struct broker *b, struct peer *p)
{
	if (lane_release(&p->lane)) {
		p->wake = true;
		b->dirty |= BIT(p->number);
	}
}

/* True: more is there. */
static bool
peer_drain(struct broker *b, struct peer *p, size_t budget)
{
	const struct ring_in	*bulk = &p->lane.in[RING_BULK];
	uint64_t		 before;

	if (p->any_paced)
		memset(p->paced, 0, sizeof(p->paced));
	p->any_paced = false;
	do {
		before = bulk->tail + p->lane.in[RING_SMALL].tail;
		if (!ring_drain(b, p, RING_SMALL, SMALL_EVERY, &budget) ||
		    !ring_drain(b, p, RING_BULK, SMALL_EVERY, &budget))
			return false;
		if (bulk->tail - bulk->released >= bulk->size / 8)
			peer_release(b, p);
	} while (budget != 0 && before != bulk->tail + p->lane.in[RING_SMALL].tail);
	peer_release(b, p);
	return budget == 0;
}

bool
broker_drain(struct broker *b, size_t budget)
{
	bool		more = false;
	unsigned	i, number;

	lanes_continue(b);
	if (b->answers != NULL)
		answers_continue(b);
	for (i = 0; i < PARTICIPANTS && b->joined != 0; i++) {
		number = (b->turn + i) % PARTICIPANTS;
		if ((b->joined & BIT(number)) != 0 && peer_drain(b, b->peers[number], budget))
			more = true;
	}
	b->turn = (b->turn + 1) % PARTICIPANTS;
	lanes_unblocked(b);
	return more;
}

/*
 * Writing to peers. A message that does not fit waits in a spill of its lane;
 * while it does, broker_publish() refuses whatever needs that lane, so that
 * seldom more than one waits, and order is kept.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "broker/private.h"

/* Bytes written after which a peer may see them, though the batch goes on. */
#define PUBLISH_AFTER(lane)	((lane)->out[RING_BULK].size / 8)

double
seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
records_lost(struct broker *b)
{
	counter_add(&b->tables->records_lost, 1);
}

/* ---- ends */

void
peer_drop_spills(struct broker *b, struct peer *p)
{
	struct spill *s;

	while ((s = p->spills) != NULL) {
		p->spills = s->next;
		block_unref(s->body);
		free(s);
	}
	p->last_spill = &p->spills;
	if ((b->blocked & BIT(p->number)) != 0)
		b->unblock = true;
	b->blocked &= ~BIT(p->number);
}

void
peer_break(struct broker *b, struct peer *p, const char *what)
{
	if (p->broken)
		return;
	p->broken = true;
	b->joined &= ~BIT(p->number);
	b->dirty &= ~BIT(p->number);
	match_membership(b);
	peer_drop_spills(b, p);
	block_unref(p->partial);
	p->partial = NULL;
	b->calls.complain(b->program, p->number, p->incarnation, false, what);
	requests_forget(b, p->number);
}

/* ---- into the ring */

/* Bytes [at, at + len) of head and body together. */
static void
source_copy(char *to, const struct source *s, size_t at, size_t len)
{
	size_t n;

	if (at < s->head.len) {
		n = s->head.len - at < len ? s->head.len - at : len;
		memcpy(to, s->head.data + at, n);
		to += n;
		at += n;
		len -= n;
	}
	if (len != 0)
		memcpy(to, s->body.data + (at - s->head.len), len);
}

static void
peer_wrote(struct broker *b, struct peer *p)
{
	b->dirty |= BIT(p->number);
	if (p->lane.out[RING_BULK].head - p->lane.out[RING_BULK].published >= PUBLISH_AFTER(&p->lane) &&
	    lane_publish(&p->lane))
		p->wake = true;
}

/* The next piece of a message longer than a record. False: no room. */
static bool
piece_write(struct peer *p, const struct source *s, size_t *done)
{
	size_t			 total = s->head.len + s->body.len;
	size_t			 first = *done == 0 ? sizeof(struct wire_first) : 0;
	size_t			 len = ring_record_max(&p->lane, RING_BULK) - first;
	struct wire_first	 announce = { .total = (uint32_t)total };
	char			*to;

	if (len > total - *done)
		len = total - *done;
	if ((to = ring_reserve(&p->lane, RING_BULK, first + len)) == NULL)
		return false;
	memcpy(to, &announce, first);
	source_copy(to + first, s, *done, len);
	ring_commit(&p->lane, RING_BULK, first != 0 ? WIRE_FIRST : WIRE_MORE, first + len);
	*done += len;
	return true;
}

/* Write s from *done on. True: all of it is in the ring. */
static bool
source_write(struct broker *b, struct peer *p, const struct source *s, size_t *done)
{
	size_t	 total = s->head.len + s->body.len;
	char	*to;

	if (total > ring_record_max(&p->lane, RING_BULK)) {
		while (*done < total) {
			if (!piece_write(p, s, done))
				return false;
			peer_wrote(b, p);
		}
		return true;
	}
	if ((to = ring_reserve(&p->lane, RING_BULK, total)) == NULL)
		return false;
	memcpy(to, s->head.data, s->head.len);
	if (s->body.len != 0)
		memcpy(to + s->head.len, s->body.data, s->body.len);
	ring_commit(&p->lane, RING_BULK, WIRE_MESSAGE, total);
	peer_wrote(b, p);
	return true;
}

/* ---- what does not fit */

static struct spill *
spill_new(const struct source *s, struct block *block, size_t done)
{
	struct spill *spill = malloc(sizeof(*spill) + s->head.len);

	if (spill == NULL)
		return NULL;
	*spill = (struct spill){ .rest = s->body, .done = done, .head_len = s->head.len };
	memcpy(spill->head, s->head.data, s->head.len);
	if (block != NULL) {
		block->references++;
		spill->body = block;
		return spill;
	}
	if ((spill->body = block_new(s->body.len)) == NULL) {
		free(spill);
		return NULL;
	}
	if (s->body.len != 0)
		memcpy(spill->body->data, s->body.data, s->body.len);
	spill->rest.data = spill->body->data;
	return spill;
}

/* Bytes of the record that the first spill is waiting to write. */
static size_t
spill_wants(const struct peer *p)
{
	size_t	most = ring_record_max(&p->lane, RING_BULK);
	size_t	total = p->spills->head_len + p->spills->rest.len;
	size_t	left = total - p->spills->done;

	if (total > most && p->spills->done == 0)
		left += sizeof(struct wire_first);
	return left < most ? left : most;
}

static void
spill_add(struct broker *b, struct peer *p, const struct source *s, struct block *block, size_t done)
{
	struct spill *spill = spill_new(s, block, done);

	if (spill == NULL) {
		records_lost(b);
		/* Half a message cannot be taken back. */
		if (done != 0)
			peer_break(b, p, "no memory for the rest of a message");
		return;
	}
	*p->last_spill = spill;
	p->last_spill = &spill->next;
	if ((b->blocked & BIT(p->number)) == 0) {
		b->blocked |= BIT(p->number);
		p->full_since = seconds_now();
		p->hung = false;
	}
}

/* Write what waits. True: nothing waits any more. */
static bool
spills_write(struct broker *b, struct peer *p)
{
	struct spill	*spill;
	struct source	 s;
	size_t		 before;

	while ((spill = p->spills) != NULL) {
		s = (struct source){ { spill->head, spill->head_len }, spill->rest };
		before = spill->done;
		if (!source_write(b, p, &s, &spill->done)) {
			if (spill->done != before)
				p->full_since = seconds_now();
			return false;
		}
		p->full_since = seconds_now();
		if ((p->spills = spill->next) == NULL)
			p->last_spill = &p->spills;
		block_unref(spill->body);
		free(spill);
	}
	return true;
}

/* Each round writes something, or ends. */
static void
spills_continue(struct broker *b, struct peer *p)
{
	while (!spills_write(b, p)) {
		if (p->lane.broken != NULL) {
			peer_break(b, p, p->lane.broken);
			return;
		}
		/* What the peer cannot see it cannot make free. */
		b->dirty |= BIT(p->number);
		if (lane_publish(&p->lane))
			p->wake = true;
		if (lane_want_space(&p->lane, RING_BULK, spill_wants(p)))
			return;
	}
	b->blocked &= ~BIT(p->number);
	b->unblock = true;
}

void
lanes_continue(struct broker *b)
{
	uint64_t left;

	for (left = b->blocked; left != 0; left &= left - 1)
		spills_continue(b, b->peers[__builtin_ctzll(left)]);
}

void
lanes_unblocked(struct broker *b)
{
	if (!b->unblock)
		return;
	b->unblock = false;
	b->calls.unblocked(b->program);
}

/* ---- sending */

void
peer_send(struct broker *b, struct peer *p, const struct source *s, struct block *block)
{
	size_t done = 0;

	if (p->broken)
		return;
	if (p->spills == NULL && source_write(b, p, s, &done))
		return;
	if (p->lane.broken != NULL) {
		peer_break(b, p, p->lane.broken);
		return;
	}
	spill_add(b, p, s, block, done);
	if (p->spills != NULL && !p->broken)
		spills_continue(b, p);
}

bool
peer_tell(struct broker *b, struct peer *p, uint32_t type, const struct source *s)
{
	size_t	 total = s->head.len + s->body.len;
	char	*to = NULL;

	if (p->broken)
		return false;
	if (total <= ring_record_max(&p->lane, RING_SMALL))
		to = ring_reserve(&p->lane, RING_SMALL, total);
	if (to == NULL) {
		records_lost(b);
		if (p->lane.broken != NULL)
			peer_break(b, p, p->lane.broken);
		return false;
	}
	source_copy(to, s, 0, total);
	ring_commit(&p->lane, RING_SMALL, type, total);
	b->dirty |= BIT(p->number);
	return true;
}

/* ---- the loop */

/* Lanes that stay full: tell, once for each time they fill. */
static void
lanes_watch(struct broker *b)
{
	double		 now;
	uint64_t	 left;
	struct peer	*p;

	if (b->blocked == 0)
		return;
	now = seconds_now();
	for (left = b->blocked; left != 0; left &= left - 1) {
		p = b->peers[__builtin_ctzll(left)];
		if (p->hung || now - p->full_since < b->watchdog)
			continue;
		p->hung = true;
		b->calls.complain(b->program, p->number, p->incarnation, true,
		    "its lane stays full");
	}
}

static void
peer_wake(struct peer *p)
{
	static const uint64_t one = 1;

	p->wake = false;
	/* EAGAIN: as many wake-ups as fit are waiting there already. */
	if (write(p->wake_fd, &one, sizeof(one)) == -1)
		return;
}

void
broker_flush(struct broker *b)
{
	uint64_t	 left;
	struct peer	*p;

	lanes_continue(b);
	if (b->answers != NULL) {
		answers_expire(b);
		answers_continue(b);
	}
	lanes_watch(b);
	lanes_unblocked(b);
	left = b->dirty;
	b->dirty = 0;
	for (; left != 0; left &= left - 1) {
		p = b->peers[__builtin_ctzll(left)];
		if (lane_publish(&p->lane) || p->wake)
			peer_wake(p);
	}
}

double
broker_timeout(const struct broker *b)
{
	double			 now, rest, least = 0;
	uint64_t		 left;
	const struct peer	*p;

	if (b->blocked == 0 && b->answers == NULL)
		return 0;
	now = seconds_now();
	if (b->answers != NULL)
		least = answers_timeout(b, now);
	for (left = b->blocked; left != 0; left &= left - 1) {
		p = b->peers[__builtin_ctzll(left)];
		if (p->hung)
			continue;
		rest = p->full_since + b->watchdog - now;
		if (rest < 0.001)
			rest = 0.001;
		if (least == 0 || rest < least)
			least = rest;
	}
	return least;
}

bool
broker_sleep(struct broker *b)
{
	uint64_t	 left;
	unsigned	 number;

	if (b->dirty != 0 || b->unblock)
		return false;
	for (left = b->joined; left != 0; left &= left - 1) {
		number = (unsigned)__builtin_ctzll(left);
		b->slept |= BIT(number);
		if (!lane_sleep(&b->peers[number]->lane)) {
			broker_wake(b);
			return false;
		}
	}
	return true;
}

void
broker_wake(struct broker *b)
{
	uint64_t left;

	for (left = b->slept; left != 0; left &= left - 1)
		if (b->peers[__builtin_ctzll(left)] != NULL)
			lane_wake(&b->peers[__builtin_ctzll(left)]->lane);
	b->slept = 0;
}

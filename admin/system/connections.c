#include <stdlib.h>
#include "admin/system/connections.h"

#define ATTEMPTS	8	/* at a record that is being written */

static uint64_t
load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

uint32_t
connection_top(const struct view *v, unsigned worker)
{
	uint64_t	top;

	if (v->workers[worker].incarnation == 0)
		return 0;
	top = load(&tables_head(v->workers[worker].tables.base)->connection_top);
	return top > TABLES_CONNECTIONS ? TABLES_CONNECTIONS : (uint32_t)top;
}

static const struct connection_record *
record_of(const struct view *v, unsigned worker, uint32_t slot)
{
	return tables_connections(v->workers[worker].tables.base) + slot;
}

uint64_t
connection_cid(const struct view *v, unsigned worker, uint32_t slot)
{
	if (v->workers[worker].incarnation == 0 || slot >= TABLES_CONNECTIONS)
		return 0;
	return load(&record_of(v, worker, slot)->cid);
}

bool
connection_any(const struct view *v, uint32_t account)
{
	const struct connection_record	*r;
	uint32_t			 slot, top;
	unsigned			 worker;

	for (worker = 0; worker < PARTICIPANTS; worker++)
		for (slot = 0, top = connection_top(v, worker); slot < top; slot++) {
			r = record_of(v, worker, slot);
			if (load(&r->cid) != 0 && *(const volatile uint32_t *)&r->account == account)
				return true;
		}
	return false;
}

/* A text of at most size - 1 bytes that somebody may be writing. */
static void
text_copy(char *out, const char *shared, size_t size)
{
	size_t	i;

	for (i = 0; i < size - 1; i++) {
		out[i] = ((const volatile char *)shared)[i];
		if (out[i] == '\0')
			return;
	}
	out[i] = '\0';
}

static void
record_copy(struct connection *c, const struct connection_record *r)
{
	c->cid = load(&r->cid);
	c->start = load(&r->start);
	c->last = load(&r->last);
	c->in_msgs = load(&r->in_msgs);
	c->in_bytes = load(&r->in_bytes);
	c->out_msgs = load(&r->out_msgs);
	c->out_bytes = load(&r->out_bytes);
	c->pending = load(&r->pending);
	c->rtt = load(&r->rtt);
	c->subscriptions = atomic_load_explicit(&r->subscriptions, memory_order_relaxed);
	c->first = atomic_load_explicit(&r->first, memory_order_relaxed);
	c->account = *(const volatile uint32_t *)&r->account;
	c->port = *(const volatile uint16_t *)&r->port;
	c->secure = *(const volatile uint8_t *)&r->secure != 0;
	text_copy(c->host, r->host, sizeof(c->host));
	text_copy(c->lang, r->lang, sizeof(c->lang));
	text_copy(c->version, r->version, sizeof(c->version));
	text_copy(c->name, r->name, sizeof(c->name));
	text_copy(c->user, r->user, sizeof(c->user));
	c->stop = 0;
	c->reason[0] = '\0';
}

/* Only of those with TLS: what lies there of others has no memory, and reading would give it some. */
static void
secure_copy(struct connection *c, const struct secure_record *s)
{
	c->tls_first = *(const volatile uint8_t *)&s->first != 0;
	text_copy(c->tls_version, s->version, sizeof(c->tls_version));
	text_copy(c->tls_cipher, s->cipher, sizeof(c->tls_cipher));
}

static const struct secure_record *
secure_of(const struct view *v, unsigned worker, uint32_t slot)
{
	return tables_secure(v->workers[worker].tables.base) + slot;
}

bool
connection_read(const struct view *v, unsigned worker, uint32_t slot, struct connection *c)
{
	const struct connection_record	*r = record_of(v, worker, slot);
	uint32_t			 before, after;
	int				 i;

	for (i = 0; i < ATTEMPTS; i++) {
		before = atomic_load_explicit(&r->sequence, memory_order_acquire);
		if (load(&r->cid) == 0)
			return false;
		record_copy(c, r);
		if (c->secure)
			secure_copy(c, secure_of(v, worker, slot));
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&r->sequence, memory_order_relaxed);
		if (before == after && before % 2 == 0)
			return c->cid != 0;
	}
	return false;
}

bool
connection_certificate(const struct view *v, unsigned worker, uint32_t slot, const struct connection *c,
    struct secure_record *out)
{
	const struct connection_record	*r = record_of(v, worker, slot);
	const volatile unsigned char	*shared;
	uint32_t			 before;

	if (!c->secure)
		return false;
	before = atomic_load_explicit(&r->sequence, memory_order_acquire);
	shared = (const volatile unsigned char *)secure_of(v, worker, slot);
	for (size_t i = 0; i < sizeof(*out); i++)
		((unsigned char *)out)[i] = shared[i];
	out->subject[sizeof(out->subject) - 1] = '\0';
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&r->sequence, memory_order_relaxed) == before && before % 2 == 0 &&
	    load(&r->cid) == c->cid && out->verified != 0;
}

/* ---- those that are gone */

static void
field_copy(char *out, size_t size, struct bytes b)
{
	size_t	len = b.len < size ? b.len : size - 1;

	memcpy(out, b.data, len);
	out[len] = '\0';
}

/* Room for another; it doubles up to what is kept. */
static bool
closed_room(struct closed *all)
{
	uint32_t		 room = all->room == 0 ? 64 : all->room * 2;
	struct connection	*grown;

	if (all->next < all->room || all->room == CLOSED_KEPT)
		return true;
	if (room > CLOSED_KEPT)
		room = CLOSED_KEPT;
	grown = reallocarray(all->ring, room, sizeof(*grown));
	if (grown == NULL)
		return false;
	memset(grown + all->room, 0, (room - all->room) * sizeof(*grown));
	all->ring = grown;
	all->room = room;
	return true;
}

void
closed_add(struct closed *all, const struct msg_client_event *e)
{
	struct connection	*c;

	if (!closed_room(all))
		return;
	c = &all->ring[all->next++ % CLOSED_KEPT];
	if (all->next == 2 * CLOSED_KEPT)	/* it stays above what is kept: all are in use */
		all->next = CLOSED_KEPT;
	*c = (struct connection){ .cid = e->cid, .start = e->start, .last = e->stop, .stop = e->stop,
	    .in_msgs = e->in_msgs, .in_bytes = e->in_bytes, .out_msgs = e->out_msgs,
	    .out_bytes = e->out_bytes, .rtt = e->rtt, .account = e->kind == EVENT_DISCONNECTED ? (uint32_t)e->account : 0,
	    .subscriptions = (uint32_t)e->subscriptions, .port = (uint16_t)e->port };
	field_copy(c->host, sizeof(c->host), e->host);
	field_copy(c->lang, sizeof(c->lang), e->lang);
	field_copy(c->version, sizeof(c->version), e->version);
	field_copy(c->name, sizeof(c->name), e->name);
	field_copy(c->user, sizeof(c->user), e->user);
	field_copy(c->reason, sizeof(c->reason), e->reason);
	c->secure = e->secure_version.len > 0;
	c->tls_first = e->secure_first != 0;
	field_copy(c->tls_version, sizeof(c->tls_version), e->secure_version);
	field_copy(c->tls_cipher, sizeof(c->tls_cipher), e->secure_cipher);
}

uint32_t
closed_count(const struct closed *all)
{
	return all->next < CLOSED_KEPT ? all->next : CLOSED_KEPT;
}

void
closed_free(struct closed *all)
{
	free(all->ring);
	*all = (struct closed){ NULL, 0, 0 };
}

#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "nats/subject.h"
#include "worker/client.h"
#include "worker/deliver.h"
#include "worker/identity.h"
#include "worker/sids.h"
#include "worker/slow.h"
#include "worker/trace.h"
#include "worker/worker.h"

/* Decimal digits of a u32, its line end and the blanks around it. */
#define NUMBER_ROOM	12

/* 16 bytes at a time: reads and writes up to 15 beyond the end. */
static inline char *
copy_wide(char *to, const char *from, size_t len)
{
	char	*end = to + len;

	if (len > 256) {
		memcpy(to, from, len);
		return end;
	}
	do {
		memcpy(to, from, 16);
		to += 16;
		from += 16;
	} while (to < end);
	return end;
}

static char *
put_bytes(char *to, struct bytes b)
{
	memcpy(to, b.data, b.len);
	return to + b.len;
}

static char *
put_number(char *to, uint32_t n)
{
	char	 digits[10], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	return put_bytes(to, (struct bytes){ p, (size_t)(digits + sizeof(digits) - p) });
}

static bool
all_digits(const char *from, const char *to)
{
	while (from < to && *from >= '0' && *from <= '9')
		from++;
	return from == to;
}

/* Do the arguments and the body follow each other as they go out, with one blank between them? */
static bool
line_is_canonical(const struct message *m, const struct nats_line *l)
{
	const char	*at = m->subject.data + m->subject.len;

	if (*at++ != ' ')
		return false;
	if (m->reply.len != 0) {
		if (m->reply.data != at)
			return false;
		at += m->reply.len;
		if (*at++ != ' ')
			return false;
	}
	if (l->op == NATS_HPUB) {
		if (l->header == 0 || l->size_text.data <= at || l->size_text.data[-1] != ' ' ||
		    !all_digits(at, l->size_text.data - 1))
			return false;
		at = l->size_text.data;
	}
	if (l->size_text.data != at)
		return false;
	at += l->size_text.len;
	return m->body.data == at + 2 && at[0] == '\r';
}

/* The first delivery of a message finds out whether it can be copied as it is. */
static void
line_prepare(struct line *line)
{
	const struct message	*m = line->m;
	const struct nats_line	*l = line->parsed;

	line->parsed = NULL;
	line->head = NULL;
	if (m->body.len >= DELIVER_REFERENCE || !line_is_canonical(m, l) || log_traces())
		return;
	/* Before the subject come at least "PUB " or "HPUB ", to be overwritten. */
	line->mark = m->header != 0 ? 5 : 4;
	line->needs = m->header != 0 ? CLIENT_HEADERS : 0;
	line->head = m->subject.data - line->mark;
	line->head_len = line->mark + (uint32_t)m->subject.len + 1;
	line->tail = m->subject.data + m->subject.len + 1;
	line->tail_len = (uint32_t)(m->body.data + m->body.len + 2 - line->tail);
}

/* What goes to one subscription: m as this client may see it. */
struct copy {
	struct bytes	 subject, sid, reply, size_text, body;
	uint32_t	 header;
};

static void
copy_init(struct copy *copy, const struct client *c, const struct subscription *sub,
    const struct message *m)
{
	copy->subject = m->subject;
	copy->reply = m->reply;
	copy->sid = sid_of(c->worker, sub);
	copy->body = m->body;
	copy->size_text = m->size_text;
	copy->header = m->header;
	if (m->header != 0 && (c->flags & CLIENT_HEADERS) == 0) {
		copy->body.data += m->header;
		copy->body.len -= m->header;
		copy->size_text.len = 0;
		copy->header = 0;
	}
}

static size_t
copy_head_room(const struct copy *copy)
{
	return 5 + copy->subject.len + 1 + copy->sid.len + 1 + copy->reply.len + 1 +
	    NUMBER_ROOM + (copy->size_text.len > NUMBER_ROOM ? copy->size_text.len : NUMBER_ROOM);
}

static char *
copy_head(char *to, const struct copy *copy)
{
	to = put_bytes(to, copy->header != 0 ? BYTES("HMSG ") : BYTES("MSG "));
	to = put_bytes(to, copy->subject);
	*to++ = ' ';
	to = put_bytes(to, copy->sid);
	*to++ = ' ';
	if (copy->reply.len != 0) {
		to = put_bytes(to, copy->reply);
		*to++ = ' ';
	}
	if (copy->header != 0) {
		to = put_number(to, copy->header);
		*to++ = ' ';
	}
	if (copy->size_text.len != 0)
		to = put_bytes(to, copy->size_text);
	else
		to = put_number(to, (uint32_t)copy->body.len);
	return put_bytes(to, BYTES("\r\n"));
}

/* The head alone, however long its parts are. */
static bool
copy_append_head(struct client *c, const struct copy *copy)
{
	struct output_pool	*pool = &c->worker->pool;
	size_t			 room = copy_head_room(copy);
	struct block		*text;
	char			*at, *end;
	bool			 ok;

	if (room <= OUTPUT_CHUNK) {
		if ((at = output_reserve(pool, &c->out, room)) == NULL)
			return false;
		output_commit(&c->out, copy_head(at, copy));
		return true;
	}
	if ((text = block_new(room)) == NULL)
		return false;
	end = copy_head(text->data, copy);
	ok = output_bytes(pool, &c->out, text->data, (size_t)(end - text->data));
	block_unref(text);
	return ok;
}

/* A block that holds the body, when it is worth one: m's own or a copy for all receivers. */
static struct block *
message_block(struct worker *w, const struct message *m, const char **start)
{
	struct line	*line = &w->line;

	*start = m->body.data;
	if (m->block != NULL)
		return m->block;
	if (line->m != m)
		return NULL;
	if (line->block == NULL) {
		if ((line->block = block_new(m->body.len + 2)) == NULL)
			return NULL;
		memcpy(line->block->data, m->body.data, m->body.len + 2);
	}
	*start = line->block->data;
	return line->block;
}

static bool
copy_append(struct client *c, const struct copy *copy, const struct message *m)
{
	struct worker	*w = c->worker;
	size_t		 need = copy_head_room(copy) + copy->body.len + 2;
	struct block	*block = NULL;
	const char	*start;
	bool		 crlf;
	char		*at;

	if (copy->body.len < DELIVER_REFERENCE && need <= OUTPUT_CHUNK) {
		if ((at = output_reserve(&w->pool, &c->out, need)) == NULL)
			return false;
		at = put_bytes(copy_head(at, copy), copy->body);
		output_commit(&c->out, put_bytes(at, BYTES("\r\n")));
		return true;
	}
	if (!copy_append_head(c, copy))
		return false;
	/* A reference holds the whole block: no headers that this client is not charged for. */
	if (copy->body.len >= DELIVER_REFERENCE && copy->body.len >= m->body.len / 2)
		block = message_block(w, m, &start);
	if (block == NULL)
		return output_bytes(&w->pool, &c->out, copy->body.data, copy->body.len) &&
		    output_bytes(&w->pool, &c->out, "\r\n", 2);
	start += copy->body.data - m->body.data;
	crlf = w->line.m == m;
	return output_reference(&w->pool, &c->out, block, start, copy->body.len + (crlf ? 2 : 0)) &&
	    (crlf || output_bytes(&w->pool, &c->out, "\r\n", 2));
}

static void
deliver_count(struct client *c, size_t body)
{
	c->out.messages++;
	c->out_bytes += body;
	c->worker->out_msgs++;
	c->worker->out_bytes += body;
	client_touch(c);
}

/* May c have it? A reply that it is sent it may use, if it may answer. */
static bool
deliver_allowed(struct client *c, const struct subscription *sub, const struct message *m)
{
	struct identity	*id = c->identity;

	if ((sub->flags & SUBSCRIPTION_FILTERED) != 0 &&
	    !policy_delivers(id->policy, m->subject, broker_queue(c->worker->broker, sub)))
		return false;
	if (id->responds && m->reply.len != 0 &&
	    !grants_add(&id->grants, id->policy, m->reply, worker_monotonic()))
		log_limited(LOG_ERROR, "memory", "no memory to let a client answer");
	return true;
}

/* The long way: whatever the message and the client are. */
static enum delivery
deliver_slowly(struct client *c, struct subscription *sub, const struct message *m)
{
	enum delivery	 rc = DELIVERED;
	struct copy	 copy;

	if (c->state != CLIENT_OPEN)
		return DELIVERY_REFUSED;
	if (c->out.pending >= c->mark) {
		rc = slow_look(c, sub);
		if (rc == DELIVERY_REFUSED)
			return rc;
	}
	copy_init(&copy, c, sub, m);
	if (!copy_append(c, &copy, m)) {
		log_limited(LOG_ERROR, "memory", "no memory for the output of a client: it is closed");
		client_close(c, CLOSE_MEMORY);
		return DELIVERY_REFUSED;
	}
	deliver_count(c, copy.body.len);
	if (log_traces())
		trace_delivery(c, copy.subject, copy.sid, copy.reply, copy.header, copy.body);
	if (c->out.pending > c->worker->settings->max_pending) {
		slow_cut(c, sub, CLOSE_SLOW_PENDING);
		return DELIVERY_REFUSED;
	}
	return rc;
}

enum delivery
worker_deliver(void *program, uint32_t connection, struct subscription *sub,
    const struct message *m)
{
	struct worker		*w = program;
	struct client		*c = w->clients[connection];
	struct line		*line = &w->line;
	char			*at;

	if ((c->flags & CLIENT_CHECKED) != 0 && !deliver_allowed(c, sub, m))
		return DELIVERY_REFUSED;
	if (line->m == m && line->parsed != NULL)
		line_prepare(line);
	if (line->m != m || line->head == NULL || c->out.pending >= c->mark ||
	    (line->needs & ~c->flags) != 0 || sub->sid_len > SID_INLINE ||
	    (at = output_reserve(&w->pool, &c->out,
	    line->head_len + SID_INLINE + 1 + line->tail_len)) == NULL)
		return deliver_slowly(c, sub, m);
	copy_wide(at, line->head, line->head_len);
	memcpy(at, line->mark == 4 ? "MSG " : "HMSG", 4);
	at += line->head_len;
	memcpy(at, sub->sid, 16);	/* a blank follows it */
	at += sub->sid_len + 1;
	output_commit(&c->out, copy_wide(at, line->tail, line->tail_len));
	deliver_count(c, m->body.len);
	return DELIVERED;
}

void
worker_no_responders(void *program, uint32_t connection, uint64_t cid,
    struct bytes subject, struct bytes reply)
{
	struct worker		*w = program;
	struct client		*c = connection < w->top ? w->clients[connection] : NULL;
	struct subscription	*sub;
	struct message		 m = { 0 };
	struct block		*text;
	size_t			 len = subject.len + 32;

	if (c == NULL || c->cid != cid || c->state != CLIENT_OPEN || (c->flags & CLIENT_503) == 0 ||
	    (sub = sid_for_subject(c, reply)) == NULL || (text = block_new(len + 2)) == NULL)
		return;
	put_bytes(put_bytes(put_bytes(text->data, BYTES("NATS/1.0 503\r\nNats-Subject: ")), subject),
	    BYTES("\r\n\r\n"));
	m.account = c->account;
	m.subject = reply;
	m.body = (struct bytes){ text->data, len };
	m.header = (uint32_t)len;
	m.publisher = NO_CONNECTION;
	m.block = text;
	deliver_slowly(c, sub, &m);
	block_unref(text);
}

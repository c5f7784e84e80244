#include <stdio.h>
#include "broker/wire.h"

/* ---- writing */

bool
wire_begin(struct wire_out *w, char *buf, const struct message *m, uint64_t cid, uint32_t request)
{
	if (m->subject.len > WIRE_TEXT_MAX || m->reply.len > WIRE_TEXT_MAX)
		return false;
	*w = (struct wire_out){ .buf = buf, .m = m, .request = request, .head = {
	    .cid = cid, .account = m->account, .publisher = m->publisher,
	    .subject = (uint16_t)m->subject.len, .reply = (uint16_t)m->reply.len } };
	if (m->size_text.len > 1 && m->size_text.len <= WIRE_DIGITS_MAX && m->size_text.data[0] == '0')
		w->head.digits = (uint8_t)m->size_text.len;
	return true;
}

static void
wire_put(struct wire_out *w, const void *data, size_t len)
{
	memcpy(w->buf + w->len, data, len);
	w->len += len;
}

void
wire_again(struct wire_out *w, enum wire_flag flags)
{
	w->head.flags = (uint8_t)(flags | (w->m->header != 0 ? WIRE_HEADER : 0) |
	    (w->request != 0 ? WIRE_REQUEST : 0) | (w->m->imported ? WIRE_IMPORTED : 0));
	w->head.names = 0;
	w->len = sizeof(w->head);
	if (w->m->header != 0)
		wire_put(w, &w->m->header, 4);
	if (w->request != 0)
		wire_put(w, &w->request, 4);
	if ((flags & WIRE_SERVE) != 0)
		w->len += 4;			/* written by wire_end() */
	wire_put(w, w->m->subject.data, w->m->subject.len);
	if (w->m->reply.len != 0)
		wire_put(w, w->m->reply.data, w->m->reply.len);
	w->common = w->len;
}

bool
wire_add_name(struct wire_out *w, struct bytes name)
{
	uint16_t len = (uint16_t)name.len;

	if (w->len - w->common + 2 + name.len > WIRE_NAMES_MAX)
		return false;
	wire_put(w, &len, 2);
	wire_put(w, name.data, name.len);
	return true;
}

void
wire_add_served(struct wire_out *w)
{
	w->head.names = (uint16_t)(w->len - w->common);
	w->common = w->len;
}

struct bytes
wire_end(struct wire_out *w)
{
	uint32_t list = (uint32_t)(w->len - w->common);

	if ((w->head.flags & WIRE_SERVE) != 0)
		memcpy(w->buf + sizeof(w->head) + (w->m->header != 0 ? 4 : 0) +
		    (w->request != 0 ? 4 : 0), &list, 4);
	else
		w->head.names = (uint16_t)list;
	memcpy(w->buf, &w->head, sizeof(w->head));
	return (struct bytes){ w->buf, w->len };
}

/* ---- reading */

struct cursor { const char *data; size_t left; };

static bool
cursor_u32(struct cursor *c, uint32_t *value)
{
	if (c->left < 4)
		return false;
	memcpy(value, c->data, 4);
	c->data += 4;
	c->left -= 4;
	return true;
}

/* Whole names, and no more. */
static bool
names_valid(struct bytes list)
{
	struct bytes	name;
	uint16_t	len;

	while (list.len != 0) {
		if (list.len < 2)
			return false;
		memcpy(&len, list.data, 2);
		if (len == 0 || len > list.len - 2)
			return false;
		(void)wire_next_name(&list, &name);
	}
	return true;
}

bool
wire_next_name(struct bytes *list, struct bytes *name)
{
	uint16_t len;

	if (list->len == 0)
		return false;
	memcpy(&len, list->data, 2);
	*name = (struct bytes){ list->data + 2, len };
	list->data += 2u + len;
	list->len -= 2u + len;
	return true;
}

bool
wire_text_clean(struct bytes text)
{
	size_t i;

	for (i = 0; i < text.len; i++)
		if (text.data[i] == ' ' || text.data[i] == '\n' || text.data[i] == '\t')
			return false;
	return true;
}

/* The size as the publisher wrote it, with zeros in front. */
static const char *
wire_read_digits(struct wire_in *w, unsigned digits)
{
	char	text[WIRE_DIGITS_MAX + 12];
	int	len;

	len = snprintf(text, sizeof(text), "%0*zu", (int)digits, w->m.body.len);
	if (digits > WIRE_DIGITS_MAX || len != (int)digits)
		return "digits of the size";
	memcpy(w->digits, text, digits);
	w->m.size_text = (struct bytes){ w->digits, digits };
	return NULL;
}

const char *
wire_read(struct wire_in *w, char *text, const char *data, size_t len, size_t max_payload)
{
	struct wire_head	head;
	struct cursor		c = { data, len };
	uint32_t		served = 0;
	size_t			sum;

	if (len < sizeof(head))
		return "message shorter than its head";
	memcpy(&head, data, sizeof(head));
	c.data += sizeof(head);
	c.left -= sizeof(head);
	w->request = 0;
	w->m.header = 0;
	if ((head.flags & ~WIRE_FLAGS) != 0)
		return "unknown flags";
	if ((head.flags & WIRE_HEADER) != 0 && !cursor_u32(&c, &w->m.header))
		return "header";
	if ((head.flags & WIRE_REQUEST) != 0 && (!cursor_u32(&c, &w->request) || w->request == 0))
		return "request";
	if ((head.flags & WIRE_SERVE) != 0 && !cursor_u32(&c, &served))
		return "served names";
	if (head.names > WIRE_NAMES_MAX || served > WIRE_NAMES_MAX)
		return "too many names";
	sum = (size_t)head.subject + head.reply + head.names + served;
	if (sum > c.left)
		return "lengths beyond the record";
	if ((head.flags & WIRE_IMPORTED) != 0)
		max_payload += WIRE_ADDED;
	if (c.left - sum > max_payload || w->m.header > c.left - sum)
		return "size of the body";

	memcpy(text, c.data, sum);
	w->m.subject = (struct bytes){ text, head.subject };
	w->m.reply = (struct bytes){ text + head.subject, head.reply };
	w->names = (struct bytes){ w->m.reply.data + head.reply, head.names };
	w->served = (struct bytes){ w->names.data + head.names, served };
	w->m.body = (struct bytes){ c.data + sum, c.left - sum };
	if (!names_valid(w->names) || !names_valid(w->served))
		return "names";
	if (!wire_text_clean(w->m.reply))
		return "reply";
	w->m.account = head.account;
	w->m.size_text = (struct bytes){ NULL, 0 };
	w->m.block = NULL;
	w->m.publisher = NO_CONNECTION;
	w->m.echo = true;
	w->m.wants_503 = false;
	w->m.imported = (head.flags & WIRE_IMPORTED) != 0;
	w->cid = head.cid;
	w->publisher = head.publisher;
	w->flags = head.flags;
	return head.digits == 0 ? NULL : wire_read_digits(w, head.digits);
}

/*
 * Messages that wait for a `none` of each participant they went to: then
 * nobody took them, and the publisher hears it. When the message was passed on
 * to us, the publisher is the peer that did it. A slot is simply overwritten
 * when its turn comes again: most requests are answered, by whom they went to,
 * and nobody tells us.
 */
#include <stdlib.h>
#include "broker/private.h"

static struct request *
request_next(struct broker *b)
{
	struct request *r;

	if (b->requests == NULL) {
		b->requests = calloc(REQUESTS, sizeof(*b->requests));
		if (b->requests == NULL)
			return NULL;
	}
	if (++b->last_request == 0)
		b->last_request = 1;
	r = &b->requests[b->last_request % REQUESTS];
	r->number = r->root = r->children = 0;
	return r;
}

uint32_t
request_new(struct broker *b, uint64_t awaited, const struct message *m, uint64_t cid)
{
	size_t		 len = m->subject.len + m->reply.len;
	struct request	*r = request_next(b);

	if (r == NULL)
		return 0;
	if (len > r->room || r->room > REQUEST_KEEP) {
		free(r->text);
		r->room = 0;
		if ((r->text = malloc(len)) == NULL)
			return 0;
		r->room = (uint32_t)len;
	}
	memcpy(r->text, m->subject.data, m->subject.len);
	memcpy(r->text + m->subject.len, m->reply.data, m->reply.len);
	r->subject = (uint32_t)m->subject.len;
	r->reply = (uint32_t)m->reply.len;
	r->relay = 0;
	r->connection = m->publisher;
	r->cid = cid;
	r->awaited = awaited;
	return r->number = b->last_request;
}

uint32_t
request_root(struct broker *b, const struct message *m, uint64_t cid)
{
	uint32_t number = request_new(b, 0, m, cid);

	if (number != 0)
		b->requests[number % REQUESTS].children = 1;
	return number;
}

uint32_t
request_child(struct broker *b, uint64_t awaited, uint32_t root)
{
	struct request *r;

	if (root == 0 || b->requests[root % REQUESTS].number != root || (r = request_next(b)) == NULL)
		return 0;
	b->requests[root % REQUESTS].children++;
	r->relay = 0;
	r->root = root;
	r->awaited = awaited;
	return r->number = b->last_request;
}

uint32_t
request_relay(struct broker *b, uint64_t awaited, const struct peer *p, uint32_t asked)
{
	struct request *r = request_next(b);

	if (r == NULL)
		return 0;
	r->relay = p->number + 1;
	r->asked = asked;
	r->cid = p->incarnation;
	r->awaited = awaited;
	return r->number = b->last_request;
}

static void
request_end(struct broker *b, struct request *r)
{
	struct wire_none	 none = { r->asked };
	struct source		 s = { { (const char *)&none, sizeof(none) }, { NULL, 0 } };
	struct peer		*p;

	r->number = 0;
	if (r->root != 0) {
		request_root_done(b, r->root, false);
		return;
	}
	if (r->relay == 0) {
		b->calls.no_responders(b->program, r->connection, r->cid,
		    (struct bytes){ r->text, r->subject },
		    (struct bytes){ r->text + r->subject, r->reply });
		return;
	}
	p = b->peers[r->relay - 1];
	if (p != NULL && p->incarnation == r->cid)
		peer_tell(b, p, WIRE_NONE, &s);
}

void
request_root_done(struct broker *b, uint32_t root, bool taken)
{
	struct request *r;

	if (root == 0)
		return;
	r = &b->requests[root % REQUESTS];
	if (r->number != root)
		return;
	if (taken)
		r->number = 0;
	else if (--r->children == 0)
		request_end(b, r);
}

void
request_none(struct broker *b, uint32_t number, unsigned participant)
{
	struct request *r;

	if (b->requests == NULL || number == 0)
		return;
	r = &b->requests[number % REQUESTS];
	if (r->number != number || (r->awaited & BIT(participant)) == 0)
		return;
	r->awaited &= ~BIT(participant);
	if (r->awaited == 0)
		request_end(b, r);
}

void
requests_forget(struct broker *b, unsigned participant)
{
	uint32_t i;

	for (i = 0; b->requests != NULL && i < REQUESTS; i++)
		if (b->requests[i].number != 0)
			request_none(b, b->requests[i].number, participant);
}

void
requests_free(struct broker *b)
{
	uint32_t i;

	for (i = 0; b->requests != NULL && i < REQUESTS; i++)
		free(b->requests[i].text);
	free(b->requests);
}

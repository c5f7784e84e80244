/*
 * Service imports. A message that is published to the local subject of one goes
 * to the exporter's subject as well, in the exporter's account, with a reply
 * subject of ours; and from there perhaps further. All the messages that one
 * becomes are its legs: what they need is looked at before the first is sent.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "broker/private.h"
#include "nats/subject.h"
#include "nats/transform.h"

#define LEGS_MOST	1024	/* of one message: imports may be such that they multiply */

/* What the builtin ones have in common; one for each, since a leg is known by its import. */
#define BUILTIN	{ .from = ACCOUNT_SYSTEM, .response = RESPONSE_STREAM, .threshold = 120 }
static const struct service_import builtins[BUILTIN_IMPORTS] = { BUILTIN, BUILTIN, BUILTIN };

/* ---- finding */

int
services_find(struct broker *b, const struct entry *e, bool *special)
{
	const struct account	*a = accounts_find(b->accounts, e->account);
	const struct importer	*im = importer_find(b, e->account);
	struct bytes		 subject = { e->subject, e->length };
	uint32_t		 i;
	int			 rc;

	b->nfound = 0;
	if (im != NULL && (rc = importer_services(b, im, subject)) != 0)
		return rc;
	for (i = 0; a != NULL && a->number != ACCOUNT_SYSTEM && i < BUILTIN_IMPORTS; i++) {
		if (!bytes_equal(bytes_of(builtin_imports[i].ours), subject))
			continue;
		if ((rc = found_add(b, (struct taker){ { .builtin = 1 }, { .import = i } })) != 0)
			return rc;
	}
	*special = b->nfound != 0 || answers_subject(subject);
	return (int)b->nfound;
}

/* ---- legs */

struct leg {
	struct leg			*next;
	const struct leg		*parent;	/* NULL: the message itself */
	const struct service_import	*import;
	const struct account		*importer;
	struct message			 m;
	bool				 share;
	char				 reply[ANSWER_MARKED];
	char				 subject[];
};

struct legs { struct leg *first, **last; unsigned count; };

static void
legs_free(struct legs *all)
{
	struct leg	*leg;

	while ((leg = all->first) != NULL) {
		all->first = leg->next;
		free(leg);
	}
}

/* With a copy of m's subject. NULL: no memory, or too many. */
static struct leg *
leg_new(struct legs *all, const struct message *m)
{
	struct leg	*leg;

	if (all->count == LEGS_MOST || (leg = malloc(sizeof(*leg) + m->subject.len)) == NULL)
		return NULL;
	*leg = (struct leg){ .m = *m };
	memcpy(leg->subject, m->subject.data, m->subject.len);
	leg->m.subject.data = leg->subject;
	*all->last = leg;
	all->last = &leg->next;
	all->count++;
	return leg;
}

/* The exporter's subject, in b->pattern. Its length; less than 0: there is none. */
static int
leg_subject(struct broker *b, const struct leg *parent, const struct taker *t,
    const struct service_import *import, const struct account *importer)
{
	int	 len;

	if (t->builtin) {
		len = snprintf(b->pattern, sizeof(b->pattern), "$SYS.REQ.ACCOUNT.%s.%s", importer->name,
		    builtin_imports[t->import].report);
		return subject_literal((struct bytes){ b->pattern, (size_t)len }) ? len : -EINVAL;
	}
	return transform_subject(import->subject, parent->m.subject, random_below(b, UINT64_MAX),
	    b->pattern, sizeof(b->pattern));
}

/* From parent by one import. False: no memory. */
static bool
leg_add(struct broker *b, struct legs *all, const struct leg *parent, const struct taker *t,
    const struct account *importer)
{
	const struct service_import	*import = t->builtin ? &builtins[t->import] :
	    &importer->services[t->import];
	const struct leg		*l;
	struct leg			*leg;
	struct message			 m = parent->m;
	int				 len;

	for (l = parent; l != NULL; l = l->parent)
		if (l->import == import)
			return true;		/* a circle, which the configuration should not have */
	if ((len = leg_subject(b, parent, t, import, importer)) < 0)
		return true;
	m.account = import->from;
	m.subject = (struct bytes){ b->pattern, (size_t)len };
	if (b->mappings != NULL)
		(void)enter_map(b, m.account, &m.subject, b->mapped);
	if ((leg = leg_new(all, &m)) == NULL)
		return false;
	leg->parent = parent;
	leg->import = import;
	leg->importer = importer;
	leg->m.imported = true;
	leg->m.wants_503 = false;
	leg->share = parent->import == NULL ? import->share : parent->share;
	return true;
}

/* What comes of a leg, whose entry is e. */
static bool
legs_add(struct broker *b, struct legs *all, const struct leg *parent, const struct entry *e)
{
	const struct taker	*t = e->takers + e->nlocals + e->nmembers - e->nservices;
	const struct account	*importer = accounts_find(b->accounts, e->account);
	uint32_t		 i;

	for (i = 0; i < e->nservices; i++)
		if (!leg_add(b, all, parent, &t[i], importer))
			return false;
	return true;
}

/* All legs of m. False: a lane that one of them needs is full. */
static bool
legs_plan(struct broker *b, struct legs *all, const struct message *m)
{
	const struct entry	*e;
	struct leg		*leg;
	bool			 whole;

	whole = leg_new(all, m) != NULL;
	for (leg = all->first; leg != NULL; leg = leg->next) {
		/* An entry is good until the next is asked for. */
		if ((e = match_all(b, leg->m.account, leg->m.subject)) == NULL)
			whole = false;
		else if (b->blocked != 0 && publish_blocked(b, e, &leg->m))
			return false;
		else
			whole &= legs_add(b, all, leg, e);
	}
	if (!whole)
		counter_add(&b->tables->records_lost, 1);
	return true;
}

/* ---- sending */

/*
 * Who asks goes into the headers. The body is kept for this leg alone: there may be a thousand. NULL: no memory,
 * or larger than peers take it from us: an answer that goes to a service may have grown before.
 */
static struct block *
leg_body(struct broker *b, struct leg *leg, uint64_t cid)
{
	const struct leg	*first = leg;
	json_t			*info;
	char			*text = NULL;
	struct bytes		 told = { NULL, 0 };
	struct block		*body;

	while (first->parent != NULL)
		first = first->parent;
	info = requester_json(b, leg->m.publisher, cid, first->m.account, leg->share,
	    leg->share || leg->import->share || leg->import->from == ACCOUNT_SYSTEM,
	    leg->parent == first ? NULL : leg->importer->name);
	if (info != NULL && (text = json_dumps(info, JSON_COMPACT)) != NULL)
		told = bytes_of(text);
	json_decref(info);
	body = requester_body(&leg->m, told, &leg->m.header);
	free(text);
	if (body == NULL)
		return NULL;
	if (body->size > b->max_payload + WIRE_ADDED) {
		block_unref(body);
		return NULL;
	}
	leg->m.block = body;
	leg->m.body = (struct bytes){ body->data, body->size };
	leg->m.size_text = (struct bytes){ NULL, 0 };
	return body;
}

/* The reply is one of ours. False: nobody may wait any more. */
static bool
leg_reply(struct broker *b, struct leg *leg, uint64_t cid, struct response **response)
{
	const struct service_import	*import = leg->import;
	struct asking			 ask = { .account = import->from, .requester = leg->parent->m.account,
	    .reply = leg->parent->m.reply, .type = import->response, .threshold = import->threshold };

	*response = NULL;
	if (import->latency != NULL && (ask.reply.len == 0 || import->response == RESPONSE_SINGLETON))
		ask.sample = sample_new(b, import, ask.requester, &leg->m, cid);
	leg->m.reply = (struct bytes){ leg->reply, 0 };
	if (ask.reply.len == 0) {
		if (ask.sample != NULL)
			sample_failed(b, ask.sample, 400, "Bad Request");
		return true;
	}
	*response = answers_expect(b, &ask, leg->reply, &leg->m.reply);
	return *response != NULL;
}

/* True: somebody here took it. response: who waits for an answer, or NULL. */
static bool
leg_route(struct broker *b, const struct leg *leg, uint64_t cid, uint32_t *root, struct response *response)
{
	const struct entry	*e = match_all(b, leg->m.account, leg->m.subject);
	uint64_t		 set;

	if (e == NULL)
		return false;
	if (publish_route(b, e, &leg->m, cid, root, &set))
		return true;
	if (set == 0 && response != NULL && e->nservices == 0)
		answers_cancel(b, response);
	return false;
}

/* True: somebody here took it. */
static bool
leg_send(struct broker *b, struct leg *leg, uint64_t cid, uint32_t *root)
{
	struct block	*body;
	struct response	*response;
	bool		 taken = false;

	if (leg->import == NULL)
		return leg_route(b, leg, cid, root, NULL);
	if ((body = leg_body(b, leg, cid)) != NULL && leg_reply(b, leg, cid, &response))
		taken = leg_route(b, leg, cid, root, response);
	else
		counter_add(&b->tables->records_lost, 1);
	block_unref(body);
	return taken;
}

enum published
services_publish(struct broker *b, const struct message *m, uint64_t cid)
{
	struct legs	 all = { .last = &all.first };
	struct leg	*leg;
	uint32_t	 root = 0;
	bool		 taken = false;

	if ((answers_subject(m->subject) && answers_full(b)) || !legs_plan(b, &all, m)) {
		legs_free(&all);
		return PUBLISH_BLOCKED;
	}
	if (m->wants_503 && m->reply.len <= WIRE_TEXT_MAX)
		root = request_root(b, m, cid);
	if (answers_marked(m->subject))
		responders_tell(b, m, cid);
	for (leg = all.first; leg != NULL; leg = leg->next)
		taken |= leg_send(b, leg, cid, &root);
	request_root_done(b, root, taken);
	publish_after(b, m, cid);
	legs_free(&all);
	answers_continue(b);
	return PUBLISHED;
}

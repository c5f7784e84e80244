/*
 * Who answered, for the sample of how long a service took. A participant knows only
 * its own clients. So where a request's time is told its reply subject ends with a mark,
 * and whose client answers there first publishes, in the server's own account, a
 * record that describes it, on a subject of the participant that asked. That goes the same
 * way as the answer, before it: so it is there when the answer is.
 *
 * Nothing of it is believed more than that: who describes falsely gets a false word into a
 * sample whose token it knows. What waits for its answer is bounded, and the oldest goes first;
 * a peer that follows the rules has one at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/private.h"
#include "common/log.h"
#include "common/records.h"

#define SUBJECT_PREFIX	"responder."
#define SUBJECT_LENGTH	(sizeof(SUBJECT_PREFIX) - 1 + ANSWER_OWN)
#define RESPONDERS	64		/* described, and their answer did not come yet */
#define RECORD_MOST	2048		/* bytes of a description */

struct responder {
	char			 token[ANSWER_TOKEN];
	struct described	*who;		/* NULL: free */
};

struct responders {
	uint32_t		 slot;		/* of our subscription */
	unsigned		 oldest;
	struct responder	 all[RESPONDERS];
};

/* Where the participant of this name hears of them. */
static struct bytes
subject_of(char text[SUBJECT_LENGTH], struct bytes name)
{
	memcpy(text, SUBJECT_PREFIX, sizeof(SUBJECT_PREFIX) - 1);
	memcpy(text + sizeof(SUBJECT_PREFIX) - 1, name.data, ANSWER_OWN);
	return (struct bytes){ text, SUBJECT_LENGTH };
}

/* ---- who asked */

void
responders_listen(struct broker *b)
{
	char			 text[SUBJECT_LENGTH];
	struct responders	*all;

	if (b->responders != NULL || (all = calloc(1, sizeof(*all))) == NULL)
		return;
	if (subscription_add(b, ACCOUNT_SERVER, NOBODY_SLOT, subject_of(text, answers_name(b)),
	    (struct bytes){ NULL, 0 }, SUBSCRIPTION_ANSWERS, &all->slot) != 0)
		free(all);
	else
		b->responders = all;
}

static struct responder *
responder_find(struct responders *all, const char token[ANSWER_TOKEN])
{
	unsigned i;

	for (i = 0; i < RESPONDERS; i++)
		if (all->all[i].who != NULL && memcmp(all->all[i].token, token, ANSWER_TOKEN) == 0)
			return &all->all[i];
	return NULL;
}

/* The place of this token: its own, a free one, or that of the oldest. */
static struct responder *
responder_place(struct responders *all, const char token[ANSWER_TOKEN])
{
	struct responder	*r = responder_find(all, token);
	unsigned		 i;

	for (i = 0; i < RESPONDERS && r == NULL; i++)
		if (all->all[i].who == NULL)
			r = &all->all[i];
	return r != NULL ? r : &all->all[all->oldest++ % RESPONDERS];
}

/* One record; what comes behind it is not looked at. */
static int
responder_add(void *arg, const struct msg *record)
{
	struct broker			*b = arg;
	const struct msg_responder	*m = &record->u.responder;
	struct described		*who, d = { .account = (uint32_t)m->account, .cid = m->cid, .start = m->start,
	    .rtt = m->rtt, .host = m->host, .user = m->user, .name = m->name, .lang = m->lang, .version = m->version };
	struct responder		*r;

	if (record->type != MSG_responder || !answers_sampled(b, d.account, m->token.data) ||
	    (who = described_copy(&d)) == NULL)
		return 1;
	r = responder_place(b->responders, m->token.data);
	free(r->who);
	r->who = who;
	memcpy(r->token, m->token.data, ANSWER_TOKEN);
	return 1;
}

void
responders_hear(struct broker *b, const struct message *m)
{
	const char	*why = "length";
	int		 rc = -EBADMSG;

	if (b->responders == NULL || b->answers == NULL)
		return;
	if (m->body.len <= RECORD_MOST)
		rc = records_each(m->body, ROLE_WORKER, ROLE_WORKER, responder_add, b, &why);
	if (rc < 0)
		log_limited(LOG_WARN, "responders", "what a peer said of a client that answers is malformed: %s", why);
}

struct described *
responders_take(struct broker *b, const char token[ANSWER_TOKEN])
{
	struct responder	*r = b->responders == NULL ? NULL : responder_find(b->responders, token);
	struct described	*who;

	if (r == NULL)
		return NULL;
	who = r->who;
	r->who = NULL;
	return who;
}

unsigned
responders_count(const struct broker *b)
{
	unsigned i, n = 0;

	for (i = 0; b->responders != NULL && i < RESPONDERS; i++)
		n += b->responders->all[i].who != NULL;
	return n;
}

void
responders_moved(struct broker *b, const uint32_t *map)
{
	if (b->responders != NULL)
		b->responders->slot = map[b->responders->slot];
}

void
responders_free(struct broker *b)
{
	unsigned i;

	for (i = 0; b->responders != NULL && i < RESPONDERS; i++)
		free(b->responders->all[i].who);
	free(b->responders);
	b->responders = NULL;
}

void
responders_forget(struct broker *b)
{
	if (b->responders == NULL)
		return;
	subscription_drop(b, b->responders->slot);
	responders_free(b);
}

/* ---- who answers */

static int
responder_record(msgpack_sbuffer *out, const struct described *d, struct bytes token)
{
	struct msg	 m = { .type = MSG_responder, .u.responder = { .token = token, .account = d->account,
	    .cid = d->cid, .start = d->start, .rtt = d->rtt, .host = d->host, .user = d->user, .name = d->name,
	    .lang = d->lang, .version = d->version } };

	return records_add(out, &m);
}

void
responders_tell(struct broker *b, const struct message *m, uint64_t cid)
{
	struct bytes		 name = { m->subject.data + sizeof(ANSWER_PREFIX) - 1, ANSWER_OWN };
	struct bytes		 token = { m->subject.data + ANSWER_SUBJECT - ANSWER_TOKEN, ANSWER_TOKEN };
	char			 text[SUBJECT_LENGTH];
	struct message		 told = { .account = ACCOUNT_SERVER, .subject = subject_of(text, name),
	    .publisher = NO_CONNECTION };
	struct publish_hint	 hint = { 0 };
	struct described	 d;
	msgpack_sbuffer		 body;

	/* The subject is whatever a client made of it. Only what a participant could have made becomes one of ours. */
	if (answers_own(b, m->subject) || !answers_characters(name) || !answers_characters(token) ||
	    !described_client(b, m->publisher, cid, &d) || d.account != m->account ||
	    !broker_wanted(b, ACCOUNT_SERVER, told.subject))
		return;
	msgpack_sbuffer_init(&body);
	if (responder_record(&body, &d, token) == 0) {
		told.body = (struct bytes){ body.data, body.size };
		/* What its lane has no room for is not told; the answer then does not go either. */
		(void)broker_publish(b, &told, 0, &hint);
	}
	msgpack_sbuffer_destroy(&body);
}

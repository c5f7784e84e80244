#include <string.h>
#include "common/log.h"
#include "common/records.h"
#include "worker/events.h"
#include "worker/identity.h"
#include "worker/worker.h"

/* A field of the record in the tables, which is text or whatever the client made of it. */
static struct bytes
field(const char *text)
{
	return bytes_of(text);
}

static uint64_t
count(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void
event_fill(const struct client *c, struct msg_client_event *e)
{
	const struct connection_record	*r = client_record(c);
	const struct identity		*id = c->identity;

	*e = (struct msg_client_event){
		.cid = c->cid, .account = c->account, .host = field(r->host), .port = r->port,
		.start = count(&r->start), .rtt = count(&r->rtt),
		.user = field(id != NULL && id->user != NULL ? id->user : ""),
		.name = field(r->name), .lang = field(r->lang), .version = field(r->version),
		.in_msgs = count(&r->in_msgs), .in_bytes = count(&r->in_bytes),
		.out_msgs = count(&r->out_msgs), .out_bytes = count(&r->out_bytes),
		.subscriptions = atomic_load_explicit(&r->subscriptions, memory_order_relaxed),
		.reason = { "", 0 }, .secure_version = { "", 0 }, .secure_cipher = { "", 0 },
	};
	if (r->secure != 0) {
		const struct secure_record	*s = tables_secure(c->worker->part.tables.base) + c->slot;

		e->secure_version = field(s->version);
		e->secure_cipher = field(s->cipher);
		e->secure_first = s->first;
	}
}

static void
event_publish(struct worker *w, const struct msg *event)
{
	struct publish_hint	 hint = { 0 };
	struct message		 m = { .account = ACCOUNT_SERVER, .subject = BYTES(EVENTS_SUBJECT),
	    .reply = { "", 0 }, .publisher = NO_CONNECTION };
	msgpack_sbuffer		 body;
	int			 rc;

	msgpack_sbuffer_init(&body);
	rc = records_add(&body, event);
	m.body = (struct bytes){ body.data, body.size };
	/* What cannot be told now is lost: system counts clients by their tables, not by this. */
	if (rc != 0 || broker_publish(w->broker, &m, 0, &hint) == PUBLISH_BLOCKED)
		log_limited(LOG_WARN, "lost events", "an event of a client for the system account is lost");
	msgpack_sbuffer_destroy(&body);
}

static bool
events_wanted(const struct worker *w)
{
	return w->broker != NULL && broker_wanted(w->broker, ACCOUNT_SERVER, BYTES(EVENTS_SUBJECT));
}

void
events_came(struct client *c)
{
	struct msg	 m = { .type = MSG_client_event };

	c->flags |= CLIENT_TOLD;
	if (!events_wanted(c->worker))
		return;
	event_fill(c, &m.u.client_event);
	m.u.client_event.kind = EVENT_CONNECTED;
	event_publish(c->worker, &m);
}

static void
event_left(struct client *c, enum client_event_kind kind)
{
	struct msg	 m = { .type = MSG_client_event };

	event_fill(c, &m.u.client_event);
	m.u.client_event.kind = kind;
	m.u.client_event.stop = worker_microseconds(c->worker);
	m.u.client_event.reason = bytes_of(close_reason_text((enum close_reason)c->reason));
	event_publish(c->worker, &m);
}

void
events_left(struct client *c)
{
	if (c->refusal != REFUSE_NOTHING || !events_wanted(c->worker))
		return;
	if ((c->flags & CLIENT_REFUSED) != 0)
		event_left(c, EVENT_REFUSED);
	if ((c->flags & CLIENT_TOLD) != 0)
		event_left(c, EVENT_DISCONNECTED);
	else if ((c->flags & CLIENT_REFUSED) == 0)
		event_left(c, EVENT_NEVER_IN);
}

#include <string.h>
#include "common/event_subjects.h"
#include "common/log.h"
#include "common/records.h"
#include "worker/events.h"
#include "worker/identity.h"
#include "worker/worker.h"

#define EVENT_SUBJECT_MOST	1280	/* the longest name of an account, and what is around it */

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

/* What cannot be told now is lost: system counts clients by their tables, not by this. */
static void
events_lost(void)
{
	log_limited(LOG_WARN, "lost events", "an event of a client for the system account is lost");
}

static void
events_publish(struct worker *w, struct bytes subject, const msgpack_sbuffer *records)
{
	struct publish_hint	 hint = { 0 };
	struct message		 m = { .account = ACCOUNT_SERVER, .subject = subject,
	    .reply = { "", 0 }, .body = { records->data, records->size }, .publisher = NO_CONNECTION };

	if (broker_publish(w->broker, &m, 0, &hint) == PUBLISH_BLOCKED)
		events_lost();
}

void
events_flush(struct worker *w)
{
	struct events	*e = &w->events;

	if (e->gathered.size == 0)
		return;
	ev_timer_stop(w->loop, &e->due);
	events_publish(w, BYTES(EVENTS_PAST), &e->gathered);
	msgpack_sbuffer_destroy(&e->gathered);
	msgpack_sbuffer_init(&e->gathered);
}

/* Behind what was gathered before. */
static void
event_publish(struct worker *w, const struct msg *event)
{
	msgpack_sbuffer	 record;

	events_flush(w);
	msgpack_sbuffer_init(&record);
	if (records_add(&record, event) == 0)
		events_publish(w, BYTES(EVENTS_SUBJECT), &record);
	else
		events_lost();
	msgpack_sbuffer_destroy(&record);
}

static void
event_gather(struct worker *w, const struct msg *event)
{
	struct events	*e = &w->events;

	if (records_add(&e->gathered, event) != 0)
		events_lost();
	if (e->gathered.size >= EVENTS_GATHERED)
		events_flush(w);
	else if (e->gathered.size > 0 && !ev_is_active(&e->due)) {
		ev_timer_set(&e->due, EVENTS_DELAY, 0);
		ev_timer_start(w->loop, &e->due);
	}
}

static void
events_due(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct worker	*w = t->data;

	broker_refresh(w->broker);
	events_flush(w);
}

/* ---- does anybody hear it? */

static bool
events_wanted(struct worker *w)
{
	if (w->broker == NULL)
		return false;
	broker_refresh(w->broker);
	return broker_wanted(w->broker, ACCOUNT_SERVER, BYTES(EVENTS_SUBJECT));
}

/* Is anybody in the system account interested in this subject, of three parts? */
static bool
is_heard(struct worker *w, struct bytes before, const char *name, struct bytes behind)
{
	char	 subject[EVENT_SUBJECT_MOST];
	size_t	 len = strlen(name);

	if (before.len + len + behind.len > sizeof(subject))
		return false;
	memcpy(subject, before.data, before.len);
	memcpy(subject + before.len, name, len);
	memcpy(subject + before.len + len, behind.data, behind.len);
	return broker_wanted(w->broker, ACCOUNT_SYSTEM, (struct bytes){ subject, before.len + len + behind.len });
}

static bool
refusal_is_heard(const struct client *c)
{
	struct worker	*w = c->worker;

	return is_heard(w, BYTES(OF_SERVER), w->settings->server_id, BYTES(AUTH_ERROR_EVENT)) ||
	    broker_wanted(w->broker, c->account, BYTES(AUTH_ERROR_OWN));
}

/* May it hear what system says, itself? Then system has to know of it. */
static bool
client_may_listen(const struct client *c)
{
	const struct account	*a = worker_account(c->worker, c->account);

	return c->account == ACCOUNT_SYSTEM || (a != NULL && account_imports_from(a, ACCOUNT_SYSTEM));
}

/* Could anybody hear of this, or ask about it, now? */
static bool
event_is_heard(const struct client *c, enum client_event_kind kind)
{
	struct worker	*w = c->worker;
	const char	*name = account_name(w, c->account);

	if (client_may_listen(c) || broker_wanted(w->broker, ACCOUNT_SERVER, BYTES(EVENTS_NOW)))
		return true;
	if (kind == EVENT_REFUSED && refusal_is_heard(c))
		return true;
	return is_heard(w, BYTES(OF_ACCOUNT), name,
	    kind == EVENT_CONNECTED ? BYTES(CONNECT_EVENT) : BYTES(DISCONNECT_EVENT)) ||
	    is_heard(w, BYTES(OF_ACCOUNT), name, BYTES(CONNS_EVENT)) ||
	    is_heard(w, BYTES(OF_ACCOUNT_OLD), name, BYTES(CONNS_EVENT_OLD));
}

/* ---- who came and who left */

void
events_came(struct client *c)
{
	struct msg	 m = { .type = MSG_client_event };

	c->flags |= CLIENT_TOLD;
	if (!events_wanted(c->worker) || !event_is_heard(c, EVENT_CONNECTED))
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
	if (event_is_heard(c, kind))
		event_publish(c->worker, &m);
	else
		event_gather(c->worker, &m);
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

void
events_begin(struct worker *w)
{
	msgpack_sbuffer_init(&w->events.gathered);
	ev_timer_init(&w->events.due, events_due, EVENTS_DELAY, 0);
	w->events.due.data = w;
}

void
events_end(struct worker *w)
{
	ev_timer_stop(w->loop, &w->events.due);
	msgpack_sbuffer_destroy(&w->events.gathered);
}

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "nats/connect.h"
#include "nats/info.h"
#include "nats/parser.h"
#include "nats/subject.h"
#include "worker/events.h"
#include "worker/identity.h"
#include "worker/input.h"
#include "worker/login.h"
#include "worker/limits.h"
#include "worker/ping.h"
#include "worker/session.h"
#include "worker/sids.h"
#include "worker/slow.h"
#include "worker/userinfo.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define QUOTED		1024	/* bytes of a subject in an answer */
#define DROPS_AT_ONCE	512u	/* subscriptions that a second CONNECT drops without a pause */
#define DELIVERIES_A_TURN	(128u << 10)	/* after which a client lets others go first */

/* ---- answers */

static void
session_ok(struct client *c)
{
	if ((c->flags & CLIENT_VERBOSE) != 0)
		client_say(c, BYTES("+OK\r\n"));
}

static void __attribute__((format(printf, 2, 3)))
session_error(struct client *c, const char *format, ...)
{
	char	 text[2 * QUOTED + 128];
	va_list	 ap;
	int	 n, m;

	n = snprintf(text, sizeof(text), "-ERR '");
	va_start(ap, format);
	m = vsnprintf(text + n, sizeof(text) - (size_t)n - 3, format, ap);
	va_end(ap);
	n += m < (int)sizeof(text) - n - 4 ? m : (int)sizeof(text) - n - 4;
	n += snprintf(text + n, sizeof(text) - (size_t)n, "'\r\n");
	client_say(c, (struct bytes){ text, (size_t)n });
}

static void
session_unknown(struct client *c)
{
	session_error(c, "Unknown Protocol Operation");
	client_error(c, "protocol error: unknown operation, or a payload that does not end where it was to");
	client_close(c, CLOSE_PROTOCOL);
}

static void
session_malformed(struct client *c, const char *why)
{
	client_error(c, "protocol error: %s", why);
	client_close(c, CLOSE_PROTOCOL);
}

/* ---- messages */

static bool
begins(struct bytes text, struct bytes with)
{
	return text.len >= with.len && memcmp(text.data, with.data, with.len) == 0;
}

/* Subjects that gateways route by. */
static bool
is_routed(struct bytes s)
{
	return (s.len > 5 && begins(s, BYTES("_GR_."))) || (s.len > 4 && begins(s, BYTES("$GR.")));
}

static void
publish_refused(struct client *c, struct bytes subject)
{
	char	 text[QUOTED];

	subject_quote(text, sizeof(text), subject);
	session_error(c, "Permissions Violation for Publish to %s", text);
	client_error(c, "Publish Violation - Subject %s", text);
}

static bool
may_publish(struct client *c, const struct message *m)
{
	char	 text[QUOTED];

	if (is_routed(m->subject) || begins(m->subject, BYTES("$NRG."))) {
		publish_refused(c, m->subject);
		return false;
	}
	if (begins(m->reply, BYTES("_R_.")) || begins(m->reply, BYTES("$JS.ACK.")) ||
	    is_routed(m->reply)) {
		subject_quote(text, sizeof(text), m->reply);
		session_error(c, "Permissions Violation for Publish with Reply of %s", text);
		client_error(c, "Publish Violation - Reply %s", text);
		return false;
	}
	return true;
}

/* What its account makes of the subject, and whether it may be published there. False: it was told that not. */
static bool
session_enter(struct client *c, struct message *m)
{
	struct identity	*id = c->identity;
	struct policy	*policy = id == NULL ? NULL : id->policy;
	double		 now = policy != NULL && id->responds ? worker_monotonic() : 0;

	c->hint.again = (c->flags & CLIENT_REPEATS) != 0;
	if (broker_enter(c->worker->broker, m, policy, id == NULL ? NULL : &id->grants, &c->hint, now) == ENTERS)
		return true;
	publish_refused(c, m->subject);
	return false;
}

/*
 * What is said before a message is delivered. False: it is not to be. Once
 * only, also for one that was blocked and comes again.
 */
static bool
session_answer(struct client *c, const struct nats_line *l, struct message *m, struct bytes text)
{
	bool	 again = (c->flags & CLIENT_REPEATS) != 0;

	if (!again && log_traces()) {
		trace_line(c, l, text);
		trace_payload(c, "<<-", m->header, m->body);
	}
	if (!again && (c->flags & CLIENT_PEDANTIC) != 0 && !subject_literal(m->subject))
		session_error(c, "Invalid Publish Subject");
	if ((c->flags & CLIENT_ENTERS) != 0 && !session_enter(c, m))
		return false;
	if (again)
		return true;
	if (!may_publish(c, m))
		return false;
	session_ok(c);
	return true;
}

/* Publish m. False: it has to wait. */
static bool
session_publish(struct client *c, const struct nats_line *l, struct message *m)
{
	struct worker	*w = c->worker;
	bool		 asks = *m->subject.data == '$' && userinfo_asked(c, m);
	enum published	 done;

	if (asks)
		m->wants_503 = false;
	line_begin(&w->line, m, l);
	done = broker_publish(w->broker, m, c->cid, &c->hint);
	line_end(&w->line);
	if (done == PUBLISHED && asks)
		userinfo_answer(c, m->reply);
	if (w->heavy != NULL)
		clients_flush_heavy(w);
	if (done == PUBLISHED)
		return true;
	c->flags |= CLIENT_REPEATS;
	if (c->state == CLIENT_OPEN)
		client_stop(c, CLIENT_BLOCKED);
	return false;
}

static inline bool
is_ordinary(struct bytes subject)
{
	return *subject.data != '_' && *subject.data != '$';
}

/* What may need an answer, or an error, before it is delivered: rare. */
static inline bool
is_plain(const struct client *c, const struct message *m)
{
	return (c->flags & (CLIENT_PEDANTIC | CLIENT_VERBOSE | CLIENT_REPEATS)) == 0 &&
	    !c->worker->traces && is_ordinary(m->subject) &&
	    (m->reply.len == 0 || is_ordinary(m->reply));
}

/* May m, whose line is l, be published as it is after this? */
static inline bool
session_may(struct client *c, const struct nats_line *l, struct message *m, struct bytes text)
{
	if (!is_plain(c, m))
		return session_answer(c, l, m, text);
	if ((c->flags & CLIENT_ENTERS) == 0)
		return true;
	return session_enter(c, m) && (is_ordinary(m->subject) || may_publish(c, m));
}

static void
message_init(struct message *m, const struct client *c)
{
	*m = (struct message){
		.account = c->account,
		.publisher = c->slot,
		.echo = (c->flags & CLIENT_ECHO) != 0,
	};
}

static inline void
message_set(struct message *m, const struct client *c, const struct nats_line *l, const char *body)
{
	m->subject = l->subject;
	m->reply = l->reply;
	m->size_text = l->size_text;
	m->body = (struct bytes){ body, l->size };
	m->header = l->op == NATS_HPUB ? l->header : 0;
	m->wants_503 = l->reply.len != 0 && (c->flags & CLIENT_503) != 0;
}

static inline void
session_count(struct worker *w, const struct message *m)
{
	w->in_msgs++;
	w->in_bytes += m->body.len;
}

static bool
payload_is_allowed(struct client *c, const struct nats_line *l)
{
	uint64_t	 most = limits_payload(c);

	if (l->size <= most)
		return true;
	if (most < c->worker->settings->max_payload)
		limits_over_payload(c);
	client_error(c, "maximum payload exceeded: %u vs %llu", l->size, (unsigned long long)most);
	session_error(c, "Maximum Payload Violation");
	client_close(c, CLOSE_MAX_PAYLOAD);
	return false;
}

/* May the message of this line come? Else the client was closed, or is not read for now. */
static bool
line_is_allowed(struct client *c, const struct nats_line *l)
{
	if (l->op == NATS_HPUB && (c->flags & CLIENT_HEADERS) == 0) {
		session_malformed(c, "message headers not supported");
		return false;
	}
	return payload_is_allowed(c, l) && limits_message(c);
}

void
session_look_payload(struct client *c)
{
	if (c->incoming != NULL)
		(void)payload_is_allowed(c, &c->incoming->line);
}

/* A message that is not whole: is what came of it plausible, and where does it go? Bytes done with. */
static size_t
session_partial(struct client *c, const struct nats_line *l, struct bytes text, struct bytes body)
{
	if (body.len > l->size && body.data[l->size] != '\r')
		session_unknown(c);
	else if (l->size >= INPUT_LARGE && input_expect(c, l, text, body))
		return text.len + body.len;
	return 0;
}

/*
 * The message of control line l, which is text; behind it are `len` bytes.
 * How many bytes are done with; 0: wait for more, or stopped or closed.
 */
static size_t
session_message(struct client *c, const struct nats_line *l, struct message *m,
    struct bytes text, size_t len)
{
	const char	*body = text.data + text.len;

	if ((l->op == NATS_HPUB || (int64_t)l->size > c->worker->unlooked) &&
	    !line_is_allowed(c, l))
		return 0;
	if (len < (size_t)l->size + 2)
		return session_partial(c, l, text, (struct bytes){ body, len });
	if (body[l->size] != '\r' || body[l->size + 1] != '\n') {
		session_unknown(c);
		return 0;
	}
	message_set(m, c, l, body);
	if (session_may(c, l, m, text)) {
		if (!session_publish(c, l, m))
			return 0;
	}
	c->flags &= ~(uint32_t)CLIENT_REPEATS;
	session_count(c->worker, m);
	return text.len + l->size + 2;
}

void
session_look_incoming(struct client *c)
{
	const struct incoming	*in = c->incoming;

	if (in->filled > in->line.size && in->block->data[in->line.size] != '\r')
		session_unknown(c);
}

void
session_incoming(struct client *c)
{
	const struct incoming	*in = c->incoming;
	const char		*body = in->block->data;
	struct message		 m;

	if (c->interrupt)
		return;
	if (body[in->line.size] != '\r' || body[in->line.size + 1] != '\n') {
		session_unknown(c);
		return;
	}
	message_init(&m, c);
	message_set(&m, c, &in->line, body);
	m.block = in->block;
	if (session_may(c, &in->line, &m, in->text_line)) {
		if (!session_publish(c, &in->line, &m))
			return;
	}
	c->flags &= ~(uint32_t)CLIENT_REPEATS;
	session_count(c->worker, &m);
	input_forget_message(c);
}

/* ---- subscriptions */

static void
subscribe_refused(struct client *c, const struct nats_line *l)
{
	char	 text[QUOTED], queue[QUOTED];

	subject_quote(text, sizeof(text), l->subject);
	if (l->queue.len == 0) {
		session_error(c, "Permissions Violation for Subscription to %s", text);
		client_error(c, "Subscription Violation - Subject %s, SID %.*s", text, (int)l->sid.len, l->sid.data);
		return;
	}
	subject_quote(queue, sizeof(queue), l->queue);
	session_error(c, "Permissions Violation for Subscription to %s using queue %s", text, queue);
	client_error(c, "Subscription Violation - Subject %s, Queue: %s, SID %.*s", text, queue,
	    (int)l->sid.len, l->sid.data);
}

/* By its permissions; *filtered: each message has to be looked at. */
static bool
is_permitted(struct client *c, const struct nats_line *l, bool *filtered)
{
	struct policy		*policy = c->identity == NULL ? NULL : c->identity->policy;
	enum policy_subscribes	 may = SUBSCRIBE_ALLOWED;

	if (bytes_equal(l->queue, BYTES("_sys_")))
		may = SUBSCRIBE_REFUSED;
	else if (policy != NULL)
		may = policy_subscribe(policy, l->subject, l->queue);
	*filtered = may == SUBSCRIBE_FILTERED;
	if (may == SUBSCRIBE_REFUSED)
		subscribe_refused(c, l);
	return may != SUBSCRIBE_REFUSED;
}

static bool
may_subscribe(struct client *c, const struct nats_line *l, bool *filtered)
{
	const struct settings	*s = c->worker->settings;
	char			 text[QUOTED];

	if (!is_permitted(c, l, filtered))
		return false;
	if (s->max_sub_tokens != 0 && subject_tokens(l->subject) > s->max_sub_tokens) {
		subject_quote(text, sizeof(text), l->subject);
		session_error(c, "Permissions Violation for Subscription to %s, too many tokens", text);
		client_error(c, "Subscription Violation Too Many Tokens - Subject %s", text);
		return false;
	}
	if (s->max_subscriptions != 0 && c->subscriptions >= s->max_subscriptions) {
		session_error(c, "maximum subscriptions exceeded");
		client_error(c, "maximum subscriptions exceeded");
		return false;
	}
	return true;
}

static void
session_no_space(struct client *c, int rc)
{
	client_error(c, "%s", rc == -ENOMEM ? "subscription refused: no memory" :
	    "subscription refused: this worker's part of the subject index is full; more `workers` hold more");
	session_error(c, "maximum subscriptions exceeded");
}

/* Has its account, or its user, room for one more? False: it was told, or this line comes again. */
static bool
subscription_fits(struct client *c)
{
	enum limits_answer	 answer = limits_subscribe(c);

	c->flags &= ~(uint32_t)CLIENT_REPEATS;
	if (answer == LIMITS_ASKED)
		c->flags |= CLIENT_REPEATS;
	else if (answer == LIMITS_REFUSED)
		session_error(c, "maximum subscriptions exceeded");
	else if (answer == LIMITS_FULL)
		session_error(c, "maximum memory exceeded");
	return answer == LIMITS_GRANTED;
}

static void
session_subscribe(struct client *c, const struct nats_line *l)
{
	struct worker	*w = c->worker;
	uint32_t	 slot;
	bool		 filtered;
	int		 rc;

	if (!may_subscribe(c, l, &filtered))
		return;
	if (sid_find(c, l->sid) != 0) {
		session_ok(c);
		return;
	}
	if (!subject_valid(l->subject)) {
		session_error(c, "Invalid Subject");
		return;
	}
	if (!subscription_fits(c))
		return;
	rc = broker_subscribe(w->broker, c->account, c->slot, l->subject, l->queue, &slot);
	if (rc == 0 && (rc = sid_add(c, slot, l->sid)) != 0) {
		w->unlisted = slot;
		broker_unsubscribe(w->broker, slot);
		w->unlisted = 0;
	}
	if (rc != 0)
		limits_unsubscribe(c);
	else if (filtered)
		broker_subscription(w->broker, slot)->flags |= SUBSCRIPTION_FILTERED;
	if (rc == -E2BIG)
		session_error(c, "Invalid Subject");
	else if (rc != 0)
		session_no_space(c, rc);
	else
		session_ok(c);
}

static void
session_unsubscribe(struct client *c, const struct nats_line *l)
{
	struct broker		*b = c->worker->broker;
	uint32_t		 slot = sid_find(c, l->sid);
	struct subscription	*sub;

	session_ok(c);
	if (slot == 0)
		return;
	sub = broker_subscription(b, slot);
	if (l->max > atomic_load_explicit(&sub->delivered, memory_order_relaxed))
		sub->max = l->max;
	else
		broker_unsubscribe(b, slot);
}

/* ---- CONNECT */

static void
connect_flag(struct client *c, uint32_t flag, bool on)
{
	if (on)
		c->flags |= flag;
	else
		c->flags &= ~flag;
}

static void
connect_take(struct client *c, const struct nats_connect *connect)
{
	bool	 headers = connect->headers && !c->worker->settings->no_header_support;

	connect_flag(c, CLIENT_VERBOSE, connect->verbose);
	connect_flag(c, CLIENT_PEDANTIC, connect->pedantic);
	connect_flag(c, CLIENT_ECHO, connect->echo);
	connect_flag(c, CLIENT_HEADERS, headers);
	connect_flag(c, CLIENT_503, connect->no_responders);
	connect_flag(c, CLIENT_INFO, connect->protocol >= 1);
}

/* What is wrong with it; NULL: nothing. */
static const char *
connect_refused(const struct client *c, const struct nats_connect *connect, enum close_reason *reason)
{
	if (connect->protocol < 0 || connect->protocol > 1) {
		*reason = CLOSE_VERSION;
		return "invalid client protocol";
	}
	if (connect->no_responders && (c->flags & CLIENT_HEADERS) == 0) {
		*reason = CLOSE_503_HEADERS;
		return "no responders requires headers support";
	}
	return NULL;
}

/* What an earlier CONNECT said holds where this one is silent. */
static void
connect_before(const struct client *c, struct nats_connect *connect)
{
	nats_connect_defaults(connect);
	connect->verbose = (c->flags & CLIENT_VERBOSE) != 0;
	connect->pedantic = (c->flags & CLIENT_PEDANTIC) != 0;
	connect->echo = (c->flags & CLIENT_ECHO) != 0;
	connect->headers = (c->flags & CLIENT_HEADERS) != 0;
	connect->no_responders = (c->flags & CLIENT_503) != 0;
	connect->protocol = (c->flags & CLIENT_INFO) != 0;
}

/* What is left of a CONNECT, or of what came in place of one, when it is known who says it. */
static void
connect_finish(struct client *c, const struct nats_connect *connect)
{
	enum close_reason	 reason;
	const char		*error;

	client_describe(c, connect);
	ping_soon(c);
	if ((error = connect_refused(c, connect, &reason)) == NULL) {
		session_ok(c);
		return;
	}
	client_error(c, "%s", error);
	session_error(c, "%s", error);
	client_close(c, reason);
}

void
session_admitted(struct client *c, const struct nats_connect *connect, bool drops)
{
	enum identity_kind	 kind;
	const char		*user;

	if (connect != NULL && connect->account_given) {
		kind = login_claims(connect, &user);
		login_refuse(c, AUTH_VIOLATION, kind, user);
		return;
	}
	c->flags |= CLIENT_CONNECTED;
	if (connect != NULL)
		connect_finish(c, connect);
	if ((c->flags & CLIENT_TOLD) == 0)
		events_came(c);		/* with what CONNECT says of it */
	if (c->state != CLIENT_OPEN)
		return;
	if (drops && c->first != 0)
		client_stop(c, CLIENT_DROPPING);
	else
		client_resume(c);
}

/* Does it claim to be somebody? A second CONNECT that does not is of who it is already. */
static bool
connect_claims(const struct nats_connect *connect)
{
	return connect->user != NULL || connect->pass != NULL || connect->auth_token != NULL ||
	    connect->nkey != NULL || connect->sig != NULL;
}

static void
session_connect(struct client *c, const struct nats_line *l, struct bytes text)
{
	struct nats_connect	 connect;
	bool			 again = (c->flags & CLIENT_CONNECTED) != 0, drops;
	int			 rc;

	if (log_traces())
		trace_line(c, l, text);
	connect_before(c, &connect);
	rc = nats_connect_parse(&connect, l->json);
	/* It lies in a buffer of ours, which others read into: its secrets do not stay there. */
	explicit_bzero((char *)(uintptr_t)l->json.data, l->json.len);
	if (rc != 0) {
		session_malformed(c, "CONNECT is not the JSON object that it has to be");
		return;
	}
	if (!again)
		ping_connected(c);
	connect_take(c, &connect);
	drops = again && client_drop(c, DROPS_AT_ONCE) == DROPS_AT_ONCE;
	if (c->identity != NULL && (!c->identity->in || connect_claims(&connect))) {
		if (drops)
			client_stop(c, CLIENT_DROPPING);
		login_ask(c, &connect, false);
		return;
	}
	session_admitted(c, &connect, drops);
	nats_connect_free(&connect);
}

/* ---- all lines but PUB and HPUB */

static void
session_info(struct client *c, const struct nats_line *l)
{
	if (nats_info_check(l->json) != 0)
		session_malformed(c, "INFO is not the JSON object that it has to be");
}

static void
session_ping(struct client *c)
{
	client_say(c, BYTES("PONG\r\n"));
	c->heard = ev_now(c->worker->loop);
	if ((c->flags & (CLIENT_CONNECTED | CLIENT_PONGED)) != CLIENT_CONNECTED)
		return;
	c->flags |= CLIENT_PONGED;
	if ((c->flags & CLIENT_INFO) != 0)
		client_say_info(c, INFO_CONNECT);
}

static void
session_line(struct client *c, const struct nats_line *l, struct bytes text)
{
	if (log_traces() && l->op != NATS_CONNECT && l->op < NATS_OK && (c->flags & CLIENT_REPEATS) == 0)
		trace_line(c, l, text);
	switch (l->op) {
	case NATS_CONNECT:
		session_connect(c, l, text);
		break;
	case NATS_SUB:
		session_subscribe(c, l);
		c->heard = ev_now(c->worker->loop);
		break;
	case NATS_UNSUB:
		session_unsubscribe(c, l);
		c->heard = ev_now(c->worker->loop);
		break;
	case NATS_PING:
		session_ping(c);
		break;
	case NATS_PONG:
		ping_answered(c);
		break;
	case NATS_INFO:
		session_info(c, l);
		break;
	case NATS_ERR:
		client_error(c, "Client Error");
		client_close(c, CLOSE_PARSE);
		break;
	case NATS_UNKNOWN:
		session_unknown(c);
		break;
	case NATS_TOO_LONG:
		session_error(c, "maximum control line exceeded");
		client_error(c, "maximum control line exceeded");
		client_close(c, CLOSE_MAX_CONTROL_LINE);
		break;
	case NATS_MALFORMED:
		session_malformed(c, l->why);
		break;
	case NATS_MORE: case NATS_PUB: case NATS_HPUB:	/* not here */
	case NATS_OK:					/* ignored */
		break;
	}
}

/* ---- the loop */

void
session_begin(struct client *c)
{
	struct worker	*w = c->worker;

	w->reading = c;
	w->in_msgs = w->in_bytes = 0;
	w->traces = log_traces();
	w->unlooked = limits_unlooked(c);
}

void
session_end(struct client *c)
{
	struct worker			*w = c->worker;
	struct connection_record	*r = client_record(c);

	w->reading = NULL;
	limits_end(c, w->in_msgs, w->in_bytes);
	atomic_store_explicit(&r->last, worker_microseconds(w), memory_order_relaxed);
	if (w->in_msgs > 0) {
		c->heard = ev_now(w->loop);
		counter_add(&r->in_msgs, w->in_msgs);
		counter_add(&r->in_bytes, w->in_bytes);
		counter_add(&w->head->in_msgs, w->in_msgs);
		counter_add(&w->head->in_bytes, w->in_bytes);
		broker_flush(w->broker);
	}
}

/* Where the cache misses, what the next messages need is fetched together. How far that looked. */
static size_t
session_look_ahead(struct client *c, const char *data, size_t len)
{
	struct bytes		 subjects[BROKER_EXPECTED];
	size_t			 at = 0, used, line_max = c->worker->settings->max_control_line;
	struct nats_line	 l;
	unsigned		 n;

	c->hint.missed = false;
	for (n = 0; n < BROKER_EXPECTED && at < len; n++) {
		used = nats_parse(data + at, len - at, line_max, &l);
		if (l.op != NATS_PUB && l.op != NATS_HPUB)
			break;
		subjects[n] = l.subject;
		at += used + l.size + 2;
	}
	broker_expect(c->worker->broker, c->account, subjects, n);
	return at;
}

/*
 * The first byte of a client that is not let in yet. Anything but CONNECT is
 * for no_auth_user, where there is one, to say. False: wait, or it is closed.
 */
static bool
session_may_begin(struct client *c, char first)
{
	const struct settings	*s = c->worker->settings;
	struct nats_connect	 connect;

	if (first == 'C' || first == 'c')
		return true;
	if (s->auth_required && !s->no_auth_user_given) {
		login_refuse(c, AUTH_VIOLATION, IDENTITY_NOBODY, NULL);
		return false;
	}
	nats_connect_defaults(&connect);
	login_ask(c, &connect, true);
	return false;
}

size_t
session_run(struct client *c, const char *data, size_t len)
{
	struct worker		*w = c->worker;
	size_t			 at = 0, used, line_max = w->settings->max_control_line, ahead = 0;
	uint64_t		 most = w->out_msgs + DELIVERIES_A_TURN;
	struct nats_line	 l;
	struct message		 m;

	if (len > 0 && c->identity != NULL && !c->identity->in && !session_may_begin(c, data[0]))
		return 0;
	message_init(&m, c);
	while (at < len && !c->interrupt) {
		if (c->hint.missed && at >= ahead)
			ahead = at + session_look_ahead(c, data + at, len - at);
		used = nats_parse(data + at, len - at, line_max, &l);
		if (l.op == NATS_PUB || l.op == NATS_HPUB) {
			used = session_message(c, &l, &m, (struct bytes){ data + at, used },
			    len - at - used);
			if (used == 0)
				break;
		} else if (l.op == NATS_MORE)
			break;
		else {
			session_line(c, &l, (struct bytes){ data + at, used });
			message_init(&m, c);	/* CONNECT changes it */
			if (c->stop == CLIENT_LEASE)
				break;		/* the line comes again */
		}
		at += used;
		if (c->allowance != 0)
			slow_allowance(c, used);
		if (w->out_msgs > most && !c->interrupt)
			client_stop(c, CLIENT_YIELDS);
	}
	return at;
}

#include <sys/socket.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/loop.h"
#include "nats/info.h"
#include "worker/client.h"
#include "worker/events.h"
#include "worker/identity.h"
#include "worker/input.h"
#include "worker/lame_duck.h"
#include "worker/limits.h"
#include "worker/login.h"
#include "worker/ping.h"
#include "worker/secure.h"
#include "worker/sids.h"
#include "worker/slow.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define DROPS_A_TURN	4096u	/* subscriptions of closing clients removed in one turn */

static const char *const reasons[] = {
	[CLOSE_CLIENT] = "Client Closed",
	[CLOSE_AUTHENTICATION] = "Authentication Failure",
	[CLOSE_SLOW_PENDING] = "Slow Consumer (Pending Bytes)",
	[CLOSE_SLOW_DEADLINE] = "Slow Consumer (Write Deadline)",
	[CLOSE_WRITE] = "Write Error",
	[CLOSE_READ] = "Read Error",
	[CLOSE_PARSE] = "Parse Error",
	[CLOSE_STALE] = "Stale Connection",
	[CLOSE_PROTOCOL] = "Protocol Violation",
	[CLOSE_VERSION] = "Bad Client Protocol Version",
	[CLOSE_MAX_CONNECTIONS] = "Maximum Connections Exceeded",
	[CLOSE_MAX_PAYLOAD] = "Maximum Message Payload Exceeded",
	[CLOSE_MAX_CONTROL_LINE] = "Maximum Control Line Exceeded",
	[CLOSE_SHUTDOWN] = "Server Shutdown",
	[CLOSE_503_HEADERS] = "No Responders Requires Headers",
	[CLOSE_MEMORY] = "Out Of Memory",
	[CLOSE_AUTHENTICATION_TIMEOUT] = "Authentication Timeout",
	[CLOSE_EXPIRED] = "Authentication Expired",
	[CLOSE_MAX_ACCOUNT_CONNECTIONS] = "Maximum Account Connections Exceeded",
	[CLOSE_KICKED] = "Kicked",
	[CLOSE_RATE] = "Maximum Message Rate Exceeded",
	[CLOSE_MAX_MEMORY] = "Maximum Memory Exceeded",
	[CLOSE_TLS] = "TLS Handshake Failure",
};

const char *
close_reason_text(enum close_reason reason)
{
	return reasons[reason];
}

struct connection_record *
client_record(const struct client *c)
{
	return &c->worker->records[c->slot];
}

/* ---- slots */

static int
slot_take(struct worker *w, uint32_t *slot)
{
	uint32_t	 room;
	void		*p;

	if (w->nfree > 0) {
		*slot = w->free_slots[--w->nfree];
		return 0;
	}
	if (w->top == TABLES_CONNECTIONS)
		return -ENOSPC;
	if (w->top == w->slots) {
		room = w->slots == 0 ? 64 : 2 * w->slots;
		if ((p = reallocarray(w->clients, room, sizeof(*w->clients))) == NULL)
			return -ENOMEM;
		w->clients = p;
		if ((p = reallocarray(w->free_slots, room, sizeof(*w->free_slots))) == NULL)
			return -ENOMEM;
		w->free_slots = p;
		w->slots = room;
	}
	*slot = w->top++;
	atomic_store_explicit(&w->head->connection_top, w->top, memory_order_relaxed);
	return 0;
}

static void
slot_give(struct worker *w, uint32_t slot)
{
	w->clients[slot] = NULL;
	w->free_slots[w->nfree++] = slot;
}

/* ---- the record: its strings and identity between two odd-even steps */

static void
record_begin(struct connection_record *r)
{
	uint32_t	 n = atomic_load_explicit(&r->sequence, memory_order_relaxed);

	atomic_store_explicit(&r->sequence, n | 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void
record_end(struct connection_record *r)
{
	uint32_t	 n = atomic_load_explicit(&r->sequence, memory_order_relaxed);

	atomic_store_explicit(&r->sequence, (n | 1) + 1, memory_order_release);
}

static void
record_text(char *to, size_t size, struct bytes text)
{
	size_t	 n = text.len < size - 1 ? text.len : size - 1;

	memcpy(to, text.data, n);
	memset(to + n, 0, size - n);
}

static void
record_new(struct client *c, const struct msg_connection *m)
{
	struct connection_record	*r = client_record(c);
	uint64_t			 now = worker_microseconds(c->worker);

	record_begin(r);
	memset((char *)r + sizeof(r->sequence), 0, sizeof(*r) - sizeof(r->sequence));
	r->account = c->account;
	r->port = (uint16_t)m->port;
	r->listener = (uint16_t)m->listener;
	record_text(r->host, sizeof(r->host), m->host);
	atomic_store_explicit(&r->start, now, memory_order_relaxed);
	atomic_store_explicit(&r->last, now, memory_order_relaxed);
	atomic_store_explicit(&r->cid, c->cid, memory_order_relaxed);
	record_end(r);
}

void
client_describe(struct client *c, const struct nats_connect *connect)
{
	struct connection_record	*r = client_record(c);

	record_begin(r);
	if (connect->name != NULL)
		record_text(r->name, sizeof(r->name), bytes_of(connect->name));
	if (connect->lang != NULL)
		record_text(r->lang, sizeof(r->lang), bytes_of(connect->lang));
	if (connect->version != NULL)
		record_text(r->version, sizeof(r->version), bytes_of(connect->version));
	record_end(r);
}

void
client_belongs(struct client *c, uint32_t account, const char *user)
{
	struct connection_record	*r = client_record(c);

	c->account = account;
	record_begin(r);
	r->account = account;
	record_text(r->user, sizeof(r->user), bytes_of(user == NULL ? "" : user));
	record_end(r);
}

void
client_secured(struct client *c, const struct secure_record *secure)
{
	struct connection_record	*r = client_record(c);

	record_begin(r);
	r->secure = 1;
	tables_secure(c->worker->part.tables.base)[c->slot] = *secure;
	record_end(r);
}

void
client_account(struct client *c)
{
	struct connection_record	*r = client_record(c);

	counter_add(&r->out_msgs, c->out.messages - c->out_recorded);
	counter_add(&r->out_bytes, c->out_bytes);
	c->out_recorded = c->out.messages;
	c->out_bytes = 0;
	atomic_store_explicit(&r->pending, c->out.pending, memory_order_relaxed);
	if (c->identity != NULL)
		limits_pending(c);
}

/* ---- life */

/* One cid more for `closed`, which is said at the end of the turn or when they are many. */
static void
closed_note(struct worker *w, uint64_t cid)
{
	w->closed[w->nclosed++] = cid;
	if (!closed_has_room(w))
		closed_tell(w);
}

static void
client_event(struct ev_loop *loop, ev_io *io, int events)
{
	struct client	*c = io->data;

	if (c->secure != NULL && c->secure->handshake != NULL) {
		secure_event(c, events);
		return;
	}
	if ((events & EV_WRITE) != 0)
		client_flush(c);
	if ((events & EV_READ) != 0 && c->io.fd != -1 && c->list != &c->worker->unread)
		input_read(c);
}

static struct client *
client_alloc(struct worker *w, const struct msg_connection *m, int fd)
{
	struct client	*c = calloc(1, sizeof(*c));
	uint32_t	 slot;
	int		 rc = c == NULL ? -ENOMEM : slot_take(w, &slot);

	if (rc != 0) {
		log_limited(LOG_ERROR, "refused connections", rc == -ENOSPC ?
		    "connection refused: this worker's table is full; more `workers` hold more" :
		    "connection refused: no memory; lower `max_connections`");
		free(c);
		return NULL;
	}
	c->worker = w;
	c->slot = slot;
	c->cid = m->cid;
	c->account = ACCOUNT_GLOBAL;
	c->peer_uid = m->peer_uid == NO_PEER ? UINT32_MAX : (uint32_t)m->peer_uid;
	c->peer_gid = m->peer_gid == NO_PEER ? UINT32_MAX : (uint32_t)m->peer_gid;
	c->refusal = (uint8_t)m->refuse;
	c->flags = CLIENT_VERBOSE | CLIENT_PEDANTIC | CLIENT_ECHO;
	ev_io_init(&c->io, client_event, fd, 0);
	c->io.data = c;
	ping_init(c);
	w->clients[slot] = c;
	w->open++;
	record_new(c, m);
	counter_add(&w->head->connections, 1);
	return c;
}

int
client_new(struct worker *w, const struct msg_connection *m, int fd)
{
	struct client	*c;

	if (w->nclosed == CLOSED_MOST) {
		close(fd);
		return -EPROTO;
	}
	w->taken = m->cid;
	if ((c = client_alloc(w, m, fd)) == NULL) {
		closed_note(w, m->cid);
		close(fd);
		return 0;
	}
	client_move(c, &w->fresh);
	client_debug(c, "Client connection created");
	return 0;
}

void
client_refuse(struct client *c, enum refusal why)
{
	static const char *const	 errors[] = {
		[REFUSE_MAX_CONNECTIONS] = "maximum connections exceeded",
		[REFUSE_PER_ADDRESS] = "maximum connections exceeded",
		[REFUSE_SHUTDOWN] = "server shutdown",
	};
	char				 text[64];

	if (why == REFUSE_KICKED) {
		client_close(c, CLOSE_KICKED);
		return;
	}
	client_error(c, "%s", errors[why]);
	snprintf(text, sizeof(text), "-ERR '%s'\r\n", errors[why]);
	client_say(c, bytes_of(text));
	client_close(c, CLOSE_MAX_CONNECTIONS);
}

void
client_open(struct client *c)
{
	client_move(c, NULL);
	c->state = CLIENT_OPEN;
	c->drained = ev_now(c->worker->loop);
	slow_mark(c);
	identity_flags(c);
	if (c->refusal == REFUSE_NOTHING &&
	    ((c->worker->settings->auth_asked && identity_new(c) != 0) || secure_new(c) != 0)) {
		client_close(c, CLOSE_MEMORY);
		return;
	}
	if (!secure_is_silent(c))
		client_say_info(c, INFO_FIRST);
	if (c->refusal != REFUSE_NOTHING)
		client_refuse(c, (enum refusal)c->refusal);
	else if (c->secure != NULL)
		secure_begin(c);
	else
		client_serve(c);
}

void
client_serve(struct client *c)
{
	if (c->state != CLIENT_OPEN)
		return;
	if (c->identity != NULL)
		identity_wait(c->identity);
	ping_begin(c);
	client_watch(c);
}

void
client_move(struct client *c, struct client_list *list)
{
	if (c->list != NULL)
		TAILQ_REMOVE(c->list, c, entry);
	if (list != NULL)
		TAILQ_INSERT_TAIL(list, c, entry);
	c->list = list;
}

void
client_watch(struct client *c)
{
	int	 events = 0;

	if (c->io.fd == -1)
		return;
	if ((c->flags & CLIENT_ENDED) == 0 && (c->state == CLIENT_CLOSING ||
	    (c->state == CLIENT_OPEN && c->stop == CLIENT_READS)))
		events |= EV_READ;
	if ((c->flags & CLIENT_WRITES) != 0 ||
	    (c->state == CLIENT_CLOSING && c->out.pending > 0))
		events |= EV_WRITE;
	events |= secure_events(c);
	if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->worker->loop, &c->io);
	ev_io_set(&c->io, c->io.fd, events);
	if (events != 0)
		ev_io_start(c->worker->loop, &c->io);
}

/* Off the list of those that wait for what it waits for. */
static void
client_unlist(struct client *c)
{
	struct worker	*w = c->worker;

	if (c->list == &w->paced.waiting)
		deadline_end(&w->paced, c);
	else if (c->list == &w->settling.waiting)
		deadline_end(&w->settling, c);
	else
		client_move(c, NULL);
}

void
client_stop(struct client *c, enum client_stop why)
{
	struct worker	*w = c->worker;

	c->stop = (uint8_t)why;
	c->interrupt = true;
	switch (why) {
	case CLIENT_BLOCKED:
		client_move(c, &w->blocked);
		break;
	case CLIENT_PACED:
		deadline_begin(&w->paced, c);
		break;
	case CLIENT_SETTLES:
		deadline_begin(&w->settling, c);
		break;
	case CLIENT_DROPPING:
		client_move(c, &w->dropping);
		break;
	case CLIENT_YIELDS:
		client_move(c, &w->yielding);
		break;
	case CLIENT_ASKS:
		client_unlist(c);
		break;
	case CLIENT_LEASE: case CLIENT_RATED: case CLIENT_WAITS:	/* onto a list of its account's */
	case CLIENT_READS: case CLIENT_SHAKES:
		break;
	}
	client_watch(c);
}

void
client_resume(struct client *c)
{
	if (c->state != CLIENT_OPEN || c->stop == CLIENT_READS)
		return;
	if ((c->flags & CLIENT_PACE) != 0 && c->allowance == 0) {
		client_stop(c, CLIENT_PACED);	/* it was said while it waited for something else */
		return;
	}
	client_unlist(c);
	c->stop = CLIENT_READS;
	c->interrupt = false;
	client_watch(c);
	input_resume(c);
	secure_look(c);
}

unsigned
client_drop(struct client *c, unsigned most)
{
	unsigned	 n = 0;

	for (; n < most && c->first != 0; n++)
		broker_unsubscribe(c->worker->broker, c->first);
	return n;
}

void
client_say(struct client *c, struct bytes line)
{
	if (c->state != CLIENT_OPEN || secure_is_mute(c))
		return;
	if (log_traces())
		trace_said(c, line);
	if (!output_bytes(&c->worker->pool, &c->out, line.data, line.len)) {
		client_close(c, CLOSE_MEMORY);
		return;
	}
	if (c->out.pending > c->worker->settings->max_pending)
		slow_cut(c, NULL, CLOSE_SLOW_PENDING);
	client_touch(c);
}

void
client_say_info(struct client *c, enum info_kind kind)
{
	struct worker		*w = c->worker;
	const struct settings	*s = w->settings;
	struct nats_info	 info = { 0 };
	char			*line, nonce[NONCE_ROOM];
	size_t			 len;

	info.server_id = s->server_id;
	info.server_name = s->server_name[0] != '\0' ? s->server_name : s->server_id;
	info.host = w->advertised.host != NULL ? w->advertised.host : s->host;
	info.port = w->advertised.port;
	info.headers = !s->no_header_support;
	info.max_payload = (uint32_t)limits_payload(c);
	info.client_id = c->cid;
	info.client_ip = client_record(c)->host;
	secure_describe(c, &info);
	info.lame_duck = w->lame_duck != NULL || kind == INFO_LAME_DUCK;
	/* As in the 2.x server, where only the first one says what no_auth_user makes of it. */
	info.auth_required = s->auth_required || (s->no_auth_user_given && kind != INFO_FIRST);
	if (kind == INFO_FIRST && c->identity != NULL && nonce_take(w, &c->identity->nonce, nonce))
		info.nonce = nonce;
	if (kind == INFO_CONNECT) {
		info.connect_info = true;
		info.remote_account = account_name(w, c->account);
		info.account_is_system = c->account == ACCOUNT_SYSTEM;
	}
	if ((line = nats_info_line_as(&w->info_forms[kind == INFO_CONNECT], &info, &len)) == NULL) {
		client_close(c, CLOSE_MEMORY);
		return;
	}
	client_say(c, (struct bytes){ line, len });
	free(line);
}

/* ---- writing */

void
client_hang_up(struct client *c)
{
	struct worker	*w = c->worker;

	if (c->io.fd == -1)
		return;
	ev_io_stop(w->loop, &c->io);
	loop_forget(w->loop, c->io.fd);	/* the supervisor may not have closed its copy yet */
	close(c->io.fd);
	c->io.fd = -1;
	secure_free(c);
	output_clear(&w->pool, &c->out);
	limits_pending(c);
	deadline_end(&w->lingering, c);
	client_move(c, &w->closing);
}

/* Closing: when what waited is out, our end is shut down and its end awaited. */
static void
client_farewell(struct client *c)
{
	if (c->out.pending == 0 && secure_unsent(c) == 0 && (c->flags & CLIENT_SHUT) == 0) {
		c->flags |= CLIENT_SHUT;
		secure_close(c);
		if ((c->flags & CLIENT_ENDED) != 0 || c->worker->stopping ||
		    shutdown(c->io.fd, SHUT_WR) == -1) {
			client_hang_up(c);
			return;
		}
	}
	client_watch(c);
}

/* Its socket took something, or nothing was left to take. */
static void
client_drained(struct client *c)
{
	struct worker	*w = c->worker;

	c->drained = ev_now(w->loop);
	if ((c->flags & CLIENT_SLOW) != 0 && c->out.pending < w->slow_limit) {
		c->flags &= ~(uint32_t)CLIENT_SLOW;
		w->caught_up = true;
	}
}

void
client_flush(struct client *c)
{
	struct worker	*w = c->worker;
	size_t		 sent;
	int		 rc;

	if (c->io.fd == -1)
		return;
	rc = output_send(&w->pool, &c->out, c->io.fd, c->secure == NULL ? NULL : c->secure->stream, &sent);
	c->tried = ev_now(w->loop);
	if (sent > 0)
		client_drained(c);
	if (c->state == CLIENT_CLOSING) {
		if (rc != 0 && rc != -EAGAIN)
			client_hang_up(c);
		else
			client_farewell(c);
		return;
	}
	if (rc == 0) {
		deadline_end(&w->writing, c);
		slow_recovered(c);
	} else if (rc != -EAGAIN) {
		client_close(c, CLOSE_WRITE);
		return;
	} else
		slow_wrote(c, sent);
	slow_mark(c);
	client_account(c);
	client_watch(c);
}

void
clients_flush_heavy(struct worker *w)
{
	struct client	*c;

	while ((c = w->heavy) != NULL) {
		w->heavy = c->next_heavy;
		c->flags &= ~(uint32_t)CLIENT_HEAVY;
		if (c->state == CLIENT_OPEN)
			client_flush(c);
	}
}

/* ---- the end */

static bool
reason_is_abrupt(enum close_reason reason)
{
	return reason == CLOSE_WRITE || reason == CLOSE_READ || reason == CLOSE_SLOW_PENDING ||
	    reason == CLOSE_SLOW_DEADLINE || reason == CLOSE_MEMORY;
}

void
client_close(struct client *c, enum close_reason reason)
{
	struct worker	*w = c->worker;

	if (c->state == CLIENT_CLOSING)
		return;
	client_debug(c, "Client connection closed: %s", reasons[reason]);
	client_unlist(c);
	deadline_end(&w->writing, c);
	c->state = CLIENT_CLOSING;
	c->interrupt = true;
	c->reason = (uint8_t)reason;
	c->mark = 0;
	c->flags &= ~(uint32_t)CLIENT_CHECKED;	/* deliver_slowly() refuses it */
	identity_rest(c->identity);
	secure_rest(c);
	if (reason_is_abrupt(reason))
		c->flags |= CLIENT_SHUT;	/* no last words */
	if ((c->flags & CLIENT_SLOW) != 0)
		w->caught_up = true;		/* nobody is paced for it any more */
	ping_end(c);
	client_move(c, &w->closing);
	client_account(c);
	counter_add(&w->head->connections, (uint64_t)-1);
}

static void
client_forget(struct client *c)
{
	struct worker	*w = c->worker;

	client_move(c, NULL);
	output_clear(&w->pool, &c->out);
	input_free(c);
	sids_forget(c);
	limits_leave(c);
	identity_free(c->identity);
	secure_free(c);
	closed_note(w, c->cid);
	slot_give(w, c->slot);
	w->open--;
	free(c);
}

/* One closing client: its last words first, then its subscriptions. */
static unsigned
client_reap(struct client *c, unsigned most)
{
	struct worker	*w = c->worker;
	unsigned	 n;

	if ((c->flags & CLIENT_FAREWELL) == 0) {
		c->flags |= CLIENT_FAREWELL;
		login_end(c);
		/* it is counted no more when system hears of it */
		atomic_store_explicit(&client_record(c)->cid, 0, memory_order_relaxed);
		events_left(c);
		input_free(c);
		if ((c->flags & CLIENT_SHUT) != 0)
			client_hang_up(c);
		else
			client_flush(c);
	}
	n = client_drop(c, most);
	if (c->first != 0)
		return n;
	if (c->io.fd != -1)
		deadline_begin(&w->lingering, c);
	else if (closed_has_room(w))
		client_forget(c);
	else
		client_move(c, &w->ended);
	return n;
}

bool
clients_reap(struct worker *w)
{
	unsigned	 left = DROPS_A_TURN;
	struct client	*c, *next;

	/* Those that hang up meanwhile go to its end; client_reap() frees no other. */
	TAILQ_FOREACH_SAFE(c, &w->closing, entry, next) {
		left -= client_reap(c, left);
		if (left == 0)
			break;
	}
	while (left > 0 && (c = TAILQ_FIRST(&w->dropping)) != NULL) {
		left -= client_drop(c, left);
		if (c->first == 0)
			client_resume(c);
	}
	return !TAILQ_EMPTY(&w->closing) || !TAILQ_EMPTY(&w->dropping);
}

void
clients_free(struct worker *w)
{
	struct client	*c;

	for (uint32_t i = 0; i < w->top; i++) {
		if ((c = w->clients[i]) == NULL)
			continue;
		client_close(c, CLOSE_SHUTDOWN);
		client_hang_up(c);
		client_move(c, NULL);
		input_free(c);
		sids_forget(c);
		login_end(c);
		limits_leave(c);
		identity_free(c->identity);
		free(c);
	}
}

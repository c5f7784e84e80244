/* Who is connected: CONNZ. */
#include <stdlib.h>
#include <strings.h>
#include "admin/system/object.h"
#include "admin/system/reports.h"
#include "admin/system/times.h"
#include "nats/subject.h"

#define SUBSCRIPTIONS_MOST	65536u	/* that are looked at for a filter of one connection */

const struct option options_connz[] = {
	{ "sort", "sort", OPTION_TEXT }, { "auth", "auth", OPTION_BOOLEAN },
	{ "subscriptions", "subs", OPTION_SUBSCRIPTIONS }, { "subscriptions_detail", NULL, OPTION_BOOLEAN },
	{ "offset", "offset", OPTION_NUMBER }, { "limit", "limit", OPTION_NUMBER },
	{ "cid", "cid", OPTION_NUMBER }, { "mqtt_client", "mqtt_client", OPTION_TEXT },
	{ "state", "state", OPTION_STATE }, { "user", "user", OPTION_TEXT }, { "acc", "acc", OPTION_TEXT },
	{ "filter_subject", "filter_subject", OPTION_TEXT }, { NULL, NULL, OPTION_TEXT },
};

enum state { STATE_OPEN, STATE_CLOSED, STATE_ALL, STATE_UNKNOWN };

/* One connection that is to be listed. Those that are closed are of no worker. */
#define WORKER_NONE	PARTICIPANTS
struct row { uint64_t key, cid; uint32_t slot; unsigned worker; };

struct connz {
	struct reporter	*r;
	const json_t	*options;
	enum state	 state;
	uint32_t	 account;		/* 0: all */
	struct bytes	 user, subject;		/* len 0: any */
	uint64_t	 cid;			/* 0: any */
	uint64_t	(*key)(const struct connection *c, uint64_t now);
	bool		 descending, auth, subscriptions, detail;
	uint64_t	 offset, limit, now;
	struct row	*rows;
	size_t		 count, room, most;
	uint64_t	 total;
	size_t		 named;			/* bytes of subscriptions so far */
};

/* ---- order */

#define KEY(name, expression)						\
	static uint64_t							\
	key_##name(const struct connection *c, uint64_t now)		\
	{								\
		return (expression);					\
	}
KEY(cid, c->cid)
KEY(subs, c->subscriptions)
KEY(pending, c->pending)
KEY(msgs_to, c->out_msgs)
KEY(msgs_from, c->in_msgs)
KEY(bytes_to, c->out_bytes)
KEY(bytes_from, c->in_bytes)
KEY(last, c->last)
KEY(idle, now - c->last)
KEY(uptime, (c->stop != 0 ? c->stop : now) - c->start)
KEY(stop, c->stop)
KEY(rtt, c->rtt)

/* The first eight letters put reasons in order. */
static uint64_t
key_reason(const struct connection *c, uint64_t now)
{
	uint64_t	key = 0;
	size_t		i;

	for (i = 0; i < 8; i++)
		key = key << 8 | (unsigned char)c->reason[i];
	return key;
}

static const struct {
	const char	*name;
	uint64_t	(*key)(const struct connection *c, uint64_t now);
	bool		 descending, closed;	/* closed: of those only */
} sorts[] = {
	{ "", key_cid, false, false }, { "cid", key_cid, false, false }, { "start", key_cid, false, false },
	{ "subs", key_subs, true, false }, { "pending", key_pending, true, false },
	{ "msgs_to", key_msgs_to, true, false }, { "msgs_from", key_msgs_from, true, false },
	{ "bytes_to", key_bytes_to, true, false }, { "bytes_from", key_bytes_from, true, false },
	{ "last", key_last, true, false }, { "idle", key_idle, true, false },
	{ "uptime", key_uptime, false, false }, { "rtt", key_rtt, true, false },
	{ "stop", key_stop, true, true }, { "reason", key_reason, false, true },
};

static int
row_compare(const void *a, const void *b)
{
	const struct row	*x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->cid < y->cid ? -1 : x->cid > y->cid;
}

/* ---- what was asked for */

static bool
sort_read(struct connz *z, struct refused *refused)
{
	struct bytes	sort = option_text(z->options, "sort");
	size_t		i;

	for (i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++)
		if (bytes_equal(sort, bytes_of(sorts[i].name)))
			break;
	if (i == sizeof(sorts) / sizeof(sorts[0])) {
		report_refuse(refused, 400, "invalid sorting option: %.*s", (int)sort.len, sort.data);
		return false;
	}
	if (sorts[i].closed && z->state != STATE_CLOSED) {
		report_refuse(refused, 400, "sort by %s only valid on closed connections", sorts[i].name);
		return false;
	}
	z->key = sorts[i].key;
	z->descending = sorts[i].descending;
	return true;
}

static bool
connz_read(struct connz *z, struct refused *refused)
{
	int64_t	state = option_number(z->options, "state", STATE_OPEN);
	int64_t	cid = option_number(z->options, "cid", 0);

	z->state = state < 0 || state > STATE_ALL ? STATE_UNKNOWN : (enum state)state;
	z->auth = option_is(z->options, "auth");
	z->detail = option_is(z->options, "subscriptions_detail");
	z->subscriptions = z->detail || option_is(z->options, "subscriptions");
	z->user = option_text(z->options, "user");
	z->subject = option_text(z->options, "filter_subject");
	z->cid = cid < 0 ? UINT64_MAX : (uint64_t)cid;
	z->now = times_now();
	report_window(z->options, &z->offset, &z->limit);
	if (z->cid != 0)
		z->limit = 1;
	if (z->subject.len > 0 && option_text(z->options, "acc").len == 0) {
		report_refuse(refused, 400, "filter by subject only valid with account filtering");
		return false;
	}
	if (z->subject.len > 0 && !subject_valid(z->subject)) {
		report_refuse(refused, 400, "invalid filter subject");
		return false;
	}
	return sort_read(z, refused);
}

/* ---- who is meant */

/* Has it a subscription that gets what is published on what is asked for? The walk is as long as it says it is. */
static bool
subject_fits(struct connz *z, unsigned worker, const struct connection *c)
{
	static struct index_interest	interest;
	struct subscription		sub;
	uint32_t			slot = c->first, left = c->subscriptions;

	if (left > SUBSCRIPTIONS_MOST)
		left = SUBSCRIPTIONS_MOST;
	for (; left > 0 && subscription_read(&z->r->view, worker, slot, &sub); left--, slot = sub.conn_next)
		if (subscription_interest(z->r, worker, sub.record, &interest) &&
		    subject_valid(interest.subject) && subject_overlaps(z->subject, interest.subject))
			return true;
	return false;
}

/* 0 or -1: no memory. */
static int
row_add(struct connz *z, const struct connection *c, unsigned worker, uint32_t slot)
{
	size_t		 room = z->room == 0 ? 256 : z->room * 2;
	struct row	*grown;
	uint64_t	 key;

	if (z->account != 0 && c->account != z->account)
		return 0;
	if (z->subject.len > 0 && (worker == WORKER_NONE || !subject_fits(z, worker, c)))
		return 0;
	z->total++;
	if ((z->cid != 0 && c->cid != z->cid) || (z->user.len > 0 && !bytes_equal(z->user, bytes_of(c->user))))
		return 0;
	if (z->count == z->most)
		return 0;
	if (z->count == z->room) {
		grown = reallocarray(z->rows, room, sizeof(*grown));
		if (grown == NULL)
			return -1;
		z->rows = grown;
		z->room = room;
	}
	key = z->key(c, z->now);
	z->rows[z->count++] = (struct row){ z->descending ? ~key : key, c->cid, slot, worker };
	return 0;
}

/* No worker can make us list more connections than the supervisor has counted, or thereabouts. */
static int
rows_gather(struct connz *z)
{
	const struct view	*v = &z->r->view;
	const struct directory	*d = v->directory.base;
	struct connection	 c;
	uint32_t		 i, top;
	unsigned		 worker;

	z->most = CLOSED_KEPT + 4096 + (d == NULL ? 0 :
	    (size_t)atomic_load_explicit(&d->connections, memory_order_relaxed));
	for (worker = 0; worker < PARTICIPANTS && z->state != STATE_CLOSED; worker++)
		for (i = 0, top = connection_top(v, worker); i < top; i++)
			if (connection_read(v, worker, i, &c) && row_add(z, &c, worker, i) != 0)
				return -1;
	for (i = 0, top = closed_count(&z->r->closed); i < top && z->state != STATE_OPEN; i++)
		if (row_add(z, &z->r->closed.ring[i], WORKER_NONE, i) != 0)
			return -1;
	qsort(z->rows, z->count, sizeof(*z->rows), row_compare);
	return 0;
}

/* ---- what is said of each */

static void
subscriptions_put(struct connz *z, struct object *o, unsigned worker, const struct connection *c)
{
	static struct index_interest	interest;
	struct subscription		sub;
	struct object			one;
	json_t				*list = json_array();
	uint32_t			slot = c->first, left = c->subscriptions;

	for (; left > 0 && z->named < REPORT_TEXTS && subscription_read(&z->r->view, worker, slot, &sub);
	    left--, slot = sub.conn_next) {
		z->named += REPORT_TEXT;
		if (!subscription_interest(z->r, worker, sub.record, &interest))
			continue;
		z->named += interest.subject.len;
		if (!z->detail) {
			o->failed |= json_array_append_new(list, text_json(interest.subject)) != 0;
			continue;
		}
		one = OBJECT();
		subscription_put(&one, z->r, worker, &sub, &interest, false);
		put_last(o, list, &one);
	}
	if (json_array_size(list) > 0)
		put(o, z->detail ? "subscriptions_list_detail" : "subscriptions_list", json_incref(list));
	json_decref(list);
}

static uint64_t
seconds(uint64_t from, uint64_t to)
{
	return to > from ? (to - from) / 1000000 : 0;
}

static void
connection_put_times(struct object *o, const struct connection *c, uint64_t now)
{
	uint64_t	end = c->stop != 0 ? c->stop : now;
	char		text[TIMES_TEXT];

	put_time(o, "start", c->start);
	put_time(o, "last_activity", c->last);
	if (c->stop != 0) {
		put_time(o, "stop", c->stop);
		put_text(o, "reason", c->reason);
	}
	if (c->rtt != 0)
		put_text(o, "rtt", times_duration(text, c->rtt));
	put_text(o, "uptime", times_uptime(text, seconds(c->start, end)));
	put_text(o, "idle", times_uptime(text, seconds(c->last, end)));
}

static const char *
hex(char text[65], const unsigned char digest[32])
{
	for (size_t i = 0; i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return text;
}

/* Its TLS. Of the certificates that it showed the first is known, its own. */
static void
secure_put(struct connz *z, struct object *o, const struct row *row, const struct connection *c)
{
	struct secure_record	 s;
	struct object		 one = OBJECT();
	json_t			*list;
	char			 text[65];

	put_text(o, "tls_version", c->tls_version);
	put_text(o, "tls_cipher_suite", c->tls_cipher);
	if (z->auth && row->worker != WORKER_NONE &&
	    connection_certificate(&z->r->view, row->worker, row->slot, c, &s)) {
		list = json_array();
		put_bytes_any(&one, "subject", bytes_of(s.subject));
		put_text(&one, "spki_sha256", hex(text, s.key));
		put_text(&one, "cert_sha256", hex(text, s.certificate));
		put_last(o, list, &one);
		put(o, "tls_peer_certs", list);
	} else
		json_decref(one.json);
	if (c->tls_first)
		put(o, "tls_first", json_true());
}

static void
connection_put(struct connz *z, struct object *o, const struct row *row, const struct connection *c)
{
	put_number(o, "cid", c->cid);
	put_text(o, "kind", "Client");
	put_text(o, "type", "nats");
	put_text(o, "ip", c->host);
	put_number(o, "port", c->port);
	connection_put_times(o, c, z->now);
	put_number(o, "pending_bytes", c->pending);
	put_number(o, "in_msgs", c->in_msgs);
	put_number(o, "out_msgs", c->out_msgs);
	put_number(o, "in_bytes", c->in_bytes);
	put_number(o, "out_bytes", c->out_bytes);
	put_number(o, "subscriptions", c->subscriptions);
	put_bytes_any(o, "name", bytes_of(c->name));
	put_bytes_any(o, "lang", bytes_of(c->lang));
	put_bytes_any(o, "version", bytes_of(c->version));
	if (c->secure)
		secure_put(z, o, row, c);
	if (z->auth) {
		put_bytes_any(o, "authorized_user", bytes_of(c->user));
		put_bytes_any(o, "account", account_title(z->r, c->account));
	}
	if (z->subscriptions && row->worker != WORKER_NONE)
		subscriptions_put(z, o, row->worker, c);
	if (z->auth)
		put_bytes_any(o, "name_tag", account_title(z->r, c->account));
}

static void
rows_put(struct connz *z, struct object *o)
{
	json_t			*list = json_array();
	struct connection	 c;
	struct object		 one;
	const struct row	*row;
	uint64_t		 i, end = z->count;

	if (z->offset < end && z->limit < end - z->offset)
		end = z->offset + z->limit;
	for (i = z->offset; i < end; i++) {
		row = &z->rows[i];
		if (row->worker == WORKER_NONE)
			c = z->r->closed.ring[row->slot];
		else if (!connection_read(&z->r->view, row->worker, row->slot, &c) || c.cid != row->cid)
			continue;
		one = OBJECT();
		connection_put(z, &one, row, &c);
		put_last(o, list, &one);
	}
	put_number(o, "num_connections", json_array_size(list));
	put_number(o, "total", z->total);
	put_number(o, "offset", z->offset);
	put_number(o, "limit", z->limit);
	put(o, "connections", list);
}

/* As of an account that nobody knows. */
static json_t *
connz_nobody(const struct connz *z)
{
	struct object	o = OBJECT();

	put_text(&o, "server_id", "");
	put_time(&o, "now", z->now);
	put_number(&o, "num_connections", 0);
	put_number(&o, "total", 0);
	put_number(&o, "offset", z->offset);
	put_number(&o, "limit", z->limit);
	put(&o, "connections", json_null());
	return object_json(&o);
}

json_t *
connz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	struct connz	 z = { .r = r, .options = options };
	struct object	 o = OBJECT();
	struct bytes	 account = option_text(options, "acc");
	json_t		*json = NULL;

	if (!connz_read(&z, refused))
		goto out;
	if (account.len > 0 && (z.account = account_titled(r, account)) == 0) {
		json = connz_nobody(&z);
		goto out;
	}
	if (option_text(options, "mqtt_client").len > 0)
		z.cid = UINT64_MAX;		/* there are none of these */
	if (z.state != STATE_UNKNOWN && rows_gather(&z) != 0)
		goto out;
	put_text(&o, "server_id", r->settings->server_id);
	put_time(&o, "now", z.now);
	rows_put(&z, &o);
	json = json_incref(o.json);
	if (o.failed) {
		json_decref(json);
		json = NULL;
	}
 out:
	json_decref(o.json);
	free(z.rows);
	return json;
}

/*
 * What is asked in the system account. A request is only noted when it comes,
 * and answered in a turn of its own: the lanes never wait for us. Who asks has a
 * queue, and these take turns; what is too much is taken from the longest, and
 * gets no answer. So a flood costs those who make it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "admin/system/filter.h"
#include "admin/system/system.h"
#include "admin/system/times.h"
#include "common/log.h"
#include "shm/hash.h"

#define TOO_MANY	"too many requests in the system account: some are not answered"

struct request {
	TAILQ_ENTRY(request)	 entry;
	uint32_t		 cost;
	struct bytes		 subject, body;	/* in text */
	char			*reply;		/* likewise, with a NUL; empty: nobody wants an answer */
	char			 text[];
};

/* One that did not go out: a lane is full. */
struct answer {
	TAILQ_ENTRY(answer)	 entry;
	char			*text, *to;
};

/* What follows prefix; false: it does not begin so. */
static bool
behind(struct bytes subject, struct bytes prefix, struct bytes *rest)
{
	if (subject.len < prefix.len || memcmp(subject.data, prefix.data, prefix.len) != 0)
		return false;
	*rest = (struct bytes){ subject.data + prefix.len, subject.len - prefix.len };
	return true;
}

/* ---- the queues */

void
inbox_init(struct inbox *q)
{
	unsigned	i;

	for (i = 0; i < ASKERS; i++)
		TAILQ_INIT(&q->askers[i].waiting);
	TAILQ_INIT(&q->answers);
}

static void
request_take(struct inbox *q, struct asker *a, struct request *r)
{
	TAILQ_REMOVE(&a->waiting, r, entry);
	a->bytes -= r->cost;
	q->bytes -= r->cost;
}

static void
answer_free(struct inbox *q, struct answer *a)
{
	TAILQ_REMOVE(&q->answers, a, entry);
	q->held -= strlen(a->text);
	free(a->text);
	free(a->to);
	free(a);
}

void
inbox_free(struct inbox *q)
{
	struct request	*r;
	unsigned	 i;

	for (i = 0; i < ASKERS; i++)
		while ((r = TAILQ_FIRST(&q->askers[i].waiting)) != NULL) {
			request_take(q, &q->askers[i], r);
			free(r);
		}
	while (!TAILQ_EMPTY(&q->answers))
		answer_free(q, TAILQ_FIRST(&q->answers));
	while (q->nreloads > 0)
		free(q->reloads[--q->nreloads]);
}

/*
 * The queue of who asks. Replies to other accounts are in _R_, and then the subject
 * has the account; those to one client differ in their last token, as a rule.
 */
static struct asker *
asker_of(struct system *s, const struct message *m)
{
	struct bytes	 who = m->reply, token;
	const char	*dot;

	if (behind(m->reply, BYTES("_R_."), &token))
		who = m->subject;
	else if (who.len > 0 && (dot = memrchr(who.data, '.', who.len)) != NULL)
		who.len = (size_t)(dot - who.data);
	return &s->inbox.askers[hash_bytes(s->bus.part.secret, who) % ASKERS];
}

/* Room for so much more in the queue of `asker`. False: it is the longest, so nobody else makes room for it. */
static bool
request_room(struct inbox *q, const struct asker *asker, uint32_t cost)
{
	struct asker	*a, *longest;
	struct request	*last;

	while (cost > REQUESTS_BYTES - q->bytes) {
		longest = &q->askers[0];
		for (a = longest + 1; a < q->askers + ASKERS; a++)
			if (a->bytes > longest->bytes)
				longest = a;
		if (longest->bytes < asker->bytes + cost)
			return false;
		last = TAILQ_LAST(&longest->waiting, request_list);
		request_take(q, longest, last);
		free(last);
		log_limited(LOG_WARN, "requests", "%s", TOO_MANY);
	}
	return true;
}

void
inbox_add(struct system *s, const struct message *m)
{
	struct inbox	*q = &s->inbox;
	struct bytes	 body = { m->body.data + m->header, m->body.len - m->header };
	size_t		 size = m->subject.len + body.len + m->reply.len + 1;
	struct asker	*a = asker_of(s, m);
	struct request	*r = NULL;

	if (size <= REQUESTS_BYTES - REQUEST_COST && request_room(q, a, (uint32_t)size + REQUEST_COST))
		r = malloc(sizeof(*r) + size);
	if (r == NULL) {
		log_limited(LOG_WARN, "requests", "%s", TOO_MANY);
		return;
	}
	r->cost = (uint32_t)size + REQUEST_COST;
	r->subject = (struct bytes){ memcpy(r->text, m->subject.data, m->subject.len), m->subject.len };
	r->body = (struct bytes){ r->text + m->subject.len, body.len };
	memcpy(r->text + m->subject.len, body.data, body.len);
	r->reply = r->text + m->subject.len + body.len;
	memcpy(r->reply, m->reply.data, m->reply.len);
	r->reply[m->reply.len] = '\0';
	TAILQ_INSERT_TAIL(&a->waiting, r, entry);
	a->bytes += r->cost;
	q->bytes += r->cost;
}

/* ---- answers */

/* Takes text. What a full lane does not take now is kept, and others are answered meanwhile. */
static void
answer_text(struct system *s, const char *to, char *text)
{
	struct inbox	*q = &s->inbox;
	struct answer	*a;

	if (text == NULL || *to == '\0' || bus_publish(s, ACCOUNT_SYSTEM, to, bytes_of(text)) == 0 ||
	    (a = malloc(sizeof(*a))) == NULL) {
		free(text);
		return;
	}
	*a = (struct answer){ .text = text, .to = strdup(to) };
	TAILQ_INSERT_TAIL(&q->answers, a, entry);
	q->held += strlen(text);
	if (a->to == NULL)
		answer_free(q, a);
}

/* A lane that was full has space. */
static void
answers_again(struct system *s)
{
	struct answer	*a, *next;

	TAILQ_FOREACH_SAFE(a, &s->inbox.answers, entry, next)
		if (bus_publish(s, ACCOUNT_SYSTEM, a->to, bytes_of(a->text)) == 0)
			answer_free(&s->inbox, a);
}

static void
put_error(struct object *o, unsigned code, const char *description)
{
	struct object	error = OBJECT();

	put_number(&error, "code", code);
	put_text(&error, "description", description);
	put_object(o, "error", &error);
}

/* {"server": } and, if there is one, the error. */
static void
answer_plain(struct system *s, const char *to, const char *error, unsigned code)
{
	struct object	o = OBJECT();

	server_put(&o, s);
	if (error != NULL)
		put_error(&o, code, error);
	answer_text(s, to, object_text(&o));
}

/* data is consumed; NULL: error says why. */
static void
answer_data(struct system *s, const char *to, json_t *data, const char *error)
{
	struct object	 o = OBJECT();
	char		*text;
	uint64_t	 most = s->child.settings.max_payload;

	if (most < PARTICIPANT_SAYS)
		most = PARTICIPANT_SAYS;	/* the lanes take that anyway */
	server_put(&o, s);
	put(&o, "data", data != NULL ? data : json_null());
	if (data == NULL)
		put_error(&o, 500, error);
	text = object_text(&o);
	memory_used(s, text == NULL ? 0 : strlen(text));
	if (data != NULL && text != NULL && strlen(text) > most) {
		free(text);
		answer_data(s, to, NULL, "the answer is larger than max_payload: ask for less of it");
		return;
	}
	answer_text(s, to, text);
}

static void
answer_report(struct system *s, const struct request *q, const struct report_kind *kind, const json_t *options)
{
	struct refused	 refused = { 200, "no memory" };
	json_t		*data = kind->make(&s->reporter, options, &refused);

	answer_data(s, q->reply, data, refused.why);
}

static void
answer_statsz(struct system *s, const struct request *q)
{
	struct object	o = OBJECT();

	server_put(&o, s);
	statsz_put(&o, &s->reporter);
	answer_text(s, q->reply, object_text(&o));
}

static void
answer_id(struct system *s, const struct request *q)
{
	const struct settings	*st = &s->child.settings;
	struct object		 o = OBJECT();

	put_text(&o, "name", st->server_name[0] != '\0' ? st->server_name : st->server_id);
	put_text(&o, "host", st->host);
	put_text(&o, "id", st->server_id);
	answer_text(s, q->reply, object_text(&o));
}

/* ---- options */

/* Those of the request, if it is meant for us. NULL: it is not, or it was answered. */
static json_t *
request_options(struct system *s, const struct request *q, const struct option *known)
{
	char	 error[256];
	json_t	*options = options_read(q->body, known, error, sizeof(error));

	if (options != NULL && filter_checks(options, error, sizeof(error))) {
		if (filter_passes(options, &s->child.settings))
			return options;
		json_decref(options);
		return NULL;
	}
	json_decref(options);
	answer_plain(s, q->reply, error, 400);
	return NULL;
}

/* The account is that of the subject, whatever the options say. */
static bool
option_force(json_t *options, const char *name, json_t *value)
{
	const char	*key;
	json_t		*old;
	void		*next;

	json_object_foreach_safe(options, next, key, old)
		if (strcasecmp(key, name) == 0)
			json_object_del(options, key);
	return json_object_set_new(options, name, value) == 0;
}

/* ---- one server */

static bool
cid_is_open(const struct view *v, uint64_t cid)
{
	uint32_t	slot, top;
	unsigned	worker;

	for (worker = 0; worker < PARTICIPANTS; worker++)
		for (slot = 0, top = connection_top(v, worker); slot < top; slot++)
			if (connection_cid(v, worker, slot) == cid)
				return true;
	return false;
}

/* KICK and LDM: as the 2.x server, silent where it is told nothing that makes sense. */
static void
client_request(struct system *s, const struct request *q, bool kick)
{
	static const struct option	known[] = { { "cid", NULL, OPTION_NUMBER }, { NULL, NULL, OPTION_TEXT } };
	struct msg			m = { .type = kick ? MSG_kick : MSG_kick_lame_duck };
	char				error[256];
	json_t				*options;
	int64_t				cid;

	if (q->body.len == 0 || (options = options_read(q->body, known, error, sizeof(error))) == NULL)
		return;
	cid = option_number(options, "cid", 0);
	json_decref(options);
	if (cid <= 0 || !cid_is_open(&s->reporter.view, (uint64_t)cid)) {
		answer_plain(s, q->reply, kick ? "no such client or leafnode id" : "no such client id", 500);
		return;
	}
	if (kick)
		m.u.kick.cid = (uint64_t)cid;
	else
		m.u.kick_lame_duck.cid = (uint64_t)cid;
	if (channel_send(&s->child.supervisor, &m, NULL) != 0)
		answer_plain(s, q->reply, "the server is busy", 500);
	else
		answer_plain(s, q->reply, NULL, 0);
}

static void
reload_request(struct system *s, const struct request *q)
{
	const struct msg	 m = { .type = MSG_reload };
	struct inbox		*all = &s->inbox;
	char			*to;

	if (all->nreloads == RELOADS_MOST || (to = strdup(q->reply)) == NULL ||
	    channel_send(&s->child.supervisor, &m, NULL) != 0) {
		answer_plain(s, q->reply, "the server is busy", 500);
		return;
	}
	all->reloads[all->nreloads++] = to;
}

void
inbox_reloaded(struct system *s, struct bytes error)
{
	struct inbox	*q = &s->inbox;
	char		*text = strndup(error.data, error.len);
	unsigned	 i;

	for (i = 0; i < q->nreloads; i++) {
		answer_plain(s, q->reloads[i], error.len == 0 || text == NULL ? NULL : text, 500);
		free(q->reloads[i]);
	}
	q->nreloads = 0;
	free(text);
}

/* What this server alone is asked for. True: it was. */
static bool
own_request(struct system *s, const struct request *q, struct bytes what)
{
	if (bytes_equal(what, BYTES("RELOAD")))
		reload_request(s, q);
	else if (bytes_equal(what, BYTES("KICK")) || bytes_equal(what, BYTES("LDM")))
		client_request(s, q, what.data[0] == 'K');
	else
		return false;
	return true;
}

static void
server_request(struct system *s, const struct request *q, struct bytes what)
{
	const struct report_kind	*kind = report_named(what);
	bool				 statsz = bytes_equal(what, BYTES("STATSZ"));
	bool				 empty = bytes_equal(what, BYTES("RAFTZ")) || bytes_equal(what, BYTES("IPQUEUESZ"));
	json_t				*options;

	if (bytes_equal(what, BYTES("IDZ"))) {
		answer_id(s, q);
		return;
	}
	if (kind == NULL && !statsz && !empty)
		return;
	options = request_options(s, q, kind == NULL ? options_none : kind->options);
	if (options == NULL)
		return;
	if (statsz)
		answer_statsz(s, q);
	else if (empty)
		answer_data(s, q->reply, json_object(), "no memory");
	else
		answer_report(s, q, kind, options);
	json_decref(options);
}

/* ---- one account */

/* Silent where it has nobody connected. */
static void
account_conns(struct system *s, const struct request *q, const struct account *a)
{
	struct tally	*all;
	uint32_t	 i;

	if (a == NULL || (all = tallies_take(&s->reporter.view, &s->reporter.past, s->accounts)) == NULL)
		return;
	for (i = 0; i < s->accounts->count; i++)
		if (s->accounts->all[i] == a && all[i].connections > 0)
			answer_text(s, q->reply, conns_text(s, a->name, &all[i]));
	free(all);
}

static void
account_info(struct system *s, const struct request *q, struct bytes name)
{
	const struct account	*a = accounts_named(s->accounts, name);
	char			 error[320];

	snprintf(error, sizeof(error), "Account %.*s does not exist", (int)(name.len > 256 ? 256 : name.len), name.data);
	answer_data(s, q->reply, a == NULL ? NULL : account_detail(&s->reporter, a), error);
}

/* Silent where it has nobody connected. */
static void
account_statz(struct system *s, const struct request *q, json_t *options, struct bytes name)
{
	struct refused	 refused = { 200, "no memory" };
	json_t		*names = json_array(), *data;

	if (name.len > 0 && (json_array_append_new(names, text_json(name)) != 0 ||
	    !option_force(options, "accounts", json_incref(names)))) {
		json_decref(names);
		return;
	}
	json_decref(names);
	data = report_named(BYTES("ACCSTATZ"))->make(&s->reporter, options, &refused);
	if (name.len > 0 && json_array_size(json_object_get(data, "account_statz")) == 0)
		json_decref(data);
	else
		answer_data(s, q->reply, data, refused.why);
}

/* The same report as of the server, for this account. */
static void
account_report(struct system *s, const struct request *q, json_t *options, struct bytes what, struct bytes name)
{
	bool	connz = bytes_equal(what, BYTES("CONNZ")), subsz = bytes_equal(what, BYTES("SUBSZ"));

	if (!option_force(options, connz ? "acc" : "account", text_json(name)) ||
	    (subsz && !option_force(options, "subscriptions", json_true())))
		return;
	answer_report(s, q, report_named(what), options);
}

static const struct {
	struct bytes		 what;
	const struct option	*options;
} account_requests[] = {
	{ BYTES("CONNZ"), options_connz }, { BYTES("SUBSZ"), options_subsz },
	{ BYTES("LEAFZ"), options_leafz }, { BYTES("JSZ"), options_jsz },
	{ BYTES("INFO"), options_none }, { BYTES("STATZ"), options_accstatz },
	{ BYTES("CONNS"), options_none },
};

static void
account_request(struct system *s, const struct request *q, struct bytes name, struct bytes what)
{
	bool	 all = bytes_equal(name, BYTES("PING")), statz = bytes_equal(what, BYTES("STATZ"));
	json_t	*options;
	size_t	 i;

	for (i = 0; i < sizeof(account_requests) / sizeof(account_requests[0]); i++)
		if (bytes_equal(what, account_requests[i].what))
			break;
	if (i == sizeof(account_requests) / sizeof(account_requests[0]) || s->accounts == NULL ||
	    (options = request_options(s, q, account_requests[i].options)) == NULL)
		return;
	if (statz)
		account_statz(s, q, options, all ? BYTES("") : name);
	else if (bytes_equal(what, BYTES("INFO")))
		account_info(s, q, name);
	else if (bytes_equal(what, BYTES("CONNS")))
		account_conns(s, q, accounts_named(s->accounts, name));
	else if (bytes_equal(what, BYTES("JSZ")))
		answer_data(s, q->reply, NULL, "jetstream not enabled");
	else
		account_report(s, q, options, what, name);
	json_decref(options);
}

/* ---- what is subscribed to: nothing else, so that who asks for what is not there hears it at once */

static const char *const	server_names[] = { "IDZ", "STATSZ", "VARZ", "CONNZ", "SUBSZ", "ACCOUNTZ", "HEALTHZ",
				    "ROUTEZ", "GATEWAYZ", "LEAFZ", "JSZ", "RAFTZ", "IPQUEUESZ", NULL };
static const char *const	own_names[] = { "RELOAD", "KICK", "LDM", NULL };

static void
subscribe_all(struct system *s, const char *prefix, const char *whom, const char *const *names)
{
	char	subject[256];

	for (; *names != NULL; names++) {
		snprintf(subject, sizeof(subject), "%s.%s.%s", prefix, whom, *names);
		bus_subscribe_requests(s, bytes_of(subject));
	}
}

void
inbox_subscribe(struct system *s)
{
	char	subject[64];
	size_t	i;

	bus_subscribe_requests(s, BYTES("$SYS.REQ.SERVER.PING"));
	bus_subscribe_requests(s, BYTES("$SYS.DEBUG.SUBSCRIBERS"));
	subscribe_all(s, "$SYS.REQ.SERVER", "PING", server_names);
	subscribe_all(s, "$SYS.REQ.SERVER", s->child.settings.server_id, server_names);
	subscribe_all(s, "$SYS.REQ.SERVER", s->child.settings.server_id, own_names);
	for (i = 0; i < sizeof(account_requests) / sizeof(account_requests[0]); i++) {
		snprintf(subject, sizeof(subject), "$SYS.REQ.ACCOUNT.*.%s", account_requests[i].what.data);
		bus_subscribe_requests(s, bytes_of(subject));
	}
}

/* ---- all of them */

/* What is before the last dot, and behind it. False: there is none. */
static bool
split(struct bytes text, struct bytes *whom, struct bytes *what)
{
	const char	*dot = memrchr(text.data, '.', text.len);

	if (dot == NULL)
		return false;
	*whom = (struct bytes){ text.data, (size_t)(dot - text.data) };
	*what = (struct bytes){ dot + 1, text.len - whom->len - 1 };
	return true;
}

/* Body: a subject and perhaps a queue group. */
static void
subscribers_request(struct system *s, const struct request *q)
{
	const char	*end = q->body.data + q->body.len, *space = memchr(q->body.data, ' ', q->body.len);
	struct bytes	 subject = { q->body.data, (size_t)((space == NULL ? end : space) - q->body.data) };
	struct bytes	 queue = { space == NULL ? end : space + 1, space == NULL ? 0 : (size_t)(end - space - 1) };
	char		 text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)subscribers_count(&s->reporter,
	    ACCOUNT_SYSTEM, subject, queue));
	answer_text(s, q->reply, strdup(text));
}

static void
request_answer(struct system *s, const struct request *q)
{
	struct bytes	rest, whom, what;
	bool		own;

	if (behind(q->subject, BYTES("$SYS.REQ.ACCOUNT."), &rest)) {
		if (*q->reply != '\0' && split(rest, &whom, &what))
			account_request(s, q, whom, what);
		return;
	}
	if (bytes_equal(q->subject, BYTES("$SYS.DEBUG.SUBSCRIBERS"))) {
		subscribers_request(s, q);
		return;
	}
	if (!behind(q->subject, BYTES("$SYS.REQ.SERVER."), &rest))
		return;
	if (bytes_equal(rest, BYTES("PING"))) {
		server_request(s, q, BYTES("STATSZ"));
		return;
	}
	if (!split(rest, &whom, &what))
		return;
	own = bytes_equal(whom, bytes_of(s->child.settings.server_id));
	if (own && own_request(s, q, what))
		return;
	if (*q->reply != '\0' && (own || bytes_equal(whom, BYTES("PING"))))
		server_request(s, q, what);
}

bool
inbox_work(struct system *s)
{
	struct inbox	*q = &s->inbox;
	struct asker	*a;
	struct request	*r;

	if (s->bus.unblocked)
		answers_again(s);
	if (q->bytes == 0 || q->held > ANSWERS_BYTES)
		return false;
	do {
		q->turn = (q->turn + 1) % ASKERS;
		a = &q->askers[q->turn];
	} while ((r = TAILQ_FIRST(&a->waiting)) == NULL);
	request_take(q, a, r);
	request_answer(s, r);
	free(r);
	return q->bytes > 0 && q->held <= ANSWERS_BYTES;
}

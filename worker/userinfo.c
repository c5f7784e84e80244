#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <jansson.h>
#include "common/log.h"
#include "common/records.h"
#include "nats/info.h"
#include "nats/utf8.h"
#include "worker/identity.h"
#include "worker/userinfo.h"
#include "worker/worker.h"

#define SUBJECT	"$SYS.REQ.USER.INFO"

bool
userinfo_asked(const struct client *c, const struct message *m)
{
	return bytes_equal(m->subject, BYTES(SUBJECT)) && m->reply.len != 0 &&
	    worker_account(c->worker, ACCOUNT_SYSTEM) != NULL;
}

/* Text that came from a client or a configuration, and may be anything. */
static json_t *
text_json(struct bytes text)
{
	char	*repaired = malloc(text.len * UTF8_GROWTH + 1);
	json_t	*json = NULL;

	if (repaired != NULL)
		json = json_stringn(repaired, utf8_repair(repaired, text));
	free(repaired);
	return json;
}

/* ---- what it may */

struct permissions { json_t *lists[4], *responses; };	/* by enum permission_kind */

static int
list_add(json_t **list, const struct msg_permission *p)
{
	char	*text;
	json_t	*item;

	if (*list == NULL && (*list = json_array()) == NULL)
		return -1;
	if (p->queue.len == 0)
		return json_array_append_new(*list, text_json(p->subject));
	if ((text = malloc(p->subject.len + 1 + p->queue.len)) == NULL)
		return -1;
	memcpy(text, p->subject.data, p->subject.len);
	text[p->subject.len] = ' ';
	memcpy(text + p->subject.len + 1, p->queue.data, p->queue.len);
	item = text_json((struct bytes){ text, p->subject.len + 1 + p->queue.len });
	free(text);
	return json_array_append_new(*list, item);
}

/* -1: any number, or for ever. */
static json_t *
responses_json(const struct msg_permission_set *set)
{
	json_int_t	 most = set->responses == INT64_MAX ? -1 : (json_int_t)set->responses;
	json_int_t	 ttl = set->responses_time > INT64_MAX / 1000000 ? -1 : (json_int_t)set->responses_time * 1000000;

	return json_pack("{s:I, s:I}", "max", most, "ttl", ttl);
}

static int
permission_take(void *arg, const struct msg *record)
{
	struct permissions	*p = arg;

	if (record->type == MSG_permission)
		return list_add(&p->lists[record->u.permission.kind], &record->u.permission);
	if (record->type == MSG_permission_set && record->u.permission_set.responses != 0)
		p->responses = responses_json(&record->u.permission_set);
	return 0;
}

/* {"allow":[...],"deny":[...]}, both left out where they are empty. */
static json_t *
lists_json(json_t *allow, json_t *deny)
{
	json_t	*both = json_object();

	if (allow != NULL)
		json_object_set_new(both, "allow", allow);
	if (deny != NULL)
		json_object_set_new(both, "deny", deny);
	return both;
}

static json_t *
permissions_json(const struct policy *policy)
{
	struct permissions	 p = { 0 };
	const char		*why;
	json_t			*json = json_object();

	(void)records_each(policy_records(policy), ROLE_CONFIG, ROLE_WORKER, permission_take, &p, &why);
	json_object_set_new(json, "publish", lists_json(p.lists[PUBLISH_ALLOW], p.lists[PUBLISH_DENY]));
	json_object_set_new(json, "subscribe", lists_json(p.lists[SUBSCRIBE_ALLOW], p.lists[SUBSCRIBE_DENY]));
	if (p.responses != NULL)
		json_object_set_new(json, "responses", p.responses);
	return json;
}

/* ---- the answer, in the order of the 2.x server */

/* As Go prints a time. */
static void
time_text(char *text, size_t size)
{
	struct timespec	 now;
	struct tm	 tm;
	size_t		 n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, size - n, ".%09ldZ", now.tv_nsec);
}

/* NULL: there are none. */
static json_t *
tags_json(const struct settings *s)
{
	json_t	*list = s->server_tags.count == 0 ? NULL : json_array();
	size_t	 i;

	for (i = 0; i < s->server_tags.count; i++)
		json_array_append_new(list, text_json(bytes_of(s->server_tags.items[i])));
	return list;
}

static json_t *
server_json(struct worker *w)
{
	const struct settings	*s = w->settings;
	const char		*name = s->server_name[0] != '\0' ? s->server_name : s->server_id;
	char			 now[64];

	time_text(now, sizeof(now));
	return json_pack("{s:o, s:o, s:s, s:s, s:o*, s:b, s:i, s:I, s:s}",
	    "name", text_json(bytes_of(name)), "host", text_json(bytes_of(s->host)), "id", s->server_id,
	    "ver", NATS_VERSION, "tags", tags_json(s), "jetstream", 0, "flags", 0, "seq", (json_int_t)++w->answers, "time", now);
}

static json_t *
data_json(const struct client *c)
{
	const struct identity	*id = c->identity;
	json_t			*json = json_object(), *account;
	double			 left;

	account = text_json(bytes_of(account_name(c->worker, c->account)));
	json_object_set_new(json, "user", text_json(bytes_of(id != NULL && id->user != NULL ? id->user : "")));
	json_object_set(json, "account", account);
	json_object_set_new(json, "account_name", account);
	if (id != NULL && id->policy != NULL)
		json_object_set_new(json, "permissions", permissions_json(id->policy));
	if (id != NULL && id->expires != 0) {
		left = (double)id->expires / 1e6 - ev_now(c->worker->loop);
		json_object_set_new(json, "expires", json_integer((json_int_t)left * 1000000000));
	}
	return json;
}

void
userinfo_answer(struct client *c, struct bytes reply)
{
	struct worker		*w = c->worker;
	struct publish_hint	 hint = { 0 };
	struct message		 m = { .account = c->account, .subject = reply, .reply = { "", 0 },
	    .publisher = NO_CONNECTION };
	json_t			*json = json_pack("{s:o, s:o}", "server", server_json(w), "data", data_json(c));
	char			*text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);

	json_decref(json);
	if (text == NULL) {
		log_limited(LOG_ERROR, "memory", "no memory to answer " SUBJECT);
		return;
	}
	m.body = bytes_of(text);
	if (m.body.len <= PARTICIPANT_SAYS)
		(void)broker_publish(w->broker, &m, 0, &hint);
	else
		log_limited(LOG_WARN, "answers", "%zu bytes of permissions are too many to answer " SUBJECT, m.body.len);
	free(text);
}

/* Accounts and their traffic: ACCOUNTZ, ACCSTATZ. */
#include <stdlib.h>
#include "admin/system/object.h"
#include "admin/system/reports.h"
#include "admin/system/times.h"

#define SUBJECT_MOST	1280	/* the longest name of an account, and what is around it */

const struct option options_accountz[] = { { "account", "acc", OPTION_TEXT }, { NULL, NULL, OPTION_TEXT } };
const struct option options_accstatz[] = {
	{ "accounts", NULL, OPTION_TEXTS }, { "include_unused", "unused", OPTION_BOOLEAN },
	{ NULL, NULL, OPTION_TEXT },
};

/* ---- names */

struct bytes
account_title(const struct reporter *r, uint64_t number)
{
	const struct account	*a = r->accounts == NULL || number > ACCOUNT_MOST ? NULL :
				    accounts_find(r->accounts, (uint32_t)number);

	if (a != NULL)
		return bytes_of(a->name);
	if (number == ACCOUNT_SYSTEM)
		return bytes_of(r->settings->system_account);
	return number == ACCOUNT_GLOBAL ? BYTES("$G") : BYTES("");
}

uint32_t
account_titled(const struct reporter *r, struct bytes name)
{
	const struct account	*a = r->accounts == NULL ? NULL : accounts_named(r->accounts, name);

	if (a != NULL)
		return a->number;
	if (name.len > 0 && bytes_equal(name, bytes_of(r->settings->system_account)))
		return ACCOUNT_SYSTEM;
	return bytes_equal(name, BYTES("$G")) ? ACCOUNT_GLOBAL : 0;
}

/* ---- one account */

/* A text into a list. */
static void
add_name(struct object *o, json_t *list, struct bytes name)
{
	o->failed |= json_array_append_new(list, text_json(name)) != 0;
}

static void
mappings_put(struct object *o, const struct account *a)
{
	struct object	all = OBJECT(), one;
	json_t		*list;
	uint32_t	i, k;

	for (i = 0; i < a->nmappings; i++) {
		list = json_array();
		for (k = 0; k < a->mappings[i].count; k++) {
			one = OBJECT();
			put_bytes(&one, "subject", transform_destination(a->mappings[i].to[k].transform));
			put_number(&one, "weight", a->mappings[i].to[k].weight);
			put_last(&all, list, &one);
		}
		put(&all, a->mappings[i].source, list);
	}
	if (a->nmappings > 0)
		put_object(o, "mappings", &all);
	else
		json_decref(all.json);
}

static const char *
response_name(enum response_type response)
{
	return response == RESPONSE_STREAM ? "Streamed" : response == RESPONSE_CHUNKED ? "Chunked" : "Singleton";
}

static void
export_put(struct reporter *r, struct object *o, const struct export *e)
{
	json_t		*list = json_array();
	uint32_t	 i;

	put_text(o, "subject", e->subject);
	put_text(o, "type", e->service ? "service" : "stream");
	for (i = 0; i < e->naccounts; i++)
		add_name(o, list, account_title(r, e->accounts[i]));
	if (json_array_size(list) > 0)
		put(o, "approved_accounts", json_incref(list));
	json_decref(list);
	if (e->service)
		put_text(o, "response_type", response_name(e->response));
	put_number_any(o, "account_token_position", e->token_position);
}

static void
import_put(struct reporter *r, struct object *o, uint32_t from, struct bytes subject, struct bytes to, bool service)
{
	put_bytes(o, "subject", subject);
	put_bytes(o, "account", account_title(r, from));
	if (service)
		put_bytes(o, "to", to);
	put_bytes(o, "local_subject", to);
	put_text(o, "type", service ? "service" : "stream");
	put_boolean(o, "invalid", false);
}

static void
builtin_put(struct reporter *r, struct object *o, json_t *list, const struct account *a, const char *under,
    const char *what, const char *local, bool share)
{
	char		subject[SUBJECT_MOST];
	struct object	one = OBJECT();
	int		len = snprintf(subject, sizeof(subject), "%s.%s.%s", under, a->name, what);

	import_put(r, &one, ACCOUNT_SYSTEM, (struct bytes){ subject, (size_t)len }, bytes_of(local), true);
	put_boolean(&one, "share", share);
	put_boolean(&one, "tracking", false);
	put_last(o, list, &one);
}

/* What each account has of the system account without saying so; the last the system account has itself. */
static void
builtins_put(struct reporter *r, struct object *o, json_t *list, const struct account *a)
{
	const struct builtin_import	*b;

	if (r->settings->system_account[0] == '\0')
		return;
	for (b = builtin_imports; a->number != ACCOUNT_SYSTEM && b < builtin_imports + BUILTIN_IMPORTS; b++)
		builtin_put(r, o, list, a, "$SYS.REQ.ACCOUNT", b->report, b->ours, false);
	builtin_put(r, o, list, a, "$SYS.REQ.USER", "INFO", "$SYS.REQ.USER.INFO", true);
}

static void
imports_put(struct reporter *r, struct object *o, const struct account *a)
{
	json_t		*list = json_array();
	struct object	 one;
	uint32_t	 i;

	for (i = 0; i < a->nstreams; i++) {
		one = OBJECT();
		import_put(r, &one, a->streams[i].from, bytes_of(a->streams[i].subject),
		    transform_destination(a->streams[i].to), false);
		put_boolean(&one, "share", false);
		put_boolean(&one, "tracking", false);
		put_last(o, list, &one);
	}
	for (i = 0; i < a->nservices; i++) {
		one = OBJECT();
		import_put(r, &one, a->services[i].from, transform_destination(a->services[i].subject),
		    bytes_of(a->services[i].to), true);
		put_boolean(&one, "share", a->services[i].share);
		put_boolean(&one, "tracking", a->services[i].latency != NULL);
		put_last(o, list, &one);
	}
	builtins_put(r, o, list, a);
	if (json_array_size(list) > 0)
		put(o, "imports", json_incref(list));
	json_decref(list);
}

static void
exports_put(struct reporter *r, struct object *o, const struct account *a)
{
	json_t		*list = json_array();
	struct object	 one;
	uint32_t	 i;

	for (i = 0; i < a->nexports; i++) {
		one = OBJECT();
		export_put(r, &one, &a->exports[i]);
		put_last(o, list, &one);
	}
	if (json_array_size(list) > 0)
		put(o, "exports", json_incref(list));
	json_decref(list);
}

/* Zeros where there is no memory to count. */
static struct tally
tally_of(struct reporter *r, uint32_t account)
{
	struct tally	*all = tallies_take(&r->view, &r->past, r->accounts), one = { .connections = 0 };
	uint32_t	 i;

	for (i = 0; all != NULL && i < r->accounts->count; i++)
		if (r->accounts->all[i]->number == account)
			one = all[i];
	free(all);
	return one;
}

/* Figures of a cache that is not there are 0. */
static void
sublist_put(struct object *o, uint64_t subscriptions)
{
	struct object	stats = OBJECT();

	put_number(&stats, "num_subscriptions", subscriptions);
	cache_put(&stats);
	put_object(o, "sublist_stats", &stats);
}

json_t *
account_detail(struct reporter *r, const struct account *a)
{
	struct object	o = OBJECT();
	struct tally	tally = tally_of(r, a->number);
	struct totals	t;

	put_text(&o, "account_name", a->name);
	view_totals(&r->view, &t);
	put_time(&o, "update_time", r->settings->config_load_time != 0 ? r->settings->config_load_time : t.started);
	if (a->number == ACCOUNT_SYSTEM)
		put_boolean(&o, "is_system", true);
	put_boolean(&o, "expired", false);
	put_boolean(&o, "complete", true);
	put_boolean(&o, "jetstream_enabled", false);
	put_number(&o, "leafnode_connections", 0);
	put_number(&o, "client_connections", tally.connections);
	put_number(&o, "subscriptions", tally.subscriptions);
	mappings_put(&o, a);
	exports_put(r, &o, a);
	imports_put(r, &o, a);
	put_text(&o, "name_tag", a->name);
	sublist_put(&o, tally.subscriptions);
	return object_json(&o);
}

json_t *
accountz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	struct bytes		 name = option_text(options, "account");
	const struct account	*a = r->accounts == NULL ? NULL : accounts_named(r->accounts, name);
	struct object		 o;
	json_t			*list;
	uint32_t		 i;

	if (name.len > 0 && a == NULL)
		return report_refuse(refused, 400, "Account %.*s does not exist",
		    (int)(name.len > 256 ? 256 : name.len), name.data);
	o = OBJECT();
	put_text(&o, "server_id", r->settings->server_id);
	put_time(&o, "now", times_now());
	if (r->settings->system_account[0] != '\0')
		put_text(&o, "system_account", r->settings->system_account);
	if (a != NULL) {
		put(&o, "account_detail", account_detail(r, a));
		return object_json(&o);
	}
	list = json_array();
	for (i = 0; r->accounts != NULL && i < r->accounts->count; i++)
		add_name(&o, list, bytes_of(r->accounts->all[i]->name));
	put(&o, "accounts", list);
	return object_json(&o);
}

/* ---- traffic */

static void
traffic_put(struct object *o, const char *key, uint64_t messages, uint64_t bytes)
{
	struct object	traffic = OBJECT();

	put_number(&traffic, "msgs", messages);
	put_number(&traffic, "bytes", bytes);
	put_traffic(&traffic, "gateways", 0, 0);
	put_traffic(&traffic, "routes", 0, 0);
	put_traffic(&traffic, "leafs", 0, 0);
	put_object(o, key, &traffic);
}

void
tally_put(struct object *o, const char *name, const struct tally *t)
{
	put_text(o, "acc", name);
	put_text(o, "name", name);
	put_number(o, "conns", t->connections);
	put_number(o, "leafnodes", 0);
	put_number(o, "total_conns", t->connections);
	put_number(o, "num_subscriptions", t->subscriptions);
	traffic_put(o, "sent", t->out_msgs, t->out_bytes);
	traffic_put(o, "received", t->in_msgs, t->in_bytes);
	put_number(o, "slow_consumers", t->slow_consumers);
}

/* Was it asked for? All are where none was named. */
static bool
account_asked(const json_t *names, const char *name)
{
	const json_t	*text;
	size_t		 i;

	json_array_foreach(names, i, text)
		if (json_is_string(text) && strcmp(json_string_value(text), name) == 0)
			return true;
	return json_array_size(names) == 0;
}

json_t *
accstatz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	const json_t	*names = option_find(options, "accounts");
	bool		 unused = option_is(options, "include_unused");
	struct tally	*tallies = NULL;
	struct object	 o = OBJECT(), one;
	json_t		*list = json_array();
	uint32_t	 i;

	if (r->accounts != NULL)
		tallies = tallies_take(&r->view, &r->past, r->accounts);
	for (i = 0; tallies != NULL && i < r->accounts->count; i++) {
		if ((tallies[i].connections == 0 && !unused) || !account_asked(names, r->accounts->all[i]->name))
			continue;
		one = OBJECT();
		tally_put(&one, r->accounts->all[i]->name, &tallies[i]);
		put_last(&o, list, &one);
	}
	free(tallies);
	put_text(&o, "server_id", r->settings->server_id);
	put_time(&o, "now", times_now());
	put(&o, "account_statz", list);
	return object_json(&o);
}

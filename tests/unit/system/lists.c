/* Reports that list what workers show, from tables that the test writes, honest and hostile ones. */
#include <check.h>
#include <stdlib.h>
#include <jansson.h>
#include "admin/system/filter.h"
#include "admin/system/object.h"
#include "admin/system/reports.h"
#include "admin/system/times.h"
#include "common/records.h"
#include "tests/unit/broker/net.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))
#define TENANT		ACCOUNT_FIRST

static struct settings	settings;
static struct reporter	reporter;
static struct net	*net;	/* node 0 is a worker, node 1 is system */
static struct directory	directory;

static struct accounts *
accounts_make(void)
{
	static const struct { uint64_t number; const char *name; } all[] = {
		{ ACCOUNT_GLOBAL, "$G" }, { ACCOUNT_SYSTEM, "SYS" }, { TENANT, "A" },
	};
	struct msg	 m = { .type = MSG_account }, mapping = { .type = MSG_mapping, .u.mapping = {
	    .source = BYTES("foo"), .destination = BYTES("bar"), .weight = 100, .cluster = BYTES("") } };
	uint64_t	 limits[LIMITS];
	msgpack_sbuffer	 b;
	struct accounts	*a;
	const char	*why;
	int		 i, fd;

	for (i = 0; i < LIMITS; i++)
		limits[i] = NO_LIMIT;
	msgpack_sbuffer_init(&b);
	for (i = 0; i < COUNT(all); i++) {
		m.u.account.number = all[i].number;
		m.u.account.name = bytes_of(all[i].name);
		m.u.account.limits = (struct numbers){ .count = LIMITS, .own = limits };
		ck_assert_int_eq(records_add(&b, &m), 0);
	}
	ck_assert_int_eq(records_add(&b, &mapping), 0);
	fd = records_seal(&b);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(accounts_read(&a, fd, ROLE_SYSTEM, "", &why), 0);
	close(fd);
	msgpack_sbuffer_destroy(&b);
	return a;
}

static void
setup(void)
{
	net = net_new(2, 65536, 4096);
	memset(&reporter, 0, sizeof(reporter));
	memset(&directory, 0, sizeof(directory));
	ck_assert_int_eq(settings_init(&settings), 0);
	ck_assert_int_eq(setting_set_text(&settings, setting_find(BYTES("server_id")), BYTES("NID")), 0);
	ck_assert_int_eq(setting_set_text(&settings, setting_find(BYTES("system_account")), BYTES("SYS")), 0);
	reporter.settings = &settings;
	reporter.accounts = accounts_make();
	reporter.broker = net->node[1].b;
	reporter.view.directory.base = &directory;
	reporter.view.workers[0].incarnation = net->node[0].incarnation;
	reporter.view.workers[0].tables = net->node[0].tables;
	reporter.view.live = 1;
	usage_init(&reporter.usage);
	directory.connections = 5;
}

static void
teardown(void)
{
	accounts_free((struct accounts *)(uintptr_t)reporter.accounts);
	usage_free(&reporter.usage);
	closed_free(&reporter.closed);
	past_free(&reporter.past);
	settings_free(&settings);
	node_stop(net, 0);
	node_stop(net, 1);
	free(net->directory.base);
	free(net);
}

static struct connection_record *
record(uint32_t slot)
{
	return tables_connections(net->node[0].tables.base) + slot;
}

static struct connection_record *
client_add(uint32_t slot, uint64_t cid, uint32_t account, const char *user)
{
	struct connection_record	*r = record(slot);
	struct tables_head		*h = tables_head(net->node[0].tables.base);

	r->cid = cid;
	r->account = account;
	r->start = r->last = times_now();
	r->port = 1234;
	strcpy(r->host, "127.0.0.1");
	strcpy(r->name, "a name");
	strcpy(r->user, user);
	if (h->connection_top <= slot)
		h->connection_top = slot + 1;
	return r;
}

/* Five clients whose numbers rise with cid in one column and fall in another. */
static void
clients_add(void)
{
	static const uint64_t		cids[] = { 30, 10, 50, 20, 40 };
	struct connection_record	*r;
	uint32_t			i;

	for (i = 0; i < 5; i++) {
		r = client_add(i, cids[i], i < 3 ? TENANT : ACCOUNT_GLOBAL, i < 2 ? "eve" : "bob");
		r->in_msgs = cids[i];
		r->out_msgs = 100 - cids[i];
		r->pending = cids[i] * cids[i];
		r->rtt = cids[i];
		r->last += cids[i] * 1000000;
	}
}

static uint32_t
subscribe(uint32_t account, uint32_t connection, const char *subject, const char *queue)
{
	struct connection_record	*r = record(connection);
	struct subscription		*sub;
	uint32_t			 slot;

	ck_assert_int_eq(broker_subscribe(net->node[0].b, account, connection, bytes_of(subject),
	    bytes_of(queue), &slot), 0);
	sub = broker_subscription(net->node[0].b, slot);
	sub->conn_next = r->first;
	sub->sid_len = 1;
	sub->sid[0] = '7';
	r->first = slot;
	r->subscriptions++;
	return slot;
}

static json_t *
ask_body(const char *path, const char *query, unsigned status, char *body, size_t size)
{
	struct report	 report;
	json_t		*json;

	report_make(&reporter, bytes_of(path), bytes_of(query), &report);
	ck_assert_msg(report.status == status, "%s?%s: %u %s", path, query, report.status, report.body);
	snprintf(body, size, "%s", report.body);
	json = json_loads(report.body, JSON_REJECT_DUPLICATES, NULL);
	free(report.body);
	return json;
}

static json_t *
ask(const char *path, const char *query)
{
	char	 body[64];
	json_t	*json = ask_body(path, query, 200, body, sizeof(body));

	ck_assert_ptr_nonnull(json);
	return json;
}

static json_int_t
number(const json_t *json, const char *key)
{
	const json_t	*v = json_object_get(json, key);

	ck_assert_msg(json_is_integer(v), "%s", key);
	return json_integer_value(v);
}

/* "10 20 " of the list in a report. */
static const char *
cids_of(json_t *json, const char *list)
{
	static char	 text[256];
	size_t		 i, n = 0;
	json_t		*one;

	text[0] = '\0';
	json_array_foreach(json_object_get(json, list), i, one)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%lld ", (long long)number(one, "cid"));
	json_decref(json);
	return text;
}

static const struct { const char *query, *cids; } lists[] = {
	{ "", "10 20 30 40 50 " }, { "sort=cid", "10 20 30 40 50 " }, { "sort=start", "10 20 30 40 50 " },
	{ "sort=msgs_from", "50 40 30 20 10 " }, { "sort=msgs_to", "10 20 30 40 50 " },
	{ "sort=pending", "50 40 30 20 10 " }, { "sort=rtt", "50 40 30 20 10 " },
	{ "sort=last", "50 40 30 20 10 " }, { "limit=2", "10 20 " }, { "limit=2&offset=2", "30 40 " },
	{ "limit=2&offset=4", "50 " }, { "offset=5", "" }, { "offset=-1", "10 20 30 40 50 " },
	{ "limit=-3", "10 20 30 40 50 " }, { "limit=0", "10 20 30 40 50 " },
	{ "limit=9223372036854775807", "10 20 30 40 50 " }, { "offset=9223372036854775807", "" },
	{ "limit=9223372036854775807&offset=9223372036854775807", "" },
	{ "limit=9223372036854775807&offset=1", "20 30 40 50 " },
	{ "cid=40", "40 " }, { "cid=41", "" }, { "acc=A", "10 30 50 " }, { "acc=%24G", "20 40 " },
	{ "user=eve", "10 30 " }, { "user=eve&acc=$G", "" }, { "mqtt_client=x", "" }, { "state=closed", "" },
	{ "state=all", "10 20 30 40 50 " }, { "nonsense=1&&=&sort=cid&sort=bad", "10 20 30 40 50 " },
	{ "acc=A&filter_subject=foo.a", "10 30 " }, { "acc=A&filter_subject=foo.b", "30 " },
};

START_TEST(connections_are_chosen_and_in_order)
{
	clients_add();
	subscribe(TENANT, 0, "foo.*", "");
	subscribe(TENANT, 1, "foo.a", "q");
	subscribe(TENANT, 2, "bar", "");
	ck_assert_str_eq(cids_of(ask("/connz", lists[_i].query), "connections"), lists[_i].cids);
}
END_TEST

static const struct { const char *path, *query, *body; } refusals[] = {
	{ "/connz", "limit=x", "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax" },
	{ "/connz", "limit=99999999999999999999",
	  "Error decoding int for 'limit': strconv.Atoi: parsing \"99999999999999999999\": value out of range" },
	{ "/connz", "subs=x", "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"x\": invalid syntax" },
	{ "/connz", "sort=bad", "invalid sorting option: bad" },
	{ "/connz", "sort=stop", "sort by stop only valid on closed connections" },
	{ "/connz", "state=x", "Error decoding state for x" },
	{ "/connz", "filter_subject=a", "filter by subject only valid with account filtering" },
	{ "/subsz", "test=a.*", "invalid test subject, must be valid publish subject: a.*" },
	{ "/accountz", "acc=ZZ", "Account ZZ does not exist" },
	{ "/accstatz", "unused=x", "Error decoding boolean for 'unused': strconv.ParseBool: parsing \"x\": invalid syntax" },
};

START_TEST(what_makes_no_sense_is_refused)
{
	char	body[256];

	ck_assert_ptr_null(ask_body(refusals[_i].path, refusals[_i].query, 400, body, sizeof(body)));
	ck_assert_str_eq(body, refusals[_i].body);
}
END_TEST

START_TEST(a_connection_has_the_real_servers_keys)
{
	static const char *const	keys[] = { "cid", "kind", "type", "ip", "port", "start", "last_activity",
					    "rtt", "uptime", "idle", "pending_bytes", "in_msgs", "out_msgs",
					    "in_bytes", "out_bytes", "subscriptions", "name",
					    "authorized_user", "account", "subscriptions_list", "name_tag" };
	json_t				*json, *one, *v;
	const char			*key;
	int				 i = 0;

	client_add(0, 9, TENANT, "eve")->rtt = 1500;
	subscribe(TENANT, 0, "foo.>", "");
	json = ask("/connz", "subs=1&auth=true");
	one = json_array_get(json_object_get(json, "connections"), 0);
	json_object_foreach(one, key, v)
		ck_assert_str_eq(key, keys[i++]);
	ck_assert_int_eq(i, COUNT(keys));
	ck_assert_str_eq(json_string_value(json_object_get(one, "rtt")), "1.5ms");
	ck_assert_str_eq(json_string_value(json_object_get(one, "account")), "A");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(one, "subscriptions_list"), 0)), "foo.>");
	json_decref(json);
	json = ask("/connz", "");	/* nobody's name unless it is asked for */
	ck_assert_ptr_null(json_object_get(json_array_get(json_object_get(json, "connections"), 0), "authorized_user"));
	json_decref(json);
	json = ask("/connz", "acc=nobody");
	ck_assert(json_is_null(json_object_get(json, "connections")));
	json_decref(json);
}
END_TEST

START_TEST(those_that_closed_are_kept)
{
	struct msg_client_event	 e = { .kind = EVENT_DISCONNECTED, .account = TENANT, .host = BYTES("::1"),
	    .start = 1000000, .stop = 3000000, .user = BYTES("eve"), .name = BYTES(""), .lang = BYTES("c"),
	    .version = BYTES(""), .in_msgs = 4, .subscriptions = 3,
	    .reason = BYTES("Client Closed") };
	json_t			*json, *one;

	for (e.cid = 1; e.cid <= CLOSED_KEPT + 7; e.cid++)
		closed_add(&reporter.closed, &e);
	json = ask("/connz", "state=closed&limit=1");
	ck_assert_int_eq(number(json, "total"), CLOSED_KEPT);
	one = json_array_get(json_object_get(json, "connections"), 0);
	ck_assert_int_eq(number(one, "cid"), 8);	/* the first seven made room */
	ck_assert_str_eq(json_string_value(json_object_get(one, "reason")), "Client Closed");
	ck_assert_str_eq(json_string_value(json_object_get(one, "stop")), "1970-01-01T00:00:03Z");
	ck_assert_str_eq(json_string_value(json_object_get(one, "uptime")), "2s");
	ck_assert_int_eq(number(one, "subscriptions"), 3);
	json_decref(json);
	client_add(0, 99999, TENANT, "");
	ck_assert_str_eq(cids_of(ask("/connz", "state=all&sort=cid&offset=10000"), "connections"), "99999 ");
	ck_assert_str_eq(cids_of(ask("/connz", "state=closed&sort=reason&limit=1"), "connections"), "8 ");
}
END_TEST

START_TEST(subscriptions_are_listed)
{
	static const struct { const char *query, *cids; json_int_t total, all; } asked[] = {
		{ "", "", 0, 4 }, { "subs=1", "30 30 10 40 ", 4, 4 }, { "subs=1&limit=1&offset=2", "10 ", 4, 4 },
		{ "subs=1&acc=A", "30 30 10 ", 3, 3 }, { "subs=1&test=foo.a", "30 10 40 ", 3, 4 },
		{ "subs=1&test=foo.a&acc=$G", "40 ", 1, 1 }, { "subs=1&acc=ZZ", "", 0, 0 },
		{ "subs=1&offset=9223372036854775807&limit=9223372036854775807", "", 4, 4 },
	};
	json_t	*json, *one;
	int	 i;

	clients_add();
	subscribe(TENANT, 0, "foo.*", "");
	subscribe(TENANT, 0, "bar", "q");
	subscribe(TENANT, 1, "foo.a", "");
	subscribe(ACCOUNT_GLOBAL, 4, ">", "");
	for (i = 0; i < COUNT(asked); i++) {
		json = ask("/subsz", asked[i].query);
		ck_assert_int_eq(number(json, "num_subscriptions"), asked[i].all);
		ck_assert_int_eq(number(json, "total"), asked[i].total);
		ck_assert_str_eq(cids_of(json, "subscriptions_list"), asked[i].cids);
	}
	json = ask("/subscriptionsz", "subs=1&test=bar&acc=A");
	one = json_array_get(json_object_get(json, "subscriptions_list"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(one, "subject")), "bar");
	ck_assert_str_eq(json_string_value(json_object_get(one, "qgroup")), "q");
	ck_assert_str_eq(json_string_value(json_object_get(one, "account")), "A");
	ck_assert_str_eq(json_string_value(json_object_get(one, "sid")), "7");
	json_decref(json);
	ck_assert_uint_eq(subscribers_count(&reporter, TENANT, BYTES("foo.a"), BYTES("")), 2);
	ck_assert_uint_eq(subscribers_count(&reporter, TENANT, BYTES("bar"), BYTES("q")), 1);
	ck_assert_uint_eq(subscribers_count(&reporter, TENANT, BYTES("bar"), BYTES("")), 0);
	ck_assert_uint_eq(subscribers_count(&reporter, ACCOUNT_SYSTEM, BYTES("$SYS.REQ.SERVER.PING"), BYTES("")), 0);
}
END_TEST

START_TEST(accounts_and_their_traffic)
{
	struct msg_client_event	 gone = { .kind = EVENT_DISCONNECTED, .account = TENANT, .in_msgs = 1000, .out_bytes = 5 };
	json_t			*json, *one;

	clients_add();
	past_add(&reporter.past, &gone);
	gone.reason = BYTES("Slow Consumer (Pending Bytes)");
	past_add(&reporter.past, &gone);
	json = ask("/accountz", "");
	ck_assert_str_eq(json_string_value(json_object_get(json, "system_account")), "SYS");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "accounts")), 3);
	json_decref(json);
	json = ask("/accountz", "acc=A");
	one = json_object_get(json, "account_detail");
	ck_assert_str_eq(json_string_value(json_object_get(one, "account_name")), "A");
	ck_assert_int_eq(number(one, "client_connections"), 3);
	one = json_array_get(json_object_get(json_object_get(one, "mappings"), "foo"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(one, "subject")), "bar");
	json_decref(json);
	json = ask("/accstatz", "");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "account_statz")), 2);
	one = json_array_get(json_object_get(json, "account_statz"), 1);
	ck_assert_str_eq(json_string_value(json_object_get(one, "acc")), "A");
	ck_assert_int_eq(number(one, "conns"), 3);
	ck_assert_int_eq(number(json_object_get(one, "received"), "msgs"), 2090);
	ck_assert_int_eq(number(json_object_get(one, "sent"), "bytes"), 10);
	ck_assert_int_eq(number(one, "slow_consumers"), 1);
	json_decref(json);
	json = ask("/accstatz", "unused=1");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "account_statz")), 3);
	json_decref(json);
}
END_TEST

/* ---- a worker that lies */

START_TEST(a_liar_is_bounded)
{
	static const char *const	paths[] = { "/connz", "/subsz", "/accstatz", "/accountz", "/varz" };
	struct tables_head		*h = tables_head(net->node[0].tables.base);
	struct subscription		*subs = tables_subscriptions(net->node[0].tables.base);
	uint64_t			 seed = 7;
	uint32_t			 i;
	size_t				 k;
	json_t				*json;

	clients_add();
	subscribe(TENANT, 0, "foo.*", "");
	/* whatever may stand in memory: strings without an end, lists in a circle, places that are none */
	for (i = 0; i < 3000; i++) {
		memset(record(i), (int)(i % 2 == 0 ? 0xff : i), sizeof(*record(i)));
		record(i)->sequence = 2;
		record(i)->cid = i + 1;
		record(i)->account = i % 3 == 0 ? TENANT : i * 7919;
		record(i)->subscriptions = UINT32_MAX;
		record(i)->first = 1 + i % 2000;
	}
	for (i = 1; i < 2000; i++)
		for (k = 0; k < sizeof(subs[i]); k++)
			((unsigned char *)&subs[i])[k] = (unsigned char)((seed = seed * 6364136223846793005u + 1) >> 56);
	for (i = 1; i < 2000; i++)
		subs[i].conn_next = i == 1999 ? 1 : i + 1;
	h->connection_top = h->subscription_top = UINT64_MAX;
	for (k = 0; k < (size_t)COUNT(paths); k++) {
		json = ask(paths[k], k == 0 ? "subs=detail&auth=1&limit=16384" : k == 1 ? "subs=1&limit=16384" : "");
		json_decref(json);
	}
	json_decref(ask("/connz", "acc=A&filter_subject=foo.a&limit=5"));
}
END_TEST

START_TEST(nobody_claims_more_clients_than_there_are)
{
	json_t		*json;
	uint32_t	 i;

	for (i = 0; i < TABLES_CONNECTIONS; i++)
		record(i)->cid = 1;
	tables_head(net->node[0].tables.base)->connection_top = UINT64_MAX;
	json = ask("/connz", "limit=1000000000");
	ck_assert_int_eq(number(json, "limit"), REPORT_MOST);
	ck_assert_int_le(number(json, "num_connections"), REPORT_MOST);
	json_decref(json);
}
END_TEST

/* Half written, or being written for ever: it is left out. */
START_TEST(a_record_that_is_being_written_is_left_out)
{
	clients_add();
	record(1)->sequence = 7;
	ck_assert_str_eq(cids_of(ask("/connz", ""), "connections"), "20 30 40 50 ");
}
END_TEST

/* ---- options */

static const struct { const char *text; bool fits; } bodies[] = {
	{ "", true }, { "{}", true }, { "null", true }, { "{\"LIMIT\": 3}", true }, { "{\"x\": [1]}", true },
	{ "{\"tags\": [\"a\"]}", true }, { "{\"limit\": null}", true },
	{ "{bad", false }, { "[]", false }, { "3", false }, { "{\"limit\": \"3\"}", false },
	{ "{\"limit\": 1.5}", false }, { "{\"auth\": 1}", false }, { "{\"sort\": 1}", false },
	{ "{\"limit\": 99999999999999999999}", false }, { "{} {}", false },
};

START_TEST(options_are_of_their_types)
{
	char	 error[256] = "";
	json_t	*o = options_read(bytes_of(bodies[_i].text), options_connz, error, sizeof(error));

	ck_assert_msg((o != NULL) == bodies[_i].fits, "%s: %s", bodies[_i].text, error);
	ck_assert(o != NULL || error[0] != '\0');
	if (_i == 3)
		ck_assert_int_eq(option_number(o, "limit", 0), 3);
	json_decref(o);
}
END_TEST

static const struct { const char *text; bool checks, passes; } filters[] = {
	{ "{}", true, true }, { "{\"server_name\": \"ou\"}", true, true },
	{ "{\"server_name\": \"ou\", \"exact_match\": true}", true, false },
	{ "{\"server_name\": \"ours\", \"exact_match\": true}", true, true },
	{ "{\"server_name\": \"other\"}", true, false }, { "{\"cluster\": \"x\"}", true, false },
	{ "{\"host\": \"0.0\"}", true, true }, { "{\"host\": \"1.1\"}", true, false },
	{ "{\"tags\": [\"a\"]}", true, true }, { "{\"tags\": [\"a\", \"z\"]}", true, false },
	{ "{\"domain\": \"x\"}", true, false }, { "{\"tags\": \"a\"}", false, false },
	{ "{\"server_name\": 1}", false, false }, { "{\"exact_match\": 1}", false, false },
};

START_TEST(only_those_that_are_meant_answer)
{
	static const struct option	none[] = { { NULL, NULL, OPTION_TEXT } };
	char				 error[256];
	json_t				*o = options_read(bytes_of(filters[_i].text), none, error, sizeof(error));

	ck_assert_int_eq(setting_set_text(&settings, setting_find(BYTES("server_name")), BYTES("ours")), 0);
	ck_assert_int_eq(setting_set_text(&settings, setting_find(BYTES("host")), BYTES("0.0.0.0")), 0);
	ck_assert_int_eq(setting_add_item(&settings, setting_find(BYTES("server_tags")), BYTES("a")), 0);
	ck_assert_ptr_nonnull(o);
	ck_assert(filter_checks(o, error, sizeof(error)) == filters[_i].checks);
	if (filters[_i].checks)
		ck_assert(filter_passes(o, &settings) == filters[_i].passes);
	json_decref(o);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("system lists");
	TCase	*c = tcase_create("lists");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, connections_are_chosen_and_in_order, 0, COUNT(lists));
	tcase_add_loop_test(c, what_makes_no_sense_is_refused, 0, COUNT(refusals));
	tcase_add_test(c, a_connection_has_the_real_servers_keys);
	tcase_add_test(c, those_that_closed_are_kept);
	tcase_add_test(c, subscriptions_are_listed);
	tcase_add_test(c, accounts_and_their_traffic);
	tcase_add_test(c, a_liar_is_bounded);
	tcase_add_test(c, nobody_claims_more_clients_than_there_are);
	tcase_add_test(c, a_record_that_is_being_written_is_left_out);
	tcase_add_loop_test(c, options_are_of_their_types, 0, COUNT(bodies));
	tcase_add_loop_test(c, only_those_that_are_meant_answer, 0, COUNT(filters));
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

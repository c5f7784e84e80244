/* Service imports: requests of one account answered in another. */
#include <sys/resource.h>
#include <jansson.h>
#include "tenants.h"

static struct net	*net;
static struct tenants	 t;
static struct accounts	*accounts;
static char		 latency_subject[] = "lat";

static void
configure(void)
{
	account(&t, ACCOUNT_SYSTEM, "$SYS");
	account(&t, A, "A");
	mapping(&t, "q.mapped", "q.other", 100, "");
	account(&t, B, "B");
	mapping(&t, "inbox.mapped", "inbox.other", 100, "");
	service(&t, A, "help.*", "q.$1");
	service_import(&t, A, "many", "many.a", (struct service_import){ .response = RESPONSE_STREAM });
	service_import(&t, A, "shared", "q.shared", (struct service_import){ .share = true });
	service_import(&t, A, "slow", "q.slow", (struct service_import){ .threshold = 0.02,
	    .latency = latency_subject, .sampling = 100 });
	service_import(&t, A, "lat", "q.lat",
	    (struct service_import){ .latency = latency_subject, .sampling = 100 });
	service_import(&t, A, "traced", "q.traced",
	    (struct service_import){ .latency = latency_subject, .sampling = 101 });
	service(&t, A, "both", "q.both");
	account(&t, C, "C");
	service(&t, B, "ask.*", "help.$1");
	service_import(&t, B, "lots", "many", (struct service_import){ .response = RESPONSE_STREAM });
	service(&t, A, "direct", "q.direct");
	accounts = tenants_set(net, &t);
}

static void
setup(void)
{
	net = net_new(3, 1 << 18, 1 << 16);
	tenants_init(&t);
	configure();
}

static void
teardown(void)
{
	ck_assert_uint_eq(net->ncomplaints, 0);
	net_free(net);
	accounts_free(accounts);
}

/* What arrived at this connection, the n-th of it; NULL: not so many did. */
static const struct arrival *
arrival(unsigned node, uint32_t connection, size_t n)
{
	size_t i;

	for (i = 0; i < net->ngot; i++)
		if (net->got[i].node == node && net->got[i].connection == connection && n-- == 0)
			return &net->got[i];
	return NULL;
}

static char	saved[128];

/* Its reply subject, kept until the next call. */
static const char *
reply_of(unsigned node, uint32_t connection)
{
	const struct arrival *a = arrival(node, connection, 0);

	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(strncmp(a->reply, "_R_.", 4), 0);
	snprintf(saved, sizeof(saved), "%s", a->reply);
	return saved;
}

/* requester, service: nodes */
static const struct { unsigned requester, service, inbox; } places[] = {
	{ 0, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 }, { 0, 1, 2 }, { 0, 1, 1 },
};

START_TEST(a_request_is_answered_once)
{
	unsigned	from = places[_i].requester, at = places[_i].service, in = places[_i].inbox;
	const char	*reply;

	sub_in(net, at, A, 1, "q.>", "");
	sub_in(net, in, B, 2, "inbox.*", "");
	sub_in(net, 2, C, 3, ">", "");
	pub_in(net, from, B, "help.me", "inbox.1", "please");
	net_settle(net);
	reply = reply_of(at, 1);
	only(net, at, 1);
	ck_assert_str_eq(net->got[0].subject, "q.me");
	ck_assert_str_eq(net->got[0].body, "NATS/1.0\r\nNats-Request-Info: {\"acc\":\"B\"}\r\n\r\nplease");
	net_clear(net);
	pub_in(net, at, A, reply, "", "here");
	net_settle(net);
	ck_assert_str_eq(only(net, in, 2)->subject, "inbox.1");
	ck_assert_str_eq(net->got[0].body, "here");
	ck_assert_str_eq(net->got[0].reply, "");
	net_clear(net);
	pub_in(net, at, A, reply, "", "again");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 0);
	ck_assert_uint_eq(net->node[from].b->tables->records_lost, 0);
}
END_TEST

START_TEST(nobody_else_can_answer)
{
	const char	*reply;
	char		 other[128];

	sub_in(net, 1, A, 1, "q.>", "");
	sub_in(net, 0, B, 2, "inbox.*", "");
	pub_in(net, 0, C, "ask.me", "inbox.1", "");	/* so that it waits for answers in B too */
	net_settle(net);
	net_clear(net);
	pub_in(net, 0, B, "help.me", "inbox.1", "");
	net_settle(net);
	reply = reply_of(1, 1);
	sub_in(net, 0, B, 3, "_R_.>", "");
	net_clear(net);
	pub_in(net, 0, C, reply, "", "other account");
	snprintf(other, sizeof(other), "%s", reply);
	other[strlen(other) - 1] ^= 1;
	pub_in(net, 0, A, other, "", "guessed");
	pub_in(net, 0, B, reply, "", "own account");
	net_settle(net);
	only(net, 0, 3);
	ck_assert_str_eq(net->got[0].body, "own account");
}
END_TEST

START_TEST(a_stream_is_answered_until_an_empty_message)
{
	const char	*reply;

	sub_in(net, 1, A, 1, "many.a", "");
	sub_in(net, 2, B, 2, "inbox.*", "");
	pub_in(net, 0, B, "many", "inbox.1", "");
	net_settle(net);
	reply = reply_of(1, 1);
	net_clear(net);
	pub_in(net, 1, A, reply, "", "1");
	pub_in(net, 1, A, reply, "", "2");
	pub_in(net, 1, A, reply, "", "");
	pub_in(net, 1, A, reply, "", "3");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 3);
	ck_assert_str_eq(arrival(2, 2, 0)->body, "1");
	ck_assert_str_eq(arrival(2, 2, 1)->body, "2");
	ck_assert_str_eq(arrival(2, 2, 2)->body, "");
}
END_TEST

START_TEST(an_answer_may_ask_back)
{
	const char	*reply;

	sub_in(net, 1, A, 1, "q.>", "");
	sub_in(net, 1, A, 4, "more", "");
	sub_in(net, 2, B, 2, "inbox.*", "");
	pub_in(net, 0, B, "help.me", "inbox.1", "");
	net_settle(net);
	reply = reply_of(1, 1);
	net_clear(net);
	pub_in(net, 1, A, reply, "more", "which?");
	net_settle(net);
	reply = reply_of(2, 2);
	net_clear(net);
	pub_in(net, 2, B, reply, "", "this");
	net_settle(net);
	ck_assert_str_eq(only(net, 1, 4)->subject, "more");
	ck_assert_str_eq(net->got[0].body, "this");
}
END_TEST

START_TEST(both_accounts_map_their_subjects)
{
	const char	*reply;

	sub_in(net, 1, A, 1, "q.>", "");
	sub_in(net, 2, B, 2, "inbox.*", "");
	pub_in(net, 0, B, "help.mapped", "inbox.mapped", "");
	net_settle(net);
	ck_assert_str_eq(only(net, 1, 1)->subject, "q.other");
	reply = reply_of(1, 1);
	net_clear(net);
	pub_in(net, 1, A, reply, "", "x");
	net_settle(net);
	ck_assert_str_eq(only(net, 2, 2)->subject, "inbox.other");
}
END_TEST

START_TEST(imports_make_chains)
{
	const char	*reply;

	sub_in(net, 1, A, 1, "q.>", "");
	sub_in(net, 2, C, 2, "inbox.*", "");
	sub_in(net, 2, B, 3, ">", "");
	pub_in(net, 0, C, "ask.me", "inbox.1", "x");
	net_settle(net);
	ck_assert_uint_eq(got(net, 2, 3), 1);
	ck_assert_str_eq(arrival(2, 3, 0)->subject, "help.me");
	ck_assert_str_eq(arrival(1, 1, 0)->body,
	    "NATS/1.0\r\nNats-Request-Info: {\"acc\":\"C\",\"svc\":\"B\"}\r\n\r\nx");
	reply = reply_of(1, 1);
	net_clear(net);
	pub_in(net, 1, A, reply, "", "y");
	net_settle(net);
	ck_assert_uint_eq(got(net, 2, 2), 1);
	ck_assert_str_eq(arrival(2, 2, 0)->subject, "inbox.1");
}
END_TEST

START_TEST(nobody_takes_it)
{
	uint32_t	slot;

	pub_in(net, 0, B, "help.me", "inbox.1", "x");
	ck_assert_uint_eq(net->nno_responders, 1);
	ck_assert_str_eq(net->no_responders[0].subject, "help.me");
	ck_assert_str_eq(net->no_responders[0].reply, "inbox.1");
	slot = sub_in(net, 1, A, 1, "q.*", "");
	net->node[1].refuses[1] = 1;
	pub_in(net, 0, B, "help.me", "inbox.2", "x");
	ck_assert_uint_eq(net->nno_responders, 1);
	net_settle(net);
	ck_assert_uint_eq(net->nno_responders, 2);
	ck_assert_str_eq(net->no_responders[1].subject, "help.me");
	broker_unsubscribe(net->node[1].b, slot);
	net_settle(net);
	sub_in(net, 2, B, 2, "help.me", "");		/* one of their own is enough */
	net->node[2].refuses[2] = 1;
	sub_in(net, 1, A, 1, "q.*", "");
	pub_in(net, 0, B, "help.me", "inbox.3", "x");
	net_settle(net);
	ck_assert_uint_eq(net->nno_responders, 3);
	net->node[2].refuses[2] = 0;
	pub_in(net, 0, B, "help.me", "inbox.4", "x");
	net_settle(net);
	ck_assert_uint_eq(net->nno_responders, 3);
	ck_assert_uint_eq(net->ngot, 1);
}
END_TEST

static const struct { const char *header, *others; } headers[] = {
	{ "NATS/1.0\r\nX: y\r\n\r\n", "NATS/1.0\r\nX: y\r\n" },
	{ "NATS/1.0\r\nNats-Request-Info: {}\r\n\r\n", "NATS/1.0\r\n" },
	{ "NATS/1.0\r\nnats-request-info: {}\r\nX: y\r\nNATS-REQUEST-INFO : {}\r\n\r\n", "NATS/1.0\r\nX: y\r\n" },
	{ "NATS/1.0\r\n Nats-Request-Info:{}\r\nX: y\r\n\r\n", "NATS/1.0\r\nX: y\r\n" },
	{ "NATS/1.0\r\nX: y\nNats-Request-Info: {}\nZ: z\r\n\r\n", "NATS/1.0\r\nX: y\nZ: z\r\n" },
	{ "NATS/1.0\r\nNats-Request-Info:\r\n {\"acc\":\"root\"}\r\nX: y\r\n\r\n", "NATS/1.0\r\nX: y\r\n" },
	{ "Nats-Request-Info: {}\r\n\r\n", "NATS/1.0\r\n" },
	{ "NATS/1.0 503 no\r\nNats-Request-Info\t: {}\r\n\r\n", "NATS/1.0 503 no\r\n" },
	{ "NATS/1.0\r\nX: y", "NATS/1.0\r\nX: y\r\n" },
};

/* CVE-2026-33223 */
START_TEST(clients_cannot_say_who_they_are)
{
	char		expected[512], body[512];
	struct message	m = { .account = B, .subject = BYTES("help.me"), .publisher = 1000, .echo = true };

	snprintf(body, sizeof(body), "%sbody\r\n\r\n", headers[_i].header);
	snprintf(expected, sizeof(expected), "%sNats-Request-Info: {\"acc\":\"B\"}\r\n\r\nbody\r\n\r\n",
	    headers[_i].others);
	m.header = (uint32_t)strlen(headers[_i].header);
	m.body = bytes_of(body);
	sub_in(net, 1, A, 1, "q.>", "");
	pub_message(net, 0, &m, 7);
	net_settle(net);
	ck_assert_str_eq(only(net, 1, 1)->body, expected);
	ck_assert_uint_eq(net->got[0].header, strlen(expected) - 8);
}
END_TEST

/* A client of node 0 with number 5 and cid 99. */
static void
client_make(void)
{
	struct connection_record *c = &tables_connections(net->node[0].b->tables)[5];

	c->cid = 99;
	c->account = B;
	c->start = UINT64_C(1700000000123456);
	c->rtt = 250;
	memcpy(c->host, "10.0.0.1", 9);
	memcpy(c->user, "bob", 4);
	memcpy(c->name, "name\xff", 6);
	memcpy(c->lang, "c", 2);
	memcpy(c->version, "1.2", 4);
}

static void
ask_as_client(const char *subject, const char *reply, const char *header)
{
	struct message	m = { .account = B, .subject = bytes_of(subject), .reply = bytes_of(reply), .publisher = 5,
	    .echo = true, .body = bytes_of(header), .header = (uint32_t)strlen(header) };

	client_make();
	pub_message(net, 0, &m, 99);
	net_settle(net);
}

START_TEST(a_service_is_told_who_asks)
{
	sub_in(net, 1, A, 1, "q.>", "");
	ask_as_client("shared", "", "");
	ck_assert_str_eq(only(net, 1, 1)->body, "NATS/1.0\r\nNats-Request-Info: {\"start\":\"2023-11-14T22:13:20.123456Z\","
	    "\"host\":\"10.0.0.1\",\"id\":99,\"acc\":\"B\",\"user\":\"bob\",\"name\":\"name\xef\xbf\xbd\",\"lang\":\"c\","
	    "\"ver\":\"1.2\",\"rtt\":250000,\"kind\":\"Client\",\"client_type\":\"nats\"}\r\n\r\n");
	net_clear(net);
	ask_as_client("help.me", "", "");
	ck_assert_str_eq(only(net, 1, 1)->body,
	    "NATS/1.0\r\nNats-Request-Info: {\"acc\":\"B\",\"rtt\":250000}\r\n\r\n");
}
END_TEST

/* The sample that came to A's subject. */
static json_t *
sample(unsigned status)
{
	const struct arrival	*a = arrival(2, 9, 0);
	json_t			*o;

	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a->subject, "lat");
	o = json_loads(a->body, 0, NULL);
	ck_assert_ptr_nonnull(o);
	ck_assert_str_eq(json_string_value(json_object_get(o, "type")),
	    "io.nats.server.metric.v1.service_latency");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "status")), status);
	ck_assert_uint_eq(strlen(json_string_value(json_object_get(o, "id"))), 22);
	return o;
}

START_TEST(latency_is_told)
{
	json_t	*o;

	sub_in(net, 2, A, 9, "lat", "");
	sub_in(net, 0, A, 5, "q.>", "");		/* the same client answers, in another account */
	ask_as_client("lat", "inbox.1", "");
	ask_as_client(reply_of(0, 5), "", "");		/* B has no such subject */
	ck_assert_ptr_null(arrival(2, 9, 0));
	pub_in(net, 0, A, reply_of(0, 5), "", "x");
	net_settle(net);
	o = sample(200);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(o, "requestor"), "acc")), "B");
	ck_assert_ptr_null(json_object_get(json_object_get(o, "requestor"), "user"));
	ck_assert_ptr_nonnull(json_object_get(o, "responder"));
	ck_assert_int_ge(json_integer_value(json_object_get(o, "total")), 250000);
	ck_assert_ptr_nonnull(json_object_get(o, "start"));
	json_decref(o);
	net_clear(net);
	ask_as_client("lat", "", "");
	json_decref(sample(400));
}
END_TEST

START_TEST(latency_of_what_is_not_answered_is_told)
{
	double	 timeout;

	sub_in(net, 2, A, 9, "lat", "");
	ask_as_client("lat", "inbox.1", "");
	json_decref(sample(503));
	net_clear(net);
	sub_in(net, 1, A, 1, "q.>", "");
	ask_as_client("slow", "inbox.1", "");
	timeout = broker_timeout(net->node[0].b);
	ck_assert(timeout > 0 && timeout <= 0.02);
	while (arrival(2, 9, 0) == NULL)
		net_settle(net);
	json_decref(sample(504));
	net_clear(net);
	ck_assert(broker_timeout(net->node[0].b) == 0);
}
END_TEST

static const struct { const char *header; bool sampled; } traces[] = {
	{ "X: y", false },
	{ "Uber-Trace-Id: 479fefe9525eddb:5adb976bfc1f95c1:479fefe9525eddb:1", true },
	{ "uber-trace-id: 479fefe9525eddb:5adb976bfc1f95c1:479fefe9525eddb:0", false },
	{ "Uber-Trace-Id: 479fefe9525eddb:5adb976bfc1f95c1:479fefe9525eddb:1:1", false },
	{ "X-B3-Sampled: 1", true }, { "X-B3-Sampled: 0", false }, { "X-B3-TraceId: 80f198ee56343ba8", true },
	{ "X-B3-Sampled: 0\r\nX-B3-TraceId: 80f198ee56343ba8", false },
	{ "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90", true },
	{ "B3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0", false }, { "B3: 0", false },
	{ "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true },
	{ "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false },
	{ "Traceparent: 01", false },
};

START_TEST(headers_ask_for_samples)
{
	char	header[256];
	json_t	*o;

	snprintf(header, sizeof(header), "NATS/1.0\r\n%s\r\n\r\n", traces[_i].header);
	sub_in(net, 2, A, 9, "lat", "");
	sub_in(net, 1, A, 1, "q.>", "");
	ask_as_client("traced", "inbox.1", header);
	pub_in(net, 1, A, reply_of(1, 1), "", "x");
	net_settle(net);
	if (!traces[_i].sampled) {
		ck_assert_ptr_null(arrival(2, 9, 0));
		return;
	}
	o = sample(200);
	ck_assert_uint_ge(json_object_size(json_object_get(o, "header")), 1);
	json_decref(o);
}
END_TEST

START_TEST(every_account_may_ask_for_itself)
{
	sub_in(net, 1, ACCOUNT_SYSTEM, 1, "$SYS.REQ.>", "");
	pub_in(net, 0, B, "$SYS.REQ.ACCOUNT.PING.CONNZ", "inbox.1", "");
	pub_in(net, 0, C, "$SYS.REQ.ACCOUNT.PING.STATZ", "inbox.1", "");
	pub_in(net, 0, C, "$SYS.REQ.SERVER.PING.CONNZ", "inbox.1", "");
	pub_in(net, 0, C, "$SYS.REQ.SERVER.PING.VARZ", "inbox.1", "");
	pub_in(net, 0, ACCOUNT_SYSTEM, "$SYS.REQ.ACCOUNT.PING.CONNZ", "inbox.1", "");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 4);
	ck_assert_str_eq(arrival(1, 1, 0)->subject, "$SYS.REQ.ACCOUNT.B.CONNZ");
	ck_assert_str_eq(arrival(1, 1, 1)->subject, "$SYS.REQ.ACCOUNT.C.STATZ");
	ck_assert_str_eq(arrival(1, 1, 2)->subject, "$SYS.REQ.ACCOUNT.C.CONNZ");
	ck_assert_str_eq(arrival(1, 1, 3)->subject, "$SYS.REQ.ACCOUNT.PING.CONNZ");
}
END_TEST

START_TEST(who_waits_is_bounded)
{
	static char	 reply[60000];
	size_t		 i, before;
	struct message	 m = { .account = B, .subject = BYTES("help.me"), .reply = { reply, sizeof(reply) },
	    .publisher = 5, .echo = true, .wants_503 = true };

	memset(reply, 'r', sizeof(reply));
	net->quiet = true;
	sub_in(net, 0, A, 1, "q.>", "");
	for (i = 0; i < 1000; i++)
		pub_message(net, 0, &m, 99);
	ck_assert_uint_lt(net->count, 300);		/* 16 MiB */
	ck_assert_uint_gt(net->count, 250);
	ck_assert_uint_eq(net->nno_responders, 1000 - net->count);
	before = net->count;
	m.account = C;					/* others have their own share */
	m.subject = BYTES("direct");
	pub_message(net, 0, &m, 99);
	ck_assert_uint_eq(net->count, before + 1);
	m.account = B;
	m.reply = BYTES("");
	m.subject = BYTES("help.me");
	pub_message(net, 0, &m, 99);			/* who wants no answer may always ask */
	ck_assert_uint_eq(net->count, before + 2);
}
END_TEST

START_TEST(a_full_lane_holds_all_legs_back)
{
	char		*body = malloc(1 << 20);
	struct message	 m = { .account = B, .subject = BYTES("both"), .reply = BYTES("inbox.1"), .publisher = 5,
	    .echo = true };
	unsigned	 i, accepted = 0;

	memset(body, 'x', 1 << 20);
	sub_in(net, 0, B, 1, "both", "");
	sub_in(net, 1, A, 2, "q.both", "");
	m.body = (struct bytes){ body, 100000 };
	for (i = 0; i < 50; i++)
		accepted += pub_message(net, 0, &m, 99) == PUBLISHED;
	ck_assert_uint_lt(accepted, 50);
	ck_assert_uint_eq(got(net, 0, 1), accepted);	/* what is refused was not done by half */
	net_settle(net);
	ck_assert_uint_eq(got(net, 1, 2), accepted);
	ck_assert_uint_gt(net->node[0].unblocked, 0);
	free(body);
}
END_TEST

/* The requester's inbox is at node 2, which does not read: what comes from the service waits, then is lost. */
START_TEST(answers_wait_for_a_full_lane_and_draining_goes_on)
{
	char		*body = malloc(100000);
	const char	*reply;
	struct message	 m = { .account = A, .publisher = 5, .echo = true };
	unsigned	 i;

	memset(body, 'x', 100000);
	sub_in(net, 1, A, 1, "many.a", "");
	sub_in(net, 2, B, 2, "inbox.*", "");
	sub_in(net, 0, B, 3, "other", "");
	pub_in(net, 0, B, "many", "inbox.1", "");
	net_settle(net);
	reply = reply_of(1, 1);
	m.subject = bytes_of(reply);
	m.body = (struct bytes){ body, 100000 };
	net_clear(net);
	for (i = 0; i < 1000; i++) {
		while (pub_message(net, 1, &m, 99) == PUBLISH_BLOCKED) {
			node_turn(&net->node[0]);
			node_turn(&net->node[1]);
		}
		m.body.len = 90000 + i;			/* so that order shows */
	}
	node_turn(&net->node[0]);
	ck_assert_uint_gt(net->node[0].b->tables->records_lost, 0);
	ck_assert_uint_lt(net->node[0].b->tables->records_lost, 999);
	pub_in(net, 1, B, "other", "", "x");
	node_turn(&net->node[1]);
	node_turn(&net->node[0]);
	only(net, 0, 3);
	net_clear(net);
	net_settle(net);
	ck_assert_uint_eq(got(net, 2, 2) + net->node[0].b->tables->records_lost, 1000);
	for (i = 1; i + 1 < net->ngot; i++)
		ck_assert_uint_gt(net->got[i + 1].len, net->got[i].len);
	free(body);
}
END_TEST

/* Answers that come to a service import's own reply pass through the queue twice. */
START_TEST(answers_of_a_chain_go_on_after_a_full_lane)
{
	char		 body[1024];
	const char	*reply;
	struct message	 m = { .account = A, .publisher = 5, .echo = true };
	unsigned	 i;

	memset(body, 'x', sizeof(body));
	sub_in(net, 1, A, 1, "many.a", "");
	sub_in(net, 2, C, 2, "inbox.*", "");
	pub_in(net, 0, C, "lots", "inbox.1", "");
	net_settle(net);
	reply = reply_of(1, 1);
	net_clear(net);
	m.subject = bytes_of(reply);
	m.body = (struct bytes){ body, sizeof(body) };
	for (i = 0; i < 4000; i++) {
		ck_assert_int_eq(pub_message(net, 1, &m, 99), PUBLISHED);
		node_turn(&net->node[1]);
		node_turn(&net->node[0]);
	}
	net_settle(net);
	ck_assert_uint_gt(got(net, 2, 2), 3500);
	ck_assert_uint_eq(got(net, 2, 2) + net->node[0].b->tables->records_lost, 4000);
}
END_TEST

/* What is tried again and again leaves nothing behind. */
START_TEST(an_answer_that_asks_back_waits_for_a_full_lane)
{
	char		*body = malloc(100000);
	const char	*reply;
	struct message	 m = { .account = B, .subject = BYTES("inbox.1"), .publisher = 5, .echo = true };
	unsigned	 i;

	memset(body, 'x', 100000);
	sub_in(net, 0, A, 1, "q.>", "");
	sub_in(net, 2, B, 2, "inbox.*", "");
	pub_in(net, 0, B, "help.me", "inbox.1", "");
	reply = reply_of(0, 1);
	m.body = (struct bytes){ body, 100000 };
	while (pub_message(net, 0, &m, 99) == PUBLISHED)
		;
	pub_in(net, 0, A, reply, "more", "which?");
	for (i = 0; i < 200000; i++)
		broker_flush(net->node[0].b);
	net_clear(net);
	net_settle(net);
	ck_assert_str_eq(net->got[net->ngot - 1].body, "which?");
	ck_assert_int_eq(strncmp(net->got[net->ngot - 1].reply, "_R_.", 4), 0);
	free(body);
}
END_TEST

/* The service is at the requester's node: it is not read while its answers cannot go out. */
START_TEST(a_service_here_waits_with_its_answers)
{
	char		*body = malloc(100000);
	const char	*reply;
	struct message	 m = { .account = A, .publisher = 5, .echo = true };
	unsigned	 i, sent = 0;

	memset(body, 'x', 100000);
	sub_in(net, 0, A, 1, "many.a", "");
	sub_in(net, 2, B, 2, "inbox.*", "");
	pub_in(net, 0, B, "many", "inbox.1", "");
	reply = reply_of(0, 1);
	m.subject = bytes_of(reply);
	m.body = (struct bytes){ body, 100000 };
	net_clear(net);
	for (i = 0; i < 1000; i++)
		sent += pub_message(net, 0, &m, 99) == PUBLISHED;
	ck_assert_uint_lt(sent, 400);
	ck_assert_uint_eq(net->node[0].b->tables->records_lost, 0);
	net_settle(net);
	ck_assert_uint_eq(got(net, 2, 2), sent);
	ck_assert_int_eq(pub_message(net, 0, &m, 99), PUBLISHED);
	free(body);
}
END_TEST

START_TEST(a_body_as_large_as_may_be_gets_its_header_too)
{
	char		*body = malloc(1 << 20);
	struct message	 m = { .account = B, .subject = BYTES("help.me"), .publisher = 5, .echo = true,
	    .body = { body, 1 << 20 } };

	memset(body, 'x', 1 << 20);
	sub_in(net, 1, A, 1, "q.>", "");
	pub_message(net, 0, &m, 99);
	net_settle(net);
	ck_assert_uint_gt(only(net, 1, 1)->len, 1 << 20);
	free(body);
}
END_TEST

/* An answer as large as a peer may send, to a reply that is a service's: node 2 does not take it for our fault. */
START_TEST(a_body_that_grows_too_large_is_lost)
{
	char		*body = malloc((1 << 20) + WIRE_ADDED);
	struct message	 m = { .account = A, .publisher = 5, .echo = true, .imported = true,
	    .body = { body, (1 << 20) + WIRE_ADDED } };

	memset(body, 'x', m.body.len);
	sub_in(net, 1, A, 1, "q.me", "");
	sub_in(net, 2, A, 2, "q.again", "");
	pub_in(net, 0, B, "help.me", "help.again", "");
	net_settle(net);
	m.subject = bytes_of(reply_of(1, 1));
	m.header = 1;
	net_clear(net);
	pub_message(net, 1, &m, 99);
	net_settle(net);
	ck_assert_uint_eq(net->ncomplaints, 0);
	ck_assert_uint_eq(net->ngot, 0);
	ck_assert_uint_eq(net->node[0].b->tables->records_lost, 1);
	free(body);
}
END_TEST

/* Each of them has a body of its own, but not all at once. */
START_TEST(many_legs_of_a_large_message_take_the_memory_of_one)
{
#ifdef __SANITIZE_ADDRESS__
	return;				/* it keeps freed memory, and has reserved more than any limit */
#endif
	struct accounts	*old = accounts;
	struct message	 m = { .account = B, .subject = BYTES("all"), .publisher = 5, .echo = true,
	    .body = { calloc(1, 1 << 20), 1 << 20 } };
	struct rlimit	 most = { .rlim_cur = 0 };
	char		 subject[16], line[64];
	FILE		*f = fopen("/proc/self/statm", "r");
	unsigned	 i;

	account(&t, A, "A");
	account(&t, B, "B");
	for (i = 0; i < 200; i++) {
		snprintf(subject, sizeof(subject), "one.%u", i);
		service(&t, A, "all", subject);
	}
	accounts = tenants_set(net, &t);
	accounts_free(old);
	sub_in(net, 0, A, 1, "one.*", "");
	net->quiet = true;
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	most.rlim_cur = most.rlim_max = strtoul(line, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + (32 << 20);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &most), 0);
	pub_message(net, 0, &m, 99);
	ck_assert_uint_eq(net->count, 200);
	ck_assert_uint_eq(net->node[0].b->tables->records_lost, 0);
	fclose(f);
	free((void *)(uintptr_t)m.body.data);
}
END_TEST

START_TEST(another_configuration_ends_what_is_gone)
{
	struct accounts	*old = accounts;
	const char	*reply;

	sub_in(net, 1, A, 1, "q.>", "");
	sub_in(net, 0, B, 2, "inbox.*", "");
	pub_in(net, 0, B, "help.me", "inbox.1", "");
	net_settle(net);
	reply = reply_of(1, 1);
	net_clear(net);
	account(&t, A, "A");
	account(&t, B, "B");
	accounts = tenants_set(net, &t);
	accounts_free(old);
	pub_in(net, 0, B, "help.me", "inbox.2", "");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 0);
	pub_in(net, 1, A, reply, "", "late");		/* what was asked before may be answered */
	net_settle(net);
	only(net, 0, 2);
	account(&t, B, "B");
	old = accounts;
	accounts = tenants_set(net, &t);
	accounts_free(old);
	ck_assert_uint_eq(net->node[0].b->internal, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("services");
	TCase *c = tcase_create("services");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, a_request_is_answered_once, 0, sizeof(places) / sizeof(places[0]));
	tcase_add_test(c, nobody_else_can_answer);
	tcase_add_test(c, a_stream_is_answered_until_an_empty_message);
	tcase_add_test(c, an_answer_may_ask_back);
	tcase_add_test(c, both_accounts_map_their_subjects);
	tcase_add_test(c, imports_make_chains);
	tcase_add_test(c, nobody_takes_it);
	tcase_add_loop_test(c, clients_cannot_say_who_they_are, 0, sizeof(headers) / sizeof(headers[0]));
	tcase_add_test(c, a_service_is_told_who_asks);
	tcase_add_test(c, latency_is_told);
	tcase_add_test(c, latency_of_what_is_not_answered_is_told);
	tcase_add_loop_test(c, headers_ask_for_samples, 0, sizeof(traces) / sizeof(traces[0]));
	tcase_add_test(c, every_account_may_ask_for_itself);
	tcase_add_test(c, who_waits_is_bounded);
	tcase_add_test(c, a_full_lane_holds_all_legs_back);
	tcase_add_test(c, answers_wait_for_a_full_lane_and_draining_goes_on);
	tcase_add_test(c, answers_of_a_chain_go_on_after_a_full_lane);
	tcase_add_test(c, an_answer_that_asks_back_waits_for_a_full_lane);
	tcase_add_test(c, a_service_here_waits_with_its_answers);
	tcase_add_test(c, a_body_as_large_as_may_be_gets_its_header_too);
	tcase_add_test(c, a_body_that_grows_too_large_is_lost);
	tcase_add_test(c, many_legs_of_a_large_message_take_the_memory_of_one);
	tcase_add_test(c, another_configuration_ends_what_is_gone);
	suite_add_tcase(s, c);
	return tests_run(s);
}

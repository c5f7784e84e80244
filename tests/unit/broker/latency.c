/* Samples of services' latency over several participants: who answered, and who does not wait any more. */
#include <jansson.h>
#include "tenants.h"

#define CLIENT		5u		/* of node 0, in B: it asks */
#define CLIENT_CID	99u
#define RESPONDER	6u		/* of any node, in A */
#define RESPONDER_CID	42u
#define LISTENER	9u		/* of node 2, in A: it gets samples */

static struct net	*net;
static struct tenants	 t;
static struct accounts	*accounts;
static char		 latency_subject[] = "lat";

static void
configure(void)
{
	const struct service_import timed = { .latency = latency_subject, .sampling = 100 };
	const struct service_import shared = { .latency = latency_subject, .sampling = 100, .share = true };

	account(&t, ACCOUNT_SYSTEM, "$SYS");
	account(&t, A, "A");
	account(&t, B, "B");
	mapping(&t, "inbox.mapped", "inbox.other", 100, "");
	service_import(&t, A, "timed", "q.timed", timed);
	service_import(&t, A, "shared", "q.shared", shared);
	service(&t, A, "plain", "q.plain");
	service_import(&t, A, "many", "q.many", (struct service_import){ .response = RESPONSE_STREAM });
	account(&t, C, "C");
	service(&t, B, "chain", "plain");
	accounts = tenants_set(net, &t);
}

static void
client_make(unsigned node, uint32_t connection, uint64_t cid, uint32_t of, const char *user, uint64_t rtt)
{
	struct connection_record *c = &tables_connections(net->node[node].b->tables)[connection];

	c->cid = cid;
	c->account = of;
	c->start = UINT64_C(1700000000123456);
	c->rtt = rtt;
	memcpy(c->host, "10.0.0.1", 9);
	snprintf(c->user, sizeof(c->user), "%s", user);
	memcpy(c->name, "name\xff", 6);
	memcpy(c->lang, "c", 2);
	memcpy(c->version, "1.2", 4);
}

static void
setup(void)
{
	net = net_new(3, 1 << 18, 1 << 16);
	tenants_init(&t);
	configure();
	client_make(0, CLIENT, CLIENT_CID, B, "bob", 250);
	sub_in(net, 2, A, LISTENER, "lat", "");
}

static void
teardown(void)
{
	ck_assert_uint_eq(net->ncomplaints, 0);
	net_free(net);
	accounts_free(accounts);
}

/* The n-th that arrived there; NULL: not so many did. */
static const struct arrival *
arrival(unsigned node, uint32_t connection, size_t n)
{
	size_t i;

	for (i = 0; i < net->ngot; i++)
		if (net->got[i].node == node && net->got[i].connection == connection && n-- == 0)
			return &net->got[i];
	return NULL;
}

static void
ask(const char *subject, const char *reply)
{
	struct message	m = { .account = B, .subject = bytes_of(subject), .reply = bytes_of(reply),
	    .publisher = CLIENT, .echo = true };

	ck_assert_int_eq(pub_message(net, 0, &m, CLIENT_CID), PUBLISHED);
	net_settle(net);
}

/* The reply subject of the last request that came to the service, kept until the next call. */
static const char *
reply_of(unsigned node)
{
	static char		 kept[128];
	const struct arrival	*a = NULL, *next;
	size_t			 i;

	for (i = 0; (next = arrival(node, RESPONDER, i)) != NULL; i++)
		a = next;
	ck_assert_ptr_nonnull(a);
	snprintf(kept, sizeof(kept), "%s", a->reply);
	return kept;
}

static void
answer(unsigned node, const char *reply)
{
	struct message	m = { .account = A, .subject = bytes_of(reply), .publisher = RESPONDER, .echo = true,
	    .body = BYTES("here") };

	ck_assert_int_eq(pub_message(net, node, &m, RESPONDER_CID), PUBLISHED);
	net_settle(net);
}

/* The sample that came, the only one. */
static json_t *
sample(unsigned status)
{
	const struct arrival	*a = arrival(2, LISTENER, 0);
	json_t			*o;

	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_null(arrival(2, LISTENER, 1));
	o = json_loads(a->body, 0, NULL);
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "status")), status);
	return o;
}

static const char *
field(const json_t *o, const char *who, const char *key)
{
	const char *text = json_string_value(json_object_get(json_object_get(o, who), key));

	return text == NULL ? "" : text;
}

static void
forget(uint32_t connection)
{
	tables_connections(net->node[0].b->tables)[connection].cid = 0;
}

/* ---- who answered */

START_TEST(the_responder_is_described_wherever_it_is)
{
	unsigned	 at = (unsigned)_i;
	json_t		*o;

	client_make(at, RESPONDER, RESPONDER_CID, A, "alice", 50000000);
	sub_in(net, at, A, RESPONDER, "q.>", "");
	sub_in(net, 2, B, 2, "inbox.*", "");
	sub_in(net, 1, A, 3, "responder.>", "");
	ask("timed", "inbox.1");
	ck_assert_uint_eq(strlen(reply_of(at)), ANSWER_MARKED);
	answer(at, reply_of(at));
	o = sample(200);
	ck_assert_str_eq(field(o, "requestor", "acc"), "B");
	ck_assert_str_eq(field(o, "responder", "acc"), "A");
	ck_assert_str_eq(field(o, "responder", "user"), "alice");
	ck_assert_str_eq(field(o, "responder", "name"), "name\xef\xbf\xbd");
	ck_assert_str_eq(field(o, "responder", "lang"), "c");
	ck_assert_str_eq(field(o, "responder", "ver"), "1.2");
	ck_assert_str_eq(field(o, "responder", "host"), "10.0.0.1");
	ck_assert_str_eq(field(o, "responder", "start"), "2023-11-14T22:13:20.123456Z");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(o, "responder"), "id")), RESPONDER_CID);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(o, "responder"), "rtt")), 50000000000);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "service")), 0);	/* all of it was its way */
	ck_assert_int_ge(json_integer_value(json_object_get(o, "total")), 250000);
	ck_assert_uint_eq(got(net, 2, 2), 1);
	ck_assert_uint_eq(got(net, 1, 3), 0);
	json_decref(o);
}
END_TEST

START_TEST(only_sampled_requests_have_a_mark)
{
	client_make(1, RESPONDER, RESPONDER_CID, A, "alice", 0);
	sub_in(net, 1, A, RESPONDER, "q.>", "");
	ask("plain", "inbox.1");
	ck_assert_uint_eq(strlen(reply_of(1)), ANSWER_SUBJECT);
	ck_assert_ptr_null(net->node[0].b->responders);
	ask("timed", "inbox.1");
	ck_assert_uint_eq(strlen(reply_of(1)), ANSWER_MARKED);
	ck_assert_uint_eq(net->node[0].b->tables->subscriptions, 0);	/* none of a client's */
	ck_assert_int_eq(broker_set_accounts(net->node[0].b, NULL), 0);
	ck_assert_uint_eq(net->node[0].b->internal, 0);
	ck_assert_ptr_null(net->node[0].b->responders);
}
END_TEST

/* Subjects with a mark that clients make up, and whether their participant tells anybody of it. */
static const struct { const char *subject; bool told; } invented[] = {
	{ "_R_.aaaaaaaa.bbbbbbbbbbbbbbbb-t", true }, { "_R_.aaaaaaaa.bbbbbbbbbbbbbbbb-u", false },
	{ "_R_.aaaaaaaa.bbbbbbbbbbbbbbbb", false }, { "_R_.aaaa.aaa.bbbbbbbbbbbbbbbb-t", false },
	{ "_R_.aaaaaa.>.bbbbbbbbbbbbbbbb-t", false }, { "_R_.aaaaaaaa.bbbbbbbbbbbbbb.*-t", false },
	{ "_R_.aaaaaaa\xff.bbbbbbbbbbbbbbbb-t", false }, { "_R_.aaaaaaaa.bbbbbbbbbbbbbbb\xff-t", false },
	{ "_S_.aaaaaaaa.bbbbbbbbbbbbbbbb-t", false },
};

START_TEST(what_clients_invent_is_harmless)
{
	client_make(1, RESPONDER, RESPONDER_CID, A, "alice", 0);
	sub_in(net, 2, ACCOUNT_SERVER, 7, ">", "");
	sub_in(net, 0, A, 8, "_R_.>", "");
	answer(1, invented[_i].subject);
	ck_assert_uint_eq(got(net, 2, 7), invented[_i].told);
	if (invented[_i].told)
		ck_assert_str_eq(arrival(2, 7, 0)->subject, "responder.aaaaaaaa");
	ck_assert_uint_eq(got(net, 0, 8), invented[_i].subject[1] == 'R');
	net_clear(net);
	client_make(1, RESPONDER, RESPONDER_CID, C, "carol", 0);	/* not of the account it publishes in */
	answer(1, invented[_i].subject);
	ck_assert_uint_eq(got(net, 2, 7), 0);
}
END_TEST

/* ---- what a lying peer says: node 1 publishes it */

/* padding: bytes behind the record, which are none. */
static void
tell_padded(const char *reply, uint32_t of, const char *user, size_t padding)
{
	static char	 zeros[1 << 16];
	struct msg	 m = { .type = MSG_responder, .u.responder = { .account = of, .cid = 1, .rtt = UINT64_MAX,
	    .start = UINT64_MAX, .user = bytes_of(user), .token = { reply + ANSWER_SUBJECT - ANSWER_TOKEN, ANSWER_TOKEN } } };
	char		 subject[32];
	struct message	 told = { .account = ACCOUNT_SERVER, .publisher = NO_CONNECTION };
	msgpack_sbuffer	 body;

	snprintf(subject, sizeof(subject), "responder.%.*s", ANSWER_OWN, reply + strlen(ANSWER_PREFIX));
	told.subject = bytes_of(subject);
	msgpack_sbuffer_init(&body);
	ck_assert_int_eq(records_add(&body, &m), 0);
	ck_assert_int_eq(msgpack_sbuffer_write(&body, zeros, padding), 0);
	told.body = (struct bytes){ body.data, body.size };
	pub_message(net, 1, &told, 0);
	msgpack_sbuffer_destroy(&body);
	net_settle(net);
}

static void
tell(const char *reply, uint32_t of, const char *user)
{
	tell_padded(reply, of, user, 0);
}

static unsigned
described(void)
{
	return responders_count(net->node[0].b);
}

START_TEST(only_what_is_waited_for_is_kept)
{
	const char	*reply;
	char		 other[64];

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	ask("timed", "inbox.1");
	ask("plain", "inbox.1");
	tell(reply_of(1), A, "of one without a sample");
	ck_assert_uint_eq(described(), 0);
	ask("timed", "inbox.1");
	reply = reply_of(1);
	tell(reply, B, "of another account");
	ck_assert_uint_eq(described(), 0);
	snprintf(other, sizeof(other), "%s", reply);
	other[ANSWER_SUBJECT - 1] ^= 1;
	tell(other, A, "of an unknown token");
	ck_assert_uint_eq(described(), 0);
	tell(reply, A, "mallory");
	tell(reply, A, "mallory again");
	ck_assert_uint_eq(described(), 1);
	answer(2, reply);			/* somebody else's answer, from a client that is not described */
	ck_assert_uint_eq(described(), 0);
	json_decref(sample(200));
	tell(reply, A, "too late");
	ck_assert_uint_eq(described(), 0);
}
END_TEST

START_TEST(descriptions_without_answers_are_bounded)
{
	unsigned	 i;
	const char	*reply = NULL;
	char		 before[128] = "";
	json_t		*o;

	client_make(1, RESPONDER, RESPONDER_CID, A, "alice", 0);
	sub_in(net, 1, A, RESPONDER, "q.>", "");
	for (i = 0; i < 500; i++) {
		if (reply != NULL)
			snprintf(before, sizeof(before), "%s", reply);
		ask("timed", "inbox.1");
		reply = reply_of(1);
		tell(reply, A, "mallory");
		ck_assert_uint_eq(described(), i < 64 ? i + 1 : 64);
		net_clear(net);
	}
	answer(1, reply);
	o = sample(200);
	ck_assert_str_eq(field(o, "responder", "user"), "alice");
	json_decref(o);
	net_clear(net);
	answer(2, before);				/* the oldest went, not this one */
	o = sample(200);
	ck_assert_str_eq(field(o, "responder", "user"), "mallory");
	json_decref(o);
}
END_TEST

START_TEST(malformed_descriptions_are_dropped)
{
	static char	 large[1 << 16];
	struct message	 m = { .account = ACCOUNT_SERVER, .publisher = NO_CONNECTION };
	char		 subject[32];
	size_t		 len;

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	ask("timed", "inbox.1");
	snprintf(subject, sizeof(subject), "responder.%.*s", ANSWER_OWN, reply_of(1) + strlen(ANSWER_PREFIX));
	m.subject = bytes_of(subject);
	memset(large, 0x91, sizeof(large));
	for (len = 0; len <= sizeof(large); len = len * 3 + 1) {
		m.body = (struct bytes){ large, len };
		m.header = len > 5 ? 5 : 0;
		pub_message(net, 1, &m, 0);
		net_settle(net);
	}
	ck_assert_uint_eq(described(), 0);
	tell_padded(reply_of(1), A, "mallory", sizeof(large));
	ck_assert_uint_eq(described(), 0);
}
END_TEST

/* ---- who does not wait any more */

/* Until nothing is looked at: at most so long does the timer wait then. */
static void
settle_looks(void)
{
	while (broker_timeout(net->node[0].b) > 0 && broker_timeout(net->node[0].b) < 1)
		net_settle(net);
	net_settle(net);
}

START_TEST(a_requester_that_unsubscribes_does_not_wait)
{
	const char	*patterns[] = { "inbox.1", "inbox.*", ">" };
	const char	*reply;
	uint32_t	 slot = sub_in(net, 0, B, CLIENT, patterns[_i], "");
	json_t		*o;

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	ask("timed", "inbox.1");
	ask("plain", "inbox.1");
	reply = reply_of(1);
	broker_unsubscribe(net->node[0].b, sub_in(net, 0, B, 7, "inbox.1", ""));
	settle_looks();
	ck_assert_ptr_null(arrival(2, LISTENER, 0));
	broker_unsubscribe(net->node[0].b, slot);
	settle_looks();
	o = sample(408);
	ck_assert_str_eq(json_string_value(json_object_get(o, "description")), "Request Timeout");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(o, "requestor"), "rtt")), 250000);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "total")), 0);
	json_decref(o);
	ck_assert(broker_timeout(net->node[0].b) == 0);
	sub_in(net, 0, B, CLIENT, ">", "");
	net_clear(net);
	answer(1, reply);
	ck_assert_uint_eq(net->ngot, 0);
}
END_TEST

START_TEST(who_asked_is_known_when_it_is_gone)
{
	uint32_t	 slot = sub_in(net, 0, B, CLIENT, "inbox.*", "");
	json_t		*o;

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	ask(_i == 0 ? "shared" : "timed", "inbox.1");
	broker_unsubscribe(net->node[0].b, slot);
	forget(CLIENT);
	settle_looks();
	o = sample(408);
	ck_assert_str_eq(field(o, "requestor", "acc"), "B");
	ck_assert_str_eq(field(o, "requestor", "user"), _i == 0 ? "bob" : "");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(o, "requestor"), "rtt")), 250000);
	json_decref(o);
}
END_TEST

START_TEST(others_may_wait_for_it)
{
	uint32_t	 slot = sub_in(net, 0, B, CLIENT, "inbox.1", "");
	const char	*reply;

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	sub_in(net, 2, B, 3, "inbox.*", "");
	ask("timed", "inbox.1");
	reply = reply_of(1);
	broker_unsubscribe(net->node[0].b, slot);
	settle_looks();
	ck_assert_ptr_null(arrival(2, LISTENER, 0));
	answer(1, reply);
	ck_assert_uint_eq(got(net, 2, 3), 1);
	json_decref(sample(200));
}
END_TEST

START_TEST(who_listens_where_the_reply_is_mapped_to_gets_its_answer)
{
	uint32_t	 slot = sub_in(net, 0, B, CLIENT, "inbox.mapped", "");
	const char	*reply;

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	sub_in(net, 0, B, 7, "inbox.other", "");
	ask("plain", "inbox.mapped");
	reply = reply_of(1);
	broker_unsubscribe(net->node[0].b, slot);
	settle_looks();
	answer(1, reply);
	ck_assert_uint_eq(got(net, 0, 7), 1);
}
END_TEST

START_TEST(who_subscribes_after_asking_gets_its_answer)
{
	const char	*reply;

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	ask("plain", "inbox.1");
	reply = reply_of(1);
	broker_unsubscribe(net->node[0].b, sub_in(net, 0, B, 7, "something", ""));
	settle_looks();
	sub_in(net, 0, B, CLIENT, "inbox.*", "");
	answer(1, reply);
	ck_assert_uint_eq(got(net, 0, CLIENT), 1);
}
END_TEST

START_TEST(a_chain_is_let_go_as_a_whole)
{
	uint32_t	slot = sub_in(net, 0, C, CLIENT, "inbox.1", "");

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	pub_in(net, 0, C, "chain", "inbox.1", "");
	net_settle(net);
	broker_unsubscribe(net->node[0].b, sub_in(net, 0, B, 7, "something", ""));
	settle_looks();
	ck_assert(broker_timeout(net->node[0].b) > 1);
	broker_unsubscribe(net->node[0].b, slot);
	settle_looks();
	ck_assert(broker_timeout(net->node[0].b) == 0);
}
END_TEST

START_TEST(a_subscription_that_reached_its_max_ends_a_stream)
{
	uint32_t	slot = sub_in(net, 0, B, CLIENT, "inbox.1", "");

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	broker_subscription(net->node[0].b, slot)->max = 2;
	ask("many", "inbox.1");
	answer(1, reply_of(1));
	settle_looks();
	ck_assert(broker_timeout(net->node[0].b) > 1);
	answer(1, reply_of(1));
	settle_looks();
	ck_assert(broker_timeout(net->node[0].b) == 0);
}
END_TEST

/* In portions, and all of it in the end; accounts in turn. */
START_TEST(many_are_let_go_a_few_at_a_time)
{
	uint32_t	slot = sub_in(net, 0, B, CLIENT, "inbox.*", ""), other = sub_in(net, 0, C, 8, "inbox.*", "");
	struct broker	*b = net->node[0].b;
	char		 reply[32];
	unsigned	 i, rounds;
	double		 start;

	net->quiet = true;
	sub_in(net, 1, A, RESPONDER, "q.>", "");
	for (i = 0; i < 5000; i++) {
		snprintf(reply, sizeof(reply), "inbox.%u", i);
		ask("timed", reply);
	}
	pub_in(net, 0, C, "chain", "inbox.1", "");
	net_settle(net);
	net->count = 0;
	broker_unsubscribe(b, slot);
	broker_unsubscribe(b, other);
	for (i = 0; i < 10000; i++)			/* who comes and goes makes it no more work */
		broker_unsubscribe(b, sub_in(net, 0, B, CLIENT, "else", ""));
	start = seconds_now();
	for (i = 0; i < 100; i++)
		broker_flush(b);
	net_settle(net);
	ck_assert_uint_ge(net->count, 250);
	for (rounds = 0; net->count < 5000; rounds++) {
		ck_assert_uint_le(net->count, 256 * (1 + (unsigned)((seconds_now() - start) / 0.01)));
		ck_assert(broker_timeout(b) <= 0.011);
		ck_assert_uint_lt(rounds, 1000000);
		net_settle(net);
	}
	settle_looks();
	ck_assert_uint_eq(net->count, 5000);
	ck_assert(broker_timeout(b) == 0);
}
END_TEST

/* Answers come when their account's requests are about to be looked at again. */
START_TEST(what_is_answered_meanwhile_is_not_looked_at)
{
	struct broker	*b = net->node[0].b;
	unsigned	 i;

	sub_in(net, 1, A, RESPONDER, "q.>", "");
	sub_in(net, 0, B, CLIENT, "inbox.*", "");
	for (i = 0; i < 200; i++) {
		ask("plain", "inbox.1");
		broker_unsubscribe(b, sub_in(net, 0, B, 7, "else", ""));
		broker_flush(b);
		broker_unsubscribe(b, sub_in(net, 0, B, 7, "else", ""));
		answer(1, reply_of(1));
		ck_assert(broker_timeout(b) == 0);
		net_clear(net);
	}
	ask("plain", "inbox.1");
	settle_looks();
	answer(1, reply_of(1));
	ck_assert_uint_eq(got(net, 0, CLIENT), 1);
}
END_TEST

START_TEST(samples_count_for_what_an_account_may_have_waiting)
{
	unsigned	i;

	net->quiet = true;
	sub_in(net, 1, A, RESPONDER, "q.>", "");
	for (i = 0; i < 60000; i++)
		ask("shared", "inbox.1");
	ck_assert_uint_gt(net->count, 20000);
	ck_assert_uint_lt(net->count, 59000);		/* 16 MiB, more than 300 bytes each */
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("latency");
	TCase *c = tcase_create("latency");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, the_responder_is_described_wherever_it_is, 0, 3);
	tcase_add_test(c, only_sampled_requests_have_a_mark);
	tcase_add_loop_test(c, what_clients_invent_is_harmless, 0, sizeof(invented) / sizeof(invented[0]));
	tcase_add_test(c, only_what_is_waited_for_is_kept);
	tcase_add_test(c, descriptions_without_answers_are_bounded);
	tcase_add_test(c, malformed_descriptions_are_dropped);
	tcase_add_loop_test(c, a_requester_that_unsubscribes_does_not_wait, 0, 3);
	tcase_add_loop_test(c, who_asked_is_known_when_it_is_gone, 0, 2);
	tcase_add_test(c, others_may_wait_for_it);
	tcase_add_test(c, who_listens_where_the_reply_is_mapped_to_gets_its_answer);
	tcase_add_test(c, who_subscribes_after_asking_gets_its_answer);
	tcase_add_test(c, a_chain_is_let_go_as_a_whole);
	tcase_add_test(c, a_subscription_that_reached_its_max_ends_a_stream);
	tcase_add_test(c, many_are_let_go_a_few_at_a_time);
	tcase_add_test(c, what_is_answered_meanwhile_is_not_looked_at);
	tcase_add_test(c, samples_count_for_what_an_account_may_have_waiting);
	suite_add_tcase(s, c);
	return tests_run(s);
}

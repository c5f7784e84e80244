/* Who gets a message, on one broker and across three. */
#include "net.h"

static struct net *net;

static void
setup(void)
{
	net = net_new(3, 1 << 18, 1 << 16);
}

static void
teardown(void)
{
	ck_assert_uint_eq(net->ncomplaints, 0);
	net_free(net);
}

START_TEST(fan_out_in_order_of_subscribing)
{
	uint32_t i;

	for (i = 0; i < 100; i++)
		sub(net, 0, i, "a.b", NULL);
	sub(net, 0, 200, "a.c", NULL);
	ck_assert_int_eq(pub(net, 0, "a.b", "hello"), PUBLISHED);
	ck_assert_uint_eq(net->ngot, 100);
	for (i = 0; i < 100; i++) {
		ck_assert_uint_eq(net->got[i].connection, i);
		ck_assert_str_eq(net->got[i].body, "hello");
	}
}
END_TEST

static const struct { const char *pattern, *subject; int matches; } cases[] = {
	{ "a.b", "a.b", 1 }, { "a.b", "a.c", 0 }, { "a.*", "a.b", 1 }, { "a.*", "a", 0 },
	{ "a.*", "a.b.c", 0 }, { "a.>", "a.b.c", 1 }, { "a.>", "a", 0 }, { ">", "a", 1 },
	{ ">", "a.b.c.d", 1 }, { "*.*", "a.b", 1 }, { "*", "a", 1 }, { "*.b", "a.b", 1 },
	{ "foo*", "foo*", 1 }, { "foo*", "foox", 0 }, { "foo.*", "foo.*", 1 }, { ">", "a..b", 0 },
	{ ">", ".a", 0 }, { ">", "a.", 0 },
};

START_TEST(patterns_match_here_and_elsewhere_before_and_after_caching)
{
	uint32_t	slot;
	unsigned	at;

	for (at = 0; at < 2; at++) {		/* subscriber at node 0, then at 1; publisher at 0 */
		net_clear(net);
		pub(net, 0, cases[_i].subject, "before");
		slot = sub(net, at, 7, cases[_i].pattern, NULL);
		pub(net, 0, cases[_i].subject, "x");
		pub(net, 0, cases[_i].subject, "y");
		net_settle(net);
		ck_assert_uint_eq(net->ngot, cases[_i].matches ? 2 : 0);
		broker_unsubscribe(net->node[at].b, slot);
		pub(net, 0, cases[_i].subject, "after");
		net_settle(net);
		ck_assert_uint_eq(net->ngot, cases[_i].matches ? 2 : 0);
	}
}
END_TEST

START_TEST(a_second_subscription_of_the_same_interest_is_seen)
{
	uint32_t first, second;

	first = sub(net, 0, 1, "s", NULL);
	pub(net, 0, "s", "1");
	second = sub(net, 0, 2, "s", NULL);
	pub(net, 0, "s", "2");
	ck_assert_uint_eq(net->ngot, 3);
	broker_unsubscribe(net->node[0].b, first);
	pub(net, 0, "s", "3");
	ck_assert_uint_eq(net->ngot, 4);
	ck_assert_uint_eq(net->got[3].connection, 2);
	broker_unsubscribe(net->node[0].b, second);
	pub(net, 0, "s", "4");
	ck_assert_uint_eq(net->ngot, 4);
	ck_assert_uint_eq(net->nremoved, 2);
	ck_assert_uint_eq(net->node[0].b->tables->subscriptions, 0);
}
END_TEST

START_TEST(publisher_without_echo_gets_nothing_of_its_own)
{
	struct message m = { .account = ACCOUNT_GLOBAL, .subject = BYTES("e"), .body = BYTES("x"),
	    .publisher = 5, .echo = false, .reply = BYTES("r"), .wants_503 = true };

	sub(net, 0, 5, "e", NULL);
	pub_message(net, 0, &m, 9);
	ck_assert_uint_eq(net->ngot, 0);
	ck_assert_uint_eq(net->nno_responders, 1);	/* its own do not count */
	sub(net, 0, 6, "e", NULL);
	sub(net, 1, 5, "e", NULL);			/* another's connection of that number */
	pub_message(net, 0, &m, 9);
	net_settle(net);
	ck_assert_uint_eq(got(net, 0, 5), 0);
	ck_assert_uint_eq(got(net, 0, 6), 1);
	ck_assert_uint_eq(got(net, 1, 5), 1);
	ck_assert_uint_eq(net->nno_responders, 1);
}
END_TEST

START_TEST(one_record_however_many_receivers)
{
	uint32_t i;

	for (i = 0; i < 50; i++)
		sub(net, 1, i, "many", NULL);
	sub(net, 2, 1, "many.*", NULL);
	pub(net, 0, "many", "x");
	ck_assert_uint_eq(net->node[0].b->peers[2]->lane.out[RING_BULK].head, 0);
	ck_assert_uint_eq(net->node[0].b->peers[1]->lane.out[RING_BULK].head,
	    ring_record_bytes(sizeof(struct wire_head) + 4 + 1));
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 50);
}
END_TEST

START_TEST(all_parts_of_a_message_arrive)
{
	struct message m = { .account = ACCOUNT_GLOBAL, .subject = BYTES("p.q"),
	    .reply = BYTES("_INBOX.1"), .body = BYTES("NATS/1.0\r\n\r\nhello"), .header = 12,
	    .size_text = BYTES("000000017"), .publisher = 3, .echo = true };
	uint32_t i;

	for (i = 0; i < 3; i++)
		sub(net, i, i, "p.q", NULL);
	pub_message(net, 0, &m, 1);
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 3);
	for (i = 0; i < 3; i++) {
		ck_assert_str_eq(net->got[i].subject, "p.q");
		ck_assert_str_eq(net->got[i].reply, "_INBOX.1");
		ck_assert_str_eq(net->got[i].body, "NATS/1.0\r\n\r\nhello");
		ck_assert_uint_eq(net->got[i].header, 12);
		ck_assert_str_eq(net->got[i].digits, "000000017");
	}
}
END_TEST

START_TEST(empty_bodies_and_the_longest_subject)
{
	char		*subject = malloc(INDEX_SUBJECT_MAX + 2);
	struct message	 m = { .account = ACCOUNT_GLOBAL, .publisher = 3, .echo = true };

	memset(subject, 'x', INDEX_SUBJECT_MAX + 1);
	subject[INDEX_SUBJECT_MAX + 1] = '\0';
	sub(net, 1, 1, ">", NULL);
	m.subject = (struct bytes){ subject, INDEX_SUBJECT_MAX };
	pub_message(net, 0, &m, 1);
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 1);
	ck_assert_uint_eq(net->got[0].len, 0);
	ck_assert_uint_eq(strlen(net->got[0].subject), INDEX_SUBJECT_MAX);
	m.subject.len++;				/* longer than anybody can subscribe to */
	ck_assert_int_eq(pub_message(net, 0, &m, 1), PUBLISHED);
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 1);
	free(subject);
}
END_TEST

START_TEST(accounts_are_apart)
{
	struct message	m = { .account = 5, .subject = BYTES("a"), .body = BYTES("x"),
	    .publisher = 1, .echo = true };
	uint32_t	slot;

	ck_assert_int_eq(broker_subscribe(net->node[0].b, 6, 1, BYTES("a"), (struct bytes){ 0 }, &slot), 0);
	ck_assert_int_eq(broker_subscribe(net->node[1].b, 6, 1, BYTES("a"), (struct bytes){ 0 }, &slot), 0);
	pub_message(net, 0, &m, 1);
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 0);
	m.account = 6;
	pub_message(net, 0, &m, 1);
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 2);
}
END_TEST

START_TEST(interest_counts_only_where_the_directory_allows_it)
{
	net_directory(net)->participants[ACCOUNT_GLOBAL] = BIT(0) | BIT(2);
	sub(net, 1, 1, "d", NULL);
	sub(net, 2, 2, "d", NULL);
	pub(net, 0, "d", "x");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 1);
	ck_assert_uint_eq(net->got[0].node, 2);
	net_directory(net)->participants[ACCOUNT_GLOBAL] = BIT(0) | BIT(1) | BIT(2);
	sub(net, 1, 3, "other", NULL);
	pub(net, 0, "d", "x");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 3);
}
END_TEST

START_TEST(max_removes_after_the_last_delivery)
{
	uint32_t	here = sub(net, 0, 1, "m", NULL), there = sub(net, 1, 2, "m", NULL), q;
	unsigned	i;

	q = sub(net, 0, 3, "m", "group");
	broker_subscription(net->node[0].b, here)->max = 3;
	broker_subscription(net->node[1].b, there)->max = 2;
	broker_subscription(net->node[0].b, q)->max = 1;
	for (i = 0; i < 5; i++)
		pub(net, 0, "m", "x");
	net_settle(net);
	ck_assert_uint_eq(got(net, 0, 1), 3);
	ck_assert_uint_eq(got(net, 1, 2), 2);
	ck_assert_uint_eq(got(net, 0, 3), 1);
	ck_assert_uint_eq(net->nremoved, 3);
	request(net, 0, "m", "r", 4);
	ck_assert_uint_eq(net->nno_responders, 1);	/* the interest is gone as well */
}
END_TEST

START_TEST(removal_from_within_deliver_waits_for_the_message)
{
	uint32_t i;

	for (i = 0; i < 200; i++) {
		sub(net, 0, i, "w", NULL);
		net->node[0].leaves[i] = 1;
	}
	pub(net, 0, "w", "x");
	ck_assert_uint_eq(net->ngot, 200);
	ck_assert_uint_eq(net->nremoved, 200);
	pub(net, 0, "w", "x");
	ck_assert_uint_eq(net->ngot, 200);
}
END_TEST

START_TEST(removal_of_others_from_within_deliver)
{
	sub(net, 0, 1, "w", NULL);
	sub(net, 0, 2, "w", NULL);		/* the next slot */
	sub(net, 0, 3, "w", NULL);
	net->node[0].leaves[1] = 2;
	pub(net, 0, "w", "x");
	ck_assert_uint_eq(got(net, 0, 1), 1);
	ck_assert_uint_eq(got(net, 0, 2), 0);
	ck_assert_uint_eq(got(net, 0, 3), 1);
	ck_assert_uint_eq(net->nremoved, 2);
	ck_assert_uint_eq(net->node[0].b->tables->subscriptions, 1);
}
END_TEST

START_TEST(a_kept_hint_outlives_its_entry)
{
	struct publish_hint	hint = { 0 };
	struct message		m = { .account = ACCOUNT_GLOBAL, .subject = BYTES("keep"), .body = BYTES("x"),
	    .publisher = 1 };
	char			text[32];
	unsigned		i;

	sub(net, 0, 9, "keep", NULL);
	broker_publish(net->node[0].b, &m, 1, &hint);
	for (i = 0; i < 100000; i++) {
		snprintf(text, sizeof(text), "other.%u", i);
		pub(net, 0, text, "");
	}
	ck_assert(!entry_is(hint.entry, ACCOUNT_GLOBAL, m.subject));
	broker_publish(net->node[0].b, &m, 1, &hint);
	ck_assert(entry_is(hint.entry, ACCOUNT_GLOBAL, m.subject));
	ck_assert_uint_eq(net->ngot, 2);
	m.account = 2;					/* the same subject elsewhere */
	broker_publish(net->node[0].b, &m, 1, &hint);
	ck_assert_uint_eq(net->ngot, 2);
}
END_TEST

START_TEST(own_plain_subscription_is_found)
{
	uint32_t slot, other;

	sub(net, 0, 1, "_INBOX.a.*", "q");
	other = sub(net, 0, 2, "_INBOX.a.*", NULL);
	slot = sub(net, 0, 1, "_INBOX.a.*", NULL);
	ck_assert_uint_eq(broker_find_plain(net->node[0].b, ACCOUNT_GLOBAL, 1, BYTES("_INBOX.a.1")), slot);
	ck_assert_uint_eq(broker_find_plain(net->node[0].b, ACCOUNT_GLOBAL, 2, BYTES("_INBOX.a.1")), other);
	ck_assert_uint_eq(broker_find_plain(net->node[0].b, ACCOUNT_GLOBAL, 3, BYTES("_INBOX.a.1")), 0);
	ck_assert_uint_eq(broker_find_plain(net->node[0].b, ACCOUNT_GLOBAL, 1, BYTES("_INBOX.b.1")), 0);
}
END_TEST

START_TEST(subject_and_queue_are_told)
{
	uint32_t	slot = sub(net, 0, 1, "a.*.c", "workers");
	struct bytes	queue;
	char		text[64];

	ck_assert_uint_eq(broker_subject(net->node[0].b, slot, text, sizeof(text), &queue), 5);
	ck_assert_int_eq(memcmp(text, "a.*.c", 5), 0);
	ck_assert(bytes_equal(queue, BYTES("workers")));
	ck_assert_uint_eq(broker_subject(net->node[0].b, slot, text, 3, &queue), 3);
	ck_assert_int_eq(memcmp(text, "a.*", 3), 0);
}
END_TEST

START_TEST(the_cache_grows_for_what_returns_and_only_for_that)
{
	struct cache	*c = &net->node[0].b->cache;
	char		 text[32];
	unsigned	 i;

	for (i = 0; i < 60000; i++) {
		snprintf(text, sizeof(text), "once.%u", i);
		pub(net, 0, text, "");
	}
	ck_assert_uint_eq(c->capacity, CACHE_LEAST);
	for (i = 0; i < 200000; i++) {
		snprintf(text, sizeof(text), "again.%u", i % 5000);
		pub(net, 0, text, "");
	}
	ck_assert_uint_ge(c->capacity, 8192);
	ck_assert_uint_le(c->capacity, CACHE_MOST);
}
END_TEST

START_TEST(a_hash_is_not_a_subject)
{
	struct cache	*c = &net->node[0].b->cache;
	struct entry	*e = cache_take(c, 12345, 1, BYTES("a"));

	ck_assert_ptr_eq(cache_find(c, 12345, 1, BYTES("a")), e);
	ck_assert_ptr_null(cache_find(c, 12345, 1, BYTES("b")));
	ck_assert_ptr_null(cache_find(c, 12345, 2, BYTES("a")));
	ck_assert_ptr_ne(cache_take(c, 12345, 1, BYTES("b")), e);
	ck_assert_ptr_eq(cache_find(c, 12345, 1, BYTES("a")), e);
}
END_TEST

/* The successor has changed as often as who was there before. */
START_TEST(nothing_is_believed_of_a_dead_peer)
{
	sub(net, 1, 1, "n", NULL);
	pub(net, 0, "n", "x");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 1);
	node_replace(net, 1);
	sub(net, 1, 1, "n", "q");
	pub(net, 0, "n", "x");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 2);
}
END_TEST

START_TEST(memory_of_the_cache_is_bounded)
{
	char	text[32];
	uint32_t i;

	net->quiet = true;
	for (i = 0; i < 200000; i++)
		sub(net, 0, i + CONNECTIONS, "big.>", NULL);
	for (i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "big.%u", i);
		pub(net, 0, text, "");
		ck_assert_uint_le(net->node[0].b->cache.bytes, CACHE_BYTES + (2u << 20));
	}
	ck_assert_uint_eq(net->count, 100 * 200000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("route");
	TCase *c = tcase_create("route");

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, fan_out_in_order_of_subscribing);
	tcase_add_loop_test(c, patterns_match_here_and_elsewhere_before_and_after_caching, 0,
	    sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(c, a_second_subscription_of_the_same_interest_is_seen);
	tcase_add_test(c, publisher_without_echo_gets_nothing_of_its_own);
	tcase_add_test(c, one_record_however_many_receivers);
	tcase_add_test(c, all_parts_of_a_message_arrive);
	tcase_add_test(c, empty_bodies_and_the_longest_subject);
	tcase_add_test(c, accounts_are_apart);
	tcase_add_test(c, interest_counts_only_where_the_directory_allows_it);
	tcase_add_test(c, max_removes_after_the_last_delivery);
	tcase_add_test(c, removal_from_within_deliver_waits_for_the_message);
	tcase_add_test(c, removal_of_others_from_within_deliver);
	tcase_add_test(c, a_kept_hint_outlives_its_entry);
	tcase_add_test(c, own_plain_subscription_is_found);
	tcase_add_test(c, subject_and_queue_are_told);
	tcase_add_test(c, the_cache_grows_for_what_returns_and_only_for_that);
	tcase_add_test(c, a_hash_is_not_a_subject);
	tcase_add_test(c, nothing_is_believed_of_a_dead_peer);
	tcase_add_test(c, memory_of_the_cache_is_bounded);
	suite_add_tcase(s, c);
	return tests_run(s);
}

/* Queue groups and no responders. */
#include "net.h"

static struct net *net;

static void
setup(void)
{
	net = net_new(3, 1 << 20, 1 << 16);
}

static void
teardown(void)
{
	net_free(net);
}

/* Every member gets its share: within five standard deviations. */
static void
assert_even(const unsigned *counts, unsigned members, unsigned messages)
{
	double		expect = (double)messages / members, squares = 0;
	unsigned	i, sum = 0;

	for (i = 0; i < members; i++) {
		squares += (counts[i] - expect) * (counts[i] - expect) / expect;
		sum += counts[i];
	}
	ck_assert_uint_eq(sum, messages);
	/* chi-square: mean members - 1, variance twice that */
	ck_assert_double_lt(squares, members - 1 + 5 * 1.42 * members);
}

START_TEST(each_message_once_and_evenly_over_all_members)
{
	unsigned counts[10] = { 0 }, i;

	for (i = 0; i < 10; i++)	/* 1 at node 0, 3 at 1, 6 at 2 */
		sub(net, i == 0 ? 0 : i < 4 ? 1 : 2, i, i % 2 ? "q.*" : "q.a", "workers");
	for (i = 0; i < 10000; i++) {
		ck_assert_int_eq(pub(net, 0, "q.a", "x"), PUBLISHED);
		if (i % 500 == 499)
			net_settle(net);
	}
	ck_assert_uint_eq(net->ngot, 10000);
	for (i = 0; i < net->ngot; i++)
		counts[net->got[i].connection]++;
	assert_even(counts, 10, 10000);
}
END_TEST

START_TEST(groups_plain_and_patterns_each_get_theirs)
{
	size_t i, n[5] = { 0 };

	sub(net, 1, 0, "g.>", "one");
	sub(net, 2, 0, "g.x", "one");		/* same name, other pattern: one group */
	sub(net, 1, 1, "g.x", "two");
	sub(net, 0, 2, "g.x", NULL);
	sub(net, 2, 3, "g.*", NULL);
	sub(net, 1, 4, "g.y", "one");		/* does not match */
	for (i = 0; i < 100; i++)
		pub(net, 0, "g.x", "x");
	net_settle(net);
	for (i = 0; i < net->ngot; i++)
		n[net->got[i].connection]++;
	for (i = 0; i < 4; i++)
		ck_assert_uint_eq(n[i], 100);
	ck_assert_uint_eq(n[4], 0);
}
END_TEST

START_TEST(many_groups_here)
{
	char		text[16];
	unsigned	i, counts[1000] = { 0 };

	for (i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "group-%u", i / 2);
		sub(net, 0, i / 2, "many", text);
	}
	pub(net, 0, "many", "x");
	ck_assert_uint_eq(net->ngot, 1000);
	for (i = 0; i < net->ngot; i++)
		counts[net->got[i].connection]++;
	for (i = 0; i < 1000; i++)
		ck_assert_uint_eq(counts[i], 1);
}
END_TEST

/* More than an answer of the index holds: the others do not know the groups. */
START_TEST(more_groups_than_an_answer_holds)
{
	char		text[16];
	unsigned	i, counts[100] = { 0 };

	for (i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "group-%u", i);
		sub(net, 1, i, "many", text);
	}
	sub(net, 0, 7, "many", "group-7");	/* also here: not twice */
	sub(net, 1, 200, "many", NULL);
	for (i = 0; i < 10; i++)
		pub(net, 0, "many", "x");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 1010);
	for (i = 0; i < net->ngot; i++)
		if (net->got[i].connection < 100)
			counts[net->got[i].connection]++;
	for (i = 0; i < 100; i++)
		ck_assert_uint_eq(counts[i], 10);
	ck_assert_uint_eq(got(net, 1, 200), 10);
}
END_TEST

START_TEST(who_refuses_is_passed_over)
{
	struct message	m = { .account = ACCOUNT_GLOBAL, .subject = BYTES("r"), .body = BYTES("x"),
	    .publisher = 2 };
	unsigned	i;

	sub(net, 0, 1, "r", "q");
	sub(net, 0, 2, "r", "q");		/* the publisher, without echo */
	sub(net, 0, 3, "r", "q");
	net->node[0].refuses[1] = 1;
	for (i = 0; i < 50; i++)
		pub_message(net, 0, &m, 1);
	ck_assert_uint_eq(got(net, 0, 3), 50);
	net->node[0].refuses[3] = 1;
	sub(net, 1, 4, "r", "q");
	for (i = 0; i < 50; i++)
		pub_message(net, 0, &m, 1);
	net_settle(net);
	ck_assert_uint_eq(got(net, 1, 4), 50);
	ck_assert_uint_eq(net->ngot, 100);
}
END_TEST

START_TEST(a_member_that_left_is_passed_on_once)
{
	uint32_t	at1 = sub(net, 1, 1, "p", "q");
	unsigned	i;

	sub(net, 2, 3, "p", NULL);
	for (i = 0; i < 20; i++)
		pub(net, 0, "p", "x");		/* in the ring to 1 */
	broker_flush(net->node[0].b);
	broker_unsubscribe(net->node[1].b, at1);
	sub(net, 2, 2, "p", "q");
	net_settle(net);
	ck_assert_uint_eq(got(net, 2, 2), 20);
	ck_assert_uint_eq(got(net, 2, 3), 20);	/* not again with what was passed on */
	ck_assert_uint_eq(net->ngot, 40);
}
END_TEST

START_TEST(passed_back_to_where_it_entered)
{
	uint32_t at1 = sub(net, 1, 1, "p", "q");

	request(net, 0, "p", "r", 5);
	broker_flush(net->node[0].b);
	broker_unsubscribe(net->node[1].b, at1);
	sub(net, 0, 2, "p", "q");
	net_settle(net);
	ck_assert_uint_eq(got(net, 0, 2), 1);
	ck_assert_uint_eq(net->nno_responders, 0);
}
END_TEST

START_TEST(never_passed_on_twice)
{
	uint32_t at1 = sub(net, 1, 1, "p", "q"), at2;

	request(net, 0, "p", "r", 5);
	broker_flush(net->node[0].b);
	broker_unsubscribe(net->node[1].b, at1);
	at2 = sub(net, 2, 2, "p", "q");
	node_turn(&net->node[1]);		/* passes it on to 2 */
	broker_unsubscribe(net->node[2].b, at2);
	sub(net, 1, 1, "p", "q");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 0);
	ck_assert_uint_eq(net->nno_responders, 1);	/* 2 told 1, 1 told 0 */
	ck_assert_uint_eq(net->no_responders[0].node, 0);
	ck_assert_uint_eq(net->no_responders[0].cid, 5);
}
END_TEST

START_TEST(what_the_small_ring_cannot_hold_is_counted)
{
	char		*body = calloc(1, 100001);
	uint32_t	 at1 = sub(net, 1, 1, "p", "q");

	memset(body, 'x', 100000);
	pub(net, 0, "p", body);
	broker_flush(net->node[0].b);
	broker_unsubscribe(net->node[1].b, at1);
	sub(net, 2, 2, "p", "q");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 0);
	ck_assert_uint_eq(net->node[1].b->tables->records_lost, 1);
	ck_assert_uint_eq(net->ncomplaints, 0);
	free(body);
}
END_TEST

/* ---- no responders */

START_TEST(nobody_anywhere_is_said_at_once)
{
	request(net, 0, "nobody", "reply.1", 42);
	ck_assert_uint_eq(net->nno_responders, 1);
	ck_assert_uint_eq(net->no_responders[0].connection, 1000);
	ck_assert_uint_eq(net->no_responders[0].cid, 42);
	ck_assert_str_eq(net->no_responders[0].subject, "nobody");
	ck_assert_str_eq(net->no_responders[0].reply, "reply.1");
}
END_TEST

START_TEST(a_taker_anywhere_means_none)
{
	sub(net, 0, 1, "here", NULL);
	sub(net, 1, 1, "there", NULL);
	sub(net, 2, 1, "group", "q");
	request(net, 0, "here", "r", 1);
	request(net, 0, "there", "r", 2);
	request(net, 0, "group", "r", 3);
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 3);
	ck_assert_uint_eq(net->nno_responders, 0);
}
END_TEST

START_TEST(all_said_none)
{
	uint32_t a = sub(net, 1, 1, "s", NULL), c = sub(net, 2, 1, "s", NULL);

	request(net, 0, "s", "r.1", 1);
	request(net, 0, "s", "r.2", 2);
	broker_flush(net->node[0].b);
	broker_unsubscribe(net->node[1].b, a);
	net_settle(net);			/* 2 took both */
	ck_assert_uint_eq(net->nno_responders, 0);
	request(net, 0, "s", "r.3", 3);
	broker_flush(net->node[0].b);
	broker_unsubscribe(net->node[2].b, c);
	net_settle(net);
	ck_assert_uint_eq(net->nno_responders, 1);
	ck_assert_str_eq(net->no_responders[0].reply, "r.3");
}
END_TEST

START_TEST(a_member_that_refuses_is_nobody)
{
	sub(net, 1, 1, "s", NULL);
	net->node[1].refuses[1] = 1;
	request(net, 0, "s", "r", 1);
	net_settle(net);
	ck_assert_uint_eq(net->nno_responders, 1);
}
END_TEST

START_TEST(a_dead_participant_is_nobody)
{
	sub(net, 1, 1, "s", NULL);
	request(net, 0, "s", "r", 1);
	node_replace(net, 1);
	ck_assert_uint_eq(net->nno_responders, 1);
	net_settle(net);
	ck_assert_uint_eq(net->nno_responders, 1);
}
END_TEST

START_TEST(more_requests_than_are_remembered)
{
	uint32_t	a = sub(net, 1, 1, "s", NULL);
	unsigned	i;

	for (i = 0; i < REQUESTS + 100; i++)
		ck_assert_int_eq(request(net, 0, "s", "r", i + 1), PUBLISHED);
	broker_flush(net->node[0].b);
	broker_unsubscribe(net->node[1].b, a);
	net_settle(net);
	ck_assert_uint_gt(net->nno_responders, 0);
	ck_assert_uint_le(net->nno_responders, REQUESTS);
	for (i = 0; i < 256; i++)		/* the oldest are not mistaken for the newest */
		ck_assert_uint_gt(net->no_responders[i].cid, 100);
}
END_TEST

START_TEST(an_answer_to_a_forgotten_request_is_not_taken_for_another)
{
	uint32_t	gone = sub(net, 1, 1, "gone", NULL);
	unsigned	i;

	sub(net, 1, 2, "there", NULL);
	request(net, 0, "gone", "r", 1);
	for (i = 0; i < REQUESTS; i++)		/* the last has its place */
		ck_assert_int_eq(request(net, 0, "there", "r", i + 2), PUBLISHED);
	broker_flush(net->node[0].b);
	broker_unsubscribe(net->node[1].b, gone);
	net_settle(net);
	ck_assert_uint_eq(net->ngot, REQUESTS);
	ck_assert_uint_eq(net->nno_responders, 0);
}
END_TEST

/* ---- pace */

START_TEST(slow_subscribers_pace_who_feeds_them)
{
	sub(net, 0, 1, "s", NULL);
	sub(net, 1, 2, "s", NULL);
	net->node[0].slow[1] = net->node[1].slow[2] = 1;
	pub(net, 0, "s", "x");
	ck_assert_uint_eq(net->npaced, 1);		/* by the one here */
	ck_assert_uint_eq(net->paced[0].connection, 1000);
	ck_assert_uint_eq(net->paced[0].cid, 77);
	net->node[0].slow[1] = 0;
	pub(net, 0, "s", "x");
	pub(net, 0, "s", "x");
	net_settle(net);
	ck_assert_uint_eq(net->npaced, 2);		/* once for a batch by the one there */
	ck_assert_uint_eq(net->paced[1].node, 0);
	ck_assert_uint_eq(net->paced[1].connection, 1000);
	ck_assert_uint_eq(net->paced[1].cid, 77);
}
END_TEST

START_TEST(a_slow_subscriber_does_not_pace_other_publishers)
{
	sub(net, 1, 2, "s", NULL);
	sub(net, 1, 3, "t", NULL);
	net->node[1].slow[2] = 1;
	pub(net, 0, "t", "x");
	net_settle(net);
	ck_assert_uint_eq(net->npaced, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("queue");
	TCase *c = tcase_create("queue");

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, each_message_once_and_evenly_over_all_members);
	tcase_add_test(c, groups_plain_and_patterns_each_get_theirs);
	tcase_add_test(c, many_groups_here);
	tcase_add_test(c, more_groups_than_an_answer_holds);
	tcase_add_test(c, who_refuses_is_passed_over);
	tcase_add_test(c, a_member_that_left_is_passed_on_once);
	tcase_add_test(c, passed_back_to_where_it_entered);
	tcase_add_test(c, never_passed_on_twice);
	tcase_add_test(c, what_the_small_ring_cannot_hold_is_counted);
	tcase_add_test(c, nobody_anywhere_is_said_at_once);
	tcase_add_test(c, a_taker_anywhere_means_none);
	tcase_add_test(c, all_said_none);
	tcase_add_test(c, a_member_that_refuses_is_nobody);
	tcase_add_test(c, a_dead_participant_is_nobody);
	tcase_add_test(c, more_requests_than_are_remembered);
	tcase_add_test(c, an_answer_to_a_forgotten_request_is_not_taken_for_another);
	tcase_add_test(c, slow_subscribers_pace_who_feeds_them);
	tcase_add_test(c, a_slow_subscriber_does_not_pace_other_publishers);
	suite_add_tcase(s, c);
	return tests_run(s);
}

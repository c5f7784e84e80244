/* Stream imports: what is published in one account is seen in another as the configuration says, no more. */
#include "tenants.h"

static struct net	*net;
static struct tenants	 t;
static struct accounts	*accounts;

/* B imports a.> of A under p, and s.*.* of it with its tokens turned round; C imports from B what B has from A. */
static void
configure(void)
{
	account(&t, A, "A");
	account(&t, B, "B");
	stream(&t, A, "a.>", "p.a.>");
	stream(&t, A, "s.*.*", "t.$2.$1");
	account(&t, C, "C");
	stream(&t, B, "p.>", "c.>");
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
	unsigned i;

	ck_assert_uint_eq(net->ncomplaints, 0);
	for (i = 0; i < net->nodes; i++)
		ck_assert_uint_eq(net->node[i].b->tables->records_lost, 0);
	net_free(net);
	accounts_free(accounts);
}

static const struct { const char *wanted, *published, *arrives; } cases[] = {
	{ "p.a.b", "a.b", "p.a.b" }, { "p.a.>", "a.b.c", "p.a.b.c" }, { ">", "a.b", "p.a.b" },
	{ "*.a.*", "a.b", "p.a.b" }, { "p.>", "a.b", "p.a.b" }, { "*.*.b.c", "a.b.c", "p.a.b.c" },
	{ "a.b", "a.b", NULL }, { "p.a.x", "a.b", NULL }, { "p.a", "a", NULL }, { ">", "b.a", NULL },
	{ "t.2.1", "s.1.2", "t.2.1" }, { "t.*.1", "s.1.2", "t.2.1" }, { "t.1.*", "s.1.2", NULL },
	{ "t.>", "s.1.2", "t.2.1" }, { ">", "s.1.2", "t.2.1" }, { "t.2.1", "s.2.1", NULL },
	{ "p.a.b", "p.a.b", NULL },
};

START_TEST(subjects_are_mapped_here_and_elsewhere)
{
	unsigned	at;
	uint32_t	slot;

	for (at = 0; at < 2; at++) {
		net_clear(net);
		slot = sub_in(net, at, B, 7, cases[_i].wanted, "");
		pub_in(net, 0, A, cases[_i].published, "answer.here", "x");
		net_settle(net);
		if (cases[_i].arrives == NULL) {
			ck_assert_uint_eq(net->ngot, 0);
		} else {
			ck_assert_str_eq(only(net, at, 7)->subject, cases[_i].arrives);
			ck_assert_str_eq(net->got[0].reply, "answer.here");
			ck_assert_uint_eq(net->got[0].slot, slot);
		}
		broker_unsubscribe(net->node[at].b, slot);
		net_clear(net);
		pub_in(net, 0, A, cases[_i].published, "", "x");
		net_settle(net);
		ck_assert_uint_eq(net->ngot, 0);
		ck_assert_uint_eq(net->node[at].b->live, 0);
	}
}
END_TEST

START_TEST(what_is_imported_is_not_exported_again)
{
	sub_in(net, 0, C, 1, "c.>", "");
	sub_in(net, 1, C, 2, ">", "");
	sub_in(net, 0, B, 3, "p.>", "");
	pub_in(net, 0, A, "a.x", "", "x");
	net_settle(net);
	only(net, 0, 3);
	net_clear(net);
	pub_in(net, 0, B, "p.x", "", "y");	/* B's own is */
	net_settle(net);
	ck_assert_uint_eq(got(net, 0, 1), 1);
	ck_assert_uint_eq(got(net, 1, 2), 1);
	ck_assert_uint_eq(got(net, 0, 3), 1);
}
END_TEST

START_TEST(a_group_is_one_group_over_both_accounts)
{
	unsigned i, theirs;

	sub_in(net, 0, A, 1, "a.q", "workers");
	sub_in(net, 0, B, 2, "p.a.q", "workers");
	sub_in(net, 1, B, 3, "p.a.*", "workers");
	sub_in(net, 1, B, 4, "p.a.q", "others");
	for (i = 0; i < 300; i++)
		pub_in(net, 0, A, "a.q", "", "x");
	net_settle(net);
	theirs = (unsigned)(got(net, 0, 1) + got(net, 0, 2) + got(net, 1, 3));
	ck_assert_uint_eq(theirs, 300);
	ck_assert_uint_eq(got(net, 1, 4), 300);
	ck_assert_uint_gt(got(net, 0, 1), 50);
	ck_assert_uint_gt(got(net, 0, 2), 50);
	ck_assert_uint_gt(got(net, 1, 3), 50);
}
END_TEST

START_TEST(a_maximum_counts_what_comes_by_either_way)
{
	uint32_t	slot = sub_in(net, 0, B, 1, "p.a.m", "");
	struct node	*n = &net->node[0];

	broker_subscription(n->b, slot)->max = 3;
	pub_in(net, 0, A, "a.m", "", "1");
	pub_in(net, 0, B, "p.a.m", "", "2");
	ck_assert_uint_eq(broker_subscription(n->b, slot)->delivered, 2);
	ck_assert_uint_eq(net->nremoved, 0);
	pub_in(net, 0, A, "a.m", "", "3");
	pub_in(net, 0, A, "a.m", "", "4");
	ck_assert_uint_eq(net->ngot, 3);
	ck_assert_uint_eq(net->nremoved, 1);		/* the shadow is nobody's */
	ck_assert_uint_eq(net->removed[0].slot, slot);
	ck_assert_uint_eq(n->b->live, 0);
}
END_TEST

START_TEST(it_leaves_while_a_message_is_on_its_way)
{
	net->node[0].leaves[1] = 1;
	sub_in(net, 0, B, 1, ">", "");
	sub_in(net, 0, A, 2, ">", "");
	pub_in(net, 0, A, "a.m", "", "1");
	pub_in(net, 0, A, "a.m", "", "2");
	ck_assert_uint_eq(got(net, 0, 1), 1);
	ck_assert_uint_eq(got(net, 0, 2), 2);
	ck_assert_uint_eq(net->node[0].b->live, 1);
	ck_assert_uint_eq(net->node[0].b->internal, 0);
}
END_TEST

START_TEST(shadows_are_no_clients_subscriptions)
{
	struct broker	*b = net->node[0].b;

	sub_in(net, 0, B, 1, ">", "");
	ck_assert_uint_eq(b->live, 3);
	ck_assert_uint_eq(b->tables->subscriptions, 1);
	ck_assert_uint_eq(broker_find_plain(b, A, 1, bytes_of("a.x")), 0);
	ck_assert_uint_ne(broker_find_plain(b, B, 1, bytes_of("a.x")), 0);
}
END_TEST

START_TEST(a_message_that_came_through_a_service_goes_no_further)
{
	struct message	m = { .account = A, .subject = BYTES("a.b"), .body = BYTES("x"), .publisher = 1000,
	    .echo = true, .imported = true };

	sub_in(net, 0, B, 1, "p.>", "");
	sub_in(net, 1, B, 2, "p.>", "");
	sub_in(net, 1, A, 3, "a.>", "");
	pub_message(net, 0, &m, 1);
	net_settle(net);
	only(net, 1, 3);
}
END_TEST

START_TEST(another_configuration_takes_effect_on_subscriptions)
{
	struct accounts	*old = accounts;
	unsigned	 i;

	for (i = 0; i < 500; i++)
		sub_in(net, i % 2, B, i, i % 3 == 0 ? "p.a.b" : "other.b", "");
	account(&t, A, "A");
	account(&t, B, "B");
	stream(&t, A, "a.*", "other.$1");
	accounts = tenants_set(net, &t);
	accounts_free(old);
	pub_in(net, 0, A, "a.b", "", "x");
	net_settle(net);
	for (i = 0; i < 500; i++)
		ck_assert_uint_eq(got(net, i % 2, i), i % 3 == 0 ? 0 : 1);
	net_clear(net);
	account(&t, A, "A");
	account(&t, B, "B");
	old = accounts;
	accounts = tenants_set(net, &t);
	accounts_free(old);
	pub_in(net, 0, A, "a.b", "", "x");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 0);
	ck_assert_uint_eq(net->node[0].b->live, 250);
}
END_TEST

/* A reload of something else does not touch the index, however many subscriptions there are. */
START_TEST(the_same_configuration_leaves_shadows_alone)
{
	struct broker	*b = net->node[1].b;
	struct accounts	*old = accounts;
	uint64_t	 before;
	uint32_t	 slot;

	sub_in(net, 1, B, 1, "p.a.b", "");
	sub_in(net, 1, B, 2, ">", "");
	sub_in(net, 1, B, 3, "other", "");
	sub_in(net, 1, A, 4, ">", "");
	slot = sub_in(net, 1, C, 5, "c.>", "");
	before = index_generation(&net->node[0].b->peers[1]->view);
	configure();
	accounts_free(old);
	ck_assert_uint_eq(index_generation(&net->node[0].b->peers[1]->view), before);
	ck_assert_uint_eq(b->internal, 4);
	pub_in(net, 0, A, "s.1.2", "", "x");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 2);
	ck_assert_str_eq(net->got[net->got[0].connection == 2 ? 0 : 1].subject, "t.2.1");
	pub_in(net, 0, A, "a.b", "", "x");
	pub_in(net, 0, B, "p.x", "", "x");
	net_settle(net);
	ck_assert_uint_eq(got(net, 1, 1), 1);
	ck_assert_uint_eq(got(net, 1, 2), 3);
	ck_assert_uint_eq(got(net, 1, 3), 0);
	ck_assert_uint_eq(got(net, 1, 4), 2);
	ck_assert_uint_eq(got(net, 1, 5), 1);
	broker_unsubscribe(b, slot);
	ck_assert_uint_eq(b->internal, 3);
}
END_TEST

/* Where the first import differs in one thing, so that nothing comes. */
static const struct { uint32_t from; const char *subject, *to; } others[] = {
	{ A, "b.>", "p.a.>" }, { A, "a.>", "p.b.>" }, { D, "a.>", "p.a.>" },
};

START_TEST(one_difference_is_another_configuration)
{
	struct accounts	*old = accounts;

	sub_in(net, 1, B, 1, "p.a.b", "");
	account(&t, A, "A");
	account(&t, B, "B");
	stream(&t, others[_i].from, others[_i].subject, others[_i].to);
	stream(&t, A, "s.*.*", "t.$2.$1");
	account(&t, C, "C");
	stream(&t, B, "p.>", "c.>");
	account(&t, D, "D");
	accounts = tenants_set(net, &t);
	accounts_free(old);
	pub_in(net, 0, A, "a.b", "", "x");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 0);
}
END_TEST

static uint32_t	moved_to;

static void
moved(void *program, uint32_t connection, uint32_t from, uint32_t to)
{
	ck_assert_uint_eq(connection, 77);
	moved_to = to;
}

START_TEST(compaction_takes_shadows_along)
{
	struct node	*n = &net->node[1];
	struct segment	 partition, tables, old = n->partition, seg;
	uint32_t	 slots[100];
	int		 fd, i;

	for (i = 0; i < 100; i++)
		slots[i] = sub_in(net, 1, B, 77, "p.a.b", "");
	for (i = 0; i < 99; i++)
		broker_unsubscribe(n->b, slots[i]);
	segments_make(&partition, &fd, &tables);
	ck_assert_int_eq(broker_compact(n->b, &partition, &tables, moved), 0);
	segment_unmap(&n->tables);
	n->tables = tables;
	n->partition = partition;
	close(n->partition_fd);
	n->partition_fd = fd;
	pub_in(net, 0, A, "a.b", "", "1");
	net_settle(net);
	for (i = 0; i < 3; i += 2) {
		seg = partition_view(n);
		ck_assert_int_eq(broker_replace_partition(net->node[i].b, 1, n->incarnation, &seg), 0);
	}
	broker_compacted(n->b);
	segment_unmap(&old);
	pub_in(net, 0, A, "a.b", "", "2");
	net_settle(net);
	ck_assert_uint_eq(got(net, 1, 77), 2);
	ck_assert_uint_eq(net->got[1].slot, moved_to);
	ck_assert_uint_eq(n->b->tables->subscriptions, 1);
	broker_unsubscribe(n->b, moved_to);
	ck_assert_uint_eq(n->b->live, 0);
	pub_in(net, 0, A, "a.b", "", "3");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("imports");
	TCase *c = tcase_create("streams");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, subjects_are_mapped_here_and_elsewhere, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(c, what_is_imported_is_not_exported_again);
	tcase_add_test(c, a_group_is_one_group_over_both_accounts);
	tcase_add_test(c, a_maximum_counts_what_comes_by_either_way);
	tcase_add_test(c, it_leaves_while_a_message_is_on_its_way);
	tcase_add_test(c, shadows_are_no_clients_subscriptions);
	tcase_add_test(c, a_message_that_came_through_a_service_goes_no_further);
	tcase_add_test(c, another_configuration_takes_effect_on_subscriptions);
	tcase_add_test(c, the_same_configuration_leaves_shadows_alone);
	tcase_add_loop_test(c, one_difference_is_another_configuration, 0, sizeof(others) / sizeof(others[0]));
	tcase_add_test(c, compaction_takes_shadows_along);
	suite_add_tcase(s, c);
	return tests_run(s);
}

/* Moving to new segments, with traffic, while peers still read the old partition. */
#include "net.h"

static struct net	*net;
static uint32_t		 moves[1 << 19];

static void
setup(void)
{
	net = net_new(3, 1 << 20, 1 << 16);
	memset(moves, 0, sizeof(moves));
}

static void
teardown(void)
{
	net_free(net);
}

static void
moved(void *program, uint32_t connection, uint32_t from, uint32_t to)
{
	struct node *n = program;

	if (to > from || moves[from] != 0 || n->b->subs[to].connection != connection)
		ck_abort_msg("moved %u from %u to %u", connection, from, to);
	moves[from] = to;
}

/* As the supervisor would do it; the others are told by partition_told(). */
static struct segment	old_partition;
static int		new_fd;

static int
node_compact(struct node *n)
{
	struct segment	partition, tables;
	int		rc;

	segments_make(&partition, &new_fd, &tables);
	rc = broker_compact(n->b, &partition, &tables, moved);
	if (rc != 0) {
		segment_unmap(&partition);
		segment_unmap(&tables);
		close(new_fd);
		return rc;
	}
	segment_unmap(&n->tables);
	n->tables = tables;
	old_partition = n->partition;
	n->partition = partition;
	close(n->partition_fd);
	n->partition_fd = new_fd;
	return 0;
}

static void
partition_told(unsigned to, unsigned of)
{
	struct segment seg = partition_view(&net->node[of]);

	ck_assert_int_eq(broker_replace_partition(net->node[to].b, of, net->node[of].incarnation, &seg), 0);
}

static void
node_compacted(struct node *n)
{
	broker_compacted(n->b);
	segment_unmap(&old_partition);
}

START_TEST(everything_is_where_it_was)
{
	uint32_t	slots[300], slot;
	char		text[32];
	unsigned	i;
	struct bytes	queue;
	struct subscription *s;

	for (i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), i % 3 ? "s.%u" : "s.%u.*", i % 50);
		slots[i] = sub(net, 0, i, text, i % 7 == 0 ? "q" : NULL);
		s = broker_subscription(net->node[0].b, slots[i]);
		s->max = i + 10;
		s->sid_len = 3;
		memcpy(s->sid, "abc", 3);
		s->conn_next = i > 0 ? slots[i - 1] : 0;
		if (i > 0)
			broker_subscription(net->node[0].b, slots[i - 1])->conn_prev = slots[i];
		s->hash_next = s->conn_next;
	}
	for (i = 0; i < 300; i += 2) {
		if (i > 0 && i + 1 < 300) {	/* out of the connection's list */
			broker_subscription(net->node[0].b, slots[i + 1])->conn_next = slots[i - 1];
			broker_subscription(net->node[0].b, slots[i + 1])->hash_next = slots[i - 1];
			broker_subscription(net->node[0].b, slots[i - 1])->conn_prev = slots[i + 1];
		}
		broker_unsubscribe(net->node[0].b, slots[i]);
	}
	ck_assert_int_eq(node_compact(&net->node[0]), 0);
	ck_assert_int_eq(broker_compact(net->node[0].b, &net->node[0].partition, &net->node[0].tables,
	    moved), -EBUSY);
	ck_assert_uint_eq(net->node[0].b->tables->subscriptions, 150);
	ck_assert_uint_eq(net->node[0].b->tables->subscription_top, 150);
	for (i = 1; i < 300; i += 2) {
		slot = moves[slots[i]];
		s = broker_subscription(net->node[0].b, slot);
		ck_assert_uint_ne(slot, 0);
		ck_assert_uint_eq(s->connection, i);
		ck_assert_uint_eq(s->max, i + 10);
		ck_assert_int_eq(memcmp(s->sid, "abc", 3), 0);
		ck_assert_uint_eq(s->conn_next, i > 2 ? moves[slots[i - 2]] : 0);
		ck_assert_uint_eq(s->hash_next, s->conn_next);
		ck_assert_uint_eq(s->conn_prev, i < 298 ? moves[slots[i + 2]] : 0);
		snprintf(text, sizeof(text), i % 3 ? "s.%u" : "s.%u.*", i % 50);
		ck_assert_uint_eq(broker_subject(net->node[0].b, slot, text + 16, 16, &queue), strlen(text));
		ck_assert_int_eq(memcmp(text, text + 16, strlen(text)), 0);
		ck_assert_uint_eq(queue.len, i % 7 == 0);
	}
	node_compacted(&net->node[0]);
}
END_TEST

START_TEST(order_of_an_interest_is_kept)
{
	uint32_t i, slots[100];

	for (i = 0; i < 100; i++)
		slots[i] = sub(net, 0, i, "o", NULL);
	for (i = 1; i < 100; i += 3)
		broker_unsubscribe(net->node[0].b, slots[i]);
	sub(net, 0, 200, "o", NULL);		/* takes a low slot, is last */
	sub(net, 0, 201, "o", NULL);
	pub(net, 0, "o", "x");
	ck_assert_int_eq(node_compact(&net->node[0]), 0);
	pub(net, 0, "o", "x");
	ck_assert_uint_eq(net->ngot, 2 * 69);
	for (i = 0; i < 69; i++)
		ck_assert_uint_eq(net->got[i].connection, net->got[i + 69].connection);
	ck_assert_uint_eq(net->got[68].connection, 201);
	node_compacted(&net->node[0]);
}
END_TEST

START_TEST(peers_see_changes_in_both_partitions)
{
	uint32_t old = sub(net, 0, 1, "c.old", NULL), in, before = sub(net, 0, 4, "c.gone", "q");

	ck_assert_int_eq(node_compact(&net->node[0]), 0);
	partition_told(1, 0);			/* 2 still reads the old one */
	in = sub(net, 0, 2, "c.new", NULL);
	broker_unsubscribe(net->node[0].b, moves[before]);
	pub(net, 1, "c.new", "x");
	pub(net, 2, "c.new", "x");
	pub(net, 1, "c.old", "x");
	pub(net, 2, "c.old", "x");
	request(net, 1, "c.gone", "r", 1);
	request(net, 2, "c.gone", "r", 2);
	ck_assert_uint_eq(net->nno_responders, 2);	/* at once: nobody has interest */
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 4);
	broker_unsubscribe(net->node[0].b, in);
	broker_unsubscribe(net->node[0].b, moves[old]);
	request(net, 1, "c.new", "r", 3);
	request(net, 2, "c.new", "r", 4);
	request(net, 2, "c.old", "r", 5);
	ck_assert_uint_eq(net->nno_responders, 5);
	partition_told(2, 0);
	node_compacted(&net->node[0]);
	sub(net, 0, 3, "c.last", NULL);
	pub(net, 1, "c.last", "x");
	pub(net, 2, "c.last", "x");
	net_settle(net);
	ck_assert_uint_eq(net->ngot, 6);
}
END_TEST

START_TEST(a_burst_is_worth_it_and_memory_comes_back)
{
	static uint32_t	slots[300001];
	char		text[32];
	unsigned	i;

	net->quiet = true;
	ck_assert(!broker_wants_compaction(net->node[0].b));
	for (i = 0; i < 300000; i++) {
		snprintf(text, sizeof(text), "burst.%u.subject.%u", i % 10, i);
		slots[i] = sub(net, 0, i, text, NULL);
	}
	ck_assert(!broker_wants_compaction(net->node[0].b));
	for (i = 0; i < 300000; i++)
		if (i % 20 != 0)
			broker_unsubscribe(net->node[0].b, slots[i]);
	ck_assert(broker_wants_compaction(net->node[0].b));
	ck_assert_int_eq(node_compact(&net->node[0]), 0);
	ck_assert(!broker_wants_compaction(net->node[0].b));
	partition_told(1, 0);
	partition_told(2, 0);
	node_compacted(&net->node[0]);
	ck_assert(!broker_wants_compaction(net->node[0].b));
	for (i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "burst.%u.subject.%u", i % 10, i);
		pub(net, i % 3, text, "x");
		net_settle(net);
		ck_assert_uint_eq(net->count, i / 20 + 1);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("compact");
	TCase *c = tcase_create("compact");

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, everything_is_where_it_was);
	tcase_add_test(c, order_of_an_interest_is_kept);
	tcase_add_test(c, peers_see_changes_in_both_partitions);
	tcase_add_test(c, a_burst_is_worth_it_and_memory_comes_back);
	suite_add_tcase(s, c);
	return tests_run(s);
}

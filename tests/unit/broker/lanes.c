/* Full lanes, messages in pieces, peers that die or lie. */
#include <time.h>
#include "net.h"

static struct net *net;

static void
setup(void)
{
	net = net_new(3, 65536, 4096);
}

static void
teardown(void)
{
	net_free(net);
}

/* A body of len bytes that says which message it is; the caller frees it. */
static char *
body_make(unsigned number, size_t len)
{
	char	*body = malloc(len + 1);
	size_t	 i;

	for (i = 0; i < len; i++)
		body[i] = (char)('a' + (i * 7 + number) % 26);
	snprintf(body, len, "%08u", number);
	body[8] = '.';
	body[len] = '\0';
	return body;
}

static enum published
pub_numbered(unsigned node, const char *subject, unsigned number, size_t len, bool by_block)
{
	char		*body = body_make(number, len);
	struct block	*block = NULL;
	struct message	 m = { .account = ACCOUNT_GLOBAL, .subject = bytes_of(subject),
	    .body = { body, len }, .publisher = 1000, .echo = true };
	enum published	 how;

	if (by_block) {
		block = block_new(len);
		memcpy(block->data, body, len);
		m.body.data = block->data;
		m.block = block;
	}
	how = pub_message(net, node, &m, 77);
	block_unref(block);
	free(body);
	return how;
}

/* Arrivals of a connection: numbers first, first + 1, ... each whole. */
static unsigned
assert_in_order(unsigned node, uint32_t connection, unsigned first)
{
	unsigned	next = first;
	size_t		i;
	char		*body;

	for (i = 0; i < net->ngot; i++) {
		if (net->got[i].node != node || net->got[i].connection != connection)
			continue;
		body = body_make(next, net->got[i].len);
		if (strcmp(body, net->got[i].body) != 0)
			ck_abort_msg("message %u of connection %u is not what it should be", next, connection);
		free(body);
		next++;
	}
	return next;
}

START_TEST(a_full_ring_blocks_and_loses_nothing)
{
	static const size_t	sizes[] = { 16, 1000, 15000, 60000, 300000 };
	unsigned		n = 0, blocked = 0;
	size_t			len = sizes[_i / 2];

	sub(net, 1, 1, "f", NULL);
	sub(net, 2, 2, "f", NULL);
	sub(net, 0, 3, "f", NULL);
	while (n < 2000 && net->ngot < 3 * (20 + 2000000 / len)) {
		if (pub_numbered(0, "f", n, len, _i % 2) == PUBLISHED) {
			n++;
			continue;
		}
		blocked++;
		ck_assert_int_eq(pub_numbered(0, "f", n, len, _i % 2), PUBLISH_BLOCKED);
		broker_flush(net->node[0].b);
		node_turn(&net->node[1 + blocked % 2]);	/* one of them only */
		broker_drain(net->node[0].b, 1 << 20);
	}
	net_settle(net);
	ck_assert(n == 2000 || blocked > 0);
	ck_assert_uint_eq(assert_in_order(1, 1, 0), n);
	ck_assert_uint_eq(assert_in_order(2, 2, 0), n);
	ck_assert_uint_eq(assert_in_order(0, 3, 0), n);
	ck_assert_uint_eq(net->ncomplaints, 0);
	ck_assert_uint_eq(net->node[0].b->tables->records_lost, 0);
}
END_TEST

START_TEST(only_who_needs_the_full_lane_is_blocked)
{
	unsigned n = 0, i;

	sub(net, 1, 1, "f", NULL);
	sub(net, 2, 2, "g", NULL);
	sub(net, 1, 3, "q", "workers");
	sub(net, 2, 4, "q", "workers");
	sub(net, 1, 5, "only", "workers");
	while (pub_numbered(0, "f", n, 1000, false) == PUBLISHED)
		n++;
	ck_assert_int_eq(pub(net, 0, "g", "x"), PUBLISHED);
	for (i = 0; i < 50; i++)		/* the other member */
		ck_assert_int_eq(pub(net, 0, "q", "x"), PUBLISHED);
	ck_assert_int_eq(pub(net, 0, "only", "x"), PUBLISH_BLOCKED);
	ck_assert_int_eq(pub(net, 0, "nobody", "x"), PUBLISHED);
	net_settle(net);
	ck_assert_uint_eq(got(net, 2, 4), 50);
	ck_assert_uint_eq(got(net, 1, 5), 0);
	ck_assert_uint_ge(net->node[0].unblocked, 1);
	ck_assert_int_eq(pub(net, 0, "only", "x"), PUBLISHED);
	ck_assert_uint_eq(assert_in_order(1, 1, 0), n);
}
END_TEST

/*
 * The member here refuses after the choice: what has to go into a blocked lane waits its turn,
 * and is the only one that does, or a member that never takes anything would fill our memory.
 */
START_TEST(nothing_overtakes_what_waits)
{
	unsigned	n = 0;
	size_t		i, large = 0, small = 0;

	sub(net, 1, 1, "f", NULL);
	sub(net, 0, 2, "q", "workers");
	sub(net, 1, 3, "q", "workers");
	net->node[0].refuses[2] = 1;
	while (pub_numbered(0, "f", n, 15000, false) == PUBLISHED)
		n++;
	ck_assert_int_eq(pub(net, 0, "q", "x"), PUBLISHED);	/* would fit */
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(pub(net, 0, "q", "x"), PUBLISH_BLOCKED);
	net_settle(net);
	ck_assert_int_eq(pub(net, 0, "q", "x"), PUBLISHED);
	net_settle(net);
	ck_assert_uint_eq(assert_in_order(1, 1, 0), n);
	for (i = 0; i < net->ngot; i++) {
		large += net->got[i].connection == 1;
		small += net->got[i].connection == 3;
		ck_assert(small == 0 || large == n);
	}
	ck_assert_uint_eq(small, 2);
}
END_TEST

/* A record of 40 bytes may cost thousands of deliveries: they count, or a turn has no end. */
START_TEST(a_turn_has_a_bound_of_deliveries_too)
{
	unsigned	i;
	size_t		before;

	net->quiet = true;
	for (i = 0; i < 4000; i++)
		sub(net, 0, i, "x", NULL);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(pub(net, 1, "x", ""), PUBLISHED);
	broker_flush(net->node[1].b);
	do {
		before = net->count;
		broker_wake(net->node[0].b);
		i = broker_drain(net->node[0].b, 1 << 18);
		ck_assert_uint_le(net->count - before, (1 << 18) / 2 + 4000);
	} while (i);
	ck_assert_uint_eq(net->count, 100 * 4000);
}
END_TEST

/* The reader frees a little at a time: pieces go on from the middle. */
START_TEST(a_large_message_through_a_small_ring)
{
	size_t		len = 1 << 20;
	unsigned	round;

	sub(net, 1, 1, "big", NULL);
	ck_assert_int_eq(pub_numbered(0, "big", 0, len, _i), PUBLISHED);
	ck_assert_int_eq(pub_numbered(0, "big", 1, len, _i), PUBLISH_BLOCKED);
	for (round = 0; net->ngot == 0; round++) {
		ck_assert_uint_lt(round, 1000);
		broker_flush(net->node[0].b);
		broker_drain(net->node[1].b, 1);	/* one record */
		broker_flush(net->node[1].b);
	}
	ck_assert_uint_gt(round, 10);
	ck_assert(net->got[0].shared);
	ck_assert_uint_eq(net->node[0].unblocked, 1);
	ck_assert_int_eq(pub_numbered(0, "big", 1, len, _i), PUBLISHED);
	net_settle(net);
	ck_assert_uint_eq(assert_in_order(1, 1, 0), 2);
}
END_TEST

START_TEST(a_sleeper_is_woken_by_messages_and_by_space)
{
	uint64_t	woken;
	unsigned	n = 0;

	sub(net, 1, 1, "w", NULL);
	net_settle(net);
	while (read(net->node[1].woken[0], &woken, sizeof(woken)) > 0)
		;
	while (read(net->node[0].woken[1], &woken, sizeof(woken)) > 0)
		;
	ck_assert(broker_sleep(net->node[1].b));
	pub(net, 0, "w", "x");
	ck_assert(!broker_sleep(net->node[0].b));	/* not before it is shown */
	ck_assert_int_eq(read(net->node[1].woken[0], &woken, sizeof(woken)), -1);
	broker_flush(net->node[0].b);
	ck_assert_int_eq(read(net->node[1].woken[0], &woken, sizeof(woken)), 8);
	while (pub_numbered(0, "w", n, 1000, false) == PUBLISHED)
		n++;
	broker_flush(net->node[0].b);
	ck_assert(broker_sleep(net->node[0].b));
	broker_wake(net->node[1].b);
	while (broker_drain(net->node[1].b, 1 << 20))
		;
	broker_flush(net->node[1].b);
	ck_assert_int_eq(read(net->node[0].woken[1], &woken, sizeof(woken)), 8);
	broker_wake(net->node[0].b);
	broker_drain(net->node[0].b, 1);
	ck_assert_uint_eq(net->node[0].unblocked, 1);
	ck_assert_double_eq(broker_timeout(net->node[0].b), 0);
}
END_TEST

START_TEST(a_lane_that_stays_full_is_told_once)
{
	const struct timespec	part = { 0, 20000000 };
	unsigned		n = 0, round;

	net->node[0].b->watchdog = 0.05;
	sub(net, 1, 1, "h", NULL);
	ck_assert_double_eq(broker_timeout(net->node[0].b), 0);
	while (pub_numbered(0, "h", n, 1000, false) == PUBLISHED)
		n++;
	ck_assert_double_gt(broker_timeout(net->node[0].b), 0);
	ck_assert_double_le(broker_timeout(net->node[0].b), 0.05);
	broker_flush(net->node[0].b);
	ck_assert_uint_eq(net->ncomplaints, 0);
	for (round = 0; round < 10; round++) {
		nanosleep(&part, NULL);			/* the watchdog's time has to pass */
		broker_flush(net->node[0].b);
	}
	ck_assert_uint_eq(net->ncomplaints, 1);
	ck_assert(net->complaints[0].hung);
	ck_assert_uint_eq(net->complaints[0].peer, 1);
	ck_assert_double_eq(broker_timeout(net->node[0].b), 0);
	broker_remove_peer(net->node[0].b, 1, net->node[1].incarnation);
	ck_assert_uint_eq(net->node[0].unblocked, 1);
	ck_assert_int_eq(pub(net, 0, "h", "x"), PUBLISHED);
}
END_TEST

START_TEST(peers_die_at_any_point)
{
	unsigned round, n, i;

	for (round = 0; round < 60; round++) {
		net_clear(net);
		sub(net, 1, 1, "d", NULL);
		sub(net, 2, 2, "d", NULL);
		sub(net, 2, 4, "d", "q");
		for (n = 0; n < round * 3; n++) {
			if (pub_numbered(0, "d", n, 100 + round * 700, n % 2) == PUBLISH_BLOCKED)
				break;
			if (n % 7 == 3)
				broker_flush(net->node[0].b);
			if (n % 11 == 5)
				broker_drain(net->node[1].b, round * 1000 + 1);
		}
		node_replace(net, 1);
		net_settle(net);
		ck_assert_uint_eq(assert_in_order(2, 2, 0), n);
		ck_assert_uint_eq(got(net, 2, 4), n);
		(void)assert_in_order(1, 1, 0);		/* what came, came whole and in order */
		for (i = 0; i < 3; i++)
			ck_assert_uint_eq(net->node[i].b->blocked, 0);
		node_replace(net, 2);
		ck_assert_uint_eq(net->ncomplaints, 0);
	}
	broker_remove_peer(net->node[0].b, 1, 1);	/* an older one: nothing happens */
	ck_assert_ptr_nonnull(net->node[0].b->peers[1]);
}
END_TEST

START_TEST(what_others_may_not_do_is_refused)
{
	struct lane	lane = { 0 };
	struct segment	seg = partition_view(&net->node[0]);
	int		fd = lane_make(net, &lane);

	/* a lane there is already; to ourselves; beyond the numbers */
	ck_assert_int_eq(broker_add_lane(net->node[0].b, 1, net->node[1].incarnation, &lane,
	    eventfd(0, 0)), -EEXIST);
	close(fd);
	close(lane_make(net, &lane));
	ck_assert_int_eq(broker_add_lane(net->node[0].b, 0, 99, &lane, eventfd(0, 0)), -EINVAL);
	close(lane_make(net, &lane));
	ck_assert_int_eq(broker_add_lane(net->node[0].b, 64, 99, &lane, eventfd(0, 0)), -EINVAL);
	/* a peer without lane, or twice */
	ck_assert_int_eq(broker_add_peer(net->node[0].b, 5, 1, &seg, eventfd(0, 0)), -ESRCH);
	seg = partition_view(&net->node[1]);
	ck_assert_int_eq(broker_add_peer(net->node[0].b, 1, net->node[1].incarnation, &seg,
	    eventfd(0, 0)), -EALREADY);
	seg = partition_view(&net->node[1]);
	ck_assert_int_eq(broker_replace_partition(net->node[0].b, 1, 12345, &seg), -ESRCH);
}
END_TEST

/* ---- a hostile peer: participant 3 is written by hand */

static struct lane	hostile;

static void
hostile_join(void)
{
	struct node	*a = &net->node[0], *c = &net->node[3];
	struct lane	 lane;
	struct segment	 seg;
	int		 to_us, to_it = lane_make(net, &lane);

	node_start(net, 3);
	to_us = lane_make(net, &hostile);
	ck_assert_int_eq(broker_add_lane(a->b, 3, c->incarnation, &lane, eventfd(0, EFD_NONBLOCK)), 0);
	seg = partition_view(c);
	ck_assert_int_eq(broker_add_peer(a->b, 3, c->incarnation, &seg, to_us), 0);
	ck_assert_int_eq(lane_attach(&hostile, to_it), 0);
}

static void
hostile_leave(void)
{
	node_stop(net, 3);
	lane_close(&hostile);
}

static void
hostile_write(enum ring ring, uint32_t type, const void *data, size_t len)
{
	void *to = ring_reserve(&hostile, ring, len);

	ck_assert_ptr_nonnull(to);
	memcpy(to, data, len);
	ring_commit(&hostile, ring, type, len);
	lane_publish(&hostile);
}

static const struct {
	const char	*what;
	enum ring	 ring;
	uint32_t	 type;
	struct wire_head head;		/* with account 0: not written */
	const char	*rest;		/* behind it */
	size_t		 len;
	const char	*complaint;	/* NULL: it is well formed */
} records[] = {
#define M(flags, subject, reply, names) { 1, ACCOUNT_GLOBAL, 5, subject, reply, names, flags, 0 }
	{ "well formed", RING_BULK, WIRE_MESSAGE, M(0, 1, 0, 0), "axyz", 4, NULL },
	{ "with a name", RING_BULK, WIRE_MESSAGE, M(0, 1, 0, 3), "a\1\0qxyz", 7, NULL },
	{ "with header", RING_BULK, WIRE_MESSAGE, M(WIRE_HEADER, 1, 0, 0), "\2\0\0\0axyz", 8, NULL },
	{ "empty", RING_BULK, WIRE_MESSAGE, { 0 }, "", 0, "head" },
	{ "half a head", RING_BULK, WIRE_MESSAGE, { 0 }, "0123456789", 10, "head" },
	{ "unknown type", RING_BULK, 99, M(0, 1, 0, 0), "axyz", 4, "unknown record" },
	{ "type 0", RING_BULK, 0, M(0, 1, 0, 0), "axyz", 4, "unknown record" },
	{ "none in bulk", RING_BULK, WIRE_NONE, { 0 }, "\1\0\0\0", 4, "unknown record" },
	{ "unknown flag", RING_BULK, WIRE_MESSAGE, M(32, 1, 0, 0), "axyz", 4, "flags" },
	{ "subject beyond", RING_BULK, WIRE_MESSAGE, M(0, 5, 0, 0), "axyz", 4, "beyond" },
	{ "subject far beyond", RING_BULK, WIRE_MESSAGE, M(0, 65535, 65535, 0), "axyz", 4, "beyond" },
	{ "reply beyond", RING_BULK, WIRE_MESSAGE, M(0, 1, 4, 0), "axyz", 4, "beyond" },
	{ "names beyond", RING_BULK, WIRE_MESSAGE, M(0, 1, 0, 4), "axyz", 4, "beyond" },
	{ "too many names", RING_BULK, WIRE_MESSAGE, M(0, 1, 0, 65535), "axyz", 4, "names" },
	{ "name beyond its list", RING_BULK, WIRE_MESSAGE, M(0, 1, 0, 3), "a\2\0qxyz", 7, "names" },
	{ "name cut", RING_BULK, WIRE_MESSAGE, M(0, 1, 0, 4), "a\1\0q\1xyz", 8, "names" },
	{ "empty name", RING_BULK, WIRE_MESSAGE, M(0, 1, 0, 2), "a\0\0xyz", 6, "names" },
	{ "no header number", RING_BULK, WIRE_MESSAGE, M(WIRE_HEADER, 0, 0, 0), "ab", 2, "header" },
	{ "header > body", RING_BULK, WIRE_MESSAGE, M(WIRE_HEADER, 1, 0, 0), "\4\0\0\0axyz", 8, "body" },
	{ "request 0", RING_BULK, WIRE_MESSAGE, M(WIRE_REQUEST, 1, 0, 0), "\0\0\0\0axyz", 8, "request" },
	{ "no request", RING_BULK, WIRE_MESSAGE, M(WIRE_REQUEST, 1, 0, 0), "ax", 2, "request" },
	{ "no served", RING_BULK, WIRE_MESSAGE, M(WIRE_SERVE, 1, 0, 0), "ax", 2, "served" },
	{ "served beyond", RING_BULK, WIRE_MESSAGE, M(WIRE_SERVE, 1, 0, 0), "\4\0\0\0axyz", 8, "beyond" },
	{ "served huge", RING_BULK, WIRE_MESSAGE, M(WIRE_SERVE, 1, 0, 0), "\377\377\377\377axyz", 8, "names" },
	{ "line end in subject", RING_BULK, WIRE_MESSAGE, M(0, 3, 0, 0), "a\r\nxyz", 6, "subject" },
	{ "space in reply", RING_BULK, WIRE_MESSAGE, M(0, 1, 2, 0), "ar xyz", 6, "reply" },
	{ "passed in bulk", RING_BULK, WIRE_MESSAGE, M(WIRE_PASSED, 1, 0, 0), "axyz", 4, "wrong ring" },
	{ "whole in small", RING_SMALL, WIRE_MESSAGE, M(0, 1, 0, 0), "axyz", 4, "wrong ring" },
	{ "foreign account", RING_BULK, WIRE_MESSAGE, { 1, 63, 5, 1, 0, 0, 0, 0 }, "axyz", 4, "account" },
	{ "account 0xffffffff", RING_BULK, WIRE_MESSAGE, { 1, UINT32_MAX, 5, 1, 0, 0, 0, 0 }, "axyz", 4, "account" },
	{ "digits too few", RING_BULK, WIRE_MESSAGE, { 1, ACCOUNT_GLOBAL, 5, 1, 0, 0, 0, 1 }, "a0123456789", 11, "digits" },
	{ "digits too many", RING_BULK, WIRE_MESSAGE, { 1, ACCOUNT_GLOBAL, 5, 1, 0, 0, 0, 200 }, "axyz", 4, "digits" },
	{ "more without first", RING_BULK, WIRE_MORE, { 0 }, "axyz", 4, "out of its place" },
	{ "first too short", RING_BULK, WIRE_FIRST, { 0 }, "\0\1\0\0\0\0\0\0", 8, "out of its place" },
	{ "first too large", RING_BULK, WIRE_FIRST, { 0 }, "\377\377\377\377\0\0\0\0x", 9, "in pieces" },
	{ "first announces less", RING_BULK, WIRE_FIRST, { 0 }, "\1\0\0\0\0\0\0\0xyz", 11, "in pieces" },
	{ "first in small", RING_SMALL, WIRE_FIRST, { 0 }, "\0\1\0\0\0\0\0\0x", 9, "unknown record" },
	{ "none cut", RING_SMALL, WIRE_NONE, { 0 }, "\1\0\0", 3, "none" },
	{ "pace cut", RING_SMALL, WIRE_PACE, { 0 }, "\1\0\0\0\0\0\0\0\1\0\0\0", 12, "pace" },
	{ "pace beyond", RING_SMALL, WIRE_PACE, { 0 }, "\1\0\0\0\0\0\0\0\377\377\377\377\0\0\0\0", 16, "pace" },
	{ "none of nothing", RING_SMALL, WIRE_NONE, { 0 }, "\7\0\0\0", 4, NULL },
};

START_TEST(hostile_records)
{
	char	data[256];
	size_t	len = 0;

	net_directory(net)->participants[63] = BIT(0);
	sub(net, 0, 1, "a", NULL);
	sub(net, 0, 2, "a", "q");
	hostile_join();
	if (records[_i].head.account != 0) {
		memcpy(data, &records[_i].head, sizeof(struct wire_head));
		len = sizeof(struct wire_head);
	}
	memcpy(data + len, records[_i].rest, records[_i].len);
	len += records[_i].len;
	hostile_write(records[_i].ring, records[_i].type, data, len);
	node_turn(&net->node[0]);
	if (records[_i].complaint == NULL) {
		ck_assert_uint_eq(net->ncomplaints, 0);
		ck_assert_uint_eq(net->ngot, records[_i].ring == RING_SMALL ? 0 : 1 + (_i == 1));
	} else {
		ck_assert_uint_eq(net->ncomplaints, 1);
		ck_assert_msg(strstr(net->complaints[0].what, records[_i].complaint) != NULL,
		    "%s: %s", records[_i].what, net->complaints[0].what);
		ck_assert(!net->complaints[0].hung);
		ck_assert_uint_eq(net->ngot, 0);
		/* Once; and what it writes from now on is not read. */
		memcpy(data, &records[0].head, sizeof(struct wire_head));
		memcpy(data + sizeof(struct wire_head), "axyz", 4);
		hostile_write(RING_BULK, WIRE_MESSAGE, data, sizeof(struct wire_head) + 4);
		node_turn(&net->node[0]);
		ck_assert_uint_eq(net->ncomplaints, 1);
		ck_assert_uint_eq(net->ngot, 0);
	}
	pub(net, 1, "a", "others go on");
	net_settle(net);
	ck_assert_uint_eq(got(net, 0, 1), records[_i].complaint == NULL && records[_i].ring == RING_BULK ? 2 : 1);
	hostile_leave();
}
END_TEST

START_TEST(pieces_that_do_not_fit_together)
{
	struct { struct wire_first first; struct wire_head head; char rest[8]; } first = {
	    .first = { sizeof(first) - 8, 0 }, .head = { 1, ACCOUNT_GLOBAL, 5, 1, 0, 0, 0, 0 }, .rest = "a" };
	char long_piece[64] = { 0 };

	sub(net, 0, 1, "a", NULL);
	hostile_join();
	hostile_write(RING_BULK, WIRE_FIRST, &first, sizeof(first) - 4);
	switch (_i) {
	case 0:
		hostile_write(RING_BULK, WIRE_MORE, "wxyz", 4);
		break;
	case 1:
		hostile_write(RING_BULK, WIRE_MORE, long_piece, sizeof(long_piece));
		break;
	case 2:
		hostile_write(RING_BULK, WIRE_MORE, "", 0);
		break;
	case 3:
		hostile_write(RING_BULK, WIRE_FIRST, &first, sizeof(first) - 4);
		break;
	case 4:
		hostile_write(RING_BULK, WIRE_MESSAGE, &first.head, sizeof(first.head) + 4);
		break;
	}
	node_turn(&net->node[0]);
	ck_assert_uint_eq(net->ngot, _i == 0);
	ck_assert_uint_eq(net->ncomplaints, _i != 0);
	hostile_leave();
}
END_TEST

START_TEST(a_tail_that_lies_breaks_the_lane)
{
	uint32_t slot;

	hostile_join();
	ck_assert_int_eq(broker_subscribe(net->node[3].b, ACCOUNT_GLOBAL, 1, BYTES("t"),
	    (struct bytes){ 0 }, &slot), 0);
	sub(net, 0, 1, "u", NULL);
	pub(net, 0, "t", "x");
	broker_flush(net->node[0].b);
	atomic_store(&hostile.mine->tail[RING_BULK].at, 1 << 20);
	while (net->ncomplaints == 0 && pub_numbered(0, "t", 0, 1000, false) == PUBLISHED)
		;
	ck_assert_uint_eq(net->ncomplaints, 1);
	ck_assert(!net->complaints[0].hung);
	ck_assert_int_eq(pub(net, 0, "t", "x"), PUBLISHED);	/* it is not asked any more */
	ck_assert_int_eq(pub(net, 0, "u", "x"), PUBLISHED);
	ck_assert_uint_eq(net->ngot, 1);
	hostile_leave();
}
END_TEST

/* A lane's bytes are anything at all: nothing is delivered that breaks a client's wire. */
START_TEST(random_records)
{
	uint64_t	seed = 12345 + (uint64_t)_i;
	unsigned	i, n;
	size_t		j, len;
	char		data[512];

	srandom((unsigned)seed);
	sub(net, 0, 1, ">", NULL);
	sub(net, 0, 2, ">", "q");
	for (n = 0; n < 200; n++) {
		hostile_join();
		for (i = 0; i < 20; i++) {
			len = (size_t)random() % sizeof(data);
			for (j = 0; j < len; j++)
				data[j] = (char)(random() % 4 ? random() % 4 : random());
			if (random() % 4)
				memcpy(data + 8, &(uint32_t){ ACCOUNT_GLOBAL }, 4);
			hostile_write(random() % 4 ? RING_BULK : RING_SMALL, (uint32_t)random() % 7, data, len);
		}
		node_turn(&net->node[0]);
		broker_remove_peer(net->node[0].b, 3, net->node[3].incarnation);
		hostile_leave();
	}
	for (i = 0; i < net->ngot; i++)
		ck_assert_ptr_null(strpbrk(net->got[i].subject, " \t\n"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lanes");
	TCase *c = tcase_create("lanes");

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, a_full_ring_blocks_and_loses_nothing, 0, 10);
	tcase_add_test(c, only_who_needs_the_full_lane_is_blocked);
	tcase_add_test(c, nothing_overtakes_what_waits);
	tcase_add_test(c, a_turn_has_a_bound_of_deliveries_too);
	tcase_add_loop_test(c, a_large_message_through_a_small_ring, 0, 2);
	tcase_add_test(c, a_sleeper_is_woken_by_messages_and_by_space);
	tcase_add_test(c, a_lane_that_stays_full_is_told_once);
	tcase_add_test(c, peers_die_at_any_point);
	tcase_add_test(c, what_others_may_not_do_is_refused);
	tcase_add_loop_test(c, hostile_records, 0, sizeof(records) / sizeof(records[0]));
	tcase_add_loop_test(c, pieces_that_do_not_fit_together, 0, 5);
	tcase_add_test(c, a_tail_that_lies_breaks_the_lane);
	tcase_add_loop_test(c, random_records, 0, 3);
	suite_add_tcase(s, c);
	return tests_run(s);
}

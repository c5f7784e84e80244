/* Who gets a connection, who has it, and whom it is counted for. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/backoff.h"
#include "supervisor/fabric.h"
#include "supervisor/listener.h"
#include "supervisor/placement.h"

/* ---- connections */

static void
count_left(void *arg, struct address *address)
{
	(*(size_t *)arg)++;
}

/* Against a plain array: random adds and removes, a worker's death, growth and shrinking. */
START_TEST(connections_are_who_they_were)
{
	enum { CIDS = 20000 };
	static uint8_t owner[CIDS];	/* worker + 1; 0: gone */
	struct connections c;
	struct address *a;
	size_t live = 0, left, i, n;
	uint64_t next = 1;
	unsigned worker;

	connections_init(&c);
	memset(owner, 0, sizeof(owner));
	srandom(1);
	while (next < CIDS) {
		if (random() % 100 < 60) {
			worker = (unsigned)random() % 5;
			a = (struct address *)(uintptr_t)(next * 16);
			ck_assert_int_eq(connections_add(&c, next, worker, a), 0);
			owner[next++] = (uint8_t)(worker + 1);
			live++;
		} else {
			i = (size_t)random() % next;
			worker = (unsigned)random() % 5;
			bool is = owner[i] == worker + 1;
			ck_assert_int_eq(connections_remove(&c, i, worker, &a), is);
			if (is) {
				ck_assert_ptr_eq(a, (void *)(uintptr_t)(i * 16));
				owner[i] = 0;
				live--;
			}
		}
		ck_assert_uint_eq(c.used, live);
	}
	for (worker = 0; worker < 4; worker++) {
		for (n = 0, i = 1; i < CIDS; i++)
			if (owner[i] == worker + 1) {
				owner[i] = 0;
				n++;
			}
		left = 0;
		ck_assert_uint_eq(connections_remove_worker(&c, worker, count_left, &left), n);
		ck_assert_uint_eq(left, n);
		for (i = 1; i < CIDS; i += 7)	/* the others are still found, by their owner alone */
			if (owner[i] != 0) {
				ck_assert(!connections_remove(&c, i, worker, &a));
				ck_assert(connections_remove(&c, i, owner[i] - 1u, &a));
				owner[i] = 0;
			}
	}
	for (i = 1; i < CIDS; i++)
		if (owner[i] != 0)
			ck_assert(connections_remove(&c, i, owner[i] - 1u, &a));
	ck_assert_uint_eq(c.used, 0);
	ck_assert_uint_le(c.size, 64);	/* memory was given back */
	ck_assert(!connections_remove(&c, 0, 0, &a));
	connections_free(&c);
}
END_TEST

/* As many as asked for, each once, nobody who is leaving already, and everybody with the same chance. */
START_TEST(a_sample_is_random_and_taken_once)
{
	enum { CIDS = 200, TAKEN = 50, ROUNDS = 400 };
	unsigned taken[CIDS + 1] = { 0 }, round;
	const struct connection *entry;
	struct connections c;
	struct address *a;
	struct sample sample;
	uint64_t cid;
	size_t at, n;

	for (round = 0; round < ROUNDS; round++) {
		connections_init(&c);
		for (cid = 1; cid <= CIDS; cid++)
			ck_assert_int_eq(connections_add(&c, cid, (unsigned)cid % 3, NULL), 0);
		connections_leave(&c, 7);
		sample = (struct sample){ .count = TAKEN, .left = c.used - c.leaving };
		for (at = n = 0; (entry = connections_sample(&c, &sample, &at)) != NULL; n++) {
			ck_assert_uint_ne(entry->cid, 7);
			taken[entry->cid]++;
		}
		ck_assert_uint_eq(n, TAKEN);
		ck_assert_uint_eq(c.leaving, TAKEN + 1);
		/* those that are left, and no more */
		sample = (struct sample){ .count = CIDS, .left = c.used - c.leaving };
		for (at = 0; connections_sample(&c, &sample, &at) != NULL; n++)
			;
		ck_assert_uint_eq(n, CIDS - 1);
		for (cid = 1; cid <= CIDS; cid++)
			ck_assert(connections_remove(&c, cid, (unsigned)cid % 3, &a));
		ck_assert_uint_eq(c.leaving, 0);
		connections_free(&c);
	}
	for (cid = 1; cid <= CIDS; cid++)	/* 100 expected; 9 standard deviations */
		if (cid != 7)
			ck_assert_msg(taken[cid] > 22 && taken[cid] < 178, "cid %u: %u times",
			    (unsigned)cid, taken[cid]);
}
END_TEST

START_TEST(a_connection_costs_less_than_64_bytes)
{
	struct connections c;
	uint64_t cid;
	int rc = 0;

	connections_init(&c);
	for (cid = 1; cid <= 1000000; cid++)
		rc |= connections_add(&c, cid, 1, NULL);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_le(c.size * sizeof(*c.entries) / c.used, 64);
	connections_free(&c);
}
END_TEST

/* ---- addresses */

static struct sockaddr_storage
peer_of(const char *text)
{
	struct sockaddr_storage peer;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&peer;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer;

	memset(&peer, 0, sizeof(peer));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		peer.ss_family = AF_INET;
		v4->sin_port = htons(77);
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
		peer.ss_family = AF_INET6;
		v6->sin6_port = htons(77);
	}
	return peer;
}

START_TEST(an_address_is_one_in_both_families)
{
	struct sockaddr_storage v4 = peer_of("10.1.2.3"), mapped = peer_of("::ffff:10.1.2.3"),
	    other = peer_of("10.1.2.4"), v6 = peer_of("fd00::2");
	struct addresses all;
	struct address *a, *b, *c;
	char host[46];
	uint16_t port;

	addresses_init(&all);
	ck_assert_int_eq(address_enter(&all, &v4, 2, &a), 0);
	ck_assert_int_eq(address_enter(&all, &mapped, 2, &b), 0);
	ck_assert_ptr_eq(a, b);
	ck_assert_int_eq(address_enter(&all, &v4, 2, &c), -EDQUOT);
	ck_assert_int_eq(address_enter(&all, &other, 2, &c), 0);
	address_leave(&all, c);
	ck_assert_int_eq(address_enter(&all, &v6, 2, &c), 0);
	address_leave(&all, a);
	ck_assert_int_eq(address_enter(&all, &mapped, 2, &a), 0);	/* room again */
	address_leave(&all, a);
	address_leave(&all, b);
	address_leave(&all, c);
	address_leave(&all, NULL);
	ck_assert(RB_EMPTY(&all));	/* nothing is kept of who left */

	address_text(&mapped, host, sizeof(host), &port);
	ck_assert_str_eq(host, "10.1.2.3");
	ck_assert_uint_eq(port, 77);
	address_text(&v6, host, sizeof(host), &port);
	ck_assert_str_eq(host, "fd00::2");
	addresses_free(&all);
}
END_TEST

/* Of Unix sockets a user is counted, who is none of the addresses. */
START_TEST(a_user_is_one_source)
{
	struct sockaddr_storage zero = peer_of("::"), low = peer_of("0.0.3.232");
	struct addresses all;
	struct address *a, *b, *c, *d, *e;

	addresses_init(&all);
	ck_assert_int_eq(address_enter_user(&all, 0, 1, &a), 0);
	ck_assert_int_eq(address_enter_user(&all, 0, 1, &b), -EDQUOT);
	ck_assert_int_eq(address_enter_user(&all, 1000, 2, &b), 0);
	ck_assert_int_eq(address_enter_user(&all, 1000, 2, &c), 0);
	ck_assert_int_eq(address_enter_user(&all, 1000, 2, &d), -EDQUOT);
	ck_assert_int_eq(address_enter(&all, &zero, 1, &d), 0);
	ck_assert_int_eq(address_enter(&all, &low, 1, &e), 0);
	ck_assert_ptr_eq(b, c);
	address_leave(&all, c);
	ck_assert_int_eq(address_enter_user(&all, 1000, 2, &c), 0);
	addresses_free(&all);
}
END_TEST

START_TEST(who_is_told_to_leave_twice_leaves_once)
{
	struct connections c;
	struct address *a;

	connections_init(&c);
	ck_assert_ptr_null(connections_get(&c, 1));
	ck_assert_int_eq(connections_add(&c, 1, 3, NULL), 0);
	ck_assert_uint_eq(connections_get(&c, 1)->worker, 3);
	ck_assert_ptr_null(connections_get(&c, 2));
	ck_assert_ptr_null(connections_get(&c, 0));
	connections_leave(&c, 1);
	connections_leave(&c, 1);
	ck_assert_uint_eq(c.leaving, 1);
	ck_assert(connections_remove(&c, 1, 3, &a));
	ck_assert_uint_eq(c.leaving, 0);
	connections_free(&c);
}
END_TEST

/* One host has a /64 of IPv6 for itself, but one address of IPv4. */
START_TEST(sources_are_what_a_host_cannot_change)
{
	static const struct { const char *first, *second; bool same; } cases[] = {
		{ "2001:db8::1", "2001:db8::2", true },
		{ "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true },
		{ "2001:db8::1", "2001:db8:0:1::1", false },
		{ "2001:db8::1", "2001:db9::1", false },
		{ "::1", "::2", true },
		{ "10.1.2.3", "10.1.2.4", false },
		{ "::ffff:10.1.2.3", "::ffff:10.1.2.4", false },
		{ "::ffff:10.1.2.3", "10.1.2.3", true },
		{ "::ffff:10.1.2.3", "::1", false },
	};
	struct sockaddr_storage first = peer_of(cases[_i].first), second = peer_of(cases[_i].second);
	struct addresses all;
	struct address *a, *b;

	addresses_init(&all);
	ck_assert_int_eq(address_enter(&all, &first, 1, &a), 0);
	ck_assert_int_eq(address_enter(&all, &second, 1, &b), cases[_i].same ? -EDQUOT : 0);
	addresses_free(&all);
}
END_TEST

/* ---- placement */

static bool
serves(const struct load *load)
{
	return load->serving;
}

START_TEST(the_least_loaded_in_turn)
{
	struct load loads[3] = { { .serving = true }, { .serving = true }, { .serving = true } };
	struct placement pl = { .loads = loads, .workers = 3 };

	ck_assert_int_eq(placement_choose(&pl, serves), 0);
	ck_assert_int_eq(placement_choose(&pl, serves), 1);	/* in turn among equals */
	ck_assert_int_eq(placement_choose(&pl, serves), 2);
	ck_assert_int_eq(placement_choose(&pl, serves), 0);
	loads[0].connections = loads[2].connections = 5;
	loads[1].connections = 4;
	ck_assert_int_eq(placement_choose(&pl, serves), 1);
	ck_assert_int_eq(placement_choose(&pl, serves), 1);	/* the fewest, whoever's turn it is */
	loads[1].serving = false;
	ck_assert_int_ne(placement_choose(&pl, serves), 1);
	loads[0].serving = loads[2].serving = false;
	ck_assert_int_eq(placement_choose(&pl, serves), -1);
}
END_TEST

START_TEST(a_worker_keeps_descriptors_for_itself)
{
	ck_assert_uint_lt(placement_most(1024, 4), 1024 - 8 * 4);
	ck_assert_uint_gt(placement_most(1024, 4), 512);
	ck_assert_uint_gt(placement_most(1 << 20, 60), (1 << 20) - 1000);
	ck_assert_uint_ge(placement_most(0, 60), 1);
	ck_assert_uint_lt(placement_most(100, 60), 50);
}
END_TEST

/* ---- back-off, sizes, addresses to listen on */

START_TEST(the_dead_are_replaced_at_once_until_it_is_too_often)
{
	struct backoff b = { .used = 0 };
	double now = 1000;
	int i;

	for (i = 0; i < 10; i++)
		ck_assert(backoff_delay(&b, now += 0.01, 10, true) == 0);
	ck_assert(backoff_delay(&b, now += 0.5, 10, true) == BACKOFF_FIRST);
	ck_assert(backoff_delay(&b, now += 0.5, 10, true) == BACKOFF_FIRST * 2);
	for (i = 0; i < 20; i++)
		ck_assert(backoff_delay(&b, now += 0.5, 10, true) <= BACKOFF_MOST);
	ck_assert(backoff_delay(&b, now += 0.5, 10, true) == BACKOFF_MOST);
	ck_assert(backoff_delay(&b, now += 100, 10, true) == 0);	/* it was long ago */
}
END_TEST

START_TEST(who_never_was_ready_has_to_wait)
{
	struct backoff b = { .used = 0 };

	ck_assert(backoff_delay(&b, 1, 10, false) == BACKOFF_FIRST);
	ck_assert(backoff_delay(&b, 2, 10, false) == BACKOFF_FIRST * 2);
	ck_assert_uint_eq(b.failures, 2);
	ck_assert(backoff_delay(&b, 3, 10, true) == 0);
	ck_assert_uint_eq(b.failures, 0);
}
END_TEST

START_TEST(rings_by_number_of_participants)
{
	ck_assert_uint_eq(fabric_ring_size(2, 0), 1 << 20);
	ck_assert_uint_eq(fabric_ring_size(4, 0), 1 << 20);
	ck_assert_uint_eq(fabric_ring_size(5, 0), 1 << 19);
	ck_assert_uint_eq(fabric_ring_size(60, 0), 1 << 18);
	ck_assert_uint_eq(fabric_ring_size(60, 100000), 131072);	/* a power of two */
	ck_assert_uint_eq(fabric_ring_size(2, 1), 65536);
	ck_assert_uint_eq(fabric_ring_size(2, UINT64_MAX), 1 << 30);
}
END_TEST

static const struct { const char *text, *host; int port; } addresses[] = {
	{ "127.0.0.1:4222", "127.0.0.1", 4222 },
	{ ":4222", "before", 4222 },
	{ "4222", "before", 4222 },
	{ "[::1]:4222", "::1", 4222 },
	{ "host.example:-1", "host.example", 0 },
	{ "::1", NULL, 0 },
	{ "::1:4222", NULL, 0 },
	{ "127.0.0.1:", NULL, 0 },
	{ "127.0.0.1:65536", NULL, 0 },
	{ "127.0.0.1:4222x", NULL, 0 },
	{ "", NULL, 0 },
};

START_TEST(addresses_to_listen_on)
{
	char host[256] = "before";
	uint16_t port = 7;
	int rc = listener_parse(addresses[_i].text, host, &port);

	if (addresses[_i].host == NULL) {
		ck_assert_int_eq(rc, -EINVAL);
		ck_assert_str_eq(host, "before");
		ck_assert_uint_eq(port, 7);
	} else {
		ck_assert_int_eq(rc, 0);
		ck_assert_str_eq(host, addresses[_i].host);
		ck_assert_int_eq(port, addresses[_i].port);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("placement");
	TCase *c = tcase_create("placement");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_test(c, connections_are_who_they_were);
	tcase_add_test(c, a_sample_is_random_and_taken_once);
	tcase_add_test(c, a_connection_costs_less_than_64_bytes);
	tcase_add_test(c, an_address_is_one_in_both_families);
	tcase_add_loop_test(c, sources_are_what_a_host_cannot_change, 0, 9);
	tcase_add_test(c, a_user_is_one_source);
	tcase_add_test(c, who_is_told_to_leave_twice_leaves_once);
	tcase_add_test(c, the_least_loaded_in_turn);
	tcase_add_test(c, a_worker_keeps_descriptors_for_itself);
	tcase_add_test(c, the_dead_are_replaced_at_once_until_it_is_too_often);
	tcase_add_test(c, who_never_was_ready_has_to_wait);
	tcase_add_test(c, rings_by_number_of_participants);
	tcase_add_loop_test(c, addresses_to_listen_on, 0, sizeof(addresses) / sizeof(addresses[0]));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

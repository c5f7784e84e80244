/* Keys of session tickets: the newest first, old ones as long as a ticket of theirs may live, none without TLS. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/supervisor.h"

static struct supervisor s;
static uint8_t		 first[TICKET_KEY];

static void
setup(void)
{
	memset(&s, 0, sizeof(s));
	s.loop = ev_loop_new(0);
	tickets_init(&s);
	tickets_update(&s, 100);
	memcpy(first, s.tickets.keys[0], TICKET_KEY);
}

static void
teardown(void)
{
	tickets_free(&s);
	ev_loop_destroy(s.loop);
}

static void
rotate(void)
{
	ev_invoke(s.loop, &s.tickets.rotate, EV_TIMER);
}

START_TEST(there_is_one_at_once)
{
	static const uint8_t nothing[TICKET_KEY];

	ck_assert_uint_eq(s.tickets.count, 1);
	ck_assert_mem_ne(first, nothing, TICKET_KEY);
	ck_assert(ev_is_active(&s.tickets.rotate));
	ck_assert_double_eq(s.tickets.rotate.repeat, 100);
	tickets_update(&s, 100);	/* a reload that leaves it */
	ck_assert_mem_eq(s.tickets.keys[0], first, TICKET_KEY);
}
END_TEST

START_TEST(the_newest_is_first_and_the_one_before_stays)
{
	rotate();
	ck_assert_uint_eq(s.tickets.count, 2);
	ck_assert_mem_ne(s.tickets.keys[0], first, TICKET_KEY);
	ck_assert_mem_eq(s.tickets.keys[1], first, TICKET_KEY);
	ck_assert_double_ge(s.tickets.ends[0], ev_now(s.loop) + 200);
}
END_TEST

START_TEST(a_key_whose_tickets_have_run_out_goes)
{
	rotate();
	s.tickets.ends[1] = ev_now(s.loop);
	rotate();
	ck_assert_uint_eq(s.tickets.count, 2);
	ck_assert_mem_ne(s.tickets.keys[1], first, TICKET_KEY);
}
END_TEST

START_TEST(there_are_never_more_than_a_message_takes)
{
	unsigned i;

	for (i = 0; i < 3 * TICKETS_MOST; i++) {
		rotate();
		ck_assert_uint_le(s.tickets.count, TICKETS_MOST);
	}
	ck_assert_uint_eq(s.tickets.count, TICKETS_MOST);
}
END_TEST

START_TEST(another_lifetime_begins_with_a_new_key)
{
	tickets_update(&s, 60);
	ck_assert_uint_eq(s.tickets.count, 2);
	ck_assert_mem_eq(s.tickets.keys[1], first, TICKET_KEY);
	ck_assert_double_eq(s.tickets.rotate.repeat, 60);
}
END_TEST

START_TEST(without_tls_they_are_gone_from_memory)
{
	static const uint8_t nothing[sizeof(s.tickets.keys)];

	rotate();
	tickets_update(&s, 0);
	ck_assert_uint_eq(s.tickets.count, 0);
	ck_assert_mem_eq(s.tickets.keys, nothing, sizeof(nothing));
	ck_assert(!ev_is_active(&s.tickets.rotate));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tickets");
	TCase *c = tcase_create("tickets");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, there_is_one_at_once);
	tcase_add_test(c, the_newest_is_first_and_the_one_before_stays);
	tcase_add_test(c, a_key_whose_tickets_have_run_out_goes);
	tcase_add_test(c, there_are_never_more_than_a_message_takes);
	tcase_add_test(c, another_lifetime_begins_with_a_new_key);
	tcase_add_test(c, without_tls_they_are_gone_from_memory);
	suite_add_tcase(suite, c);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

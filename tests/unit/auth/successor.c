/* Another bulkhead-auth in place of one that died: it knows from the workers who is in. */
#include "tests/unit/auth/rig.h"

static uint64_t
admitted_grant(unsigned i, struct msg m)
{
	say(i, m);
	return hear(i, MSG_admitted).b;
}

static struct msg
holds(uint64_t cid, unsigned account, uint64_t grant, const char *user)
{
	return (struct msg){ .type = MSG_holds, .u.holds = { .cid = cid, .account = account, .grant = grant,
	    .address = BYTES("192.0.2.1"), .user = bytes_of(user) } };
}

/* a with another password in the new one: only it goes; b with other rights hears of them. */
START_TEST(a_successor_keeps_who_is_right)
{
	const uint64_t	a = admitted_grant(0, login(1, "a", "b")), h = admitted_grant(0, login(2, "h", "password")),
			t = admitted_grant(0, login(3, "t", "t")), n = admitted_grant(0, login(4, "", ""));

	program_stop(&auth);
	channel_close(&workers[0].channel);
	channel_close(&workers[1].channel);
	start(document_usual("b", "x"));
	worker_connect(0);
	say(0, holds(1, 1, a, "a"));
	say(0, holds(2, 1, h, "h"));
	say(0, holds(3, 4, t, "t"));
	say(0, holds(4, 4, n, "nobody"));
	say(0, holds(5, 1, a, "h"));		/* not hers */
	say(0, holds(6, 4, a, "a"));		/* not that account */
	say(0, holds(7, 1, 15, "a"));		/* no grant of ours */
	worker_ready(0);
	ck_assert_uint_eq(hear(0, MSG_revoked).cid, 5);
	ck_assert_uint_eq(hear(0, MSG_revoked).cid, 6);
	ck_assert_uint_eq(hear(0, MSG_revoked).cid, 7);
	say(0, login(8, "t", "t"));
	ck_assert_uint_eq(hear(0, MSG_admitted).cid, 8);
	reload(document_usual("b", "y"));	/* they are known as before */
	ck_assert_uint_eq(hear(0, MSG_admitted).cid, 1);
}
END_TEST

START_TEST(a_successor_sees_what_changed)
{
	const uint64_t	a = admitted_grant(0, login(1, "a", "b"));

	program_stop(&auth);
	channel_close(&workers[0].channel);
	channel_close(&workers[1].channel);
	start(document_usual(_i == 0 ? "b" : "c", "other"));
	worker_connect(0);
	say(0, holds(1, 1, a, "a"));
	worker_ready(0);
	hear(0, _i == 0 ? MSG_admitted : MSG_revoked);
}
END_TEST

/* Who said nothing hears who it is, when that was somebody else before. */
START_TEST(a_successor_renames_nobody)
{
	const uint64_t	n = admitted_grant(0, login(1, "", ""));
	struct document	d;
	struct msg	u = document_user(USER_WITHOUT, 4, "anybody", BYTES(""));

	program_stop(&auth);
	channel_close(&workers[0].channel);
	channel_close(&workers[1].channel);
	document_begin(&d);
	document_account_limited(&d, 4, "T", document_unlimited);
	u.u.user.anonymous = 1;
	document_add(&d, u);
	start(document_end(&d));
	worker_connect(0);
	say(0, holds(1, 4, n, "nobody"));
	say(0, holds(2, 4, n, "anybody"));
	worker_ready(0);
	ck_assert_str_eq(hear(0, MSG_admitted).text, "anybody");
	say(0, login(3, "", ""));
	ck_assert_uint_eq(hear(0, MSG_admitted).cid, 3);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("auth successor");
	TCase	*usual = tcase_create("usual");

	tcase_add_checked_fixture(usual, setup_usual, teardown);
	tcase_add_test(usual, a_successor_keeps_who_is_right);
	tcase_add_loop_test(usual, a_successor_sees_what_changed, 0, 2);
	tcase_add_test(usual, a_successor_renames_nobody);
	tcase_set_timeout(usual, 60);
	suite_add_tcase(s, usual);
	return run(s);
}

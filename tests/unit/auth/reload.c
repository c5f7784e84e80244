/* bulkhead-auth and a reload: who is in, who is counted and who waits while it happens. */
#include "tests/unit/auth/rig.h"

START_TEST(other_permissions_are_told)
{
	struct heard	first, h;

	say(0, login(1, "a", "b"));
	say(0, login(2, "t", "t"));
	first = hear(0, MSG_admitted);
	hear(0, MSG_admitted);
	reload(document_usual("b", "much.longer.subject"));
	h = hear(0, MSG_admitted);
	ck_assert_uint_eq(h.cid, 1);
	ck_assert_uint_gt(h.bytes, first.bytes);
	ck_assert_uint_ne(h.b, first.b);
	say(0, login(3, "t", "t"));
	ck_assert_uint_eq(hear(0, MSG_admitted).cid, 3);	/* and nothing about 2 */
}
END_TEST

START_TEST(another_password_revokes)
{
	say(0, login(1, "a", "b"));
	say(0, login(2, "t", "t"));
	hear(0, MSG_admitted);
	hear(0, MSG_admitted);
	reload(document_usual("other", "x"));
	ck_assert_uint_eq(hear(0, MSG_revoked).cid, 1);
	gone(0, 1);
	say(0, login(1, "a", "other"));
	ck_assert_uint_eq(hear(0, MSG_admitted).cid, 1);
}
END_TEST

/* A user, then its account goes. */
START_TEST(who_is_gone_is_revoked)
{
	struct document	d;

	say(0, login(1, "a", "b"));
	say(1, login(2, "t", "t"));
	say(1, login(3, "", ""));
	hear(0, MSG_admitted);
	hear(1, MSG_admitted);
	hear(1, MSG_admitted);
	document_begin(&d);
	document_password(&d, 1, "a", "b");
	document_password(&d, 1, "t", "t");
	reload(document_end(&d));
	hear(0, MSG_admitted);		/* a has no permissions now */
	ck_assert_uint_eq(hear(1, MSG_revoked).a, AUTH_REVOKED);
	ck_assert_uint_eq(hear(1, MSG_revoked).a, AUTH_REVOKED);
}
END_TEST

START_TEST(a_bad_document_is_refused)
{
	struct document	d;

	document_begin(&d);
	document_password(&d, 99, "x", "y");
	reload(document_end(&d));
	ck_assert_str_eq(refusal, "auth cannot read the users");
	say(0, login(1, "a", "b"));
	hear(0, MSG_admitted);
	reload(document_usual("b", "x"));
	ck_assert_str_eq(refusal, "");
}
END_TEST

/* More verdicts than a channel holds: told as fast as they are read. */
START_TEST(thousands_are_revoked_at_their_pace)
{
	struct msg	m;
	uint64_t	cid;
	unsigned	seen = 0;

	for (cid = 1; cid <= 2000; cid++) {
		say(0, login(cid, "a", "b"));
		hear(0, MSG_admitted);
	}
	workers[0].count = workers[0].at = 0;
	reload(document_usual("new", "x"));
	for (cid = 1; cid <= 2000; cid++) {
		seen += hear(0, MSG_revoked).a == AUTH_REVOKED;
		m = (struct msg){ .type = MSG_gone, .u.gone.cids = { .own = &cid, .count = 1 } };
		say(0, m);
	}
	ck_assert_uint_eq(seen, 2000);
}
END_TEST

static int
document_peer(enum user_kind kind, uint64_t connections)
{
	uint64_t	limits[LIMITS];
	struct document	d;
	struct msg	u = document_user(kind, 1, "p", kind == USER_WITHOUT ? BYTES("") : BYTES("secret"));

	memcpy(limits, document_unlimited, sizeof(limits));
	limits[LIMIT_CONNECTIONS] = connections;
	u.u.user.limits.own = limits;
	u.u.user.peer_uid = 1000;
	document_begin(&d);
	document_add(&d, u);
	return document_end(&d);
}

/* Leases go by the number, so whose number changes, or whose limits do, hears of it; others do not. */
START_TEST(other_limits_and_numbers_are_told)
{
	struct msg	m = login(1, "", "");
	struct heard	h;
	uint64_t	number;

	setup();
	start(document_peer(USER_WITHOUT, 5));
	m.u.login.peer_uid = m.u.login.peer_gid = 1000;
	say(0, m);
	ck_assert_uint_ne(number = hear(0, MSG_admitted).c, 0);
	reload(document_peer(USER_WITHOUT, 5));
	reload(document_peer(USER_WITHOUT, 6));
	ck_assert_uint_eq(hear(0, MSG_admitted).c, number);
	reload(document_peer(USER_PASSWORD, 6));
	h = hear(0, MSG_admitted);
	ck_assert_uint_ne(h.c, number);
	ck_assert_uint_ne(h.c, 0);
	say(0, lease(LEASE_USER_SUBSCRIPTIONS, h.c, 1, 7));
	ck_assert_uint_eq(hear(0, MSG_leases).a, 7);
	reload(document_peer(USER_PASSWORD, NO_LIMIT));
	ck_assert_uint_eq(hear(0, MSG_admitted).c, 0);
}
END_TEST

/* Who is in stays in under a limit that is lower now, and is counted once. */
START_TEST(a_reload_counts_once)
{
	setup();
	start(document_peer(USER_PASSWORD, 3));
	for (uint64_t i = 1; i <= 3; i++)
		say(0, login(i, "p", "secret"));
	for (uint64_t i = 1; i <= 3; i++)
		hear(0, MSG_admitted);
	reload(document_peer(USER_PASSWORD, 2));
	for (uint64_t i = 1; i <= 3; i++)
		ck_assert_uint_eq(hear(0, MSG_admitted).cid % 4, 4 - i);
	gone(0, 1);
	say(0, login(4, "p", "secret"));
	ck_assert_uint_eq(hear(0, MSG_refused).a, AUTH_USER_CONNECTIONS);
	gone(0, 2);
	say(0, login(5, "p", "secret"));
	ck_assert_uint_eq(hear(0, MSG_admitted).cid, 5);
	say(0, login(6, "p", "secret"));
	ck_assert_uint_eq(hear(0, MSG_refused).a, AUTH_USER_CONNECTIONS);
}
END_TEST

static int
document_two(bool both)
{
	uint64_t	limits[LIMITS];
	struct document	d;

	memcpy(limits, document_unlimited, sizeof(limits));
	limits[LIMIT_CONNECTIONS] = 2;
	document_begin(&d);
	document_account_limited(&d, 4, "T", limits);
	document_password(&d, 4, "x", "x");
	if (both)
		document_password(&d, 4, "y", "y");
	return document_end(&d);
}

/* Who is revoked by a reload is not counted by it, and does not count when it goes. */
START_TEST(who_is_revoked_is_not_counted)
{
	setup();
	start(document_two(true));
	say(0, login(1, "x", "x"));
	say(0, login(2, "y", "y"));
	hear(0, MSG_admitted);
	hear(0, MSG_admitted);
	reload(document_two(false));
	ck_assert_uint_eq(hear(0, MSG_revoked).cid, 2);
	gone(0, 2);
	say(0, login(3, "x", "x"));
	hear(0, MSG_admitted);
	say(0, login(4, "x", "x"));
	ck_assert_uint_eq(hear(0, MSG_refused).a, AUTH_ACCOUNT_CONNECTIONS);
}
END_TEST

/* "password" and "other" at cost 10. */
#define SLOW		"$2b$10$ucVT7S2gsdWsrRkuHEpCoeFI69tL3IQzhRzSQikHufhZ6r.gRoW36"
#define SLOW_OTHER	"$2b$10$ucVT7S2gsdWsrRkuHEpCoeYNT1prp.LKGaTamiCz.grLcdXcaWM1O"
#define WAITING		6u

static int
document_slow(const char *hash, unsigned account)
{
	struct document	d;

	document_begin(&d);
	document_account_limited(&d, 4, "T", document_unlimited);
	if (hash != NULL)
		document_password(&d, account, "s", hash);
	document_password(&d, 1, "another", "x");
	return document_end(&d);
}

static const struct { const char *what, *hash; unsigned account; bool stay; } meanwhile[] = {
	{ "nothing that concerns them", SLOW, 1, true },
	{ "another password", SLOW_OTHER, 1, false },
	{ "another account", SLOW, 4, false },
	{ "the user is removed", NULL, 1, false },
};

static bool
heard_nonces(void *arg)
{
	const struct peer	*p = arg;
	unsigned		 i;

	for (i = 0; i < p->count && p->all[i].type != MSG_nonces; i++)
		;
	return i < p->count;
}

/* Their passwords are being looked at while the configuration changes. */
START_TEST(who_is_looked_at_is_judged_by_what_is_in_force_then)
{
	bool		in[WAITING + 1] = { false };
	unsigned	told = 0, i, left = 0;
	struct heard	*h;

	setup();
	start(document_slow(SLOW, 1));
	for (i = 1; i <= WAITING; i++)
		say(0, login(i, "s", "password"));
	say(0, (struct msg){ .type = MSG_nonces_wanted });
	await(heard_nonces, &workers[0]);		/* the logins have come */
	reload(document_slow(meanwhile[_i].hash, meanwhile[_i].account));
	while (told < WAITING || left > (meanwhile[_i].stay ? WAITING : 0)) {
		await(heard_more, &workers[0]);
		h = &workers[0].all[workers[0].at++];
		if (h->type == MSG_nonces)
			continue;
		told += h->type != MSG_revoked;
		left += h->type == MSG_admitted;
		left -= h->type == MSG_revoked && in[h->cid];
		in[h->cid] = h->type == MSG_admitted;
	}
	ck_assert_uint_eq(left, meanwhile[_i].stay ? WAITING : 0);
}
END_TEST

/* A login that waits for its turn is decided by what is in force when that comes. */
START_TEST(who_is_delayed_is_judged_later)
{
	setup();
	settings.auth_failures = 1;
	settings.auth_failure_delay = 0.3;
	settings.has_auth_failure_delay = true;
	start(document_usual("b", "x"));
	say(0, login(1, "a", "wrong"));
	hear(0, MSG_refused);
	say(0, login(2, "a", "b"));
	say(0, login(3, "a", "new"));
	reload(document_usual("new", "x"));
	ck_assert_uint_eq(hear(0, MSG_refused).cid, 2);
	ck_assert_uint_eq(hear(0, MSG_admitted).cid, 3);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("auth reload");
	TCase	*usual = tcase_create("usual"), *own = tcase_create("own");

	tcase_add_checked_fixture(usual, setup_usual, teardown);
	tcase_add_test(usual, other_permissions_are_told);
	tcase_add_test(usual, another_password_revokes);
	tcase_add_test(usual, who_is_gone_is_revoked);
	tcase_add_test(usual, a_bad_document_is_refused);
	tcase_add_test(usual, thousands_are_revoked_at_their_pace);
	tcase_set_timeout(usual, 60);
	suite_add_tcase(s, usual);
	tcase_add_checked_fixture(own, NULL, teardown);
	tcase_add_test(own, other_limits_and_numbers_are_told);
	tcase_add_test(own, a_reload_counts_once);
	tcase_add_test(own, who_is_revoked_is_not_counted);
	tcase_add_loop_test(own, who_is_looked_at_is_judged_by_what_is_in_force_then, 0,
	    (int)(sizeof(meanwhile) / sizeof(meanwhile[0])));
	tcase_add_test(own, who_is_delayed_is_judged_later);
	tcase_set_timeout(own, 60);
	suite_add_tcase(s, own);
	return run(s);
}

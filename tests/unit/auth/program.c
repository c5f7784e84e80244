/* What bulkhead-auth answers to logins, and to nonsense; time and size. */
#include "tests/unit/auth/rig.h"

START_TEST(who_is_who)
{
	struct heard	h;

	say(0, login(1, "a", "b"));
	h = hear(0, MSG_admitted);
	ck_assert_uint_eq(h.cid, 1);
	ck_assert_uint_eq(h.a, 1);
	ck_assert_str_eq(h.text, "a");
	ck_assert_uint_gt(h.bytes, 4);
	say(0, login(2, "a", "c"));
	h = hear(0, MSG_refused);
	ck_assert_uint_eq(h.cid, 2);
	ck_assert_str_eq(h.text, "a");
	say(1, login(1, "t", "t"));		/* a cid is its worker's own */
	h = hear(1, MSG_admitted);
	ck_assert_uint_eq(h.a, 4);
	ck_assert_uint_eq(h.bytes, 0);
	say(1, login(2, "h", "password"));
	h = hear(1, MSG_admitted);
	ck_assert_str_eq(h.text, "h");
	say(1, login(3, "h", "passwort"));
	ck_assert_uint_eq(hear(1, MSG_refused).cid, 3);
	say(1, login(4, "", ""));
	h = hear(1, MSG_admitted);
	ck_assert_str_eq(h.text, "nobody");
	say(1, login(5, "", "b"));
	ck_assert_uint_eq(hear(1, MSG_refused).cid, 5);
}
END_TEST

/* Refused is forgotten, and may come again; who is in or waits may not, but after `gone`. */
START_TEST(a_cid_asks_once)
{
	say(0, login(1, "a", "c"));
	hear(0, MSG_refused);
	say(0, login(1, "a", "b"));
	hear(0, MSG_admitted);
	gone(0, 1);
	say(0, login(1, "t", "t"));
	hear(0, MSG_admitted);
	say(0, login(1, "t", "t"));
	await(is_closed, &workers[0]);
	say(1, login(1, "a", "b"));
	hear(1, MSG_admitted);
}
END_TEST

static const struct { const char *what; struct msg m; bool before_end; } impossible[] = {
	{ "a login before holds_end", { .type = MSG_login, .u.login = { .cid = 1, .address = { "x", 1 },
	    .user = { "a", 1 }, .pass = { "b", 1 }, .token = { "", 0 }, .nkey = { "", 0 }, .sig = { "", 0 },
	    .certificate = { "", 0 } } }, true },
	{ "holds after holds_end", { .type = MSG_holds, .u.holds = { .cid = 1, .account = 1, .grant = 1,
	    .address = { "x", 1 }, .user = { "a", 1 } } }, false },
	{ "holds_end twice", { .type = MSG_holds_end }, false },
	{ "gives back what it never had", { .type = MSG_lease_back, .u.lease_back = { .of = 1, .amount = 1 } }, false },
};

/* It costs that worker its channel, and nobody else anything. */
START_TEST(the_impossible_costs_a_channel)
{
	worker_connect(0);
	if (!impossible[_i].before_end)
		worker_ready(0);
	say(0, impossible[_i].m);
	await(is_closed, &workers[0]);
	say(1, login(9, "a", "b"));
	hear(1, MSG_admitted);
	worker_connect(0);
	worker_ready(0);
	say(0, login(9, "a", "b"));
	hear(0, MSG_admitted);
}
END_TEST

/* Anything that a channel carries, in any order, from any number: it answers others and goes on. */
START_TEST(floods_and_nonsense)
{
	char		junk[300];
	unsigned	seed = 7, i, k;
	uint64_t	cid = 1;

	for (i = 0; i < 300; i++) {
		worker_connect(0);
		if (i % 3 != 0)
			worker_ready(0);
		for (k = 0; k < sizeof(junk); k++)
			junk[k] = (char)rand_r(&seed);
		for (k = 0; k < 20 && !workers[0].closed; k++) {
			struct msg	m = login(cid++, k % 2 == 0 ? "h" : "a", "x");

			m.u.login.token = (struct bytes){ junk, (size_t)rand_r(&seed) % sizeof(junk) };
			m.u.login.nonce = (uint64_t)rand_r(&seed) % 1000;
			m.u.login.certificate = k % 5 == 0 ? m.u.login.token : BYTES("");
			if (channel_send(&workers[0].channel, &m, NULL) != 0)
				break;
			m = (struct msg){ .type = MSG_nonces_wanted };
			if (channel_send(&workers[0].channel, &m, NULL) != 0)
				break;
		}
		send(workers[0].channel.fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	say(1, login(1, "a", "b"));
	hear(1, MSG_admitted);
}
END_TEST

/* It says nothing for ever: logins of others wait for it a second, and then no more. */
START_TEST(a_silent_worker_is_waited_for_once)
{
	double	began;

	worker_connect(0);
	say(1, login(1, "a", "b"));
	began = program_now();
	hear(1, MSG_admitted);
	ck_assert_double_gt(program_now() - began, 0.5);
	for (uint64_t i = 2; i <= 10; i++) {
		say(1, login(i, "a", "b"));
		hear(1, MSG_admitted);
	}
	ck_assert_double_lt(program_now() - began, 1.9);
}
END_TEST

START_TEST(who_expires_is_revoked_in_order)
{
	const uint64_t	now = (uint64_t)(ev_time() * 1e6);
	struct document	d;
	struct msg	u;

	setup();
	document_begin(&d);
	u = document_user(USER_PASSWORD, 1, "later", BYTES("x"));
	u.u.user.expires = now + 600000;
	document_add(&d, u);
	u = document_user(USER_PASSWORD, 1, "sooner", BYTES("x"));
	u.u.user.expires = now + 300000;
	document_add(&d, u);
	u = document_user(USER_PASSWORD, 1, "over", BYTES("x"));
	u.u.user.expires = now - 1;
	document_add(&d, u);
	start(document_end(&d));
	say(0, login(1, "later", "x"));
	say(0, login(2, "sooner", "x"));
	say(0, login(3, "over", "x"));
	hear(0, MSG_admitted);
	hear(0, MSG_admitted);
	ck_assert_uint_eq(hear(0, MSG_refused).a, AUTH_VIOLATION);
	ck_assert_uint_eq(hear(0, MSG_revoked).cid, 2);
	ck_assert_uint_eq(hear(0, MSG_revoked).cid, 1);
	ck_assert_uint_ge((uint64_t)(ev_time() * 1e6), now + 600000);
}
END_TEST

static long
memory_kib(void)
{
	char	 path[64], line[256];
	long	 n = -1;
	FILE	*f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)auth.pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmRSS: %ld", &n) == 1)
			break;
	fclose(f);
	return n;
}

#define MANY	100000

START_TEST(a_hundred_thousand_users)
{
	struct document	d;
	char		name[32];
	long		before, after, each;
	double		began;
	int		i, fd;

	setup();
	document_begin(&d);
	fd = document_end(&d);
	start(fd);
	before = memory_kib();
	document_begin(&d);
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "user-%08d", i);
		document_password(&d, 1, name, HASH);
	}
	fd = document_end(&d);
	program_stop(&auth);
	channel_close(&workers[0].channel);
	channel_close(&workers[1].channel);
	began = program_now();
	start(fd);
	say(0, login(1, "user-00099999", "password"));
	hear(0, MSG_admitted);
#ifndef SANITIZED
	ck_assert_double_lt(program_now() - began, 1.0);
	after = memory_kib();
	each = (after - before) * 1024 / MANY;
	ck_assert_msg(each < 400, "%ld bytes for each user", each);
#else
	(void)before;
	(void)began;
	(void)after;
	(void)each;
#endif
}
END_TEST

START_TEST(nonces_come_in_batches)
{
	struct heard	h;

	say(0, (struct msg){ .type = MSG_nonces_wanted });
	say(1, (struct msg){ .type = MSG_nonces_wanted });
	h = hear(0, MSG_nonces);
	ck_assert_uint_eq(h.bytes % NONCE_RAW, 0);
	ck_assert_uint_ne(h.a, hear(1, MSG_nonces).a);
	ck_assert_int_ne(memcmp(workers[0].raw, workers[1].raw, NONCE_RAW), 0);
}
END_TEST

START_TEST(idle_is_idle)
{
	long	before;

	say(0, login(1, "a", "b"));
	hear(0, MSG_admitted);
	poll(NULL, 0, 1200);		/* what is left to do */
	before = program_wakeups(&auth);
	poll(NULL, 0, 2000);
	ck_assert_int_eq(program_wakeups(&auth), before);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("auth program");
	TCase	*usual = tcase_create("usual"), *own = tcase_create("own");

	tcase_add_checked_fixture(usual, setup_usual, teardown);
	tcase_add_test(usual, who_is_who);
	tcase_add_test(usual, a_cid_asks_once);
	tcase_add_loop_test(usual, the_impossible_costs_a_channel, 0,
	    (int)(sizeof(impossible) / sizeof(impossible[0])));
	tcase_add_test(usual, floods_and_nonsense);
	tcase_add_test(usual, a_silent_worker_is_waited_for_once);
	tcase_add_test(usual, nonces_come_in_batches);
	tcase_add_test(usual, idle_is_idle);
	tcase_set_timeout(usual, 60);
	suite_add_tcase(s, usual);
	tcase_add_checked_fixture(own, NULL, teardown);
	tcase_add_test(own, who_expires_is_revoked_in_order);
	tcase_add_test(own, a_hundred_thousand_users);
	tcase_set_timeout(own, 60);
	suite_add_tcase(s, own);
	return run(s);
}

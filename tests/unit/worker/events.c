/* What system is told of clients that come and go, and when: at once while somebody could hear it, gathered otherwise. */
#include <check.h>
#include <stdlib.h>
#include "broker/private.h"
#include "common/event_subjects.h"
#include "tests/unit/worker/rig.h"
#include "worker/session.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))
#define SYSTEM		700000u		/* stands for system's connection */
#define LISTENER	700001u		/* for a client's that listens, elsewhere */
#define MANY		600u
#define IMPORTER	(ACCOUNT_FIRST + RIG_ACCOUNTS - 1)

static struct rig		 rig;
static struct broker_calls	 calls;		/* the worker's own */
static struct told { bool past; uint64_t kind, cid; unsigned message; } told[2 * MANY];
static unsigned			 ntold, messages;
static size_t			 longest;
static uint32_t			 now;		/* the subscription to EVENTS_NOW */

static int
take(void *arg, const struct msg *m)
{
	const struct msg_client_event	*e = &m->u.client_event;

	ck_assert_int_eq(m->type, MSG_client_event);
	ck_assert_uint_lt(ntold, (unsigned)COUNT(told));
	told[ntold++] = (struct told){ *(bool *)arg, e->kind, e->cid, messages };
	return 0;
}

static enum delivery
hear(void *program, uint32_t connection, struct subscription *sub, const struct message *m)
{
	bool		 past = m->subject.len == sizeof(EVENTS_PAST) - 1;
	const char	*why;

	if (connection == LISTENER)
		return DELIVERED;
	if (connection != SYSTEM)
		return calls.deliver(program, connection, sub, m);
	longest = m->body.len > longest ? m->body.len : longest;
	ck_assert_int_eq(records_each(m->body, ROLE_WORKER, ROLE_SYSTEM, take, &past, &why), 0);
	messages++;
	return DELIVERED;
}

static void
removed(void *program, uint32_t connection, uint32_t subscription)
{
	if (connection != SYSTEM)
		calls.removed(program, connection, subscription);
}

static uint32_t
subscribe(uint32_t account, uint32_t who, const char *subject)
{
	uint32_t	 slot;

	ck_assert_int_eq(broker_subscribe(rig.w.broker, account, who, bytes_of(subject), BYTES(""), &slot), 0);
	return slot;
}

static void
setup(void)
{
	static const struct msg	 import = { .type = MSG_stream_import, .u.stream_import = {
	    .from = ACCOUNT_SYSTEM, .subject = BYTES("$SYS.>"), .to = BYTES("$SYS.>") } };

	rig_prepare(&rig);
	close(rig.child.accounts);
	rig.child.accounts = rig_accounts(RIG_ACCOUNTS, &import, 1);
	ck_assert_int_eq(setting_set_text(&rig.child.settings, setting_find(BYTES("server_id")), BYTES("NID")), 0);
	rig_start(&rig);
	calls = rig.w.broker->calls;
	rig.w.broker->calls.deliver = hear;
	rig.w.broker->calls.removed = removed;
	ntold = messages = 0;
	longest = 0;
	subscribe(ACCOUNT_SERVER, SYSTEM, EVENTS_SUBJECT);
	subscribe(ACCOUNT_SERVER, SYSTEM, EVENTS_PAST);
}

static void
teardown(void)
{
	rig_free(&rig);
}

static struct client *
last(void)
{
	return rig.w.clients[rig.w.top - 1];
}

/* One more, in this account, that has said CONNECT. */
static struct client *
come(uint32_t account)
{
	char	 got[4096];
	int	 fd = rig_connect(&rig, REFUSE_NOTHING);

	if (account != ACCOUNT_GLOBAL)
		client_belongs(last(), account, "u");
	rig_say(&rig, fd, "CONNECT {\"verbose\":false,\"name\":\"a name of ordinary length\"}\r\nPING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	return last();
}

static void
leave(struct client *c)
{
	client_close(c, CLOSE_READ);	/* without last words */
	rig_turn(&rig);
}

static void
is_told(unsigned i, bool past, enum client_event_kind kind, uint64_t cid)
{
	ck_assert_uint_lt(i, ntold);
	ck_assert_uint_eq(told[i].kind, kind);
	ck_assert_uint_eq(told[i].cid, cid);
	ck_assert_int_eq(told[i].past, past);
}

START_TEST(those_that_left_unheard_are_told_together)
{
	struct client	*c[3];
	int		 silent;

	for (int i = 0; i < 3; i++)
		c[i] = come(ACCOUNT_GLOBAL);
	ck_assert(!ev_is_active(&rig.w.events.due));
	for (int i = 0; i < 3; i++)
		leave(c[2 - i]);
	silent = rig_connect(&rig, REFUSE_NOTHING);
	leave(rig.w.clients[0]);
	while (ntold == 0)
		rig_wait(&rig);
	ck_assert_uint_eq(messages, 1);
	ck_assert_uint_eq(ntold, 4);
	for (unsigned i = 0; i < 3; i++)
		is_told(i, true, EVENT_DISCONNECTED, 3 - i);
	is_told(3, true, EVENT_NEVER_IN, 4);
	ck_assert(!ev_is_active(&rig.w.events.due));
	ck_assert_uint_eq(rig.w.events.gathered.size, 0);
	close(silent);
}
END_TEST

START_TEST(many_are_told_without_waiting)
{
	for (unsigned i = 0; i < MANY; i++)
		come(ACCOUNT_GLOBAL);
	for (unsigned i = 0; i < MANY; i++)
		client_close(rig.w.clients[i], CLOSE_READ);
	worker_turn_end(&rig.w);	/* no timer runs out within it */
	ck_assert_uint_ge(longest, EVENTS_GATHERED);
	ck_assert_uint_lt(longest, 2 * EVENTS_GATHERED);
	ck_assert_uint_lt(ntold, MANY);
	ck_assert(ev_is_active(&rig.w.events.due));
	while (ntold < MANY)
		rig_wait(&rig);
	for (unsigned i = 0; i < MANY; i++)
		is_told(i, true, EVENT_DISCONNECTED, i + 1);
}
END_TEST

START_TEST(order_is_kept_when_somebody_begins_to_listen)
{
	struct client	*a = come(ACCOUNT_GLOBAL), *b = come(ACCOUNT_GLOBAL), *c = come(ACCOUNT_GLOBAL);

	leave(a);
	ck_assert_uint_eq(ntold, 0);
	now = subscribe(ACCOUNT_SERVER, SYSTEM, EVENTS_NOW);
	leave(b);
	is_told(0, true, EVENT_DISCONNECTED, 1);
	is_told(1, false, EVENT_DISCONNECTED, 2);
	ck_assert(!ev_is_active(&rig.w.events.due));
	come(ACCOUNT_GLOBAL);
	is_told(2, false, EVENT_CONNECTED, 4);
	broker_unsubscribe(rig.w.broker, now);
	leave(c);
	come(ACCOUNT_GLOBAL);
	ck_assert_uint_eq(ntold, 3);
	while (ntold == 3)
		rig_wait(&rig);
	is_told(3, true, EVENT_DISCONNECTED, 3);
	ck_assert_uint_eq(ntold, 4);
}
END_TEST

/* What somebody subscribed to is told at once, though system has not heard of who listens yet. */
static const struct { const char *subject; bool came, left, refused; uint32_t account; } heard[] = {
	{ "$SYS.ACCOUNT.A5.CONNECT", true, false, false, ACCOUNT_SYSTEM },
	{ "$SYS.ACCOUNT.A5.DISCONNECT", false, true, true, ACCOUNT_SYSTEM },
	{ "$SYS.ACCOUNT.*.DISCONNECT", false, true, true, ACCOUNT_SYSTEM },
	{ "$SYS.ACCOUNT.A5.SERVER.CONNS", true, true, true, ACCOUNT_SYSTEM },
	{ "$SYS.SERVER.ACCOUNT.A5.CONNS", true, true, true, ACCOUNT_SYSTEM },
	{ "$SYS.SERVER.NID.CLIENT.AUTH.ERR", false, false, true, ACCOUNT_SYSTEM },
	{ "$SYS.ACCOUNT.CLIENT.AUTH.ERR", false, false, true, ACCOUNT_FIRST + 1 },
	{ ">", true, true, true, ACCOUNT_SYSTEM },
	{ "$SYS.ACCOUNT.A4.>", false, false, false, ACCOUNT_SYSTEM },
	{ "$SYS.ACCOUNT.A5.>", false, false, false, ACCOUNT_FIRST },
	{ "$SYS.REQ.>", false, false, false, ACCOUNT_SYSTEM },
};

START_TEST(what_is_subscribed_to_is_told_at_once)
{
	struct client	*c;
	unsigned	 n = 0;

	subscribe(heard[_i].account, LISTENER, heard[_i].subject);
	c = come(ACCOUNT_FIRST + 1);
	if (heard[_i].came)
		is_told(n++, false, EVENT_CONNECTED, 1);
	ck_assert_uint_eq(ntold, n);
	leave(c);
	if (heard[_i].left)
		is_told(n++, false, EVENT_DISCONNECTED, 1);
	ck_assert_uint_eq(ntold, n);
	events_flush(&rig.w);
	n = ntold;
	rig_connect(&rig, REFUSE_NOTHING);
	c = last();
	client_belongs(c, ACCOUNT_FIRST + 1, "u");
	login_refuse(c, AUTH_VIOLATION, IDENTITY_NOBODY, NULL);
	rig_turn(&rig);
	if (heard[_i].refused)
		is_told(n++, false, EVENT_REFUSED, 2);
	ck_assert_uint_eq(ntold, n);
}
END_TEST

/* Who may listen is told of at once, so that system knows that somebody does. */
START_TEST(who_may_listen_is_told_of_at_once)
{
	come(ACCOUNT_FIRST);
	ck_assert_uint_eq(ntold, 0);
	come(ACCOUNT_SYSTEM);
	is_told(0, false, EVENT_CONNECTED, 2);
	come(IMPORTER);
	is_told(1, false, EVENT_CONNECTED, 3);
}
END_TEST

START_TEST(nothing_is_kept_when_the_worker_stops)
{
	struct client	*a = come(ACCOUNT_GLOBAL);

	come(ACCOUNT_GLOBAL);
	leave(a);
	ck_assert_uint_eq(ntold, 0);
	worker_stop(&rig.child);
	worker_turn_end(&rig.w);
	ck_assert_uint_eq(ntold, 2);
	is_told(0, true, EVENT_DISCONNECTED, 1);
	is_told(1, true, EVENT_DISCONNECTED, 2);
	ck_assert_uint_eq(rig.w.events.gathered.size, 0);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("events");
	TCase	*c = tcase_create("events");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_test(c, those_that_left_unheard_are_told_together);
	tcase_add_test(c, many_are_told_without_waiting);
	tcase_add_test(c, order_is_kept_when_somebody_begins_to_listen);
	tcase_add_loop_test(c, what_is_subscribed_to_is_told_at_once, 0, COUNT(heard));
	tcase_add_test(c, who_may_listen_is_told_of_at_once);
	tcase_add_test(c, nothing_is_kept_when_the_worker_stops);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

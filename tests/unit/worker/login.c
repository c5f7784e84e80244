/* Who a client is: what auth is asked, what its answers do, and what happens when it is gone. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/worker/rig.h"
#include "worker/reload.h"
#include "worker/sids.h"

#define CONNECT(who)	"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true," who "}\r\n"
#define NAMED	CONNECT("\"user\":\"a\",\"pass\":\"b\"")
#define VIOLATION	"-ERR 'Authorization Violation'\r\n"

static struct rig	 rig;
static char		 got[1 << 20];
static unsigned		 at;		/* of what auth heard, was looked at */

static void
setup(void)
{
	at = 0;
	rig_prepare(&rig);
	rig.child.settings.auth_asked = rig.child.settings.auth_required = true;
}

static void
teardown(void)
{
	rig_free(&rig);
}

static void
start(void)
{
	rig_start(&rig);
	rig_auth(&rig);
	rig_heard(&rig, MSG_holds_end, &at);
}

static void
auth_refuses(uint64_t cid, enum auth_refusal why)
{
	struct msg	 m = { .type = MSG_refused, .u.refused = { .cid = cid, .why = why, .user = BYTES("a") } };

	ck_assert_int_eq(channel_send(&rig.auth, &m, NULL), 0);
}

static void
auth_revokes(uint64_t cid, enum auth_refusal why)
{
	struct msg	 m = { .type = MSG_revoked, .u.revoked = { .cid = cid, .why = why } };

	ck_assert_int_eq(channel_send(&rig.auth, &m, NULL), 0);
}

/* One that is in, in this account. */
static int
client(uint32_t account, struct bytes permissions)
{
	int	 fd = rig_connect(&rig, REFUSE_NOTHING);

	rig_say(&rig, fd, NAMED "PING\r\n");
	rig_heard(&rig, MSG_login, &at);
	rig_admit(&rig, rig.cid, rig.child.version, account, permissions);
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	return fd;
}

static void
expect(int fd, const char *said, const char *want)
{
	rig_say(&rig, fd, said);
	rig_say(&rig, fd, "PING\r\n");
	ck_assert_msg(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)), "%s: %s", said, got);
	got[strlen(got) - 6] = '\0';
	ck_assert_msg(strcmp(got, want) == 0, "%s: got %s", said, got);
}

/* What comes until the connection ends. */
static void
expect_end(int fd, const char *want)
{
	ck_assert(!rig_read(&rig, fd, NULL, got, sizeof(got)));
	ck_assert_str_eq(got, want);
	close(fd);
}

/* ---- permissions */

static msgpack_sbuffer	 records;

static void
permission_set(bool publish, bool subscribe, uint64_t responses)
{
	struct msg	 m = { .type = MSG_permission_set, .u.permission_set = { .number = 1, .publish = publish,
	    .subscribe = subscribe, .responses = responses, .responses_time = 60000 } };

	msgpack_sbuffer_destroy(&records);
	msgpack_sbuffer_init(&records);
	ck_assert_int_eq(records_add(&records, &m), 0);
}

static void
permission(enum permission_kind kind, const char *subject, const char *queue)
{
	struct msg	 m = { .type = MSG_permission, .u.permission = { .kind = kind,
	    .subject = bytes_of(subject), .queue = bytes_of(queue) } };

	ck_assert_int_eq(records_add(&records, &m), 0);
}

static struct bytes
permissions(void)
{
	return (struct bytes){ records.data, records.size };
}

/* ---- tests */

START_TEST(what_follows_connect_waits_for_the_verdict)
{
	const struct heard	*h;
	int			 fd, n = 0;

	start();
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, NAMED "SUB x 1\r\nPUB x 2\r\nhi\r\nPING\r\n");
	h = rig_heard(&rig, MSG_login, &at);
	ck_assert_uint_eq(h->cid, rig.cid);
	ck_assert_str_eq(h->user, "a");
	ck_assert_str_eq(h->pass, "b");
	ck_assert(!h->implicit && h->peer_uid == NO_PEER);
	while (n++ < 10)
		rig_turn(&rig);
	ck_assert_int_eq(rig.w.clients[0]->stop, CLIENT_ASKS);
	rig_say(&rig, fd, "PING\r\n");
	rig_admit(&rig, rig.cid, 0, ACCOUNT_FIRST, (struct bytes){ "", 0 });
	ck_assert(rig_read(&rig, fd, "PONG\r\nPONG\r\n", got, sizeof(got)));
	ck_assert_str_eq(got, "MSG x 1 2\r\nhi\r\nPONG\r\nPONG\r\n");
	ck_assert_uint_eq(rig.w.clients[0]->account, ACCOUNT_FIRST);
	ck_assert_uint_eq(client_record(rig.w.clients[0])->account, ACCOUNT_FIRST);
	ck_assert_str_eq(client_record(rig.w.clients[0])->user, "u");
	close(fd);
	ck_assert_uint_eq(rig_heard(&rig, MSG_gone, &at)->cid, rig.cid);
}
END_TEST

static const struct { enum auth_refusal why; const char *error; } refusals[] = {
	{ AUTH_VIOLATION, VIOLATION },
	{ AUTH_ACCOUNT_CONNECTIONS, "-ERR 'maximum account active connections exceeded'\r\n" },
	{ AUTH_USER_CONNECTIONS, "-ERR 'maximum user active connections exceeded'\r\n" },
	{ AUTH_ADDRESS_CONNECTIONS, "-ERR 'maximum account connections of an address exceeded'\r\n" },
	{ AUTH_EXPIRED, "-ERR 'User Authentication Expired'\r\n" },
	{ AUTH_REVOKED, VIOLATION },
};
#define REFUSALS	(int)(sizeof(refusals) / sizeof(refusals[0]))

START_TEST(who_is_refused_is_told_why)
{
	int	 fd;

	start();
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, NAMED "PING\r\n");
	rig_heard(&rig, MSG_login, &at);
	auth_refuses(rig.cid, refusals[_i].why);
	expect_end(fd, refusals[_i].error);
	ck_assert_uint_eq(rig_heard(&rig, MSG_gone, &at)->cid, rig.cid);
	fd = client(ACCOUNT_GLOBAL, BYTES(""));
	auth_revokes(rig.cid, refusals[_i].why);
	expect_end(fd, refusals[_i].error);
}
END_TEST

START_TEST(anything_but_connect_is_a_violation)
{
	int	 fd;

	start();
	for (const char *said = "P\n+Sx"; *said != '\0'; said++) {
		fd = rig_connect(&rig, REFUSE_NOTHING);
		rig_write(&rig, fd, said, 1);
		expect_end(fd, VIOLATION);
	}
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, "CONFUSED\r\n");
	expect_end(fd, "-ERR 'Unknown Protocol Operation'\r\n");
	ck_assert_uint_eq(rig.nheard, at);	/* nobody was asked */
}
END_TEST

START_TEST(no_auth_user_may_speak_first)
{
	const struct heard	*h;
	int			 fd;

	rig.child.settings.auth_required = false;
	rig.child.settings.no_auth_user_given = true;
	start();
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, "P");
	h = rig_heard(&rig, MSG_login, &at);
	ck_assert(h->implicit && h->user[0] == '\0');
	rig_say(&rig, fd, "ING\r\nSUB x 1\r\n");
	rig_admit(&rig, rig.cid, 0, ACCOUNT_FIRST, BYTES(""));
	ck_assert(rig_read(&rig, fd, "+OK\r\n", got, sizeof(got)));
	ck_assert_str_eq(got, "PONG\r\n+OK\r\n");
	/* A CONNECT that names nobody is of the same one; one that does is asked for. */
	expect(fd, CONNECT("\"echo\":true"), "");
	ck_assert_uint_eq(rig.nheard, at);
	ck_assert_uint_eq(rig.w.clients[0]->subscriptions, 0);
	rig_say(&rig, fd, NAMED "PING\r\n");
	ck_assert_str_eq(rig_heard(&rig, MSG_login, &at)->user, "a");
	auth_refuses(rig.cid, AUTH_VIOLATION);
	expect_end(fd, VIOLATION);
}
END_TEST

START_TEST(who_says_nothing_is_closed_in_time)
{
	int	 fd;

	rig.child.settings.auth_timeout = 0.05;
	start();
	fd = rig_connect(&rig, REFUSE_NOTHING);
	expect_end(fd, "-ERR 'Authentication Timeout'\r\n");
	fd = rig_connect(&rig, REFUSE_NOTHING);		/* nor does auth answer */
	rig_say(&rig, fd, NAMED);
	expect_end(fd, "-ERR 'Authentication Timeout'\r\n");
	fd = client(ACCOUNT_GLOBAL, BYTES(""));
	for (double end = ev_time() + 0.1; ev_time() < end; )
		rig_wait(&rig);
	expect(fd, "", "");
	close(fd);
}
END_TEST

START_TEST(what_is_longer_than_any_credential_is_not_asked)
{
	static char	 text[3000];
	int		 fd;

	start();
	fd = rig_connect(&rig, REFUSE_NOTHING);
	snprintf(text, sizeof(text), CONNECT("\"nkey\":\"%0300d\""), 0);
	rig_say(&rig, fd, text);
	expect_end(fd, VIOLATION);
	ck_assert_uint_eq(rig.nheard, at);
}
END_TEST

START_TEST(a_new_auth_is_told_who_is_in_and_asked_again)
{
	const struct heard	*h;
	int			 in, waits;

	start();
	in = client(ACCOUNT_FIRST, BYTES(""));
	waits = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, waits, NAMED "PING\r\n");
	rig_heard(&rig, MSG_login, &at);
	channel_close(&rig.auth);
	while (rig.auth_lost == 0)
		rig_wait(&rig);
	expect(in, "SUB a 1\r\nPUB a 0\r\n\r\n", "MSG a 1 0\r\n\r\n");
	rig_auth(&rig);
	at = 0;
	h = rig_heard(&rig, MSG_holds, &at);
	ck_assert_uint_eq(h->cid, 1);
	ck_assert_uint_eq(h->grant, 101);
	ck_assert_str_eq(h->user, "u");
	rig_heard(&rig, MSG_holds_end, &at);
	ck_assert_uint_eq(rig_heard(&rig, MSG_login, &at)->cid, 2);
	rig_admit(&rig, 2, 0, ACCOUNT_FIRST, BYTES(""));
	ck_assert(rig_read(&rig, waits, "PONG\r\n", got, sizeof(got)));
	close(in);
	ck_assert_uint_eq(rig_heard(&rig, MSG_gone, &at)->cid, 1);
	close(waits);
}
END_TEST

/* Who is in and asks to be somebody else is asked about anew, and not held as well: auth takes a cid once. */
START_TEST(a_new_auth_is_asked_about_a_second_connect)
{
	int	 fd;

	start();
	fd = client(ACCOUNT_FIRST, BYTES(""));
	rig_say(&rig, fd, CONNECT("\"user\":\"c\",\"pass\":\"d\"") "PING\r\n");
	rig_heard(&rig, MSG_login, &at);
	channel_close(&rig.auth);
	while (rig.auth_lost == 0)
		rig_wait(&rig);
	rig_auth(&rig);
	at = 0;
	ck_assert_str_eq(rig_heard(&rig, MSG_login, &at)->user, "c");
	ck_assert_uint_eq(rig.heard[0].type, MSG_holds_end);
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST + 1, BYTES(""));
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	close(fd);
}
END_TEST

/* The first PING comes some time after the verdict. */
START_TEST(no_ping_comes_before_the_verdict)
{
	int	 fd;

	rig.child.settings.ping_interval = 0.02;
	rig.pings = true;
	start();
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, "CONNECT {\"verbose\":true,\"user\":\"a\"}\r\n");
	rig_heard(&rig, MSG_login, &at);
	for (int i = 0; i < 50; i++)
		rig_wait(&rig);
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST, BYTES(""));
	ck_assert(rig_read(&rig, fd, "PING\r\n", got, sizeof(got)));
	ck_assert_str_eq(got, "+OK\r\nPING\r\n");
	close(fd);
}
END_TEST

START_TEST(info_waits_for_its_nonce)
{
	static char	 raw[2 * NONCE_RAW] = "\xfb\xff\xfe";
	struct msg	 m = { .type = MSG_nonces, .u.nonces = { .first = 41, .raw = { raw, sizeof(raw) } } };
	int		 fd, other;

	rig.child.settings.nonce_required = true;
	start();
	rig_heard(&rig, MSG_nonces_wanted, &at);
	fd = rig_pass(&rig, REFUSE_NOTHING);
	other = rig_pass(&rig, REFUSE_NOTHING);
	for (int i = 0; i < 10; i++)
		rig_turn(&rig);
	ck_assert_int_eq(read(fd, got, 1), -1);
	ck_assert_uint_eq(rig.taken, 0);
	ck_assert_int_eq(channel_send(&rig.auth, &m, NULL), 0);
	while (rig.taken < 2)
		rig_wait(&rig);
	got[read(fd, got, sizeof(got) - 1)] = '\0';
	ck_assert_ptr_nonnull(strstr(got, "\"nonce\":\"-__-AAAAAAAAAAA\""));
	got[read(other, got, sizeof(got) - 1)] = '\0';
	ck_assert_ptr_nonnull(strstr(got, "\"nonce\":\"AAAAAAAAAAAAAAA\""));
	rig_say(&rig, other, CONNECT("\"nkey\":\"UX\",\"sig\":\"s\""));
	ck_assert_uint_eq(rig_heard(&rig, MSG_login, &at)->nonce, 42);
	/* Without auth it says INFO without one, rather than nothing. */
	channel_close(&rig.auth);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	got[read(fd, got, sizeof(got) - 1)] = '\0';
	ck_assert_ptr_null(strstr(got, "nonce"));
}
END_TEST

/* What child.c does for `prepare` and `commit`: the settings as they are, auth asked or not. */
static void
reload(bool asked, int accounts)
{
	struct settings	 next, before = rig.child.settings;
	const char	*why;
	int		 fd = settings_write(&rig.child.settings, ROLE_SUPERVISOR);

	ck_assert_int_eq(settings_init(&next), 0);
	ck_assert_int_eq(settings_read(&next, fd, &why), 0);
	close(fd);
	next.auth_asked = next.auth_required = asked;
	rig_next_accounts(&rig, accounts);
	ck_assert_ptr_null(worker_check(&rig.child, &next));
	rig.child.settings = next;
	rig.child.version++;
	worker_apply(&rig.child, &before);
	settings_free(&before);
}

START_TEST(a_verdict_of_a_later_version_waits_for_it)
{
	int	 fd;

	start();
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, NAMED "PING\r\n");
	rig_heard(&rig, MSG_login, &at);
	rig_admit(&rig, 1, 1, ACCOUNT_FIRST + RIG_ACCOUNTS, BYTES(""));
	for (int i = 0; i < 10; i++)
		rig_turn(&rig);
	ck_assert_int_eq(rig.w.clients[0]->stop, CLIENT_ASKS);
	reload(true, rig_accounts(RIG_ACCOUNTS + 1, NULL, 0));
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_uint_eq(rig.w.clients[0]->account, ACCOUNT_FIRST + RIG_ACCOUNTS);
	/* Its account goes: so does it, without a word. */
	reload(true, rig_accounts(RIG_ACCOUNTS, NULL, 0));
	expect_end(fd, "");
}
END_TEST

START_TEST(auth_begins_and_ends_with_a_reload)
{
	int	 quiet, fd, other;

	rig.child.settings.auth_asked = rig.child.settings.auth_required = false;
	start();
	quiet = rig_connect(&rig, REFUSE_NOTHING);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	expect(fd, CONNECT("\"name\":\"n\"") "SUB a 1\r\n", "");
	other = rig_connect(&rig, REFUSE_NOTHING);
	expect(other, CONNECT("\"name\":\"n\""), "");
	ck_assert_ptr_null(rig.w.clients[0]->identity);
	reload(true, rig_accounts(RIG_ACCOUNTS, NULL, 0));
	ck_assert(rig_heard(&rig, MSG_login, &at)->implicit);
	ck_assert(rig_heard(&rig, MSG_login, &at)->implicit);
	auth_refuses(3, AUTH_VIOLATION);
	expect_end(other, VIOLATION);
	permission_set(false, true, 0);
	permission(SUBSCRIBE_ALLOW, "b", "");
	rig_admit(&rig, 2, 1, ACCOUNT_GLOBAL, permissions());
	expect(fd, "PUB a 0\r\n\r\n", "-ERR 'Permissions Violation for Subscription to \"a\" (sid \"1\")'\r\n");
	rig_say(&rig, quiet, "PING\r\n");
	expect_end(quiet, VIOLATION);
	reload(false, rig_accounts(RIG_ACCOUNTS, NULL, 0));
	expect_end(fd, "");
	fd = rig_connect(&rig, REFUSE_NOTHING);
	expect(fd, CONNECT("\"name\":\"n\"") "SUB a 1\r\nPUB a 0\r\n\r\n", "MSG a 1 0\r\n\r\n");
}
END_TEST

START_TEST(what_is_not_permitted_is_refused)
{
	int	 fd;

	start();
	permission_set(true, true, 0);
	permission(PUBLISH_ALLOW, "a.*", "");
	permission(PUBLISH_DENY, "a.no", "");
	permission(SUBSCRIBE_ALLOW, "a.>", "");
	permission(SUBSCRIBE_ALLOW, "q", "g.*");
	permission(SUBSCRIBE_DENY, "a.secret", "");
	fd = client(ACCOUNT_FIRST, permissions());
	expect(fd, "SUB a.* 1\r\nPUB a.x 0\r\n\r\nPUB a.no 0\r\n\r\nPUB b 0\r\n\r\n",
	    "MSG a.x 1 0\r\n\r\n"
	    "-ERR 'Permissions Violation for Publish to \"a.no\"'\r\n"
	    "-ERR 'Permissions Violation for Publish to \"b\"'\r\n");
	expect(fd, "SUB a.secret 2\r\nSUB > 3\r\nSUB q 4\r\nSUB q h 5\r\nSUB q g.1 6\r\nPUB a.secret 0\r\n\r\n",
	    "-ERR 'Permissions Violation for Subscription to \"a.secret\"'\r\n"
	    "-ERR 'Permissions Violation for Subscription to \">\"'\r\n"
	    "-ERR 'Permissions Violation for Subscription to \"q\"'\r\n"
	    "-ERR 'Permissions Violation for Subscription to \"q\" using queue \"h\"'\r\n");
	close(fd);
}
END_TEST

/* A queue message that one member may not have goes to another. */
START_TEST(what_is_denied_is_not_delivered)
{
	int	 fd, other, publisher;

	start();
	permission_set(false, false, 0);
	permission(SUBSCRIBE_DENY, "a.secret", "");
	fd = client(ACCOUNT_FIRST, permissions());
	expect(fd, "SUB a.* 1\r\nSUB a.> q 2\r\n", "");
	other = client(ACCOUNT_FIRST, BYTES(""));
	expect(other, "SUB a.* q 9\r\n", "");
	publisher = client(ACCOUNT_FIRST, BYTES(""));
	for (int i = 0; i < 20; i++)
		expect(publisher, "PUB a.secret 0\r\n\r\n", "");
	rig_say(&rig, other, "PING\r\n");
	ck_assert(rig_read(&rig, other, "PONG\r\n", got, sizeof(got)));
	ck_assert_uint_eq(strlen(got), 20 * strlen("MSG a.secret 9 0\r\n\r\n") + strlen("PONG\r\n"));
	expect(publisher, "PUB a.open 0\r\n\r\n", "");
	ck_assert(rig_read(&rig, fd, "MSG a.open 1 0\r\n\r\n", got, sizeof(got)));
	ck_assert_ptr_null(strstr(got, "secret"));
}
END_TEST

START_TEST(who_may_respond_may_once)
{
	int	 fd, asks;

	start();
	permission_set(true, false, 1);
	fd = client(ACCOUNT_FIRST, permissions());
	expect(fd, "SUB ask 1\r\nPUB in.box 0\r\n\r\n",
	    "-ERR 'Permissions Violation for Publish to \"in.box\"'\r\n");
	asks = client(ACCOUNT_FIRST, BYTES(""));
	expect(asks, "SUB in.box 1\r\nPUB ask in.box 0\r\n\r\n", "");
	expect(fd, "PUB in.box 0\r\n\r\nPUB in.box 0\r\n\r\n", "MSG ask 1 in.box 0\r\n\r\n"
	    "-ERR 'Permissions Violation for Publish to \"in.box\"'\r\n");
	expect(asks, "", "MSG in.box 1 0\r\n\r\n");
}
END_TEST

START_TEST(other_permissions_hold_at_once)
{
	int	 fd, publisher;

	start();
	fd = client(ACCOUNT_FIRST, BYTES(""));
	publisher = client(ACCOUNT_FIRST, BYTES(""));
	expect(fd, "SUB a 1\r\nSUB b q 2\r\nSUB c.* 3\r\nSUB d 4\r\nPUB x 0\r\n\r\n", "");
	permission_set(true, false, 0);
	permission(SUBSCRIBE_DENY, "a", "");
	permission(SUBSCRIBE_DENY, "b", "q");
	permission(SUBSCRIBE_DENY, "c.no", "");
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST, permissions());
	rig_turn(&rig);
	rig_say(&rig, publisher, "PUB a 0\r\n\r\nPUB b 0\r\n\r\nPUB c.no 0\r\n\r\nPUB c.yes 0\r\n\r\nPUB d 0\r\n\r\n");
	expect(publisher, "", "");
	expect(fd, "PUB x 0\r\n\r\n",
	    "-ERR 'Permissions Violation for Subscription to \"b\" using queue \"q\" (sid \"2\")'\r\n"
	    "-ERR 'Permissions Violation for Subscription to \"a\" (sid \"1\")'\r\n"
	    "MSG c.yes 3 0\r\n\r\nMSG d 4 0\r\n\r\n"
	    "-ERR 'Permissions Violation for Publish to \"x\"'\r\n");
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST, BYTES(""));
	rig_turn(&rig);
	expect(publisher, "PUB c.no 0\r\n\r\n", "");
	expect(fd, "PUB x 0\r\n\r\n", "MSG c.no 3 0\r\n\r\n");
	/* Into another account it has to come anew. */
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST + 1, BYTES(""));
	expect_end(fd, "");
}
END_TEST

#define VERY_MANY	20000u

/* Half of them are denied. Between two turns it can subscribe, unsubscribe, and hear what is denied no more. */
START_TEST(very_many_subscriptions_are_looked_at_in_turns)
{
	static const char	 said[] = "UNSUB 1\r\nSUB no.more a\r\nSUB yes.more b\r\n";
	struct client		*c;
	int			 fd;
	unsigned		 i, turns, before;
	char			 text[64];

	start();
	fd = client(ACCOUNT_FIRST, BYTES(""));
	c = rig.w.clients[0];
	for (i = 0; i < VERY_MANY; i++) {
		snprintf(text, sizeof(text), "SUB %s.%u %u\r\n", i % 2 == 0 ? "no" : "yes", i, i);
		rig_say(&rig, fd, text);
	}
	expect(fd, "", "");
	permission_set(false, false, 0);
	permission(SUBSCRIBE_DENY, "no.>", "");
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST, permissions());
	while (c->subscriptions == VERY_MANY)
		rig_turn(&rig);
	for (turns = 0; c->identity->next != 0; turns++) {
		before = c->subscriptions;
		if (turns == 1) {	/* the next one that is to be looked at goes */
			broker_unsubscribe(rig.w.broker, c->identity->next);
			ck_assert_int_eq(send(fd, said, strlen(said), 0), (ssize_t)strlen(said));
		}
		rig_turn(&rig);
		ck_assert_uint_gt(c->subscriptions + 2500, before);
	}
	ck_assert_uint_gt(turns, 2);
	while (read(fd, got, sizeof(got)) > 0)
		rig_turn(&rig);
	rig_say(&rig, fd, "PUB yes.more 0\r\n\r\nPUB yes.3 0\r\n\r\nPUB no.0 0\r\n\r\nPUB yes.1 0\r\n\r\nPING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_ptr_nonnull(strstr(got, "MSG yes.more b 0\r\n\r\nMSG yes.3 3 0\r\n\r\nPONG\r\n"));
	ck_assert(c->subscriptions == VERY_MANY / 2 || c->subscriptions == VERY_MANY / 2 - 1);
	/* It goes while it is looked at. */
	permission_set(false, false, 0);
	permission(SUBSCRIBE_DENY, "yes.>", "");
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST, permissions());
	while (c->identity->next == 0)
		rig_turn(&rig);
	close(fd);
	while (rig.closed == 0)
		rig_turn(&rig);
	ck_assert(TAILQ_EMPTY(&rig.w.logins.reviewed));
}
END_TEST

START_TEST(a_second_connect_may_be_somebody_else)
{
	int	 fd, other;

	start();
	fd = client(ACCOUNT_FIRST, BYTES(""));
	other = client(ACCOUNT_FIRST + 1, BYTES(""));
	expect(other, "SUB a 1\r\n", "");
	expect(fd, "SUB a 1\r\nPUB a 0\r\n\r\n", "MSG a 1 0\r\n\r\n");
	rig_say(&rig, fd, CONNECT("\"user\":\"c\",\"pass\":\"d\"") "PUB a 1\r\nx\r\nPING\r\n");
	ck_assert_uint_eq(rig_heard(&rig, MSG_gone, &at)->cid, 1);
	ck_assert_str_eq(rig_heard(&rig, MSG_login, &at)->user, "c");
	ck_assert_uint_eq(rig.w.clients[0]->subscriptions, 0);
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST + 1, BYTES(""));
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_str_eq(got, "PONG\r\n");
	expect(other, "", "MSG a 1 1\r\nx\r\n");
}
END_TEST

START_TEST(what_nobody_asked_for_is_ignored)
{
	static char	 many[100] = { 'x' };
	int		 fd;

	start();
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST, BYTES(""));	/* before it said anything */
	auth_refuses(1, AUTH_VIOLATION);
	auth_revokes(1, AUTH_REVOKED);
	rig_admit(&rig, 77, 0, ACCOUNT_FIRST, BYTES(""));
	auth_refuses(78, AUTH_VIOLATION);
	auth_revokes(79, AUTH_REVOKED);
	rig_say(&rig, fd, NAMED "PING\r\n");
	rig_heard(&rig, MSG_login, &at);
	rig_admit(&rig, 1, 0, 999, BYTES(""));			/* no such account */
	expect_end(fd, VIOLATION);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, NAMED "PING\r\n");
	rig_heard(&rig, MSG_login, &at);
	rig_admit(&rig, 2, 0, ACCOUNT_SERVER, BYTES(""));
	expect_end(fd, VIOLATION);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, NAMED "PING\r\n");
	rig_heard(&rig, MSG_login, &at);
	rig_admit(&rig, 3, 0, ACCOUNT_FIRST, (struct bytes){ many, sizeof(many) });	/* no records */
	expect_end(fd, VIOLATION);
	fd = client(ACCOUNT_FIRST, BYTES(""));
	close(fd);
}
END_TEST

START_TEST(long_permissions_come_ahead)
{
	struct msg	 m = { .type = MSG_permissions, .u.permissions.cid = 1 };
	int		 fd, memfd;

	start();
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, NAMED "PING\r\n");
	rig_heard(&rig, MSG_login, &at);
	permission_set(true, false, 0);
	permission(PUBLISH_ALLOW, "only", "");
	memfd = records_seal(&records);
	ck_assert_int_eq(channel_send(&rig.auth, &m, &memfd), 0);
	close(memfd);
	rig_admit(&rig, 1, 0, ACCOUNT_FIRST, BYTES(""));
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	expect(fd, "PUB only 0\r\n\r\nPUB a 0\r\n\r\n", "-ERR 'Permissions Violation for Publish to \"a\"'\r\n");
	close(fd);
}
END_TEST

/* What the system account hears: one event, read by a client that was given the server's own subscription. */
static struct event { uint64_t kind, cid, account; char user[64], name[64], reason[64]; } event;

static int
event_take(void *arg, const struct msg *m)
{
	const struct msg_client_event	*e = &m->u.client_event;

	ck_assert_int_eq(m->type, MSG_client_event);
	event = (struct event){ .kind = e->kind, .cid = e->cid, .account = e->account };
	rig_copy(event.user, e->user);
	rig_copy(event.name, e->name);
	rig_copy(event.reason, e->reason);
	return 0;
}

static void
expect_event(int fd, enum client_event_kind kind, uint64_t cid, uint32_t account, const char *user,
    const char *reason)
{
	const char	*why, *body;
	size_t		 len = 0, size = 0;
	ssize_t		 n;

	while (size == 0 || len < size) {
		rig_wait(&rig);
		n = read(fd, got + len, size == 0 ? 1 : size - len);
		len += n > 0 ? (size_t)n : 0;
		if (size == 0 && len > 2 && got[len - 1] == '\n') {
			got[len] = '\0';
			size = len + strtoul(strrchr(got, ' '), NULL, 10) + 2;
		}
	}
	ck_assert(strncmp(got, "MSG event 9 ", 12) == 0);
	body = strchr(got, '\n') + 1;
	ck_assert_int_eq(records_each((struct bytes){ body, (size_t)(got + len - 2 - body) }, ROLE_WORKER,
	    ROLE_SYSTEM, event_take, NULL, &why), 0);
	ck_assert_uint_eq(event.kind, kind);
	ck_assert_uint_eq(event.cid, cid);
	ck_assert_uint_eq(event.account, account);
	ck_assert_str_eq(event.user, user);
	ck_assert_str_eq(event.reason, reason);
}

START_TEST(the_system_account_hears_of_clients)
{
	int		 fd, observer;
	uint32_t	 slot;

	start();
	observer = client(ACCOUNT_FIRST, BYTES(""));
	ck_assert_int_eq(broker_subscribe(rig.w.broker, ACCOUNT_SERVER, 0, BYTES("event"), BYTES(""), &slot), 0);
	ck_assert_int_eq(sid_add(rig.w.clients[0], slot, BYTES("9")), 0);
	ck_assert_int_eq(broker_subscribe(rig.w.broker, ACCOUNT_SERVER, 0, BYTES("event.now"), BYTES(""), &slot), 0);
	ck_assert_int_eq(sid_add(rig.w.clients[0], slot, BYTES("8")), 0);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, CONNECT("\"user\":\"a\",\"name\":\"n\""));
	rig_heard(&rig, MSG_login, &at);
	rig_admit(&rig, 2, 0, ACCOUNT_FIRST + 1, BYTES(""));
	expect_event(observer, EVENT_CONNECTED, 2, ACCOUNT_FIRST + 1, "u", "");
	ck_assert_str_eq(event.name, "n");
	shutdown(fd, SHUT_WR);		/* its INFO is not read: close() would be an error */
	expect_event(observer, EVENT_DISCONNECTED, 2, ACCOUNT_FIRST + 1, "u", "Client Closed");
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, NAMED);
	rig_heard(&rig, MSG_login, &at);
	auth_refuses(3, AUTH_VIOLATION);
	expect_event(observer, EVENT_REFUSED, 3, ACCOUNT_GLOBAL, "a", "Authentication Failure");
	close(fd);
	fd = rig_connect(&rig, REFUSE_NOTHING);		/* nothing is said of who said nothing */
	close(fd);
	expect(observer, "", "");
}
END_TEST

START_TEST(it_is_told_who_it_is)
{
	int	 fd;

	start();
	permission_set(true, false, 3);
	permission(PUBLISH_ALLOW, "$SYS.REQ.USER.INFO", "");
	permission(SUBSCRIBE_DENY, "x", "q");
	fd = client(ACCOUNT_FIRST, permissions());
	rig_say(&rig, fd, "SUB i 1\r\nPUB $SYS.REQ.USER.INFO i 0\r\n\r\n");
	ck_assert(rig_read(&rig, fd, "}}}\r\n", got, sizeof(got)));
	ck_assert_ptr_nonnull(strstr(got, "\"data\":{\"user\":\"u\",\"account\":\"A4\",\"account_name\":\"A4\","
	    "\"permissions\":{\"publish\":{\"allow\":[\"$SYS.REQ.USER.INFO\"]},\"subscribe\":{\"deny\":[\"x q\"]},"
	    "\"responses\":{\"max\":3,\"ttl\":60000000000}}}}"));
	close(fd);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("login");
	TCase	*c = tcase_create("auth");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_test(c, what_follows_connect_waits_for_the_verdict);
	tcase_add_loop_test(c, who_is_refused_is_told_why, 0, REFUSALS);
	tcase_add_test(c, anything_but_connect_is_a_violation);
	tcase_add_test(c, no_auth_user_may_speak_first);
	tcase_add_test(c, who_says_nothing_is_closed_in_time);
	tcase_add_test(c, what_is_longer_than_any_credential_is_not_asked);
	tcase_add_test(c, a_new_auth_is_told_who_is_in_and_asked_again);
	tcase_add_test(c, a_new_auth_is_asked_about_a_second_connect);
	tcase_add_test(c, no_ping_comes_before_the_verdict);
	tcase_add_test(c, info_waits_for_its_nonce);
	tcase_add_test(c, a_verdict_of_a_later_version_waits_for_it);
	tcase_add_test(c, auth_begins_and_ends_with_a_reload);
	tcase_add_test(c, what_is_not_permitted_is_refused);
	tcase_add_test(c, what_is_denied_is_not_delivered);
	tcase_add_test(c, who_may_respond_may_once);
	tcase_add_test(c, other_permissions_hold_at_once);
	tcase_add_test(c, very_many_subscriptions_are_looked_at_in_turns);
	tcase_add_test(c, a_second_connect_may_be_somebody_else);
	tcase_add_test(c, what_nobody_asked_for_is_ignored);
	tcase_add_test(c, long_permissions_come_ahead);
	tcase_add_test(c, it_is_told_who_it_is);
	tcase_add_test(c, the_system_account_hears_of_clients);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

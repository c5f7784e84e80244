/* What a worker does with leases: auth is the test. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/worker/rig.h"
#include "worker/identity.h"
#include "worker/tenant.h"

#define C	"CONNECT {\"verbose\":false,\"pedantic\":false,\"user\":\"u\"}\r\n"
#define FULL	"-ERR 'maximum subscriptions exceeded'\r\n"
#define RATE	"-ERR 'maximum message rate exceeded'\r\n"
#define ACCOUNT	5
#define USER	77
#define ASKED	64

/* What auth is asked about leases, in order. */
struct asked { enum msg_type type; uint64_t kind, of, least, amount, owed; };

static struct rig	 rig;
static char		 got[1 << 20];
static struct asked	 asked[ASKED];
static unsigned		 nasked, seen;
static uint64_t		 limits[LIMITS];	/* of the user */
static bool		 user_limited;

static int
auth_hears(struct channel *ch, const struct msg *m, const int *fds)
{
	struct asked	*a = &asked[nasked % ASKED];

	if (m->type == MSG_login) {
		struct msg	 yes = { .type = MSG_admitted, .u.admitted = { .cid = m->u.login.cid,
		    .grant = m->u.login.cid, .account = ACCOUNT, .number = user_limited ? USER : 0,
		    .user = BYTES("u"), .limits = { .count = LIMITS, .own = limits } } };

		ck_assert_int_eq(channel_send(ch, &yes, NULL), 0);
		return 0;
	}
	*a = (struct asked){ .type = m->type };
	if (m->type == MSG_lease)
		*a = (struct asked){ m->type, m->u.lease.kind, m->u.lease.of, m->u.lease.least, m->u.lease.wish,
		    m->u.lease.owed };
	else if (m->type == MSG_lease_back)
		*a = (struct asked){ m->type, m->u.lease_back.kind, m->u.lease_back.of, 0, m->u.lease_back.amount, 0 };
	else if (m->type == MSG_leased)
		*a = (struct asked){ m->type, m->u.leased.kind, m->u.leased.of, 0, m->u.leased.amount, 0 };
	else if (m->type != MSG_holds_end)
		return 0;
	nasked++;
	return 0;
}

/* The next thing that auth hears. */
static struct asked
hear(void)
{
	while (seen == nasked)
		rig_wait(&rig);
	return asked[seen++ % ASKED];
}

static struct asked
hear_type(enum msg_type type)
{
	struct asked	 a;

	do
		a = hear();
	while (a.type != type);
	return a;
}

static void
turns(int n)
{
	while (n-- > 0)
		rig_turn(&rig);
}

static void
no_limits(uint64_t *all)
{
	for (int i = 0; i < LIMITS; i++)
		all[i] = NO_LIMIT;
	all[LIMIT_MESSAGES_BURST] = all[LIMIT_BYTES_BURST] = all[LIMIT_OVER_RATE] = 0;
}

static void
auth_new(void)
{
	rig_auth(&rig);
	rig.auth.receive = auth_hears;
}

static void
setup(void)
{
	nasked = seen = 0;
	user_limited = false;
	no_limits(limits);
	rig_prepare(&rig);
	rig.child.settings.auth_asked = rig.child.settings.auth_required = true;
	rig_start(&rig);
	auth_new();
}

static void
teardown(void)
{
	rig_free(&rig);
}

/* Nothing happens only because time passes. */
static void
never_idle(void)
{
	ev_timer_stop(rig.child.loop, &rig.w.limits.idle);
}

/* The limits of the account, as a reload brings them. */
static void
account_has(enum limit limit, uint64_t n)
{
	struct account	*a = (struct account *)(uintptr_t)accounts_find(rig.w.accounts, ACCOUNT);

	ck_assert_ptr_nonnull(a);
	a->limits[limit] = n;
	limits_reload(&rig.w);
}

static void
lend(enum lease_kind kind, uint64_t amount, uint64_t wait)
{
	struct msg	 m = { .type = MSG_leases, .u.leases = { .kind = kind,
	    .of = kind < LEASE_USER_SUBSCRIPTIONS ? ACCOUNT : USER, .amount = amount, .wait = wait } };

	ck_assert_int_eq(channel_send(&rig.auth, &m, NULL), 0);
}

static void
recall(enum lease_kind kind)
{
	struct msg	 m = { .type = MSG_lease_recall, .u.lease_recall = { .kind = kind, .of = ACCOUNT } };

	ck_assert_int_eq(channel_send(&rig.auth, &m, NULL), 0);
}

/* What comes until PONG. */
static const char *
ping(int fd)
{
	char	*end;

	rig_say(&rig, fd, "PING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	end = strstr(got, "PONG\r\n");
	*end = '\0';
	return got;
}

static int
client(void)
{
	int	 fd = rig_connect(&rig, REFUSE_NOTHING);

	rig_say(&rig, fd, C);
	ck_assert_str_eq(ping(fd), "");
	return fd;
}

static struct limited *
account_limits(void)
{
	return tenant_find(&rig.w, false, ACCOUNT)->limited;
}

/* ---- none */

START_TEST(an_account_without_limits_asks_for_nothing_and_keeps_nothing)
{
	int	 fd = client();

	rig_say(&rig, fd, "SUB a 1\r\nPUB a 1\r\nx\r\n");
	ck_assert_str_eq(ping(fd), "MSG a 1 1\r\nx\r\n");
	ck_assert_ptr_null(account_limits());
	ck_assert_int_eq(rig.w.limits.limited, 0);
	ck_assert_uint_eq(nasked, 1);			/* holds_end */
	close(fd);
	while (rig.w.open > 0)
		rig_wait(&rig);
	ck_assert_ptr_null(tenant_find(&rig.w, false, ACCOUNT));
}
END_TEST

/* ---- subscriptions */

START_TEST(a_subscription_waits_for_its_lease_and_order_is_kept)
{
	int		 fd;
	struct asked	 a;

	account_has(LIMIT_SUBSCRIPTIONS, 2);
	fd = client();
	rig_say(&rig, fd, "SUB a 1\r\nPUB a 1\r\nx\r\n");
	a = hear_type(MSG_lease);
	ck_assert_uint_eq(a.kind, LEASE_ACCOUNT_SUBSCRIPTIONS);
	ck_assert_uint_eq(a.of, ACCOUNT);
	ck_assert_uint_eq(a.least, 1);
	ck_assert_uint_eq(rig.w.head->in_msgs, 0);	/* what comes behind it waits too */
	lend(LEASE_ACCOUNT_SUBSCRIPTIONS, 1, 0);
	ck_assert_str_eq(ping(fd), "MSG a 1 1\r\nx\r\n");
	rig_say(&rig, fd, "SUB b 2\r\nSUB c 3\r\n");
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_SUBSCRIPTIONS, 0, 0);
	hear_type(MSG_lease);				/* the second one is not answered by that */
	lend(LEASE_ACCOUNT_SUBSCRIPTIONS, 0, 0);
	ck_assert_str_eq(ping(fd), FULL FULL);
	ck_assert_uint_eq(rig.w.head->over_limit[LIMIT_SUBSCRIPTIONS], 2);
}
END_TEST

START_TEST(what_is_free_goes_back_when_it_is_recalled)
{
	int		 fd;
	struct asked	 a;

	account_has(LIMIT_SUBSCRIPTIONS, 6400);
	fd = client();
	rig_say(&rig, fd, "SUB a 1\r\n");
	a = hear_type(MSG_lease);
	ck_assert_uint_eq(a.amount, 100);		/* a part of the limit, not one by one */
	lend(LEASE_ACCOUNT_SUBSCRIPTIONS, 100, 0);
	ck_assert_str_eq(ping(fd), "");
	recall(LEASE_ACCOUNT_SUBSCRIPTIONS);
	ck_assert_uint_eq(hear_type(MSG_lease_back).amount, 99);
	recall(LEASE_ACCOUNT_SUBSCRIPTIONS);
	ck_assert_uint_eq(hear_type(MSG_lease_back).amount, 0);
	rig_say(&rig, fd, "UNSUB 1\r\n");
	ck_assert_str_eq(ping(fd), "");
	close(fd);
	ck_assert_uint_eq(hear_type(MSG_lease_back).amount, 1);
}
END_TEST

START_TEST(a_sid_that_is_there_and_a_bad_subject_take_nothing)
{
	int	 fd;

	account_has(LIMIT_SUBSCRIPTIONS, 2);
	fd = client();
	rig_say(&rig, fd, "SUB a 1\r\n");
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_SUBSCRIPTIONS, 1, 0);
	rig_say(&rig, fd, "SUB a 1\r\nSUB a..b 2\r\n");
	ck_assert_str_eq(ping(fd), "-ERR 'Invalid Subject'\r\n");
	ck_assert_uint_eq(account_limits()->leases[LEASE_SUBSCRIPTIONS].used, 1);
}
END_TEST

START_TEST(a_user_is_limited_beside_its_account)
{
	int		 fd;
	struct asked	 a;

	user_limited = true;
	limits[LIMIT_SUBSCRIPTIONS] = 1;
	fd = client();
	rig_say(&rig, fd, "SUB a 1\r\nSUB b 2\r\n");
	a = hear_type(MSG_lease);
	ck_assert_uint_eq(a.kind, LEASE_USER_SUBSCRIPTIONS);
	ck_assert_uint_eq(a.of, USER);
	lend(LEASE_USER_SUBSCRIPTIONS, 1, 0);
	hear_type(MSG_lease);
	lend(LEASE_USER_SUBSCRIPTIONS, 0, 0);
	ck_assert_str_eq(ping(fd), FULL);
	ck_assert_ptr_null(account_limits());
}
END_TEST

START_TEST(a_limit_that_comes_later_counts_what_is_there)
{
	int		 fd = client();
	struct asked	 a;

	rig_say(&rig, fd, "SUB a 1\r\nSUB b 2\r\n");
	ck_assert_str_eq(ping(fd), "");
	account_has(LIMIT_SUBSCRIPTIONS, 3);
	a = hear_type(MSG_leased);
	ck_assert_uint_eq(a.amount, 2);
	rig_say(&rig, fd, "SUB c 3\r\n");
	hear_type(MSG_lease);
	account_has(LIMIT_SUBSCRIPTIONS, NO_LIMIT);	/* who waits for it need not any more */
	ck_assert_str_eq(ping(fd), "");
	ck_assert_ptr_null(account_limits());
}
END_TEST

START_TEST(another_auth_hears_what_is_held_and_is_asked_again)
{
	int		 fd;
	struct asked	 a;

	account_has(LIMIT_SUBSCRIPTIONS, 2);
	fd = client();
	rig_say(&rig, fd, "SUB a 1\r\n");
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_SUBSCRIPTIONS, 1, 0);
	ck_assert_str_eq(ping(fd), "");
	rig_say(&rig, fd, "SUB b 2\r\n");
	hear_type(MSG_lease);
	never_idle();
	auth_new();
	a = hear_type(MSG_leased);
	ck_assert_uint_eq(a.amount, 1);
	ck_assert_int_eq(hear().type, MSG_holds_end);
	ck_assert_int_eq(hear().type, MSG_lease);
	lend(LEASE_ACCOUNT_SUBSCRIPTIONS, 1, 0);
	ck_assert_str_eq(ping(fd), "");
}
END_TEST

/* ---- payload */

START_TEST(a_payload_is_limited_by_the_least_of_all)
{
	int	 fd;
	char	 info[4096];
	ssize_t	 n;

	user_limited = true;
	limits[LIMIT_PAYLOAD] = 3;
	account_has(LIMIT_PAYLOAD, 4);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	while (read(fd, info, sizeof(info)) > 0)
		;
	rig_say(&rig, fd, "CONNECT {\"verbose\":false,\"protocol\":1,\"user\":\"u\"}\r\nPING\r\n");
	while ((n = read(fd, info, sizeof(info) - 1)) <= 0)
		rig_wait(&rig);
	info[n] = '\0';
	ck_assert_ptr_nonnull(strstr(info, "\"max_payload\":3,"));
	rig_say(&rig, fd, "SUB a 1\r\nPUB a 3\r\nabc\r\n");
	ck_assert_str_eq(ping(fd), "MSG a 1 3\r\nabc\r\n");
	rig_say(&rig, fd, "PUB a 4\r\nabcd\r\n");
	ck_assert(!rig_read(&rig, fd, NULL, got, sizeof(got)));
	ck_assert_str_eq(got, "-ERR 'Maximum Payload Violation'\r\n");
	ck_assert_uint_eq(rig.w.head->over_limit[LIMIT_PAYLOAD], 1);
}
END_TEST

/* ---- rates */

/* Read what there is; how many messages have come in all. */
static unsigned
messages(int fd)
{
	static size_t	 len;
	unsigned	 n = 0;
	ssize_t		 more;

	len = 0;
	while ((more = read(fd, got + len, sizeof(got) - 1 - len)) > 0)
		len += (size_t)more;
	got[len] = '\0';
	for (char *at = got; (at = strstr(at, "MSG ")) != NULL; at++)
		n++;
	return n;
}

static void
rate_is(bool closes)
{
	account_has(LIMIT_OVER_RATE, closes);
	account_has(LIMIT_MESSAGES, 100);
}

START_TEST(over_its_rate_a_client_is_not_read_until_there_are_tokens)
{
	int		 fd;
	struct asked	 a;

	rate_is(false);
	fd = client();
	a = hear_type(MSG_lease);			/* ahead of the first message */
	ck_assert_uint_eq(a.kind, LEASE_ACCOUNT_MESSAGES);
	ck_assert_uint_eq(a.amount, 5);
	lend(LEASE_ACCOUNT_MESSAGES, 5, 0);
	rig_say(&rig, fd, "SUB a 1\r\n");
	for (int i = 0; i < 12; i++)
		rig_say(&rig, fd, "PUB a 1\r\nx\r\n");
	a = hear_type(MSG_lease);
	turns(20);
	ck_assert_uint_eq(messages(fd), 5);
	lend(LEASE_ACCOUNT_MESSAGES, 0, 1);		/* none now: it asks again in a millisecond */
	hear_type(MSG_lease);
	ck_assert_uint_eq(messages(fd), 0);
	lend(LEASE_ACCOUNT_MESSAGES, 5, 0);
	hear_type(MSG_lease);
	turns(20);
	ck_assert_uint_eq(messages(fd), 5);
	lend(LEASE_ACCOUNT_MESSAGES, 5, 0);
	turns(20);
	ck_assert_uint_eq(messages(fd), 2);
}
END_TEST

/* It is not read, so its end is noticed by PINGs; one that is there need not answer them in time. */
START_TEST(who_is_gone_is_noticed_though_its_rate_is_used_up)
{
	int	 gone, here;

	rig.child.settings.ping_interval = 0.02;
	rig.child.settings.ping_max = 1;
	rig.pings = true;
	rate_is(false);
	gone = rig_connect(&rig, REFUSE_NOTHING);
	here = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, gone, C "PUB a 1\r\nx\r\n");
	rig_say(&rig, here, C "PUB a 1\r\nx\r\n");
	ck_assert(rig_read(&rig, gone, "PING\r\n", got, sizeof(got)));
	ck_assert_int_eq(rig.w.clients[0]->stop, CLIENT_RATED);
	close(gone);
	while (rig.closed == 0)
		rig_wait(&rig);
	ck_assert(rig_read(&rig, here, "PING\r\nPING\r\nPING\r\n", got, sizeof(got)));
	ck_assert_uint_eq(rig.closed, 1);
	close(here);
}
END_TEST

START_TEST(a_client_that_publishes_nothing_is_read_though_the_rate_is_used_up)
{
	int	 one, two;

	rate_is(false);
	one = client();
	two = client();
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_MESSAGES, 1, 0);
	rig_say(&rig, one, "PUB a 1\r\nx\r\nPUB a 1\r\ny\r\n");
	hear_type(MSG_lease);
	ck_assert_str_eq(ping(two), "");
}
END_TEST

START_TEST(with_over_rate_close_it_is_closed_but_only_with_a_message_too_many)
{
	int	 one, two;

	rate_is(true);
	one = client();
	two = client();
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_MESSAGES, 2, 0);
	rig_say(&rig, one, "PUB a 1\r\nx\r\nPUB a 1\r\ny\r\n");
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_MESSAGES, 0, 1000);
	ck_assert_str_eq(ping(one), "");
	rig_say(&rig, one, "PUB a 1\r\nz\r\n");
	ck_assert(!rig_read(&rig, one, NULL, got, sizeof(got)));
	ck_assert_str_eq(got, RATE);
	ck_assert_str_eq(ping(two), "");
	ck_assert_uint_eq(rig.w.head->over_limit[LIMIT_MESSAGES], 1);
}
END_TEST

START_TEST(bytes_are_counted_and_a_large_message_is_a_debt)
{
	int		 fd;
	struct asked	 a;
	static char	 big[20000];

	account_has(LIMIT_BYTES, 1000);
	fd = client();
	a = hear_type(MSG_lease);
	ck_assert_uint_eq(a.kind, LEASE_ACCOUNT_BYTES);
	lend(LEASE_ACCOUNT_BYTES, 50, 0);
	memset(big, 'x', sizeof(big));
	rig_say(&rig, fd, "SUB a 1\r\nPUB a 20000\r\n");
	rig_write(&rig, fd, big, sizeof(big));
	rig_say(&rig, fd, "\r\nPUB a 1\r\nx\r\n");
	a = hear_type(MSG_lease);
	ck_assert_uint_eq(a.amount, 50 + 19950);
	turns(20);
	ck_assert_uint_eq(messages(fd), 1);
	lend(LEASE_ACCOUNT_BYTES, 20000, 0);
	turns(20);
	ck_assert_uint_eq(messages(fd), 1);
}
END_TEST

START_TEST(what_is_left_of_a_rate_goes_back_when_nobody_publishes)
{
	int	 fd;

	rate_is(false);
	fd = client();
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_MESSAGES, 5, 0);
	rig_say(&rig, fd, "PUB a 1\r\nx\r\n");
	ck_assert_str_eq(ping(fd), "");
	ev_feed_event(rig.child.loop, &rig.w.limits.idle, EV_TIMER);
	turns(2);
	ev_feed_event(rig.child.loop, &rig.w.limits.idle, EV_TIMER);
	ck_assert_uint_eq(hear_type(MSG_lease_back).amount, 4);
	ck_assert_str_eq(ping(fd), "");
	ck_assert_uint_eq(nasked, seen);		/* and is not asked for before somebody does */
}
END_TEST

/* ---- pending bytes */

START_TEST(of_those_who_take_nothing_the_one_with_most_is_cut)
{
	int		 few, most, publisher;
	struct asked	 a;
	static char	 body[20000];

	account_has(LIMIT_PENDING, 4 << 20);
	publisher = client();
	few = client();
	most = client();
	rig_say(&rig, few, "SUB few 1\r\n");
	rig_say(&rig, most, "SUB most 1\r\n");
	ping(few);
	ping(most);
	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 200; i++) {
		rig_say(&rig, publisher, i < 50 ? "PUB few 20000\r\n" : "PUB most 20000\r\n");
		rig_write(&rig, publisher, body, sizeof(body));
		rig_say(&rig, publisher, "\r\n");
	}
	ping(publisher);
	a = hear_type(MSG_lease);
	ck_assert_uint_eq(a.kind, LEASE_ACCOUNT_PENDING);
	ck_assert_uint_gt(a.least, 0);
	lend(LEASE_ACCOUNT_PENDING, 0, 0);
	while (rig.closed == 0)
		rig_wait(&rig);
	ck_assert_uint_eq(rig.closed, 1);
	ck_assert_uint_eq(rig.w.head->over_limit[LIMIT_PENDING], 1);
	ck_assert_uint_eq(rig.w.head->slow_pending, 1);
	while (read(most, got, sizeof(got)) > 0)
		;
	ck_assert_int_eq(read(most, got, 1), 0);
	ck_assert_uint_eq(hear_type(MSG_lease_back).kind, LEASE_ACCOUNT_PENDING);
	ck_assert_uint_lt(account_limits()->leases[LEASE_PENDING].used, 2u << 20);
}
END_TEST

START_TEST(pending_bytes_that_are_taken_are_given_back)
{
	int		 slow, publisher;
	static char	 body[20000];
	struct lease	*l;

	account_has(LIMIT_PENDING, 64 << 20);
	publisher = client();
	slow = client();
	never_idle();
	rig_say(&rig, slow, "SUB a 1\r\n");
	ping(slow);
	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 200; i++) {
		rig_say(&rig, publisher, "PUB a 20000\r\n");
		rig_write(&rig, publisher, body, sizeof(body));
		rig_say(&rig, publisher, "\r\n");
	}
	ping(publisher);
	l = &account_limits()->leases[LEASE_PENDING];
	ck_assert_uint_gt(l->used, 0);
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_PENDING, 16 << 20, 0);
	while (l->used > 0) {
		while (read(slow, got, sizeof(got)) > 0)
			;
		rig_wait(&rig);
	}
	ck_assert_uint_eq(hear_type(MSG_lease_back).kind, LEASE_ACCOUNT_PENDING);
}
END_TEST

/* ---- memory */

START_TEST(without_memory_for_it_a_client_is_refused_and_then_a_subscription)
{
	int		 fd;
	struct asked	 a;

	account_has(LIMIT_MEMORY, 1 << 20);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, C "PING\r\n");
	a = hear_type(MSG_lease);
	ck_assert_uint_eq(a.kind, LEASE_ACCOUNT_MEMORY);
	ck_assert_uint_eq(a.least, LIMITS_CLIENT + (1 << 16));	/* there is to be a part for what it says */
	ck_assert_uint_eq(a.owed, 0);
	lend(LEASE_ACCOUNT_MEMORY, 0, 0);
	ck_assert(rig_read(&rig, fd, "-ERR 'maximum memory exceeded'\r\n", got, sizeof(got)));
	ck_assert_ptr_null(strstr(got, "PONG"));
	close(fd);
	while (rig.w.open > 0)
		rig_wait(&rig);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, C);
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_MEMORY, LIMITS_CLIENT + LIMITS_SUBSCRIPTION + (1 << 16), 0);
	rig_say(&rig, fd, "SUB a 1\r\nSUB b 2\r\n");
	a = hear_type(MSG_lease);
	ck_assert_uint_eq(a.least, LIMITS_SUBSCRIPTION);
	ck_assert_uint_eq(a.owed, 0);
	lend(LEASE_ACCOUNT_MEMORY, 0, 0);
	ck_assert_str_eq(ping(fd), "-ERR 'maximum memory exceeded'\r\n");
	ck_assert_uint_eq(rig.w.head->over_limit[LIMIT_MEMORY], 2);
	rig_say(&rig, fd, "UNSUB 1\r\nSUB c 3\r\n");
	ck_assert_str_eq(ping(fd), "");
}
END_TEST

START_TEST(of_those_whose_input_is_kept_the_one_with_most_is_cut)
{
	int		 few, most;
	struct asked	 a;

	account_has(LIMIT_MEMORY, 1 << 20);
	few = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, few, C);
	hear_type(MSG_lease);
	lend(LEASE_ACCOUNT_MEMORY, 3 * LIMITS_CLIENT + (1 << 16), 0);
	ck_assert_str_eq(ping(few), "");
	most = client();
	rig_say(&rig, few, "PUB a 500\r\nx");
	rig_say(&rig, most, "PUB a 100000\r\nx");	/* all of it is held from now on */
	a = hear_type(MSG_lease);
	ck_assert_uint_eq(a.kind, LEASE_ACCOUNT_MEMORY);
	ck_assert_uint_gt(a.least, 100000 - (1 << 16) - LIMITS_CLIENT);
	ck_assert_uint_eq(a.owed, 1);
	lend(LEASE_ACCOUNT_MEMORY, 0, 0);
	ck_assert(rig_read(&rig, most, "-ERR 'maximum memory exceeded'\r\n", got, sizeof(got)));
	ck_assert_uint_eq(hear_type(MSG_lease_back).kind, LEASE_ACCOUNT_MEMORY);
	ck_assert_uint_eq(rig.w.head->over_limit[LIMIT_MEMORY], 1);
	ck_assert_uint_eq(rig.w.head->slow_consumers, 0);
	close(most);
	while (rig.closed == 0)
		rig_wait(&rig);
	ck_assert_uint_lt(account_limits()->leases[LEASE_MEMORY].used, LIMITS_CLIENT + 100);
}
END_TEST

START_TEST(a_memory_limit_that_comes_later_counts_what_is_there)
{
	int		 fd[2] = { client(), client() };
	struct asked	 a;

	rig_say(&rig, fd[1], "SUB a 1\r\n");
	ping(fd[1]);
	account_has(LIMIT_MEMORY, 1 << 20);
	a = hear_type(MSG_leased);
	ck_assert_uint_eq(a.kind, LEASE_ACCOUNT_MEMORY);
	ck_assert_uint_eq(a.amount, 2 * LIMITS_CLIENT + LIMITS_SUBSCRIPTION);
	close(fd[0]);
	a = hear_type(MSG_lease_back);
	ck_assert_uint_eq(a.amount, LIMITS_CLIENT);
	account_has(LIMIT_MEMORY, NO_LIMIT);
	ck_assert_uint_eq(hear_type(MSG_leased).amount, 0);
	rig_say(&rig, fd[1], "SUB b 2\r\n");
	ck_assert_str_eq(ping(fd[1]), "");
}
END_TEST

/* ---- turns */

START_TEST(who_had_its_share_of_the_turn_waits_and_is_first_in_the_next)
{
	int		 fd[3];
	struct tenant	*t;
	struct client	*c;

	for (int i = 0; i < 3; i++)
		fd[i] = client();
	t = tenant_find(&rig.w, false, ACCOUNT);
	c = rig.w.clients[0];
	t->turn = rig.w.limits.turn;
	t->spent = UINT64_MAX / 2;
	ck_assert(!limits_begin(c));
	ck_assert_int_eq(c->stop, CLIENT_WAITS);
	ck_assert(limits_wait(&rig.w.limits));
	turns(1);
	ck_assert_int_eq(c->stop, CLIENT_READS);
	ck_assert(!limits_wait(&rig.w.limits));
	for (int i = 0; i < 3; i++)
		ck_assert_str_eq(ping(fd[i]), "");
}
END_TEST

/* ---- what auth may not do to us */

START_TEST(words_about_nobody_are_answered_and_forgotten)
{
	int	 fd = client();

	for (enum lease_kind k = 0; k < LEASE_KINDS; k++) {
		lend(k, INT64_MAX, 0);
		ck_assert_uint_eq(hear_type(MSG_lease_back).kind, k);
		lend(k, 0, 60000);
		if (k >= LEASE_USER_SUBSCRIPTIONS)
			continue;
		recall(k);
		ck_assert_uint_eq(hear_type(MSG_lease_back).amount, 0);
	}
	account_has(LIMIT_SUBSCRIPTIONS, 10);
	for (int i = 0; i < 100; i++)
		lend(LEASE_ACCOUNT_SUBSCRIPTIONS, INT64_MAX, 0);
	ck_assert_str_eq(ping(fd), "");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("limits");
	TCase	*t = tcase_create("leases");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_account_without_limits_asks_for_nothing_and_keeps_nothing);
	tcase_add_test(t, a_subscription_waits_for_its_lease_and_order_is_kept);
	tcase_add_test(t, what_is_free_goes_back_when_it_is_recalled);
	tcase_add_test(t, a_sid_that_is_there_and_a_bad_subject_take_nothing);
	tcase_add_test(t, a_user_is_limited_beside_its_account);
	tcase_add_test(t, a_limit_that_comes_later_counts_what_is_there);
	tcase_add_test(t, another_auth_hears_what_is_held_and_is_asked_again);
	tcase_add_test(t, a_payload_is_limited_by_the_least_of_all);
	tcase_add_test(t, over_its_rate_a_client_is_not_read_until_there_are_tokens);
	tcase_add_test(t, who_is_gone_is_noticed_though_its_rate_is_used_up);
	tcase_add_test(t, a_client_that_publishes_nothing_is_read_though_the_rate_is_used_up);
	tcase_add_test(t, with_over_rate_close_it_is_closed_but_only_with_a_message_too_many);
	tcase_add_test(t, bytes_are_counted_and_a_large_message_is_a_debt);
	tcase_add_test(t, what_is_left_of_a_rate_goes_back_when_nobody_publishes);
	tcase_add_test(t, of_those_who_take_nothing_the_one_with_most_is_cut);
	tcase_add_test(t, pending_bytes_that_are_taken_are_given_back);
	tcase_add_test(t, without_memory_for_it_a_client_is_refused_and_then_a_subscription);
	tcase_add_test(t, of_those_whose_input_is_kept_the_one_with_most_is_cut);
	tcase_add_test(t, a_memory_limit_that_comes_later_counts_what_is_there);
	tcase_add_test(t, who_had_its_share_of_the_turn_waits_and_is_first_in_the_next);
	tcase_add_test(t, words_about_nobody_are_answered_and_forgotten);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

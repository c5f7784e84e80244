/*
 * bulkhead-auth as the supervisor starts it. The test is the supervisor and
 * two workers: it says what they say, and much that they never would.
 */
#include "common/loop.h"
#include "supervisor/auth/session.h"
#include "tests/unit/auth/document.h"
#include "tests/unit/program.h"

/* "password" at cost 4. */
#define HASH	"$2a$04$ucVT7S2gsdWsrRkuHEpCoe0lmRZNPQIt/VS8g8xfl5D6PMpmQOhYS"

#define GOT	4096

/* What a worker heard, oldest first. */
struct heard { enum msg_type type; uint64_t cid, a, b, c; char text[64]; size_t bytes; };

struct peer {
	struct channel	channel;
	struct heard	all[GOT];
	unsigned	count, at;
	bool		closed;
	char		raw[NONCE_RAW];
};

static struct ev_loop	*loop;
static struct settings	 settings;
static struct program	 auth;
static struct peer	 workers[2];
static uint64_t		 version, prepared, committed;
static char		 refusal[128];

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	if (m->type == MSG_prepared) {
		prepared = m->u.prepared.version;
		snprintf(refusal, sizeof(refusal), "%.*s", (int)m->u.prepared.refused.len, m->u.prepared.refused.data);
	}
	if (m->type == MSG_committed)
		committed = m->u.committed.version;
	return 0;
}

static void
heard_text(struct heard *h, struct bytes text)
{
	snprintf(h->text, sizeof(h->text), "%.*s", (int)text.len, text.data);
}

static int
worker_hears(struct channel *ch, const struct msg *m, const int *fds)
{
	struct peer	*p = ch->owner;
	struct heard	*h;

	ck_assert_uint_lt(p->count, GOT);
	h = &p->all[p->count++];
	*h = (struct heard){ .type = m->type };
	switch (m->type) {
	case MSG_admitted:
		h->cid = m->u.admitted.cid;
		h->a = m->u.admitted.account;
		h->b = m->u.admitted.grant;
		h->c = m->u.admitted.number;
		h->bytes = m->u.admitted.permissions.len;
		heard_text(h, m->u.admitted.user);
		break;
	case MSG_refused:
		h->cid = m->u.refused.cid;
		h->a = m->u.refused.why;
		heard_text(h, m->u.refused.user);
		break;
	case MSG_revoked:
		h->cid = m->u.revoked.cid;
		h->a = m->u.revoked.why;
		break;
	case MSG_leases:
		h->cid = m->u.leases.of;
		h->a = m->u.leases.amount;
		break;
	case MSG_lease_recall:
		h->cid = m->u.lease_recall.of;
		break;
	case MSG_nonces:
		h->a = m->u.nonces.first;
		h->bytes = m->u.nonces.raw.len;
		memcpy(p->raw, m->u.nonces.raw.data, NONCE_RAW);
		break;
	case MSG_permissions:
		h->cid = m->u.permissions.cid;
		close(fds[0]);
		break;
	default:
		ck_abort_msg("a %s", msg_name(m->type));
	}
	return 0;
}

static void
worker_closed(struct channel *ch, int error, const char *why)
{
	((struct peer *)ch->owner)->closed = true;
}

static void
await(bool (*condition)(void *), void *arg)
{
	while (!condition(arg)) {
		ck_assert(!auth.gone);
		ev_run(loop, EVRUN_ONCE);
	}
}

static bool heard_more(void *arg) { struct peer *p = arg; return p->count > p->at; }
static bool is_closed(void *arg) { return ((struct peer *)arg)->closed; }
static bool is_prepared(void *arg) { return prepared == version; }
static bool is_committed(void *arg) { return committed == version; }

/* The next thing that worker i hears. */
static struct heard
hear(unsigned i, enum msg_type type)
{
	struct peer	*p = &workers[i];

	await(heard_more, p);
	ck_assert_str_eq(msg_name(p->all[p->at].type), msg_name(type));
	return p->all[p->at++];
}

static void
say(unsigned i, struct msg m)
{
	ck_assert_int_eq(channel_send(&workers[i].channel, &m, NULL), 0);
}

/* A new channel for worker i; what is held is said after it, then worker_ready(). */
static void
worker_connect(unsigned i)
{
	struct msg	m = { .type = MSG_worker_channel, .u.worker_channel = { .slot = i, .incarnation = 1 } };
	int		ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	if (workers[i].channel.loop != NULL)
		channel_close(&workers[i].channel);
	workers[i].count = workers[i].at = 0;
	workers[i].closed = false;
	channel_open(&workers[i].channel, loop, ends[0], ROLE_WORKER, ROLE_AUTH, worker_hears, worker_closed, &workers[i]);
	workers[i].channel.state = MSG_READY;
	ck_assert_int_eq(channel_send(&auth.channel, &m, &ends[1]), 0);
	close(ends[1]);
}

static void
worker_ready(unsigned i)
{
	say(i, (struct msg){ .type = MSG_holds_end });
}

static struct msg
login(uint64_t cid, const char *user, const char *pass)
{
	return (struct msg){ .type = MSG_login, .u.login = { .cid = cid, .address = BYTES("192.0.2.1"),
	    .peer_uid = NO_PEER, .peer_gid = NO_PEER, .user = bytes_of(user), .pass = bytes_of(pass),
	    .token = BYTES(""), .nkey = BYTES(""), .sig = BYTES(""), .certificate = BYTES("") } };
}

static void
gone(unsigned i, uint64_t cid)
{
	say(i, (struct msg){ .type = MSG_gone, .u.gone.cids = { .own = &cid, .count = 1 } });
}

static void
start(int accounts)
{
	unsigned	i;

	if (loop != NULL)
		ev_loop_destroy(loop);
	loop = loop_new();
	program_start_with(&auth, loop, ROLE_AUTH, &settings, accounts, receive);
	close(accounts);
	version = prepared = committed = 0;
	for (i = 0; i < 2; i++) {
		workers[i].channel.loop = NULL;
		worker_connect(i);
		worker_ready(i);
	}
}

static void
reload(int accounts)
{
	struct msg	m = { .type = MSG_prepare, .u.prepare = { .version = ++version } };
	int		fds[3] = { settings_write(&settings, ROLE_AUTH), accounts, dup(accounts) };

	ck_assert_int_eq(channel_send(&auth.channel, &m, fds), 0);
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
	await(is_prepared, NULL);
	if (refusal[0] != '\0')
		return;
	m = (struct msg){ .type = MSG_commit, .u.commit = { .version = version } };
	ck_assert_int_eq(channel_send(&auth.channel, &m, NULL), 0);
	await(is_committed, NULL);
}

static void
setup(void)
{
	ck_assert_int_eq(settings_init(&settings), 0);
	settings.auth_threads = 2;
	settings.has_auth_threads = true;
	settings.auth_failures = 0;
	settings.has_auth_failures = true;
}

static void
teardown(void)
{
	program_stop(&auth);
	channel_close(&workers[0].channel);
	channel_close(&workers[1].channel);
	settings_free(&settings);
}

/* a: "b" in $G with permissions; h: a hash; t: in account 4; "nobody" says nothing. */
static int
document_usual(const char *password, const char *allowed)
{
	struct document	d;
	struct msg	u;

	document_begin(&d);
	document_account_limited(&d, 4, "T", document_unlimited);
	document_set(&d, 7, allowed);
	u = document_user(USER_PASSWORD, 1, "a", bytes_of(password));
	u.u.user.permissions = 7;
	document_add(&d, u);
	document_password(&d, 1, "h", HASH);
	document_password(&d, 4, "t", "t");
	u = document_user(USER_WITHOUT, 4, "nobody", BYTES(""));
	u.u.user.anonymous = 1;
	document_add(&d, u);
	return document_end(&d);
}

static void
setup_usual(void)
{
	setup();
	start(document_usual("b", "x"));
}

/* -- answers */

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

/* -- reload */

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

/* -- a new auth */

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

/* -- limits */

static void
setup_limited(void)
{
	uint64_t	limits[LIMITS], user_limits[LIMITS];
	struct document	d;
	struct msg	u;

	setup();
	memcpy(limits, document_unlimited, sizeof(limits));
	limits[LIMIT_CONNECTIONS] = 5;
	limits[LIMIT_ADDRESS] = 3;
	limits[LIMIT_SUBSCRIPTIONS] = 10;
	memcpy(user_limits, document_unlimited, sizeof(user_limits));
	user_limits[LIMIT_CONNECTIONS] = 2;
	document_begin(&d);
	document_account_limited(&d, 4, "T", limits);
	document_password(&d, 4, "t", "t");
	document_password(&d, 4, "h", HASH);
	u = document_user(USER_PASSWORD, 1, "two", BYTES("two"));
	u.u.user.limits.own = user_limits;
	document_add(&d, u);
	start(document_end(&d));
}

static struct msg
login_from(uint64_t cid, const char *user, const char *pass, const char *address)
{
	struct msg	m = login(cid, user, pass);

	m.u.login.address = bytes_of(address);
	return m;
}

START_TEST(connections_are_counted_over_workers)
{
	say(0, login(1, "two", "two"));
	ck_assert_uint_ne(hear(0, MSG_admitted).c, 0);
	say(1, login(1, "two", "two"));
	hear(1, MSG_admitted);
	say(1, login(2, "two", "two"));
	ck_assert_uint_eq(hear(1, MSG_refused).a, AUTH_USER_CONNECTIONS);
	gone(0, 1);
	say(0, login(2, "two", "two"));
	hear(0, MSG_admitted);
	/* a worker that ends takes its clients along */
	worker_connect(1);
	worker_ready(1);
	say(1, login(7, "two", "two"));
	hear(1, MSG_admitted);
	say(1, login(8, "two", "two"));
	ck_assert_uint_eq(hear(1, MSG_refused).a, AUTH_USER_CONNECTIONS);
}
END_TEST

START_TEST(addresses_are_counted_by_network)
{
	uint64_t	i;
	char		address[64];

	for (i = 1; i <= 4; i++) {
		snprintf(address, sizeof(address), "2001:db8:0:1::%llx", (unsigned long long)i);
		say(0, login_from(i, "t", "t", address));
		if (i <= 3)
			hear(0, MSG_admitted);
	}
	ck_assert_uint_eq(hear(0, MSG_refused).a, AUTH_ADDRESS_CONNECTIONS);
	say(0, login_from(5, "t", "t", "2001:db8:0:2::1"));
	say(0, login_from(6, "t", "t", "192.0.2.9"));
	say(0, login_from(7, "t", "t", "192.0.2.10"));
	hear(0, MSG_admitted);
	hear(0, MSG_admitted);
	ck_assert_uint_eq(hear(0, MSG_refused).a, AUTH_ACCOUNT_CONNECTIONS);
}
END_TEST

static struct msg
lease(unsigned kind, uint64_t of, uint64_t least, uint64_t wish)
{
	return (struct msg){ .type = MSG_lease, .u.lease = { .kind = kind, .of = of, .least = least, .wish = wish } };
}

/* Ten subscriptions over two workers, to the last one; none for who has nobody in the account. */
START_TEST(subscriptions_are_exact_over_workers)
{
	uint64_t	have[2] = { 0, 0 }, amount;

	say(0, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 100));
	ck_assert_uint_eq(hear(0, MSG_leases).a, 0);
	say(0, login_from(1, "t", "t", "::1"));
	say(1, login_from(1, "t", "t", "::1"));
	hear(0, MSG_admitted);
	hear(1, MSG_admitted);
	say(0, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 4, 4));
	ck_assert_uint_eq(have[0] = hear(0, MSG_leases).a, 4);
	while (have[0] + have[1] < 10) {
		say(1, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 100));
		ck_assert_uint_gt(amount = hear(1, MSG_leases).a, 0);
		have[1] += amount;
	}
	ck_assert_uint_eq(have[0] + have[1], 10);
	/* the last one is with worker 0, which has one it does not need */
	say(1, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 100));
	hear(0, MSG_lease_recall);
	say(0, (struct msg){ .type = MSG_lease_back, .u.lease_back = { LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 0 } });
	ck_assert_uint_eq(hear(1, MSG_leases).a, 1);
	say(1, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, 1));
	hear(0, MSG_lease_recall);
	say(0, (struct msg){ .type = MSG_lease_back, .u.lease_back = { LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 0, 0 } });
	ck_assert_uint_eq(hear(1, MSG_leases).a, 0);
	/* what a dead worker had is there again */
	worker_connect(0);
	worker_ready(0);
	say(1, lease(LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 3, 3));
	ck_assert_uint_eq(hear(1, MSG_leases).a, 3);
}
END_TEST

/* -- reload, of what is counted and of who waits */

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

/* -- time */

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

/* After three failures from an address its logins wait, right ones too; others do not. */
START_TEST(failures_delay_their_address)
{
	double		began;
	char		text[4096];
	uint64_t	i;

	setup();
	settings.auth_failures = 3;
	settings.auth_failure_delay = 0.3;
	settings.has_auth_failure_delay = true;
	start(document_usual("b", "x"));
	for (i = 1; i <= 3; i++) {
		say(0, login(i, "a", "wrong"));
		hear(0, MSG_refused);
	}
	began = program_now();
	say(0, login(4, "a", "b"));
	say(1, login_from(5, "a", "b", "192.0.2.2"));
	hear(1, MSG_admitted);
	ck_assert_double_lt(program_now() - began, 0.3);
	hear(0, MSG_admitted);
	ck_assert_double_ge(program_now() - began, 0.29);
	program_log(&auth, text, sizeof(text));
	ck_assert_ptr_nonnull(memmem(text, sizeof(text), "auth_failures: 3 logins", 23));
}
END_TEST

START_TEST(a_delayed_or_hashing_one_that_goes_is_forgotten)
{
	uint64_t	i;

	setup();
	settings.auth_failures = 1;
	settings.auth_failure_delay = 0.2;
	settings.has_auth_failure_delay = true;
	start(document_usual("b", "x"));
	for (i = 1; i <= 50; i++)
		say(0, login_from(i, "h", "password", "192.0.2.7"));
	for (i = 1; i <= 50; i++)
		gone(0, i);
	say(1, login(1, "a", "wrong"));
	hear(1, MSG_refused);
	say(1, login(2, "a", "b"));
	gone(1, 2);
	say(1, login(3, "a", "b"));
	ck_assert_uint_eq(hear(1, MSG_admitted).cid, 3);
	say(0, login_from(99, "a", "b", "192.0.2.8"));
	while (workers[0].at == 0 || workers[0].all[workers[0].at - 1].cid != 99)
		hear(0, MSG_admitted);		/* what was answered before `gone` came */
}
END_TEST

/* -- size */

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
	Suite	*s = suite_create("bulkhead-auth");
	TCase	*usual = tcase_create("usual"), *limited = tcase_create("limited"), *own = tcase_create("own");

	tcase_add_checked_fixture(usual, setup_usual, teardown);
	tcase_add_test(usual, who_is_who);
	tcase_add_test(usual, a_cid_asks_once);
	tcase_add_loop_test(usual, the_impossible_costs_a_channel, 0,
	    (int)(sizeof(impossible) / sizeof(impossible[0])));
	tcase_add_test(usual, floods_and_nonsense);
	tcase_add_test(usual, other_permissions_are_told);
	tcase_add_test(usual, another_password_revokes);
	tcase_add_test(usual, who_is_gone_is_revoked);
	tcase_add_test(usual, a_bad_document_is_refused);
	tcase_add_test(usual, thousands_are_revoked_at_their_pace);
	tcase_add_test(usual, a_successor_keeps_who_is_right);
	tcase_add_loop_test(usual, a_successor_sees_what_changed, 0, 2);
	tcase_add_test(usual, a_successor_renames_nobody);
	tcase_add_test(usual, a_silent_worker_is_waited_for_once);
	tcase_add_test(usual, nonces_come_in_batches);
	tcase_add_test(usual, idle_is_idle);
	tcase_add_checked_fixture(limited, setup_limited, teardown);
	tcase_add_test(limited, connections_are_counted_over_workers);
	tcase_add_test(limited, addresses_are_counted_by_network);
	tcase_add_test(limited, subscriptions_are_exact_over_workers);
	tcase_add_checked_fixture(own, NULL, teardown);
	tcase_add_test(own, who_expires_is_revoked_in_order);
	tcase_add_test(own, failures_delay_their_address);
	tcase_add_test(own, a_delayed_or_hashing_one_that_goes_is_forgotten);
	tcase_add_test(own, other_limits_and_numbers_are_told);
	tcase_add_test(own, a_reload_counts_once);
	tcase_add_test(own, who_is_revoked_is_not_counted);
	tcase_add_loop_test(own, who_is_looked_at_is_judged_by_what_is_in_force_then, 0,
	    (int)(sizeof(meanwhile) / sizeof(meanwhile[0])));
	tcase_add_test(own, who_is_delayed_is_judged_later);
	tcase_add_test(own, a_hundred_thousand_users);
	tcase_set_timeout(usual, 60);
	tcase_set_timeout(limited, 60);
	tcase_set_timeout(own, 60);
	suite_add_tcase(s, usual);
	suite_add_tcase(s, limited);
	suite_add_tcase(s, own);
	return run(s);
}

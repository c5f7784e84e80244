#ifndef TESTS_UNIT_AUTH_RIG_H
#define TESTS_UNIT_AUTH_RIG_H
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
static inline bool is_closed(void *arg) { return ((struct peer *)arg)->closed; }
static inline bool is_prepared(void *arg) { return prepared == version; }
static inline bool is_committed(void *arg) { return committed == version; }

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

static inline struct msg
login(uint64_t cid, const char *user, const char *pass)
{
	return (struct msg){ .type = MSG_login, .u.login = { .cid = cid, .address = BYTES("192.0.2.1"),
	    .peer_uid = NO_PEER, .peer_gid = NO_PEER, .user = bytes_of(user), .pass = bytes_of(pass),
	    .token = BYTES(""), .nkey = BYTES(""), .sig = BYTES(""), .certificate = BYTES("") } };
}

static inline struct msg
login_from(uint64_t cid, const char *user, const char *pass, const char *address)
{
	struct msg	m = login(cid, user, pass);

	m.u.login.address = bytes_of(address);
	return m;
}

static inline struct msg
lease(unsigned kind, uint64_t of, uint64_t least, uint64_t wish)
{
	return (struct msg){ .type = MSG_lease, .u.lease = { .kind = kind, .of = of, .least = least, .wish = wish } };
}

static inline void
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

static inline void
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
static inline int
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

static inline void
setup_usual(void)
{
	setup();
	start(document_usual("b", "x"));
}
#endif

#ifndef TESTS_UNIT_WORKER_RIG_H
#define TESTS_UNIT_WORKER_RIG_H
/*
 * A whole worker in the test's own process, without its sandbox: the test
 * plays the supervisor at the other end of its channel, its clients, and
 * auth where it has one (rig_auth()).
 */
#include <sys/socket.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/channel.h"
#include "common/child.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/records.h"
#include "shm/directory.h"
#include "worker/worker.h"

#define RIG_ACCOUNTS	8	/* of each accounts document: 1, 2, 4 and on, named "A4" and on */
#define RIG_HEARD	64	/* messages to auth that are kept */

struct rig {
	struct child	 child;
	struct worker	 w;
	struct channel	 supervisor;		/* our end */
	uint64_t	 cid, taken, generation;
	unsigned	 closed, sealed, drained, compact, failed;
	bool		 pings;			/* rig_read() shows the worker's PINGs */
	struct channel	 auth;			/* our end, once rig_auth() was called */
	unsigned	 auth_lost, signer_lost, nheard;
	struct heard {				/* what auth was told */
		enum msg_type	 type;
		uint64_t	 cid, grant, nonce, peer_uid;
		bool		 implicit;
		char		 user[64], pass[64], nkey[64];
	}		 heard[RIG_HEARD];
};

static int
rig_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct rig	*r = ch->owner;

	switch (m->type) {
	case MSG_taken:
		r->taken = m->u.taken.cid;
		break;
	case MSG_closed:
		for (uint32_t i = 0; i < m->u.closed.cids.count; i++)
			assert(msg_number(&m->u.closed.cids, i) <= r->taken);	/* else it is nobody's yet */
		r->closed += m->u.closed.cids.count;
		break;
	case MSG_sealed:
		r->sealed++;
		break;
	case MSG_drained:
		r->drained++;
		break;
	case MSG_compact:
		r->compact++;
		break;
	case MSG_compaction_failed:
		r->failed++;
		break;
	case MSG_auth_lost:
		r->auth_lost++;
		break;
	case MSG_signer_lost:
		r->signer_lost++;
		break;
	default:
		break;
	}
	return 0;
}

static void
rig_broken(struct channel *ch, int error, const char *why)
{
	log_error("channel: %s (%s)", why, strerror(-error));
	abort();
}

static int
rig_directory(void)
{
	struct segment	 s;
	struct directory *d;
	int		 fd = segment_create("directory", DIRECTORY_SIZE), copy = dup(fd);

	assert(fd != -1 && segment_map_own(&s, fd, DIRECTORY_SIZE) == 0);
	d = s.base;
	for (int i = 0; i <= RIG_ACCOUNTS + ACCOUNT_FIRST; i++)
		d->participants[i] = ~UINT64_C(0);
	segment_unmap(&s);
	return copy;
}

/* One turn of the loop, without waiting. */
static inline void
rig_turn(struct rig *r)
{
	ev_run(r->child.loop, EVRUN_NOWAIT);
}

static void
rig_tick(struct ev_loop *loop, ev_timer *t, int events)
{
}

/* Turn until something happens: an event, or what the turn itself wrote to a client. */
static inline void
rig_wait(struct rig *r)
{
	ev_timer	 t;

	ev_timer_init(&t, rig_tick, 0.002, 0);
	ev_timer_start(r->child.loop, &t);
	ev_run(r->child.loop, EVRUN_ONCE);
	ev_timer_stop(r->child.loop, &t);
}

/* New segments, the tables of this size; until the worker has answered. */
static void
rig_segments_sized(struct rig *r, size_t tables)
{
	static char	 secret[192] = "not so secret";
	int		 fds[3] = { rig_directory(), segment_create("partition", INDEX_SIZE),
	    segment_create("tables", tables) };
	struct msg	 m = { .type = MSG_segments, .u.segments = {
	    .generation = r->generation, .secret = { secret, sizeof(secret) } } };
	unsigned	 before = r->sealed + r->failed;

	assert(channel_send(&r->supervisor, &m, fds) == 0);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	while (r->sealed + r->failed == before)
		rig_turn(r);
}

static void
rig_segments(struct rig *r)
{
	rig_segments_sized(r, TABLES_SIZE);
	r->generation++;
}

/* An accounts document: $G, $SYS and `count` others, without limits. more: records of the last one. */
static int
rig_accounts(uint32_t count, const struct msg *more, unsigned nmore)
{
	uint64_t	 limits[LIMITS];
	char		 name[16];
	struct msg	 m = { .type = MSG_account,
	    .u.account.limits = { .count = LIMITS, .own = limits } };
	msgpack_sbuffer	 all;
	int		 fd;

	for (int i = 0; i < LIMITS; i++)
		limits[i] = NO_LIMIT;
	limits[LIMIT_MESSAGES_BURST] = limits[LIMIT_BYTES_BURST] = limits[LIMIT_OVER_RATE] = 0;
	msgpack_sbuffer_init(&all);
	for (uint32_t i = 1; i <= ACCOUNT_FIRST + count - 1; i++) {
		if (i == ACCOUNT_SERVER)
			continue;
		snprintf(name, sizeof(name), i == 1 ? "$G" : i == 2 ? "$SYS" : "A%u", i);
		m.u.account.number = i;
		m.u.account.name = bytes_of(name);
		assert(records_add(&all, &m) == 0);
	}
	for (unsigned i = 0; i < nmore; i++)
		assert(records_add(&all, &more[i]) == 0);
	fd = records_seal(&all);
	msgpack_sbuffer_destroy(&all);
	assert(fd >= 0);
	return fd;
}

/* A TLS document that says nothing. */
static int
rig_no_tls(void)
{
	msgpack_sbuffer	 none;
	int		 fd;

	msgpack_sbuffer_init(&none);
	fd = records_seal(&none);
	msgpack_sbuffer_destroy(&none);
	assert(fd >= 0);
	return fd;
}

/* Another document in place of the one that the next worker_check() reads. */
static inline void
rig_next_accounts(struct rig *r, int fd)
{
	close(r->child.next_accounts);
	r->child.next_accounts = fd;
}

/* Settings may be changed between rig_prepare() and rig_start(). */
static void
rig_prepare(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->auth.fd = -1;
	r->child.accounts = rig_accounts(RIG_ACCOUNTS, NULL, 0);
	r->child.next_accounts = rig_accounts(RIG_ACCOUNTS, NULL, 0);
	r->child.tls = rig_no_tls();
	r->child.next_tls = rig_no_tls();
	assert(settings_init(&r->child.settings) == 0);
	r->child.program = &r->w;
	r->child.incarnation = 1;
	r->child.loop = loop_new();
	log_init("test", -1);
}

static void
rig_start(struct rig *r)
{
	int	 fds[2];

	assert(channel_pair(fds) == 0);
	channel_open(&r->child.supervisor, r->child.loop, fds[0], ROLE_WORKER, ROLE_SUPERVISOR,
	    worker_receive, rig_broken, &r->child);
	channel_open(&r->supervisor, r->child.loop, fds[1], ROLE_SUPERVISOR, ROLE_WORKER,
	    rig_receive, rig_broken, r);
	r->child.supervisor.state = r->supervisor.state = MSG_READY;
	assert(worker_init(&r->w, &r->child) == 0);
	rig_segments(r);
}

static void
rig_free(struct rig *r)
{
	worker_free(&r->w);
	channel_close(&r->child.supervisor);
	channel_close(&r->supervisor);
	channel_close(&r->auth);
	close(r->child.accounts);
	close(r->child.next_accounts);
	close(r->child.tls);
	close(r->child.next_tls);
	settings_free(&r->child.settings);
	ev_loop_destroy(r->child.loop);
}

/* ---- auth */

static void
rig_copy(char to[64], struct bytes from)
{
	snprintf(to, 64, "%.*s", (int)from.len, from.data);
}

static int
rig_hear(struct channel *ch, const struct msg *m, const int *fds)
{
	struct rig	*r = ch->owner;
	struct heard	*h = &r->heard[r->nheard % RIG_HEARD];

	*h = (struct heard){ .type = m->type };
	if (m->type == MSG_login) {
		h->cid = m->u.login.cid;
		h->nonce = m->u.login.nonce;
		h->peer_uid = m->u.login.peer_uid;
		h->implicit = m->u.login.implicit != 0;
		rig_copy(h->user, m->u.login.user);
		rig_copy(h->pass, m->u.login.pass);
		rig_copy(h->nkey, m->u.login.nkey);
	} else if (m->type == MSG_holds) {
		h->cid = m->u.holds.cid;
		h->grant = m->u.holds.grant;
		rig_copy(h->user, m->u.holds.user);
	} else if (m->type == MSG_gone)
		h->cid = msg_number(&m->u.gone.cids, 0);
	r->nheard++;
	return 0;
}

static void
rig_deaf(struct channel *ch, int error, const char *why)
{
}

/* A channel to a new auth. */
static inline void
rig_auth(struct rig *r)
{
	struct msg	 m = { .type = MSG_auth_channel };
	int		 fds[2];

	channel_close(&r->auth);
	assert(channel_pair(fds) == 0 && channel_send(&r->supervisor, &m, &fds[0]) == 0);
	close(fds[0]);
	channel_open(&r->auth, r->child.loop, fds[1], ROLE_AUTH, ROLE_WORKER, rig_hear, rig_deaf, r);
	r->auth.state = MSG_READY;
	r->nheard = 0;
}

/* The next message of this type that auth was told, from number *at on, which goes behind it. */
static inline const struct heard *
rig_heard(struct rig *r, enum msg_type type, unsigned *at)
{
	for (;;) {
		for (; *at < r->nheard; (*at)++)
			if (r->heard[*at % RIG_HEARD].type == type)
				return &r->heard[(*at)++ % RIG_HEARD];
		rig_wait(r);
	}
}

/* Let cid in, as "u", under these records of permissions. */
static inline void
rig_admit(struct rig *r, uint64_t cid, uint64_t version, uint32_t account, struct bytes permissions)
{
	uint64_t	 limits[LIMITS];
	struct msg	 m = { .type = MSG_admitted, .u.admitted = { .cid = cid, .version = version,
	    .grant = 100 + cid, .account = account, .user = BYTES("u"), .permissions = permissions,
	    .limits = { .count = LIMITS, .own = limits } } };

	for (int i = 0; i < LIMITS; i++)
		limits[i] = NO_LIMIT;
	limits[LIMIT_MESSAGES_BURST] = limits[LIMIT_BYTES_BURST] = limits[LIMIT_OVER_RATE] = 0;
	assert(channel_send(&r->auth, &m, NULL) == 0);
}

/* Pass a connection; returns the client's end, non-blocking. */
static int
rig_pass(struct rig *r, enum refusal refuse)
{
	int		 fds[2];
	struct msg	 m = { .type = MSG_connection, .u.connection = {
	    .cid = ++r->cid, .host = BYTES("127.0.0.1"), .port = 1234, .refuse = refuse,
	    .peer_uid = NO_PEER, .peer_gid = NO_PEER } };

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	assert(channel_send(&r->supervisor, &m, &fds[1]) == 0);
	close(fds[1]);
	return fds[0];
}

/* One that was taken and got its INFO. */
static inline int
rig_connect(struct rig *r, enum refusal refuse)
{
	int	 fd = rig_pass(r, refuse);

	while (r->taken < r->cid)
		rig_turn(r);
	rig_turn(r);
	return fd;
}

/* Cut every line that begins with `what` out of buf[0..*len). */
static void
rig_cut(char *buf, size_t *len, const char *what)
{
	char	*at, *stop;

	while ((at = strstr(buf, what)) != NULL && (stop = strchr(at, '\n')) != NULL) {
		memmove(at, stop + 1, *len - (size_t)(stop + 1 - buf) + 1);
		*len -= (size_t)(stop + 1 - at);
	}
}

/*
 * What the client gets until `end` comes or the connection ends; NUL-terminated
 * in buf. True: end came. INFO lines, and PINGs unless r->pings, are left out.
 */
static bool
rig_read(struct rig *r, int fd, const char *end, char *buf, size_t size)
{
	size_t	 len = 0;
	ssize_t	 n;

	for (;;) {
		n = read(fd, buf + len, size - 1 - len);
		if (n == 0 || (n == -1 && errno != EAGAIN))
			break;
		if (n > 0)
			len += (size_t)n;
		buf[len] = '\0';
		rig_cut(buf, &len, "INFO {");
		if (!r->pings)
			rig_cut(buf, &len, "PING\r\n");
		if (end != NULL && strstr(buf, end) != NULL)
			return true;
		if (n == -1)
			rig_wait(r);
	}
	buf[len] = '\0';
	return false;
}

static void
rig_write(struct rig *r, int fd, const char *data, size_t len)
{
	ssize_t	 n;

	while (len > 0) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n == -1 && errno != EAGAIN)
			return;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
		rig_turn(r);
	}
}

static inline void
rig_say(struct rig *r, int fd, const char *text)
{
	rig_write(r, fd, text, strlen(text));
}
#endif

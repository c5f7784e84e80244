#ifndef TESTS_UNIT_WORKER_RIG_H
#define TESTS_UNIT_WORKER_RIG_H
/*
 * A whole worker in the test's own process, without its sandbox: the test
 * plays the supervisor at the other end of its channel, and its clients.
 */
#include <sys/socket.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/channel.h"
#include "common/child.h"
#include "common/log.h"
#include "common/loop.h"
#include "shm/directory.h"
#include "worker/worker.h"

struct rig {
	struct child	 child;
	struct worker	 w;
	struct channel	 supervisor;		/* our end */
	uint64_t	 cid, taken, generation;
	unsigned	 closed, sealed, drained, compact, failed;
	bool		 pings;			/* rig_read() shows the worker's PINGs */
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
	d->participants[ACCOUNT_GLOBAL] = ~UINT64_C(0);
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

/* Settings may be changed between rig_prepare() and rig_start(). */
static void
rig_prepare(struct rig *r)
{
	memset(r, 0, sizeof(*r));
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
	settings_free(&r->child.settings);
	ev_loop_destroy(r->child.loop);
}

/* Pass a connection; returns the client's end, non-blocking. */
static int
rig_pass(struct rig *r, enum refusal refuse)
{
	int		 fds[2];
	struct msg	 m = { .type = MSG_connection, .u.connection = {
	    .cid = ++r->cid, .host = BYTES("127.0.0.1"), .port = 1234, .refuse = refuse } };

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

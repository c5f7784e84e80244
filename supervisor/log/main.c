/*
 * bulkhead-log(8): writes the lines of all the others. It holds the log's
 * descriptor and a channel from each process; it opens nothing itself.
 */
#include <jansson.h>
#include <sys/socket.h>
#include <stdlib.h>
#include <errno.h>
#include <string.h>
#include "common/child.h"
#include "common/log.h"
#include "common/loop.h"
#include "supervisor/log/sink.h"
#include "supervisor/log/source.h"

struct logger {
	struct child	child;
	struct sink	sink;
	struct sources	sources;
	int		supervisor;	/* its pid, as the host counts */
	ev_prepare	before_sleep;
	ev_io		readable, writable;	/* of a syslog's socket */
};

static void
socket_forget(struct logger *lg)
{
	if (!ev_is_active(&lg->readable))
		return;
	ev_io_stop(lg->child.loop, &lg->readable);
	ev_io_stop(lg->child.loop, &lg->writable);
	loop_forget(lg->child.loop, lg->readable.fd);
}

static void
socket_watch(struct logger *lg)
{
	ev_io_set(&lg->readable, lg->sink.fd, EV_READ);
	ev_io_set(&lg->writable, lg->sink.fd, EV_WRITE);
	ev_io_start(lg->child.loop, &lg->readable);
}

/* A syslog has nothing to say to us; but its end is seen here before a line is sent to nobody. */
static void
socket_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct logger *lg = w->data;
	char data[4096];
	ssize_t n;

	n = recv(w->fd, data, sizeof(data), MSG_DONTWAIT);
	if (n > 0 || (n == 0 && lg->sink.kind == SINK_DATAGRAMS))
		return;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1 && errno == ECONNREFUSED && lg->sink.kind == SINK_DATAGRAMS)
		return;		/* the next line tries */
	sink_break(&lg->sink, n == 0 ? EPIPE : errno);
}

/* The turn's end writes what waits. */
static void
socket_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	ev_io_stop(loop, w);
}

/* What the supervisor has to say of a new file stands at its beginning. */
static void
file_begin(struct logger *lg, struct bytes says)
{
	struct line line = { .role = ROLE_SUPERVISOR, .pid = lg->supervisor };
	const char *at = says.data, *end = at + says.len, *next;

	for (; at < end; at = next + 1) {
		next = memchr(at, '\n', (size_t)(end - at));
		if (next == NULL || next == at)
			break;
		line.level = (enum log_level)(*at - '0');
		line.text = (struct bytes){ at + 1, (size_t)(next - at) - 1 };
		sink_line(&lg->sink, &line);
	}
}

static void
file_receive(struct logger *lg, const struct msg_log_file *m, int fd)
{
	socket_forget(lg);
	sink_use_file(&lg->sink, fd, (enum log_file_kind)m->kind, m->size);
	file_begin(lg, m->says);
	if (m->why == LOG_FILE_FULL)
		sink_settle(&lg->sink);
}

static void
syslog_receive(struct logger *lg, const struct msg_log_syslog *m, int fd)
{
	socket_forget(lg);
	sink_use_syslog(&lg->sink, fd, (enum syslog_kind)m->kind, m->host, m->tag);
	socket_watch(lg);
}

/* In a pid namespace of its own a process does not know its number, nor that of its parent: here they are said. */
static void
source_receive_new(struct logger *lg, const struct msg_log_source *m, int fd)
{
	if (m->role == ROLE_SUPERVISOR)
		lg->supervisor = (int)m->pid;
	if (m->role == ROLE_LOG)
		lg->sink.pid = (int)m->pid;
	if (source_add(&lg->sources, lg->child.loop, &lg->sink, fd, m) != 0)
		log_error("no memory for the lines of process %d", (int)m->pid);
}

static int
logger_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct child *child = ch->owner;
	struct logger *lg = child->program;

	switch (m->type) {
	case MSG_log_file:
		file_receive(lg, &m->u.log_file, fds[0]);
		return 0;
	case MSG_log_syslog:
		syslog_receive(lg, &m->u.log_syslog, fds[0]);
		return 0;
	case MSG_log_source:
		if (m->u.log_source.role >= ROLES)
			return -EBADMSG;
		source_receive_new(lg, &m->u.log_source, fds[0]);
		return 0;
	default:
		return -EBADMSG;
	}
}

/* What only the supervisor can help with. That it is gone is seen where it is read. */
static void
logger_ask(struct logger *lg, enum msg_type type)
{
	const struct msg m = { .type = type };

	(void)channel_send(&lg->child.supervisor, &m, NULL);
}

static void
logger_before_sleep(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct logger *lg = w->data;

	sink_flush(&lg->sink);
	if (lg->sink.broken) {
		socket_forget(lg);
		sink_unplug(&lg->sink);
		logger_ask(lg, MSG_log_lost);
	} else if (lg->sink.waits)
		ev_io_start(loop, &lg->writable);
	if (lg->sink.full)
		logger_ask(lg, MSG_log_full);
	lg->sink.full = false;
}

static void
logger_apply(struct child *child, const struct settings *before)
{
	struct logger *lg = child->program;

	sink_settings(&lg->sink, &child->settings);
}

/* The others have ended: what they said last is waiting. */
static void
logger_stop(struct child *child)
{
	struct logger *lg = child->program;

	sources_drain(&lg->sources);
	socket_forget(lg);
	sink_last_words(&lg->sink);
	ev_break(child->loop, EVBREAK_ALL);
}

static void
logger_init(struct logger *lg)
{
	json_object_seed(0);		/* from /dev/urandom, while it can be opened */
	LIST_INIT(&lg->sources);
	child_init(&lg->child, ROLE_LOG, logger_receive, lg);
	lg->child.stop = logger_stop;
	lg->child.apply = logger_apply;
	if (sink_init(&lg->sink) != 0)
		fatal("no memory for the buffer of lines");
	sink_settings(&lg->sink, &lg->child.settings);
	ev_prepare_init(&lg->before_sleep, logger_before_sleep);
	ev_init(&lg->readable, socket_readable);
	ev_init(&lg->writable, socket_writable);
	lg->before_sleep.data = lg->readable.data = lg->writable.data = lg;
	ev_prepare_start(lg->child.loop, &lg->before_sleep);
}

int
main(void)
{
	struct logger lg = { .sink = { .fd = -1 } };

	logger_init(&lg);
	child_ready(&lg.child);
	child_run(&lg.child);
	ev_prepare_stop(lg.child.loop, &lg.before_sleep);
	socket_forget(&lg);
	sources_free(&lg.sources);
	sink_free(&lg.sink);
	child_free(&lg.child);
	return EXIT_SUCCESS;
}

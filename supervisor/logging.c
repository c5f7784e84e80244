#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/loop.h"
#include "supervisor/errors.h"
#include "supervisor/logging.h"
#include "supervisor/lookup.h"
#include "supervisor/rotation.h"
#include "supervisor/supervisor.h"

#define RETRY_LEAST	0.1	/* seconds until a syslog's broken connection is made again ... */
#define RETRY_MOST	30.0	/* ... doubled up to this; one that lasted as long starts anew */
#define START_WAIT	1000	/* milliseconds at start in which a syslog may refuse us */

/* -- lines on their way to the log process */

void
log_pipe_init(struct log_pipe *lp)
{
	*lp = (struct log_pipe){ -1, -1, false };
}

static void
close_if_open(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

void
log_pipe_close(struct log_pipe *lp)
{
	close_if_open(&lp->end);
	close_if_open(&lp->previous);
	lp->given = false;
}

int
log_pipe_open(struct log_pipe *lp)
{
	int fds[2], rc;

	rc = channel_pair(fds);
	if (rc != 0)
		return rc;
	close_if_open(&lp->previous);
	lp->previous = lp->end;
	lp->end = fds[0];
	lp->given = false;
	return fds[1];
}

void
log_pipe_give(struct supervisor *s, struct log_pipe *lp, enum role role, unsigned slot, pid_t pid)
{
	struct process *log = process_serving(&s->processes, ROLE_LOG);
	struct msg m = { .type = MSG_log_source,
	    .u.log_source = { .role = role, .slot = slot, .pid = (uint64_t)pid } };

	if (log == NULL)
		return;
	if (lp->previous != -1)
		process_send(log, &m, &lp->previous);
	close_if_open(&lp->previous);
	if (lp->end != -1 && !lp->given)
		process_send(log, &m, &lp->end);
	lp->given = true;
}

static int
log_pipe_line(struct channel *ch, const struct msg *m, const int *fds)
{
	if (m->type == MSG_line)
		log_line((enum log_level)m->u.line.level, "%.*s",
		    (int)m->u.line.text.len, m->u.line.text.data);
	return 0;
}

static void
log_pipe_broken(struct channel *ch, int error, const char *why)
{
}

void
log_pipe_print(struct log_pipe *lp)
{
	struct ev_loop *loop = loop_new();
	struct channel ch;

	if (loop == NULL || lp->end == -1)
		goto out;
	channel_open(&ch, loop, lp->end, ROLE_LOG, ROLE_CONFIG, log_pipe_line,
	    log_pipe_broken, NULL);
	lp->end = -1;
	channel_drain(&ch, 1000);
	channel_close(&ch);
 out:
	if (loop != NULL)
		ev_loop_destroy(loop);
}

/* -- where they are written */

/* 0 or -errno with a sentence. */
static int
file_open(const char *path, int *fd, char *error, size_t size)
{
	/* O_NONBLOCK: a FIFO that nobody reads must not hold us up; the log may wait for its reader */
	*fd = *path == '\0' ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) :
	    open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	if (*fd != -1 && (*path == '\0' || fcntl(*fd, F_SETFL, O_APPEND) == 0))
		return 0;
	snprintf(error, size, "error opening log file: open %s: %s",
	    *path == '\0' ? "standard error" : path, error_text(errno));
	if (*fd != -1)
		close(*fd);
	*fd = -1;
	return -EINVAL;
}

/* A connection for the log process. 0; -errno: none, with a sentence. */
static int
syslog_open(struct log_target *t, char *error, size_t size)
{
	int refused = 0;

	t->fd = syslog_connect(&t->syslog, &t->kind, &refused);
	if (t->fd >= 0 && refused == 0)
		return 0;
	if (t->fd < 0)
		refused = t->fd;
	else
		close(t->fd);
	t->fd = -1;
	syslog_refused(&t->syslog, refused, error, size);
	return refused;
}

/* As in the 2.x server a file wins over a syslog, and a remote one over our own. */
static void
target_name(struct log_target *t, const struct settings *s)
{
	*t = (struct log_target){ .fd = -1 };
	strlcpy(t->path, s->log_file, sizeof(t->path));
	if (*t->path != '\0')
		return;
	strlcpy(t->url, s->remote_syslog, sizeof(t->url));
	t->to_syslog = s->syslog || *t->url != '\0';
}

static bool
target_same(const struct log_target *a, const struct log_target *b)
{
	return a->to_syslog == b->to_syslog && strcmp(a->path, b->path) == 0 &&
	    strcmp(a->url, b->url) == 0;
}

/* 0 or -errno with a sentence. */
static int
target_open(struct log_target *t, const struct settings *s, int patience, char *error, size_t size)
{
	int rc;

	if (!t->to_syslog)
		return file_open(t->path, &t->fd, error, size);
	rc = syslog_find(&t->syslog, s, patience, error, size);
	return rc != 0 ? rc : syslog_open(t, error, size);
}

static enum log_file_kind
file_kind(const struct log_target *t, const struct stat *st)
{
	if (*t->path == '\0')
		return S_ISCHR(st->st_mode) ? LOG_TO_TERMINAL : LOG_TO_OTHER;
	return S_ISREG(st->st_mode) ? LOG_TO_FILE : LOG_TO_OTHER;
}

static void
file_give(struct supervisor *s, struct process *log, enum log_file_why why, struct bytes says)
{
	const struct log_target *t = &s->logging.now;
	struct msg m = { .type = MSG_log_file, .u.log_file = { .why = why, .says = says } };
	struct stat st;

	if (fstat(t->fd, &st) == -1)
		st = (struct stat){ .st_size = 0 };
	m.u.log_file.size = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
	m.u.log_file.kind = file_kind(t, &st);
	process_send(log, &m, &t->fd);
}

/* One that is not connected says so as soon as it is used. */
static void
syslog_give(struct supervisor *s, struct process *log)
{
	struct log_target *t = &s->logging.now;
	struct msg m = { .type = MSG_log_syslog };
	int refused;

	if (t->fd == -1)
		t->fd = syslog_connect(&t->syslog, &t->kind, &refused);
	if (t->fd < 0) {		/* no descriptors, no memory */
		t->fd = -1;
		ev_timer_stop(s->loop, &s->logging.retry);
		ev_timer_set(&s->logging.retry, RETRY_MOST, 0);
		ev_timer_start(s->loop, &s->logging.retry);
		return;
	}
	m.u.log_syslog = (struct msg_log_syslog){ .kind = t->kind,
	    .host = bytes_of(t->syslog.host), .tag = bytes_of(getprogname()) };
	process_send(log, &m, &t->fd);
	close_if_open(&t->fd);
	s->logging.connected = ev_now(s->loop);
}

static void
target_give(struct supervisor *s, enum log_file_why why, struct bytes says)
{
	struct process *log = process_serving(&s->processes, ROLE_LOG);

	if (log == NULL)
		return;		/* gets it when it is ready */
	if (s->logging.now.to_syslog)
		syslog_give(s, log);
	else
		file_give(s, log, why, says);
}

static void
syslog_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;

	if (s->logging.now.to_syslog)
		target_give(s, LOG_FILE_START, BYTES(""));
}

/* The connection broke: another, soon if that was a good one. */
static void
syslog_lost(struct supervisor *s)
{
	struct logging *l = &s->logging;

	if (!l->now.to_syslog || ev_is_active(&l->retry))
		return;
	l->delay = ev_now(s->loop) - l->connected >= RETRY_MOST ? 0 : 2 * l->delay;
	if (l->delay < RETRY_LEAST)
		l->delay = RETRY_LEAST;
	if (l->delay > RETRY_MOST)
		l->delay = RETRY_MOST;
	ev_timer_set(&l->retry, l->delay, 0);
	ev_timer_start(s->loop, &l->retry);
}

/* -- the life of the log */

void
logging_init(struct supervisor *s)
{
	s->logging = (struct logging){ .now.fd = -1 };
	ev_init(&s->logging.retry, syslog_retry);
	s->logging.retry.data = s;
	log_pipe_init(&s->log);
}

void
logging_free(struct supervisor *s)
{
	ev_timer_stop(s->loop, &s->logging.retry);
	logging_reload_abandon(s);
	close_if_open(&s->logging.now.fd);
	log_pipe_close(&s->log);
}

int
logging_open(struct supervisor *s, char *error, size_t size)
{
	struct log_target *t = &s->logging.now;
	int rc;

	target_name(t, &s->settings);
	rc = target_open(t, &s->settings, LOOKUP_STARTING, error, size);
	if (rc != 0 || !t->to_syslog)
		return rc;
	rc = syslog_await(t->fd, START_WAIT);
	if (rc != 0)
		syslog_refused(&t->syslog, rc, error, size);
	return rc;
}

int
logging_start(struct supervisor *s)
{
	struct process *log;
	int own;

	log = processes_add(s, ROLE_LOG, 0);
	if (log == NULL)
		return -ENOMEM;
	own = log_pipe_open(&s->log);
	if (own < 0)
		return own;
	log_to(own);
	process_start(log);
	return 0;
}

void
logging_ready(struct supervisor *s)
{
	struct process *p;

	target_give(s, LOG_FILE_START, BYTES(""));
	log_pipe_give(s, &s->log, ROLE_SUPERVISOR, 0, getpid());
	PROCESSES_EACH(&s->processes, p)
		if (p->log.end != -1)
			log_pipe_give(s, &p->log, p->role, p->slot, p->pid);
}

/* A new pair for one that lives. */
static void
logging_renew(struct process *p)
{
	struct msg m = { .type = MSG_log_channel };
	int fd;

	if (!process_lives(p) || p->role == ROLE_LOG || !p->log.given)
		return;
	fd = log_pipe_open(&p->log);
	if (fd < 0) {
		p->log.given = false;	/* it goes on with the old one */
		return;
	}
	process_send(p, &m, &fd);
	close(fd);
}

void
logging_gone(struct supervisor *s)
{
	struct process *p;
	int own;

	PROCESSES_EACH(&s->processes, p)
		logging_renew(p);
	if (!s->log.given)
		return;
	own = log_pipe_open(&s->log);
	if (own >= 0)
		log_to(own);
	else
		s->log.given = false;
}

/* Another file in place of the one in use, and the lines it begins with. */
static void
file_take(struct supervisor *s, int fd, enum log_file_why why, struct bytes says)
{
	close_if_open(&s->logging.now.fd);
	s->logging.now.fd = fd;
	target_give(s, why, says);
}

void
logging_reopen(struct supervisor *s)
{
	const struct bytes said = BYTES("3File log re-opened\n");
	char error[4200];
	int fd;

	if (*s->logging.now.path == '\0') {
		log_info("File log re-open ignored, not a file logger");
		return;
	}
	if (file_open(s->logging.now.path, &fd, error, sizeof(error)) != 0)
		log_error("%s; the old one stays in use", error);
	else
		file_take(s, fd, LOG_FILE_REOPENED, said);
}

/* -- rotation */

/* What has the file's name may be another one by now, that somebody else put there. */
static bool
file_is_ours(const struct log_target *t, const struct stat *st)
{
	struct stat named;

	return stat(t->path, &named) == 0 && named.st_dev == st->st_dev && named.st_ino == st->st_ino;
}

/* Give the full file its other name and open a new one; what fails leaves all as it was. */
static int
file_replace(const struct log_target *t, char *old, size_t old_size, char *error, size_t size)
{
	int fd, rc;

	if (!rotation_name(old, old_size, t->path)) {
		snprintf(error, size, "a full log cannot be named after %s: its name is too long", t->path);
		return -ENAMETOOLONG;
	}
	if (rename(t->path, old) == -1) {
		rc = -errno;
		snprintf(error, size, "the full log cannot be renamed to %s: %s", old, error_text(-rc));
		return rc;
	}
	rc = file_open(t->path, &fd, error, size);
	if (rc != 0)
		(void)rename(old, t->path);	/* or it goes on under its other name */
	return rc != 0 ? rc : fd;
}

/* The log process says so; whether it is right we see ourselves. */
static void
logging_rotate(struct supervisor *s)
{
	const struct log_target *t = &s->logging.now;
	const uint64_t limit = s->settings.logfile_size_limit;
	struct rotation_says says = { .len = 0 };
	char old[4200], error[8600];
	struct stat st;
	int fd;

	if (*t->path == '\0' || limit == 0 || fstat(t->fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size <= limit)
		return;
	if (!file_is_ours(t, &st)) {
		logging_reopen(s);
		return;
	}
	fd = file_replace(t, old, sizeof(old), error, sizeof(error));
	if (fd < 0) {
		log_error("%s; the old one stays in use", error);
		return;
	}
	rotation_say(&says, LOG_INFO, "Rotated log, backup saved as \"%s\"", old);
	if (s->settings.logfile_max_num > 0)
		rotation_purge(t->path, s->settings.logfile_max_num, &says);
	file_take(s, fd, LOG_FILE_FULL, (struct bytes){ says.text, says.len });
}

int
logging_receive(struct process *p, const struct msg *m)
{
	switch (m->type) {
	case MSG_log_full:
		logging_rotate(p->supervisor);
		return 0;
	case MSG_log_lost:
		syslog_lost(p->supervisor);
		return 0;
	default:
		return -EBADMSG;
	}
}

/* -- reload */

int
logging_reload(struct supervisor *s, const struct settings *next, char *error, size_t size)
{
	struct log_target *t;
	int rc;

	logging_reload_abandon(s);
	t = malloc(sizeof(*t));
	if (t == NULL) {
		snprintf(error, size, "no memory for another log");
		return -ENOMEM;
	}
	target_name(t, next);
	rc = target_same(t, &s->logging.now) ? 0 : target_open(t, next, LOOKUP_SERVING, error, size);
	if (rc != 0 || target_same(t, &s->logging.now))
		free(t);
	else
		s->logging.next = t;
	return rc;
}

void
logging_reload_commit(struct supervisor *s)
{
	struct logging *l = &s->logging;

	if (l->next == NULL)
		return;
	ev_timer_stop(s->loop, &l->retry);
	l->delay = 0;
	close_if_open(&l->now.fd);
	l->now = *l->next;
	free(l->next);
	l->next = NULL;
	target_give(s, LOG_FILE_RELOAD, BYTES(""));
}

void
logging_reload_abandon(struct supervisor *s)
{
	struct logging *l = &s->logging;

	if (l->next == NULL)
		return;
	close_if_open(&l->next->fd);
	free(l->next);
	l->next = NULL;
}

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/loop.h"
#include "supervisor/errors.h"
#include "supervisor/logging.h"
#include "supervisor/supervisor.h"

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

int
logging_open(struct supervisor *s, int *fd, char *error, size_t size)
{
	const char *path = s->settings.log_file;

	/* O_NONBLOCK: a FIFO that nobody reads must not hold us up; the log may wait for its reader */
	*fd = *path == '\0' ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) :
	    open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	if (*fd != -1 && (*path == '\0' || fcntl(*fd, F_SETFL, O_APPEND) == 0))
		return 0;
	snprintf(error, size, "error opening log file: open %s: %s",
	    *path == '\0' ? "standard error" : path, error_text(errno));
	return -errno;
}

int
logging_start(struct supervisor *s, int fd)
{
	struct process *log;
	int own;

	s->log_file = fd;
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
	struct process *log = process_serving(&s->processes, ROLE_LOG), *p;
	struct msg m = { .type = MSG_log_file };

	process_send(log, &m, &s->log_file);
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

void
logging_reopen(struct supervisor *s)
{
	struct process *log = process_serving(&s->processes, ROLE_LOG);
	struct msg m = { .type = MSG_log_file };
	char error[4200];
	int fd, rc;

	if (*s->settings.log_file == '\0') {
		log_info("File log re-open ignored, not a file logger");
		return;
	}
	rc = logging_open(s, &fd, error, sizeof(error));
	if (rc != 0) {
		log_error("%s; the old one stays in use", error);
		return;
	}
	close(s->log_file);
	s->log_file = fd;
	if (log != NULL)
		process_send(log, &m, &fd);	/* which says so, in the new file */
}

#include <sys/socket.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/child.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/process.h"

#define START_SECONDS	10.0	/* `start` is sent with the fork */
#define REFUSED_MAX	512	/* messages.def: prepared */

/* What the log module is told of the settings. */
static void
levels_apply(const struct settings *s)
{
	log_levels(s->debug, s->trace);
	log_burst(s->log_burst);
}

static int
start_receive(struct child *child, const struct msg_start *start, const int *fds)
{
	const char	*why;
	int		 rc;

	log_to(fds[1]);
	rc = settings_read(&child->settings, fds[0], &why);
	close(fds[0]);
	child->accounts = fds[2];
	child->tls = fds[3];
	if (rc != 0) {
		log_error("settings: %s (%s)", why, strerror(-rc));
		return rc;
	}
	levels_apply(&child->settings);
	child->slot = (unsigned)start->slot;
	child->incarnation = start->incarnation;
	child->sandbox = (struct sandbox_start){ .mode = (enum sandbox_mode)start->sandbox,
	    .uid = (uint32_t)start->uid, .gid = (uint32_t)start->gid, .own = start->own != 0,
	    .tells = start->tells != 0 };
	child->version = start->version;
	return 0;
}

/* That the supervisor is gone is seen where it is read. */
static int
answer_send(struct child *child, const struct msg *answer)
{
	int	rc = channel_send(&child->supervisor, answer, NULL);

	return rc == -EPIPE ? 0 : rc;
}

/* fd (-1: none) takes the place of *document. */
static void
document_replace(int *document, int fd)
{
	if (*document != -1)
		close(*document);
	*document = fd;
}

/* Why the prepared settings cannot be applied; NULL: they can. */
static const char *
prepared_refused(struct child *child, const int *fds)
{
	const char	*why;
	int		 rc;

	settings_free(&child->next);
	document_replace(&child->next_accounts, fds[1]);
	document_replace(&child->next_tls, fds[2]);
	rc = settings_init(&child->next);
	if (rc == 0)
		rc = settings_read(&child->next, fds[0], &why);
	else
		why = strerror(-rc);
	if (rc != 0)
		return why;
	return child->check == NULL ? NULL : child->check(child, &child->next);
}

/* A version that is not above all before it is nobody's. */
static int
prepare_receive(struct child *child, uint64_t version, const int *fds)
{
	struct msg	 answer = { .type = MSG_prepared, .u.prepared.version = version };
	const char	*why;

	if (version <= child->version || version <= child->next_version) {
		close(fds[0]);
		close(fds[1]);
		close(fds[2]);
		return -EPROTO;
	}
	why = prepared_refused(child, fds);
	close(fds[0]);
	if (why != NULL)
		answer.u.prepared.refused = (struct bytes){ why, strnlen(why, REFUSED_MAX) };
	child->next_version = version;
	child->refused = why != NULL;
	return answer_send(child, &answer);
}

/* From here on the new settings are in force: between two messages, so between two turns' work. */
static int
commit_receive(struct child *child, uint64_t version)
{
	struct msg	answer = { .type = MSG_committed, .u.committed.version = version };
	struct settings	before = child->settings;

	if (version != child->next_version || version <= child->version || child->refused)
		return -EPROTO;
	child->settings = child->next;
	memset(&child->next, 0, sizeof(child->next));
	document_replace(&child->accounts, child->next_accounts);
	document_replace(&child->tls, child->next_tls);
	child->next_accounts = child->next_tls = -1;
	child->version = version;
	levels_apply(&child->settings);
	if (child->apply != NULL)
		child->apply(child, &before);
	settings_free(&before);
	return answer_send(child, &answer);
}

static void
shutdown_receive(struct child *child)
{
	child->stopping = true;
	if (child->stop != NULL)
		child->stop(child);
	else
		ev_break(child->loop, EVBREAK_ALL);
}

static int
child_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct child	*child = ch->owner;

	switch (m->type) {
	case MSG_start:
		return start_receive(child, &m->u.start, fds);
	case MSG_log_channel:
		log_to(fds[0]);
		return 0;
	case MSG_prepare:
		return prepare_receive(child, m->u.prepare.version, fds);
	case MSG_commit:
		return commit_receive(child, m->u.commit.version);
	case MSG_shutdown:
		shutdown_receive(child);
		return 0;
	default:
		return child->receive(ch, m, fds);
	}
}

/* Without its supervisor a child has nothing to do, and nobody to tell. */
static void
supervisor_gone(struct channel *ch, int error, const char *why)
{
	if (error == 0)
		_exit(EXIT_SUCCESS);
	fatal("the supervisor's channel: %s (%s)", why, strerror(-error));
}

/* A terminal's ^C and hang-up reach the whole group; only the supervisor acts on them. */
static void
signals_init(void)
{
	static const int	ignored[] = { SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGXFSZ };
	sigset_t		none;
	size_t			i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool
channel_is_there(void)
{
	int		type;
	socklen_t	len = sizeof(type);

	return getsockopt(CHILD_CHANNEL, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_SEQPACKET && fcntl(CHILD_CHANNEL, F_SETFD, FD_CLOEXEC) == 0;
}

void
child_init(struct child *child, enum role role, channel_receive *receive, void *program)
{
	char	title[64];
	int	rc;

	*child = (struct child){ .role = role, .receive = receive, .program = program,
	    .accounts = -1, .next_accounts = -1, .tls = -1, .next_tls = -1 };
	if (!channel_is_there())
		errx(EXIT_FAILURE, "started by bulkhead(8), not by hand");
	snprintf(title, sizeof(title), "bulkhead-%s", role_name(role));
	process_name(title);
	process_end_with_parent();
	signals_init();
	tzset();
	log_init(role_name(role), -1);
	if (settings_init(&child->settings) != 0)
		fatal("no memory for the settings");
	child->loop = loop_default();
	if (child->loop == NULL)
		fatal("no event loop: epoll is missing");
	channel_open(&child->supervisor, child->loop, CHILD_CHANNEL, role, ROLE_SUPERVISOR,
	    child_receive, supervisor_gone, child);
	ev_io_stop(child->loop, &child->supervisor.readable);
	ev_set_priority(&child->supervisor.readable, EV_MAXPRI);	/* before clients */
	ev_io_start(child->loop, &child->supervisor.readable);
	rc = channel_await(&child->supervisor, MSG_start, START_SECONDS);
	if (rc == -EPIPE)
		_exit(EXIT_SUCCESS);
	if (rc != 0)
		fatal("no valid start message came: %s", strerror(-rc));
}

void
child_ready(struct child *child)
{
	struct msg	m = { .type = MSG_ready };
	int		rc;

	m.u.ready.layers = sandbox_enter(child->role, &child->sandbox);
	rc = channel_send(&child->supervisor, &m, NULL);
	if (rc == -EPIPE)
		_exit(EXIT_SUCCESS);
	if (rc != 0)
		fatal("ready: %s", strerror(-rc));
	child->supervisor.state = MSG_READY;
}

void
child_run(struct child *child)
{
	if (!child->stopping || child->stop != NULL)
		ev_run(child->loop, 0);
}

void
child_free(struct child *child)
{
	channel_close(&child->supervisor);
	settings_free(&child->settings);
	settings_free(&child->next);
	document_replace(&child->accounts, -1);
	document_replace(&child->tls, -1);
	document_replace(&child->next_accounts, -1);
	document_replace(&child->next_tls, -1);
	/* The default loop stays: to end it libev changes signals, which the sandbox forbids. */
}

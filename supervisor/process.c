#include <sys/pidfd.h>
#include <sys/wait.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/process.h"
#include "supervisor/configuring.h"
#include "supervisor/programs.h"
#include "supervisor/sandboxes.h"
#include "supervisor/supervisor.h"

static void process_gone(struct process *p, const siginfo_t *si);
static void process_died(struct process *p, const char *how);

bool
process_lives(const struct process *p)
{
	return p->state == PROCESS_STARTING || p->state == PROCESS_READY ||
	    p->state == PROCESS_ENDING;
}

static void
process_exited(struct ev_loop *loop, ev_io *w, int revents)
{
	struct process *p = w->data;
	siginfo_t si = { .si_pid = 0 };

	if (waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED | WNOHANG) == 0 && si.si_pid != 0)
		process_gone(p, &si);
}

static void
process_restart(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct process *p = w->data;

	p->state = PROCESS_IDLE;
	process_start(p);
}

static void
process_impatient(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct process *p = w->data;

	ev_timer_stop(loop, w);
	if (p->state == PROCESS_ENDING)
		process_kill(p, p->asked ? "it did not end" : "it closed its channel");
	else if (p->stopped)
		process_kill(p, "it was stopped for longer than watchdog allows (%g s)",
		    p->supervisor->settings.watchdog);
	else
		process_kill(p, "it did not answer within %g s", PROCESS_START_LIMIT);
}

struct process *
processes_add(struct supervisor *s, enum role role, unsigned slot)
{
	struct process **items, *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	items = reallocarray(s->processes.items, s->processes.count + 1, sizeof(*items));
	if (items == NULL) {
		free(p);
		return NULL;
	}
	p->supervisor = s;
	p->role = role;
	p->slot = slot;
	p->wanted = true;
	p->pidfd = -1;
	p->channel.fd = -1;
	log_pipe_init(&p->log);
	ev_init(&p->exited, process_exited);
	ev_init(&p->restart, process_restart);
	ev_init(&p->patience, process_impatient);
	p->exited.data = p->restart.data = p->patience.data = p;
	s->processes.items = items;
	items[s->processes.count++] = p;
	return p;
}

void
processes_free(struct processes *all)
{
	struct process *p;

	PROCESSES_EACH(all, p) {
		struct ev_loop *loop = p->supervisor->loop;
		ev_io_stop(loop, &p->exited);
		ev_timer_stop(loop, &p->restart);
		ev_timer_stop(loop, &p->patience);
		channel_close(&p->channel);
		log_pipe_close(&p->log);
		if (p->pidfd != -1)
			close(p->pidfd);
		free(p);
	}
	free(all->items);
	*all = (struct processes){ NULL, 0 };
}

struct process *
process_find(struct processes *all, enum role role, unsigned slot)
{
	struct process *p;

	PROCESSES_EACH(all, p)
		if (p->role == role && p->slot == slot)
			return p;
	return NULL;
}

struct process *
process_serving(struct processes *all, enum role role)
{
	struct process *p = process_find(all, role, 0);

	return p != NULL && p->state == PROCESS_READY ? p : NULL;
}

/* The one that was set, or one of its own for each, if we may choose. */
static struct identity
process_identity(const struct process *p)
{
	const struct identities *set = &p->supervisor->identities;
	uint32_t uid = (uint32_t)p->supervisor->settings.uid_base +
	    (p->role == ROLE_WORKER ? ROLES + p->slot : (unsigned)p->role);

	if (geteuid() != 0)
		return (struct identity){ .uid = geteuid(), .gid = getegid() };
	if (set->roles[p->role].given)
		return set->roles[p->role];
	if (set->all.given)
		return set->all;
	return (struct identity){ .own = true, .uid = uid, .gid = uid };
}

/* It closed its channel. Most likely it is ending, and its status says more than we could. */
static void
process_expect_end(struct process *p)
{
	struct ev_loop *loop = p->supervisor->loop;

	if (p->pidfd == -1)
		return;
	p->state = PROCESS_ENDING;
	ev_timer_stop(loop, &p->patience);
	ev_timer_set(&p->patience, PROCESS_LAST_WORDS, 0);
	ev_timer_start(loop, &p->patience);
	listeners_update(p->supervisor);
}

static void
process_broken(struct channel *ch, int error, const char *why)
{
	struct process *p = ch->owner;

	if (error == 0)
		process_expect_end(p);
	else if (error == -ENOBUFS)
		process_kill(p, "it does not read its channel");
	else
		process_kill(p, "what it sent was refused: %s (%s)",
		    why == NULL ? "?" : why, strerror(-error));
}

/* Who waits for its queue to be empty? */
static void
process_took_all(struct channel *ch)
{
	struct process *p = ch->owner;

	listeners_update(p->supervisor);
}

static void
process_greet(struct process *p, int log_end)
{
	struct supervisor *s = p->supervisor;
	struct identity id = process_identity(p);
	struct msg m = { .type = MSG_start, .u.start = {
	    .slot = p->slot, .incarnation = p->incarnation,
	    .uid = id.uid, .gid = id.gid, .own = id.own,
	    .sandbox = sandboxes_mode(&s->settings),
	    .version = s->reload.version,
	    /* the first that is started with the settings */
	    .tells = p->role == ROLE_LOG && p->deaths == 0 } };
	int fds[4] = { s->documents.settings[p->role], log_end, s->documents.accounts[p->role],
	    s->documents.tls };

	process_send(p, &m, fds);
}

/* Fork, exec, watch. 0 or -errno: nothing is left of it. */
static int
process_launch(struct process *p, int *log_end)
{
	struct supervisor *s = p->supervisor;
	int fds[2], rc;

	*log_end = log_pipe_open(&p->log);
	if (*log_end < 0)
		return *log_end;
	rc = channel_pair(fds);
	if (rc != 0)
		goto no_channel;
	rc = program_start(s->programs[p->role], p->role, sandboxes_mode(&s->settings) != SANDBOX_OFF,
	    fds[1], &p->pid);
	close(fds[1]);
	if (rc != 0)
		goto no_process;
	p->pidfd = pidfd_open(p->pid, 0);
	if (p->pidfd == -1) {
		rc = -errno;
		kill(p->pid, SIGKILL);		/* ours, not yet waited for: the pid is right */
		waitpid(p->pid, NULL, 0);
		goto no_process;
	}
	channel_open(&p->channel, s->loop, fds[0], ROLE_SUPERVISOR, p->role,
	    supervisor_receive, process_broken, p);
	p->channel.sent = process_took_all;
	return 0;

 no_process:
	close(fds[0]);
 no_channel:
	close(*log_end);
	return rc;
}

void
process_start(struct process *p)
{
	struct supervisor *s = p->supervisor;
	char how[128];
	int log_end, rc;

	ev_timer_stop(s->loop, &p->restart);
	p->why[0] = '\0';
	p->asked = p->stopped = p->drained = p->keyed = false;
	p->apart = 0;
	p->complaints = 0;
	p->incarnation = ++s->incarnations;
	p->started = ev_time();
	p->state = PROCESS_STARTING;
	rc = process_launch(p, &log_end);
	if (rc != 0) {
		snprintf(how, sizeof(how), "could not be started: %s", strerror(-rc));
		process_died(p, how);
		return;
	}
	ev_io_set(&p->exited, p->pidfd, EV_READ);
	ev_io_start(s->loop, &p->exited);
	ev_timer_set(&p->patience, PROCESS_START_LIMIT, 0);
	ev_timer_start(s->loop, &p->patience);
	process_greet(p, log_end);
	reload_process_started(p);
	close(log_end);
	log_pipe_give(s, &p->log, p->role, p->slot, p->pid);
	log_debug("started %s %u (process %d)", role_name(p->role), p->slot, (int)p->pid);
}

int
process_ready(struct process *p, uint32_t layers)
{
	if (p->state == PROCESS_ENDING)
		return 0;
	if (p->state != PROCESS_STARTING)
		return -EBADMSG;
	p->state = PROCESS_READY;
	sandboxes_compare(p, layers);
	p->layers = layers;
	p->channel.state = MSG_READY;
	p->backoff.failures = 0;
	if (!p->stopped && p->role != ROLE_CONFIG && p->role != ROLE_SIGNER)	/* those have yet to answer */
		ev_timer_stop(p->supervisor->loop, &p->patience);
	log_debug("%s %u (process %d) is ready", role_name(p->role), p->slot, (int)p->pid);
	return 0;
}

void
process_kill(struct process *p, const char *why, ...)
{
	va_list ap;

	if (!process_lives(p) || p->pidfd == -1)
		return;
	if (p->why[0] == '\0') {
		va_start(ap, why);
		vsnprintf(p->why, sizeof(p->why), why, ap);
		va_end(ap);
	}
	p->state = PROCESS_ENDING;
	ev_timer_stop(p->supervisor->loop, &p->patience);
	pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
}

void
process_shutdown(struct process *p)
{
	struct msg m = { .type = MSG_shutdown };

	p->wanted = false;
	ev_timer_stop(p->supervisor->loop, &p->restart);
	if (!process_lives(p)) {
		p->state = PROCESS_IDLE;
		return;
	}
	ev_timer_stop(p->supervisor->loop, &p->patience);
	process_send(p, &m, NULL);
	p->state = PROCESS_ENDING;
	p->asked = true;
}

void
process_want(struct process *p)
{
	p->wanted = true;
	if (!process_lives(p))
		process_start(p);
}

void
process_dismiss(struct process *p)
{
	process_shutdown(p);
	if (!process_lives(p))
		return;
	ev_timer_set(&p->patience, PROCESS_START_LIMIT, 0);
	ev_timer_start(p->supervisor->loop, &p->patience);
}

void
process_send(struct process *p, const struct msg *m, const int *fds)
{
	int rc;

	if (!process_lives(p))
		return;
	rc = channel_send(&p->channel, m, fds);
	if (rc != 0 && rc != -EPIPE)
		process_kill(p, "`%s` could not be sent to it: %s", msg_name(m->type),
		    strerror(-rc));
}

/* The signal that ended it; 0: none. */
static int
process_signal(const siginfo_t *si)
{
	if (si->si_code != CLD_EXITED)
		return si->si_status;
	return si->si_status > PROCESS_SIGNALLED ? si->si_status - PROCESS_SIGNALLED : 0;
}

/* How it ended, for the log. True: it did what it was asked to. */
static bool
process_how(const struct process *p, const siginfo_t *si, char *how, size_t size)
{
	if (p->why[0] != '\0') {
		snprintf(how, size, "was killed: %s", p->why);
		return false;
	}
	if (process_signal(si) == 0) {
		snprintf(how, size, "exited with status %d", si->si_status);
		return si->si_status == 0;
	}
	snprintf(how, size, "was ended by signal %d (%s)", process_signal(si),
	    strsignal(process_signal(si)));
	return false;
}

/*
 * It has ended. What it said before comes first: a connection that it has
 * taken must not be given to another.
 */
static void
process_gone(struct process *p, const siginfo_t *si)
{
	struct supervisor *s = p->supervisor;
	char how[320];
	bool asked = (p->asked || !p->wanted) && p->role != ROLE_CONFIG;

	ev_io_stop(s->loop, &p->exited);
	ev_timer_stop(s->loop, &p->patience);
	close(p->pidfd);
	p->pidfd = -1;
	channel_drain(&p->channel, INT_MAX);
	channel_close(&p->channel);
	if (p->log.given)
		log_pipe_close(&p->log);
	if (process_how(p, si, how, sizeof(how)) && asked) {
		p->state = PROCESS_IDLE;
		supervisor_process_gone(p);
		if (p->wanted && s->phase == PHASE_SERVING)
			process_start(p);
		return;
	}
	process_died(p, how);
}

/* Ended without having been asked to. */
static void
process_died(struct process *p, const char *how)
{
	struct supervisor *s = p->supervisor;
	bool was_ready = p->channel.state == MSG_READY, stopping = s->phase == PHASE_STOPPING;
	double delay;

	p->channel.state = MSG_START;
	p->deaths++;
	p->state = PROCESS_IDLE;
	supervisor_process_gone(p);
	if (s->phase == PHASE_STOPPING || !p->wanted) {
		if (!stopping && p->role != ROLE_CONFIG)	/* lame duck mode, and not of itself */
			log_error("%s %u (process %d) %s", role_name(p->role), p->slot, (int)p->pid, how);
		else
			log_debug("%s %u (process %d) %s", role_name(p->role), p->slot, (int)p->pid, how);
		if (p->role == ROLE_CONFIG)
			configuring_failed(p, how);
		return;
	}
	delay = backoff_delay(&p->backoff, ev_now(s->loop),
	    (double)s->settings.restart_limit, was_ready);
	startup_process_failed(p, how);
	if (s->phase == PHASE_STOPPING)
		return;
	if (delay == 0)
		log_error("%s %u (process %d) %s; it is replaced",
		    role_name(p->role), p->slot, (int)p->pid, how);
	else
		log_error("%s %u (process %d) %s; it is replaced in %g s",
		    role_name(p->role), p->slot, (int)p->pid, how, delay);
	p->state = PROCESS_WAITING;
	ev_timer_set(&p->restart, delay, 0);
	ev_timer_start(s->loop, &p->restart);
}

/* It was stopped, or goes on. */
static void
process_stopped(struct process *p)
{
	struct supervisor *s = p->supervisor;
	double patience = p->stopped ? s->settings.watchdog :
	    p->state == PROCESS_STARTING ? PROCESS_START_LIMIT : 0;

	if (p->stopped)
		log_warn("%s %u (process %d) is stopped; it is replaced if it does not go on within %g s",
		    role_name(p->role), p->slot, (int)p->pid, s->settings.watchdog);
	else
		log_warn("%s %u (process %d) goes on", role_name(p->role), p->slot, (int)p->pid);
	ev_timer_stop(s->loop, &p->patience);
	if (patience > 0) {
		ev_timer_set(&p->patience, patience, 0);
		ev_timer_start(s->loop, &p->patience);
	}
}

/* Stops and continuations of one child. */
static void
process_changed(struct process *p)
{
	siginfo_t si;

	for (;;) {
		si.si_pid = 0;
		if (p->pidfd == -1 || waitid(P_PIDFD, (id_t)p->pidfd, &si,
		    WSTOPPED | WCONTINUED | WNOHANG) == -1 || si.si_pid == 0)
			return;
		p->stopped = si.si_code != CLD_CONTINUED;
		if (p->state == PROCESS_STARTING || p->state == PROCESS_READY)
			process_stopped(p);
	}
}

static struct process *
process_of(struct processes *all, pid_t pid)
{
	struct process *p;

	PROCESSES_EACH(all, p)
		if (process_lives(p) && p->pid == pid)
			return p;
	return NULL;
}

/* Orphans end up with process 1: nobody else waits for them. */
static void
processes_reap_strangers(struct processes *all)
{
	struct process *p;
	siginfo_t si;

	for (;;) {
		si.si_pid = 0;
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == -1 || si.si_pid == 0)
			return;
		p = process_of(all, si.si_pid);
		if (p != NULL)
			process_exited(p->supervisor->loop, &p->exited, 0);
		else
			waitid(P_PID, (id_t)si.si_pid, &si, WEXITED | WNOHANG);
	}
}

void
processes_see_stopped(struct supervisor *s)
{
	struct process *p;

	PROCESSES_EACH(&s->processes, p)
		process_changed(p);
}

void
processes_changed(struct supervisor *s)
{
	processes_see_stopped(s);
	shutdown_some_stopped(s);
	if (getpid() == 1)
		processes_reap_strangers(&s->processes);
	listeners_update(s);
}

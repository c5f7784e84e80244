#include <sys/prctl.h>
#include <sys/resource.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/loop.h"
#include "supervisor/configuring.h"
#include "supervisor/programs.h"
#include "supervisor/supervisor.h"
#include "supervisor/usage.h"

#define MEETING_PAUSE	0.5	/* seconds from a broken channel of monitor and system to the next */

static void meeting_due(struct ev_loop *loop, ev_timer *w, int revents);

/* 0, 1 and 2 are open, so that none of ours ever gets these numbers. */
static int
standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd == -1)
			return -errno;
	} while (fd <= STDERR_FILENO);
	close(fd);
	return 0;
}

static void
limits_raise(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* What costs nothing: nobody looks into us, and nothing we start gains rights. */
static void
supervisor_harden(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef SANITIZED		/* the leak checker looks into us */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

int
supervisor_init(struct supervisor *s, char *error, size_t size)
{
	enum role role;
	int rc;

	s->phase = PHASE_CONFIGURING;
	s->files.pid_fd = -1;
	s->listeners.reserve = -1;
	s->fabric.directory_fd = -1;
	logging_init(s);
	reload_init(s);
	for (role = 0; role < ROLES; role++)
		s->programs[role] = -1;
	documents_init(&s->documents);
	strlcpy(error, "no standard descriptors", size);
	rc = standard_descriptors();
	if (rc != 0)
		return rc;
	limits_raise();
	supervisor_harden();
	rc = programs_open(s->programs, error, size);
	if (rc != 0)
		return rc;
	strlcpy(error, "no memory for the settings", size);
	rc = settings_init(&s->settings);
	if (rc == 0)
		rc = settings_init(&s->reload.in_force);
	if (rc == 0)
		rc = documents_empty(&s->documents);
	if (rc != 0)
		return rc;
	strlcpy(error, "no event loop: epoll is missing", size);
	s->loop = loop_new();	/* not the default one: that waits for all children itself */
	if (s->loop == NULL)
		return -ENOSYS;
	signal(SIGPIPE, SIG_IGN);
	ev_init(&s->meeting, meeting_due);
	s->meeting.data = s;
	signals_start(s);
	return 0;
}

void
supervisor_free(struct supervisor *s)
{
	enum role role;

	if (s->loop == NULL)
		return;
	signals_stop(s);
	ev_timer_stop(s->loop, &s->stopping);
	reload_free(s);
	ev_timer_stop(s->loop, &s->meeting);
	listeners_free(s);
	placement_free(s);
	fabric_free(s);
	processes_free(&s->processes);
	configuring_free(s);
	logging_free(s);
	for (role = 0; role < ROLES; role++)
		if (s->programs[role] >= 0)
			close(s->programs[role]);
	documents_close(&s->documents);
	settings_free(&s->settings);
	ev_loop_destroy(s->loop);
	s->loop = NULL;
}

static void
meeting_later(struct supervisor *s)
{
	if (ev_is_active(&s->meeting))
		return;
	ev_timer_set(&s->meeting, MEETING_PAUSE, 0);
	ev_timer_start(s->loop, &s->meeting);
}

/*
 * monitor asks system: a new pair whenever one of them is new, and some time
 * after theirs broke. monitor gets its end first: it says when its channel
 * breaks, and the old one does so when system gets the new one.
 */
static void
monitor_meets_system(struct supervisor *s)
{
	struct process *monitor = process_serving(&s->processes, ROLE_MONITOR);
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);
	struct msg to_system = { .type = MSG_monitor_channel };
	struct msg to_monitor = { .type = MSG_system_channel };
	int fds[2], rc;

	ev_timer_stop(s->loop, &s->meeting);
	if (monitor == NULL || system == NULL)
		return;			/* the one that is missing will be new */
	rc = channel_pair(fds);
	if (rc != 0) {
		log_limited(LOG_ERROR, "channels", "no channel between monitor and system: %s",
		    strerror(-rc));
		meeting_later(s);
		return;
	}
	process_send(monitor, &to_monitor, &fds[1]);
	process_send(system, &to_system, &fds[0]);
	close(fds[0]);
	close(fds[1]);
}

static void
meeting_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	monitor_meets_system(w->data);
}

static int
supervisor_process_ready(struct process *p, const struct msg *m)
{
	struct supervisor *s = p->supervisor;
	struct msg lame_duck = { .type = MSG_lame_duck };
	int rc;

	rc = process_ready(p);
	if (rc != 0 || p->state != PROCESS_READY)
		return rc;
	if (p->role == ROLE_SYSTEM)
		usage_tell_all(s);
	else if (p->role != ROLE_CONFIG)	/* gone in a moment */
		usage_tell(s, p->pid);
	reload_process_ready(p);
	switch (p->role) {
	case ROLE_CONFIG:
		return configuring_receive(p, m, NULL);
	case ROLE_LOG:
		logging_ready(s);
		shutdown_continue(s);
		break;
	case ROLE_WORKER:
		fabric_join(p);
		if (s->phase == PHASE_LAME_DUCK)
			process_send(p, &lame_duck, NULL);
		break;
	case ROLE_SYSTEM:
		fabric_tell_system(s);
		monitor_meets_system(s);
		break;
	case ROLE_MONITOR:
		monitor_meets_system(s);
		listeners_update(s);
		break;
	case ROLE_AUTH:
	case ROLE_SUPERVISOR:
	case ROLES:
		break;
	}
	startup_served_if_ready(s);
	return 0;
}

int
supervisor_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct process *p = ch->owner;

	switch (m->type) {
	case MSG_ready:
		return supervisor_process_ready(p, m);
	case MSG_document:
	case MSG_printed:
	case MSG_configured:
	case MSG_misconfigured:
	case MSG_include:
	case MSG_environment:
		return configuring_receive(p, m, fds);
	case MSG_prepared:
	case MSG_committed:
		return reload_receive(p, m);
	case MSG_sealed:
	case MSG_compact:
	case MSG_compaction_failed:
	case MSG_lane_sealed:
	case MSG_joined:
	case MSG_partition_read:
	case MSG_complaint:
		return fabric_receive(p, m);
	case MSG_log_full:
	case MSG_log_lost:
		return logging_receive(p, m);
	case MSG_taken:
	case MSG_closed:
		return placement_receive(p, m);
	case MSG_system_lost:
		meeting_later(p->supervisor);
		return 0;
	case MSG_drained:
		if (p->supervisor->phase < PHASE_LAME_DUCK)
			return -EBADMSG;
		p->drained = true;
		shutdown_continue(p->supervisor);
		return 0;
	default:
		return -EBADMSG;
	}
}

void
supervisor_process_gone(struct process *p)
{
	struct supervisor *s = p->supervisor;

	if (p->role == ROLE_WORKER) {
		fabric_leave(p);
		placement_leave(s, p->slot);
	}
	if (p->role == ROLE_LOG && s->phase != PHASE_STOPPING)
		logging_gone(s);
	if (s->fabric.directory != NULL && p->wanted && s->phase != PHASE_STOPPING)
		atomic_fetch_add_explicit(&s->fabric.directory->replaced, 1, memory_order_relaxed);
	listeners_update(s);
	reload_continue(s);
	if (s->phase == PHASE_LAME_DUCK && p->role == ROLE_WORKER)
		p->wanted = false;
	if (s->phase >= PHASE_LAME_DUCK)
		shutdown_continue(s);
}

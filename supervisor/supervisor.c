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
#include "supervisor/keys.h"
#include "supervisor/meetings.h"
#include "supervisor/programs.h"
#include "supervisor/supervisor.h"
#include "supervisor/usage.h"
#include "supervisor/watch.h"

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
	s->control.fd = -1;
	s->fabric.directory_fd = -1;
	logging_init(s);
	reload_init(s);
	for (role = 0; role < ROLES; role++)
		s->programs[role] = -1;
	documents_init(&s->documents);
	tls_files_init(&s->tls);
	tickets_init(s);
	watch_init(s);
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
	meetings_init(s);
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
	meetings_stop(s);
	watch_stop(s);
	tickets_free(s);
	listeners_free(s);
	control_close(s);
	placement_free(s);
	fabric_free(s);
	processes_free(&s->processes);
	configuring_free(s);
	logging_free(s);
	for (role = 0; role < ROLES; role++)
		if (s->programs[role] >= 0)
			close(s->programs[role]);
	documents_close(&s->documents);
	tls_files_free(&s->tls);
	settings_free(&s->settings);
	ev_loop_destroy(s->loop);
	s->loop = NULL;
}

static int
supervisor_process_ready(struct process *p, const struct msg *m)
{
	struct supervisor *s = p->supervisor;
	struct msg lame_duck = { .type = MSG_lame_duck };
	int rc;

	rc = process_ready(p, (uint32_t)m->u.ready.layers);
	if (rc != 0 || p->state != PROCESS_READY)
		return rc;
	usage_process_ready(p);
	reload_process_ready(p);
	switch (p->role) {
	case ROLE_CONFIG:
		return configuring_receive(p, m, NULL);
	case ROLE_LOG:
		logging_ready(s);
		shutdown_continue(s);
		break;
	case ROLE_WORKER:
		tickets_tell(p);
		fabric_join(p);
		if (s->phase == PHASE_LAME_DUCK)
			process_send(p, &lame_duck, NULL);
		break;
	case ROLE_SYSTEM:
		fabric_join(p);
		fabric_tell_system(s);
		control_update(s);
		break;
	case ROLE_MONITOR:
		listeners_update(s);
		break;
	case ROLE_AUTH: case ROLE_SIGNER:
	case ROLE_SUPERVISOR:
	case ROLES:
		break;
	}
	meetings_hold(p);
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
	case MSG_tls_files:
	case MSG_configured:
	case MSG_misconfigured:
	case MSG_include:
	case MSG_environment:
	case MSG_identity:
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
	case MSG_kick:
		placement_kick(p->supervisor, m->u.kick.cid);
		return 0;
	case MSG_kick_lame_duck:
		placement_tell_lame_duck(p->supervisor, m->u.kick_lame_duck.cid);
		return 0;
	case MSG_reload:
		reload_request_of(p);
		return 0;
	case MSG_left_word:
		return shutdown_left_word(p->supervisor);
	case MSG_system_lost:
		meetings_repeat(p, ROLE_SYSTEM);
		return 0;
	case MSG_auth_lost:
		meetings_repeat(p, ROLE_AUTH);
		return 0;
	case MSG_signer_lost:
		meetings_repeat(p, ROLE_SIGNER);
		return 0;
	case MSG_keys_loaded:
		return keys_receive(p, &m->u.keys_loaded);
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

	if (p->role == ROLE_WORKER || p->role == ROLE_SYSTEM)
		fabric_leave(p);
	if (p->role == ROLE_WORKER)
		placement_leave(s, p->slot);
	if (p->role == ROLE_SYSTEM)
		shutdown_without_words(s);
	if (p->role == ROLE_LOG && s->phase != PHASE_STOPPING)
		logging_gone(s);
	if (s->fabric.directory != NULL && p->wanted && s->phase != PHASE_STOPPING)
		atomic_fetch_add_explicit(&s->fabric.directory->replaced, 1, memory_order_relaxed);
	usage_process_gone(p);
	listeners_update(s);
	reload_process_gone(p);
	if (s->phase == PHASE_LAME_DUCK && p->role == ROLE_WORKER)
		p->wanted = false;
	if (s->phase >= PHASE_LAME_DUCK)
		shutdown_continue(s);
}

#include <sys/socket.h>
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/errors.h"
#include "supervisor/lookup.h"
#include "supervisor/supervisor.h"

#define CONTROL_BACKLOG	64
#define CONTROL_BATCH	8	/* accepted in one loop turn, at most ... */
#define CONTROL_PAUSE	0.05	/* ... and then nobody for so many seconds: looking must not cost others much */

/* ---- who connects */

static bool
control_may_accept(struct supervisor *s)
{
	const struct process *system = process_serving(&s->processes, ROLE_SYSTEM);

	return (s->phase == PHASE_SERVING || s->phase == PHASE_LAME_DUCK) &&
	    !ev_is_active(&s->control.pause) && system != NULL && !system->stopped &&
	    system->channel.queued == 0;
}

void
control_update(struct supervisor *s)
{
	struct control *c = &s->control;

	if (c->fd == -1)
		return;
	if (control_may_accept(s))
		ev_io_start(s->loop, &c->readable);
	else
		ev_io_stop(s->loop, &c->readable);
}

/* Is it one of the peer's supplementary groups? */
static bool
peer_has_group(int fd, gid_t group)
{
	socklen_t len = NGROUPS_MAX * sizeof(gid_t);
	gid_t *groups = malloc(len);
	bool has = false;
	size_t i;

	if (groups != NULL && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
		for (i = 0; i < len / sizeof(*groups); i++)
			has = has || groups[i] == group;
	free(groups);
	return has;
}

static bool
peer_may_look(const struct unix_rights *r, int fd, const struct ucred *peer)
{
	if (peer->uid == 0 || peer->uid == geteuid())
		return true;
	return r->grouped && (peer->gid == r->group || peer_has_group(fd, r->group));
}

/* Consumes fd. */
static void
control_accepted(struct supervisor *s, int fd)
{
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);
	struct msg m = { .type = MSG_control_connection };
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
		m.u.control_connection.uid = peer.uid;
		if (!peer_may_look(&s->control.rights, fd, &peer))
			log_limited(LOG_WARN, "control connections", "control socket: process %d of user %u may not look",
			    (int)peer.pid, (unsigned)peer.uid);
		else if (system != NULL)
			process_send(system, &m, &fd);
	}
	close(fd);
}

static void
control_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct supervisor *s = w->data;
	struct control *c = &s->control;
	int fd, i;

	for (i = 0; i < CONTROL_BATCH && control_may_accept(s); i++) {
		fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1)
			break;
		control_accepted(s, fd);
	}
	ev_timer_set(&c->pause, CONTROL_PAUSE, 0);
	ev_timer_start(loop, &c->pause);
	control_update(s);
}

static void
control_resume(struct ev_loop *loop, ev_timer *w, int revents)
{
	ev_timer_stop(loop, w);
	control_update(w->data);
}

/* ---- where it is */

/* What servers left there that are gone, and whose numbers nobody has. */
static void
control_sweep(const char *folder)
{
	char path[PATH_MAX], *end;
	struct dirent *entry;
	DIR *d = opendir(folder);
	long pid;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		pid = strtol(entry->d_name, &end, 10);
		if (pid <= 0 || pid > INT_MAX || strcmp(end, ".sock") != 0 ||
		    kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) < (int)sizeof(path))
			unix_socket_sweep(path);
	}
	if (d != NULL)
		closedir(d);
}

/* A folder for it that we can write to. False: there is none. */
static bool
control_folder(char *folder, size_t size)
{
	const char *user = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		(void)mkdir(CONTROL_FOLDER, 0755);
	strlcpy(folder, CONTROL_FOLDER, size);
	if (access(folder, W_OK | X_OK) == 0)
		return true;
	if (user == NULL || *user != '/' ||
	    snprintf(folder, size, "%s/bulkhead", user) >= (int)size)
		return false;
	(void)mkdir(folder, 0700);
	return access(folder, W_OK | X_OK) == 0;
}

/* One name for each server on the machine, which says which one it is. False: there is no place. */
static bool
control_path(char *path, size_t size)
{
	char folder[UNIX_PATH];

	if (!control_folder(folder, sizeof(folder)))
		return false;
	control_sweep(folder);
	return snprintf(path, size, "%s/%d.sock", folder, (int)getpid()) < (int)size;
}

static int
control_rights(struct unix_rights *r, const struct settings *st, char *error, size_t size)
{
	const char *name = st->control_socket_group;
	uint32_t group = 0;
	int rc = 0;

	*r = (struct unix_rights){ .mode = 0600 };
	if (*name == '\0')
		return 0;
	rc = lookup_identity(&group, name, true, LOOKUP_STARTING);
	if (rc != 0)
		snprintf(error, size, rc == -ENOENT ?
		    "control_socket_group: found \"%s\", expected the name or number of a group" :
		    "control_socket_group: nobody says in time what group \"%s\" is", name);
	*r = (struct unix_rights){ .mode = 0660, .grouped = true, .group = group };
	return rc;
}

static int
control_listen(struct supervisor *s, const char *path, char *error, size_t size)
{
	struct control *c = &s->control;
	const char *step;
	int rc;

	rc = unix_socket_listen(&c->file, path, SOCK_SEQPACKET, &c->rights, CONTROL_BACKLOG, &step);
	if (rc < 0) {
		snprintf(error, size, "Error listening on control_socket %s: %s: %s", path, step,
		    error_text(-rc));
		return rc;
	}
	c->fd = rc;
	ev_io_init(&c->readable, control_readable, c->fd, EV_READ);
	ev_init(&c->pause, control_resume);
	c->readable.data = c->pause.data = s;
	log_info("Listening for bulkheadctl on %s", path);
	return 0;
}

int
control_open(struct supervisor *s, char *error, size_t size)
{
	const char *path = s->settings.control_socket;
	char own[UNIX_PATH];
	int rc;

	if (strcmp(path, "none") == 0)
		return 0;
	rc = control_rights(&s->control.rights, &s->settings, error, size);
	if (rc != 0)
		return rc;
	if (strcmp(path, "auto") != 0)
		return control_listen(s, path, error, size);
	if (!control_path(own, sizeof(own))) {
		log_info("No control socket: neither %s nor XDG_RUNTIME_DIR is a place for it; control_socket names one",
		    CONTROL_FOLDER);
		return 0;
	}
	if (control_listen(s, own, error, size) != 0)
		log_warn("%s", error);
	return 0;
}

void
control_close(struct supervisor *s)
{
	struct control *c = &s->control;

	if (c->fd == -1)
		return;
	unix_socket_remove(&c->file);
	ev_io_stop(s->loop, &c->readable);
	ev_timer_stop(s->loop, &c->pause);
	close(c->fd);
	c->fd = -1;
}

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "nats/info.h"
#include "nats/nkey.h"
#include "supervisor/errors.h"
#include "supervisor/files.h"
#include "supervisor/supervisor.h"

#define STARTUP_FAILURES	10	/* deaths before `ready` in a row of one process: give up */

static int startup_configured(struct supervisor *s);

/* Before there is a log: the user reads standard error. */
static void startup_refuse(struct supervisor *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
startup_refuse(struct supervisor *s, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fprintf(stderr, "%s: ", getprogname());
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	s->quiet = true;
	supervisor_stop(s, EXIT_FAILURE);
}

void
startup_begin(struct supervisor *s)
{
	struct process *config;

	s->documents[ROLE_CONFIG] = settings_write(&s->settings, ROLE_CONFIG);
	config = processes_add(s, ROLE_CONFIG, 0);
	if (s->documents[ROLE_CONFIG] < 0 || config == NULL) {
		startup_refuse(s, "no memory to start with");
		return;
	}
	config->wanted = false;		/* it ends when it has answered */
	process_start(config);
}

/* The file, or nothing to read where there is none. Descriptor; -1: startup_refuse() was called. */
static int
startup_open(struct supervisor *s)
{
	const char *path = s->options.config == NULL ? "/dev/null" : s->options.config;
	struct stat st;
	int fd;

	/* a pipe without a writer would hold us up, deaf to signals */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd == -1) {
		startup_refuse(s, "open %s: %s", path, error_text(errno));
		return -1;
	}
	if (s->options.config == NULL || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		return fd;
	startup_refuse(s, "open %s: not a regular file", path);
	close(fd);
	return -1;
}

/* What the config process works on: the file, and the flags over it. */
static void
startup_configure(struct process *p)
{
	struct supervisor *s = p->supervisor;
	const char *path = s->options.config;
	struct msg m = { .type = MSG_configure,
	    .u.configure = { .path = bytes_of(path == NULL ? "" : path) } };
	int fds[2];

	fds[0] = startup_open(s);
	if (fds[0] == -1)
		return;
	fds[1] = settings_write(&s->options.flags, ROLE_SUPERVISOR);
	if (fds[1] < 0)
		startup_refuse(s, "flags: %s", error_text(-fds[1]));
	else
		process_send(p, &m, fds);
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
}

/* Each line of the errors behind our name. */
static void
startup_misconfigured(struct supervisor *s, struct bytes errors)
{
	const char *end = errors.data + errors.len, *line = errors.data, *next;

	for (; line < end; line = next + 1) {
		next = memchr(line, '\n', (size_t)(end - line));
		if (next == NULL)
			next = end;
		if (next > line)
			fprintf(stderr, "%s: %.*s\n", getprogname(), (int)(next - line), line);
	}
	s->quiet = true;
	supervisor_stop(s, EXIT_FAILURE);
}

/* Ours is kept; what the others are told is written when ports and names are known. */
static int
startup_document(struct supervisor *s, uint64_t role, int fd)
{
	const char *why;
	int rc = 0;

	if (role == ROLE_SUPERVISOR) {
		rc = settings_read(&s->settings, fd, &why);
		if (rc != 0)
			log_error("settings: %s", why);
	}
	close(fd);
	return rc;
}

int
startup_receive(struct process *p, const struct msg *m, const int *fds)
{
	struct supervisor *s = p->supervisor;

	if (s->phase != PHASE_CONFIGURING) {
		if (m->type == MSG_document)
			close(fds[0]);
		return s->phase == PHASE_STOPPING ? 0 : -EBADMSG;
	}
	switch (m->type) {
	case MSG_ready:
		startup_configure(p);
		return 0;
	case MSG_document:
		return startup_document(s, m->u.document.role, fds[0]);
	case MSG_misconfigured:
		startup_misconfigured(s, m->u.misconfigured.error);
		return 0;
	case MSG_configured:
		snprintf(s->digest, sizeof(s->digest), "%.*s",
		    (int)m->u.configured.digest.len, m->u.configured.digest.data);
		process_shutdown(p);
		return startup_configured(s);
	default:
		return -EBADMSG;
	}
}

/* Before anything serves, what dies again and again will not get better. */
void
startup_process_failed(struct process *p, const char *how)
{
	struct supervisor *s = p->supervisor;

	if (s->phase == PHASE_CONFIGURING) {
		log_pipe_print(&p->log);
		startup_refuse(s, "%s (process %d) %s", role_name(p->role), (int)p->pid, how);
	} else if (s->phase == PHASE_STARTING && p->backoff.failures >= STARTUP_FAILURES) {
		supervisor_give_up(s, "%s %u died %d times before it was ready, the last time it %s",
		    role_name(p->role), p->slot, STARTUP_FAILURES, how);
	}
}

/* ---- with the settings */

static int
setting_text(struct supervisor *s, const char *name, const char *value)
{
	return setting_set_text(&s->settings, setting_find(bytes_of(name)), bytes_of(value));
}

/* A new id each time; without another name it is the name as well. 0 or -ENOMEM. */
static int
startup_identify(struct supervisor *s)
{
	char id[NKEY_TEXT];
	uint8_t key[32];
	int rc;

	arc4random_buf(key, sizeof(key));
	nkey_encode(id, NKEY_SERVER, key);
	rc = setting_text(s, "server_id", id);
	if (rc == 0 && *s->settings.server_name == '\0')
		rc = setting_text(s, "server_name", id);
	return rc;
}

static void
startup_banner(struct supervisor *s)
{
	log_info("Starting nats-server");
	log_info("  Version:  %s", NATS_VERSION);
	log_info("  Git:      [bulkhead %s]", BULKHEAD_VERSION);
	log_info("  Name:     %s", s->settings.server_name);
	log_info("  ID:       %s", s->settings.server_id);
	if (s->options.config != NULL)
		log_info("Using configuration file: %s (%s)", s->options.config, s->digest);
}

/* The ports that were bound take the place of those that were asked for. */
static int
startup_ports(struct supervisor *s)
{
	const struct listener *clients = listener_first(&s->listeners, false);
	const struct listener *http = listener_first(&s->listeners, true);
	int rc;

	rc = setting_set_integer(&s->settings, setting_find(BYTES("port")), clients->port);
	if (rc == 0)
		rc = setting_text(s, "host", clients->host);
	if (rc == 0 && http != NULL)
		rc = setting_set_integer(&s->settings, setting_find(BYTES("http_port")), http->port);
	if (rc == 0)
		rc = setting_set_integer(&s->settings, setting_find(BYTES("workers")), s->workers);
	if (rc == 0)
		rc = setting_text(s, "config_digest", s->digest);
	return rc;
}

/* One document for each role; kept for successors. */
static int
startup_documents(struct supervisor *s)
{
	enum role role;
	int fd;

	for (role = ROLE_LOG; role < ROLES; role++) {
		fd = settings_write(&s->settings, role);
		if (fd < 0)
			return fd;
		if (s->documents[role] != -1)
			close(s->documents[role]);
		s->documents[role] = fd;
	}
	return 0;
}

/* Enter all that shall run into the table. 0 or -ENOMEM. */
static int
startup_table(struct supervisor *s)
{
	unsigned i;

	for (i = 0; i < s->workers; i++)
		if (processes_add(s, ROLE_WORKER, i) == NULL)
			return -ENOMEM;
	if (processes_add(s, ROLE_SYSTEM, 0) == NULL)
		return -ENOMEM;
	if (s->settings.http && processes_add(s, ROLE_MONITOR, 0) == NULL)
		return -ENOMEM;
	return 0;
}

static void
startup_start(struct supervisor *s)
{
	struct process *p;

	PROCESSES_EACH(&s->processes, p)
		if (p->state == PROCESS_IDLE && p->wanted && s->phase == PHASE_STARTING)
			process_start(p);
}

/* What everything else needs, with the log at hand. 0, or -errno with a sentence. */
static int
startup_prepare(struct supervisor *s, char *error, size_t size)
{
	const struct listener *http;
	char text[320];
	int rc;

	/* who finds the port in use leaves the pid file to the server that uses it */
	rc = listeners_open(s, error, size);
	if (rc == 0)
		rc = files_write_pid(s, error, size);
	if (rc != 0)
		return rc;
	http = listener_first(&s->listeners, true);
	if (http != NULL)
		log_info("Starting http monitor on %s", listener_text(http, text, sizeof(text)));
	snprintf(error, size, "no memory to start with");
	rc = startup_ports(s);
	if (rc == 0)
		rc = startup_documents(s);
	if (rc == 0)
		rc = placement_init(s, s->workers);
	if (rc == 0)
		rc = startup_table(s);
	if (rc == 0)
		rc = fabric_init(s);
	return rc;
}

/* All documents are there. */
static int
startup_configured(struct supervisor *s)
{
	char error[4608];
	int rc, log_file;

	if (s->options.action == ACTION_TEST) {
		fprintf(stderr, "nats-server: configuration file %s is valid (%s)\n",
		    s->options.config, s->digest);
		s->quiet = true;
		supervisor_stop(s, EXIT_SUCCESS);
		return 0;
	}
	s->workers = s->settings.workers != 0 ? (unsigned)s->settings.workers : placement_workers();
	log_levels(s->settings.debug, s->settings.trace);
	rc = logging_open(s, &log_file, error, sizeof(error));
	if (rc == 0) {
		snprintf(error, sizeof(error), "no memory to start with");
		rc = startup_identify(s);
	}
	if (rc == 0)
		rc = startup_documents(s);	/* the log's; ports come later */
	if (rc != 0) {
		startup_refuse(s, "%s", error);
		return 0;
	}
	s->phase = PHASE_STARTING;
	rc = logging_start(s, log_file);
	if (rc == 0) {
		startup_banner(s);
		rc = startup_prepare(s, error, sizeof(error));
	}
	if (rc != 0)
		supervisor_give_up(s, "%s", error);
	else
		startup_start(s);
	return 0;
}

/* Is everything up that was started? */
static bool
startup_complete(struct supervisor *s)
{
	struct process *p;

	PROCESSES_EACH(&s->processes, p)
		if (p->wanted && p->role != ROLE_CONFIG && p->state != PROCESS_READY)
			return false;
	return fabric_serves(&s->fabric);
}

void
startup_served_if_ready(struct supervisor *s)
{
	char error[4608], text[320];
	size_t i;

	if (s->phase != PHASE_STARTING || !startup_complete(s))
		return;
	s->phase = PHASE_SERVING;
	for (i = 0; i < s->listeners.count; i++)
		if (!s->listeners.items[i].http)
			log_info("Listening for client connections on %s",
			    listener_text(&s->listeners.items[i], text, sizeof(text)));
	log_info("Server is ready");
	if (files_write_ports(s, error, sizeof(error)) != 0)
		log_error("%s", error);
	listeners_update(s);
}

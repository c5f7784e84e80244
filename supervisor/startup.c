#include <sys/mman.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/memfd.h"
#include "nats/info.h"
#include "nats/nkey.h"
#include "supervisor/accounts.h"
#include "supervisor/configuring.h"
#include "supervisor/errors.h"
#include "supervisor/files.h"
#include "supervisor/keys.h"
#include "supervisor/sandboxes.h"
#include "supervisor/supervisor.h"
#include "supervisor/watch.h"

#define STARTUP_FAILURES	10	/* deaths before `ready` in a row of one process: give up */

static void startup_configured(struct supervisor *s, struct configured *c);

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
	const char *why;

	if (configuring_start(s, s->options.action == ACTION_PRINT, startup_configured, &why) != 0)
		startup_refuse(s, "%s", why);
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

/* --print-config: the text to standard output, and that is all. */
static void
startup_print(struct supervisor *s, int fd)
{
	struct bytes text;
	int rc;

	rc = memfd_map_sealed(fd, SETTINGS_MAX, &text);
	if (rc == 0) {
		fwrite(text.data, 1, text.len, stdout);
		if (fflush(stdout) != 0 || ferror(stdout))
			rc = -errno;
		munmap((void *)(uintptr_t)text.data, text.len);
	}
	if (rc != 0) {
		startup_refuse(s, "the settings cannot be shown: %s", error_text(-rc));
		return;
	}
	s->quiet = true;
	supervisor_stop(s, EXIT_SUCCESS);
}

/* Ours is kept; what the others are told is written when ports and names are known. */
static int
startup_document(struct supervisor *s, struct configured *c)
{
	static const struct settings none;
	const char *why = NULL;
	int fd = c->documents.settings[ROLE_SUPERVISOR], rc;

	rc = settings_read(&s->settings, fd, &why);
	if (rc != 0)
		log_error("settings: %s", why == NULL ? error_text(-rc) : why);
	if (rc == 0 && !accounts_continue(&none, &s->settings)) {
		log_error("accounts: there are too many");
		rc = -EBADMSG;
	}
	if (rc == 0)
		rc = reload_started(s, fd);
	if (rc == 0)
		documents_take(&s->documents, &c->documents);
	return rc;
}

/* The files of certificates and keys. 0, or -errno with a sentence. */
static int
startup_tls(struct supervisor *s, struct configured *c, char *error, size_t size)
{
	int named = c->tls_files, document = -1, rc;

	c->tls_files = -1;
	rc = tls_files_read(&s->tls, named, &s->keys, &document, error, size);
	if (rc != 0)
		return rc;
	close(s->documents.tls);
	s->documents.tls = document;
	return 0;
}

/* Before anything serves, what dies again and again will not get better. */
void
startup_process_failed(struct process *p, const char *how)
{
	struct supervisor *s = p->supervisor;

	if (s->phase == PHASE_STARTING && s->options.action == ACTION_TEST) {
		log_pipe_print(&p->log);	/* there is no other log */
		startup_refuse(s, "%s %s", role_name(p->role), how);
	} else if (s->phase == PHASE_STARTING && p->backoff.failures >= STARTUP_FAILURES)
		supervisor_give_up(s, "%s %u died %d times before it was ready, the last time it %s",
		    role_name(p->role), p->slot, STARTUP_FAILURES, how);
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

/* Enter all that shall run into the table. 0 or -ENOMEM. */
static int
startup_table(struct supervisor *s)
{
	unsigned i;

	if (s->settings.tls_asked && processes_add(s, ROLE_SIGNER, 0) == NULL)
		return -ENOMEM;
	for (i = 0; i < s->workers; i++)
		if (processes_add(s, ROLE_WORKER, i) == NULL)
			return -ENOMEM;
	if (processes_add(s, ROLE_SYSTEM, 0) == NULL)
		return -ENOMEM;
	if (s->settings.auth_asked && processes_add(s, ROLE_AUTH, 0) == NULL)
		return -ENOMEM;
	if (s->settings.http && processes_add(s, ROLE_MONITOR, 0) == NULL)
		return -ENOMEM;
	return 0;
}

/* The signer first: certificates that have not their keys reach nobody else. */
static void
startup_start(struct supervisor *s)
{
	bool signer = keys_awaited(s);
	struct process *p;

	PROCESSES_EACH(&s->processes, p)
		if (p->state == PROCESS_IDLE && p->wanted && s->phase == PHASE_STARTING &&
		    (!signer || p->role == ROLE_SIGNER))
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
	rc = control_open(s, error, size);
	if (rc != 0)
		return rc;
	http = listener_first(&s->listeners, true);
	if (http != NULL)
		log_info("Starting http monitor on %s", listener_text(http, text, sizeof(text)));
	snprintf(error, size, "no memory to start with");
	rc = reload_complete(s, &s->listeners, s->digest, &s->settings);
	if (rc == 0)
		rc = documents_write(&s->documents, &s->settings);
	if (rc == 0)
		rc = placement_init(s, s->workers);
	if (rc == 0)
		rc = startup_table(s);
	if (rc == 0)
		rc = fabric_init(s);
	return rc;
}

/* Our settings are known. */
static void
startup_run(struct supervisor *s)
{
	char error[4608];
	int rc;

	s->workers = s->settings.workers != 0 ? (unsigned)s->settings.workers : placement_workers();
	log_levels(s->settings.debug, s->settings.trace);
	log_burst(s->settings.log_burst);
	rc = identities_find(&s->identities, &s->settings, error, sizeof(error));
	if (rc == 0)
		rc = sandboxes_suffice(s, error, sizeof(error));
	if (rc == 0)
		rc = logging_open(s, error, sizeof(error));
	if (rc == 0) {
		snprintf(error, sizeof(error), "no memory to start with");
		rc = startup_identify(s);
	}
	if (rc == 0)
		rc = documents_write(&s->documents, &s->settings);	/* the log's; ports come later */
	if (rc != 0) {
		startup_refuse(s, "%s", error);
		return;
	}
	s->phase = PHASE_STARTING;
	tickets_update(s, s->settings.tls_asked ? s->settings.tls_ticket_lifetime : 0);
#ifndef SANITIZED		/* the search for leaks, at our end, would wait for a tracer that the filter ends */
	s->layers = sandbox_enter_supervisor(sandboxes_mode(&s->settings));
#endif
	rc = logging_start(s);
	if (rc == 0) {
		startup_banner(s);
		if (s->identities.all.given && geteuid() != 0 && geteuid() != s->identities.all.uid)
			log_warn("user: only root can change it; all processes run as user %u",
			    (unsigned)geteuid());
		rc = startup_prepare(s, error, sizeof(error));
	}
	if (rc != 0)
		supervisor_give_up(s, "%s", error);
	else
		startup_start(s);
}

/* ---- -t */

static void
startup_valid(struct supervisor *s)
{
	fprintf(stderr, "nats-server: configuration file %s is valid (%s)\n", s->options.config,
	    s->digest);
	s->quiet = true;
	supervisor_stop(s, EXIT_SUCCESS);
}

/* Only the signer knows whether the keys are good. */
static void
startup_test(struct supervisor *s)
{
	char error[4608];

	if (!s->settings.tls_asked) {
		startup_valid(s);
		return;
	}
	if (identities_find(&s->identities, &s->settings, error, sizeof(error)) != 0) {
		startup_refuse(s, "%s", error);
		return;
	}
	if (documents_write(&s->documents, &s->settings) != 0 ||
	    processes_add(s, ROLE_SIGNER, 0) == NULL) {
		startup_refuse(s, "no memory to look at the keys");
		return;
	}
	s->phase = PHASE_STARTING;
	startup_start(s);
}

/* ---- keys */

void
startup_keys_loaded(struct supervisor *s)
{
	if (s->phase != PHASE_STARTING)
		return;
	if (s->options.action == ACTION_TEST) {
		startup_valid(s);
		return;
	}
	startup_start(s);
	startup_served_if_ready(s);
}

void
startup_keys_refused(struct process *signer, struct bytes why)
{
	struct supervisor *s = signer->supervisor;

	if (s->phase != PHASE_STARTING)
		process_kill(signer, "it cannot load its keys: %.*s", (int)why.len, why.data);
	else if (s->options.action == ACTION_TEST)
		startup_refuse(s, "%.*s", (int)why.len, why.data);
	else
		supervisor_give_up(s, "%.*s", (int)why.len, why.data);
}

static void
startup_configured(struct supervisor *s, struct configured *c)
{
	char error[9216];

	snprintf(s->digest, sizeof(s->digest), "%s", c->digest);
	if (c->errors.len > 0) {
		startup_misconfigured(s, c->errors);
	} else if (s->options.action == ACTION_PRINT) {
		startup_print(s, c->printed);
	} else if (startup_document(s, c) != 0) {
		startup_refuse(s, "the settings cannot be read");
	} else if (startup_tls(s, c, error, sizeof(error)) != 0) {
		startup_refuse(s, "%s", error);
	} else if (s->options.action == ACTION_TEST) {
		startup_test(s);
	} else {
		startup_run(s);
	}
}

/* Is everything up that was started? */
static bool
startup_complete(struct supervisor *s)
{
	struct process *p;

	PROCESSES_EACH(&s->processes, p)
		if (p->wanted && p->role != ROLE_CONFIG && p->state != PROCESS_READY)
			return false;
	return !keys_awaited(s) && fabric_serves(&s->fabric);
}

/* As the real server says it. */
static void
startup_tell_tls(const struct supervisor *s)
{
	if (!s->tls.clients)
		return;
	if (s->settings.allow_non_tls && !s->tls.first_only)
		log_info("TLS available for client connections");
	else
		log_info("TLS required for client connections");
	if (s->tls.first_only)
		log_warn("Clients that are not using \"TLS Handshake First\" option will fail to connect");
}

void
startup_served_if_ready(struct supervisor *s)
{
	char error[4608], text[320];
	size_t i;

	if (s->phase != PHASE_STARTING || !startup_complete(s))
		return;
	/* who waits for the file connects at once; that is taken when the doors open below */
	if (files_write_ports(s, error, sizeof(error)) != 0) {
		supervisor_give_up(s, "%s", error);
		return;
	}
	s->phase = PHASE_SERVING;
	for (i = 0; i < s->listeners.count; i++)
		if (!s->listeners.items[i]->http)
			log_info("Listening for client connections on %s",
			    listener_text(s->listeners.items[i], text, sizeof(text)));
	startup_tell_tls(s);
	sandboxes_tell(s);
	log_info("Server is ready");
	listeners_update(s);
	watch_update(s);
	reload_serving(s);
}

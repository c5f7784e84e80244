#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/configuring.h"
#include "supervisor/errors.h"
#include "supervisor/lookup.h"
#include "supervisor/paths.h"
#include "supervisor/supervisor.h"

#define FILES_MAX	4096	/* as many as `include` can name */

/* One question at a time, and what it led to so far. */
struct configuring {
	bool		  running;
	bool		  waiting;	/* for the end of the process that answered the last one */
	bool		  print;
	int		  file;		/* that of -c; -1: it was handed over */
	configured_call	 *done;
	struct configured result;
	char		**paths;	/* of the files handed over; by number, 0 is that of -c */
	size_t		  count, room;
	char		  error[4608];
};

__attribute__((format(printf, 3, 4)))
static int
fail(struct configuring *c, int rc, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(c->error, sizeof(c->error), format, ap);
	va_end(ap);
	return rc;
}

/*
 * A regular file, to read; stream: or a pipe or device, which the config
 * process waits for and we do not. Its descriptor, or -errno with a sentence.
 */
static int
file_open(struct configuring *c, const char *path, bool stream)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	int rc;

	if (fd == -1) {
		rc = -errno;
		return fail(c, rc, "open %s: %s", path, error_text(-rc));
	}
	if (fstat(fd, &st) == -1)
		st.st_mode = 0;
	if (S_ISREG(st.st_mode))
		return fd;
	if (stream && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) &&
	    fcntl(fd, F_SETFL, O_RDONLY) == 0)
		return fd;
	rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	close(fd);
	return fail(c, rc, "open %s: %s", path,
	    rc == -EISDIR ? error_text(EISDIR) : "not a regular file");
}

/* Remember a file's path, and the number under which others may stand in it. 0 or -errno. */
static int
path_add(struct configuring *c, const char *path)
{
	size_t room = c->room == 0 ? 16 : c->room * 2;
	char **grown;

	if (c->count > FILES_MAX)
		return fail(c, -EMFILE, "more than %d files are included", FILES_MAX);
	if (c->count == c->room) {
		grown = reallocarray(c->paths, room, sizeof(*grown));
		if (grown == NULL)
			return fail(c, -ENOMEM, "no memory for another file");
		c->paths = grown;
		c->room = room;
	}
	c->paths[c->count] = strdup(path);
	if (c->paths[c->count] == NULL)
		return fail(c, -ENOMEM, "no memory for another file");
	c->count++;
	return 0;
}

static void
question_clear(struct configuring *c)
{
	if (c->file != -1)
		close(c->file);
	c->file = -1;
	while (c->count > 0)
		free(c->paths[--c->count]);
	c->running = c->waiting = false;
}

static void
result_init(struct configured *result)
{
	memset(result, 0, sizeof(*result));
	result->printed = result->tls_files = -1;
	documents_init(&result->documents);
}

static void
result_close(struct configured *result)
{
	documents_close(&result->documents);
	if (result->printed != -1)
		close(result->printed);
	if (result->tls_files != -1)
		close(result->tls_files);
	result_init(result);
}

/* The question is over; whoever asked may ask the next one. */
static void
question_end(struct supervisor *s, struct bytes errors)
{
	struct configuring *c = s->configuring;
	struct configured result = c->result;

	question_clear(c);
	result_init(&c->result);
	result.errors = errors;
	if (s->phase != PHASE_STOPPING)
		c->done(s, &result);
	result_close(&result);
}

/* Its entry in the table; the first time a new one. */
static struct process *
config_process(struct supervisor *s)
{
	struct process *p = process_find(&s->processes, ROLE_CONFIG, 0);

	if (s->documents.settings[ROLE_CONFIG] == -1)
		s->documents.settings[ROLE_CONFIG] = settings_write(&s->settings, ROLE_CONFIG);
	if (s->documents.settings[ROLE_CONFIG] < 0) {
		s->documents.settings[ROLE_CONFIG] = -1;
		return NULL;
	}
	if (p == NULL)
		p = processes_add(s, ROLE_CONFIG, 0);
	if (p != NULL)
		p->wanted = false;	/* it ends when it has answered */
	return p;
}

static int
question_open(struct supervisor *s, const char **why)
{
	struct configuring *c = s->configuring;
	const char *path = s->options.config;
	int rc;

	*why = c->error;
	if (path != NULL)
		c->file = file_open(c, path, true);
	else if ((c->file = open("/dev/null", O_RDONLY | O_CLOEXEC)) == -1)
		c->file = fail(c, -errno, "open /dev/null: %s", error_text(errno));
	rc = c->file;
	if (rc < 0)
		c->file = -1;
	else
		rc = path_add(c, path == NULL ? "" : path);
	if (rc != 0)
		question_clear(c);
	return rc;
}

/* Ours, made at the first question; NULL: no memory. */
static struct configuring *
configuring_of(struct supervisor *s)
{
	struct configuring *c = s->configuring;

	if (c != NULL)
		return c;
	c = s->configuring = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->file = -1;
	result_init(&c->result);
	return c;
}

int
configuring_start(struct supervisor *s, bool print, configured_call *done, const char **why)
{
	struct configuring *c = configuring_of(s);
	struct process *p;
	int rc;

	if (c != NULL && c->running) {
		*why = "the configuration is being read already";
		return -EBUSY;
	}
	*why = "no memory to read the configuration";
	p = c == NULL ? NULL : config_process(s);
	if (p == NULL)
		return -ENOMEM;
	rc = question_open(s, why);
	if (rc != 0)
		return rc;
	c->running = true;
	c->print = print;
	c->done = done;
	c->waiting = process_lives(p);
	if (c->waiting)
		process_kill(p, "it has answered");
	else
		process_start(p);
	return 0;
}

void
configuring_free(struct supervisor *s)
{
	struct configuring *c = s->configuring;

	if (c == NULL)
		return;
	question_clear(c);
	result_close(&c->result);
	free(c->paths);
	free(c);
	s->configuring = NULL;
}

/* The flags, with the numbers that accounts have so far. The descriptor or -errno. */
static int
flags_write(const struct supervisor *s)
{
	struct settings flags = s->options.flags;	/* shares what it points to */

	flags.account_numbers = s->settings.account_numbers;
	flags.has_account_numbers = flags.account_numbers.count > 0;
	return settings_write(&flags, ROLE_SUPERVISOR);
}

/* What it works on: the file, and the flags over it. */
static int
configure(struct process *p)
{
	struct supervisor *s = p->supervisor;
	struct configuring *c = s->configuring;
	struct msg m = { .type = MSG_configure, .u.configure = {
	    .path = bytes_of(c->paths[0]), .print = c->print,
	    .strict = s->options.action == ACTION_TEST } };
	int fds[2];

	if (c->file == -1)
		return -EBADMSG;
	fds[0] = c->file;
	fds[1] = flags_write(s);
	if (fds[1] < 0) {
		process_kill(p, "the flags could not be written: %s", error_text(-fds[1]));
		return 0;
	}
	process_send(p, &m, fds);
	close(fds[0]);
	close(fds[1]);
	c->file = -1;
	return 0;
}

/* Open one file and hand it over. 0 or -errno with a sentence. */
static int
file_hand_over(struct process *p, const char *path)
{
	struct configuring *c = p->supervisor->configuring;
	struct msg m = { .type = MSG_included, .u.included = {
	    .number = c->count, .path = bytes_of(path) } };
	int fd = file_open(c, path, false), rc;

	if (fd < 0)
		return fd;
	rc = path_add(c, path);
	if (rc == 0)
		process_send(p, &m, &fd);
	close(fd);
	return rc;
}

/* A folder that is not there has no files; one that cannot be read may have some. */
static int
folder_failed(const char *path, int error)
{
	return error != ENOENT && error != ENOTDIR;
}

/* All files that match, in the order of their names; there may be none. */
static int
pattern_hand_over(struct process *p, const char *path)
{
	struct configuring *c = p->supervisor->configuring;
	char pattern[2 * PATH_TEXT];
	glob_t found;
	size_t i;
	int rc;

	if (path_pattern(path, pattern, sizeof(pattern)) != 0)
		return fail(c, -ENAMETOOLONG, "open %s: %s", path, error_text(ENAMETOOLONG));
	rc = glob(pattern, 0, folder_failed, &found);
	if (rc == GLOB_NOMATCH)
		return 0;
	if (rc == GLOB_NOSPACE)
		return fail(c, -ENOMEM, "no memory for the files of %s", path);
	if (rc != 0)
		return fail(c, -EIO, "%s: the folder cannot be read", path);
	for (i = 0; i < found.gl_pathc && rc == 0; i++)
		rc = file_hand_over(p, found.gl_pathv[i]);
	globfree(&found);
	return rc;
}

static int
include(struct process *p, const struct msg_include *m)
{
	struct configuring *c = p->supervisor->configuring;
	struct msg end = { .type = MSG_include_end };
	char path[PATH_TEXT];
	int rc;

	if (m->parent >= c->count)
		return -EBADMSG;
	rc = path_beside(c->paths[m->parent], m->path, path, sizeof(path));
	if (rc != 0)
		fail(c, rc, "open %.*s: %s", (int)m->path.len, m->path.data, error_text(-rc));
	else
		rc = file_hand_over(p, path);
	if (rc == -ENOENT && path_is_pattern(path))
		rc = pattern_hand_over(p, path);
	if (rc != 0)
		c->error[511] = '\0';	/* what the message can carry */
	end.u.include_end.error = bytes_of(rc == 0 ? "" : c->error);
	process_send(p, &end, NULL);
	return 0;
}

/* This one variable, and nothing else of the environment. */
static int
environment(struct process *p, struct bytes name)
{
	struct msg m = { .type = MSG_environment_is };
	char text[1025];
	const char *value;

	snprintf(text, sizeof(text), "%.*s", (int)name.len, name.data);
	value = strchr(text, '=') == NULL ? getenv(text) : NULL;
	m.u.environment_is.found = value != NULL;
	m.u.environment_is.value = bytes_of(value == NULL ? "" : value);
	if (m.u.environment_is.value.len > 32768)
		process_kill(p, "the variable %.100s of the environment has more than 32 KiB", text);
	else
		process_send(p, &m, NULL);
	return 0;
}

/* The number of this one user or group. */
static int
identity(struct process *p, const struct msg_identity *m)
{
	struct msg is = { .type = MSG_identity_is };
	char name[256];
	uint32_t number;
	int rc;

	snprintf(name, sizeof(name), "%.*s", (int)m->name.len, m->name.data);
	rc = lookup_identity(&number, name, m->group != 0,
	    p->supervisor->phase == PHASE_CONFIGURING ? LOOKUP_STARTING : LOOKUP_SERVING);
	if (rc != 0 && rc != -ENOENT) {
		process_kill(p, "nobody says what %s \"%s\" is: %s", m->group != 0 ? "group" : "user",
		    name, error_text(-rc));
		return 0;
	}
	is.u.identity_is.number = rc == 0 ? number : NO_PEER;
	process_send(p, &is, NULL);
	return 0;
}

static int
document(struct configuring *c, uint64_t role, const int *fds)
{
	if (role >= ROLES || c->result.documents.settings[role] != -1) {
		close(fds[0]);
		close(fds[1]);
		return -EBADMSG;
	}
	c->result.documents.settings[role] = fds[0];
	c->result.documents.accounts[role] = fds[1];
	return 0;
}

static int
tls_files(struct configuring *c, int fd)
{
	if (c->result.tls_files != -1) {
		close(fd);
		return -EBADMSG;
	}
	c->result.tls_files = fd;
	return 0;
}

static int
configured(struct process *p, struct bytes digest)
{
	struct configuring *c = p->supervisor->configuring;
	enum role role;

	for (role = 0; role < ROLES; role++)
		if (role != ROLE_CONFIG && c->result.documents.settings[role] == -1)
			return -EBADMSG;
	snprintf(c->result.digest, sizeof(c->result.digest), "%.*s", (int)digest.len, digest.data);
	process_shutdown(p);
	question_end(p->supervisor, BYTES(""));
	return 0;
}

static int
printed(struct process *p, int fd)
{
	struct configuring *c = p->supervisor->configuring;

	if (!c->print) {
		close(fd);
		return -EBADMSG;
	}
	c->result.printed = fd;
	process_shutdown(p);
	question_end(p->supervisor, BYTES(""));
	return 0;
}

/* Nobody asked: it was too slow, or we are ending. */
static int
unasked(struct process *p, const struct msg *m, const int *fds)
{
	int i;

	for (i = 0; i < msg_descriptors(m->type); i++)
		close(fds[i]);
	return p->state == PROCESS_ENDING || p->supervisor->phase == PHASE_STOPPING ? 0 : -EBADMSG;
}

int
configuring_receive(struct process *p, const struct msg *m, const int *fds)
{
	struct configuring *c = p->supervisor->configuring;

	if (p->role != ROLE_CONFIG || c == NULL || !c->running || c->waiting ||
	    p->state == PROCESS_ENDING)
		return unasked(p, m, fds);
	switch (m->type) {
	case MSG_ready:
		return configure(p);
	case MSG_include:
		return include(p, &m->u.include);
	case MSG_environment:
		return environment(p, m->u.environment.name);
	case MSG_identity:
		return identity(p, &m->u.identity);
	case MSG_document:
		return document(c, m->u.document.role, fds);
	case MSG_printed:
		return printed(p, fds[0]);
	case MSG_tls_files:
		return tls_files(c, fds[0]);
	case MSG_configured:
		return configured(p, m->u.configured.digest);
	case MSG_misconfigured:
		process_shutdown(p);
		question_end(p->supervisor, m->u.misconfigured.error);
		return 0;
	default:
		return -EBADMSG;
	}
}

void
configuring_failed(struct process *p, const char *how)
{
	struct supervisor *s = p->supervisor;
	struct configuring *c = s->configuring;
	char text[512];
	int n;

	if (c == NULL || !c->running)
		return;
	if (c->waiting) {
		c->waiting = false;
		if (s->phase != PHASE_STOPPING)
			process_start(p);
		return;
	}
	if (s->phase == PHASE_CONFIGURING)	/* there is no log yet that shows what it said */
		log_pipe_print(&p->log);
	n = snprintf(text, sizeof(text), "%s (process %d) %s", role_name(p->role), (int)p->pid, how);
	question_end(s, (struct bytes){ text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1 });
}

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/command.h"
#include "supervisor/errors.h"

static const struct { const char *name; int number; } commands[] = {
	{ "stop", SIGKILL }, { "quit", SIGINT }, { "term", SIGTERM },
	{ "reopen", SIGUSR1 }, { "reload", SIGHUP }, { "ldm", SIGUSR2 },
};

struct pids { pid_t *items; size_t count; };

int
command_number(const char *name, size_t len, int *number)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strlen(commands[i].name) == len && strncmp(commands[i].name, name, len) == 0) {
			*number = commands[i].number;
			return 0;
		}
	return -EINVAL;
}

/* Up to size - 1 bytes of a small file, without the white space at its end. 0 or -errno. */
static int
file_read(const char *path, char *text, size_t size)
{
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return -errno;
	n = read(fd, text, size - 1);
	close(fd);
	if (n == -1)
		return -errno;
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		n--;
	text[n] = '\0';
	return 0;
}

/* A number above 0 and nothing else, or -1. */
static pid_t
pid_parse(const char *text)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	return errno != 0 || end == text || *end != '\0' || n <= 0 || n > INT_MAX ? -1 : (pid_t)n;
}

/* The name of a process that lives, at most 15 characters, and its parent. 0 or -errno. */
static int
pid_name(pid_t pid, char *name, size_t size, pid_t *parent)
{
	char path[64], text[256], *begin, *end;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	rc = file_read(path, text, sizeof(text));
	if (rc != 0)
		return rc;
	begin = strchr(text, '(');
	end = strrchr(text, ')');
	if (begin == NULL || end == NULL || end[1] != ' ' || strchr("ZX", end[2]) != NULL)
		return -ESRCH;
	*end = '\0';
	strlcpy(name, begin + 1, size);
	*parent = (pid_t)strtol(end + 3, NULL, 10);
	return 0;
}

/*
 * Has a the arguments of its parent b? A child of a server has, and its name,
 * until it has one of its own. (The link to the program is for root's eyes only.)
 */
static bool
pids_are_twins(pid_t a, pid_t b)
{
	char path[64], text[2][1024] = { "", "" };

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)a);
	if (file_read(path, text[0], sizeof(text[0])) != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)b);
	return file_read(path, text[1], sizeof(text[1])) == 0 &&
	    memcmp(text[0], text[1], sizeof(text[0])) == 0;
}

static bool
name_is_server(const char *name)
{
	static const char *const names[] = { "nats-server", "bulkhead", "gnatsd" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, getprogname(), 15) == 0;
}

/* Is this process a server, and does its number begin so? */
static bool
pid_matches(const char *entry, const char *begin)
{
	pid_t pid = pid_parse(entry), parent;
	char name[32];

	return pid != -1 && pid != getpid() && strncmp(entry, begin, strlen(begin)) == 0 &&
	    pid_name(pid, name, sizeof(name), &parent) == 0 && name_is_server(name) &&
	    !pids_are_twins(pid, parent);
}

/* All running servers. 0 or -errno. */
static int
pids_find(struct pids *pids, const char *begin)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	pid_t *items;
	int rc = 0;

	if (proc == NULL)
		return -errno;
	while (rc == 0 && (e = readdir(proc)) != NULL) {
		if (!pid_matches(e->d_name, begin))
			continue;
		items = reallocarray(pids->items, pids->count + 1, sizeof(*items));
		if (items == NULL) {
			rc = -ENOMEM;
			continue;
		}
		pids->items = items;
		items[pids->count++] = pid_parse(e->d_name);
	}
	closedir(proc);
	return rc;
}

static int
fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", getprogname(), what);
	return EXIT_FAILURE;
}

static int
pids_signal(const struct pids *pids, const char *command, int number)
{
	char text[128];
	int status = EXIT_SUCCESS;
	size_t i;

	for (i = 0; i < pids->count; i++) {
		if (kill(pids->items[i], number) == 0)
			continue;
		snprintf(text, sizeof(text), "signal \"%s\" %d: %s", command,
		    (int)pids->items[i], error_text(errno));
		status = fail(text);
	}
	return status;
}

/* The one process of a number, or of a file with its number. NULL: found; or a sentence. */
static const char *
pids_given(struct pids *pids, const char *which, char *text, size_t size)
{
	pid_t pid = pid_parse(which), parent;
	bool file = pid == -1;
	char content[64], name[32];

	if (file && file_read(which, content, sizeof(content)) == 0)
		pid = pid_parse(content);
	if (pid == -1) {
		snprintf(text, size, "invalid pid: %s", which);
		return text;
	}
	/* a server that was killed leaves its file, and its number goes to somebody else */
	if (file && pid_name(pid, name, sizeof(name), &parent) == 0 && !name_is_server(name)) {
		snprintf(text, size, "%s is stale: process %d is %s, not a server", which,
		    (int)pid, name);
		return text;
	}
	pids->items = malloc(sizeof(pid));
	if (pids->items == NULL)
		return "no memory";
	pids->items[pids->count++] = pid;
	return NULL;
}

/* Those that `which` stands for; NULL: the only one. NULL: found; or a sentence. */
static const char *
pids_resolve(struct pids *pids, const char *which, char *text, size_t size)
{
	size_t len = which == NULL ? 0 : strlen(which), i, at;
	bool glob = len > 0 && which[len - 1] == '*';
	char begin[32] = "";

	if (len > 0 && !glob)
		return pids_given(pids, which, text, size);
	if (glob && (strspn(which, "0123456789") != len - 1 || len > sizeof(begin))) {
		snprintf(text, size, "invalid pid: %.*s", (int)(len - 1), which);
		return text;
	}
	if (glob)
		snprintf(begin, sizeof(begin), "%.*s", (int)(len - 1), which);
	if (pids_find(pids, begin) != 0)
		return "unable to resolve pid, try providing one";
	if (pids->count == 0)
		return "no nats-server processes running";
	if (pids->count == 1 || glob)
		return NULL;
	at = (size_t)snprintf(text, size, "multiple nats-server processes running:");
	for (i = 0; i < pids->count && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, "\n%d", (int)pids->items[i]);
	return text;
}

int
command_signal(const char *text)
{
	size_t len = strcspn(text, "=");
	struct pids pids = { NULL, 0 };
	char sentence[4096], command[32];
	const char *which, *why;
	int number, status;

	if (command_number(text, len, &number) != 0) {
		snprintf(sentence, sizeof(sentence), "unknown signal \"%.*s\"", (int)len, text);
		return fail(sentence);
	}
	snprintf(command, sizeof(command), "%.*s", (int)len, text);
	which = text[len] == '=' ? text + len + 1 : NULL;
	if (which != NULL && strchr(which, '=') != NULL) {
		snprintf(sentence, sizeof(sentence), "invalid signal parameters: [%s]",
		    strchr(which, '=') + 1);
		return fail(sentence);
	}
	why = pids_resolve(&pids, which, sentence, sizeof(sentence));
	status = why != NULL ? fail(why) : pids_signal(&pids, command, number);
	free(pids.items);
	return status;
}

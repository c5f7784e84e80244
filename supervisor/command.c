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

/* Is this process a server, and does its number begin so? */
static bool
pid_matches(const char *entry, const char *begin)
{
	char path[64], comm[64];

	if (pid_parse(entry) == -1 || pid_parse(entry) == getpid() ||
	    strncmp(entry, begin, strlen(begin)) != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%.20s/comm", entry);
	return file_read(path, comm, sizeof(comm)) == 0 &&
	    (strcmp(comm, "nats-server") == 0 || strcmp(comm, "bulkhead") == 0 ||
	    strncmp(comm, getprogname(), 15) == 0);
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

/* Those that `which` stands for. NULL: found; or a sentence. */
static const char *
pids_resolve(struct pids *pids, const char *which, char *text, size_t size)
{
	size_t len = which == NULL ? 0 : strlen(which), i, at;
	bool glob = len > 0 && which[len - 1] == '*';
	char begin[32] = "", content[64];
	pid_t pid;

	if (len > 0 && !glob) {
		pid = pid_parse(which);
		if (pid == -1 && file_read(which, content, sizeof(content)) == 0)
			pid = pid_parse(content);
		if (pid == -1) {
			snprintf(text, size, "invalid pid: %s", which);
			return text;
		}
		pids->items = malloc(sizeof(pid));
		if (pids->items == NULL)
			return "no memory";
		pids->items[pids->count++] = pid;
		return NULL;
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
	const char *why;
	int number, status;

	if (command_number(text, len, &number) != 0) {
		snprintf(sentence, sizeof(sentence), "unknown signal \"%.*s\"", (int)len, text);
		return fail(sentence);
	}
	snprintf(command, sizeof(command), "%.*s", (int)len, text);
	why = pids_resolve(&pids, text[len] == '=' ? text + len + 1 : NULL,
	    sentence, sizeof(sentence));
	status = why != NULL ? fail(why) : pids_signal(&pids, command, number);
	free(pids.items);
	return status;
}

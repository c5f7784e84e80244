#include <sys/prctl.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/child.h"
#include "common/process.h"
#include "supervisor/errors.h"
#include "supervisor/programs.h"

#define PROGRAMS_LEAST	10	/* descriptors above what a child is given */

/* ../libexec/bulkhead beside the folder of this executable. */
static int
programs_beside(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	int i;

	if (n == -1)
		return -errno;
	path[n] = '\0';
	for (i = 0; i < 2; i++) {
		char *slash = strrchr(path, '/');
		if (slash == NULL)
			return -ENOENT;
		*slash = '\0';
	}
	return strlcat(path, "/libexec/bulkhead", PATH_MAX) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int
program_open(const char *folder, enum role role)
{
	char path[PATH_MAX];
	int fd, high;

	if (snprintf(path, sizeof(path), "%s/bulkhead-%s", folder, role_name(role)) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	high = fcntl(fd, F_DUPFD_CLOEXEC, PROGRAMS_LEAST);
	if (high == -1)
		high = -errno;
	close(fd);
	return high;
}

int
programs_open(int programs[ROLES], char *error, size_t size)
{
	char beside[PATH_MAX], probe[PATH_MAX];
	const char *folder = LIBEXECDIR;
	enum role role;

	if (programs_beside(beside) == 0 &&
	    snprintf(probe, sizeof(probe), "%s/bulkhead-worker", beside) < (int)sizeof(probe) &&
	    access(probe, X_OK) == 0)
		folder = beside;
	programs[ROLE_SUPERVISOR] = -1;
	for (role = ROLE_SUPERVISOR + 1; role < ROLES; role++) {
		programs[role] = program_open(folder, role);
		if (programs[role] < 0) {
			snprintf(error, size, "cannot open %s/bulkhead-%s: %s",
			    folder, role_name(role), error_text(-programs[role]));
			return programs[role];
		}
	}
	return 0;
}

/* "NAME=value" for what the child may learn of our environment. */
static size_t
program_environment(char *environment[], size_t most, enum role role)
{
	static const char *const names[] = {
#ifdef SANITIZED
		"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
#endif
		"TZ",		/* the log's time stamps are local time; must stay last */
	};
	size_t i, n = 0, count = sizeof(names) / sizeof(names[0]);

	for (i = 0; i < count && n + 1 < most; i++) {
		const char *value = getenv(names[i]);
		if (value == NULL || (i + 1 == count && role != ROLE_LOG))
			continue;
		if (asprintf(&environment[n], "%s=%s", names[i], value) != -1)
			n++;
	}
	environment[n] = NULL;
	return n;
}

/*
 * In the new process, signals blocked. A signal's handler of ours must never
 * run here: it would write to the descriptors of our event loop.
 */
static _Noreturn void
program_exec(int program, const char *name, char *const environment[], int channel, pid_t parent)
{
	char *const argv[] = { (char *)(uintptr_t)name, NULL };
	sigset_t none;
	int i, null;

	prctl(PR_SET_NAME, name, 0, 0, 0);	/* who looks for a server must not find us */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* From a pid namespace of its own it cannot be seen: there the channel tells. */
	if (getppid() != parent && !process_is_first())
		_exit(EXIT_FAILURE);
	for (i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal(i, SIG_DFL);
	/* what a terminal sends to the whole group is for the supervisor */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null != -1) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (channel == CHILD_CHANNEL)
		fcntl(channel, F_SETFD, 0);
	else if (dup2(channel, CHILD_CHANNEL) == -1)
		_exit(EXIT_FAILURE);
	if (close_range(CHILD_CHANNEL + 1, ~0u, CLOSE_RANGE_CLOEXEC) == -1)
		_exit(EXIT_FAILURE);
	execveat(program, "", argv, environment, AT_EMPTY_PATH);
	_exit(EXIT_FAILURE);
}

int
program_start(int program, enum role role, bool apart, int channel, pid_t *pid)
{
	char name[64], *environment[8];
	sigset_t all, before;
	pid_t parent = getpid();
	size_t i, n;
	int rc = 0;

	snprintf(name, sizeof(name), "bulkhead-%s", role_name(role));
	n = program_environment(environment, sizeof(environment) / sizeof(environment[0]), role);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	*pid = process_fork(apart);
	if (*pid == 0)
		program_exec(program, name, environment, channel, parent);
	if (*pid == -1)
		rc = -errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	for (i = 0; i < n; i++)
		free(environment[i]);
	return rc;
}

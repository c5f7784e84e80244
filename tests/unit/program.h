#ifndef UNIT_PROGRAM_H
#define UNIT_PROGRAM_H
/*
 * A built program, started as the supervisor starts it: its channel at
 * descriptor 3, `start` sent, `ready` awaited, in its sandbox.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <check.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "common/channel.h"
#include "common/child.h"
#include "common/records.h"
#include "common/settings.h"

#define PROGRAM_WAIT	50.0	/* seconds for an answer, under a sanitizer too */
#define PROGRAM_UID	64990

struct program {
	pid_t		 pid;
	struct channel	 channel;	/* the supervisor's end */
	int		 log;		/* the log's end of its log channel */
	bool		 gone;
};

/* Where the Makefile puts it, from where this test is: BUILD/unit/FOLDER/NAME. */
static inline void
program_path(char path[PATH_MAX], const char *name)
{
	char	self[PATH_MAX], *end;
	ssize_t	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int	i;

	ck_assert_int_gt(n, 0);
	self[n] = '\0';
	for (i = 0; i < 3; i++) {
		end = strrchr(self, '/');
		ck_assert_ptr_nonnull(end);
		*end = '\0';
	}
	ck_assert_int_lt(snprintf(path, PATH_MAX, "%.3000s/libexec/bulkhead/bulkhead-%s", self, name), PATH_MAX);
	ck_assert_msg(access(path, X_OK) == 0, "%s is not built: make all first", path);
}

/* Its channel closed: what a program does that ends. */
static inline void
program_broken(struct channel *ch, int error, const char *why)
{
	((struct program *)ch->owner)->gone = true;
}

static inline void
program_exec(const char *path, int fd)
{
	static char	*environment[] = { (char *)(uintptr_t)"ASAN_OPTIONS=detect_leaks=0", NULL };
	char		*argv[] = { (char *)(uintptr_t)path, NULL };

	if (fd == CHILD_CHANNEL)
		_exit(127);
	dup2(fd, CHILD_CHANNEL);
	closefrom(CHILD_CHANNEL + 1);
	execve(path, argv, environment);
	_exit(127);
}

/* Start the program of this role; `receive` gets what it says, also `ready`. accounts, tls: kept open. */
static inline void
program_start_documents(struct program *p, struct ev_loop *loop, enum role role,
    const struct settings *settings, int accounts, int tls, channel_receive *receive)
{
	struct msg	start = { .type = MSG_start, .u.start = { .incarnation = 1,
			    .uid = PROGRAM_UID, .gid = PROGRAM_UID, .own = 1, .sandbox = SANDBOX_BEST_EFFORT } };
	char		path[PATH_MAX];
	int		ends[2], logs[2], document;

	program_path(path, role_name(role));
	ck_assert_int_eq(channel_pair(ends), 0);
	ck_assert_int_eq(channel_pair(logs), 0);
	document = settings_write(settings, role);
	ck_assert_int_ge(document, 0);
	*p = (struct program){ .pid = fork(), .log = logs[0] };
	ck_assert_int_ge(p->pid, 0);
	if (p->pid == 0)
		program_exec(path, ends[1]);
	close(ends[1]);
	channel_open(&p->channel, loop, ends[0], ROLE_SUPERVISOR, role, receive, program_broken, p);
	ck_assert_int_eq(channel_send(&p->channel, &start, (int[]){ document, logs[1], accounts, tls }), 0);
	close(document);
	close(logs[1]);
	ck_assert_int_eq(channel_await(&p->channel, MSG_ready, PROGRAM_WAIT), 0);
	p->channel.state = MSG_READY;
}

/* The same without TLS. */
static inline void
program_start_with(struct program *p, struct ev_loop *loop, enum role role,
    const struct settings *settings, int accounts, channel_receive *receive)
{
	msgpack_sbuffer	nothing;
	int		tls;

	msgpack_sbuffer_init(&nothing);
	ck_assert_int_ge(tls = records_seal(&nothing), 0);
	program_start_documents(p, loop, role, settings, accounts, tls, receive);
	close(tls);
}

/* And without accounts. */
static inline void
program_start(struct program *p, struct ev_loop *loop, enum role role,
    const struct settings *settings, channel_receive *receive)
{
	msgpack_sbuffer	nothing;
	int		accounts;

	msgpack_sbuffer_init(&nothing);
	accounts = records_seal(&nothing);
	ck_assert_int_ge(accounts, 0);
	program_start_with(p, loop, role, settings, accounts, receive);
	close(accounts);
}

/* Let it end by itself, and see it end well and in time. */
static inline void
program_stop(struct program *p)
{
	const struct msg	shutdown_ = { .type = MSG_shutdown };
	struct pollfd		f = { .fd = p->channel.fd, .events = POLLIN };
	int			status;

	ck_assert_int_eq(channel_send(&p->channel, &shutdown_, NULL), 0);
	if (poll(&f, 1, (int)(PROGRAM_WAIT * 1000)) != 1)
		kill(p->pid, SIGKILL);
	ck_assert_int_eq(waitpid(p->pid, &status, 0), p->pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", (unsigned)status);
	channel_close(&p->channel);
	close(p->log);
}

static inline double
program_now(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* All the log text it has written so far, one line after the other, into out. */
static inline void
program_log(struct program *p, char *out, size_t size)
{
	char	line[MESSAGE_MAX];
	size_t	at = 0;
	ssize_t	n;

	while ((n = recv(p->log, line, sizeof(line), MSG_DONTWAIT)) > 0 && at + (size_t)n < size) {
		memcpy(out + at, line, (size_t)n);
		at += (size_t)n;
	}
	out[at] = '\0';
}

/* Voluntary context switches of the program: what it has slept and been woken. */
static inline long
program_wakeups(const struct program *p)
{
	char	 path[64], line[256];
	long	 n = -1;
	FILE	*f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)p->pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1)
			break;
	fclose(f);
	ck_assert_int_ge(n, 0);
	return n;
}
#endif

#include <sys/prctl.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/lookup.h"

/* For the address of a host, or for the number of a user or group. */
struct question {
	const char		*host, *port;
	const struct addrinfo	*hints;
	const char		*name;		/* of a user or group; NULL: it is about a host */
	bool			 group;
};

struct answer { int rc, error; struct lookup found; uint32_t number; };

static void
resolver_ask(struct answer *a, const struct question *q)
{
	struct addrinfo *list, *ai;

	*a = (struct answer){ .rc = getaddrinfo(q->host, q->port, q->hints, &list) };
	a->error = errno;
	if (a->rc != 0)
		return;
	for (ai = list; ai->ai_next != NULL && ai->ai_family != AF_INET; ai = ai->ai_next)
		;
	if (ai->ai_family != AF_INET)
		ai = list;
	memcpy(&a->found.addr, ai->ai_addr, ai->ai_addrlen);
	a->found.len = ai->ai_addrlen;
	freeaddrinfo(list);
}

static void
users_ask(struct answer *a, const struct question *q)
{
	const struct group *group = q->group ? getgrnam(q->name) : NULL;
	const struct passwd *user = q->group ? NULL : getpwnam(q->name);

	*a = (struct answer){ .rc = group == NULL && user == NULL ? EAI_NONAME : 0 };
	if (a->rc == 0)
		a->number = group != NULL ? group->gr_gid : user->pw_uid;
}

/* In the new process, signals blocked: their handlers write to the descriptors of our event loop. */
static _Noreturn void
asker_run(int fd, const struct question *q)
{
	struct answer a;

	prctl(PR_SET_NAME, "bulkhead-lookup", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (q->name != NULL)
		users_ask(&a, q);
	else
		resolver_ask(&a, q);
	_exit(write(fd, &a, sizeof(a)) == (ssize_t)sizeof(a) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Signals wait as we do. */
static void
asker_await(struct answer *a, pid_t pid, int fd, int patience)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, patience) != 1 || read(fd, a, sizeof(*a)) != (ssize_t)sizeof(*a))
		*a = (struct answer){ .rc = EAI_AGAIN };
	kill(pid, SIGKILL);		/* ours, not yet waited for: the pid is right */
	waitpid(pid, NULL, 0);
}

static void
asker_start(struct answer *a, const struct question *q, int patience)
{
	sigset_t all, before;
	int fds[2];
	pid_t pid;

	*a = (struct answer){ .rc = EAI_SYSTEM };
	if (pipe2(fds, O_CLOEXEC) == -1) {
		a->error = errno;
		return;
	}
	sigfillset(&all);
	sigdelset(&all, SIGSYS);	/* what the filter refuses returns an error only if this is not blocked */
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		asker_run(fds[1], q);
	a->error = errno;
	close(fds[1]);
	if (pid != -1)
		asker_await(a, pid, fds[0], patience);
	close(fds[0]);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int
lookup(struct lookup *found, const char *host, const char *port, const struct addrinfo *hints,
    int patience)
{
	struct addrinfo numeric = *hints;
	struct question q = { .host = host, .port = port, .hints = &numeric };
	struct answer a;

	numeric.ai_flags |= AI_NUMERICHOST;
	resolver_ask(&a, &q);
	q.hints = hints;
	if (a.rc == EAI_NONAME && host != NULL)
		asker_start(&a, &q, patience);
	if (a.rc == 0)
		*found = a.found;
	errno = a.error;
	return a.rc;
}

static bool
user_in_file(uint32_t *number, const char *name)
{
	FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *entry = NULL;

	while (file != NULL && (entry = fgetpwent(file)) != NULL && strcmp(entry->pw_name, name) != 0)
		;
	if (entry != NULL)
		*number = entry->pw_uid;
	if (file != NULL)
		fclose(file);
	return entry != NULL;
}

static bool
group_in_file(uint32_t *number, const char *name)
{
	FILE *file = fopen("/etc/group", "re");
	const struct group *entry = NULL;

	while (file != NULL && (entry = fgetgrent(file)) != NULL && strcmp(entry->gr_name, name) != 0)
		;
	if (entry != NULL)
		*number = entry->gr_gid;
	if (file != NULL)
		fclose(file);
	return entry != NULL;
}

/* In decimal and nothing else; the last one means "leave it" to the kernel. */
static bool
number_parse(uint32_t *number, const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > 10 || strspn(text, "0123456789") != len ||
	    strtoull(text, NULL, 10) >= UINT32_MAX)
		return false;
	*number = (uint32_t)strtoull(text, NULL, 10);
	return true;
}

int
lookup_identity(uint32_t *number, const char *name, bool group, int patience)
{
	struct question q = { .name = name, .group = group };
	struct answer a;

	if ((group ? group_in_file : user_in_file)(number, name) || number_parse(number, name))
		return 0;
	asker_start(&a, &q, patience);
	if (a.rc == 0)
		*number = a.number;
	return a.rc == 0 ? 0 : a.rc == EAI_NONAME ? -ENOENT : a.rc == EAI_SYSTEM ? -a.error : -EAGAIN;
}

#include <sys/prctl.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/lookup.h"

struct answer { int rc, error; struct lookup found; };

static void
resolver_ask(struct answer *a, const char *host, const char *port, const struct addrinfo *hints)
{
	struct addrinfo *list, *ai;

	*a = (struct answer){ .rc = getaddrinfo(host, port, hints, &list) };
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

/* In the new process, signals blocked: their handlers write to the descriptors of our event loop. */
static _Noreturn void
asker_run(int fd, const char *host, const char *port, const struct addrinfo *hints)
{
	struct answer a;

	prctl(PR_SET_NAME, "bulkhead-lookup", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	resolver_ask(&a, host, port, hints);
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
asker_start(struct answer *a, const char *host, const char *port, const struct addrinfo *hints,
    int patience)
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
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		asker_run(fds[1], host, port, hints);
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
	struct answer a;

	numeric.ai_flags |= AI_NUMERICHOST;
	resolver_ask(&a, host, port, &numeric);
	if (a.rc == EAI_NONAME && host != NULL)
		asker_start(&a, host, port, hints, patience);
	if (a.rc == 0)
		*found = a.found;
	errno = a.error;
	return a.rc;
}

/*
 * The probe's connection: made before the sandbox, read by the program's own
 * event loop. One packet is one request, its answer "ok" or an errno's name.
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include "shm/ring.h"
#include "tests/probe/layers.h"
#include "tests/probe/probe.h"

static bool	trying;		/* an attempt is under way: what is trapped is its answer */
struct probe	probe = { .fd = -1, .own = { .fd = -1 }, .peer = { .fd = -1 }, .directory = { .fd = -1 } };

/* -- descriptors that the program closes once it has mapped them */

int	__real_segment_map_own(struct segment *seg, int fd, size_t size);
int	__wrap_segment_map_own(struct segment *seg, int fd, size_t size);
int	__real_segment_map_peer(struct segment *seg, int fd, size_t size);
int	__wrap_segment_map_peer(struct segment *seg, int fd, size_t size);

static void
segment_keep(struct probe_segment *kept, int copy, int rc, const struct segment *seg)
{
	if (rc != 0 || probe.child == NULL) {
		close(copy);
		return;
	}
	if (kept->fd != -1)
		close(kept->fd);
	*kept = (struct probe_segment){ copy, seg->base, seg->size };
}

int
__wrap_segment_map_own(struct segment *seg, int fd, size_t size)
{
	const int	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	const int	rc = __real_segment_map_own(seg, fd, size);

	segment_keep(&probe.own, copy, rc, seg);
	return rc;
}

int
__wrap_segment_map_peer(struct segment *seg, int fd, size_t size)
{
	const int	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	const int	rc = __real_segment_map_peer(seg, fd, size);

	segment_keep(probe.directory.fd == -1 ? &probe.directory : &probe.peer, copy, rc, seg);
	return rc;
}

/* -- what the filter traps */

static void	(*program_trapped)(int signal, siginfo_t *info, void *context);
int		__real_sigaction(int signal, const struct sigaction *sa, struct sigaction *before);
int		__wrap_sigaction(int signal, const struct sigaction *sa, struct sigaction *before);

/* The call was not executed. Of an attempt that is the answer; the program's own end it as ever. */
static void
probe_trapped(int signal, siginfo_t *info, void *context)
{
	ucontext_t	*c = context;

	if (!trying) {
		program_trapped(signal, info, context);
		return;
	}
#if defined(__x86_64__)
	c->uc_mcontext.gregs[REG_RAX] = -PROBE_TRAPPED;
#elif defined(__aarch64__)
	c->uc_mcontext.regs[0] = (unsigned long long)-PROBE_TRAPPED;
#endif
}

/* With BULKHEAD_PROBE_SURVIVES the filter's handler tells instead of ending the process. */
int
__wrap_sigaction(int signal, const struct sigaction *sa, struct sigaction *before)
{
	struct sigaction	ours;

	if (signal != SIGSYS || sa == NULL || getenv("BULKHEAD_PROBE_SURVIVES") == NULL)
		return __real_sigaction(signal, sa, before);
	program_trapped = sa->sa_sigaction;
	ours = *sa;
	ours.sa_sigaction = probe_trapped;
	ours.sa_flags &= ~(int)SA_RESETHAND;
	return __real_sigaction(signal, &ours, before);
}

/* -- requests */

static void
answer(long rc)
{
	const char	*name = rc == -PROBE_TRAPPED ? "SIGSYS" : strerrorname_np((int)-rc);
	char		 text[32];

	if (rc >= 0)
		name = "ok";
	else if (name == NULL) {
		snprintf(text, sizeof(text), "%ld", rc);
		name = text;
	}
	send(probe.fd, name, strlen(name), MSG_NOSIGNAL);
}

static const struct probe_action *
action_find(const struct probe_action *actions, const char *name)
{
	for (; actions != NULL && actions->name != NULL; actions++)
		if (strcmp(actions->name, name) == 0)
			return actions;
	return NULL;
}

static void
request_handle(char *text)
{
	static char			 none[] = "";
	const struct probe_action	*action;
	char				*words[PROBE_WORDS + 1], *word, *rest = text;
	int				 n = 0;
	long				 rc;

	while (n < PROBE_WORDS && (word = strtok_r(rest, " ", &rest)) != NULL)
		words[n++] = word;
	while (n <= PROBE_WORDS)
		words[n++] = none;
	if ((action = action_find(probe_attempts, words[0])) == NULL)
		action = action_find(probe_mad, words[0]);
	if (action == NULL) {
		answer(-ENOTSUP);
		return;
	}
	layers_ignored = trying = true;
	rc = action->attempt(words + 1);
	layers_ignored = trying = false;
	answer(rc == -1 ? -errno : rc);
}

static void
descriptors_take(struct msghdr *h)
{
	const struct cmsghdr	*c = CMSG_FIRSTHDR(h);

	while (probe.ngiven > 0)
		close(probe.given[--probe.ngiven]);
	if (c == NULL || c->cmsg_type != SCM_RIGHTS)
		return;
	probe.ngiven = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(probe.given, CMSG_DATA(c), (size_t)probe.ngiven * sizeof(int));
}

/* False: the test is gone, or says that the program may go on (held). */
static bool
request_receive(void)
{
	union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int) * PROBE_FDS)]; } control;
	char		text[4096];
	struct iovec	iov = { text, sizeof(text) - 1 };
	struct msghdr	h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes) };
	ssize_t		n = recvmsg(probe.fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	text[n] = '\0';
	if (n == 0 || strcmp(text, "go") == 0)
		return false;
	descriptors_take(&h);
	request_handle(text);
	return true;
}

static void
probe_readable(struct ev_loop *loop, ev_io *w, int events)
{
	if (!request_receive())
		ev_io_stop(loop, w);
}

static void
probe_connect(struct child *child)
{
	const char		*path = getenv("BULKHEAD_PROBE");
	struct sockaddr_un	 a = { .sun_family = AF_UNIX };
	char			 hello[64];

	probe.child = child;
	if (path == NULL)
		return;
	strlcpy(a.sun_path, path, sizeof(a.sun_path));
	probe.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (probe.fd == -1 || connect(probe.fd, (const struct sockaddr *)&a, sizeof(a)) == -1)
		err(EXIT_FAILURE, "probe: %s", path);
	snprintf(hello, sizeof(hello), "%s %u %ju", role_name(child->role), child->slot, (uintmax_t)child->incarnation);
	if (send(probe.fd, hello, strlen(hello), MSG_NOSIGNAL) == -1)
		err(EXIT_FAILURE, "probe");
	ev_io_init(&probe.readable, probe_readable, probe.fd, EV_READ);
}

/* Programs that end by themselves are asked before they begin, until the test says `go`. */
static void
probe_hold(const struct child *child)
{
	const char	*held = getenv("BULKHEAD_PROBE_HOLDS");
	struct pollfd	 p = { .fd = probe.fd, .events = POLLIN };

	if (held == NULL || strcmp(held, role_name(child->role)) != 0)
		return;
	do
		(void)poll(&p, 1, -1);
	while (request_receive());
}

void	__real_child_ready(struct child *child);
void	__wrap_child_ready(struct child *child);

void
__wrap_child_ready(struct child *child)
{
	probe_connect(child);
	__real_child_ready(child);
	if (probe.fd == -1)
		return;
	probe_hold(child);
	ev_io_start(child->loop, &probe.readable);
}

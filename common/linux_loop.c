#include <sys/epoll.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>
#include "common/loop.h"

static void
periodic_never(struct ev_loop *loop, ev_periodic *w, int revents)
{
}

/*
 * With a timerfd libev sleeps for as long as nothing happens; without it, it
 * looks at the clock every minute. It makes one for the first periodic, and
 * keeps it.
 */
static void
loop_quieten(struct ev_loop *loop)
{
	ev_periodic	p;

	ev_periodic_init(&p, periodic_never, ev_time() + 86400, 0, NULL);
	ev_periodic_start(loop, &p);
	ev_periodic_stop(loop, &p);
}

/* The number of the next descriptor to be opened, or -1. */
static int
descriptor_next(void)
{
	int	fd = open("/", O_PATH | O_CLOEXEC);

	if (fd != -1)
		close(fd);
	return fd;
}

/*
 * libev does not tell its epoll descriptor. It is the first that it opens: see
 * that the number is right, and keep it with the loop (plus one: NULL is none).
 */
static struct ev_loop *
loop_made(struct ev_loop *loop, int epoll)
{
	if (loop == NULL)
		return NULL;
	if (epoll != -1 && epoll_ctl(epoll, EPOLL_CTL_DEL, epoll == 0 ? 1 : 0, NULL) == -1 &&
	    (errno == ENOENT || errno == EBADF || errno == EPERM))
		ev_set_userdata(loop, (void *)(intptr_t)(epoll + 1));
	loop_quieten(loop);
	return loop;
}

struct ev_loop *
loop_new(void)
{
	int	next = descriptor_next();

	return loop_made(ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV | EVFLAG_NOINOTIFY), next);
}

struct ev_loop *
loop_default(void)
{
	int	next = descriptor_next();

	return loop_made(ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV | EVFLAG_NOINOTIFY), next);
}

void
loop_forget(struct ev_loop *loop, int fd)
{
	int	epoll = (int)(intptr_t)ev_userdata(loop) - 1;

	if (epoll != -1)
		(void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

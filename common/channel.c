#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/channel.h"
#include "common/loop.h"
#include "common/unpack.h"

/* Messages sent or received in one go, so that one channel cannot keep the loop. */
#define CHANNEL_TURN	64

struct channel_packet {
	struct channel_packet	*next;
	size_t			 len;
	int			 nfds;
	int			 fds[MESSAGE_FDS_MAX];	/* duplicates of our own */
	char			 data[];
};

/* What recvmsg() gave. */
struct datagram {
	size_t	len;
	int	nfds, fds[MESSAGE_FDS_MAX];
	char	data[MESSAGE_MAX];
};

union control {
	struct cmsghdr	align;
	char		bytes[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_MAX)];
};

static void
descriptors_close(const int *fds, int n)
{
	while (n > 0)
		close(fds[--n]);
}

static void
packet_free(struct channel_packet *p)
{
	descriptors_close(p->fds, p->nfds);
	explicit_bzero(p->data, p->len);
	free(p);
}

/* -- sending */

/* 0; -EAGAIN the peer has to read first; -EPIPE it is gone; -errno. */
static int
datagram_send(int fd, const void *data, size_t len, const int *fds, int nfds)
{
	struct iovec	 iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr	 h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control	 control = { 0 };
	struct cmsghdr	*c;
	ssize_t		 n;

	if (nfds > 0) {
		h.msg_control = control.bytes;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
	}
	do
		n = sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n >= 0)
		return 0;
	if (errno == ECONNRESET || errno == ENOTCONN || errno == ECONNREFUSED)
		return -EPIPE;
	return -errno;
}

/* Too much waits already: nothing more is taken, and the loop ends the channel. */
static int
queue_overflow(struct channel *ch)
{
	ch->queued = CHANNEL_QUEUE + 1;
	ev_feed_event(ch->loop, &ch->readable, EV_CUSTOM);
	return -ENOBUFS;
}

static int
queue_append(struct channel *ch, const msgpack_sbuffer *b, const int *fds, int nfds)
{
	const size_t		 size = sizeof(struct channel_packet) + b->size;
	struct channel_packet	*p;
	int			 rc;

	if (size > CHANNEL_QUEUE - ch->queued)
		return queue_overflow(ch);
	if ((p = malloc(size)) == NULL)
		return -ENOMEM;
	p->next = NULL;
	p->len = b->size;
	memcpy(p->data, b->data, b->size);
	for (p->nfds = 0; p->nfds < nfds; p->nfds++) {
		p->fds[p->nfds] = fcntl(fds[p->nfds], F_DUPFD_CLOEXEC, 0);
		if (p->fds[p->nfds] == -1) {
			rc = -errno;
			packet_free(p);
			return rc;
		}
	}
	*ch->last = p;
	ch->last = &p->next;
	ch->queued += size;
	ev_io_start(ch->loop, &ch->writable);
	return 0;
}

int
channel_send(struct channel *ch, const struct msg *m, const int *fds)
{
	const int	nfds = msg_descriptors(m->type);
	msgpack_sbuffer	b;
	int		rc;

	if (ch->fd == -1)
		return -EPIPE;
	if (ch->queued > CHANNEL_QUEUE)
		return -ENOBUFS;
	msgpack_sbuffer_init(&b);
	rc = msg_encode(&b, m);
	if (rc == 0) {
		rc = ch->first != NULL ? -EAGAIN : datagram_send(ch->fd, b.data, b.size, fds, nfds);
		if (rc == -EAGAIN)
			rc = queue_append(ch, &b, fds, nfds);
	}
	if (b.size > 0)		/* it may be somebody's password */
		explicit_bzero(b.data, b.size);
	msgpack_sbuffer_destroy(&b);
	return rc;
}

/* -- receiving */

static void
descriptors_take(struct datagram *d, struct msghdr *h)
{
	struct cmsghdr	*c;
	size_t		 n, i;
	int		 fd;

	for (c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (d->nfds < MESSAGE_FDS_MAX)
				d->fds[d->nfds++] = fd;
			else
				close(fd);
		}
	}
}

/*
 * One datagram, without waiting. 1; 0: the peer has closed; -EAGAIN: none;
 * -EBADMSG it or its descriptors did not fit; -errno.
 */
static int
datagram_receive(int fd, struct datagram *d)
{
	struct iovec	iov = { .iov_base = d->data, .iov_len = sizeof(d->data) };
	struct msghdr	h;
	union control	control;
	ssize_t		n;

	do {
		h = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1,
		    .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes) };
		n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		/* ECONNRESET comes once, before what the peer sent in its last moment. */
	} while (n == -1 && (errno == EINTR || errno == ECONNRESET));
	if (n == -1)
		return -errno;
	d->len = (size_t)n;
	d->nfds = 0;
	descriptors_take(d, &h);
	if (n > 0 && (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
		return 1;
	descriptors_close(d->fds, d->nfds);
	return n == 0 ? 0 : -EBADMSG;
}

/* Check d, hand it on and wipe it. Its descriptors are the receiver's or closed. */
static int
datagram_handle(struct channel *ch, struct datagram *d, const enum msg_type *only,
    const char **why)
{
	msgpack_unpacked	u;
	struct msg		m;
	int			rc;

	*why = "shape";
	msgpack_unpacked_init(&u);
	rc = unpack_bounded(&u, (struct bytes){ d->data, d->len }, MESSAGE_MAX);
	if (rc == 0)
		rc = msg_decode(&m, ch->peer, ch->self, d->nfds, ch->state, &u.data, why);
	if (rc == 0 && only != NULL && m.type != *only) {
		*why = msg_name(m.type);
		rc = -EBADMSG;
	}
	if (rc != 0)
		descriptors_close(d->fds, d->nfds);
	else {
		*why = msg_name(m.type);
		rc = ch->receive(ch, &m, d->fds);
	}
	msgpack_unpacked_destroy(&u);
	explicit_bzero(d->data, d->len);
	return rc;
}

/* ch may be gone afterwards. */
static void
channel_break(struct channel *ch, int error, const char *why)
{
	channel_close(ch);
	ch->broken(ch, error, why);
}

void
channel_drain(struct channel *ch, int most)
{
	struct datagram	 d;
	const char	*why;
	int		 rc;

	if (ch->fd != -1 && ch->queued > CHANNEL_QUEUE) {
		channel_break(ch, -ENOBUFS, "does not read");
		return;
	}
	for (; most > 0 && ch->fd != -1; most--) {
		rc = datagram_receive(ch->fd, &d);
		if (rc == -EAGAIN)
			return;
		if (rc <= 0) {
			channel_break(ch, rc, rc == 0 ? "closed" : rc == -EBADMSG ? "shape" : strerror(-rc));
			return;
		}
		rc = datagram_handle(ch, &d, NULL, &why);
		if (ch->fd == -1)
			return;		/* the receiver closed it */
		if (rc != 0) {
			channel_break(ch, rc, why);
			return;
		}
	}
}

static void
channel_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	channel_drain(w->data, CHANNEL_TURN);
}

static void
channel_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct channel		*ch = w->data;
	struct channel_packet	*p;
	int			 most, rc;

	for (most = CHANNEL_TURN; most > 0 && (p = ch->first) != NULL; most--) {
		rc = datagram_send(ch->fd, p->data, p->len, p->fds, p->nfds);
		if (rc == -EAGAIN)
			return;
		if (rc == -EPIPE) {	/* the reading side finds its last words, then its end */
			ev_io_stop(loop, w);
			return;
		}
		if (rc != 0) {
			channel_break(ch, rc, strerror(-rc));
			return;
		}
		ch->first = p->next;
		if (ch->queued <= CHANNEL_QUEUE)
			ch->queued -= sizeof(*p) + p->len;
		packet_free(p);
	}
	if (ch->first == NULL) {
		ch->last = &ch->first;
		ev_io_stop(loop, w);
		if (ch->sent != NULL)
			ch->sent(ch);
	}
}

static double
seconds_now(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int
channel_await(struct channel *ch, enum msg_type type, double seconds)
{
	const double	 until = seconds_now() + seconds;
	struct pollfd	 p = { .fd = ch->fd, .events = POLLIN };
	struct datagram	 d;
	const char	*why;
	double		 left;
	int		 rc;

	if (ch->fd == -1)
		return -EPIPE;
	while ((rc = datagram_receive(ch->fd, &d)) == -EAGAIN) {
		left = until - seconds_now();
		if (left <= 0)
			return -ETIMEDOUT;
		if (left > INT_MAX / 1000)
			left = INT_MAX / 1000;
		if (poll(&p, 1, (int)(left * 1000) + 1) == -1 && errno != EINTR)
			return -errno;
	}
	if (rc <= 0)
		return rc == 0 ? -EPIPE : rc;
	return datagram_handle(ch, &d, &type, &why);
}

/* -- life */

void
channel_open(struct channel *ch, struct ev_loop *loop, int fd,
    enum role self, enum role peer, channel_receive *receive,
    channel_broken *broken, void *owner)
{
	*ch = (struct channel){ .fd = fd, .self = self, .peer = peer, .state = MSG_START,
	    .loop = loop, .receive = receive, .broken = broken, .owner = owner };
	ch->last = &ch->first;
	ev_io_init(&ch->readable, channel_readable, fd, EV_READ);
	ev_io_init(&ch->writable, channel_writable, fd, EV_WRITE);
	ch->readable.data = ch->writable.data = ch;
	ev_io_start(loop, &ch->readable);
}

void
channel_close(struct channel *ch)
{
	struct channel_packet	*p;

	if (ch->fd == -1)
		return;
	ev_io_stop(ch->loop, &ch->readable);
	ev_io_stop(ch->loop, &ch->writable);
	loop_forget(ch->loop, ch->fd);
	close(ch->fd);
	ch->fd = -1;
	while ((p = ch->first) != NULL) {
		ch->first = p->next;
		packet_free(p);
	}
	ch->last = &ch->first;
	ch->queued = 0;
}

int
channel_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1)
		return -errno;
	return 0;
}

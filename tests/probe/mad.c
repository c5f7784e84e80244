/* A worker gone mad: what it says on its channels, and what it writes where only it may write. */
#include <sys/socket.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "broker/private.h"
#include "tests/probe/probe.h"
#include "worker/worker.h"

#define RAW_MOST	2048		/* bytes of a message that a request spells */
#define SCRIBBLED	(1u << 20)	/* bytes of each segment: what is in use is at its beginning */

static struct worker *
mad_worker(void)
{
	return probe.child->program;
}

/* -- channels */

static int
channel_fd(const char *who)
{
	struct worker	*w = mad_worker();

	if (strcmp(who, "auth") == 0)
		return w->logins.channel.fd;
	if (strcmp(who, "signer") == 0)
		return w->signing.channel.fd;
	return CHILD_CHANNEL;
}

static size_t
unhex(const char *text, char *out)
{
	size_t	n = 0;
	char	pair[3] = "";

	for (; text[0] != '\0' && text[1] != '\0' && n < RAW_MOST; text += 2) {
		memcpy(pair, text, 2);
		out[n++] = (char)strtoul(pair, NULL, 16);
	}
	return n;
}

/* The descriptors that came with the request go with it. */
static long
raw_send(int fd, char *data, size_t len)
{
	union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int) * PROBE_FDS)]; } control = { 0 };
	struct iovec	 iov = { data, len };
	struct msghdr	 h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr	*c;

	if (probe.ngiven > 0) {
		h.msg_control = control.bytes;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)probe.ngiven);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)probe.ngiven);
		memcpy(CMSG_DATA(c), probe.given, sizeof(int) * (size_t)probe.ngiven);
	}
	return sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* raw WHO HEX */
static long
mad_raw(char **w)
{
	char	data[RAW_MOST];

	return raw_send(channel_fd(w[0]), data, unhex(w[1], data)) == -1 ? -1 : 0;
}

/* flood WHO COUNT HEX: without waiting for answers, as fast as it is taken. */
static long
mad_flood(char **w)
{
	const int	fd = channel_fd(w[0]);
	struct pollfd	p = { .fd = fd, .events = POLLOUT };
	char		data[RAW_MOST];
	size_t		len = unhex(w[2], data);
	long		left = strtol(w[1], NULL, 0);

	while (left > 0) {
		if (raw_send(fd, data, len) != -1)
			left--;
		else if (errno != EAGAIN || poll(&p, 1, 5000) != 1)
			return -1;
	}
	return 0;
}

/* It hears nothing of the supervisor's any more, and so answers nothing. */
static long
mad_deaf(char **w)
{
	ev_io_stop(probe.child->loop, &probe.child->supervisor.readable);
	return 0;
}

/* -- segments */

static uint64_t
milliseconds(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* One word of a lie: noise, all ones, nothing, or an offset that is the same everywhere, so that lists are circles. */
static uint64_t
lie(const char *kind, uint64_t *state)
{
	if (strcmp(kind, "ones") == 0)
		return UINT64_MAX;
	if (strcmp(kind, "zeros") == 0)
		return 0;
	if (strcmp(kind, "circles") == 0)
		return UINT64_C(0x0000014000000140);
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return *state >> (*state >> 59);	/* small numbers too */
}

static void
words_scribble(void *base, size_t bytes, const char *kind, uint64_t *state)
{
	_Atomic uint64_t	*words = base;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		if (strcmp(kind, "noise") != 0 || (lie(kind, state) & 7) == 0)
			atomic_store_explicit(&words[i], lie(kind, state), memory_order_relaxed);
}

static void
lanes_scribble(struct broker *b, const char *kind, uint64_t *state, bool data)
{
	static const uint64_t	one = 1;

	for (unsigned i = 0; i < PARTICIPANTS; i++) {
		struct peer	*p = b->peers[i];
		if (p == NULL)
			continue;
		if (data)
			words_scribble((char *)p->lane.mine + LANE_PAGE, LANE_PAGE, kind, state);
		else
			words_scribble(p->lane.mine, sizeof(*p->lane.mine), kind, state);
		(void)!write(p->wake_fd, &one, sizeof(one));
	}
}

/* scribble WHAT KIND MILLISECONDS: over and over, while the others read. */
static long
mad_scribble(char **words)
{
	struct worker	*w = mad_worker();
	const uint64_t	 until = milliseconds() + strtoul(words[2], NULL, 0);
	uint64_t	 state = (uint64_t)probe.child->incarnation;

	do {
		if (strcmp(words[0], "partition") == 0)
			words_scribble(w->part.partition.base, SCRIBBLED, words[1], &state);
		else if (strcmp(words[0], "tables") == 0)
			words_scribble(w->part.tables.base, SCRIBBLED, words[1], &state);
		else
			lanes_scribble(w->broker, words[1], &state, strcmp(words[0], "rings") == 0);
	} while (milliseconds() < until);
	return 0;
}

/* fill TYPE LENGTH: records of this type into both rings of every lane, until they are full. */
static long
mad_fill(char **words)
{
	static const uint64_t	 one = 1;
	struct broker		*b = mad_worker()->broker;
	const uint32_t		 type = (uint32_t)strtoul(words[0], NULL, 0);
	const size_t		 len = strtoul(words[1], NULL, 0);
	void			*at;

	for (unsigned i = 0; i < PARTICIPANTS; i++) {
		struct peer	*p = b->peers[i];
		for (enum ring r = RING_BULK; p != NULL && r < RINGS; r++)
			while ((at = ring_reserve(&p->lane, r, len)) != NULL) {
				memset(at, 0x5a, len);
				ring_commit(&p->lane, r, type, len);
			}
		if (p == NULL)
			continue;
		(void)lane_publish(&p->lane);
		(void)!write(p->wake_fd, &one, sizeof(one));
	}
	return 0;
}

const struct probe_action probe_mad[] = {
	{ "raw", mad_raw }, { "flood", mad_flood }, { "deaf", mad_deaf }, { "scribble", mad_scribble },
	{ "fill", mad_fill },
	{ NULL, NULL }
};

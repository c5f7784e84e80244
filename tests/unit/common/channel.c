#include <sys/socket.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/channel.h"

/* What the two ends of the test have seen. */
static struct {
	int		received, fds, broken, error;
	uint64_t	last;
	bool		ordered;
	char		why[32];
	int		answer;		/* what receive returns */
	bool		closes;		/* receive closes the channel */
} seen;

static struct ev_loop	*loop;
static struct channel	 worker, supervisor;

static int
descriptors_open(void)
{
	DIR	*d = opendir("/proc/self/fd");
	int	 n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	int	i;

	seen.received++;
	for (i = 0; i < msg_descriptors(m->type); i++) {
		ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		close(fds[i]);
		seen.fds++;
	}
	if (m->type == MSG_connection) {
		seen.ordered = seen.ordered && m->u.connection.cid == seen.last + 1;
		seen.last = m->u.connection.cid;
	}
	if (seen.closes)
		channel_close(ch);
	return seen.answer;
}

static void
broken(struct channel *ch, int error, const char *why)
{
	if (seen.broken++ == 0) {
		seen.error = error;
		strlcpy(seen.why, why, sizeof(seen.why));
	}
	ck_assert_int_eq(ch->fd, -1);
}

static void
setup(void)
{
	int	fds[2];

	memset(&seen, 0, sizeof(seen));
	seen.ordered = true;
	loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ck_assert_int_eq(channel_pair(fds), 0);
	channel_open(&worker, loop, fds[0], ROLE_WORKER, ROLE_SUPERVISOR, receive, broken, NULL);
	channel_open(&supervisor, loop, fds[1], ROLE_SUPERVISOR, ROLE_WORKER, receive, broken, NULL);
	worker.state = supervisor.state = MSG_READY;
}

static void
teardown(void)
{
	channel_close(&worker);
	channel_close(&supervisor);
}

static int
connection_send(uint64_t cid)
{
	const struct msg	m = { .type = MSG_connection, .u.connection = {
	    .cid = cid, .host = { "::1", 3 }, .port = 1 } };
	const int		fd = STDIN_FILENO;

	return channel_send(&supervisor, &m, &fd);
}

/* Let the loop turn until it has nothing to do. */
static void
loop_settle(void)
{
	int	i;

	for (i = 0; i < 1000; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

START_TEST(message_and_descriptor_arrive)
{
	const int	before = descriptors_open();

	ck_assert_int_eq(connection_send(1), 0);
	loop_settle();
	ck_assert_int_eq(seen.received, 1);
	ck_assert_int_eq(seen.fds, 1);
	ck_assert_int_eq(descriptors_open(), before);
}
END_TEST

/* Thousands sent to one who does not read: nothing lost, order kept, no descriptor kept. */
START_TEST(what_waits_arrives_in_order)
{
	const int	before = descriptors_open();
	uint64_t	i;

	for (i = 1; i <= 800; i++)
		ck_assert_int_eq(connection_send(i), 0);
	ck_assert(supervisor.first != NULL);		/* some had to wait */
	channel_drain(&worker, 50);			/* there is room, but the queue goes first */
	ck_assert_int_eq(connection_send(801), 0);
	loop_settle();
	ck_assert_int_eq(seen.received, 801);
	ck_assert_int_eq(seen.fds, 801);
	ck_assert(seen.ordered);
	ck_assert_uint_eq(supervisor.queued, 0);
	ck_assert(!ev_is_active(&supervisor.writable));
	ck_assert_int_eq(descriptors_open(), before);
}
END_TEST

START_TEST(one_that_never_reads_is_given_up)
{
	static char		text[32768];
	const struct msg	m = { .type = MSG_misconfigured,
	    .u.misconfigured.error = { text, sizeof(text) } };
	int			i, rc = 0;

	memset(text, 'x', sizeof(text));
	ev_io_stop(loop, &supervisor.readable);
	for (i = 0; i < 1000 && rc == 0; i++)
		rc = channel_send(&worker, &m, NULL);
	ck_assert_int_eq(rc, -ENOBUFS);
	ck_assert_int_gt(i, 100);
	ck_assert_int_eq(seen.broken, 0);		/* never from channel_send() */
	ck_assert_int_eq(channel_send(&worker, &m, NULL), -ENOBUFS);
	loop_settle();
	ck_assert_int_eq(seen.broken, 1);
	ck_assert_int_eq(seen.error, -ENOBUFS);
	ck_assert_int_eq(channel_send(&worker, &m, NULL), -EPIPE);
}
END_TEST

START_TEST(the_end_comes_after_the_last_words)
{
	const struct msg	m = { .type = MSG_taken, .u.taken.cid = 9 };

	ck_assert_int_eq(channel_send(&worker, &m, NULL), 0);
	ck_assert_int_eq(connection_send(1), 0);	/* unread by the worker: ECONNRESET */
	channel_close(&worker);
	ck_assert_int_eq(connection_send(2), -EPIPE);
	ck_assert_int_eq(seen.broken, 0);
	loop_settle();
	ck_assert_int_eq(seen.received, 1);
	ck_assert_int_eq(seen.broken, 1);
	ck_assert_int_eq(seen.error, 0);
}
END_TEST

START_TEST(receiver_may_refuse_or_close)
{
	const struct msg	m = { .type = MSG_taken, .u.taken.cid = 9 };

	ck_assert_int_eq(channel_send(&worker, &m, NULL), 0);
	ck_assert_int_eq(channel_send(&worker, &m, NULL), 0);
	seen.answer = _i == 1 ? 0 : -EPROTO;
	seen.closes = _i > 0;
	loop_settle();
	ck_assert_int_eq(seen.received, 1);
	ck_assert_int_eq(supervisor.fd, -1);
	if (_i == 0) {
		ck_assert_int_eq(seen.error, -EPROTO);
		ck_assert_str_eq(seen.why, "taken");
		ck_assert_int_eq(seen.broken, 2);
	} else {	/* only the worker hears of it */
		ck_assert_int_eq(seen.error, 0);
		ck_assert_int_eq(seen.broken, 1);
	}
}
END_TEST

/* -- what no honest peer sends */

static void
raw_send(const void *data, size_t len, int nfds)
{
	struct iovec	 iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	char		 control[CMSG_SPACE(sizeof(int) * 64)];
	struct msghdr	 h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr	*c;
	int		 i;

	if (nfds > 0) {
		memset(control, 0, sizeof(control));
		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		for (i = 0; i < nfds; i++)
			((int *)(void *)CMSG_DATA(c))[i] = STDIN_FILENO;
	}
	ck_assert_int_eq(sendmsg(worker.fd, &h, MSG_NOSIGNAL), (ssize_t)len);
}

static char	large[MESSAGE_MAX + 1];

static const struct { const char *what; const char *data; size_t len; int nfds, error; const char *why; } raws[] = {
	{ "noise", "\xc1", 1, 0, -EBADMSG, "shape" },
	{ "noise with a descriptor", "\xc1", 1, 1, -EBADMSG, "shape" },
	{ "a message for somebody else", (const char[]){ '\x91', MSG_shutdown }, 2, 0, -EPERM, "sender" },
	{ "ready while READY", (const char[]){ '\x92', MSG_ready, 0 }, 3, 0, -EPERM, "state" },
	{ "a descriptor too many", (const char[]){ '\x92', MSG_ready, 0 }, 3, 1, -EBADMSG, "shape" },
	{ "more descriptors than any has", (const char[]){ '\x91', MSG_ready }, 2, 5, -EBADMSG, "shape" },
	{ "64 descriptors", (const char[]){ '\x91', MSG_ready }, 2, 64, -EBADMSG, "shape" },
	{ "too long", large, sizeof(large), 0, -EBADMSG, "shape" },
	{ "empty with descriptors", "", 0, 2, 0, "closed" },
};

START_TEST(nonsense_costs_its_sender)
{
	const int	before = descriptors_open();

	raw_send(raws[_i].data, raws[_i].len, raws[_i].nfds);
	channel_drain(&supervisor, 10);
	ck_assert_int_eq(seen.received, 0);
	ck_assert_int_eq(seen.broken, 1);
	ck_assert_msg(seen.error == raws[_i].error, "%s: %d", raws[_i].what, seen.error);
	ck_assert_str_eq(seen.why, raws[_i].why);
	ck_assert_int_eq(descriptors_open(), before - 1);	/* less the channel */
}
END_TEST

START_TEST(await_takes_one_message_only)
{
	const struct msg	taken = { .type = MSG_taken, .u.taken.cid = 9 };

	ck_assert_int_eq(channel_await(&supervisor, MSG_taken, 0.01), -ETIMEDOUT);
	ck_assert_int_eq(channel_send(&worker, &taken, NULL), 0);
	ck_assert_int_eq(channel_await(&supervisor, MSG_taken, 1), 0);
	ck_assert_int_eq(seen.received, 1);
	ck_assert_int_eq(channel_send(&worker, &taken, NULL), 0);
	ck_assert_int_eq(channel_await(&supervisor, MSG_closed, 1), -EBADMSG);
	channel_close(&worker);
	ck_assert_int_eq(channel_await(&supervisor, MSG_taken, 1), -EPIPE);
	ck_assert_int_eq(seen.received, 1);
	ck_assert_int_eq(seen.broken, 0);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

int
main(void)
{
	Suite	*s = suite_create("channel");
	TCase	*c = tcase_create("channel");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, message_and_descriptor_arrive);
	tcase_add_test(c, what_waits_arrives_in_order);
	tcase_add_test(c, one_that_never_reads_is_given_up);
	tcase_add_test(c, the_end_comes_after_the_last_words);
	tcase_add_loop_test(c, receiver_may_refuse_or_close, 0, 3);
	tcase_add_loop_test(c, nonsense_costs_its_sender, 0, COUNT(raws));
	tcase_add_test(c, await_takes_one_message_only);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

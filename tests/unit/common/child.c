/* A child of ours, forked rather than executed, as its supervisor sees it. */
#include <sys/socket.h>
#include <sys/wait.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/child.h"
#include "common/log.h"
#include "common/unpack.h"

static struct {
	pid_t		pid;
	struct channel	channel;
	int		log;		/* the log's end of its channel */
	int		received, broken, error;
	enum msg_type	last;
} kid;

static struct ev_loop	*loop;

static int
kid_said(struct channel *ch, const struct msg *m, const int *fds)
{
	kid.received++;
	kid.last = m->type;
	if (m->type == MSG_ready)
		ch->state = MSG_READY;
	return 0;
}

static void
kid_broken(struct channel *ch, int error, const char *why)
{
	kid.broken++;
	kid.error = error;
}

/* -- the child's side */

static int
program_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct child		*child = ch->owner;
	const struct msg	 answer = { .type = MSG_drained };

	if (m->type != MSG_lame_duck)
		return -EPROTO;
	log_info("%s %u: port %u", (const char *)child->program, child->slot, (unsigned)child->settings.port);
	return channel_send(ch, &answer, NULL);
}

static void
program_run(int fd)
{
	struct child	child;

	if (fd != CHILD_CHANNEL)
		dup2(fd, CHILD_CHANNEL);
	closefrom(CHILD_CHANNEL + 1);
	child_init(&child, ROLE_WORKER, program_receive, (void *)(uintptr_t)"test");
	child_ready(&child, &sandbox_worker);
	child_run(&child);
	child_free(&child);
	_exit(42);
}

/* -- the supervisor's side */

static void
setup(void)
{
	int	fds[2];

	memset(&kid, 0, sizeof(kid));
	kid.log = -1;
	ck_assert_int_eq(channel_pair(fds), 0);
	kid.pid = fork();
	ck_assert_int_ne(kid.pid, -1);
	if (kid.pid == 0)
		program_run(fds[0]);
	close(fds[0]);
	loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	channel_open(&kid.channel, loop, fds[1], ROLE_SUPERVISOR, ROLE_WORKER, kid_said, kid_broken, NULL);
}

static void
start_send(enum sandbox_mode mode)
{
	const struct msg	m = { .type = MSG_start, .u.start = {
	    .slot = 3, .incarnation = 7, .uid = 64123, .sandbox = mode } };
	struct settings		s;
	int			fds[2], pair[2];

	ck_assert_int_eq(settings_init(&s), 0);
	ck_assert_int_eq(setting_set_integer(&s, setting_find(BYTES("port")), 1234), 0);
	fds[0] = settings_write(&s, ROLE_WORKER);
	ck_assert_int_eq(channel_pair(pair), 0);
	fds[1] = pair[0];
	kid.log = pair[1];
	ck_assert_int_eq(channel_send(&kid.channel, &m, fds), 0);
	close(fds[0]);
	close(fds[1]);
	settings_free(&s);
}

/* Wait for one more message or the end of the channel. */
static void
listen_once(void)
{
	const int	before = kid.received + kid.broken;

	while (kid.received + kid.broken == before)
		ev_run(loop, EVRUN_ONCE);
}

static int
kid_status(void)
{
	int	status;

	ck_assert_int_eq(waitpid(kid.pid, &status, 0), kid.pid);
	return status;
}

static bool
logged(const char *part)
{
	char	data[MESSAGE_MAX + 1];
	ssize_t	n;

	while ((n = recv(kid.log, data, MESSAGE_MAX, MSG_DONTWAIT)) > 0)
		if (memmem(data, (size_t)n, part, strlen(part)) != NULL)
			return true;
	return false;
}

START_TEST(a_child_starts_works_and_ends)
{
	const struct msg	duck = { .type = MSG_lame_duck }, end = { .type = MSG_shutdown };
	char			path[64], name[32] = "";
	int			fd;

	start_send(geteuid() == 0 ? SANDBOX_REQUIRED : SANDBOX_ON);
	listen_once();
	ck_assert_int_eq(kid.last, MSG_ready);
	ck_assert_int_eq(channel_send(&kid.channel, &duck, NULL), 0);
	listen_once();
	ck_assert_int_eq(kid.last, MSG_drained);
	ck_assert(logged("test 3: port 1234"));
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)kid.pid);
	fd = open(path, O_RDONLY);
	ck_assert_int_gt(read(fd, name, sizeof(name) - 1), 0);
	ck_assert_str_eq(name, "bulkhead-worker\n");
	close(fd);

	/* ^C in the terminal is not for children */
	kill(kid.pid, SIGINT);
	kill(kid.pid, SIGHUP);
	ck_assert_int_eq(channel_send(&kid.channel, &duck, NULL), 0);
	listen_once();
	ck_assert_int_eq(kid.last, MSG_drained);
	ck_assert_int_eq(channel_send(&kid.channel, &end, NULL), 0);
	listen_once();
	ck_assert_int_eq(kid.broken, 1);
	ck_assert_int_eq(kid_status(), 42 << 8);
}
END_TEST

START_TEST(a_child_ends_with_its_supervisor)
{
	if (_i > 0) {
		start_send(SANDBOX_ON);
		listen_once();
		ck_assert_int_eq(kid.last, MSG_ready);
	}
	channel_close(&kid.channel);
	ck_assert_int_eq(kid_status(), 0);
}
END_TEST

START_TEST(log_channel_is_replaced)
{
	const struct msg	duck = { .type = MSG_lame_duck }, m = { .type = MSG_log_channel };
	int			pair[2];

	start_send(SANDBOX_ON);
	listen_once();
	close(kid.log);
	ck_assert_int_eq(channel_pair(pair), 0);
	ck_assert_int_eq(channel_send(&kid.channel, &m, &pair[0]), 0);
	close(pair[0]);
	kid.log = pair[1];
	ck_assert_int_eq(channel_send(&kid.channel, &duck, NULL), 0);
	listen_once();
	ck_assert(logged("test 3: port 1234"));
	channel_close(&kid.channel);
	kid_status();
}
END_TEST

/* Something other than a valid start: an error, told through what log there is. */
START_TEST(without_start_nothing_begins)
{
	const struct msg	peer_gone = { .type = MSG_peer_gone, .u.peer_gone = { .incarnation = 1 } };

	ck_assert_int_eq(channel_send(&kid.channel, &peer_gone, NULL), 0);
	listen_once();
	ck_assert_int_eq(kid.broken, 1);
	ck_assert_int_eq(kid_status(), 1 << 8);
}
END_TEST

START_TEST(a_second_start_is_refused)
{
	start_send(SANDBOX_ON);
	start_send(SANDBOX_ON);
	while (kid.broken == 0)
		listen_once();
	ck_assert_int_eq(kid_status(), 1 << 8);
}
END_TEST

START_TEST(a_child_by_hand_says_so)
{
	char	text[200];
	int	out[2], status;
	ssize_t	n;
	pid_t	pid;

	ck_assert_int_eq(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		struct child	child;

		dup2(out[1], STDERR_FILENO);
		closefrom(CHILD_CHANNEL);
		child_init(&child, ROLE_WORKER, program_receive, NULL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 1 << 8);
	n = read(out[0], text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_ptr_nonnull(strstr(text, "started by bulkhead(8), not by hand"));
	channel_close(&kid.channel);
	kid_status();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("child");
	TCase	*c = tcase_create("child");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, a_child_starts_works_and_ends);
	tcase_add_loop_test(c, a_child_ends_with_its_supervisor, 0, 2);
	tcase_add_test(c, log_channel_is_replaced);
	tcase_add_test(c, without_start_nothing_begins);
	tcase_add_test(c, a_second_start_is_refused);
	tcase_add_test(c, a_child_by_hand_says_so);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

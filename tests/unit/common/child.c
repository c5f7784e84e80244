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
#include "common/process.h"
#include "common/loop.h"
#include "common/records.h"
#include "common/unpack.h"

static struct {
	pid_t		pid;
	struct channel	channel;
	int		log;		/* the log's end of its channel */
	int		received, broken, error;
	enum msg_type	last;
	uint64_t	version;	/* of the last answer to prepare or commit */
	char		refused[600];
} kid;

static struct ev_loop	*loop;

static int
kid_said(struct channel *ch, const struct msg *m, const int *fds)
{
	kid.received++;
	kid.last = m->type;
	if (m->type == MSG_ready)
		ch->state = MSG_READY;
	if (m->type == MSG_prepared) {
		kid.version = m->u.prepared.version;
		snprintf(kid.refused, sizeof(kid.refused), "%.*s", (int)m->u.prepared.refused.len,
		    m->u.prepared.refused.data);
	}
	if (m->type == MSG_committed)
		kid.version = m->u.committed.version;
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

/* Port 1 is refused, port 2 at length. */
static const char *
program_check(struct child *child, const struct settings *next)
{
	static char	why[2000];

	memset(why, 'x', sizeof(why) - 1);
	return next->port == 1 ? "port 1 is not for us" : next->port == 2 ? why : NULL;
}

static void
program_apply(struct child *child, const struct settings *before)
{
	log_info("port %u to %u", (unsigned)before->port, (unsigned)child->settings.port);
	log_debug("debug is on");
}

static void
program_run(int fd)
{
	struct child	child;

	if (fd != CHILD_CHANNEL)
		dup2(fd, CHILD_CHANNEL);
	closefrom(CHILD_CHANNEL + 1);
	child_init(&child, ROLE_WORKER, program_receive, (void *)(uintptr_t)"test");
	child.check = program_check;
	child.apply = program_apply;
	child_ready(&child);
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
	kid.pid = process_fork(true);
	ck_assert_int_ne(kid.pid, -1);
	if (kid.pid == 0)
		program_run(fds[0]);
	close(fds[0]);
	loop = loop_new();	/* the default one waits for children itself */
	channel_open(&kid.channel, loop, fds[1], ROLE_SUPERVISOR, ROLE_WORKER, kid_said, kid_broken, NULL);
}

/* An accounts document without accounts. */
static int
no_accounts(void)
{
	msgpack_sbuffer	nothing;
	int		fd;

	msgpack_sbuffer_init(&nothing);
	fd = records_seal(&nothing);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void
start_send(enum sandbox_mode mode)
{
	const struct msg	m = { .type = MSG_start, .u.start = {
	    .slot = 3, .incarnation = 7, .uid = 64123, .gid = 64124, .own = 1, .sandbox = mode } };
	struct settings		s;
	int			fds[4], pair[2];

	ck_assert_int_eq(settings_init(&s), 0);
	ck_assert_int_eq(setting_set_integer(&s, setting_find(BYTES("port")), 1234), 0);
	fds[0] = settings_write(&s, ROLE_WORKER);
	ck_assert_int_eq(channel_pair(pair), 0);
	fds[1] = pair[0];
	kid.log = pair[1];
	fds[2] = no_accounts();
	fds[3] = no_accounts();
	ck_assert_int_eq(channel_send(&kid.channel, &m, fds), 0);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
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

	start_send(geteuid() == 0 ? SANDBOX_REQUIRED : SANDBOX_BEST_EFFORT);
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
		start_send(SANDBOX_BEST_EFFORT);
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

	start_send(SANDBOX_BEST_EFFORT);
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

/* ---- reload */

static void
prepare_send(uint64_t version, uint64_t port, bool debug)
{
	const struct msg	m = { .type = MSG_prepare, .u.prepare.version = version };
	struct settings		s;
	int			fds[3];

	ck_assert_int_eq(settings_init(&s), 0);
	ck_assert_int_eq(setting_set_integer(&s, setting_find(BYTES("port")), port), 0);
	ck_assert_int_eq(setting_set_boolean(&s, setting_find(BYTES("debug")), debug), 0);
	fds[0] = settings_write(&s, ROLE_WORKER);
	fds[1] = no_accounts();
	fds[2] = no_accounts();
	ck_assert_int_eq(channel_send(&kid.channel, &m, fds), 0);
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
	settings_free(&s);
}

/* It answers that it can, or why not. */
static void
prepare(uint64_t version, uint64_t port, const char *refused)
{
	prepare_send(version, port, false);
	listen_once();
	ck_assert_int_eq(kid.last, MSG_prepared);
	ck_assert_uint_eq(kid.version, version);
	ck_assert_str_eq(kid.refused, refused);
}

static void
commit_send(uint64_t version)
{
	const struct msg	m = { .type = MSG_commit, .u.commit.version = version };

	ck_assert_int_eq(channel_send(&kid.channel, &m, NULL), 0);
}

static void
commit(uint64_t version)
{
	commit_send(version);
	listen_once();
	ck_assert_int_eq(kid.last, MSG_committed);
	ck_assert_uint_eq(kid.version, version);
}

/* Nothing changes before `commit`, and then all at once; what was prepared last is what comes. */
START_TEST(settings_are_prepared_then_committed)
{
	const struct msg	duck = { .type = MSG_lame_duck };

	start_send(SANDBOX_BEST_EFFORT);
	listen_once();
	prepare(1, 1111, "");
	ck_assert_int_eq(channel_send(&kid.channel, &duck, NULL), 0);
	listen_once();
	ck_assert(logged("test 3: port 1234"));
	prepare(5, 5555, "");
	commit(5);
	ck_assert(logged("port 1234 to 5555"));
	prepare_send(6, 6666, true);
	listen_once();
	ck_assert(!logged("debug is on"));
	commit(6);
	ck_assert(logged("debug is on"));
	channel_close(&kid.channel);
	kid_status();
}
END_TEST

START_TEST(what_is_refused_is_not_applied)
{
	char	long_one[513];

	start_send(SANDBOX_BEST_EFFORT);
	listen_once();
	prepare(1, 1, "port 1 is not for us");
	memset(long_one, 'x', 512);
	long_one[512] = '\0';
	prepare(2, 2, long_one);
	prepare(3, 3333, "");		/* another one, which it can */
	commit(3);
	ck_assert(logged("port 1234 to 3333"));
	channel_close(&kid.channel);
	kid_status();
}
END_TEST

/* What no supervisor of ours does; the child ends rather than guess. */
static const struct { const char *what; uint64_t prepared, committed, then; bool commit; } wrong[] = {
	{ "committed twice",		4, 4, 4, true },
	{ "never prepared",		0, 0, 4, true },
	{ "another than prepared",	4, 0, 3, true },
	{ "prepared twice",		4, 0, 4, false },
	{ "older than what is in force", 4, 4, 3, false },
	{ "older than what is prepared", 4, 0, 3, false },
};

START_TEST(versions_only_rise)
{
	start_send(SANDBOX_BEST_EFFORT);
	listen_once();
	if (wrong[_i].prepared != 0)
		prepare(wrong[_i].prepared, 4444, "");
	if (wrong[_i].committed != 0)
		commit(wrong[_i].committed);
	if (wrong[_i].commit)
		commit_send(wrong[_i].then);
	else
		prepare_send(wrong[_i].then, 3333, false);
	listen_once();
	ck_assert_msg(kid.broken == 1, "%s", wrong[_i].what);
	ck_assert_int_eq(kid_status(), 1 << 8);
}
END_TEST

START_TEST(refused_and_committed_all_the_same)
{
	start_send(SANDBOX_BEST_EFFORT);
	listen_once();
	prepare(1, 1, "port 1 is not for us");
	commit_send(1);
	listen_once();
	ck_assert_int_eq(kid.broken, 1);
	ck_assert_int_eq(kid_status(), 1 << 8);
}
END_TEST

START_TEST(a_document_that_is_none_is_refused)
{
	const struct msg	m = { .type = MSG_prepare, .u.prepare.version = 1 };
	int			fds[3];

	start_send(SANDBOX_BEST_EFFORT);
	listen_once();
	fds[0] = open("/dev/null", O_RDONLY);
	fds[1] = no_accounts();
	fds[2] = no_accounts();
	ck_assert_int_eq(channel_send(&kid.channel, &m, fds), 0);
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
	listen_once();
	ck_assert_int_eq(kid.last, MSG_prepared);
	ck_assert_str_eq(kid.refused, "not a sealed document");
	prepare(2, 2222, "");
	commit(2);
	ck_assert(logged("port 1234 to 2222"));
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
	start_send(SANDBOX_BEST_EFFORT);
	start_send(SANDBOX_BEST_EFFORT);
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
	tcase_add_test(c, settings_are_prepared_then_committed);
	tcase_add_test(c, what_is_refused_is_not_applied);
	tcase_add_loop_test(c, versions_only_rise, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(c, refused_and_committed_all_the_same);
	tcase_add_test(c, a_document_that_is_none_is_refused);
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

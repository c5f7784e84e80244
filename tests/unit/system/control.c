/*
 * What bulkhead-system, in its sandbox, answers to bulkheadctl: connections are
 * given to it as the supervisor does, and bytes are sent as anybody could.
 */
#include <fcntl.h>
#include "admin/system/system.h"
#include "common/loop.h"
#include "common/unpack.h"
#include "nats/info.h"
#include "shm/directory.h"
#include "shm/segment.h"
#include "tests/unit/program.h"

#define USER	1000

static struct ev_loop	*loop;
static struct settings	 settings;
static struct program	 systemd;
static struct segment	 directory;
static int		 directory_fd;

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	return 0;	/* `ready` */
}

static void
say(struct msg m, int fd)
{
	ck_assert_int_eq(channel_send(&systemd.channel, &m, &fd), 0);
}

static void
setup(void)
{
	int	copy;

	loop = loop_new();
	ck_assert_int_eq(settings_init(&settings), 0);
	ck_assert_int_eq(setting_set_text(&settings, setting_find(BYTES("server_id")), BYTES("NID")), 0);
	directory_fd = segment_create("test", DIRECTORY_SIZE);
	copy = fcntl(directory_fd, F_DUPFD_CLOEXEC, 3);
	ck_assert_int_eq(segment_map_own(&directory, directory_fd, DIRECTORY_SIZE), 0);
	directory_fd = copy;
	program_start(&systemd, loop, ROLE_SYSTEM, &settings, receive);
}

static void
setup_whole(void)
{
	setup();
	say((struct msg){ .type = MSG_server }, directory_fd);
}

static void
teardown(void)
{
	program_stop(&systemd);
	close(directory_fd);
	segment_unmap(&directory);
	settings_free(&settings);
}

/* -- bulkheadctl */

static int
control_connect(uint32_t uid)
{
	struct timeval	limit = { .tv_sec = (time_t)PROGRAM_WAIT };
	int		ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	say((struct msg){ .type = MSG_control_connection, .u.control_connection.uid = uid }, ends[1]);
	close(ends[1]);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, 0), 0);
	setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return ends[0];
}

static void
request(int fd, const char *what, const char *about)
{
	struct msg	m = { .type = MSG_request, .u.request = { bytes_of(what), bytes_of(about), 0 } };
	msgpack_sbuffer	b;

	msgpack_sbuffer_init(&b);
	ck_assert_int_eq(msg_encode(&b, &m), 0);
	ck_assert_int_eq(send(fd, b.data, b.size, MSG_NOSIGNAL), (ssize_t)b.size);
	msgpack_sbuffer_destroy(&b);
}

/* The next message, or false: the connection is closed. It lives in *u. */
static bool
answer(int fd, struct msg *m, msgpack_unpacked *u)
{
	static char	data[MESSAGE_MAX];
	ssize_t		n = recv(fd, data, sizeof(data), 0);
	const char	*why;

	ck_assert_msg(n >= 0 || errno == ECONNRESET, "%s", strerror(errno));
	if (n <= 0)
		return false;
	msgpack_unpacked_init(u);
	ck_assert_int_eq(unpack_bounded(u, (struct bytes){ data, (size_t)n }, MESSAGE_MAX), 0);
	ck_assert_int_eq(msg_decode(m, ROLE_SYSTEM, ROLE_CTL, 0, MSG_READY, &u->data, &why), 0);
	return true;
}

/* Its one message is of this type; the text of a refusal. */
static void
expect(int fd, enum msg_type type, char why[512])
{
	msgpack_unpacked	u;
	struct msg		m;

	ck_assert(answer(fd, &m, &u));
	ck_assert_str_eq(msg_name(m.type), msg_name(type));
	if (type == MSG_request_refused)
		snprintf(why, 512, "%.*s", (int)m.u.request_refused.why.len, m.u.request_refused.why.data);
	msgpack_unpacked_destroy(&u);
}

static void
expect_closed(int fd)
{
	msgpack_unpacked	u;
	struct msg		m;

	ck_assert(!answer(fd, &m, &u));
	close(fd);
}

static void
expect_status(int fd, unsigned processes)
{
	expect(fd, MSG_status_server, NULL);
	while (processes-- > 0)
		expect(fd, MSG_status_process, NULL);
	expect(fd, MSG_status_end, NULL);
}

/* -- tests */

START_TEST(status_is_what_it_was_told)
{
	const uint32_t		layers = 1u << LAYER_LIMITS | 1u << LAYER_FILTER;
	struct msg_process	p = { .role = ROLE_WORKER, .slot = 7, .pid = 4321, .incarnation = 9,
				    .started = 12345678, .restarts = 3, .layers = layers,
				    .possible = layers | 1u << LAYER_ROOT };
	int			stat = open("/proc/self/stat", O_RDONLY | O_CLOEXEC), fd;
	struct directory	*d = directory.base;
	msgpack_unpacked	u;
	struct msg		m;

	d->started = 99;
	d->connections = 5;
	say((struct msg){ .type = MSG_process, .u.process = p }, stat);
	close(stat);
	fd = control_connect(USER);
	request(fd, "status", "");
	ck_assert(answer(fd, &m, &u));
	ck_assert_int_eq(m.type, MSG_status_server);
	ck_assert(bytes_equal(m.u.status_server.id, BYTES("NID")));
	ck_assert(bytes_equal(m.u.status_server.name, BYTES("NID")));
	ck_assert_uint_eq(m.u.status_server.started, 99);
	ck_assert_uint_eq(m.u.status_server.connections, 5);
	msgpack_unpacked_destroy(&u);
	ck_assert(answer(fd, &m, &u));
	ck_assert_int_eq(m.type, MSG_status_process);
	ck_assert(bytes_equal(m.u.status_process.program, BYTES("worker")));
	ck_assert(bytes_equal(m.u.status_process.state, BYTES("running")));
	ck_assert_uint_eq(m.u.status_process.slot, 7);
	ck_assert_uint_eq(m.u.status_process.pid, 4321);
	ck_assert_uint_eq(m.u.status_process.started, 12345678);
	ck_assert_uint_eq(m.u.status_process.restarts, 3);
	ck_assert_uint_gt(m.u.status_process.memory, 100000);
	ck_assert(bytes_equal(m.u.status_process.layers, BYTES("limits filter")));
	ck_assert(bytes_equal(m.u.status_process.missing, BYTES("root")));
	msgpack_unpacked_destroy(&u);
	expect(fd, MSG_status_end, NULL);
	/* it dies; another is to come */
	say((struct msg){ .type = MSG_process_gone, .u.process_gone = { ROLE_WORKER, 7, 4, 1, 0 } }, -1);
	request(fd, "status", "");
	expect(fd, MSG_status_server, NULL);
	ck_assert(answer(fd, &m, &u));
	ck_assert(bytes_equal(m.u.status_process.state, BYTES("restarting")));
	ck_assert_uint_eq(m.u.status_process.pid, 0);
	ck_assert_uint_eq(m.u.status_process.restarts, 4);
	msgpack_unpacked_destroy(&u);
	expect(fd, MSG_status_end, NULL);
	/* none does */
	say((struct msg){ .type = MSG_process_gone, .u.process_gone = { ROLE_WORKER, 7, 4, 0, 0 } }, -1);
	request(fd, "status", "");
	expect_status(fd, 0);
	close(fd);
}
END_TEST

static const struct { const char *what, *about, *why; } unknown[] = {
	{ "kick", "", "this server (bulkhead " BULKHEAD_VERSION ") does not know the request \"kick\"" },
	{ "statu", "", "this server (bulkhead " BULKHEAD_VERSION ") does not know the request \"statu\"" },
	{ "status", "x", "this server (bulkhead " BULKHEAD_VERSION ") does not know the request \"status x\"" },
};

/* Of a bulkheadctl that knows more than we do; the connection stays. */
START_TEST(what_is_not_known_is_refused_in_a_sentence)
{
	char	why[512];
	int	fd = control_connect(USER);

	request(fd, unknown[_i].what, unknown[_i].about);
	expect(fd, MSG_request_refused, why);
	ck_assert_str_eq(why, unknown[_i].why);
	request(fd, "status", "");
	expect_status(fd, 0);
	close(fd);
}
END_TEST

START_TEST(before_it_knows_the_server_it_says_so)
{
	char	why[512];
	int	fd = control_connect(USER);

	request(fd, "status", "");
	expect(fd, MSG_request_refused, why);
	ck_assert_str_eq(why, "the server is starting");
	close(fd);
}
END_TEST

static const struct { const char *what, *bytes; size_t len; } malformed[] = {
	{ "no msgpack", "\xc1", 1 },
	{ "no array", "\x05", 1 },
	{ "an empty array", "\x90", 1 },
	{ "an unknown number", "\x91\xcd\x7f\xff", 4 },
	{ "fields are missing", "\x91\x00", 2 },
	{ "a number for a text", "\x93\x00\x01\xa0", 4 },
	{ "an empty request", "\x93\x00\xa0\xa0", 4 },
	{ "what only a server says", "\x91\x04", 2 },
	{ "what only the supervisor says", "\x92\x0a\x01", 3 },
	{ "more than is there", "\x93\x00\xdb\xff\xff\xff\xff", 7 },
	{ "more behind it", "\x93\x00\xa1x\xa0z", 6 },
	{ "arrays in arrays", "\x91\x91\x91\x91\x91\x91\x91\x91\x91", 9 },
	{ "a NUL in a text", "\x93\x00\xa2x\0\xa0", 6 },
};

START_TEST(malformed_costs_its_sender_alone)
{
	int	other = control_connect(USER), fd = control_connect(USER);

	ck_assert_int_eq(send(fd, malformed[_i].bytes, malformed[_i].len, MSG_NOSIGNAL), (ssize_t)malformed[_i].len);
	expect_closed(fd);
	request(other, "status", "");
	expect_status(other, 0);
	close(other);
}
END_TEST

START_TEST(descriptors_are_not_wanted)
{
	struct msg	m = { .type = MSG_request, .u.request = { BYTES("status"), BYTES(""), 0 } };
	union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	msgpack_sbuffer	b;
	int		fd = control_connect(USER), passed = 0;

	msgpack_sbuffer_init(&b);
	ck_assert_int_eq(msg_encode(&b, &m), 0);
	struct iovec	iov = { b.data, b.size };
	struct msghdr	h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), &passed, sizeof(int));
	ck_assert_int_eq(sendmsg(fd, &h, MSG_NOSIGNAL), (ssize_t)b.size);
	msgpack_sbuffer_destroy(&b);
	expect_closed(fd);
}
END_TEST

/* Answers are made one after the other; who asks on before has no need of them. */
START_TEST(who_does_not_wait_for_its_answer_is_closed)
{
	int	fd = control_connect(USER), i;

	/* until the first that finds it closed */
	for (i = 0; i < 100000; i++) {
		struct pollfd	p = { .fd = fd, .events = POLLOUT };
		ck_assert_int_eq(poll(&p, 1, (int)(PROGRAM_WAIT * 1000)), 1);
		if ((p.revents & POLLHUP) != 0)
			break;
		if (send(fd, "\x93\x00\xa6status\xa0", 10, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 && errno == EPIPE)
			break;
	}
	ck_assert_int_lt(i, 100000);
	close(fd);
}
END_TEST

START_TEST(who_asks_again_at_once_waits_a_little)
{
	int	fd = control_connect(USER), i;
	double	began = program_now();

	for (i = 0; i < 5; i++) {
		request(fd, "status", "");
		expect_status(fd, 0);
	}
	ck_assert(program_now() - began >= 4 * CONTROL_REST);
	close(fd);
}
END_TEST

START_TEST(the_ninth_of_a_user_takes_the_place_of_its_first)
{
	int		other = control_connect(USER + 1), fds[CONTROL_EACH + 1];
	unsigned	i;

	for (i = 0; i < CONTROL_EACH + 1; i++)
		fds[i] = control_connect(USER);
	expect_closed(fds[0]);
	for (i = 1; i < CONTROL_EACH + 1; i++) {
		request(fds[i], "status", "");
		expect_status(fds[i], 0);
		close(fds[i]);
	}
	request(other, "status", "");
	expect_status(other, 0);
	close(other);
}
END_TEST

START_TEST(there_are_no_more_than_so_many)
{
	int		fds[CONTROL_MOST + 1];
	unsigned	i;

	for (i = 0; i < CONTROL_MOST + 1; i++)
		fds[i] = control_connect(USER + i);
	expect_closed(fds[0]);
	for (i = 1; i < CONTROL_MOST + 1; i++) {
		request(fds[i], "status", "");
		expect_status(fds[i], 0);
		close(fds[i]);
	}
}
END_TEST

START_TEST(who_says_nothing_is_closed)
{
	double	began = program_now();

	expect_closed(control_connect(USER));
	ck_assert(program_now() - began >= CONTROL_PATIENCE - 0.1);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("control");
	TCase	*c = tcase_create("whole"), *early = tcase_create("early");
	SRunner	*r;
	int	 failed;

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup_whole, teardown);
	tcase_add_test(c, status_is_what_it_was_told);
	tcase_add_loop_test(c, what_is_not_known_is_refused_in_a_sentence, 0, sizeof(unknown) / sizeof(unknown[0]));
	tcase_add_loop_test(c, malformed_costs_its_sender_alone, 0, sizeof(malformed) / sizeof(malformed[0]));
	tcase_add_test(c, descriptors_are_not_wanted);
	tcase_add_test(c, who_does_not_wait_for_its_answer_is_closed);
	tcase_add_test(c, who_asks_again_at_once_waits_a_little);
	tcase_add_test(c, the_ninth_of_a_user_takes_the_place_of_its_first);
	tcase_add_test(c, there_are_no_more_than_so_many);
	tcase_add_test(c, who_says_nothing_is_closed);
	suite_add_tcase(s, c);
	tcase_set_timeout(early, 120);
	tcase_add_checked_fixture(early, setup, teardown);
	tcase_add_test(early, before_it_knows_the_server_it_says_so);
	suite_add_tcase(s, early);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

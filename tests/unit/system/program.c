/*
 * bulkhead-system and bulkhead-monitor as the supervisor starts them, joined
 * by a channel; HTTP over connections of the loopback, as a client sees it.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <jansson.h>
#include "admin/monitor/http.h"
#include "common/loop.h"
#include "shm/directory.h"
#include "shm/segment.h"
#include "shm/tables.h"
#include "tests/unit/program.h"

static struct ev_loop	*loop;
static struct settings	 settings;
static struct program	 systemd, monitor;
static struct segment	 directory, tables;
static int		 listener, directory_fd, tables_fd;
static uint64_t		 cid;

static unsigned		 losses;	/* monitor's, of its channel to system */

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	losses += m->type == MSG_system_lost;
	return 0;	/* else `ready` */
}

/* -- supervisor */

static int
segment_make(struct segment *own, size_t size)
{
	int	fd = segment_create("test", size), copy;

	ck_assert_int_ge(fd, 0);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	ck_assert_int_eq(segment_map_own(own, fd, size), 0);
	return copy;
}

static void
say(struct program *p, struct msg m, int fd)
{
	ck_assert_int_eq(channel_send(&p->channel, &m, &fd), 0);
}

/* A channel between the two. */
static void
introduce(void)
{
	int	ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	say(&monitor, (struct msg){ .type = MSG_system_channel }, ends[1]);
	say(&systemd, (struct msg){ .type = MSG_monitor_channel }, ends[0]);
	close(ends[0]);
	close(ends[1]);
}

static void
tables_say(uint64_t incarnation)
{
	say(&systemd, (struct msg){ .type = MSG_tables, .u.tables = { .slot = 7,
	    .incarnation = incarnation } }, tables_fd);
}

static void
setup(void)
{
	struct sockaddr_in	a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	loop = loop_new();	/* the default one waits for children itself */
	ck_assert_int_eq(settings_init(&settings), 0);
	ck_assert_int_eq(setting_set_text(&settings, setting_find(BYTES("server_id")), BYTES("NID")), 0);
	directory_fd = segment_make(&directory, DIRECTORY_SIZE);
	tables_fd = segment_make(&tables, TABLES_SIZE);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(listener, 128), 0);
	program_start(&systemd, loop, ROLE_SYSTEM, &settings, receive);
	program_start(&monitor, loop, ROLE_MONITOR, &settings, receive);
}

static void
setup_whole(void)
{
	setup();
	say(&systemd, (struct msg){ .type = MSG_server }, directory_fd);
	tables_say(3);
	introduce();
}

static void
teardown(void)
{
	program_stop(&systemd);
	program_stop(&monitor);
	close(listener);
	close(directory_fd);
	close(tables_fd);
	segment_unmap(&directory);
	segment_unmap(&tables);
	settings_free(&settings);
}

/* -- client */

/* A connection; its other end is monitor's. flags: of the accepted socket. */
static int
http_connect_flags(int flags)
{
	struct sockaddr_in	a;
	socklen_t		len = sizeof(a);
	struct timeval		limit = { .tv_sec = (time_t)PROGRAM_WAIT };
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), other;

	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	other = accept4(listener, NULL, NULL, flags);
	ck_assert_int_ge(other, 0);
	say(&monitor, (struct msg){ .type = MSG_http_connection,
	    .u.http_connection = { .cid = ++cid } }, other);
	close(other);
	return fd;
}

static int
http_connect(void)
{
	return http_connect_flags(SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void
http_say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

struct answer { int status; char head[2048]; char body[65536]; size_t len; };

/* One answer; head_only: it was HEAD. */
static void
http_read(int fd, struct answer *a, bool head_only)
{
	size_t	 n = 0, length = 0;
	char	*end = NULL, *field;

	memset(a, 0, sizeof(*a));
	while (end == NULL) {		/* byte by byte: what follows is the next answer's */
		ck_assert_uint_lt(n, sizeof(a->head) - 1);
		ck_assert_int_eq(recv(fd, a->head + n, 1, 0), 1);
		end = strstr(a->head, "\r\n\r\n");
		n++;
	}
	ck_assert_int_eq(sscanf(a->head, "HTTP/1.1 %d ", &a->status), 1);
	field = strcasestr(a->head, "\r\nContent-Length: ");
	ck_assert_ptr_nonnull(field);
	length = strtoul(field + 18, NULL, 10);
	a->len = length;
	ck_assert_uint_lt(length, sizeof(a->body));
	if (!head_only && length > 0)
		ck_assert_int_eq(recv(fd, a->body, length, MSG_WAITALL), (ssize_t)length);
}

static void
http_ask_for(const char *request, struct answer *a)
{
	int	fd = http_connect();

	http_say(fd, request);
	http_read(fd, a, strncmp(request, "HEAD", 4) == 0);
	close(fd);
}

static struct answer	a;

static const struct { const char *request; int status; const char *type, *body; } requests[] = {
	{ "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, "application/json", "{\"status\":\"ok\"}" },
	{ "GET /healthz?js-enabled-only=true HTTP/1.1\r\nHost: x\r\n\r\n", 200, "application/json", "{\"status\":\"ok\"}" },
	{ "GET /%68ealthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, "application/json", "{\"status\":\"ok\"}" },
	{ "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, "application/json", "{\"status\":\"ok\"}" },
	{ "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", 404, "text/plain; charset=utf-8", "404 page not found\n" },
	{ "GET /varz/ HTTP/1.1\r\nHost: x\r\n\r\n", 404, "text/plain; charset=utf-8", "404 page not found\n" },
	{ "POST /varz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 405, "text/plain; charset=utf-8", NULL },
	{ "DELETE /varz HTTP/1.1\r\nHost: x\r\n\r\n", 405, "text/plain; charset=utf-8", NULL },
	{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, "text/html; charset=utf-8", NULL },
	{ "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200, "application/json", "{\"status\":\"ok\"}" },
};

START_TEST(answers)
{
	char	type[128];

	http_ask_for(requests[_i].request, &a);
	ck_assert_int_eq(a.status, requests[_i].status);
	snprintf(type, sizeof(type), "\r\nContent-Type: %s\r\n", requests[_i].type);
	ck_assert_msg(strstr(a.head, type) != NULL, "%s", a.head);
	ck_assert_int_eq(strstr(a.head, "\r\nAccess-Control-Allow-Origin: *\r\n") != NULL,
	    strcmp(requests[_i].type, "application/json") == 0);
	if (requests[_i].body != NULL)
		ck_assert_str_eq(a.body, requests[_i].body);
}
END_TEST

START_TEST(varz_is_whole_and_current)
{
	struct directory	*d = directory.base;
	json_t			*varz;
	int			 stat_fd;

	d->started = 1795258832298738;
	d->connections = 2;
	tables_head(tables.base)->in_msgs = 42;
	stat_fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	say(&systemd, (struct msg){ .type = MSG_process, .u.process = { .role = ROLE_WORKER,
	    .pid = 1 } }, stat_fd);
	close(stat_fd);
	http_ask_for("GET /varz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 200);
	ck_assert_int_eq(strncmp(a.body, "{\n  \"server_id\": \"NID\",\n  \"server_name\": \"NID\",\n", 48), 0);
	varz = json_loads(a.body, 0, NULL);
	ck_assert_ptr_nonnull(varz);
	ck_assert_int_eq(json_integer_value(json_object_get(varz, "in_msgs")), 42);
	ck_assert_int_eq(json_integer_value(json_object_get(varz, "connections")), 2);
	ck_assert_str_eq(json_string_value(json_object_get(varz, "start")), "2026-11-21T11:00:32.298738Z");
	ck_assert_int_gt(json_integer_value(json_object_get(varz, "mem")), 100000);
	json_decref(varz);
	/* the worker dies, its successor's tables come */
	say(&systemd, (struct msg){ .type = MSG_tables_gone, .u.tables_gone = { 7, 3, 0 } }, -1);
	http_ask_for("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 503);
	ck_assert_str_eq(a.body, "{\"status\":\"unavailable\",\"error\":\"no worker is ready\"}");
	tables_say(4);
	http_ask_for("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 200);
}
END_TEST

START_TEST(head_has_no_body)
{
	int	fd = http_connect();

	http_say(fd, "HEAD /varz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	http_read(fd, &a, true);
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_gt(a.len, 1000);
	http_read(fd, &a, false);	/* the next answer, not HEAD's body */
	ck_assert_str_eq(a.body, "{\"status\":\"ok\"}");
	close(fd);
}
END_TEST

START_TEST(pipelined_and_split_at_every_byte)
{
	static const char	request[] = "GET /healthz?a=b HTTP/1.1\r\nHost: x\r\n\r\n";
	int			fd = http_connect(), i;
	size_t			at;

	for (i = 0; i < 20; i++)
		http_say(fd, request);
	for (i = 0; i < 20; i++) {
		http_read(fd, &a, false);
		ck_assert_str_eq(a.body, "{\"status\":\"ok\"}");
	}
	for (at = 0; at < sizeof(request) - 1; at++)
		ck_assert_int_eq(send(fd, request + at, 1, MSG_NOSIGNAL), 1);
	http_read(fd, &a, false);
	ck_assert_int_eq(a.status, 200);
	close(fd);
}
END_TEST

/* Whatever a client sends or does not wait for, the next one is served. */
START_TEST(hostile_clients_cost_nobody_else)
{
	static char	text[70000];
	unsigned	seed = 1;
	int		fd, i;
	size_t		k;

	for (i = 0; i < 200; i++) {
		fd = http_connect();
		for (k = 0; k < sizeof(text) - 1; k++)
			text[k] = i % 3 == 0 ? 'a' : (char)rand_r(&seed);
		memcpy(text, "GET /varz HTTP/1.1\r\n", i % 4 == 0 ? 5 : i % 4 == 1 ? 20 : 0);
		send(fd, text, (size_t)rand_r(&seed) % sizeof(text), MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
		fd = http_connect();
		http_say(fd, "GET /varz HTTP/1.1\r\nHost: x\r\n\r\n");
		close(fd);	/* before the answer */
	}
	http_ask_for("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 200);
	/* a path or query that a message cannot carry */
	memset(text, 'a', sizeof(text));
	snprintf(text, sizeof(text), "GET /%0300d HTTP/1.1\r\nHost: x\r\n\r\n", 1);
	http_ask_for(text, &a);
	ck_assert_int_eq(a.status, 404);
	snprintf(text, sizeof(text), "GET /varz?%05000d HTTP/1.1\r\nHost: x\r\n\r\n", 1);
	http_ask_for(text, &a);
	ck_assert_int_eq(a.status, 414);
}
END_TEST

START_TEST(connections_are_limited)
{
	int	fds[HTTP_CONNECTIONS + 20], i;
	char	c;

	for (i = 0; i < HTTP_CONNECTIONS + 20; i++)
		fds[i] = http_connect();
	for (i = HTTP_CONNECTIONS; i < HTTP_CONNECTIONS + 20; i++)
		ck_assert_int_le(recv(fds[i], &c, 1, 0), 0);	/* closed */
	http_say(fds[0], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	http_read(fds[0], &a, false);
	ck_assert_int_eq(a.status, 200);
	for (i = 0; i < HTTP_CONNECTIONS + 20; i++)
		close(fds[i]);
	http_ask_for("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 200);
}
END_TEST

START_TEST(a_blocking_socket_is_refused)
{
	int	fd = http_connect_flags(SOCK_CLOEXEC);
	char	c;

	ck_assert_int_le(recv(fd, &c, 1, 0), 0);
	close(fd);
	http_ask_for("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 200);
}
END_TEST

START_TEST(without_system_503)
{
	http_ask_for("GET /varz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 503);
	http_ask_for("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 200);
	introduce();
	http_ask_for("GET /varz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 503);	/* no directory yet */
	http_ask_for("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_str_eq(a.body, "{\"status\":\"unavailable\",\"error\":\"the server is starting\"}");
	say(&systemd, (struct msg){ .type = MSG_server }, directory_fd);
	http_ask_for("GET /varz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 200);
}
END_TEST

/* Their channel breaks and both live: monitor says so, and goes on with the next one. */
START_TEST(a_channel_that_broke_is_missed)
{
	int	ends[2], fd = http_connect();

	http_ask_for("GET /varz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	ck_assert_int_eq(a.status, 200);
	losses = 0;
	ck_assert_int_eq(channel_pair(ends), 0);
	say(&systemd, (struct msg){ .type = MSG_monitor_channel }, ends[0]);	/* drops the old one */
	close(ends[0]);
	close(ends[1]);
	while (losses == 0)
		ev_run(loop, EVRUN_ONCE);
	http_say(fd, "GET /varz HTTP/1.1\r\nHost: x\r\n\r\n");
	introduce();
	http_read(fd, &a, false);
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_eq(losses, 1);
	close(fd);
}
END_TEST

/* The test plays system: it is silent, it says impossible things, it goes away. */
START_TEST(system_may_be_slow_or_broken)
{
	struct msg	m = { .type = MSG_report, .u.report = { .request = 1, .status = 200,
			    .last = 1, .body = BYTES("{\"late\":1}") } };
	msgpack_sbuffer	b;
	int		ends[2], fd;
	double		began;

	ck_assert_int_eq(channel_pair(ends), 0);
	say(&monitor, (struct msg){ .type = MSG_system_channel }, ends[1]);
	close(ends[1]);
	fd = http_connect();
	http_say(fd, "GET /varz HTTP/1.1\r\nHost: x\r\n\r\n");
	began = program_now();
	http_read(fd, &a, false);
	ck_assert_int_eq(a.status, 503);
	ck_assert_double_gt(program_now() - began, HTTP_PATIENCE / 2);
	/* the answer comes after all: nobody's, and not the next request's */
	msgpack_sbuffer_init(&b);
	ck_assert_int_eq(msg_encode(&b, &m), 0);
	ck_assert_int_eq(send(ends[0], b.data, b.size, 0), (ssize_t)b.size);
	http_say(fd, "GET /varz HTTP/1.1\r\nHost: x\r\n\r\n");
	/* wait until it was asked, then say what is no message: its channel ends */
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = ends[0], .events = POLLIN }, 1, 10000), 1);
	ck_assert_int_eq(send(ends[0], "xyz", 3, 0), 3);
	close(ends[0]);
	msgpack_sbuffer_destroy(&b);
	/* a new system is asked what the old one did not answer */
	say(&systemd, (struct msg){ .type = MSG_server }, directory_fd);
	introduce();
	http_read(fd, &a, false);
	ck_assert_int_eq(a.status, 200);
	http_say(fd, "GET /varz HTTP/1.1\r\nHost: x\r\n\r\n");
	http_read(fd, &a, false);
	ck_assert_int_eq(a.status, 200);
	close(fd);
}
END_TEST

/* A report in many pieces arrives whole, and requests that wait do not mix. */
START_TEST(reports_come_in_pieces)
{
	struct msg	m = { .type = MSG_report };
	msgpack_sbuffer	b;
	char		piece[7000];
	int		ends[2], fds[2], i, k;

	ck_assert_int_eq(channel_pair(ends), 0);
	say(&monitor, (struct msg){ .type = MSG_system_channel }, ends[1]);
	close(ends[1]);
	for (k = 0; k < 2; k++) {
		fds[k] = http_connect();
		http_say(fds[k], "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
		ck_assert_int_eq(poll(&(struct pollfd){ .fd = ends[0], .events = POLLIN }, 1, 10000), 1);
		ck_assert_int_gt(recv(ends[0], piece, sizeof(piece), 0), 0);
	}
	for (i = 0; i < 8; i++)
		for (k = 0; k < 2; k++) {
			memset(piece, 'a' + k, sizeof(piece));
			m.u.report = (struct msg_report){ .request = (uint64_t)k + 1, .status = 200,
			    .last = i == 7, .body = { piece, sizeof(piece) } };
			msgpack_sbuffer_init(&b);
			ck_assert_int_eq(msg_encode(&b, &m), 0);
			ck_assert_int_eq(send(ends[0], b.data, b.size, 0), (ssize_t)b.size);
			msgpack_sbuffer_destroy(&b);
		}
	for (k = 0; k < 2; k++) {
		http_read(fds[k], &a, false);
		ck_assert_uint_eq(a.len, 8 * sizeof(piece));
		for (i = 0; i < (int)a.len; i++)
			ck_assert_int_eq(a.body[i], 'a' + k);
		close(fds[k]);
	}
	close(ends[0]);
}
END_TEST

/* Nothing happens: nobody wakes up. With an idle connection monitor has one timer. */
START_TEST(idle_is_idle)
{
	long	before[2], fd;

	http_ask_for("GET /varz HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	fd = http_connect();
	poll(NULL, 0, 1200);		/* what the closed connection leaves to do */
	before[0] = program_wakeups(&systemd);
	before[1] = program_wakeups(&monitor);
	poll(NULL, 0, 3000);
	ck_assert_int_eq(program_wakeups(&systemd), before[0]);
	ck_assert_int_eq(program_wakeups(&monitor), before[1]);
	close((int)fd);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("bulkhead-system, bulkhead-monitor");
	TCase	*whole = tcase_create("whole"), *apart = tcase_create("apart");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(whole, setup_whole, teardown);
	tcase_add_loop_test(whole, answers, 0, (int)(sizeof(requests) / sizeof(requests[0])));
	tcase_add_test(whole, varz_is_whole_and_current);
	tcase_add_test(whole, head_has_no_body);
	tcase_add_test(whole, a_channel_that_broke_is_missed);
	tcase_add_test(whole, pipelined_and_split_at_every_byte);
	tcase_add_test(whole, hostile_clients_cost_nobody_else);
	tcase_add_test(whole, connections_are_limited);
	tcase_add_test(whole, a_blocking_socket_is_refused);
	tcase_add_test(whole, idle_is_idle);
	tcase_add_checked_fixture(apart, setup, teardown);
	tcase_add_test(apart, without_system_503);
	tcase_add_test(apart, system_may_be_slow_or_broken);
	tcase_add_test(apart, reports_come_in_pieces);
	tcase_set_timeout(whole, 60);
	tcase_set_timeout(apart, 60);
	suite_add_tcase(s, whole);
	suite_add_tcase(s, apart);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * Bytes in both directions against the simplest model (what one side took the other gets, in order), with
 * sockets that take and give little; ends of all kinds; and what an idle stream keeps.
 */
#include <malloc.h>
#include "rig.h"

#define TOTAL	300000u		/* bytes each way, where the network takes much of them at once */
#define FEW	35000u		/* where it does not */

static const struct rig_make	server_make = { .subject = "/CN=localhost", .names = "DNS:localhost" };
static struct rig		r;
static struct identity		own;

static void
setup(void)
{
	rig_init(&r);
	own = identity_make(EC_P256, &server_make, NULL);
	document_context(&r, false, TLS1_2_VERSION);
	document_certificate(&r, &own);
	document_use(&r);
}

static void
teardown(void)
{
	identity_free(&own);
	rig_free(&r);
}

/* Byte number i of what everybody sends. */
static char
byte_at(size_t i)
{
	return (char)(i * 7 + i / 251 + i / 65521);
}

static unsigned
random_below(unsigned n)
{
	static uint32_t	x = 1;

	x = x * 1664525 + 1013904223;
	return (x >> 8) % n;
}

static void
open_pair(struct pair *p, SSL_CTX **c, int version)
{
	*c = client_make(NULL, version);
	pair_init(p, &r, *c);
	ck_assert_msg(pair_shake(p, &r) == 0, "%s", tls_error(p->server));
}

/* A socket pair between, whose other end we hand on a few bytes at a time. */
struct relay { int inner, outer; size_t most; char held[2][65536]; size_t at[2], len[2]; };

static void
relay_move(struct relay *l, int way)
{
	const int	from = way == 0 ? l->inner : l->outer, to = way == 0 ? l->outer : l->inner;
	ssize_t		n;

	if (l->at[way] == l->len[way]) {
		n = recv(from, l->held[way], sizeof(l->held[way]), MSG_DONTWAIT);
		l->at[way] = 0;
		l->len[way] = n > 0 ? (size_t)n : 0;
	}
	n = (ssize_t)(l->len[way] - l->at[way]);
	n = (size_t)n < l->most ? n : (ssize_t)l->most;
	if (n > 0 && (n = send(to, l->held[way] + l->at[way], (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		l->at[way] += (size_t)n;
}

struct traffic { size_t total, sent[2], got[2]; };	/* by the server, by the client */

/* As many pieces as come, of sizes that are hard. */
static void
server_writes(struct pair *p, struct traffic *t, const char *all)
{
	static const size_t	sizes[] = { 0, 1, 2, 100, 4096, 16383, 16384, 16385, 40000, 150000 };
	struct iovec		iov[5];
	size_t			i, at = t->sent[0], most = t->total - at;
	ssize_t			n;

	for (i = 0; i < 5; i++) {
		iov[i].iov_len = sizes[random_below(10)];
		iov[i].iov_len = iov[i].iov_len < most ? iov[i].iov_len : most;
		iov[i].iov_base = (void *)(uintptr_t)(all + at);
		at += iov[i].iov_len;
		most -= iov[i].iov_len;
	}
	n = tls_write(p->server, iov, 5);
	if (n == -1)
		ck_assert_int_eq(errno, EAGAIN);
	else
		t->sent[0] += (size_t)n;
	ck_assert_uint_le(tls_unsent(p->server), TLS_BUFFER);
	n = tls_flush(p->server);
	ck_assert(n == 0 || n == -EAGAIN);
}

static void
server_reads(struct pair *p, struct traffic *t)
{
	static char	room[200000];
	const size_t	most = 1 + random_below(random_below(2) != 0 ? 100 : sizeof(room));
	ssize_t		n = tls_read(p->server, room, most), i;

	if (n == -1) {
		ck_assert_msg(errno == EAGAIN, "%s", tls_error(p->server));
		return;
	}
	ck_assert_int_gt(n, 0);
	for (i = 0; i < n; i++)
		ck_assert_int_eq(room[i], byte_at(t->got[0]++));
}

static void
client_works(struct pair *p, struct traffic *t, const char *all)
{
	static char	room[30000];
	int		n, i;

	n = (int)(t->total - t->sent[1] < 20000 ? t->total - t->sent[1] : 1 + random_below(20000));
	if (n > 0 && (n = SSL_write(p->client, all + t->sent[1], n)) > 0)
		t->sent[1] += (size_t)n;
	n = SSL_read(p->client, room, sizeof(room));
	for (i = 0; i < n; i++)
		ck_assert_int_eq(room[i], byte_at(t->got[1]++));
}

static const size_t mosts[] = { 1, 7, 1000, 65536 };

/* Version x how much the network takes at once. */
START_TEST(what_is_sent_comes_in_order)
{
	const size_t		 most = mosts[_i / 2];
	struct traffic		 t = { .total = most < 10 ? FEW : TOTAL };
	struct pair		 p;
	struct relay		*l = calloc(1, sizeof(*l));
	SSL_CTX			*c;
	char			*all = malloc(TOTAL);
	size_t			 i, turns = 0;
	int			 between[2], size = 4608;

	for (i = 0; i < TOTAL; i++)
		all[i] = byte_at(i);
	open_pair(&p, &c, _i % 2 != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, between), 0);
	setsockopt(p.fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	l->inner = p.fds[1];
	l->outer = between[0];
	l->most = most;
	SSL_set_fd(p.client, between[1]);
	SSL_set_mode(p.client, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	while (t.got[0] < t.total || t.got[1] < t.total) {
		server_writes(&p, &t, all);
		server_reads(&p, &t);
		client_works(&p, &t, all);
		for (i = 0; i < (most < 10 ? 50 : 4); i++) {
			relay_move(l, 0);
			relay_move(l, 1);
		}
		ck_assert_uint_lt(turns++, 10000000);
	}
	ck_assert_uint_eq(t.got[0], t.sent[1]);
	ck_assert_uint_eq(t.got[1], t.sent[0]);
	pair_free(&p);
	SSL_CTX_free(c);
	close(between[0]);
	close(between[1]);
	free(l);
	free(all);
}
END_TEST

/* What is pending is told, until there is nothing. */
START_TEST(what_the_socket_does_not_tell_is_pending)
{
	struct pair	p;
	SSL_CTX		*c;
	char		 data[40000], room[1000];
	size_t		 got = 0;
	ssize_t		 n;

	open_pair(&p, &c, _i != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	ck_assert(!tls_pending(p.server));
	memset(data, 'x', sizeof(data));
	ck_assert_int_eq(SSL_write(p.client, data, sizeof(data)), sizeof(data));
	while ((n = tls_read(p.server, room, sizeof(room))) > 0) {
		got += (size_t)n;
		ck_assert(tls_pending(p.server) || got == sizeof(data) ||
		    recv(p.fds[0], data, 1, MSG_PEEK | MSG_DONTWAIT) == 1);
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_eq(got, sizeof(data));
	ck_assert(!tls_pending(p.server));
	pair_free(&p);
	SSL_CTX_free(c);
}
END_TEST

/* The client's first words come in the same packet as the end of its handshake. */
START_TEST(seeded_bytes_and_early_words)
{
	SSL_CTX		*c = client_make(NULL, TLS1_3_VERSION);
	struct pair	 p;
	char		 data[4096];
	ssize_t		 n;
	int		 i;

	pair_init(&p, &r, c);
	(void)SSL_do_handshake(p.client);
	n = recv(p.fds[0], data, sizeof(data), MSG_DONTWAIT);
	ck_assert_int_gt(n, 10);
	ck_assert_int_eq(tls_stream_seed(p.server, (struct bytes){ data, 10 }), 0);
	ck_assert_int_eq(tls_stream_seed(p.server, (struct bytes){ data + 10, (size_t)n - 10 }), 0);
	for (i = 0; i < RIG_TURNS && !SSL_is_init_finished(p.client); i++) {
		p.rc = tls_handshake(p.server);
		ev_run(r.loop, EVRUN_NOWAIT);
		(void)SSL_do_handshake(p.client);
	}
	ck_assert_int_eq(SSL_write(p.client, "CONNECT {}", 10), 10);
	ck_assert_int_eq(tls_handshake(p.server), 0);
	ck_assert(tls_pending(p.server));
	ck_assert_int_eq(tls_read(p.server, data, sizeof(data)), 10);
	ck_assert_mem_eq(data, "CONNECT {}", 10);
	pair_free(&p);
	SSL_CTX_free(c);
}
END_TEST

START_TEST(goodbyes)
{
	struct pair	p;
	SSL_CTX		*c;
	char		 room[16];

	open_pair(&p, &c, _i != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	tls_close(p.server);
	ck_assert_int_le(SSL_read(p.client, room, sizeof(room)), 0);
	ck_assert_int_eq(SSL_get_shutdown(p.client) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	pair_free(&p);
	SSL_CTX_free(c);

	open_pair(&p, &c, _i != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	ck_assert_int_eq(SSL_write(p.client, "last", 4), 4);
	(void)SSL_shutdown(p.client);
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), 4);
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), 0);
	pair_free(&p);
	SSL_CTX_free(c);

	open_pair(&p, &c, _i != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	ck_assert_int_eq(SSL_write(p.client, "last", 4), 4);
	close(p.fds[1]);
	p.fds[1] = -1;
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), 4);
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), 0);
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), 0);
	pair_free(&p);
	SSL_CTX_free(c);
}
END_TEST

START_TEST(a_forged_record_ends_the_connection)
{
	struct pair	p;
	SSL_CTX		*c;
	char		 room[64];
	struct iovec	 word = { .iov_base = room, .iov_len = 4 };
	int		 n;

	open_pair(&p, &c, _i != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	ck_assert_int_eq(write(p.fds[1], "\x17\x03\x03\x00\x20" "0123456789abcdef0123456789abcdef", 37), 37);
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), -1);
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_str_eq(tls_error(p.server), "tls: bad record MAC");
	ck_assert_int_eq(tls_write(p.server, &word, 1), -1);
	n = SSL_read(p.client, room, sizeof(room));	/* it got our alert */
	ck_assert_int_le(n, 0);
	ck_assert_int_eq(SSL_get_error(p.client, n), SSL_ERROR_SSL);
	ck_assert_int_eq(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
	ERR_clear_error();
	pair_free(&p);
	SSL_CTX_free(c);
}
END_TEST

/* New keys asked for again and again by one who does not read: bounded, and it is ended. */
START_TEST(answers_that_are_not_read_are_bounded)
{
	struct pair	p;
	SSL_CTX		*c;
	char		 room[64];
	ssize_t		 n = 0;
	int		 i;

	open_pair(&p, &c, TLS1_3_VERSION);
	for (i = 0; i < 200000 && !(n == -1 && errno != EAGAIN); i++) {
		SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED);
		(void)SSL_do_handshake(p.client);
		(void)SSL_write(p.client, "x", 1);
		n = tls_read(p.server, room, sizeof(room));
		ck_assert_uint_le(tls_unsent(p.server), 2 * TLS_BUFFER);
	}
	ck_assert_int_eq(n, -1);
	ck_assert_int_eq(errno, EPROTO);
	pair_free(&p);
	SSL_CTX_free(c);
}
END_TEST

static void
keys_change(SSL *client, unsigned times)
{
	while (times-- > 0) {
		ck_assert_int_eq(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		ck_assert_int_eq(SSL_do_handshake(client), 1);
	}
}

/* New keys cost much: so many are taken that come alone, and so many in one call where data comes between. */
START_TEST(new_keys_again_and_again)
{
	struct pair	p;
	SSL_CTX		*c;
	char		 room[64];
	int		 i;

	open_pair(&p, &c, TLS1_3_VERSION);
	for (i = 0; i < 8; i++) {
		keys_change(p.client, 5);
		ck_assert_int_eq(SSL_write(p.client, "data", 4), 4);
	}
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), 12);
	ck_assert(tls_pending(p.server));
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), 12);
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), 8);
	ck_assert(!tls_pending(p.server));
	keys_change(p.client, 15);
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), -1);
	ck_assert_int_eq(errno, EAGAIN);
	keys_change(p.client, 1);
	ck_assert_int_eq(tls_read(p.server, room, sizeof(room)), -1);
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_str_eq(tls_error(p.server), "tls: too many non-advancing records");
	pair_free(&p);
	SSL_CTX_free(c);
}
END_TEST

/* What waits has gone in part when the goodbye comes behind it. */
START_TEST(a_goodbye_waits_behind_what_waits)
{
	static char		data[100000], room[100000];
	struct pair		p;
	SSL_CTX			*c;
	const struct iovec	iov = { .iov_base = data, .iov_len = sizeof(data) };
	const size_t		few = 4608;
	size_t			i, got = 0, before;
	int			n, size = (int)few;
	bool			closed = false;

	for (i = 0; i < sizeof(data); i++)
		data[i] = byte_at(i);
	open_pair(&p, &c, TLS1_3_VERSION);
	ck_assert_int_eq(setsockopt(p.fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	ck_assert_int_eq(tls_write(p.server, &iov, 1), (ssize_t)sizeof(data));
	ck_assert_uint_gt(before = tls_unsent(p.server), 0);
	for (i = 0; got < sizeof(data) && i < 10000; i++) {
		n = SSL_read(p.client, room + got, (int)(sizeof(room) - got));
		got += n > 0 ? (size_t)n : 0;
		ck_assert_int_ne(SSL_get_error(p.client, n), SSL_ERROR_SSL);
		(void)tls_flush(p.server);
		if (!closed && tls_unsent(p.server) < before && tls_unsent(p.server) > few) {
			tls_close(p.server);
			closed = true;
		}
	}
	ck_assert(closed);
	ck_assert_uint_eq(got, sizeof(data));
	ck_assert_mem_eq(room, data, sizeof(data));
	ck_assert_int_eq(tls_flush(p.server), 0);
	ck_assert_int_le(SSL_read(p.client, room, 1), 0);
	ck_assert_int_eq(SSL_get_shutdown(p.client) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	pair_free(&p);
	SSL_CTX_free(c);
}
END_TEST

#define IDLE	1000

static size_t
memory_used(void)
{
	const struct mallinfo2	m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* An idle connection keeps about what tls_bytes() says, and no buffers. */
START_TEST(memory_of_idle_streams)
{
	const int	 version = _i % 2 != 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
	struct pair	*p = calloc(IDLE, sizeof(*p));
	SSL_CTX		*c = client_make(NULL, version);
	size_t		 before, i, each;

	memset(r.tickets.keys, 'k', sizeof(r.tickets.keys));
	r.tickets.count = 1;
	for (i = 0; i < 2; i++) {	/* what is made once */
		pair_init(&p[i], &r, c);
		ck_assert_int_eq(pair_shake(&p[i], &r), 0);
		pair_talk(&p[i]);
		pair_free(&p[i]);
	}
	before = memory_used();
	for (i = 0; i < IDLE; i++) {
		pair_init(&p[i], &r, c);
		ck_assert_int_eq(pair_shake(&p[i], &r), 0);
		pair_talk(&p[i]);
		SSL_free(p[i].client);
		p[i].client = NULL;
		close(p[i].fds[1]);
		p[i].fds[1] = -1;
	}
	each = (memory_used() - before) / IDLE;
	if (getenv("TLS_MEMORY") != NULL)
		fprintf(stderr, "%s: %zu bytes each, tls_bytes() %ju\n", tls_version(p[0].server), each,
		    (uintmax_t)tls_bytes(p[0].server));
#ifndef SANITIZED
	ck_assert_uint_lt(each, tls_bytes(p[0].server) + 500);
	ck_assert_uint_gt(each, tls_bytes(p[0].server) / 2);
#endif
	for (i = 0; i < IDLE; i++)
		pair_free(&p[i]);
	SSL_CTX_free(c);
	free(p);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("tls/stream");
	TCase	*t = tcase_create("stream");
	SRunner	*sr = srunner_create(s);
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 50);
	tcase_add_loop_test(t, what_is_sent_comes_in_order, 0, 8);
	tcase_add_loop_test(t, what_the_socket_does_not_tell_is_pending, 0, 2);
	tcase_add_test(t, seeded_bytes_and_early_words);
	tcase_add_loop_test(t, goodbyes, 0, 2);
	tcase_add_loop_test(t, a_forged_record_ends_the_connection, 0, 2);
	tcase_add_test(t, answers_that_are_not_read_are_bounded);
	tcase_add_test(t, new_keys_again_and_again);
	tcase_add_test(t, a_goodbye_waits_behind_what_waits);
	tcase_add_loop_test(t, memory_of_idle_streams, 0, 2);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

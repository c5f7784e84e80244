#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "common/messages.h"
#include "common/unpack.h"

static char		zeros[40000];
static char		letters[40000];
static uint64_t		thousands[1025];

/* Encode m; then what `to` makes of it when `from` sent it. */
static int
roundtrip(struct msg *got, enum role from, enum role to, int nfds, enum msg_state state,
    const struct msg *m, const char **why)
{
	static msgpack_sbuffer	b;	/* got points into it */
	static msgpack_unpacked	u;

	msgpack_sbuffer_destroy(&b);
	msgpack_unpacked_destroy(&u);
	msgpack_sbuffer_init(&b);
	msgpack_unpacked_init(&u);
	ck_assert_int_eq(msg_encode(&b, m), 0);
	ck_assert_int_eq(unpack_bounded(&u, (struct bytes){ b.data, b.size }, MESSAGE_MAX), 0);
	return msg_decode(got, from, to, nfds, state, &u.data, why);
}

static const struct msg	connection = { .type = MSG_connection, .u.connection = {
	.cid = 7, .listener = 1, .host = { "127.0.0.1", 9 }, .port = 4222 } };
static const struct msg	line = { .type = MSG_line, .u.line = { .level = 3, .text = { "hi", 2 } } };
static const struct msg	ready = { .type = MSG_ready };
static const struct msg	shutdown_ = { .type = MSG_shutdown };

static const struct {
	const char *what; const struct msg *m; enum role from, to; int nfds; enum msg_state state;
	int rc; const char *why;
} passages[] = {
	{ "well formed", &connection, ROLE_SUPERVISOR, ROLE_WORKER, 1, MSG_READY, 0, NULL },
	{ "too early", &connection, ROLE_SUPERVISOR, ROLE_WORKER, 1, MSG_START, -EPERM, "state" },
	{ "without its descriptor", &connection, ROLE_SUPERVISOR, ROLE_WORKER, 0, MSG_READY, -EBADMSG, "shape" },
	{ "with one too many", &connection, ROLE_SUPERVISOR, ROLE_WORKER, 2, MSG_READY, -EBADMSG, "shape" },
	{ "from a worker", &connection, ROLE_WORKER, ROLE_SUPERVISOR, 1, MSG_READY, -EPERM, "sender" },
	{ "to the monitor", &connection, ROLE_SUPERVISOR, ROLE_MONITOR, 1, MSG_READY, -EPERM, "sender" },
	{ "any child to log", &line, ROLE_WORKER, ROLE_LOG, 0, MSG_READY, 0, NULL },
	{ "the supervisor to log", &line, ROLE_SUPERVISOR, ROLE_LOG, 0, MSG_READY, 0, NULL },
	{ "log to itself", &line, ROLE_LOG, ROLE_LOG, 0, MSG_READY, -EPERM, "sender" },
	{ "a line to the supervisor", &line, ROLE_WORKER, ROLE_SUPERVISOR, 0, MSG_READY, -EPERM, "sender" },
	{ "ready", &ready, ROLE_SYSTEM, ROLE_SUPERVISOR, 0, MSG_START, 0, NULL },
	{ "ready twice", &ready, ROLE_SYSTEM, ROLE_SUPERVISOR, 0, MSG_READY, -EPERM, "state" },
	{ "shutdown to any child", &shutdown_, ROLE_SUPERVISOR, ROLE_CONFIG, 0, MSG_START, 0, NULL },
	{ "shutdown by a child", &shutdown_, ROLE_MONITOR, ROLE_SYSTEM, 0, MSG_READY, -EPERM, "sender" },
};

START_TEST(who_may_say_what_when)
{
	struct msg	 got;
	const char	*why;

	ck_assert_msg(roundtrip(&got, passages[_i].from, passages[_i].to, passages[_i].nfds,
	    passages[_i].state, passages[_i].m, &why) == passages[_i].rc, "%s: %s", passages[_i].what, why);
	ck_assert_pstr_eq(why, passages[_i].why);
}
END_TEST

START_TEST(fields_arrive_as_sent)
{
	struct msg	 got;
	const char	*why;
	const uint64_t	 cids[] = { 1, UINT64_MAX, 77 };
	struct msg	 m = { .type = MSG_closed, .u.closed.cids = { .own = cids, .count = 3 } };

	ck_assert_int_eq(roundtrip(&got, ROLE_SUPERVISOR, ROLE_WORKER, 1, MSG_READY, &connection, &why), 0);
	ck_assert_int_eq(got.type, MSG_connection);
	ck_assert_uint_eq(got.u.connection.cid, 7);
	ck_assert_uint_eq(got.u.connection.port, 4222);
	ck_assert(bytes_equal(got.u.connection.host, BYTES("127.0.0.1")));
	ck_assert_int_eq(roundtrip(&got, ROLE_WORKER, ROLE_SUPERVISOR, 0, MSG_READY, &m, &why), 0);
	ck_assert_uint_eq(got.u.closed.cids.count, 3);
	ck_assert(msg_number(&got.u.closed.cids, 1) == UINT64_MAX);
	ck_assert(msg_number(&got.u.closed.cids, 2) == 77);
}
END_TEST

/* Who copies it need not ask whether there is anything. */
START_TEST(empty_text_can_be_copied)
{
	struct msg	 got;
	const char	*why;
	struct msg	 m = { .type = MSG_line, .u.line = { .level = 5 } };

	ck_assert_int_eq(roundtrip(&got, ROLE_WORKER, ROLE_LOG, 0, MSG_READY, &m, &why), 0);
	ck_assert_ptr_nonnull(got.u.line.text.data);
	ck_assert_uint_eq(got.u.line.text.len, 0);
}
END_TEST

/* Out of range in our own hands: nothing may be sent. */
static const struct { const char *what; struct msg m; int rc; } ours[] = {
	{ "cid too small", { MSG_taken, { .taken = { .cid = 0 } } }, -EINVAL },
	{ "level too large", { MSG_line, { .line = { 6, { "a", 1 }, 0 } } }, -EINVAL },
	{ "longest text", { MSG_line, { .line = { 5, { letters, 32768 }, 0 } } }, 0 },
	{ "text too long", { MSG_line, { .line = { 5, { letters, 32769 }, 0 } } }, -EINVAL },
	{ "a NUL in text", { MSG_line, { .line = { 5, { "a\0b", 3 }, 0 } } }, -EINVAL },
	{ "empty text without a pointer", { MSG_line, { .line = { 5, { NULL, 0 }, 0 } } }, 0 },
	{ "too few bytes", { MSG_segments, { .segments = { 0, { zeros, 191 }, 0 } } }, -EINVAL },
	{ "bytes with NULs", { MSG_segments, { .segments = { 0, { zeros, 192 }, 0 } } }, 0 },
	{ "no numbers", { MSG_closed, { .closed = { { NULL, 0, thousands }, 0 } } }, -EINVAL },
	{ "most numbers", { MSG_closed, { .closed = { { NULL, 1024, thousands }, 0 } } }, 0 },
	{ "too many numbers", { MSG_closed, { .closed = { { NULL, 1025, thousands }, 0 } } }, -EINVAL },
	{ "unknown type", { MSG_TYPES, { .ready = { 0 } } }, -EINVAL },
};

START_TEST(nothing_out_of_range_is_sent)
{
	msgpack_sbuffer	b;
	size_t		before;

	msgpack_sbuffer_init(&b);
	ck_assert_int_eq(msg_encode(&b, &ready), 0);
	before = b.size;
	ck_assert_msg(msg_encode(&b, &ours[_i].m) == ours[_i].rc, "%s", ours[_i].what);
	if (ours[_i].rc != 0)
		ck_assert_uint_eq(b.size, before);
	else
		ck_assert_uint_gt(b.size, before);
	msgpack_sbuffer_destroy(&b);
}
END_TEST

/* The same from outside, made by hand: what a broken process could send. */
#define T(name)	(char)MSG_##name
static const struct {
	const char *what; enum role from, to; const char data[16]; size_t len; int rc; const char *why;
} theirs[] = {
	{ "a number for a message", ROLE_WORKER, ROLE_SUPERVISOR, { 1 }, 1, -EBADMSG, "type" },
	{ "no type", ROLE_WORKER, ROLE_SUPERVISOR, { '\x90' }, 1, -EBADMSG, "type" },
	{ "text for a type", ROLE_WORKER, ROLE_SUPERVISOR, { '\x91', '\xa1', 'a' }, 3, -EBADMSG, "type" },
	{ "unknown type", ROLE_WORKER, ROLE_SUPERVISOR, { '\x91', '\xcc', '\xff' }, 3, -EBADMSG, "type" },
	{ "negative type", ROLE_WORKER, ROLE_SUPERVISOR, { '\x91', '\xff' }, 2, -EBADMSG, "type" },
	{ "a field too few", ROLE_WORKER, ROLE_SUPERVISOR, { '\x91', T(taken) }, 2, -EBADMSG, "shape" },
	{ "a field too many", ROLE_WORKER, ROLE_SUPERVISOR, { '\x93', T(taken), 1, 1 }, 4, -EBADMSG, "shape" },
	{ "number too small", ROLE_WORKER, ROLE_SUPERVISOR, { '\x92', T(taken), 0 }, 3, -EBADMSG, "cid" },
	{ "negative number", ROLE_WORKER, ROLE_SUPERVISOR, { '\x92', T(taken), '\xff' }, 3, -EBADMSG, "cid" },
	{ "text for a number", ROLE_WORKER, ROLE_SUPERVISOR, { '\x92', T(taken), '\xa1', '1' }, 4, -EBADMSG, "cid" },
	{ "just right", ROLE_WORKER, ROLE_SUPERVISOR, { '\x92', T(taken), 1 }, 3, 0, NULL },
	{ "level too large", ROLE_WORKER, ROLE_LOG, { '\x93', T(line), 6, '\xa0' }, 4, -EBADMSG, "level" },
	{ "a NUL in text", ROLE_WORKER, ROLE_LOG, { '\x93', T(line), 5, '\xa1', 0 }, 5, -EBADMSG, "text" },
	{ "bytes for text", ROLE_WORKER, ROLE_LOG, { '\x93', T(line), 5, '\xc4', 1, 'a' }, 6, -EBADMSG, "text" },
	{ "no numbers", ROLE_WORKER, ROLE_SUPERVISOR, { '\x92', T(closed), '\x90' }, 3, -EBADMSG, "cids" },
	{ "text among numbers", ROLE_WORKER, ROLE_SUPERVISOR, { '\x92', T(closed), '\x91', '\xa0' }, 4, -EBADMSG, "cids" },
	{ "a number for numbers", ROLE_WORKER, ROLE_SUPERVISOR, { '\x92', T(closed), 1 }, 3, -EBADMSG, "cids" },
	{ "numbers", ROLE_WORKER, ROLE_SUPERVISOR, { '\x92', T(closed), '\x91', 1 }, 4, 0, NULL },
};

START_TEST(what_comes_in_is_checked_field_by_field)
{
	msgpack_unpacked	 u;
	struct msg		 got;
	const char		*why;

	msgpack_unpacked_init(&u);
	ck_assert_int_eq(unpack_bounded(&u, (struct bytes){ theirs[_i].data, theirs[_i].len }, 100), 0);
	ck_assert_msg(msg_decode(&got, theirs[_i].from, theirs[_i].to, 0, MSG_READY, &u.data, &why) ==
	    theirs[_i].rc, "%s: %s", theirs[_i].what, why);
	ck_assert_pstr_eq(why, theirs[_i].why);
	msgpack_unpacked_destroy(&u);
}
END_TEST

START_TEST(a_message_prints_within_its_room)
{
	struct msg	m = { .type = MSG_segments, .u.segments = { 3, { zeros, 192 }, 0 } };
	char		text[200], small[12];

	msg_print(&connection, text, sizeof(text));
	ck_assert_str_eq(text, "connection cid=7 listener=1 host=127.0.0.1 port=4222 refuse=0 peer_uid=0 peer_gid=0");
	msg_print(&m, text, sizeof(text));
	ck_assert_str_eq(text, "segments generation=3 secret=(192 bytes)");
	msg_print(&connection, small, sizeof(small));
	ck_assert_str_eq(small, "connection ");
	msg_print(&connection, small, 1);
	ck_assert_str_eq(small, "");
}
END_TEST

START_TEST(names_of_roles_and_types)
{
	ck_assert_str_eq(role_name(ROLE_WORKER), "worker");
	ck_assert_str_eq(role_name(ROLES), "?");
	ck_assert_str_eq(msg_name(MSG_peer_gone), "peer_gone");
	ck_assert_str_eq(msg_name(MSG_TYPES), "?");
	ck_assert_int_eq(msg_descriptors(MSG_segments), 3);
	ck_assert_int_eq(msg_descriptors(MSG_TYPES), 0);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

int
main(void)
{
	Suite	*s = suite_create("messages");
	TCase	*c = tcase_create("messages");
	SRunner	*r;
	int	 failed;

	memset(letters, 'x', sizeof(letters));
	tcase_add_loop_test(c, who_may_say_what_when, 0, COUNT(passages));
	tcase_add_test(c, fields_arrive_as_sent);
	tcase_add_test(c, empty_text_can_be_copied);
	tcase_add_loop_test(c, nothing_out_of_range_is_sent, 0, COUNT(ours));
	tcase_add_loop_test(c, what_comes_in_is_checked_field_by_field, 0, COUNT(theirs));
	tcase_add_test(c, a_message_prints_within_its_room);
	tcase_add_test(c, names_of_roles_and_types);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

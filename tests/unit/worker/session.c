/* What a client says and gets; whole, and with a pause behind every byte. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "broker/private.h"
#include "shm/index_owner.h"
#include "tests/unit/worker/rig.h"

#define C	"CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\n"
#define CP	"CONNECT {\"verbose\":false,\"pedantic\":true}\r\n"
#define CH	"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n"
#define FULL	"-ERR 'maximum subscriptions exceeded'\r\n"
#define UNKNOWN	"-ERR 'Unknown Protocol Operation'\r\n"

static struct rig	 rig;

static void
setup(void)
{
	rig_prepare(&rig);
	rig_start(&rig);
}

static void
teardown(void)
{
	rig_free(&rig);
}

/* What the 2.x server answers; it closes after those that do not end in PONG. */
static const struct { const char *what, *said, *got; } cases[] = {
	{ "no CONNECT: verbose", "PING\r\nSUB foo 1\r\nPUB foo 2\r\nhi\r\nPING\r\n",
	    "PONG\r\n+OK\r\n+OK\r\nMSG foo 1 2\r\nhi\r\nPONG\r\n" },
	{ "lower case", C "sub foo 1\r\npub foo 2\r\nhi\r\nping\r\n", "MSG foo 1 2\r\nhi\r\nPONG\r\n" },
	{ "tabs", C "SUB\tfoo\t1\r\nPUB\t\tfoo\t2\r\nhi\r\nPING\r\n", "MSG foo 1 2\r\nhi\r\nPONG\r\n" },
	{ "tab behind the subject only", C "SUB foo 1\r\nPUB foo\t2\r\nhi\r\nPING\r\n", "MSG foo 1 2\r\nhi\r\nPONG\r\n" },
	{ "blanks", C "SUB foo 1\r\nPUB  foo   rep  2 \r\nhi\r\nPING\r\n", "MSG foo 1 rep 2\r\nhi\r\nPONG\r\n" },
	{ "bare line feeds", C "SUB foo 1\nPUB foo 2\nhi\r\nPING\n", "MSG foo 1 2\r\nhi\r\nPONG\r\n" },
	{ "payload ends in LF", C "SUB foo 1\nPUB foo 2\nhi\nPING\r\n", UNKNOWN },
	{ "payload too long", C "SUB foo 1\r\nPUB foo 2\r\nhixx\r\n", UNKNOWN },
	{ "payload ends in CR alone", C "SUB foo 1\r\nPUB foo 2\r\nhi\rxx\r\n", UNKNOWN },
	{ "empty line", C "\r\n", UNKNOWN },
	{ "a client says MSG", C "MSG foo 1 2\r\nhi\r\n", UNKNOWN },
	{ "bad JSON", "CONNECT {\"verbose\":fals\r\n", "" },
	{ "protocol 2", "CONNECT {\"verbose\":false,\"protocol\":2}\r\n", "-ERR 'invalid client protocol'\r\n" },
	{ "no_responders without headers", "CONNECT {\"verbose\":false,\"no_responders\":true}\r\n",
	    "-ERR 'no responders requires headers support'\r\n" },
	{ "account", "CONNECT {\"verbose\":false,\"account\":\"x\"}\r\n", "-ERR 'Authorization Violation'\r\n" },
	{ "+OK for the first CONNECT", "CONNECT {\"verbose\":true}\r\nPING\r\n", "+OK\r\nPONG\r\n" },
	{ "a second CONNECT drops subscriptions", C "SUB foo 1\r\n" C "PUB foo 2\r\nhi\r\nPING\r\n", "PONG\r\n" },
	{ "a second CONNECT keeps what it is silent on", C "CONNECT {}\r\nSUB a 1\r\nPING\r\n", "PONG\r\n" },
	{ "size is echoed", C "SUB foo 1\r\nPUB foo 000000002\r\nhi\r\nPING\r\n", "MSG foo 1 000000002\r\nhi\r\nPONG\r\n" },
	{ "too big", C "PUB foo 1048577\r\n", "-ERR 'Maximum Payload Violation'\r\n" },
	{ "negative size", C "PUB foo -1\r\n\r\n", "" },
	{ "wildcard published", C "SUB foo.* 1\r\nPUB foo.* 2\r\nhi\r\nPING\r\n", "MSG foo.* 1 2\r\nhi\r\nPONG\r\n" },
	{ "pedantic", CP "SUB > 2\r\nPUB foo.* 2\r\nhi\r\nPING\r\n",
	    "-ERR 'Invalid Publish Subject'\r\nMSG foo.* 2 2\r\nhi\r\nPONG\r\n" },
	{ "empty token", C "SUB foo..bar 1\r\nPING\r\n", "-ERR 'Invalid Subject'\r\nPONG\r\n" },
	{ "same sid again", C "SUB foo 1\r\nSUB bar 1\r\nPUB bar 0\r\n\r\nPUB foo 0\r\n\r\nPING\r\n",
	    "MSG foo 1 0\r\n\r\nPONG\r\n" },
	{ "long sid", C "SUB foo 0123456789abcdef0123\r\nPUB foo 1\r\nx\r\nUNSUB 0123456789abcdef0123\r\nPUB foo 1\r\nx\r\nPING\r\n",
	    "MSG foo 0123456789abcdef0123 1\r\nx\r\nPONG\r\n" },
	{ "sid of 15", C "SUB foo 0123456789abcde\r\nPUB foo r 1\r\nx\r\nPING\r\n",
	    "MSG foo 0123456789abcde r 1\r\nx\r\nPONG\r\n" },
	{ "sid of 16", C "SUB foo 0123456789abcdef\r\nPUB foo r 1\r\nx\r\nPING\r\n",
	    "MSG foo 0123456789abcdef r 1\r\nx\r\nPONG\r\n" },
	{ "queue", C "SUB foo q 1\r\nPUB foo 0\r\n\r\nPING\r\n", "MSG foo 1 0\r\n\r\nPONG\r\n" },
	{ "UNSUB after 2", C "SUB foo 1\r\nUNSUB 1 2\r\nPUB foo 1\r\na\r\nPUB foo 1\r\nb\r\nPUB foo 1\r\nc\r\nPING\r\n",
	    "MSG foo 1 1\r\na\r\nMSG foo 1 1\r\nb\r\nPONG\r\n" },
	{ "UNSUB counts from SUB", C "SUB foo 1\r\nPUB foo 1\r\na\r\nUNSUB 1 2\r\nPUB foo 1\r\nb\r\nPUB foo 1\r\nc\r\nPING\r\n",
	    "MSG foo 1 1\r\na\r\nMSG foo 1 1\r\nb\r\nPONG\r\n" },
	{ "UNSUB after too few", C "SUB foo 1\r\nPUB foo 1\r\na\r\nUNSUB 1 1\r\nPUB foo 1\r\nb\r\nPING\r\n",
	    "MSG foo 1 1\r\na\r\nPONG\r\n" },
	{ "UNSUB unknown", C "UNSUB 9\r\nPING\r\n", "PONG\r\n" },
	{ "HPUB without headers", C "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "" },
	{ "HPUB", CH "SUB foo 1\r\nHPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n",
	    "HMSG foo 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPONG\r\n" },
	{ "HPUB with reply", CH "SUB foo 1\r\nHPUB foo r 012 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n",
	    "HMSG foo 1 r 012 14\r\nNATS/1.0\r\n\r\nhi\r\nPONG\r\n" },
	{ "HPUB of no headers", CH "SUB foo 1\r\nHPUB foo 0 2\r\nhi\r\nPING\r\n", "MSG foo 1 2\r\nhi\r\nPONG\r\n" },
	{ "no responders", CH "SUB inbox 7\r\nPUB foo inbox 2\r\nhi\r\nPING\r\n",
	    "HMSG inbox 7 35 35\r\nNATS/1.0 503\r\nNats-Subject: foo\r\n\r\n\r\nPONG\r\n" },
	{ "no responders, wildcard", CH "SUB _INBOX.a.* 7\r\nPUB foo _INBOX.a.1 2\r\nhi\r\nPING\r\n",
	    "HMSG _INBOX.a.1 7 35 35\r\nNATS/1.0 503\r\nNats-Subject: foo\r\n\r\n\r\nPONG\r\n" },
	{ "no responders, only a queue matches", CH "SUB inbox q 7\r\nPUB foo inbox 2\r\nhi\r\nPING\r\n", "PONG\r\n" },
	{ "no echo", "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB foo 1\r\nPUB foo 2\r\nhi\r\nPING\r\n", "PONG\r\n" },
	{ "reserved reply", C "SUB foo 1\r\nPUB foo _R_.x 0\r\n\r\nPING\r\n",
	    "-ERR 'Permissions Violation for Publish with Reply of \"_R_.x\"'\r\nPONG\r\n" },
	{ "reserved subject", C "PUB _GR_.foo.bar 0\r\n\r\nPING\r\n",
	    "-ERR 'Permissions Violation for Publish to \"_GR_.foo.bar\"'\r\nPONG\r\n" },
	{ "inbox as reply", C "SUB foo 1\r\nPUB foo _INBOX.x 0\r\n\r\nPING\r\n", "MSG foo 1 _INBOX.x 0\r\n\r\nPONG\r\n" },
	{ "INFO and +OK are ignored", C "INFO {}\r\n+OK\r\nPING\r\n", "PONG\r\n" },
	{ "INFO that says nothing", C "INFO null\r\nPING\r\n", "PONG\r\n" },
	{ "INFO without JSON", C "INFO\r\nPING\r\n", "" },
	{ "INFO of a wrong kind", C "INFO {\"port\":\"x\"}\r\nPING\r\n", "" },
	{ "a client says -ERR", C "-ERR 'x'\r\n", "" },
};
#define CASES	(int)(sizeof(cases) / sizeof(cases[0]))

static void
check_case(int i, size_t piece)
{
	char		 got[4096];
	const char	*said = cases[i].said, *want = cases[i].got;
	size_t		 len = strlen(said), n = strlen(want);
	bool		 stays = n >= 6 && strcmp(want + n - 6, "PONG\r\n") == 0;
	int		 fd = rig_connect(&rig, REFUSE_NOTHING);
	unsigned	 closed = rig.closed;

	for (size_t at = 0; at < len; at += piece)
		rig_write(&rig, fd, said + at, len - at < piece ? len - at : piece);
	/* Not the first PONG that comes: the last, or the end. */
	if (stays && strstr(want, "PONG") == want + n - 6)
		ck_assert_msg(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)), "%s: %s", cases[i].what, got);
	else {
		if (stays)
			shutdown(fd, SHUT_WR);
		rig_read(&rig, fd, NULL, got, sizeof(got));
	}
	ck_assert_msg(strcmp(got, want) == 0, "%s: got %s", cases[i].what, got);
	close(fd);
	while (rig.closed == closed)
		rig_wait(&rig);
	ck_assert_uint_eq(rig.w.open, 0);
}

START_TEST(answers_whole)
{
	check_case(_i, 4096);
}
END_TEST

START_TEST(answers_byte_by_byte)
{
	check_case(_i, 1);
}
END_TEST

START_TEST(the_first_pong_brings_info)
{
	char	 text[4096];
	int	 fd = rig_connect(&rig, REFUSE_NOTHING);
	ssize_t	 n = read(fd, text, sizeof(text) - 1);

	ck_assert_int_gt(n, 0);
	ck_assert(memcmp(text, "INFO {", 6) == 0 && memcmp(text + n - 4, "} \r\n", 4) == 0);
	rig_say(&rig, fd, C "PING\r\nPING\r\n");
	rig_turn(&rig);
	n = read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert(strncmp(text, "PONG\r\nINFO {", 12) == 0);
	ck_assert_ptr_nonnull(strstr(text, "\"connect_info\":true,\"remote_account\":\"$G\""));
	ck_assert(strcmp(text + n - 10, "} \r\nPONG\r\n") == 0);
	close(fd);
}
END_TEST

/* Sizes around those from which on a payload has a block of its own, split anywhere. */
START_TEST(payloads_of_any_size_arrive)
{
	static const size_t	 sizes[] = { 0, 1, 4000, 8190, 8192, 16383, 16384, 65536, 300000, 1048576 };
	static char		 text[1100000], got[1100000], want[1100000], noise[400];
	int			 fd = rig_connect(&rig, REFUSE_NOTHING), other = rig_connect(&rig, REFUSE_NOTHING);
	size_t			 size, len, n;

	srandom(3);
	memset(noise, '~', sizeof(noise));
	memcpy(noise, "+OK", 3);
	noise[sizeof(noise) - 1] = '\n';
	rig_say(&rig, fd, C "SUB big 1\r\nPING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	for (int i = 0; i < 60; i++) {
		size = sizes[(size_t)i % (sizeof(sizes) / sizeof(sizes[0]))];
		n = (size_t)snprintf(text, sizeof(text), i % 2 ? "PUB big %zu\r\n" : "PUB big re.ply %zu\r\n", size);
		for (size_t k = 0; k < size; k++)
			text[n + k] = (char)('a' + (k * 31 + (size_t)i) % 26);
		memcpy(text + n + size, "\r\n", 3);
		len = strlen(text);
		for (size_t at = 0, part; at < len; at += part) {
			part = 1 + (size_t)random() % (i % 3 == 0 ? 200000 : 5000);
			if (part > len - at)
				part = len - at;
			rig_write(&rig, fd, text + at, part);
			rig_write(&rig, other, noise, sizeof(noise));	/* uses the same buffer */
		}
		rig_say(&rig, fd, "PING\r\n");
		ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
		n = (size_t)snprintf(want, sizeof(want), i % 2 ? "MSG big 1 %zu\r\n" : "MSG big 1 re.ply %zu\r\n", size);
		memcpy(want + n, strchr(text, '\n') + 1, size + 2);
		memcpy(want + n + size + 2, "PONG\r\n", 7);
		ck_assert_msg(strcmp(got, want) == 0, "size %zu", size);
	}
	close(fd);
}
END_TEST

START_TEST(headers_are_stripped_for_those_who_do_not_know_them)
{
	char	 got[4096];
	int	 old = rig_connect(&rig, REFUSE_NOTHING), new = rig_connect(&rig, REFUSE_NOTHING);

	rig_say(&rig, old, C "SUB foo 1\r\nPING\r\n");
	ck_assert(rig_read(&rig, old, "PONG\r\n", got, sizeof(got)));
	rig_say(&rig, new, CH "HPUB foo r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
	ck_assert(rig_read(&rig, old, "hi\r\n", got, sizeof(got)));
	ck_assert_str_eq(got, "MSG foo 1 r 2\r\nhi\r\n");
	close(old);
	close(new);
}
END_TEST

/* What is held for one who reads nothing is what max_pending counts. */
START_TEST(stripped_headers_are_not_held)
{
	static char	 got[4096], text[300100];
	int		 old = rig_connect(&rig, REFUSE_NOTHING), new = rig_connect(&rig, REFUSE_NOTHING);
	size_t		 held = 0, len = (size_t)snprintf(text, sizeof(text), "HPUB foo 280000 300000\r\n") + 300002;
	const struct client *c = rig.w.clients[0];

	rig_say(&rig, old, C "SUB foo 1\r\nPING\r\n");
	ck_assert(rig_read(&rig, old, "PONG\r\n", got, sizeof(got)));
	rig_say(&rig, new, CH);
	memcpy(text + len - 2, "\r\n", 2);
	for (int i = 0; i < 50; i++)
		rig_write(&rig, new, text, len);
	rig_say(&rig, new, "PING\r\n");
	ck_assert(rig_read(&rig, new, "PONG\r\n", got, sizeof(got)));
	ck_assert_uint_gt(c->out.pending, 400000);
	for (const struct piece *p = c->out.first; p != NULL; p = p->next)
		held += p->block != NULL ? p->block->size : 0;
	ck_assert_uint_le(held, 2 * c->out.pending);
	close(old);
	close(new);
}
END_TEST

START_TEST(a_full_partition_is_an_error_and_the_client_stays)
{
	char		 got[4096];
	int		 fd = rig_connect(&rig, REFUSE_NOTHING);
	struct index	*index = rig.w.broker->index;

	rig_say(&rig, fd, C "SUB a 1\r\nSUB *.x q 2\r\nPING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	index->limit = index->top;
	rig_say(&rig, fd, "SUB b.c 3\r\nSUB *.y.> 4\r\nSUB a q 5\r\nSUB *.x r 6\r\nSUB a 7\r\nPUB a 0\r\n\r\nPING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_str_eq(got, FULL FULL FULL FULL "MSG a 1 0\r\n\r\nMSG a 7 0\r\n\r\nPONG\r\n");
	index->limit = INDEX_ARENA_END;
	rig_say(&rig, fd, "SUB b.c 3\r\nPUB b.c 0\r\n\r\nPING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_str_eq(got, "MSG b.c 3 0\r\n\r\nPONG\r\n");
	close(fd);
}
END_TEST

START_TEST(limits_of_subscriptions_and_tokens)
{
	char	 got[4096];
	int	 fd = rig_connect(&rig, REFUSE_NOTHING);

	rig.child.settings.max_subscriptions = 2;
	rig.child.settings.max_sub_tokens = 3;
	rig_say(&rig, fd, C "SUB a.b.c.d 1\r\nSUB a 1\r\nSUB b 2\r\nSUB c 3\r\nUNSUB 1\r\nSUB d 3\r\nPUB d 0\r\n\r\nPING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_str_eq(got,
	    "-ERR 'Permissions Violation for Subscription to \"a.b.c.d\", too many tokens'\r\n"
	    "-ERR 'maximum subscriptions exceeded'\r\nMSG d 3 0\r\n\r\nPONG\r\n");
	close(fd);
}
END_TEST

START_TEST(a_control_line_may_be_as_long_as_the_limit)
{
	char	 text[6000], got[6000];
	int	 fd = rig_connect(&rig, REFUSE_NOTHING);

	rig_say(&rig, fd, C "SUB > 1\r\n");
	snprintf(text, sizeof(text), "PUB %.4000d 0\r\n\r\nPING\r\n", 0);
	rig_say(&rig, fd, text);
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_uint_eq(strlen(got), strlen("MSG  1 0\r\n\r\nPONG\r\n") + 4000);
	snprintf(text, sizeof(text), "PUB %.5000d 0\r\n\r\nPING\r\n", 0);
	rig_say(&rig, fd, text);
	rig_read(&rig, fd, NULL, got, sizeof(got));
	ck_assert_str_eq(got, "-ERR 'maximum control line exceeded'\r\n");
	close(fd);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("session");
	TCase	*c = tcase_create("answers");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, answers_whole, 0, CASES);
	tcase_add_loop_test(c, answers_byte_by_byte, 0, CASES);
	tcase_add_test(c, the_first_pong_brings_info);
	tcase_add_test(c, payloads_of_any_size_arrive);
	tcase_add_test(c, headers_are_stripped_for_those_who_do_not_know_them);
	tcase_add_test(c, stripped_headers_are_not_held);
	tcase_add_test(c, a_full_partition_is_an_error_and_the_client_stays);
	tcase_add_test(c, limits_of_subscriptions_and_tokens);
	tcase_add_test(c, a_control_line_may_be_as_long_as_the_limit);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What bulkheadctl makes of a server's answer, which may say anything. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "admin/ctl/status.h"

#define NOW	UINT64_C(1795258832000000)	/* microseconds */
#define SECOND	UINT64_C(1000000)

static const struct msg server = { .type = MSG_status_server, .u.status_server = {
	.id = { "NID", 3 }, .name = { "ship", 4 }, .version = { "0.1.0", 5 }, .protocol = { "2.15.2", 6 },
	.started = NOW - 90061 * SECOND, .connections = 12, .digest = { "sha256:ab", 9 } } };
static const struct msg end = { .type = MSG_status_end };

static struct msg
process(const char *program, const char *state, uint64_t pid, const char *layers, const char *missing)
{
	return (struct msg){ .type = MSG_status_process, .u.status_process = { .program = bytes_of(program),
	    .slot = 1, .state = bytes_of(state), .pid = pid, .started = pid == 0 ? 0 : NOW - 65 * SECOND,
	    .cpu = 1250000, .memory = 3 << 20, .restarts = 2, .layers = bytes_of(layers),
	    .missing = bytes_of(missing) } };
}

/* The table of one process; freed by the caller. */
static char *
table(const struct msg *first, struct msg p)
{
	struct status	s;
	char		*text = NULL;
	size_t		 len;
	FILE		*out = open_memstream(&text, &len);

	status_init(&s, NOW);
	ck_assert_int_eq(status_receive(&s, first), 0);
	ck_assert_int_eq(status_receive(&s, &p), 0);
	ck_assert_int_eq(status_receive(&s, &end), 1);
	ck_assert(!s.failed);
	status_print(&s, out);
	fclose(out);
	status_free(&s);
	return text;
}

static const struct { const char *layers, *missing, *said; } sandboxes[] = {
	{ "limits filter", "", "all 2 layers" },
	{ "limits mdwe filter", "pid root", "all but pid root" },
	{ "limits", "pid root", "only limits" },
	{ "", "pid root", "none" },
	{ "", "", "-" },
};

START_TEST(a_line_for_each_process)
{
	char	*text = table(&server, process("worker", "running", 4321, sandboxes[_i].layers, sandboxes[_i].missing));
	char	 expected[1024];

	snprintf(expected, sizeof(expected),
	    "ship: bulkhead 0.1.0 (nats-server 2.15.2), up 1d1h, 12 connections\n"
	    "configuration sha256:ab\n\n"
	    "PROCESS           PID       UP RESTARTS        CPU    MEMORY  STATE      SANDBOX\n"
	    "worker 1         4321     1m5s        2      1.25s      3.0M  running    %s\n", sandboxes[_i].said);
	ck_assert_str_eq(text, expected);
	free(text);
}
END_TEST

START_TEST(who_does_not_run_has_no_number)
{
	char	*text = table(&server, process("worker", "restarting", 0, "", ""));

	ck_assert_ptr_nonnull(strstr(text, "worker 1            -       0s        2"));
	free(text);
}
END_TEST

/* Escapes would move the cursor, or worse; bytes that are no UTF-8 would be no JSON. */
START_TEST(a_terminal_is_not_told_what_to_do)
{
	struct msg	 evil = server;
	char		*text;

	evil.u.status_server.name = BYTES("a\33[2Jb\n\xff");
	text = table(&evil, process("w\33]0;x\7", "run\rning", 1, "l\33[1m", ""));
	ck_assert_ptr_null(strpbrk(text, "\33\7\r"));
	ck_assert_ptr_nonnull(strstr(text, "[2Jb"));
	free(text);
}
END_TEST

START_TEST(json_has_what_the_table_has)
{
	struct msg	 p = process("worker", "running", 4321, "limits filter", "pid");
	struct status	 s;
	char		*text;

	status_init(&s, NOW);
	ck_assert_int_eq(status_receive(&s, &server), 0);
	ck_assert_int_eq(status_receive(&s, &p), 0);
	ck_assert_int_eq(status_receive(&s, &end), 1);
	text = json_dumps(s.json, JSON_COMPACT | JSON_REAL_PRECISION(12));
	ck_assert_str_eq(text, "{\"server\":{\"id\":\"NID\",\"name\":\"ship\",\"version\":\"0.1.0\",\"nats_version\":\"2.15.2\","
	    "\"uptime_seconds\":90061,\"connections\":12,\"config_digest\":\"sha256:ab\"},\"processes\":[{"
	    "\"program\":\"worker\",\"slot\":1,\"state\":\"running\",\"pid\":4321,\"uptime_seconds\":65,\"restarts\":2,"
	    "\"cpu_seconds\":1.25,\"memory_bytes\":3145728,\"layers\":[\"limits\",\"filter\"],\"missing\":[\"pid\"]}]}");
	free(text);
	status_free(&s);
}
END_TEST

START_TEST(an_answer_in_another_order_is_refused)
{
	struct msg	p = process("worker", "running", 1, "", ""), other = { .type = MSG_request_refused };
	struct status	s;

	status_init(&s, NOW);
	ck_assert_int_eq(status_receive(&s, &end), -EBADMSG);
	ck_assert_int_eq(status_receive(&s, &p), -EBADMSG);
	ck_assert_int_eq(status_receive(&s, &other), -EBADMSG);
	ck_assert_int_eq(status_receive(&s, &server), 0);
	ck_assert_int_eq(status_receive(&s, &server), -EBADMSG);
	status_free(&s);
}
END_TEST

/* A server that never ends must not have all of our memory. */
START_TEST(an_answer_is_bounded)
{
	struct msg	p = process("worker", "running", 1, "", "");
	struct status	s;
	unsigned	n = 0;

	status_init(&s, NOW);
	ck_assert_int_eq(status_receive(&s, &server), 0);
	while (status_receive(&s, &p) == 0)
		ck_assert_uint_lt(n++, 10000);
	status_free(&s);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("status");
	TCase	*c = tcase_create("status");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(c, a_line_for_each_process, 0, sizeof(sandboxes) / sizeof(sandboxes[0]));
	tcase_add_test(c, who_does_not_run_has_no_number);
	tcase_add_test(c, a_terminal_is_not_told_what_to_do);
	tcase_add_test(c, json_has_what_the_table_has);
	tcase_add_test(c, an_answer_in_another_order_is_refused);
	tcase_add_test(c, an_answer_is_bounded);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

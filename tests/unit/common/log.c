#include <sys/socket.h>
#include <sys/wait.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/channel.h"
#include "common/log.h"
#include "common/unpack.h"

static int	reader;		/* the log process's end */

static void
setup(void)
{
	int	fds[2];

	ck_assert_int_eq(channel_pair(fds), 0);
	log_init("worker", fds[0]);
	reader = fds[1];
}

static void
teardown(void)
{
	log_to(-1);
	close(reader);
	log_levels(false, false);
	log_burst(LOG_BURST);
}

/* The next line into text; its level, or -1: none. */
static int
line_read(char *text, size_t size)
{
	char			 data[MESSAGE_MAX];
	msgpack_unpacked	 u;
	struct msg		 m;
	const char		*why;
	ssize_t			 n = recv(reader, data, sizeof(data), MSG_DONTWAIT);

	if (n <= 0)
		return -1;
	msgpack_unpacked_init(&u);
	ck_assert_int_eq(unpack_bounded(&u, (struct bytes){ data, (size_t)n }, 100), 0);
	ck_assert_int_eq(msg_decode(&m, ROLE_WORKER, ROLE_LOG, 0, MSG_READY, &u.data, &why), 0);
	ck_assert_int_eq(m.type, MSG_line);
	snprintf(text, size, "%.*s", (int)m.u.line.text.len, m.u.line.text.data);
	msgpack_unpacked_destroy(&u);
	return (int)m.u.line.level;
}

START_TEST(lines_go_through_the_channel)
{
	char	text[100];

	errno = EXDEV;
	log_warn("%s of %d", "one", 2);
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_int_eq(line_read(text, sizeof(text)), LOG_WARN);
	ck_assert_str_eq(text, "one of 2");
	log_debug("unwanted");
	log_trace("unwanted");
	ck_assert_int_eq(line_read(text, sizeof(text)), -1);
	log_levels(true, false);
	log_debug("wanted");
	log_trace("unwanted");
	ck_assert_int_eq(line_read(text, sizeof(text)), LOG_DEBUG);
	ck_assert_int_eq(line_read(text, sizeof(text)), -1);
	log_from_signal(LOG_ERROR, BYTES("from a handler"));
	ck_assert_int_eq(line_read(text, sizeof(text)), LOG_ERROR);
	ck_assert_str_eq(text, "from a handler");
}
END_TEST

START_TEST(an_overlong_line_is_cut)
{
	static char	longest[100000], text[100000];

	memset(longest, 'x', sizeof(longest) - 1);
	log_info("%s", longest);
	ck_assert_int_eq(line_read(text, sizeof(text)), LOG_INFO);
	ck_assert_uint_eq(strlen(text), LOG_TEXT_MAX);
}
END_TEST

/* A log that is stopped holds nobody up, and is told later what it missed. */
START_TEST(what_is_lost_is_counted)
{
	char			text[100], want[100];
	unsigned long long	lost = 0;
	int			i, got = 0;

	errno = EXDEV;
	for (i = 0; i < 5000; i++)
		log_info("line %d", i);
	ck_assert_int_eq(errno, EXDEV);
	while (line_read(text, sizeof(text)) != -1) {
		snprintf(want, sizeof(want), "line %d", got++);
		ck_assert_str_eq(text, want);
	}
	ck_assert_int_lt(got, 5000);
	log_info("the next");
	ck_assert_int_eq(line_read(text, sizeof(text)), LOG_WARN);
	ck_assert_int_eq(sscanf(text, "log: %llu lines were lost here", &lost), 1);
	ck_assert_uint_eq(lost, 5000u - (unsigned)got);
	ck_assert_int_eq(line_read(text, sizeof(text)), LOG_INFO);
	ck_assert_str_eq(text, "the next");
	log_info("no more of it");
	ck_assert_int_eq(line_read(text, sizeof(text)), LOG_INFO);
}
END_TEST

START_TEST(a_log_that_died_is_no_reason_to_die)
{
	int	fds[2];
	char	text[100];

	close(reader);
	log_info("nobody hears");
	ck_assert_int_eq(channel_pair(fds), 0);
	log_to(fds[0]);
	reader = fds[1];
	log_info("hello");
	ck_assert_int_eq(line_read(text, sizeof(text)), LOG_WARN);
	ck_assert_str_eq(text, "log: 1 lines were lost here");
	ck_assert_int_eq(line_read(text, sizeof(text)), LOG_INFO);
	ck_assert_str_eq(text, "hello");
}
END_TEST

START_TEST(kinds_of_lines_are_limited)
{
	struct log_limit	limit = { 0 };
	char			text[100];
	int			i, allowed = 0;

	for (i = 0; i < 100; i++)
		allowed += log_allows(&limit, "too long");
	ck_assert_int_ge(allowed, LOG_BURST);
	ck_assert_int_le(allowed, 2 * LOG_BURST);	/* a second may have begun */
	limit.second--;					/* as if the next had */
	ck_assert(log_allows(&limit, "too long"));
	while (line_read(text, sizeof(text)) != -1)
		;
	ck_assert_ptr_nonnull(strstr(text, "were left out: too long"));
	log_levels(true, true);
	for (i = 0; i < 100; i++)
		ck_assert(log_allows(&limit, "too long"));
}
END_TEST

START_TEST(fatal_is_heard_even_without_a_log)
{
	int	out[2], status;
	char	text[200];
	ssize_t	n;
	pid_t	pid;

	ck_assert_int_eq(pipe(out), 0);
	close(reader);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDERR_FILENO);
		fatal("no %s", "way");
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	n = read(out[0], text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_ptr_nonnull(strstr(text, "[FTL] worker: no way\n"));
}
END_TEST

static const struct { const char *what; struct bytes text; const char *want; } texts[] = {
	{ "plain", BYTES("a b"), "a b" },
	{ "nothing", BYTES(""), "" },
	{ "a line of somebody else's", BYTES("x\n[1] [INF] forged"), "x\\n[1] [INF] forged" },
	{ "a terminal's escape", BYTES("\x1b[2J"), "\\x1b[2J" },
	{ "tab, return, NUL, DEL", BYTES("\t\r\0\x7f"), "\\t\\r\\x00\\x7f" },
	{ "UTF-8", BYTES("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"), "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "control character in UTF-8", BYTES("\xc2\x9b"), "\\xc2\\x9b" },
	{ "a lone byte", BYTES("\x9b\xff"), "\\x9b\\xff" },
	{ "overlong", BYTES("\xc0\x8a\xe0\x80\x8a"), "\\xc0\\x8a\\xe0\\x80\\x8a" },
	{ "a surrogate", BYTES("\xed\xa0\x80"), "\\xed\\xa0\\x80" },
	{ "cut short", BYTES("\xe2\x82"), "\\xe2\\x82" },
	{ "beyond Unicode", BYTES("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80" },
};

static const struct log_style	plain, timed = { .time = true };

START_TEST(control_characters_are_escaped)
{
	char	out[300], want[300];
	size_t	len = log_format(out, sizeof(out), &plain, LOG_INFO, 7, texts[_i].text), size;

	snprintf(want, sizeof(want), "[7] [INF] %s\n", texts[_i].want);
	ck_assert_msg(len == strlen(want) && memcmp(out, want, len) == 0, "%s: %.*s", texts[_i].what,
	    (int)len, out);
	for (size = 0; size <= len; size++) {		/* any room is enough, none is overrun */
		memset(out, '#', sizeof(out));
		ck_assert_uint_le(log_format(out, size, &plain, LOG_INFO, 7, texts[_i].text), size);
		ck_assert_int_eq(out[size], '#');
	}
	ck_assert_uint_le(len, LOG_FORMATTED(texts[_i].text.len));
}
END_TEST

START_TEST(time_is_written_as_the_real_server_does)
{
	char	out[300], us[7];
	int	v[7];
	size_t	len = log_format(out, sizeof(out), &timed, LOG_DEBUG, 12345, BYTES("x"));

	out[len] = '\0';
	ck_assert_int_eq(sscanf(out, "[%d] %4d/%2d/%2d %2d:%2d:%2d.%6[0-9] [DBG] x", &v[0], &v[1], &v[2],
	    &v[3], &v[4], &v[5], &v[6], us), 8);
	ck_assert_uint_eq(len, strlen("[12345] 2026/11/21 10:59:00.000000 [DBG] x\n"));
}
END_TEST

START_TEST(colours_are_those_of_the_real_server)
{
	const struct log_style	style = { .colours = true };
	static const char	want[] = "[7] [\x1b[0;93mWRN\x1b[0m] x\\x1b\n";
	char			out[300];
	size_t			len = log_format(out, sizeof(out), &style, LOG_WARN, 7, BYTES("x\x1b"));

	ck_assert_uint_eq(len, sizeof(want) - 1);
	ck_assert_mem_eq(out, want, len);
}
END_TEST

START_TEST(utc_is_utc)
{
	const struct log_style	utc = { .time = true, .utc = true };
	char			out[300], *end;
	struct tm		t = { 0 };
	time_t			now = time(NULL);
	size_t			len;

	setenv("TZ", "XXX-5", 1);	/* five hours before UTC */
	tzset();
	len = log_format(out, sizeof(out) - 1, &utc, LOG_INFO, 7, BYTES("x"));
	out[len] = '\0';
	end = strptime(out, "[7] %Y/%m/%d %H:%M:%S", &t);
	ck_assert_ptr_nonnull(end);
	ck_assert_int_le(labs((long)(timegm(&t) - now)), 60);
	len = log_format(out, sizeof(out) - 1, &timed, LOG_INFO, 7, BYTES("x"));
	out[len] = '\0';
	ck_assert_ptr_nonnull(strptime(out, "[7] %Y/%m/%d %H:%M:%S", &t));
	ck_assert_int_le(labs((long)(timegm(&t) - now - 5 * 3600)), 60);
}
END_TEST

START_TEST(the_burst_is_a_setting)
{
	struct log_limit	limit = { 0 };
	int			i, allowed = 0;

	log_burst(3);
	for (i = 0; i < 100; i++)
		allowed += log_allows(&limit, "kind");
	ck_assert_int_ge(allowed, 3);
	ck_assert_int_le(allowed, 6);		/* a second may have begun */
	log_burst(0);
	for (i = 0; i < 100; i++)
		ck_assert(log_allows(&limit, "kind"));
}
END_TEST

START_TEST(a_pipe_that_nobody_reads_is_given_up)
{
	char	junk[4096] = "";
	int	fds[2], copy = dup(STDERR_FILENO);

	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	while (write(fds[1], junk, sizeof(junk)) > 0)
		;
	ck_assert_int_eq(fcntl(fds[1], F_SETFL, 0), 0);
	ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	log_to(-1);
	log_info("nobody hears");		/* and we are still there */
	dup2(copy, STDERR_FILENO);
	close(copy);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

int
main(void)
{
	Suite	*s = suite_create("log");
	TCase	*c = tcase_create("log");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, lines_go_through_the_channel);
	tcase_add_test(c, an_overlong_line_is_cut);
	tcase_add_test(c, what_is_lost_is_counted);
	tcase_add_test(c, a_log_that_died_is_no_reason_to_die);
	tcase_add_test(c, kinds_of_lines_are_limited);
	tcase_add_test(c, fatal_is_heard_even_without_a_log);
	tcase_add_loop_test(c, control_characters_are_escaped, 0, COUNT(texts));
	tcase_add_test(c, time_is_written_as_the_real_server_does);
	tcase_add_test(c, colours_are_those_of_the_real_server);
	tcase_add_test(c, utc_is_utc);
	tcase_add_test(c, a_pipe_that_nobody_reads_is_given_up);
	tcase_add_test(c, the_burst_is_a_setting);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What the log does when writing fails. */
#include <sys/resource.h>
#include <sys/socket.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/log/sink.h"

static char path[] = "/tmp/bulkhead-sink-XXXXXX";

static int
file_new(void)
{
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkostemp(path, O_APPEND | O_CLOEXEC);
	ck_assert_int_ne(fd, -1);
	return fd;
}

static char *
file_text(void)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	close(fd);
	return text;
}

/* A sink without times, with this limit, that writes to fd. */
static void
sink_ready(struct sink *sink, int fd, uint64_t limit)
{
	struct settings settings;

	ck_assert_int_eq(settings_init(&settings), 0);
	settings.logtime = false;
	settings.logfile_size_limit = limit;
	ck_assert_int_eq(sink_init(sink), 0);
	sink_settings(sink, &settings);
	settings_free(&settings);
	if (fd != -1)
		sink_use_file(sink, fd, LOG_TO_FILE, (uint64_t)lseek(fd, 0, SEEK_END));
}

static void
say(struct sink *sink, enum log_level level, int pid, struct bytes text)
{
	const struct line line = { .level = level, .role = ROLE_WORKER, .pid = pid, .text = text };

	sink_line(sink, &line);
}

START_TEST(lines_are_written_once_in_a_turn)
{
	struct sink sink;

	sink_ready(&sink, file_new(), 0);
	say(&sink, LOG_INFO, 7, BYTES("one"));
	say(&sink, LOG_ERROR, 8, BYTES("two\nthree"));
	ck_assert_str_eq(file_text(), "");
	sink_flush(&sink);
	ck_assert_str_eq(file_text(), "[7] [INF] one\n[8] [ERR] two\\nthree\n");
	sink_free(&sink);
	unlink(path);
}
END_TEST

START_TEST(a_flood_does_not_overflow)
{
	struct sink sink;
	static char text[LOG_TEXT_MAX];
	int i, fd;

	memset(text, 1, sizeof(text));		/* each becomes four bytes */
	fd = file_new();
	sink_ready(&sink, fcntl(fd, F_DUPFD_CLOEXEC, 0), 0);
	for (i = 0; i < 100; i++)
		say(&sink, LOG_INFO, 7, (struct bytes){ text, sizeof(text) });
	sink_free(&sink);
	ck_assert_int_ge(lseek(fd, 0, SEEK_END), (off_t)(100 * 4 * sizeof(text)));
	close(fd);
	unlink(path);
}
END_TEST

/* A limit of the file's size stands for a full disk: the last write is cut short. */
START_TEST(a_full_disk_costs_lines_that_are_counted)
{
	struct rlimit limit, before;
	struct sink sink;
	char *text, *lost;
	int i;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	sink_ready(&sink, file_new(), 0);
	limit = (struct rlimit){ 1000, before.rlim_max };
	setrlimit(RLIMIT_FSIZE, &limit);
	for (i = 0; i < 100; i++)
		say(&sink, LOG_INFO, 7, BYTES("a line of the log"));
	sink_flush(&sink);
	ck_assert_uint_gt(sink.lost, 0);
	say(&sink, LOG_INFO, 7, BYTES("still full"));
	sink_flush(&sink);
	setrlimit(RLIMIT_FSIZE, &before);
	say(&sink, LOG_INFO, 7, BYTES("room again"));
	sink_flush(&sink);
	text = file_text();
	lost = strstr(text, "lines were lost here: ");
	ck_assert_ptr_nonnull(lost);
	ck_assert_ptr_nonnull(strstr(lost, "room again\n"));
	/* 1000 bytes hold 35 lines of 28 bytes; 65 and the one after are gone */
	ck_assert_ptr_nonnull(strstr(text, "log: 66 lines were lost here"));
	ck_assert_ptr_nonnull(strstr(text, "\n["));
	ck_assert_ptr_null(strstr(text, "still full"));
	sink_free(&sink);
	unlink(path);
}
END_TEST

/* It asks once at the limit, and again only when much has been added. */
START_TEST(a_full_file_is_asked_for_once)
{
	struct sink sink;
	int i, asked = 0;

	sink_ready(&sink, file_new(), 100);
	for (i = 0; i < 6000; i++) {		/* [7] [INF] 0123456789: 21 bytes a line */
		say(&sink, LOG_INFO, 7, BYTES("0123456789"));
		sink_flush(&sink);
		ck_assert(i != 4 || sink.full);
		asked += sink.full;
		sink.full = false;
	}
	ck_assert_int_eq(asked, 2);		/* 105 bytes, 64 KiB */
	unlink(path);
	sink_use_file(&sink, file_new(), LOG_TO_FILE, 0);
	say(&sink, LOG_INFO, 7, BYTES("0123456789"));
	sink_flush(&sink);
	ck_assert(!sink.full);
	ck_assert_str_eq(file_text(), "[7] [INF] 0123456789\n");
	sink_use_file(&sink, open(path, O_WRONLY | O_APPEND), LOG_TO_FILE, 101);
	ck_assert(sink.full);			/* it was when we got it */
	sink_use_file(&sink, open(path, O_WRONLY | O_APPEND), LOG_TO_FILE, 90);
	say(&sink, LOG_INFO, 7, BYTES("what it begins with"));
	sink_settle(&sink);
	ck_assert(!sink.full);			/* not by that */
	say(&sink, LOG_INFO, 7, BYTES("0123456789"));
	sink_flush(&sink);
	ck_assert(sink.full);
	sink_use_file(&sink, open("/dev/null", O_WRONLY), LOG_TO_OTHER, 101);
	say(&sink, LOG_INFO, 7, BYTES("0123456789"));
	sink_flush(&sink);
	ck_assert(!sink.full);
	sink_free(&sink);
	unlink(path);
}
END_TEST

START_TEST(settings_may_change)
{
	struct settings settings;
	struct sink sink;

	sink_ready(&sink, file_new(), 0);
	say(&sink, LOG_INFO, 7, BYTES("before"));
	sink_flush(&sink);
	ck_assert_int_eq(settings_init(&settings), 0);
	settings.logfile_size_limit = 10;
	settings.logtime = false;
	ck_assert_int_eq(setting_set_text(&settings, setting_find(BYTES("log_format")), BYTES("json")), 0);
	sink_settings(&sink, &settings);
	ck_assert(sink.full);
	say(&sink, LOG_INFO, 7, BYTES("after"));
	sink_flush(&sink);
	ck_assert_str_eq(file_text(), "[7] [INF] before\n"
	    "{\"level\":\"INF\",\"pid\":7,\"process\":\"worker\",\"slot\":0,\"text\":\"after\"}\n");
	settings_free(&settings);
	sink_free(&sink);
	unlink(path);
}
END_TEST

/* -- syslog */

/* What came as one datagram or read; "" nothing. */
static const char *
received(int fd)
{
	static char text[SINK_BUFFER * 2];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

/* The same without the time before the first line's name. */
static const char *
heard(int fd)
{
	const char *text = received(fd), *at = strstr(text, "tag[");

	return at == NULL ? text : at;
}

static void
plug(struct sink *sink, int type, int fds[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	sink_use_syslog(sink, fds[0], type == SOCK_DGRAM ? SYSLOG_LOCAL : SYSLOG_UNIX_STREAM, BYTES(""),
	    BYTES("tag"));
}

START_TEST(datagrams_have_a_line_each)
{
	struct sink sink;
	int fds[2];

	sink_ready(&sink, -1, 0);
	plug(&sink, SOCK_DGRAM, fds);
	say(&sink, LOG_INFO, 7, BYTES("one"));
	say(&sink, LOG_INFO, 8, BYTES("two"));
	sink_flush(&sink);
	ck_assert_str_eq(heard(fds[1]), "tag[7]: one\n");
	ck_assert_str_eq(heard(fds[1]), "tag[8]: two\n");
	ck_assert_str_eq(heard(fds[1]), "");
	close(fds[1]);
	sink_free(&sink);
}
END_TEST

/* A slow one holds nobody up, and nothing is lost as long as the buffer holds it. */
START_TEST(a_slow_syslog_is_waited_for)
{
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	struct sink sink;
	static char all[300000];
	const char *text_in = "";
	char text[1000], *at = all;
	int fds[2], i, number;
	size_t len = 0;

	sink_ready(&sink, -1, 0);
	plug(&sink, types[_i], fds);
	i = 4096;
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &i, sizeof(i));
	memset(text, 'x', sizeof(text));
	for (i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "%05d", i);
		text[5] = ' ';
		say(&sink, LOG_INFO, 7, (struct bytes){ text, sizeof(text) });
		sink_flush(&sink);
	}
	ck_assert(sink.waits && !sink.broken);
	ck_assert_uint_eq(sink.lost, 0);
	do {
		len += strlcpy(all + len, text_in, sizeof(all) - len);
		sink_flush(&sink);
		text_in = received(fds[1]);
	} while (*text_in != '\0');
	for (i = 0; i < 100; i++, at++) {
		at = strstr(at, "]: ");
		ck_assert_ptr_nonnull(at);
		ck_assert_int_eq(sscanf(at, "]: %5d", &number), 1);
		ck_assert_int_eq(number, i);
	}
	ck_assert_ptr_null(strstr(at, "]: "));
	ck_assert(!sink.waits);
	close(fds[1]);
	sink_free(&sink);
}
END_TEST

START_TEST(what_the_buffer_does_not_hold_is_counted)
{
	static char text[20000];
	unsigned long long lost = 0;
	struct sink sink;
	const char *at;
	int fds[2], i, got = 0;

	sink_ready(&sink, -1, 0);
	plug(&sink, SOCK_DGRAM, fds);
	close(fds[1]);
	say(&sink, LOG_INFO, 7, BYTES("nobody is there"));
	sink_flush(&sink);
	ck_assert(sink.broken);
	memset(text, 'x', sizeof(text));
	for (i = 0; i < 50; i++)
		say(&sink, LOG_INFO, 7, (struct bytes){ text, sizeof(text) });
	ck_assert_uint_gt(sink.lost, 0);
	ck_assert_uint_lt(sink.lost, 50);
	sink_unplug(&sink);
	plug(&sink, SOCK_DGRAM, fds);
	sink_flush(&sink);
	ck_assert_str_eq(heard(fds[1]), "tag[7]: nobody is there\n");
	say(&sink, LOG_INFO, 7, BYTES("the next"));
	sink_flush(&sink);
	while (strncmp(at = heard(fds[1]), "tag[7]: xxx", 11) == 0)
		got++;
	ck_assert_msg(sscanf(strchr(at, ':'), ": log: %llu lines were lost here: ", &lost) == 1, "%s", at);
	ck_assert_uint_eq(lost, 50u - (unsigned)got);
	ck_assert_str_eq(heard(fds[1]), "tag[7]: the next\n");
	close(fds[1]);
	sink_free(&sink);
}
END_TEST

/* The rest of a line whose beginning went to a connection that is gone means nothing to the next. */
START_TEST(a_torn_line_is_not_continued)
{
	static char text[20000];
	struct sink sink;
	const char *at;
	int fds[2], i;

	sink_ready(&sink, -1, 0);
	plug(&sink, SOCK_STREAM, fds);
	i = 4096;
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &i, sizeof(i));
	memset(text, 'x', sizeof(text));
	say(&sink, LOG_INFO, 7, (struct bytes){ text, sizeof(text) });
	say(&sink, LOG_INFO, 7, BYTES("second"));
	sink_flush(&sink);
	ck_assert(sink.waits && sink.cut);
	close(fds[1]);
	sink_flush(&sink);
	ck_assert(sink.broken);
	sink_unplug(&sink);
	plug(&sink, SOCK_STREAM, fds);
	say(&sink, LOG_INFO, 7, BYTES("third"));
	sink_flush(&sink);
	at = heard(fds[1]);
	ck_assert_msg(strncmp(at, "tag[7]: second\n<", 16) == 0, "%.200s", at);
	ck_assert_ptr_nonnull(strstr(at, "log: 1 lines were lost here: Broken pipe\n<"));
	ck_assert_ptr_nonnull(strstr(at, "]: third\n"));
	ck_assert_ptr_null(strstr(at, "xxx"));
	close(fds[1]);
	sink_free(&sink);
}
END_TEST

START_TEST(the_last_words_are_seen_somewhere)
{
	struct sink sink;
	int fds[2], copy;

	sink_ready(&sink, -1, 0);
	plug(&sink, SOCK_STREAM, fds);
	close(fds[1]);
	say(&sink, LOG_FATAL, 7, BYTES("the reason"));
	copy = dup(STDERR_FILENO);
	dup2(file_new(), STDERR_FILENO);
	sink_last_words(&sink);
	dup2(copy, STDERR_FILENO);
	ck_assert_ptr_nonnull(strstr(file_text(), "tag[7]: the reason\n"));
	sink_free(&sink);
	unlink(path);
}
END_TEST

/* A pipe that nobody reads does not hold up the end. */
START_TEST(the_last_words_are_few)
{
	struct sink sink;
	int fds[2], ends[2], copy, i;
	const char *text;

	sink_ready(&sink, -1, 0);
	plug(&sink, SOCK_STREAM, fds);
	close(fds[1]);
	for (i = 0; i < 5000; i++)
		say(&sink, LOG_INFO, 7, BYTES("one of many"));
	say(&sink, LOG_FATAL, 7, BYTES("the last"));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	copy = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	sink_last_words(&sink);
	dup2(copy, STDERR_FILENO);
	text = received(ends[0]);
	ck_assert_uint_le(strlen(text), PIPE_BUF);
	ck_assert_uint_gt(strlen(text), PIPE_BUF - 100);
	ck_assert(*text == '<');
	ck_assert_str_eq(strrchr(text, ':'), ": the last\n");
	sink_free(&sink);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sink");
	TCase *c = tcase_create("sink");
	SRunner *r;
	int failed;

	tcase_add_test(c, lines_are_written_once_in_a_turn);
	tcase_add_test(c, a_flood_does_not_overflow);
	tcase_add_test(c, a_full_disk_costs_lines_that_are_counted);
	tcase_add_test(c, a_full_file_is_asked_for_once);
	tcase_add_test(c, settings_may_change);
	tcase_add_test(c, datagrams_have_a_line_each);
	tcase_add_loop_test(c, a_slow_syslog_is_waited_for, 0, 2);
	tcase_add_test(c, what_the_buffer_does_not_hold_is_counted);
	tcase_add_test(c, a_torn_line_is_not_continued);
	tcase_add_test(c, the_last_words_are_seen_somewhere);
	tcase_add_test(c, the_last_words_are_few);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

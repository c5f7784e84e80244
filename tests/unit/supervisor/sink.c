/* What the log does when writing fails. */
#include <sys/resource.h>
#include <check.h>
#include <fcntl.h>
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

START_TEST(lines_are_written_once_in_a_turn)
{
	struct sink sink;

	ck_assert_int_eq(sink_init(&sink, false), 0);
	sink_use(&sink, file_new());
	sink_line(&sink, LOG_INFO, 7, BYTES("one"));
	sink_line(&sink, LOG_ERROR, 8, BYTES("two\nthree"));
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
	ck_assert_int_eq(sink_init(&sink, true), 0);
	fd = file_new();
	sink_use(&sink, fcntl(fd, F_DUPFD_CLOEXEC, 0));
	for (i = 0; i < 100; i++)
		sink_line(&sink, LOG_INFO, 7, (struct bytes){ text, sizeof(text) });
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
	ck_assert_int_eq(sink_init(&sink, false), 0);
	sink_use(&sink, file_new());
	limit = (struct rlimit){ 1000, before.rlim_max };
	setrlimit(RLIMIT_FSIZE, &limit);
	for (i = 0; i < 100; i++)
		sink_line(&sink, LOG_INFO, 7, BYTES("a line of the log"));
	sink_flush(&sink);
	ck_assert_uint_gt(sink.lost, 0);
	sink_line(&sink, LOG_INFO, 7, BYTES("still full"));
	sink_flush(&sink);
	setrlimit(RLIMIT_FSIZE, &before);
	sink_line(&sink, LOG_INFO, 7, BYTES("room again"));
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
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Old logs: which they are, and which of them go. */
#include <sys/stat.h>
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/bytes.h"
#include "supervisor/rotation.h"

static const struct { const char *name; bool old; } names[] = {
	{ "n.log.2026.01.02.03.04.05.000000001", true },
	{ "n.log", false },
	{ "n.log.1", false },
	{ "n.log.2026.01.02.03.04.05.000000001.gz", false },
	{ "n.log.2026.01.02.03.04.05.00000001", false },
	{ "n.log.2026.01.02.03.04.05", false },
	{ "n.log.2026.13.02.03.04.05.000000001", false },
	{ "n.log.2026.01.32.03.04.05.000000001", false },
	{ "n.log.2026.01.02.24.04.05.000000001", false },
	{ "n.log.2026-01-02.03.04.05.000000001", false },
	{ "n.log2026.01.02.03.04.05.000000001", false },
	{ "an.log.2026.01.02.03.04.05.000000001", false },
	{ "n.log.2.2026.01.02.03.04.05.000000001", false },
	{ "", false },
};

START_TEST(old_logs_are_known_by_their_names)
{
	ck_assert_msg(rotation_is_old(names[_i].name, "n.log") == names[_i].old, "%s", names[_i].name);
}
END_TEST

START_TEST(a_new_name_is_one)
{
	char	name[100];

	ck_assert(rotation_name(name, sizeof(name), "/var/log/n.log"));
	ck_assert(strncmp(name, "/var/log/", 9) == 0);
	ck_assert(rotation_is_old(name + 9, "n.log"));
	ck_assert(!rotation_name(name, 40, "/var/log/n.log"));
}
END_TEST

static char	folder[] = "/tmp/bulkhead-rotation-XXXXXX";

static void
file_make(const char *name)
{
	char	path[200];
	int	fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ne(fd, -1);
	close(fd);
}

static bool
is_there(const char *name)
{
	char	path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return lstat(path, &st) == 0;
}

static void
folder_remove(void)
{
	DIR		*dir = opendir(folder);
	struct dirent	*d;

	while ((d = readdir(dir)) != NULL)
		if (unlinkat(dirfd(dir), d->d_name, 0) == -1)
			unlinkat(dirfd(dir), d->d_name, AT_REMOVEDIR);
	closedir(dir);
	rmdir(folder);
}

START_TEST(the_oldest_go_and_nothing_else)
{
	struct rotation_says	says = { .len = 0 };
	char			path[200], link[200];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/n.log", folder);
	file_make("n.log");
	file_make("n.log.2026.01.02.03.04.05.000000001");
	file_make("n.log.2026.01.02.03.04.05.000000002");
	file_make("n.log.2025.12.31.23.59.59.999999999");
	file_make("n.log.2024.12.31.23.59.59.999999999.gz");
	file_make("n.log.1");
	snprintf(link, sizeof(link), "%s/n.log.2020.01.01.00.00.00.000000000", folder);
	ck_assert_int_eq(symlink(path, link), 0);
	snprintf(link, sizeof(link), "%s/n.log.2020.01.01.00.00.00.000000001", folder);
	ck_assert_int_eq(mkdir(link, 0700), 0);
	rotation_purge(path, 4, &says);		/* just as many as there are */
	ck_assert(is_there("n.log.2025.12.31.23.59.59.999999999"));
	rotation_purge(path, 3, &says);
	ck_assert(!is_there("n.log.2025.12.31.23.59.59.999999999"));
	ck_assert(is_there("n.log.2026.01.02.03.04.05.000000001"));
	ck_assert(is_there("n.log.2026.01.02.03.04.05.000000002"));
	rotation_purge(path, 1, &says);
	ck_assert(!is_there("n.log.2026.01.02.03.04.05.000000001"));
	ck_assert(!is_there("n.log.2026.01.02.03.04.05.000000002"));
	ck_assert(is_there("n.log") && is_there("n.log.1"));
	says.text[says.len] = '\0';
	ck_assert_str_eq(says.text, "3Purged log file \"n.log.2025.12.31.23.59.59.999999999\"\n"
	    "3Purged log file \"n.log.2026.01.02.03.04.05.000000001\"\n"
	    "3Purged log file \"n.log.2026.01.02.03.04.05.000000002\"\n");
	ck_assert(is_there("n.log.2024.12.31.23.59.59.999999999.gz"));
	ck_assert(is_there("n.log.2020.01.01.00.00.00.000000000"));
	ck_assert(is_there("n.log.2020.01.01.00.00.00.000000001"));
	folder_remove();
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_survived)
{
	struct rotation_says	says = { .len = 0 };
	size_t			len;

	rotation_purge("/nonexistent/n.log", 2, &says);
	ck_assert(strncmp(says.text, "1the folder of \"/nonexistent/n.log\" cannot be read", 50) == 0);
	while (len = says.len, rotation_say(&says, LOG_INFO, "more"), says.len > len)
		ck_assert_uint_le(says.len, sizeof(says.text));
	ck_assert_int_eq(says.text[says.len - 1], '\n');
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("rotation");
	TCase	*c = tcase_create("rotation");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(c, old_logs_are_known_by_their_names, 0, sizeof(names) / sizeof(names[0]));
	tcase_add_test(c, a_new_name_is_one);
	tcase_add_test(c, the_oldest_go_and_nothing_else);
	tcase_add_test(c, a_folder_that_is_not_there_is_survived);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

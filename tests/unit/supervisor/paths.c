/* Where an included file is, given the one that names it. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "supervisor/paths.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static const struct { const char *parent, *path, *is; } beside[] = {
	{ "a.conf", "b.conf", "b.conf" },
	{ "/etc/a.conf", "b.conf", "/etc/b.conf" },
	{ "/a.conf", "b.conf", "/b.conf" },
	{ "etc/a.conf", "./b.conf", "etc/b.conf" },
	{ "./etc//a.conf", "c/./d//b.conf", "etc/c/d/b.conf" },
	{ "/etc/x/a.conf", "../b.conf", "/etc/b.conf" },
	{ "/etc/a.conf", "../../../b.conf", "/b.conf" },
	{ "a.conf", "../b.conf", "../b.conf" },
	{ "../a.conf", "../b.conf", "../../b.conf" },
	{ "x/a.conf", "../../b.conf", "../b.conf" },
	{ "/etc/a.conf", "/var/b.conf", "/etc/var/b.conf" },	/* as in the real server */
	{ "a.conf", "/b.conf", "b.conf" },
	{ "/etc/a.conf", "..", "/" },
	{ "etc/a.conf", "..", "." },
	{ "etc/a.conf", "..b/...", "etc/..b/..." },
};

START_TEST(paths_begin_beside_their_parent)
{
	char	out[PATH_TEXT];

	ck_assert_int_eq(path_beside(beside[_i].parent, bytes_of(beside[_i].path), out, sizeof(out)), 0);
	ck_assert_str_eq(out, beside[_i].is);
}
END_TEST

START_TEST(long_paths_are_refused)
{
	char	path[PATH_TEXT], out[PATH_TEXT], pattern[PATH_TEXT];

	memset(path, '*', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(path_beside("/e/a", bytes_of(path), out, sizeof(out)), -ENAMETOOLONG);
	ck_assert_int_eq(path_beside("/e/a", (struct bytes){ path, PATH_TEXT - 5 }, out, sizeof(out)), 0);
	ck_assert_int_eq(path_pattern(path, pattern, sizeof(pattern)), 0);
	path[PATH_TEXT / 2 + 2] = '/';
	ck_assert_int_eq(path_pattern(path, pattern, sizeof(pattern)), -ENAMETOOLONG);
}
END_TEST

START_TEST(only_the_last_part_is_a_pattern)
{
	char	out[PATH_TEXT];

	ck_assert(path_is_pattern("a/*.conf"));
	ck_assert(path_is_pattern("b?"));
	ck_assert(path_is_pattern("[ab]"));
	ck_assert(!path_is_pattern("*/b.conf"));
	ck_assert(!path_is_pattern("b.conf"));
	ck_assert(!path_is_pattern("b[.conf"));
	ck_assert(!path_is_pattern("]b[.conf"));
	ck_assert_int_eq(path_pattern("/e*[x]\\/*.conf", out, sizeof(out)), 0);
	ck_assert_str_eq(out, "/e\\*\\[x]\\\\/*.conf");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("paths");
	TCase	*c = tcase_create("paths");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(c, paths_begin_beside_their_parent, 0, COUNT(beside));
	tcase_add_test(c, long_paths_are_refused);
	tcase_add_test(c, only_the_last_part_is_a_pattern);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

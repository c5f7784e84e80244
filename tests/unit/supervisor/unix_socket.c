/* Sockets at a path: their rights at every moment, who may take them over, what is left of them. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/settings.h"
#include "supervisor/lookup.h"
#include "supervisor/unix_socket.h"

#define BACKLOG	16

static char folder[] = "/tmp/bulkhead-unix-XXXXXX";
static char path[UNIX_PATH];
static const struct unix_rights owner = { .mode = 0600 };
static const char *step;

static int
listening(struct unix_socket *u, const struct unix_rights *r)
{
	return unix_socket_listen(u, path, SOCK_STREAM, r, BACKLOG, &step);
}

static mode_t
mode_of(const char *file)
{
	struct stat st;

	ck_assert_int_eq(lstat(file, &st), 0);
	return st.st_mode & 07777;
}

static int
connecting(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), rc;

	strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

static const struct { mode_t umask, mode; } modes[] = {
	{ 0022, 0600 }, { 0, 0600 }, { 0077, 0660 }, { 0777, 0777 }, { 0, 0640 }, { 0022, 0 },
};

START_TEST(the_mode_is_what_was_asked_for_whatever_the_umask)
{
	struct unix_rights r = { .mode = modes[_i].mode };
	struct unix_socket u;

	umask(modes[_i].umask);
	ck_assert_int_ge(listening(&u, &r), 0);
	ck_assert_uint_eq(mode_of(path), modes[_i].mode);
	ck_assert_uint_eq(umask(0), modes[_i].umask);
	unix_socket_remove(&u);
}
END_TEST

/* Somebody looks at it without a pause. */
static _Noreturn void
watcher(void)
{
	struct stat st;

	for (;;)
		if (lstat(path, &st) == 0 && (st.st_mode & 077) != 0)
			_exit(EXIT_FAILURE);
}

START_TEST(there_is_no_moment_of_wider_rights)
{
	struct unix_socket u;
	int fd, i, status = 0;
	pid_t pid = fork();

	if (pid == 0)
		watcher();
	umask(0);
	for (i = 0; i < 5000; i++) {
		fd = listening(&u, &owner);
		ck_assert_int_ge(fd, 0);
		unix_socket_remove(&u);
		close(fd);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ck_assert(WIFSIGNALED(status));
}
END_TEST

START_TEST(the_group_is_set_and_taken_back)
{
	struct unix_rights r = { .mode = 0660, .grouped = true, .group = 12345 };
	struct unix_rights without = { .mode = 0666, .group = 54321 };
	struct unix_socket u;
	struct stat st;
	gid_t own;

	ck_assert_int_ge(listening(&u, &owner), 0);
	ck_assert_int_eq(lstat(path, &st), 0);
	own = st.st_gid;
	if (geteuid() == 0) {
		ck_assert_int_eq(unix_socket_change(&u, &r), 0);
		ck_assert_int_eq(lstat(path, &st), 0);
		ck_assert_uint_eq(st.st_gid, 12345);
		ck_assert_uint_eq(mode_of(path), 0660);
	}
	ck_assert_int_eq(unix_socket_change(&u, &without), 0);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_uint_eq(st.st_gid, own);
	ck_assert_uint_eq(mode_of(path), 0666);
	unix_socket_remove(&u);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(what_a_dead_server_left_is_replaced)
{
	struct unix_socket dead, u;
	struct unix_rights wide = { .mode = 0666 };
	int fd = listening(&dead, &wide);

	ck_assert_int_ge(fd, 0);
	close(fd);			/* as a kill does: the file stays */
	ck_assert_int_eq(connecting(), -ECONNREFUSED);
	fd = listening(&u, &owner);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connecting(), 0);
	ck_assert_uint_eq(mode_of(path), 0600);
	unix_socket_remove(&u);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* Somebody removed ours, and another server took the path. */
START_TEST(what_is_anothers_by_now_is_not_removed)
{
	struct unix_socket first, second;

	ck_assert_int_ge(listening(&first, &owner), 0);
	unlink(path);
	ck_assert_int_ge(listening(&second, &owner), 0);
	unix_socket_remove(&first);
	ck_assert_int_eq(connecting(), 0);
	unix_socket_remove(&second);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(one_that_is_listened_at_is_left_alone)
{
	struct unix_socket first, second;

	ck_assert_int_ge(listening(&first, &owner), 0);
	ck_assert_int_eq(listening(&second, &owner), -EADDRINUSE);
	ck_assert_str_eq(step, "bind");
	ck_assert_int_eq(connecting(), 0);
	unix_socket_remove(&first);
}
END_TEST

/* Even when it does not take another connection just now. */
START_TEST(one_that_is_busy_is_left_alone)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct unix_socket first, second;
	int fd, i;

	ck_assert_int_ge(unix_socket_listen(&first, path, SOCK_STREAM, &owner, 0, &step), 0);
	strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	for (i = 0; i < 4; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == -1)
			break;
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(listening(&second, &owner), -EADDRINUSE);
	ck_assert_int_eq(access(path, F_OK), 0);
	unix_socket_remove(&first);
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
	struct unix_socket u;
	int fd;

	if (_i == 0)
		fd = open(path, O_WRONLY | O_CREAT, 0600);
	else
		fd = symlink("/nowhere", path);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(listening(&u, &owner), -EADDRINUSE);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* A link that somebody puts in the socket's place is not followed. */
START_TEST(rights_of_other_files_are_not_changed)
{
	struct unix_rights wide = { .mode = 0777 };
	char other[PATH_MAX];
	struct unix_socket u;

	snprintf(other, sizeof(other), "%s/other", folder);
	close(open(other, O_WRONLY | O_CREAT, 0600));
	ck_assert_int_ge(listening(&u, &owner), 0);
	unlink(path);
	ck_assert_int_eq(symlink(other, path), 0);
	(void)unix_socket_change(&u, &wide);
	ck_assert_uint_eq(mode_of(other), 0600);
	unix_socket_remove(&u);
	ck_assert_int_eq(unlink(path), 0);	/* not ours to remove */
	unlink(other);
}
END_TEST

static const struct { const char *path; int rc; } bad[] = {
	{ "", -EINVAL },
	{ "relative.sock", -EINVAL },
	{ "/nowhere/at/all", -ENOENT },
	{ "/1234567890123456789012345678901234567890123456789012345678901234567890"
	  "1234567890123456789012345678901234567", -ENAMETOOLONG },
};

START_TEST(a_path_that_cannot_be_is_refused)
{
	struct unix_socket u;

	ck_assert_int_eq(unix_socket_listen(&u, bad[_i].path, SOCK_STREAM, &owner, BACKLOG, &step), bad[_i].rc);
}
END_TEST

static const struct { const char *mode, *group; int rc; mode_t is; const char *error; } settings[] = {
	{ "0600", "", 0, 0600, NULL },
	{ "770", "", 0, 0770, NULL },
	{ "0660", "root", 0, 0660, NULL },
	{ "0660", "0", 0, 0660, NULL },
	{ "0888", "", -EINVAL, 0, "unix_socket_mode: found \"0888\", expected an octal mode up to 0777" },
	{ "7777", "", -EINVAL, 0, "unix_socket_mode: found \"7777\", expected an octal mode up to 0777" },
	{ "0600", "nobody of this name", -EINVAL, 0,
	  "unix_socket_group: found \"nobody of this name\", expected the name or number of a group" },
};

START_TEST(the_settings_say_what_rights)
{
	struct unix_rights r = { .mode = 1 };
	struct settings st;
	char error[256] = "";

	settings_init(&st);
	setting_set_text(&st, setting_find(BYTES("unix_socket_mode")), bytes_of(settings[_i].mode));
	setting_set_text(&st, setting_find(BYTES("unix_socket_group")), bytes_of(settings[_i].group));
	ck_assert_int_eq(unix_rights_find(&r, &st, LOOKUP_STARTING, error, sizeof(error)),
	    settings[_i].rc);
	ck_assert_uint_eq(r.mode, settings[_i].rc == 0 ? settings[_i].is : 1);
	if (settings[_i].rc == 0)
		ck_assert_int_eq(r.grouped, *settings[_i].group != '\0');
	else
		ck_assert_str_eq(error, settings[_i].error);
	settings_free(&st);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("unix_socket");
	TCase *c = tcase_create("unix_socket");
	SRunner *r;
	int failed;

	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	snprintf(path, sizeof(path), "%s/socket", folder);
	tcase_add_loop_test(c, the_mode_is_what_was_asked_for_whatever_the_umask, 0,
	    sizeof(modes) / sizeof(modes[0]));
	tcase_add_test(c, there_is_no_moment_of_wider_rights);
	tcase_add_test(c, the_group_is_set_and_taken_back);
	tcase_add_test(c, what_a_dead_server_left_is_replaced);
	tcase_add_test(c, what_is_anothers_by_now_is_not_removed);
	tcase_add_test(c, one_that_is_listened_at_is_left_alone);
	tcase_add_test(c, one_that_is_busy_is_left_alone);
	tcase_add_loop_test(c, what_is_no_socket_is_left_alone, 0, 2);
	tcase_add_test(c, rights_of_other_files_are_not_changed);
	tcase_add_loop_test(c, a_path_that_cannot_be_is_refused, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_loop_test(c, the_settings_say_what_rights, 0, sizeof(settings) / sizeof(settings[0]));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	rmdir(folder);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

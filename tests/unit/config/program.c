/* bulkhead-config as the supervisor meets it: one `configure`, documents and digest or all errors. */
#include <sys/stat.h>
#include <fcntl.h>
#include <stdint.h>
#include "common/loop.h"
#include "common/memfd.h"
#include "common/records.h"
#include "shm/segment.h"
#include "tests/unit/program.h"

static struct {
	bool		documented[ROLES];
	struct settings	settings[ROLES];
	char		digest[128];
	char		error[MESSAGE_MAX];
	char		asked[128];	/* "0 a.conf": parent and path, or a variable's name */
	enum msg_type	last;
	int		tls_files;	/* records; -1: none came */
} got;

static struct program	config;
static struct ev_loop	*loop;
static struct settings	flags;

static int
count(void *arg, const struct msg *m)
{
	++*(int *)arg;
	return 0;
}

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	enum role	 role;
	const char	*why;

	got.last = m->type;
	if (m->type == MSG_document) {
		role = (enum role)m->u.document.role;
		ck_assert_int_lt(role, ROLES);
		ck_assert(!got.documented[role]);
		got.documented[role] = true;
		ck_assert_int_eq(settings_init(&got.settings[role]), 0);
		ck_assert_int_eq(settings_read(&got.settings[role], fds[0], &why), 0);
		close(fds[0]);
		close(fds[1]);
	} else if (m->type == MSG_tls_files) {
		ck_assert_int_eq(got.tls_files, -1);
		got.tls_files = 0;
		ck_assert_int_eq(records_read(fds[0], ROLE_CONFIG, ROLE_SUPERVISOR, count, &got.tls_files, &why), 0);
		close(fds[0]);
	} else if (m->type == MSG_configured) {
		snprintf(got.digest, sizeof(got.digest), "%.*s", (int)m->u.configured.digest.len,
		    m->u.configured.digest.data);
	} else if (m->type == MSG_misconfigured) {
		snprintf(got.error, sizeof(got.error), "%.*s", (int)m->u.misconfigured.error.len,
		    m->u.misconfigured.error.data);
	} else if (m->type == MSG_include) {
		snprintf(got.asked, sizeof(got.asked), "%d %.*s", (int)m->u.include.parent,
		    (int)m->u.include.path.len, m->u.include.path.data);
	} else if (m->type == MSG_environment) {
		snprintf(got.asked, sizeof(got.asked), "%.*s", (int)m->u.environment.name.len,
		    m->u.environment.name.data);
	}
	return 0;
}

static void
start(void)
{
	struct settings	s;

	ck_assert_int_eq(settings_init(&s), 0);
	program_start(&config, loop, ROLE_CONFIG, &s, receive);
	settings_free(&s);
}

static void
setup(void)
{
	memset(&got, 0, sizeof(got));
	got.tls_files = -1;
	loop = loop_new();	/* the default one waits for children itself */
	ck_assert_int_eq(settings_init(&flags), 0);
	start();
}

static void
teardown(void)
{
	unsigned	role;

	program_stop(&config);
	for (role = 0; role < ROLES; role++)
		if (got.documented[role])
			settings_free(&got.settings[role]);
	settings_free(&flags);
}

/* An unsealed file with this text, as if it came from the disk. */
static int
file_of(const char *text, size_t len)
{
	int	fd = segment_create("conf", 4096);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void
configure_send(int file, const char *path)
{
	struct msg	m = { .type = MSG_configure, .u.configure = { .path = bytes_of(path) } };
	int		document = settings_write(&flags, ROLE_SUPERVISOR);

	ck_assert_int_ge(document, 0);
	ck_assert_int_eq(channel_send(&config.channel, &m, (int[]){ file, document }), 0);
	close(document);
	close(file);
}

/* Wait for what ends its answer. */
static void
answered(enum msg_type end)
{
	int	i;

	for (i = 0; end == MSG_configured && i < ROLES - 1; i++)
		ck_assert_int_eq(channel_await(&config.channel, MSG_document, PROGRAM_WAIT), 0);
	ck_assert_int_eq(channel_await(&config.channel, end, PROGRAM_WAIT), 0);
}

static void
configure_fd(int file, const char *path, enum msg_type end)
{
	configure_send(file, path);
	answered(end);
}

/* Wait for its question, and see that it is this one. */
static void
asks(enum msg_type type, const char *what)
{
	ck_assert_int_eq(channel_await(&config.channel, type, PROGRAM_WAIT), 0);
	ck_assert_str_eq(got.asked, what);
}

static void
hand_over(uint64_t number, const char *path, const char *text)
{
	struct msg	m = { .type = MSG_included,
	    .u.included = { .number = number, .path = bytes_of(path) } };
	int		fd = file_of(text, strlen(text));

	ck_assert_int_eq(channel_send(&config.channel, &m, &fd), 0);
	close(fd);
}

static void
hand_over_end(const char *error)
{
	struct msg	m = { .type = MSG_include_end, .u.include_end = { .error = bytes_of(error) } };

	ck_assert_int_eq(channel_send(&config.channel, &m, NULL), 0);
}

static void
variable_is(bool found, const char *value)
{
	struct msg	m = { .type = MSG_environment_is,
	    .u.environment_is = { .found = found, .value = bytes_of(value) } };

	ck_assert_int_eq(channel_send(&config.channel, &m, NULL), 0);
}

START_TEST(a_document_for_each_role)
{
	ck_assert_int_eq(setting_set_integer(&flags, setting_find(BYTES("max_payload")), 1234), 0);
	configure_fd(file_of("{port: 4223, max_payload: 1MB, pid_file: x, logtime: off}", 57), "a.conf", MSG_configured);
	ck_assert(got.documented[ROLE_SUPERVISOR]);
	ck_assert(got.documented[ROLE_WORKER]);
	ck_assert(got.documented[ROLE_LOG]);
	ck_assert(got.documented[ROLE_SYSTEM]);
	ck_assert(got.documented[ROLE_MONITOR]);
	ck_assert(!got.documented[ROLE_CONFIG]);
	ck_assert_uint_eq(got.settings[ROLE_SUPERVISOR].port, 4223);
	ck_assert_str_eq(got.settings[ROLE_SUPERVISOR].pid_file, "x");
	ck_assert_uint_eq(got.settings[ROLE_WORKER].port, 4223);
	ck_assert_uint_eq(got.settings[ROLE_WORKER].max_payload, 1234);	/* the flag wins */
	ck_assert_str_eq(got.settings[ROLE_WORKER].pid_file, "");	/* none of its business */
	ck_assert(!got.settings[ROLE_LOG].logtime);
	ck_assert(!got.settings[ROLE_LOG].has_port);
	ck_assert_int_eq(strncmp(got.digest, "sha256:", 7), 0);
	ck_assert_uint_eq(strlen(got.digest), 71);
}
END_TEST

START_TEST(digest_is_that_of_the_file)
{
	configure_fd(file_of("{port: 4222}", 12), "a.conf", MSG_configured);
	ck_assert_str_eq(got.digest,
	    "sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e");
}
END_TEST

START_TEST(no_file_is_all_defaults)
{
	int	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	configure_fd(fd, "", MSG_configured);
	ck_assert_str_eq(got.digest, "");
	ck_assert_uint_eq(got.settings[ROLE_SUPERVISOR].port, 4222);
	ck_assert(!got.settings[ROLE_SUPERVISOR].has_port);
}
END_TEST

/* Forget what it said, and ask about this; files: whether names of files of TLS come before the end. */
static void
configure_again(const char *text, bool files)
{
	enum role	role;
	int		i;

	for (role = 0; role < ROLES; role++)
		if (got.documented[role])
			settings_free(&got.settings[role]);
	memset(&got, 0, sizeof(got));
	got.tls_files = -1;
	configure_send(file_of(text, strlen(text)), "a.conf");
	for (i = 0; i < ROLES - 1; i++)
		ck_assert_int_eq(channel_await(&config.channel, MSG_document, PROGRAM_WAIT), 0);
	if (files)
		ck_assert_int_eq(channel_await(&config.channel, MSG_tls_files, PROGRAM_WAIT), 0);
	ck_assert_int_eq(channel_await(&config.channel, MSG_configured, PROGRAM_WAIT), 0);
}

START_TEST(files_of_tls_are_named)
{
	static const char	text[] = "tls { cert_file: c, key_file: k }";
	char			digest[80];

	configure_again("port: 1", false);
	ck_assert_int_eq(got.tls_files, -1);
	ck_assert_str_eq(got.settings[ROLE_SUPERVISOR].tls_digest, "");
	configure_again(text, true);
	ck_assert_int_eq(got.tls_files, 3);
	ck_assert(got.settings[ROLE_WORKER].tls_asked);
	strlcpy(digest, got.settings[ROLE_SUPERVISOR].tls_digest, sizeof(digest));
	ck_assert_mem_eq(digest, "sha256:", 7);
	configure_again(text, true);
	ck_assert_str_eq(got.settings[ROLE_SUPERVISOR].tls_digest, digest);
	configure_again("tls { cert_file: c, key_file: other }", true);
	ck_assert_str_ne(got.settings[ROLE_SUPERVISOR].tls_digest, digest);
}
END_TEST

START_TEST(all_errors_are_told)
{
	configure_fd(file_of("port: x\nhots: 1\nmqtt {}\n", 24), "a.conf", MSG_misconfigured);
	ck_assert_str_eq(got.error,
	    "a.conf:1:7: port: found \"x\", expected a port up to 65535 (-1: any free one)\n"
	    "a.conf:2:1: unknown field \"hots\", did you mean \"host\"?\n"
	    "a.conf:3:1: mqtt: this version does not have MQTT yet");
	/* and the next attempt begins anew */
	configure_fd(file_of("port: 1", 7), "b.conf", MSG_configured);
	ck_assert_uint_eq(got.settings[ROLE_WORKER].port, 1);
}
END_TEST

START_TEST(what_cannot_be_read_is_an_error)
{
	char	*much = calloc(1, (16u << 20) + 1);
	int	 fd;

	memset(much, '#', (16u << 20) + 1);
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	configure_fd(fd, "/", MSG_misconfigured);
	ck_assert_str_eq(got.error, "/: Is a directory");
	configure_fd(file_of(much, (16u << 20) + 1), "big.conf", MSG_misconfigured);
	ck_assert_str_eq(got.error, "big.conf: found more than 16 MiB, expected a configuration");
	configure_fd(file_of("", 0), "empty.conf", MSG_misconfigured);
	ck_assert_str_eq(got.error, "empty.conf: config has no values or is empty");
	free(much);
}
END_TEST

/* Without a writer it is at its end, but there may be one soon. */
START_TEST(a_named_pipe_waits_for_its_writer)
{
	char	folder[] = "/tmp/pipe.XXXXXX", path[64];
	int	fd;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/pipe", folder);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_RDONLY), 0);
	configure_send(fd, "pipe");
	ck_assert_int_eq(channel_await(&config.channel, MSG_misconfigured, 0.5), -ETIMEDOUT);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	unlink(path);
	rmdir(folder);
	ck_assert_int_eq(write(fd, "port: 4223", 10), 10);
	close(fd);
	answered(MSG_configured);
	ck_assert_uint_eq(got.settings[ROLE_WORKER].port, 4223);
}
END_TEST

/* The largest file that is taken, and as many errors as it can have. */
START_TEST(large_files)
{
	size_t	 size = 16u << 20, i;
	char	*text = malloc(size);

	for (i = 0; i + 8 <= size; i += 8)
		memcpy(text + i, "qzqz: 1\n", 8);
	configure_fd(file_of(text, size), "big.conf", MSG_misconfigured);
	ck_assert_str_eq(got.error, "big.conf:2097152:1: unknown field \"qzqz\"");	/* the last one counts */
	for (i = 0; i + 16 <= size; i += 16) {
		snprintf(text + i, 16, "q%08zx:[1]", i);
		memcpy(text + i + 13, ",\n\n", 3);
	}
	configure_fd(file_of(text, size), "big.conf", MSG_misconfigured);
	ck_assert_ptr_nonnull(strstr(got.error, " more"));
	free(text);
}
END_TEST

START_TEST(files_and_variables_are_asked_for)
{
	configure_send(file_of("include x.d/*\nmax_payload: $SIZE\n", 33), "a.conf");
	asks(MSG_include, "0 x.d/*");
	hand_over(1, "x.d/1", "include more\nport: 1\n");
	hand_over(2, "x.d/2", "port: 4223\n");
	hand_over_end("");
	asks(MSG_include, "1 more");
	hand_over(3, "x.d/more", "logtime: off\n");
	hand_over_end("");
	asks(MSG_environment, "SIZE");
	variable_is(true, "2k");
	answered(MSG_configured);
	ck_assert_uint_eq(got.settings[ROLE_WORKER].port, 4223);
	ck_assert_uint_eq(got.settings[ROLE_WORKER].max_payload, 2000);
	ck_assert(!got.settings[ROLE_LOG].logtime);
}
END_TEST

START_TEST(what_is_not_there_is_an_error)
{
	configure_send(file_of("include x\nserver_name: $N\n", 26), "a.conf");
	asks(MSG_include, "0 x");
	hand_over_end("open x: no such file or directory");
	asks(MSG_environment, "N");
	variable_is(false, "");
	answered(MSG_misconfigured);
	ck_assert_str_eq(got.error, "a.conf:1:1: include: open x: no such file or directory\n"
	    "a.conf:2:14: found the variable \"N\", which no entry before this one and no variable of the environment sets");
}
END_TEST

/* An answer without a question, or to another one: it gives up, and says so by its end. */
START_TEST(answers_are_to_questions)
{
	int	status;

	if (_i == 1) {
		configure_send(file_of("include x\n", 10), "a.conf");
		asks(MSG_include, "0 x");
	} else if (_i > 1) {
		configure_send(file_of("port: $P\n", 9), "a.conf");
		asks(MSG_environment, "P");
	}
	if (_i < 2)
		variable_is(true, "1");
	else if (_i == 2)
		hand_over_end("");
	else if (_i == 3)
		hand_over(1, "x", "port: 1\n");
	else
		configure_send(file_of("port: 1\n", 8), "b.conf");
	ck_assert_int_eq(waitpid(config.pid, &status, 0), config.pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) != 0);
	channel_close(&config.channel);
	close(config.log);
	start();
}
END_TEST

/* `shutdown` comes while it waits for an answer. */
START_TEST(it_can_be_stopped_while_it_waits)
{
	struct msg	m = { .type = MSG_shutdown };
	int		status;

	configure_send(file_of("port: $P\n", 9), "a.conf");
	asks(MSG_environment, "P");
	ck_assert_int_eq(channel_send(&config.channel, &m, NULL), 0);
	ck_assert_int_eq(waitpid(config.pid, &status, 0), config.pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	channel_close(&config.channel);
	close(config.log);
	start();
}
END_TEST

/* However the supervisor ends, it is not left behind. */
START_TEST(ends_with_its_channel)
{
	int	status;

	channel_close(&config.channel);
	ck_assert_int_eq(waitpid(config.pid, &status, 0), config.pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(config.log);
	start();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("bulkhead-config");
	TCase	*c = tcase_create("program");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_document_for_each_role);
	tcase_add_test(c, digest_is_that_of_the_file);
	tcase_add_test(c, no_file_is_all_defaults);
	tcase_add_test(c, files_of_tls_are_named);
	tcase_add_test(c, all_errors_are_told);
	tcase_add_test(c, what_cannot_be_read_is_an_error);
	tcase_add_test(c, a_named_pipe_waits_for_its_writer);
	tcase_add_test(c, large_files);
	tcase_add_test(c, files_and_variables_are_asked_for);
	tcase_add_test(c, what_is_not_there_is_an_error);
	tcase_add_loop_test(c, answers_are_to_questions, 0, 5);
	tcase_add_test(c, it_can_be_stopped_while_it_waits);
	tcase_add_test(c, ends_with_its_channel);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

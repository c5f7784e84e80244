#include <sys/mman.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/memfd.h"
#include "common/settings.h"

#define WHICH(name)	setting_find(BYTES(name))

static struct settings	s;

static void
setup(void)
{
	ck_assert_int_eq(settings_init(&s), 0);
}

static void
teardown(void)
{
	settings_free(&s);
}

START_TEST(defaults_are_those_of_the_table)
{
	ck_assert_uint_eq(s.port, 4222);
	ck_assert_str_eq(s.host, "0.0.0.0");
	ck_assert_uint_eq(s.max_payload, 1048576);
	ck_assert(s.ping_interval == 120.0);
	ck_assert(s.logtime && !s.debug);
	ck_assert_uint_eq(s.listen.count, 0);
	ck_assert(!s.has_port && !s.has_listen);
}
END_TEST

START_TEST(names_are_found_and_suggested)
{
	ck_assert_str_eq(WHICH("max_payload")->name, "max_payload");
	ck_assert_str_eq(WHICH("MAX_Payload")->name, "max_payload");
	ck_assert_str_eq(WHICH("net")->name, "host");
	ck_assert_ptr_null(WHICH("max_payloa"));
	ck_assert_ptr_null(WHICH(""));
	ck_assert_str_eq(setting_suggest(BYTES("max_paylod")), "max_payload");
	ck_assert_str_eq(setting_suggest(BYTES("prot")), "port");
	ck_assert_str_eq(setting_suggest(BYTES("Ping_Intervall")), "ping_interval");
	ck_assert_str_eq(setting_suggest(BYTES("logfil")), "logfile");
	ck_assert_ptr_null(setting_suggest(BYTES("cluster_advertise")));
	ck_assert_ptr_null(setting_suggest(BYTES("qq")));
	ck_assert_ptr_null(setting_suggest(BYTES("")));
	ck_assert_ptr_null(setting_suggest(BYTES("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
	    "ffffffffffgggggggggg")));
}
END_TEST

START_TEST(values_are_checked)
{
	static char	longest[256];

	memset(longest, 'h', sizeof(longest));
	ck_assert_int_eq(setting_set_integer(&s, WHICH("port"), 65535), 0);
	ck_assert_int_eq(setting_set_integer(&s, WHICH("port"), 65536), -ERANGE);
	ck_assert_int_eq(setting_set_integer(&s, WHICH("max_payload"), 0), -ERANGE);
	ck_assert_int_eq(setting_set_integer(&s, WHICH("max_pending"), INT64_MAX), 0);
	ck_assert_int_eq(setting_set_integer(&s, WHICH("max_pending"), (uint64_t)INT64_MAX + 1), -ERANGE);
	ck_assert_int_eq(setting_set_integer(&s, WHICH("host"), 1), -EINVAL);
	ck_assert_uint_eq(s.port, 65535);
	ck_assert(s.has_port && !s.has_max_payload);
	ck_assert_int_eq(setting_set_duration(&s, WHICH("ping_interval"), 0.5), 0);
	ck_assert_int_eq(setting_set_duration(&s, WHICH("ping_interval"), (double)NAN), -ERANGE);
	ck_assert_int_eq(setting_set_duration(&s, WHICH("ping_interval"), -1), -ERANGE);
	ck_assert_int_eq(setting_set_duration(&s, WHICH("port"), 1), -EINVAL);
	ck_assert_int_eq(setting_set_boolean(&s, WHICH("debug"), true), 0);
	ck_assert_int_eq(setting_set_boolean(&s, WHICH("port"), true), -EINVAL);
	ck_assert_int_eq(setting_set_text(&s, WHICH("host"), (struct bytes){ longest, 255 }), 0);
	ck_assert_int_eq(setting_set_text(&s, WHICH("host"), (struct bytes){ longest, 256 }), -ERANGE);
	ck_assert_int_eq(setting_set_text(&s, WHICH("host"), BYTES("a\0b")), -EINVAL);
	ck_assert_int_eq(setting_set_text(&s, WHICH("listen"), BYTES("a")), -EINVAL);
	ck_assert_uint_eq(strlen(s.host), 255);
	ck_assert_int_eq(setting_add_item(&s, WHICH("listen"), BYTES("")), -ERANGE);
	ck_assert_int_eq(setting_add_item(&s, WHICH("host"), BYTES("a")), -EINVAL);
}
END_TEST

/* All kinds, and a list that grows. */
static void
fill(struct settings *t)
{
	char	item[32];
	int	i;

	ck_assert_int_eq(setting_set_integer(t, WHICH("max_payload"), 1234567), 0);
	ck_assert_int_eq(setting_set_duration(t, WHICH("write_deadline"), 2.5), 0);
	ck_assert_int_eq(setting_set_boolean(t, WHICH("trace"), true), 0);
	ck_assert_int_eq(setting_set_text(t, WHICH("log_file"), BYTES("/secret/place")), 0);
	ck_assert_int_eq(setting_set_text(t, WHICH("server_name"), BYTES("n\xc3\xa4me")), 0);
	for (i = 0; i < 100; i++) {
		snprintf(item, sizeof(item), "host-%d:4222", i);
		ck_assert_int_eq(setting_add_item(t, WHICH("listen"), bytes_of(item)), 0);
	}
}

START_TEST(a_document_carries_what_its_role_may_see)
{
	struct settings	 t;
	const char	*why;
	int		 fd;

	fill(&s);
	ck_assert_int_eq(settings_init(&t), 0);
	fd = settings_write(&s, ROLE_WORKER);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(settings_read(&t, fd, &why), 0);
	close(fd);
	ck_assert_uint_eq(t.max_payload, 1234567);
	ck_assert(t.write_deadline == 2.5 && t.trace);
	ck_assert_str_eq(t.server_name, "n\xc3\xa4me");
	ck_assert_str_eq(t.log_file, "");
	ck_assert_uint_eq(t.listen.count, 0);
	ck_assert(t.has_max_payload && !t.has_port && !t.has_log_file && !t.has_listen);

	fd = settings_write(&s, ROLE_SUPERVISOR);
	ck_assert_int_eq(settings_read(&t, fd, &why), 0);
	close(fd);
	ck_assert_str_eq(t.log_file, "/secret/place");
	ck_assert_uint_eq(t.listen.count, 100);
	ck_assert_str_eq(t.listen.items[99], "host-99:4222");
	settings_free(&t);
}
END_TEST

START_TEST(a_document_cannot_be_changed_any_more)
{
	int	fd = settings_write(&s, ROLE_WORKER);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "x", 1), -1);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_ptr_eq(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
}
END_TEST

START_TEST(an_unsealed_or_empty_one_is_refused)
{
	const char	*why;
	int		 fd = memfd_create("open", MFD_ALLOW_SEALING), pair[2];

	ck_assert_int_eq(write(fd, "\x80", 1), 1);
	ck_assert_int_eq(settings_read(&s, fd, &why), -EPERM);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL), 0);
	ck_assert_int_eq(settings_read(&s, fd, &why), -EPERM);	/* could still shrink */
	close(fd);
	fd = memfd_sealed("empty", BYTES(""));
	ck_assert_int_eq(settings_read(&s, fd, &why), -EBADMSG);
	close(fd);
	ck_assert_int_eq(pipe(pair), 0);
	ck_assert_int_eq(settings_read(&s, pair[0], &why), -EPERM);
	ck_assert_int_eq(settings_read(&s, 999, &why), -EBADF);
}
END_TEST

static const struct { const char *what; struct bytes document; int rc; const char *why; } documents[] = {
	{ "nothing set", BYTES("\x80"), 0, NULL },
	{ "a port", BYTES("\x81\xa4port\xcd\x10\x7e"), 0, NULL },
	{ "a duration in whole seconds", BYTES("\x81\xadping_interval\x05"), 0, NULL },
	{ "not msgpack", BYTES("port: 4222"), -EBADMSG, "not msgpack" },
	{ "an array", BYTES("\x91\x01"), -EBADMSG, "not a map" },
	{ "an unknown name", BYTES("\x81\xa4prot\x01"), -EBADMSG, "unknown setting" },
	{ "a number for a name", BYTES("\x81\x01\x01"), -EBADMSG, "unknown setting" },
	{ "out of range", BYTES("\x82\xa5" "debug\xc3\xa4port\xce\x00\x01\x00\x00"), -EBADMSG, "port" },
	{ "a negative number", BYTES("\x81\xa4port\xff"), -EBADMSG, "port" },
	{ "text for a number", BYTES("\x81\xa4port\xa1" "1"), -EBADMSG, "port" },
	{ "a number for text", BYTES("\x81\xa4host\x01"), -EBADMSG, "host" },
	{ "a number for a boolean", BYTES("\x81\xa5" "debug\x01"), -EBADMSG, "debug" },
	{ "a NUL in text", BYTES("\x81\xa4host\xa2" "a\0"), -EBADMSG, "host" },
	{ "text for a list", BYTES("\x81\xa6listen\xa1" "a"), -EBADMSG, "listen" },
	{ "a number in a list", BYTES("\x81\xa6listen\x91\x01"), -EBADMSG, "listen" },
	{ "a duration that is none", BYTES("\x81\xadping_interval\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
	    -EBADMSG, "ping_interval" },
};

START_TEST(a_document_is_checked_and_taken_whole_or_not)
{
	const char	*why;

	ck_assert_int_eq(setting_set_integer(&s, WHICH("port"), 99), 0);
	ck_assert_msg(settings_parse(&s, documents[_i].document, &why) == documents[_i].rc, "%s: %s",
	    documents[_i].what, why);
	ck_assert_pstr_eq(why, documents[_i].why);
	if (documents[_i].rc != 0) {
		ck_assert_uint_eq(s.port, 99);
		ck_assert(!s.debug);
	}
}
END_TEST

START_TEST(a_later_document_wins)
{
	const char	*why;

	ck_assert_int_eq(setting_set_integer(&s, WHICH("port"), 99), 0);
	ck_assert_int_eq(settings_parse(&s, BYTES("\x82\xa6listen\x92\xa1" "a\xa1" "b\xa4host\xa1h"), &why), 0);
	ck_assert_int_eq(settings_parse(&s, BYTES("\x81\xa6listen\x91\xa1" "c"), &why), 0);
	ck_assert_uint_eq(s.listen.count, 1);
	ck_assert_str_eq(s.listen.items[0], "c");
	ck_assert_str_eq(s.host, "h");
	ck_assert_uint_eq(s.port, 99);
	/* the same name twice */
	ck_assert_int_eq(settings_parse(&s, BYTES("\x82\xa4host\xa1x\xa4host\xa1y"), &why), 0);
	ck_assert_str_eq(s.host, "y");
	ck_assert_int_eq(settings_parse(&s, BYTES("\x82\xa6listen\x91\xa1" "a\xa6listen\x91\xa1" "b"), &why), 0);
	ck_assert_uint_eq(s.listen.count, 1);
	ck_assert_str_eq(s.listen.items[0], "b");
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

/* One of each kind: equal to itself, not to another; and as the log shows it. */
static const struct { const char *name; double number; const char *text, *before, *after; } shown[] = {
	{ "max_payload",	7,	NULL,	"1048576",	"7" },
	{ "write_deadline",	1.5,	NULL,	"10s",		"1.5s" },
	{ "debug",		1,	NULL,	"false",	"true" },
	{ "host",		0,	"h",	"0.0.0.0",	"h" },
	{ "listen",		0,	"a",	"[]",		"[a a]" },
};

static void
set(const struct setting *which, double number, const char *text)
{
	switch (which->kind) {
	case SETTING_integer:
		ck_assert_int_eq(setting_set_integer(&s, which, (uint64_t)number), 0);
		break;
	case SETTING_duration:
		ck_assert_int_eq(setting_set_duration(&s, which, number), 0);
		break;
	case SETTING_boolean:
		ck_assert_int_eq(setting_set_boolean(&s, which, number != 0), 0);
		break;
	case SETTING_text:
		ck_assert_int_eq(setting_set_text(&s, which, bytes_of(text)), 0);
		break;
	case SETTING_list:
		ck_assert_int_eq(setting_add_item(&s, which, bytes_of(text)), 0);
		ck_assert_int_eq(setting_add_item(&s, which, bytes_of(text)), 0);
		break;
	}
}

START_TEST(values_are_compared_and_shown)
{
	const struct setting	*which = setting_find(bytes_of(shown[_i].name));
	struct settings		 other;
	char			 text[100], small[4];

	ck_assert_int_eq(settings_init(&other), 0);
	ck_assert(setting_equal(&s, &other, which));
	set(which, shown[_i].number, shown[_i].text);
	ck_assert(!setting_equal(&s, &other, which));
	ck_assert(setting_equal(&s, &s, which));
	ck_assert(setting_given(&s, which) && !setting_given(&other, which));
	ck_assert_str_eq(setting_show(&s, which, text, sizeof(text)), shown[_i].after);
	ck_assert_str_eq(setting_show(&other, which, text, sizeof(text)), shown[_i].before);
	ck_assert_uint_lt(strlen(setting_show(&other, which, small, sizeof(small))), sizeof(small));
	settings_free(&other);
}
END_TEST

START_TEST(a_secret_is_shown_to_nobody)
{
	struct setting	which = *WHICH("host");
	char		text[100];

	which.how |= SECRET;
	ck_assert_str_eq(setting_show(&s, &which, text, sizeof(text)), "[REDACTED]");
}
END_TEST

int
main(void)
{
	Suite	*suite = suite_create("settings");
	TCase	*c = tcase_create("settings");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, defaults_are_those_of_the_table);
	tcase_add_test(c, names_are_found_and_suggested);
	tcase_add_test(c, values_are_checked);
	tcase_add_test(c, a_document_carries_what_its_role_may_see);
	tcase_add_test(c, a_document_cannot_be_changed_any_more);
	tcase_add_test(c, an_unsealed_or_empty_one_is_refused);
	tcase_add_loop_test(c, a_document_is_checked_and_taken_whole_or_not, 0, COUNT(documents));
	tcase_add_test(c, a_later_document_wins);
	tcase_add_loop_test(c, values_are_compared_and_shown, 0, COUNT(shown));
	tcase_add_test(c, a_secret_is_shown_to_nobody);
	suite_add_tcase(suite, c);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

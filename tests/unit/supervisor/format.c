/* What a line looks like as JSON and for a syslog. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "supervisor/log/format.h"

static struct line
line_of(struct bytes text)
{
	return (struct line){ .level = LOG_WARN, .role = ROLE_WORKER, .slot = 2, .pid = 77, .text = text };
}

static const char *
formatted(const struct format *f, struct bytes text)
{
	static char	 out[4096];
	const struct line l = line_of(text);
	size_t		 len = format_line(out, sizeof(out) - 1, f, &l);

	ck_assert_uint_le(len, FORMATTED_MAX(text.len));
	out[len] = '\0';
	ck_assert_ptr_eq(memchr(out, '\n', len), out + len - 1);	/* its only one */
	return out;
}

static const struct { struct bytes text; const char *want; } texts[] = {
	{ BYTES("plain"), "plain" },
	{ BYTES("quote \" back \\ slash"), "quote \" back \\ slash" },
	{ BYTES("two\nlines\r\t"), "two\nlines\r\t" },
	{ BYTES("\x1b[2J\x7f"), "\x1b[2J\\x7f" },
	{ BYTES("\xc2\x9b \xc3\xa4 \xf0\x9f\x98\x80"), "\\xc2\\x9b \xc3\xa4 \xf0\x9f\x98\x80" },
	{ BYTES("not UTF-8: \xff\xc0\x8a"), "not UTF-8: \\xff\\xc0\\x8a" },
	{ BYTES("forged\"}\n{\"level\":\"FTL"), "forged\"}\n{\"level\":\"FTL" },
};

START_TEST(json_says_what_was_said)
{
	const struct format	f = { .kind = FORMAT_JSON };
	const char		*out = formatted(&f, texts[_i].text), *p;
	json_t			*o = json_loads(out, JSON_REJECT_DUPLICATES, NULL);

	ck_assert_msg(o != NULL, "%s", out);
	ck_assert_str_eq(json_string_value(json_object_get(o, "text")), texts[_i].want);
	ck_assert_str_eq(json_string_value(json_object_get(o, "level")), "WRN");
	ck_assert_str_eq(json_string_value(json_object_get(o, "process")), "worker");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "slot")), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "pid")), 77);
	ck_assert_ptr_null(json_object_get(o, "time"));
	for (p = out; p[1] != '\0'; p++)	/* nothing that a terminal acts on */
		ck_assert(((unsigned char)*p >= 0x20 && *p != 0x7f) &&
		    !(p[0] == '\xc2' && ((unsigned char)p[1] & 0xe0) == 0x80));
	json_decref(o);
}
END_TEST

START_TEST(json_is_whole_in_any_room)
{
	const struct format	f = { .kind = FORMAT_JSON, .style.time = true };
	const struct line	l = line_of(BYTES("\xff\x01\"\\ \xc3\xa4"));
	char			out[300];
	json_t			*o;
	size_t			size, len;

	for (size = 0; size < 200; size++) {
		memset(out, '#', sizeof(out));
		len = format_line(out, size, &f, &l);
		ck_assert_uint_le(len, size);
		ck_assert_int_eq(out[size], '#');
		o = len == 0 ? NULL : json_loadb(out, len, 0, NULL);
		ck_assert(len == 0 || o != NULL);
		json_decref(o);
	}
}
END_TEST

static const struct { enum role role; struct bytes text; int cid; } connections[] = {
	{ ROLE_WORKER, BYTES("127.0.0.1:5000 - cid:7 - Client connection created"), 7 },
	{ ROLE_WORKER, BYTES("[::1]:5000 - cid:12 - \"v1\" - x"), 12 },
	{ ROLE_WORKER, BYTES("no line of a client - cid:7 - "), 0 },
	{ ROLE_SUPERVISOR, BYTES("127.0.0.1:5000 - cid:7 - "), 0 },
	{ ROLE_WORKER, BYTES("127.0.0.1:5000 - cid:"), 0 },
	{ ROLE_WORKER, BYTES("one"), 0 },
	{ ROLE_WORKER, BYTES(""), 0 },
};

START_TEST(json_has_the_connection)
{
	const struct format	f = { .kind = FORMAT_JSON };
	struct line		l = line_of(connections[_i].text);
	char			out[300];
	json_t			*o;
	size_t			len;

	l.role = connections[_i].role;
	len = format_line(out, sizeof(out), &f, &l);
	o = json_loadb(out, len, 0, NULL);
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "cid")), connections[_i].cid);
	ck_assert_int_eq(json_object_get(o, "cid") != NULL, connections[_i].cid != 0);
	json_decref(o);
}
END_TEST

static const struct { const char *zone, *end; bool utc; } zones[] = {
	{ "XXX-5:30", "+05:30\"", false }, { "XXX8", "-08:00\"", false }, { "UTC0", "Z\"", false },
	{ "XXX-5:30", "Z\"", true },
};

START_TEST(json_time_has_its_zone)
{
	struct format		f = { .kind = FORMAT_JSON, .style = { .time = true, .utc = zones[_i].utc } };
	const char		*out, *digits;

	setenv("TZ", zones[_i].zone, 1);
	tzset();
	out = formatted(&f, BYTES("x"));
	ck_assert(strncmp(out, "{\"time\":\"2", 10) == 0);
	digits = strchr(out, '.');
	ck_assert_ptr_nonnull(digits);
	ck_assert_uint_eq(strspn(digits + 1, "0123456789"), 6);
	ck_assert(strncmp(digits + 7, zones[_i].end, strlen(zones[_i].end)) == 0);
}
END_TEST

static const struct { enum log_level level; unsigned severity; } levels[] = {
	{ LOG_FATAL, 2 }, { LOG_ERROR, 3 }, { LOG_WARN, 4 }, { LOG_INFO, 5 }, { LOG_DEBUG, 7 },
	{ LOG_TRACE, 5 },
};

START_TEST(a_syslog_gets_what_go_sends_it)
{
	struct format	f = { .kind = FORMAT_SYSLOG_LOCAL, .facility = 3, .host = "box", .tag = "nats-server" };
	struct line	l = line_of(BYTES("two\nlines"));
	char		out[300], want[300], month[4];
	int		day, h, m, s, n = 0;
	size_t		len;

	setenv("TZ", "UTC0", 1);
	tzset();
	l.level = levels[_i].level;
	len = format_line(out, sizeof(out) - 1, &f, &l);
	out[len] = '\0';
	snprintf(want, sizeof(want), "<%u>", 3 << 3 | levels[_i].severity);
	ck_assert(strncmp(out, want, strlen(want)) == 0);
	ck_assert_int_eq(sscanf(out + strlen(want), "%3s %2d %2d:%2d:%2d %n", month, &day, &h, &m, &s, &n), 5);
	ck_assert_int_eq(n, (int)strlen("Jan  2 15:04:05 "));
	ck_assert_str_eq(out + strlen(want) + n, "nats-server[77]: two\\nlines\n");
	f.kind = FORMAT_SYSLOG_REMOTE;
	f.facility = 0;
	len = format_line(out, sizeof(out) - 1, &f, &l);
	out[len] = '\0';
	snprintf(want, sizeof(want), "<%u>2", levels[_i].severity);
	ck_assert(strncmp(out, want, strlen(want)) == 0);
	ck_assert_str_eq(strchr(out, 'Z'), "Z box nats-server[77]: two\\nlines\n");
	ck_assert_uint_eq(strlen(out), strlen("<5>2026-01-02T15:04:05Z box nats-server[77]: two\\nlines\n"));
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

int
main(void)
{
	Suite	*s = suite_create("format");
	TCase	*c = tcase_create("format");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(c, json_says_what_was_said, 0, COUNT(texts));
	tcase_add_test(c, json_is_whole_in_any_room);
	tcase_add_loop_test(c, json_has_the_connection, 0, COUNT(connections));
	tcase_add_loop_test(c, json_time_has_its_zone, 0, COUNT(zones));
	tcase_add_loop_test(c, a_syslog_gets_what_go_sends_it, 0, COUNT(levels));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/options.h"

/* args: without the program's name, ends with NULL. */
static int
parse(struct options *o, const char *const args[], char *error, bool *usage)
{
	char *argv[32] = { NULL };
	int argc = 1;

	for (; args[argc - 1] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
	return options_parse(o, argc, argv, error, 256, usage);
}

static const struct {
	const char *first, *second, *third;
	uint64_t port;
	bool has_port, http, has_http;
} ports[] = {
	{ "-p", "4300", NULL,        4300, true, false, false },
	{ "--port", "4300", NULL,    4300, true, false, false },
	{ "-p=4300", NULL, NULL,     4300, true, false, false },
	{ "--p=4300", NULL, NULL,    4300, true, false, false },
	{ "-p", "-1", NULL,          0, true, false, false },	/* any free one */
	{ "-p", "0", NULL,           4222, true, false, false },	/* the default wins over the file */
	{ "-p", "0x1000", NULL,      4096, true, false, false },
	{ "-m", "8222", NULL,        4222, false, true, true },
	{ "-m=-1", NULL, NULL,       4222, false, true, true },
	{ "-m", "0", NULL,           4222, false, false, true },
	{ "-D", "-p", "1",           1, true, false, false },
};

START_TEST(flags_in_gos_syntax)
{
	struct options o;
	char error[256];
	bool usage;
	const char *const args[] = { ports[_i].first, ports[_i].second, ports[_i].third, NULL };

	ck_assert_int_eq(parse(&o, args, error, &usage), 0);
	ck_assert_uint_eq(o.flags.port, ports[_i].port);
	ck_assert_int_eq(o.flags.has_port, ports[_i].has_port);
	ck_assert_int_eq(o.flags.http, ports[_i].http);
	ck_assert_int_eq(o.flags.has_http, ports[_i].has_http);
	ck_assert_int_eq(o.action, ACTION_RUN);
	options_free(&o);
}
END_TEST

START_TEST(every_setting_that_a_flag_has)
{
	struct options o;
	char error[256];
	bool usage;
	static const char *const args[] = { "-a", "127.0.0.1", "--name=n1", "-P", "/p", "-l",
	    "/l", "-T=false", "-DVV", "--ports_file_dir", "/d", "--client_advertise", "h:1",
	    "--logtime_utc", "-s", "-r=udp://h:514", "--log_size_limit", "1000",
	    "--max_traced_msg_len=-1", "-c", "f", NULL };

	ck_assert_int_eq(parse(&o, args, error, &usage), 0);
	ck_assert_str_eq(o.flags.host, "127.0.0.1");
	ck_assert_str_eq(o.flags.server_name, "n1");
	ck_assert_str_eq(o.flags.pid_file, "/p");
	ck_assert_str_eq(o.flags.log_file, "/l");
	ck_assert_str_eq(o.flags.ports_file_dir, "/d");
	ck_assert(!o.flags.logtime && o.flags.has_logtime);
	ck_assert(o.flags.debug && o.flags.trace && o.flags.trace_verbose);
	ck_assert_str_eq(o.flags.client_advertise, "h:1");
	ck_assert(o.flags.logtime_utc && o.flags.syslog);
	ck_assert_str_eq(o.flags.remote_syslog, "udp://h:514");
	ck_assert_uint_eq(o.flags.logfile_size_limit, 1000);
	ck_assert_uint_eq(o.flags.max_traced_msg_len, 0);
	ck_assert(o.flags.has_max_traced_msg_len);
	ck_assert_str_eq(o.config, "f");
	ck_assert(!o.flags.has_port);	/* what is not given must not win over the file */
	options_free(&o);
}
END_TEST

static const struct {
	const char *first, *second, *error;
	bool usage;
} wrong[] = {
	{ "-nope", NULL,       "flag provided but not defined: -nope", true },
	{ "--nope=1", NULL,    "flag provided but not defined: -nope", true },
	{ "-p", NULL,          "flag needs an argument: -p", true },
	{ "-p", "x",           "invalid value \"x\" for flag -p: parse error", true },
	{ "-p", "65536",       "invalid value \"65536\" for flag -p: out of range", true },
	{ "-p", "-2",          "invalid value \"-2\" for flag -p: out of range", true },
	{ "-p", " 1",          "invalid value \" 1\" for flag -p: parse error", true },
	{ "-p", "",            "invalid value \"\" for flag -p: parse error", true },
	{ "--log_size_limit", "1MB", "invalid value \"1MB\" for flag -log_size_limit: parse error", true },
	{ "--print-config=x", NULL, "invalid boolean value \"x\" for flag -print-config: parse error", true },
	{ "-T=x", NULL,        "invalid boolean value \"x\" for flag -T: parse error", true },
	{ "-js", NULL,         "flag -js: this version does not have JetStream yet", false },
	{ "--tlscert", NULL,   "flag needs an argument: -tlscert", true },
	{ "--tls=x", NULL,     "invalid boolean value \"x\" for flag -tls: parse error", true },
	{ "--profile", "6060", "flag -profile: this version does not have the profiler of Go yet", false },
	{ "--js=x", NULL,      "invalid boolean value \"x\" for flag -js: parse error", true },
	{ "---p", "1",         "bad flag syntax: ---p", true },
	{ "stray", NULL,       "unrecognized command: \"stray\"", false },
	{ "--", "stray",       "unrecognized command: \"stray\"", false },
	{ "-D", "true",        "unrecognized command: \"true\"", false },	/* a switch takes no next word */
	{ "-t", NULL,          "must specify [-c, --config] option to check configuration file syntax", false },
};

START_TEST(mistakes_are_named)
{
	const char *const args[] = { wrong[_i].first, wrong[_i].second, NULL };
	struct options o;
	char error[256];
	bool usage;

	ck_assert_int_eq(parse(&o, args, error, &usage), -EINVAL);
	ck_assert_str_eq(error, wrong[_i].error);
	ck_assert_int_eq(usage, wrong[_i].usage);
}
END_TEST

static const struct { const char *first, *second; enum action action; } actions[] = {
	{ "-v", NULL, ACTION_VERSION }, { "--version", NULL, ACTION_VERSION },
	{ "version", NULL, ACTION_VERSION }, { "-h", NULL, ACTION_HELP },
	{ "help", NULL, ACTION_HELP }, { "--signal", "ldm=1", ACTION_SIGNAL },
	{ "-sl=quit", NULL, ACTION_SIGNAL }, { "-D", "version", ACTION_VERSION },
	{ "-v=false", NULL, ACTION_RUN }, { "--print-config", NULL, ACTION_PRINT },
	{ "--help_tls", NULL, ACTION_HELP_TLS }, { "-h", "-v", ACTION_VERSION },
	{ "-v", "-h", ACTION_VERSION }, { "--help_tls", "-h", ACTION_HELP },
	{ "-v", "stray", ACTION_VERSION }, { "VERSION", "stray", ACTION_VERSION },
	{ "-t", "--print-config", ACTION_PRINT }, { "-t", "-h", ACTION_HELP },
	{ "--signal", "", ACTION_RUN },
	/* what is refused where it asks for something */
	{ "--js=false", NULL, ACTION_RUN }, { "--profile", "0", ACTION_RUN },
	{ "--user", "", ACTION_RUN },
};

START_TEST(what_is_to_be_done)
{
	const char *const args[] = { actions[_i].first, actions[_i].second, NULL };
	struct options o;
	char error[256];
	bool usage;

	ck_assert_int_eq(parse(&o, args, error, &usage), 0);
	ck_assert_int_eq(o.action, actions[_i].action);
	options_free(&o);
}
END_TEST

/* Every flag is in the usage, with its group's title once. */
START_TEST(usage_is_complete)
{
	static const char *const flags[] = { "-a, --addr, --net <host>", "-sl, --signal <signal[=pid]>",
	    "--print-config ", "-DVV ", "-ms, --https_port <port> ", "--profile <port> " };
	char *text;
	size_t len, i;
	FILE *to = open_memstream(&text, &len);

	options_usage(to);
	fclose(to);
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		ck_assert_msg(strstr(text, flags[i]) != NULL, "%s is not in %s", flags[i], text);
	ck_assert_ptr_nonnull(strstr(text, "\nLog:\n"));
	ck_assert_ptr_null(strstr(strstr(text, "\nLog:\n") + 1, "\nLog:\n"));
	free(text);
}
END_TEST

/* What others can read of us while we run, CVE-2026-33247; the path of -c is needed later. */
START_TEST(secrets_are_overwritten)
{
	char	args[][16] = { "bulkhead", "--pass", "s3cret", "-D", "-auth=s3cret", "--user", "name", "-c", "a.conf",
		"--pass", "", "rest", "--pass", "rest" };
	static const char *const after[] = { "bulkhead", "--pass", "******", "-D", "-auth=******", "--user", "name", "-c",
		"a.conf", "--pass", "", "rest", "--pass", "rest" };
	enum	{ COUNT = sizeof(args) / sizeof(args[0]) };
	char	*argv[COUNT + 1] = { NULL };
	int	 i;

	for (i = 0; i < COUNT; i++)
		argv[i] = args[i];
	options_hide(argv);
	for (i = 0; i < COUNT; i++)
		ck_assert_str_eq(args[i], after[i]);
	argv[2] = NULL;
	options_hide(argv);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("options");
	TCase *c = tcase_create("options");
	SRunner *r;
	int failed;

	tcase_add_loop_test(c, flags_in_gos_syntax, 0, sizeof(ports) / sizeof(ports[0]));
	tcase_add_test(c, every_setting_that_a_flag_has);
	tcase_add_loop_test(c, mistakes_are_named, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(c, usage_is_complete);
	tcase_add_test(c, secrets_are_overwritten);
	tcase_add_loop_test(c, what_is_to_be_done, 0, sizeof(actions) / sizeof(actions[0]));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

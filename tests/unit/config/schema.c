/* From a file's text to settings: values, ranges, suggestions, what is refused by name. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/memfd.h"
#include "supervisor/config/configuration.h"
#include "supervisor/config/duration.h"
#include "supervisor/config/print.h"
#include "supervisor/config/schema.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static struct configuration	c;
static bool			parsed;	/* the text was good, whatever must hold between settings */
static char			*text_of_c;

static void
configure(const char *config)
{
	char	*text = strdup(config);

	free(text_of_c);
	text_of_c = text;

	ck_assert_int_eq(configuration_init(&c, BYTES("f")), 0);
	ck_assert_int_eq(configuration_parse(&c, text, strlen(text)), 0);
	parsed = c.errors.count == 0;
	if (parsed)
		schema_check(&c.settings, &c.origins, &c.errors);
	config_errors_finish(&c.errors);
}

static void
configure_well(const char *config)
{
	configure(config);
	ck_assert_msg(c.errors.count == 0, "%s", c.errors.text);
}

START_TEST(all_kinds)
{
	configure_well("PORT: 5222\nnet: 127.0.0.1; max_payload 64KB, ping_interval: \"1m30s\"\n"
	    "debug: yes\nname: srv\nmax_conn = 7\nlog_file: /tmp/x\npid_file './y'\n"
	    "write_deadline 250ms\nmax_subs: 3\nlogtime off\nsandbox: required\nworkers 3");
	ck_assert_uint_eq(c.settings.port, 5222);
	ck_assert(c.settings.has_port);
	ck_assert_str_eq(c.settings.host, "127.0.0.1");
	ck_assert_uint_eq(c.settings.max_payload, 65536);
	ck_assert_double_eq(c.settings.ping_interval, 90);
	ck_assert(c.settings.debug);
	ck_assert(!c.settings.trace);
	ck_assert(!c.settings.has_trace);
	ck_assert(!c.settings.logtime);
	ck_assert_str_eq(c.settings.server_name, "srv");
	ck_assert_uint_eq(c.settings.max_connections, 7);
	ck_assert_str_eq(c.settings.log_file, "/tmp/x");
	ck_assert_str_eq(c.settings.pid_file, "./y");
	ck_assert_double_eq(c.settings.write_deadline, 0.25);
	ck_assert_uint_eq(c.settings.max_subscriptions, 3);
	ck_assert_str_eq(c.settings.sandbox, "required");
	ck_assert_uint_eq(c.settings.workers, 3);
	ck_assert_uint_eq(c.settings.max_pending, 67108864);
	configuration_free(&c);
}
END_TEST

/* As the real server takes them: 0 is the default, -1 has its own meaning for some. */
START_TEST(zero_and_minus_one)
{
	configure_well("max_payload 0, max_pending 0, max_control_line 0, ping_max 0, ping_interval 0, port 0\n"
	    "write_deadline \"0s\", max_connections 0");
	ck_assert_uint_eq(c.settings.max_payload, 1048576);
	ck_assert_uint_eq(c.settings.max_pending, 67108864);
	ck_assert_uint_eq(c.settings.max_control_line, 4096);
	ck_assert_uint_eq(c.settings.ping_max, 2);
	ck_assert_double_eq(c.settings.ping_interval, 120);
	ck_assert_uint_eq(c.settings.port, 4222);
	ck_assert_double_eq(c.settings.write_deadline, 10);
	ck_assert_uint_eq(c.settings.max_connections, 0);
	ck_assert(c.settings.has_max_connections);
	configuration_free(&c);
	configure_well("max_connections -1, max_subscriptions -1, max_payload -1, port -1");
	ck_assert_uint_eq(c.settings.max_connections, 0);
	ck_assert_uint_eq(c.settings.max_subscriptions, 0);
	ck_assert_uint_eq(c.settings.max_payload, INT32_MAX);
	ck_assert_uint_eq(c.settings.port, 0);
	ck_assert(c.settings.has_port);
	configuration_free(&c);
}
END_TEST

static const struct {
	const char *config, *host; unsigned port; bool http; const char *http_host; unsigned http_port;
} addresses[] = {
	{ "listen: 127.0.0.1:5000", "127.0.0.1", 5000, false, "", 0 },
	{ "listen: 5000", "0.0.0.0", 5000, false, "", 0 },
	{ "listen: :5000", "0.0.0.0", 5000, false, "", 0 },
	{ "listen: \"[::1]:5000\"", "::1", 5000, false, "", 0 },
	{ "listen: localhost:-1", "localhost", 0, false, "", 0 },
	{ "host: a, port: 1\nlisten: b:2", "b", 2, false, "", 0 },
	{ "http: 8222", "0.0.0.0", 4222, true, "", 8222 },
	{ "http: localhost:8222", "0.0.0.0", 4222, true, "localhost", 8222 },
	{ "http_port: -1", "0.0.0.0", 4222, true, "", 0 },
	{ "monitor_port: 8222", "0.0.0.0", 4222, true, "", 8222 },
	{ "http_port: 0", "0.0.0.0", 4222, false, "", 0 },
	{ "http_host: x", "0.0.0.0", 4222, false, "x", 0 },
};

START_TEST(addresses_set_host_and_port)
{
	configure_well(addresses[_i].config);
	ck_assert_str_eq(c.settings.host, addresses[_i].host);
	ck_assert_uint_eq(c.settings.port, addresses[_i].port);
	ck_assert_int_eq(c.settings.http, addresses[_i].http);
	ck_assert_str_eq(c.settings.http_host, addresses[_i].http_host);
	ck_assert_uint_eq(c.settings.http_port, addresses[_i].http_port);
	ck_assert(!c.settings.has_listen);
	configuration_free(&c);
}
END_TEST

START_TEST(several_listeners)
{
	configure_well("listen: [127.0.0.1:5000, \"[::1]:-1\", 6000\n :7000]");
	ck_assert_uint_eq(c.settings.listen.count, 4);
	ck_assert_str_eq(c.settings.listen.items[0], "127.0.0.1:5000");
	ck_assert_str_eq(c.settings.listen.items[1], "[::1]:0");
	ck_assert_str_eq(c.settings.listen.items[2], "0.0.0.0:6000");
	ck_assert_str_eq(c.settings.listen.items[3], "0.0.0.0:7000");
	ck_assert_str_eq(c.settings.host, "127.0.0.1");
	ck_assert_uint_eq(c.settings.port, 5000);
	configuration_free(&c);
}
END_TEST

/* Paths among them: host and port are those of the first that has one, or what they are without. */
START_TEST(unix_listeners)
{
	configure_well("listen: [\"unix:/run/a.sock\", 127.0.0.1:5000]\nunix_socket_mode: 0660");
	ck_assert_uint_eq(c.settings.listen.count, 2);
	ck_assert_str_eq(c.settings.listen.items[0], "unix:/run/a.sock");
	ck_assert_str_eq(c.settings.listen.items[1], "127.0.0.1:5000");
	ck_assert_uint_eq(c.settings.port, 5000);
	ck_assert_str_eq(c.settings.unix_socket_mode, "0660");
	configuration_free(&c);
	configure_well("listen: unix:/run/a.sock\nunix_socket_mode: \"600\"");
	ck_assert_uint_eq(c.settings.listen.count, 1);
	ck_assert(!c.settings.has_port);
	ck_assert_str_eq(c.settings.unix_socket_mode, "600");
	configuration_free(&c);
}
END_TEST

static const struct { const char *config, *said; } wrong[] = {
	{ "foo: 1\nport: x\nhots: 2\n",		/* all of them */
	  "f:1:1: unknown field \"foo\"\n"
	  "f:2:7: port: found \"x\", expected a port up to 65535 (-1: any free one)\n"
	  "f:3:1: unknown field \"hots\", did you mean \"host\"?" },
	{ "port: 70000", "f:1:7: port: found 70000, expected a port up to 65535 (-1: any free one)" },
	{ "port: \"4222\"", "f:1:7: port: found \"4222\", expected a port up to 65535 (-1: any free one)" },
	{ "debug: \"yes\"", "f:1:8: debug: found \"yes\", expected true or false, without quotes" },
	{ "max_payload: 1.0", "f:1:14: max_payload: found 1, expected a whole number, as 100 or 64MB, without quotes" },
	{ "max_payload: -2", "f:1:14: max_payload: found -2, expected a number from -1" },
	{ "max_payload: 4GB", "f:1:14: max_payload: found 4294967296, expected 1 to 2147483647" },
	{ "max_pending: -1", "f:1:14: max_pending: found -1, expected a number from 0" },
	{ "max_pending: 1024", "f:1:1: max_payload (1048576) cannot be higher than max_pending (1024)" },
	{ "max_pending: 2MB\nmax_payload: 3MB", "f:2:1: max_payload (3145728) cannot be higher than max_pending (2097152)" },
	{ "max_payload: 3MB\n max_pending: 2MB", "f:2:2: max_payload (3145728) cannot be higher than max_pending (2097152)" },
	{ "server_name: 123", "f:1:14: server_name: found 123, expected text; put it in quotes" },
	{ "server_name: \"a b\"", "f:1:1: server_name cannot contain spaces" },
	{ "server_name: \"a\\x00b\"", "f:1:14: server_name: found \"a\\x00b\", expected text without NUL bytes" },
	{ "server_id: X", "f:1:1: server_id is set by the server itself" },
	{ "ping_interval: soon", "f:1:16: ping_interval: found \"soon\", expected a duration, as \"10s\" or \"1m30s\"" },
	{ "ping_interval: \"-1s\"", "f:1:16: ping_interval: found \"-1s\", expected 0.001 to 31536000 seconds" },
	{ "lame_duck_duration: \"5s\"", "f:1:1: lame_duck_grace_period (10s) must be shorter than lame_duck_duration (5s)" },
	{ "listen: localhost", "f:1:9: listen: found \"localhost\", expected \"host:port\", \"[address]:port\" or a port up to 65535 (-1: any free one)" },
	{ "listen: \"::1:4222\"", "f:1:9: listen: found \"::1:4222\", expected \"host:port\", \"[address]:port\" or a port up to 65535 (-1: any free one)" },
	{ "listen: [a:1, b]", "f:1:15: listen: found \"b\", expected \"host:port\", \"[address]:port\" or a port up to 65535 (-1: any free one)" },
	{ "listen: []", "f:1:9: listen: found a list [...], expected at least one address" },
	{ "http: \"8222\"", "f:1:7: http: found \"8222\", expected \"host:port\", \"[address]:port\" or a port up to 65535 (-1: any free one)" },
	{ "sandbox: maybe", "f:1:10: sandbox: found \"maybe\", expected best_effort, required or off" },
	{ "ring_size: 100000", "f:1:1: ring_size (100000) must be a power of two from 64KB" },
	{ "cluster { authorization { user: a, password: s3cret } }", "f:1:1: cluster: this version does not have clusters yet" },
	{ "authorization { user: a, password: [s3cret] }",
	  "f:1:36: password: found a list [...], expected text of at most 8192 bytes; put it in quotes" },
	{ "listen: [5000, \"unix:relative\"]", "f:1:16: listen: found \"unix:relative\", expected \"unix:/path\" with a path of at most 107 bytes" },
	{ "unix_socket_mode: 999", "f:1:19: unix_socket_mode: found 999, expected a mode in octal, as \"0660\"" },
	{ "jetstream: true", "f:1:1: jetstream: this version does not have JetStream yet" },
	{ "MQTT { cert: [], x: { y: 1 } }", "f:1:1: mqtt: this version does not have MQTT yet" },
	{ "autorization: 1", "f:1:1: unknown field \"autorization\", did you mean \"authorization\"?" },
	{ "server_idd: 1", "f:1:1: unknown field \"server_idd\"" },	/* not one that nobody may set */
	{ "ping_interval: 1.5", "f:1:16: ping_interval: found 1.5, expected a duration, as \"10s\" or \"1m30s\"" },
	{ "lame_duck_duration: 60", "f:1:21: lame_duck_duration: found 60, expected a duration, as \"10s\" or \"1m30s\"" },
	{ "lame_duck_duration: 0s", "f:1:21: lame_duck_duration: found \"0s\", expected 0.001 to 31536000 seconds" },
	{ "write_timeout: Retry", "f:1:16: write_timeout: found \"Retry\", expected default, close or retry" },
	{ "log_format: on", "f:1:13: log_format: found true, expected text or json" },
	{ "max_control_line: 2GB", "f:1:19: max_control_line: found 2147483648, expected 32 to 2147483647" },
	{ "server_tags: [a, 1]", "f:1:18: server_tags: found 1, expected text; put it in quotes" },
	{ "user: -1", "f:1:7: user: found -1, expected text; put it in quotes" },
	{ "config_digest: x", "f:1:1: config_digest is set by the server itself" },
	{ "host { a: 1 }", "f:1:6: host: found a block {...}, expected text; put it in quotes" },
};

START_TEST(errors_say_where_and_what)
{
	configure(wrong[_i].config);
	ck_assert_str_eq(c.errors.text, wrong[_i].said);
	ck_assert_int_eq(*c.digest != '\0', parsed);
	configuration_free(&c);
}
END_TEST

/* Every key of the real server is either a setting or refused by its name: never "unknown". */
START_TEST(no_key_of_the_real_server_is_unknown)
{
	static const char *const	keys[] = {
		"listen", "host", "net", "port", "client_advertise", "server_name", "debug", "trace",
		"trace_verbose", "trace_headers", "logtime", "logtime_utc", "logfile", "log_file",
		"logfile_size_limit", "log_size_limit", "logfile_max_num", "log_max_num", "syslog",
		"remote_syslog", "pidfile", "pid_file", "ports_file_dir", "prof_port",
		"prof_block_rate", "max_control_line", "max_payload", "max_pending",
		"max_pending_size", "max_connections", "max_conn", "max_subscriptions", "max_subs",
		"max_sub_tokens", "max_subscription_tokens", "max_traced_msg_len",
		"max_closed_clients", "ping_interval", "ping_max", "write_deadline", "write_timeout",
		"no_fast_producer_stall", "lame_duck_duration", "lame_duck_grace_period",
		"authorization", "accounts", "no_auth_user", "default_sentinel", "mappings", "maps",
		"system_account", "system", "no_system_account", "no_system", "no_sys_acc",
		"operator", "operators", "roots", "root", "root_operator", "root_operators",
		"trusted", "trusted_keys", "resolver", "account_resolver", "accounts_resolver",
		"resolver_tls", "resolver_preload", "resolver_pinned_accounts", "http", "https",
		"http_port", "monitor_port", "https_port", "http_base_path", "tls", "allow_non_tls",
		"ocsp", "ocsp_cache", "cluster", "gateway", "leaf", "leafnodes", "websocket", "ws",
		"mqtt", "jetstream", "store_dir", "storedir", "connect_error_reports",
		"reconnect_error_reports", "no_header_support", "disable_sublist_cache",
		"no_sublist_cache", "server_tags", "server_metadata", "feature_flags",
		"default_js_domain", "proxy_protocol", "proxies",
	};
	char	config[128];
	int	i;

	for (i = 0; i < COUNT(keys); i++) {
		snprintf(config, sizeof(config), "%s: {}", keys[i]);
		configure(config);
		ck_assert_msg(strstr(c.errors.text, "unknown") == NULL, "%s", c.errors.text);
		configuration_free(&c);
	}
}
END_TEST

START_TEST(switched_off_features_are_accepted)
{
	configure_well("jetstream: false\nsyslog: no\ntrace_verbose off\nport: 4222\nprof_port: 0\n"
	    "no_auth_user: \"\", https: 0, ocsp: off, no_system: no");
	ck_assert(!c.settings.trace);
	configuration_free(&c);
	configure_well("jetstream: disabled");
	configuration_free(&c);
	configure_well("jetstream { Enabled: false, store_dir: x }");
	configuration_free(&c);
}
END_TEST

/* Above the most there can be, below none: as the real server takes them. */
START_TEST(numbers_beyond_the_range)
{
	configure_well("max_connections: 5000000000, max_subscriptions: -2, logfile_size_limit: -1\n"
	    "logfile_max_num: -5, max_traced_msg_len: 5000000000, ping_max: 5000000000");
	ck_assert_uint_eq(c.settings.max_connections, UINT32_MAX);
	ck_assert_uint_eq(c.settings.max_subscriptions, 0);
	ck_assert_uint_eq(c.settings.logfile_size_limit, 0);
	ck_assert_uint_eq(c.settings.logfile_max_num, 0);
	ck_assert_uint_eq(c.settings.max_traced_msg_len, INT32_MAX);
	ck_assert_uint_eq(c.settings.ping_max, 1000000);
	configuration_free(&c);
}
END_TEST

START_TEST(texts_that_are_more)
{
	configure_well("server_tags: [\" Blue \", b, \"\", blue]\nuser: 65534, group: nogroup\n"
	    "trace_headers: true\nwrite_timeout: retry\nlog_format: json\nhost: \"\"");
	ck_assert_uint_eq(c.settings.server_tags.count, 2);
	ck_assert_str_eq(c.settings.server_tags.items[0], "blue");
	ck_assert_str_eq(c.settings.server_tags.items[1], "b");
	ck_assert_str_eq(c.settings.user, "65534");
	ck_assert_str_eq(c.settings.group, "nogroup");
	ck_assert(c.settings.trace && c.settings.trace_headers);
	ck_assert_str_eq(c.settings.write_timeout, "retry");
	ck_assert_str_eq(c.settings.log_format, "json");
	ck_assert_str_eq(c.settings.host, "0.0.0.0");
	configuration_free(&c);
	configure_well("server_tags: one");
	ck_assert_str_eq(c.settings.server_tags.items[0], "one");
	configuration_free(&c);
}
END_TEST

/* A number alone is seconds, but not for -t. */
START_TEST(strict_makes_errors_of_warnings)
{
	char	text[] = "ping_interval: 10\nport: 1";

	configure_well("ping_interval: 10\nwrite_deadline: 5");
	ck_assert_double_eq(c.settings.ping_interval, 10);
	configuration_free(&c);
	ck_assert_int_eq(configuration_init(&c, BYTES("f")), 0);
	c.errors.strict = true;
	ck_assert_int_eq(configuration_parse(&c, text, strlen(text)), 0);
	config_errors_finish(&c.errors);
	ck_assert_str_eq(c.errors.text,
	    "f:1:16: ping_interval: found 10, expected a duration, as \"10s\" or \"1m30s\"");
	configuration_free(&c);
}
END_TEST

/* Which settings have which origin, in the text of --print-config. */
static void
print(char *text, size_t size)
{
	int	fd = print_config(&c);
	ssize_t	n;

	ck_assert_int_ge(fd, 0);
	n = pread(fd, text, size - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	close(fd);
}

static const char *const configurations[] = {
	"", "listen: [127.0.0.1:-1, \"[::1]:4333\"]", "http: 127.0.0.1:-1", "http_port: 8222", "port: -1",
	"server_name: \"a\\\"\\\\x\", log_file: \"/tmp/\xc3\xa4 $x #y\"", "max_payload: -1, max_pending: 3GB",
	"server_tags: [\"a b\", c], ping_interval: 1h2m3.5s, lame_duck_grace_period: 5ns, write_deadline: 1ms",
	"sandbox: off, trace_verbose: on, user: 5, max_connections: 0, pid_file: \"a\\x01b\"",
	"write_timeout: close\nlog_format: json\nworkers: 3\nuid_base: 4294966295",
};

/* What is printed is a file that says the same, and so is what that prints. */
START_TEST(what_is_printed_says_the_same)
{
	static char	 first[16384], second[16384];
	struct settings	 was;
	const struct setting *table;
	char		 config[1024];
	size_t		 count;
	int		 fd;
	const char	*why;

	snprintf(config, sizeof(config), "debug: false\n%s", configurations[_i]);
	configure_well(config);
	print(first, sizeof(first));
	fd = settings_write(&c.settings, ROLE_SUPERVISOR);
	ck_assert_int_eq(settings_init(&was), 0);
	ck_assert_int_eq(settings_read(&was, fd, &why), 0);
	close(fd);
	configuration_free(&c);
	configure_well(first);
	table = settings_table(&count);
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(setting_equal(&was, &c.settings, &table[i]), "%s in %s", table[i].name, first);
	print(second, sizeof(second));
	for (char *a = first, *b = second; *a != '\0'; a = strchr(a, '\n') + 1, b = strchr(b, '\n') + 1) {
		ck_assert_int_eq(strncmp(a, b, (size_t)(strstr(a, "  # ") - a)), 0);
		ck_assert_ptr_nonnull(strchr(b, '\n'));
	}
	configuration_free(&c);
	settings_free(&was);
}
END_TEST

START_TEST(origins_are_told)
{
	static char	text[16384];
	struct settings	flags;
	int		fd;

	ck_assert_int_eq(settings_init(&flags), 0);
	ck_assert_int_eq(setting_set_integer(&flags, setting_find(BYTES("port")), 6000), 0);
	fd = settings_write(&flags, ROLE_SUPERVISOR);
	configure_well("listen: [a:1, b:2]\n# more\nmax_conn: 7\ntrace_verbose: on\n\nhttp: c:8222\n"
	    "max_subs: 0\nping_max: 0");
	ck_assert_int_eq(schema_override(&c.settings, &c.origins, fd, &c.errors), 0);
	print(text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "host: \"a\"  # f:1\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nport: 6000  # command line\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n# listen: []  # default\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nhttp_host: \"c\"  # f:6\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nhttp_port: 8222  # f:6\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nmax_connections: 7  # f:3\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nmax_subscriptions: 0  # f:7\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nping_max: 2  # default\n"));
	ck_assert_ptr_nonnull(strstr(text, "\ntrace: true  # f:4\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nping_interval: \"120s\"  # default\n"));
	ck_assert_ptr_null(strstr(text, "\nhttp: "));
	ck_assert_ptr_null(strstr(text, "server_id"));
	close(fd);
	configuration_free(&c);
	settings_free(&flags);
}
END_TEST

/* What the command line says wins; an address there replaces the file's listeners. */
START_TEST(flags_win)
{
	struct settings	flags;
	int		fd;

	ck_assert_int_eq(settings_init(&flags), 0);
	ck_assert_int_eq(setting_set_integer(&flags, setting_find(BYTES("port")), 6000), 0);
	ck_assert_int_eq(setting_set_boolean(&flags, setting_find(BYTES("debug")), false), 0);
	fd = settings_write(&flags, ROLE_SUPERVISOR);
	configure_well("listen: [a:1, b:2]\ndebug: true\ntrace: true");
	ck_assert_int_eq(schema_override(&c.settings, &c.origins, fd, &c.errors), 0);
	ck_assert_uint_eq(c.errors.count, 0);
	ck_assert_uint_eq(c.settings.port, 6000);
	ck_assert_uint_eq(c.settings.listen.count, 0);
	ck_assert(!c.settings.has_listen);
	ck_assert(!c.settings.debug);
	ck_assert(c.settings.trace);
	configuration_free(&c);
	close(fd);
	/* what is no document is an error, not the end */
	fd = memfd_sealed("x", BYTES("\x91\x01"));
	configure_well("port: 1");
	ck_assert_int_eq(schema_override(&c.settings, &c.origins, fd, &c.errors), 0);
	ck_assert_uint_eq(c.errors.count, 1);
	configuration_free(&c);
	close(fd);
	settings_free(&flags);
}
END_TEST

/* What does not fit together is where it was said, be it in no file. */
START_TEST(errors_of_the_command_line_are_not_those_of_the_file)
{
	struct settings	flags;
	int		fd;

	ck_assert_int_eq(settings_init(&flags), 0);
	ck_assert_int_eq(setting_set_text(&flags, setting_find(BYTES("server_name")), BYTES("a b")), 0);
	fd = settings_write(&flags, ROLE_SUPERVISOR);
	configure_well("server_name: ab");
	ck_assert_int_eq(schema_override(&c.settings, &c.origins, fd, &c.errors), 0);
	schema_check(&c.settings, &c.origins, &c.errors);
	ck_assert_str_eq(c.errors.text, "the command line: server_name cannot contain spaces\n");
	configuration_free(&c);
	close(fd);
	settings_free(&flags);
}
END_TEST

static const struct { const char *text; int rc; double seconds; } durations[] = {
	{ "10s", 0, 10 }, { "1h2m3.5s", 0, 3723.5 }, { "250ms", 0, 0.25 }, { "1us", 0, 1e-6 },
	{ "5ns", 0, 5e-9 }, { "\xc2\xb5s", -EINVAL, 0 }, { "2\xc2\xb5s", 0, 2e-6 }, { "0", 0, 0 },
	{ "-3s", 0, -3 }, { "+3s", 0, 3 }, { ".5s", 0, 0.5 }, { "1.s", 0, 1 }, { "", -EINVAL, 0 },
	{ "10", -EINVAL, 0 }, { "s", -EINVAL, 0 }, { "1d", -EINVAL, 0 }, { "-", -EINVAL, 0 },
	{ ".s", -EINVAL, 0 }, { "1s ", -EINVAL, 0 }, { "99999999999999999999h", -ERANGE, 0 },
};

START_TEST(durations_are_gos)
{
	double	seconds = -7;

	ck_assert_int_eq(duration_parse(bytes_of(durations[_i].text), &seconds), durations[_i].rc);
	if (durations[_i].rc == 0)
		ck_assert_double_eq_tol(seconds, durations[_i].seconds, 1e-12);
	else
		ck_assert_double_eq(seconds, -7);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("config schema");
	TCase	*t = tcase_create("schema");
	SRunner	*r;
	int	 failed;

	if (digest_prepare() != 0)
		return EXIT_FAILURE;
	tcase_add_test(t, all_kinds);
	tcase_add_test(t, zero_and_minus_one);
	tcase_add_loop_test(t, addresses_set_host_and_port, 0, COUNT(addresses));
	tcase_add_test(t, several_listeners);
	tcase_add_test(t, unix_listeners);
	tcase_add_loop_test(t, errors_say_where_and_what, 0, COUNT(wrong));
	tcase_add_test(t, no_key_of_the_real_server_is_unknown);
	tcase_add_test(t, switched_off_features_are_accepted);
	tcase_add_test(t, numbers_beyond_the_range);
	tcase_add_test(t, texts_that_are_more);
	tcase_add_test(t, strict_makes_errors_of_warnings);
	tcase_add_loop_test(t, what_is_printed_says_the_same, 0, COUNT(configurations));
	tcase_add_test(t, origins_are_told);
	tcase_add_test(t, flags_win);
	tcase_add_test(t, errors_of_the_command_line_are_not_those_of_the_file);
	tcase_add_loop_test(t, durations_are_gos, 0, COUNT(durations));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

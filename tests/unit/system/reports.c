/* What the reports say, from segments that the test writes, honest and hostile ones. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <jansson.h>
#include "admin/system/reports.h"
#include "admin/system/times.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static struct settings	settings;
static struct reporter	reporter;
static struct segment	directory, tables[PARTICIPANTS];

/* A segment that we write, and a descriptor of it for the reader. */
static int
segment_make(struct segment *own, size_t size)
{
	int	fd = segment_create("test", size), copy;

	ck_assert_int_ge(fd, 0);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	ck_assert_int_eq(segment_map_own(own, fd, size), 0);
	return copy;
}

static void
worker_add(unsigned slot, uint64_t incarnation)
{
	if (tables[slot].base != NULL)
		segment_unmap(&tables[slot]);
	ck_assert_int_eq(view_tables(&reporter.view, slot, incarnation,
	    segment_make(&tables[slot], TABLES_SIZE)), 0);
}

static void
setup(void)
{
	memset(&reporter, 0, sizeof(reporter));
	ck_assert_int_eq(settings_init(&settings), 0);
	ck_assert_int_eq(setting_set_text(&settings, setting_find(BYTES("server_id")), BYTES("NID")), 0);
	reporter.settings = &settings;
	reporter.processors = 2;
	usage_init(&reporter.usage);
	ck_assert_int_eq(usage_add(&reporter.usage, &(struct msg_process){ .role = ROLE_WORKER },
	    open("/proc/self/stat", O_RDONLY | O_CLOEXEC)), 0);
	ck_assert_int_eq(view_directory(&reporter.view, segment_make(&directory, DIRECTORY_SIZE)), 0);
}

static void
teardown(void)
{
	unsigned	slot;

	view_free(&reporter.view);
	usage_free(&reporter.usage);
	segment_unmap(&directory);
	for (slot = 0; slot < PARTICIPANTS; slot++)
		if (tables[slot].base != NULL)
			segment_unmap(&tables[slot]);
	memset(tables, 0, sizeof(tables));
	settings_free(&settings);
}

static json_t *
ask(const char *path, unsigned status)
{
	struct report	 report;
	json_t		*json;

	report_make(&reporter, bytes_of(path), BYTES(""), &report);
	ck_assert_uint_eq(report.status, status);
	ck_assert_uint_eq(report.len, strlen(report.body));
	json = json_loads(report.body, JSON_REJECT_DUPLICATES, NULL);
	free(report.body);
	return json;
}

static json_int_t
number(const json_t *json, const char *key)
{
	const json_t	*v = json_object_get(json, key);

	ck_assert_msg(json_is_integer(v), "%s", key);
	return json_integer_value(v);
}

/* Keys of the real server's /varz, in its order; 's' text, 'n' number, 'o' object. */
static const struct { const char *key; char type; } keys[] = {
	{ "server_id", 's' }, { "server_name", 's' }, { "version", 's' }, { "proto", 'n' },
	{ "go", 's' }, { "host", 's' }, { "port", 'n' }, { "max_connections", 'n' },
	{ "ping_interval", 'n' }, { "ping_max", 'n' }, { "http_host", 's' },
	{ "http_port", 'n' }, { "http_base_path", 's' }, { "https_port", 'n' },
	{ "auth_timeout", 'n' }, { "max_control_line", 'n' }, { "max_payload", 'n' },
	{ "max_pending", 'n' }, { "cluster", 'o' }, { "gateway", 'o' }, { "leaf", 'o' },
	{ "mqtt", 'o' }, { "websocket", 'o' }, { "jetstream", 'o' }, { "tls_timeout", 'n' },
	{ "write_deadline", 'n' }, { "start", 's' }, { "now", 's' }, { "uptime", 's' }, { "mem", 'n' }, { "cores", 'n' },
	{ "gomaxprocs", 'n' }, { "cpu", 'n' }, { "connections", 'n' },
	{ "total_connections", 'n' }, { "routes", 'n' }, { "remotes", 'n' },
	{ "leafnodes", 'n' }, { "in_msgs", 'n' }, { "in_bytes", 'n' },
	{ "in_client_msgs", 'n' }, { "in_client_bytes", 'n' }, { "out_msgs", 'n' },
	{ "out_bytes", 'n' }, { "out_client_msgs", 'n' }, { "out_client_bytes", 'n' },
	{ "slow_consumers", 'n' }, { "stale_connections", 'n' }, { "stalled_clients", 'n' },
	{ "subscriptions", 'n' }, { "http_req_stats", 'o' }, { "config_load_time", 's' },
	{ "config_digest", 's' }, { "system_account", 's' }, { "slow_consumer_stats", 'o' },
	{ "stale_connection_stats", 'o' }, { "bulkhead", 'o' },
};

START_TEST(varz_has_the_real_servers_keys)
{
	json_t		*varz;
	const char	*key;
	json_t		*v;
	int		 i = 0;

	worker_add(0, 1);
	varz = ask("/varz", 200);
	json_object_foreach(varz, key, v) {
		ck_assert_int_lt(i, COUNT(keys));
		ck_assert_str_eq(key, keys[i].key);
		ck_assert_msg(keys[i].type == 's' ? json_is_string(v) : keys[i].type == 'n' ?
		    json_is_number(v) : json_is_object(v), "%s", key);
		i++;
	}
	ck_assert_int_eq(i, COUNT(keys));
	json_decref(varz);
}
END_TEST

START_TEST(varz_says_the_settings)
{
	json_t	*varz;

	ck_assert_int_eq(setting_set_integer(&settings, setting_find(BYTES("max_connections")), 0), 0);
	ck_assert_int_eq(setting_set_text(&settings, setting_find(BYTES("server_name")), BYTES("a\xff<")), 0);
	ck_assert_int_eq(setting_set_duration(&settings, setting_find(BYTES("auth_timeout")), 0.5), 0);
	varz = ask("/varz", 200);
	ck_assert_str_eq(json_string_value(json_object_get(varz, "server_id")), "NID");
	ck_assert_str_eq(json_string_value(json_object_get(varz, "server_name")), "a\xef\xbf\xbd<");
	ck_assert_int_eq(number(varz, "max_connections"), -1);
	ck_assert_int_eq(number(varz, "ping_interval"), 120000000000);
	ck_assert_int_eq(number(varz, "write_deadline"), 10000000000);
	ck_assert_double_eq(json_real_value(json_object_get(varz, "auth_timeout")), 0.5);
	ck_assert_ptr_null(json_object_get(varz, "max_subscriptions"));
	json_decref(varz);
}
END_TEST

START_TEST(sums_over_workers_and_the_departed)
{
	struct directory	*d = directory.base;
	json_t			*varz, *sub;

	worker_add(0, 1);
	worker_add(63, 2);
	tables_head(tables[0].base)->in_msgs = 10;
	tables_head(tables[63].base)->in_msgs = 20;
	tables_head(tables[0].base)->subscriptions = 3;
	tables_head(tables[63].base)->slow_consumers = 4;
	tables_head(tables[63].base)->stale_connections = 2;
	tables_head(tables[0].base)->stalled = 6;
	tables_head(tables[0].base)->out_bytes = 7;
	d->departed.in_msgs = 100;
	d->departed.slow_consumers = 1;
	d->connections = 5;
	d->total_connections = 9;
	d->replaced = 2;
	varz = ask("/varz", 200);
	ck_assert_int_eq(number(varz, "in_msgs"), 130);
	ck_assert_int_eq(number(varz, "out_bytes"), 7);
	ck_assert_int_eq(number(varz, "subscriptions"), 3);
	ck_assert_int_eq(number(varz, "slow_consumers"), 5);
	ck_assert_int_eq(number(varz, "stale_connections"), 2);
	ck_assert_int_eq(number(varz, "stalled_clients"), 6);
	ck_assert_int_eq(number(varz, "connections"), 5);
	ck_assert_int_eq(number(varz, "total_connections"), 9);
	ck_assert_int_eq(number(json_object_get(varz, "slow_consumer_stats"), "clients"), 5);
	sub = json_object_get(varz, "bulkhead");
	ck_assert_int_eq(number(sub, "workers"), 2);
	ck_assert_int_eq(number(sub, "replaced"), 2);
	json_decref(varz);
	/* one is gone; an older incarnation's end is not the new one's */
	view_tables_gone(&reporter.view, 63, 1);
	view_tables_gone(&reporter.view, 0, 1);
	varz = ask("/varz", 200);
	ck_assert_int_eq(number(varz, "in_msgs"), 120);
	ck_assert_int_eq(number(json_object_get(varz, "bulkhead"), "workers"), 1);
	json_decref(varz);
	/* a compacted successor takes its place */
	worker_add(63, 2);
	varz = ask("/varz", 200);
	ck_assert_int_eq(number(varz, "in_msgs"), 100);
	ck_assert_int_eq(number(json_object_get(varz, "bulkhead"), "workers"), 1);
	json_decref(varz);
}
END_TEST

/* A worker can claim what it likes: numbers stay in range, and nothing crashes. */
START_TEST(claims_are_clamped)
{
	json_t	*varz;

	worker_add(0, 1);
	worker_add(1, 2);
	worker_add(2, 3);	/* three times the largest would be beyond 64 bits */
	memset(tables[0].base, 0xff, sizeof(struct tables_head) + sizeof(struct connection_record));
	memset(tables[1].base, 0xff, sizeof(struct tables_head));
	memset(tables[2].base, 0xff, sizeof(struct tables_head));
	varz = ask("/varz", 200);
	ck_assert_int_eq(number(varz, "in_msgs"), INT64_MAX);
	ck_assert_int_eq(number(varz, "out_bytes"), INT64_MAX);
	ck_assert_int_eq(number(varz, "subscriptions"), 3 * (json_int_t)TABLES_SUBSCRIPTIONS);
	ck_assert_int_eq(number(varz, "connections"), 0);
	json_decref(varz);
}
END_TEST

START_TEST(segments_of_another_size_are_refused)
{
	struct segment	small;
	int		plain = segment_create("test", TABLES_SIZE);

	ck_assert_int_ne(view_tables(&reporter.view, 0, 1, segment_make(&small, 4096)), 0);
	ck_assert_int_eq(view_tables(&reporter.view, 0, 1, plain), -EPERM);	/* not sealed */
	ck_assert_uint_eq(reporter.view.live, 0);
	ck_assert_int_ne(view_directory(&reporter.view, segment_make(&small, 4096)), 0);
	ck_assert_ptr_nonnull(reporter.view.directory.base);
}
END_TEST

START_TEST(health_is_that_of_the_workers)
{
	json_t	*json;

	json = ask("/healthz", 503);
	ck_assert_str_eq(json_string_value(json_object_get(json, "status")), "unavailable");
	json_decref(json);
	worker_add(5, 1);
	json = ask("/healthz", 200);
	ck_assert_str_eq(json_string_value(json_object_get(json, "status")), "ok");
	json_decref(json);
	ck_assert_ptr_null(ask("/nothing", 404));
	ck_assert_ptr_null(ask("", 404));
	json = ask("/varz", 200);
	ck_assert_int_eq(number(json_object_get(json, "http_req_stats"), "/healthz"), 2);
	ck_assert_int_eq(number(json_object_get(json, "http_req_stats"), "/varz"), 1);
	json_decref(json);
}
END_TEST

START_TEST(own_use_is_known)
{
	volatile unsigned	n = 0;
	double			percent;

	ck_assert_uint_gt(usage_memory(&reporter.usage), 1 << 18);
	ck_assert_uint_lt(usage_memory(&reporter.usage), (uint64_t)1 << 36);
	usage_percent(&reporter.usage);
	while (n < 300000000)
		n++;
	percent = usage_percent(&reporter.usage);
	ck_assert_double_gt(percent, 1);
	ck_assert_double_lt(percent, 120);
	usage_free(&reporter.usage);
	ck_assert_uint_eq(usage_memory(&reporter.usage), 0);
}
END_TEST

static const struct { uint64_t seconds; const char *text; } uptimes[] = {
	{ 0, "0s" }, { 59, "59s" }, { 60, "1m0s" }, { 3723, "1h2m3s" }, { 86400, "1d0h0m0s" },
	{ 90061, "1d1h1m1s" }, { 31536000, "1y0d0h0m0s" }, { UINT64_MAX / 1000000, "584942y152d8h1m49s" },
};
static const struct { uint64_t microseconds; const char *text; } stamps[] = {
	{ 0, "1970-01-01T00:00:00Z" }, { 1795258832298738, "2026-11-21T11:00:32.298738Z" },
	{ 1795258832298700, "2026-11-21T11:00:32.2987Z" }, { 1795258832000000, "2026-11-21T11:00:32Z" },
	{ UINT64_MAX, "9999-12-31T23:59:59.551615Z" },
};

static const struct { uint64_t microseconds; const char *text; } durations[] = {
	{ 0, "0\xc2\xb5s" }, { 693, "693\xc2\xb5s" }, { 1000, "1ms" }, { 1234, "1.234ms" },
	{ 6922168, "6.922168s" }, { 90500000, "1m30.5s" }, { 3600000000, "1h0m0s" },
	{ UINT64_MAX, "5124095576h1m49.551615s" },
};

START_TEST(times_are_gos)
{
	char	text[TIMES_TEXT];
	int	i;

	for (i = 0; i < COUNT(uptimes); i++)
		ck_assert_str_eq(times_uptime(text, uptimes[i].seconds), uptimes[i].text);
	for (i = 0; i < COUNT(stamps); i++)
		ck_assert_str_eq(times_stamp(text, stamps[i].microseconds), stamps[i].text);
	for (i = 0; i < COUNT(durations); i++)
		ck_assert_str_eq(times_duration(text, durations[i].microseconds), durations[i].text);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("system reports");
	TCase	*c = tcase_create("reports");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, varz_has_the_real_servers_keys);
	tcase_add_test(c, varz_says_the_settings);
	tcase_add_test(c, sums_over_workers_and_the_departed);
	tcase_add_test(c, claims_are_clamped);
	tcase_add_test(c, segments_of_another_size_are_refused);
	tcase_add_test(c, health_is_that_of_the_workers);
	tcase_add_test(c, own_use_is_known);
	tcase_add_test(c, times_are_gos);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

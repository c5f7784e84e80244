#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "nats/info.h"

static const struct nats_info plain = { .server_id = "NID", .server_name = "NID",
	.host = "0.0.0.0", .port = 4222, .headers = true, .max_payload = 1048576,
	.client_id = 5, .client_ip = "127.0.0.1" };

static void
is_line(const struct nats_info *info, const char *wanted)
{
	size_t len;
	char *line;

	line = nats_info_line(info, &len);
	ck_assert_ptr_nonnull(line);
	ck_assert_str_eq(line, wanted);
	ck_assert_uint_eq(len, strlen(line));
	free(line);
}

#define HEAD "INFO {\"server_id\":\"NID\",\"server_name\":\"NID\",\"version\":\"2.15.2\",\"proto\":1," \
	"\"go\":\"bulkhead-" BULKHEAD_VERSION "\",\"host\":\"0.0.0.0\",\"port\":4222,"

START_TEST(what_does_not_apply_is_left_out)
{
	is_line(&plain, HEAD "\"headers\":true,\"max_payload\":1048576,\"client_id\":5,"
	    "\"client_ip\":\"127.0.0.1\",\"api_lvl\":5} \r\n");
}
END_TEST

START_TEST(all_keys_stand_in_the_real_servers_order)
{
	static const char *const urls[] = { "10.0.0.1:4222", "[::1]:4222", NULL };
	struct nats_info info = plain;

	info.headers = false;
	info.auth_required = info.tls_required = info.tls_verify = info.tls_available = true;
	info.nonce = "nonce";
	info.cluster = "c1";
	info.connect_urls = urls;
	info.lame_duck = info.connect_info = info.account_is_system = true;
	info.remote_account = "$G";
	info.client_id = UINT64_C(1) << 62;
	is_line(&info, HEAD "\"headers\":false,\"auth_required\":true,\"tls_required\":true,"
	    "\"tls_verify\":true,\"tls_available\":true,\"max_payload\":1048576,"
	    "\"client_id\":4611686018427387904,\"client_ip\":\"127.0.0.1\",\"nonce\":\"nonce\","
	    "\"cluster\":\"c1\",\"connect_urls\":[\"10.0.0.1:4222\",\"[::1]:4222\"],\"ldm\":true,"
	    "\"connect_info\":true,\"remote_account\":\"$G\",\"acc_is_sys\":true,\"api_lvl\":5} \r\n");
}
END_TEST

START_TEST(empty_is_as_absent)
{
	static const char *const none[] = { NULL };
	struct nats_info info = plain;

	info.client_ip = info.nonce = info.cluster = info.remote_account = "";
	info.connect_urls = none;
	info.client_id = 0;
	is_line(&info, HEAD "\"headers\":true,\"max_payload\":1048576,\"api_lvl\":5} \r\n");
}
END_TEST

/* A name out of a configuration file must not end the line or the text. */
START_TEST(any_name_makes_one_line)
{
	struct nats_info info = plain;

	info.server_name = "a\"b\\c\r\nPING\r\n\xff\xc3\xb6";
	is_line(&info, "INFO {\"server_id\":\"NID\",\"server_name\":\"a\\\"b\\\\c\\r\\nPING\\r\\n"
	    "\xef\xbf\xbd\xc3\xb6\",\"version\":\"2.15.2\",\"proto\":1,"
	    "\"go\":\"bulkhead-" BULKHEAD_VERSION "\",\"host\":\"0.0.0.0\",\"port\":4222,"
	    "\"headers\":true,\"max_payload\":1048576,\"client_id\":5,"
	    "\"client_ip\":\"127.0.0.1\",\"api_lvl\":5} \r\n");
}
END_TEST

/* The same line, whatever was made before. */
static void
is_same(struct nats_info_form *form, const struct nats_info *info)
{
	size_t len, wanted_len;
	char *line = nats_info_line_as(form, info, &len), *wanted = nats_info_line(info, &wanted_len);

	ck_assert_ptr_nonnull(line);
	ck_assert_str_eq(line, wanted);
	ck_assert_uint_eq(len, wanted_len);
	ck_assert_uint_eq(len, strlen(line));
	free(line);
	free(wanted);
}

/* Each field that a line depends on. */
static void
field_change(struct nats_info *info, int field)
{
	static const char *const urls[] = { "10.0.0.1:4222", NULL };

	switch (field) {
	case 0: info->server_id = "OTHER"; break;
	case 1: info->server_name = "\",\"client_id\":1,\"client_ip\":\"x\""; break;
	case 2: info->host = "::"; break;
	case 3: info->port++; break;
	case 4: info->headers = !info->headers; break;
	case 5: info->auth_required = !info->auth_required; break;
	case 6: info->tls_required = !info->tls_required; break;
	case 7: info->tls_verify = !info->tls_verify; break;
	case 8: info->tls_available = !info->tls_available; break;
	case 9: info->max_payload++; break;
	case 10: info->client_id = UINT64_MAX / 2; break;
	case 11: info->client_ip = "fe80::1%eth0"; break;
	case 12: info->nonce = "Abc-_019"; break;
	case 13: info->cluster = "c"; break;
	case 14: info->connect_urls = urls; break;
	case 15: info->lame_duck = !info->lame_duck; break;
	case 16: info->connect_info = !info->connect_info; break;
	case 17: info->account_is_system = !info->account_is_system; break;
	case 18: info->remote_account = "A"; break;
	case 19: info->client_ip = "a\"b\\c\n"; break;
	case 20: info->nonce = "\xff"; break;
	case 21: info->client_ip = ""; break;
	case 22: info->client_id = 0; break;
	case 23: info->client_ip = "unix/1000"; break;
	}
}
#define FIELDS 24

START_TEST(what_was_made_before_does_not_show)
{
	struct nats_info_form form = { .line = NULL };
	struct nats_info info = plain, other = plain;
	int second;

	is_same(&form, &plain);
	field_change(&info, _i);
	for (second = 0; second < FIELDS; second++) {
		is_same(&form, &info);
		other = info;
		field_change(&other, second);
		is_same(&form, &other);
		is_same(&form, &plain);
	}
	nats_info_form_free(&form);
	nats_info_form_free(&form);
}
END_TEST

/* The texts of a form are its own: settings are freed with a reload. */
START_TEST(a_form_outlives_what_it_was_made_of)
{
	struct nats_info_form form = { .line = NULL };
	struct nats_info info = plain;
	char *name = strdup("first");

	info.server_name = name;
	is_same(&form, &info);
	strcpy(name, "other");
	is_same(&form, &info);
	free(name);
	info.server_name = "first";
	is_same(&form, &info);
	nats_info_form_free(&form);
}
END_TEST

/* What the real server (2.15.2) says of an INFO that a client sends. */
static const struct { const char *json; int rc; } cases[] = {
	{ "{}", 0 }, { "null", 0 }, { " { } ", 0 }, { "{\"x\":[1,{\"port\":\"y\"}]}", 0 },
	{ "{\"port\":null,\"import\":null,\"connect_urls\":null,\"headers\":null}", 0 },
	{ "{\"server_id\":\"\\ud800\",\"x\":\"\xff\"}", 0 },
	{ "{\"connect_urls\":[\"a\",null]}", 0 },
	{ "{\"import\":{\"allow\":[\"a\"],\"deny\":null,\"x\":1}}", 0 },
	{ "{\"proto\":9223372036854775807,\"port\":-9223372036854775808}", 0 },
	{ "{\"max_payload\":2147483647}", 0 }, { "{\"max_payload\":-2147483648}", 0 },
	{ "{\"client_id\":18446744073709551615}", 0 }, { "{\"gossip_mode\":255}", 0 },
	{ "{\"gateway_cmd_payload\":\"aGk=\"}", 0 }, { "{\"gateway_cmd_payload\":[0,null,255]}", 0 },
	{ "{\"port\":1,\"x\":99999999999999999999}", 0 },

	{ "", -EBADMSG }, { "x", -EBADMSG }, { "[]", -EBADMSG }, { "3", -EBADMSG },
	{ "\"x\"", -EBADMSG }, { "{\"x\":1", -EBADMSG }, { "{} {}", -EBADMSG },
	{ "{\"server_id\":1}", -EBADMSG }, { "{\"SERVER_id\":1}", -EBADMSG },
	{ "{\"headers\":1}", -EBADMSG }, { "{\"headers\":\"true\"}", -EBADMSG },
	{ "{\"port\":\"1\"}", -EBADMSG }, { "{\"port\":1.0}", -EBADMSG }, { "{\"port\":1e3}", -EBADMSG },
	{ "{\"proto\":99999999999999999999}", -EBADMSG },
	{ "{\"max_payload\":2147483648}", -EBADMSG }, { "{\"max_payload\":-2147483649}", -EBADMSG },
	{ "{\"client_id\":-1}", -EBADMSG }, { "{\"client_id\":99999999999999999999}", -EBADMSG },
	{ "{\"gossip_mode\":256}", -EBADMSG }, { "{\"gossip_mode\":-1}", -EBADMSG },
	{ "{\"connect_urls\":\"a\"}", -EBADMSG }, { "{\"connect_urls\":[1]}", -EBADMSG },
	{ "{\"import\":[]}", -EBADMSG }, { "{\"export\":{\"deny\":[1]}}", -EBADMSG },
	{ "{\"gateway_cmd_payload\":1}", -EBADMSG }, { "{\"gateway_cmd_payload\":[256]}", -EBADMSG },
};

START_TEST(a_clients_info_is_judged_as_the_real_server_does)
{
	ck_assert_msg(nats_info_check(bytes_of(cases[_i].json)) == cases[_i].rc, "%s", cases[_i].json);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("info");
	TCase *c = tcase_create("line");
	SRunner *r;
	int failed;

	tcase_add_test(c, what_does_not_apply_is_left_out);
	tcase_add_test(c, all_keys_stand_in_the_real_servers_order);
	tcase_add_test(c, empty_is_as_absent);
	tcase_add_test(c, any_name_makes_one_line);
	tcase_add_loop_test(c, what_was_made_before_does_not_show, 0, FIELDS);
	tcase_add_test(c, a_form_outlives_what_it_was_made_of);
	tcase_add_loop_test(c, a_clients_info_is_judged_as_the_real_server_does, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

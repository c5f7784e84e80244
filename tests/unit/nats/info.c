#include <check.h>
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
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

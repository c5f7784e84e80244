/* The accounts document as a participant reads it. */
#include <errno.h>
#include "tenants.h"

static struct tenants t;

static int
read_with(struct accounts **accounts, const char *cluster, const char **why)
{
	int fd = records_seal(&t.records), rc;

	ck_assert_int_ge(fd, 0);
	*why = "";
	rc = accounts_read(accounts, fd, ROLE_WORKER, cluster, why);
	close(fd);
	msgpack_sbuffer_destroy(&t.records);
	tenants_init(&t);
	return rc;
}

START_TEST(there_is_always_a_global_account)
{
	struct accounts	*a;
	const char	*why;

	ck_assert_int_eq(read_with(&a, "", &why), 0);
	ck_assert_uint_eq(a->count, 1);
	ck_assert_str_eq(accounts_find(a, ACCOUNT_GLOBAL)->name, "$G");
	ck_assert_uint_eq(accounts_find(a, ACCOUNT_GLOBAL)->limits[LIMIT_CONNECTIONS], NO_LIMIT);
	accounts_free(a);
}
END_TEST

START_TEST(accounts_are_found_by_number_and_name)
{
	struct accounts	*a;
	const char	*why;
	char		 name[16];
	unsigned	 i;

	for (i = 1000; i > 100; i--) {		/* in no order, names neither */
		snprintf(name, sizeof(name), "n%u", (i * 7919) % 10000);
		account(&t, i, name);
	}
	account(&t, 1, "$G");
	ck_assert_int_eq(read_with(&a, "", &why), 0);
	ck_assert_uint_eq(a->count, 901);
	for (i = 101; i <= 1000; i++) {
		snprintf(name, sizeof(name), "n%u", (i * 7919) % 10000);
		ck_assert_str_eq(accounts_find(a, i)->name, name);
		ck_assert_uint_eq(accounts_named(a, bytes_of(name))->number, i);
	}
	ck_assert_ptr_null(accounts_find(a, 2));
	ck_assert_ptr_null(accounts_find(a, 1001));
	ck_assert_ptr_null(accounts_named(a, BYTES("n")));
	ck_assert_ptr_null(accounts_named(a, BYTES("n99999")));
	ck_assert_ptr_null(accounts_named(a, BYTES("")));
	ck_assert_ptr_null(accounts_named(a, BYTES("$G\0and more than the name has room for")));
	ck_assert_ptr_null(accounts_named(a, BYTES("$G\0")));
	accounts_free(a);
}
END_TEST

START_TEST(imports_and_exports_are_read)
{
	struct accounts		*all;
	const struct account	*a, *b;
	const char		*why;

	account(&t, A, "A");
	tenants_add(&t, (struct msg){ .type = MSG_stream_export, .u.stream_export = {
	    .subject = BYTES("s.>"), .restricted = 1, .token_position = 2 } });
	tenants_add(&t, (struct msg){ .type = MSG_export_account, .u.export_account = { .account = B } });
	tenants_add(&t, (struct msg){ .type = MSG_service_export, .u.service_export = { .subject = BYTES("q"),
	    .response = RESPONSE_CHUNKED, .latency = BYTES("lat"), .sampling = 101 } });
	account(&t, B, "B");
	stream(&t, A, "s.*", "t.$1");
	service_import(&t, A, "help.*", "q.$1", (struct service_import){ .threshold = 1.5, .share = true,
	    .response = RESPONSE_STREAM });
	ck_assert_int_eq(read_with(&all, "", &why), 0);
	a = accounts_find(all, A);
	b = accounts_find(all, B);
	ck_assert_uint_eq(a->nexports, 2);
	ck_assert(!a->exports[0].service && a->exports[0].restricted);
	ck_assert_uint_eq(a->exports[0].token_position, 2);
	ck_assert_uint_eq(a->exports[0].naccounts, 1);
	ck_assert_uint_eq(a->exports[0].accounts[0], B);
	ck_assert(a->exports[1].service && !a->exports[1].restricted);
	ck_assert_int_eq(a->exports[1].response, RESPONSE_CHUNKED);
	ck_assert_str_eq(a->exports[1].latency, "lat");
	ck_assert_uint_eq(a->exports[1].sampling, 101);
	ck_assert_uint_eq(b->nstreams, 1);
	ck_assert_uint_eq(b->streams[0].from, A);
	ck_assert_str_eq(b->streams[0].subject, "s.*");
	ck_assert_uint_eq(b->nservices, 1);
	ck_assert_str_eq(b->services[0].to, "help.*");
	ck_assert(b->services[0].threshold == 1.5 && b->services[0].share);
	ck_assert_ptr_null(b->services[0].latency);
	accounts_free(all);
}
END_TEST

/* The destinations of the first mapping in a cluster of that name. */
static const struct { const char *cluster; unsigned count, weight; } clusters[] = {
	{ "", 2, 30 }, { "east", 1, 80 }, { "west", 1, 90 }, { "north", 2, 30 },
};

START_TEST(mappings_of_our_cluster_come_first)
{
	struct accounts		*all;
	const struct account	*a;
	const char		*why;

	account(&t, A, "A");
	mapping(&t, "w.*", "x.$1", 100, "");
	mapping(&t, "a", "b", 30, "");
	mapping(&t, "a", "c", 80, "east");
	mapping(&t, "a", "d", 20, "");
	mapping(&t, "a", "e", 90, "west");
	mapping(&t, "v.>", "y.>", 100, "");
	mapping(&t, "z", "y", 100, "");
	ck_assert_int_eq(read_with(&all, clusters[_i].cluster, &why), 0);
	a = accounts_find(all, A);
	ck_assert_uint_eq(a->nmappings, 4);
	ck_assert_str_eq(a->mappings[0].source, "a");		/* literal ones to the front */
	ck_assert_str_eq(a->mappings[1].source, "z");
	ck_assert_str_eq(a->mappings[2].source, "w.*");
	ck_assert_str_eq(a->mappings[3].source, "v.>");
	ck_assert_uint_eq(a->mappings[0].count, clusters[_i].count);
	ck_assert_uint_eq(a->mappings[0].to[0].weight, clusters[_i].weight);
	accounts_free(all);
}
END_TEST

enum bad { NO_ACCOUNT, TWO_NUMBERS, TWO_NAMES, IMPORT_FROM_NOBODY, SERVICE_FROM_NOBODY, BAD_TRANSFORM, NO_EXPORT };

static const char *const reasons[] = {
	[NO_ACCOUNT] = "stream_import", [TWO_NUMBERS] = "two accounts", [TWO_NAMES] = "two accounts",
	[IMPORT_FROM_NOBODY] = "account of an import", [SERVICE_FROM_NOBODY] = "account of an import",
	[BAD_TRANSFORM] = "wildcard", [NO_EXPORT] = "export_account",
};

START_TEST(what_does_not_add_up_is_refused)
{
	struct accounts	*a = NULL;
	const char	*why;

	if (_i != NO_ACCOUNT)
		account(&t, A, "A");
	switch (_i) {
	case TWO_NUMBERS:
		account(&t, A, "B");
		break;
	case TWO_NAMES:
		account(&t, B, "A");
		break;
	case SERVICE_FROM_NOBODY:
		service(&t, B, "q", "q");
		break;
	case BAD_TRANSFORM:
		stream(&t, A, "s.*", "t.$2");
		break;
	case NO_EXPORT:
		tenants_add(&t, (struct msg){ .type = MSG_export_account, .u.export_account = { .account = A } });
		break;
	default:
		stream(&t, _i == NO_ACCOUNT ? A : B, "s", "t");
	}
	ck_assert_int_eq(read_with(&a, "", &why), -EBADMSG);
	ck_assert_ptr_null(a);
	ck_assert_msg(strstr(why, reasons[_i]) != NULL, "%s", why);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("accounts");
	TCase *c = tcase_create("accounts");

	tenants_init(&t);
	tcase_add_test(c, there_is_always_a_global_account);
	tcase_add_test(c, accounts_are_found_by_number_and_name);
	tcase_add_test(c, imports_and_exports_are_read);
	tcase_add_loop_test(c, mappings_of_our_cluster_come_first, 0, sizeof(clusters) / sizeof(clusters[0]));
	tcase_add_loop_test(c, what_does_not_add_up_is_refused, 0, sizeof(reasons) / sizeof(reasons[0]));
	suite_add_tcase(s, c);
	return tests_run(s);
}

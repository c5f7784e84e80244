/* Accounts and users: what a file says of them, as the records that workers, system and auth get. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/records.h"
#include "supervisor/config/configuration.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static struct configuration	c;
static struct settings		flags;
static char			*text;

static int
identity(struct config_source *from, bool group, struct bytes name, uint64_t *number)
{
	(void)from;
	if (bytes_equal(name, BYTES("known")))
		*number = group ? 20 : 10;
	return 0;
}

/* What the file and `flags` say together. */
static void
configure(const char *config)
{
	int	fd;

	text = strdup(config);
	ck_assert_int_eq(digest_prepare(), 0);
	ck_assert_int_eq(configuration_init(&c, BYTES("f")), 0);
	c.source.identity = identity;
	ck_assert_int_eq(configuration_parse(&c, text, strlen(text)), 0);
	fd = settings_write(&flags, ROLE_SUPERVISOR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(configuration_finish(&c, fd), 0);
	close(fd);
	config_errors_finish(&c.errors);
}

static void
configure_well(const char *config)
{
	configure(config);
	ck_assert_msg(c.errors.count == 0, "%s", c.errors.text);
}

static void
done(void)
{
	configuration_free(&c);
	free(text);
}

static void
setup(void)
{
	ck_assert_int_eq(settings_init(&flags), 0);
}

static void
teardown(void)
{
	settings_free(&flags);
}

/* Records as text, one a line; what is secret and limits only in tests of their own. */
struct shown { char text[8192]; size_t len; };

static int
show(void *arg, const struct msg *m)
{
	struct shown	*out = arg;

	msg_print(m, out->text + out->len, sizeof(out->text) - out->len);
	out->len += strlen(out->text + out->len);
	ck_assert_uint_lt(out->len, sizeof(out->text) - 2);
	out->text[out->len++] = '\n';
	out->text[out->len] = '\0';
	return 0;
}

static void
each(enum role role, record_call *f, void *arg)
{
	msgpack_sbuffer	records;
	const char	*why = "";
	int		 rc;

	msgpack_sbuffer_init(&records);
	ck_assert_int_eq(tenants_write(&c.tenants, role, &records), 0);
	rc = records_each((struct bytes){ records.data, records.size }, ROLE_CONFIG, role, f, arg, &why);
	ck_assert_msg(rc == 0, "%s: %s", strerror(-rc), why);
	msgpack_sbuffer_destroy(&records);
}

static const char *
document(enum role role)
{
	static struct shown	out;

	out.len = 0;
	out.text[0] = '\0';
	each(role, show, &out);
	return out.text;
}

/* What each role is told; accounts without limits, users as the fields that differ. */
#define NOBODY	"peer_uid=4294967296 peer_gid=4294967296 "
#define LIMITLESS "limits=(12 numbers)"
#define SYS	"account number=2 name=$SYS " LIMITLESS "\n"
#define GLOBAL	"account number=1 name=$G " LIMITLESS "\n"
#define USER(account, kind, name, secret, rest) "user account=" #account " kind=" #kind " name=" name \
    " secret=(" #secret " bytes) connection_types=0 " LIMITLESS " expires=0 " NOBODY rest "\n"

static const struct { const char *config, *worker, *auth; } documents[] = {
	{ "port: 1", SYS GLOBAL, SYS GLOBAL },
	{ "no_system_account: true", GLOBAL, GLOBAL },
	{ "authorization { user: a, password: bc }", SYS GLOBAL,
	  SYS GLOBAL USER(1, 0, "a", 2, "permissions=0 anonymous=0") },
	{ "authorization { token: abc, permissions: {publish: x} }", SYS GLOBAL,
	  SYS GLOBAL "permission_set number=1 publish=1 subscribe=0 responses=0 responses_time=0\n"
	  "permission kind=0 subject=x queue=\n" USER(1, 1, "", 3, "permissions=1 anonymous=0") },
	{ "authorization { users: [{user: a, password: b}, {nkey: UCR2VMNYX7DM3VG34LU7B576AUGBGGRBFAXTMPKEJNJFSYDHNZ2XZE4Z}] }\n"
	  "no_auth_user: a", SYS GLOBAL,
	  SYS GLOBAL USER(1, 0, "a", 1, "permissions=0 anonymous=1")
	  USER(1, 2, "UCR2VMNYX7DM3VG34LU7B576AUGBGGRBFAXTMPKEJNJFSYDHNZ2XZE4Z", 32, "permissions=0 anonymous=0") },
	{ "accounts { SYS { users: [{user: a, password: b}] } }\nsystem_account: SYS",
	  GLOBAL "account number=2 name=SYS " LIMITLESS "\n",
	  GLOBAL "account number=2 name=SYS " LIMITLESS "\n" USER(2, 0, "a", 1, "permissions=0 anonymous=0")
	  USER(1, 3, "", 0, "permissions=0 anonymous=1") },
	/* CVE-2023-47090: not with an authorization block, however empty */
	{ "accounts { SYS { users: [{user: a, password: b}] } }\nsystem_account: SYS\nauthorization {}",
	  GLOBAL "account number=2 name=SYS " LIMITLESS "\n",
	  GLOBAL "account number=2 name=SYS " LIMITLESS "\n" USER(2, 0, "a", 1, "permissions=0 anonymous=0") },
	{ "accounts { $SYS { users: [{user: a, password: b}] }, B {} }",
	  GLOBAL "account number=2 name=$SYS " LIMITLESS "\naccount number=4 name=B " LIMITLESS "\n",
	  GLOBAL "account number=2 name=$SYS " LIMITLESS "\naccount number=4 name=B " LIMITLESS "\n"
	  USER(2, 0, "a", 1, "permissions=0 anonymous=0") },
	{ "authorization { users: [{user: a, unix_user: 7, expires: '2029-12-31T23:00:00-01:00', connection_types: [STANDARD, MQTT]},\n"
	  "{user: b, unix_group: known, expires: '2030-01-01T00:30:00+00:30', password: ''}] }", SYS GLOBAL,
	  SYS GLOBAL "user account=1 kind=3 name=a secret=(0 bytes) connection_types=17 " LIMITLESS
	  " expires=1893456000000000 peer_uid=7 peer_gid=4294967296 permissions=0 anonymous=0\n"
	  "user account=1 kind=0 name=b secret=(0 bytes) connection_types=0 " LIMITLESS
	  " expires=1893456000000000 peer_uid=4294967296 peer_gid=20 permissions=0 anonymous=0\n" },
	{ "mappings { a.*: [{destination: b.$1, weight: 80%}, {destination: c, weight: 5, cluster: X}], z: y }",
	  SYS GLOBAL "mapping source=a.* destination=b.$1 weight=80 cluster=\n"
	  "mapping source=a.* destination=c weight=5 cluster=X\nmapping source=z destination=y weight=100 cluster=\n",
	  SYS GLOBAL },
};

START_TEST(documents_say_what_the_file_says)
{
	configure_well(documents[_i].config);
	ck_assert_str_eq(document(ROLE_WORKER), documents[_i].worker);
	ck_assert_str_eq(document(ROLE_SYSTEM), documents[_i].worker);
	ck_assert_str_eq(document(ROLE_AUTH), documents[_i].auth);
	ck_assert_str_eq(document(ROLE_LOG), "");
	ck_assert_str_eq(document(ROLE_MONITOR), "");
	done();
}
END_TEST

/* Settings that follow: auth_asked, auth_required, nonce_required, no_auth_user_given. */
static const struct { const char *config; bool asked, required, nonce, anonymous; } following[] = {
	{ "port: 1", false, false, false, false },
	{ "authorization {}", false, false, false, false },
	{ "authorization { users: [] }", false, false, false, false },
	{ "authorization { token: a }", true, true, false, false },
	{ "authorization { users: [{user: a}] }", true, true, false, false },
	{ "authorization { users: [{user: a}] }\nno_auth_user: a", true, false, false, true },
	{ "accounts { A { users: [{nkey: UCR2VMNYX7DM3VG34LU7B576AUGBGGRBFAXTMPKEJNJFSYDHNZ2XZE4Z}] } }", true, true, true, false },
	{ "accounts { $SYS { users: [{user: a}] } }", true, true, false, true },
	{ "accounts { $SYS { users: [{user: a}] } }\nauthorization {}", true, true, false, false },
	{ "accounts { $SYS { users: [{user: a}] }, B {} }", true, true, false, false },
	{ "accounts { B { users: [{user: a}] } }", true, true, false, false },
};

START_TEST(settings_follow)
{
	configure_well(following[_i].config);
	ck_assert_int_eq(c.settings.auth_asked, following[_i].asked);
	ck_assert_int_eq(c.settings.auth_required, following[_i].required);
	ck_assert_int_eq(c.settings.nonce_required, following[_i].nonce);
	ck_assert_int_eq(c.settings.no_auth_user_given, following[_i].anonymous);
	done();
}
END_TEST

/* Permissions of one user: the head of the set, then its records as kind subject queue. */
static const struct { const char *config, *records; } permissions[] = {
	{ "", "" },
	{ "publish: []", "" },
	{ "subscribe: {}", "" },
	{ "allow_responses: false", "" },
	{ "publish: a", "1 0 0 0; 0 a ;" },
	{ "pub: [a, 'b.>']", "1 0 0 0; 0 a ; 0 b.> ;" },
	{ "publish: {deny: a}", "0 0 0 0; 1 a ;" },
	{ "publish: {allow: [], deny: a}", "0 0 0 0; 1 a ;" },
	{ "subscribe: {allow: ['a q', b], deny: 'c  > '}", "0 1 0 0; 2 a q; 2 b ; 3 c >;" },
	{ "allow_responses: true", "1 0 1 120000;" },
	{ "allow_responses: {}", "1 0 1 120000;" },
	/* what allow_responses says does not depend on where it stands */
	{ "allow_responses: true, publish: []", "1 0 1 120000;" },
	{ "publish: {allow: []}, allow_responses: true", "1 0 1 120000;" },
	{ "publish: {deny: a}, allow_responses: true", "1 0 1 120000; 1 a ;" },
	{ "allow_responses: {max: 5, expires: '1500us'}", "1 0 5 2;" },
	{ "allow_responses: {max: -1, expires: '-1s'}", "1 0 9223372036854775807 9223372036854775807;" },
};

static int
show_permission(void *arg, const struct msg *m)
{
	const struct msg_permission_set	*set = &m->u.permission_set;
	const struct msg_permission	*p = &m->u.permission;
	struct shown			*out = arg;
	char				*to = out->text + out->len;
	size_t				 room = sizeof(out->text) - out->len;

	if (m->type == MSG_permission_set)
		out->len += (size_t)snprintf(to, room, "%s%ju %ju %ju %ju;", out->len > 0 ? "\n" : "",
		    (uintmax_t)set->publish, (uintmax_t)set->subscribe, (uintmax_t)set->responses, (uintmax_t)set->responses_time);
	else if (m->type == MSG_permission)
		out->len += (size_t)snprintf(to, room, " %ju %.*s %.*s;", (uintmax_t)p->kind,
		    (int)p->subject.len, p->subject.data, (int)p->queue.len, p->queue.data);
	else if (m->type == MSG_user)
		ck_assert_int_eq(m->u.user.permissions != 0, out->len > 0);
	return 0;
}

START_TEST(permissions_say_what_is_allowed)
{
	struct shown	out = { .len = 0 };
	char		config[512];

	snprintf(config, sizeof(config), "authorization { users: [{user: a, permissions: {%s}}] }", permissions[_i].config);
	configure_well(config);
	each(ROLE_AUTH, show_permission, &out);
	ck_assert_str_eq(out.text, permissions[_i].records);
	done();
}
END_TEST

/* Equal ones are written once; who has none of its own has the default, even in a later key. */
START_TEST(permissions_are_shared)
{
	configure_well("authorization { users: [{user: a, permissions: {pub: x}}, {user: b}, {user: c, permissions: {publish: [x]}},\n"
	    "{user: d, permissions: {}}, {user: e, permissions: {pub: y}}], default_permissions: {pub: y} }\n"
	    "accounts { A { users: [{user: f}], default_permissions: {sub: z} }, B { users: [{user: g}] } }");
	ck_assert_uint_eq(c.tenants.nsets, 3);
	ck_assert_uint_eq(c.tenants.users[0].permissions, c.tenants.users[2].permissions);
	ck_assert_uint_eq(c.tenants.users[1].permissions, c.tenants.users[4].permissions);
	ck_assert_uint_ne(c.tenants.users[0].permissions, c.tenants.users[1].permissions);
	ck_assert_uint_eq(c.tenants.users[3].permissions, 0);
	ck_assert_uint_ne(c.tenants.users[5].permissions, 0);
	ck_assert_uint_eq(c.tenants.users[6].permissions, 0);
	done();
}
END_TEST

/* Exports of A and imports of B, and how they reach the workers. */
static const struct { const char *exports, *imports, *records; } imports[] = {
	{ "{stream: 'a.>'}", "{stream: {account: A, subject: 'a.*.b.>'}, prefix: 'p.q'}",
	  "stream_import from=4 subject=a.*.b.> to=p.q.a.$1.b.> allow_trace=0\n" },
	{ "{stream: 'a.*.*'}", "{stream: {account: A, subject: 'a.*.*'}, to: 'x.$2.{{wildcard(1)}}', allow_trace: true}",
	  "stream_import from=4 subject=a.*.* to=x.$2.{{wildcard(1)}} allow_trace=1\n" },
	{ "{stream: a}", "{stream: {account: A, subject: a}}", "stream_import from=4 subject=a to=a allow_trace=0\n" },
	{ "{service: q, threshold: '5s', response: chunked}", "{service: {account: A, subject: q}, to: help, share: true}",
	  "service_import from=4 subject=q to=help response=2 threshold=5000 share=1 latency= sampling=0\n" },
	{ "{service: 'q.>', latency: {sampling: headers, subject: l}}", "{service: {account: A, subject: 'q.*.>'}}",
	  "service_import from=4 subject=q.$1.> to=q.*.> response=0 threshold=120000 share=0 latency=l sampling=101\n" },
	{ "{service: 'q.*.*', response: stream}", "{service: {account: A, subject: 'q.*.*'}, to: '$2.help.{{wildcard(1)}}'}",
	  "service_import from=4 subject=q.$2.$1 to=*.help.* response=1 threshold=120000 share=0 latency= sampling=0\n" },
	{ "{service: 'q.*', latency: l}", "{service: {account: A, subject: 'q.1'}, to: 'help.*'}",
	  "service_import from=4 subject=q.1 to=help.* response=0 threshold=120000 share=0 latency=l sampling=100\n" },
};

START_TEST(imports_are_resolved)
{
	char		 config[1024];
	const char	*found;

	snprintf(config, sizeof(config), "accounts { A { exports: [%s] }, B { imports: [%s] } }",
	    imports[_i].exports, imports[_i].imports);
	configure_well(config);
	found = strstr(document(ROLE_WORKER), "_import ");
	ck_assert_ptr_nonnull(found);
	while (found[-1] != '\n')
		found--;
	ck_assert_str_eq(found, imports[_i].records);
	ck_assert_ptr_null(strstr(document(ROLE_AUTH), "_import "));
	done();
}
END_TEST

START_TEST(exports_name_who_is_listed)
{
	const char	*found;

	configure_well("accounts { A { exports: [{stream: s, accounts: [C, B]}, {service: 'q.*', account_token_position: 2}] }, B {}, C {} }");
	found = strstr(document(ROLE_WORKER), "stream_export");
	ck_assert_ptr_nonnull(found);
	ck_assert_int_eq(strncmp(found, "stream_export subject=s restricted=1 token_position=0\nexport_account account=6\n"
	    "export_account account=5\nservice_export subject=q.* restricted=0 token_position=2 response=0 latency= sampling=0\n", 154), 0);
	done();
}
END_TEST

static uint64_t	limits_found[LIMITS];

static int
take_limits(void *arg, const struct msg *m)
{
	const struct numbers	*n = m->type == MSG_user ? &m->u.user.limits : &m->u.account.limits;
	uint32_t		 i;

	if (m->type == *(const enum msg_type *)arg)
		for (i = 0; i < LIMITS; i++)
			limits_found[i] = msg_number(n, i);
	return 0;
}

/* The last account's, or user's. */
START_TEST(limits_are_numbers_in_the_order_of_the_table)
{
	static const uint64_t	account_limits[LIMITS] = {
		[LIMIT_CONNECTIONS] = 1, [LIMIT_SUBSCRIPTIONS] = NO_LIMIT, [LIMIT_PAYLOAD] = 1024, [LIMIT_ADDRESS] = 4,
		[LIMIT_MESSAGES] = 5, [LIMIT_BYTES] = 1048576, [LIMIT_BYTES_BURST] = 7, [LIMIT_PENDING] = 8,
		[LIMIT_MEMORY] = 1048576, [LIMIT_OVER_RATE] = 1,
	};
	enum msg_type	account = MSG_account, user = MSG_user;
	unsigned	i;

	configure_well("accounts { A { limits: {max_conn: 1, max_subs: -1, max_payload: 1KB, max_leafs: 0, max_connections_per_address: 4,\n"
	    "max_messages_per_second: 5, max_bytes_per_second: 1MB, max_bytes_burst: 7, max_pending: 8, max_memory: 1MB, over_rate: close},\n"
	    "users: [{user: a, limits: {MAX_CONNECTIONS: 9}}] } }");
	each(ROLE_AUTH, take_limits, &account);
	for (i = 0; i < LIMITS; i++)
		ck_assert_uint_eq(limits_found[i], account_limits[i]);
	each(ROLE_AUTH, take_limits, &user);
	for (i = 0; i < LIMITS; i++)
		ck_assert_uint_eq(limits_found[i], i == LIMIT_CONNECTIONS ? 9 : i == LIMIT_MESSAGES_BURST ||
		    i == LIMIT_BYTES_BURST || i == LIMIT_OVER_RATE ? 0 : NO_LIMIT);
	done();
}
END_TEST

/* What had a number keeps it, also over an account that is gone; what is new gets the next. */
START_TEST(numbers_stay)
{
	const struct setting	*which = setting_find(BYTES("account_numbers"));

	ck_assert_int_eq(setting_add_item(&flags, which, BYTES("B")), 0);
	ck_assert_int_eq(setting_add_item(&flags, which, BYTES("gone")), 0);
	configure_well("accounts { A {}, B {}, $SYS {}, C {} }");
	ck_assert_uint_eq(c.tenants.accounts[1].number, 6);
	ck_assert_uint_eq(c.tenants.accounts[2].number, 4);
	ck_assert_uint_eq(c.tenants.accounts[3].number, 2);
	ck_assert_uint_eq(c.tenants.accounts[4].number, 7);
	ck_assert_uint_eq(c.settings.account_numbers.count, 4);
	ck_assert_str_eq(c.settings.account_numbers.items[1], "gone");
	ck_assert_str_eq(c.settings.account_numbers.items[3], "C");
	done();
}
END_TEST

static int
take_secret(void *arg, const struct msg *m)
{
	if (m->type == MSG_user)
		*(struct bytes *)arg = (struct bytes){ strndup(m->u.user.secret.data, m->u.user.secret.len), m->u.user.secret.len };
	return 0;
}

/* The command line's user is auth's, and in nobody's settings. */
START_TEST(flags_are_for_auth_alone)
{
	struct bytes		secret = BYTES("");
	struct settings		seen;
	const char		*why;
	enum role		role;
	int			fd;

	ck_assert_int_eq(setting_set_text(&flags, setting_find(BYTES("flag_pass")), BYTES("hidden")), 0);
	configure_well("authorization { user: a, password: b }");
	each(ROLE_AUTH, take_secret, &secret);
	ck_assert_str_eq(secret.data, "hidden");
	free((char *)(uintptr_t)secret.data);
	for (role = 0; role < ROLES; role++) {
		ck_assert_int_eq(settings_init(&seen), 0);
		fd = settings_write(&c.settings, role);
		ck_assert_int_eq(settings_read(&seen, fd, &why), 0);
		ck_assert_str_eq(seen.flag_pass, "");
		ck_assert_str_eq(seen.flag_user, "");
		settings_free(&seen);
		close(fd);
	}
	done();
}
END_TEST

/* Cycles that no words of a file make clear: many on a way, and ways that meet without one. */
START_TEST(a_long_cycle_is_found)
{
	enum		{ ACCOUNTS = 3000 };
	char		*config;
	size_t		 len = 0, size = ACCOUNTS * 120;
	int		 i, closed = _i;

	config = malloc(size);
	ck_assert_ptr_nonnull(config);
	len += (size_t)snprintf(config, size, "accounts {\n");
	for (i = 0; i < ACCOUNTS; i++)
		len += (size_t)snprintf(config + len, size - len, i + 1 < ACCOUNTS || closed ?
		    "A%d { exports: [{service: s}], imports: [{service: {account: A%d, subject: s}}] }\n" :
		    "A%d { exports: [{service: s}] }\n", i, (i + 1) % ACCOUNTS);
	snprintf(config + len, size - len, "}\n");
	configure(config);
	ck_assert_uint_eq(c.errors.count, closed);
	if (closed)
		ck_assert_ptr_nonnull(strstr(c.errors.text, "f:3001:44: found an import that closes a cycle of 3000"));
	free(config);
	done();
}
END_TEST

/* Two import the same: who is not in the cycle is not told of, whoever of them comes first. */
START_TEST(the_import_in_the_cycle_is_told)
{
	configure("accounts { A { imports: [{service: {account: B, subject: s}}] }\n"
	    "B { exports: [{service: s}], imports: [{service: {account: C, subject: s}}] }\n"
	    "C { exports: [{service: s}], imports: [{service: {account: B, subject: s}}] }\n"
	    "D { imports: [{service: {account: B, subject: s}}] } }");
	ck_assert_str_eq(c.errors.text, "f:3:40: found an import that closes a cycle of 2: \"s\" of this account is "
	    "\"s\" of \"B\", and leads back");
	done();
}
END_TEST

START_TEST(ways_that_meet_are_no_cycle)
{
	configure_well("accounts { A { exports: [{service: s}] }\n"
	    "B { exports: [{service: s}], imports: [{service: {account: A, subject: s}}] }\n"
	    "C { exports: [{service: s}], imports: [{service: {account: A, subject: s}}] }\n"
	    "D { exports: [{service: s}], imports: [{service: {account: B, subject: s}}, {service: {account: C, subject: s}}] } }");
	done();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("config/tenants");
	TCase	*t = tcase_create("all");
	SRunner	*r = srunner_create(s);
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, documents_say_what_the_file_says, 0, COUNT(documents));
	tcase_add_loop_test(t, settings_follow, 0, COUNT(following));
	tcase_add_loop_test(t, permissions_say_what_is_allowed, 0, COUNT(permissions));
	tcase_add_test(t, permissions_are_shared);
	tcase_add_loop_test(t, imports_are_resolved, 0, COUNT(imports));
	tcase_add_test(t, exports_name_who_is_listed);
	tcase_add_test(t, limits_are_numbers_in_the_order_of_the_table);
	tcase_add_test(t, numbers_stay);
	tcase_add_test(t, flags_are_for_auth_alone);
	tcase_add_loop_test(t, a_long_cycle_is_found, 0, 2);
	tcase_add_test(t, the_import_in_the_cycle_is_told);
	tcase_add_test(t, ways_that_meet_are_no_cycle);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}

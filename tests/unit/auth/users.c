/* Accounts documents read and looked up, beside a plain list. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include "supervisor/auth/expiry.h"
#include "supervisor/auth/distinguished.h"
#include "supervisor/auth/session.h"
#include "supervisor/auth/users.h"
#include "tests/unit/auth/document.h"

static int
read_all(struct document *d, struct users **u, const char **why)
{
	int	fd = document_end(d), rc = users_load(u, fd, why);

	close(fd);
	return rc;
}

START_TEST(found_as_in_a_list)
{
	enum { USERS = 5000 };
	struct document	 d;
	struct users	*u;
	const struct user *found;
	const char	*why;
	char		 name[32], secret[48];
	struct msg	 m;
	unsigned	 i;

	document_begin(&d);
	for (i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "u%u", i);
		snprintf(secret, sizeof(secret), "%032u", i);
		m = document_user(i % 3 == 0 ? USER_NKEY : USER_PASSWORD, 1 + i % 2, name, (struct bytes){ secret, 32 });
		m.u.user.secret = (struct bytes){ secret, 32 };
		if (i % 7 == 0)
			m.u.user.peer_uid = i;
		document_add(&d, m);
	}
	ck_assert_int_eq(read_all(&d, &u, &why), 0);
	ck_assert_uint_eq(users_count(u), USERS);
	for (i = 0; i < USERS + 10; i++) {
		snprintf(name, sizeof(name), "u%u", i);
		snprintf(secret, sizeof(secret), "%032u", i);
		found = users_named(u, bytes_of(name));
		ck_assert_int_eq(found != NULL, i < USERS && i % 3 != 0);
		if (found == NULL)
			found = users_nkey(u, bytes_of(name));
		ck_assert_int_eq(found != NULL, i < USERS);
		if (found == NULL)
			continue;
		ck_assert(bytes_equal(user_secret(found), (struct bytes){ secret, 32 }));
		ck_assert_uint_eq(found->account, 1 + i % 2);
		ck_assert_ptr_eq(users_peer(u, i, 5), i % 7 == 0 ? found : NULL);
	}
	users_free(u);
}
END_TEST

/* Sets shared by number; long ones have a descriptor; rights of nobody are none. */
START_TEST(permissions_are_shared)
{
	struct document	 d;
	struct users	*u;
	const char	*why;
	struct msg	 m;
	char		 subject[60];
	unsigned	 i;

	document_begin(&d);
	document_set(&d, 3, "x");
	document_set(&d, 9, "y");
	for (i = 0; i < 2000; i++) {
		snprintf(subject, sizeof(subject), "a.subject.of.some.length.%u", i);
		document_add(&d, (struct msg){ .type = MSG_permission, .u.permission = {
		    .kind = SUBSCRIBE_ALLOW, .subject = bytes_of(subject), .queue = BYTES("") } });
	}
	m = document_user(USER_PASSWORD, 1, "a", BYTES("b"));
	m.u.user.permissions = 3;
	document_add(&d, m);
	m.u.user.name = BYTES("b");
	document_add(&d, m);
	m.u.user.name = BYTES("c");
	m.u.user.permissions = 9;
	document_add(&d, m);
	document_password(&d, 1, "d", "x");
	ck_assert_int_eq(read_all(&d, &u, &why), 0);
	ck_assert_ptr_eq(users_permissions(u, users_named(u, BYTES("a"))), users_permissions(u, users_named(u, BYTES("b"))));
	ck_assert_int_eq(users_permissions(u, users_named(u, BYTES("a")))->fd, -1);
	ck_assert_int_ge(users_permissions(u, users_named(u, BYTES("c")))->fd, 0);
	ck_assert_ptr_null(users_permissions(u, users_named(u, BYTES("d"))));
	users_free(u);
}
END_TEST

START_TEST(numbers_are_of_names)
{
	uint64_t	 limits[LIMITS], first = 0;
	struct document	 d;
	struct users	*u;
	const char	*why;
	struct msg	 m;
	int		 i;

	memcpy(limits, document_unlimited, sizeof(limits));
	limits[LIMIT_SUBSCRIPTIONS] = 10;
	for (i = 0; i < 2; i++) {
		document_begin(&d);
		if (i == 1)
			document_password(&d, 1, "before", "x");
		m = document_user(USER_PASSWORD, 1, "a", BYTES("b"));
		m.u.user.limits.own = limits;
		document_add(&d, m);
		ck_assert_int_eq(read_all(&d, &u, &why), 0);
		ck_assert_uint_ne(users_named(u, BYTES("a"))->number, 0);
		if (i == 1)
			ck_assert_uint_eq(users_named(u, BYTES("a"))->number, first);
		first = users_named(u, BYTES("a"))->number;
		ck_assert_ptr_eq(users_numbered(u, first), users_named(u, BYTES("a")));
		ck_assert_uint_eq(user_limit(users_numbered(u, first), LIMIT_SUBSCRIPTIONS), 10);
		ck_assert_ptr_null(users_numbered(u, first + 1));
		users_free(u);
	}
}
END_TEST

static void bad_account(struct document *d) { document_password(d, 5, "a", "b"); }
static void bad_nkey(struct document *d) { document_add(d, document_user(USER_NKEY, 1, "U", BYTES("short"))); }
static void bad_set(struct document *d)
{
	struct msg	m = document_user(USER_PASSWORD, 1, "a", BYTES("b"));

	m.u.user.permissions = 4;
	document_add(d, m);
}
static void bad_order(struct document *d) { document_set(d, 2, "x"); document_set(d, 2, "y"); }
static void bad_permission(struct document *d)
{
	document_add(d, (struct msg){ .type = MSG_permission, .u.permission = { .subject = BYTES("x"), .queue = BYTES("") } });
}

static const struct { void (*add)(struct document *d); const char *why; } bad[] = {
	{ bad_account, "account" }, { bad_nkey, "secret" }, { bad_set, "permissions" },
	{ bad_order, "permission_set" }, { bad_permission, "permission" },
};

START_TEST(bad_documents_are_refused)
{
	struct document	 d;
	struct users	*u;
	const char	*why;

	document_begin(&d);
	bad[_i].add(&d);
	ck_assert_int_eq(read_all(&d, &u, &why), -EBADMSG);
	ck_assert_str_eq(why, bad[_i].why);
}
END_TEST

/* Without users everybody is let in; without accounts nobody. */
START_TEST(who_is_asked)
{
	struct document	 d;
	struct users	*u;
	const char	*why;

	document_begin(&d);
	ck_assert_int_eq(read_all(&d, &u, &why), 0);
	ck_assert(users_ask_nobody(u));
	users_free(u);
	msgpack_sbuffer_init(&d.b);
	ck_assert_int_eq(read_all(&d, &u, &why), 0);
	ck_assert(!users_ask_nobody(u));
	users_free(u);
}
END_TEST

/* -- distinguished names: CVE-2026-33248 and what lies near it */

static const struct { const char *a, *b; enum distinguished_compared is; } names[] = {
	{ "CN=a,OU=b", "CN=a,OU=b", NAMES_EQUAL }, { "CN=a,OU=b", "cn=a, ou=b ", NAMES_EQUAL },
	{ "CN=a,OU=b", "OU=b,CN=a", NAMES_REORDERED }, { "CN=a+OU=b", "OU=b+CN=a", NAMES_EQUAL },
	{ "CN=a,OU=b+O=c", "O=c+OU=b,CN=a", NAMES_REORDERED },
	{ "CN=a", "CN=A", NAMES_DIFFER }, { "CN=a", "CN=a,OU=b", NAMES_DIFFER }, { "CN=a,OU=b", "CN=a", NAMES_DIFFER },
	{ "CN=a+OU=b", "CN=a,OU=b", NAMES_DIFFER }, { "CN=a,CN=a", "CN=a", NAMES_DIFFER },
	{ "CN=a,CN=a,CN=b", "CN=a,CN=b,CN=b", NAMES_DIFFER }, { "CN=a+CN=a+CN=b", "CN=a+CN=b+CN=b", NAMES_DIFFER },
	{ "CN=a+CN=b,OU=x", "CN=a,OU=x+CN=b", NAMES_DIFFER }, { "CN=a\\,OU=b", "CN=a,OU=b", NAMES_DIFFER },
	{ "CN=a\\2cb", "CN=a\\,b", NAMES_EQUAL }, { "CN=\\ a", "CN=a", NAMES_DIFFER },
	{ "CN=a\\ ", "CN=a", NAMES_DIFFER }, { "CN=a b", "CN=a b", NAMES_EQUAL }, { "CN=a=b", "CN=a=b", NAMES_EQUAL },
	{ "CN=a=b", "a=b", NAMES_DIFFER }, { "CN=", "CN=", NAMES_DIFFER }, { "CN=#61", "CN=#61", NAMES_DIFFER },
	{ "CN", "CN", NAMES_DIFFER }, { "CN=a,", "CN=a,", NAMES_DIFFER }, { "CN=a\\", "CN=a\\", NAMES_DIFFER },
	{ "", "", NAMES_DIFFER }, { "=a", "=a", NAMES_DIFFER },
};

START_TEST(names_are_compared)
{
	const struct bytes	a = bytes_of(names[_i].a), b = bytes_of(names[_i].b);
	struct distinguished		all = { NULL, 0, 0 };
	struct distinguished_walk	w;
	uint32_t		of;
	bool			found = false;

	map_seed();
	ck_assert_int_eq(distinguished_compare(a, b), names[_i].is);
	ck_assert_int_eq(distinguished_compare(b, a), names[_i].is);
	/* what is the same is found */
	ck_assert_int_eq(distinguished_add(&all, BYTES("CN=other"), 1), 0);
	ck_assert_int_eq(distinguished_add(&all, a, 2), 0);
	distinguished_sort(&all);
	for (distinguished_begin(&w, &all, b); distinguished_next(&w, &of);)
		found = found || of == 2;
	ck_assert_int_eq(found, names[_i].is != NAMES_DIFFER);
	distinguished_free(&all);
}
END_TEST

/* -- expiry, beside a sorted list */

START_TEST(expiry_is_in_order)
{
	enum { MOST = 300 };
	static struct session	all[MOST];
	static uint64_t		when[MOST];
	struct expiry		e = { NULL, 0, 0 };
	struct session		*first;
	unsigned		 seed = (unsigned)_i, i, k;
	uint64_t		 least, at;

	memset(all, 0, sizeof(all));
	memset(when, 0, sizeof(when));
	for (i = 0; i < 5000; i++) {
		k = (unsigned)rand_r(&seed) % MOST;
		if (when[k] == 0) {
			when[k] = 1 + (uint64_t)rand_r(&seed) % 500;
			ck_assert_int_eq(expiry_add(&e, &all[k], when[k]), 0);
		} else {
			when[k] = 0;
			expiry_remove(&e, &all[k]);
		}
		for (least = 0, k = 0; k < MOST; k++)
			if (when[k] != 0 && (least == 0 || when[k] < least))
				least = when[k];
		first = expiry_first(&e, &at);
		ck_assert_int_eq(first != NULL, least != 0);
		if (first != NULL)
			ck_assert_uint_eq(at, least);
		for (k = 2; k <= e.count; k++)
			ck_assert_uint_le(e.all[k / 2 - 1].when, e.all[k - 1].when);
	}
	expiry_free(&e);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("users");
	TCase	*t = tcase_create("users");

	map_seed();
	tcase_add_test(t, found_as_in_a_list);
	tcase_add_test(t, permissions_are_shared);
	tcase_add_test(t, numbers_are_of_names);
	tcase_add_loop_test(t, bad_documents_are_refused, 0, (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(t, who_is_asked);
	tcase_add_loop_test(t, names_are_compared, 0, (int)(sizeof(names) / sizeof(names[0])));
	tcase_add_loop_test(t, expiry_is_in_order, 0, 20);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return run(s);
}

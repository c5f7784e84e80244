/* Files of keys, what of them is kept, and what they sign. */
#include <sys/mman.h>
#include <errno.h>
#include "supervisor/signer/keyfile.h"
#include "supervisor/signer/signer.h"
#include "tests/unit/signer/material.h"

static const struct bytes	no_password = { NULL, 0 };
static struct keys		keys;
static uint8_t			content[CONTENT_ROOM], signature[SIGNATURE_MAX];
static size_t			len;

static void
setup(void)
{
	ck_assert_int_eq(keys_init(&keys), 0);
}

static void
teardown(void)
{
	keys_free(&keys);
}

/* -- files */

static EVP_PKEY *
read_text(const char *text, const char *password, const char **why)
{
	return keyfile_read(bytes_of(text), password == NULL ? no_password : bytes_of(password), why);
}

/* Each kind in each form, alone, and behind a certificate and parameters as files have them. */
START_TEST(each_form_is_read)
{
	EVP_PKEY	*key = material_key((unsigned)_i), *got;
	char		*certificate = material_self_signed(key, "x", -1, 90), *pem, *both;
	const char	*why;
	unsigned	 form;

	for (form = 0; form < FORMS; form++) {
		if ((form == FORM_TRADITIONAL || form == FORM_TRADITIONAL_LOCKED) && _i >= 4)
			continue;	/* EdDSA has none */
		pem = material_pem(key, form, "a password");
		ck_assert_msg((got = read_text(pem, "a password", &why)) != NULL, "form %u: %s", form, why);
		ck_assert_int_eq(EVP_PKEY_eq(key, got), 1);
		EVP_PKEY_free(got);
		ck_assert_int_gt(asprintf(&both, "hello\r\n%s\n-----BEGIN X-----\nAAAA\n-----END X-----\n%s", certificate, pem), 0);
		ck_assert_ptr_nonnull(got = read_text(both, "a password", &why));
		EVP_PKEY_free(got);
		free(both);
		free(pem);
	}
	free(certificate);
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(a_locked_one_wants_its_password)
{
	EVP_PKEY	*key = material_key(1);
	const char	*why;
	char		*pem;
	unsigned	 form;

	for (form = FORM_PKCS8_LOCKED; form < FORMS; form++) {
		pem = material_pem(key, form, "a password");
		ck_assert_ptr_null(read_text(pem, NULL, &why));
		ck_assert_str_eq(why, "it is encrypted, and there is no key_password_file");
		ck_assert_ptr_null(read_text(pem, "another", &why));
		ck_assert_msg(strstr(why, "does not open it") != NULL || strstr(why, "parse") != NULL, "%s", why);
		free(pem);
	}
	EVP_PKEY_free(key);
}
END_TEST

static const struct { const char *what, *text, *why; } bad_files[] = {
	{ "nothing", "\n", "tls: failed to find any PEM data in key input" },
	{ "no PEM", "hello", "tls: failed to find any PEM data in key input" },
	{ "another block", "-----BEGIN THING-----\nAAAA\n-----END THING-----\n", "tls: failed to find PEM block with type ending in "
	    "\"PRIVATE KEY\" in key input" },
	{ "a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	    "tls: found a certificate rather than a key in the PEM for the private key" },
	{ "no key in it", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "tls: failed to parse private key" },
	{ "no locked key in it", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
	    "tls: failed to parse private key" },
	{ "cut short", "-----BEGIN PRIVATE KEY-----\nAAAA\n", "tls: failed to find any PEM data in key input" },
	{ "a kind like it", "-----BEGIN NOPRIVATE KEY-----\nAAAA\n-----END NOPRIVATE KEY-----\n", "tls: failed to find PEM block "
	    "with type ending in \"PRIVATE KEY\" in key input" },
};

START_TEST(bad_files_say_why)
{
	const char	*why;

	ck_assert_ptr_null(read_text(bad_files[_i].text, NULL, &why));
	ck_assert_str_eq(why, bad_files[_i].why);
}
END_TEST

START_TEST(keys_that_tls_does_not_use)
{
	EVP_PKEY	*made[4] = { EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)768),
			    EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"),
			    EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-224") };
	const char	*says[4] = { "1024", "curve", "not a key for", "curve" }, *why;
	char		*pem;
	int		 i;

	for (i = 0; i < 4; i++) {
		pem = material_pem(made[i], FORM_PKCS8, NULL);
		ck_assert_ptr_null(read_text(pem, NULL, &why));
		ck_assert_msg(strstr(why, says[i]) != NULL, "%s", why);
		free(pem);
		EVP_PKEY_free(made[i]);
	}
}
END_TEST

START_TEST(a_password_is_a_first_line)
{
	static char	long_one[PASSWORD_MAX + 2];
	struct bytes	p;

	ck_assert_int_eq(keyfile_password(BYTES("abc\ndef\n"), &p), 0);
	ck_assert(bytes_equal(p, BYTES("abc")));
	ck_assert_int_eq(keyfile_password(BYTES("a b \r\n"), &p), 0);
	ck_assert(bytes_equal(p, BYTES("a b ")));
	ck_assert_int_eq(keyfile_password(BYTES("abc"), &p), 0);
	ck_assert_int_eq(keyfile_password(BYTES("\nabc"), &p), -EBADMSG);
	ck_assert_int_eq(keyfile_password(BYTES("\r\n"), &p), -EBADMSG);
	memset(long_one, 'a', sizeof(long_one) - 1);
	ck_assert_int_eq(keyfile_password((struct bytes){ long_one, PASSWORD_MAX }, &p), 0);
	ck_assert_int_eq(keyfile_password((struct bytes){ long_one, PASSWORD_MAX + 1 }, &p), -EBADMSG);
}
END_TEST

/* -- what is kept */

static struct key *
add(uint64_t number, uint64_t version, const char *text)
{
	const struct msg_signing_key	m = { .key = number, .version = version, .path = BYTES("/a/key.pem") };

	ck_assert_int_eq(keys_add(&keys, &m, material_file(text)), 0);
	return keys_find(&keys, number);
}

static bool
is_of(const void *arg, uint64_t number)
{
	const uint64_t	*n = arg;

	return number == n[0] || number == n[1];
}

static void
commit(uint64_t a, uint64_t b)
{
	keys_commit(&keys, is_of, (uint64_t[]){ a, b });
}

static void
expect(const char *numbers)
{
	char	got[64] = "";
	size_t	i;

	for (i = 0; i < keys.count; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%d", i == 0 ? "" : " ", (int)keys.all[i]->number);
	ck_assert_str_eq(got, numbers);
	for (i = 0; i < keys.count; i++)
		ck_assert_ptr_eq(keys_find(&keys, keys.all[i]->number), keys.all[i]);
}

START_TEST(two_versions_are_kept)
{
	add(1, 1, "x");
	add(2, 1, "x");
	commit(1, 2);
	expect("1 2");
	add(5, 2, "x");
	add(6, 2, "x");
	expect("1 2 5 6");
	add(7, 3, "x");		/* the version before it was refused */
	expect("1 2 7");
	commit(7, 2);		/* one of the old ones goes on */
	expect("1 2 7");
	add(8, 4, "x");
	commit(8, 8);
	expect("2 7 8");
	add(9, 5, "x");
	commit(9, 9);
	expect("8 9");
	commit(0, 0);		/* TLS is turned off */
	expect("9");
	commit(0, 0);
	expect("");
	ck_assert_ptr_null(keys_find(&keys, 9));
}
END_TEST

START_TEST(numbers_rise)
{
	const struct msg_signing_key	m = { .key = 5, .version = 1, .path = BYTES("/a/key.pem") };

	add(5, 1, "x");
	ck_assert_int_eq(keys_add(&keys, &m, material_file("x")), -EPROTO);
	ck_assert_uint_eq(keys.count, 1);
}
END_TEST

START_TEST(passwords_come_behind_their_keys)
{
	struct msg_signing_key	m = { .key = 5, .version = 1, .locked = 1, .path = BYTES("/a/key.pem") };
	struct msg_key_password	p = { .key = 5, .path = BYTES("/a/password") };
	EVP_PKEY		*key = material_key(4);
	char			*pem = material_pem(key, FORM_PKCS8_LOCKED, "pass word");

	ck_assert_int_eq(keys_unlock(&keys, &p, material_file("x")), -EPROTO);
	ck_assert_int_eq(keys_add(&keys, &m, material_file(pem)), 0);
	ck_assert_str_eq(keys_find(&keys, 5)->error, "its password did not come");
	p.key = 4;
	ck_assert_int_eq(keys_unlock(&keys, &p, material_file("pass word\n")), -EPROTO);
	p.key = 5;
	ck_assert_int_eq(keys_unlock(&keys, &p, material_file("pass word\nmore\n")), 0);
	ck_assert_ptr_nonnull(keys_find(&keys, 5)->pkey);
	ck_assert_int_eq(keys_unlock(&keys, &p, material_file("pass word\n")), -EPROTO);	/* once */
	m.key = 6;
	ck_assert_int_eq(keys_add(&keys, &m, material_file(pem)), 0);
	p.key = 6;
	ck_assert_int_eq(keys_unlock(&keys, &p, material_file("\n")), 0);
	ck_assert_ptr_null(keys_find(&keys, 6)->pkey);
	ck_assert_str_eq(keys_find(&keys, 6)->error, "key_password_file /a/password has no password in its first line");
	free(pem);
	EVP_PKEY_free(key);
}
END_TEST

/* What is not sealed could change while it is read. */
START_TEST(files_are_sealed)
{
	const struct msg_signing_key	m = { .key = 5, .version = 1, .path = BYTES("/a/key.pem") };
	int				fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(write(fd, "x", 1), 1);
	ck_assert_int_eq(keys_add(&keys, &m, fd), 0);
	ck_assert_ptr_null(keys_find(&keys, 5)->pkey);
	ck_assert_str_eq(keys_find(&keys, 5)->error, strerror(EPERM));
}
END_TEST

/* -- what is signed */

static const unsigned	all_schemes[] = {
	0x0101, 0x0201, 0x0203, 0x0301, 0x0303, 0x0401, 0x0402, 0x0403, 0x0501, 0x0503, 0x0601, 0x0603, 0x0704, 0x0804, 0x0805,
	0x0806, 0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x081a, 0, 0xffff,
};

/* The schemes of each kind, in TLS 1.2 and in 1.3. */
static bool
is_scheme(unsigned kind, unsigned scheme, bool tls13)
{
	if (kind == 0)
		return (scheme >= 0x0804 && scheme <= 0x0806) ||
		    (!tls13 && (scheme == 0x0401 || scheme == 0x0501 || scheme == 0x0601));
	if (kind < 4)
		return tls13 ? scheme == material_kinds[kind].tls13 : scheme == 0x0403 || scheme == 0x0503 || scheme == 0x0603;
	return scheme == material_kinds[kind].tls13;
}

static void
sign_each(unsigned kind, struct key *key, EVP_PKEY *public, struct bytes b, bool tls13)
{
	enum sign_refusal	r;
	size_t			i;

	for (i = 0; i < sizeof(all_schemes) / sizeof(all_schemes[0]); i++) {
		r = key_sign(&keys, key, all_schemes[i], b, signature, &len);
		ck_assert_msg(r == (is_scheme(kind, all_schemes[i], tls13) ? SIGN_DONE : SIGN_SCHEME), "%s %d 0x%04x: %d",
		    material_kinds[kind].what, tls13, all_schemes[i], (int)r);
		if (r == SIGN_DONE)
			ck_assert(material_verify(public, all_schemes[i], b, (struct bytes){ (const char *)signature, len }));
	}
}

START_TEST(each_key_has_its_schemes)
{
	EVP_PKEY	*made = material_key((unsigned)_i);
	char		*pem = material_pem(made, FORM_PKCS8, NULL);
	struct key	*key = add(1, 1, pem);
	unsigned	 g;

	for (g = 0; g < 5; g++)
		sign_each((unsigned)_i, key, made, material_tls12(content, g), false);
	sign_each((unsigned)_i, key, made, material_tls13(content, 32), true);
	sign_each((unsigned)_i, key, made, material_tls13(content, 48), true);
	free(pem);
	EVP_PKEY_free(made);
}
END_TEST

/* Of whatever else comes nothing is signed, whichever the scheme. */
START_TEST(nothing_else_is_signed)
{
	EVP_PKEY	*made = material_key((unsigned)_i);
	char		*pem = material_pem(made, FORM_PKCS8, NULL), other[512];
	struct key	*key = add(1, 1, pem);
	struct bytes	 b;
	unsigned	 round;
	size_t		 i;

	for (round = 0; round < 5000; round++) {
		b = (struct bytes){ other, 1 + arc4random_uniform(sizeof(other)) };
		arc4random_buf(other, b.len);
		if (round % 2 == 0) {		/* a good one with one byte too many, or too few */
			b = round % 4 == 0 ? material_tls13(content, round % 8 == 0 ? 32 : 48) : material_tls12(content, round / 4 % 5);
			b.len += round % 3 == 0 ? 1 : (size_t)-1;
		}
		for (i = 0; i < sizeof(all_schemes) / sizeof(all_schemes[0]); i++)
			ck_assert_int_eq(key_sign(&keys, key, all_schemes[i], b, signature, &len), SIGN_CONTENT);
	}
	free(pem);
	EVP_PKEY_free(made);
}
END_TEST

START_TEST(a_key_is_tried_with_its_certificate)
{
	EVP_PKEY	*made = material_key((unsigned)_i), *other = material_key((unsigned)_i);
	char		*pem = material_pem(made, FORM_PKCS8, NULL);
	struct key	*key = add(1, 1, pem);

	ck_assert(!key_try(&keys, key, other));
	ck_assert(key_try(&keys, key, made));
	free(pem);
	EVP_PKEY_free(made);
	EVP_PKEY_free(other);
}
END_TEST

/* Workers may ask for what clients are shown, and nobody for what no document names. */
START_TEST(a_role_has_its_rights)
{
	struct msg_sign	 m = { .id = 1, .key = 1, .scheme = 0x0403, .content = material_tls13(content, 32) };
	EVP_PKEY	*made = material_key(1);
	char		*pem = material_pem(made, FORM_PKCS8, NULL);
	struct signer	 s = { .error = "" };
	int		 role;

	add(1, 1, pem);
	s.keys = keys;
	ck_assert_int_eq(signer_answer(&s, ROLE_WORKER, &m, signature, &len), SIGN_UNKNOWN_KEY);
	keys_find(&keys, 1)->use = TLS_CLIENTS;
	for (role = 0; role < ROLES; role++)
		ck_assert_int_eq(signer_answer(&s, (enum role)role, &m, signature, &len),
		    role == ROLE_WORKER ? SIGN_DONE : SIGN_UNKNOWN_KEY);
	m.key = 2;
	ck_assert_int_eq(signer_answer(&s, ROLE_WORKER, &m, signature, &len), SIGN_UNKNOWN_KEY);
	free(pem);
	EVP_PKEY_free(made);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("signer: keys");
	TCase	*t = tcase_create("keys");
	SRunner	*r;
	int	 failed;

	if (keys_setup(0) < 0)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, each_form_is_read, 0, MATERIAL_KINDS);
	tcase_add_test(t, a_locked_one_wants_its_password);
	tcase_add_loop_test(t, bad_files_say_why, 0, (int)(sizeof(bad_files) / sizeof(bad_files[0])));
	tcase_add_test(t, keys_that_tls_does_not_use);
	tcase_add_test(t, a_password_is_a_first_line);
	tcase_add_test(t, two_versions_are_kept);
	tcase_add_test(t, numbers_rise);
	tcase_add_test(t, passwords_come_behind_their_keys);
	tcase_add_test(t, files_are_sealed);
	tcase_add_loop_test(t, each_key_has_its_schemes, 0, MATERIAL_KINDS);
	tcase_add_loop_test(t, nothing_else_is_signed, 0, MATERIAL_KINDS);
	tcase_add_loop_test(t, a_key_is_tried_with_its_certificate, 0, MATERIAL_KINDS);
	tcase_add_test(t, a_role_has_its_rights);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

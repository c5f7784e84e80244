/* The block tls: what a file and the command line say of it, as the records that the supervisor gets. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include "common/records.h"
#include "supervisor/config/configuration.h"
#include "supervisor/config/suites.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static struct configuration	c;
static struct settings		flags;
static char			*text;

/* What the file and `flags` say together. */
static void
configure(const char *config)
{
	int	fd;

	text = strdup(config);
	ck_assert_int_eq(digest_prepare(), 0);
	ck_assert_int_eq(configuration_init(&c, BYTES("f")), 0);
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
	ck_assert_msg(c.errors.count == 0, "%s: %s", config, c.errors.text);
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

static void
flag(const char *name, const char *value)
{
	const struct setting	*which = setting_find(bytes_of(name));

	ck_assert_ptr_nonnull(which);
	if (which->kind == SETTING_boolean)
		ck_assert_int_eq(setting_set_boolean(&flags, which, strcmp(value, "true") == 0), 0);
	else
		ck_assert_int_eq(setting_set_text(&flags, which, bytes_of(value)), 0);
}

/* Records as text: of the context what the test names, of the others all. */
struct shown { char text[65536]; size_t len; struct msg_tls_context context; char lists[3][SUITES_TEXT]; };

static void
context_take(struct shown *out, const struct msg_tls_context *m)
{
	const struct bytes	lists[] = { m->ciphers, m->suites, m->groups };
	int			i;

	out->context = *m;
	for (i = 0; i < COUNT(lists); i++)
		snprintf(out->lists[i], SUITES_TEXT, "%.*s", (int)lists[i].len, lists[i].data);
	out->len += (size_t)snprintf(out->text + out->len, sizeof(out->text) - out->len, "context %.*s\n",
	    (int)m->at.len, m->at.data);
}

static int
show(void *arg, const struct msg *m)
{
	static const char *const	kinds[] = { "certificate", "key", "password", "authority", "revoked" };
	struct shown			*out = arg;

	if (m->type == MSG_tls_context)
		context_take(out, &m->u.tls_context);
	else if (m->type == MSG_tls_pin)
		out->len += (size_t)snprintf(out->text + out->len, sizeof(out->text) - out->len, "pin %02x..%02x\n",
		    (unsigned char)m->u.tls_pin.digest.data[0], (unsigned char)m->u.tls_pin.digest.data[31]);
	else
		out->len += (size_t)snprintf(out->text + out->len, sizeof(out->text) - out->len, "%s %.*s %.*s\n",
		    kinds[m->u.tls_file.kind], (int)m->u.tls_file.path.len, m->u.tls_file.path.data,
		    (int)m->u.tls_file.at.len, m->u.tls_file.at.data);
	ck_assert_uint_lt(out->len, sizeof(out->text));
	return 0;
}

static struct shown *
document(void)
{
	static struct shown	out;
	msgpack_sbuffer		records;
	const char		*why = "";
	int			rc;

	memset(&out, 0, sizeof(out));
	msgpack_sbuffer_init(&records);
	ck_assert_int_eq(tls_block_write(&c.tls, &c.errors, &records), 0);
	rc = records_each((struct bytes){ records.data, records.size }, ROLE_CONFIG, ROLE_SUPERVISOR, show, &out, &why);
	ck_assert_msg(rc == 0, "%s: %s", strerror(-rc), why);
	msgpack_sbuffer_destroy(&records);
	return &out;
}

#define PAIR	"cert_file: c, key_file: k"
#define PIN	"00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeefe"

static const struct { const char *config, *records; } documents[] = {
	{ "port: 1", "" },
	{ "allow_non_tls: true", "" },
	{ "tls { " PAIR " }", "context f:1:1\ncertificate c f:1:18\nkey k f:1:31\n" },
	/* the order of records is theirs, not that of the file */
	{ "tls {\ncrl_file: r\nca_file: a\nkey_password_file: p\npinned_certs: ['" PIN "']\nkey_file: k\ncert_file: c\nverify: true }",
	  "context f:1:1\npin 00..fe\ncertificate c f:7:12\nkey k f:6:11\npassword p f:4:20\nauthority a f:3:10\nrevoked r f:2:11\n" },
	{ "tls { certs: [{" PAIR ", key_password_file: p},\n{key_file: l, cert_file: d}], ca_file: a }",
	  "context f:1:1\ncertificate c f:1:27\nkey k f:1:40\npassword p f:1:62\ncertificate d f:2:26\nkey l f:2:12\nauthority a f:2:40\n" },
	{ "tls { " PAIR ", ca_file: '', crl_file: '' }", "context f:1:1\ncertificate c f:1:18\nkey k f:1:31\n" },
};

START_TEST(files_are_named_in_their_order)
{
	configure_well(documents[_i].config);
	ck_assert_str_eq(document()->text, documents[_i].records);
	ck_assert_int_eq(c.settings.tls_asked, *documents[_i].records != '\0');
	done();
}
END_TEST

START_TEST(what_is_not_said_is_as_usual)
{
	const struct msg_tls_context	*x;
	struct shown			*out;

	configure_well("tls { " PAIR " }");
	out = document();
	x = &out->context;
	ck_assert_uint_eq(x->use, TLS_CLIENTS);
	ck_assert_uint_eq(x->minimum, 0x0303);
	ck_assert_uint_eq(x->timeout, 2000);
	ck_assert_uint_eq(x->verify + x->map + x->known_urls + x->insecure + x->first + x->fallback + x->rate, 0);
	ck_assert_str_eq(out->lists[0], "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
	    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
	    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
	    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA");
	ck_assert_str_eq(out->lists[1], "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
	ck_assert_ptr_nonnull(strstr(out->lists[2], "X25519:P-256:P-384:P-521"));
	ck_assert_int_eq(strstr(out->lists[2], "MLKEM") != NULL, OpenSSL_version_num() >= 0x30500000ul);
	ck_assert(c.settings.auth_timeout == 3);
	ck_assert(!c.settings.tls_maps_users);
	done();
}
END_TEST

/* One key, one field of the context. */
#define AT(field)	offsetof(struct msg_tls_context, field)
static const struct { const char *key; size_t field; uint64_t value; } keys[] = {
	{ "verify: true, ca_file: a", AT(verify), 1 }, { "verify: false", AT(verify), 0 },
	{ "verify_and_map: true, ca_file: a", AT(verify), 1 }, { "verify_and_map: true, ca_file: a", AT(map), 1 },
	{ "verify_and_map: true, verify: false, ca_file: a", AT(verify), 1 },
	{ "verify: true, verify_and_map: false, ca_file: a", AT(verify), 1 },
	{ "verify: true, ca_file: a", AT(map), 0 },
	{ "insecure: true", AT(insecure), 0 }, { "verify_cert_and_check_known_urls: false", AT(known_urls), 0 },
	{ "min_version: '1.2'", AT(minimum), 0x0303 }, { "min_version: \"1.3\"", AT(minimum), 0x0304 },
	{ "timeout: 5", AT(timeout), 5000 }, { "timeout: 0.25", AT(timeout), 250 }, { "timeout: '1m'", AT(timeout), 60000 },
	{ "timeout: 0", AT(timeout), 2000 }, { "timeout: '1500us'", AT(timeout), 2 }, { "timeout: '24h'", AT(timeout), 86400000 },
	{ "handshake_first: true", AT(first), 1 }, { "handshake_first: true", AT(fallback), 0 },
	{ "handshake_first: 'Off'", AT(first), 0 }, { "handshake_first: 'ON'", AT(first), 1 },
	{ "first: auto", AT(first), 1 }, { "immediate: Auto_Fallback", AT(fallback), 50 },
	{ "handshake_first: '300ms'", AT(first), 1 }, { "handshake_first: '300ms'", AT(fallback), 300 },
	{ "handshake_first: '1ns'", AT(fallback), 1 }, { "handshake_first: '-5s'", AT(fallback), 0 },
	{ "handshake_first: '100h'", AT(fallback), 86400000 },
	{ "connection_rate_limit: 7", AT(rate), 7 }, { "connection_rate_limit: -7", AT(rate), 0 },
	/* a list without a suite of TLS 1.2 is one for TLS 1.3 alone */
	{ "cipher_suites: [TLS_AES_128_GCM_SHA256]", AT(minimum), 0x0304 },
	{ "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", AT(minimum), 0x0303 },
};

START_TEST(a_key_is_a_field_of_the_context)
{
	char		config[512];
	uint64_t	value;

	snprintf(config, sizeof(config), "tls { " PAIR ", %s }", keys[_i].key);
	configure_well(config);
	memcpy(&value, (const char *)&document()->context + keys[_i].field, sizeof(value));
	ck_assert_uint_eq(value, keys[_i].value);
	done();
}
END_TEST

static const struct { const char *key; int list; const char *value; } lists[] = {
	{ "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", 0,
	  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384" },
	{ "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]", 1,
	  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256" },
	{ "cipher_suites: [TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]", 1, "TLS_CHACHA20_POLY1305_SHA256" },
	{ "cipher_suites: [TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]", 0, "ECDHE-RSA-AES256-SHA" },
	{ "allow_insecure_cipher_suites: yes, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256]", 0, "ECDHE-RSA-AES128-SHA256" },
	{ "curve_preferences: [CurveP521, X25519]", 2, "X25519:P-521" },
	{ "curve_preferences: [CurveP384]", 2, "P-384" },
};

START_TEST(names_are_those_of_openssl_in_the_order_of_preference)
{
	char	config[512];

	snprintf(config, sizeof(config), "tls { " PAIR ", %s }", lists[_i].key);
	configure_well(config);
	ck_assert_str_eq(document()->lists[lists[_i].list], lists[_i].value);
	done();
}
END_TEST

static const struct { const char *config, *said; } wrong[] = {
	{ "tls { cert_file: c }", "f:1:18: missing key_file beside cert_file" },
	{ "tls { key_file: k }", "f:1:17: missing cert_file beside key_file" },
	{ "tls {}", "f:1:1: tls: expected cert_file and key_file, or certs" },
	{ "tls { certs: [] }", "f:1:1: tls: expected cert_file and key_file, or certs" },
	{ "tls { " PAIR ", certs: [{" PAIR "}] }", "f:1:18: found cert_file and certs, expected one of them" },
	{ "tls { certs: [{" PAIR "}], key_password_file: p }",
	  "f:1:64: found key_password_file beside certs, expected it in their entries" },
	{ "tls { certs: [{cert_file: c}] }", "f:1:15: certs: expected both cert_file and key_file in each entry" },
	{ "tls { certs: [1] }", "f:1:15: found a whole number, expected a block {...} for an entry of certs" },
	{ "tls { " PAIR ", verify: true }", "f:1:1: verify: expected ca_file too, the authorities whose certificates are let in; "
	  "those of the host are not taken" },
	{ "tls { " PAIR ", first: on, handshake_first: on }", "f:1:45: handshake_first was said already in this block" },
	{ "tls { " PAIR ", timeout: -1 }", "f:1:43: \"timeout\": found -1, expected seconds, or a duration as \"2s\"" },
	{ "tls { " PAIR ", timeout: '25h' }", "f:1:43: \"timeout\": found \"25h\", expected 0.001 to 86400 seconds" },
	{ "tls { " PAIR ", pinned_certs: [\"\\x100112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeef\"] }",
	  "f:1:49: pinned_certs: found \"\\x100112233445566778899AABBCCDDEEFF00112233445566778899aabbccd...\", expected SHA-256 of a "
	  "SubjectPublicKeyInfo, 64 hexadecimal digits; put it in quotes" },
	{ "tls { " PAIR ", pinned_certs: ['g0112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeefe'] }",
	  "f:1:49: pinned_certs: found \"g0112233445566778899AABBCCDDEEFF00112233445566778899aabbccddee...\", expected SHA-256 of a "
	  "SubjectPublicKeyInfo, 64 hexadecimal digits; put it in quotes" },
	{ "tls { " PAIR ", cipher_suites: [\nTLS_AES_128_GCM_SHA256\nTLS_RSA_WITH_AES_128_CBC_SHA\nTLS_ECDHE_RSA_WITH_RC4_128_SHA] }",
	  "f:3:1: insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: "
	  "TLS_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_RC4_128_SHA" },
	{ "tls { " PAIR ", allow_insecure_cipher_suites: on, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA] }",
	  "f:1:84: cipher_suites: found TLS_RSA_WITH_AES_128_CBC_SHA, expected one with ECDHE: without it whoever gets the key "
	  "can read all that was recorded" },
	{ "tls { " PAIR ", allow_insecure_cipher_suites: on, cipher_suites: [TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA] }",
	  "f:1:84: cipher_suites: found TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, expected one with AES or ChaCha20: its cipher is broken, "
	  "and OpenSSL does not have it" },
	{ "tls { " PAIR ", verify_cert_and_check_known_urls: true, ca_file: a }",
	  "f:1:34: verify_cert_and_check_known_urls: clients have no URLs that are known, expected verify" },
	{ "tls { " PAIR ", min_version: '1.1' }", "f:1:47: min_version: unsupported TLS version \"1.1\", expected \"1.2\" or \"1.3\"" },
	{ "tls { " PAIR ", cert_store: x }", "f:1:34: cert_store: there is one on Windows only, expected cert_file and key_file" },
	{ "tls { " PAIR ", ocsp_peer: true }", "f:1:34: ocsp_peer: this version does not have OCSP yet" },
	{ "tls { " PAIR " }\nTLS { " PAIR " }", "f:2:1: tls was said already in line 1" },
	{ "tls { cert_file: \"a\\x00b\", key_file: k }",
	  "f:1:18: cert_file: expected text of at most 4096 bytes without NUL bytes" },
};

START_TEST(what_is_wrong_is_told_with_its_place)
{
	configure(wrong[_i].config);
	ck_assert_str_eq(c.errors.text, wrong[_i].said);
	done();
}
END_TEST

/* -- the command line */

START_TEST(flags_take_the_place_of_files_and_verify)
{
	struct shown	*out;

	flag("flag_tlscert", "C");
	flag("flag_tlskey", "K");
	configure_well("tls { certs: [{" PAIR "}], ca_file: a, crl_file: r, verify: true, timeout: 7, min_version: '1.3' }");
	out = document();
	ck_assert_str_eq(out->text, "context f:1:1\ncertificate C the command line\nkey K the command line\nrevoked r f:1:67\n");
	ck_assert_uint_eq(out->context.verify, 0);
	ck_assert_uint_eq(out->context.timeout, 7000);
	ck_assert_uint_eq(out->context.minimum, 0x0304);
	ck_assert(c.settings.auth_timeout == 8);
	done();
}
END_TEST

START_TEST(flags_alone_are_a_block)
{
	flag("flag_tlsverify", "true");
	flag("flag_tlscert", "C");
	flag("flag_tlskey", "K");
	flag("flag_tlscacert", "A");
	configure_well("port: 1");
	ck_assert_str_eq(document()->text, "context the command line\ncertificate C the command line\nkey K the command line\n"
	    "authority A the command line\n");
	ck_assert_uint_eq(document()->context.verify, 1);
	ck_assert(!c.settings.has_flag_tls && !c.settings.has_flag_tlsverify && !c.settings.has_flag_tlscert &&
	    !c.settings.has_flag_tlskey && !c.settings.has_flag_tlscacert);
	done();
}
END_TEST

/* Users are named by certificates: that they are asked for is not undone by flags. */
START_TEST(flags_do_not_undo_what_names_users)
{
	flag("flag_tlscert", "C");
	flag("flag_tlskey", "K");
	flag("flag_tlscacert", "A");
	configure_well("tls { " PAIR ", verify_and_map: true, ca_file: a }");
	ck_assert_uint_eq(document()->context.verify, 1);
	ck_assert_uint_eq(document()->context.map, 1);
	done();
}
END_TEST

START_TEST(a_flag_turns_it_off)
{
	flag("flag_tls", "false");
	flag("flag_tlscert", "C");
	configure_well("tls { " PAIR " }");
	ck_assert_str_eq(document()->text, "");
	ck_assert(!c.settings.tls_asked);
	ck_assert(c.settings.auth_timeout == 2);
	done();
}
END_TEST

static const struct { const char *name, *value, *said; } missing[] = {
	{ "flag_tls", "true", "the command line: TLS Server certificate must be present and valid: expected --tlscert" },
	{ "flag_tlskey", "K", "the command line: TLS Server certificate must be present and valid: expected --tlscert" },
	{ "flag_tlscert", "C", "the command line: TLS Server private key must be present and valid: expected --tlskey" },
};

START_TEST(flags_that_are_not_enough_are_refused)
{
	flag(missing[_i].name, missing[_i].value);
	configure("tls { " PAIR " }");
	ck_assert_str_eq(c.errors.text, missing[_i].said);
	done();
}
END_TEST

/* -- what follows for others */

static const struct { const char *config; bool maps; } maps[] = {
	{ "authorization { users: [{user: a}] }", true },
	{ "accounts { A { users: [{user: a}] } }", true },
	{ "authorization { user: a, password: b }", false },
	{ "authorization { token: b }", false },
	{ "authorization { users: [{nkey: UCR2VMNYX7DM3VG34LU7B576AUGBGGRBFAXTMPKEJNJFSYDHNZ2XZE4Z}] }", false },
	{ "port: 1", false },
};

START_TEST(certificates_name_users_of_lists)
{
	char	config[512];

	snprintf(config, sizeof(config), "tls { " PAIR ", verify_and_map: true, ca_file: a }\n%s", maps[_i].config);
	configure_well(config);
	ck_assert_int_eq(c.settings.tls_maps_users, maps[_i].maps);
	done();
}
END_TEST

START_TEST(a_timeout_for_logins_that_is_said_stays)
{
	configure_well("tls { " PAIR ", timeout: 5 }\nauthorization { timeout: 1, users: [] }");
	ck_assert(c.settings.auth_timeout == 1);
	done();
	configure_well("tls { " PAIR ", timeout: 86400 }");
	ck_assert(c.settings.auth_timeout == 86400);
	done();
}
END_TEST

/* A path of a configuration that is as long as can be, and one with a line end. */
START_TEST(a_place_fits_its_record)
{
	static char	path[8000];

	memset(path, 'x', sizeof(path) - 1);
	path[1] = '\n';
	configure_well("tls { " PAIR " }");
	c.errors.path = bytes_of(path);
	ck_assert_mem_eq(document()->text, "context x?xxx", 13);
	ck_assert_ptr_nonnull(strstr(document()->text, "xxx:1:18\n"));
	done();
}
END_TEST

static Suite *
tls_suite(void)
{
	Suite	*s = suite_create("tls");
	TCase	*t = tcase_create("tls");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, files_are_named_in_their_order, 0, COUNT(documents));
	tcase_add_test(t, what_is_not_said_is_as_usual);
	tcase_add_loop_test(t, a_key_is_a_field_of_the_context, 0, COUNT(keys));
	tcase_add_loop_test(t, names_are_those_of_openssl_in_the_order_of_preference, 0, COUNT(lists));
	tcase_add_loop_test(t, what_is_wrong_is_told_with_its_place, 0, COUNT(wrong));
	tcase_add_test(t, flags_take_the_place_of_files_and_verify);
	tcase_add_test(t, flags_alone_are_a_block);
	tcase_add_test(t, flags_do_not_undo_what_names_users);
	tcase_add_test(t, a_flag_turns_it_off);
	tcase_add_loop_test(t, flags_that_are_not_enough_are_refused, 0, COUNT(missing));
	tcase_add_loop_test(t, certificates_name_users_of_lists, 0, COUNT(maps));
	tcase_add_test(t, a_timeout_for_logins_that_is_said_stays);
	tcase_add_test(t, a_place_fits_its_record);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner	*r = srunner_create(tls_suite());
	int	failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

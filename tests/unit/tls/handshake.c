/*
 * Who is let in, how, and what both sides then have in common; who is not, and what is said of it.
 */
#include <fnmatch.h>
#include "rig.h"
#include "tls/failure.h"

static const struct rig_make	authority_make = { .subject = "/O=Test/CN=ca", .authority = true };
static const struct rig_make	server_make = { .subject = "/CN=localhost", .names = "DNS:localhost" };
static const struct rig_make	client_default = { .subject = "/O=Test/CN=client", .names = "email:a@b.c",
					    .usage = "clientAuth" };
static struct rig		r;
static struct identity		authority, own, client;

static void
setup(void)
{
	rig_init(&r);
	authority = identity_make(EC_P256, &authority_make, NULL);
	own = identity_make(EC_P256, &server_make, &authority);
	client = identity_make(EC_P256, &client_default, &authority);
}

static void
teardown(void)
{
	identity_free(&authority);
	identity_free(&own);
	identity_free(&client);
	rig_free(&r);
}

static void
verify_all(void)
{
	document_context(&r, true, TLS1_2_VERSION);
	document_certificate(&r, &own);
	document_authority(&r, authority.certificate);
	document_use(&r);
}

static void
let_in_all(void)
{
	document_context(&r, false, TLS1_2_VERSION);
	document_certificate(&r, &own);
	document_use(&r);
}

/* Kind of key x version x with a certificate or not. */
START_TEST(every_kind_of_key_in_both_versions)
{
	const enum rig_kind	 kind = (enum rig_kind)(_i / 4);
	const int		 version = _i / 2 % 2 != 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
	const bool		 verify = _i % 2 != 0;
	struct identity		 i = identity_make(kind, &server_make, &authority);
	SSL_CTX			*c = client_make(&client, version);
	struct pair		 p;
	X509			*x;

	X509_STORE_add_cert(SSL_CTX_get_cert_store(c), authority.certificate);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	document_context(&r, verify, TLS1_2_VERSION);
	document_certificate(&r, &i);
	document_authority(&r, authority.certificate);
	document_use(&r);
	pair_init(&p, &r, c);
	ck_assert_str_eq(tls_version(p.server), "");
	ck_assert_msg(pair_shake(&p, &r) == 0, "%s", tls_error(p.server));
	ck_assert(tls_established(p.server));
	ck_assert_str_eq(tls_version(p.server), version == TLS1_3_VERSION ? "1.3" : "1.2");
	ck_assert_str_eq(tls_cipher(p.server), version == TLS1_3_VERSION ? "TLS_AES_128_GCM_SHA256" :
	    kind == RSA_2048 ? "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" : "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
	x = tls_peer(p.server);
	ck_assert_int_eq(x != NULL, verify);
	X509_free(x);
	ck_assert_uint_eq(r.signer.asked, 1);
	pair_talk(&p);
	pair_free(&p);
	SSL_CTX_free(c);
	identity_free(&i);
}
END_TEST

/* One who is not let in: what it shows, and what is said. */
static void
refused(const struct identity *shown, int version, const char *why)
{
	SSL_CTX		*c = client_make(shown, version);
	struct pair	 p;

	pair_init(&p, &r, c);
	ck_assert_int_eq(pair_shake(&p, &r), -EPROTO);
	ck_assert_msg(fnmatch(why, tls_error(p.server), 0) == 0, "%s, not %s", tls_error(p.server), why);
	ck_assert(!tls_established(p.server));
	ck_assert(p.client_failed);
	ck_assert_int_eq(tls_handshake(p.server), -EPROTO);
	pair_free(&p);
	SSL_CTX_free(c);
}

START_TEST(who_shows_no_certificate_or_a_bad_one)
{
	static const struct { struct rig_make make; bool stranger; const char *why; } cases[] = {
		{ { .subject = "/CN=a", .from = -200, .until = -100 }, false,
		    "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2*Z is after 2*Z (CN=a SHA-256: *)" },
		{ { .subject = "/CN=a", .from = 1000, .until = 2000 }, false,
		    "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2*Z is before 2*Z (CN=a SHA-256: *)" },
		{ { .subject = "/CN=a" }, true,
		    "tls: failed to verify certificate: x509: certificate signed by unknown authority (CN=a SHA-256: *)" },
		{ { .subject = "/CN=a", .usage = "serverAuth" }, false,
		    "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage (CN=a SHA-256: *)" },
	};
	const int	version = _i % 2 != 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
	struct identity	i;
	size_t		k;

	verify_all();
	refused(NULL, version, "tls: client didn't provide a certificate");
	for (k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		i = identity_make(EC_P256, &cases[k].make, cases[k].stranger ? NULL : &authority);
		refused(&i, version, cases[k].why);
		identity_free(&i);
	}
}
END_TEST

/* Nobody is blamed for what is our own fault. */
START_TEST(failures_of_our_own)
{
	static const struct { int lib, reason; const char *text; } cases[] = {
		{ ERR_LIB_SSL, ERR_R_MALLOC_FAILURE, "no memory" },
		{ ERR_LIB_EVP, ERR_R_MALLOC_FAILURE, "no memory" },
		{ ERR_LIB_SSL, ERR_R_INTERNAL_ERROR, "tls: internal error" },
		{ ERR_LIB_SSL, SSL_AD_REASON_OFFSET + 40, "remote error: tls: handshake failure" },
	};
	SSL_CTX	*c = client_make(NULL, TLS1_3_VERSION);
	SSL	*ssl = SSL_new(c);
	char	 text[FAILURE_TEXT];

	ERR_clear_error();
	ERR_raise(ERR_LIB_SSL, ERR_R_PASSED_NULL_PARAMETER);
	ERR_raise(cases[_i].lib, cases[_i].reason);
	if (_i >= 2)
		(void)ERR_get_error();
	failure_text(ssl, text);
	ck_assert_str_eq(text, cases[_i].text);
	ck_assert_uint_eq(ERR_peek_error(), 0);
	SSL_free(ssl);
	SSL_CTX_free(c);
}
END_TEST

START_TEST(versions_below_the_minimum_are_refused)
{
	document_context(&r, false, TLS1_3_VERSION);
	document_certificate(&r, &own);
	document_use(&r);
	refused(NULL, TLS1_2_VERSION, "tls: client offered only unsupported versions");
}
END_TEST

START_TEST(only_pinned_certificates_are_let_in)
{
	uint8_t		 digest[32], *der = NULL;
	const int	 len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(client.certificate), &der);
	struct identity	 other = identity_make(EC_P256, &client_default, &authority);
	SSL_CTX		*c = client_make(&client, TLS1_3_VERSION), *d = client_make(&other, TLS1_3_VERSION);
	struct pair	 p;

	EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	document_context(&r, true, TLS1_2_VERSION);
	document_add(&r, (struct msg){ .type = MSG_tls_pin, .u.tls_pin = { .digest = { (char *)digest, 32 } } });
	document_certificate(&r, &own);
	document_authority(&r, authority.certificate);
	document_use(&r);
	pair_init(&p, &r, c);
	ck_assert_int_eq(pair_shake(&p, &r), 0);
	pair_talk(&p);
	pair_free(&p);
	pair_init(&p, &r, d);
	ck_assert_int_eq(pair_shake(&p, &r), -EPROTO);
	ck_assert_str_eq(tls_error(p.server), "certificate not pinned");
	pair_free(&p);
	SSL_CTX_free(c);
	SSL_CTX_free(d);
	identity_free(&other);
}
END_TEST

/* A list in which the client stands, or nobody. As PEM; the caller's. */
static struct bytes
revocation_make(const X509 *revoked)
{
	X509_CRL	*list = X509_CRL_new();
	X509_REVOKED	*one;
	ASN1_TIME	*t = ASN1_TIME_new();
	BIO		*bio = BIO_new(BIO_s_mem());
	char		*data, *copy;
	long		 len;

	X509_CRL_set_version(list, 1);
	X509_CRL_set_issuer_name(list, X509_get_subject_name(authority.certificate));
	X509_CRL_set1_lastUpdate(list, X509_gmtime_adj(t, -100));
	if (revoked != NULL) {
		one = X509_REVOKED_new();
		X509_REVOKED_set_serialNumber(one, (ASN1_INTEGER *)(uintptr_t)X509_get0_serialNumber(revoked));
		X509_REVOKED_set_revocationDate(one, t);
		X509_CRL_add0_revoked(list, one);
	}
	X509_CRL_set1_nextUpdate(list, X509_gmtime_adj(t, 1000));
	X509_CRL_sign(list, authority.key, EVP_sha256());
	PEM_write_bio_X509_CRL(bio, list);
	len = BIO_get_mem_data(bio, &data);
	copy = malloc((size_t)len);
	memcpy(copy, data, (size_t)len);
	BIO_free(bio);
	ASN1_TIME_free(t);
	X509_CRL_free(list);
	return (struct bytes){ copy, (size_t)len };
}

/* In two parts. */
static void
document_revoked(struct bytes pem)
{
	const size_t	half = pem.len / 2;

	document_add(&r, (struct msg){ .type = MSG_tls_revoked, .u.tls_revoked = { .path = BYTES("/crl.pem"),
	    .part = { pem.data, half } } });
	document_add(&r, (struct msg){ .type = MSG_tls_revoked, .u.tls_revoked = { .path = BYTES("/crl.pem"),
	    .last = 1, .part = { pem.data + half, pem.len - half } } });
	free((void *)(uintptr_t)pem.data);
}

START_TEST(revoked_certificates_are_not_let_in)
{
	SSL_CTX		*c = client_make(&client, TLS1_3_VERSION);
	struct pair	 p;
	int		 i;

	for (i = 0; i < 2; i++) {
		document_context(&r, true, TLS1_2_VERSION);
		document_certificate(&r, &own);
		document_authority(&r, authority.certificate);
		document_revoked(revocation_make(i == 0 ? NULL : client.certificate));
		document_use(&r);
		pair_init(&p, &r, c);
		ck_assert_int_eq(pair_shake(&p, &r), i == 0 ? 0 : -EPROTO);
		if (i == 1)
			ck_assert_int_eq(fnmatch("tls: failed to verify certificate: x509: certificate is revoked (CN=*)", tls_error(p.server), 0), 0);
		pair_free(&p);
	}
	SSL_CTX_free(c);
}
END_TEST

/* -- sessions */

static SSL_SESSION	*kept;

static int
session_keep(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

static void
ticket_keys_set(char fill, size_t count)
{
	char	keys[TICKET_KEY * 3];
	size_t	i;

	for (i = 0; i < count; i++)
		memset(keys + i * TICKET_KEY, fill - (char)i, TICKET_KEY);
	tls_tickets_set(&r.tickets, (struct bytes){ keys, count * TICKET_KEY });
}

/* One connection, with the session kept from the one before. Was it resumed? */
static bool
connect_again(SSL_CTX *c, int expected)
{
	struct pair	p;
	bool		resumed;

	pair_init(&p, &r, c);
	if (kept != NULL)
		SSL_set_session(p.client, kept);
	ck_assert_msg(pair_shake(&p, &r) == expected, "%d %s", p.rc, tls_error(p.server));
	resumed = tls_resumed(p.server);
	ck_assert(expected != 0 || resumed == (SSL_session_reused(p.client) == 1));
	if (expected == 0)
		pair_talk(&p);
	pair_free(&p);
	return resumed;
}

static SSL_CTX *
resuming_client(const struct identity *shown, int version)
{
	SSL_CTX	*c = client_make(shown, version);

	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c, session_keep);
	return c;
}

START_TEST(sessions_are_resumed_while_their_key_is_there)
{
	SSL_CTX	*c = resuming_client(&client, _i != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	size_t	 asked;

	ticket_keys_set('b', 1);
	verify_all();
	ck_assert(!connect_again(c, 0));
	ck_assert_ptr_nonnull(kept);
	asked = r.signer.asked;
	ck_assert(connect_again(c, 0));
	ck_assert_uint_eq(r.signer.asked, asked);
	verify_all();			/* a reload that changes nothing of it */
	ck_assert(connect_again(c, 0));
	ticket_keys_set('c', 2);	/* a new key, and the one before */
	ck_assert(connect_again(c, 0));
	ticket_keys_set('z', 1);
	ck_assert(!connect_again(c, 0));
	r.tickets.count = 0;
	ck_assert(!connect_again(c, 0));
	SSL_SESSION_free(kept);
	kept = NULL;
	SSL_CTX_free(c);
}
END_TEST

START_TEST(sessions_of_others_authorities_are_not_resumed)
{
	struct identity	 second = identity_make(EC_P256, &authority_make, NULL);
	SSL_CTX		*c = resuming_client(&client, _i != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);

	ticket_keys_set('b', 1);
	verify_all();
	ck_assert(!connect_again(c, 0));
	document_context(&r, true, TLS1_2_VERSION);
	document_certificate(&r, &own);
	document_authority(&r, second.certificate);
	document_use(&r);
	ck_assert(!connect_again(c, -EPROTO));
	SSL_SESSION_free(kept);
	kept = NULL;
	SSL_CTX_free(c);
	identity_free(&second);
}
END_TEST

START_TEST(a_session_ends_with_its_certificate)
{
	const struct rig_make	 brief = { .subject = "/CN=brief", .from = -100, .until = 3 };
	struct identity		 i = identity_make(EC_P256, &brief, &authority);
	SSL_CTX			*c = resuming_client(&i, _i != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);

	ticket_keys_set('b', 1);
	verify_all();
	ck_assert(!connect_again(c, 0));
	while (X509_cmp_current_time(X509_get0_notAfter(i.certificate)) > 0)
		usleep(10000);
	ck_assert(!connect_again(c, -EPROTO));
	SSL_SESSION_free(kept);
	kept = NULL;
	SSL_CTX_free(c);
	identity_free(&i);
}
END_TEST

/* -- several certificates */

static void
shown_for(const char *name, const char *schemes, const struct identity *expected)
{
	SSL_CTX		*c = client_make(NULL, TLS1_3_VERSION);
	struct pair	 p;
	X509		*x;

	pair_init(&p, &r, c);
	if (name != NULL)
		SSL_set_tlsext_host_name(p.client, name);
	if (schemes != NULL)
		ck_assert_int_eq(SSL_set1_sigalgs_list(p.client, schemes), 1);
	ck_assert_msg(pair_shake(&p, &r) == 0, "%s", tls_error(p.server));
	x = SSL_get1_peer_certificate(p.client);
	ck_assert_int_eq(X509_cmp(x, expected->certificate), 0);
	X509_free(x);
	pair_talk(&p);
	pair_free(&p);
	SSL_CTX_free(c);
}

START_TEST(the_certificate_fits_the_name_and_the_client)
{
	const struct rig_make	 second_make = { .subject = "/CN=second.example", .names = "DNS:second.example,DNS:*.wild.example" };
	struct identity		 second = identity_make(EC_P256, &second_make, &authority);
	struct identity		 third = identity_make(RSA_2048, &second_make, &authority);

	document_context(&r, false, TLS1_2_VERSION);
	document_certificate(&r, &own);
	document_certificate(&r, &second);
	document_certificate(&r, &third);
	document_use(&r);
	shown_for(NULL, NULL, &own);
	shown_for("localhost", NULL, &own);
	shown_for("second.example", NULL, &second);
	shown_for("a.wild.example", NULL, &second);
	shown_for("second.example", "RSA-PSS+SHA256", &third);
	shown_for("nobody.example", NULL, &own);
	identity_free(&second);
	identity_free(&third);
}
END_TEST

/* -- what is no handshake */

/* These bytes, cut there, instead of a client. */
static int
offer(const char *data, size_t len, bool hang_up, char *error, size_t size)
{
	struct pair	p;
	int		rc;

	pair_init(&p, &r, NULL);
	ck_assert_int_eq(write(p.fds[1], data, len), (ssize_t)len);
	if (hang_up)
		shutdown(p.fds[1], SHUT_WR);
	rc = tls_handshake(p.server);
	for (int i = 0; i < 20 && rc == -EAGAIN && hang_up; i++)
		rc = tls_handshake(p.server);
	snprintf(error, size, "%s", rc == -EPROTO || rc == -ECONNRESET ? tls_error(p.server) : "");
	pair_free(&p);
	return rc;
}

START_TEST(garbage_is_refused_at_once)
{
	static const char *const	first[] = { "CONNECT {\"verbose\":false}\r\n", "GET / HTTP/1.1\r\n\r\n", "PING\r\n",
		"\x80\x2e\x01\x00\x02", "\x16\x16\x16\x16\x16\x16\x16" };
	char				error[256];
	size_t				i;

	let_in_all();
	for (i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		ck_assert_int_eq(offer(first[i], strlen(first[i]), false, error, sizeof(error)), -EPROTO);
		ck_assert_str_eq(error, i == 3 ? "tls: unsupported SSLv2 handshake received" :
		    "tls: first record does not look like a TLS handshake");
	}
	ck_assert_int_eq(offer("", 0, true, error, sizeof(error)), -ECONNRESET);
	ck_assert_str_eq(error, "EOF");
	ck_assert_int_eq(offer("\x15\x03\x01\x00\x02\x02\x30", 7, false, error, sizeof(error)), -EPROTO);
	ck_assert_int_eq(offer("\x16\x03\x01\xff\xff", 5, false, error, sizeof(error)), -EPROTO);
}
END_TEST

START_TEST(an_alert_of_the_client_is_told)
{
	SSL_CTX		*c = client_make(NULL, _i != 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	struct pair	 p;

	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);	/* and it knows no authority */
	let_in_all();
	pair_init(&p, &r, c);
	ck_assert_int_eq(pair_shake(&p, &r), -EPROTO);
	ck_assert_str_eq(tls_error(p.server), "remote error: tls: unknown certificate authority");
	pair_free(&p);
	SSL_CTX_free(c);
}
END_TEST

/* A ClientHello that ends at each of its bytes, then with the end of the connection. */
START_TEST(a_handshake_may_end_anywhere)
{
	SSL_CTX		*c = client_make(NULL, TLS1_3_VERSION);
	SSL		*ssl = SSL_new(c);
	BIO		*out = BIO_new(BIO_s_mem());
	char		*data, error[256];
	long		 len, i;

	let_in_all();
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
	SSL_set_connect_state(ssl);
	(void)SSL_do_handshake(ssl);
	len = BIO_get_mem_data(out, &data);
	ck_assert_int_gt(len, 100);
	for (i = 0; i < len; i++) {
		ck_assert_int_eq(offer(data, (size_t)i, false, error, sizeof(error)), -EAGAIN);
		ck_assert_int_eq(offer(data, (size_t)i, true, error, sizeof(error)), -ECONNRESET);
	}
	ck_assert_int_eq(offer(data, (size_t)len, false, error, sizeof(error)), -EINPROGRESS);
	SSL_free(ssl);
	SSL_CTX_free(c);
}
END_TEST

START_TEST(nobody_negotiates_again)
{
	SSL_CTX		*c = client_make(NULL, TLS1_2_VERSION);
	struct pair	 p;
	char		 data[16];
	int		 i;

	let_in_all();
	pair_init(&p, &r, c);
	ck_assert_int_eq(pair_shake(&p, &r), 0);
	pair_talk(&p);
	ck_assert_int_eq(SSL_renegotiate(p.client), 1);
	for (i = 0; i < 10; i++) {
		(void)SSL_do_handshake(p.client);
		ck_assert_int_eq(tls_read(p.server, data, sizeof(data)), -1);
		ck_assert(errno == EAGAIN || i > 0);
	}
	ck_assert_str_eq(tls_error(p.server), "remote error: tls: handshake failure");	/* it does not like to be told no */
	ck_assert_uint_eq(r.signer.asked, 1);
	ck_assert_int_ne(SSL_do_handshake(p.client), 1);
	pair_free(&p);
	SSL_CTX_free(c);
}
END_TEST

/* -- documents */

START_TEST(a_document_is_refused_with_its_file)
{
	char	error[512];

	document_context(&r, false, TLS1_2_VERSION);
	document_add(&r, (struct msg){ .type = MSG_tls_certificate, .u.tls_certificate = { .key = 1,
	    .path = BYTES("/a/b.pem"), .chain = BYTES("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") } });
	ck_assert_int_eq(document_read(&r, error, sizeof(error)), -EINVAL);
	ck_assert_msg(strncmp(error, "/a/b.pem: not a certificate", 27) == 0, "%s", error);
	document_context(&r, false, TLS1_2_VERSION);
	ck_assert_int_ne(document_read(&r, error, sizeof(error)), 0);
	r.document.size = 0;
	document_add(&r, (struct msg){ .type = MSG_tls_context, .u.tls_context = { .use = TLS_CLIENTS, .at = BYTES("c:1:2"),
	    .minimum = TLS1_2_VERSION, .timeout = 1, .ciphers = BYTES("nonsense") } });
	ck_assert_int_eq(document_read(&r, error, sizeof(error)), -EINVAL);
	ck_assert_msg(strncmp(error, "c:1:2: unusable cipher suites", 29) == 0, "%s", error);
	ck_assert_ptr_null(r.context);
	r.document.size = 0;
	ck_assert_int_eq(document_read(&r, error, sizeof(error)), 0);
	ck_assert_ptr_null(r.context);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("tls/handshake");
	TCase	*t = tcase_create("handshake");
	SRunner	*sr = srunner_create(s);
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, every_kind_of_key_in_both_versions, 0, RIG_KINDS * 4);
	tcase_add_loop_test(t, who_shows_no_certificate_or_a_bad_one, 0, 2);
	tcase_add_loop_test(t, failures_of_our_own, 0, 4);
	tcase_add_test(t, versions_below_the_minimum_are_refused);
	tcase_add_test(t, only_pinned_certificates_are_let_in);
	tcase_add_test(t, revoked_certificates_are_not_let_in);
	tcase_add_loop_test(t, sessions_are_resumed_while_their_key_is_there, 0, 2);
	tcase_add_loop_test(t, sessions_of_others_authorities_are_not_resumed, 0, 2);
	tcase_add_loop_test(t, a_session_ends_with_its_certificate, 0, 2);
	tcase_add_test(t, the_certificate_fits_the_name_and_the_client);
	tcase_add_test(t, garbage_is_refused_at_once);
	tcase_add_loop_test(t, an_alert_of_the_client_is_told, 0, 2);
	tcase_add_test(t, a_handshake_may_end_anywhere);
	tcase_add_test(t, nobody_negotiates_again);
	tcase_add_test(t, a_document_is_refused_with_its_file);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

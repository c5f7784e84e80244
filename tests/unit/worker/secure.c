/* What a worker does about TLS beside the handshakes themselves (tests/integration/test_tls.py, tests/unit/tls). */
#include <openssl/pem.h>
#include <check.h>
#include "tests/unit/worker/rig.h"
#include "worker/reload.h"
#include "worker/secure.h"

static struct rig	 rig;

static void
setup(void)
{
	rig_prepare(&rig);
	rig_start(&rig);
}

static void
teardown(void)
{
	rig_free(&rig);
}

static void
signer_comes(int *signer)
{
	const struct msg	 m = { .type = MSG_signer_channel };
	int			 fds[2];

	ck_assert_int_eq(channel_pair(fds), 0);
	ck_assert_int_eq(channel_send(&rig.supervisor, &m, &fds[0]), 0);
	close(fds[0]);
	*signer = fds[1];
	while (rig.w.signing.channel.fd == -1)
		rig_turn(&rig);
}

/* Each channel that breaks is told once, and the next one is taken. */
START_TEST(a_signer_that_goes_is_asked_for)
{
	int	signer;

	for (unsigned i = 1; i <= 3; i++) {
		signer_comes(&signer);
		ck_assert_uint_eq(rig.signer_lost, i - 1);
		close(signer);
		while (rig.signer_lost < i)
			rig_wait(&rig);
		ck_assert_int_eq(rig.w.signing.channel.fd, -1);
	}
}
END_TEST

/* A document that cannot be read is refused with a sentence, and leaves what there was. */
START_TEST(a_bad_document_is_refused)
{
	static const char	 garbage[] = "\xc1 no records";
	msgpack_sbuffer		 all;
	const char		*why;

	msgpack_sbuffer_init(&all);
	ck_assert_int_eq(msgpack_sbuffer_write(&all, garbage, sizeof(garbage)), 0);
	close(rig.child.next_tls);
	rig.child.next_tls = records_seal(&all);
	msgpack_sbuffer_destroy(&all);
	ck_assert_int_ge(rig.child.next_tls, 0);
	why = worker_check(&rig.child, &rig.child.settings);
	ck_assert_ptr_nonnull(why);
	ck_assert_str_ne(why, "");
	ck_assert_ptr_null(rig.w.tls);
	ck_assert_ptr_null(rig.w.next_tls);
}
END_TEST

/* Without TLS a client has no more than a pointer for it. */
START_TEST(a_client_without_it_has_none)
{
	int	 fd = rig_connect(&rig, REFUSE_NOTHING);
	char	 got[4096];

	rig_say(&rig, fd, "PING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_ptr_null(rig.w.clients[0]->secure);
	ck_assert_int_eq(client_record(rig.w.clients[0])->secure, 0);
	close(fd);
}
END_TEST

/* A certificate that signs itself, as PEM in room. */
static struct bytes
certificate(char *room, size_t size)
{
	EVP_PKEY	*key = EVP_EC_gen("P-256");
	X509		*x = X509_new();
	BIO		*bio = BIO_new(BIO_s_mem());
	int		 n;

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	ck_assert_int_eq(X509_set_pubkey(x, key), 1);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_bio_X509(bio, x), 1);
	n = BIO_read(bio, room, (int)size);
	ck_assert_int_gt(n, 0);
	BIO_free(bio);
	X509_free(x);
	EVP_PKEY_free(key);
	return (struct bytes){ room, (size_t)n };
}

/* Its TLS document, before it is started. */
static void
document(void)
{
	char		room[4096];
	const struct msg context = { .type = MSG_tls_context, .u.tls_context = { .use = TLS_CLIENTS,
			    .at = BYTES("a.conf:1:1"), .minimum = TLS1_2_VERSION, .timeout = 60000 } };
	const struct msg pair = { .type = MSG_tls_certificate, .u.tls_certificate = { .key = 1,
			    .path = BYTES("/own.pem"), .chain = certificate(room, sizeof(room)) } };
	msgpack_sbuffer	all;

	msgpack_sbuffer_init(&all);
	ck_assert_int_eq(records_add(&all, &context), 0);
	ck_assert_int_eq(records_add(&all, &pair), 0);
	close(rig.child.tls);
	rig.child.tls = records_seal(&all);
	msgpack_sbuffer_destroy(&all);
	ck_assert_int_ge(rig.child.tls, 0);
}

/* What a client says first, as one that hears nothing; in room. */
static size_t
hello(char *room, size_t size)
{
	SSL_CTX	*ctx = SSL_CTX_new(TLS_client_method());
	SSL	*ssl = SSL_new(ctx);
	BIO	*out = BIO_new(BIO_s_mem());
	int	 n;

	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
	ck_assert_int_ne(SSL_connect(ssl), 1);
	n = BIO_read(out, room, (int)size);
	ck_assert_int_gt(n, 0);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return (size_t)n;
}

/* Many come at once: a turn of the loop makes a step of few, and each has its turn without a further event. */
START_TEST(handshakes_take_turns)
{
	int	 fds[20];
	char	 data[2048];
	size_t	 len, asked, i, turns;

	rig_prepare(&rig);
	document();
	rig_start(&rig);
	len = hello(data, sizeof(data));
	for (i = 0; i < 20; i++)
		fds[i] = rig_connect(&rig, REFUSE_NOTHING);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(send(fds[i], data, len, 0), (ssize_t)len);
	for (turns = 0; turns < 30 && rig.w.signing.asked < 20; turns++) {
		asked = rig.w.signing.asked;
		rig_turn(&rig);
		ck_assert_uint_le(rig.w.signing.asked - asked, SECURE_A_TURN);
	}
	ck_assert_uint_eq(rig.w.signing.asked, 20);
	ck_assert(TAILQ_EMPTY(&rig.w.shaking));
	for (i = 0; i < 20; i++)
		close(fds[i]);
	rig_free(&rig);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("secure");
	TCase	*t = tcase_create("secure"), *own = tcase_create("own");
	SRunner	*r = srunner_create(s);
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_signer_that_goes_is_asked_for);
	tcase_add_test(t, a_bad_document_is_refused);
	tcase_add_test(t, a_client_without_it_has_none);
	tcase_add_test(own, handshakes_take_turns);
	suite_add_tcase(s, t);
	suite_add_tcase(s, own);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

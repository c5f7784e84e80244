/*
 * A signer that is late, wrong, silent, gone or hostile: what it does to handshakes, and that nothing of
 * those which are given up is left over.
 */
#include "rig.h"

static const struct rig_make	server_make = { .subject = "/CN=localhost", .names = "DNS:localhost" };
static struct rig		r;
static struct identity		own;
static SSL_CTX			*c;

static void
setup(void)
{
	rig_init(&r);
	own = identity_make(EC_P256, &server_make, NULL);
	document_context(&r, false, TLS1_2_VERSION);
	document_certificate(&r, &own);
	document_use(&r);
	c = client_make(NULL, TLS1_3_VERSION);
}

static void
teardown(void)
{
	SSL_CTX_free(c);
	identity_free(&own);
	rig_free(&r);
}

/* Turns until the signer was asked so often in all. */
static void
until_asked(struct pair *p, size_t asked)
{
	int	i;

	for (i = 0; i < RIG_TURNS && r.signer.asked < asked; i++)
		pair_turn(p, &r);
	ck_assert_uint_eq(r.signer.asked, asked);
	ck_assert_int_eq(p->rc, -EINPROGRESS);
}

static void
say(uint64_t id, unsigned refused, size_t len)
{
	static char		room[2048];
	const struct msg	m = { .type = MSG_signature, .u.signature = { .id = id, .refused = refused,
				    .signature = { room, len } } };

	ck_assert_int_eq(channel_send(&r.signer.channel, &m, NULL), 0);
	ev_run(r.loop, EVRUN_NOWAIT);
}

START_TEST(a_signer_that_comes_back_is_asked_again)
{
	struct pair	p[3];
	size_t		i;

	r.signer.answer = KEEPS_SILENT;
	for (i = 0; i < 3; i++) {
		pair_init(&p[i], &r, c);
		until_asked(&p[i], i + 1);
	}
	channel_close(&r.signer.channel);
	for (i = 0; i < 3; i++)
		pair_turn(&p[0], &r);
	ck_assert_uint_eq(r.lost, 1);
	ck_assert_int_eq(p[0].rc, -EINPROGRESS);
	r.signer.answer = ANSWERS;
	rig_signer_start(&r);
	for (i = 0; i < 3; i++) {
		ck_assert_msg(pair_shake(&p[i], &r) == 0, "%s", tls_error(p[i].server));
		pair_talk(&p[i]);
		pair_free(&p[i]);
	}
	ck_assert_uint_eq(r.signer.asked, 6);
	ck_assert_uint_eq(r.signing.asked, 0);
}
END_TEST

START_TEST(a_handshake_begins_without_a_signer)
{
	struct pair	p;
	int		i;

	channel_close(&r.signer.channel);
	channel_close(&r.signing.channel);
	pair_init(&p, &r, c);
	for (i = 0; i < 10; i++)
		pair_turn(&p, &r);
	ck_assert_int_eq(p.rc, -EINPROGRESS);
	rig_signer_start(&r);
	ck_assert_int_eq(pair_shake(&p, &r), 0);
	pair_talk(&p);
	pair_free(&p);
}
END_TEST

START_TEST(waking_too_early_is_harmless)
{
	struct pair	p;
	int		i;

	r.signer.answer = KEEPS_SILENT;
	pair_init(&p, &r, c);
	until_asked(&p, 1);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(tls_handshake(p.server), -EINPROGRESS);
	ck_assert_uint_eq(r.signing.asked, 1);
	r.signer.answer = ANSWERS;
	rig_signer_start(&r);
	ck_assert_int_eq(pair_shake(&p, &r), 0);
	pair_free(&p);
}
END_TEST

static const struct { enum rig_answer answer; int rc; const char *error; } wrong[] = {
	{ REFUSES, -EPROTO, "tls: failed to sign handshake: the signer refused it (3)" },
	{ ANSWERS_TOO_LONG, -EPROTO, "tls: failed to sign handshake: the signer refused it (0)" },
	{ ANSWERS_WRONGLY, -EPROTO, "remote error: tls: " },
};

START_TEST(a_wrong_answer_ends_that_handshake_alone)
{
	struct pair	p;

	r.signer.answer = wrong[_i].answer;
	pair_init(&p, &r, c);
	ck_assert_int_eq(pair_shake(&p, &r), wrong[_i].rc);
	ck_assert_msg(strncmp(tls_error(p.server), wrong[_i].error, strlen(wrong[_i].error)) == 0,
	    "%s", tls_error(p.server));
	pair_free(&p);
	ck_assert_uint_eq(r.signing.asked, 0);
	r.signer.answer = ANSWERS;
	pair_init(&p, &r, c);
	ck_assert_int_eq(pair_shake(&p, &r), 0);
	pair_free(&p);
}
END_TEST

START_TEST(answers_to_nothing_are_thrown_away)
{
	struct pair	p;

	r.signer.answer = KEEPS_SILENT;
	pair_init(&p, &r, c);
	until_asked(&p, 1);
	say(r.signer.last + 1, SIGN_DONE, 70);
	say(UINT64_MAX, SIGN_REFUSALS - 1, 0);
	ck_assert_uint_eq(p.wakes, 0);
	say(r.signer.last, SIGN_DONE, 70);	/* it is ours, and wrong */
	say(r.signer.last, SIGN_DONE, 10);
	ck_assert_uint_eq(p.wakes, 1);
	ck_assert_int_eq(pair_shake(&p, &r), -EPROTO);
	pair_free(&p);
	say(r.signer.last, SIGN_DONE, 70);
	ck_assert_uint_eq(r.lost, 0);
	ck_assert_uint_eq(r.signing.asked, 0);
}
END_TEST

START_TEST(given_up_handshakes_leave_nothing)
{
	struct pair	p;
	int		i;

	r.signer.answer = KEEPS_SILENT;
	for (i = 0; i < 20; i++) {
		pair_init(&p, &r, c);
		until_asked(&p, (size_t)i + 1);
		pair_free(&p);
		ck_assert_uint_eq(r.signing.asked, 0);
		say(r.signer.last, SIGN_DONE, 70);
	}
	ck_assert_uint_eq(r.lost, 0);
}
END_TEST

/* The signer says what it must not: it loses the channel, and nobody notices. */
START_TEST(a_malformed_answer_costs_the_channel)
{
	struct pair	p;

	r.signer.answer = KEEPS_SILENT;
	pair_init(&p, &r, c);
	until_asked(&p, 1);
	ck_assert_int_eq(write(r.signer.channel.fd, "\x93\xcc\xff\x01\x02", 5), 5);
	ev_run(r.loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(r.lost, 1);
	ck_assert_int_eq(r.signing.channel.fd, -1);
	r.signer.answer = ANSWERS;
	rig_signer_start(&r);
	ck_assert_int_eq(pair_shake(&p, &r), 0);
	pair_free(&p);
}
END_TEST

#define MANY	(SIGNING_JOBS + 40)

/* More than may be asked at once: the others wait, some of them go away, and in the end all are done. */
START_TEST(more_handshakes_than_jobs)
{
	struct pair	*p = calloc(MANY, sizeof(*p));
	size_t		 i;
	int		 turn;

	r.signer.answer = KEEPS_SILENT;
	for (i = 0; i < MANY; i++)
		pair_init(&p[i], &r, c);
	for (turn = 0; turn < 20; turn++)
		for (i = 0; i < MANY; i++)
			pair_turn(&p[i], &r);
	ck_assert_uint_eq(r.signing.asked, SIGNING_JOBS);
	ck_assert_uint_eq(r.signer.asked, SIGNING_JOBS);
	pair_free(&p[0]);			/* one that is asked for */
	pair_free(&p[MANY - 1]);		/* one that waits */
	r.signer.answer = ANSWERS;
	rig_signer_start(&r);
	for (i = 1; i < MANY - 1; i++)
		ck_assert_msg(pair_shake(&p[i], &r) == 0, "%zu: %d %s", i, p[i].rc, tls_error(p[i].server));
	for (i = 1; i < MANY - 1; i++)
		pair_free(&p[i]);
	ck_assert_uint_eq(r.signing.asked, 0);
	free(p);
}
END_TEST

/* Nothing signs with our keys but within a handshake, and nobody gets a private half. */
START_TEST(the_key_is_of_no_other_use)
{
	EVP_PKEY	*key = signing_key(&r.signing, 1, own.certificate);
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	uint8_t		 out[256];
	size_t		 len = sizeof(out);
	BIO		*bio = BIO_new(BIO_s_mem());
	OSSL_PARAM	*all = NULL;

	ck_assert_ptr_nonnull(key);
	ck_assert_int_eq(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", r.signing.library, NULL, key, NULL), 1);
	ck_assert_int_ne(EVP_DigestSign(ctx, out, &len, (const uint8_t *)"a", 1), 1);
	ck_assert_int_ne(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	ck_assert_int_ne(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &all), 1);
	ck_assert_uint_eq(r.signer.asked, 0);
	BIO_free(bio);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("tls/signing");
	TCase	*t = tcase_create("signing");
	SRunner	*sr = srunner_create(s);
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_signer_that_comes_back_is_asked_again);
	tcase_add_test(t, a_handshake_begins_without_a_signer);
	tcase_add_test(t, waking_too_early_is_harmless);
	tcase_add_loop_test(t, a_wrong_answer_ends_that_handshake_alone, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(t, answers_to_nothing_are_thrown_away);
	tcase_add_test(t, given_up_handshakes_leave_nothing);
	tcase_add_test(t, a_malformed_answer_costs_the_channel);
	tcase_add_test(t, more_handshakes_than_jobs);
	tcase_add_test(t, the_key_is_of_no_other_use);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

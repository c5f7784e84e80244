/* What a worker does about TLS beside the handshakes themselves (tests/integration/test_tls.py, tests/unit/tls). */
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

int
main(void)
{
	Suite	*s = suite_create("secure");
	TCase	*t = tcase_create("secure");
	SRunner	*r = srunner_create(s);
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_signer_that_goes_is_asked_for);
	tcase_add_test(t, a_bad_document_is_refused);
	tcase_add_test(t, a_client_without_it_has_none);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

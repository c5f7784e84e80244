/* Who asks: turns, rates, bounds, with a signer that counts instead of signing. */
#include <sys/socket.h>
#include <poll.h>
#include <time.h>
#include "common/loop.h"
#include "supervisor/signer/asker.h"
#include "supervisor/signer/keys.h"
#include "tests/unit/signer/material.h"

#define PEERS	4

struct peer {
	struct channel	channel;
	uint64_t	asked;		/* id of the last question */
	unsigned	count;		/* answers */
	uint64_t	last;		/* id of the last */
	unsigned	refused, bytes;
	bool		closed;
	unsigned	at;		/* all answers there were when the last one came */
};

static struct ev_loop	*loop;
static struct askers	 askers;
static struct peer	 peers[PEERS];
static unsigned		 answers;	/* of the signer, to all */
static uint64_t		 answered[PEERS];
static size_t		 signature_len;
static enum sign_refusal refusal;

static enum sign_refusal
answer(void *owner, enum role role, const struct msg_sign *m, uint8_t *out, size_t *len)
{
	ck_assert_ptr_eq(owner, &askers);
	ck_assert_int_eq(role, ROLE_WORKER);
	ck_assert(bytes_equal(m->content, BYTES("content")));
	answers++;
	answered[m->key - 1]++;
	memset(out, 'x', signature_len);
	*len = signature_len;
	return refusal;
}

static int
hears(struct channel *ch, const struct msg *m, const int *fds)
{
	struct peer	*p = ch->owner;

	ck_assert_int_eq(m->type, MSG_signature);
	ck_assert_uint_eq(m->u.signature.id, p->last + 1);	/* in order, none left out */
	p->last++;
	p->count++;
	p->refused = (unsigned)m->u.signature.refused;
	p->bytes = (unsigned)m->u.signature.signature.len;
	p->at = answers;
	return 0;
}

static void
closed(struct channel *ch, int error, const char *why)
{
	((struct peer *)ch->owner)->closed = true;
}

static void
peer_open(unsigned i)
{
	int	ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	if (peers[i].channel.loop != NULL)
		channel_close(&peers[i].channel);
	peers[i] = (struct peer){ .count = 0 };
	channel_open(&peers[i].channel, loop, ends[0], ROLE_WORKER, ROLE_SIGNER, hears, closed, &peers[i]);
	peers[i].channel.state = MSG_READY;
	ck_assert_int_eq(asker_open(&askers, ROLE_WORKER, i, ends[1]), 0);
}

static void
setup(void)
{
	unsigned	i;

	loop = loop_new();
	signature_len = 256;
	askers_init(&askers, loop, 0, answer, &askers);
	askers_open(&askers);
	for (i = 0; i < PEERS; i++)
		peer_open(i);
}

static void
teardown(void)
{
	unsigned	i;

	askers_free(&askers);
	for (i = 0; i < PEERS; i++)
		channel_close(&peers[i].channel);
	ev_loop_destroy(loop);
}

static void
ask(unsigned i, unsigned count)
{
	struct msg	m = { .type = MSG_sign, .u.sign = { .key = i + 1, .scheme = 0x0403, .content = BYTES("content") } };

	for (; count > 0; count--) {
		m.u.sign.id = ++peers[i].asked;
		ck_assert_int_eq(channel_send(&peers[i].channel, &m, NULL), 0);
	}
}

/* As long as something is to be done at once. */
static void
run_dry(void)
{
	unsigned	idle;

	for (idle = 0; idle < 3; idle++) {
		const unsigned	before = answers + peers[0].count + peers[1].count + peers[2].count + peers[3].count;

		ev_run(loop, EVRUN_NOWAIT);
		if (answers + peers[0].count + peers[1].count + peers[2].count + peers[3].count != before)
			idle = 0;
	}
}

START_TEST(each_question_is_answered_in_order)
{
	unsigned	i;

	for (i = 0; i < PEERS; i++)
		ask(i, 1000);
	run_dry();
	for (i = 0; i < PEERS; i++) {
		ck_assert_uint_eq(peers[i].count, 1000);
		ck_assert_uint_eq(peers[i].bytes, 256);
		ck_assert_uint_eq(peers[i].refused, SIGN_DONE);
	}
}
END_TEST

START_TEST(refusals_have_no_signature)
{
	refusal = SIGN_CONTENT;
	ask(0, 1);
	run_dry();
	ck_assert_uint_eq(peers[0].refused, SIGN_CONTENT);
	ck_assert_uint_eq(peers[0].bytes, 0);
	refusal = SIGN_DONE;
}
END_TEST

/* Three flood; the fourth waits for one signature of each, as often as it asks. */
START_TEST(a_flood_delays_others_by_one_each)
{
	unsigned	i, round, before, longest = 0;

	for (i = 0; i < 3; i++)
		ask(i, 4000);
	for (i = 0; i < 20; i++)
		ev_run(loop, EVRUN_NOWAIT);
	for (round = 0; round < 200; round++) {
		before = answers;
		ask(3, 1);
		while (peers[3].count == round)
			ev_run(loop, EVRUN_NOWAIT);
		if (peers[3].at - before > longest)
			longest = peers[3].at - before;
	}
	ck_assert_uint_le(longest, 6);	/* its turn and theirs, and what was done while the loop brought it here and back */
	for (i = 0; i < 3; i++) {
		ck_assert_uint_lt(answered[i], 4000);	/* they were flooding all the while, */
		ck_assert_uint_ge(answered[i] + 20, answered[0]);	/* and had as many turns each */
		ck_assert_uint_le(answered[i], answered[0] + 20);
	}
}
END_TEST

/* A queue is bounded: what is not read stays with the one who asks. */
START_TEST(a_flood_waits_where_it_comes_from)
{
	unsigned	i, before;

	askers.rate = 1;
	ask(0, 5000);
	for (i = 0; i < 200; i++)
		ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_le(answers, 3);
	ck_assert_uint_gt(peers[0].channel.queued, 4000 * 30);
	ck_assert(!peers[0].closed);
	askers.rate = 0;
	before = answers;
	ask(1, 1);
	run_dry();
	ck_assert_uint_eq(peers[1].count, 1);
	ck_assert_uint_le(answers, before + 1 + 5000);
}
END_TEST

static double
seconds_now(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* It gets what the rate says, the other, who asks for less, waits for nothing. */
START_TEST(the_rate_is_each_ones_own)
{
	const double	began = seconds_now();
	double		took;

	askers.rate = 200;
	peer_open(0);		/* what it may have at once is of that rate now */
	ask(0, 220);
	ask(1, 5);
	while (peers[1].count < 5)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_lt(peers[0].count, 220);
	while (peers[0].count < 220)
		ev_run(loop, EVRUN_ONCE);
	took = seconds_now() - began;
	ck_assert_double_ge(took, 0.99);	/* 20 at once, 200 in a second */
}
END_TEST

/* Who does not read is not answered, and loses its channel if that lasts; others do not notice. */
START_TEST(who_does_not_read_loses_its_channel)
{
	struct pollfd	f = { .fd = peers[0].channel.fd };

	askers.patience = 0.3;
	signature_len = SIGNATURE_MAX;
	ev_io_stop(loop, &peers[0].channel.readable);
	ask(0, 3000);
	run_dry();
	ck_assert_uint_lt(answers, 600);	/* what the socket holds, and what may wait */
	ask(1, 100);
	run_dry();
	ck_assert_uint_eq(peers[1].count, 100);
	ck_assert_int_eq(poll(&f, 1, 0), 0);
	while (poll(&f, 1, 0) == 0)		/* POLLHUP */
		ev_run(loop, EVRUN_ONCE);
	ask(1, 100);
	run_dry();
	ck_assert_uint_eq(peers[1].count, 200);
	ev_io_start(loop, &peers[0].channel.readable);
	while (!peers[0].closed)
		ev_run(loop, EVRUN_ONCE);
}
END_TEST

/* It read nothing for a while, and then all. */
START_TEST(who_reads_late_is_answered)
{
	signature_len = SIGNATURE_MAX;
	ev_io_stop(loop, &peers[0].channel.readable);
	ask(0, 3000);
	run_dry();
	ck_assert_uint_lt(answers, 600);
	ev_io_start(loop, &peers[0].channel.readable);
	while (peers[0].count < 3000)
		ev_run(loop, EVRUN_ONCE);
	ck_assert(!peers[0].closed);
}
END_TEST

/* What a worker never says costs it its channel, and nobody else. */
START_TEST(what_is_no_question_costs_the_channel)
{
	static const char *const	garbage[] = { "x", "\x93\x01\x02\x03", "\xdd\xff\xff\xff\xff", "" };
	struct msg			m = { .type = MSG_signature, .u.signature = { .id = 1, .signature = BYTES("x") } };
	msgpack_sbuffer			b;
	int				i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(send(peers[0].channel.fd, garbage[i], strlen(garbage[i]), 0), (ssize_t)strlen(garbage[i]));
		while (!peers[0].closed)
			ev_run(loop, EVRUN_ONCE);
		peer_open(0);
	}
	msgpack_sbuffer_init(&b);
	ck_assert_int_eq(msg_encode(&b, &m), 0);	/* what only the signer says */
	ck_assert_int_eq(send(peers[0].channel.fd, b.data, b.size, 0), (ssize_t)b.size);
	msgpack_sbuffer_destroy(&b);
	while (!peers[0].closed)
		ev_run(loop, EVRUN_ONCE);
	ask(1, 10);
	run_dry();
	ck_assert_uint_eq(peers[1].count, 10);
}
END_TEST

/* It ends while its questions wait: they are forgotten, and its successor's are answered. */
START_TEST(a_new_channel_takes_the_old_ones_place)
{
	askers.rate = 1;
	ask(0, 1000);
	ev_run(loop, EVRUN_NOWAIT);
	peer_open(0);
	channel_close(&peers[1].channel);
	askers.rate = 0;
	ask(0, 10);
	run_dry();
	ck_assert_uint_eq(peers[0].count, 10);
}
END_TEST

/* Before there are keys questions wait. */
START_TEST(questions_wait_for_keys)
{
	askers.open = false;
	ask(0, 10);
	run_dry();
	ck_assert_uint_eq(answers, 0);
	askers_open(&askers);
	run_dry();
	ck_assert_uint_eq(peers[0].count, 10);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("signer: askers");
	TCase	*t = tcase_create("askers");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, each_question_is_answered_in_order);
	tcase_add_test(t, refusals_have_no_signature);
	tcase_add_test(t, a_flood_delays_others_by_one_each);
	tcase_add_test(t, a_flood_waits_where_it_comes_from);
	tcase_add_test(t, the_rate_is_each_ones_own);
	tcase_add_test(t, who_does_not_read_loses_its_channel);
	tcase_add_test(t, who_reads_late_is_answered);
	tcase_add_test(t, what_is_no_question_costs_the_channel);
	tcase_add_test(t, a_new_channel_takes_the_old_ones_place);
	tcase_add_test(t, questions_wait_for_keys);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include <sys/socket.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "worker/output.h"

static struct output_pool	 pool;
static struct output		 out;
static int			 fds[2];

static void
setup(void)
{
	int	 small = 1;

	output_pool_init(&pool);
	memset(&out, 0, sizeof(out));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
}

static void
teardown(void)
{
	output_clear(&pool, &out);
	output_pool_free(&pool);
	close(fds[0]);
	close(fds[1]);
}

/* What was appended, and how much of it the other end has read. */
static struct { char *bytes; size_t len, room, seen; } model;

static void
model_add(const char *data, size_t len)
{
	if (model.len + len > model.room)
		model.bytes = realloc(model.bytes, model.room = 2 * (model.room + len));
	memcpy(model.bytes + model.len, data, len);
	model.len += len;
}

static void
append(unsigned how, const char *data, size_t len)
{
	struct block	*b;
	char		*at;

	if (how == 0) {
		ck_assert(output_bytes(&pool, &out, data, len));
	} else if (how == 1 && len <= OUTPUT_CHUNK) {
		at = output_reserve(&pool, &out, len);
		ck_assert_ptr_nonnull(at);
		memcpy(at, data, len);
		memset(at + len, 'x', OUTPUT_SLACK);	/* scribbled on, never sent */
		output_commit(&out, at + len);
	} else {
		b = block_new(len + 5);
		memcpy(b->data + 5, data, len);
		ck_assert(output_reference(&pool, &out, b, b->data + 5, len));
		block_unref(b);
	}
	model_add(data, len);
	out.messages++;
}

static void
drain(size_t most)
{
	char	*buf = malloc(most);
	ssize_t	 n = recv(fds[1], buf, most, MSG_DONTWAIT);

	if (n > 0) {
		ck_assert_uint_le(model.seen + (size_t)n, model.len);
		ck_assert_mem_eq(buf, model.bytes + model.seen, (size_t)n);
		model.seen += (size_t)n;
	}
	free(buf);
}

START_TEST(every_byte_arrives_once_and_in_order)
{
	static char	 data[300000];
	static const size_t most[] = { 30, 3000, 20000, 300000 };
	size_t		 sent, total = 0, len;
	int		 rc;

	srandom(7);
	memset(&model, 0, sizeof(model));
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)random();
	for (int i = 0; i < 4000; i++) {
		len = 1 + (size_t)random() % most[random() % 4 & (random() % 8 == 0 ? 3 : 1)];
		append((unsigned)random() % 3, data + random() % (long)(sizeof(data) - len + 1), len);
		ck_assert_uint_eq(out.pending, model.len - total);
		if (random() % 3 != 0)
			continue;
		rc = output_send(&pool, &out, fds[0], NULL, &sent);
		ck_assert(rc == 0 || rc == -EAGAIN);
		total += sent;
		ck_assert_int_eq(rc == 0, out.pending == 0);
		ck_assert(out.sent <= out.messages && (rc != 0 || out.sent == out.messages));
		drain(1 + (size_t)random() % 400000);
	}
	while (output_send(&pool, &out, fds[0], NULL, &sent) == -EAGAIN)
		drain(100000);
	while (model.seen < model.len)
		drain(100000);
	ck_assert_ptr_null(out.first);
	ck_assert_uint_eq(out.sent, out.messages);
	free(model.bytes);
}
END_TEST

START_TEST(messages_that_did_not_go_out_are_known)
{
	char	 body[1000] = { 0 };
	size_t	 sent;

	for (int i = 0; i < 1000; i++) {
		ck_assert(output_bytes(&pool, &out, body, sizeof(body)));
		out.messages++;
	}
	ck_assert_int_eq(output_send(&pool, &out, fds[0], NULL, &sent), -EAGAIN);
	ck_assert_uint_gt(sent, 0);
	ck_assert_uint_eq(out.pending, 1000000 - sent);
	/* never more than went, at most what one chunk holds less */
	ck_assert_uint_le(out.sent, sent / 1000);
	ck_assert_uint_ge(out.sent + 67, sent / 1000);
}
END_TEST

START_TEST(a_closed_peer_is_an_error_not_a_signal)
{
	size_t	 sent;

	close(fds[1]);
	fds[1] = dup(fds[0]);
	ck_assert(output_bytes(&pool, &out, "x", 1));
	ck_assert_int_eq(output_send(&pool, &out, fds[0], NULL, &sent), -EPIPE);
}
END_TEST

START_TEST(blocks_are_freed_with_their_last_output)
{
	struct block	*b = block_new(100);
	struct output	 other = { 0 };
	size_t		 sent;

	ck_assert(output_reference(&pool, &out, b, b->data, 100));
	ck_assert(output_reference(&pool, &other, b, b->data, 50));
	ck_assert_uint_eq(b->references, 3);
	ck_assert_int_eq(output_send(&pool, &out, fds[0], NULL, &sent), 0);
	ck_assert_uint_eq(b->references, 2);
	output_clear(&pool, &other);
	ck_assert_uint_eq(b->references, 1);
	ck_assert_uint_eq(other.pending, 0);
	block_unref(b);
}
END_TEST

START_TEST(what_nobody_needs_goes_back)
{
	struct output	 many[50] = { 0 };
	char		 body[5000] = { 0 };

	for (int i = 0; i < 50; i++)
		for (int k = 0; k < 40; k++)
			ck_assert(output_bytes(&pool, &many[i], body, sizeof(body)));
	for (int i = 0; i < 50; i++)
		output_clear(&pool, &many[i]);
	ck_assert_uint_gt(pool.count[OUTPUT_CLASSES - 1], 50);
	ck_assert(output_pool_trim(&pool));		/* since when they were all in use */
	ck_assert(!output_pool_trim(&pool));		/* nobody took one meanwhile */
	for (int i = 0; i < OUTPUT_CLASSES; i++)
		ck_assert_uint_eq(pool.count[i], 0);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("output");
	TCase	*c = tcase_create("queue");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, every_byte_arrives_once_and_in_order);
	tcase_add_test(c, messages_that_did_not_go_out_are_known);
	tcase_add_test(c, a_closed_peer_is_an_error_not_a_signal);
	tcase_add_test(c, blocks_are_freed_with_their_last_output);
	tcase_add_test(c, what_nobody_needs_goes_back);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

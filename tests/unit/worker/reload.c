/* Other settings under connections that stay. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/worker/rig.h"
#include "worker/input.h"
#include "worker/reload.h"

#define C	"CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\n"

static struct rig	 rig;
static char		 got[1 << 20];

static void
setup(void)
{
	rig_prepare(&rig);
}

static void
teardown(void)
{
	rig_free(&rig);
}

static int
subscriber(const char *sub)
{
	int	 fd = rig_connect(&rig, REFUSE_NOTHING);

	rig_say(&rig, fd, C);
	rig_say(&rig, fd, sub);
	rig_say(&rig, fd, "PING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	while (read(fd, got, sizeof(got)) > 0)	/* the second INFO */
		;
	return fd;
}

/* The settings as they are, with one other: "name=value". */
static void
next_init(struct settings *next, const char *name, double value)
{
	const struct setting	*which = setting_find(bytes_of(name));
	const char		*why;
	int			 fd = settings_write(&rig.child.settings, ROLE_SUPERVISOR);

	ck_assert_int_eq(settings_init(next), 0);
	ck_assert_int_eq(settings_read(next, fd, &why), 0);
	close(fd);
	ck_assert_int_eq(which->kind == SETTING_duration ? setting_set_duration(next, which, value) :
	    setting_set_integer(next, which, (uint64_t)value), 0);
}

/* What child.c does for `commit`. */
static void
commit(struct settings *next)
{
	struct settings	 before = rig.child.settings;

	rig.child.settings = *next;
	worker_apply(&rig.child, &before);
	settings_free(&before);
}

static void
change(const char *name, double value)
{
	struct settings	 next;

	next_init(&next, name, value);
	ck_assert_ptr_null(worker_check(&rig.child, &next));
	commit(&next);
}

START_TEST(max_payload_is_for_those_who_are_here_too)
{
	int	 fd;

	rig_start(&rig);
	fd = subscriber("SUB a 1\r\n");
	change("max_payload", 10);
	rig_say(&rig, fd, "PUB a 10\r\n0123456789\r\n");
	ck_assert(rig_read(&rig, fd, "0123456789\r\n", got, sizeof(got)));
	change("max_payload", 20);
	rig_say(&rig, fd, "PUB a 20\r\n01234567890123456789\r\n");
	ck_assert(rig_read(&rig, fd, "01234567890123456789\r\n", got, sizeof(got)));
	rig_say(&rig, fd, "PUB a 21\r\n012345678901234567890\r\n");
	ck_assert(!rig_read(&rig, fd, NULL, got, sizeof(got)));
	ck_assert_str_eq(got, "-ERR 'Maximum Payload Violation'\r\n");
	close(fd);
}
END_TEST

/* Half of a large message is here: the peers' limit may be lower from now on. */
START_TEST(a_message_on_its_way_in_obeys_a_lowered_max_payload)
{
	static char	 text[60000];
	int		 fd, small;

	rig_start(&rig);
	fd = subscriber("SUB a 1\r\n");
	small = subscriber("SUB b 1\r\n");
	memset(text, 'x', sizeof(text));
	rig_say(&rig, fd, "PUB a 100000\r\n");
	rig_write(&rig, fd, text, sizeof(text));
	rig_say(&rig, small, "PUB b 30000\r\n");
	rig_write(&rig, small, text, 20000);
	rig_turn(&rig);
	change("max_payload", 50000);
	ck_assert(!rig_read(&rig, fd, NULL, got, sizeof(got)));
	ck_assert_str_eq(got, "-ERR 'Maximum Payload Violation'\r\n");
	rig_write(&rig, small, text, 10000);
	rig_say(&rig, small, "\r\n");
	ck_assert(rig_read(&rig, small, "x\r\n", got, sizeof(got)));
	close(fd);
	close(small);
}
END_TEST

/* Before `commit` peers may send what is allowed only after it; and after it what was before. */
START_TEST(lanes_take_the_most_of_before_and_after)
{
	struct settings	 next;

	rig.child.settings.max_payload = 1000;
	rig_start(&rig);
	ck_assert_uint_eq(rig.w.part.max_payload, 1000);
	next_init(&next, "max_payload", 5000);
	ck_assert_ptr_null(worker_check(&rig.child, &next));
	ck_assert_uint_eq(rig.w.part.max_payload, 5000);
	ck_assert_uint_eq(rig.child.settings.max_payload, 1000);
	settings_free(&next);
	change("max_payload", 500);
	ck_assert_uint_eq(rig.w.part.max_payload, 5000);
}
END_TEST

START_TEST(max_control_line_grows_with_a_line_that_is_coming)
{
	static char	 subject[300000], line[300100];
	int		 fd, n;

	rig_start(&rig);
	fd = subscriber("");
	memset(subject, 's', sizeof(subject) - 1);
	n = snprintf(line, sizeof(line), "PUB %s 2\r\nhi\r\n", subject);
	rig_write(&rig, fd, line, 3000);
	change("max_control_line", 1 << 20);
	rig_write(&rig, fd, line + 3000, (size_t)n - 3000);
	rig_say(&rig, fd, "PING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	/* and smaller again, while a long one is half here */
	rig_write(&rig, fd, line, 200000);
	change("max_control_line", 4096);
	rig_write(&rig, fd, line + 200000, (size_t)n - 200000);
	ck_assert(!rig_read(&rig, fd, NULL, got, sizeof(got)));
	ck_assert_str_eq(got, "-ERR 'maximum control line exceeded'\r\n");
	close(fd);
}
END_TEST

/* It takes nothing; write_deadline would leave it alone for 100 s. */
START_TEST(a_shorter_write_deadline_is_for_those_in_line_too)
{
	static char	 text[100000];
	int		 fd, pub;

	rig.child.settings.write_deadline = 100;
	rig_start(&rig);
	fd = subscriber("SUB a 1\r\n");
	pub = subscriber("");
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 40; i++) {
		rig_say(&rig, pub, "PUB a 100000\r\n");
		rig_write(&rig, pub, text, sizeof(text));
		rig_say(&rig, pub, "\r\n");
	}
	rig_say(&rig, pub, "PING\r\n");
	ck_assert(rig_read(&rig, pub, "PONG\r\n", got, sizeof(got)));
	ck_assert_ptr_nonnull(TAILQ_FIRST(&rig.w.writing.waiting));
	change("write_deadline", 0.05);
	while (atomic_load(&rig.w.head->slow_deadline) == 0)
		rig_wait(&rig);
	close(fd);
	close(pub);
}
END_TEST

START_TEST(a_shorter_ping_interval_is_for_those_who_wait_too)
{
	int	 fd;

	rig.child.settings.ping_interval = 1000;
	rig.pings = true;
	rig_start(&rig);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	change("ping_interval", 0.05);
	ck_assert(rig_read(&rig, fd, "PING\r\n", got, sizeof(got)));
	close(fd);
}
END_TEST

/* Who is slow by what max_pending was may not be by what it is. */
START_TEST(max_pending_says_anew_who_is_slow)
{
	struct client	*c;
	int		 fd;

	rig.child.settings.max_pending = 1 << 20;
	rig_start(&rig);
	fd = subscriber("SUB a 1\r\n");
	c = rig.w.clients[0];
	change("max_pending", 4096);
	ck_assert_uint_eq(rig.w.slow_limit, 3072);
	ck_assert_uint_eq(c->mark, 3072);
	c->flags |= CLIENT_SLOW;
	change("max_pending", 1 << 20);
	ck_assert_uint_eq(c->flags & CLIENT_SLOW, 0);
	ck_assert(rig.w.caught_up);
	close(fd);
}
END_TEST

/* More waits for it than may now: it is cut, though nothing comes any more. */
START_TEST(a_lowered_max_pending_cuts_at_once)
{
	static char	 body[100000];
	struct client	*c;
	int		 fd;

	rig_start(&rig);
	fd = subscriber("SUB a 1\r\n");
	c = rig.w.clients[0];
	memset(body, 'x', sizeof(body));
	while (c->out.pending < sizeof(body)) {
		rig_say(&rig, fd, "PUB a 100000\r\n");
		rig_write(&rig, fd, body, sizeof(body));
		rig_say(&rig, fd, "\r\n");
	}
	change("max_pending", 1 << 20);
	ck_assert_uint_eq(c->state, CLIENT_OPEN);
	change("max_pending", 4096);
	ck_assert_uint_eq(c->state, CLIENT_CLOSING);
	ck_assert_uint_eq(c->reason, CLOSE_SLOW_PENDING);
	close(fd);
}
END_TEST

START_TEST(client_advertise_is_for_new_ones)
{
	const struct setting	*which = setting_find(BYTES("client_advertise"));
	struct settings		 next;
	int			 fd, old;
	ssize_t			 n;

	rig_start(&rig);
	old = subscriber("");
	next_init(&next, "port", 99);
	ck_assert_int_eq(setting_set_text(&next, which, BYTES("a.example:7000")), 0);
	ck_assert_ptr_null(worker_check(&rig.child, &next));
	fd = rig_connect(&rig, REFUSE_NOTHING);		/* prepared is not committed */
	ck_assert_int_gt(n = read(fd, got, sizeof(got) - 1), 0);
	got[n] = '\0';
	ck_assert_ptr_null(strstr(got, "7000"));
	close(fd);
	commit(&next);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	ck_assert_int_gt(n = read(fd, got, sizeof(got) - 1), 0);
	got[n] = '\0';
	ck_assert_ptr_nonnull(strstr(got, "\"host\":\"a.example\""));
	ck_assert_ptr_nonnull(strstr(got, "\"port\":7000"));
	close(fd);
	ck_assert_int_eq(read(old, got, sizeof(got)), -1);
	close(old);
}
END_TEST

START_TEST(close_clients_closes_these)
{
	const uint64_t	 cids[] = { 5, 1, 4, 77 };
	struct msg	 m = { .type = MSG_close_clients, .u.close_clients = {
	    .cids = { .count = 4, .own = cids }, .reason = REFUSE_MAX_CONNECTIONS } };
	int		 fds[5];

	rig_start(&rig);
	for (int i = 0; i < 5; i++)
		fds[i] = subscriber("");
	ck_assert_int_eq(channel_send(&rig.supervisor, &m, NULL), 0);
	for (int i = 0; i < 5; i++) {
		if (i == 1 || i == 2) {
			rig_say(&rig, fds[i], "PING\r\n");
			ck_assert(rig_read(&rig, fds[i], "PONG\r\n", got, sizeof(got)));
			continue;
		}
		ck_assert(!rig_read(&rig, fds[i], NULL, got, sizeof(got)));
		ck_assert_str_eq(got, "-ERR 'maximum connections exceeded'\r\n");
	}
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	while (rig.closed < 5)
		rig_wait(&rig);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("reload");
	TCase	*c = tcase_create("reload");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, max_payload_is_for_those_who_are_here_too);
	tcase_add_test(c, a_message_on_its_way_in_obeys_a_lowered_max_payload);
	tcase_add_test(c, lanes_take_the_most_of_before_and_after);
	tcase_add_test(c, max_control_line_grows_with_a_line_that_is_coming);
	tcase_add_test(c, a_shorter_write_deadline_is_for_those_in_line_too);
	tcase_add_test(c, a_shorter_ping_interval_is_for_those_who_wait_too);
	tcase_add_test(c, max_pending_says_anew_who_is_slow);
	tcase_add_test(c, a_lowered_max_pending_cuts_at_once);
	tcase_add_test(c, client_advertise_is_for_new_ones);
	tcase_add_test(c, close_clients_closes_these);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

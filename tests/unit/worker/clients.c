/* The life of connections: from `taken` to `closed`, the slow, the stale, lame duck. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/unit/worker/rig.h"
#include "worker/input.h"
#include "worker/slow.h"

#define C	"CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,\"name\":\"n\",\"lang\":\"c\",\"version\":\"1\"}\r\n"

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

static struct client *
client_of(uint64_t cid)
{
	for (uint32_t i = 0; i < rig.w.top; i++)
		if (rig.w.clients[i] != NULL && rig.w.clients[i]->cid == cid)
			return rig.w.clients[i];
	return NULL;
}

static void
wait_closed(unsigned n)
{
	while (rig.closed < n)
		rig_wait(&rig);
}

static void
turn_often(void)
{
	for (int i = 0; i < 10; i++)
		rig_turn(&rig);
}

/* The supervisor keeps its copy until `taken`, which says that the client was answered. */
START_TEST(a_client_is_answered_before_it_is_said_to_be_taken)
{
	int	 fds[2000], n = 0;

	rig_start(&rig);
	/* The supervisor does not read, until `taken` has to wait: INFO does not. */
	ev_io_stop(rig.child.loop, &rig.supervisor.readable);
	do {
		ck_assert_int_lt(n, 2000);
		fds[n++] = rig_pass(&rig, REFUSE_NOTHING);
		for (int i = 0; i < 3; i++)
			rig_turn(&rig);
		ck_assert_int_eq(read(fds[n - 1], got, 1), 1);
	} while (rig.child.supervisor.queued == 0);
	ck_assert_uint_eq(rig.taken, 0);
	ev_io_start(rig.child.loop, &rig.supervisor.readable);
	while (rig.taken < rig.cid)
		rig_wait(&rig);
	while (n-- > 0)
		close(fds[n]);
	wait_closed((unsigned)rig.cid);
	ck_assert_uint_eq(rig.w.open, 0);
	ck_assert_uint_eq(atomic_load(&rig.w.head->connections), 0);
}
END_TEST

/* The supervisor cannot be told anything, or can again. */
static void
supervisor_deaf(bool deaf)
{
	rig.child.supervisor.queued = deaf ? CHANNEL_QUEUE + 1 : 0;
}

START_TEST(every_end_is_told_though_late)
{
	enum { MANY = CLOSED_MOST };
	int	 fds[MANY];

	rig_start(&rig);
	for (int i = 0; i < MANY; i++)
		fds[i] = rig_connect(&rig, REFUSE_NOTHING);
	supervisor_deaf(true);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	while (rig.w.nclosed < CLOSED_MOST / 2 || !TAILQ_EMPTY(&rig.w.closing))
		rig_wait(&rig);
	rig_turn(&rig);
	ck_assert_uint_eq(rig.closed, 0);
	ck_assert_uint_eq(rig.w.open, MANY - CLOSED_MOST / 2);
	ck_assert(!ev_is_active(&rig.w.busy));	/* it waits for that without turning */
	supervisor_deaf(false);
	wait_closed(MANY);
	ck_assert_uint_eq(rig.closed, MANY);
	ck_assert_uint_eq(rig.w.open, 0);
}
END_TEST

/* Those that there is no room for are told when the supervisor knows them: rig_receive() looks. */
START_TEST(who_cannot_be_served_is_told_to_be_closed)
{
	struct msg_connection	 m = { .host = BYTES("127.0.0.1"), .port = 1 };
	int			 fds[2];

	rig_start(&rig);
	rig.w.top = TABLES_CONNECTIONS;
	supervisor_deaf(true);
	for (m.cid = 1; m.cid <= CLOSED_MOST; m.cid++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		ck_assert_int_eq(client_new(&rig.w, &m, fds[1]), 0);
		ck_assert_int_eq(read(fds[0], got, 1), 0);
		close(fds[0]);
		if (m.cid == 64) {	/* all that may come before `taken` */
			turn_often();
			supervisor_deaf(false);
			while (rig.closed < 64)
				rig_wait(&rig);
		}
	}
	turn_often();		/* more than may come at once: nothing is said of those not `taken` */
	ck_assert_uint_eq(rig.closed, 64);
	while (rig.w.nclosed < CLOSED_MOST)
		ck_assert_int_eq(client_new(&rig.w, &m, dup(STDIN_FILENO)), 0);
	ck_assert_int_eq(client_new(&rig.w, &m, dup(STDIN_FILENO)), -EPROTO);
	rig.w.top = 0;
}
END_TEST

START_TEST(a_refused_one_gets_info_the_error_and_the_end)
{
	int	 fd;

	rig_start(&rig);
	fd = rig_connect(&rig, REFUSE_MAX_CONNECTIONS);
	rig_say(&rig, fd, C "PING\r\n");
	ck_assert(!rig_read(&rig, fd, NULL, got, sizeof(got)));
	ck_assert_str_eq(got, "-ERR 'maximum connections exceeded'\r\n");
	close(fd);
	wait_closed(1);
}
END_TEST

START_TEST(last_words_reach_one_that_still_sends_and_one_that_stopped)
{
	int	 fd;
	char	 junk[5000] = { 'x' };
	unsigned before;

	rig_start(&rig);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, fd, C "PUB a 2000000\r\n");
	for (int i = 0; i < 100; i++)
		rig_write(&rig, fd, junk, sizeof(junk));
	ck_assert(rig_read(&rig, fd, "-ERR 'Maximum Payload Violation'\r\n", got, sizeof(got)));
	/* It does not hang up: within CLIENT_LINGER we do. */
	wait_closed(1);
	close(fd);
	/* One that half-closed still gets its answers. */
	fd = rig_connect(&rig, REFUSE_NOTHING);
	before = rig.closed;
	ck_assert_int_gt(write(fd, "PING\r\n", 6), 0);
	shutdown(fd, SHUT_WR);
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	wait_closed(before + 1);
	close(fd);
}
END_TEST

static void
publish_many(int fd, unsigned n, size_t size)
{
	static char	 text[100000];
	size_t		 len = (size_t)snprintf(text, sizeof(text), "PUB s %zu\r\n", size);

	memset(text + len, 'x', size);
	memcpy(text + len + size, "\r\n", 2);
	while (n-- > 0)
		rig_write(&rig, fd, text, len + size + 2);
}

START_TEST(a_stopped_subscriber_is_cut_and_recorded)
{
	struct slow_record	*s;
	int			 stopped, good, publisher;

	rig.child.settings.max_pending = 1 << 20;
	rig_start(&rig);
	stopped = subscriber("SUB s 1\r\n");
	good = subscriber("SUB t 1\r\n");
	publisher = subscriber("");
	/* Its socket is full, and for 100 ms takes nothing: it is stopped, not slow, and paces nobody. */
	publish_many(publisher, 12, 50000);
	for (struct timespec t = { 0, 150000000 }; nanosleep(&t, NULL) != 0;)
		;
	rig_turn(&rig);
	ck_assert_uint_eq(atomic_load(&rig.w.head->stalled), 0);
	publish_many(publisher, 40, 50000);
	wait_closed(1);
	ck_assert_uint_eq(atomic_load(&rig.w.head->stalled), 0);
	ck_assert_uint_eq(atomic_load(&rig.w.head->slow_pending), 1);
	s = &rig.w.head->slow[0];
	ck_assert_uint_eq(s->cid, 1);
	ck_assert_uint_eq(s->reason, 0);
	ck_assert_str_eq(s->address, "127.0.0.1:1234");
	ck_assert_str_eq(s->name, "n");
	ck_assert_str_eq(s->subject, "s");
	ck_assert_uint_gt(s->pending, 1 << 20);
	ck_assert_uint_ge(s->lost, 20);
	ck_assert_uint_le(s->lost, 53);
	ck_assert_uint_eq(s->account, ACCOUNT_GLOBAL);
	ck_assert_uint_eq(atomic_load(&s->sequence) % 2, 0);
	rig_say(&rig, publisher, "PUB t 2\r\nhi\r\n");
	ck_assert(rig_read(&rig, good, "MSG t 1 2\r\nhi\r\n", got, sizeof(got)));
	ck_assert_uint_eq(rig.w.open, 2);
	close(stopped);
	close(good);
	close(publisher);
}
END_TEST

START_TEST(the_write_deadline_cuts)
{
	int	 stopped, publisher;

	rig.child.settings.write_deadline = 0.05;
	rig_start(&rig);
	stopped = subscriber("SUB s 1\r\n");
	publisher = subscriber("");
	publish_many(publisher, 30, 50000);
	wait_closed(1);
	ck_assert_uint_eq(atomic_load(&rig.w.head->slow_deadline), 1);
	ck_assert_uint_eq(rig.w.head->slow[0].reason, 1);
	close(stopped);
	close(publisher);
}
END_TEST

static const struct { const char *policy; bool goes_on; } write_timeouts[] = {
	{ "default", false }, { "close", false }, { "retry", true },
};

/* It takes something all the time, but not what waits within the deadline. */
START_TEST(what_write_timeout_says_happens_at_the_deadline)
{
	int		 slow, publisher;
	ssize_t		 n;
	size_t		 all = 0, want = 400 * (strlen("MSG s 1 50000\r\n") + 50002);

	rig.child.settings.write_deadline = 0.05;
	free(rig.child.settings.write_timeout);
	rig.child.settings.write_timeout = strdup(write_timeouts[_i].policy);
	rig_start(&rig);
	slow = subscriber("SUB s 1\r\n");
	publisher = subscriber("");
	for (unsigned i = 0; rig.closed == 0 && atomic_load(&rig.w.head->slow_deadline) < 2; i++) {
		if (i < 400)
			publish_many(publisher, 1, 50000);
		else
			rig_wait(&rig);
		n = read(slow, got, i < 400 ? 20000 : 65536);
		all += n > 0 ? (size_t)n : 0;
		ck_assert_uint_lt(all, want);
	}
	ck_assert_int_eq(rig.closed == 0, write_timeouts[_i].goes_on);
	ck_assert_uint_eq(rig.w.head->slow[0].lost == 0, write_timeouts[_i].goes_on);
	while (rig.closed == 0 && all < want) {
		n = read(slow, got, sizeof(got));
		all += n > 0 ? (size_t)n : 0;
		rig_turn(&rig);
	}
	if (write_timeouts[_i].goes_on) {
		ck_assert_uint_eq(client_of(1)->flags & CLIENT_LATE, 0);	/* recovered */
		publish_many(publisher, 30, 50000);				/* and takes nothing at all */
		wait_closed(1);
	}
	close(slow);
	close(publisher);
}
END_TEST

START_TEST(a_slow_one_paces_its_publisher_and_is_not_cut)
{
	int	 slow, publisher;
	size_t	 want = 200 * (strlen("MSG s 1 50000\r\n") + 50002), all = 0;
	ssize_t	 n;
	static char text[51000];
	size_t	 len = (size_t)snprintf(text, sizeof(text), "PUB s 50000\r\n") + 50002, at = 0, total = 0;

	rig.child.settings.max_pending = 1 << 20;
	rig_start(&rig);
	slow = subscriber("SUB s 1\r\n");
	publisher = subscriber("");
	memcpy(text + len - 2, "\r\n", 2);
	while (all < want) {
		if (total < 200 && (n = send(publisher, text + at, len - at, MSG_NOSIGNAL)) > 0) {
			at += (size_t)n;
			if (at == len) {
				at = 0;
				total++;
			}
		}
		rig_turn(&rig);
		if ((n = read(slow, got, 3000)) > 0)
			all += (size_t)n;
		ck_assert_int_ne(n, 0);
	}
	ck_assert_uint_gt(atomic_load(&rig.w.head->stalled), 0);
	ck_assert_uint_eq(atomic_load(&rig.w.head->slow_consumers), 0);
	close(slow);
	close(publisher);
}
END_TEST

START_TEST(without_stall_the_slow_one_loses_and_stays)
{
	int	 slow, publisher;

	rig.child.settings.max_pending = 1 << 20;
	rig.child.settings.no_fast_producer_stall = true;
	rig_start(&rig);
	slow = subscriber("SUB s 1\r\n");
	publisher = subscriber("");
	publish_many(publisher, 100, 50000);
	rig_say(&rig, publisher, "PING\r\n");
	ck_assert(rig_read(&rig, publisher, "PONG\r\n", got, sizeof(got)));
	ck_assert_uint_eq(atomic_load(&rig.w.head->slow_consumers), 0);
	ck_assert_uint_le(client_of(1)->out.pending, (1 << 20) / 4 * 3 + 51000);
	close(slow);
	close(publisher);
}
END_TEST

/* Told to pause while its old subscriptions go: it pauses then, and can be told again. */
START_TEST(a_pause_is_kept_for_later)
{
	static char	 text[1 << 15];
	size_t		 len = 0;
	struct client	*c;
	int		 fd;

	rig_start(&rig);
	fd = subscriber("");
	for (unsigned i = 0; i < 1000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "SUB a.%u %u\r\n", i, i);
	rig_say(&rig, fd, text);
	c = client_of(1);
	while (c->subscriptions < 1000)
		rig_turn(&rig);
	ck_assert_int_eq(write(fd, C, strlen(C)), (ssize_t)strlen(C));
	input_read(c);
	ck_assert_int_eq(c->stop, CLIENT_DROPPING);
	worker_pace(&rig.w, c->slot, c->cid);
	rig_turn(&rig);
	rig_turn(&rig);
	ck_assert_int_eq(c->stop, CLIENT_PACED);
	while (c->stop != CLIENT_READS)
		rig_wait(&rig);
	ck_assert_uint_eq(c->flags & CLIENT_PACE, 0);
	close(fd);
}
END_TEST

/* Also of a message so large that it is read into its own memory. */
START_TEST(what_a_paced_one_may_send_is_counted)
{
	static char	 text[1 << 18] = "PUB a 1000000\r\n";
	struct client	*c;
	size_t		 before;
	int		 fd;

	rig_start(&rig);
	fd = subscriber("");
	c = client_of(1);
	rig_say(&rig, fd, text);
	rig_write(&rig, fd, text, 1 << 17);
	while (c->incoming == NULL)
		rig_turn(&rig);
	turn_often();
	worker_pace(&rig.w, c->slot, c->cid);
	ck_assert_int_eq(c->stop, CLIENT_PACED);
	c->settle_until = ev_now(rig.child.loop) + 100;
	ck_assert_int_gt(write(fd, text, 1 << 17), 3 * (int)SLOW_ALLOWANCE);
	for (int i = 0; i < 3; i++) {
		before = c->incoming->filled;
		while (c->stop != CLIENT_SETTLES || c->incoming->filled == before)
			rig_wait(&rig);
		ck_assert_uint_le(c->incoming->filled - before, SLOW_ALLOWANCE);
	}
	close(fd);
}
END_TEST

/* What one read brings may be delivered a million times: others get their turn meanwhile. */
START_TEST(a_client_with_very_many_deliveries_lets_others_go_first)
{
	static char	 text[1 << 17];
	size_t		 len = 0;
	uint64_t	 all = 0, most = 0, before;
	int		 fd, other;

	rig_start(&rig);
	fd = subscriber("");
	other = subscriber("");
	for (unsigned i = 0; i < 5000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "SUB x %u\r\n", i);
	rig_say(&rig, fd, text);
	while (client_of(1)->subscriptions < 5000)
		rig_turn(&rig);
	for (len = 0; len < 300 * 11; len += 11)
		memcpy(text + len, "PUB x 0\r\n\r\n", 11);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	while (all < 300 * 5000) {
		before = atomic_load(&rig.w.head->out_msgs) + rig.w.out_msgs;
		rig_turn(&rig);
		all = atomic_load(&rig.w.head->out_msgs) + rig.w.out_msgs;
		if (all - before > most)
			most = all - before;
		while (read(fd, got, sizeof(got)) > 0)
			;
	}
	ck_assert_uint_le(most, 2 * (128 << 10) + 10000);
	rig_say(&rig, other, "PING\r\n");
	ck_assert(rig_read(&rig, other, "PONG\r\n", got, sizeof(got)));
	close(fd);
	close(other);
}
END_TEST

START_TEST(a_silent_client_becomes_stale)
{
	int	 fd;

	rig.child.settings.ping_interval = 0.02;
	rig.child.settings.ping_max = 2;
	rig.pings = true;
	rig_start(&rig);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	ck_assert(!rig_read(&rig, fd, NULL, got, sizeof(got)));
	ck_assert_str_eq(got, "PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
	ck_assert_uint_eq(atomic_load(&rig.w.head->stale_connections), 1);
	close(fd);
	fd = rig_connect(&rig, REFUSE_NOTHING);
	for (int i = 0; i < 6; i++) {
		ck_assert(rig_read(&rig, fd, "PING\r\n", got, sizeof(got)));
		rig_say(&rig, fd, "PONG\r\n");
	}
	close(fd);
}
END_TEST

START_TEST(lame_duck_tells_waits_and_closes_all)
{
	const struct msg	 m = { .type = MSG_lame_duck };
	int			 fds[10], old;

	rig.child.settings.lame_duck_duration = 0.2;
	rig.child.settings.lame_duck_grace_period = 0.05;
	rig_start(&rig);
	for (int i = 0; i < 10; i++)
		fds[i] = subscriber("SUB s 1\r\n");
	old = rig_connect(&rig, REFUSE_NOTHING);	/* never said CONNECT: is not told */
	ck_assert_int_gt(read(old, got, sizeof(got)), 0);
	ck_assert_int_eq(channel_send(&rig.supervisor, &m, NULL), 0);
	for (int i = 0; i < 10; i++)
		ck_assert(!rig_read(&rig, fds[i], NULL, got, sizeof(got)));
	ck_assert_str_eq(got, "");
	ck_assert(!rig_read(&rig, old, NULL, got, sizeof(got)));
	ck_assert_uint_eq(rig.drained, 0);
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	close(old);
	while (rig.drained == 0)
		rig_wait(&rig);
	ck_assert_uint_eq(rig.closed, 11);
	for (int i = 0; i < 10; i++)
		rig_turn(&rig);
	ck_assert_uint_eq(rig.drained, 1);
}
END_TEST

START_TEST(lame_duck_info_says_so)
{
	const struct msg	 m = { .type = MSG_lame_duck };
	int			 fd, old;
	ssize_t			 n;

	rig_start(&rig);
	fd = subscriber("");
	old = rig_connect(&rig, REFUSE_NOTHING);	/* would not know what to do with it */
	ck_assert_int_gt(read(old, got, sizeof(got)), 0);
	ck_assert_int_eq(channel_send(&rig.supervisor, &m, NULL), 0);
	while ((n = read(fd, got, sizeof(got) - 1)) == -1)
		rig_wait(&rig);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	ck_assert_ptr_nonnull(strstr(got, "\"ldm\":true"));
	ck_assert_int_eq(read(old, got, sizeof(got)), -1);
	close(old);
	close(fd);
}
END_TEST

START_TEST(the_end_writes_out_what_waits)
{
	int	 fds[5];

	rig_start(&rig);
	for (int i = 0; i < 5; i++)
		fds[i] = subscriber("SUB s 1\r\n");
	ck_assert_int_gt(write(fds[0], "PUB s 3\r\nend\r\n", 14), 0);
	rig_turn(&rig);
	worker_stop(&rig.child);
	ev_run(rig.child.loop, 0);
	for (int i = 0; i < 5; i++) {
		ck_assert(rig_read(&rig, fds[i], "MSG s 1 3\r\nend\r\n", got, sizeof(got)));
		ck_assert_int_eq(read(fds[i], got, 1), 0);
		close(fds[i]);
	}
}
END_TEST

/* ---- subscriptions */

#define IDS	20000u

static void
sid_text(char text[64], unsigned i)
{
	snprintf(text, 64, i % 7 == 0 ? "a-rather-long-sid-%u" : "%u", i);
}

/* Random subscribing and unsubscribing; `live` knows what is there. */
static void
churn(int fd, unsigned char *live, unsigned rounds)
{
	char	 sid[64], text[128];

	for (unsigned k = 0; k < rounds; k++) {
		unsigned i = (unsigned)random() % IDS;

		sid_text(sid, i);
		if (live[i])
			snprintf(text, sizeof(text), "UNSUB %s\r\n", sid);
		else
			snprintf(text, sizeof(text), "SUB s.%u %s\r\n", i, sid);
		live[i] = !live[i];
		rig_say(&rig, fd, text);
	}
}

static void
check_live(int fd, const unsigned char *live)
{
	static char	 want[4096], text[256];
	char		 sid[64];
	unsigned	 n = 0;

	for (unsigned i = 0; i < IDS; i++)
		n += live[i];
	ck_assert_uint_eq(client_of(1)->subscriptions, n);
	ck_assert_uint_eq(atomic_load(&rig.w.head->subscriptions), n);
	for (unsigned k = 0; k < 300; k++) {
		unsigned i = (unsigned)random() % IDS;

		sid_text(sid, i);
		snprintf(text, sizeof(text), "PUB s.%u 1\r\nx\r\nPING\r\n", i);
		rig_say(&rig, fd, text);
		ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
		if (live[i])
			snprintf(want, sizeof(want), "MSG s.%u %s 1\r\nx\r\nPONG\r\n", i, sid);
		else
			snprintf(want, sizeof(want), "PONG\r\n");
		ck_assert_str_eq(got, want);
	}
}

START_TEST(sids_are_found_whatever_their_number)
{
	static unsigned char	 live[IDS];
	char			 text[128], sid[64];
	int			 fd;

	srandom(5);
	rig_start(&rig);
	fd = subscriber("");
	for (int k = 0; k < 3; k++) {
		churn(fd, live, 15000);
		check_live(fd, live);
	}
	for (unsigned i = 0; i < IDS; i++)
		if (live[i] && i % 1000 != 0) {
			sid_text(sid, i);
			snprintf(text, sizeof(text), "UNSUB %s\r\n", sid);
			rig_say(&rig, fd, text);
			live[i] = 0;
		}
	check_live(fd, live);
	ck_assert_uint_le(client_of(1)->sid_buckets, 40);	/* shrunk again */
	close(fd);
	wait_closed(1);
	ck_assert_uint_eq(atomic_load(&rig.w.head->subscriptions), 0);
	ck_assert(RB_EMPTY(&rig.w.long_sids));
}
END_TEST

START_TEST(compaction_moves_all_subscriptions)
{
	const struct msg	 m = { .type = MSG_compacted, .u.compacted.generation = 1 };
	static unsigned char	 live[IDS];
	int			 fd, small;

	srandom(6);
	rig_start(&rig);
	fd = subscriber("");
	small = subscriber("SUB small 1\r\n");
	churn(fd, live, 20000);
	close(small);
	small = subscriber("");
	rig_say(&rig, fd, "PUB nobody 1\r\nx\r\n");
	rig_segments(&rig);
	ck_assert_uint_eq(rig.sealed, 2);
	ck_assert_uint_eq(atomic_load(&rig.w.head->in_msgs), 1);
	ck_assert_uint_eq(atomic_load(&client_record(client_of(1))->in_msgs), 1);
	ck_assert_str_eq(client_record(client_of(1))->name, "n");
	check_live(fd, live);
	churn(fd, live, 3000);
	check_live(fd, live);
	ck_assert_int_eq(channel_send(&rig.supervisor, &m, NULL), 0);
	churn(fd, live, 3000);
	check_live(fd, live);
	ck_assert_ptr_null(rig.w.part.old_partition.base);
	ck_assert_uint_eq(atomic_load(&client_record(client_of(1))->subscriptions), client_of(1)->subscriptions);
	ck_assert_uint_eq(atomic_load(&client_record(client_of(1))->first), client_of(1)->first);
	close(fd);
	close(small);
	wait_closed(3);
	ck_assert_uint_eq(atomic_load(&rig.w.head->subscriptions), 0);
}
END_TEST

/* Many subscriptions, all but one of which go again. */
static int
burst(void)
{
	static char	 text[128];
	int		 fd = subscriber("");

	for (unsigned i = 0; i < 150000; i++) {
		snprintf(text, sizeof(text), "SUB some.longer.subject.%u %u\r\n", i, i);
		rig_say(&rig, fd, text);
	}
	ck_assert_uint_eq(rig.compact, 0);
	rig_say(&rig, fd, C);			/* drops them all, in pieces */
	rig_say(&rig, fd, "SUB last 1\r\nPUB last 0\r\n\r\nPING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_str_eq(got, "MSG last 1 0\r\n\r\nPONG\r\n");
	ck_assert_uint_eq(client_of(1)->subscriptions, 1);
	return fd;
}

START_TEST(compaction_is_asked_for_once)
{
	int	 fd;

	rig_start(&rig);
	fd = burst();
	turn_often();
	ck_assert_uint_eq(rig.compact, 1);
	close(fd);
}
END_TEST

/* COMPACTION_PAUSE is over. */
static void
pause_ends(void)
{
	ck_assert(ev_is_active(&rig.w.part.compact_pause));
	ck_assert_double_gt(ev_timer_remaining(rig.child.loop, &rig.w.part.compact_pause), COMPACTION_PAUSE / 2);
	ev_timer_stop(rig.child.loop, &rig.w.part.compact_pause);
	turn_often();
}

START_TEST(a_compaction_that_fails_is_asked_for_later)
{
	const struct msg	 refused = { .type = MSG_compaction_refused };
	const struct msg	 compacted = { .type = MSG_compacted, .u.compacted.generation = 1 };
	int			 fd;

	rig_start(&rig);
	fd = burst();
	turn_often();
	rig_segments_sized(&rig, 4096);
	ck_assert_uint_eq(rig.failed, 1);
	turn_often();
	ck_assert_uint_eq(rig.compact, 1);
	pause_ends();
	ck_assert_uint_eq(rig.compact, 2);
	ck_assert_int_eq(channel_send(&rig.supervisor, &refused, NULL), 0);
	turn_often();
	ck_assert_uint_eq(rig.compact, 2);
	pause_ends();
	ck_assert_uint_eq(rig.compact, 3);
	rig_segments(&rig);
	ck_assert_int_eq(channel_send(&rig.supervisor, &compacted, NULL), 0);
	turn_often();
	ck_assert(!rig.w.part.compacting && !ev_is_active(&rig.w.part.compact_pause));
	rig_say(&rig, fd, "PUB last 0\r\n\r\nPING\r\n");
	ck_assert(rig_read(&rig, fd, "PONG\r\n", got, sizeof(got)));
	ck_assert_str_eq(got, "MSG last 1 0\r\n\r\nPONG\r\n");
	close(fd);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("clients");
	TCase	*c = tcase_create("life");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 180);
	tcase_add_test(c, a_client_is_answered_before_it_is_said_to_be_taken);
	tcase_add_test(c, every_end_is_told_though_late);
	tcase_add_test(c, who_cannot_be_served_is_told_to_be_closed);
	tcase_add_test(c, a_refused_one_gets_info_the_error_and_the_end);
	tcase_add_test(c, last_words_reach_one_that_still_sends_and_one_that_stopped);
	tcase_add_test(c, a_stopped_subscriber_is_cut_and_recorded);
	tcase_add_test(c, the_write_deadline_cuts);
	tcase_add_loop_test(c, what_write_timeout_says_happens_at_the_deadline, 0, 3);
	tcase_add_test(c, a_slow_one_paces_its_publisher_and_is_not_cut);
	tcase_add_test(c, without_stall_the_slow_one_loses_and_stays);
	tcase_add_test(c, a_pause_is_kept_for_later);
	tcase_add_test(c, what_a_paced_one_may_send_is_counted);
	tcase_add_test(c, a_client_with_very_many_deliveries_lets_others_go_first);
	tcase_add_test(c, a_silent_client_becomes_stale);
	tcase_add_test(c, lame_duck_tells_waits_and_closes_all);
	tcase_add_test(c, lame_duck_info_says_so);
	tcase_add_test(c, the_end_writes_out_what_waits);
	tcase_add_test(c, sids_are_found_whatever_their_number);
	tcase_add_test(c, compaction_moves_all_subscriptions);
	tcase_add_test(c, compaction_is_asked_for_once);
	tcase_add_test(c, a_compaction_that_fails_is_asked_for_later);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

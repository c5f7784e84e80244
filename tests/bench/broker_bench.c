/*
 * What routing a message costs, without sockets: ns of CPU for each, by way of
 * finding its match. `broker_bench hint N`: one case only, N messages (for callgrind).
 */
#include <sys/eventfd.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "broker/broker.h"
#include "common/records.h"

#define MILLION	1000000
#define BULK	(1u << 20)
#define SMALL	(1u << 16)

struct side {
	struct broker	*b;
	struct segment	 partition, tables;
	int		 partition_fd;
};

static struct segment	directory;
static uint8_t		secret[INDEX_SECRET];
static struct side	here, there;
static uint64_t		delivered;

static enum delivery
deliver(void *program, uint32_t connection, struct subscription *sub, const struct message *m)
{
	delivered++;
	return DELIVERED;
}

static void
no_responders(void *program, uint32_t connection, uint64_t cid, struct bytes subject, struct bytes reply)
{
}

static void
pace(void *program, uint32_t connection, uint64_t cid)
{
}

static void
unblocked(void *program)
{
}

static void
removed(void *program, uint32_t connection, uint32_t subscription)
{
}

static void
complain(void *program, unsigned peer, uint64_t incarnation, bool hung, const char *what)
{
	errx(1, "complaint: %s", what);
}

static const struct broker_calls calls = {
	deliver, no_responders, pace, unblocked, removed, complain
};

static void
must(int rc, const char *what)
{
	if (rc < 0) {
		errno = -rc;
		err(1, "%s", what);
	}
}

static void
side_open(struct side *s, unsigned participant)
{
	const size_t		 tables = (TABLES_SIZE + 4095) & ~(size_t)4095;
	struct broker_config	 config = { .participant = participant, .secret = secret,
	    .calls = &calls, .max_payload = 1 << 20, .watchdog = 60 };
	int			 fd;

	must(fd = segment_create("partition", INDEX_SIZE), "partition");
	s->partition_fd = dup(fd);
	must(segment_map_own(&s->partition, fd, INDEX_SIZE), "partition");
	must(fd = segment_create("tables", tables), "tables");
	must(segment_map_own(&s->tables, fd, tables), "tables");
	must(broker_new(&s->b, &config, &directory, &s->partition, &s->tables), "broker_new");
}

static int
lane_make(struct lane *lane)
{
	int fd, other;

	must(fd = segment_create("lane", LANE_SIZE(BULK, SMALL)), "lane");
	other = dup(fd);
	must(lane_open(lane, fd, BULK, SMALL), "lane_open");
	return other;
}

static void
sides_join(void)
{
	struct lane	a, b;
	int		a_fd = lane_make(&a), b_fd = lane_make(&b);
	struct segment	seg;

	must(broker_add_lane(here.b, 1, 1, &a, eventfd(0, EFD_NONBLOCK)), "lane");
	must(broker_add_lane(there.b, 0, 1, &b, eventfd(0, EFD_NONBLOCK)), "lane");
	must(segment_map_peer(&seg, dup(there.partition_fd), INDEX_SIZE), "map");
	must(broker_add_peer(here.b, 1, 1, &seg, b_fd), "peer");
	must(segment_map_peer(&seg, dup(here.partition_fd), INDEX_SIZE), "map");
	must(broker_add_peer(there.b, 0, 1, &seg, a_fd), "peer");
}

static double
cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
subscribe(struct side *s, const char *subject, const char *queue, uint32_t connection)
{
	uint32_t slot;

	must(broker_subscribe(s->b, ACCOUNT_GLOBAL, connection, bytes_of(subject),
	    queue == NULL ? (struct bytes){ NULL, 0 } : bytes_of(queue), &slot), "subscribe");
}

/* "subs.N.of.N", without the cost of printf(), to text of 32 bytes. */
static struct bytes
subject_make(char *text, unsigned n)
{
	char		digits[10];
	unsigned	len = 0, at = 5, i;

	do
		digits[len++] = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	memcpy(text, "subs.", 5);
	for (i = len; i > 0; i--)
		text[at++] = digits[i - 1];
	memcpy(text + at, ".of.", 4);
	at += 4;
	for (i = len; i > 0; i--)
		text[at++] = digits[i - 1];
	return (struct bytes){ text, at };
}

/* ---- cases: n messages, each as `subject` or a random one of `of` subjects */

struct bench {
	const char	*name, *what, *subject;
	unsigned	 of;
	bool		 hint, remote;
	size_t		 body;
	unsigned	 n;
	enum { FREE, ENTER, ENTER_POLICY, ENTER_MAPPED, ENTER_BOTH } enter;
};

static const struct bench benches[] = {
	{ "hint",	"same subject as before",		"here",		0, true, false, 16, 20000000, FREE },
	{ "hit",	"random one of 200, cached",		NULL,		200, false, false, 16, 5000000, FREE },
	{ "hit10k",	"random one of 10000, cached",		NULL,		10000, false, false, 16, 5000000, FREE },
	{ "miss",	"random one of a million",		NULL,		MILLION, false, false, 16, 2000000, FREE },
	{ "nobody",	"no interest, hint",			"nobody",	0, true, false, 16, 20000000, FREE },
	{ "fan100",	"100 subscriptions (a message)",	"fan",		0, true, false, 16, 500000, FREE },
	{ "queue10",	"group of 10",				"queue",	0, true, false, 16, 5000000, FREE },
	{ "enter",	"no mapping, no permission",		"here",		0, true, false, 16, 20000000, ENTER },
	{ "policy",	"1000 permissions",			"here",		0, true, false, 16, 20000000, ENTER_POLICY },
	{ "policy10k",	"the same, random one of 10000",	NULL,		10000, false, false, 16, 5000000, ENTER_POLICY },
	{ "mapped",	"1000 mappings",			"mapped",	0, true, false, 16, 20000000, ENTER_MAPPED },
	{ "mapped200",	"the same, random one of 200",		NULL,		200, false, false, 16, 5000000, ENTER_MAPPED },
	{ "both",	"mapped, and permitted",		"mapped",	0, true, false, 16, 20000000, ENTER_BOTH },
	{ "remote16",	"16 B to another, both sides",		"there",	0, true, true, 16, 5000000, FREE },
	{ "remote128",	"128 B",				"there",	0, true, true, 128, 5000000, FREE },
	{ "remote1k",	"1 KiB",				"there",	0, true, true, 1024, 2000000, FREE },
	{ "remote64k",	"64 KiB",				"there",	0, true, true, 65536, 50000, FREE },
};

static void
drain(void)
{
	broker_flush(here.b);
	while (broker_drain(there.b, 1 << 20))
		;
	broker_flush(there.b);
	(void)broker_drain(here.b, 1 << 20);
}

/* ---- permissions and mappings */

static struct policy	*policy;
static struct accounts	*accounts;

static void
record_add(msgpack_sbuffer *out, const struct msg *record)
{
	must(records_add(out, record), "record");
}

/* A thousand patterns; the last two allow what is published. */
static void
policy_prepare(void)
{
	struct msg	 m = { .type = MSG_permission_set, .u.permission_set = { .number = 1, .publish = 1 } };
	struct policies	*all;
	msgpack_sbuffer	 out;
	const char	*why;
	char		 text[32];
	unsigned	 i;

	msgpack_sbuffer_init(&out);
	record_add(&out, &m);
	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), i == 999 ? "subs.>" : i == 998 ? "here" : "other.%u.*", i);
		m = (struct msg){ .type = MSG_permission, .u.permission = { .kind = PUBLISH_ALLOW,
		    .subject = bytes_of(text), .queue = BYTES("") } };
		record_add(&out, &m);
	}
	must(policies_new(&all), "policies");
	must(policy_get(all, (struct bytes){ out.data, out.size }, &policy, &why), "policy");
	msgpack_sbuffer_destroy(&out);
}

static void
accounts_prepare(void)
{
	static const uint64_t	limits[LIMITS];
	struct msg		m = { .type = MSG_account, .u.account = { .number = ACCOUNT_GLOBAL,
				    .name = BYTES("$G"), .limits = { .count = LIMITS, .own = limits } } };
	msgpack_sbuffer		out;
	const char		*why;
	char			text[32];
	unsigned		i;
	int			fd;

	msgpack_sbuffer_init(&out);
	record_add(&out, &m);
	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), i == 999 ? "mapped" : i == 998 ? "subs.*.of.*" : "other.%u.*", i);
		m = (struct msg){ .type = MSG_mapping, .u.mapping = { .source = bytes_of(text),
		    .destination = i == 998 ? BYTES("subs.$1.of.$2") : BYTES("here"), .weight = 100,
		    .cluster = BYTES("") } };
		record_add(&out, &m);
	}
	must(fd = records_seal(&out), "document");
	must(accounts_read(&accounts, fd, ROLE_WORKER, "", &why), "accounts");
	close(fd);
	msgpack_sbuffer_destroy(&out);
}

static void
enter(const struct bench *c, struct message *m, struct publish_hint *hint)
{
	struct policy *p = c->enter == ENTER_POLICY || c->enter == ENTER_BOTH ? policy : NULL;

	if (broker_enter(here.b, m, p, NULL, hint, 0) != ENTERS)
		errx(1, "%s: refused", c->name);
}

static double
bench_run(const struct bench *c, unsigned n)
{
	static char		 body[65536];
	struct publish_hint	 hint = { 0 };
	struct message		 m = { .account = ACCOUNT_GLOBAL, .body = { body, c->body },
	    .publisher = 1, .echo = true };
	struct bytes		 subject = c->subject == NULL ? BYTES("") : bytes_of(c->subject);
	uint64_t		 random = 88172645463325252;
	char			 text[32];
	double			 start;
	unsigned		 i;

	must(broker_set_accounts(here.b, c->enter >= ENTER_MAPPED ? accounts : NULL), "accounts");
	start = cpu_now();
	for (i = 0; i < n; i++) {
		m.subject = subject;		/* entering may have changed it */
		if (c->of != 0) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			m.subject = subject_make(text, (unsigned)(random % c->of));
		}
		if (i % 64 == 0) {
			broker_refresh(here.b);
			if (c->remote)
				drain();
		}
		if (c->enter != FREE)
			enter(c, &m, &hint);
		while (broker_publish(here.b, &m, 7, &hint) == PUBLISH_BLOCKED)
			drain();
		if (!c->hint)
			hint = (struct publish_hint){ 0 };
	}
	drain();
	return (cpu_now() - start) / n;
}

static void
prepare(bool million)
{
	struct bytes	subject;
	char		text[32];
	uint32_t	slot;
	unsigned	i;

	subscribe(&here, "here", NULL, 1);
	subscribe(&there, "there", NULL, 1);
	for (i = 0; i < 100; i++)
		subscribe(&here, "fan", NULL, i);
	for (i = 0; i < 10; i++)
		subscribe(&here, "queue", "group", i);
	for (i = 0; i < (million ? MILLION : 0); i++) {
		subject = subject_make(text, i);
		must(broker_subscribe(here.b, ACCOUNT_GLOBAL, i % 1000, subject,
		    (struct bytes){ NULL, 0 }, &slot), "subscribe");
	}
}

/* Is it the name of a case whose subjects are random ones? */
static bool
picks_subjects(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		if (strcmp(name, benches[i].name) == 0)
			return benches[i].of != 0;
	return false;
}

int
main(int argc, char **argv)
{
	double		best, ns;
	uint64_t	before;
	unsigned	n;
	size_t		i, round;

	directory = (struct segment){ calloc(1, DIRECTORY_SIZE), DIRECTORY_SIZE };
	((struct directory *)directory.base)->participants[ACCOUNT_GLOBAL] = 3;
	arc4random_buf(secret, sizeof(secret));
	side_open(&here, 0);
	side_open(&there, 1);
	sides_join();
	prepare(argc < 2 || picks_subjects(argv[1]));
	policy_prepare();
	accounts_prepare();
	for (i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		if (argc > 1 && strcmp(argv[1], benches[i].name) != 0)
			continue;
		n = argc > 2 ? (unsigned)atoi(argv[2]) : benches[i].n;
		best = 1e9;
		before = delivered;
		for (round = 0; round < (argc > 2 ? 1 : 3); round++)
			if ((ns = bench_run(&benches[i], n)) < best)
				best = ns;
		printf("%-10s %8.1f ns  %.1f deliveries  %s\n", benches[i].name, best,
		    (double)(delivered - before) / n / (double)round, benches[i].what);
	}
	return 0;
}

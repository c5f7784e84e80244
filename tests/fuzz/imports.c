/*
 * Records that a hostile peer puts in its lane, into a broker whose accounts
 * import and export streams and services. Participant 0 is ours, 1 does what the
 * input says. It may speak for A, B and C, not for D. In between, clients of ours
 * ask, answer and publish, subscriptions come and go, accounts are set anew.
 *
 * Most messages carry a number, by which it is known what entered, and where. So for
 * each arrival a model, which has no interest and no lanes, says whether there is a way:
 * the account itself, an import, the answer to a request. Holds whatever comes: a
 * subscription gets what it matches and what has a way to it; what goes through
 * a service import says who asks as we wrote it, or not at all; what is written to others
 * is well formed; what the liar says of who answered stays bounded; work ends; in the end a stream, a request and its answer arrive,
 * once, and nothing of them is lost.
 *
 * Input: repeated { operation, operands }.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>
#include "broker/private.h"
#include "common/records.h"
#include "nats/subject.h"

#define BULK		(1u << 17)
#define SMALL		4096u
#define PAYLOAD		(1u << 17)
#define RECORD_MOST	(WIRE_HEAD_MAX + PAYLOAD + WIRE_ADDED)
#define RECORDS_MOST	(2 * (BULK + SMALL) / 8)	/* in both rings, empty ones */
#define CID		77
#define CLIENT		1000		/* a connection that is not in the tables */
#define TAGS		8192
#define TOKENS		256
#define TEXT		64		/* bytes of a subject of ours, at most */
#define DEEP		16		/* answers to answers: beyond this the model does not look */
#define FAN		64		/* stages that one message may go through */
#define COUNT(list)	((unsigned)(sizeof(list) / sizeof((list)[0])))

enum { OURS, LIAR, SIDES };
enum { A = 4, B, C, D };

struct interest { unsigned side, account; const char *subject, *queue; uint64_t max; };
static const struct interest interests[] = {
	{ OURS, A, ">", NULL, 0 }, { OURS, A, "q.*", NULL, 0 }, { OURS, A, "q.me", "g", 0 },
	{ OURS, A, "many.a", NULL, 0 }, { OURS, A, "_R_.>", NULL, 0 }, { OURS, A, "lat", NULL, 0 },
	{ OURS, B, ">", NULL, 0 }, { OURS, B, "inbox.*", NULL, 0 }, { OURS, B, "inbox.1", NULL, 1 },
	{ OURS, B, "from.a.*", NULL, 0 }, { OURS, B, "from.a.1", "g", 0 }, { OURS, B, "help.*", "g", 0 },
	{ OURS, C, ">", NULL, 0 }, { OURS, C, "inbox.*", "g", 0 }, { OURS, C, "c.>", NULL, 0 },
	{ OURS, D, ">", NULL, 0 }, { OURS, D, "inbox.d", "g", 0 },
	{ LIAR, A, "q.*", NULL, 0 }, { LIAR, A, "q.me", "g", 0 }, { LIAR, A, "many.a", NULL, 0 },
	{ LIAR, A, "q.d", "z", 0 }, { LIAR, B, "inbox.*", NULL, 0 }, { LIAR, B, "help.*", "g", 0 },
	{ LIAR, B, "from.a.*", NULL, 0 }, { LIAR, C, "inbox.*", "g", 0 }, { LIAR, ACCOUNT_SERVER, "responder.*", NULL, 0 },
};
static const char *const subjects[] = { "q.me", "q.1", "q.mapped", "q.d", "many.a", "news.1", "news.me",
	"from.a.1", "help.me", "help.1", "help.mapped", "ask.me", "ask.1", "many", "lots", "lat", "timed", "inbox.1",
	"inbox.mapped", "inbox.d", "told", "direct", "dq", "c.a.1", "$SYS.REQ.ACCOUNT.PING.CONNZ",
	"_R_.AAAAAAAA.BBBBBBBBBBBBBBBB", "_R_.AAAAAAAA.BBBBBBBBBBBBBBBB-t", "_R_.AAAAAAAA.>", "_R_.", "q..me", "q.*", ">", "", "a b" };
#define INFO	"Nats-Request-Info"
static const char *const headers[] = { "", "NATS/1.0\r\n\r\n", "NATS/1.0\r\n" INFO ": FORGED\r\n\r\n",
	"NATS/1.0\r\nnats-REQUEST-info : FORGED\r\nX: y\r\n\r\n", "NATS/1.0\r\n\t" INFO ":FORGED\r\n\r\n",
	INFO ": FORGED\r\n\r\n", "NATS/1.0\r\nX: y\n" INFO ":\n FORGED\n\n", "NATS/1.0\r\n" INFO "\v:FORGED",
	"NATS/1.0\r\nNats-Trace-Dest: t\r\nTraceparent: 00-a-b-01\r\n\r\n", "\n" INFO ": FORGED\r\n", "NATS/1.0", "\r\n\r\n",
	"NATS/1.0\r\nX: y\r\n" INFO ": FORGED\r\n FORGED\r\n\tFORGED\r\nUber-Trace-Id: 1:2:3:1\r\n\r\n",
	"NATS/1.0 503\r\nB3: 1\r\n" };
static const char *const names[] = { "g", "z", "nobody", "" };

struct side {
	struct broker	*b;
	struct segment	 partition, tables;
	int		 partition_fd;
	uint64_t	 incarnation;
};

struct script { const uint8_t *at, *end; };

/* A message that was written: which its number says. */
struct tag {
	uint32_t	account;
	bool		enters, imported, forbidden;	/* enters: by a client of ours */
	size_t		subject_len, reply_len;
	char		subject[TEXT], reply[TEXT];
};

/* A reply subject that the broker made: answers there, in `account`, go to that message's reply. */
struct token {
	uint32_t	 account;
	const struct tag *request;			/* NULL: of a message without a number */
	uint64_t	 path;				/* accounts that the answer goes through */
	size_t		 len;
	char		 text[ANSWER_MARKED];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct side	 sides[SIDES];
static struct segment	 directory;
static uint8_t		 secret[INDEX_SECRET];
static int		 nowhere;			/* instead of eventfds */
static struct lane	 liar;
static struct accounts	*configurations[2], *accounts;
static uint32_t		 slots[COUNT(interests)];	/* 0: not subscribed */
static unsigned		 seen[COUNT(interests)];	/* deliveries since it was cleared */
static size_t		 arrivals, written;
static uint8_t		 refuses, slow;			/* bits, by connection % 8 */
static unsigned		 complaints;
static struct tag	 tags[TAGS];
static uint32_t		 ntags;
static struct token	 tokens[TOKENS];
static unsigned		 ntokens;
static const char	 mark[8] = { 1, 'n', 2, 'u', 3, 'm', 4, '=' };
static char		 record[RECORD_MOST], last[RECORD_MOST];
static size_t		 last_len;
static char		 text[WIRE_HEAD_MAX];

static void
demand(bool so)
{
	if (!so)
		abort();
}

static uint64_t
script_number(struct script *s, size_t bytes)
{
	uint64_t v = 0;

	if ((size_t)(s->end - s->at) < bytes)
		bytes = (size_t)(s->end - s->at);
	memcpy(&v, s->at, bytes);
	s->at += bytes;
	return v;
}

/* ---- accounts */

static void
put(msgpack_sbuffer *all, struct msg m)
{
	demand(records_add(all, &m) == 0);
}

static void
account(msgpack_sbuffer *all, uint32_t number, const char *name)
{
	uint64_t	none[LIMITS];
	unsigned	i;

	for (i = 0; i < LIMITS; i++)
		none[i] = NO_LIMIT;
	put(all, (struct msg){ .type = MSG_account, .u.account = { .number = number, .name = bytes_of(name),
	    .limits = { .count = LIMITS, .own = none } } });
}

static void
mapping(msgpack_sbuffer *all, const char *source, const char *destination)
{
	put(all, (struct msg){ .type = MSG_mapping, .u.mapping = { .source = bytes_of(source),
	    .destination = bytes_of(destination), .weight = 100, .cluster = BYTES("") } });
}

static void
stream(msgpack_sbuffer *all, uint32_t from, const char *subject, const char *to)
{
	put(all, (struct msg){ .type = MSG_stream_import, .u.stream_import = { .from = from,
	    .subject = bytes_of(subject), .to = bytes_of(to) } });
}

static void
service(msgpack_sbuffer *all, uint32_t from, const char *to, const char *subject, enum response_type response,
    unsigned sampling)
{
	put(all, (struct msg){ .type = MSG_service_import, .u.service_import = { .from = from, .to = bytes_of(to),
	    .subject = bytes_of(subject), .response = response, .threshold = 120000,
	    .latency = sampling == 0 ? BYTES("") : BYTES("lat"), .sampling = sampling } });
}

static struct accounts *
accounts_of(msgpack_sbuffer *all)
{
	struct accounts	*read = NULL;
	const char	*why;
	int		 fd = records_seal(all);

	demand(fd >= 0 && accounts_read(&read, fd, ROLE_WORKER, "", &why) == 0);
	close(fd);
	msgpack_sbuffer_destroy(all);
	return read;
}

static void
configure(void)
{
	msgpack_sbuffer	all;

	msgpack_sbuffer_init(&all);
	account(&all, A, "A");
	mapping(&all, "q.mapped", "q.other");
	account(&all, B, "B");
	mapping(&all, "inbox.mapped", "inbox.other");
	stream(&all, A, "news.*", "from.a.$1");
	service(&all, A, "help.*", "q.$1", RESPONSE_SINGLETON, 0);
	service(&all, A, "many", "many.a", RESPONSE_STREAM, 0);
	service(&all, A, "timed", "q.timed", RESPONSE_SINGLETON, 101);
	service(&all, A, "told", "q.1", RESPONSE_SINGLETON, 100);
	account(&all, C, "C");
	stream(&all, B, "from.>", "c.>");
	service(&all, B, "ask.*", "help.$1", RESPONSE_SINGLETON, 0);
	service(&all, B, "lots", "many", RESPONSE_STREAM, 0);
	service(&all, A, "direct", "q.me", RESPONSE_CHUNKED, 100);
	account(&all, D, "D");
	service(&all, A, "dq", "q.d", RESPONSE_STREAM, 0);
	configurations[0] = accounts_of(&all);
	msgpack_sbuffer_init(&all);
	account(&all, A, "A");
	account(&all, B, "B");
	mapping(&all, "inbox.1", "help.1");
	stream(&all, A, "news.1", "from.a.1");
	service(&all, A, "help.me", "many.a", RESPONSE_STREAM, 100);
	account(&all, D, "D");
	configurations[1] = accounts_of(&all);
}

/* Those who ask from now on wait so long. */
static void
threshold_set(double seconds)
{
	uint32_t i, j, n;

	for (i = 0; i < COUNT(configurations); i++)
		for (j = 0; j < configurations[i]->count; j++)
			for (n = 0; n < configurations[i]->all[j]->nservices; n++)
				configurations[i]->all[j]->services[n].threshold = seconds;
}

static void
accounts_set(unsigned which)
{
	accounts = configurations[which];
	demand(broker_set_accounts(sides[OURS].b, accounts) == 0);
}

/* ---- which ways there are */

struct goal { uint32_t account; struct bytes subject; bool leg; };
struct way { bool enters, imported, leg; unsigned depth; };

static struct bytes
mapped(uint32_t number, struct bytes subject, char to[TEXT * 2])
{
	const struct account	*a = accounts_find(accounts, number);
	uint32_t		 i;
	int			 len;

	for (i = 0; a != NULL && i < a->nmappings; i++)
		if (bytes_equal(bytes_of(a->mappings[i].source), subject)) {
			len = transform_subject(a->mappings[i].to[0].transform, subject, 0, to, TEXT * 2);
			demand(len >= 0);
			return (struct bytes){ to, (size_t)len };
		}
	return subject;
}

/* With a mark or without. */
static const struct token *
token_find(struct bytes subject)
{
	unsigned i;

	for (i = 0; i < ntokens; i++)
		if (answers_subject(subject) && memcmp(tokens[i].text, subject.data, ANSWER_SUBJECT) == 0)
			return &tokens[i];
	return NULL;
}

static bool
streams_reach(const struct goal *g, uint32_t from, struct bytes subject)
{
	const struct account	*a = accounts_find(accounts, g->account);
	char			 to[TEXT * 2];
	uint32_t		 i;
	int			 len;

	for (i = 0; a != NULL && i < a->nstreams; i++) {
		if (a->streams[i].from != from || !subject_matches(bytes_of(a->streams[i].subject), subject))
			continue;
		len = transform_subject(a->streams[i].to, subject, 0, to, sizeof(to));
		if (len >= 0 && bytes_equal((struct bytes){ to, (size_t)len }, g->subject))
			return true;
	}
	return false;
}

static bool reaches(struct goal *g, uint32_t number, struct bytes subject, struct way w);

static bool
services_reach(struct goal *g, uint32_t number, struct bytes subject, struct way w)
{
	const struct account	*a = accounts_find(accounts, number);
	char			 to[TEXT * 2], other[TEXT * 2];
	struct bytes		 theirs = { to, 0 };
	uint32_t		 i;
	int			 len;

	for (i = 0; a != NULL && i < a->nservices; i++) {
		if (!subject_matches(bytes_of(a->services[i].to), subject))
			continue;
		len = transform_subject(a->services[i].subject, subject, 0, to, sizeof(to));
		demand(len >= 0);
		theirs.len = (size_t)len;
		if (reaches(g, a->services[i].from, mapped(a->services[i].from, theirs, other),
		    (struct way){ true, true, true, w.depth + 1 }))
			return true;
	}
	return false;
}

static bool
answers_reach(struct goal *g, uint32_t number, struct bytes subject, struct way w)
{
	const struct token	*t = token_find(subject);
	char			 to[TEXT * 2];

	if (t == NULL || t->account != number)
		return false;
	if (t->request == NULL)
		return g->account != D;
	if ((t->path & BIT(g->account)) != 0 && answers_subject(g->subject))
		return true;
	return reaches(g, t->request->account, mapped(t->request->account,
	    (struct bytes){ t->request->reply, t->request->reply_len }, to),
	    (struct way){ true, true, false, w.depth + 1 });
}

/* Is there a way from a message of this account and subject? Then g->leg says whether it ends with a service import. */
static bool
reaches(struct goal *g, uint32_t number, struct bytes subject, struct way w)
{
	if (w.depth > DEEP)
		return true;
	if (number == g->account && bytes_equal(subject, g->subject)) {
		g->leg = w.leg;
		return true;
	}
	return (!w.imported && streams_reach(g, number, subject)) ||
	    (w.enters && services_reach(g, number, subject, w)) || answers_reach(g, number, subject, w);
}

/* Accounts that services lead to. */
static uint64_t
services_path(uint32_t number, struct bytes subject, unsigned depth)
{
	const struct account	*a = accounts_find(accounts, number);
	char			 to[TEXT * 2], other[TEXT * 2];
	struct bytes		 theirs = { to, 0 };
	uint64_t		 path = BIT(number);
	uint32_t		 i;

	for (i = 0; a != NULL && i < a->nservices && depth < DEEP; i++)
		if (subject_matches(bytes_of(a->services[i].to), subject)) {
			theirs.len = (size_t)transform_subject(a->services[i].subject, subject, 0, to, sizeof(to));
			path |= services_path(a->services[i].from, mapped(a->services[i].from, theirs, other), depth + 1);
		}
	return path;
}

/* ---- what arrives */

/* NULL: it has no number. */
static const struct tag *
tag_of(const struct message *m)
{
	size_t		 len = m->body.len < 2048 ? m->body.len : 2048;
	const char	*at = len == 0 ? NULL : memmem(m->body.data, len, mark, sizeof(mark));
	uint32_t	 number;

	if (at == NULL || at + sizeof(mark) + sizeof(number) > m->body.data + m->body.len)
		return NULL;
	memcpy(&number, at + sizeof(mark), sizeof(number));
	demand(number < ntags);
	return &tags[number];
}

/* A reply of the broker's, to be used by who will. */
static void
token_note(const struct message *m, const struct tag *tag)
{
	struct token		*t;
	const struct token	*asked;

	if (!answers_subject(m->reply) || ntokens == TOKENS || token_find(m->reply) != NULL)
		return;
	if (tag != NULL && bytes_equal(m->reply, (struct bytes){ tag->reply, tag->reply_len }))
		return;				/* the publisher's own */
	t = &tokens[ntokens];
	*t = (struct token){ .account = m->account, .request = tag, .len = m->reply.len };
	memcpy(t->text, m->reply.data, m->reply.len);
	if (tag != NULL) {
		struct bytes subject = { tag->subject, tag->subject_len };

		t->path = services_path(tag->account, subject, 0);
		if ((asked = token_find(subject)) != NULL && asked->request != NULL)
			t->path |= asked->path | services_path(asked->request->account, bytes_of(""), 0);
	}
	ntokens++;
}

static bool
line_next(struct bytes *rest, struct bytes *line)
{
	const char *end = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);

	*line = *rest;
	if (end != NULL)
		line->len = (size_t)(end - rest->data);
	rest->data += line->len + (end != NULL);
	rest->len -= line->len + (end != NULL);
	return line->data != rest->data;
}

static bool
blank(char c)
{
	return c == '\0' || strchr(" \t\r\v\f", c) != NULL;
}

/* For the most lenient of readers, does this line say who asks? */
static bool
says_who(struct bytes line)
{
	const char	*colon = line.len == 0 ? NULL : memchr(line.data, ':', line.len);

	if (colon == NULL)
		return false;
	for (line.len = (size_t)(colon - line.data); line.len > 0 && blank(line.data[line.len - 1]); line.len--)
		;
	for (; line.len > 0 && blank(line.data[0]); line.len--)
		line.data++;
	return line.len == sizeof(INFO) - 1 && strncasecmp(line.data, INFO, line.len) == 0;
}

/* What a service import brings: once who asks if it was a client of ours, and in our words. */
static void
info_check(const struct message *m, bool asked_here)
{
	static const char	 ours[] = INFO ": {\"acc\":\"";
	struct bytes		 rest = { m->body.data, m->header }, line;
	unsigned		 count = 0;
	bool			 before = false;

	demand(rest.len == 0 || memmem(rest.data, rest.len, "FORGED", 6) == NULL);
	while (line_next(&rest, &line)) {
		demand(!before || line.len == 0 || !blank(line.data[0]) || line.data[0] == '\r');
		if ((before = says_who(line))) {
			demand(line.len >= sizeof(ours) && memcmp(line.data, ours, sizeof(ours) - 1) == 0);
			count++;
		}
	}
	demand(count == (asked_here ? 1 : 0));
}

static bool
way_exists(struct goal *g, const struct tag *tag)
{
	return reaches(g, tag->account, (struct bytes){ tag->subject, tag->subject_len },
	    (struct way){ tag->enters, tag->imported, false, 0 });
}

/* late: it may have been written when the other accounts were in force. */
static void
arrive(const struct message *m, bool late)
{
	const struct tag	*tag = tag_of(m);
	struct goal		 g = { m->account, m->subject, false };
	struct accounts		*in_force = accounts;

	demand(++arrivals <= (written + 1) * FAN * COUNT(interests));
	if (tag == NULL)
		demand(m->account != D || bytes_equal(m->subject, BYTES("inbox.d")));
	else {
		demand(!tag->forbidden);
		if (!way_exists(&g, tag)) {
			accounts = configurations[accounts == configurations[0]];
			demand(late && way_exists(&g, tag));
		}
		if (g.leg)
			info_check(m, tag->enters);
	}
	token_note(m, tag);
	accounts = in_force;
}

/* ---- what the broker asks for */

static enum delivery
deliver(void *program, uint32_t connection, struct subscription *sub, const struct message *m)
{
	struct side	*s = program;

	demand(connection < COUNT(interests) && s == &sides[OURS] && interests[connection].side == OURS);
	demand(sub == broker_subscription(s->b, slots[connection]) && sub->connection == connection);
	demand(m->account == interests[connection].account);
	demand(subject_matches(bytes_of(interests[connection].subject), m->subject));
	demand(wire_text_clean(m->subject) && wire_text_clean(m->reply));
	demand(m->body.len <= PAYLOAD + WIRE_ADDED && m->header <= m->body.len);
	demand(m->block == NULL || (m->body.data >= m->block->data &&
	    m->body.data + m->body.len <= m->block->data + m->block->size));
	arrive(m, false);
	if ((refuses >> connection % 8 & 1) != 0)
		return DELIVERY_REFUSED;
	seen[connection]++;
	return (slow >> connection % 8 & 1) != 0 ? DELIVERED_SLOWLY : DELIVERED;
}

static void
no_responders(void *program, uint32_t connection, uint64_t cid, struct bytes subject, struct bytes reply)
{
	demand(program == &sides[OURS] && connection == CLIENT && cid == CID && reply.len != 0);
}

static void
pace(void *program, uint32_t connection, uint64_t cid)
{
	demand(connection < TABLES_CONNECTIONS);
}

static void
unblocked(void *program)
{
}

static void
removed(void *program, uint32_t connection, uint32_t slot)
{
	demand(connection < COUNT(interests) && slots[connection] == slot);
	slots[connection] = 0;
}

static void
complain(void *program, unsigned peer, uint64_t incarnation, bool hung, const char *what)
{
	demand(program == &sides[OURS] && peer == LIAR && !hung && what != NULL);
	demand(incarnation == sides[LIAR].incarnation && complaints++ == 0);
}

static const struct broker_calls calls = { deliver, no_responders, pace, unblocked, removed, complain };

/* ---- two participants */

static void
side_start(struct side *s)
{
	const struct broker_config	 config = { .participant = (unsigned)(s - sides), .secret = secret,
	    .calls = &calls, .program = s, .max_payload = PAYLOAD, .watchdog = 1e9 };
	int				 fd = segment_create("partition", INDEX_SIZE);

	s->partition_fd = dup(fd);
	demand(segment_map_own(&s->partition, fd, INDEX_SIZE) == 0);
	fd = segment_create("tables", TABLES_SIZE);
	demand(segment_map_own(&s->tables, fd, TABLES_SIZE) == 0);
	demand(broker_new(&s->b, &config, &directory, &s->partition, &s->tables) == 0);
	s->incarnation = 1;
}

/* As new for the next input, but for the memory that it keeps. */
static void
side_reset(struct side *s)
{
	demand(broker_set_accounts(s->b, NULL) == 0);
	answers_free(s->b);
	requests_free(s->b);
	s->b->requests = NULL;
	s->b->last_request = 0;
	s->b->random = 1;
	s->b->turn = 0;
	cache_forget(&s->b->cache);
}

static void
interest_set(uint32_t i, bool wanted)
{
	struct broker	*b = sides[interests[i].side].b;
	const char	*queue = interests[i].queue == NULL ? "" : interests[i].queue;

	if (slots[i] != 0)
		broker_unsubscribe(b, slots[i]);
	if (!wanted)
		return;
	demand(broker_subscribe(b, interests[i].account, i, bytes_of(interests[i].subject), bytes_of(queue),
	    &slots[i]) == 0);
	broker_subscription(b, slots[i])->max = interests[i].max;
}

static int
lane_make(struct lane *lane)
{
	int fd = segment_create("lane", LANE_SIZE(BULK, SMALL)), other = dup(fd);

	demand(lane_open(lane, fd, BULK, SMALL) == 0);
	return other;
}

/* A new incarnation, with an empty lane. */
static void
liar_join(void)
{
	struct side	*from = &sides[LIAR];
	struct broker	*b = sides[OURS].b;
	struct segment	 seg;
	struct lane	 ours;
	int		 to_liar, to_us;

	broker_remove_peer(b, LIAR, from->incarnation++);
	lane_close(&liar);
	to_liar = lane_make(&ours);
	to_us = lane_make(&liar);
	demand(broker_add_lane(b, LIAR, from->incarnation, &ours, dup(nowhere)) == 0);
	demand(segment_map_peer(&seg, dup(from->partition_fd), INDEX_SIZE) == 0);
	demand(broker_add_peer(b, LIAR, from->incarnation, &seg, to_us) == 0);
	demand(lane_attach(&liar, to_liar) == 0);
	complaints = 0;
}

static void
prepare(void)
{
	struct directory	*d;
	unsigned		 i;

	nowhere = open("/dev/null", O_WRONLY);
	directory = (struct segment){ calloc(1, DIRECTORY_SIZE), DIRECTORY_SIZE };
	demand(nowhere != -1 && directory.base != NULL);
	d = directory.base;
	d->participants[ACCOUNT_SERVER] = UINT64_MAX;
	d->participants[A] = d->participants[B] = d->participants[C] = UINT64_MAX;
	d->participants[D] = BIT(OURS);
	for (i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(i * 37 + 11);
	configure();
	for (i = 0; i < SIDES; i++)
		side_start(&sides[i]);
	demand(broker_set_accounts(sides[LIAR].b, configurations[0]) == 0);
}

static void
start_anew(void)
{
	uint32_t i;

	if (sides[OURS].b == NULL)
		prepare();
	refuses = slow = 0;
	ntags = ntokens = 0;
	arrivals = written = last_len = 0;
	side_reset(&sides[OURS]);
	threshold_set(120);
	accounts_set(0);
	for (i = 0; i < COUNT(interests); i++)
		interest_set(i, true);
	liar_join();
}

/* ---- turns */

static void
turn(size_t budget)
{
	struct broker	*b = sides[OURS].b;
	unsigned	 rounds = 0;

	broker_wake(b);
	do
		demand(rounds++ < 2 * RECORDS_MOST);
	while (broker_drain(b, budget));
	broker_flush(b);
	if (!broker_sleep(b))
		demand(b->dirty == 0 && !b->unblock);
}

/* What we wrote to the liar is as it should be. */
static void
message_check(enum ring ring, const char *data, size_t len)
{
	static struct wire_in w;

	demand(wire_read(&w, text, data, len, PAYLOAD) == NULL);
	demand(((w.flags & WIRE_PASSED) != 0) == (ring == RING_SMALL));
	demand(wire_text_clean(w.m.subject) && w.m.account != D);
	arrive(&w.m, true);
}

/* Pieces are put together. */
static void
record_check(enum ring ring, const struct ring_record *r)
{
	static char		 whole[RECORD_MOST];
	static size_t		 len;
	static struct wire_first first;
	size_t			 skip = r->type == WIRE_FIRST ? sizeof(first) : 0;

	switch (r->type) {
	case WIRE_MESSAGE:
		message_check(ring, r->data, r->len);
		break;
	case WIRE_FIRST:
		memcpy(&first, r->data, sizeof(first));
		demand(first.total <= sizeof(whole));
		len = 0;
		/* FALLTHROUGH */
	case WIRE_MORE:
		demand(ring == RING_BULK && r->len - skip <= first.total - len);
		memcpy(whole + len, r->data + skip, r->len - skip);
		len += r->len - skip;
		if (len == first.total)
			message_check(ring, whole, len);
		break;
	case WIRE_NONE:
		demand(ring == RING_SMALL && r->len == sizeof(struct wire_none));
		break;
	default:
		demand(ring == RING_SMALL && r->type == WIRE_PACE && r->len == sizeof(struct wire_pace));
	}
}

/* How many records there were. */
static unsigned
liar_listen(void)
{
	struct ring_record	 r;
	enum ring		 ring;
	unsigned		 n = 0;
	int			 rc;

	for (ring = RING_BULK; ring < RINGS; ring++) {
		while ((rc = ring_next(&liar, ring, &r)) == 1) {
			record_check(ring, &r);
			ring_consume(&liar, ring, &r);
			n++;
		}
		demand(rc == 0);
	}
	lane_release(&liar);
	return n;
}

/* ---- messages */

/* From the list, or a real token. */
static struct bytes
subject_take(struct script *s)
{
	unsigned		 i = (unsigned)script_number(s, 1);
	const struct token	*t;

	if (i < 128 || ntokens == 0)
		return bytes_of(subjects[i % COUNT(subjects)]);
	t = &tokens[(ntokens - 1 - i % 128) % ntokens];
	return (struct bytes){ t->text, t->len };
}

/* Headers, a number if it is to have one, and `len` bytes more, into `to`. */
static void
body_make(struct message *m, char *to, unsigned header, bool numbered, size_t len)
{
	size_t	at = strlen(headers[header % COUNT(headers)]);

	memcpy(to, headers[header % COUNT(headers)], at);
	m->header = (uint32_t)at;
	if (numbered) {
		memcpy(to + at, mark, sizeof(mark));
		memcpy(to + at + sizeof(mark), &ntags, sizeof(ntags));
		at += sizeof(mark) + sizeof(ntags);
	}
	memset(to + at, 'x', len);
	m->body = (struct bytes){ to, at + len };
}

static void
tag_add(const struct message *m, bool enters)
{
	struct tag *t = &tags[ntags++];

	*t = (struct tag){ .account = m->account, .enters = enters, .imported = m->imported,
	    .forbidden = !enters && m->account == D, .subject_len = m->subject.len, .reply_len = m->reply.len };
	demand(m->subject.len <= TEXT && m->reply.len <= TEXT);
	memcpy(t->subject, m->subject.data, m->subject.len);
	if (m->reply.len != 0)
		memcpy(t->reply, m->reply.data, m->reply.len);
}

static enum published
publish(struct message *m)
{
	struct broker		*b = sides[OURS].b;
	struct publish_hint	 hint = { .entry = NULL };
	struct connection_record *c = &tables_connections(b->tables)[CLIENT];
	enum published		 rc;

	written++;
	c->cid = CID;
	c->account = m->account;
	broker_refresh(b);
	demand(broker_enter(b, m, NULL, NULL, &hint, 0) == ENTERS);
	tag_add(m, true);
	rc = broker_publish(b, m, CID, &hint);
	broker_flush(b);
	return rc;
}

static bool
client_may_write(struct bytes subject)
{
	return subject_literal(subject) && wire_text_clean(subject);
}

/* A client of ours publishes, asks or answers. D's give no reply but their own. */
static void
client_publish(struct script *s)
{
	uint32_t	number = A + (uint32_t)script_number(s, 1) % 4;
	struct bytes	subject = subject_take(s), reply = subject_take(s);
	struct message	m = { .account = number, .subject = subject, .reply = reply, .publisher = CLIENT, .echo = true };
	unsigned	header = (unsigned)script_number(s, 1);
	size_t		len = script_number(s, 2);

	if (ntags == TAGS || !client_may_write(m.subject))
		return;
	if (m.reply.len != 0 && number == D)
		m.reply = BYTES("inbox.d");
	if (!client_may_write(m.reply))
		m.reply = BYTES("");
	m.wants_503 = m.reply.len != 0;
	body_make(&m, record, header, true, header & 128 ? len : len & 63);
	(void)publish(&m);
}

static bool
liar_write(enum ring ring, uint32_t type, const void *data, size_t len)
{
	void *to;

	if (len > ring_record_max(&liar, ring) || (to = ring_reserve(&liar, ring, len)) == NULL)
		return false;
	if (len != 0)
		memcpy(to, data, len);
	ring_commit(&liar, ring, type, len);
	lane_publish(&liar);
	written++;
	return true;
}

static void
names_add(struct wire_out *w, unsigned wanted)
{
	unsigned i;

	for (i = 0; i < COUNT(names); i++)
		if ((wanted >> i & 1) != 0)
			wire_add_name(w, bytes_of(names[i]));
}

/* A message in `last`, as a peer might write it. */
static void
message_make(struct script *s, enum ring ring, bool numbered)
{
	static struct wire_out	 w;
	uint32_t		 number = A + (uint32_t)script_number(s, 1) % 4;
	struct bytes		 subject = subject_take(s), reply = subject_take(s), head;
	struct message		 m = { .account = number, .subject = subject, .reply = reply, .publisher = NO_CONNECTION };
	unsigned		 flags = (unsigned)script_number(s, 1), chosen = (unsigned)script_number(s, 1);
	unsigned		 header = (unsigned)script_number(s, 1);
	size_t			 len = script_number(s, 2);

	m.imported = (flags & WIRE_IMPORTED) != 0;
	if (header >= 224)				/* as large as may be */
		len = PAYLOAD + (m.imported ? WIRE_ADDED : 0) - strlen(headers[header % COUNT(headers)]) -
		    sizeof(mark) - sizeof(ntags) - len % 16;
	else if (header < 128)
		len &= 63;
	if (!wire_text_clean(m.reply))
		m.reply = BYTES("");
	body_make(&m, record, header, numbered && ntags < TAGS, len);
	wire_begin(&w, last, &m, CID, flags & WIRE_REQUEST ? 1 + chosen : 0);
	wire_again(&w, (flags & WIRE_SERVE) | (ring == RING_SMALL ? WIRE_PASSED : 0));
	names_add(&w, chosen);
	if (flags & WIRE_SERVE) {
		wire_add_served(&w);
		names_add(&w, chosen >> 4);
	}
	head = wire_end(&w);
	memcpy(last + head.len, m.body.data, m.body.len);
	last_len = head.len + m.body.len;
	if (numbered && ntags < TAGS)
		tag_add(&m, false);
}

/* Who is said to have answered a request of ours, in `last`. */
static bool
responder_make(struct script *s)
{
	static struct wire_out	 w;
	char			 subject[TEXT];
	struct bytes		 asked = subject_take(s), head;
	struct message		 m = { .account = ACCOUNT_SERVER, .publisher = NO_CONNECTION };
	struct msg		 who = { .type = MSG_responder, .u.responder = { .cid = 1, .user = BYTES("FORGED"),
	    .account = A + script_number(s, 1) % 4, .rtt = script_number(s, 8) } };
	msgpack_sbuffer		 body;

	if (token_find(asked) == NULL)
		return false;
	snprintf(subject, sizeof(subject), "responder.%.*s", ANSWER_OWN, asked.data + sizeof(ANSWER_PREFIX) - 1);
	m.subject = bytes_of(subject);
	who.u.responder.token = (struct bytes){ asked.data + ANSWER_SUBJECT - ANSWER_TOKEN, ANSWER_TOKEN };
	msgpack_sbuffer_init(&body);
	demand(records_add(&body, &who) == 0);
	m.body = (struct bytes){ body.data, body.size };
	wire_begin(&w, last, &m, CID, 0);
	wire_again(&w, 0);
	head = wire_end(&w);
	memcpy(last + head.len, body.data, body.size);
	last_len = head.len + body.size;
	msgpack_sbuffer_destroy(&body);
	return true;
}

/* Some of its bytes are others. */
static void
last_spoil(struct script *s)
{
	unsigned n = (unsigned)script_number(s, 1) % 4;

	while (n-- > 0 && last_len > 0) {
		size_t at = script_number(s, 1) % last_len;

		last[at] = (char)script_number(s, 1);
	}
}

/* Whole, or in as few pieces as can be. */
static void
last_write(enum ring ring)
{
	struct wire_first	first = { .total = (uint32_t)last_len };
	size_t			most = ring_record_max(&liar, RING_BULK) - sizeof(first), done, piece;

	if (last_len <= most) {
		liar_write(ring, WIRE_MESSAGE, last, last_len);
		return;
	}
	memcpy(record, &first, sizeof(first));
	memcpy(record + sizeof(first), last, most);
	if (ring == RING_SMALL || !liar_write(RING_BULK, WIRE_FIRST, record, sizeof(first) + most))
		return;
	for (done = most; done < last_len; done += piece) {
		piece = last_len - done < most ? last_len - done : most;
		turn(1);
		if (!liar_write(RING_BULK, WIRE_MORE, last + done, piece))
			return;
	}
}

/* The last one again, and again, each taken before the next. */
static void
last_repeat(struct script *s)
{
	unsigned n = (unsigned)script_number(s, 1) * 16;

	while (n-- > 0 && complaints == 0) {
		last_write(RING_BULK);
		turn(65536);
	}
}

static void
write_raw(struct script *s, enum ring ring)
{
	uint32_t	type = (uint32_t)script_number(s, 1) % 7;
	size_t		len = script_number(s, 1);

	if (len > (size_t)(s->end - s->at))
		len = (size_t)(s->end - s->at);
	if (len != 0 && memmem(s->at, len, mark, sizeof(mark)) == NULL)
		liar_write(ring, type, s->at, len);
	s->at += len;
}

/* ---- the end */

struct arrival { uint32_t account; struct bytes subject; };

/* Our plain subscriptions got it so often as it came to what they match. */
static void
seen_check(const struct arrival *came, unsigned n)
{
	unsigned i, j, times;

	for (i = 0; i < COUNT(interests); i++) {
		if (interests[i].side != OURS || interests[i].queue != NULL || interests[i].max != 0)
			continue;
		for (times = j = 0; j < n; j++)
			times += came[j].account == interests[i].account &&
			    subject_matches(bytes_of(interests[i].subject), came[j].subject);
		demand(seen[i] == times);
	}
}

static void
witness_publish(uint32_t number, struct bytes subject, struct bytes reply, const struct arrival *came, unsigned n)
{
	char		body[64];
	struct message	m = { .account = number, .subject = subject, .reply = reply, .publisher = CLIENT, .echo = true };

	body_make(&m, body, 0, true, 1);
	memset(seen, 0, sizeof(seen));
	demand(publish(&m) == PUBLISHED);
	turn(65536);
	seen_check(came, n);
}

/* With the liar gone, and its successor quiet, all is as if it had never been. */
static void
witness_check(void)
{
	struct broker	*b = sides[OURS].b;
	struct bytes	 reply = BYTES("inbox.w"), token;
	uint64_t	 lost;
	uint32_t	 i;

	refuses = slow = 0;
	ntags = ntags > TAGS - 8 ? TAGS - 8 : ntags;
	liar_join();
	do
		turn(65536);
	while (liar_listen() != 0);
	threshold_set(120);
	accounts_set(0);
	for (i = 0; i < COUNT(interests); i++)
		interest_set(i, true);
	lost = b->tables->records_lost;
	witness_publish(A, BYTES("news.w"), BYTES(""), (struct arrival[]){ { A, BYTES("news.w") },
	    { B, BYTES("from.a.w") } }, 2);
	ntokens = 0;
	witness_publish(B, BYTES("help.w"), reply, (struct arrival[]){ { B, BYTES("help.w") }, { A, BYTES("q.w") } }, 2);
	demand(ntokens == 1);
	token = (struct bytes){ tokens[0].text, tokens[0].len };
	witness_publish(A, token, BYTES(""), (struct arrival[]){ { A, token }, { B, reply } }, 2);
	witness_publish(A, token, BYTES(""), (struct arrival[]){ { A, token } }, 1);
	demand(b->tables->records_lost == lost && liar_listen() != 0);
}

static void
step(struct script *s)
{
	const unsigned	op = (unsigned)script_number(s, 1);
	const enum ring	ring = op & 16 ? RING_SMALL : RING_BULK;

	switch (op & 15) {
	case 0: case 1: case 2:
		message_make(s, ring, true);
		last_write(ring);
		break;
	case 3:
		message_make(s, ring, false);
		last_spoil(s);
		last_write(ring);
		break;
	case 4: write_raw(s, ring); break;
	case 5: last_repeat(s); break;
	case 6: case 7: case 8: client_publish(s); break;
	case 9: turn(1); break;
	case 10: turn(script_number(s, 2) + 2); break;
	case 11:
		if (ring == RING_BULK)
			(void)liar_listen();
		else if (responder_make(s)) {
			last_spoil(s);
			last_write(RING_BULK);
			turn(65536);
			demand(responders_count(sides[OURS].b) <= 64);
		}
		break;
	case 12: interest_set((uint32_t)(script_number(s, 1) % COUNT(interests)), ring == RING_BULK); break;
	case 13: accounts_set(ring == RING_SMALL); break;
	case 14:
		refuses = (uint8_t)script_number(s, 1);
		slow = (uint8_t)script_number(s, 1);
		threshold_set(ring == RING_SMALL ? 0 : 120);
		break;
	case 15:
		if (complaints > 0 || ring == RING_SMALL)
			liar_join();
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, data + size };

	start_anew();
	while (s.at < s.end)
		step(&s);
	witness_check();
	return 0;
}

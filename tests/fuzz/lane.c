/*
 * Records that a hostile peer puts in its lane, through the real consumer:
 * broker_drain() takes them apart, delivers, passes on, answers. Participant 0
 * is ours, 1 is honest, 2 does what the input says; some of its records are
 * plausible, from a small grammar, and some are any bytes.
 *
 * Holds whatever comes: only who subscribed to a subject gets its messages, and
 * for each record once, or one member of each group; what is written to others
 * is well formed; draining ends; what the honest one sends still arrives, and
 * nobody complains of it.
 *
 * Input: repeated { operation, operands }.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "broker/private.h"
#include "nats/subject.h"

#define BULK		(1u << 17)
#define SMALL		4096u
#define PAYLOAD		(1u << 17)
#define RECORDS_MOST	(2 * (BULK + SMALL) / 8)	/* in both rings, empty ones */
#define FOREIGN		7		/* an account that the liar may not speak for */
#define CID		77
#define REPLY		"reply"
#define COUNT(list)	((unsigned)(sizeof(list) / sizeof((list)[0])))

enum { OURS, HONEST, LIAR, SIDES };

struct interest { unsigned side; const char *subject, *queue; uint64_t max; bool foreign; };
static const struct interest interests[] = {
	{ OURS, "a", NULL, 0, false }, { OURS, "a.*", NULL, 0, false }, { OURS, ">", NULL, 0, false },
	{ OURS, "a.b", "q", 0, false }, { OURS, "a.>", "q", 0, false }, { OURS, "a.b", "q", 0, false },
	{ OURS, "*.b", "r", 0, false }, { OURS, "a.b", "longer.name", 0, false }, { OURS, "once", NULL, 1, false },
	{ OURS, "once", "q", 2, false }, { OURS, "few.*", NULL, 0, false }, { OURS, "x", "q", 0, false },
	{ OURS, ">", NULL, 0, true },
	{ HONEST, "a.b", "q", 0, false }, { HONEST, "far", NULL, 0, false }, { HONEST, "far", "q", 0, false },
	{ HONEST, "a.*", "h", 0, false }, { HONEST, "x", "q", 0, false }, { HONEST, "few.>", "r", 0, false },
	{ LIAR, "a.b", "q", 0, false }, { LIAR, "liar", NULL, 0, false }, { LIAR, "liar", "z", 0, false },
	{ LIAR, "x", "r", 0, false },
};
static const char *const subjects[] = { "a", "a.b", "a.c", "x", "once", "few.1", "far", "liar", "a.*", ">",
	"", "a..b", "a.b.c", "a\rb", "b.b", "a b" };	/* the last is what no client can write */
static const char *const names[] = { "q", "r", "h", "z", "longer.name", "nobody", "qq", "" };

struct side {
	struct broker	*b;
	struct segment	 partition, tables;
	int		 partition_fd;
	uint64_t	 incarnation;
};

struct script { const uint8_t *at, *end; };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct side	 sides[SIDES];
static struct segment	 directory;
static uint8_t		 secret[INDEX_SECRET];
static int		 nowhere;			/* instead of eventfds */
static struct lane	 liar;
static uint32_t		 slots[COUNT(interests)];	/* 0: not subscribed */
static unsigned		 seen[COUNT(interests)];	/* deliveries of this drain */
static bool		 single;			/* and it takes one record */
static uint8_t		 refuses, slow, meddles;	/* bits, by connection % 8 */
static unsigned		 complaints;
static bool		 lied;				/* about what it has read */
static char		 record[WIRE_HEAD_MAX + PAYLOAD];
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

/* ---- what the brokers ask for */

/* The record that is being read changes under the reader. */
static void
meddle(void)
{
	const struct peer	*p = sides[OURS].b->peers[LIAR];
	const struct ring_in	*in = &p->lane.in[RING_BULK];

	memset(liar.out[RING_BULK].data + (in->tail & (in->size - 1)), 0xff, 40);
}

/* The size as it is written to a client. */
static void
digits_check(const struct message *m)
{
	char digits[16];

	if (m->size_text.len == 0)
		return;
	demand(m->size_text.len < sizeof(digits));
	memcpy(digits, m->size_text.data, m->size_text.len);
	digits[m->size_text.len] = '\0';
	demand(strspn(digits, "0123456789") == m->size_text.len);
	demand(strtoul(digits, NULL, 10) == m->body.len);
}

/* No other member of its group had this record, and it had not itself. */
static void
once_check(uint32_t connection)
{
	const struct interest	*t = &interests[connection];
	uint32_t		 i;

	demand(seen[connection] == 0);
	for (i = 0; i < COUNT(interests); i++)
		demand(seen[i] == 0 || t->queue == NULL || interests[i].queue == NULL ||
		    interests[i].side != t->side || strcmp(interests[i].queue, t->queue) != 0);
}

static enum delivery
deliver(void *program, uint32_t connection, struct subscription *sub, const struct message *m)
{
	static char	 body[PAYLOAD];
	struct side	*s = program;

	demand(connection < COUNT(interests) && &sides[interests[connection].side] == s);
	demand(sub == broker_subscription(s->b, slots[connection]) && sub->connection == connection);
	demand(m->account == ACCOUNT_GLOBAL);
	demand(subject_matches(bytes_of(interests[connection].subject), m->subject));
	demand(wire_text_clean(m->subject) && wire_text_clean(m->reply));
	demand(m->body.len <= PAYLOAD && m->header <= m->body.len);
	demand(m->block == NULL || (m->body.data >= m->block->data &&
	    m->body.data + m->body.len <= m->block->data + m->block->size));
	if (m->body.len != 0)
		memcpy(body, m->body.data, m->body.len);
	digits_check(m);
	if (s == &sides[OURS] && (meddles >> connection % 8 & 1) != 0)
		meddle();
	if ((refuses >> connection % 8 & 1) != 0)
		return DELIVERY_REFUSED;
	if (single)
		once_check(connection);
	seen[connection]++;
	return (slow >> connection % 8 & 1) != 0 ? DELIVERED_SLOWLY : DELIVERED;
}

static void
no_responders(void *program, uint32_t connection, uint64_t cid, struct bytes subject,
    struct bytes reply)
{
	demand(program == &sides[OURS] && cid == CID && bytes_equal(reply, BYTES(REPLY)));
	demand(wire_text_clean(subject));
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

/* ---- three participants */

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
	demand(broker_subscribe(b, interests[i].foreign ? FOREIGN : ACCOUNT_GLOBAL, i,
	    bytes_of(interests[i].subject), bytes_of(queue), &slots[i]) == 0);
	broker_subscription(b, slots[i])->max = interests[i].max;
}

static int
lane_make(struct lane *lane)
{
	int fd = segment_create("lane", LANE_SIZE(BULK, SMALL)), other = dup(fd);

	demand(lane_open(lane, fd, BULK, SMALL) == 0);
	return other;
}

/* to's lane to `from` comes in fd. */
static void
side_meet(struct side *to, struct side *from, const struct lane *lane, int fd)
{
	struct segment	 seg;
	unsigned	 number = (unsigned)(from - sides);

	demand(broker_add_lane(to->b, number, from->incarnation, lane, dup(nowhere)) == 0);
	demand(segment_map_peer(&seg, dup(from->partition_fd), INDEX_SIZE) == 0);
	demand(broker_add_peer(to->b, number, from->incarnation, &seg, fd) == 0);
}

/* A new incarnation, with an empty lane. */
static void
liar_join(void)
{
	struct lane	 ours;
	int		 to_liar, to_us;

	broker_remove_peer(sides[OURS].b, LIAR, sides[LIAR].incarnation++);
	lane_close(&liar);
	to_liar = lane_make(&ours);
	to_us = lane_make(&liar);
	side_meet(&sides[OURS], &sides[LIAR], &ours, to_us);
	demand(lane_attach(&liar, to_liar) == 0);
	complaints = 0;
	lied = false;
}

static void
prepare(void)
{
	struct lane	 ours, honest;
	int		 to_ours, to_honest;
	unsigned	 i;

	nowhere = open("/dev/null", O_WRONLY);
	directory = (struct segment){ calloc(1, DIRECTORY_SIZE), DIRECTORY_SIZE };
	demand(nowhere != -1 && directory.base != NULL);
	((struct directory *)directory.base)->participants[ACCOUNT_GLOBAL] = UINT64_MAX;
	((struct directory *)directory.base)->participants[FOREIGN] = BIT(OURS);
	for (i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(i * 37 + 11);
	for (i = 0; i < SIDES; i++)
		side_start(&sides[i]);
	to_honest = lane_make(&ours);
	to_ours = lane_make(&honest);
	side_meet(&sides[OURS], &sides[HONEST], &ours, to_ours);
	side_meet(&sides[HONEST], &sides[OURS], &honest, to_honest);
}

static void
start_anew(void)
{
	uint32_t i;

	if (sides[OURS].b == NULL)
		prepare();
	refuses = slow = meddles = 0;
	for (i = 0; i < COUNT(interests); i++)
		interest_set(i, true);
	for (i = 0; i < SIDES; i++)
		side_reset(&sides[i]);
	liar_join();
}

/* ---- turns */

static void
drain(unsigned side, size_t budget)
{
	struct broker	*b = sides[side].b;
	unsigned	 rounds = 0;
	bool		 more;

	broker_wake(b);
	do {
		demand(rounds++ < 2 * RECORDS_MOST);
		single = budget == 1;
		memset(seen, 0, sizeof(seen));
		more = broker_drain(b, budget);
		single = false;
	} while (more);
	broker_flush(b);
}

/* With a budget of one byte each turn takes one record of each peer; the honest one sends none. */
static void
turn(size_t budget)
{
	drain(OURS, budget);
	drain(HONEST, 65536);
	drain(OURS, budget);
	if (!broker_sleep(sides[OURS].b))
		demand(sides[OURS].b->dirty == 0 && !sides[OURS].b->unblock);
}

/* What we wrote to the liar is as it should be, unless it said that it had read it. */
static void
record_check(enum ring ring, const struct ring_record *r)
{
	static struct wire_in w;

	switch (r->type) {
	case WIRE_MESSAGE:
		demand(wire_read(&w, text, r->data, r->len, PAYLOAD) == NULL);
		demand(((w.flags & WIRE_PASSED) != 0) == (ring == RING_SMALL));
		demand(w.m.account == ACCOUNT_GLOBAL);
		break;
	case WIRE_NONE:
		demand(ring == RING_SMALL && r->len == sizeof(struct wire_none));
		break;
	case WIRE_PACE:
		demand(ring == RING_SMALL && r->len == sizeof(struct wire_pace));
		break;
	default:
		demand(ring == RING_BULK && (r->type == WIRE_FIRST || r->type == WIRE_MORE));
	}
}

static void
liar_listen(void)
{
	struct ring_record	 r;
	enum ring		 ring;
	int			 rc;

	for (ring = RING_BULK; ring < RINGS; ring++) {
		while ((rc = ring_next(&liar, ring, &r)) == 1) {
			if (!lied)
				record_check(ring, &r);
			ring_consume(&liar, ring, &r);
		}
		demand(rc == 0 || lied);
	}
	lane_release(&liar);
}

/* ---- what the liar writes */

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

/* A message in `record`, as an honest peer might write it: its length. */
static size_t
message_make(struct script *s, enum ring ring)
{
	static struct wire_out	 w;
	const char		*subject = subjects[script_number(s, 1) % COUNT(subjects)];
	unsigned		 flags = (unsigned)script_number(s, 1), chosen = (unsigned)script_number(s, 1);
	size_t			 len = script_number(s, 2) * (flags & 32 ? 2 : 1);
	char			 digits[16];
	struct message		 m = { .account = flags & 16 ? FOREIGN : ACCOUNT_GLOBAL,
	    .subject = bytes_of(subject), .publisher = flags & 64 ? NO_CONNECTION : 3 };
	struct bytes		 head;

	if (flags & 8)
		m.reply = BYTES(REPLY);
	if (flags & WIRE_HEADER)
		m.header = len > 12 ? 12 : (uint32_t)len;
	if (flags & 128)
		m.size_text = (struct bytes){ digits, (size_t)snprintf(digits, sizeof(digits), "%08zu", len) };
	wire_begin(&w, record, &m, CID, flags & WIRE_REQUEST ? 1 + chosen : 0);
	wire_again(&w, (flags & WIRE_SERVE) | (ring == RING_SMALL ? WIRE_PASSED : 0));
	names_add(&w, chosen);
	if (flags & WIRE_SERVE) {
		wire_add_served(&w);
		names_add(&w, (unsigned)script_number(s, 1));
	}
	head = wire_end(&w);
	memset(record + head.len, 'x', len);
	return head.len + len;
}

/* Some of its bytes are others. */
static void
record_spoil(struct script *s, size_t len)
{
	unsigned n = (unsigned)script_number(s, 1) % 4;

	while (n-- > 0 && len > 0) {
		size_t at = script_number(s, 1) % len;

		record[at] = (char)script_number(s, 1);
	}
}

static void
write_message(struct script *s, enum ring ring, bool spoilt)
{
	size_t len = message_make(s, ring);

	if (spoilt)
		record_spoil(s, len);
	liar_write(ring, WIRE_MESSAGE, record, len);
}

static void
write_pieces(struct script *s, bool spoilt)
{
	size_t			 len = message_make(s, RING_BULK), piece, done;
	size_t			 most = 1 + script_number(s, 2) % (ring_record_max(&liar, RING_BULK) - 8);
	struct wire_first	 first = { .total = (uint32_t)len };
	char			 copy[8];

	if (spoilt) {
		record_spoil(s, len);
		first.total += (uint32_t)(int8_t)script_number(s, 1);
	}
	if (most < len / 64)
		most = len / 64 + 1;
	for (done = 0; done < len; done += piece) {
		piece = len - done < most ? len - done : most;
		if (done == 0) {
			memcpy(copy, &first, sizeof(first));
			memmove(record + sizeof(first), record, len);
			memcpy(record, copy, sizeof(first));
			piece = liar_write(RING_BULK, WIRE_FIRST, record, sizeof(first) + piece) ? piece : len;
		} else if (!liar_write(RING_BULK, WIRE_MORE, record + sizeof(first) + done, piece))
			turn(1);
	}
}

static void
write_raw(struct script *s, enum ring ring)
{
	uint32_t	type = (uint32_t)script_number(s, 1) % 7;
	size_t		len = script_number(s, 1);

	if (len > (size_t)(s->end - s->at))
		len = (size_t)(s->end - s->at);
	liar_write(ring, type, s->at, len);
	s->at += len;
}

static void
write_answer(struct script *s, bool none)
{
	struct wire_none	answer = { (uint32_t)script_number(s, 1) };
	struct wire_pace	slowly = { .cid = CID, .connection = (uint32_t)script_number(s, 3) };

	if (none)
		liar_write(RING_SMALL, WIRE_NONE, &answer, sizeof(answer));
	else
		liar_write(RING_SMALL, WIRE_PACE, &slowly, sizeof(slowly));
}

static void
lie(struct script *s)
{
	const unsigned	 what = (unsigned)script_number(s, 1);
	struct lane_words *mine = liar.mine;
	_Atomic uint64_t *const words[] = { &mine->head[0].at, &mine->head[1].at, &mine->tail[0].at,
	    &mine->tail[1].at, &mine->asleep, &mine->wants_space };

	lied = true;
	if ((what & 64) != 0)
		memset(liar.out[RING_BULK].data + script_number(s, 2) % BULK, (int)script_number(s, 1), 8);
	else
		atomic_fetch_add(words[what % COUNT(words)], (uint64_t)(int64_t)(int16_t)script_number(s, 2));
}

/* ---- what others do meanwhile */

static void
publish(unsigned side, const char *subject, struct bytes body, bool asks)
{
	struct publish_hint	 hint = { .entry = NULL };
	struct message		 m = { .account = ACCOUNT_GLOBAL, .subject = bytes_of(subject), .body = body,
	    .publisher = 1000, .echo = true, .wants_503 = asks };

	if (asks)
		m.reply = BYTES(REPLY);
	broker_refresh(sides[side].b);
	memset(seen, 0, sizeof(seen));
	single = true;
	(void)broker_publish(sides[side].b, &m, CID, &hint);
	single = false;
	broker_flush(sides[side].b);
}

/* A client of ours publishes. */
static void
ask(struct script *s, bool asks)
{
	const char	*subject = subjects[script_number(s, 1) % (COUNT(subjects) - 1)];
	size_t		 len = script_number(s, 2);

	memset(record, 'y', len);
	publish(OURS, subject, (struct bytes){ record, len }, asks);
}

/* What the honest one sends arrives, whatever the liar did. */
static void
witness_check(void)
{
	static const char	*subject = "a.b";
	uint32_t		 i;

	refuses = slow = meddles = 0;
	turn(65536);
	for (i = 0; i < COUNT(interests); i++)
		if (interests[i].side == OURS && slots[i] == 0)
			interest_set(i, true);
	publish(HONEST, subject, BYTES("witness"), false);
	memset(seen, 0, sizeof(seen));
	broker_drain(sides[OURS].b, 65536);
	for (i = 0; i < COUNT(interests); i++)
		if (interests[i].side == OURS && interests[i].queue == NULL && !interests[i].foreign)
			demand(seen[i] == subject_matches(bytes_of(interests[i].subject), bytes_of(subject)));
	turn(65536);
}

static void
step(struct script *s)
{
	const unsigned	op = (unsigned)script_number(s, 1);
	const enum ring	ring = op & 16 ? RING_SMALL : RING_BULK;

	switch (op & 15) {
	case 0: case 1: write_message(s, ring, false); break;
	case 2: case 3: write_message(s, ring, true); break;
	case 4: write_pieces(s, ring == RING_SMALL); break;
	case 5: write_raw(s, ring); break;
	case 6: write_answer(s, ring == RING_BULK); break;
	case 7: lie(s); break;
	case 8: case 9: turn(1); break;
	case 10: turn(script_number(s, 2) + 2); break;
	case 11: liar_listen(); break;
	case 12: ask(s, ring == RING_BULK); break;
	case 13:
		refuses = (uint8_t)script_number(s, 1);
		slow = (uint8_t)script_number(s, 1);
		meddles = (uint8_t)script_number(s, 1);
		break;
	case 14: interest_set((uint32_t)(script_number(s, 1) % COUNT(interests)), ring == RING_BULK); break;
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

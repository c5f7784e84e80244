#include <check.h>
#include <stdlib.h>
#include "nats/parser.h"

#define MOST	4096
#define ROOM	8192

/* What the real server (2.15.2) does with each; where we differ, nats/parser.c says why. */
static const struct {
	const char *what, *text;
	enum nats_op op;
	const char *subject, *reply, *queue, *sid, *json, *size_text;
	uint32_t header, size;
	uint64_t max;
} cases[] = {
	{ "PUB", "PUB foo 2\r\n", NATS_PUB, .subject = "foo", .size_text = "2", .size = 2 },
	{ "PUB with reply", "PUB foo bar.1 11\r\n", NATS_PUB,
	    .subject = "foo", .reply = "bar.1", .size_text = "11", .size = 11 },
	{ "PUB, verb in any case", "pUb foo 2\r\n", NATS_PUB,
	    .subject = "foo", .size_text = "2", .size = 2 },
	{ "PUB, two blanks for no reply", "PUB foo  2\r\n", NATS_PUB,
	    .subject = "foo", .size_text = "2", .size = 2 },
	{ "PUB, tabs", "PUB\tfoo\t2\r\n", NATS_PUB,
	    .subject = "foo", .size_text = "2", .size = 2 },
	{ "PUB, blanks everywhere", "PUB  \tfoo \t bar\t 2 \t\r\n", NATS_PUB,
	    .subject = "foo", .reply = "bar", .size_text = "2", .size = 2 },
	{ "PUB, one tab between", "PUB foo\t2\r\n", NATS_PUB,
	    .subject = "foo", .size_text = "2", .size = 2 },
	{ "PUB, line feed only", "PUB foo.bar 2\n", NATS_PUB,
	    .subject = "foo.bar", .size_text = "2", .size = 2 },
	{ "PUB, blank before the line feed", "PUB foo 2 \n", NATS_PUB,
	    .subject = "foo", .size_text = "2", .size = 2 },
	{ "PUB of nothing", "PUB foo 0\r\n", NATS_PUB, .subject = "foo", .size_text = "0" },
	{ "PUB, 9 digits, zeros are kept", "PUB foo 000000002\r\n", NATS_PUB,
	    .subject = "foo", .size_text = "000000002", .size = 2 },
	{ "PUB, largest size", "PUB foo 999999999\r\n", NATS_PUB,
	    .subject = "foo", .size_text = "999999999", .size = 999999999 },
	{ "PUB, 10 digits", "PUB foo 1000000000\r\n", .op = NATS_MALFORMED },
	{ "PUB, 10 digits, zeros", "PUB foo 0000000002\r\n", .op = NATS_MALFORMED },
	{ "PUB, 20 digits", "PUB foo 18446744073709551618\r\n", .op = NATS_MALFORMED },
	{ "PUB, sign", "PUB foo +2\r\n", .op = NATS_MALFORMED },
	{ "PUB, minus", "PUB foo -2\r\n", .op = NATS_MALFORMED },
	{ "PUB, not a digit", "PUB foo 2x\r\n", .op = NATS_MALFORMED },
	{ "PUB, hexadecimal", "PUB foo 0x2\r\n", .op = NATS_MALFORMED },
	{ "PUB, character before 0", "PUB foo 1/\r\n", .op = NATS_MALFORMED },
	{ "PUB, character after 9", "PUB foo 1:\r\n", .op = NATS_MALFORMED },
	{ "PUB, byte over 127", "PUB foo 1\xb1\r\n", .op = NATS_MALFORMED },
	{ "PUB, carriage return twice", "PUB foo 2\r\r\n", .op = NATS_MALFORMED },
	{ "PUB without size", "PUB foo\r\n", .op = NATS_MALFORMED },
	{ "PUB without arguments", "PUB \r\n", .op = NATS_MALFORMED },
	{ "PUB, blanks only", "PUB \t  \n", .op = NATS_MALFORMED },
	{ "PUB, 4 arguments", "PUB foo bar baz 2\r\n", .op = NATS_MALFORMED },
	{ "PUB, 5 arguments", "PUB foo bar baz 2 2\r\n", .op = NATS_MALFORMED },
	{ "PUB, 9 arguments", "PUB a b c d e f g h 2\r\n", .op = NATS_MALFORMED },
	{ "PUB without blank", "PUB\r\n", .op = NATS_UNKNOWN },
	{ "PUB without blank, line feed", "PUB\n", .op = NATS_UNKNOWN },
	{ "PUBx", "PUBx foo 2\r\n", .op = NATS_UNKNOWN },
	{ "PUB of UTF-8", "PUB f\xc3\xb6\xc3\xb6 1\r\n", NATS_PUB,
	    .subject = "f\xc3\xb6\xc3\xb6", .size_text = "1", .size = 1 },
	{ "PUB of any bytes", "PUB \x01\x0b\xff\x80\x0c 1\r\n", NATS_PUB,
	    .subject = "\x01\x0b\xff\x80\x0c", .size_text = "1", .size = 1 },
	{ "PUB, carriage return inside", "PUB fo\ro 2\r\n", NATS_PUB,
	    .subject = "fo\ro", .size_text = "2", .size = 2 },
	{ "PUB with wildcards and empty tokens", "PUB foo..*.> 2\r\n", NATS_PUB,
	    .subject = "foo..*.>", .size_text = "2", .size = 2 },
	{ "PUB, 13 bytes of arguments", "PUB aaaaaaaaa 16\r\n", NATS_PUB,
	    .subject = "aaaaaaaaa", .size_text = "16", .size = 16 },
	{ "PUB, carriage return ends a block", "PUB aaaaaaaaaaaa 16\r\n", NATS_PUB,
	    .subject = "aaaaaaaaaaaa", .size_text = "16", .size = 16 },
	{ "PUB, line feed begins a block", "PUB aaaaaaaaaaaaa 1\r\n", NATS_PUB,
	    .subject = "aaaaaaaaaaaaa", .size_text = "1", .size = 1 },
	{ "PUB, three blocks", "PUB service.one _INBOX.Qk3mTz6dW1bN8yXcR2vLpE.a8 16\r\n", NATS_PUB,
	    .subject = "service.one", .reply = "_INBOX.Qk3mTz6dW1bN8yXcR2vLpE.a8",
	    .size_text = "16", .size = 16 },
	{ "PUB, line feed is the window's last byte",
	    "PUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbb 7\r\n", NATS_PUB,
	    .subject = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    .reply = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbb", .size_text = "7", .size = 7 },
	{ "PUB, longer than the window",
	    "PUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 7\r\n", NATS_PUB,
	    .subject = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    .reply = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", .size_text = "7", .size = 7 },

	{ "HPUB", "HPUB foo 12 14\r\n", NATS_HPUB,
	    .subject = "foo", .size_text = "14", .header = 12, .size = 14 },
	{ "HPUB with reply", "HPUB foo bar 12 14\r\n", NATS_HPUB,
	    .subject = "foo", .reply = "bar", .size_text = "14", .header = 12, .size = 14 },
	{ "HPUB, tabs and case", "hPuB\tfoo\t0  2 \r\n", NATS_HPUB,
	    .subject = "foo", .size_text = "2", .size = 2 },
	{ "HPUB, tab after the verb", "HPUB\tfoo 1 2\n", NATS_HPUB,
	    .subject = "foo", .size_text = "2", .header = 1, .size = 2 },
	{ "HPUB without headers", "HPUB foo 0 2\r\n", NATS_HPUB,
	    .subject = "foo", .size_text = "2", .size = 2 },
	{ "HPUB of headers only", "HPUB foo 12 12\r\n", NATS_HPUB,
	    .subject = "foo", .size_text = "12", .header = 12, .size = 12 },
	{ "HPUB, zeros", "HPUB foo 012 014\r\n", NATS_HPUB,
	    .subject = "foo", .size_text = "014", .header = 12, .size = 14 },
	{ "HPUB, headers larger than all", "HPUB foo 3 2\r\n", .op = NATS_MALFORMED },
	{ "HPUB, negative headers", "HPUB foo -1 2\r\n", .op = NATS_MALFORMED },
	{ "HPUB, negative size", "HPUB foo 1 -1\r\n", .op = NATS_MALFORMED },
	{ "HPUB, 10 digits of headers", "HPUB foo 0000000000 2\r\n", .op = NATS_MALFORMED },
	{ "HPUB, size not a number", "HPUB foo 12 x\r\n", .op = NATS_MALFORMED },
	{ "HPUB, 2 arguments", "HPUB foo 2\r\n", .op = NATS_MALFORMED },
	{ "HPUB, 1 argument", "HPUB foo\r\n", .op = NATS_MALFORMED },
	{ "HPUB, 5 arguments", "HPUB foo bar baz 0 2\r\n", .op = NATS_MALFORMED },
	{ "HPUB without blank", "HPUB\r\n", .op = NATS_UNKNOWN },
	{ "HPUBx", "HPUBx foo 1 2\r\n", .op = NATS_UNKNOWN },
	{ "HMSG", "HMSG foo 1 0 0\r\n", .op = NATS_UNKNOWN },

	{ "SUB", "SUB foo 1\r\n", NATS_SUB, .subject = "foo", .sid = "1" },
	{ "SUB with queue", "SUB foo workers 1\r\n", NATS_SUB,
	    .subject = "foo", .queue = "workers", .sid = "1" },
	{ "SUB, sid of letters", "SUB foo.* abc-XYZ\r\n", NATS_SUB,
	    .subject = "foo.*", .sid = "abc-XYZ" },
	{ "SUB, tabs", "SUB\tfoo\t\t2\t\n", NATS_SUB, .subject = "foo", .sid = "2" },
	{ "SUB, lower case", "sub foo 1\r\n", NATS_SUB, .subject = "foo", .sid = "1" },
	{ "SUB, carriage return twice", "SUB foo 3\r\r\n", NATS_SUB, .subject = "foo", .sid = "3" },
	{ "SUB, carriage return parts words", "SUB fo\ro 3\r\n", NATS_SUB,
	    .subject = "fo", .queue = "o", .sid = "3" },
	{ "SUB of any subject", "SUB foo..> 3\r\n", NATS_SUB, .subject = "foo..>", .sid = "3" },
	{ "SUB, 1 argument", "SUB foo\r\n", .op = NATS_MALFORMED },
	{ "SUB without arguments", "SUB \r\n", .op = NATS_MALFORMED },
	{ "SUB, 4 arguments", "SUB foo bar baz 1\r\n", .op = NATS_MALFORMED },
	{ "SUB, 5 arguments", "SUB foo bar baz 1 2\r\n", .op = NATS_MALFORMED },
	{ "SUB without blank", "SUB\r\n", .op = NATS_UNKNOWN },
	{ "SUBfoo", "SUBfoo 1\r\n", .op = NATS_UNKNOWN },

	{ "UNSUB", "UNSUB 1\r\n", NATS_UNSUB, .sid = "1" },
	{ "UNSUB with max", "UNSUB 1 5\r\n", NATS_UNSUB, .sid = "1", .max = 5 },
	{ "UNSUB, largest max", "unsub 1 999999999\n", NATS_UNSUB, .sid = "1", .max = 999999999 },
	{ "UNSUB, max 0", "UNSUB 1 0\r\n", NATS_UNSUB, .sid = "1" },
	{ "UNSUB, max of 10 digits", "UNSUB 1 1000000000\r\n", NATS_UNSUB, .sid = "1" },
	{ "UNSUB, max not a number", "UNSUB 1 abc\r\n", NATS_UNSUB, .sid = "1" },
	{ "UNSUB, max negative", "UNSUB 1 -1\r\n", NATS_UNSUB, .sid = "1" },
	{ "UNSUB, max half a number", "UNSUB 1 1x\r\n", NATS_UNSUB, .sid = "1" },
	{ "UNSUB, carriage return twice", "UNSUB 1\r\r\n", NATS_UNSUB, .sid = "1" },
	{ "UNSUB, 3 arguments", "UNSUB 1 2 3\r\n", .op = NATS_MALFORMED },
	{ "UNSUB without arguments", "UNSUB \r\n", .op = NATS_MALFORMED },
	{ "UNSUB without blank", "UNSUB\r\n", .op = NATS_UNKNOWN },

	{ "PING", "PING\r\n", .op = NATS_PING },
	{ "PING, line feed", "ping\n", .op = NATS_PING },
	{ "PING, blanks", "PING  \t\r\n", .op = NATS_PING },
	{ "PING, junk", "PINGxyz \r zz\r\n", .op = NATS_PING },
	{ "PIN", "PIN\r\n", .op = NATS_UNKNOWN },
	{ "PONG", "PONG\r\n", .op = NATS_PONG },
	{ "PONG, junk", "pOnG1\n", .op = NATS_PONG },
	{ "+OK", "+OK\r\n", .op = NATS_OK },
	{ "+OK, junk", "+okxyz\r\n", .op = NATS_OK },
	{ "+O", "+O\r\n", .op = NATS_UNKNOWN },
	{ "-ERR", "-ERR 'x'\r\n", .op = NATS_ERR },
	{ "-ERR, lower case", "-err\tx y z a b c\n", .op = NATS_ERR },
	{ "-ERR without text", "-ERR \r\n", .op = NATS_ERR },
	{ "-ERR without blank", "-ERR\r\n", .op = NATS_UNKNOWN },
	{ "-ERRx", "-ERRx\r\n", .op = NATS_UNKNOWN },

	{ "CONNECT", "CONNECT {\"a\": 1}\r\n", NATS_CONNECT, .json = "{\"a\": 1}" },
	{ "CONNECT, no blank", "CONNECT{}\r\n", NATS_CONNECT, .json = "{}" },
	{ "CONNECT, blanks", "connect \t {} \r\n", NATS_CONNECT, .json = "{} " },
	{ "CONNECT, line feed", "CONNECT {}\n", NATS_CONNECT, .json = "{}" },
	{ "CONNECT without argument", "CONNECT\r\n", NATS_CONNECT, .json = "" },
	{ "CONNECT without argument, blank", "CONNECT \n", NATS_CONNECT, .json = "" },
	{ "CONNECTx is told by its JSON", "CONNECTx\r\n", NATS_CONNECT, .json = "x" },
	{ "CONNEX", "CONNEX", .op = NATS_UNKNOWN },
	{ "INFO", "INFO {}\r\n", NATS_INFO, .json = "{}" },
	{ "INFO without blank", "INFO{}\r\n", NATS_INFO, .json = "{}" },

	{ "empty line", "\r\n", .op = NATS_UNKNOWN },
	{ "line feed", "\n", .op = NATS_UNKNOWN },
	{ "blank first", " PING\r\n", .op = NATS_UNKNOWN },
	{ "HTTP", "GET / HTTP/1.1\r\n", .op = NATS_UNKNOWN },
	{ "MSG", "MSG foo 1 2\r\n", .op = NATS_UNKNOWN },
	{ "RS+", "RS+ a b\r\n", .op = NATS_UNKNOWN },
	{ "A+", "A+ a\r\n", .op = NATS_UNKNOWN },
	{ "LS+", "LS+ a\r\n", .op = NATS_UNKNOWN },
	{ "TLS", "\x16\x03\x01", .op = NATS_UNKNOWN },
	{ "not the letter, but its bit: 0x0b for +", "\x0bOK\r\n", .op = NATS_UNKNOWN },
	{ "not the letter, but its bit: 0x0d for -", "\rERR x\r\n", .op = NATS_UNKNOWN },
	{ "not the letter, but its bit: 0x10 for P", "\x10UB foo 2\r\n", .op = NATS_UNKNOWN },
};
#define CASES	(sizeof(cases) / sizeof(cases[0]))

/* Parse bytes that nothing may be read behind of: the sanitizer and valgrind see it. */
static size_t
parse_exactly(const char *text, size_t len, size_t most, struct nats_line *line, char **copy)
{
	*copy = malloc(len + (len == 0));
	ck_assert_ptr_nonnull(*copy);
	memcpy(*copy, text, len);
	memset(line, 0x5a, sizeof(*line));
	return nats_parse(*copy, len, most, line);
}

static void
is_text(struct bytes got, const char *wanted)
{
	if (wanted == NULL)
		wanted = "";
	ck_assert_uint_eq(got.len, strlen(wanted));
	ck_assert(got.len == 0 || memcmp(got.data, wanted, got.len) == 0);
}

static void
is_case(const struct nats_line *line, int i)
{
	ck_assert_msg(line->op == cases[i].op, "%s: op %d, not %d", cases[i].what,
	    line->op, cases[i].op);
	switch (line->op) {
	case NATS_PUB:
	case NATS_HPUB:
		is_text(line->subject, cases[i].subject);
		is_text(line->reply, cases[i].reply);
		is_text(line->size_text, cases[i].size_text);
		ck_assert_uint_eq(line->header, cases[i].header);
		ck_assert_uint_eq(line->size, cases[i].size);
		break;
	case NATS_SUB:
		is_text(line->subject, cases[i].subject);
		is_text(line->queue, cases[i].queue);
		is_text(line->sid, cases[i].sid);
		break;
	case NATS_UNSUB:
		is_text(line->sid, cases[i].sid);
		ck_assert_uint_eq(line->max, cases[i].max);
		break;
	case NATS_CONNECT:
	case NATS_INFO:
		is_text(line->json, cases[i].json);
		break;
	case NATS_MALFORMED:
		ck_assert_ptr_nonnull(line->why);
		break;
	default:
		break;
	}
}

START_TEST(line_is_read)
{
	size_t len = strlen(cases[_i].text), taken;
	struct nats_line line;
	char *copy;

	taken = parse_exactly(cases[_i].text, len, MOST, &line, &copy);
	is_case(&line, _i);
	if (cases[_i].op < NATS_ERR)
		ck_assert_uint_eq(taken, len);
	free(copy);
}
END_TEST

/* With a payload and more lines behind it, any number of bytes of them. */
START_TEST(line_is_read_with_more_behind)
{
	static const char behind[] = "hi\r\nPING\r\nPUB a  b 2\r\nxx\r\nPUB foo 12345\r\n \t \n \n"
	    "PUB foo 2\r\nPUB foo 3\r\nPUB foo 4\r\nPUB foo 5\r\nPUB foo 6\r\nPUB foo 7\r\n";
	char text[ROOM], *copy;
	size_t len = strlen(cases[_i].text), more, taken;
	struct nats_line line;

	memcpy(text, cases[_i].text, len);
	memcpy(text + len, behind, sizeof(behind) - 1);
	for (more = 0; more < sizeof(behind) - 1; more++) {
		taken = parse_exactly(text, len + more, MOST, &line, &copy);
		is_case(&line, _i);
		if (cases[_i].op < NATS_ERR)
			ck_assert_uint_eq(taken, len);
		free(copy);
	}
}
END_TEST

/* Any part of a line: nothing is consumed, and nothing is said that the whole line is not. */
START_TEST(line_is_split_at_every_byte)
{
	size_t len = strlen(cases[_i].text), part;
	struct nats_line line;
	bool told = false;
	char *copy;

	for (part = 0; part < len; part++) {
		size_t taken = parse_exactly(cases[_i].text, part, MOST, &line, &copy);

		if (line.op == NATS_MORE) {
			ck_assert_uint_eq(taken, 0);
			ck_assert(!told);
		} else {
			ck_assert_int_eq(line.op, NATS_UNKNOWN);
			ck_assert_int_eq(cases[_i].op, NATS_UNKNOWN);
			told = true;
		}
		free(copy);
	}
}
END_TEST

/* What is unknown is told by its first wrong byte. */
static const struct { const char *text; size_t known; } unknown[] = {
	{ "x", 0 }, { "\n", 0 }, { " ", 0 }, { "MSG", 0 }, { "GET", 0 },
	{ "PX", 1 }, { "HM", 1 }, { "PUX", 2 }, { "PUBx", 3 }, { "PUB\r", 3 }, { "HPUB\n", 4 },
	{ "PIN\r", 3 }, { "CONNEX", 5 }, { "+O\r", 2 }, { "-ERR\r", 4 }, { "UNSUB.", 5 },
};

START_TEST(unknown_is_told_at_once)
{
	struct nats_line line;
	size_t n;
	char *copy;

	for (n = 0; n <= strlen(unknown[_i].text); n++) {
		parse_exactly(unknown[_i].text, n, MOST, &line, &copy);
		ck_assert_int_eq(line.op, n <= unknown[_i].known ? NATS_MORE : NATS_UNKNOWN);
		free(copy);
	}
}
END_TEST

/* All 256 first bytes: those of our verbs may go on. */
START_TEST(first_byte_decides)
{
	struct nats_line line;
	int c;

	for (c = 0; c < 256; c++) {
		char byte = (char)c;

		nats_parse(&byte, 1, MOST, &line);
		ck_assert_int_eq(line.op, c != 0 && strchr("PHSUCI+-phsuci", c) != NULL ?
		    NATS_MORE : NATS_UNKNOWN);
	}
}
END_TEST

/*
 * max_control_line counts from the first argument to the line end, blanks
 * before it included, the line end not. `extra` bytes over it, what then.
 */
static const struct {
	const char *what, *verb, *head, *fill, *tail;
	enum nats_op op;
} limits[] = {
	{ "subject", "SUB ", "", "a", " 2\r\n", .op = NATS_SUB },
	{ "subject, line feed", "SUB ", "", "a", " 2\n", .op = NATS_SUB },
	{ "blanks before the end", "SUB ", "foo 2", " ", "\r\n", .op = NATS_SUB },
	{ "PUB", "PUB ", "", "a", " 2\r\n", .op = NATS_PUB },
	{ "PUB, blanks before the end", "PUB ", "foo 2", " ", "\r\n", .op = NATS_PUB },
	{ "HPUB", "HPUB ", "", "a", " 0 2\r\n", .op = NATS_HPUB },
	{ "JSON", "CONNECT ", "{", " ", "}\r\n", .op = NATS_CONNECT },
	{ "JSON without blank", "CONNECT", "{", " ", "}\r\n", .op = NATS_CONNECT },
	{ "error", "-ERR ", "", "x", "\r\n", .op = NATS_ERR },
	{ "malformed", "SUB ", "", "a", "\r\n", .op = NATS_MALFORMED },
	{ "junk", "PING", "", "x", "\r\n", .op = NATS_PING },
};

/* A line with `most` + extra bytes of arguments; their first is at *from. */
static size_t
limit_line(char *text, int i, size_t most, int extra, size_t *from)
{
	size_t tail = strlen(limits[i].tail), want = most + (size_t)extra, n;

	strcpy(text, limits[i].verb);
	*from = strlen(text);
	strcat(text, limits[i].head);
	n = strlen(text) - *from + strcspn(limits[i].tail, "\r\n");
	text += strlen(text);
	memset(text, limits[i].fill[0], want - n);
	memcpy(text + want - n, limits[i].tail, tail);
	return *from + want - strcspn(limits[i].tail, "\r\n") + tail;
}

START_TEST(line_is_limited)
{
	static const size_t mosts[] = { 32, 40, 60, 62, 63, 64, 100, MOST };
	struct nats_line line;
	char text[ROOM], *copy;
	size_t i, len, from, part;
	int extra;

	for (i = 0; i < sizeof(mosts) / sizeof(mosts[0]); i++)
		for (extra = -1; extra <= 2; extra++) {
			size_t over = mosts[i] + 1;

			len = limit_line(text, _i, mosts[i], extra, &from);
			parse_exactly(text, len, mosts[i], &line, &copy);
			ck_assert_msg(line.op == (extra > 0 ? NATS_TOO_LONG : limits[_i].op),
			    "%s, %zu%+d: op %d", limits[_i].what, mosts[i], extra, line.op);
			free(copy);
			/* near the limit, split at each byte */
			for (part = from + mosts[i] - 2; part < len; part++) {
				parse_exactly(text, part, mosts[i], &line, &copy);
				if (part - from < over || (part - from == over && text[part - 1] == '\r'))
					ck_assert_int_eq(line.op, NATS_MORE);
				else if (extra > 0)
					ck_assert_int_eq(line.op, NATS_TOO_LONG);
				free(copy);
			}
			/* in a full buffer */
			memset(text + len, 'x', 128);
			parse_exactly(text, len + 128, mosts[i], &line, &copy);
			ck_assert_int_eq(line.op, extra > 0 ? NATS_TOO_LONG : limits[_i].op);
			free(copy);
		}
}
END_TEST

START_TEST(blanks_before_arguments_are_limited_apart)
{
	static char text[2 * MOST + 100];
	struct nats_line line;
	size_t at = strlen("SUB");

	memcpy(text, "SUB", at);
	memset(text + at, ' ', MOST);
	memset(text + at + MOST, 'a', MOST - 2);
	memcpy(text + at + MOST + MOST - 2, " 1\n", 3);
	ck_assert_uint_eq(nats_parse(text, at + 2 * MOST + 1, MOST, &line), at + 2 * MOST + 1);
	ck_assert_int_eq(line.op, NATS_SUB);
	ck_assert_uint_eq(line.subject.len, MOST - 2);

	memset(text + at, ' ', MOST + 1);
	nats_parse(text, at + MOST, MOST, &line);
	ck_assert_int_eq(line.op, NATS_MORE);
	nats_parse(text, at + MOST + 1, MOST, &line);
	ck_assert_int_eq(line.op, NATS_TOO_LONG);
}
END_TEST

START_TEST(lines_follow_each_other)
{
	static const char text[] = "CONNECT {}\r\nSUB a 1\nping\r\nPUB a 2\r\nhi\r\nPONG\r\nUNSUB 1\r\n";
	static const enum nats_op ops[] = { NATS_CONNECT, NATS_SUB, NATS_PING, NATS_PUB,
	    NATS_PONG, NATS_UNSUB };
	struct nats_line line;
	size_t at = 0, i;

	for (i = 0; at < sizeof(text) - 1; i++) {
		at += nats_parse(text + at, sizeof(text) - 1 - at, MOST, &line);
		ck_assert_int_eq(line.op, ops[i]);
		if (line.op == NATS_PUB)
			at += line.size + 2;
	}
	ck_assert_uint_eq(i, sizeof(ops) / sizeof(ops[0]));
}
END_TEST

/* Random lines over a small alphabet: alone (no whole block) and in a full buffer read alike. */
START_TEST(near_and_far_agree)
{
	static const char alphabet[] = "  \t\r\nab.0129";
	struct nats_line far, near;
	char text[ROOM];
	size_t i, len, verb;
	int round;

	srandom(7);
	memset(text, ' ', sizeof(text));
	for (round = 0; round < 300000; round++) {
		verb = round % 2 ? 4 : 5;
		memcpy(text, round % 2 ? "PUB " : "HPUB ", verb);
		len = verb + (size_t)random() % 70;
		for (i = verb; i < len; i++)
			text[i] = random() % 3 == 0 ? ' ' :
			    alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
		text[len++] = '\n';
		len = (size_t)((char *)memchr(text, '\n', len) - text) + 1;
		memset(text + len, '7', 128);
		size_t taken_far = nats_parse(text, len, 40, &far);
		size_t taken_near = nats_parse(text, len + 128, 40, &near);
		ck_assert_int_eq(far.op, near.op);
		if (far.op != NATS_PUB && far.op != NATS_HPUB)
			continue;
		ck_assert_uint_eq(taken_far, len);
		ck_assert_uint_eq(taken_near, len);
		ck_assert(bytes_equal(far.subject, near.subject));
		ck_assert(bytes_equal(far.reply, near.reply));
		ck_assert(bytes_equal(far.size_text, near.size_text));
		ck_assert_uint_eq(far.header, near.header);
		ck_assert_uint_eq(far.size, near.size);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("parser");
	TCase *c = tcase_create("lines");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, line_is_read, 0, CASES);
	tcase_add_loop_test(c, line_is_read_with_more_behind, 0, CASES);
	tcase_add_loop_test(c, line_is_split_at_every_byte, 0, CASES);
	tcase_add_loop_test(c, unknown_is_told_at_once, 0, sizeof(unknown) / sizeof(unknown[0]));
	tcase_add_test(c, first_byte_decides);
	tcase_add_loop_test(c, line_is_limited, 0, sizeof(limits) / sizeof(limits[0]));
	tcase_add_test(c, blanks_before_arguments_are_limited_apart);
	tcase_add_test(c, lines_follow_each_other);
	tcase_add_test(c, near_and_far_agree);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

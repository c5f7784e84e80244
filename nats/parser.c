/*
 * A line is read in this order; what is wrong is told at the first arrow that
 * shows it:
 *
 *	verb -> blank -> blanks -> arguments -> line end -> their number and form
 *	  |       |        |          |                       |
 *	UNKNOWN UNKNOWN TOO_LONG   TOO_LONG                MALFORMED
 *
 * The real server keeps a state for each connection and looks at each byte
 * once. Here a line is read again when more of it has come, which costs a slow
 * sender's line at most its own length each time, and nothing is kept. Hence
 * differences, all beyond what any client does: the blanks before the
 * arguments and the junk behind PING, PONG and +OK are held to max_control_line
 * too; a line feed right behind the blanks ends the line (there, it becomes the
 * first byte of the arguments); a carriage return counts only before a line
 * feed (there, one elsewhere cuts a byte off a line that ends without); HMSG is
 * unknown (there, a client's is read and goes nowhere).
 */
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "nats/parser.h"

#define ARGS_MAX	4	/* of HPUB */
#define DIGITS_MAX	9	/* of a size */

enum form {
	FORM_ARGS,		/* a blank has to follow the verb */
	FORM_JSON,		/* it may */
	FORM_JUNK,		/* anything may, and is ignored */
};

static const struct verb {
	char		name[8];
	unsigned char	len;
	unsigned char	form;
	enum nats_op	op;
} verbs[] = {
	{ "pub", 3, FORM_ARGS, NATS_PUB },
	{ "hpub", 4, FORM_ARGS, NATS_HPUB },
	{ "sub", 3, FORM_ARGS, NATS_SUB },
	{ "unsub", 5, FORM_ARGS, NATS_UNSUB },
	{ "ping", 4, FORM_JUNK, NATS_PING },
	{ "pong", 4, FORM_JUNK, NATS_PONG },
	{ "connect", 7, FORM_JSON, NATS_CONNECT },
	{ "info", 4, FORM_JSON, NATS_INFO },
	{ "+ok", 3, FORM_JUNK, NATS_OK },
	{ "-err", 4, FORM_ARGS, NATS_ERR },
};

static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Decimal, nothing else, 1..DIGITS_MAX digits; leading zeros are digits. */
static inline bool
size_read(struct bytes text, uint32_t *size)
{
	const char *end = text.data + text.len;
	uint32_t value = 0;
	unsigned digit;

	if (text.len - 1 >= DIGITS_MAX)
		return false;
	do {
		digit = (unsigned)*text.data - '0';
		if (digit > 9)
			return false;
		value = value * 10 + digit;
	} while (++text.data != end);
	*size = value;
	return true;
}

static void
malformed(struct nats_line *line, const char *why)
{
	line->op = NATS_MALFORMED;
	line->why = why;
}

/* PUB: subject [reply] size; HPUB: subject [reply] header-size size */
static void
pub_read(struct nats_line *line, const struct bytes *args, size_t n)
{
	bool headers = line->op == NATS_HPUB;

	line->subject = args[0];
	line->reply = n == (headers ? 4 : 3) ? args[1] : (struct bytes){ NULL, 0 };
	line->header = 0;
	line->size_text = args[n - 1];
	if (headers && !size_read(args[n - 2], &line->header))
		malformed(line, "size of the headers");
	else if (!size_read(line->size_text, &line->size))
		malformed(line, "size");
	else if (line->header > line->size)
		malformed(line, "headers larger than all");
}

/* subject [queue] sid */
static void
sub_read(struct nats_line *line, const struct bytes *args, size_t n)
{
	line->subject = args[0];
	line->queue = n == 3 ? args[1] : (struct bytes){ NULL, 0 };
	line->sid = args[n - 1];
}

/* sid [max] */
static void
unsub_read(struct nats_line *line, const struct bytes *args, size_t n)
{
	uint32_t max = 0;

	line->sid = args[0];
	line->max = n == 2 && size_read(args[1], &max) ? max : 0;
}

/*
 * Cut text into words. Returns their number, at most ARGS_MAX + 1, of which
 * ARGS_MAX are stored. returns: a carriage return is blank too.
 */
static size_t
args_split(struct bytes text, bool returns, struct bytes args[ARGS_MAX])
{
	const char *p = text.data, *end = text.data + text.len, *start;
	size_t n = 0;

	for (;;) {
		while (p < end && (is_blank(*p) || (returns && *p == '\r')))
			p++;
		if (p == end)
			return n;
		if (n == ARGS_MAX)
			return n + 1;
		start = p;
		while (p < end && !is_blank(*p) && !(returns && *p == '\r'))
			p++;
		args[n++] = (struct bytes){ start, (size_t)(p - start) };
	}
}

static void
args_read(struct nats_line *line, enum nats_op op, struct bytes text)
{
	struct bytes args[ARGS_MAX] = { { NULL, 0 } };
	size_t n;

	n = args_split(text, op == NATS_SUB || op == NATS_UNSUB, args);
	if ((op == NATS_PUB && (n == 2 || n == 3)) || (op == NATS_HPUB && (n == 3 || n == 4)))
		pub_read(line, args, n);
	else if (op == NATS_SUB && (n == 2 || n == 3))
		sub_read(line, args, n);
	else if (op == NATS_UNSUB && (n == 1 || n == 2))
		unsub_read(line, args, n);
	else if (op != NATS_ERR)
		malformed(line, "number of arguments");
}

static inline char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* The verb that data begins with; NULL: *op is NATS_MORE or NATS_UNKNOWN. */
static const struct verb *
verb_find(const char *data, size_t len, enum nats_op *op)
{
	const struct verb *v;
	size_t i;

	*op = NATS_UNKNOWN;
	for (v = verbs; v < verbs + sizeof(verbs) / sizeof(verbs[0]); v++) {
		for (i = 0; i < v->len && i < len && lower(data[i]) == v->name[i]; i++)
			;
		if (i == v->len)
			return v;
		if (i == len)
			*op = NATS_MORE;
	}
	return NULL;
}

/* Any line; the authority on what is right. Apart, so that the near ones need no stack. */
static __attribute__((noinline)) size_t
line_read(const char *data, size_t len, size_t most, struct nats_line *line)
{
	const struct verb *v;
	const char *feed;
	size_t at, scan, stop;

	v = verb_find(data, len, &line->op);
	if (v == NULL)
		return 0;
	at = v->len;
	if (v->form == FORM_ARGS && at < len && !is_blank(data[at])) {
		line->op = NATS_UNKNOWN;
		return 0;
	}
	while (v->form != FORM_JUNK && at < len && is_blank(data[at]))
		at++;
	line->op = NATS_TOO_LONG;
	if (at - v->len > most)
		return 0;

	/* Beyond `most`, a line end may have two bytes. */
	scan = len - at < most + 2 ? len - at : most + 2;
	feed = scan == 0 ? NULL : memchr(data + at, '\n', scan);
	stop = feed != NULL ? (size_t)(feed - data) : at + scan;
	if (stop > at && data[stop - 1] == '\r')
		stop--;
	if (stop - at > most)
		return 0;
	if (feed == NULL) {
		line->op = NATS_MORE;
		return 0;
	}
	line->op = v->op;
	if (v->form == FORM_JSON)
		line->json = (struct bytes){ data + at, stop - at };
	else if (v->form == FORM_ARGS)
		args_read(line, v->op, (struct bytes){ data + at, stop - at });
	return (size_t)(feed - data) + 1;
}

#ifdef __SSE2__
#define BLOCK		16
#define WINDOW		64	/* bytes of arguments that are taken at once */

/* A bit for each of the BLOCK bytes that is c1 or c2. */
static inline uint32_t
block_map(const char *text, char c1, char c2)
{
	__m128i block = _mm_loadu_si128((const __m128i *)(const void *)text);

	return (uint32_t)_mm_movemask_epi8(_mm_or_si128(
	    _mm_cmpeq_epi8(block, _mm_set1_epi8(c1)),
	    _mm_cmpeq_epi8(block, _mm_set1_epi8(c2))));
}

/*
 * Find the words and the end of a line, in whole blocks of 16 bytes. text:
 * behind the verb's blank. Returns what the arguments take with their line
 * end; 0: not that near, too long, or not one blank between all words and none
 * elsewhere. *ends: a bit behind each word.
 */
static inline size_t
words_near(const char *text, size_t len, size_t most, uint64_t *ends)
{
	uint64_t blanks, stop;
	size_t at, end;
	uint32_t feed;

	feed = block_map(text, '\n', '\n');
	blanks = block_map(text, ' ', '\t');
	for (at = BLOCK; feed == 0; at += BLOCK) {
		if (at == WINDOW || len - at < BLOCK)
			return 0;
		feed = block_map(text + at, '\n', '\n');
		blanks |= (uint64_t)block_map(text + at, ' ', '\t') << at;
	}
	at += (unsigned)__builtin_ctz(feed) - (size_t)BLOCK;
	end = at - ((text - 1)[at] == '\r');
	stop = 1ull << end;
	blanks = (blanks & (stop - 1)) | stop;
	if (end > most || (blanks & (blanks << 1 | 1)) != 0)
		return 0;
	*ends = blanks;
	return at + 1;
}

/* The word from `start`; *start is then where the next begins. False: there is none. */
static inline bool
word_next(struct bytes *word, const char **start, const char *text, uint64_t *ends)
{
	const char *end;

	if (*ends == 0)
		return false;
	end = text + (unsigned)__builtin_ctzll(*ends);
	*ends &= *ends - 1;
	*word = (struct bytes){ *start, (size_t)(end - *start) };
	*start = end + 1;
	return true;
}

/* False: wrong, and line_read() says why. */
static inline bool
pub_words(struct nats_line *line, const char *text, uint64_t ends)
{
	const char *start = text;
	struct bytes size;

	if (!word_next(&line->subject, &start, text, &ends) ||
	    !word_next(&size, &start, text, &ends))
		return false;
	line->reply = (struct bytes){ NULL, 0 };
	if (ends != 0) {
		line->reply = size;
		word_next(&size, &start, text, &ends);
	}
	line->size_text = size;
	line->header = 0;
	line->op = NATS_PUB;
	return ends == 0 && size_read(size, &line->size);
}

static inline bool
hpub_words(struct nats_line *line, const char *text, uint64_t ends)
{
	const char *start = text;
	struct bytes header, size;

	if (!word_next(&line->subject, &start, text, &ends) ||
	    !word_next(&header, &start, text, &ends) ||
	    !word_next(&size, &start, text, &ends))
		return false;
	line->reply = (struct bytes){ NULL, 0 };
	if (ends != 0) {
		line->reply = header;
		header = size;
		word_next(&size, &start, text, &ends);
	}
	line->size_text = size;
	line->op = NATS_HPUB;
	return ends == 0 && size_read(header, &line->header) &&
	    size_read(size, &line->size) && line->header <= line->size;
}

/* A line that begins with "HPUB ", of which at least a block is there. */
static __attribute__((noinline)) size_t
hpub_read_near(const char *data, size_t len, size_t most, struct nats_line *line)
{
	const size_t verb = sizeof("HPUB ") - 1;
	uint64_t ends;
	size_t taken;

	taken = words_near(data + verb, len - verb, most, &ends);
	if (taken == 0 || !hpub_words(line, data + verb, ends))
		return line_read(data, len, most, line);
	return verb + taken;
}

static inline size_t
pub_read_near(const char *data, size_t len, size_t most, struct nats_line *line)
{
	const size_t verb = sizeof("PUB ") - 1;
	uint64_t ends;
	size_t taken;

	taken = words_near(data + verb, len - verb, most, &ends);
	if (taken == 0 || !pub_words(line, data + verb, ends))
		return line_read(data, len, most, line);
	return verb + taken;
}

#endif

size_t
nats_parse(const char *data, size_t len, size_t max_control_line, struct nats_line *line)
{
#ifdef __SSE2__
	uint32_t verb;

	if (len >= sizeof("HPUB ") - 1 + BLOCK) {
		memcpy(&verb, data, sizeof(verb));
		if ((verb & 0xffdfdfdf) == ('P' | 'U' << 8 | 'B' << 16 | ' ' << 24))
			return pub_read_near(data, len, max_control_line, line);
		if ((verb & 0xdfdfdfdf) == ('H' | 'P' << 8 | 'U' << 16 | 'B' << 24) &&
		    data[4] == ' ')
			return hpub_read_near(data, len, max_control_line, line);
	}
#endif
	return line_read(data, len, max_control_line, line);
}

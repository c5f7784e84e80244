#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include "supervisor/config/lexer.h"

void
lexer_init(struct config_lexer *lx, char *text, size_t len, uint32_t file,
    struct config_errors *errors)
{
	*lx = (struct config_lexer){ .text = text, .len = len, .line = 1, .file = file,
	    .errors = errors };
}

int
lexer_peek(const struct config_lexer *lx)
{
	return lx->at < lx->len ? (unsigned char)lx->text[lx->at] : -1;
}

void
lexer_next(struct config_lexer *lx)
{
	if (lx->at >= lx->len)
		return;
	if (lx->text[lx->at++] == '\n') {
		lx->line++;
		lx->line_start = lx->at;
	}
}

struct config_position
lexer_position(const struct config_lexer *lx)
{
	return (struct config_position){ lx->line, (uint32_t)(lx->at - lx->line_start) + 1,
	    lx->file };
}

static bool
is_blank(int c)
{
	return c == ' ' || c == '\t';
}

static bool
is_line_end(int c)
{
	return c == '\n' || c == '\r';
}

static bool
is_space(int c)
{
	return is_blank(c) || is_line_end(c) || c == '\v' || c == '\f';
}

static bool
is_separator(int c)
{
	return c == '=' || c == ':';
}

/* What ends a number; to a word, ']' is an end too. */
static bool
is_end(int c)
{
	return c == -1 || is_blank(c) || is_line_end(c) || c == ',' || c == ';' || c == '}';
}

bool
lexer_at_comment(const struct config_lexer *lx)
{
	int	c = lexer_peek(lx);

	return c == '#' || (c == '/' && lx->at + 1 < lx->len && lx->text[lx->at + 1] == '/');
}

bool
lexer_at_line_end(const struct config_lexer *lx)
{
	return is_line_end(lexer_peek(lx));
}

void
lexer_skip_comment(struct config_lexer *lx)
{
	while (lexer_peek(lx) != -1 && !lexer_at_line_end(lx))
		lexer_next(lx);
}

void
lexer_skip_blanks(struct config_lexer *lx)
{
	while (is_blank(lexer_peek(lx)))
		lexer_next(lx);
}

void
lexer_skip_space(struct config_lexer *lx)
{
	for (;;) {
		while (is_space(lexer_peek(lx)))
			lexer_next(lx);
		if (!lexer_at_comment(lx))
			return;
		lexer_skip_comment(lx);
	}
}

const char *
lexer_found(const struct config_lexer *lx, char out[CONFIG_QUOTED])
{
	int	c = lexer_peek(lx);

	if (c == -1)
		snprintf(out, CONFIG_QUOTED, "the end of the file");
	else if (c == '\n' || c == '\r')
		snprintf(out, CONFIG_QUOTED, "the end of the line");
	else if (lx->secret)
		snprintf(out, CONFIG_QUOTED, "another character");
	else if (c > ' ' && c < 0x7f)
		snprintf(out, CONFIG_QUOTED, "'%c'", c);
	else
		snprintf(out, CONFIG_QUOTED, "the byte 0x%02x", (unsigned)c);
	return out;
}

static int
unexpected(struct config_lexer *lx, const char *expected)
{
	char	found[CONFIG_QUOTED];

	config_error(lx->errors, lexer_position(lx), "found %s, expected %s",
	    lexer_found(lx, found), expected);
	return -EBADMSG;
}

static int
hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = tolower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character that the escape at the cursor (behind its backslash) stands for, or -EBADMSG. */
static int
escape(struct config_lexer *lx)
{
	int	c = lexer_peek(lx), high, low;

	switch (c) {
	case 't':
		c = '\t';
		break;
	case 'n':
		c = '\n';
		break;
	case 'r':
		c = '\r';
		break;
	case '"':
	case '\\':
		break;
	case 'x':
		high = lx->at + 2 < lx->len ? hex_digit((unsigned char)lx->text[lx->at + 1]) : -1;
		low = lx->at + 2 < lx->len ? hex_digit((unsigned char)lx->text[lx->at + 2]) : -1;
		if (high < 0 || low < 0)
			return unexpected(lx, "two hexadecimal digits behind \\x");
		lx->at += 2;
		c = high << 4 | low;
		break;
	default:
		return unexpected(lx, "one of x t n r \" \\ behind a backslash");
	}
	lexer_next(lx);
	return c;
}

/* Text in quotes; `escapes`: decode them. */
static int
quoted(struct config_lexer *lx, bool escapes, struct bytes *out)
{
	struct config_position	 start = lexer_position(lx);
	int			 quote = lexer_peek(lx), c;
	char			*to;

	lexer_next(lx);
	to = lx->text + lx->at;
	*out = (struct bytes){ to, 0 };
	while ((c = lexer_peek(lx)) != quote) {
		if (c == -1) {
			config_error(lx->errors, start,
			    "found the end of the file inside this text, expected its closing %c", quote);
			return -EBADMSG;
		}
		lexer_next(lx);
		if (escapes && c == '\\' && (c = escape(lx)) < 0)
			return c;
		*to++ = (char)c;
	}
	lexer_next(lx);
	out->len = (size_t)(to - out->data);
	return 0;
}

int
lexer_separator(struct config_lexer *lx, bool inside)
{
	bool	separated;

	while (is_space(lexer_peek(lx)))
		lexer_next(lx);
	separated = is_separator(lexer_peek(lx));
	if (separated)
		lexer_next(lx);
	while (separated && (inside ? is_space(lexer_peek(lx)) : is_blank(lexer_peek(lx))))
		lexer_next(lx);
	if (lexer_peek(lx) == -1 || lexer_at_line_end(lx))
		return unexpected(lx, "a value");
	return 0;
}

int
lexer_key(struct config_lexer *lx, struct bytes *key, bool *statement)
{
	size_t	start = lx->at;
	int	c = lexer_peek(lx);

	*statement = false;
	if (c == '"' || c == '\'')
		return quoted(lx, false, key);
	if (is_separator(c) || c == ',' || c == ';' || c == '{' || c == '[' || c == ']' || c == '/')
		return unexpected(lx, "a key");
	while ((c = lexer_peek(lx)) != -1 && !is_space(c) && !is_separator(c))
		lexer_next(lx);
	*key = (struct bytes){ lx->text + start, lx->at - start };
	*statement = is_space(c);
	return 0;
}

int
lexer_include(struct config_lexer *lx, struct bytes *path)
{
	size_t	start;
	int	c;

	lexer_skip_blanks(lx);
	c = lexer_peek(lx);
	if (c == '"' || c == '\'')
		return quoted(lx, false, path);
	if (c == -1 || is_line_end(c) || isdigit(c) || strchr("[{(-\\", c) != NULL)
		return unexpected(lx, "the path of a file; other than letters need quotes");
	start = lx->at;
	while (!is_end(c = lexer_peek(lx)) || c == ',') {
		if (c == '\'')
			break;
		lexer_next(lx);
	}
	*path = (struct bytes){ lx->text + start, lx->at - start };
	if (c == '\'')		/* the end of a text that was not opened */
		lexer_next(lx);
	return 0;
}

/* Value of a suffix as in 64MB; 0: none of them. */
static int64_t
suffix_factor(struct bytes s)
{
	static const char	letters[] = "kmgtpe";
	const char		*letter;
	int64_t			 factor = 1, step;

	if (s.len == 0 || s.len > 3 || s.data[0] == '\0')
		return 0;
	letter = strchr(letters, tolower((unsigned char)s.data[0]));
	if (letter == NULL)
		return 0;
	if (s.len == 1)
		step = 1000;
	else if ((s.len == 2 && strchr("bBiI", s.data[1]) != NULL && s.data[1] != '\0') ||
	    (s.len == 3 && strncasecmp(s.data + 1, "ib", 2) == 0))
		step = 1024;
	else
		return 0;
	for (; letter >= letters; letter--)
		factor *= step;
	return factor;
}

/* b for a message. */
static const char *
shown(const struct config_lexer *lx, char out[CONFIG_QUOTED], struct bytes b)
{
	return lx->secret ? CONFIG_REDACTED : config_quote(out, b);
}

static int
integer(struct config_lexer *lx, struct config_value *v, struct bytes digits, bool negative,
    struct bytes suffix)
{
	char	quote[CONFIG_QUOTED];
	int64_t	factor = suffix.len == 0 ? 1 : suffix_factor(suffix), n = 0;
	size_t	i;

	if (factor == 0) {
		config_error(lx->errors, v->at, "found the unit %s, expected k, kb, ki, kib or such of m, g, t, p, e",
		    shown(lx, quote, suffix));
		return -EBADMSG;
	}
	for (i = 0; i < digits.len; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, digits.data[i] - '0', &n))
			break;		/* downwards: the lowest has no positive counterpart */
	if (i < digits.len || __builtin_mul_overflow(n, factor, &n) ||
	    (!negative && __builtin_sub_overflow(0, n, &n))) {
		config_error(lx->errors, v->at, "found %s, expected a number that fits in 64 bits",
		    shown(lx, quote, digits));
		return -EBADMSG;
	}
	v->kind = CONFIG_INTEGER;
	v->integer = n;
	return 0;
}

static int
real(struct config_lexer *lx, struct config_value *v, struct bytes word)
{
	char	text[512];

	snprintf(text, sizeof(text), "%.*s", (int)word.len, word.data);
	v->kind = CONFIG_REAL;
	v->real = strtod(text, NULL);
	if (word.len >= sizeof(text) || !isfinite(v->real)) {
		config_error(lx->errors, v->at, "found a number with too many digits, expected a smaller one");
		return -EBADMSG;
	}
	return 0;
}

#define TIME_TEXT	20	/* 2026-01-02T03:04:05Z */

/* Its shape only. */
static bool
looks_like_time(struct bytes word)
{
	static const char	shape[] = "dddd-dd-ddTdd:dd:ddZ";
	size_t			i;

	if (word.len != TIME_TEXT)
		return false;
	for (i = 0; i < word.len; i++)
		if (shape[i] == 'd' ? !isdigit((unsigned char)word.data[i]) : word.data[i] != shape[i])
			return false;
	return true;
}

static int
date_and_time(struct config_lexer *lx, struct config_value *v, struct bytes word)
{
	char		text[32];
	struct tm	tm = { 0 }, day;

	snprintf(text, sizeof(text), "%.*s", (int)word.len, word.data);
	if (strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL || tm.tm_sec > 59 ||
	    (day = tm, timegm(&day), day.tm_mday != tm.tm_mday)) {	/* February 30 became March 2 */
		config_error(lx->errors, v->at, "found %s, expected a date and time that exist",
		    lx->secret ? CONFIG_REDACTED : text);
		return -EBADMSG;
	}
	v->kind = CONFIG_TIME;
	v->text = word;
	return 0;
}

/*
 * The rest of a word without quotes that began at `start`. escaped: it has
 * escapes, which makes it text whatever it looks like; so does a single quote,
 * which ends it.
 */
static int
word_rest(struct config_lexer *lx, size_t start, struct bytes *word, bool *escaped)
{
	char	*to = lx->text + lx->at;
	int	 c;

	while (!is_end(c = lexer_peek(lx)) && c != ']' && c != '\'') {
		lexer_next(lx);
		if (c == '\\') {
			*escaped = true;
			if ((c = escape(lx)) < 0)
				return c;
		}
		*to++ = (char)c;
	}
	*word = (struct bytes){ lx->text + start, (size_t)(to - (lx->text + start)) };
	if (c == '\'') {
		*escaped = true;
		lexer_next(lx);
	}
	return 0;
}

static void
skip_digits(struct config_lexer *lx)
{
	while (isdigit(lexer_peek(lx)))
		lexer_next(lx);
}

static struct bytes
since(const struct config_lexer *lx, size_t start)
{
	return (struct bytes){ lx->text + start, lx->at - start };
}

static int
not_a_number(struct config_lexer *lx)
{
	return unexpected(lx, "a number; text that looks like one needs quotes");
}

/* Behind "12.": a fraction, or with a second point the text of an address. */
static int
fraction(struct config_lexer *lx, struct config_value *v, size_t start)
{
	int	c;

	if (!isdigit(lexer_peek(lx)))
		return not_a_number(lx);
	skip_digits(lx);
	if (isalpha(lexer_peek(lx)))
		return not_a_number(lx);	/* 1.5MB */
	if (lexer_peek(lx) != '.')
		return real(lx, v, since(lx, start));
	while (isdigit(c = lexer_peek(lx)) || c == '.' || c == ':' || c == '-')
		lexer_next(lx);
	v->kind = CONFIG_TEXT;
	v->text = since(lx, start);
	return 0;
}

/* "2026-", at its '-'. */
static int
date(struct config_lexer *lx, struct config_value *v, size_t start)
{
	struct bytes	word = { lx->text + start, lx->len - start };

	if (word.len > TIME_TEXT)
		word.len = TIME_TEXT;
	if (!looks_like_time(word))
		return not_a_number(lx);
	while (lx->at < start + TIME_TEXT)
		lexer_next(lx);
	return date_and_time(lx, v, word);
}

/* A word that goes on behind digits is text: 4222abc, 2s, 5e7bcd. */
static int
text_rest(struct config_lexer *lx, struct config_value *v, size_t start)
{
	bool	escaped;

	v->kind = CONFIG_TEXT;
	return word_rest(lx, start, &v->text, &escaped);
}

/* What begins with a digit or '-': a number, a date, or text. */
static int
number_like(struct config_lexer *lx, struct config_value *v)
{
	bool		negative = lexer_peek(lx) == '-';
	size_t		start = lx->at, digits = start + negative, end;
	int		c;

	if (negative)
		lexer_next(lx);
	if (!isdigit(lexer_peek(lx)))
		return not_a_number(lx);
	skip_digits(lx);
	end = lx->at;
	c = lexer_peek(lx);
	if (c == '.') {
		lexer_next(lx);
		return fraction(lx, v, start);
	}
	if (c == '-' && !negative)
		return date(lx, v, start);
	if (c > 0 && strchr("kmgtpe", tolower(c)) != NULL) {
		do
			lexer_next(lx);
		while ((c = lexer_peek(lx)) > 0 && strchr("bBiI", c) != NULL);
		if (!is_end(c))
			return text_rest(lx, v, start);
	} else if (!is_end(c) && c != ']' && !negative) {
		lexer_next(lx);		/* as it is, were it a quote or a backslash */
		return text_rest(lx, v, start);
	}
	return integer(lx, v, (struct bytes){ lx->text + digits, end - digits }, negative,
	    since(lx, end));
}

static bool
boolean(struct bytes word, bool *value)
{
	static const struct { const char *name; bool value; } names[] = {
		{ "true", true }, { "yes", true }, { "on", true },
		{ "false", false }, { "no", false }, { "off", false },
	};
	size_t	i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].name) == word.len &&
		    strncasecmp(names[i].name, word.data, word.len) == 0) {
			*value = names[i].value;
			return true;
		}
	return false;
}

/* A word without quotes. */
static int
bare(struct config_lexer *lx, struct config_value *v, struct bytes *variable)
{
	static const char	bcrypt[] = "$2a$";	/* a password's hash, not a name */
	bool			escaped = false;
	struct bytes		word;
	int			rc;

	rc = word_rest(lx, lx->at, &word, &escaped);
	if (rc != 0)
		return rc;
	if (word.len == 0 && !escaped)
		return unexpected(lx, "a value");
	v->kind = CONFIG_TEXT;
	v->text = word;
	if (escaped)
		return 0;
	if (boolean(word, &v->boolean))
		v->kind = CONFIG_BOOLEAN;
	else if (word.data[0] == '$' && (word.len < 4 || memcmp(word.data, bcrypt, 4) != 0))
		*variable = (struct bytes){ word.data + 1, word.len - 1 };
	return 0;
}

/*
 * Text in parentheses, as it is, up to a ')' that is a line of its own. In the
 * last line of a file without a line end, that one belongs to the text.
 */
static int
block(struct config_lexer *lx, struct config_value *v)
{
	struct config_position	opened = lexer_position(lx);
	size_t			start;
	int			c, before = '(';

	lexer_next(lx);
	start = lx->at;
	for (; (c = lexer_peek(lx)) != -1; before = c) {
		if (c == ')' && before == '\n' &&
		    (lx->at + 1 == lx->len || lx->text[lx->at + 1] == '\n'))
			break;
		lexer_next(lx);
	}
	if (c == -1) {
		config_error(lx->errors, opened,
		    "found the end of the file inside this text, expected a ')' in a line of its own");
		return -EBADMSG;
	}
	v->kind = CONFIG_TEXT;
	v->text = since(lx, start);
	lexer_next(lx);
	if (lexer_peek(lx) == -1)
		v->text.len++;
	return 0;
}

int
lexer_scalar(struct config_lexer *lx, struct config_value *v, struct bytes *variable)
{
	int	c = lexer_peek(lx);

	*variable = (struct bytes){ NULL, 0 };
	v->at = lexer_position(lx);
	if (c == '"' || c == '\'') {
		v->kind = CONFIG_TEXT;
		return quoted(lx, c == '"', &v->text);
	}
	if (c == '(')
		return block(lx, v);
	if (c == '.')
		return not_a_number(lx);
	if (c == '-' || isdigit(c))
		return number_like(lx, v);
	return bare(lx, v, variable);
}

void
lexer_recover(struct config_lexer *lx, unsigned depth)
{
	int	c;

	for (; (c = lexer_peek(lx)) != -1; lexer_next(lx)) {
		if (c == '\n' && depth == 0)
			return;
		if (c == '}' && depth == 0)
			return;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
	}
}

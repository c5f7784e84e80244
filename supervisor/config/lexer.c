#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include "supervisor/config/lexer.h"

void
lexer_init(struct config_lexer *lx, char *text, size_t len, struct config_errors *errors)
{
	*lx = (struct config_lexer){ .text = text, .len = len, .line = 1, .errors = errors };
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
	return (struct config_position){ lx->line, (uint32_t)(lx->at - lx->line_start) + 1 };
}

static bool
is_blank(int c)
{
	return c == ' ' || c == '\t';
}

static bool
is_space(int c)
{
	return is_blank(c) || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static bool
is_separator(int c)
{
	return c == '=' || c == ':';
}

/* What ends a value without quotes. */
static bool
is_end(int c)
{
	return c == -1 || is_blank(c) || c == '\n' || c == '\r' || c == ',' || c == ';' ||
	    c == ']' || c == '}';
}

bool
lexer_at_comment(const struct config_lexer *lx)
{
	int	c = lexer_peek(lx);

	return c == '#' || (c == '/' && lx->at + 1 < lx->len && lx->text[lx->at + 1] == '/');
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
		while (lexer_peek(lx) != -1 && lexer_peek(lx) != '\n')
			lexer_next(lx);
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

/* Between a key and its value: spaces and line ends, or one separator and blanks. */
static int
separator(struct config_lexer *lx)
{
	while (is_space(lexer_peek(lx)))
		lexer_next(lx);
	if (is_separator(lexer_peek(lx))) {
		lexer_next(lx);
		lexer_skip_blanks(lx);
	}
	if (lexer_peek(lx) == -1 || is_space(lexer_peek(lx)))
		return unexpected(lx, "a value");
	return 0;
}

int
lexer_key(struct config_lexer *lx, struct bytes *key)
{
	size_t	start = lx->at;
	int	c = lexer_peek(lx), rc;

	if (c == '"' || c == '\'') {
		rc = quoted(lx, false, key);
		return rc == 0 ? separator(lx) : rc;
	}
	if (is_separator(c) || c == ',' || c == ';' || c == '{' || c == '[' || c == ']' || c == '/')
		return unexpected(lx, "a key");
	while ((c = lexer_peek(lx)) != -1 && !is_space(c) && !is_separator(c))
		lexer_next(lx);
	*key = (struct bytes){ lx->text + start, lx->at - start };
	return separator(lx);
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

static int
integer(struct config_lexer *lx, struct config_value *v, struct bytes digits, bool negative,
    int64_t factor)
{
	char	quote[CONFIG_QUOTED];
	int64_t	n = 0;
	size_t	i;

	for (i = 0; i < digits.len; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, digits.data[i] - '0', &n))
			break;		/* downwards: the lowest has no positive counterpart */
	if (i < digits.len || __builtin_mul_overflow(n, factor, &n) ||
	    (!negative && __builtin_sub_overflow(0, n, &n))) {
		config_error(lx->errors, v->at, "found %s, expected a number that fits in 64 bits",
		    config_quote(quote, digits));
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

/* 2026-01-02T03:04:05Z: its shape only */
static bool
looks_like_time(struct bytes word)
{
	static const char	shape[] = "dddd-dd-ddTdd:dd:ddZ";
	size_t			i;

	if (word.len != sizeof(shape) - 1)
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
	struct tm	tm = { 0 }, back;
	time_t		when;

	snprintf(text, sizeof(text), "%.*s", (int)word.len, word.data);
	if (strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL || tm.tm_sec > 59 ||
	    (when = timegm(&tm), gmtime_r(&when, &back) == NULL) || back.tm_mday != tm.tm_mday) {
		config_error(lx->errors, v->at, "found %s, expected a date and time that exist", text);
		return -EBADMSG;
	}
	v->kind = CONFIG_TIME;
	v->text = word;
	return 0;
}

static size_t
digits_at(struct bytes word, size_t at)
{
	size_t	n = 0;

	while (at + n < word.len && isdigit((unsigned char)word.data[at + n]))
		n++;
	return n;
}

/*
 * A word that begins with a digit or '-': a number, a date, or text that looks
 * like one at first (4222abc, 2s, 127.0.0.1:4222).
 */
static int
number_like(struct config_lexer *lx, struct config_value *v, struct bytes word)
{
	char		quote[CONFIG_QUOTED];
	bool		negative = word.data[0] == '-';
	size_t		first = negative, n = digits_at(word, first), end = first + n, fraction;
	int64_t		factor;

	if (n == 0)
		goto bad;
	if (end == word.len)
		return integer(lx, v, (struct bytes){ word.data + first, n }, negative, 1);
	if (word.data[end] == '.') {
		fraction = digits_at(word, end + 1);
		if (fraction == 0)
			goto bad;
		if (end + 1 + fraction == word.len)
			return real(lx, v, word);
		if (negative || word.data[end + 1 + fraction] != '.')
			goto bad;	/* 1.5MB; 10.0.0.1 is text */
	} else if (looks_like_time(word)) {
		return date_and_time(lx, v, word);
	} else {
		factor = suffix_factor((struct bytes){ word.data + end, word.len - end });
		if (factor != 0)
			return integer(lx, v, (struct bytes){ word.data + first, n }, negative, factor);
		if (negative)
			goto bad;
	}
	v->kind = CONFIG_TEXT;
	v->text = word;
	return 0;
 bad:
	config_error(lx->errors, v->at, "found %s, expected a number, or text in quotes",
	    config_quote(quote, word));
	return -EBADMSG;
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

/* A word without quotes; escapes make it text whatever it looks like. */
static int
bare(struct config_lexer *lx, struct config_value *v)
{
	static const char	bcrypt[] = "$2a$";
	struct bytes		word = { lx->text + lx->at, 0 };
	char			*to = lx->text + lx->at;
	bool			escaped = false;
	int			c;

	while (!is_end(c = lexer_peek(lx))) {
		lexer_next(lx);
		if (c == '\\') {
			escaped = true;
			if ((c = escape(lx)) < 0)
				return c;
		}
		*to++ = (char)c;
	}
	word.len = (size_t)(to - word.data);
	v->kind = CONFIG_TEXT;
	v->text = word;
	if (word.len == 0)
		return unexpected(lx, "a value");
	if (escaped)
		return 0;
	c = (unsigned char)word.data[0];
	if (isdigit(c) || c == '-' ||
	    (c == '.' && word.len > 1 && isdigit((unsigned char)word.data[1])))
		return number_like(lx, v, word);
	if (c == '$' && (word.len < 4 || memcmp(word.data, bcrypt, 4) != 0)) {
		config_error(lx->errors, v->at,
		    "found a variable ($name); variables are not supported by this version");
		return -EBADMSG;
	}
	if (boolean(word, &v->boolean))
		v->kind = CONFIG_BOOLEAN;
	return 0;
}

int
lexer_scalar(struct config_lexer *lx, struct config_value *v)
{
	int	c = lexer_peek(lx);

	v->at = lexer_position(lx);
	if (c == '"' || c == '\'') {
		v->kind = CONFIG_TEXT;
		return quoted(lx, c == '"', &v->text);
	}
	if (c == '(') {
		config_error(lx->errors, v->at,
		    "found '(', expected text in quotes; blocks in parentheses are not supported by this version");
		return -EBADMSG;
	}
	return bare(lx, v);
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

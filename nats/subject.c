#include <stdint.h>
#include <stdio.h>
#include "nats/subject.h"
#include "nats/utf8.h"

/* Where the token that begins at `start` ends: its dot, or the subject's end. */
static inline size_t
token_end(struct bytes subject, size_t start)
{
	while (start < subject.len && subject.data[start] != '.')
		start++;
	return start;
}

static inline bool
token_is(struct bytes subject, size_t start, size_t end, char c)
{
	return end - start == 1 && subject.data[start] == c;
}

bool
subject_valid(struct bytes subject)
{
	size_t start, end;

	for (start = 0;; start = end + 1) {
		end = token_end(subject, start);
		if (end == start)
			return false;
		if (end == subject.len)
			return true;
		if (token_is(subject, start, end, '>'))
			return false;
	}
}

bool
subject_literal(struct bytes subject)
{
	size_t start, end;

	for (start = 0;; start = end + 1) {
		end = token_end(subject, start);
		if (end == start || token_is(subject, start, end, '*') ||
		    token_is(subject, start, end, '>'))
			return false;
		if (end == subject.len)
			return true;
	}
}

bool
subject_has_wildcard(struct bytes subject)
{
	size_t start, end;

	for (start = 0;; start = end + 1) {
		end = token_end(subject, start);
		if (token_is(subject, start, end, '*'))
			return true;
		if (end == subject.len)
			return token_is(subject, start, end, '>');
	}
}

/* What is left of a subject from a token's start: are all its tokens there? */
static bool
tokens_whole(struct bytes subject, size_t start)
{
	size_t end;

	for (;; start = end + 1) {
		end = token_end(subject, start);
		if (end == start)
			return false;
		if (end == subject.len)
			return true;
	}
}

bool
subject_matches(struct bytes pattern, struct bytes subject)
{
	size_t p = 0, s = 0, pend, send;

	for (;; p = pend + 1, s = send + 1) {
		pend = token_end(pattern, p);
		if (pend == pattern.len && token_is(pattern, p, pend, '>'))
			return tokens_whole(subject, s);
		send = token_end(subject, s);
		if (send == s)
			return false;
		if (!token_is(pattern, p, pend, '*') &&
		    (pend - p != send - s ||
		    memcmp(pattern.data + p, subject.data + s, send - s) != 0))
			return false;
		if (pend == pattern.len || send == subject.len)
			return pend == pattern.len && send == subject.len;
	}
}

bool
subject_within(struct bytes pattern, struct bytes of)
{
	size_t p = 0, o = 0, pend, oend;

	for (;; p = pend + 1, o = oend + 1) {
		oend = token_end(of, o);
		if (oend == of.len && token_is(of, o, oend, '>'))
			return true;
		pend = token_end(pattern, p);
		if (pend == p || token_is(pattern, p, pend, '>'))
			return false;
		if (!token_is(of, o, oend, '*') && (pend - p != oend - o ||
		    memcmp(pattern.data + p, of.data + o, pend - p) != 0))
			return false;
		if (pend == pattern.len || oend == of.len)
			return pend == pattern.len && oend == of.len;
	}
}

bool
subject_overlaps(struct bytes a, struct bytes b)
{
	size_t i = 0, j = 0, iend, jend;

	for (;; i = iend + 1, j = jend + 1) {
		iend = token_end(a, i);
		jend = token_end(b, j);
		if ((iend == a.len && token_is(a, i, iend, '>')) ||
		    (jend == b.len && token_is(b, j, jend, '>')))
			return true;
		if (!token_is(a, i, iend, '*') && !token_is(b, j, jend, '*') &&
		    (iend - i != jend - j || memcmp(a.data + i, b.data + j, iend - i) != 0))
			return false;
		if (iend == a.len || jend == b.len)
			return iend == a.len && jend == b.len;
	}
}

/* Dots and one; an empty subject has none. */
unsigned
subject_tokens(struct bytes subject)
{
	unsigned tokens = subject.len != 0;
	size_t i;

	for (i = 0; i < subject.len; i++)
		tokens += subject.data[i] == '.';
	return tokens;
}

/*
 * What a terminal does not show as one visible character. Go asks the tables
 * of Unicode; here are the ranges of controls, formats, blanks, private use and
 * what is no character, but not every number that Unicode has not given out.
 */
static bool
character_hidden(uint32_t c)
{
	static const struct { uint32_t first, last; } hidden[] = {
		{ 0x00, 0x1f }, { 0x7f, 0xa0 }, { 0xad, 0xad }, { 0x600, 0x605 },
		{ 0x61c, 0x61c }, { 0x6dd, 0x6dd }, { 0x70f, 0x70f },
		{ 0x1680, 0x1680 }, { 0x180e, 0x180e }, { 0x2000, 0x200f },
		{ 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3000, 0x3000 },
		{ 0xe000, 0xf8ff }, { 0xfdd0, 0xfdef }, { 0xfeff, 0xfeff },
		{ 0xfff0, 0xfffb }, { 0xfffe, 0xffff }, { 0xe0000, 0xe00ff },
		{ 0xe01f0, 0x10ffff },
	};
	size_t i;

	for (i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (c >= hidden[i].first && c <= hidden[i].last)
			return true;
	return false;
}

/* The first character of text as it stands between quotes, in piece; its bytes are returned. */
static size_t
quote_one(char piece[16], struct bytes text)
{
	static const char named[] = "\aa\bb\ff\nn\rr\tt\vv\"\"\\\\";
	uint32_t c;
	size_t n, i;

	n = utf8_decode(text, &c);
	if (n == 0) {
		snprintf(piece, 16, "\\x%02x", (unsigned char)text.data[0]);
		return 1;
	}
	for (i = 0; n == 1 && i < sizeof(named) - 1; i += 2)
		if ((char)c == named[i]) {
			snprintf(piece, 16, "\\%c", named[i + 1]);
			return 1;
		}
	if (!character_hidden(c))
		snprintf(piece, 16, "%.*s", (int)n, text.data);
	else if (c < 0x80)
		snprintf(piece, 16, "\\x%02x", c);
	else
		snprintf(piece, 16, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	return n;
}

char *
subject_quote(char *out, size_t size, struct bytes subject)
{
	char piece[16];
	size_t n, at = 0;

	if (size < sizeof("\"\"")) {
		if (size > 0)
			out[0] = '\0';
		return out;
	}
	out[at++] = '"';
	while (subject.len > 0) {
		n = quote_one(piece, subject);
		subject.data += n;
		subject.len -= n;
		n = strlen(piece);
		if (n > size - at - sizeof("\""))
			break;
		memcpy(out + at, piece, n);
		at += n;
	}
	memcpy(out + at, "\"", sizeof("\""));
	return out;
}

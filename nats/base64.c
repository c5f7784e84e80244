#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include "nats/base64.h"

/* What a character stands for: 0..63; 62 and 63 have two; -1: nothing. */
static int
digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* Characters that count, by what they tell of the alphabet. */
struct shape { size_t digits, padding; bool standard, url; };

/* 0, or -EBADMSG. */
static int
shape_of(struct shape *s, struct bytes text)
{
	size_t	i;

	*s = (struct shape){ 0 };
	for (i = 0; i < text.len; i++) {
		if (text.data[i] == '\r' || text.data[i] == '\n')
			continue;
		if (text.data[i] == '=') {
			s->padding++;
			continue;
		}
		if (digit(text.data[i]) < 0 || s->padding != 0)
			return -EBADMSG;
		s->digits++;
		s->standard |= text.data[i] == '+' || text.data[i] == '/';
		s->url |= text.data[i] == '-' || text.data[i] == '_';
	}
	s->standard |= s->padding != 0;
	if (s->digits % 4 == 1 || (s->standard && s->url) || s->padding > 2)
		return -EBADMSG;
	return s->standard && (s->digits + s->padding) % 4 != 0 ? -EBADMSG : 0;
}

int
base64_decode(struct bytes text, uint8_t *out, size_t size)
{
	struct shape	s;
	uint32_t	bits = 0;
	unsigned	have = 0;
	size_t		i, n = 0;
	int		value;

	if (shape_of(&s, text) != 0)
		return -EBADMSG;
	if (s.digits / 4 > INT_MAX / 3 - 1 || s.digits * 6 / 8 > size)
		return -ENOSPC;
	for (i = 0; i < text.len; i++) {
		if ((value = digit(text.data[i])) < 0)
			continue;
		bits = (bits << 6 | (uint32_t)value) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	return (int)n;
}

size_t
base64url_encode(char *text, const uint8_t *raw, size_t len)
{
	size_t	n, i;

	(void)EVP_EncodeBlock((unsigned char *)text, raw, (int)len);
	n = (len * 8 + 5) / 6;		/* the padding is left out */
	for (i = 0; i < n; i++)
		if (text[i] == '+')
			text[i] = '-';
		else if (text[i] == '/')
			text[i] = '_';
	text[n] = '\0';
	return n;
}

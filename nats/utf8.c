#include "nats/utf8.h"

size_t
utf8_decode(struct bytes text, uint32_t *character)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)text.data;
	uint32_t c;
	size_t n, i;

	if (text.len == 0)
		return 0;
	c = p[0];
	if (c < 0x80) {
		*character = c;
		return 1;
	}
	n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || text.len < n)
		return 0;
	c &= 0x7fu >> n;
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*character = c;
	return n;
}

/* How many bytes from the first on are ASCII. */
static size_t
ascii_length(struct bytes text)
{
	size_t n = 0;

	while (n < text.len && (unsigned char)text.data[n] < 0x80)
		n++;
	return n;
}

size_t
utf8_repair(char *out, struct bytes text)
{
	uint32_t character;
	size_t n, written = 0;

	while (text.len > 0) {
		n = ascii_length(text);
		if (n == 0)
			n = utf8_decode(text, &character);
		if (n == 0) {
			memcpy(out + written, "\xef\xbf\xbd", 3);
			written += 3;
			n = 1;
		} else {
			memcpy(out + written, text.data, n);
			written += n;
		}
		text.data += n;
		text.len -= n;
	}
	return written;
}

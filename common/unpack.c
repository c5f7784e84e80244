#include <errno.h>
#include <stdint.h>
#include "common/unpack.h"

/* What one head says: bytes that follow it, objects that follow those. */
struct head { uint64_t body, objects; size_t size; };

/* A length of n bytes, big-endian, behind the first byte of a head. */
static uint64_t
length_read(const unsigned char *p, size_t n)
{
	uint64_t	v = 0;
	size_t		i;

	for (i = 1; i <= n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Heads of 0xc0..0xdf: bytes of length field, what the length counts, fixed body. */
static const struct { unsigned char length, counts, body; } heads[32] = {
	[0x04] = { 1, 1, 0 }, [0x05] = { 2, 1, 0 }, [0x06] = { 4, 1, 0 },	/* bin */
	[0x07] = { 1, 1, 1 }, [0x08] = { 2, 1, 1 }, [0x09] = { 4, 1, 1 },	/* ext: a type byte too */
	[0x0a] = { 0, 0, 4 }, [0x0b] = { 0, 0, 8 },				/* float */
	[0x0c] = { 0, 0, 1 }, [0x0d] = { 0, 0, 2 }, [0x0e] = { 0, 0, 4 }, [0x0f] = { 0, 0, 8 },
	[0x10] = { 0, 0, 1 }, [0x11] = { 0, 0, 2 }, [0x12] = { 0, 0, 4 }, [0x13] = { 0, 0, 8 },
	[0x14] = { 0, 0, 2 }, [0x15] = { 0, 0, 3 }, [0x16] = { 0, 0, 5 }, [0x17] = { 0, 0, 9 },
	[0x18] = { 0, 0, 17 },							/* fixext */
	[0x19] = { 1, 1, 0 }, [0x1a] = { 2, 1, 0 }, [0x1b] = { 4, 1, 0 },	/* str */
	[0x1c] = { 2, 2, 0 }, [0x1d] = { 4, 2, 0 },				/* array */
	[0x1e] = { 2, 3, 0 }, [0x1f] = { 4, 3, 0 },				/* map */
};

/* 0, or -EBADMSG: p[0..left) ends within the head. */
static int
head_read(struct head *h, const unsigned char *p, size_t left)
{
	uint64_t	length;
	unsigned	c;

	if (left == 0)
		return -EBADMSG;
	c = p[0];
	*h = (struct head){ .size = 1 };
	if (c < 0x80 || c >= 0xe0)
		return 0;
	if (c < 0x90)
		h->objects = 2 * (c & 0x0f);
	else if (c < 0xa0)
		h->objects = c & 0x0f;
	else if (c < 0xc0)
		h->body = c & 0x1f;
	else {
		c -= 0xc0;
		h->size += heads[c].length;
		if (h->size > left)
			return -EBADMSG;
		length = length_read(p, heads[c].length);
		h->body = heads[c].body + (heads[c].counts == 1 ? length : 0);
		h->objects = heads[c].counts == 2 ? length : heads[c].counts == 3 ? 2 * length : 0;
	}
	return 0;
}

/* Go over all heads: each announced object must be there. */
int
unpack_length(struct bytes b, size_t most, size_t *length)
{
	const unsigned char	*p = (const unsigned char *)b.data;
	size_t			 left = b.len;
	uint64_t		 wanted = 1, seen = 0;
	struct head		 h;

	while (wanted > 0) {
		if (head_read(&h, p, left) != 0 || h.body > left - h.size)
			return -EBADMSG;
		p += h.size + h.body;
		left -= h.size + h.body;
		wanted += h.objects - 1;
		if (++seen + wanted > most)
			return -EBADMSG;
	}
	*length = b.len - left;
	return 0;
}

int
unpack_bounded(msgpack_unpacked *u, struct bytes b, size_t most)
{
	size_t	length;

	if (unpack_length(b, most, &length) != 0 || length != b.len)
		return -EBADMSG;
	return msgpack_unpack_next(u, b.data, b.len, NULL) == MSGPACK_UNPACK_SUCCESS ? 0 : -EBADMSG;
}

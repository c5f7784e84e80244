#include <errno.h>
#include <string.h>
#include "nats/nkey.h"

#define NKEY_RAW	35	/* prefix, key, checksum: 280 bits are 56 characters */
#define NKEY_SEED_RAW	36	/* two prefixes, seed, checksum: 288 bits are 57.6 */
#define NKEY_SEED	(18 << 3)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* CRC-16/XMODEM: polynomial 0x1021, starts at 0, nothing reflected. */
static uint16_t
nkey_checksum(const uint8_t *data, size_t len)
{
	uint16_t crc = 0;
	int bit;

	for (; len > 0; len--) {
		crc ^= (uint16_t)(*data++ << 8);
		for (bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

/* The checksum into the last two bytes, and all of it as text. */
static void
nkey_finish(char *text, uint8_t *raw, size_t len)
{
	uint16_t crc = nkey_checksum(raw, len - 2);
	uint32_t bits = 0;
	unsigned have = 0;
	size_t i;

	raw[len - 2] = (uint8_t)crc;
	raw[len - 1] = (uint8_t)(crc >> 8);
	for (i = 0; i < len; i++) {
		bits = bits << 8 | raw[i];
		for (have += 8; have >= 5; have -= 5)
			*text++ = alphabet[bits >> (have - 5) & 31];
	}
	if (have > 0)
		*text++ = alphabet[bits << (5 - have) & 31];
	*text = '\0';
}

void
nkey_encode(char text[NKEY_TEXT], enum nkey_kind kind, const uint8_t key[32])
{
	uint8_t raw[NKEY_RAW];

	raw[0] = (uint8_t)kind;
	memcpy(raw + 1, key, 32);
	nkey_finish(text, raw, sizeof(raw));
}

void
nkey_seed_encode(char text[NKEY_SEED_TEXT], enum nkey_kind kind, const uint8_t seed[32])
{
	uint8_t raw[NKEY_SEED_RAW];

	/* five bits each, so that both prefixes are a character of the text */
	raw[0] = (uint8_t)(NKEY_SEED | kind >> 5);
	raw[1] = (uint8_t)(kind << 3);
	memcpy(raw + 2, seed, 32);
	nkey_finish(text, raw, sizeof(raw));
	explicit_bzero(raw, sizeof(raw));
}

/* 0; -EBADMSG: not base32 of that many bytes, or bits are left over. */
static int
nkey_raw(struct bytes text, uint8_t *raw, size_t len)
{
	uint32_t bits = 0;
	unsigned have = 0;
	const char *at;
	size_t i, n = 0;

	if (text.len != (len * 8 + 4) / 5)
		return -EBADMSG;
	for (i = 0; i < text.len; i++) {
		at = memchr(alphabet, text.data[i], sizeof(alphabet) - 1);
		if (at == NULL)
			return -EBADMSG;
		bits = (bits << 5 | (uint32_t)(at - alphabet)) & 0xfff;
		have += 5;
		if (have >= 8) {
			have -= 8;
			raw[n++] = (uint8_t)(bits >> have);
		}
	}
	return (bits & ((1u << have) - 1)) != 0 ? -EBADMSG : 0;
}

int
nkey_decode(struct bytes text, enum nkey_kind kind, uint8_t key[32])
{
	uint8_t raw[NKEY_RAW];

	if (nkey_raw(text, raw, sizeof(raw)) != 0 || raw[0] != (uint8_t)kind ||
	    nkey_checksum(raw, 33) != (raw[33] | raw[34] << 8))
		return -EBADMSG;
	memcpy(key, raw + 1, 32);
	return 0;
}

int
nkey_seed_decode(struct bytes text, enum nkey_kind *kind, uint8_t seed[32])
{
	uint8_t raw[NKEY_SEED_RAW];
	unsigned found;
	int rc;

	rc = nkey_raw(text, raw, sizeof(raw));
	if (rc != 0)
		goto out;
	rc = -EBADMSG;
	if (nkey_checksum(raw, 34) != (raw[34] | raw[35] << 8) || (raw[0] & 0xf8) != NKEY_SEED)
		goto out;
	found = (raw[0] & 7u) << 5 | raw[1] >> 3;
	if (found != NKEY_SERVER && found != NKEY_CLUSTER && found != NKEY_OPERATOR &&
	    found != NKEY_ACCOUNT && found != NKEY_USER)
		goto out;
	*kind = (enum nkey_kind)found;
	memcpy(seed, raw + 2, 32);
	rc = 0;
 out:
	explicit_bzero(raw, sizeof(raw));
	return rc;
}

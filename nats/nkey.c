#include <string.h>
#include "nats/nkey.h"

#define NKEY_RAW	35	/* prefix, key, checksum: 280 bits are 56 characters */

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

void
nkey_encode(char text[NKEY_TEXT], enum nkey_kind kind, const uint8_t key[32])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint8_t raw[NKEY_RAW];
	uint32_t bits = 0;
	unsigned have = 0, i;
	uint16_t crc;

	raw[0] = (uint8_t)kind;
	memcpy(raw + 1, key, 32);
	crc = nkey_checksum(raw, 33);
	raw[33] = (uint8_t)crc;
	raw[34] = (uint8_t)(crc >> 8);

	for (i = 0; i < NKEY_RAW; i++) {
		bits = bits << 8 | raw[i];
		for (have += 8; have >= 5; have -= 5)
			*text++ = alphabet[bits >> (have - 5) & 31];
	}
	*text = '\0';
}

#ifndef NATS_NKEY_H
#define NATS_NKEY_H
/* nkeys: base32 of a prefix, 32 bytes and a CRC-16. github.com/nats-io/nkeys README. */
#include <stdint.h>

#define NKEY_TEXT	57	/* 56 characters and the NUL */
enum nkey_kind { NKEY_SERVER = 13 << 3, NKEY_CLUSTER = 2 << 3, NKEY_ACCOUNT = 0, NKEY_USER = 20 << 3 };

/* The text of a public key of this kind, with its NUL. */
void nkey_encode(char text[NKEY_TEXT], enum nkey_kind kind, const uint8_t key[32]);
#endif

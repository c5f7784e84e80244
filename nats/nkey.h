#ifndef NATS_NKEY_H
#define NATS_NKEY_H
/*
 * nkeys: base32 of a prefix, 32 bytes and a CRC-16. github.com/nats-io/nkeys README.
 * The first character tells the kind of a public key; a seed begins with S,
 * and its second character tells the kind of the pair.
 */
#include <stdint.h>
#include "common/bytes.h"

#define NKEY_TEXT	57	/* 56 characters and the NUL */
#define NKEY_SEED_TEXT	59	/* 58 characters and the NUL */
enum nkey_kind {
	NKEY_SERVER = 13 << 3, NKEY_CLUSTER = 2 << 3, NKEY_OPERATOR = 14 << 3,
	NKEY_ACCOUNT = 0, NKEY_USER = 20 << 3,
};

/* The text of a public key of this kind, with its NUL. */
void nkey_encode(char text[NKEY_TEXT], enum nkey_kind kind, const uint8_t key[32]);

/*
 * A public key's text without anything around it: exactly 56 characters, of the kind `kind`.
 * 0; -EBADMSG: of another kind, or mistyped; key is untouched.
 */
int nkey_decode(struct bytes text, enum nkey_kind kind, uint8_t key[32]);

/* The secret half. Who calls wipes text and seed. */
void nkey_seed_encode(char text[NKEY_SEED_TEXT], enum nkey_kind kind, const uint8_t seed[32]);

/*
 * A seed's text without anything around it. 0; -EBADMSG: not the seed of one
 * of the kinds above, or mistyped; *kind and seed are untouched.
 */
int nkey_seed_decode(struct bytes text, enum nkey_kind *kind, uint8_t seed[32]);
#endif

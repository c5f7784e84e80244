#include <errno.h>
#include <stdlib.h>
#include <openssl/evp.h>
#include "nats/base64.h"
#include "supervisor/auth/nonces.h"

#define KEY		32u
#define SIGNATURE	64u

struct nonce_batch {
	uint64_t	first;
	uint8_t		taken[NONCE_BATCH / 8];
	uint8_t		raw[NONCE_BATCH * NONCE_RAW];
};

int
nonces_make(struct nonces *n, uint64_t *next, struct bytes *raw)
{
	struct nonce_batch	**place = &n->all[n->made % NONCE_BATCHES], *b = *place;

	if (b == NULL && (b = malloc(sizeof(*b))) == NULL)
		return -ENOMEM;
	*place = b;
	n->made++;
	b->first = *next;
	*next += NONCE_BATCH;
	memset(b->taken, 0, sizeof(b->taken));
	arc4random_buf(b->raw, sizeof(b->raw));
	*raw = (struct bytes){ (const char *)b->raw, sizeof(b->raw) };
	return 0;
}

bool
nonces_take(struct nonces *n, uint64_t number, char text[NONCE_ROOM])
{
	struct nonce_batch	*b;
	unsigned		 i;
	uint64_t		 at;

	for (i = 0; i < NONCE_BATCHES && (b = n->all[i]) != NULL; i++) {
		at = number - b->first;
		if (at >= NONCE_BATCH)
			continue;
		if ((b->taken[at / 8] >> at % 8 & 1) != 0)
			return false;
		b->taken[at / 8] |= (uint8_t)(1u << at % 8);
		(void)base64url_encode(text, b->raw + at * NONCE_RAW, NONCE_RAW);	/* as clients sign it */
		return true;
	}
	return false;
}

void
nonces_free(struct nonces *n)
{
	unsigned	i;

	for (i = 0; i < NONCE_BATCHES; i++)
		free(n->all[i]);
	*n = (struct nonces){ .made = 0 };
}

bool
nonce_is_signed(struct bytes key, struct bytes sig, struct bytes nonce)
{
	uint8_t		 raw[SIGNATURE];
	EVP_MD_CTX	*c;
	EVP_PKEY	*k;
	bool		 good = false;

	if (key.len != KEY || base64_decode(sig, raw, sizeof(raw)) != SIGNATURE)
		return false;
	k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)key.data, KEY);
	c = EVP_MD_CTX_new();
	if (k != NULL && c != NULL && EVP_DigestVerifyInit(c, NULL, NULL, NULL, k) == 1)
		good = EVP_DigestVerify(c, raw, sizeof(raw), (const unsigned char *)nonce.data, nonce.len) == 1;
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(k);
	return good;
}

/* RFC 8032, 7.1, test 1: the signature of nothing. */
bool
nonces_prepare(void)
{
	static const unsigned char	key[] =
	    "\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a"
	    "\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";
	static const char		sig[] = "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVf"
	    "uIIVkKM7rMYeOXAc-bRr0lv18FlbviRlUUFDjnoQCw";

	return nonce_is_signed((struct bytes){ (const char *)key, KEY }, bytes_of(sig), BYTES(""));
}

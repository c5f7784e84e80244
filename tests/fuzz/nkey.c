/* The reader of nkey seeds. What is accepted is encoded to the same text again. */
#include <stdlib.h>
#include <string.h>
#include "nats/nkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[NKEY_SEED_TEXT];
	enum nkey_kind kind;
	uint8_t seed[32];

	if (nkey_seed_decode((struct bytes){ (const char *)data, size }, &kind, seed) != 0)
		return 0;
	nkey_seed_encode(text, kind, seed);
	if (size != NKEY_SEED_TEXT - 1 || memcmp(text, data, size) != 0)
		abort();
	return 0;
}

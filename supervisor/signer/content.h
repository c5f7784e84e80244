#ifndef SIGNER_CONTENT_H
#define SIGNER_CONTENT_H
/*
 * What a TLS server signs in a handshake, and nothing else: by its structure
 * alone, for the rest of it is random numbers, a point and a hash.
 */
#include "common/bytes.h"

enum content {
	CONTENT_OTHER,		/* not to be signed */
	CONTENT_TLS12,		/* two random numbers, the second of a server that has TLS 1.3 too, then ECDHE
				 * parameters: RFC 5246 7.4.3, RFC 8446 4.1.3, RFC 8422 5.4 */
	CONTENT_TLS13,		/* padding, the server's context, a hash of the transcript: RFC 8446 4.4.3 */
};

enum content content_of(struct bytes b);

/* One of TLS 1.3, of no transcript, to try a key with. */
struct bytes content_sample(void);
#endif

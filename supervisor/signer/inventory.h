#ifndef SIGNER_INVENTORY_H
#define SIGNER_INVENTORY_H
/* What the signer wants of a TLS document: which key is of which certificate, for whom, and until when it is valid. */
#include <time.h>
#include <openssl/evp.h>
#include "common/messages.h"

#define BLAME_MAX	512	/* bytes of a refusal; messages.def */

struct certificate {
	uint64_t	 key;		/* 0: an authority, or a further one of a chain */
	enum tls_use	 use;
	bool		 tls13;		/* no older version is spoken */
	char		*path, *subject;	/* RFC 2253 */
	time_t		 from, until;
	EVP_PKEY	*public;	/* NULL without a key */
};

struct inventory { struct certificate *all; size_t count, room; };

/* 0; or -errno with a sentence in error, and there are none. c: empty before. */
int inventory_read(struct inventory *c, int document, char error[BLAME_MAX]);
void inventory_free(struct inventory *c);

/* The one of that key; NULL. */
const struct certificate *inventory_find(const struct inventory *c, uint64_t key);

/* A line for each with a key, and for each other that ends soon. */
void inventory_log(const struct inventory *c, time_t now);

/* "what (certificate PATH, key PATH)"; of long paths the end. key: NULL: none. */
void inventory_blame(char error[BLAME_MAX], const char *what, const char *path, const char *key);
#endif

#ifndef SYSTEM_SECURE_H
#define SYSTEM_SECURE_H
/* What varz shows of the clients' TLS. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secure {
	bool		clients;	/* they have TLS */
	bool		verify;
	double		timeout;	/* seconds */
	uint64_t	not_after;	/* when the first of its certificates expires, microseconds since 1970 */
};

/* From the TLS document. 0, or -errno with a sentence; then *out is as it was. */
int secure_read(struct secure *out, int document, char *error, size_t size);
#endif

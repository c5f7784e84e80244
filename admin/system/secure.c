#include "admin/system/secure.h"
#include "tls/context.h"

#define TIMEOUT		2.0	/* what the 2.x server shows without TLS */

int
secure_read(struct secure *out, int document, char *error, size_t size)
{
	struct tls_context	*c;
	int			 rc = tls_context_read(&c, document, ROLE_SYSTEM, TLS_CLIENTS, NULL, NULL, error, size);

	if (rc != 0)
		return rc;
	*out = (struct secure){ .timeout = TIMEOUT };
	if (c == NULL)
		return 0;
	*out = (struct secure){ .clients = true, .verify = c->verify, .timeout = c->timeout,
	    .not_after = c->not_after };
	tls_context_unref(c);
	return 0;
}

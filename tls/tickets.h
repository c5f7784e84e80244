#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H
/* Sessions that clients keep for us in tickets: nothing of them stays here. */
#include "tls/context.h"

/* Tickets of this context are made and opened with the keys of c->tickets. */
void tickets_use(struct tls_context *c);

/* Before the handshake of a stream: none without keys. */
void tickets_start(const struct tls_context *c, SSL *ssl);
#endif

#ifndef TLS_FAILURE_H
#define TLS_FAILURE_H
/* Why a handshake or a connection failed, from OpenSSL's queue of errors, in the words of the real server. */
#include <openssl/ssl.h>

#define FAILURE_TEXT	160	/* bytes, with NUL */

/* Empties the queue. */
void failure_text(SSL *ssl, char text[FAILURE_TEXT]);
#endif

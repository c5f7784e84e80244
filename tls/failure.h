#ifndef TLS_FAILURE_H
#define TLS_FAILURE_H
/* Why a handshake or a connection failed, from OpenSSL's queue of errors, in the words of the real server. */
#include <openssl/ssl.h>

#define FAILURE_TEXT	1024	/* bytes, with NUL */

/*
 * An SSL_verify_cb, SSL_set_verify(3), that decides nothing: OpenSSL forgets the certificates that it does not
 * accept, so what failure_text() says of them is noted here, in the app data of the connection.
 */
int failure_note(int ok, X509_STORE_CTX *ctx);
/* Forget it. */
void failure_free(SSL *ssl);

/* Empties the queue. */
void failure_text(SSL *ssl, char text[FAILURE_TEXT]);
#endif

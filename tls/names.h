#ifndef TLS_NAMES_H
#define TLS_NAMES_H
/* The names in a certificate; tls_names() and tls_peer_facts() are in tls/stream.h. */
#include <openssl/x509.h>

/* Its subject as the real server prints it, cut. */
void names_subject(const X509 *x, char *text, size_t size);
#endif

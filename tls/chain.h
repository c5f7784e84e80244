#ifndef TLS_CHAIN_H
#define TLS_CHAIN_H
/* The certificates that a context shows, and which of them to whom. */
#include "tls/context.h"

/* A pem_password_cb(3): nothing here is encrypted, and nobody is asked. */
int chain_no_password(char *buffer, int size, int writing, void *arg);

/* The first certificate of some PEM. NULL: there is none, or it is broken. */
X509 *chain_first(OSSL_LIB_CTX *library, struct bytes pem);

/* SHA-256 of its SubjectPublicKeyInfo. False: no memory. */
bool chain_key_digest(const X509 *x, uint8_t digest[32]);

/*
 * One more, with its chain, whose private key has that number at the signer. 0; -EBADMSG: not certificates;
 * -EPROTONOSUPPORT: a key of another kind; -EINVAL: OpenSSL does not take it; -ENOMEM.
 */
int chain_add(struct tls_context *c, uint64_t key, struct bytes pem);

/* Choose in each handshake: the first that fits the name that the client asks for, its signature schemes and, in TLS 1.2, its cipher suites and curves. */
void chains_use(struct tls_context *c);
void chains_free(struct tls_context *c);
#endif

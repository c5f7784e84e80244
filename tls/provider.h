#ifndef TLS_PROVIDER_H
#define TLS_PROVIDER_H
/*
 * The provider "bulkhead" of OpenSSL: keys without their private half, and the
 * signatures of them that others make (tls/signing.h). Only signing.c uses it.
 * provider-keymgmt(7), provider-signature(7).
 */
#include "tls/signing.h"

/* s->library, s->provider: the default provider, which all else is done by, and ours. 0 or -ENOMEM. */
int provider_load(struct signing *s);
void provider_unload(struct signing *s);

/* As signing_key(). */
EVP_PKEY *provider_key(struct signing *s, uint64_t number, EVP_PKEY *public);

/*
 * Have content signed, within an asynchronous job, which is paused meanwhile. In signing.c. True: out has
 * the *len bytes of the signature, at most `room`. False: it was refused, or this is no job of signing_begin().
 */
bool signing_ask(struct signing *s, uint64_t key, unsigned scheme, struct bytes content,
    unsigned char *out, size_t *len, size_t room);
#endif

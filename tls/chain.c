#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "tls/chain.h"

#define CHAIN_MOST	16	/* certificates behind the first */

int
chain_no_password(char *buffer, int size, int writing, void *arg)
{
	return -1;
}

static X509 *
certificate_next(OSSL_LIB_CTX *library, BIO *bio)
{
	X509	*x = X509_new_ex(library, NULL);

	if (x != NULL && PEM_read_bio_X509(bio, &x, chain_no_password, NULL) == NULL) {
		X509_free(x);
		return NULL;
	}
	return x;
}

X509 *
chain_first(OSSL_LIB_CTX *library, struct bytes pem)
{
	BIO	*bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	X509	*x = bio == NULL ? NULL : certificate_next(library, bio);

	BIO_free(bio);
	return x;
}

bool
chain_key_digest(const X509 *x, uint8_t digest[32])
{
	uint8_t		*der = NULL;
	const int	 len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	const bool	 ok = len >= 0 && EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	return ok;
}

static void
certificate_free(struct tls_certificate *t)
{
	X509_free(t->own);
	EVP_PKEY_free(t->key);
	sk_X509_pop_free(t->chain, X509_free);
}

/* Microseconds since 1970. */
static uint64_t
expiry_of(const X509 *x)
{
	struct tm	tm;
	time_t		at;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1 || (at = timegm(&tm)) < 0)
		return 0;
	return (uint64_t)at * 1000000;
}

/* The end of the file is what ends a chain; what is no certificate is an error. */
static int
chain_read(struct tls_certificate *t, OSSL_LIB_CTX *library, BIO *bio)
{
	X509	*x;

	if ((t->own = certificate_next(library, bio)) == NULL)
		return -EBADMSG;
	if ((t->chain = sk_X509_new_null()) == NULL)
		return -ENOMEM;
	while ((x = certificate_next(library, bio)) != NULL)
		if (sk_X509_num(t->chain) == CHAIN_MOST || sk_X509_push(t->chain, x) == 0) {
			X509_free(x);
			return -EBADMSG;
		}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return -EBADMSG;
	ERR_clear_error();
	return 0;
}

static bool
key_kind_known(const X509 *x)
{
	const EVP_PKEY	*k = X509_get0_pubkey(x);

	return k != NULL && (EVP_PKEY_is_a(k, "RSA") || EVP_PKEY_is_a(k, "EC") ||
	    EVP_PKEY_is_a(k, "ED25519") || EVP_PKEY_is_a(k, "ED448"));
}

/* Without signing it is only seen whether OpenSSL takes the certificate. */
static int
certificate_take(struct tls_context *c, struct tls_certificate *t, uint64_t key)
{
	if (!key_kind_known(t->own))
		return -EPROTONOSUPPORT;
	if (c->signing == NULL)
		return SSL_CTX_use_certificate(c->ssl, t->own) == 1 ? 0 : -EINVAL;
	if ((t->key = signing_key(c->signing, key, t->own)) == NULL)
		return -ENOMEM;
	return SSL_CTX_use_cert_and_key(c->ssl, t->own, t->key, t->chain, 1) == 1 ? 0 : -EINVAL;
}

int
chain_add(struct tls_context *c, uint64_t key, struct bytes pem)
{
	struct tls_certificate	 t = { 0 }, *more;
	BIO			*bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	int			 rc;

	if (bio == NULL)
		return -ENOMEM;
	rc = chain_read(&t, c->signing == NULL ? NULL : c->signing->library, bio);
	BIO_free(bio);
	if (rc == 0)
		rc = certificate_take(c, &t, key);
	more = rc != 0 ? NULL : realloc(c->certificates, (c->ncertificates + 1) * sizeof(*more));
	if (more == NULL) {
		certificate_free(&t);
		return rc != 0 ? rc : -ENOMEM;
	}
	c->certificates = more;
	more[c->ncertificates++] = t;
	if (expiry_of(t.own) < c->not_after)
		c->not_after = expiry_of(t.own);
	return 0;
}

static bool
name_fits(const struct tls_certificate *t, const char *name)
{
	return name == NULL || X509_check_host(t->own, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* Does the client take signatures of such a key? */
static bool
scheme_fits(SSL *ssl, const struct tls_certificate *t)
{
	const int	count = SSL_get_sigalgs(ssl, 0, NULL, NULL, NULL, NULL, NULL);
	const int	id = EVP_PKEY_get_base_id(X509_get0_pubkey(t->own));
	int		i, sign;

	for (i = 0; i < count; i++) {
		(void)SSL_get_sigalgs(ssl, i, &sign, NULL, NULL, NULL, NULL);
		if (sign == id || (id == EVP_PKEY_RSA && sign == EVP_PKEY_RSA_PSS))
			return true;
	}
	return count == 0;
}

/* A cert_cb, SSL_CTX_set_cert_cb(3). None fits: the first, which the client may refuse. */
static int
certificate_choose(SSL *ssl, void *arg)
{
	struct tls_context		*c = arg;
	const char			*name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct tls_certificate	*t;
	size_t				 i;

	if (c->ncertificates == 1)
		return 1;
	for (i = 0; i < c->ncertificates; i++)
		if (name_fits(&c->certificates[i], name) && scheme_fits(ssl, &c->certificates[i]))
			break;
	t = &c->certificates[i < c->ncertificates ? i : 0];
	SSL_certs_clear(ssl);
	return SSL_use_cert_and_key(ssl, t->own, t->key, t->chain, 1);
}

void
chains_use(struct tls_context *c)
{
	SSL_CTX_set_cert_cb(c->ssl, certificate_choose, c);
}

void
chains_free(struct tls_context *c)
{
	while (c->ncertificates > 0)
		certificate_free(&c->certificates[--c->ncertificates]);
	free(c->certificates);
}

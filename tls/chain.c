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

/* SignatureScheme, RFC 8446 4.2.3. bits: of the curve, which TLS 1.3 binds to it; old: of TLS 1.2 alone. */
static const struct { unsigned scheme; int kind, bits; bool old; } schemes[] = {
	{ 0x0401, EVP_PKEY_RSA, 0, true }, { 0x0501, EVP_PKEY_RSA, 0, true }, { 0x0601, EVP_PKEY_RSA, 0, true },
	{ 0x0804, EVP_PKEY_RSA, 0, false }, { 0x0805, EVP_PKEY_RSA, 0, false }, { 0x0806, EVP_PKEY_RSA, 0, false },
	{ 0x0403, EVP_PKEY_EC, 256, false }, { 0x0503, EVP_PKEY_EC, 384, false }, { 0x0603, EVP_PKEY_EC, 521, false },
	{ 0x0807, EVP_PKEY_ED25519, 0, false }, { 0x0808, EVP_PKEY_ED448, 0, false },
};

static bool
scheme_is_of(unsigned scheme, const EVP_PKEY *key, bool tls13)
{
	size_t	i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (schemes[i].scheme == scheme)
			return schemes[i].kind == EVP_PKEY_get_base_id(key) &&
			    !(tls13 && (schemes[i].old || (schemes[i].bits != 0 && schemes[i].bits != EVP_PKEY_get_bits(key))));
	return false;
}

/* Does the client take signatures of such a key? */
static bool
scheme_fits(SSL *ssl, const EVP_PKEY *key)
{
	const int	count = SSL_get_sigalgs(ssl, 0, NULL, NULL, NULL, NULL, NULL);
	unsigned char	low, high;
	int		i;

	for (i = 0; i < count; i++) {
		(void)SSL_get_sigalgs(ssl, i, NULL, NULL, NULL, &low, &high);
		if (scheme_is_of((unsigned)high << 8 | low, key, SSL_version(ssl) == TLS1_3_VERSION))
			return true;
	}
	return count == 0;
}

/* TLS 1.2: is there a cipher suite of both sides for such a key? */
static bool
cipher_fits(SSL *ssl, const EVP_PKEY *key)
{
	const int			 kind = EVP_PKEY_is_a(key, "RSA") ? NID_auth_rsa : NID_auth_ecdsa;
	const STACK_OF(SSL_CIPHER)	*ours = SSL_get_ciphers(ssl), *theirs = SSL_get_client_ciphers(ssl);
	int				 i, j;

	for (i = 0; i < sk_SSL_CIPHER_num(ours); i++) {
		if (SSL_CIPHER_get_auth_nid(sk_SSL_CIPHER_value(ours, i)) != kind)
			continue;
		for (j = 0; j < sk_SSL_CIPHER_num(theirs); j++)
			if (SSL_CIPHER_get_id(sk_SSL_CIPHER_value(theirs, j)) == SSL_CIPHER_get_id(sk_SSL_CIPHER_value(ours, i)))
				return true;
	}
	return false;
}

/* TLS 1.2: a key is on a curve that the client has, RFC 8422 4. */
static bool
curve_fits(SSL *ssl, const EVP_PKEY *key)
{
	int	groups[64], count = SSL_get1_groups(ssl, NULL), i;
	char	name[64];

	if (!EVP_PKEY_is_a(key, "EC") || count <= 0 || count > 64 ||
	    EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) != 1)
		return true;
	(void)SSL_get1_groups(ssl, groups);
	for (i = 0; i < count; i++)
		if (groups[i] == OBJ_txt2nid(name))
			return true;
	return false;
}

static bool
key_fits(SSL *ssl, const EVP_PKEY *key)
{
	return scheme_fits(ssl, key) &&
	    (SSL_version(ssl) == TLS1_3_VERSION || (cipher_fits(ssl, key) && curve_fits(ssl, key)));
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
		if (name_fits(&c->certificates[i], name) && key_fits(ssl, X509_get0_pubkey(c->certificates[i].own)))
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

#ifndef UNIT_SIGNER_MATERIAL_H
#define UNIT_SIGNER_MATERIAL_H
/* Keys, certificates and TLS documents made by hand. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include "common/memfd.h"
#include "common/records.h"

#define MATERIAL_KINDS	6
static const struct { const char *what, *type, *group; unsigned bits, tls13, tls12; } material_kinds[MATERIAL_KINDS] = {
	{ "RSA",     "RSA",     NULL,    2048, 0x0804, 0x0401 },
	{ "P-256",   "EC",      "P-256", 0,    0x0403, 0x0403 },
	{ "P-384",   "EC",      "P-384", 0,    0x0503, 0x0503 },
	{ "P-521",   "EC",      "P-521", 0,    0x0603, 0x0603 },
	{ "Ed25519", "ED25519", NULL,    0,    0x0807, 0x0807 },
	{ "Ed448",   "ED448",   NULL,    0,    0x0808, 0x0808 },
};

static inline EVP_PKEY *
material_key(unsigned kind)
{
	EVP_PKEY	*key;

	if (material_kinds[kind].bits != 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)material_kinds[kind].bits);
	else if (material_kinds[kind].group != NULL)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", material_kinds[kind].group);
	else
		key = EVP_PKEY_Q_keygen(NULL, NULL, material_kinds[kind].type);
	ck_assert_ptr_nonnull(key);
	return key;
}

/* What was written into a BIO; the caller's. */
static inline char *
material_text(BIO *b, size_t *len)
{
	char	*data, *text;
	long	 n = BIO_get_mem_data(b, &data);

	ck_assert_int_gt(n, 0);
	ck_assert_ptr_nonnull(text = malloc((size_t)n + 1));
	memcpy(text, data, (size_t)n);
	text[n] = '\0';
	BIO_free(b);
	if (len != NULL)
		*len = (size_t)n;
	return text;
}

enum material_form { FORM_PKCS8, FORM_TRADITIONAL, FORM_PKCS8_LOCKED, FORM_TRADITIONAL_LOCKED, FORMS };

static inline char *
material_pem(EVP_PKEY *key, enum material_form form, const char *password)
{
	const EVP_CIPHER	*cipher = form >= FORM_PKCS8_LOCKED ? EVP_aes_256_cbc() : NULL;
	BIO			*b = BIO_new(BIO_s_mem());
	void			*p = (void *)(uintptr_t)password;
	const int		 n = cipher == NULL ? 0 : (int)strlen(password);
	int			 ok;

	if (form == FORM_PKCS8 || form == FORM_PKCS8_LOCKED)
		ok = PEM_write_bio_PKCS8PrivateKey(b, key, cipher, cipher == NULL ? NULL : p, n, NULL, NULL);
	else
		ok = PEM_write_bio_PrivateKey_traditional(b, key, cipher, cipher == NULL ? NULL : p, n, NULL, NULL);
	ck_assert_int_eq(ok, 1);
	return material_text(b, NULL);
}

/* Signed by itself, valid from and until so many days from now, and ten minutes. */
static inline X509 *
material_certificate(EVP_PKEY *key, const char *name, int from, int until)
{
	X509		*x = X509_new();
	X509_NAME	*n = X509_get_subject_name(x);
	const int	 type = EVP_PKEY_get_base_id(key);

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	ck_assert_int_eq(X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0), 1);
	X509_set_issuer_name(x, n);
	X509_time_adj_ex(X509_getm_notBefore(x), from, 0, NULL);
	X509_time_adj_ex(X509_getm_notAfter(x), until, 600, NULL);
	X509_set_pubkey(x, key);
	ck_assert_int_gt(X509_sign(x, key, type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448 ? NULL : EVP_sha256()), 0);
	return x;
}

static inline char *
material_certificate_pem(X509 *x)
{
	BIO	*b = BIO_new(BIO_s_mem());

	ck_assert_int_eq(PEM_write_bio_X509(b, x), 1);
	return material_text(b, NULL);
}

static inline char *
material_self_signed(EVP_PKEY *key, const char *name, int from, int until)
{
	X509	*x = material_certificate(key, name, from, until);
	char	*pem = material_certificate_pem(x);

	X509_free(x);
	return pem;
}

/* -- documents */

static unsigned	material_minimum = 0x0303;	/* version of contexts */

static inline void
material_context(msgpack_sbuffer *d)
{
	const struct msg	m = { .type = MSG_tls_context, .u.tls_context = { .use = TLS_CLIENTS, .at = BYTES("x.conf:1:1"),
				    .minimum = material_minimum, .timeout = 2000, .ciphers = BYTES(""), .suites = BYTES(""),
				    .groups = BYTES("") } };

	ck_assert_int_eq(records_add(d, &m), 0);
}

static inline void
material_pair(msgpack_sbuffer *d, uint64_t key, const char *path, const char *chain)
{
	const struct msg	m = { .type = MSG_tls_certificate, .u.tls_certificate = { .key = key,
				    .path = bytes_of(path), .chain = bytes_of(chain) } };

	ck_assert_int_eq(records_add(d, &m), 0);
}

static inline int
material_seal(msgpack_sbuffer *d)
{
	int	fd = records_seal(d);

	ck_assert_int_ge(fd, 0);
	msgpack_sbuffer_destroy(d);
	msgpack_sbuffer_init(d);
	return fd;
}

static inline int
material_file(const char *text)
{
	int	fd = memfd_sealed("test", bytes_of(text));

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* -- what is signed */

#define CONTENT_ROOM	256

/* TLS 1.3 with a hash of `hash` random bytes. */
static inline struct bytes
material_tls13(uint8_t out[CONTENT_ROOM], size_t hash)
{
	static const char	context[] = "TLS 1.3, server CertificateVerify";

	memset(out, ' ', 64);
	memcpy(out + 64, context, sizeof(context));
	arc4random_buf(out + 64 + sizeof(context), hash);
	return (struct bytes){ (const char *)out, 64 + sizeof(context) + hash };
}

static const struct { uint16_t group; uint8_t point; } material_groups[] = {
	{ 23, 65 }, { 24, 97 }, { 25, 133 }, { 29, 32 }, { 30, 56 },
};

static inline struct bytes
material_tls12(uint8_t out[CONTENT_ROOM], unsigned group)
{
	const size_t	point = material_groups[group].point;

	arc4random_buf(out, 64 + 4 + point);
	memcpy(out + 56, "DOWNGRD\1", 8);
	out[64] = 3;
	out[65] = 0;
	out[66] = (uint8_t)material_groups[group].group;
	out[67] = (uint8_t)point;
	if (material_groups[group].group < 29)
		out[68] = 4;
	return (struct bytes){ (const char *)out, 68 + point };
}

/* Is it the signature of this content? As a client checks it. */
static inline bool
material_verify(EVP_PKEY *key, unsigned scheme, struct bytes content, struct bytes signature)
{
	static const char *const	digests[] = { NULL, NULL, NULL, NULL, "SHA256", "SHA384", "SHA512" };
	const bool			pss = scheme >= 0x0804 && scheme <= 0x0806;
	const char			*digest = pss ? digests[scheme - 0x0800] : scheme < 0x0700 ? digests[scheme >> 8] : NULL;
	EVP_MD_CTX			*c = EVP_MD_CTX_new();
	EVP_PKEY_CTX			*pctx;
	bool				 good;

	ck_assert_int_eq(EVP_DigestVerifyInit_ex(c, &pctx, digest, NULL, NULL, key, NULL), 1);
	if (pss) {
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST), 1);
	}
	good = EVP_DigestVerify(c, (const uint8_t *)signature.data, signature.len,
	    (const uint8_t *)content.data, content.len) == 1;
	EVP_MD_CTX_free(c);
	return good;
}
#endif

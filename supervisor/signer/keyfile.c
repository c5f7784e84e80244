#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include "supervisor/signer/keyfile.h"

#define RSA_LEAST	1024	/* bits, as the real server has it */
#define RSA_MOST	16384	/* whose signature is a message's */
#define KIND		"PRIVATE KEY"

static const char	not_parsed[] = "tls: failed to parse private key";
static const char	wants_password[] = "it is encrypted, and there is no key_password_file";
static const char	wrong_password[] = "the first line of key_password_file does not open it";

struct block { char *name, *header; unsigned char *data; long len; };

static void
block_free(struct block *b)
{
	OPENSSL_free(b->name);
	OPENSSL_free(b->header);
	if (b->data != NULL)
		OPENSSL_clear_free(b->data, (size_t)b->len);
	*b = (struct block){ NULL, NULL, NULL, 0 };
}

static bool
is_private(const char *name)
{
	const size_t	len = strlen(name), kind = sizeof(KIND) - 1;

	if (len < kind || strcmp(name + len - kind, KIND) != 0)
		return false;
	return len == kind || name[len - kind - 1] == ' ';
}

/* The first of a private key. false with *why: there is none. */
static bool
block_find(BIO *in, struct block *b, const char **why)
{
	bool	certificate = false, other = false;

	while (PEM_read_bio(in, &b->name, &b->header, &b->data, &b->len) == 1) {
		if (is_private(b->name))
			return true;
		if (strcmp(b->name, PEM_STRING_X509) == 0)
			certificate = true;
		else
			other = true;
		block_free(b);
	}
	*why = certificate && !other ? "tls: found a certificate rather than a key in the PEM for the private key" :
	    other ? "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input" :
	    "tls: failed to find any PEM data in key input";
	return false;
}

/* pem_password_cb */
static int
password_give(char *out, int size, int writing, void *arg)
{
	const struct bytes	*password = arg;

	if (password->data == NULL || password->len > (size_t)size)
		return -1;
	memcpy(out, password->data, password->len);
	return (int)password->len;
}

/* "Proc-Type: 4,ENCRYPTED": the block itself is. */
static bool
block_open(struct block *b, struct bytes *password, const char **why)
{
	EVP_CIPHER_INFO	cipher;

	if (PEM_get_EVP_CIPHER_INFO(b->header, &cipher) != 1) {
		*why = not_parsed;
		return false;
	}
	if (cipher.cipher == NULL)
		return true;
	*why = password->data == NULL ? wants_password : wrong_password;
	return password->data != NULL && PEM_do_header(&cipher, b->data, &b->len, password_give, password) == 1;
}

static EVP_PKEY *
encrypted_read(const struct block *b, struct bytes password, const char **why)
{
	const unsigned char	*p = b->data;
	X509_SIG		*sig = d2i_X509_SIG(NULL, &p, b->len);
	PKCS8_PRIV_KEY_INFO	*info;
	EVP_PKEY		*pkey;

	if (sig == NULL)
		return NULL;
	*why = password.data == NULL ? wants_password : wrong_password;
	info = password.data == NULL ? NULL : PKCS8_decrypt(sig, password.data, (int)password.len);
	X509_SIG_free(sig);
	if (info == NULL)
		return NULL;
	*why = not_parsed;
	pkey = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info);
	return pkey;
}

/* What is not encrypted is known by its content, whatever the block is called. */
static EVP_PKEY *
block_read(const struct block *b, struct bytes password, const char **why)
{
	const unsigned char	*p = b->data;

	*why = not_parsed;
	if (strcmp(b->name, PEM_STRING_PKCS8) == 0)
		return encrypted_read(b, password, why);
	return d2i_AutoPrivateKey(NULL, &p, b->len);
}

static bool
curve_is_usual(EVP_PKEY *pkey)
{
	char	name[64];
	size_t	len;

	if (EVP_PKEY_get_group_name(pkey, name, sizeof(name), &len) != 1)
		return false;
	return strcmp(name, SN_X9_62_prime256v1) == 0 || strcmp(name, SN_secp384r1) == 0 ||
	    strcmp(name, SN_secp521r1) == 0;
}

/* NULL, or why TLS has no use for it. */
static const char *
key_refused(EVP_PKEY *pkey)
{
	switch (EVP_PKEY_get_base_id(pkey)) {
	case EVP_PKEY_RSA:
		if (EVP_PKEY_get_bits(pkey) < RSA_LEAST)
			return "an RSA key below 1024 bits is insecure";
		return EVP_PKEY_get_bits(pkey) > RSA_MOST ? "an RSA key has at most 16384 bits" : NULL;
	case EVP_PKEY_EC:
		return curve_is_usual(pkey) ? NULL : "its curve is not P-256, P-384 or P-521";
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		return NULL;
	default:
		return "it is not a key for RSA, ECDSA, Ed25519 or Ed448";
	}
}

EVP_PKEY *
keyfile_read(struct bytes file, struct bytes password, const char **why)
{
	BIO		*in = BIO_new_mem_buf(file.data, (int)file.len);
	struct block	 b = { NULL, NULL, NULL, 0 };
	EVP_PKEY	*pkey = NULL;

	*why = "no memory";
	if (in != NULL && block_find(in, &b, why) && block_open(&b, &password, why))
		pkey = block_read(&b, password, why);
	block_free(&b);
	BIO_free(in);
	ERR_clear_error();
	if (pkey != NULL && (*why = key_refused(pkey)) != NULL) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return pkey;
}

int
keyfile_password(struct bytes file, struct bytes *password)
{
	const char	*end = memchr(file.data, '\n', file.len);
	size_t		 len = end == NULL ? file.len : (size_t)(end - file.data);

	if (len > 0 && file.data[len - 1] == '\r')
		len--;
	if (len == 0 || len > PASSWORD_MAX)
		return -EBADMSG;
	*password = (struct bytes){ file.data, len };
	return 0;
}

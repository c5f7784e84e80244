#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include "tls/tickets.h"

/* The parts of a key. */
#define NAME		16
#define CIPHER_AT	NAME
#define MAC_AT		(NAME + 32)
#define MAC		32
#define IV		16

void
tls_tickets_set(struct tls_tickets *t, struct bytes keys)
{
	const size_t	most = sizeof(t->keys) / sizeof(t->keys[0]);

	explicit_bzero(t->keys, sizeof(t->keys));
	t->count = keys.len / TICKET_KEY < most ? keys.len / TICKET_KEY : most;
	memcpy(t->keys, keys.data, t->count * TICKET_KEY);
}

static int
mac_set(EVP_MAC_CTX *mac, uint8_t *key)
{
	char		sha256[] = "SHA256";
	OSSL_PARAM	params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key + MAC_AT, MAC),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
		OSSL_PARAM_construct_end()
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

static uint8_t *
key_named(struct tls_tickets *t, const unsigned char *name)
{
	size_t	i;

	for (i = 0; i < t->count; i++)
		if (memcmp(t->keys[i], name, NAME) == 0)
			return t->keys[i];
	return NULL;
}

/*
 * 1; 2: the client gets a new ticket, for one of an old key, and always in TLS 1.3, where each is used once;
 * 0: the key is not known; -1. SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
 */
static int
ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int making)
{
	struct tls_context	*c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct tls_tickets	*t = c->tickets;
	uint8_t			*key;

	if (t == NULL || t->count == 0)
		return making ? -1 : 0;
	if (making) {
		memcpy(name, t->keys[0], NAME);
		if (RAND_bytes_ex(c->signing->library, iv, IV, 0) != 1)
			return -1;
	}
	if ((key = key_named(t, name)) == NULL)
		return 0;
	if (EVP_CipherInit_ex2(cipher, EVP_aes_256_cbc(), key + CIPHER_AT, iv, making, NULL) != 1 || mac_set(mac, key) != 1)
		return -1;
	return making || (key == t->keys[0] && SSL_version(ssl) != TLS1_3_VERSION) ? 1 : 2;
}

/* Is the one whom the session was made with still let in? */
static bool
session_holds(const struct tls_context *c, SSL_SESSION *session)
{
	const X509	*x = SSL_SESSION_get0_peer(session);

	if (!c->verify)
		return true;
	return x != NULL && X509_cmp_current_time(X509_get0_notAfter(x)) > 0 &&
	    X509_cmp_current_time(X509_get0_notBefore(x)) < 0;
}

static SSL_TICKET_RETURN
ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t len, SSL_TICKET_STATUS status, void *arg)
{
	const struct tls_context	*c = arg;

	switch (status) {
	case SSL_TICKET_SUCCESS:
		return session_holds(c, session) ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE_RENEW;
	case SSL_TICKET_SUCCESS_RENEW:
		return session_holds(c, session) ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_IGNORE_RENEW;
	default:
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	}
}

void
tickets_use(struct tls_context *c)
{
	SSL_CTX_set_app_data(c->ssl, c);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, ticket_key);
	SSL_CTX_set_session_ticket_cb(c->ssl, NULL, ticket_opened, c);
	SSL_CTX_set_num_tickets(c->ssl, 1);
}

void
tickets_start(const struct tls_context *c, SSL *ssl)
{
	if (c->tickets != NULL && c->tickets->count > 0)
		return;
	SSL_set_options(ssl, SSL_OP_NO_TICKET);
	SSL_set_num_tickets(ssl, 0);
}

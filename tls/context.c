#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "common/records.h"
#include "tls/chain.h"
#include "tls/context.h"
#include "tls/failure.h"
#include "tls/tickets.h"

/* As the real server without a word about them in its configuration, its order too. */
#define CIPHERS "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" \
	"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384:P-521"
/* No SHA-1, for which the signer has no scheme. */
#define SIGNATURES "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:" \
	"RSA+SHA256:RSA+SHA384:RSA+SHA512"

#define DEPTH		10		/* certificates between a client's and its authority */
#define SHOWN_MOST	(100u << 10)	/* bytes of the certificates that a client shows */
#define REVOKED_MOST	(16u << 20)	/* bytes of one list */

/* A document that is being read. */
struct reading {
	struct tls_context	*context;	/* NULL before its record */
	struct signing		*signing;
	struct tls_tickets	*tickets;
	enum tls_use		 use;
	bool			 ours;		/* records belong to the context that is wanted */
	char			*revoked;	/* list whose parts are coming in */
	size_t			 revoked_len;
	EVP_MD_CTX		*session;	/* digest of all that decides who is let in */
	char			*error;
	size_t			 size;
};

void
tls_load(void)
{
	unsigned char	byte;

	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS |
	    OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	(void)RAND_bytes(&byte, 1);
}

static OSSL_LIB_CTX *
library_of(const struct signing *s)
{
	return s == NULL ? NULL : s->library;
}

/* A sentence: where, what, and why, as far as OpenSSL says. */
static int
refuse(struct reading *r, struct bytes where, const char *what)
{
	const unsigned long	 code = ERR_peek_last_error();
	const char		*why = code == 0 ? NULL : ERR_reason_error_string(code);

	snprintf(r->error, r->size, "%.*s: %s%s%s", (int)where.len, where.data, what,
	    why == NULL ? "" : ": ", why == NULL ? "" : why);
	ERR_clear_error();
	return -EINVAL;
}

/* One of them, or the default; a NUL behind it. */
static const char *
text_or(struct bytes text, const char *otherwise, char *room, size_t size)
{
	if (text.len == 0 || text.len >= size)
		return otherwise;
	memcpy(room, text.data, text.len);
	room[text.len] = '\0';
	return room;
}

static int
ciphers_set(struct reading *r, SSL_CTX *ssl, const struct msg_tls_context *m)
{
	char	room[4097];

	if (SSL_CTX_set_cipher_list(ssl, text_or(m->ciphers, CIPHERS, room, sizeof(room))) != 1)
		return refuse(r, m->at, "unusable cipher suites of TLS 1.2");
	if (SSL_CTX_set_ciphersuites(ssl, text_or(m->suites, SUITES, room, sizeof(room))) != 1)
		return refuse(r, m->at, "unusable cipher suites of TLS 1.3");
	if (SSL_CTX_set1_groups_list(ssl, text_or(m->groups, GROUPS, room, sizeof(room))) != 1)
		return refuse(r, m->at, "unusable curve preferences");
	if (SSL_CTX_set1_sigalgs_list(ssl, SIGNATURES) != 1)
		return refuse(r, m->at, "signature schemes");
	return 0;
}

/* Everything that no certificate has a say in. */
static int
context_set(struct reading *r, struct tls_context *c, const struct msg_tls_context *m)
{
	SSL_CTX_set_min_proto_version(c->ssl, (int)m->minimum);
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	    SSL_MODE_ENABLE_PARTIAL_WRITE);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(c->ssl, SHOWN_MOST);
	SSL_CTX_set_verify_depth(c->ssl, DEPTH);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c->ssl), X509_V_FLAG_PARTIAL_CHAIN);
	if (c->verify)
		SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, failure_note);
	tickets_use(c);
	chains_use(c);
	return ciphers_set(r, c->ssl, m);
}

static int
context_record(struct reading *r, const struct msg_tls_context *m)
{
	struct tls_context	*c;

	r->ours = m->use == r->use && r->context == NULL;
	if (!r->ours)
		return 0;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return -ENOMEM;
	r->context = c;
	*c = (struct tls_context){ .references = 1, .signing = r->signing, .tickets = r->tickets,
	    .verify = m->verify != 0, .map = m->map != 0, .first = m->first != 0,
	    .timeout = (double)m->timeout / 1e3, .fallback = (double)m->fallback / 1e3, .not_after = UINT64_MAX };
	c->ssl = SSL_CTX_new_ex(library_of(r->signing), NULL, TLS_server_method());
	if (c->ssl == NULL)
		return -ENOMEM;
	EVP_DigestUpdate(r->session, &m->verify, sizeof(m->verify));
	return context_set(r, c, m);
}

static int
pin_record(struct reading *r, const struct msg_tls_pin *m)
{
	struct tls_context	*c = r->context;
	void			*more = realloc(c->pins, (c->npins + 1) * sizeof(*c->pins));

	if (more == NULL)
		return -ENOMEM;
	c->pins = more;
	memcpy(c->pins[c->npins++], m->digest.data, sizeof(*c->pins));
	EVP_DigestUpdate(r->session, "pin", 3);
	EVP_DigestUpdate(r->session, m->digest.data, m->digest.len);
	return 0;
}

static int
certificate_record(struct reading *r, const struct msg_tls_certificate *m)
{
	const int	rc = chain_add(r->context, m->key, m->chain);

	if (rc == -EBADMSG)
		return refuse(r, m->path, "not a certificate");
	if (rc == -EPROTONOSUPPORT)
		return refuse(r, m->path, "its key is neither RSA, ECDSA, Ed25519 nor Ed448");
	return rc == -EINVAL ? refuse(r, m->path, "cannot be used") : rc;
}

static int
authority_record(struct reading *r, const struct msg_tls_authority *m)
{
	X509	*x = chain_first(library_of(r->signing), m->certificate);
	int	 rc = 0;

	if (x == NULL)
		return refuse(r, m->path, "not a certificate");
	if (X509_STORE_add_cert(SSL_CTX_get_cert_store(r->context->ssl), x) != 1 ||
	    SSL_CTX_add_client_CA(r->context->ssl, x) != 1)
		rc = -ENOMEM;
	X509_free(x);
	EVP_DigestUpdate(r->session, "authority", 9);
	EVP_DigestUpdate(r->session, m->certificate.data, m->certificate.len);
	return rc;
}

/* The list is whole. */
static int
revoked_add(struct reading *r, struct bytes path)
{
	X509_STORE	*store = SSL_CTX_get_cert_store(r->context->ssl);
	BIO		*bio = BIO_new_mem_buf(r->revoked, (int)r->revoked_len);
	X509_CRL	*crl = bio == NULL ? NULL : PEM_read_bio_X509_CRL(bio, NULL, chain_no_password, NULL);
	int		 rc = 0;

	BIO_free(bio);
	free(r->revoked);
	r->revoked = NULL;
	r->revoked_len = 0;
	if (crl == NULL)
		return refuse(r, path, "not a list of revoked certificates");
	if (X509_STORE_add_crl(store, crl) != 1)
		rc = -ENOMEM;
	X509_CRL_free(crl);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(r->context->ssl), X509_V_FLAG_CRL_CHECK);
	return rc;
}

static int
revoked_record(struct reading *r, const struct msg_tls_revoked *m)
{
	char	*more;

	if (r->revoked_len + m->part.len > REVOKED_MOST)
		return refuse(r, m->path, "the list is too long");
	if ((more = realloc(r->revoked, r->revoked_len + m->part.len)) == NULL)
		return -ENOMEM;
	r->revoked = more;
	memcpy(more + r->revoked_len, m->part.data, m->part.len);
	r->revoked_len += m->part.len;
	EVP_DigestUpdate(r->session, "revoked", 7);
	EVP_DigestUpdate(r->session, m->part.data, m->part.len);
	return m->last != 0 ? revoked_add(r, m->path) : 0;
}

static int
record_receive(void *arg, const struct msg *m)
{
	struct reading	*r = arg;

	ERR_clear_error();
	if (m->type == MSG_tls_context)
		return context_record(r, &m->u.tls_context);
	if (!r->ours)
		return 0;
	switch (m->type) {
	case MSG_tls_pin:
		return pin_record(r, &m->u.tls_pin);
	case MSG_tls_certificate:
		return certificate_record(r, &m->u.tls_certificate);
	case MSG_tls_authority:
		return authority_record(r, &m->u.tls_authority);
	case MSG_tls_revoked:
		return revoked_record(r, &m->u.tls_revoked);
	default:
		return -EBADMSG;
	}
}

/* Every record was taken. */
static int
reading_end(struct reading *r)
{
	struct tls_context	*c = r->context;

	if (c == NULL)
		return 0;
	if (c->ncertificates == 0 || r->revoked != NULL)
		return -EBADMSG;
	if (EVP_DigestFinal_ex(r->session, c->session, NULL) != 1 ||
	    SSL_CTX_set_session_id_context(c->ssl, c->session, sizeof(c->session)) != 1)
		return -ENOMEM;
	if (c->tickets != NULL && c->tickets->lifetime > 0)
		SSL_CTX_set_timeout(c->ssl, c->tickets->lifetime);
	return 0;
}

int
tls_context_read(struct tls_context **context, int document, enum role reader, enum tls_use use,
    struct signing *signing, struct tls_tickets *tickets, char *error, size_t size)
{
	struct reading	 r = { .signing = signing, .tickets = tickets, .use = use, .error = error, .size = size };
	const char	*why = "no memory";
	int		 rc = -ENOMEM;

	*error = '\0';
	r.session = EVP_MD_CTX_new();
	if (r.session != NULL && EVP_DigestInit_ex(r.session, EVP_sha256(), NULL) == 1)
		rc = records_read(document, ROLE_SUPERVISOR, reader, record_receive, &r, &why);
	if (rc == 0)
		rc = reading_end(&r);
	if (rc == 0)
		*context = r.context;
	else {
		tls_context_unref(r.context);
		if (*error == '\0')
			snprintf(error, size, "TLS document: %s", rc == -ENOMEM ? "no memory" : why);
	}
	EVP_MD_CTX_free(r.session);
	free(r.revoked);
	ERR_clear_error();
	return rc;
}

struct tls_context *
tls_context_ref(struct tls_context *c)
{
	c->references++;
	return c;
}

void
tls_context_unref(struct tls_context *c)
{
	if (c == NULL || --c->references > 0)
		return;
	chains_free(c);
	SSL_CTX_free(c->ssl);
	free(c->pins);
	free(c);
}

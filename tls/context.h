#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H
/*
 * What the TLS document (common/messages.def, records of TLS) says of one use, ready for handshakes:
 * certificates by the name that a client asks for (SNI), who is let in, versions and ciphers.
 * A context lives as long as somebody refers to it: streams keep theirs over a reload.
 */
#include "tls/signing.h"

struct tls_certificate { X509 *own; STACK_OF(X509) *chain; EVP_PKEY *key; };

struct tls_context {
	unsigned	 references;
	SSL_CTX		*ssl;		/* shows the first certificate, if no other fits better what the client asks for */
	struct signing	*signing;
	bool		 verify, map, first;
	double		 timeout, fallback;	/* seconds; fallback 0: no INFO before the handshake at all */
	uint64_t	 not_after;	/* when the first of its own certificates expires, microseconds since 1970 */
	uint8_t		(*pins)[32];	/* SHA-256 of SubjectPublicKeyInfo; one of them, if npins > 0 */
	size_t		 npins;
	struct tls_certificate *certificates;
	size_t		 ncertificates;
	uint8_t		 session[32];	/* what sessions are bound to: resumed only where the same would be verified */
	struct tls_tickets *tickets;
};

/* Keys of session tickets, shared by all contexts of a process; without any, sessions are not resumed. */
struct tls_tickets {
	uint8_t	 keys[8][TICKET_KEY];
	size_t	 count;
	long	 lifetime;	/* seconds, for contexts that are read from now on; 0: OpenSSL's */
};

/*
 * Before the sandbox, in every process that reads contexts: what OpenSSL would load later, and no
 * configuration of its own (openssl.cnf). Part of signing_init().
 */
void tls_load(void);

/* `ticket_keys` came: the first for new tickets, all of them for old ones. */
void tls_tickets_set(struct tls_tickets *t, struct bytes keys);

/*
 * The context for `use` of a document. 0 and *context, NULL if the document has
 * none; or -errno and a sentence with the file that is to blame in error.
 * signing: NULL only checks (the signer and config have no need to sign).
 */
int tls_context_read(struct tls_context **context, int document, enum role reader, enum tls_use use,
    struct signing *signing, struct tls_tickets *tickets, char *error, size_t size);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c);	/* NULL is allowed */
#endif

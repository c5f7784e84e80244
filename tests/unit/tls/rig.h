#ifndef TESTS_TLS_RIG_H
#define TESTS_TLS_RIG_H
/*
 * A server's stream and a client of OpenSSL's in one process, over a socket pair, with
 * certificates made here, and a signer that has the keys and does what a test tells it to.
 */
#include <sys/socket.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "common/loop.h"
#include "common/records.h"
#include "tls/stream.h"

#define UNUSED		__attribute__((unused))
#define RIG_KEYS	16
#define RIG_TURNS	400	/* more than any handshake takes */

enum rig_kind { RSA_2048, EC_P256, EC_P384, ED_25519, RIG_KINDS };

struct identity { EVP_PKEY *key; X509 *certificate; };

enum rig_answer { ANSWERS, KEEPS_SILENT, ANSWERS_WRONGLY, REFUSES, ANSWERS_TOO_LONG };

struct rig_signer {
	struct channel	 channel;
	enum rig_answer	 answer;
	EVP_PKEY	*keys[RIG_KEYS];	/* by number - 1; the tests' own */
	size_t		 nkeys, asked;
	uint64_t	 last;			/* id that was asked last */
};

struct rig {
	struct ev_loop		*loop;
	struct signing		 signing;
	struct tls_buffers	 buffers;
	struct tls_tickets	 tickets;
	struct rig_signer	 signer;
	unsigned		 lost;
	msgpack_sbuffer		 document;
	struct tls_context	*context;
};

/* One connection. */
struct pair {
	struct tls_stream	*server;
	SSL			*client;
	int			 fds[2];	/* of the server, of the client */
	int			 rc;		/* of the last tls_handshake() */
	unsigned		 wakes;
	bool			 client_failed;
};

/* -- certificates */

struct rig_make {
	const char	*subject;	/* "/O=a/CN=b"; "/+OU=c": of the part before it */
	const char	*names;		/* subjectAltName */
	const char	*usage;		/* extendedKeyUsage; NULL: none */
	long		 from, until;	/* seconds from now; 0, 0: a day around it */
	bool		 authority;
};

static UNUSED EVP_PKEY *
key_make(enum rig_kind kind)
{
	EVP_PKEY	*k = kind == RSA_2048 ? EVP_RSA_gen(2048) : kind == EC_P256 ? EVP_EC_gen("P-256") :
			    kind == EC_P384 ? EVP_EC_gen("P-384") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	ck_assert_ptr_nonnull(k);
	return k;
}

static UNUSED void
subject_make(X509_NAME *name, const char *text)
{
	char	part[256], *equals;
	size_t	len;

	while (*text == '/') {
		len = strcspn(++text, "/");
		ck_assert_uint_lt(len, sizeof(part));
		memcpy(part, text, len);
		part[len] = '\0';
		text += len;
		equals = strchr(part, '=');
		*equals = '\0';
		ck_assert_int_eq(X509_NAME_add_entry_by_txt(name, part + (part[0] == '+'), MBSTRING_UTF8,
		    (const unsigned char *)equals + 1, -1, -1, part[0] == '+' ? -1 : 0), 1);
	}
}

static UNUSED void
extension_make(X509 *x, int nid, const char *text)
{
	X509_EXTENSION	*e;

	if (text == NULL)
		return;
	e = X509V3_EXT_conf_nid(NULL, NULL, nid, text);
	ck_assert_msg(e != NULL, "%s", text);
	ck_assert_int_eq(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* issuer NULL: it signs itself. */
static UNUSED struct identity
identity_make(enum rig_kind kind, const struct rig_make *m, const struct identity *issuer)
{
	static long		serial = 1;
	struct identity		i = { key_make(kind), X509_new() };
	EVP_PKEY		*key = issuer == NULL ? i.key : issuer->key;
	const bool		 day = m->from == 0 && m->until == 0;

	X509_set_version(i.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(i.certificate), serial++);
	X509_gmtime_adj(X509_getm_notBefore(i.certificate), day ? -86400 : m->from);
	X509_gmtime_adj(X509_getm_notAfter(i.certificate), day ? 86400 : m->until);
	X509_set_pubkey(i.certificate, i.key);
	subject_make(X509_get_subject_name(i.certificate), m->subject);
	X509_set_issuer_name(i.certificate, X509_get_subject_name(issuer == NULL ? i.certificate : issuer->certificate));
	extension_make(i.certificate, NID_subject_alt_name, m->names);
	extension_make(i.certificate, NID_ext_key_usage, m->usage);
	if (m->authority)
		extension_make(i.certificate, NID_basic_constraints, "critical,CA:TRUE");
	ck_assert_int_gt(X509_sign(i.certificate, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()), 0);
	return i;
}

static UNUSED void
identity_free(struct identity *i)
{
	EVP_PKEY_free(i->key);
	X509_free(i->certificate);
}

/* As PEM; the caller's. */
static UNUSED struct bytes
pem_of(X509 *x)
{
	BIO	*bio = BIO_new(BIO_s_mem());
	char	*data, *copy;
	long	 len;

	ck_assert_int_eq(PEM_write_bio_X509(bio, x), 1);
	len = BIO_get_mem_data(bio, &data);
	copy = malloc((size_t)len);
	memcpy(copy, data, (size_t)len);
	BIO_free(bio);
	return (struct bytes){ copy, (size_t)len };
}

/* -- the document */

static UNUSED void
document_add(struct rig *r, struct msg m)
{
	ck_assert_int_eq(records_add(&r->document, &m), 0);
}

static UNUSED void
document_context(struct rig *r, bool verify, unsigned minimum)
{
	r->document.size = 0;
	document_add(r, (struct msg){ .type = MSG_tls_context, .u.tls_context = { .use = TLS_CLIENTS,
	    .at = BYTES("a.conf:1:1"), .verify = verify, .minimum = minimum, .timeout = 2000 } });
}

/* Its key is the signer's from now on, too. */
static UNUSED void
document_certificate(struct rig *r, const struct identity *i)
{
	const struct bytes	pem = pem_of(i->certificate);

	r->signer.keys[r->signer.nkeys++] = i->key;
	document_add(r, (struct msg){ .type = MSG_tls_certificate, .u.tls_certificate = {
	    .key = r->signer.nkeys, .path = BYTES("/own.pem"), .chain = pem } });
	free((void *)(uintptr_t)pem.data);
}

static UNUSED void
document_authority(struct rig *r, X509 *x)
{
	const struct bytes	pem = pem_of(x);

	document_add(r, (struct msg){ .type = MSG_tls_authority, .u.tls_authority = {
	    .path = BYTES("/ca.pem"), .certificate = pem } });
	free((void *)(uintptr_t)pem.data);
}

static UNUSED int
document_read(struct rig *r, char *error, size_t size)
{
	struct tls_context	*before = r->context;
	const int		 fd = records_seal(&r->document);
	int			 rc;

	ck_assert_int_ge(fd, 0);
	rc = tls_context_read(&r->context, fd, ROLE_WORKER, TLS_CLIENTS, &r->signing, &r->tickets, error, size);
	close(fd);
	if (rc == 0)
		tls_context_unref(before);
	return rc;
}

static UNUSED void
document_use(struct rig *r)
{
	char	error[512];

	ck_assert_msg(document_read(r, error, sizeof(error)) == 0, "%s", error);
	ck_assert_ptr_nonnull(r->context);
}

/* -- the signer */

static UNUSED void
rig_sign(struct rig_signer *s, const struct msg_sign *m, struct msg_signature *out, uint8_t room[2048])
{
	EVP_PKEY	*key = s->keys[m->key - 1];
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX	*pkey;
	const unsigned	 scheme = (unsigned)m->scheme;
	const bool	 pss = scheme >= 0x0804 && scheme <= 0x0806;
	const unsigned	 hash = pss ? scheme - 0x0804 : (scheme >> 8) - 4;
	const EVP_MD	*md = scheme == 0x0807 ? NULL : hash == 0 ? EVP_sha256() : hash == 1 ? EVP_sha384() : EVP_sha512();
	size_t		 len = 2048;

	ck_assert_int_eq(EVP_DigestSignInit(ctx, &pkey, md, NULL, key), 1);
	if (pss) {
		EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, RSA_PSS_SALTLEN_DIGEST);
	}
	ck_assert_int_eq(EVP_DigestSign(ctx, room, &len, (const uint8_t *)m->content.data, m->content.len), 1);
	EVP_MD_CTX_free(ctx);
	out->signature = (struct bytes){ (char *)room, len };
}

static UNUSED int
rig_asked(struct channel *ch, const struct msg *m, const int *fds)
{
	struct rig_signer	*s = ch->owner;
	struct msg		 answer = { .type = MSG_signature, .u.signature = { .id = m->u.sign.id } };
	static uint8_t		 room[2048];

	ck_assert_int_eq(m->type, MSG_sign);
	ck_assert_uint_le(m->u.sign.key, s->nkeys);
	s->asked++;
	s->last = m->u.sign.id;
	if (s->answer == KEEPS_SILENT)
		return 0;
	rig_sign(s, &m->u.sign, &answer.u.signature, room);
	if (s->answer == ANSWERS_WRONGLY)
		room[answer.u.signature.signature.len / 2] ^= 1;
	else if (s->answer == ANSWERS_TOO_LONG)
		answer.u.signature.signature.len = sizeof(room);
	else if (s->answer == REFUSES)
		answer.u.signature = (struct msg_signature){ .id = m->u.sign.id, .refused = SIGN_CONTENT };
	ck_assert_int_eq(channel_send(ch, &answer, NULL), 0);
	return 0;
}

static UNUSED void
rig_signer_broken(struct channel *ch, int error, const char *why)
{
}

static UNUSED void
rig_lost(struct signing *s)
{
	((struct rig *)s->owner)->lost++;
}

/* A signer comes (again). */
static UNUSED void
rig_signer_start(struct rig *r)
{
	int	ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	channel_close(&r->signer.channel);
	channel_open(&r->signer.channel, r->loop, ends[0], ROLE_SIGNER, ROLE_WORKER, rig_asked, rig_signer_broken, &r->signer);
	signing_channel(&r->signing, ends[1]);
}

/* -- connections */

static UNUSED void
rig_init(struct rig *r)
{
	*r = (struct rig){ .loop = loop_new() };
	r->signer.channel.fd = -1;
	msgpack_sbuffer_init(&r->document);
	ck_assert_int_eq(tls_buffers_init(&r->buffers), 0);
	ck_assert_int_eq(signing_init(&r->signing, r->loop, ROLE_WORKER, rig_lost, r), 0);
	rig_signer_start(r);
}

static UNUSED void
rig_free(struct rig *r)
{
	tls_context_unref(r->context);
	signing_free(&r->signing);
	channel_close(&r->signer.channel);
	tls_buffers_free(&r->buffers);
	msgpack_sbuffer_destroy(&r->document);
	ev_loop_destroy(r->loop);
}

static UNUSED SSL_CTX *
client_make(const struct identity *shown, int version)
{
	SSL_CTX	*c = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_min_proto_version(c, version);
	SSL_CTX_set_max_proto_version(c, version);
	if (shown != NULL) {
		ck_assert_int_eq(SSL_CTX_use_certificate(c, shown->certificate), 1);
		ck_assert_int_eq(SSL_CTX_use_PrivateKey(c, shown->key), 1);
	}
	return c;
}

static UNUSED void
pair_wake(void *arg)
{
	((struct pair *)arg)->wakes++;
}

static UNUSED void
pair_init(struct pair *p, struct rig *r, SSL_CTX *client)
{
	*p = (struct pair){ .rc = -EAGAIN };
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fds), 0);
	p->server = tls_stream_new(r->context, &r->buffers, p->fds[0], pair_wake, p);
	ck_assert_ptr_nonnull(p->server);
	if (client == NULL)
		return;
	p->client = SSL_new(client);
	SSL_set_fd(p->client, p->fds[1]);
	SSL_set_connect_state(p->client);
}

static UNUSED void
pair_free(struct pair *p)
{
	tls_stream_free(p->server);
	if (p->client != NULL) {
		SSL_set_shutdown(p->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(p->client);
	}
	close(p->fds[0]);
	if (p->fds[1] != -1)
		close(p->fds[1]);
}

/* The client's side a step on; its session tickets too. True: its handshake is done. */
static UNUSED bool
pair_client(struct pair *p)
{
	char	byte;
	int	rc;

	if (p->client == NULL || p->client_failed)
		return false;
	ERR_clear_error();
	if (SSL_is_init_finished(p->client)) {
		rc = SSL_peek(p->client, &byte, 1);
		if (rc <= 0 && SSL_get_error(p->client, rc) != SSL_ERROR_WANT_READ)
			p->client_failed = true;
		return true;
	}
	rc = SSL_do_handshake(p->client);
	if (rc != 1 && SSL_get_error(p->client, rc) != SSL_ERROR_WANT_READ && SSL_get_error(p->client, rc) != SSL_ERROR_WANT_WRITE)
		p->client_failed = true;
	return rc == 1;
}

/* One turn of everybody. */
static UNUSED void
pair_turn(struct pair *p, struct rig *r)
{
	pair_client(p);
	if (p->rc == -EAGAIN || p->wakes > 0) {
		p->wakes = 0;
		p->rc = tls_handshake(p->server);
	}
	ev_run(r->loop, EVRUN_NOWAIT);
}

/* Until the server is done with it: the result of tls_handshake(). */
static UNUSED int
pair_shake(struct pair *p, struct rig *r)
{
	int	i;

	for (i = 0; i < RIG_TURNS && (p->rc == -EAGAIN || p->rc == -EINPROGRESS); i++)
		pair_turn(p, r);
	for (i = 0; i < 4; i++)
		pair_client(p);
	return p->rc;
}

/* Text there and back: both sides agree on keys. */
static UNUSED void
pair_talk(struct pair *p)
{
	const struct iovec	hello = { .iov_base = (void *)(uintptr_t)"hello", .iov_len = 5 };
	char			data[16];
	int			i;

	ck_assert_int_eq(SSL_write(p->client, "PING", 4), 4);
	for (i = 0; i < 10 && tls_read(p->server, data, sizeof(data)) != 4; i++)
		ck_assert_int_eq(errno, EAGAIN);
	ck_assert_mem_eq(data, "PING", 4);
	ck_assert_int_eq(tls_write(p->server, &hello, 1), 5);
	ck_assert_int_eq(SSL_read(p->client, data, sizeof(data)), 5);
	ck_assert_mem_eq(data, "hello", 5);
}
#endif

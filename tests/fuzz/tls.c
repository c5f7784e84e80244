/*
 * Bytes of a client into a stream: garbage, or a handshake of OpenSSL's client in which they change what it
 * sends. The key is with a signer of ours, which answers what they say. No crash, no leak, and nobody
 * is let in without a certificate.
 */
#include <sys/socket.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/loop.h"
#include "common/records.h"
#include "tls/stream.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TURNS	40

static struct ev_loop		*loop;
static struct signing		 signing;
static struct channel		 signer;
static struct tls_buffers	 buffers;
static struct tls_tickets	 tickets;
static struct tls_context	*contexts[2];	/* without and with verify */
static SSL_CTX			*clients;
static EVP_PKEY			*key;
static X509			*certificate;
static bool			 refuses;

static void
demand(bool so)
{
	if (!so)
		abort();
}

static int
asked(struct channel *ch, const struct msg *m, const int *fds)
{
	static uint8_t	 room[512];
	struct msg	 answer = { .type = MSG_signature, .u.signature = { .id = m->u.sign.id } };
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	size_t		 len = sizeof(room);

	if (refuses)
		answer.u.signature.refused = SIGN_CONTENT;
	else {
		const EVP_MD	*md = m->u.sign.scheme == 0x0503 ? EVP_sha384() :
				    m->u.sign.scheme == 0x0603 ? EVP_sha512() : EVP_sha256();

		demand(EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1);
		demand(EVP_DigestSign(ctx, room, &len, (const uint8_t *)m->u.sign.content.data, m->u.sign.content.len) == 1);
		answer.u.signature.signature = (struct bytes){ (char *)room, len };
	}
	EVP_MD_CTX_free(ctx);
	demand(channel_send(ch, &answer, NULL) == 0);
	return 0;
}

static void
broken(struct channel *ch, int error, const char *why)
{
	abort();
}

static void
lost(struct signing *s)
{
	abort();
}

static void
wake(void *arg)
{
}

static struct tls_context *
context_make(struct bytes pem, bool verify)
{
	struct msg		 m[3] = {
		{ .type = MSG_tls_context, .u.tls_context = { .use = TLS_CLIENTS, .at = BYTES("a:1:1"), .verify = verify,
		    .minimum = TLS1_2_VERSION, .timeout = 1000 } },
		{ .type = MSG_tls_certificate, .u.tls_certificate = { .key = 1, .path = BYTES("/a"), .chain = pem } },
		{ .type = MSG_tls_authority, .u.tls_authority = { .path = BYTES("/b"), .certificate = pem } },
	};
	struct tls_context	*c = NULL;
	msgpack_sbuffer		 b;
	char			 error[256];
	size_t			 i;
	int			 fd;

	msgpack_sbuffer_init(&b);
	for (i = 0; i < 3; i++)
		demand(records_add(&b, &m[i]) == 0);
	demand((fd = records_seal(&b)) >= 0);
	demand(tls_context_read(&c, fd, ROLE_WORKER, TLS_CLIENTS, &signing, &tickets, error, sizeof(error)) == 0);
	close(fd);
	msgpack_sbuffer_destroy(&b);
	return c;
}

static void
certificate_make(void)
{
	key = EVP_EC_gen("P-256");
	certificate = X509_new();
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400 * 365);
	X509_set_pubkey(certificate, key);
	demand(X509_sign(certificate, key, EVP_sha256()) > 0);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	BIO	*bio = BIO_new(BIO_s_mem());
	char	*pem;
	long	 len;
	int	 ends[2];

	demand((loop = loop_new()) != NULL && tls_buffers_init(&buffers) == 0 && channel_pair(ends) == 0);
	demand(signing_init(&signing, loop, ROLE_WORKER, lost, NULL) == 0);
	channel_open(&signer, loop, ends[0], ROLE_SIGNER, ROLE_WORKER, asked, broken, NULL);
	signing_channel(&signing, ends[1]);
	certificate_make();
	demand(PEM_write_bio_X509(bio, certificate) == 1);
	len = BIO_get_mem_data(bio, &pem);
	tickets.count = 1;
	contexts[0] = context_make((struct bytes){ pem, (size_t)len }, false);
	contexts[1] = context_make((struct bytes){ pem, (size_t)len }, true);
	BIO_free(bio);
	clients = SSL_CTX_new(TLS_client_method());
	return 0;
}

/* The client's next bytes, changed at a place by a value: two bytes of the input say where, one what. */
static void
pass_on(BIO *out, int fd, struct bytes *change)
{
	char	data[8192];
	int	n = BIO_read(out, data, sizeof(data));

	if (n > 0 && change->len >= 3) {
		data[((uint8_t)change->data[0] << 8 | (uint8_t)change->data[1]) % n] ^= change->data[2];
		*change = (struct bytes){ change->data + 3, change->len - 3 };
	}
	if (n > 0)
		(void)send(fd, data, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
client_step(SSL *ssl, BIO *in, BIO *out, int fd, struct bytes *change)
{
	char	data[8192];
	ssize_t	n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		BIO_write(in, data, (int)n);
	if (SSL_do_handshake(ssl) == 1)
		(void)SSL_write(ssl, "PING\r\n", 6);
	pass_on(out, fd, change);
	ERR_clear_error();
}

static int
server_step(struct tls_stream *s, int rc)
{
	char	data[512];

	if (rc == 0) {
		while (tls_read(s, data, sizeof(data)) > 0)
			;
		return 0;
	}
	rc = rc == -EAGAIN || rc == -EINPROGRESS ? tls_handshake(s) : rc;
	ev_run(loop, EVRUN_NOWAIT);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes		 rest = { (const char *)data + 1, size - 1 };
	struct tls_stream	*s;
	SSL			*ssl;
	BIO			*in, *out;
	int			 fds[2], i, rc = -EAGAIN;

	if (size == 0)
		return 0;
	refuses = (data[0] & 4) != 0;
	demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	demand((s = tls_stream_new(contexts[data[0] & 1], &buffers, fds[0], wake, NULL)) != NULL);
	ssl = SSL_new(clients);
	in = BIO_new(BIO_s_mem());
	out = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(in, -1);
	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	SSL_set_max_proto_version(ssl, (data[0] & 8) != 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
	for (i = 0; i < TURNS && rc != -EPROTO && rc != -ECONNRESET; i++) {
		if ((data[0] & 2) == 0)
			client_step(ssl, in, out, fds[1], &rest);
		else if (rest.len > 0 && i == 0)
			(void)send(fds[1], rest.data, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			shutdown(fds[1], SHUT_WR);
		rc = server_step(s, rc);
	}
	demand(rc != 0 || (data[0] & 1) == 0);
	demand((rc != -EPROTO && rc != -ECONNRESET) || *tls_error(s) != '\0');
	tls_stream_free(s);
	demand(signing.asked == 0);
	SSL_free(ssl);
	ERR_clear_error();
	close(fds[0]);
	close(fds[1]);
	return 0;
}

#ifndef TLS_STREAM_H
#define TLS_STREAM_H
/*
 * One TLS connection over a non-blocking socket that stays the caller's. What
 * is read and written goes through two buffers that all streams of a process
 * share, so that a turn costs one recv(2) and one send(2) as without TLS, and an
 * idle stream has no buffers.
 */
#include <sys/uio.h>
#include "tls/context.h"

#define TLS_BUFFER	(128u << 10)	/* ciphertext of one read or write */

/* plain: where small pieces are put together for a record. */
struct tls_buffers { char *in, *out, *plain; };
struct tls_stream;

/* 0 or -ENOMEM. */
int tls_buffers_init(struct tls_buffers *b);
void tls_buffers_free(struct tls_buffers *b);

/*
 * The server's side of a connection. wake(arg): the signer answered, call
 * tls_handshake() again; never from within a call of ours. b: kept by the
 * caller. NULL: no memory.
 */
struct tls_stream *tls_stream_new(struct tls_context *context, struct tls_buffers *b, int fd,
    void (*wake)(void *arg), void *arg);
/* Nothing is sent any more; NULL is allowed. The socket stays open. */
void tls_stream_free(struct tls_stream *s);

/* Bytes that were read before it was known that they are TLS. 0 or -ENOMEM. */
int tls_stream_seed(struct tls_stream *s, struct bytes data);

/*
 * 0: done, and the other side is whom the context lets in. -EAGAIN: when the socket is
 * readable (or, if tls_unsent(), writable) again. -EINPROGRESS: the signer
 * is asked. -ECONNRESET: the other side hung up. -EPROTO: failed; tls_error() says why; an alert is on its way
 * (tls_flush() once more).
 */
int tls_handshake(struct tls_stream *s);
bool tls_established(const struct tls_stream *s);

/*
 * As recv(2): bytes, 0 at the end (close_notify or not), -1 and errno (EPROTO: tls_error()).
 * At most size bytes of plaintext; more may be there already: tls_pending().
 */
ssize_t tls_read(struct tls_stream *s, void *data, size_t size);
/* Something can be read that the socket will not tell of. */
bool tls_pending(const struct tls_stream *s);

/*
 * As sendmsg(2) of these pieces: how many of their bytes were taken, -1 and errno. What was
 * taken and not sent is at most TLS_BUFFER; while there is any, nothing more is taken: EAGAIN.
 */
ssize_t tls_write(struct tls_stream *s, const struct iovec *iov, size_t count);
/* Send what was taken. 0; -EAGAIN: the socket is full; -errno: it is of no more use. */
int tls_flush(struct tls_stream *s);
size_t tls_unsent(const struct tls_stream *s);
/* Say goodbye (close_notify), as far as the socket takes it. */
void tls_close(struct tls_stream *s);

/* -- what was agreed; static or the stream's */
const char *tls_version(const struct tls_stream *s);	/* "1.3"; "" before it is established */
const char *tls_cipher(const struct tls_stream *s);	/* IANA's name: "TLS_AES_128_GCM_SHA256" */
bool tls_resumed(const struct tls_stream *s);
const char *tls_error(const struct tls_stream *s);	/* a sentence without our name: "no shared cipher" */
uint64_t tls_bytes(const struct tls_stream *s);		/* that are kept for it, as far as we know */

/*
 * Records `certificate_name` of its verified certificate, in the order in which users are
 * looked for: e-mail addresses, DNS names, URIs, subject (as a distinguished name, RFC 2253,
 * then as text). Names with control characters are left out. 0: also if it showed none; -ENOMEM; -EMSGSIZE: it has more names than `login` takes.
 */
int tls_names(const struct tls_stream *s, msgpack_sbuffer *out);
/* What reports say of its certificate. */
struct tls_peer {
	char	subject[256];		/* as the real server prints it; cut */
	uint8_t	key[32], certificate[32];	/* SHA-256 of SubjectPublicKeyInfo, and of all of it */
};
/* False: it showed none, or there is no memory. */
bool tls_peer_facts(const struct tls_stream *s, struct tls_peer *out);
/* Its certificate; NULL: it showed none. The caller's. */
X509 *tls_peer(const struct tls_stream *s);
#endif

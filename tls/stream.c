#include <sys/socket.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "tls/chain.h"
#include "tls/failure.h"
#include "tls/stream.h"
#include "tls/tickets.h"

#define RECORD_HEAD	5u
#define RECORD_PLAIN	16384u			/* bytes in a record */
#define RECORD_MOST	(RECORD_HEAD + RECORD_PLAIN + 256u + 256u)	/* as one may come (TLS 1.2), or go */
#define UNSENT_MOST	(2 * TLS_BUFFER)	/* with answers to what the other side said meanwhile */
#define IDLE_MOST	16u			/* records without data: as many as the real server takes one after the other */
#define STREAM_BYTES	14500u			/* of an established one without anything underway: tests/unit/tls/stream.c */

enum phase { STREAM_SHAKES, STREAM_OPEN, STREAM_FAILED };

/* Bytes of its own, exactly as many as there are. */
struct kept { char *data; size_t len; };

struct tls_stream {
	SSL			*ssl;
	struct tls_context	*context;
	struct tls_buffers	*b;
	struct signing_job	*job;
	void			(*wake)(void *arg);
	void			*arg;
	int			 fd;
	uint8_t			 phase;
	bool			 heard;		/* the first record came */
	bool			 ended;		/* the socket is at its end */
	bool			 dropped;	/* what is written is thrown away */
	uint8_t			 idle;		/* records without data that came since the last call that gave data */
	struct kept		 rest;		/* came and is not taken: between calls of ours */
	struct kept		 unsent;	/* was taken and did not go, as long as that is so */
	size_t			 sent;		/* of unsent */
	char			*error;
	/* During a call: what is in the shared buffers. */
	const char		*in;
	size_t			 in_left, out_len;
	size_t			 record_left;	/* of the record that OpenSSL is taking */
};

/* -- the two buffers */

int
tls_buffers_init(struct tls_buffers *b)
{
	*b = (struct tls_buffers){ malloc(TLS_BUFFER), malloc(TLS_BUFFER), malloc(RECORD_PLAIN) };
	if (b->in != NULL && b->out != NULL && b->plain != NULL)
		return 0;
	tls_buffers_free(b);
	return -ENOMEM;
}

void
tls_buffers_free(struct tls_buffers *b)
{
	free(b->in);
	free(b->out);
	free(b->plain);
	*b = (struct tls_buffers){ NULL, NULL, NULL };
}

static void
kept_free(struct kept *k)
{
	free(k->data);
	*k = (struct kept){ NULL, 0 };
}

/*
 * Bytes of the next record, if it is all here, or if what is here is no record's head: OpenSSL is
 * to say so at once. It never gets half a record, so that it keeps no buffer of its own between calls.
 */
static size_t
record_length(const char *data, size_t len)
{
	const uint8_t	*p = (const uint8_t *)data;
	size_t		 all;

	if (len >= 1 && (p[0] < 20 || p[0] > 24))
		return len;
	if (len >= 2 && p[1] != 3)
		return len;
	if (len < RECORD_HEAD)
		return 0;
	all = RECORD_HEAD + ((size_t)p[3] << 8 | p[4]);
	if (all > RECORD_MOST)
		return len;
	return all <= len ? all : 0;
}

/* 0: there is more; -EAGAIN; -ECONNRESET: the end; -errno. At most `most` bytes. */
static int
input_fill(struct tls_stream *s, size_t most)
{
	char	*at = s->b->in;
	ssize_t	 n;

	if (s->ended)
		return -ECONNRESET;
	if (s->in_left > TLS_BUFFER - RECORD_MOST)
		return -EMSGSIZE;
	memmove(at, s->in, s->in_left);
	s->in = at;
	if (most > TLS_BUFFER - s->in_left)
		most = TLS_BUFFER - s->in_left;
	do
		n = recv(s->fd, at + s->in_left, most, MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -errno;
	s->ended = n == 0;
	s->in_left += (size_t)n;
	return n == 0 ? -ECONNRESET : 0;
}

/* At the start of a call. */
static void
input_begin(struct tls_stream *s)
{
	s->in_left = s->rest.len;
	s->in = s->rest.len > 0 ? s->rest.data : s->b->in;
}

/* At its end: what is left over is kept. Without memory for it the stream is broken. */
static int
input_settle(struct tls_stream *s)
{
	const size_t	 len = s->in_left;
	char		*data;

	s->in_left = 0;
	if (len > 0 && len == s->rest.len && s->in == s->rest.data)
		return 0;
	data = len == 0 ? NULL : malloc(len);
	if (len > 0 && data == NULL)
		return -ENOMEM;
	if (data != NULL)
		memcpy(data, s->in, len);
	free(s->rest.data);
	s->rest = (struct kept){ data, len };
	return 0;
}

/* Behind what did not go before. */
static int
output_keep(struct tls_stream *s, const char *data, size_t len)
{
	const size_t	before = s->unsent.len - s->sent;
	char		*all = malloc(before + len);

	if (all == NULL)
		return -ENOMEM;
	if (before > 0)
		memcpy(all, s->unsent.data + s->sent, before);
	memcpy(all + before, data, len);
	free(s->unsent.data);
	s->unsent = (struct kept){ all, before + len };
	s->sent = 0;
	return 0;
}

/* How many bytes the socket took. -EAGAIN: none; -errno. */
static ssize_t
socket_send(int fd, const char *data, size_t len)
{
	ssize_t	n;

	do
		n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -errno : n;
}

int
tls_flush(struct tls_stream *s)
{
	ssize_t	n;

	if (tls_unsent(s) == 0)
		return 0;
	n = socket_send(s->fd, s->unsent.data + s->sent, tls_unsent(s));
	if (n < 0)
		return (int)n;
	s->sent += (size_t)n;
	if (tls_unsent(s) > 0)
		return -EAGAIN;
	kept_free(&s->unsent);
	s->sent = 0;
	return 0;
}

/* At the end of a call: send what it wrote. 0, also if some of it has to wait; -errno. */
static int
output_settle(struct tls_stream *s)
{
	const size_t	len = s->out_len;
	ssize_t		n;

	s->out_len = 0;
	if (len == 0)
		return 0;
	n = tls_unsent(s) > 0 ? -EAGAIN : socket_send(s->fd, s->b->out, len);
	if (n < 0 && n != -EAGAIN)
		return (int)n;
	n = n < 0 ? 0 : n;
	return (size_t)n == len ? 0 : output_keep(s, s->b->out + n, len - (size_t)n);
}

/* -- OpenSSL's side of them */

/*
 * New keys, which cost some hundred times as much as a message, attempts to renegotiate, alerts. The type of
 * a record of TLS 1.3 is within it; the one outside says "data" of all of them.
 */
static void
record_seen(int written, int version, int type, const void *data, size_t len, SSL *ssl, void *arg)
{
	struct tls_stream	*s = arg;

	if (written == 0 && (type == SSL3_RT_HEADER || type == SSL3_RT_INNER_CONTENT_TYPE) &&
	    *(const uint8_t *)data != SSL3_RT_APPLICATION_DATA && s->idle < IDLE_MOST)
		s->idle++;
}

static int
bio_read(BIO *bio, char *data, size_t size, size_t *got)
{
	struct tls_stream	*s = BIO_get_data(bio);
	size_t			 n = s->record_left;

	BIO_clear_retry_flags(bio);
	if (n == 0 && s->idle < IDLE_MOST)
		n = s->record_left = record_length(s->in, s->in_left);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	n = n < size ? n : size;
	s->heard = true;
	memcpy(data, s->in, n);
	s->in += n;
	s->in_left -= n;
	s->record_left -= n;
	*got = n;
	return 1;
}

/* All of it, always: more than there is room for is written only by who is made to answer again and again. */
static int
bio_write(BIO *bio, const char *data, size_t len, size_t *taken)
{
	struct tls_stream	*s = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*taken = len;
	if (s->dropped)
		return 1;
	if (len > TLS_BUFFER - s->out_len || tls_unsent(s) + s->out_len + len > UNSENT_MOST)
		return 0;
	memcpy(s->b->out + s->out_len, data, len);
	s->out_len += len;
	return 1;
}

static long
bio_control(BIO *bio, int command, long number, void *arg)
{
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *
bio_method(void)
{
	static BIO_METHOD	*method;
	BIO_METHOD		*m;

	if (method != NULL)
		return method;
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tls_stream");
	if (m == NULL)
		return NULL;
	BIO_meth_set_read_ex(m, bio_read);
	BIO_meth_set_write_ex(m, bio_write);
	BIO_meth_set_ctrl(m, bio_control);
	return method = m;
}

/* -- life */

static int
stream_start(struct tls_stream *s)
{
	BIO_METHOD	*method = bio_method();
	BIO		*bio;

	if (method == NULL || (s->ssl = SSL_new(s->context->ssl)) == NULL || (bio = BIO_new(method)) == NULL)
		return -ENOMEM;
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	SSL_set_accept_state(s->ssl);
	SSL_set_mode(s->ssl, SSL_MODE_ASYNC);
	tickets_start(s->context, s->ssl);
	return 0;
}

struct tls_stream *
tls_stream_new(struct tls_context *context, struct tls_buffers *b, int fd,
    void (*wake)(void *arg), void *arg)
{
	struct tls_stream	*s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	*s = (struct tls_stream){ .context = tls_context_ref(context), .b = b, .fd = fd, .wake = wake, .arg = arg,
	    .in = b->in };
	if (stream_start(s) != 0) {
		tls_stream_free(s);
		return NULL;
	}
	return s;
}

static int
handshake_run(struct tls_stream *s)
{
	int	rc;

	ERR_clear_error();
	signing_begin(s->context->signing, &s->job, s->wake, s->arg);
	rc = SSL_do_handshake(s->ssl);
	signing_end(s->context->signing);
	return rc == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, rc);
}

/* A job of OpenSSL's that is paused has to come to its end: SSL_free(3) forgets it. */
static void
handshake_abandon(struct tls_stream *s)
{
	s->dropped = true;
	signing_cancel(&s->job);
	if (s->job != NULL)
		(void)handshake_run(s);
}

void
tls_stream_free(struct tls_stream *s)
{
	if (s == NULL)
		return;
	handshake_abandon(s);
	failure_free(s->ssl);
	SSL_free(s->ssl);
	ERR_clear_error();
	tls_context_unref(s->context);
	kept_free(&s->rest);
	kept_free(&s->unsent);
	free(s->error);
	free(s);
}

int
tls_stream_seed(struct tls_stream *s, struct bytes data)
{
	char	*all = realloc(s->rest.data, s->rest.len + data.len);

	if (all == NULL)
		return data.len == 0 ? 0 : -ENOMEM;
	memcpy(all + s->rest.len, data.data, data.len);
	s->rest = (struct kept){ all, s->rest.len + data.len };
	return 0;
}

/* -- failing */

static void
fail_with(struct tls_stream *s, const char *text)
{
	if (s->phase != STREAM_FAILED)
		s->error = strdup(text);
	s->phase = STREAM_FAILED;
}

static void
fail(struct tls_stream *s)
{
	char	text[FAILURE_TEXT];

	failure_text(s->ssl, text);
	fail_with(s, text);
}

/* What every call ends with. */
static int
settle(struct tls_stream *s)
{
	const int	in = input_settle(s), out = output_settle(s);

	if (in == 0 && out == 0)
		return 0;
	fail_with(s, strerror(in != 0 ? -in : -out));
	return -EPROTO;
}

/* -- the handshake */

static bool
pin_fits(const struct tls_stream *s)
{
	const X509	*x = SSL_get0_peer_certificate(s->ssl);
	uint8_t		 digest[32];
	size_t		 i;

	if (s->context->npins == 0)
		return true;
	if (x == NULL || !chain_key_digest(x, digest))
		return false;
	for (i = 0; i < s->context->npins; i++)
		if (memcmp(s->context->pins[i], digest, sizeof(digest)) == 0)
			return true;
	return false;
}

static int
handshake_done(struct tls_stream *s)
{
	SSL_clear_mode(s->ssl, SSL_MODE_ASYNC);
	SSL_set_msg_callback(s->ssl, record_seen);
	SSL_set_msg_callback_arg(s->ssl, s);
	if (!pin_fits(s)) {
		fail_with(s, "certificate not pinned");
		return -EPROTO;
	}
	s->phase = STREAM_OPEN;
	return 0;
}

/* One step: until it needs what is not there. A hello of SSLv2, which may be a long one, is not waited for. */
static int
handshake_step(struct tls_stream *s)
{
	if (s->in_left > 0 && (s->in[0] & 0x80) != 0 && !s->heard) {
		fail_with(s, "tls: unsupported SSLv2 handshake received");
		return -EPROTO;
	}
	switch (handshake_run(s)) {
	case SSL_ERROR_NONE:
		return handshake_done(s);
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_ASYNC:
		return -EINPROGRESS;
	case SSL_ERROR_WANT_ASYNC_JOB:
		if (signing_wait(s->context->signing, &s->job, s->wake, s->arg) == 0)
			return -EINPROGRESS;
		fail_with(s, "no memory");
		return -EPROTO;
	default:
		fail(s);
		return -EPROTO;
	}
}

int
tls_handshake(struct tls_stream *s)
{
	int	rc;

	if (s->phase != STREAM_SHAKES)
		return s->phase == STREAM_OPEN ? 0 : -EPROTO;
	if ((rc = tls_flush(s)) != 0 && rc != -EAGAIN) {
		fail_with(s, strerror(-rc));
		return -EPROTO;
	}
	input_begin(s);
	rc = handshake_step(s);
	if (rc == -EAGAIN && (rc = input_fill(s, RECORD_MOST)) == 0)
		rc = handshake_step(s);
	if (rc == -ECONNRESET)
		fail_with(s, "EOF");
	else if (rc != 0 && rc != -EAGAIN && rc != -EINPROGRESS && rc != -EPROTO) {
		fail_with(s, strerror(-rc));
		rc = -EPROTO;
	}
	return settle(s) != 0 ? -EPROTO : rc;
}

bool
tls_established(const struct tls_stream *s)
{
	return s->phase == STREAM_OPEN;
}

/* -- reading */

/* Decrypt what is there. 0: data is full, or there is no more; -ECONNRESET: it said goodbye; -EPROTO. */
static int
read_records(struct tls_stream *s, char *data, size_t size, size_t *got)
{
	size_t	n;

	while (*got < size) {
		ERR_clear_error();
		if (SSL_read_ex(s->ssl, data + *got, size - *got, &n) == 1) {
			*got += n;
			continue;
		}
		switch (SSL_get_error(s->ssl, 0)) {
		case SSL_ERROR_WANT_READ:
			return 0;
		case SSL_ERROR_ZERO_RETURN:
			s->ended = true;
			return -ECONNRESET;
		default:
			fail(s);
			return -EPROTO;
		}
	}
	return 0;
}

/* What it reads from the socket is about what fits, so that little is kept. */
static int
read_some(struct tls_stream *s, char *data, size_t size, size_t *got)
{
	int	rc = read_records(s, data, size, got);

	if (rc != 0 || *got > 0)
		return rc;
	rc = input_fill(s, size < RECORD_MOST ? RECORD_MOST : size);
	return rc != 0 ? rc : read_records(s, data, size, got);
}

ssize_t
tls_read(struct tls_stream *s, void *data, size_t size)
{
	size_t	got = 0;
	int	rc = -EPROTO;

	if (s->phase == STREAM_OPEN && size > 0) {
		input_begin(s);
		rc = read_some(s, data, size, &got);
		if (got > 0)
			s->idle = 0;
		else if (s->idle == IDLE_MOST) {
			fail_with(s, "tls: too many non-advancing records");
			rc = -EPROTO;
		}
		if (settle(s) != 0)
			rc = -EPROTO;
	}
	if (got > 0)
		return (ssize_t)got;
	if (rc == -ECONNRESET)
		return 0;
	errno = rc == 0 ? EAGAIN : -rc;
	return -1;
}

bool
tls_pending(const struct tls_stream *s)
{
	return SSL_pending(s->ssl) > 0 || s->phase == STREAM_FAILED ||
	    record_length(s->rest.data, s->rest.len) > 0 || (s->ended && s->phase == STREAM_OPEN);
}

/* -- writing */

/* One record. */
static int
write_record(struct tls_stream *s, const char *data, size_t len)
{
	size_t	n;

	ERR_clear_error();
	if (SSL_write_ex(s->ssl, data, len, &n) == 1 && n == len)
		return 0;
	fail(s);
	return -EPROTO;
}

/* Where in the pieces we are. */
struct cursor { const struct iovec *iov; size_t count, at; };

/* The next bytes for a record: within a piece, or small pieces put together in `plain`. */
static struct bytes
cursor_next(struct cursor *c, char *plain)
{
	size_t	len = 0, n;

	while (c->count > 0 && len < RECORD_PLAIN) {
		const char	*data = (const char *)c->iov->iov_base + c->at;

		n = c->iov->iov_len - c->at;
		if (len == 0 && n >= RECORD_PLAIN) {
			c->at += RECORD_PLAIN;
			return (struct bytes){ data, RECORD_PLAIN };
		}
		n = n < RECORD_PLAIN - len ? n : RECORD_PLAIN - len;
		if (n > 0)
			memcpy(plain + len, data, n);
		len += n;
		c->at += n;
		if (c->at == c->iov->iov_len) {
			c->iov++;
			c->count--;
			c->at = 0;
		}
	}
	return (struct bytes){ plain, len };
}

ssize_t
tls_write(struct tls_stream *s, const struct iovec *iov, size_t count)
{
	struct cursor	 c = { iov, count, 0 };
	struct bytes	 next;
	ssize_t		 taken = 0;
	int		 rc = s->phase == STREAM_OPEN ? tls_flush(s) : -EPROTO;

	while (rc == 0 && s->out_len + RECORD_MOST <= TLS_BUFFER) {
		next = cursor_next(&c, s->b->plain);
		if (next.len == 0)
			break;
		if ((rc = write_record(s, next.data, next.len)) == 0)
			taken += (ssize_t)next.len;
	}
	if (rc == -EAGAIN) {
		errno = EAGAIN;
		return -1;
	}
	if (rc == 0)
		rc = output_settle(s);
	s->out_len = 0;
	if (rc == 0)
		return taken;
	fail_with(s, strerror(-rc));
	errno = -rc;
	return -1;
}

size_t
tls_unsent(const struct tls_stream *s)
{
	return s->unsent.len - s->sent;
}

void
tls_close(struct tls_stream *s)
{
	if (s->phase != STREAM_OPEN)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(s->ssl);
	(void)output_settle(s);
	(void)tls_flush(s);
	ERR_clear_error();
}

/* -- what was agreed */

const char *
tls_version(const struct tls_stream *s)
{
	if (s->phase == STREAM_SHAKES)
		return "";
	return SSL_version(s->ssl) == TLS1_3_VERSION ? "1.3" : "1.2";
}

const char *
tls_cipher(const struct tls_stream *s)
{
	const SSL_CIPHER	*c = SSL_get_current_cipher(s->ssl);
	const char		*name = c == NULL ? NULL : SSL_CIPHER_standard_name(c);

	return name == NULL ? "" : name;
}

bool
tls_resumed(const struct tls_stream *s)
{
	return SSL_session_reused(s->ssl) == 1;
}

const char *
tls_error(const struct tls_stream *s)
{
	return s->error == NULL ? "no memory" : s->error;
}

uint64_t
tls_bytes(const struct tls_stream *s)
{
	return STREAM_BYTES + s->rest.len + s->unsent.len + (uint64_t)SSL_pending(s->ssl);
}

X509 *
tls_peer(const struct tls_stream *s)
{
	return SSL_get1_peer_certificate(s->ssl);
}

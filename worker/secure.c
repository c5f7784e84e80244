#include <sys/socket.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "worker/identity.h"
#include "worker/secure.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define LOCAL_FALLBACK	0.05	/* seconds, for who is on this machine */
#define HANDSHAKE	0x16	/* the first byte of a TLS record that carries one */

enum phase { SECURE_WAITS, SECURE_SNIFFS, SECURE_SHAKES };

struct handshake {
	ev_timer		 timer;
	struct tls_context	*context;
	enum phase		 phase;
	bool			 asked;		/* the signer is: nothing is read meanwhile */
	bool			 silent;	/* INFO was not said */
};

/* ---- its end, whichever it is */

static void
handshake_free(struct client *c)
{
	struct handshake	*h = c->secure->handshake;

	if (h == NULL)
		return;
	ev_timer_stop(c->worker->loop, &h->timer);
	tls_context_unref(h->context);
	free(h);
	c->secure->handshake = NULL;
}

void
secure_rest(struct client *c)
{
	if (c->secure != NULL)
		handshake_free(c);
}

void
secure_close(struct client *c)
{
	if (c->secure != NULL && c->secure->stream != NULL && tls_established(c->secure->stream))
		tls_close(c->secure->stream);
}

void
secure_free(struct client *c)
{
	if (c->secure == NULL)
		return;
	handshake_free(c);
	tls_stream_free(c->secure->stream);
	free(c->secure);
	c->secure = NULL;
}

/* It may speak, with TLS or without. */
static void
secure_over(struct client *c)
{
	c->stop = CLIENT_READS;
	client_serve(c);
	secure_look(c);
}

static void
secure_plaintext(struct client *c)
{
	client_move(c, NULL);
	secure_free(c);
	secure_over(c);
}

/* Into the tables, for reports. */
static void
secure_report(struct client *c)
{
	const struct tls_stream	*stream = c->secure->stream;
	struct secure_record	 r = { .first = c->secure->first };
	struct tls_peer		 peer;

	snprintf(r.version, sizeof(r.version), "%s", tls_version(stream));
	snprintf(r.cipher, sizeof(r.cipher), "%s", tls_cipher(stream));
	if (tls_peer_facts(stream, &peer)) {
		r.verified = 1;
		snprintf(r.subject, sizeof(r.subject), "%s", peer.subject);
		memcpy(r.key, peer.key, sizeof(r.key));
		memcpy(r.certificate, peer.certificate, sizeof(r.certificate));
	}
	client_secured(c, &r);
}

static void
secure_done(struct client *c)
{
	struct secure	*s = c->secure;

	s->first = s->handshake->silent;
	s->maps = s->handshake->context->map;
	secure_report(c);
	if (s->first)
		client_say_info(c, INFO_FIRST);
	handshake_free(c);
	if (c->state != CLIENT_OPEN)
		return;
	client_debug(c, "TLS handshake complete");
	client_debug(c, "TLS version %s, cipher suite %s", tls_version(s->stream), tls_cipher(s->stream));
	secure_over(c);
}

/* Those who speak no TLS at all are as a rule no clients: not worth a line of the log. */
static void
secure_failed(struct client *c, int rc)
{
	const char	*error = rc == -ECONNRESET ? "EOF" : tls_error(c->secure->stream);

	if (strstr(error, "first record does not look like a TLS handshake") != NULL)
		client_debug(c, "TLS handshake error: %s", error);
	else
		client_error(c, "TLS handshake error: %s", error);
	client_close(c, CLOSE_TLS);
}

/* ---- the handshake */

/* Its next step is for the end of a turn. */
static void
secure_queue(struct client *c)
{
	if (c->list != &c->worker->shaking)	/* else it keeps its place */
		client_move(c, &c->worker->shaking);
	client_watch(c);
}

static void
secure_wake(void *arg)
{
	struct client	*c = arg;

	if (c->state != CLIENT_OPEN || c->secure->handshake == NULL)
		return;
	c->secure->handshake->asked = false;
	secure_queue(c);
}

/* The first bytes of it came. What was said in plaintext goes first. False: not now, or never. */
static bool
stream_begin(struct client *c)
{
	struct worker	*w = c->worker;

	if (c->out.pending > 0)
		client_flush(c);
	if (c->state != CLIENT_OPEN || c->out.pending > 0)
		return false;
	c->secure->stream = tls_stream_new(c->secure->handshake->context, &w->tls_buffers, c->io.fd, secure_wake, c);
	if (c->secure->stream != NULL)
		return true;
	log_limited(LOG_ERROR, "memory", "no memory for the TLS of a client: it is closed");
	client_close(c, CLOSE_MEMORY);
	return false;
}

static void
secure_step(struct client *c)
{
	int	 rc;

	if (c->secure->stream == NULL && !stream_begin(c)) {
		client_watch(c);
		return;
	}
	rc = tls_handshake(c->secure->stream);
	if (rc == 0)
		secure_done(c);
	else if (rc != -EAGAIN && rc != -EINPROGRESS)
		secure_failed(c, rc);
	else {
		c->secure->handshake->asked = rc == -EINPROGRESS;
		client_watch(c);
	}
}

bool
secure_turn(struct worker *w)
{
	struct client	*c;
	unsigned	 steps = 0;

	for (; steps < SECURE_A_TURN && (c = TAILQ_FIRST(&w->shaking)) != NULL; steps++) {
		client_move(c, NULL);
		secure_step(c);
	}
	return steps > 0;
}

/* ---- its phases */

static void
phase_set(struct client *c, enum phase phase, double seconds)
{
	struct handshake	*h = c->secure->handshake;
	struct ev_loop		*loop = c->worker->loop;

	h->phase = phase;
	ev_timer_stop(loop, &h->timer);
	ev_timer_set(&h->timer, seconds, 0);
	ev_timer_start(loop, &h->timer);
	if (phase == SECURE_SHAKES)
		client_debug(c, "Starting TLS client connection handshake");
}

/* At a Unix socket, where TLS is offered and not asked for, as the 2.x server has it within a process. */
static bool
is_local(const struct client *c)
{
	return c->peer_uid != UINT32_MAX;
}

static bool
may_be_plain(const struct client *c)
{
	return c->worker->settings->allow_non_tls || is_local(c);
}

/* It is one of those who wait for INFO. */
static void
fallback_over(struct client *c)
{
	c->secure->handshake->silent = false;
	client_say_info(c, INFO_FIRST);
	secure_begin(c);
}

static void
time_is_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct client		*c = timer->data;
	struct handshake	*h = c->secure->handshake;

	if (h->phase == SECURE_WAITS)
		fallback_over(c);
	else if (h->phase == SECURE_SNIFFS)
		secure_plaintext(c);
	else {
		client_debug(c, "TLS handshake timeout");
		c->flags |= CLIENT_SHUT;	/* no last words: it does not read them */
		client_close(c, CLOSE_TLS);
	}
}

void
secure_begin(struct client *c)
{
	struct handshake	*h = c->secure->handshake;

	if (c->state != CLIENT_OPEN)
		return;
	if (h->silent && (h->context->fallback > 0 || is_local(c)))
		phase_set(c, SECURE_WAITS, h->context->fallback > 0 ? h->context->fallback : LOCAL_FALLBACK);
	else if (!h->silent && may_be_plain(c))
		phase_set(c, SECURE_SNIFFS, h->context->timeout);
	else
		phase_set(c, SECURE_SHAKES, h->context->timeout);
	client_watch(c);
}

int
secure_new(struct client *c)
{
	struct tls_context	*context = c->worker->tls;

	if (context == NULL)
		return 0;
	if ((c->secure = calloc(1, sizeof(*c->secure))) == NULL ||
	    (c->secure->handshake = calloc(1, sizeof(*c->secure->handshake))) == NULL) {
		free(c->secure);
		c->secure = NULL;
		return -ENOMEM;
	}
	c->secure->handshake->context = tls_context_ref(context);
	c->secure->handshake->silent = context->first;
	ev_timer_init(&c->secure->handshake->timer, time_is_over, 0, 0);
	c->secure->handshake->timer.data = c;
	c->stop = CLIENT_SHAKES;
	identity_rest(c->identity);
	return 0;
}

enum first { FIRST_NOT_YET, FIRST_OF_HANDSHAKE, FIRST_OF_OTHERS, FIRST_NEVER };

/* The first byte, which stays where it is. */
static enum first
first_look(const struct client *c)
{
	unsigned char	 first;
	ssize_t		 n = recv(c->io.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n == 1)
		return first == HANDSHAKE ? FIRST_OF_HANDSHAKE : FIRST_OF_OTHERS;
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return FIRST_NOT_YET;
	return FIRST_NEVER;
}

/* True: it is time for the next step of its handshake. */
static bool
phase_look(struct client *c)
{
	const enum phase	phase = c->secure->handshake->phase;
	const enum first	first = phase == SECURE_SHAKES ? FIRST_OF_HANDSHAKE : first_look(c);

	if (first == FIRST_NOT_YET)
		return false;
	if (phase == SECURE_WAITS && first == FIRST_NEVER)
		fallback_over(c);
	else if (phase == SECURE_SNIFFS && first != FIRST_OF_HANDSHAKE)
		secure_plaintext(c);
	else if (phase != SECURE_SHAKES)
		phase_set(c, SECURE_SHAKES, c->secure->handshake->context->timeout);
	return c->secure != NULL && c->secure->handshake != NULL && c->secure->handshake->phase == SECURE_SHAKES;
}

void
secure_event(struct client *c, int events)
{
	if ((events & EV_WRITE) != 0 && c->secure->stream == NULL)
		client_flush(c);
	if (c->state != CLIENT_OPEN || (c->secure->stream == NULL && (events & EV_READ) == 0))
		return;
	if (phase_look(c))
		secure_queue(c);
}

/* ---- what others ask */

void
secure_describe(const struct client *c, struct nats_info *info)
{
	const struct tls_context	*context = c->worker->tls;

	if (c->secure != NULL && c->secure->handshake != NULL)
		context = c->secure->handshake->context;
	if (context == NULL)
		return;
	info->tls_available = may_be_plain(c);
	info->tls_required = !info->tls_available || secure_is_silent(c);
	info->tls_verify = context->verify;
}

bool
secure_is_silent(const struct client *c)
{
	const struct tls_context	*context = c->worker->tls;

	/* Who is refused at once gets no handshake, and hears what is said to others in its place. */
	if (c->refusal != REFUSE_NOTHING)
		return context != NULL && context->first;
	return c->secure != NULL && c->secure->handshake != NULL && c->secure->handshake->silent;
}

bool
secure_is_mute(const struct client *c)
{
	return c->secure != NULL && c->secure->handshake != NULL && c->secure->stream != NULL &&
	    !tls_established(c->secure->stream);
}

size_t
secure_unsent(const struct client *c)
{
	return c->secure == NULL || c->secure->stream == NULL ? 0 : tls_unsent(c->secure->stream);
}

int
secure_events(const struct client *c)
{
	const struct handshake	*h = c->secure == NULL ? NULL : c->secure->handshake;

	if (secure_unsent(c) > 0 && (c->flags & CLIENT_SHUT) == 0)
		return EV_WRITE;
	/* Plaintext that the socket did not take yet goes first. */
	if (h == NULL || h->asked || c->list == &c->worker->shaking || (c->flags & CLIENT_WRITES) != 0)
		return 0;
	return EV_READ;
}

/* ---- through the stream */

ssize_t
secure_read(struct client *c, struct iovec *iov, unsigned count)
{
	struct msghdr	 msg = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t		 n, all = 0;

	if (c->secure == NULL)
		return recvmsg(c->io.fd, &msg, MSG_DONTWAIT);
	for (unsigned i = 0; i < count && iov[i].iov_len > 0; i++) {
		if (i > 0 && !tls_pending(c->secure->stream))
			break;
		if ((n = tls_read(c->secure->stream, iov[i].iov_base, iov[i].iov_len)) <= 0)
			return all > 0 ? all : n;
		all += n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	return all;
}

void
secure_look(struct client *c)
{
	if (c->secure == NULL || c->state != CLIENT_OPEN || c->secure->handshake != NULL)
		return;
	if (c->stop == CLIENT_READS && tls_pending(c->secure->stream))
		client_move(c, &c->worker->unread);
	client_watch(c);	/* reading may want something written */
}

uint64_t
secure_held(const struct client *c)
{
	return c->secure == NULL || c->secure->stream == NULL ? 0 : tls_bytes(c->secure->stream);
}

int
secure_names(const struct client *c, msgpack_sbuffer *out)
{
	return c->secure != NULL && c->secure->maps && c->worker->settings->tls_maps_users ? tls_names(c->secure->stream, out) : 0;
}

/* ---- contexts */

static void
signer_lost(struct signing *s)
{
	const struct msg	 m = { .type = MSG_signer_lost };

	worker_send(s->owner, &m);
}

int
secure_check(struct worker *w, int document, const struct settings *s, const char **why)
{
	static char	 error[512];
	int		 rc;

	tls_context_unref(w->next_tls);
	w->next_tls = NULL;
	w->tickets.lifetime = (long)s->tls_ticket_lifetime;
	rc = tls_context_read(&w->next_tls, document, ROLE_WORKER, TLS_CLIENTS, &w->signing, &w->tickets,
	    error, sizeof(error));
	if (rc != 0)
		*why = error;
	return rc;
}

void
secure_apply(struct worker *w)
{
	tls_context_unref(w->tls);
	w->tls = w->next_tls;
	w->next_tls = NULL;
}

int
secure_init(struct worker *w, const char **why)
{
	int	 rc;

	TAILQ_INIT(&w->unread);
	TAILQ_INIT(&w->shaking);
	*why = "no memory for TLS";
	if ((rc = tls_buffers_init(&w->tls_buffers)) != 0 ||
	    (rc = signing_init(&w->signing, w->loop, ROLE_WORKER, signer_lost, w)) != 0 ||
	    (rc = secure_check(w, w->child->tls, w->settings, why)) != 0)
		return rc;
	secure_apply(w);
	return 0;
}

void
secures_free(struct worker *w)
{
	tls_context_unref(w->tls);
	tls_context_unref(w->next_tls);
	signing_free(&w->signing);
	tls_buffers_free(&w->tls_buffers);
}

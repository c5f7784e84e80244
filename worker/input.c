#include <sys/socket.h>
#include <sys/uio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "worker/input.h"
#include "worker/limits.h"
#include "worker/secure.h"
#include "worker/session.h"
#include "worker/slow.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define READ_LEAST	(32u << 10)	/* one read of one of many busy clients */
#define READ_BEHIND	(16u << 10)	/* what may follow a large message in its read */

/* Input that was not parsed: an incomplete line or message, or all since the client was stopped. */
struct rest {
	size_t	 at, len;	/* of the bytes in data */
	char	 data[];
};

int
input_init(struct worker *w)
{
	return input_resize(w, (size_t)w->settings->max_control_line);
}

/* What clients have left over of lines under a longer limit still has to fit. */
int
input_resize(struct worker *w, size_t control_line)
{
	/* In front of what is read: the most that one client can have left over. */
	size_t	 size = WORKER_READ + INPUT_LARGE + 2 * control_line + 4096 + INPUT_SLACK;
	char	*buffer;

	if (size <= w->buffer_size)
		return 0;
	if ((buffer = malloc(size)) == NULL)
		return -ENOMEM;
	free(w->buffer);
	w->buffer = buffer;
	w->buffer_size = size;
	return 0;
}

uint64_t
input_held(const struct client *c)
{
	uint64_t	 n = c->rest == NULL ? 0 : c->rest->at + c->rest->len;

	return c->incoming == NULL ? n : n + (uint64_t)c->incoming->line.size + 2;
}

void
input_forget_message(struct client *c)
{
	if (c->incoming == NULL)
		return;
	block_unref(c->incoming->block);
	free(c->incoming);
	c->incoming = NULL;
}

void
input_free(struct client *c)
{
	free(c->rest);
	c->rest = NULL;
	input_forget_message(c);
}

static void
input_no_memory(struct client *c)
{
	log_limited(LOG_ERROR, "memory", "no memory for the input of a client: it is closed");
	client_close(c, CLOSE_MEMORY);
}

static struct bytes
moved(struct bytes part, struct bytes from, const char *to)
{
	return part.len == 0 ? part : (struct bytes){ to + (part.data - from.data), part.len };
}

bool
input_expect(struct client *c, const struct nats_line *l, struct bytes text, struct bytes body)
{
	struct incoming	*in = malloc(sizeof(*in) + text.len);

	if (in == NULL || (in->block = block_new((size_t)l->size + 2)) == NULL) {
		free(in);
		input_no_memory(c);
		return false;
	}
	memcpy(in->text, text.data, text.len);
	memcpy(in->block->data, body.data, body.len);
	in->filled = body.len;
	in->text_line = (struct bytes){ in->text, text.len };
	in->line = *l;
	in->line.subject = moved(l->subject, text, in->text);
	in->line.reply = moved(l->reply, text, in->text);
	in->line.size_text = moved(l->size_text, text, in->text);
	c->incoming = in;
	return true;
}

/* Keep what was not parsed. */
static void
input_keep(struct client *c, const char *data, size_t len)
{
	struct rest	*r;

	if (len == 0 || c->state != CLIENT_OPEN)
		return;
	if ((r = malloc(sizeof(*r) + len + INPUT_SLACK)) == NULL) {
		input_no_memory(c);
		return;
	}
	r->at = 0;
	r->len = len;
	memcpy(r->data, data, len);
	c->rest = r;
}

/* How much one read may take: who is alone all of it; several share, so that turns stay short. */
static size_t
input_budget(const struct client *c)
{
	const struct worker	*w = c->worker;
	size_t			 most = WORKER_READ;

	if (w->last_readers > 1) {
		most = WORKER_READ / w->last_readers;
		if (most < READ_LEAST)
			most = READ_LEAST;
	}
	return c->allowance != 0 && c->allowance < most ? c->allowance : most;
}

/* Read behind what was kept; *kept bytes of that are in the buffer now. */
static ssize_t
input_fill(struct client *c, size_t *kept)
{
	struct worker	*w = c->worker;
	struct incoming	*in = c->incoming;
	struct iovec	 iov[2];
	size_t		 budget = input_budget(c);

	*kept = 0;
	if (in != NULL) {
		iov[0].iov_base = in->block->data + in->filled;
		iov[0].iov_len = (size_t)in->line.size + 2 - in->filled;
		if (budget > WORKER_READ / 2 && iov[0].iov_len > budget)
			budget = iov[0].iov_len;
		if (iov[0].iov_len > budget)
			iov[0].iov_len = budget;
		iov[1].iov_base = w->buffer;
		iov[1].iov_len = iov[0].iov_len == budget ? 0 : READ_BEHIND;
		return secure_read(c, iov, 2);
	}
	if (c->rest != NULL) {
		*kept = c->rest->len;
		memcpy(w->buffer, c->rest->data + c->rest->at, *kept);
		if ((c->flags & CLIENT_CONNECTED) == 0)	/* half of a CONNECT, perhaps */
			explicit_bzero(c->rest->data, c->rest->at + *kept);
		free(c->rest);
		c->rest = NULL;
	}
	if (budget > w->buffer_size - INPUT_SLACK - *kept)
		budget = w->buffer_size - INPUT_SLACK - *kept;
	iov[0] = (struct iovec){ w->buffer + *kept, budget };
	return secure_read(c, iov, 1);
}

/* The first n bytes read belong to the message that is coming in. How many are behind it. */
static size_t
input_take(struct client *c, size_t n)
{
	struct incoming	*in = c->incoming;
	size_t		 missing = (size_t)in->line.size + 2 - in->filled;

	if (n < missing)
		missing = n;
	in->filled += missing;
	if (in->filled < (size_t)in->line.size + 2)
		session_look_incoming(c);
	else
		session_incoming(c);
	if (c->allowance != 0)
		slow_allowance(c, missing);
	return n - missing;
}

static void
input_parse(struct client *c, size_t len)
{
	struct worker	*w = c->worker;
	size_t		 used = 0;

	if (!c->interrupt)
		used = session_run(c, w->buffer, len);
	input_keep(c, w->buffer + used, len - used);
}

/* Closing: what it sends now is thrown away. */
static void
input_discard(struct client *c)
{
	struct worker	*w = c->worker;
	ssize_t		 n;

	n = recv(c->io.fd, w->buffer, WORKER_READ, MSG_DONTWAIT);
	if (n > 0 || (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)))
		return;
	c->flags |= CLIENT_ENDED;
	if (n == -1 || (c->flags & CLIENT_SHUT) != 0)
		client_hang_up(c);
	else
		client_watch(c);
}

/* Its end, an error, or not what it seemed. */
static void
input_nothing(struct client *c, ssize_t n)
{
	if (n == 0) {
		c->flags |= CLIENT_ENDED;
		client_close(c, CLOSE_CLIENT);
	} else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
		client_debug(c, "read error: %s", errno == EPROTO ? tls_error(c->secure->stream) : strerror(errno));
		client_close(c, CLOSE_READ);
	}
}

void
input_read(struct client *c)
{
	struct worker	*w = c->worker;
	size_t		 kept;
	ssize_t		 n;

	if (c->state == CLIENT_CLOSING) {
		input_discard(c);
		return;
	}
	if (c->stop != CLIENT_READS || !limits_begin(c))
		return;
	w->readers++;
	n = input_fill(c, &kept);
	if (n <= 0) {
		input_keep(c, w->buffer, kept);
		input_nothing(c, n);
		secure_look(c);
		return;
	}
	broker_refresh(w->broker);
	session_begin(c);
	if (c->incoming != NULL)
		n = (ssize_t)input_take(c, (size_t)n);
	input_parse(c, kept + (size_t)n);
	session_end(c);
	secure_look(c);
}

void
input_again(struct client *c)
{
	client_move(c, NULL);
	input_read(c);
}

void
input_resume(struct client *c)
{
	struct rest	*r = c->rest;
	size_t		 used;

	if (!limits_begin(c))
		return;
	broker_refresh(c->worker->broker);
	session_begin(c);
	if (c->incoming != NULL && c->incoming->filled == (size_t)c->incoming->line.size + 2)
		session_incoming(c);
	if (r != NULL && !c->interrupt) {
		used = session_run(c, r->data + r->at, r->len);
		r->at += used;
		r->len -= used;
		if (r->len == 0) {
			free(r);
			c->rest = NULL;
		}
	}
	session_end(c);
}

#include <sys/socket.h>
#include <sys/uio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tls/stream.h"
#include "worker/output.h"

#define IOVECS	128		/* pieces in one system call */

/* Class 0 is for the few bytes between references, 1 begins a queue. */
static const struct { uint32_t size; unsigned kept; } classes[OUTPUT_CLASSES] = {
	{ 512, 4096 }, { 4096, 1024 }, { 16384, 256 }, { 65536, 256 },
};
#define FIRST_CLASS	1
#define LAST_CLASS	(OUTPUT_CLASSES - 1)

static size_t
class_room(unsigned class)
{
	return classes[class].size - sizeof(struct piece) - OUTPUT_SLACK;
}

_Static_assert(65536 - sizeof(struct piece) - OUTPUT_SLACK >= OUTPUT_CHUNK, "a chunk holds it");

void
output_pool_init(struct output_pool *pool)
{
	*pool = (struct output_pool){ 0 };
}

void
output_pool_free(struct output_pool *pool)
{
	struct piece	*p;

	for (unsigned i = 0; i < OUTPUT_CLASSES; i++)
		while ((p = pool->free[i]) != NULL) {
			pool->free[i] = p->next;
			free(p);
		}
	output_pool_init(pool);
}

bool
output_pool_trim(struct output_pool *pool)
{
	unsigned	 left = 0;
	struct piece	*p;

	for (unsigned i = 0; i < OUTPUT_CLASSES; i++) {
		while (pool->least[i]-- > 0 && (p = pool->free[i]) != NULL) {
			pool->free[i] = p->next;
			pool->count[i]--;
			free(p);
		}
		pool->least[i] = pool->count[i];
		left += pool->count[i];
	}
	return left > 0;
}

static struct piece *
piece_new(struct output_pool *pool, unsigned class)
{
	struct piece	*p = pool->free[class];

	if (p != NULL) {
		pool->free[class] = p->next;
		if (--pool->count[class] < pool->least[class])
			pool->least[class] = pool->count[class];
	} else if ((p = malloc(classes[class].size)) == NULL)
		return NULL;
	p->next = NULL;
	p->block = NULL;
	p->class = class;
	p->at = p->end = p->data;
	return p;
}

static void
piece_free(struct output_pool *pool, struct piece *p)
{
	if (p->block != NULL)
		block_unref(p->block);
	if (pool->count[p->class] >= classes[p->class].kept) {
		free(p);
		return;
	}
	p->next = pool->free[p->class];
	pool->free[p->class] = p;
	pool->count[p->class]++;
}

/* No more bytes go into the last piece. */
static void
output_close_piece(struct output *out)
{
	if (out->last != NULL && out->last->block == NULL)
		out->last->end = out->at;
	if (out->last != NULL)
		out->last->messages = out->messages;
	out->at = out->limit = NULL;
}

static void
output_append(struct output *out, struct piece *p)
{
	output_close_piece(out);
	if (out->last != NULL)
		out->last->next = p;
	else
		out->first = p;
	out->last = p;
}

char *
output_reserve_slowly(struct output_pool *pool, struct output *out, size_t need)
{
	unsigned	 class = out->class < FIRST_CLASS ? FIRST_CLASS : out->class;
	struct piece	*p;

	if (out->last != NULL && out->last->block != NULL)
		class = 0;
	while (class < LAST_CLASS && class_room(class) < need)
		class++;
	if (class_room(class) < need || (p = piece_new(pool, class)) == NULL)
		return NULL;
	output_append(out, p);
	out->at = p->data;
	out->limit = p->data + class_room(class);
	if (class != 0 && out->class < LAST_CLASS)
		out->class = (uint8_t)(class < LAST_CLASS ? class + 1 : LAST_CLASS);
	return out->at;
}

bool
output_bytes(struct output_pool *pool, struct output *out, const char *data, size_t len)
{
	size_t	 room;
	char	*at;

	while (len > 0) {
		if ((at = output_reserve(pool, out, 1)) == NULL)
			return false;
		room = (size_t)(out->limit - at);
		if (room > len)
			room = len;
		memcpy(at, data, room);
		output_commit(out, at + room);
		data += room;
		len -= room;
	}
	return true;
}

bool
output_reference(struct output_pool *pool, struct output *out, struct block *block,
    const char *data, size_t len)
{
	struct piece	*p = piece_new(pool, 0);

	if (p == NULL)
		return false;
	output_append(out, p);
	p->block = block;
	block->references++;
	p->at = (char *)(uintptr_t)data;
	p->end = p->at + len;
	out->pending += len;
	return true;
}

static char *
piece_end(const struct output *out, const struct piece *p)
{
	return p == out->last && p->block == NULL ? out->at : p->end;
}

static unsigned
output_iovecs(const struct output *out, struct iovec iov[IOVECS])
{
	unsigned	 n = 0;

	for (struct piece *p = out->first; p != NULL && n < IOVECS; p = p->next)
		iov[n++] = (struct iovec){ p->at, (size_t)(piece_end(out, p) - p->at) };
	return n;
}

/* `len` bytes went out: free the pieces that are done. */
static void
output_sent(struct output_pool *pool, struct output *out, size_t len)
{
	struct piece	*p;
	size_t		 left;

	out->pending -= len;
	while ((p = out->first) != NULL) {
		left = (size_t)(piece_end(out, p) - p->at);
		if (left > len) {
			p->at += len;
			return;
		}
		len -= left;
		if (p == out->last) {
			out->sent = out->messages;
			out->last = NULL;
			out->at = out->limit = NULL;
		} else
			out->sent = p->messages;
		out->first = p->next;
		piece_free(pool, p);
	}
}

static ssize_t
pieces_write(int fd, struct tls_stream *tls, struct iovec *iov, unsigned count)
{
	struct msghdr	 msg = { .msg_iov = iov, .msg_iovlen = count };

	if (tls != NULL)
		return tls_write(tls, iov, count);
	if (count == 1)
		return send(fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int
pieces_send(struct output_pool *pool, struct output *out, int fd, struct tls_stream *tls, size_t *sent)
{
	struct iovec	 iov[IOVECS];
	unsigned	 count;
	size_t		 want;
	ssize_t		 n;

	*sent = 0;
	while (out->first != NULL) {
		count = output_iovecs(out, iov);
		want = 0;
		for (unsigned i = 0; i < count; i++)
			want += iov[i].iov_len;
		n = pieces_write(fd, tls, iov, count);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		output_sent(pool, out, (size_t)n);
		*sent += (size_t)n;
		if ((size_t)n < want && tls == NULL)
			return -EAGAIN;
	}
	out->class = *sent > class_room(2) ? 3 : *sent > class_room(1) ? 2 : 1;
	return 0;
}

int
output_send(struct output_pool *pool, struct output *out, int fd, struct tls_stream *tls, size_t *sent)
{
	size_t	 waited = tls == NULL ? 0 : tls_unsent(tls), wait;
	int	 rc = 0;

	*sent = 0;
	if (waited > 0)
		rc = tls_flush(tls);
	if (rc == 0)
		rc = pieces_send(pool, out, fd, tls, sent);
	if (tls == NULL)
		return rc;
	if (rc == 0)
		rc = tls_flush(tls);
	wait = tls_unsent(tls);
	*sent = waited + *sent > wait ? waited + *sent - wait : 0;
	return rc;
}

unsigned
output_pieces(const struct output *out)
{
	unsigned	 n = 0;

	for (const struct piece *p = out->first; p != NULL; p = p->next)
		n++;
	return n;
}

void
output_clear(struct output_pool *pool, struct output *out)
{
	struct piece	*p;

	while ((p = out->first) != NULL) {
		out->first = p->next;
		piece_free(pool, p);
	}
	out->last = NULL;
	out->at = out->limit = NULL;
	out->pending = 0;
}

#ifndef WORKER_OUTPUT_H
#define WORKER_OUTPUT_H
/*
 * What waits to be written to one connection: a queue of pieces, each either
 * a chunk of bytes from a pool that all connections share or a reference to
 * a block. An empty queue has no memory.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "broker/broker.h"

#define OUTPUT_CLASSES	4	/* sizes of chunks */
#define OUTPUT_SLACK	16	/* bytes that a writer may scribble behind what it commits */
#define OUTPUT_CHUNK	(65536 - 64 - OUTPUT_SLACK)	/* most that output_reserve() gives */

struct piece {
	struct piece	*next;
	char		*at, *end;	/* not sent yet; the last piece ends at output.at */
	struct block	*block;		/* referenced; NULL: the bytes are in data */
	uint64_t	 messages;	/* output.messages when it was closed */
	unsigned	 class;
	char		 data[];
};

struct output_pool {
	struct piece	*free[OUTPUT_CLASSES];
	unsigned	 count[OUTPUT_CLASSES];
	unsigned	 least[OUTPUT_CLASSES];		/* of count since output_pool_trim() */
};

struct output {
	char		*at, *limit;	/* room in the last piece, less the slack; equal: none */
	uint64_t	 pending;	/* bytes in the queue */
	uint64_t	 messages;	/* ever appended */
	uint64_t	 sent;		/* of them, in pieces that went out whole */
	struct piece	*first, *last;
	uint8_t		 class;		/* of the next chunk: grows with what one flush carries */
};

/* No chunks yet. */
void output_pool_init(struct output_pool *pool);
/* Free those that nobody uses; queues give theirs back first, by output_clear(). */
void output_pool_free(struct output_pool *pool);

/* Give back what nobody needed since the last call. True: there is more to give back later. */
bool output_pool_trim(struct output_pool *pool);

/*
 * At least `need` bytes (at most OUTPUT_CHUNK) to write to, and OUTPUT_SLACK
 * more to scribble on; NULL: no memory. output_commit() says how far it went.
 */
char *output_reserve_slowly(struct output_pool *pool, struct output *out, size_t need);

static inline char *
output_reserve(struct output_pool *pool, struct output *out, size_t need)
{
	if ((size_t)(out->limit - out->at) >= need)
		return out->at;
	return output_reserve_slowly(pool, out, need);
}

static inline void
output_commit(struct output *out, char *end)
{
	out->pending += (uint64_t)(end - out->at);
	out->at = end;
}

/* Append bytes, any number. False: no memory; part of them may be there. */
bool output_bytes(struct output_pool *pool, struct output *out, const char *data, size_t len);

/* Append data[0..len) of block by reference. False: no memory. */
bool output_reference(struct output_pool *pool, struct output *out, struct block *block,
    const char *data, size_t len);

struct tls_stream;

/*
 * Write to a socket what it takes, through TLS if tls is not NULL. 0: all; -EAGAIN: it is full;
 * -errno: it is of no more use. *sent: bytes that went; with TLS what the stream has
 * taken is not sent before the socket took it.
 */
int output_send(struct output_pool *pool, struct output *out, int fd, struct tls_stream *tls, size_t *sent);

/* How many pieces are in the queue; walks it. */
unsigned output_pieces(const struct output *out);
/* Drop what waits: chunks go to the pool, references are given back. `messages` and `sent` stay. */
void output_clear(struct output_pool *pool, struct output *out);
#endif

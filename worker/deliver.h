#ifndef WORKER_DELIVER_H
#define WORKER_DELIVER_H
/* Messages to clients: what the broker calls for each subscription. */
#include "broker/broker.h"
#include "nats/parser.h"

#define DELIVER_REFERENCE	(16u << 10)	/* bodies from this size on are shared, not copied */
#define SID_INLINE		15		/* bytes of a sid that its subscription holds */

struct client;
struct worker;

/*
 * The message that is being published from input. When it lies there as it
 * has to go out, "xxx subject " and "[reply ]size\r\nbody\r\n" are copied as
 * they are; both may be read 15 bytes beyond their end. \r\n follows the body
 * wherever it is.
 */
struct line {
	const struct message	*m;		/* NULL: none is */
	const struct nats_line	*parsed;	/* NULL: the rest is filled in */
	const char		*head, *tail;	/* head begins `mark` bytes before the subject; NULL: compose it */
	uint32_t		 head_len, tail_len;
	uint32_t		 mark;		/* "MSG " or "HMSG ": 4 or 5 */
	uint32_t		 needs;		/* CLIENT_HEADERS or 0 */
	struct block		*block;		/* the body again, copied once for all; NULL: not yet */
};

/* m, whose control line was parsed into l, is being published: until line_end(). */
static inline void
line_begin(struct line *line, const struct message *m, const struct nats_line *l)
{
	line->m = m;
	line->parsed = m->subject.data == l->subject.data ? l : NULL;	/* else it was mapped to another */
	line->head = NULL;
	line->block = NULL;
}

static inline void
line_end(struct line *line)
{
	line->m = NULL;
	if (line->block != NULL)
		block_unref(line->block);
}

/* struct broker_calls */
enum delivery worker_deliver(void *program, uint32_t connection, struct subscription *sub,
    const struct message *m);
void worker_no_responders(void *program, uint32_t connection, uint64_t cid,
    struct bytes subject, struct bytes reply);

#endif

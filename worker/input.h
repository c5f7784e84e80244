#ifndef WORKER_INPUT_H
#define WORKER_INPUT_H
/*
 * What clients send: read into one buffer that all share and parsed in place.
 * Only what is not a whole line or message yet is kept with the client, and
 * only a message that is large is read into a block of its own.
 */
#include "broker/broker.h"
#include "nats/parser.h"
#include "worker/client.h"

#define INPUT_LARGE	(8u << 10)	/* messages from this size on get a block if they are not whole */
#define INPUT_SLACK	32		/* bytes behind input that may be read, not used */

/* A message that is coming in: its body and \r\n go to block. */
struct incoming {
	struct block		*block;
	size_t			 filled;
	struct nats_line	 line;		/* its words lie in text */
	struct bytes		 text_line;	/* all of text */
	char			 text[];
};

/* Its socket is readable. */
void input_read(struct client *c);

/* The same of one whose stream has more, from worker.unread. */
void input_again(struct client *c);

/* It is read again after it was stopped: what was kept comes first. */
void input_resume(struct client *c);

/*
 * The message of line l, whose first bytes are in body, is to come in. text:
 * the control line. False: no memory, it is closed.
 */
bool input_expect(struct client *c, const struct nats_line *l, struct bytes text, struct bytes body);

/* Bytes that are kept of what came in. */
uint64_t input_held(const struct client *c);

/* Forget what came in. */
void input_free(struct client *c);
/* The same of a large message alone (c->incoming): its block is given back. */
void input_forget_message(struct client *c);

/* 0 or -ENOMEM. */
int input_init(struct worker *w);

/* Room for control lines of this length; never less than before. 0; -ENOMEM: as before. */
int input_resize(struct worker *w, size_t control_line);
#endif

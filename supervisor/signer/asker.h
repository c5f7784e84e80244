#ifndef SIGNER_ASKER_H
#define SIGNER_ASKER_H
/*
 * Who asks for signatures: a channel each, a queue of questions, and a turn.
 * In a turn of the loop one question of one asker is answered, then it is the
 * next one's turn, so that a flood delays others by one signature each. An
 * asker whose queue is full is not read, one that reads no answers is not answered, and
 * loses its channel if that lasts.
 */
#include <sys/queue.h>
#include "common/channel.h"

#define QUESTIONS_MOST	128u		/* that wait; then it is not read. What one reading brings comes on top */
#define ANSWERS_MOST	(64u << 10)	/* bytes that wait to be read */
#define ANSWER_PATIENCE	10.0		/* seconds; askers.patience */

struct asker;
TAILQ_HEAD(asker_list, asker);

/* Answer m: the signature is out's, its length *len; or why there is none. */
typedef enum sign_refusal asker_answer(void *owner, enum role role, const struct msg_sign *m, uint8_t *out, size_t *len);

struct askers {
	struct ev_loop		*loop;
	struct asker_list	 all, turns;	/* turns: who has a question, and is allowed one */
	ev_idle			 work;
	uint64_t		 rate;		/* answers a second for each; 0: any number */
	double			 patience;	/* seconds that answers wait to be read */
	bool			 open;		/* there are keys: before, questions wait */
	asker_answer		*answer;
	void			*owner;
};

void askers_init(struct askers *a, struct ev_loop *loop, uint64_t rate, asker_answer *answer, void *owner);
void askers_free(struct askers *a);

/* From now on questions are answered. */
void askers_open(struct askers *a);

/* A channel takes the place of the one that the asker had. fd is consumed. 0 or -ENOMEM. */
int asker_open(struct askers *a, enum role role, unsigned slot, int fd);
#endif

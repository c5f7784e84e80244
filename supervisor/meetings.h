#ifndef SUPERVISOR_MEETINGS_H
#define SUPERVISOR_MEETINGS_H
/*
 * Channels between children: monitor asks system, each worker asks auth and the
 * signer; meetings.c has the table. A new pair is made whenever one of the two is new, and a moment after the one
 * that asks has said that theirs broke.
 */
#include "common/messages.h"

struct supervisor;
struct process;

#define MEETINGS_PAUSE	0.5	/* seconds from a broken channel to the next */

void meetings_init(struct supervisor *s);
/* No channels any more. */
void meetings_stop(struct supervisor *s);

/* It is ready: it meets all with whom it has a channel and who are ready too. */
void meetings_hold(struct process *p);

/* It says that its channel to that one broke. */
void meetings_repeat(struct process *p, enum role answers);
#endif

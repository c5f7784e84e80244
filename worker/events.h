#ifndef WORKER_EVENTS_H
#define WORKER_EVENTS_H
/*
 * What system is told of clients: records `client_event`, as messages in the
 * server's own account, and only where somebody there asked for them
 * (bulkhead-system does, where it has a system account to speak in).
 *
 * What somebody could hear now is told at once: events of who may listen
 * himself, all while system says that somebody is there (EVENTS_NOW), and
 * those whose subject somebody subscribed to. The last is asked of the index,
 * which after the PONG that follows a SUB knows, though system may not yet.
 * Otherwise a connect is not told at all (the tables show who is there), and
 * those that left are gathered until they are many or for a moment, so that
 * system is not woken for each.
 */
#include <ev.h>
#include <msgpack.h>
#include "worker/client.h"

#define EVENTS_GATHERED	((size_t)32 << 10)	/* bytes that are told without waiting for more */
#define EVENTS_DELAY	0.05			/* seconds that the first of them waits at most */

struct events {
	msgpack_sbuffer	 gathered;	/* records */
	ev_timer	 due;		/* runs only while there are some */
};

void events_begin(struct worker *w);
void events_end(struct worker *w);	/* what is gathered is lost */

/* c was let in. Not from within the broker's calls. */
void events_came(struct client *c);
/* c is being closed, for c->reason. Likewise. */
void events_left(struct client *c);
/* Tell what is gathered. Likewise. */
void events_flush(struct worker *w);
#endif

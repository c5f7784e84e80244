#ifndef SUPERVISOR_TICKETS_H
#define SUPERVISOR_TICKETS_H
/*
 * Keys of TLS session tickets. All workers have the same, so that a client may
 * resume its session at any of them; a new one comes every tls_ticket_lifetime,
 * and the ones before it stay until the last ticket that they sealed has run out.
 */
#include <ev.h>
#include "common/messages.h"

struct supervisor;
struct process;

#define TICKETS_MOST	8	/* messages.def: ticket_keys */

struct tickets {
	uint8_t		 keys[TICKETS_MOST][TICKET_KEY];	/* the newest first */
	ev_tstamp	 ends[TICKETS_MOST];			/* of the last ticket of each */
	size_t		 count;
	double		 lifetime;				/* of tickets of the first */
	ev_timer	 rotate;
};

void tickets_init(struct supervisor *s);
/* No keys any more, in memory neither. */
void tickets_free(struct supervisor *s);

/* There is TLS, with this lifetime of tickets, or none (0): now and after it has changed. */
void tickets_update(struct supervisor *s, double lifetime);

/* To a worker that is ready, if there is TLS. */
void tickets_tell(struct process *worker);
#endif

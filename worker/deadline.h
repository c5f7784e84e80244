#ifndef WORKER_DEADLINE_H
#define WORKER_DEADLINE_H
/*
 * Clients that each wait for the same length of time, so that the list is in
 * the order in which their time is over, and one timer does for all of them.
 * The timer runs only while somebody waits.
 */
#include <stdbool.h>
#include <ev.h>
#include "worker/client.h"

struct deadlines {
	struct client_list	 waiting;
	ev_timer		 timer;
	struct ev_loop		*loop;
	double			 seconds;
	bool			 writing;	/* linked by client.writing rather than client.entry */
	void			(*over)(struct client *c);	/* is no longer on the list when called */
};

/* Nobody waits; over: called `seconds` after deadline_begin() of each. */
void deadlines_init(struct deadlines *d, struct ev_loop *loop, double seconds, bool writing,
    void (*over)(struct client *c));
/* c waits from now on; if it waited already, anew. */
void deadline_begin(struct deadlines *d, struct client *c);
/* c waits no more; nothing happens if it did not. */
void deadline_end(struct deadlines *d, struct client *c);
/* All wait for so long from when they began, those in line too. */
void deadlines_change(struct deadlines *d, double seconds);
/* Stop the timer: the loop is going to end. Who waits is left on the list. */
void deadlines_stop(struct deadlines *d);
#endif

#ifndef SUPERVISOR_BACKOFF_H
#define SUPERVISOR_BACKOFF_H
/*
 * When a dead process may be started again: at once, unless it died before it
 * was ready or dies too often.
 */
#include <stdbool.h>

#define BACKOFF_DEATHS	10	/* so many ... */
#define BACKOFF_WINDOW	10.0	/* ... within so many seconds are too often */
#define BACKOFF_FIRST	0.1	/* seconds; doubled each time ... */
#define BACKOFF_MOST	5.0	/* ... up to this */

struct backoff {
	double		deaths[BACKOFF_DEATHS];	/* when; a ring */
	unsigned	next, count;
	unsigned	failures;	/* deaths before `ready` in a row */
	double		delay;
};

/* It died at `now` (seconds of any clock). Seconds to wait before it is started again. */
double backoff_delay(struct backoff *b, double now, bool was_ready);
#endif

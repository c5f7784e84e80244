#ifndef SUPERVISOR_BACKOFF_H
#define SUPERVISOR_BACKOFF_H
/*
 * When a dead process may be started again: at once, unless it died before it
 * was ready or dies too often.
 */
#include <stdbool.h>

#define BACKOFF_WINDOW	10.0	/* seconds in which `restart_limit` deaths are too often */
#define BACKOFF_FIRST	0.1	/* seconds; doubled each time ... */
#define BACKOFF_MOST	5.0	/* ... up to this */

struct backoff {
	double		used, seen;	/* a bucket of deaths that leaks restart_limit in a window; when it was looked at */
	unsigned	failures;	/* deaths before `ready` in a row */
	double		delay;
};

/*
 * It died at `now` (seconds of any clock); limit: deaths in a window that are
 * still answered at once. Seconds to wait before it is started again.
 */
double backoff_delay(struct backoff *b, double now, double limit, bool was_ready);
#endif

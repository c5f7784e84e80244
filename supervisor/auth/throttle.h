#ifndef AUTH_THROTTLE_H
#define AUTH_THROTTLE_H
/*
 * Whose logins fail too often: auth_failures in auth_failure_window from one
 * source. Counted in eighths of the window, so a failure counts for one window
 * and at most an eighth more. Bounded: the source that has failed longest ago
 * is forgotten first.
 */
#include <sys/queue.h>
#include "supervisor/auth/source.h"

#define THROTTLE_SOURCES	65536u
#define THROTTLE_PARTS		8u

struct throttled;
TAILQ_HEAD(throttled_list, throttled);

struct throttle {
	struct map		 all;
	struct throttled_list	 oldest;	/* by their last failure */
	uint64_t		 failures;	/* 0: nobody is delayed */
	double			 window;	/* seconds */
};

int throttle_init(struct throttle *t);		/* 0 or -ENOMEM */
void throttle_free(struct throttle *t);
/* Other settings; what was counted under another window is forgotten. */
void throttle_set(struct throttle *t, uint64_t failures, double window);
/* A login failed. now: seconds. True: it is the one with which the delays begin. */
bool throttle_failed(struct throttle *t, struct source from, double now);
/* Are this source's logins to be delayed? */
bool throttle_delays(const struct throttle *t, struct source from, double now);
#endif

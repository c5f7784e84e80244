#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H
/* The whole process: what is in force, who is in, who asks. */
#include <sys/queue.h>
#include <time.h>
#include "common/child.h"
#include "supervisor/auth/bcrypt.h"
#include "supervisor/auth/counts.h"
#include "supervisor/auth/expiry.h"
#include "supervisor/auth/leases.h"
#include "supervisor/auth/login.h"
#include "supervisor/auth/throttle.h"
#include "supervisor/auth/turns.h"

#define WORKERS		64u	/* messages.def: slots */

struct attempt;
struct worker;
TAILQ_HEAD(attempt_list, attempt);

struct auth {
	struct child		 child;
	struct users		*users, *next;	/* next: prepared */
	struct bcrypt		*bcrypt;
	struct throttle		 throttle;
	uint64_t		 throttled;	/* logins that waited for a turn */
	struct counts		 counts;
	struct leases		*leases;
	struct map		 sessions;	/* by worker and cid */
	struct expiry		 expiry;
	ev_periodic		 expires;
	struct turns		 turns;		/* logins whose source failed too often */
	struct attempt_list	 early;		/* not all workers had said who is in; by when they are due */
	ev_timer		 delay, patience;
	uint64_t		 grants, nonces;	/* numbers of the next */
	struct worker		*workers[WORKERS];
	unsigned		 coming;	/* channels of others that the supervisor sends right now */
	double			 early_until;	/* then who has not said who is in is not waited for */
};

/* Seconds, monotonic. */
static inline double
auth_now(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Let this timer come at a time of auth_now(); 0: never. */
static inline void
auth_timer(struct auth *a, ev_timer *timer, double when)
{
	const double	left = when - auth_now();

	ev_timer_stop(a->child.loop, timer);
	if (when == 0)
		return;
	ev_now_update(a->child.loop);
	ev_timer_set(timer, left > 0 ? left : 0, 0);
	ev_timer_start(a->child.loop, timer);
}
#endif

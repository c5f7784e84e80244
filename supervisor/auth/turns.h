#ifndef AUTH_TURNS_H
#define AUTH_TURNS_H
/*
 * Logins of sources that failed too often: those of one source stand in a
 * line, and only the first of a line has a time. So however many ask at once,
 * one of a source is looked at each time. Who leaves the line gives its time
 * to the one behind it, who gets no earlier than the one that left would have.
 *
 * Lines are in the order of their times: the times that callers give never
 * decrease, but by turns_hasten(), which keeps the order.
 */
#include <sys/queue.h>
#include "supervisor/auth/source.h"

struct line;
TAILQ_HEAD(line_list, line);

/* Embedded in what waits. */
struct turn {
	TAILQ_ENTRY(turn)	 entry;
	struct line		*line;
};

struct turns {
	struct map		 all;		/* lines, by source */
	struct line_list	 lines;		/* by their times; none is empty */
};

int turns_init(struct turns *t);		/* 0 or -ENOMEM */
void turns_free(struct turns *t);		/* nobody waits any more */
/* Stand behind the others of this source; the first of them at `when`. 0 or -ENOMEM. */
int turns_add(struct turns *t, struct turn *it, struct source from, double when);
/* Does anybody of this source wait? */
bool turns_wait(const struct turns *t, struct source from);
/* Who is next of all, and when. NULL: nobody. */
struct turn *turns_first(const struct turns *t, double *when);
/* The first of its line was looked at: the one behind it at `when`. */
void turns_done(struct turns *t, struct turn *it, double when);
/* It goes, wherever it stands. */
void turns_cancel(struct turns *t, struct turn *it);
/* Nobody who is first waits longer than until `latest`. */
void turns_hasten(struct turns *t, double latest);
#endif

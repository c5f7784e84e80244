#include "worker/deadline.h"
#include "worker/worker.h"

static double *
deadline_of(const struct deadlines *d, struct client *c)
{
	return d->writing ? &c->write_until : &c->until;
}

/* The timer runs when the first in line is done; it may run too early, never too late. */
static void
deadlines_arm(struct deadlines *d)
{
	struct client	*c = TAILQ_FIRST(&d->waiting);
	double		 after;

	if (c == NULL || ev_is_active(&d->timer))
		return;
	after = *deadline_of(d, c) - ev_now(d->loop);
	ev_timer_set(&d->timer, after > 0 ? after : 0, 0);
	ev_timer_start(d->loop, &d->timer);
}

static void
deadlines_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct deadlines	*d = timer->data;
	struct client		*c;

	while ((c = TAILQ_FIRST(&d->waiting)) != NULL && *deadline_of(d, c) <= ev_now(loop)) {
		deadline_end(d, c);
		d->over(c);
	}
	deadlines_arm(d);
}

void
deadlines_init(struct deadlines *d, struct ev_loop *loop, double seconds, bool writing,
    void (*over)(struct client *c))
{
	TAILQ_INIT(&d->waiting);
	ev_timer_init(&d->timer, deadlines_over, 0, 0);
	d->timer.data = d;
	d->loop = loop;
	d->seconds = seconds;
	d->writing = writing;
	d->over = over;
}

void
deadline_begin(struct deadlines *d, struct client *c)
{
	*deadline_of(d, c) = ev_now(d->loop) + d->seconds;
	if (d->writing) {
		if ((c->flags & CLIENT_WRITES) != 0)
			TAILQ_REMOVE(&d->waiting, c, writing);
		TAILQ_INSERT_TAIL(&d->waiting, c, writing);
		c->flags |= CLIENT_WRITES;
	} else
		client_move(c, &d->waiting);
	deadlines_arm(d);
}

void
deadline_end(struct deadlines *d, struct client *c)
{
	if (d->writing) {
		if ((c->flags & CLIENT_WRITES) != 0)
			TAILQ_REMOVE(&d->waiting, c, writing);
		c->flags &= ~(uint32_t)CLIENT_WRITES;
	} else if (c->list == &d->waiting)
		client_move(c, NULL);
	if (TAILQ_EMPTY(&d->waiting))
		ev_timer_stop(d->loop, &d->timer);
}

void
deadlines_change(struct deadlines *d, double seconds)
{
	double		 more = seconds - d->seconds;
	struct client	*c;

	d->seconds = seconds;
	if (d->writing)
		TAILQ_FOREACH(c, &d->waiting, writing)
			*deadline_of(d, c) += more;
	else
		TAILQ_FOREACH(c, &d->waiting, entry)
			*deadline_of(d, c) += more;
	ev_timer_stop(d->loop, &d->timer);
	deadlines_arm(d);
}

void
deadlines_stop(struct deadlines *d)
{
	ev_timer_stop(d->loop, &d->timer);
}

#include <stdlib.h>
#include <string.h>
#include "supervisor/supervisor.h"
#include "supervisor/tickets.h"

void
tickets_tell(struct process *worker)
{
	struct tickets *t = &worker->supervisor->tickets;
	struct msg m = { .type = MSG_ticket_keys, .u.ticket_keys.keys = {
	    (const char *)t->keys, t->count * TICKET_KEY } };

	if (t->count > 0)
		process_send(worker, &m, NULL);
}

/* Those whose tickets have all run out: they are the oldest. */
static void
tickets_expire(struct tickets *t, ev_tstamp now)
{
	size_t kept = t->count;

	while (kept > 0 && (t->ends[kept - 1] <= now || kept == TICKETS_MOST))
		kept--;
	explicit_bzero(t->keys[kept], (t->count - kept) * TICKET_KEY);
	t->count = kept;
}

/* A new one comes first. */
static void
tickets_rotate(struct supervisor *s)
{
	struct tickets *t = &s->tickets;
	struct process *p;

	tickets_expire(t, ev_now(s->loop));
	memmove(t->keys[1], t->keys[0], t->count * TICKET_KEY);
	memmove(&t->ends[1], &t->ends[0], t->count * sizeof(t->ends[0]));
	arc4random_buf(t->keys[0], TICKET_KEY);
	t->ends[0] = ev_now(s->loop) + 2 * t->lifetime;	/* it seals for one lifetime */
	t->count++;
	PROCESSES_EACH(&s->processes, p)
		if (p->role == ROLE_WORKER && p->state == PROCESS_READY)
			tickets_tell(p);
}

static void
tickets_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	tickets_rotate(w->data);
}

void
tickets_update(struct supervisor *s, double lifetime)
{
	struct tickets *t = &s->tickets;

	if (lifetime == t->lifetime)
		return;
	ev_timer_stop(s->loop, &t->rotate);
	t->lifetime = lifetime;
	if (lifetime == 0) {
		explicit_bzero(t->keys, sizeof(t->keys));
		t->count = 0;
		return;
	}
	tickets_rotate(s);
	ev_timer_set(&t->rotate, lifetime, lifetime);
	ev_timer_start(s->loop, &t->rotate);
}

void
tickets_init(struct supervisor *s)
{
	ev_init(&s->tickets.rotate, tickets_due);
	s->tickets.rotate.data = s;
}

void
tickets_free(struct supervisor *s)
{
	tickets_update(s, 0);
}

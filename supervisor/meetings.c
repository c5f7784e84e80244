#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/meetings.h"
#include "supervisor/supervisor.h"

/* Ask again after the pause, whatever the reason. */
static void
meeting_later(struct process *asks)
{
	struct supervisor *s = asks->supervisor;

	asks->apart = true;
	if (ev_is_active(&s->meeting))
		return;
	ev_timer_set(&s->meeting, MEETINGS_PAUSE, 0);
	ev_timer_start(s->loop, &s->meeting);
}

/*
 * A pair for the two. Who asks gets its end first: it is the one that says
 * when a channel breaks, and its old one does so when the other gets a new one.
 */
static void
meeting_hold(struct process *asks, const struct msg *its, struct process *other,
    const struct msg *others)
{
	int fds[2], rc;

	asks->apart = false;
	rc = channel_pair(fds);
	if (rc != 0) {
		log_limited(LOG_ERROR, "channels", "no channel between %s and %s: %s",
		    role_name(asks->role), role_name(other->role), strerror(-rc));
		meeting_later(asks);
		return;
	}
	process_send(asks, its, &fds[1]);
	process_send(other, others, &fds[0]);
	close(fds[0]);
	close(fds[1]);
}

static void
monitor_meets_system(struct supervisor *s)
{
	struct process *monitor = process_serving(&s->processes, ROLE_MONITOR);
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);
	struct msg to_monitor = { .type = MSG_system_channel };
	struct msg to_system = { .type = MSG_monitor_channel };

	/* the one that is missing will be new */
	if (monitor != NULL && system != NULL)
		meeting_hold(monitor, &to_monitor, system, &to_system);
}

/* others: how many workers meet it right after this one. */
static void
worker_meets_auth(struct process *worker, unsigned others)
{
	struct process *auth = process_serving(&worker->supervisor->processes, ROLE_AUTH);
	struct msg to_worker = { .type = MSG_auth_channel };
	struct msg to_auth = { .type = MSG_worker_channel, .u.worker_channel = {
	    .slot = worker->slot, .incarnation = worker->incarnation, .others = others } };

	if (auth != NULL && worker->state == PROCESS_READY)
		meeting_hold(worker, &to_worker, auth, &to_auth);
}

/* It has to know whom all of them have before it can say whether there is room for another. */
static void
workers_meet_auth(struct supervisor *s)
{
	struct process *p;
	unsigned others = 0;

	PROCESSES_EACH(&s->processes, p)
		others += p->role == ROLE_WORKER && p->state == PROCESS_READY;
	PROCESSES_EACH(&s->processes, p)
		if (p->role == ROLE_WORKER && p->state == PROCESS_READY && others > 0)
			worker_meets_auth(p, --others);
}

void
meetings_hold(struct process *p)
{
	struct supervisor *s = p->supervisor;

	if (p->role == ROLE_MONITOR || p->role == ROLE_SYSTEM)
		monitor_meets_system(s);
	else if (p->role == ROLE_WORKER)
		worker_meets_auth(p, 0);
	else if (p->role == ROLE_AUTH)
		workers_meet_auth(s);
}

void
meetings_repeat(struct process *p)
{
	if (p->state == PROCESS_READY)
		meeting_later(p);
}

static void
meetings_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;
	struct process *p;

	ev_timer_stop(loop, w);
	PROCESSES_EACH(&s->processes, p) {
		if (!p->apart)
			continue;
		p->apart = false;
		meetings_hold(p);
	}
}

void
meetings_init(struct supervisor *s)
{
	ev_init(&s->meeting, meetings_due);
	s->meeting.data = s;
}

void
meetings_stop(struct supervisor *s)
{
	ev_timer_stop(s->loop, &s->meeting);
}

#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/meetings.h"
#include "supervisor/supervisor.h"

/* Who has a channel to whom. */
static const struct meeting { enum role asks, answers; } meetings[] = {
	{ ROLE_MONITOR, ROLE_SYSTEM },
	{ ROLE_WORKER, ROLE_AUTH },
	{ ROLE_WORKER, ROLE_SIGNER },
};

#define MEETINGS_EACH(m)						\
	for ((m) = meetings; (m) < meetings + sizeof(meetings) / sizeof(meetings[0]); (m)++)

/* Ask again after the pause, whatever the reason. */
static void
meeting_later(struct process *asks, enum role answers)
{
	struct supervisor *s = asks->supervisor;

	asks->apart |= ROLE_BIT(answers);
	if (ev_is_active(&s->meeting))
		return;
	ev_timer_set(&s->meeting, MEETINGS_PAUSE, 0);
	ev_timer_start(s->loop, &s->meeting);
}

/* What the two are told. others: how many more meet the one that answers right after this one. */
static void
meeting_tell(struct process *asks, struct process *answers, unsigned others, struct msg *to_asks,
    struct msg *to_answers)
{
	switch (answers->role) {
	case ROLE_SYSTEM:
		*to_asks = (struct msg){ .type = MSG_system_channel };
		*to_answers = (struct msg){ .type = MSG_monitor_channel };
		break;
	case ROLE_AUTH:
		*to_asks = (struct msg){ .type = MSG_auth_channel };
		*to_answers = (struct msg){ .type = MSG_worker_channel, .u.worker_channel = {
		    .slot = asks->slot, .incarnation = asks->incarnation, .others = others } };
		break;
	default:
		*to_asks = (struct msg){ .type = MSG_signer_channel };
		*to_answers = (struct msg){ .type = MSG_asker_channel, .u.asker_channel = {
		    .role = asks->role, .slot = asks->slot, .incarnation = asks->incarnation } };
		break;
	}
}

/*
 * A pair for the two. Who asks gets its end first: it is the one that says
 * when a channel breaks, and its old one does so when the other gets a new one.
 */
static void
meeting_hold(struct process *asks, struct process *answers, unsigned others)
{
	struct msg to_asks, to_answers;
	int fds[2], rc;

	asks->apart &= ~ROLE_BIT(answers->role);
	rc = channel_pair(fds);
	if (rc != 0) {
		log_limited(LOG_ERROR, "channels", "no channel between %s and %s: %s",
		    role_name(asks->role), role_name(answers->role), strerror(-rc));
		meeting_later(asks, answers->role);
		return;
	}
	meeting_tell(asks, answers, others, &to_asks, &to_answers);
	process_send(asks, &to_asks, &fds[1]);
	process_send(answers, &to_answers, &fds[0]);
	close(fds[0]);
	close(fds[1]);
}

/* If the one that answers is missing, it will be new. */
static void
meeting_ask(struct process *asks, enum role answers)
{
	struct process *other = process_serving(&asks->supervisor->processes, answers);

	if (other != NULL && asks->state == PROCESS_READY)
		meeting_hold(asks, other, 0);
}

/*
 * All of a role meet the one that they ask. Auth has to know whom all of them
 * have before it can say whether there is room for another.
 */
static void
meeting_ask_all(struct process *answers, enum role asks)
{
	struct processes *all = &answers->supervisor->processes;
	struct process *p;
	unsigned others = 0;

	PROCESSES_EACH(all, p)
		others += p->role == asks && p->state == PROCESS_READY;
	PROCESSES_EACH(all, p)
		if (p->role == asks && p->state == PROCESS_READY && others > 0)
			meeting_hold(p, answers, --others);
}

void
meetings_hold(struct process *p)
{
	const struct meeting *m;

	MEETINGS_EACH(m) {
		if (m->asks == p->role)
			meeting_ask(p, m->answers);
		else if (m->answers == p->role && p->state == PROCESS_READY)
			meeting_ask_all(p, m->asks);
	}
}

void
meetings_repeat(struct process *p, enum role answers)
{
	if (p->state == PROCESS_READY)
		meeting_later(p, answers);
}

static void
meetings_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;
	const struct meeting *m;
	struct process *p;
	uint64_t apart;

	ev_timer_stop(loop, w);
	PROCESSES_EACH(&s->processes, p) {
		apart = p->apart;
		p->apart = 0;
		MEETINGS_EACH(m)
			if (m->asks == p->role && (apart & ROLE_BIT(m->answers)) != 0)
				meeting_ask(p, m->answers);
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

#include <errno.h>
#include "admin/system/system.h"
#include "common/event_subjects.h"
#include "common/log.h"

#define DRAIN_BUDGET	(256u << 10)	/* bytes taken from each lane in one turn */

/* Our subscriptions, by what stands for a connection. */
enum { FOR_REQUESTS, FOR_EVENTS, FOR_PAST };

/* ---- what the broker asks of us */

static enum delivery
deliver(void *program, uint32_t connection, struct subscription *sub, const struct message *m)
{
	struct system	*s = program;

	if (connection == FOR_REQUESTS)
		inbox_add(s, m);
	else
		events_receive(s, m->body, connection == FOR_PAST);
	return DELIVERED;
}

static void
no_responders(void *program, uint32_t connection, uint64_t cid, struct bytes subject, struct bytes reply)
{
	/* nothing that we say asks for an answer */
}

static void
pace(void *program, uint32_t connection, uint64_t cid)
{
	/* what we say is little, and not worth waiting for */
}

static void
unblocked(void *program)
{
	((struct system *)program)->bus.unblocked = true;
}

static void
removed(void *program, uint32_t connection, uint32_t subscription)
{
	/* we know what we remove */
}

static void
moved(void *program, uint32_t connection, uint32_t from, uint32_t to)
{
	struct bus	*bus = &((struct system *)program)->bus;

	if (bus->now == from)
		bus->now = to;
}

static void
complain(void *program, unsigned peer, uint64_t incarnation, bool hung, const char *what)
{
	participant_complain(&((struct system *)program)->bus.part, peer, incarnation, hung, what);
}

/* ---- joining */

/* Its number; 0: it could not be made. */
static uint32_t
subscribe(struct system *s, uint32_t account, uint32_t what, struct bytes subject)
{
	uint32_t	slot;
	int		rc;

	rc = broker_subscribe(s->bus.part.broker, account, what, subject, BYTES(""), &slot);
	if (rc == 0)
		return slot;
	log_error("no subscription to %.*s: %s", (int)subject.len, subject.data, strerror(-rc));
	return 0;
}

void
bus_subscribe_requests(struct system *s, struct bytes subject)
{
	(void)subscribe(s, ACCOUNT_SYSTEM, FOR_REQUESTS, subject);
}

void
bus_hear_at_once(struct system *s, bool on)
{
	struct bus	*bus = &s->bus;

	if (on && bus->now == 0)
		bus->now = subscribe(s, ACCOUNT_SERVER, FOR_EVENTS, BYTES(EVENTS_NOW));
	else if (!on && bus->now != 0) {
		broker_unsubscribe(bus->part.broker, bus->now);
		bus->now = 0;
	}
}

static void
placed(void *program)
{
	struct system	*s = program;

	if (s->reporter.broker != NULL)
		return;			/* moved: everything is there already */
	s->reporter.broker = s->bus.part.broker;
	if (!bus_speaks(s))
		return;
	inbox_subscribe(s);
	(void)subscribe(s, ACCOUNT_SERVER, FOR_PAST, BYTES(EVENTS_PAST));
	(void)subscribe(s, ACCOUNT_SERVER, FOR_EVENTS, BYTES(EVENTS_SUBJECT));
	events_look(s);
}

static const struct broker_calls calls = {
	.deliver = deliver,
	.no_responders = no_responders,
	.pace = pace,
	.unblocked = unblocked,
	.removed = removed,
	.complain = complain,
};

static const struct participant_hooks hooks = { .calls = &calls, .placed = placed, .moved = moved };

/* ---- the loop */

static void
turn_begin(struct ev_loop *loop, ev_check *w, int events)
{
	struct system	*s = w->data;
	struct broker	*b = s->bus.part.broker;

	if (b == NULL)
		return;
	broker_wake(b);
	s->bus.more = broker_drain(b, DRAIN_BUDGET);
}

static void
again_set(struct system *s)
{
	double	seconds = broker_timeout(s->bus.part.broker);

	ev_timer_stop(s->child.loop, &s->bus.again);
	if (seconds > 0) {
		ev_timer_set(&s->bus.again, seconds, 0);
		ev_timer_start(s->child.loop, &s->bus.again);
	}
}

static void
busy_set(struct system *s, bool busy)
{
	if (busy && !ev_is_active(&s->bus.busy))
		ev_idle_start(s->child.loop, &s->bus.busy);
	else if (!busy && ev_is_active(&s->bus.busy))
		ev_idle_stop(s->child.loop, &s->bus.busy);
}

static void
turn_end(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct system	*s = w->data;
	struct broker	*b = s->bus.part.broker;
	bool		 busy;

	if (b == NULL)
		return;
	broker_refresh(b);
	busy = inbox_work(s);
	s->bus.unblocked = false;
	events_work(s);
	participant_compact(&s->bus.part);
	broker_flush(b);
	again_set(s);
	busy_set(s, busy || s->bus.more || s->bus.unblocked || !broker_sleep(b));
}

static void
turn_is_enough(struct ev_loop *loop, ev_timer *t, int events)
{
	/* the turn itself is what was waited for */
}

static void
keep_turning(struct ev_loop *loop, ev_idle *i, int events)
{
}

int
bus_init(struct system *s)
{
	struct bus	*bus = &s->bus;
	int		 rc;

	rc = participant_init(&bus->part, &s->child, &hooks, s, (size_t)s->child.settings.max_payload);
	if (rc != 0)
		return rc;
	ev_prepare_init(&bus->turn_end, turn_end);
	ev_check_init(&bus->turn_begin, turn_begin);
	ev_set_priority(&bus->turn_begin, EV_MAXPRI - 1);	/* behind the supervisor */
	ev_idle_init(&bus->busy, keep_turning);
	ev_timer_init(&bus->again, turn_is_enough, 0, 0);
	bus->turn_end.data = bus->turn_begin.data = s;
	ev_prepare_start(s->child.loop, &bus->turn_end);
	ev_check_start(s->child.loop, &bus->turn_begin);
	return 0;
}

void
bus_free(struct system *s)
{
	ev_prepare_stop(s->child.loop, &s->bus.turn_end);
	ev_check_stop(s->child.loop, &s->bus.turn_begin);
	ev_idle_stop(s->child.loop, &s->bus.busy);
	ev_timer_stop(s->child.loop, &s->bus.again);
	s->reporter.broker = NULL;
	participant_free(&s->bus.part);
}

/* ---- speaking */

bool
bus_speaks(const struct system *s)
{
	return s->bus.part.broker != NULL && s->child.settings.system_account[0] != '\0';
}

bool
bus_wanted(struct system *s, uint32_t account, const char *subject)
{
	return bus_speaks(s) && broker_wanted(s->bus.part.broker, account, bytes_of(subject));
}

int
bus_publish(struct system *s, uint32_t account, const char *subject, struct bytes body)
{
	struct publish_hint	hint = { .entry = NULL };
	const struct message	m = { .account = account, .subject = bytes_of(subject), .reply = BYTES(""),
				    .size_text = BYTES(""), .body = body, .publisher = NO_CONNECTION };

	if (!bus_speaks(s))
		return 0;
	return broker_publish(s->bus.part.broker, &m, 0, &hint) == PUBLISH_BLOCKED ? -EAGAIN : 0;
}

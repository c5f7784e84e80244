#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "worker/client.h"
#include "worker/deadline.h"
#include "worker/limits.h"
#include "worker/secure.h"
#include "worker/sids.h"
#include "worker/slow.h"
#include "worker/tenant.h"
#include "worker/trace.h"
#include "worker/worker.h"

/* From how many pending bytes on it may be slow, or has to be written out early. */
static uint64_t
slow_from(const struct client *c)
{
	const struct worker	*w = c->worker;

	if ((c->flags & (CLIENT_WRITES | CLIENT_HEAVY)) != 0 || w->slow_limit < WORKER_EARLY)
		return w->slow_limit;
	return WORKER_EARLY;
}

void
slow_mark(struct client *c)
{
	uint64_t	 from = slow_from(c), counted = limits_mark(c);

	c->mark = c->state != CLIENT_OPEN ? 0 : from < counted ? from : counted;
}

static bool
slow_lives(const struct client *c)
{
	return ev_now(c->worker->loop) - c->drained < SLOW_ALIVE;
}

/*
 * A full socket is reported writable only when a good part of it is free,
 * which may be megabytes; it takes something long before.
 */
static bool
slow_worth_a_try(const struct client *c)
{
	return c->out.pending >= c->worker->slow_limit &&
	    ev_now(c->worker->loop) - c->tried >= SLOW_TRY;
}

enum delivery
slow_look(struct client *c, struct subscription *sub)
{
	struct worker	*w = c->worker;

	limits_pending(c);
	if (c->out.pending < slow_from(c)) {
		slow_mark(c);
		return DELIVERED;
	}
	if ((c->flags & CLIENT_HEAVY) == 0 && ((c->flags & CLIENT_WRITES) == 0 || slow_worth_a_try(c))) {
		c->flags |= CLIENT_HEAVY;
		c->next_heavy = w->heavy;
		w->heavy = c;
		slow_mark(c);
	}
	if (c->out.pending < w->slow_limit)
		return DELIVERED;
	c->flags |= CLIENT_SLOW;
	if (w->settings->no_fast_producer_stall)
		return DELIVERY_REFUSED;
	return slow_lives(c) ? DELIVERED_SLOWLY : DELIVERED;
}

static void
slow_record(struct client *c, const struct subscription *sub, enum close_reason reason,
    const char *subject, uint64_t lost)
{
	struct worker			*w = c->worker;
	uint64_t			 n = atomic_load_explicit(&w->head->slow_next, memory_order_relaxed);
	struct slow_record		*s = &w->head->slow[n % TABLES_SLOW];
	const struct connection_record	*r = client_record(c);
	uint32_t			 sequence;

	sequence = atomic_load_explicit(&s->sequence, memory_order_relaxed);
	atomic_store_explicit(&s->sequence, sequence | 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	s->reason = reason == CLOSE_SLOW_DEADLINE;
	s->cid = c->cid;
	s->when = worker_microseconds(w);
	s->pending = c->out.pending;
	s->lost = lost;
	s->account = c->account;
	snprintf(s->address, sizeof(s->address), "%s:%u", r->host, r->port);
	snprintf(s->name, sizeof(s->name), "%s", r->name);
	snprintf(s->subject, sizeof(s->subject), "%s", subject);
	atomic_store_explicit(&s->sequence, (sequence | 1) + 1, memory_order_release);
	atomic_store_explicit(&w->head->slow_next, n + 1, memory_order_relaxed);
}

/* Seconds as the 2.x server prints them: 10s, 1.5s, 250ms. */
static const char *
slow_seconds(char *text, size_t size, double seconds)
{
	if (seconds >= 1)
		snprintf(text, size, "%.9gs", seconds);
	else
		snprintf(text, size, "%.9gms", seconds * 1000);
	return text;
}

/* What a slow consumer did. limit: of its account's or user's; NULL: the server's own. */
static void
slow_what(char *what, size_t size, const struct client *c, enum close_reason reason, const char *limit)
{
	const struct settings	*s = c->worker->settings;
	char			 seconds[32];

	if (limit != NULL)
		snprintf(what, size, "%s exceeded", limit);
	else if (reason == CLOSE_SLOW_DEADLINE)
		snprintf(what, size, "WriteDeadline of %s exceeded with %u chunks of %llu total bytes.",
		    slow_seconds(seconds, sizeof(seconds), s->write_deadline),
		    output_pieces(&c->out), (unsigned long long)c->out.pending);
	else
		snprintf(what, size, "MaxPending of %llu Exceeded", (unsigned long long)s->max_pending);
}

/* The log, the record and the counters of a slow consumer. lost: messages that it will not get. */
static void
slow_tell(struct client *c, const struct subscription *sub, enum close_reason reason,
    const char *limit, const char *state, uint64_t lost)
{
	struct worker	*w = c->worker;
	uint32_t	 slot = sub == NULL ? c->first : (uint32_t)(sub - broker_subscription(w->broker, 0));
	char		 subject[128] = "", prefix[CLIENT_PREFIX], what[LIMIT_TEXT + 16];
	struct bytes	 queue, sid = { "", 0 };
	size_t		 len;

	if (slot != 0) {
		len = broker_subject(w->broker, slot, subject, sizeof(subject) - 1, &queue);
		subject[len < sizeof(subject) - 1 ? len : sizeof(subject) - 1] = '\0';
		sid = sid_of(w, broker_subscription(w->broker, slot));
	}
	slow_what(what, sizeof(what), c, reason, limit);
	log_limited(LOG_INFO, "slow consumers",
	    "%sSlow Consumer %s: %s (account %s, subscription to \"%s\" sid %.*s, %llu bytes pending, %llu messages lost)",
	    client_prefix(c, prefix), state, what, account_name(w, c->account), subject,
	    (int)(sid.len < 64 ? sid.len : 64), sid.data,
	    (unsigned long long)c->out.pending, (unsigned long long)lost);
	slow_record(c, sub, reason, subject, lost);
	counter_add(&w->head->slow_consumers, 1);
	counter_add(reason == CLOSE_SLOW_DEADLINE ? &w->head->slow_deadline : &w->head->slow_pending, 1);
}

void
slow_cut(struct client *c, const struct subscription *sub, enum close_reason reason)
{
	if (c->state != CLIENT_OPEN)
		return;
	slow_tell(c, sub, reason, NULL, "Detected", c->out.messages - c->out.sent);
	client_close(c, reason);
}

void
slow_cut_for(struct client *c, const char *limit)
{
	slow_tell(c, NULL, CLOSE_SLOW_PENDING, limit, "Detected", c->out.messages - c->out.sent);
	client_close(c, CLOSE_SLOW_PENDING);
}

void
slow_wrote(struct client *c, size_t sent)
{
	if ((c->flags & CLIENT_WRITES) != 0 && sent < c->write_left) {
		c->write_left -= sent;
		if (sent > 0)
			c->flags |= CLIENT_TOOK;
		return;
	}
	c->write_left = c->out.pending + secure_unsent(c);
	c->flags &= ~(uint32_t)CLIENT_TOOK;
	deadline_begin(&c->worker->writing, c);
}

void
slow_recovered(struct client *c)
{
	char	prefix[CLIENT_PREFIX];

	if ((c->flags & CLIENT_LATE) == 0)
		return;
	c->flags &= ~(uint32_t)CLIENT_LATE;
	log_limited(LOG_INFO, "slow consumers", "%sSlow Consumer Recovered", client_prefix(c, prefix));
}

void
slow_write_over(struct client *c)
{
	if (c->state != CLIENT_OPEN)
		return;
	if ((c->flags & CLIENT_TOOK) == 0 || strcmp(c->worker->settings->write_timeout, "retry") != 0) {
		slow_cut(c, NULL, CLOSE_SLOW_DEADLINE);
		return;
	}
	slow_tell(c, NULL, CLOSE_SLOW_DEADLINE, NULL, (c->flags & CLIENT_LATE) != 0 ? "State" : "Detected", 0);
	c->flags |= CLIENT_LATE;
	slow_wrote(c, 0);	/* it is off the list: anew */
}

/*
 * A subscriber of our own is known to be slow while the message is delivered;
 * one at another worker tells some time later. A publisher that is told from
 * afar is therefore let go bit by bit: after each allowance it waits for as
 * long as the answer to it may take.
 */
void
worker_pace(void *program, uint32_t connection, uint64_t cid)
{
	struct worker	*w = program;
	struct client	*c = connection < w->top ? w->clients[connection] : NULL;

	if (c == NULL || c->cid != cid || c->state != CLIENT_OPEN)
		return;
	if (w->reading != c)
		c->settle_until = ev_now(w->loop) + SLOW_SETTLED;
	if ((c->flags & CLIENT_PACE) != 0)
		return;
	c->flags |= CLIENT_PACE;
	counter_add(&w->head->stalled, 1);
	/* One that waits for a lane would go on as soon as there is room. */
	if (c->stop == CLIENT_BLOCKED || (c->stop == CLIENT_READS && c->allowance == 0))
		client_stop(c, CLIENT_PACED);
}

void
slow_allowance(struct client *c, size_t used)
{
	if (used < c->allowance) {
		c->allowance -= (uint32_t)used;
		return;
	}
	c->allowance = 0;
	if (c->state != CLIENT_OPEN || c->stop != CLIENT_READS)
		return;
	if ((c->flags & CLIENT_PACE) != 0)
		client_stop(c, CLIENT_PACED);
	else if (ev_now(c->worker->loop) < c->settle_until)
		client_stop(c, CLIENT_SETTLES);
}

void
slow_pace_over(struct client *c)
{
	c->flags &= ~(uint32_t)CLIENT_PACE;
	c->allowance = SLOW_ALLOWANCE;
	client_resume(c);
}

void
slow_settle_over(struct client *c)
{
	if ((c->flags & CLIENT_PACE) != 0) {
		client_stop(c, CLIENT_PACED);
		return;
	}
	c->allowance = SLOW_ALLOWANCE;
	client_resume(c);
}

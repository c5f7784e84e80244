#include <stdlib.h>
#include "common/log.h"
#include "worker/ping.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define FIRST_PING	2.0	/* seconds after CONNECT, at most; and up to a fifth more */
#define RTT_AGE		3600.0	/* seconds after which the round trip is measured anew */

static void
ping_set(struct client *c, double after)
{
	ev_timer_stop(c->worker->loop, &c->ping);
	ev_timer_set(&c->ping, after, 0);
	ev_timer_start(c->worker->loop, &c->ping);
}

static void
ping_due(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct client		*c = timer->data;
	const struct settings	*s = c->worker->settings;
	ev_tstamp		 now = ev_now(loop);

	client_debug(c, "Client Ping Timer");
	if (c->stop == CLIENT_ASKS) {	/* +OK or the error to its CONNECT comes first */
		ping_soon(c);
		return;
	}
	if (now - c->heard < s->ping_interval && now - c->pinged <= RTT_AGE)
		client_debug(c, "Delaying PING due to remote client data or ping %.0fs ago", now - c->heard);
	else if (c->stop == CLIENT_RATED)	/* its PONG is not read for now, but it may be gone */
		client_say(c, BYTES("PING\r\n"));
	else if (c->pings >= s->ping_max) {
		client_debug(c, "Stale Client Connection - Closing");
		client_say(c, BYTES("-ERR 'Stale Connection'\r\n"));
		counter_add(&c->worker->head->stale_connections, 1);
		client_close(c, CLOSE_STALE);
		return;
	} else {
		c->pings++;
		c->pinged = ev_time();
		client_say(c, BYTES("PING\r\n"));
	}
	if (c->state == CLIENT_OPEN)
		ping_set(c, s->ping_interval);
}

void
ping_init(struct client *c)
{
	ev_timer_init(&c->ping, ping_due, 0, 0);
	c->ping.data = c;
}

void
ping_begin(struct client *c)
{
	ping_set(c, c->worker->settings->ping_interval);
}

/* 0..1, different for each connection; nobody gains by guessing it, so no system call for it. */
static double
jitter(const struct client *c)
{
	return (double)((c->cid * UINT64_C(0x9e3779b97f4a7c15)) >> 40) / (1 << 24);
}

void
ping_soon(struct client *c)
{
	double	 after = c->worker->settings->ping_interval;

	if (after > FIRST_PING)
		after = FIRST_PING;
	ping_set(c, after + after / 5 * jitter(c));
}

/* Not all at the same moment. */
void
ping_retime(struct client *c)
{
	double	 most = c->worker->settings->ping_interval;

	if (ev_is_active(&c->ping) && ev_timer_remaining(c->worker->loop, &c->ping) > most)
		ping_set(c, most - most / 5 * jitter(c));
}

void
ping_connected(struct client *c)
{
	struct connection_record	*r = client_record(c);
	uint64_t			 start = atomic_load_explicit(&r->start, memory_order_relaxed);
	uint64_t			 now = (uint64_t)(ev_time() * 1e6);

	atomic_store_explicit(&r->rtt, now > start ? now - start : 1, memory_order_relaxed);
}

void
ping_answered(struct client *c)
{
	double	 took = ev_time() - c->pinged;

	if (c->pings > 0 && took >= 0)
		atomic_store_explicit(&client_record(c)->rtt, (uint64_t)(took * 1e6) + 1,
		    memory_order_relaxed);
	c->pings = 0;
}

void
ping_end(struct client *c)
{
	ev_timer_stop(c->worker->loop, &c->ping);
}

#include <stdlib.h>
#include "common/log.h"
#include "worker/client.h"
#include "worker/lame_duck.h"
#include "worker/worker.h"

#define LONGEST_PAUSE	1.0	/* seconds between two clients, at most */
#define SHORTEST_PAUSE	0.001	/* below it several are closed at once */

struct lame_duck {
	ev_timer	 timer;
	double		 pause;		/* seconds between two clients, on average more than half of it */
	bool		 closing;	/* the grace period is over */
	bool		 drained;	/* told */
};

static uint32_t
open_clients(const struct worker *w)
{
	uint32_t	 n = 0;

	for (uint32_t i = 0; i < w->top; i++)
		n += w->clients[i] != NULL && w->clients[i]->state != CLIENT_CLOSING;
	return n;
}

/* An open client, found from a random slot on; NULL: none is left. */
static struct client *
any_client(const struct worker *w)
{
	uint32_t	 start = w->top == 0 ? 0 : arc4random_uniform(w->top);
	struct client	*c;

	for (uint32_t i = 0; i < w->top; i++) {
		c = w->clients[(start + i) % w->top];
		if (c != NULL && c->state != CLIENT_CLOSING)
			return c;
	}
	return NULL;
}

static double
random_pause(double most)
{
	double	 pause = most * (arc4random_uniform(1000) / 1000.0);

	return pause < most / 2 ? most / 2 : pause;
}

static void
next_client(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker		*w = timer->data;
	struct lame_duck	*duck = w->lame_duck;
	unsigned		 batch = 1;
	struct client		*c;

	if (!duck->closing)
		log_info("Closing existing clients");
	duck->closing = true;
	if (duck->pause < SHORTEST_PAUSE)
		batch = (unsigned)(SHORTEST_PAUSE / duck->pause) + 1;
	while (batch-- > 0 && (c = any_client(w)) != NULL)
		client_close(c, CLOSE_SHUTDOWN);
	if (any_client(w) == NULL)
		return;
	ev_timer_set(timer, random_pause(duck->pause < SHORTEST_PAUSE ? SHORTEST_PAUSE : duck->pause), 0);
	ev_timer_start(loop, timer);
}

static void
tell_clients(struct worker *w)
{
	const uint32_t	 wanted = CLIENT_INFO | CLIENT_PONGED;
	struct client	*c;

	for (uint32_t i = 0; i < w->top; i++)
		if ((c = w->clients[i]) != NULL && c->state == CLIENT_OPEN &&
		    (c->flags & wanted) == wanted)
			client_say_info(c, INFO_CHANGED);
}

void
client_tell_lame_duck(struct worker *w, uint64_t cid)
{
	struct client	*c;

	for (uint32_t i = 0; i < w->top; i++)
		if ((c = w->clients[i]) != NULL && c->cid == cid && c->state == CLIENT_OPEN &&
		    (c->flags & CLIENT_INFO) != 0)
			client_say_info(c, INFO_LAME_DUCK);
}

int
lame_duck_begin(struct worker *w)
{
	const struct settings	*s = w->settings;
	double			 rest = s->lame_duck_duration - s->lame_duck_grace_period;
	uint32_t		 n = open_clients(w);

	if (w->lame_duck != NULL || w->stopping)
		return 0;
	if ((w->lame_duck = calloc(1, sizeof(*w->lame_duck))) == NULL) {
		log_error("lame duck mode: no memory; clients are closed at once");
		worker_stop(w->child);
		return 0;
	}
	if (rest <= 0)
		rest = 1;
	w->lame_duck->pause = n == 0 || rest / n > LONGEST_PAUSE ? LONGEST_PAUSE : rest / n;
	tell_clients(w);
	ev_timer_init(&w->lame_duck->timer, next_client, s->lame_duck_grace_period, 0);
	w->lame_duck->timer.data = w;
	ev_timer_start(w->loop, &w->lame_duck->timer);
	return 0;
}

void
lame_duck_look(struct worker *w)
{
	const struct msg	 m = { .type = MSG_drained };

	if (w->lame_duck == NULL || w->lame_duck->drained || w->open > 0)
		return;
	w->lame_duck->drained = true;
	ev_timer_stop(w->loop, &w->lame_duck->timer);
	worker_send(w, &m);
}

void
lame_duck_free(struct worker *w)
{
	if (w->lame_duck == NULL)
		return;
	ev_timer_stop(w->loop, &w->lame_duck->timer);
	free(w->lame_duck);
	w->lame_duck = NULL;
}

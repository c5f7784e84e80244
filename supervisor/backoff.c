#include "supervisor/backoff.h"

static bool
backoff_too_often(const struct backoff *b, double now)
{
	/* deaths[next] is the oldest of the last BACKOFF_DEATHS */
	return b->count == BACKOFF_DEATHS && now - b->deaths[b->next] < BACKOFF_WINDOW;
}

double
backoff_delay(struct backoff *b, double now, bool was_ready)
{
	bool often = backoff_too_often(b, now);

	b->deaths[b->next] = now;
	b->next = (b->next + 1) % BACKOFF_DEATHS;
	if (b->count < BACKOFF_DEATHS)
		b->count++;
	b->failures = was_ready ? 0 : b->failures + 1;

	if (was_ready && !often) {
		b->delay = 0;
		return 0;
	}
	b->delay = b->delay == 0 ? BACKOFF_FIRST : b->delay * 2;
	if (b->delay > BACKOFF_MOST)
		b->delay = BACKOFF_MOST;
	return b->delay;
}

#include "supervisor/backoff.h"

double
backoff_delay(struct backoff *b, double now, double limit, bool was_ready)
{
	b->used -= (now - b->seen) * limit / BACKOFF_WINDOW;
	if (b->used < 0)
		b->used = 0;
	b->used++;
	b->seen = now;
	b->failures = was_ready ? 0 : b->failures + 1;

	if (was_ready && b->used <= limit) {
		b->delay = 0;
		return 0;
	}
	if (b->used > limit)
		b->used = limit;
	b->delay = b->delay == 0 ? BACKOFF_FIRST : b->delay * 2;
	if (b->delay > BACKOFF_MOST)
		b->delay = BACKOFF_MOST;
	return b->delay;
}

/*
 * What a large answer took is freed in small pieces, which malloc keeps. Some
 * time after it, when lanes and channels have taken it as well, the kernel gets them back.
 */
#include <malloc.h>
#include "admin/system/system.h"

#define LARGE		((size_t)1 << 20)	/* bytes of an answer */
#define GIVE_BACK	1.0			/* seconds after it */

static void
give_back(struct ev_loop *loop, ev_timer *t, int events)
{
	malloc_trim(0);
}

void
memory_used(struct system *s, size_t bytes)
{
	if (bytes < LARGE)
		return;
	ev_timer_stop(s->child.loop, &s->memory);
	ev_timer_set(&s->memory, GIVE_BACK, 0);
	ev_timer_start(s->child.loop, &s->memory);
}

void
memory_init(struct system *s)
{
	ev_timer_init(&s->memory, give_back, GIVE_BACK, 0);
}

void
memory_free(struct system *s)
{
	ev_timer_stop(s->child.loop, &s->memory);
}

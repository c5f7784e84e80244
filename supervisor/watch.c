#include "supervisor/supervisor.h"
#include "supervisor/watch.h"

static void
watch_after(struct supervisor *s, double seconds)
{
	ev_timer_stop(s->loop, &s->watch);
	ev_timer_set(&s->watch, seconds, 0);
	ev_timer_start(s->loop, &s->watch);
}

static void
watch_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;
	double next = s->settings.tls_file_check;

	switch (tls_files_look(&s->tls)) {
	case TLS_SAME:
		break;
	case TLS_SETTLING:
		next = next < WATCH_SETTLE ? next : WATCH_SETTLE;
		break;
	case TLS_CHANGED:
		reload_files(s);
		break;
	}
	watch_after(s, next);
}

void
watch_update(struct supervisor *s)
{
	if (s->tls.count > 0 && s->settings.tls_file_check > 0)
		watch_after(s, s->settings.tls_file_check);
	else
		watch_stop(s);
}

void
watch_init(struct supervisor *s)
{
	ev_init(&s->watch, watch_due);
	s->watch.data = s;
}

void
watch_stop(struct supervisor *s)
{
	ev_timer_stop(s->loop, &s->watch);
}

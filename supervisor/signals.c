#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "supervisor/supervisor.h"

static void
signal_stop(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct supervisor *s = w->data;

	log_info("Trapped \"%s\" signal", w->signum == SIGTERM ? "terminated" : "interrupt");
	/* as the real server: lame duck mode takes its time unless it is interrupted */
	if (s->phase == PHASE_LAME_DUCK && w->signum == SIGTERM)
		return;
	supervisor_stop(s, EXIT_SUCCESS);
}

static void
signal_hangup(struct ev_loop *loop, ev_signal *w, int revents)
{
	log_info("Trapped \"hangup\" signal");
	reload_request(w->data);
}

static void
signal_reopen(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct supervisor *s = w->data;

	log_info("Trapped \"user defined signal 1\" signal");
	if (s->phase != PHASE_CONFIGURING && s->phase != PHASE_STOPPING)
		logging_reopen(s);
}

static void
signal_lame_duck(struct ev_loop *loop, ev_signal *w, int revents)
{
	log_info("Trapped \"user defined signal 2\" signal");
	supervisor_lame_duck(w->data);
}

static void
signal_child(struct ev_loop *loop, ev_signal *w, int revents)
{
	processes_changed(w->data);
}

static const struct {
	int number;
	void (*act)(struct ev_loop *loop, ev_signal *w, int revents);
} table[SUPERVISOR_SIGNALS] = {
	{ SIGINT,  signal_stop },
	{ SIGTERM, signal_stop },
	{ SIGHUP,  signal_hangup },
	{ SIGUSR1, signal_reopen },
	{ SIGUSR2, signal_lame_duck },
	{ SIGCHLD, signal_child },
};

void
signals_start(struct supervisor *s)
{
	size_t i;

	for (i = 0; i < SUPERVISOR_SIGNALS; i++) {
		ev_signal_init(&s->signals[i], table[i].act, table[i].number);
		s->signals[i].data = s;
		ev_signal_start(s->loop, &s->signals[i]);
	}
}

void
signals_stop(struct supervisor *s)
{
	size_t i;

	for (i = 0; i < SUPERVISOR_SIGNALS; i++)
		ev_signal_stop(s->loop, &s->signals[i]);
}

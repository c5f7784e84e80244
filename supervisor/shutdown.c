#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "common/log.h"
#include "supervisor/files.h"
#include "supervisor/supervisor.h"

#define SHUTDOWN_CHILDREN	0.5	/* seconds that children have to end */
#define SHUTDOWN_LOG		0.3	/* and then the log process, to write what is left */
#define SHUTDOWN_LOG_START	0.4	/* the same if it has to come up first ... */
#define SHUTDOWN_LOG_FAILED	2.0	/* ... and if its lines say why we give up */

static bool
shutdown_waits_for(const struct supervisor *s, bool log)
{
	struct process *p;

	PROCESSES_EACH(&s->processes, p)
		if (process_lives(p) && (p->role == ROLE_LOG) == log)
			return true;
	return false;
}

/* Who has not ended by now is ended. */
static void
shutdown_impatient(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;
	bool log = !shutdown_waits_for(s, false);
	struct process *p;

	ev_timer_stop(loop, w);
	PROCESSES_EACH(&s->processes, p)
		if (process_lives(p) && (p->role == ROLE_LOG) == log) {
			if (!log)
				log_warn("%s %u (process %d) did not end within %g s: killed",
				    role_name(p->role), p->slot, (int)p->pid, SHUTDOWN_CHILDREN);
			process_kill(p, "it did not end");
		}
}

static void
shutdown_patience(struct supervisor *s, double seconds)
{
	ev_timer_stop(s->loop, &s->stopping);
	ev_timer_set(&s->stopping, seconds, 0);
	ev_timer_start(s->loop, &s->stopping);
}

static void
shutdown_last_words(struct supervisor *s)
{
	if (!s->quiet)
		log_info("Server Exiting..");
	log_to(-1);
}

/* The others are gone: the last lines, then the log. */
static void
shutdown_log(struct supervisor *s)
{
	struct process *log = process_find(&s->processes, ROLE_LOG, 0);

	if (!log->wanted)
		return;		/* asked already */
	if (log->state == PROCESS_STARTING) {
		shutdown_patience(s, s->status == EXIT_SUCCESS ? SHUTDOWN_LOG_START :
		    SHUTDOWN_LOG_FAILED);
		return;
	}
	files_remove(&s->files);
	shutdown_last_words(s);
	log_pipe_close(&s->log);
	process_shutdown(log);
	shutdown_patience(s, SHUTDOWN_LOG);
}

void
shutdown_continue(struct supervisor *s)
{
	struct process *p;

	if (s->phase == PHASE_LAME_DUCK) {
		PROCESSES_EACH(&s->processes, p)
			if (p->role == ROLE_WORKER && process_lives(p) && !p->drained)
				return;
		supervisor_stop(s, EXIT_SUCCESS);
		return;
	}
	if (s->phase != PHASE_STOPPING || shutdown_waits_for(s, false))
		return;
	if (shutdown_waits_for(s, true)) {
		shutdown_log(s);
		return;
	}
	files_remove(&s->files);
	if (s->log.end != -1) {		/* no log process took what we had to say */
		shutdown_last_words(s);
		log_pipe_print(&s->log);
	}
	ev_timer_stop(s->loop, &s->stopping);
	ev_break(s->loop, EVBREAK_ALL);
}

void
supervisor_stop(struct supervisor *s, int status)
{
	struct process *p;

	if (s->phase == PHASE_STOPPING)
		return;
	if (!s->quiet)
		log_info("Initiating Shutdown...");
	reload_stop(s);
	s->phase = PHASE_STOPPING;
	s->status = status;
	listeners_close(s, true);
	ev_init(&s->stopping, shutdown_impatient);
	s->stopping.data = s;
	shutdown_patience(s, SHUTDOWN_CHILDREN);
	PROCESSES_EACH(&s->processes, p)
		if (p->role != ROLE_LOG)
			process_shutdown(p);
	shutdown_continue(s);
}

void
supervisor_give_up(struct supervisor *s, const char *format, ...)
{
	char text[5000];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log_line(LOG_FATAL, "%s", text);
	s->quiet = true;
	supervisor_stop(s, EXIT_FAILURE);
}

/* No new clients; the workers tell theirs, who have somewhere else to go. */
void
supervisor_lame_duck(struct supervisor *s)
{
	struct msg m = { .type = MSG_lame_duck };
	struct process *p;

	if (s->phase != PHASE_SERVING)
		return;
	log_info("Entering lame duck mode, stop accepting new clients");
	reload_stop(s);
	s->phase = PHASE_LAME_DUCK;
	files_unlock(&s->files);	/* for the one that takes our place */
	atomic_store_explicit(&s->fabric.directory->lame_duck, 1, memory_order_relaxed);
	listeners_close(s, false);
	PROCESSES_EACH(&s->processes, p) {
		if (p->role != ROLE_WORKER)
			continue;
		if (p->state == PROCESS_READY) {
			p->wanted = false;
			process_send(p, &m, NULL);
		} else if (p->state != PROCESS_ENDING) {
			process_shutdown(p);	/* it has no clients yet */
		}
	}
	shutdown_continue(s);
}

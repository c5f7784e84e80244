#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "common/log.h"
#include "supervisor/files.h"
#include "supervisor/supervisor.h"

#define SHUTDOWN_CHILDREN	0.5	/* seconds that children have to end */
#define SHUTDOWN_WORDS		0.2	/* of these, at most, system has to tell the system account first */
#define SHUTDOWN_LOG		0.3	/* and then the log process, to write what is left */
#define SHUTDOWN_LOG_START	0.4	/* the same if it has to come up first ... */
#define SHUTDOWN_LOG_FAILED	2.0	/* ... and if its lines say why we give up */

static void shutdown_children(struct supervisor *s, double seconds);

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
	if (s->parting) {
		shutdown_children(s, SHUTDOWN_CHILDREN - SHUTDOWN_WORDS);
		return;
	}
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
	if (s->phase != PHASE_STOPPING || s->parting || shutdown_waits_for(s, false))
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

/* ---- what the system account is told */

/* Have system tell it; workers, who deliver that, go on meanwhile. */
static void
shutdown_tell(struct supervisor *s, bool lame_duck)
{
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);
	struct msg m = { .type = MSG_leaving, .u.leaving.lame_duck = lame_duck };

	if (system == NULL || system->stopped)
		return;
	s->words++;
	process_send(system, &m, NULL);
}

int
shutdown_left_word(struct supervisor *s)
{
	if (s->words == 0)
		return -EBADMSG;
	if (--s->words == 0 && s->parting)
		shutdown_children(s, SHUTDOWN_CHILDREN);
	return 0;
}

void
shutdown_without_words(struct supervisor *s)
{
	s->words = 0;
	if (s->parting)
		shutdown_children(s, SHUTDOWN_CHILDREN);
}

/* They cannot do what they were asked. */
static void
shutdown_end_stopped(struct supervisor *s)
{
	struct process *p;

	PROCESSES_EACH(&s->processes, p)
		if (p->role != ROLE_LOG && p->stopped)
			process_kill(p, "it is stopped");
}

void
shutdown_some_stopped(struct supervisor *s)
{
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);

	if (s->phase != PHASE_STOPPING)
		return;
	if (!s->parting)
		shutdown_end_stopped(s);
	else if (system == NULL || system->stopped)
		shutdown_without_words(s);
}

static void
shutdown_children(struct supervisor *s, double seconds)
{
	struct process *p;

	s->parting = false;
	shutdown_patience(s, seconds);
	PROCESSES_EACH(&s->processes, p)
		if (p->role != ROLE_LOG)
			process_shutdown(p);
	shutdown_end_stopped(s);
	shutdown_continue(s);
}

void
supervisor_stop(struct supervisor *s, int status)
{
	bool serving = s->phase == PHASE_SERVING || s->phase == PHASE_LAME_DUCK;

	if (s->phase == PHASE_STOPPING)
		return;
	processes_see_stopped(s);	/* they are not waited for */
	if (!s->quiet)
		log_info("Initiating Shutdown...");
	reload_stop(s);
	s->phase = PHASE_STOPPING;
	s->status = status;
	listeners_close(s, true);
	control_close(s);
	ev_init(&s->stopping, shutdown_impatient);
	s->stopping.data = s;
	if (serving)
		shutdown_tell(s, false);
	s->parting = s->words > 0;
	if (s->parting)
		shutdown_patience(s, SHUTDOWN_WORDS);
	else
		shutdown_children(s, SHUTDOWN_CHILDREN);
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
	shutdown_tell(s, true);
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

/*
 * bulkhead-log(8): writes the lines of all the others. It holds the log's
 * descriptor and a channel from each process; it opens nothing itself.
 */
#include <stdlib.h>
#include <errno.h>
#include "common/child.h"
#include "common/log.h"
#include "supervisor/log/sink.h"
#include "supervisor/log/source.h"

struct logger {
	struct child	child;
	struct sink	sink;
	struct sources	sources;
	ev_prepare	before_sleep;
};

static int
logger_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct child *child = ch->owner;
	struct logger *lg = child->program;
	bool again = lg->sink.fd != -1;

	switch (m->type) {
	case MSG_log_file:
		sink_use(&lg->sink, fds[0]);
		if (again)
			log_info("File log re-opened");
		return 0;
	case MSG_log_source:
		if (m->u.log_source.role >= ROLES)
			return -EBADMSG;
		if (source_add(&lg->sources, child->loop, &lg->sink, fds[0],
		    (enum role)m->u.log_source.role, (int)m->u.log_source.pid) != 0)
			log_error("no memory for the lines of process %d",
			    (int)m->u.log_source.pid);
		return 0;
	default:
		return -EBADMSG;
	}
}

static void
logger_before_sleep(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct logger *lg = w->data;

	sink_flush(&lg->sink);
}

/* The others have ended: what they said last is waiting. */
static void
logger_stop(struct child *child)
{
	struct logger *lg = child->program;

	sources_drain(&lg->sources);
	sink_flush(&lg->sink);
	ev_break(child->loop, EVBREAK_ALL);
}

int
main(void)
{
	struct logger lg = { .sink = { .fd = -1 } };

	LIST_INIT(&lg.sources);
	child_init(&lg.child, ROLE_LOG, logger_receive, &lg);
	lg.child.stop = logger_stop;
	if (sink_init(&lg.sink, lg.child.settings.logtime) != 0)
		fatal("no memory for the buffer of lines");
	ev_prepare_init(&lg.before_sleep, logger_before_sleep);
	lg.before_sleep.data = &lg;
	ev_prepare_start(lg.child.loop, &lg.before_sleep);
	child_ready(&lg.child, &sandbox_log);
	child_run(&lg.child);
	ev_prepare_stop(lg.child.loop, &lg.before_sleep);
	sources_free(&lg.sources);
	sink_free(&lg.sink);
	child_free(&lg.child);
	return EXIT_SUCCESS;
}

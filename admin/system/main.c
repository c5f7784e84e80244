/*
 * bulkhead-system: answers what monitor and others ask about the server, from
 * memory that it can only read. It has no sockets but its channels.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <jansson.h>
#include "admin/system/reports.h"
#include "common/child.h"
#include "common/log.h"

#define PIECE_MAX	32768	/* bytes of a report in one message */

struct server {
	struct child	 child;
	struct channel	 monitor;	/* fd -1: there is none */
	struct reporter	 reporter;
};

/* In pieces; 0 or -errno of channel_send(). */
static int
report_send(struct channel *ch, uint64_t request, const struct report *report)
{
	struct msg	m = { .type = MSG_report };
	size_t		at = 0, n;
	int		rc;

	do {
		n = report->len - at > PIECE_MAX ? PIECE_MAX : report->len - at;
		m.u.report.request = request;
		m.u.report.status = report->status;
		m.u.report.body = (struct bytes){ n == 0 ? "" : report->body + at, n };
		at += n;
		m.u.report.last = at == report->len;
		rc = channel_send(ch, &m, NULL);
	} while (rc == 0 && at < report->len);
	return rc;
}

static int
receive_monitor(struct channel *ch, const struct msg *m, const int *fds)
{
	struct server	*s = ch->owner;
	struct report	 report;
	int		 rc;

	if (m->type != MSG_report_wanted)
		return -EPERM;
	report_make(&s->reporter, m->u.report_wanted.path, &report);
	rc = report_send(ch, m->u.report_wanted.request, &report);
	free(report.body);
	return rc;	/* a monitor that asks and does not read loses its channel */
}

static void
broken_monitor(struct channel *ch, int error, const char *why)
{
	if (error != 0)
		log_warn("monitor's channel closed: %s (%s)", why == NULL ? "" : why, strerror(-error));
}

static void
monitor_open(struct server *s, int fd)
{
	channel_close(&s->monitor);
	channel_open(&s->monitor, s->child.loop, fd, ROLE_SYSTEM, ROLE_MONITOR,
	    receive_monitor, broken_monitor, s);
	s->monitor.state = MSG_READY;
}

/* A segment that cannot be mapped costs its numbers in the reports, not the reports. */
static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct server		*s = ((struct child *)ch->owner)->program;
	struct view		*view = &s->reporter.view;
	const struct msg_tables	*t = &m->u.tables;
	int			 rc = 0;

	switch (m->type) {
	case MSG_server:
		rc = view_directory(view, fds[0]);
		if (rc != 0)
			log_error("the directory cannot be mapped: %s", strerror(-rc));
		break;
	case MSG_tables:
		rc = view_tables(view, (unsigned)t->slot, t->incarnation, fds[0]);
		if (rc != 0)
			log_error("the tables of worker %u cannot be mapped: %s",
			    (unsigned)t->slot, strerror(-rc));
		break;
	case MSG_tables_gone:
		view_tables_gone(view, (unsigned)m->u.tables_gone.slot, m->u.tables_gone.incarnation);
		break;
	case MSG_process:
		rc = usage_add(&s->reporter.usage, fds[0]);
		if (rc != 0)
			log_warn("a process is missing from the figures of memory and processor time: %s",
			    strerror(-rc));
		break;
	case MSG_monitor_channel:
		monitor_open(s, fds[0]);
		break;
	default:
		return -EPERM;
	}
	return 0;
}

int
main(void)
{
	static struct server	s = { .monitor.fd = -1 };

	json_object_seed(0);		/* from /dev/urandom, while it can be opened */
	usage_init(&s.reporter.usage);
	s.reporter.processors = sysconf(_SC_NPROCESSORS_ONLN);
	child_init(&s.child, ROLE_SYSTEM, receive, &s);
	s.reporter.settings = &s.child.settings;
	child_ready(&s.child, &sandbox_system);
	child_run(&s.child);
	channel_close(&s.monitor);
	view_free(&s.reporter.view);
	usage_free(&s.reporter.usage);
	child_free(&s.child);
	return EXIT_SUCCESS;
}

/*
 * bulkhead-monitor: HTTP monitoring. It has its clients' connections and a
 * channel to system, which makes the reports.
 */
#include <errno.h>
#include <stdlib.h>
#include "admin/monitor/http.h"
#include "common/child.h"
#include "common/log.h"

struct monitor {
	struct child	child;
	struct channel	system;		/* fd -1: there is none */
	struct http	http;
};

static int
ask(struct http *h, uint64_t number, struct bytes path, struct bytes query)
{
	struct monitor	*m = h->owner;
	struct msg	 wanted = { .type = MSG_report_wanted, .u.report_wanted = {
			    .request = number, .path = path, .query = query } };

	return channel_send(&m->system, &wanted, NULL);
}

static int
receive_system(struct channel *ch, const struct msg *m, const int *fds)
{
	struct monitor	*monitor = ch->owner;

	if (m->type != MSG_report)
		return -EPERM;
	http_report(&monitor->http, m->u.report.request, (unsigned)m->u.report.status,
	    m->u.report.last, m->u.report.body);
	return 0;
}

static void
broken_system(struct channel *ch, int error, const char *why)
{
	struct monitor		*m = ch->owner;
	const struct msg	 lost = { .type = MSG_system_lost };

	if (error != 0)
		log_warn("system's channel closed: %s (%s)", why == NULL ? "" : why, strerror(-error));
	/* What waits is asked of the next one, or hears 503 when HTTP_PATIENCE is over. */
	(void)channel_send(&m->child.supervisor, &lost, NULL);
}

static void
system_open(struct monitor *m, int fd)
{
	channel_close(&m->system);
	channel_open(&m->system, m->child.loop, fd, ROLE_MONITOR, ROLE_SYSTEM,
	    receive_system, broken_system, m);
	m->system.state = MSG_READY;
	http_ask_again(&m->http);
}

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct monitor	*monitor = ((struct child *)ch->owner)->program;
	int		 rc;

	switch (m->type) {
	case MSG_system_channel:
		system_open(monitor, fds[0]);
		return 0;
	case MSG_http_connection:
		rc = http_serve(&monitor->http, fds[0]);
		if (rc != 0)
			log_limited(LOG_WARN, "http", "a monitoring connection was refused: %s",
			    strerror(-rc));
		return 0;
	default:
		return -EPERM;
	}
}

int
main(void)
{
	static struct monitor	m = { .system.fd = -1 };

	child_init(&m.child, ROLE_MONITOR, receive, &m);
	if (http_start(&m.http, m.child.loop, ask, &m) != 0)
		fatal("the HTTP library cannot be started");
	child_ready(&m.child);
	child_run(&m.child);
	channel_close(&m.system);
	http_stop(&m.http);
	child_free(&m.child);
	return EXIT_SUCCESS;
}

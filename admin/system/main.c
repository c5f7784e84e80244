/*
 * bulkhead-system: answers what monitor and the system account ask about the
 * server, from memory that it can only read, and says there what happens. It
 * has no sockets but its channels and the connections of bulkheadctl, which are channels too.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "admin/system/system.h"
#include "common/log.h"
#include "tls/context.h"

#define PIECE_MAX	32768	/* bytes of a report in one message */

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
	struct system	*s = ch->owner;
	struct report	 report;
	int		 rc;

	if (m->type != MSG_report_wanted)
		return -EPERM;
	report_make(&s->reporter, m->u.report_wanted.path, m->u.report_wanted.query, &report);
	rc = report_send(ch, m->u.report_wanted.request, &report);
	free(report.body);
	memory_used(s, report.len);
	return rc;	/* a monitor that asks and does not read loses its channel */
}

static void
broken_monitor(struct channel *ch, int error, const char *why)
{
	if (error != 0)
		log_warn("monitor's channel closed: %s (%s)", why == NULL ? "" : why, strerror(-error));
}

static void
monitor_open(struct system *s, int fd)
{
	channel_close(&s->monitor);
	channel_open(&s->monitor, s->child.loop, fd, ROLE_SYSTEM, ROLE_MONITOR,
	    receive_monitor, broken_monitor, s);
	s->monitor.state = MSG_READY;
}

static int
leaving_receive(struct system *s, bool lame_duck)
{
	const struct msg	word = { .type = MSG_left_word };

	events_leaving(s, lame_duck);
	return channel_send(&s->child.supervisor, &word, NULL);
}

/* What the view is made of. A segment that cannot be mapped costs its numbers in the reports, not the reports. */
static void
view_receive(struct system *s, const struct msg *m, const int *fds)
{
	struct view		*view = &s->reporter.view;
	const struct msg_tables	*t = &m->u.tables;
	int			 rc;

	switch (m->type) {
	case MSG_server:
		if ((rc = view_directory(view, fds[0])) != 0)
			log_error("the directory cannot be mapped: %s", strerror(-rc));
		break;
	case MSG_tables:
		if ((rc = view_tables(view, (unsigned)t->slot, t->incarnation, fds[0])) != 0)
			log_error("the tables of worker %u cannot be mapped: %s", (unsigned)t->slot, strerror(-rc));
		break;
	case MSG_process:
		if ((rc = usage_add(&s->reporter.usage, &m->u.process, fds[0])) != 0)
			log_warn("a process is missing from the figures of memory and processor time: %s",
			    strerror(-rc));
		break;
	case MSG_process_gone:
		if ((rc = usage_gone(&s->reporter.usage, &m->u.process_gone)) != 0)
			log_warn("a process that ended is missing from the status: %s", strerror(-rc));
		break;
	default:
		view_tables_gone(view, (unsigned)m->u.tables_gone.slot, m->u.tables_gone.incarnation);
		break;
	}
}

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct system	*s = ((struct child *)ch->owner)->program;

	switch (m->type) {
	case MSG_server:
	case MSG_tables:
	case MSG_tables_gone:
	case MSG_process:
	case MSG_process_gone:
		view_receive(s, m, fds);
		events_look(s);
		return 0;
	case MSG_control_connection:
		control_add(s, (uint32_t)m->u.control_connection.uid, fds[0]);
		return 0;
	case MSG_monitor_channel:
		monitor_open(s, fds[0]);
		return 0;
	case MSG_reloaded:
		inbox_reloaded(s, m->u.reloaded.error);
		return 0;
	case MSG_leaving:
		return leaving_receive(s, m->u.leaving.lame_duck != 0);
	default:
		return participant_receive(&s->bus.part, m, fds);
	}
}

/* ---- reload */

static int
accounts_load(struct system *s, struct accounts **out, int fd, const char **why)
{
	int	rc;

	*why = "no memory";
	rc = accounts_read(out, fd, ROLE_SYSTEM, "", why);
	if (rc != 0)
		log_error("accounts: %s (%s)", *why, strerror(-rc));
	return rc;
}

/* 0 or -errno: that it is good was said before us by the signer. */
static int
secure_load(struct system *s, struct secure *out, int fd)
{
	char	error[512];
	int	rc = secure_read(out, fd, error, sizeof(error));

	if (rc != 0)
		log_error("%s", error);
	return rc;
}

static const char *
check(struct child *child, const struct settings *next)
{
	struct system	*s = child->program;
	const char	*why;

	accounts_free(s->next_accounts);
	s->next_accounts = NULL;
	participant_raise_payload(&s->bus.part, (size_t)next->max_payload);
	if (accounts_load(s, &s->next_accounts, child->next_accounts, &why) != 0)
		return why;
	return secure_load(s, &s->next_secure, child->next_tls) == 0 ? NULL : "the TLS document cannot be read";
}

static void
apply(struct child *child, const struct settings *before)
{
	struct system	*s = child->program;

	accounts_free(s->accounts);
	s->reporter.accounts = s->accounts = s->next_accounts;
	s->next_accounts = NULL;
	s->reporter.secure = s->next_secure;
	events_look(s);
	if (s->bus.part.broker != NULL)
		broker_set_watchdog(s->bus.part.broker, child->settings.watchdog);
}

/* ---- */

static void
system_free(struct system *s)
{
	channel_close(&s->monitor);
	control_free(&s->control);
	events_free(s);
	memory_free(s);
	inbox_free(&s->inbox);
	bus_free(s);
	view_free(&s->reporter.view);
	usage_free(&s->reporter.usage);
	closed_free(&s->reporter.closed);
	past_free(&s->reporter.past);
	accounts_free(s->accounts);
	accounts_free(s->next_accounts);
	child_free(&s->child);
}

int
main(void)
{
	static struct system	 s = { .monitor.fd = -1 };
	const char		*why;
	int			 rc;

	json_object_seed(0);		/* from /dev/urandom, while it can be opened */
	usage_init(&s.reporter.usage);
	s.reporter.processors = sysconf(_SC_NPROCESSORS_ONLN);
	inbox_init(&s.inbox);
	control_init(&s.control);
	child_init(&s.child, ROLE_SYSTEM, receive, &s);
	s.reporter.settings = &s.child.settings;
	tls_load();
	if (accounts_load(&s, &s.accounts, s.child.accounts, &why) != 0 ||
	    secure_load(&s, &s.reporter.secure, s.child.tls) != 0)
		return EXIT_FAILURE;
	s.reporter.accounts = s.accounts;
	if ((rc = bus_init(&s)) != 0)
		fatal("system: %s", strerror(-rc));
	events_init(&s);
	memory_init(&s);
	s.child.check = check;
	s.child.apply = apply;
	child_ready(&s.child);
	child_run(&s.child);
	system_free(&s);
	return EXIT_SUCCESS;
}

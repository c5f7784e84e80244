/*
 * Connections of bulkheadctl. The supervisor has looked at who they are; what
 * they send is as hostile as anything: a connection has one question at a time,
 * answered out of memory that we have, no faster than CONTROL_REST allows, and
 * whoever is slow, asks again before it has its answer, or does not read it,
 * loses its own connection.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "admin/system/system.h"
#include "common/log.h"
#include "nats/info.h"

typedef int control_answer(struct system *s, struct channel *ch);

struct control_client {
	TAILQ_ENTRY(control_client) next;
	struct system		*system;
	struct channel		 channel;
	uint32_t		 uid;
	bool			 asked, resting;
	control_answer		*answer;	/* of what was asked; NULL: there is none */
	char			 what[192];	/* that was asked, cut */
	ev_timer		 timer;		/* resting: until it may be answered again; else its patience */
};

/* ---- answers; 0 or -errno of channel_send() */

static int refuse(struct channel *ch, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int
refuse(struct channel *ch, const char *format, ...)
{
	struct msg	m = { .type = MSG_request_refused };
	char		why[512];
	va_list		ap;

	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	m.u.request_refused.why = bytes_of(why);
	return channel_send(ch, &m, NULL);
}

/* Names of the layers in `bits`, with blanks between. */
static struct bytes
layer_names(char text[512], uint32_t bits)
{
	size_t	i, len = 0;

	*text = '\0';
	for (i = 0; i < SANDBOX_LAYERS; i++)
		if ((bits >> i & 1) != 0 && len < 512)
			len += (size_t)snprintf(text + len, 512 - len, "%s%s", len == 0 ? "" : " ",
			    sandbox_layer_name((enum sandbox_layer)i));
	return bytes_of(text);
}

static int
status_process(struct system *s, struct channel *ch, struct usage_process *p)
{
	const struct msg_process	*f = &p->facts;
	struct msg			 m = { .type = MSG_status_process };
	struct msg_status_process	*sp = &m.u.status_process;
	char				 layers[512], missing[512];
	struct usage_now		 now;

	*sp = (struct msg_status_process){ .program = bytes_of(role_name((enum role)f->role)),
	    .slot = f->slot, .state = BYTES("restarting"), .restarts = f->restarts,
	    .layers = BYTES(""), .missing = BYTES("") };
	if (usage_read(&s->reporter.usage, p, &now)) {
		sp->state = now.stopped ? BYTES("stopped") : BYTES("running");
		sp->pid = f->pid;
		sp->started = f->started;
		sp->cpu = (uint64_t)(now.cpu * 1e6);
		sp->memory = now.memory;
		sp->layers = layer_names(layers, (uint32_t)f->layers);
		sp->missing = layer_names(missing, (uint32_t)(f->possible & ~f->layers));
	}
	return channel_send(ch, &m, NULL);
}

static int
status_answer(struct system *s, struct channel *ch)
{
	const struct settings	*st = s->reporter.settings;
	const struct msg	 end = { .type = MSG_status_end };
	struct usage		*u = &s->reporter.usage;
	struct msg		 m = { .type = MSG_status_server };
	struct totals		 t;
	size_t			 i;
	int			 rc;

	if (s->reporter.view.directory.base == NULL)
		return refuse(ch, "the server is starting");
	view_totals(&s->reporter.view, &t);
	m.u.status_server = (struct msg_status_server){ .id = bytes_of(st->server_id),
	    .name = bytes_of(st->server_name[0] != '\0' ? st->server_name : st->server_id),
	    .version = BYTES(BULKHEAD_VERSION), .protocol = BYTES(NATS_VERSION),
	    .started = t.started, .connections = t.connections,
	    .digest = bytes_of(st->config_digest) };
	rc = channel_send(ch, &m, NULL);
	for (i = 0; i < u->count && rc == 0; i++)
		rc = status_process(s, ch, &u->processes[i]);
	return rc == 0 ? channel_send(ch, &end, NULL) : rc;
}

static const struct { const char *what; control_answer *answer; } answers[] = {
	{ "status", status_answer },
};

/* ---- connections */

static void
client_free(struct control_client *c)
{
	struct control	*all = &c->system->control;

	ev_timer_stop(c->system->child.loop, &c->timer);
	channel_close(&c->channel);
	TAILQ_REMOVE(&all->clients, c, next);
	all->count--;
	free(c);
}

static void
client_wait(struct control_client *c, double seconds)
{
	struct ev_loop	*loop = c->system->child.loop;

	ev_timer_stop(loop, &c->timer);
	ev_timer_set(&c->timer, seconds, 0);
	ev_timer_start(loop, &c->timer);
}

/* What it has asked; then it rests. */
static int
client_answer(struct control_client *c)
{
	c->asked = false;
	c->resting = true;
	client_wait(c, CONTROL_REST);
	if (c->answer == NULL)
		return refuse(&c->channel, "this server (bulkhead %s) does not know the request \"%s\"",
		    BULKHEAD_VERSION, c->what);
	return c->answer(c->system, &c->channel);
}

static int
client_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct control_client	*c = ch->owner;
	const struct msg_request *r = &m->u.request;
	size_t			 i;

	if (m->type != MSG_request)
		return -EPERM;
	if (c->asked || ch->queued > 0)
		return -EBUSY;
	c->asked = true;
	c->answer = NULL;
	snprintf(c->what, sizeof(c->what), "%.*s%s%.*s", (int)r->what.len, r->what.data,
	    r->about.len > 0 ? " " : "", (int)r->about.len, r->about.data);
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (r->about.len == 0 && bytes_equal(r->what, bytes_of(answers[i].what)))
			c->answer = answers[i].answer;
	return c->resting ? 0 : client_answer(c);
}

static void
client_broken(struct channel *ch, int error, const char *why)
{
	struct control_client	*c = ch->owner;

	if (error != 0 && error != -EPIPE)
		log_limited(LOG_WARN, "control connections", "control socket: connection of user %u closed: %s (%s)",
		    (unsigned)c->uid, why == NULL ? "" : why, strerror(-error));
	client_free(c);
}

static void
client_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct control_client	*c = w->data;

	if (!c->resting) {
		client_free(c);
		return;
	}
	c->resting = false;
	if (!c->asked)
		client_wait(c, CONTROL_PATIENCE);
	else if (client_answer(c) != 0)
		client_free(c);
}

/* Room for one more: the oldest of a user who has enough, or of all, goes. */
static void
control_make_room(struct control *all, uint32_t uid)
{
	struct control_client	*c, *oldest = NULL;
	unsigned		 same = 0;

	TAILQ_FOREACH_REVERSE(c, &all->clients, control_clients, next)
		if (c->uid == uid) {
			same++;
			oldest = c;
		}
	if (same < CONTROL_EACH)
		oldest = all->count < CONTROL_MOST ? NULL : TAILQ_FIRST(&all->clients);
	if (oldest != NULL)
		client_free(oldest);
}

void
control_add(struct system *s, uint32_t uid, int fd)
{
	struct control_client	*c;

	control_make_room(&s->control, uid);
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return;
	}
	c->system = s;
	c->uid = uid;
	ev_init(&c->timer, client_due);
	c->timer.data = c;
	channel_open(&c->channel, s->child.loop, fd, ROLE_SYSTEM, ROLE_CTL, client_receive, client_broken, c);
	TAILQ_INSERT_TAIL(&s->control.clients, c, next);
	s->control.count++;
	client_wait(c, CONTROL_PATIENCE);
}

void
control_init(struct control *all)
{
	TAILQ_INIT(&all->clients);
	all->count = 0;
}

void
control_free(struct control *all)
{
	struct control_client	*c;

	while ((c = TAILQ_FIRST(&all->clients)) != NULL)
		client_free(c);
}

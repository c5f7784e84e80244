/*
 * What happens, as the system account is told of it: only what somebody there
 * subscribes to is made. What a full lane does not take is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "admin/system/system.h"
#include "admin/system/times.h"
#include "common/event_subjects.h"
#include "common/log.h"
#include "common/records.h"

#define SUBJECT_MOST	1280	/* the longest name of an account, and what is around it */
#define COUNTING_SHARE	20	/* counting all connections takes at most a 20th of the time */
#define EVENTS_BYTES	((size_t)8 << 20)	/* noted in one turn */
#define EVENTS_KEEP	((size_t)1 << 16)	/* of them, memory that is kept */
#define ID_TEXT		23	/* characters of an event's id, with NUL */

/* ---- events */

static const char *
id_make(char out[ID_TEXT])
{
	static const char	digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t			i;

	for (i = 0; i < ID_TEXT - 1; i++)
		out[i] = digits[arc4random_uniform(sizeof(digits) - 1)];
	out[i] = '\0';
	return out;
}

static void
event_put(struct object *o, struct system *s, const char *type)
{
	char	id[ID_TEXT];

	put_text(o, "type", type);
	put_text(o, "id", id_make(id));
	put_time(o, "timestamp", times_now());
	server_put(o, s);
}

/* Takes o. */
static void
event_publish(struct system *s, uint32_t account, const char *subject, struct object *o)
{
	char	*text = object_text(o);

	if (text == NULL || bus_publish(s, account, subject, bytes_of(text)) != 0)
		log_limited(LOG_WARN, "events", "an event of the system account was lost");
	free(text);
}

/* ---- clients */

/* Texts that the client itself chose are left out where it said nothing. */
static void
client_put(struct object *o, struct system *s, const struct msg_client_event *e)
{
	struct object	client = OBJECT();
	struct bytes	account = account_title(&s->reporter, e->account);

	put_time(&client, "start", e->start);
	put_bytes(&client, "host", e->host);
	put_number(&client, "id", e->cid);
	put_bytes(&client, "acc", account);
	put_bytes_any(&client, "user", e->user);
	put_bytes_any(&client, "name", e->name);
	put_bytes_any(&client, "lang", e->lang);
	put_bytes_any(&client, "ver", e->version);
	if (e->kind != EVENT_CONNECTED) {
		put_number_any(&client, "rtt", e->rtt > INT64_MAX / 1000 ? INT64_MAX : e->rtt * 1000);
		put_time(&client, "stop", e->stop);
	}
	put_bytes(&client, "name_tag", account);
	put_text(&client, "kind", "Client");
	put_text(&client, "client_type", "nats");
	put_object(o, "client", &client);
}

static void
connected_tell(struct system *s, const char *subject, const struct msg_client_event *e)
{
	struct object	o;

	if (!bus_wanted(s, ACCOUNT_SYSTEM, subject))
		return;
	o = OBJECT();
	event_put(&o, s, "io.nats.server.advisory.v1.client_connect");
	client_put(&o, s, e);
	event_publish(s, ACCOUNT_SYSTEM, subject, &o);
}

static void
disconnected_tell(struct system *s, uint32_t account, const char *subject, const struct msg_client_event *e)
{
	struct object	o;

	if (!bus_wanted(s, account, subject))
		return;
	o = OBJECT();
	event_put(&o, s, "io.nats.server.advisory.v1.client_disconnect");
	client_put(&o, s, e);
	put_traffic(&o, "sent", e->out_msgs, e->out_bytes);
	put_traffic(&o, "received", e->in_msgs, e->in_bytes);
	put_bytes(&o, "reason", e->reason);
	event_publish(s, account, subject, &o);
}

/* A name that cannot be part of a subject is in none. False: nothing is to be said. */
static bool
account_subject(char out[SUBJECT_MOST], struct system *s, uint64_t account, const char *behind)
{
	struct bytes	name = account_title(&s->reporter, account);

	if (name.len == 0 || memchr(name.data, ' ', name.len) != NULL)
		return false;
	return snprintf(out, SUBJECT_MOST, OF_ACCOUNT "%.*s%s", (int)name.len, name.data, behind) < SUBJECT_MOST;
}

static bool
is_changed(const struct events *e, uint32_t account)
{
	return (e->is_changed[account / 8] >> account % 8 & 1) != 0;
}

static void
account_changed(struct system *s, uint32_t account)
{
	struct events	*e = &s->events;
	uint32_t	*grown, room = e->room == 0 ? 16 : e->room * 2;

	if (is_changed(e, account))
		return;
	if (e->nchanged == e->room) {
		grown = reallocarray(e->changed, room, sizeof(*grown));
		if (grown == NULL)
			return;
		e->changed = grown;
		e->room = room;
	}
	e->changed[e->nchanged++] = account;
	e->is_changed[account / 8] |= (uint8_t)(1 << account % 8);
}

static void
changes_forget(struct events *e)
{
	while (e->nchanged > 0)
		e->is_changed[e->changed[--e->nchanged] / 8] = 0;
}

static void
refused_tell(struct system *s, const struct msg_client_event *e)
{
	char	subject[SUBJECT_MOST];

	snprintf(subject, sizeof(subject), OF_SERVER "%s" AUTH_ERROR_EVENT, s->child.settings.server_id);
	disconnected_tell(s, ACCOUNT_SYSTEM, subject, e);
	disconnected_tell(s, (uint32_t)e->account, AUTH_ERROR_OWN, e);
	if (account_subject(subject, s, e->account, DISCONNECT_EVENT))
		disconnected_tell(s, ACCOUNT_SYSTEM, subject, e);
}

/* Keep what is kept of those that left. False: its account is not known, and nobody is told. */
static bool
event_keep(struct system *s, const struct msg *record)
{
	const struct msg_client_event	*e = &record->u.client_event;

	if (record->type != MSG_client_event || account_title(&s->reporter, e->account).len == 0)
		return false;
	if (e->kind != EVENT_CONNECTED)
		closed_add(&s->reporter.closed, e);
	if (e->kind == EVENT_DISCONNECTED)
		past_add(&s->reporter.past, e);
	return true;
}

/* One record of those that left while nobody listened. */
static int
client_past(void *arg, const struct msg *record)
{
	(void)event_keep(arg, record);
	return 0;
}

/* Who came may listen, and ask what was. */
static bool
may_hear(const struct system *s, uint64_t account)
{
	const struct account	*a = s->accounts == NULL ? NULL : accounts_find(s->accounts, (uint32_t)account);

	return account == ACCOUNT_SYSTEM || (a != NULL && account_imports_from(a, ACCOUNT_SYSTEM));
}

/* One record that somebody may hear of. */
static int
client_event(void *arg, const struct msg *record)
{
	const struct msg_client_event	*e = &record->u.client_event;
	struct system			*s = arg;
	char				 subject[SUBJECT_MOST];

	if (!event_keep(s, record))
		return 0;
	if (e->kind == EVENT_REFUSED) {
		refused_tell(s, e);
		return 0;
	}
	if (e->kind == EVENT_CONNECTED && may_hear(s, e->account))
		events_look(s);
	if (e->kind != EVENT_NEVER_IN)
		account_changed(s, (uint32_t)e->account);
	if (!account_subject(subject, s, e->account, e->kind == EVENT_CONNECTED ? CONNECT_EVENT : DISCONNECT_EVENT))
		return 0;
	if (e->kind == EVENT_CONNECTED)
		connected_tell(s, subject, e);
	else
		disconnected_tell(s, ACCOUNT_SYSTEM, subject, e);
	return 0;
}

struct note { uint32_t len; bool past; };

/* Room for so many bytes more. */
static bool
noted_room(struct events *e, size_t more)
{
	size_t	 room = e->noted_room == 0 ? 4096 : e->noted_room;
	char	*grown;

	while (room - e->noted_len < more)
		room *= 2;
	if (room > EVENTS_BYTES)
		return false;
	if (room == e->noted_room)
		return true;
	grown = realloc(e->noted, room);
	if (grown == NULL)
		return false;
	e->noted = grown;
	e->noted_room = room;
	return true;
}

void
events_receive(struct system *s, struct bytes body, bool past)
{
	struct events		*e = &s->events;
	const struct note	 note = { (uint32_t)body.len, past };

	if (body.len > EVENTS_BYTES || !noted_room(e, sizeof(note) + body.len)) {
		log_limited(LOG_WARN, "lost events", "more happens than can be told in the system account");
		return;
	}
	memcpy(e->noted + e->noted_len, &note, sizeof(note));
	memcpy(e->noted + e->noted_len + sizeof(note), body.data, body.len);
	e->noted_len += sizeof(note) + body.len;
}

/* All that was noted in this turn. */
static void
noted_tell(struct system *s)
{
	struct events	*e = &s->events;
	const char	*why;
	struct note	 note;
	size_t		 at;

	for (at = 0; at < e->noted_len; at += sizeof(note) + note.len) {
		memcpy(&note, e->noted + at, sizeof(note));
		if (records_each((struct bytes){ e->noted + at + sizeof(note), note.len }, ROLE_WORKER, ROLE_SYSTEM,
		    note.past ? client_past : client_event, s, &why) != 0)
			log_limited(LOG_WARN, "events of workers", "what a worker said of a client is malformed: %s", why);
	}
	e->noted_len = 0;
	if (e->noted_room > EVENTS_KEEP) {
		free(e->noted);
		e->noted = NULL;
		e->noted_room = 0;
	}
}

/* ---- how many an account has */

char *
conns_text(struct system *s, const char *name, const struct tally *t)
{
	struct object	o = OBJECT();

	event_put(&o, s, "io.nats.server.advisory.v1.account_connections");
	tally_put(&o, name, t);
	return object_text(&o);
}

/* Both subjects, the one of old first. False: nobody can subscribe to them. */
static bool
conns_subjects(struct system *s, uint32_t account, char subjects[2][SUBJECT_MOST])
{
	struct bytes	name = account_title(&s->reporter, account);

	snprintf(subjects[0], SUBJECT_MOST, OF_ACCOUNT_OLD "%.*s" CONNS_EVENT_OLD, (int)name.len, name.data);
	return account_subject(subjects[1], s, account, CONNS_EVENT);
}

/* Bit i: somebody wants subject i. */
static unsigned
conns_wanted(struct system *s, uint32_t account, char subjects[2][SUBJECT_MOST])
{
	unsigned	wanted = 0, i;

	if (!conns_subjects(s, account, subjects))
		return 0;
	for (i = 0; i < 2; i++)
		wanted |= (unsigned)bus_wanted(s, ACCOUNT_SYSTEM, subjects[i]) << i;
	return wanted;
}

static void
conns_tell(struct system *s, const struct account *a, const struct tally *t)
{
	char		 subjects[2][SUBJECT_MOST], *text;
	unsigned	 wanted = conns_wanted(s, a->number, subjects), i;

	if (wanted == 0 || (text = conns_text(s, a->name, t)) == NULL)
		return;
	for (i = 0; i < 2; i++)
		if ((wanted & 1u << i) != 0)
			(void)bus_publish(s, ACCOUNT_SYSTEM, subjects[i], bytes_of(text));
	free(text);
}

/* Would anybody hear of an account that changed? */
static bool
changes_wanted(struct system *s)
{
	char		subjects[2][SUBJECT_MOST];
	uint32_t	i;

	for (i = 0; i < s->events.nchanged; i++)
		if (conns_wanted(s, s->events.changed[i], subjects) != 0)
			return true;
	return false;
}

/* Would anybody hear of any? */
static bool
any_wanted(struct system *s)
{
	char		subjects[2][SUBJECT_MOST];
	uint32_t	i;

	for (i = 0; s->accounts != NULL && i < s->accounts->count; i++)
		if (conns_wanted(s, s->accounts->all[i]->number, subjects) != 0)
			return true;
	return false;
}

static double
now(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Count, and tell of those that changed, or of all that have somebody. */
static void
conns_tell_all(struct system *s, bool all)
{
	struct tally	*tallies;
	double		 began = now();
	uint32_t	 i;

	if (s->accounts == NULL || (tallies = tallies_take(&s->reporter.view, &s->reporter.past, s->accounts)) == NULL)
		return;
	for (i = 0; i < s->accounts->count; i++)
		if (is_changed(&s->events, s->accounts->all[i]->number) || (all && tallies[i].connections > 0))
			conns_tell(s, s->accounts->all[i], &tallies[i]);
	free(tallies);
	changes_forget(&s->events);
	ev_timer_stop(s->child.loop, &s->events.counting);
	ev_timer_set(&s->events.counting, (now() - began) * COUNTING_SHARE + 0.001, 0);
	ev_timer_start(s->child.loop, &s->events.counting);
}

static void
counted(struct ev_loop *loop, ev_timer *t, int events)
{
	/* the turn looks at what changed meanwhile */
}

void
events_work(struct system *s)
{
	noted_tell(s);
	if (s->events.nchanged == 0 || ev_is_active(&s->events.counting))
		return;
	if (changes_wanted(s))
		conns_tell_all(s, false);
	else
		changes_forget(&s->events);
}

/* ---- from time to time, and at the end */

static void
statsz_tell(struct system *s)
{
	char		subject[SUBJECT_MOST];
	struct object	o;

	snprintf(subject, sizeof(subject), "$SYS.SERVER.%s.STATSZ", s->child.settings.server_id);
	if (!bus_wanted(s, ACCOUNT_SYSTEM, subject))
		return;
	o = OBJECT();
	server_put(&o, s);
	statsz_put(&o, &s->reporter);
	event_publish(s, ACCOUNT_SYSTEM, subject, &o);
}

/* Could anybody subscribe to what we say from time to time, without our hearing of it? */
static bool
may_listen(struct system *s)
{
	uint32_t	i;

	if (!bus_speaks(s))
		return false;
	for (i = 0; s->accounts != NULL && i < s->accounts->count; i++)
		if (account_imports_from(s->accounts->all[i], ACCOUNT_SYSTEM))
			return true;
	return connection_any(&s->reporter.view, ACCOUNT_SYSTEM);
}

static void
period(struct ev_loop *loop, ev_timer *t, int events)
{
	struct system	*s = t->data;

	if (!may_listen(s)) {
		ev_timer_stop(loop, t);
		if (s->bus.part.broker != NULL)
			bus_hear_at_once(s, false);
		return;
	}
	broker_refresh(s->bus.part.broker);
	statsz_tell(s);
	if (++s->events.ticks % CONNS_PERIOD == 0 && any_wanted(s))
		conns_tell_all(s, true);
}

/* Who is there now may be somebody: period() finds out. Without anybody nothing wakes us. */
void
events_look(struct system *s)
{
	ev_timer	*t = &s->events.statsz;
	struct totals	 totals;

	view_totals(&s->reporter.view, &totals);
	if (ev_is_active(t) || !bus_speaks(s) || totals.connections == 0)
		return;
	ev_timer_set(t, STATSZ_PERIOD, STATSZ_PERIOD);
	ev_timer_start(s->child.loop, t);
	bus_hear_at_once(s, true);
}

void
events_leaving(struct system *s, bool lame_duck)
{
	struct object	o;
	char		subject[SUBJECT_MOST];

	snprintf(subject, sizeof(subject), "$SYS.SERVER.%s.%s", s->child.settings.server_id,
	    lame_duck ? "LAMEDUCK" : "SHUTDOWN");
	if (s->bus.part.broker != NULL)
		broker_refresh(s->bus.part.broker);
	if (!bus_wanted(s, ACCOUNT_SYSTEM, subject))
		return;
	o = server_object(s);
	event_publish(s, ACCOUNT_SYSTEM, subject, &o);
	broker_flush(s->bus.part.broker);
}

void
events_init(struct system *s)
{
	ev_timer_init(&s->events.statsz, period, STATSZ_PERIOD, STATSZ_PERIOD);
	s->events.statsz.data = s;
	ev_timer_init(&s->events.counting, counted, 0, 0);
}

void
events_free(struct system *s)
{
	ev_timer_stop(s->child.loop, &s->events.statsz);
	ev_timer_stop(s->child.loop, &s->events.counting);
	free(s->events.changed);
	free(s->events.noted);
}

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/log.h"
#include "worker/client.h"
#include "worker/identity.h"
#include "worker/peers.h"
#include "worker/input.h"
#include "worker/lame_duck.h"
#include "worker/reload.h"
#include "worker/secure.h"
#include "worker/session.h"
#include "worker/sids.h"
#include "worker/slow.h"
#include "worker/worker.h"

#define DRAIN_BUDGET	(256u << 10)	/* bytes taken from each lane in one turn */

int
worker_tell(struct worker *w, const struct msg *m)
{
	int	 rc = channel_send(&w->child->supervisor, m, NULL);

	if (rc == 0 || rc == -EPIPE)
		return 0;
	log_limited(LOG_WARN, "messages to the supervisor", "%s: %s", msg_name(m->type), strerror(-rc));
	return rc;
}

int
worker_send(struct worker *w, const struct msg *m)
{
	(void)worker_tell(w, m);
	return 0;
}

uint64_t
worker_microseconds(const struct worker *w)
{
	return (uint64_t)(ev_now(w->loop) * 1e6);
}

double
worker_monotonic(void)
{
	struct timespec	 now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

const struct account *
worker_account(const struct worker *w, uint32_t number)
{
	return w->accounts == NULL ? NULL : accounts_find(w->accounts, number);
}

const char *
account_name(const struct worker *w, uint32_t number)
{
	const struct account	*account = worker_account(w, number);

	if (account != NULL)
		return account->name;
	return number == ACCOUNT_GLOBAL ? "$G" : "?";
}

/* ---- the supervisor's messages */

int
worker_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct child	*child = ch->owner;
	struct worker	*w = child->program;

	switch (m->type) {
	case MSG_connection:
		if (w->broker == NULL || w->stopping) {
			close(fds[0]);
			return w->stopping ? 0 : -EPROTO;
		}
		return client_new(w, &m->u.connection, fds[0]);
	case MSG_close_clients:
		clients_refuse(w, &m->u.close_clients.cids, (enum refusal)m->u.close_clients.reason);
		return 0;
	case MSG_tell_lame_duck:
		client_tell_lame_duck(w, m->u.tell_lame_duck.cid);
		return 0;
	case MSG_lame_duck:
		return lame_duck_begin(w);
	case MSG_auth_channel:
		return login_channel(w, fds[0]);
	case MSG_signer_channel:
		signing_channel(&w->signing, fds[0]);
		return 0;
	case MSG_ticket_keys:
		tls_tickets_set(&w->tickets, m->u.ticket_keys.keys);
		return 0;
	default:
		return participant_receive(&w->part, m, fds);
	}
}

/* ---- the end of a turn */

static void
touched_flush(struct worker *w)
{
	struct client	*c;

	while ((c = w->touched) != NULL) {
		w->touched = c->next_touched;
		c->flags &= ~(uint32_t)CLIENT_TOUCHED;
		if (c->state == CLIENT_OPEN && (c->flags & CLIENT_WRITES) == 0)
			client_flush(c);
		else if (c->state == CLIENT_OPEN)
			client_account(c);
	}
}

/*
 * `taken` follows INFO: should we die between the two, the supervisor sees that
 * bytes were written; should we die before INFO, another worker says it. While
 * many are not said to be `closed`, it waits too, so that no more come.
 */
static void
taken_tell(struct worker *w)
{
	struct msg	 m = { .type = MSG_taken, .u.taken.cid = w->taken };

	if (w->taken == 0 || !TAILQ_EMPTY(&w->fresh) || !closed_has_room(w) || worker_tell(w, &m) != 0)
		return;
	w->told = w->taken;
	w->taken = 0;
}

/* Those that a nonce is on its way for stay fresh until it is there. */
static void
fresh_open(struct worker *w)
{
	struct client	*c;

	while ((c = TAILQ_FIRST(&w->fresh)) != NULL && !nonce_awaited(w))
		client_open(c);
}

/* The noted cids for which `taken` was said go to the front: the supervisor knows no others. How many. */
static uint32_t
closed_known(struct worker *w)
{
	uint32_t	 n = 0;
	uint64_t	 cid;

	for (uint32_t i = 0; i < w->nclosed; i++) {
		if ((cid = w->closed[i]) > w->told)
			continue;
		w->closed[i] = w->closed[n];
		w->closed[n++] = cid;
	}
	return n;
}

void
closed_tell(struct worker *w)
{
	struct msg	 m = { .type = MSG_closed };
	uint32_t	 n = closed_known(w);
	struct client	*c;

	m.u.closed.cids = (struct numbers){ .count = n, .own = w->closed };
	if (n == 0 || worker_tell(w, &m) != 0)
		return;
	w->nclosed -= n;
	memmove(w->closed, w->closed + n, w->nclosed * sizeof(*w->closed));
	while ((c = TAILQ_FIRST(&w->ended)) != NULL)
		client_move(c, &w->closing);
}

static void
list_resume(struct client_list *list, void (*resume)(struct client *c))
{
	struct client_list	 all = TAILQ_HEAD_INITIALIZER(all);
	struct client		*c;

	/* Those that stop again go to the end of the list, and are not met again. */
	TAILQ_CONCAT(&all, list, entry);
	TAILQ_FOREACH(c, &all, entry)
		c->list = &all;
	while ((c = TAILQ_FIRST(&all)) != NULL)
		resume(c);
}

/* Those who waited for a lane, for a slow subscriber or for others go on. */
static void
stopped_resume(struct worker *w)
{
	list_resume(&w->yielding, client_resume);
	if (w->unblocked) {
		w->unblocked = false;
		list_resume(&w->blocked, client_resume);
	}
	if (w->caught_up) {
		w->caught_up = false;
		list_resume(&w->paced.waiting, slow_pace_over);
	}
}

static void
counters_tell(struct worker *w)
{
	if (w->out_msgs == 0)
		return;
	if (!ev_is_active(&w->trim))
		ev_timer_again(w->loop, &w->trim);
	counter_add(&w->head->out_msgs, w->out_msgs);
	counter_add(&w->head->out_bytes, w->out_bytes);
	w->out_msgs = w->out_bytes = 0;
}

static void
lane_timeout_set(struct worker *w)
{
	double	 seconds = broker_timeout(w->broker);

	if ((w->taken != 0 || w->nclosed > 0) && (seconds <= 0 || seconds > WORKER_AGAIN))
		seconds = WORKER_AGAIN;
	ev_timer_stop(w->loop, &w->lane_timeout);
	if (seconds > 0) {
		ev_timer_set(&w->lane_timeout, seconds, 0);
		ev_timer_start(w->loop, &w->lane_timeout);
	}
}

/* The loop is to turn again at once, or may sleep. */
static void
busy_set(struct worker *w, bool busy)
{
	if (busy && !ev_is_active(&w->busy))
		ev_idle_start(w->loop, &w->busy);
	else if (!busy && ev_is_active(&w->busy))
		ev_idle_stop(w->loop, &w->busy);
}

void
worker_turn_end(struct worker *w)
{
	bool	 busy;

	w->last_readers = w->readers;
	w->readers = 0;
	if (w->broker == NULL)
		return;
	broker_flush(w->broker);
	stopped_resume(w);
	fresh_open(w);
	clients_flush_heavy(w);
	touched_flush(w);
	taken_tell(w);
	busy = identities_review(w);
	busy = clients_reap(w) || busy;
	if (w->stopping)
		events_flush(w);
	logins_flush(w);
	closed_tell(w);
	lame_duck_look(w);
	participant_compact(&w->part);
	counters_tell(w);
	broker_flush(w->broker);
	lane_timeout_set(w);
	busy = secure_turn(w) || busy || w->more || w->unblocked || w->caught_up || w->touched != NULL ||
	    !TAILQ_EMPTY(&w->yielding) || !TAILQ_EMPTY(&w->closing) ||
	    !TAILQ_EMPTY(&w->unread) || !TAILQ_EMPTY(&w->shaking) || limits_wait(&w->limits);
	busy_set(w, busy || !broker_sleep(w->broker));
	if (w->stopping && w->open == 0)
		ev_break(w->loop, EVBREAK_ALL);
}

void
worker_turn_begin(struct worker *w)
{
	if (w->broker == NULL)
		return;
	broker_wake(w->broker);
	w->more = broker_drain(w->broker, DRAIN_BUDGET);
	limits_turn(w);
	list_resume(&w->unread, input_again);
	clients_flush_heavy(w);
}

static void
turn_end(struct ev_loop *loop, ev_prepare *p, int events)
{
	worker_turn_end(p->data);
}

static void
turn_begin(struct ev_loop *loop, ev_check *c, int events)
{
	worker_turn_begin(c->data);
}

static void
keep_turning(struct ev_loop *loop, ev_idle *i, int events)
{
}

static void
turn_is_enough(struct ev_loop *loop, ev_timer *t, int events)
{
	/* the turn itself is what was waited for */
}

static void
trim(struct ev_loop *loop, ev_timer *t, int events)
{
	struct worker	*w = t->data;

	if (!output_pool_trim(&w->pool))
		ev_timer_stop(loop, t);
}

/* ---- the end */

static void
last_moment(struct ev_loop *loop, ev_timer *t, int events)
{
	ev_break(loop, EVBREAK_ALL);
}

void
worker_stop(struct child *child)
{
	struct worker	*w = child->program;

	if (w->stopping)
		return;
	w->stopping = true;
	if (w->broker != NULL) {	/* what was said before, as that the server ends, reaches them */
		broker_wake(w->broker);
		(void)broker_drain(w->broker, DRAIN_BUDGET);
	}
	for (uint32_t i = 0; i < w->top; i++)
		if (w->clients[i] != NULL)
			client_close(w->clients[i], CLOSE_SHUTDOWN);
	ev_timer_set(&w->last_moment, WORKER_LAST_MOMENT, 0);
	ev_timer_start(w->loop, &w->last_moment);
	if (w->broker == NULL)
		ev_break(w->loop, EVBREAK_ALL);
}

/* ---- its beginning and end */

/* "host:port" or "host". */
int
advertised_read(struct advertised *a, const struct settings *s)
{
	const char	*text = s->client_advertise, *colon = strrchr(text, ':');
	size_t		 len = strlen(text);

	*a = (struct advertised){ NULL, (uint16_t)s->port };
	if (len == 0)
		return 0;
	if (colon != NULL && colon[1] != '\0' && colon[strspn(colon + 1, "0123456789") + 1] == '\0') {
		a->port = (uint16_t)strtoul(colon + 1, NULL, 10);
		len = (size_t)(colon - text);
	}
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	a->host = strndup(text, len);
	return a->host == NULL ? -ENOMEM : 0;
}

static void
watchers_init(struct worker *w)
{
	ev_prepare_init(&w->turn_end, turn_end);
	w->turn_end.data = w;
	ev_prepare_start(w->loop, &w->turn_end);
	ev_check_init(&w->turn_begin, turn_begin);
	ev_set_priority(&w->turn_begin, EV_MAXPRI - 1);	/* behind the supervisor, before clients */
	w->turn_begin.data = w;
	ev_check_start(w->loop, &w->turn_begin);
	ev_idle_init(&w->busy, keep_turning);
	ev_timer_init(&w->lane_timeout, turn_is_enough, 0, 0);
	ev_timer_init(&w->trim, trim, WORKER_TRIM, WORKER_TRIM);
	w->trim.data = w;
	ev_timer_init(&w->last_moment, last_moment, 0, 0);
	deadlines_init(&w->writing, w->loop, w->settings->write_deadline, true, slow_write_over);
	deadlines_init(&w->paced, w->loop, SLOW_PACE, false, slow_pace_over);
	deadlines_init(&w->settling, w->loop, SLOW_SETTLE, false, slow_settle_over);
	deadlines_init(&w->lingering, w->loop, CLIENT_LINGER, false, client_hang_up);
}

int
worker_init(struct worker *w, struct child *child)
{
	const char	*why = "the document";
	int		 rc;

	*w = (struct worker){ .child = child, .loop = child->loop, .settings = &child->settings };
	w->slow_limit = w->settings->max_pending / 4 * 3;
	TAILQ_INIT(&w->fresh);
	TAILQ_INIT(&w->blocked);
	TAILQ_INIT(&w->dropping);
	TAILQ_INIT(&w->yielding);
	TAILQ_INIT(&w->closing);
	TAILQ_INIT(&w->ended);
	RB_INIT(&w->long_sids);
	logins_init(w);
	output_pool_init(&w->pool);
	limits_init(w);
	events_begin(w);
	if ((rc = input_init(w)) != 0 || (rc = advertised_read(&w->advertised, w->settings)) != 0)
		return rc;
	if ((rc = peers_init(w)) != 0 || (rc = policies_new(&w->policies)) != 0)
		return rc;
	if ((rc = secure_init(w, &why)) != 0) {
		log_error("%s", why);
		return rc;
	}
	if ((rc = accounts_read(&w->accounts, child->accounts, ROLE_WORKER, "", &why)) != 0) {
		log_error("accounts: %s (%s)", why, strerror(-rc));
		return rc;
	}
	watchers_init(w);
	child->stop = worker_stop;
	child->check = worker_check;
	child->apply = worker_apply;
	return 0;
}

static void
watchers_stop(struct worker *w)
{
	ev_prepare_stop(w->loop, &w->turn_end);
	ev_check_stop(w->loop, &w->turn_begin);
	ev_idle_stop(w->loop, &w->busy);
	ev_timer_stop(w->loop, &w->lane_timeout);
	ev_timer_stop(w->loop, &w->last_moment);
	ev_timer_stop(w->loop, &w->trim);
	deadlines_stop(&w->writing);
	deadlines_stop(&w->paced);
	deadlines_stop(&w->settling);
	deadlines_stop(&w->lingering);
}

void
worker_free(struct worker *w)
{
	clients_free(w);
	secures_free(w);
	limits_free(w);
	events_end(w);
	watchers_stop(w);
	lame_duck_free(w);
	sids_free(w);
	participant_free(&w->part);
	w->broker = NULL;
	accounts_free(w->accounts);
	accounts_free(w->next_accounts);
	policies_free(w->policies);
	output_pool_free(&w->pool);
	free(w->clients);
	free(w->free_slots);
	nats_info_form_free(&w->info_forms[0]);
	nats_info_form_free(&w->info_forms[1]);
	free(w->advertised.host);
	free(w->next_advertised.host);
	free(w->buffer);
}

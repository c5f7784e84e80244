#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/signer/asker.h"
#include "supervisor/signer/keys.h"

#define BURST_SECONDS	0.1	/* what may be saved up of the rate */

struct question {
	TAILQ_ENTRY(question)	next;
	struct msg_sign		m;
	char			content[];
};
TAILQ_HEAD(question_list, question);

struct asker {
	TAILQ_ENTRY(asker)	 of_all, of_turns;
	struct askers		*askers;
	struct channel		 channel;
	enum role		 role;
	unsigned		 slot;
	struct question_list	 questions;
	unsigned		 count;
	bool			 in_turn;
	double			 saved, saved_at;	/* answers that it may have at once; when that was so */
	ev_timer		 rate;		/* until it may have another */
	ev_timer		 patience;	/* until its answers must have been read */
};

static double
seconds_now(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* -- its rate */

static double
rate_burst(const struct askers *all)
{
	const double	burst = (double)all->rate * BURST_SECONDS;

	return burst < 1 ? 1 : burst;
}

/* Seconds until it may have an answer; 0: now. */
static double
rate_wait(struct asker *a)
{
	const double	now = seconds_now(), burst = rate_burst(a->askers);

	if (a->askers->rate == 0)
		return 0;
	a->saved += (now - a->saved_at) * (double)a->askers->rate;
	a->saved_at = now;
	if (a->saved > burst)
		a->saved = burst;
	return a->saved >= 1 ? 0 : (1 - a->saved) / (double)a->askers->rate;
}

static void
timer_start(struct asker *a, ev_timer *timer, double seconds)
{
	ev_now_update(a->askers->loop);
	ev_timer_set(timer, seconds, 0);
	ev_timer_start(a->askers->loop, timer);
}

/* -- turns */

/* It has a turn if it has a question and nothing holds it back. */
static void
turn_seek(struct asker *a)
{
	double	wait;

	if (a->in_turn || a->count == 0 || !a->askers->open || ev_is_active(&a->rate) || ev_is_active(&a->patience))
		return;
	if ((wait = rate_wait(a)) > 0) {
		timer_start(a, &a->rate, wait);
		return;
	}
	a->in_turn = true;
	TAILQ_INSERT_TAIL(&a->askers->turns, a, of_turns);
	ev_idle_start(a->askers->loop, &a->askers->work);
}

static void
turn_end(struct asker *a)
{
	if (!a->in_turn)
		return;
	a->in_turn = false;
	TAILQ_REMOVE(&a->askers->turns, a, of_turns);
}

static void
question_drop(struct asker *a, struct question *q)
{
	TAILQ_REMOVE(&a->questions, q, next);
	a->count--;
	free(q);
	if (a->count < QUESTIONS_MOST && a->channel.fd != -1)
		ev_io_start(a->askers->loop, &a->channel.readable);
}

static void
asker_free(struct asker *a)
{
	turn_end(a);
	channel_close(&a->channel);
	while (!TAILQ_EMPTY(&a->questions))
		question_drop(a, TAILQ_FIRST(&a->questions));
	ev_timer_stop(a->askers->loop, &a->rate);
	ev_timer_stop(a->askers->loop, &a->patience);
	TAILQ_REMOVE(&a->askers->all, a, of_all);
	free(a);
}

/* Send what was found. False: the asker is gone. */
static bool
answer_send(struct asker *a, const struct msg *m)
{
	const int	rc = channel_send(&a->channel, m, NULL);

	if (rc != 0) {
		if (rc != -EPIPE)
			log_error("%s %u: an answer could not be sent: %s", role_name(a->role), a->slot, strerror(-rc));
		asker_free(a);
		return false;
	}
	if (a->channel.queued > ANSWERS_MOST)
		timer_start(a, &a->patience, a->askers->patience);
	return true;
}

/* One question of whoever's turn it is. */
static void
question_answer(struct asker *a)
{
	static const char *const	refusals[SIGN_REFUSALS] = { [SIGN_UNKNOWN_KEY] = "there is no such key for it",
					    [SIGN_SCHEME] = "the key has no such scheme",
					    [SIGN_CONTENT] = "a TLS server signs nothing like it", [SIGN_FAILED] = "it failed" };
	struct question			*q = TAILQ_FIRST(&a->questions);
	struct msg			 m = { .type = MSG_signature, .u.signature = { .id = q->m.id } };
	uint8_t				 signature[SIGNATURE_MAX];
	size_t				 len = 0;
	enum sign_refusal		 refused;

	if (a->askers->rate != 0)
		a->saved--;
	refused = a->askers->answer(a->askers->owner, a->role, &q->m, signature, &len);
	question_drop(a, q);
	if (refused != SIGN_DONE)
		log_limited(LOG_WARN, "refused signatures", "%s %u: a signature was refused: %s", role_name(a->role),
		    a->slot, refusals[refused]);
	m.u.signature.refused = refused;
	m.u.signature.signature = (struct bytes){ (const char *)signature, refused == SIGN_DONE ? len : 0 };
	if (answer_send(a, &m))
		turn_seek(a);
}

static void
work(struct ev_loop *loop, ev_idle *w, int revents)
{
	struct askers	*all = w->data;
	struct asker	*a = TAILQ_FIRST(&all->turns);

	if (a == NULL) {
		ev_idle_stop(loop, w);
		return;
	}
	turn_end(a);
	question_answer(a);
}

/* -- what holds back */

static void
rate_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	turn_seek(w->data);
}

static void
patience_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct asker	*a = w->data;

	log_warn("%s %u: its channel to the signer was closed: it does not read its signatures", role_name(a->role), a->slot);
	asker_free(a);
}

static void
asker_reads(struct channel *ch)
{
	struct asker	*a = ch->owner;

	ev_timer_stop(a->askers->loop, &a->patience);
	turn_seek(a);
}

/* -- questions */

static int
asker_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct asker		*a = ch->owner;
	const struct msg_sign	*s = &m->u.sign;
	struct question		*q;

	if (m->type != MSG_sign)
		return -EPERM;
	if ((q = malloc(sizeof(*q) + s->content.len)) == NULL)
		return -ENOMEM;
	q->m = *s;
	memcpy(q->content, s->content.data, s->content.len);
	q->m.content.data = q->content;
	TAILQ_INSERT_TAIL(&a->questions, q, next);
	if (++a->count >= QUESTIONS_MOST)
		ev_io_stop(a->askers->loop, &ch->readable);
	turn_seek(a);
	return 0;
}

static void
asker_broken(struct channel *ch, int error, const char *why)
{
	struct asker	*a = ch->owner;

	if (error != 0)
		log_warn("%s %u: its channel to the signer was closed: %s (%s)", role_name(a->role), a->slot, why, strerror(-error));
	asker_free(a);
}

/* -- life */

static struct asker *
asker_find(struct askers *all, enum role role, unsigned slot)
{
	struct asker	*a;

	TAILQ_FOREACH(a, &all->all, of_all)
		if (a->role == role && a->slot == slot)
			return a;
	return NULL;
}

int
asker_open(struct askers *all, enum role role, unsigned slot, int fd)
{
	struct asker	*a = asker_find(all, role, slot);

	if (a != NULL)
		asker_free(a);
	if ((a = calloc(1, sizeof(*a))) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	a->askers = all;
	a->role = role;
	a->slot = slot;
	a->saved = rate_burst(all);
	a->saved_at = seconds_now();
	TAILQ_INIT(&a->questions);
	ev_timer_init(&a->rate, rate_due, 0, 0);
	ev_timer_init(&a->patience, patience_due, 0, 0);
	a->rate.data = a->patience.data = a;
	TAILQ_INSERT_TAIL(&all->all, a, of_all);
	channel_open(&a->channel, all->loop, fd, ROLE_SIGNER, role, asker_receive, asker_broken, a);
	a->channel.state = MSG_READY;
	a->channel.sent = asker_reads;
	return 0;
}

void
askers_init(struct askers *all, struct ev_loop *loop, uint64_t rate, asker_answer *answer, void *owner)
{
	*all = (struct askers){ .loop = loop, .rate = rate, .patience = ANSWER_PATIENCE, .answer = answer,
	    .owner = owner };
	TAILQ_INIT(&all->all);
	TAILQ_INIT(&all->turns);
	ev_idle_init(&all->work, work);
	ev_set_priority(&all->work, EV_MAXPRI);	/* not after all reading is done, but between */
	all->work.data = all;
}

void
askers_open(struct askers *all)
{
	struct asker	*a;

	all->open = true;
	TAILQ_FOREACH(a, &all->all, of_all)
		turn_seek(a);
}

void
askers_free(struct askers *all)
{
	while (!TAILQ_EMPTY(&all->all))
		asker_free(TAILQ_FIRST(&all->all));
	ev_idle_stop(all->loop, &all->work);
}

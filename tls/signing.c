#include <openssl/async.h>
#include <openssl/err.h>
#include <errno.h>
#include <stdlib.h>
#include "tls/context.h"
#include "tls/provider.h"

#define CONTENT_MOST	512u	/* of `sign` */

enum job_state {
	JOB_WAITS,	/* on signing.waiting */
	JOB_ASKED,	/* in signing.jobs, from here on; its handshake is paused */
	JOB_SIGNED,
	JOB_REFUSED,
};

struct signing_job {
	RB_ENTRY(signing_job)	 by_id;
	TAILQ_ENTRY(signing_job) entry;
	struct signing		*signing;
	struct signing_turn	 turn;		/* whose it is */
	enum job_state		 state;
	uint64_t		 id, key;
	unsigned		 scheme;
	unsigned		 why;		/* refused: enum sign_refusal */
	struct bytes		 content;	/* on the stack of the handshake that waits */
	unsigned char		*out;		/* likewise */
	size_t			 len, room;
};

static int
job_compare(const struct signing_job *a, const struct signing_job *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(signing_tree, signing_job, by_id, job_compare, static __attribute__((unused)))

/* -- the channel */

/* A channel that does not take it ends, and its successor is asked again. */
static void
job_send(struct signing_job *j)
{
	const struct msg	m = { .type = MSG_sign, .u.sign = { .id = j->id, .key = j->key,
				    .scheme = j->scheme, .content = j->content } };

	(void)channel_send(&j->signing->channel, &m, NULL);
}

/* What is too long for the key cannot be its signature. */
static void
job_answer(struct signing_job *j, const struct msg_signature *m)
{
	j->state = JOB_REFUSED;
	j->why = (unsigned)m->refused;
	if (m->refused == SIGN_DONE && m->signature.len > 0 && m->signature.len <= j->room) {
		memcpy(j->out, m->signature.data, m->signature.len);
		j->len = m->signature.len;
		j->state = JOB_SIGNED;
	}
}

/* Answers to what is given up, or was answered already, are none of our concern. */
static int
signing_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct signing		*s = ch->owner;
	struct signing_job	 wanted, *j;

	if (m->type != MSG_signature)
		return -EPERM;
	wanted.id = m->u.signature.id;
	j = RB_FIND(signing_tree, &s->jobs, &wanted);
	if (j == NULL || j->state != JOB_ASKED)
		return 0;
	job_answer(j, &m->u.signature);
	j->turn.wake(j->turn.arg);
	return 0;
}

static void
signing_broken(struct channel *ch, int error, const char *why)
{
	struct signing	*s = ch->owner;

	s->lost(s);
}

void
signing_channel(struct signing *s, int fd)
{
	struct signing_job	*j;

	channel_close(&s->channel);
	channel_open(&s->channel, s->loop, fd, s->role, ROLE_SIGNER, signing_receive, signing_broken, s);
	RB_FOREACH(j, signing_tree, &s->jobs)
		if (j->state == JOB_ASKED)
			job_send(j);
}

/* -- questions */

static void
job_free(struct signing_job *j)
{
	struct signing	*s = j->signing;

	if (j->state == JOB_WAITS)
		TAILQ_REMOVE(&s->waiting, j, entry);
	else {
		RB_REMOVE(signing_tree, &s->jobs, j);
		s->asked--;
		if (!TAILQ_EMPTY(&s->waiting))
			ev_feed_event(s->loop, &s->next, EV_CUSTOM);
	}
	*j->turn.slot = NULL;
	free(j);
}

static struct signing_job *
job_new(struct signing *s, const struct signing_turn *turn, enum job_state state)
{
	struct signing_job	*j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	j->signing = s;
	j->turn = *turn;
	j->state = state;
	*turn->slot = j;
	return j;
}

/* Behind it all, once others had their turn: those that wait, as many as there is room for. */
static void
signing_next(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct signing		*s = w->data;
	struct signing_turn	 turn;
	size_t			 room;

	for (room = SIGNING_JOBS - s->asked; room > 0 && !TAILQ_EMPTY(&s->waiting); room--) {
		turn = TAILQ_FIRST(&s->waiting)->turn;
		job_free(TAILQ_FIRST(&s->waiting));
		turn.wake(turn.arg);
	}
}

/* The reason goes to where tls_error() finds it. */
static bool
job_take(struct signing_job *j, size_t *len)
{
	const bool	done = j->state == JOB_SIGNED;

	if (done)
		*len = j->len;
	else
		ERR_raise_data(ERR_LIB_USER, 1, "failed to sign handshake: the signer refused it (%u)", j->why);
	job_free(j);
	return done;
}

bool
signing_ask(struct signing *s, uint64_t key, unsigned scheme, struct bytes content,
    unsigned char *out, size_t *len, size_t room)
{
	struct signing_job	*j;

	if (ASYNC_get_current_job() == NULL || s->turn.slot == NULL || *s->turn.slot != NULL ||
	    content.len == 0 || content.len > CONTENT_MOST || (j = job_new(s, &s->turn, JOB_ASKED)) == NULL)
		return false;
	j->id = ++s->last;
	j->key = key;
	j->scheme = scheme;
	j->content = content;
	j->out = out;
	j->room = room;
	RB_INSERT(signing_tree, &s->jobs, j);
	s->asked++;
	job_send(j);
	while (j->state == JOB_ASKED)
		if (ASYNC_pause_job() == 0)
			j->state = JOB_REFUSED;
	return job_take(j, len);
}

void
signing_begin(struct signing *s, struct signing_job **slot, void (*wake)(void *arg), void *arg)
{
	if (*slot != NULL && (*slot)->state == JOB_WAITS)
		job_free(*slot);
	s->turn = (struct signing_turn){ slot, wake, arg };
}

void
signing_end(struct signing *s)
{
	s->turn = (struct signing_turn){ NULL, NULL, NULL };
}

int
signing_wait(struct signing *s, struct signing_job **slot, void (*wake)(void *arg), void *arg)
{
	const struct signing_turn	turn = { slot, wake, arg };
	struct signing_job		*j = job_new(s, &turn, JOB_WAITS);

	if (j == NULL)
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&s->waiting, j, entry);
	return 0;
}

void
signing_cancel(struct signing_job **slot)
{
	if (*slot == NULL)
		return;
	if ((*slot)->state == JOB_WAITS)
		job_free(*slot);
	else
		(*slot)->state = JOB_REFUSED;
}

/* -- life */

EVP_PKEY *
signing_key(struct signing *s, uint64_t key, X509 *certificate)
{
	EVP_PKEY	*public = X509_get0_pubkey(certificate);

	return public == NULL ? NULL : provider_key(s, key, public);
}

int
signing_init(struct signing *s, struct ev_loop *loop, enum role role,
    void (*lost)(struct signing *s), void *owner)
{
	int	rc;

	*s = (struct signing){ .loop = loop, .role = role, .lost = lost, .owner = owner };
	s->channel.fd = -1;
	RB_INIT(&s->jobs);
	TAILQ_INIT(&s->waiting);
	ev_init(&s->next, signing_next);
	s->next.data = s;
	tls_load();
	if ((rc = provider_load(s)) != 0)
		return rc;
	if (ASYNC_init_thread(SIGNING_JOBS, 0) == 1)
		return 0;
	provider_unload(s);
	return -ENOMEM;
}

void
signing_free(struct signing *s)
{
	ev_clear_pending(s->loop, &s->next);
	channel_close(&s->channel);
	ASYNC_cleanup_thread();
	provider_unload(s);
}

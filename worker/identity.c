#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "nats/subject.h"
#include "worker/identity.h"
#include "worker/sids.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define LONGEST_WAIT	3600.0	/* seconds between two looks at the clock: it may be set */
#define SUBJECT_SHOWN	1024	/* bytes of a subject in errors */
#define REVIEWS_AT_ONCE	512u	/* subscriptions that are looked at without a pause */
#define REVIEWS_A_TURN	4096u	/* and in one turn, of all clients */

/* ---- its timer */

static void
timer_set(struct identity *id, double after)
{
	struct ev_loop	*loop = id->client->worker->loop;

	ev_timer_stop(loop, &id->timer);
	ev_timer_set(&id->timer, after, 0);
	ev_timer_start(loop, &id->timer);
}

/* Until it expires, or until that is looked at again. */
static void
expiry_set(struct identity *id)
{
	double	 left;

	ev_timer_stop(id->client->worker->loop, &id->timer);
	if (id->expires == 0)
		return;
	left = (double)id->expires / 1e6 - ev_now(id->client->worker->loop);
	timer_set(id, left < 0 ? 0 : left > LONGEST_WAIT ? LONGEST_WAIT : left);
}

static void
time_is_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct identity	*id = timer->data;
	struct client	*c = id->client;

	if (!id->in) {
		client_debug(c, "Authentication Timeout");
		client_say(c, BYTES("-ERR 'Authentication Timeout'\r\n"));
		client_close(c, CLOSE_AUTHENTICATION_TIMEOUT);
	} else if ((double)id->expires / 1e6 <= ev_now(loop)) {
		client_debug(c, "User Authentication Expired");
		client_say(c, BYTES("-ERR 'User Authentication Expired'\r\n"));
		client_close(c, CLOSE_EXPIRED);
	} else
		expiry_set(id);
}

/* ---- its life */

/* Of its subscriptions this is the next to be looked at; 0: all were. */
static void
review_at(struct identity *id, uint32_t slot)
{
	struct identities_list	*all = &id->client->worker->logins.reviewed;

	if (id->next == 0 && slot != 0)
		TAILQ_INSERT_TAIL(all, id, reviewing);
	else if (id->next != 0 && slot == 0)
		TAILQ_REMOVE(all, id, reviewing);
	id->next = slot;
}

int
identity_new(struct client *c)
{
	struct identity	*id = calloc(1, sizeof(*id));

	if (id == NULL)
		return -ENOMEM;
	id->client = c;
	ev_timer_init(&id->timer, time_is_over, 0, 0);
	id->timer.data = id;
	c->identity = id;
	if (c->stop != CLIENT_SHAKES)	/* else when its handshake is over */
		identity_wait(id);
	return 0;
}

void
identity_wait(struct identity *id)
{
	timer_set(id, id->client->worker->settings->auth_timeout);
}

void
identity_rest(struct identity *id)
{
	if (id == NULL)
		return;
	ev_timer_stop(id->client->worker->loop, &id->timer);
	review_at(id, 0);
}

void
identity_free(struct identity *id)
{
	if (id == NULL)
		return;
	identity_rest(id);
	policy_put(id->policy);
	grants_free(&id->grants);
	free(id->user);
	id->client->identity = NULL;
	free(id);
}

static enum identity_kind
kind_of(const struct identity *id, const char *user)
{
	const struct nats_connect	*connect = id->question == NULL ? NULL : &id->question->connect;

	if (user[0] == '\0')
		return IDENTITY_NOBODY;
	if (connect == NULL)
		return (enum identity_kind)id->kind;
	if (connect->nkey != NULL && strcmp(connect->nkey, user) == 0)
		return IDENTITY_NKEY;
	return connect->auth_token != NULL && connect->auth_token[0] != '\0' &&
	    (connect->user == NULL || connect->user[0] == '\0') ? IDENTITY_TOKEN : IDENTITY_USER;
}

int
identity_take(struct identity *id, struct verdict *v)
{
	struct client	*c = id->client;
	uint64_t	 messages;
	double		 seconds;
	char		*user = strdup(v->user);

	if (user == NULL)
		return -ENOMEM;
	id->kind = (uint8_t)kind_of(id, user);
	free(id->user);
	id->user = user;
	policy_put(id->policy);
	id->policy = v->policy;
	v->policy = NULL;
	id->responds = id->policy != NULL && policy_responds(id->policy, &messages, &seconds);
	if (!id->responds)
		grants_free(&id->grants);
	id->grant = v->m.grant;
	id->expires = v->m.expires;
	id->in = true;
	expiry_set(id);
	c->hint = (struct publish_hint){ 0 };
	client_belongs(c, (uint32_t)v->m.account, id->user);
	return 0;
}

/* ---- what it is called */

const char *
identity_label(const struct identity *id, char *text, size_t size)
{
	static const char *const	 kinds[] = {
		[IDENTITY_NOBODY] = "", [IDENTITY_USER] = "user:", [IDENTITY_NKEY] = "nkey:",
		[IDENTITY_TOKEN] = "token",
	};
	bool				 named = id->kind == IDENTITY_USER || id->kind == IDENTITY_NKEY;

	snprintf(text, size, "%s%s", kinds[id->kind], named ? id->user : "");
	return text;
}

const char *
identity_name(enum identity_kind kind, const char *user, char *text, size_t size)
{
	static const char *const	 kinds[] = {
		[IDENTITY_NOBODY] = "User", [IDENTITY_USER] = "User", [IDENTITY_NKEY] = "Nkey",
		[IDENTITY_TOKEN] = "Token",
	};
	char				 quoted[256];

	if (kind == IDENTITY_TOKEN)
		user = "[REDACTED]";
	else if (kind == IDENTITY_NOBODY || user == NULL)
		user = "N/A";
	subject_quote(quoted, sizeof(quoted), bytes_of(user));
	snprintf(text, size, "%s %s", kinds[kind], quoted);
	return text;
}

/* ---- what it may */

void
identity_flags(struct client *c)
{
	const struct identity	*id = c->identity;
	const struct account	*account = worker_account(c->worker, c->account);
	bool			 enters = (id != NULL && id->policy != NULL) ||
	    (account != NULL && account->nmappings > 0);

	c->flags &= ~(uint32_t)(CLIENT_ENTERS | CLIENT_CHECKED);
	if (enters)
		c->flags |= CLIENT_ENTERS;
	if (id != NULL && id->policy != NULL)
		c->flags |= CLIENT_CHECKED;
}

/* A subscription that it may not have any more; the texts are those of the 2.x server. */
static void
subscription_lost(struct client *c, uint32_t slot, struct bytes subject, struct bytes queue)
{
	const struct identity	*id = c->identity;
	struct bytes		 sid = sid_of(c->worker, broker_subscription(c->worker->broker, slot));
	char			 text[2 * SUBJECT_SHOWN + 512], s[SUBJECT_SHOWN], q[256], n[128], name[320];
	int			 len;

	subject_quote(s, sizeof(s), subject);
	subject_quote(n, sizeof(n), sid);
	subject_quote(q, sizeof(q), queue);
	len = snprintf(text, sizeof(text), "-ERR 'Permissions Violation for Subscription to %s%s%s (sid %s)'\r\n",
	    s, queue.len > 0 ? " using queue " : "", queue.len > 0 ? q : "", n);
	broker_unsubscribe(c->worker->broker, slot);
	client_say(c, (struct bytes){ text, (size_t)len });
	log_limited(LOG_INFO, "removed subscriptions", "Removed sub %s%s%s (sid %s) for %s - not authorized",
	    s, queue.len > 0 ? " using queue " : "", queue.len > 0 ? q : "", n,
	    identity_name((enum identity_kind)id->kind, id->user, name, sizeof(name)));
}

static enum policy_subscribes
may_have(const struct client *c, struct bytes subject, struct bytes queue)
{
	struct policy	*p = c->identity->policy;

	return p == NULL ? SUBSCRIBE_ALLOWED : policy_subscribe(p, subject, queue);
}

/* One of c's, which may be gone then. */
static void
subscription_review(struct client *c, uint32_t slot)
{
	static char		 subject[INDEX_SUBJECT_MAX];
	struct broker		*b = c->worker->broker;
	struct subscription	*sub = broker_subscription(b, slot);
	struct bytes		 queue, s = { subject, 0 };

	s.len = broker_subject(b, slot, subject, sizeof(subject), &queue);
	switch (may_have(c, s, queue)) {
	case SUBSCRIBE_REFUSED:
		subscription_lost(c, slot, s, queue);
		break;
	case SUBSCRIBE_FILTERED:
		sub->flags |= SUBSCRIPTION_FILTERED;
		break;
	case SUBSCRIBE_ALLOWED:
		sub->flags &= (uint8_t)~SUBSCRIPTION_FILTERED;
		break;
	}
}

/* At most `most` of them. How many. */
static unsigned
review_step(struct identity *id, unsigned most)
{
	struct client	*c = id->client;
	unsigned	 n = 0;
	uint32_t	 slot;

	for (; n < most && (slot = id->next) != 0; n++) {
		review_at(id, broker_subscription(c->worker->broker, slot)->conn_next);
		subscription_review(c, slot);
	}
	return n;
}

void
identity_review(struct client *c)
{
	review_at(c->identity, c->first);
	(void)review_step(c->identity, REVIEWS_AT_ONCE);
}

bool
identities_review(struct worker *w)
{
	struct identity	*id;
	unsigned	 left = REVIEWS_A_TURN;

	while (left > 0 && (id = TAILQ_FIRST(&w->logins.reviewed)) != NULL)
		left -= review_step(id, left);
	return !TAILQ_EMPTY(&w->logins.reviewed);
}

void
identity_follow(struct client *c, uint32_t from, uint32_t to)
{
	if (c->identity != NULL && c->identity->next == from)
		review_at(c->identity, to);
}

/*
 * To whom the answers of services go. Each participant has a prefix of its own
 * for the reply subjects it gives to services, and one wildcard subscription
 * for it in each exporting account that it asked. What comes there is looked up
 * by the token behind the prefix, and published to the requester's own reply.
 *
 * Answers come in while lanes are drained, where nothing may wait. So they go
 * into a queue, and from it, in order, as far as the lanes they need have
 * space. What the queue has no room for is lost and counted.
 *
 * Who waits may go before the answer comes. Each subscription of a client here that
 * goes makes its account one whose requests are looked at, a few at a time and in turn,
 * however many subscriptions go meanwhile: those whose reply nobody wants any more end.
 */
#include <sys/tree.h>
#include <sys/queue.h>
#include <errno.h>
#include <stdlib.h>
#include "broker/private.h"
#include "common/log.h"

#define ANSWERS_BYTES		((size_t)64 << 20)	/* of all requests that wait for an answer */
#define ANSWERS_OF_ACCOUNT	((size_t)16 << 20)	/* of those of one account */
#define BUCKETS_LEAST		64u
#define DUE_MOST		4096u			/* answers in the queue, */
#define DUE_BYTES		((size_t)32 << 20)	/* and their bytes */
#define LOOK_MOST		256u			/* requests looked at, */
#define LOOK_EVERY		0.01			/* in so many seconds: is their reply wanted? */
#define RANDOM_POOL		1024u			/* bytes asked of the system at once */

/* A request that waits: so many bytes and its reply subject, and a sample if it has one. */
struct response {
	struct response		*chain;		/* of its bucket */
	RB_ENTRY(response)	 expiry;
	TAILQ_ENTRY(response)	 asked;		/* of its requester */
	double			 expires, threshold;
	struct sample		*sample;
	uint32_t		 account, requester;
	enum response_type	 type;
	uint32_t		 reply_len;
	uint32_t		 bytes;		/* that are counted for it */
	bool			 wanted;	/* somebody listened at the reply subject when it was asked */
	char			 token[ANSWER_TOKEN];
	char			 reply[];
};

static int
response_compare(const struct response *a, const struct response *b)
{
	if (a->expires != b->expires)
		return a->expires < b->expires ? -1 : 1;
	return a < b ? -1 : a > b;
}

RB_HEAD(responses, response);
RB_GENERATE_INTERNAL(responses, response, expiry, response_compare, static __attribute__((unused)))

/* What is kept of an account that asks or is asked. */
struct party {
	RB_ENTRY(party)	 entry;
	uint32_t	 account;
	uint32_t	 slot;		/* of our subscription in it; 0: none */
	size_t		 bytes;		/* of the requests it made */
	TAILQ_HEAD(, response) asked;	/* those */
	uint32_t	 nasked;
	uint32_t	 look;		/* so many of them, from the first, are to be looked at; not 0: it is in `looking` */
	TAILQ_ENTRY(party) looked;
};

static int
party_compare(const struct party *a, const struct party *b)
{
	return a->account < b->account ? -1 : a->account > b->account;
}

RB_HEAD(parties, party);
RB_GENERATE_INTERNAL(parties, party, entry, party_compare, static __attribute__((unused)))

/* An answer, or a message of ours, on its way out. */
struct due {
	STAILQ_ENTRY(due)	 next;
	struct block		*body;
	size_t			 body_at, body_len;
	uint64_t		 cid;
	uint32_t		 account, publisher, header;
	uint32_t		 subject_len, reply_len;
	bool			 imported;
	uint32_t		 from;		/* whose reply it has; 0: none to give a subject of ours */
	enum response_type	 type;
	double			 threshold;
	char			 text[];	/* subject, reply */
};

struct answers {
	char			 own[ANSWER_OWN];
	struct response		**buckets;
	uint32_t		 nbuckets, count;
	struct responses	 waiting;
	struct parties		 parties;
	TAILQ_HEAD(, party)	 looking;
	double			 look_after;	/* not before then */
	size_t			 bytes;
	STAILQ_HEAD(, due)	 due;
	uint32_t		 ndue;
	size_t			 due_bytes;
	bool			 continuing, held;	/* held: a publisher was told to wait */
	uint8_t			 random[RANDOM_POOL];
	uint32_t		 random_left;
};

/* ---- subjects */

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

static void
token_make(struct answers *a, char *out, size_t len)
{
	size_t i;

	if (a->random_left < len) {
		arc4random_buf(a->random, sizeof(a->random));
		a->random_left = sizeof(a->random);
	}
	for (i = 0; i < len; i++)
		out[i] = digits[a->random[--a->random_left] & 63];
}

static char *
subject_make(const struct answers *a, char *to, const char *token, size_t token_len)
{
	memcpy(to, ANSWER_PREFIX, sizeof(ANSWER_PREFIX) - 1);
	to += sizeof(ANSWER_PREFIX) - 1;
	memcpy(to, a->own, ANSWER_OWN);
	to += ANSWER_OWN;
	*to++ = '.';
	memcpy(to, token, token_len);
	return to + token_len;
}

bool
answers_subject(struct bytes subject)
{
	return (subject.len == ANSWER_SUBJECT || subject.len == ANSWER_MARKED) &&
	    memcmp(subject.data, ANSWER_PREFIX, sizeof(ANSWER_PREFIX) - 1) == 0;
}

bool
answers_marked(struct bytes subject)
{
	return subject.len == ANSWER_MARKED && answers_subject(subject) &&
	    memcmp(subject.data + ANSWER_SUBJECT, ANSWER_MARK, sizeof(ANSWER_MARK) - 1) == 0;
}

bool
answers_own(const struct broker *b, struct bytes subject)
{
	return answers_subject(subject) &&
	    memcmp(subject.data + sizeof(ANSWER_PREFIX) - 1, b->answers->own, ANSWER_OWN) == 0;
}

struct bytes
answers_name(const struct broker *b)
{
	return (struct bytes){ b->answers->own, ANSWER_OWN };
}

bool
answers_characters(struct bytes name)
{
	size_t i;

	for (i = 0; i < name.len; i++)
		if (memchr(digits, name.data[i], sizeof(digits) - 1) == NULL)
			return false;
	return true;
}

/* ---- the table. Tokens are random: a few of their characters are the hash. */

static struct response **
bucket_of(const struct answers *a, const char *token)
{
	uint64_t hash;

	memcpy(&hash, token, sizeof(hash));
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return &a->buckets[(hash >> 32) & (a->nbuckets - 1)];
}

static int
table_grow(struct answers *a)
{
	struct response	**old = a->buckets, **place, *r;
	uint32_t	  i, n = a->nbuckets;

	if (a->count < n)
		return 0;
	if ((a->buckets = calloc(n == 0 ? BUCKETS_LEAST : n * 2, sizeof(*a->buckets))) == NULL) {
		a->buckets = old;
		return n == 0 ? -ENOMEM : 0;	/* longer chains do as well */
	}
	a->nbuckets = n == 0 ? BUCKETS_LEAST : n * 2;
	for (i = 0; i < n; i++)
		while ((r = old[i]) != NULL) {
			old[i] = r->chain;
			place = bucket_of(a, r->token);
			r->chain = *place;
			*place = r;
		}
	free(old);
	return 0;
}

static struct response *
response_find(const struct answers *a, uint32_t account, const char token[ANSWER_TOKEN])
{
	struct response	*r;

	if (a->nbuckets == 0)
		return NULL;
	for (r = *bucket_of(a, token); r != NULL; r = r->chain)
		if (memcmp(r->token, token, ANSWER_TOKEN) == 0)
			return r->account == account ? r : NULL;
	return NULL;
}

/* The one whose answers are published there. */
static struct response *
response_at(const struct answers *a, uint32_t account, struct bytes subject)
{
	if (!answers_subject(subject))
		return NULL;
	return response_find(a, account, subject.data + ANSWER_SUBJECT - ANSWER_TOKEN);
}

bool
answers_sampled(const struct broker *b, uint32_t account, const char token[ANSWER_TOKEN])
{
	const struct response	*r = response_find(b->answers, account, token);

	return r != NULL && r->sample != NULL;
}

/* ---- accounts */

static struct party *
party_find(struct answers *a, uint32_t account)
{
	struct party	 key = { .account = account };

	return RB_FIND(parties, &a->parties, &key);
}

/* NULL: no memory. */
static struct party *
party_of(struct answers *a, uint32_t account)
{
	struct party	*p = party_find(a, account);

	if (p != NULL)
		return p;
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->account = account;
	TAILQ_INIT(&p->asked);
	RB_INSERT(parties, &a->parties, p);
	return p;
}

static void
party_let_go(struct answers *a, struct party *p)
{
	if (p->slot != 0 || p->bytes != 0)
		return;
	RB_REMOVE(parties, &a->parties, p);
	free(p);
}

/* Our subscription there, before the first request leaves. */
static int
party_subscribe(struct broker *b, struct party *p)
{
	char	 subject[ANSWER_SUBJECT];
	char	*end = subject_make(b->answers, subject, ">", 1);

	if (p->slot != 0)
		return 0;
	return subscription_add(b, p->account, NOBODY_SLOT, (struct bytes){ subject, (size_t)(end - subject) },
	    (struct bytes){ NULL, 0 }, SUBSCRIPTION_ANSWERS, &p->slot);
}

/* ---- requests that wait */

static void
party_add(struct answers *a, struct party *p, struct response *r)
{
	TAILQ_INSERT_TAIL(&p->asked, r, asked);
	p->nasked++;
	p->bytes += r->bytes;
	a->bytes += r->bytes;
}

static void
party_remove(struct answers *a, struct party *p, struct response *r)
{
	TAILQ_REMOVE(&p->asked, r, asked);
	p->nasked--;
	p->bytes -= r->bytes;
	a->bytes -= r->bytes;
	if (p->look <= p->nasked)
		return;
	p->look = p->nasked;
	if (p->look == 0)
		TAILQ_REMOVE(&a->looking, p, looked);
}

static void
response_unlink(struct broker *b, struct response *r)
{
	struct answers	 *a = b->answers;
	struct response	**place = bucket_of(a, r->token);
	struct party	 *p = party_find(a, r->requester);

	while (*place != r)
		place = &(*place)->chain;
	*place = r->chain;
	RB_REMOVE(responses, &a->waiting, r);
	a->count--;
	party_remove(a, p, r);
	party_let_go(a, p);
}

static void
response_free(struct broker *b, struct response *r)
{
	response_unlink(b, r);
	sample_free(r->sample);
	free(r);
}

static void
response_renew(struct broker *b, struct response *r)
{
	RB_REMOVE(responses, &b->answers->waiting, r);
	r->expires = seconds_now() + r->threshold;
	RB_INSERT(responses, &b->answers->waiting, r);
}

/* May this account have one more that waits? */
static bool
party_may(const struct broker *b, const struct party *p, size_t bytes)
{
	const struct account *a;

	if (b->answers->bytes + bytes <= ANSWERS_BYTES && p->bytes + bytes <= ANSWERS_OF_ACCOUNT)
		return true;
	a = b->accounts == NULL ? NULL : accounts_find(b->accounts, p->account);
	log_limited(LOG_WARN, "answers", "too many requests of account %s to services wait for an answer",
	    a == NULL ? "?" : a->name);
	return false;
}

/* Would somebody get an answer now, as far as we can see? A mapped subject may become any other. */
static bool
reply_wanted(struct broker *b, uint32_t account, struct bytes reply)
{
	if (answers_own(b, reply))
		return response_at(b->answers, account, reply) != NULL;
	return enter_maps(b, account, reply) || broker_wanted(b, account, reply);
}

static struct response *
response_new(struct broker *b, const struct asking *ask)
{
	struct answers	*a = b->answers;
	struct party	*from = party_of(a, ask->account), *by = party_of(a, ask->requester);
	struct response	*r = NULL, **place;
	size_t		 bytes = sizeof(*r) + ask->reply.len + sample_bytes(ask->sample);

	if (from == NULL || by == NULL || table_grow(a) != 0 || party_subscribe(b, from) != 0 ||
	    !party_may(b, by, bytes) ||
	    (r = malloc(sizeof(*r) + ask->reply.len)) == NULL) {
		if (by != NULL)
			party_let_go(a, by);
		if (from != NULL && from != by)
			party_let_go(a, from);
		return NULL;
	}
	*r = (struct response){ .expires = seconds_now() + ask->threshold, .threshold = ask->threshold,
	    .sample = ask->sample, .account = ask->account, .requester = ask->requester, .type = ask->type,
	    .reply_len = (uint32_t)ask->reply.len, .bytes = (uint32_t)bytes,
	    .wanted = reply_wanted(b, ask->requester, ask->reply) };
	token_make(a, r->token, ANSWER_TOKEN);
	memcpy(r->reply, ask->reply.data, ask->reply.len);
	place = bucket_of(a, r->token);
	r->chain = *place;
	*place = r;
	RB_INSERT(responses, &a->waiting, r);
	a->count++;
	party_add(a, by, r);
	return r;
}

struct response *
answers_expect(struct broker *b, const struct asking *ask, char *to, struct bytes *subject)
{
	struct response	*r = response_new(b, ask);
	char		*end;

	if (r == NULL) {
		sample_free(ask->sample);
		return NULL;
	}
	end = subject_make(b->answers, to, r->token, ANSWER_TOKEN);
	if (r->sample != NULL) {
		responders_listen(b);
		memcpy(end, ANSWER_MARK, sizeof(ANSWER_MARK) - 1);
		end += sizeof(ANSWER_MARK) - 1;
	}
	*subject = (struct bytes){ to, (size_t)(end - to) };
	return r;
}

/* It ends without an answer, for this reason. */
static void
response_fail(struct broker *b, struct response *r, int status, const char *description)
{
	struct sample	*sample = r->sample;

	r->sample = NULL;
	response_free(b, r);
	if (sample != NULL)
		sample_failed(b, sample, status, description);
}

void
answers_cancel(struct broker *b, struct response *r)
{
	response_fail(b, r, 503, "Service Unavailable");
}

/* ---- is the reply wanted? */

static void
party_look(struct answers *a, struct party *p)
{
	if (p == NULL || p->nasked == 0)
		return;
	if (p->look == 0)
		TAILQ_INSERT_TAIL(&a->looking, p, looked);
	p->look = p->nasked;
}

void
answers_unsubscribed(struct broker *b, uint32_t account)
{
	if (b->answers->count != 0)
		party_look(b->answers, party_find(b->answers, account));
}

/* At the first request of p that was not looked at for longest. */
static void
party_look_once(struct broker *b, struct party *p)
{
	struct answers	*a = b->answers;
	struct response	*r = TAILQ_FIRST(&p->asked);
	uint32_t	 account = r->account;

	TAILQ_REMOVE(&p->asked, r, asked);
	TAILQ_INSERT_TAIL(&p->asked, r, asked);
	TAILQ_REMOVE(&a->looking, p, looked);
	if (--p->look != 0)
		TAILQ_INSERT_TAIL(&a->looking, p, looked);
	/* Where nobody listened yet somebody may do so later. */
	if (!r->wanted || reply_wanted(b, r->requester, (struct bytes){ r->reply, r->reply_len }))
		return;
	response_fail(b, r, 408, "Request Timeout");
	party_look(a, party_find(a, account));	/* it may have asked further for this one */
}

/* Accounts in turn, so that none waits for another that has many requests. */
static void
answers_look(struct broker *b, double now)
{
	struct answers	*a = b->answers;
	unsigned	 n;

	if (TAILQ_EMPTY(&a->looking) || now < a->look_after)
		return;
	a->look_after = now + LOOK_EVERY;
	for (n = 0; n < LOOK_MOST && !TAILQ_EMPTY(&a->looking); n++)
		party_look_once(b, TAILQ_FIRST(&a->looking));
}

/* ---- time */

void
answers_expire(struct broker *b)
{
	struct response	*r;
	double		 now;

	if (RB_EMPTY(&b->answers->waiting))
		return;
	now = seconds_now();
	while ((r = RB_MIN(responses, &b->answers->waiting)) != NULL && r->expires <= now)
		response_fail(b, r, 504, "Service Timeout");
	answers_look(b, now);
}

double
answers_timeout(const struct broker *b, double now)
{
	const struct answers	*a = b->answers;
	const struct response	*r = RB_MIN(responses, &b->answers->waiting);
	double			 next;

	if (r == NULL)
		return 0;
	next = r->expires;
	if (!TAILQ_EMPTY(&a->looking) && a->look_after < next)
		next = a->look_after;
	return next - now < 0.001 ? 0.001 : next - now;
}

/* ---- the queue */

bool
answers_full(const struct broker *b)
{
	const struct answers	*a = b->answers;

	/* What comes from the queue itself does not wait for it to get shorter. */
	if (a->continuing || (a->ndue < DUE_MOST / 2 && a->due_bytes < DUE_BYTES / 2))
		return false;
	b->answers->held = true;
	return true;
}

uint64_t
publisher_cid(const struct broker *b, uint32_t publisher)
{
	if (publisher >= TABLES_CONNECTIONS)
		return 0;
	return atomic_load_explicit(&tables_connections(b->tables)[publisher].cid, memory_order_relaxed);
}

/* NULL: no room, or no memory. */
static struct due *
due_new(struct broker *b, const struct message *m, struct bytes subject)
{
	struct answers	*a = b->answers;
	struct due	*d = NULL;
	size_t		 len = sizeof(*d) + subject.len + m->reply.len;

	if (a->ndue >= DUE_MOST || a->due_bytes + m->body.len + len > DUE_BYTES || (d = malloc(len)) == NULL)
		goto lost;
	*d = (struct due){ .body = m->block, .body_len = m->body.len, .account = m->account,
	    .publisher = m->publisher, .cid = publisher_cid(b, m->publisher), .header = m->header,
	    .subject_len = (uint32_t)subject.len, .reply_len = (uint32_t)m->reply.len };
	if (m->block != NULL) {
		m->block->references++;
		d->body_at = (size_t)(m->body.data - m->block->data);
	} else if ((d->body = block_new(m->body.len)) == NULL)
		goto lost;
	else if (m->body.len != 0)
		memcpy(d->body->data, m->body.data, m->body.len);
	memcpy(d->text, subject.data, subject.len);
	if (m->reply.len != 0)
		memcpy(d->text + subject.len, m->reply.data, m->reply.len);
	STAILQ_INSERT_TAIL(&a->due, d, next);
	a->ndue++;
	a->due_bytes += m->body.len + len;
	return d;
 lost:
	free(d);
	counter_add(&b->tables->records_lost, 1);
	return NULL;
}

static void
due_free(struct answers *a, struct due *d)
{
	STAILQ_REMOVE_HEAD(&a->due, next);
	a->ndue--;
	a->due_bytes -= d->body_len + sizeof(*d) + d->subject_len + d->reply_len;
	block_unref(d->body);
	free(d);
}

bool
answers_tell(struct broker *b, const struct message *m)
{
	return due_new(b, m, m->subject) != NULL;
}

bool
answers_take(struct broker *b, const struct message *m)
{
	struct response	*r = response_at(b->answers, m->account, m->subject);
	struct due	*d;

	if (r == NULL)
		return false;
	if ((d = due_new(b, m, (struct bytes){ r->reply, r->reply_len })) != NULL) {
		d->account = r->requester;
		d->imported = true;
		d->from = m->reply.len != 0 ? r->account : 0;
		d->type = r->type;
		d->threshold = r->threshold;
	}
	if (r->sample != NULL) {
		sample_answered(b, r->sample, m, r->token);
		r->sample = NULL;
	}
	if (r->type == RESPONSE_SINGLETON || m->body.len == 0)
		response_free(b, r);
	else
		response_renew(b, r);
	return true;
}

/* A reply to the answer comes back through us too. NULL: there is no room to wait for one. */
static struct response *
due_reply(struct broker *b, struct due *d, struct message *m, char *reply)
{
	struct asking	 ask = { .account = d->account, .requester = d->from, .reply = m->reply,
	    .type = d->type, .threshold = d->threshold };

	m->reply = (struct bytes){ reply, 0 };
	return answers_expect(b, &ask, reply, &m->reply);
}

/* False: a lane that it needs is full. */
static bool
due_publish(struct broker *b, struct due *d)
{
	struct publish_hint	 hint = { 0 };
	struct response		*r = NULL;
	char			 reply[ANSWER_MARKED];
	struct message		 m = { .account = d->account, .subject = { d->text, d->subject_len },
	    .reply = { d->text + d->subject_len, d->reply_len }, .header = d->header,
	    .body = { d->body->data + d->body_at, d->body_len }, .block = d->body,
	    .publisher = d->publisher, .echo = true, .imported = d->imported };

	if (b->accounts == NULL || accounts_find(b->accounts, d->account) == NULL)
		return true;
	if (b->mappings != NULL)
		(void)enter_map(b, m.account, &m.subject, b->pattern);
	if (d->from != 0)
		r = due_reply(b, d, &m, reply);
	if (broker_publish(b, &m, d->cid, &hint) == PUBLISHED)
		return true;
	if (r != NULL)
		response_free(b, r);
	return false;
}

void
answers_continue(struct broker *b)
{
	struct answers	*a = b->answers;
	struct due	*d;

	if (a->continuing || b->routing != 0)
		return;
	a->continuing = true;
	while ((d = STAILQ_FIRST(&a->due)) != NULL && due_publish(b, d))
		due_free(a, d);
	a->continuing = false;
	if (a->held && a->ndue < DUE_MOST / 4 && a->due_bytes < DUE_BYTES / 4) {
		a->held = false;
		b->unblock = true;
	}
}

/* ---- coming, changing, going */

int
answers_new(struct broker *b)
{
	struct answers	*a;

	if (b->answers != NULL)
		return 0;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return -ENOMEM;
	RB_INIT(&a->waiting);
	RB_INIT(&a->parties);
	TAILQ_INIT(&a->looking);
	STAILQ_INIT(&a->due);
	token_make(a, a->own, sizeof(a->own));
	b->answers = a;
	return 0;
}

void
answers_free(struct broker *b)
{
	struct answers	*a = b->answers;
	struct response	*r;
	struct party	*p;

	if (a == NULL)
		return;
	while ((r = RB_MIN(responses, &a->waiting)) != NULL)
		response_free(b, r);
	while ((p = RB_MIN(parties, &a->parties)) != NULL) {
		RB_REMOVE(parties, &a->parties, p);
		free(p);
	}
	while (!STAILQ_EMPTY(&a->due))
		due_free(a, STAILQ_FIRST(&a->due));
	free(a->buckets);
	free(a);
	b->answers = NULL;
}

void
answers_accounts(struct broker *b)
{
	struct answers	*a = b->answers;
	struct party	*p, *next;

	if (b->accounts == NULL)
		responders_forget(b);
	if (a == NULL)
		return;
	for (p = RB_MIN(parties, &a->parties); p != NULL; p = next) {
		next = RB_NEXT(parties, &a->parties, p);
		if (p->slot == 0 || (b->accounts != NULL && accounts_find(b->accounts, p->account) != NULL))
			continue;
		subscription_drop(b, p->slot);
		p->slot = 0;
		party_let_go(a, p);
	}
}

void
answers_moved(struct broker *b, const uint32_t *map)
{
	struct party	*p;

	responders_moved(b, map);
	if (b->answers == NULL)
		return;
	RB_FOREACH(p, parties, &b->answers->parties)
		if (p->slot != 0)
			p->slot = map[p->slot];
}

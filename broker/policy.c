/*
 * A set of patterns for each kind of permission, and what was answered last.
 * Clients choose the subjects, so the key of the cache's hash is ours.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/patterns.h"
#include "broker/policy_private.h"
#include "common/records.h"
#include "nats/subject.h"
#include "shm/hash.h"

#define VERDICTS_LEAST	16		/* in a cache at first */
#define VERDICTS_MOST	256		/* more are no faster than the patterns, as they miss the processor's caches */
#define VERDICTS_BYTES	((size_t)32 << 20)	/* of all caches together; what is over asks the patterns */
#define VERDICT_TEXT	116		/* longer ones are not kept */
#define KINDS		4

enum question { ASKED_NOTHING, ASKED_PUBLISH, ASKED_DELIVER };

/* An answer: two cache lines. */
struct verdict {
	uint32_t	tag;		/* of the hash */
	uint16_t	subject, queue;	/* lengths in text, one behind the other */
	uint8_t		question;
	bool		yes;
	char		text[VERDICT_TEXT + 2];
};
_Static_assert(sizeof(struct verdict) == 128, "two cache lines");

struct policy {
	struct policy	*next;		/* of the same place in `policies` */
	struct policies	*all;
	struct patterns	*sets[KINDS];	/* by enum permission_kind; NULL: none */
	struct verdict	*verdicts;	/* NULL at first */
	uint32_t	 capacity, misses;
	uint32_t	 references;
	bool		 restricted[2];	/* publishing, subscribing: nothing but what is allowed */
	uint64_t	 responses;
	double		 responses_time;
	struct bytes	*queues;	/* of patterns: their number less one */
	uint32_t	 nqueues, queues_room;
	uint64_t	 hash, serial;
	size_t		 length;
	char		 records[];
};

static uint64_t	serials;		/* given so far */

struct policies {
	uint8_t		 secret[HASH_SECRET];
	struct policy	**places;	/* by hash */
	size_t		 nplaces, count;	/* a power of two */
	size_t		 verdict_bytes;
};

/* ---- all of them */

int
policies_new(struct policies **out)
{
	struct policies *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return -ENOMEM;
	all->nplaces = 16;
	all->places = calloc(all->nplaces, sizeof(struct policy *));
	if (all->places == NULL) {
		free(all);
		return -ENOMEM;
	}
	arc4random_buf(all->secret, sizeof(all->secret));
	*out = all;
	return 0;
}

const uint8_t *
policy_secret(const struct policy *p)
{
	return p->all->secret;
}

static void
policy_free(struct policy *p)
{
	unsigned i;

	for (i = 0; i < KINDS; i++)
		patterns_free(p->sets[i]);
	for (i = 0; i < p->nqueues; i++)
		free((void *)(uintptr_t)p->queues[i].data);
	free(p->queues);
	p->all->verdict_bytes -= p->capacity * sizeof(*p->verdicts);
	free(p->verdicts);
	free(p);
}

void
policies_free(struct policies *all)
{
	struct policy	*p;
	size_t		 i;

	if (all == NULL)
		return;
	for (i = 0; i < all->nplaces; i++)
		while ((p = all->places[i]) != NULL) {
			all->places[i] = p->next;
			policy_free(p);
		}
	free(all->places);
	free(all);
}

/* Twice as many places; without the memory the lists get longer. */
static void
policies_grow(struct policies *all)
{
	size_t		  n = all->nplaces * 2, i;
	struct policy	**places = calloc(n, sizeof(struct policy *)), *p;

	if (places == NULL)
		return;
	for (i = 0; i < all->nplaces; i++)
		while ((p = all->places[i]) != NULL) {
			all->places[i] = p->next;
			p->next = places[p->hash & (n - 1)];
			places[p->hash & (n - 1)] = p;
		}
	free(all->places);
	all->places = places;
	all->nplaces = n;
}

/* ---- reading one */

/* A pattern's queue group becomes its number; 0: it has none. */
static int
queue_number(struct policy *p, struct bytes queue, uint32_t *number)
{
	struct bytes	*wider;
	char		*copy;

	*number = 0;
	if (queue.len == 0)
		return 0;
	if (p->nqueues == p->queues_room) {
		p->queues_room = p->queues_room == 0 ? 8 : p->queues_room * 2;
		wider = realloc(p->queues, p->queues_room * sizeof(*wider));
		if (wider == NULL)
			return -ENOMEM;
		p->queues = wider;
	}
	copy = malloc(queue.len);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, queue.data, queue.len);
	p->queues[p->nqueues++] = (struct bytes){ copy, queue.len };
	*number = p->nqueues;
	return 0;
}

/* What is being read, and why it cannot be. */
struct reading { struct policy *p; bool begun; const char *why; };

static int
reading_wrong(struct reading *r, const char *why)
{
	r->why = why;
	return -EBADMSG;
}

static int
permission_read(struct reading *r, const struct msg_permission *m)
{
	struct policy	*p = r->p;
	uint32_t	 number;

	if (!subject_valid(m->subject))
		return reading_wrong(r, "a permission's subject");
	if (m->queue.len != 0 && (m->kind < SUBSCRIBE_ALLOW || !subject_valid(m->queue)))
		return reading_wrong(r, "a permission's queue");
	if (p->sets[m->kind] == NULL && (p->sets[m->kind] = patterns_new(p->all->secret)) == NULL)
		return -ENOMEM;
	if (queue_number(p, m->queue, &number) != 0)
		return -ENOMEM;
	return patterns_add(p->sets[m->kind], m->subject, number);
}

static int
record_read(void *arg, const struct msg *m)
{
	struct reading *r = arg;

	if (m->type == MSG_permission && r->begun)
		return permission_read(r, &m->u.permission);
	if (m->type != MSG_permission_set || r->begun)
		return reading_wrong(r, "the order of permissions");
	r->begun = true;
	r->p->restricted[0] = m->u.permission_set.publish != 0;
	r->p->restricted[1] = m->u.permission_set.subscribe != 0;
	r->p->responses = m->u.permission_set.responses;
	r->p->responses_time = m->u.permission_set.responses_time == INT64_MAX ? -1 :
	    (double)m->u.permission_set.responses_time / 1000;
	return 0;
}

static int
policy_new(struct policy **out, struct policies *all, struct bytes records, const char **why)
{
	struct policy	*p = calloc(1, sizeof(*p) + records.len);
	struct reading	 r = { .p = p };
	int		 rc;

	if (p == NULL)
		return -ENOMEM;
	p->all = all;
	p->references = 1;
	p->serial = ++serials;
	p->length = records.len;
	memcpy(p->records, records.data, records.len);
	rc = records_each(records, ROLE_CONFIG, ROLE_WORKER, record_read, &r, why);
	if (r.why != NULL)
		*why = r.why;
	if (rc != 0) {
		policy_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

int
policy_get(struct policies *all, struct bytes records, struct policy **out, const char **why)
{
	struct policy	*p;
	uint64_t	 hash;
	int		 rc;

	if (records.len == 0) {
		*out = NULL;
		return 0;
	}
	hash = hash_bytes(all->secret, records);
	for (p = all->places[hash & (all->nplaces - 1)]; p != NULL; p = p->next)
		if (p->hash == hash && bytes_equal(policy_records(p), records)) {
			p->references++;
			*out = p;
			return 0;
		}
	if ((rc = policy_new(&p, all, records, why)) != 0)
		return rc;
	if (++all->count > all->nplaces)
		policies_grow(all);
	p->hash = hash;
	p->next = all->places[hash & (all->nplaces - 1)];
	all->places[hash & (all->nplaces - 1)] = p;
	*out = p;
	return 0;
}

void
policy_put(struct policy *p)
{
	struct policy **at;

	if (p == NULL || --p->references != 0)
		return;
	for (at = &p->all->places[p->hash & (p->all->nplaces - 1)]; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	p->all->count--;
	policy_free(p);
}

uint64_t
policy_serial(const struct policy *p)
{
	return p->serial;
}

struct bytes
policy_records(const struct policy *p)
{
	return (struct bytes){ p->records, p->length };
}

/* ---- what was answered before */

static inline bool
verdict_is(const struct verdict *v, enum question question, struct bytes subject, struct bytes queue)
{
	return v->question == question && v->subject == subject.len && v->queue == queue.len &&
	    memcmp(v->text, subject.data, subject.len) == 0 &&
	    (queue.len == 0 || memcmp(v->text + subject.len, queue.data, queue.len) == 0);
}

/* More room for what was asked, if it was missed often; what is there is forgotten. */
static void
verdicts_grow(struct policy *p)
{
	uint32_t	 capacity = p->capacity == 0 ? VERDICTS_LEAST : p->capacity * 2;
	size_t		 more = (capacity - p->capacity) * sizeof(*p->verdicts);
	struct verdict	*verdicts;

	p->misses = 0;
	if (capacity > VERDICTS_MOST || p->all->verdict_bytes + more > VERDICTS_BYTES)
		return;
	verdicts = calloc(capacity, sizeof(*verdicts));
	if (verdicts == NULL)
		return;
	free(p->verdicts);
	p->verdicts = verdicts;
	p->capacity = capacity;
	p->all->verdict_bytes += more;
}

/* The place of an answer; NULL: there is no cache. */
static struct verdict *
verdict_place(const struct policy *p, uint64_t hash)
{
	return p->capacity == 0 ? NULL : &p->verdicts[hash & (p->capacity - 1)];
}

static void
verdict_keep(struct policy *p, enum question question, struct bytes subject, struct bytes queue, uint64_t hash,
    bool yes)
{
	struct verdict *v;

	if (subject.len + queue.len > VERDICT_TEXT)
		return;
	if (p->misses++ >= 2 * p->capacity)
		verdicts_grow(p);
	v = verdict_place(p, hash);
	if (v == NULL)
		return;
	*v = (struct verdict){ .tag = (uint32_t)(hash >> 32), .subject = (uint16_t)subject.len,
	    .queue = (uint16_t)queue.len, .question = (uint8_t)question, .yes = yes };
	if (subject.len != 0)
		memcpy(v->text, subject.data, subject.len);
	if (queue.len != 0)
		memcpy(v->text + subject.len, queue.data, queue.len);
}

/* ---- deciding */

/* What is looked for among the patterns that were found. */
struct search {
	const struct policy	*p;
	struct bytes		 queue;
	bool			 plain, group, grouped;	/* found: without a queue; one of theirs; with one */
};

/* Group names may look like patterns, so the very name comes first. */
static bool
queue_matches(struct bytes queue, struct bytes wanted)
{
	return bytes_equal(queue, wanted) ||
	    (subject_has_wildcard(wanted) && subject_within(queue, wanted));
}

static bool
search_found(void *arg, uint32_t number)
{
	struct search *s = arg;

	if (number == 0)
		s->plain = true;
	else if (s->queue.len != 0) {
		s->grouped = true;
		s->group |= queue_matches(s->queue, s->p->queues[number - 1]);
	}
	return s->queue.len == 0 ? s->plain : s->group;
}

static struct search
search(struct policy *p, enum permission_kind kind, enum patterns_asked asked, struct bytes subject,
    struct bytes queue)
{
	struct search s = { .p = p, .queue = queue };

	if (p->sets[kind] != NULL)
		(void)patterns_ask(p->sets[kind], asked, subject, search_found, &s);
	return s;
}

static bool
is_denied(struct policy *p, enum permission_kind kind, enum patterns_asked asked, struct bytes subject,
    struct bytes queue)
{
	struct search s = search(p, kind, asked, subject, queue);

	return s.plain || s.group;
}

bool
policy_allows(struct policy *p, struct bytes subject)
{
	const struct bytes none = BYTES("");

	if (p->restricted[0] && !search(p, PUBLISH_ALLOW, PATTERNS_MATCH, subject, none).plain)
		return false;
	return !is_denied(p, PUBLISH_DENY, PATTERNS_MATCH, subject, none);
}

bool
policy_publish_near(struct policy *p, struct bytes subject, uint32_t *place)
{
	const struct bytes	 none = BYTES("");
	struct verdict		*v = verdict_place(p, *place);
	uint64_t		 hash;
	bool			 yes;

	if (v != NULL && verdict_is(v, ASKED_PUBLISH, subject, none))
		return v->yes;
	if (!p->restricted[0] && p->sets[PUBLISH_DENY] == NULL)
		return true;
	hash = hash_mix(hash_bytes(p->all->secret, subject), ASKED_PUBLISH);
	*place = (uint32_t)hash;
	v = verdict_place(p, hash);
	if (v != NULL && v->tag == hash >> 32 && verdict_is(v, ASKED_PUBLISH, subject, none))
		return v->yes;
	yes = policy_allows(p, subject);
	verdict_keep(p, ASKED_PUBLISH, subject, none, hash, yes);
	return yes;
}

bool
policy_publish(struct policy *p, struct bytes subject)
{
	uint32_t place = 0;

	return policy_publish_near(p, subject, &place);
}

enum policy_subscribes
policy_subscribe(struct policy *p, struct bytes subject, struct bytes queue)
{
	struct search s;

	if (p->restricted[1]) {
		s = search(p, SUBSCRIBE_ALLOW, PATTERNS_CONTAIN, subject, queue);
		if (s.grouped ? !s.group : !s.plain)
			return SUBSCRIBE_REFUSED;
	}
	if (is_denied(p, SUBSCRIBE_DENY, PATTERNS_MATCH, subject, queue))
		return SUBSCRIBE_REFUSED;
	return is_denied(p, SUBSCRIBE_DENY, PATTERNS_OVERLAP, subject, queue) ?
	    SUBSCRIBE_FILTERED : SUBSCRIBE_ALLOWED;
}

bool
policy_delivers(struct policy *p, struct bytes subject, struct bytes queue)
{
	uint64_t	 hash = hash_bytes(p->all->secret, subject);
	struct verdict	*v;
	bool		 yes;

	if (queue.len != 0)
		hash = hash_mix(hash, hash_bytes(p->all->secret, queue));
	hash = hash_mix(hash, ASKED_DELIVER);
	v = verdict_place(p, hash);
	if (v != NULL && v->tag == hash >> 32 && verdict_is(v, ASKED_DELIVER, subject, queue))
		return v->yes;
	yes = !is_denied(p, SUBSCRIBE_DENY, PATTERNS_MATCH, subject, queue);
	verdict_keep(p, ASKED_DELIVER, subject, queue, hash, yes);
	return yes;
}

bool
policy_responds(const struct policy *p, uint64_t *messages, double *seconds)
{
	if (p->responses == 0)
		return false;
	*messages = p->responses;
	*seconds = p->responses_time;
	return true;
}

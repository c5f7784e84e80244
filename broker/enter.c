/*
 * What a message becomes before it is routed, and whether it may: the account's
 * mapping, then the publisher's permission for what came out.
 *
 * What a subject is mapped to is kept in `mapped`, by account and subject. With weights or
 * random(n) only which mapping it is can be kept.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/patterns.h"
#include "broker/private.h"
#include "shm/hash.h"

#define MAPPED		4096		/* subjects that are kept */
#define MAPPED_TEXT	108		/* of a subject and what it becomes; longer ones are not kept */

/* A number of a mapping, or: */
#define MAPS_NOTHING	UINT32_MAX
#define MAPS_ALWAYS	(UINT32_MAX - 1)	/* to the same, which stands behind the subject */

struct mapped {
	uint32_t	account;	/* 0: free */
	uint16_t	subject, becomes;	/* lengths in text, one behind the other */
	uint32_t	mapping;
	char		text[MAPPED_TEXT + 8];
};
_Static_assert(sizeof(struct mapped) == 128, "two cache lines");

/* The mappings of one account. */
struct mapper {
	const struct account	*account;
	struct patterns		*sources;	/* by their place in the account's list, where the first one wins */
};

struct mappings {
	struct mapper	*mappers;		/* in the order of the accounts' numbers */
	uint32_t	 count;
	struct mapped	 mapped[MAPPED];
	char		 text[INDEX_SUBJECT_MAX];	/* a subject that is not kept */
};

/* ---- when accounts come */

static int
mapper_init(struct mapper *mapper, const struct account *a, const uint8_t *secret)
{
	uint32_t	i;

	mapper->account = a;
	mapper->sources = patterns_new(secret);
	if (mapper->sources == NULL)
		return -ENOMEM;
	for (i = 0; i < a->nmappings; i++)
		if (patterns_add(mapper->sources, bytes_of(a->mappings[i].source), i) != 0)
			return -ENOMEM;
	return 0;
}

static void
mappings_free(struct mappings *all)
{
	uint32_t i;

	if (all == NULL)
		return;
	for (i = 0; i < all->count; i++)
		patterns_free(all->mappers[i].sources);
	free(all->mappers);
	free(all);
}

static uint32_t
accounts_with_mappings(const struct accounts *accounts)
{
	uint32_t i, n = 0;

	for (i = 0; accounts != NULL && i < accounts->count; i++)
		n += accounts->all[i]->nmappings != 0;
	return n;
}

static int
mappings_new(struct mappings **out, const struct accounts *accounts, uint32_t n, const uint8_t *secret)
{
	struct mappings	*all = calloc(1, sizeof(*all));
	uint32_t	 i;

	if (all == NULL || (all->mappers = calloc(n, sizeof(*all->mappers))) == NULL)
		goto none;
	for (i = 0; i < accounts->count; i++)
		if (accounts->all[i]->nmappings != 0 &&
		    mapper_init(&all->mappers[all->count++], accounts->all[i], secret) != 0)
			goto none;
	*out = all;
	return 0;
 none:
	mappings_free(all);
	return -ENOMEM;
}

int
enter_set_accounts(struct broker *b, const struct accounts *accounts)
{
	struct mappings	*all = NULL;
	uint32_t	 n = accounts_with_mappings(accounts);
	int		 rc = n == 0 ? 0 : mappings_new(&all, accounts, n, b->secret);

	mappings_free(b->mappings);
	b->mappings = all;
	return rc;
}

void
enter_free(struct broker *b)
{
	mappings_free(b->mappings);
	b->mappings = NULL;
}

/* ---- which mapping */

static const struct mapper *
mapper_find(const struct mappings *all, uint32_t account)
{
	uint32_t low = 0, high = all->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (all->mappers[middle].account->number == account)
			return &all->mappers[middle];
		if (all->mappers[middle].account->number < account)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool
lowest(void *arg, uint32_t number)
{
	uint32_t *least = arg;

	if (number < *least)
		*least = number;
	return false;
}

/* The number of the account's mapping for subject, or MAPS_NOTHING. */
static uint32_t
mapping_choose(const struct mapper *mapper, struct bytes subject)
{
	uint32_t least = MAPS_NOTHING;

	if (mapper != NULL)
		(void)patterns_ask(mapper->sources, PATTERNS_MATCH, subject, lowest, &least);
	if (least != MAPS_NOTHING && mapper->account->mappings[least].count == 0)
		return MAPS_NOTHING;
	return least;
}

/* Where the source itself is listed with a weight, the rest is lost; else it stays as it is. */
static bool
mapping_loses(const struct mapping *map)
{
	uint32_t i;

	for (i = 0; i < map->count; i++)
		if (bytes_equal(transform_destination(map->to[i].transform), bytes_of(map->source)))
			return true;
	return false;
}

static bool
mapping_is_fixed(const struct mapping *map)
{
	return map->count == 1 && map->to[0].weight >= 100 && transform_fixed(map->to[0].transform);
}

/* By weight; NULL: none of them. */
static const struct transform *
destination_choose(struct broker *b, const struct mapping *map)
{
	uint64_t at = random_below(b, 100);
	uint32_t i;

	for (i = 0; i < map->count; i++) {
		if (at < map->to[i].weight)
			return map->to[i].transform;
		at -= map->to[i].weight;
	}
	return NULL;
}

/* What subject becomes, in text. False: it is too long. */
static bool
mapping_apply(struct broker *b, const struct mapping *map, struct bytes *subject, char text[INDEX_SUBJECT_MAX])
{
	const struct transform	*t = destination_choose(b, map);
	int			 len;

	if (t == NULL) {
		if (mapping_loses(map))
			*subject = BYTES("");
		return true;
	}
	len = transform_subject(t, *subject, random_below(b, UINT64_MAX), text, INDEX_SUBJECT_MAX);
	if (len < 0)
		return false;
	*subject = (struct bytes){ text, (size_t)len };
	return true;
}

/* ---- what is kept */

static inline bool
mapped_is(const struct mapped *m, uint32_t account, struct bytes subject)
{
	return m->account == account && m->subject == subject.len &&
	    memcmp(m->text, subject.data, subject.len) == 0;
}

/* Keep what becomes of subject; if it is not always the same, `becomes` is "". */
static void
mapped_keep(struct mapped *m, uint32_t account, struct bytes subject, uint32_t mapping, struct bytes becomes)
{
	*m = (struct mapped){ .account = account, .subject = (uint16_t)subject.len,
	    .becomes = (uint16_t)becomes.len, .mapping = mapping };
	memcpy(m->text, subject.data, subject.len);
	memcpy(m->text + subject.len, becomes.data, becomes.len);
}

/* A subject that is not kept yet. */
static bool
map_newly(struct broker *b, uint32_t account, struct bytes *subject, struct mapped *m)
{
	const struct mapper	*mapper = mapper_find(b->mappings, account);
	uint32_t		 n = mapping_choose(mapper, *subject);
	struct bytes		 before = *subject;
	const struct mapping	*map;

	if (before.len > MAPPED_TEXT)
		return n == MAPS_NOTHING ||
		    mapping_apply(b, &mapper->account->mappings[n], subject, b->mappings->text);
	mapped_keep(m, account, before, n, BYTES(""));
	if (n == MAPS_NOTHING)
		return true;
	map = &mapper->account->mappings[n];
	if (!mapping_apply(b, map, subject, b->mappings->text))
		return false;
	if (mapping_is_fixed(map) && before.len + subject->len <= MAPPED_TEXT)
		mapped_keep(m, account, before, MAPS_ALWAYS, *subject);
	return true;
}

/* *place: where the last one was. */
static bool
map_near(struct broker *b, uint32_t account, struct bytes *subject, uint32_t *place)
{
	struct mapped	*m = &b->mappings->mapped[*place % MAPPED];

	if (!mapped_is(m, account, *subject)) {
		*place = (uint32_t)hash_mix(hash_bytes(b->secret, *subject), account);
		m = &b->mappings->mapped[*place % MAPPED];
		if (!mapped_is(m, account, *subject))
			return map_newly(b, account, subject, m);
	}
	if (m->mapping == MAPS_NOTHING)
		return true;
	if (m->mapping == MAPS_ALWAYS) {
		*subject = (struct bytes){ m->text + m->subject, m->becomes };
		return true;
	}
	return mapping_apply(b, &mapper_find(b->mappings, account)->account->mappings[m->mapping],
	    subject, b->mappings->text);
}

bool
enter_map(struct broker *b, uint32_t account, struct bytes *subject, char text[INDEX_SUBJECT_MAX])
{
	const struct mapper	*mapper = mapper_find(b->mappings, account);
	uint32_t		 n = mapping_choose(mapper, *subject);

	return n == MAPS_NOTHING || mapping_apply(b, &mapper->account->mappings[n], subject, text);
}

bool
enter_maps(const struct broker *b, uint32_t account, struct bytes subject)
{
	return b->mappings != NULL && mapping_choose(mapper_find(b->mappings, account), subject) != MAPS_NOTHING;
}

/* ---- entering */

/*
 * Is the policy the one that was last found to allow what the entry is about? The entry is what
 * broker_publish() needs next, so that this costs no search of its own; only where there is none yet,
 * or another policy had it, is the policy itself asked.
 */
static bool
enter_permitted(struct broker *b, const struct message *m, struct policy *policy, struct publish_hint *hint)
{
	struct entry	*e = hint->entry;

	if (e == NULL || !entry_is(e, m->account, m->subject))
		e = match_find(b, m->account, m->subject);
	if (e == NULL)
		return policy_publish_near(policy, m->subject, &hint->verdict);
	hint->entry = e;
	hint->policy = policy;
	hint->serial = policy_serial(policy);
	if (e->permitted != hint->serial && !policy_publish_near(policy, m->subject, &hint->verdict))
		return false;
	e->permitted = hint->serial;
	hint->entered = b->built;
	return true;
}

/* May it be published, or else is it an answer? */
static bool
enter_allowed(struct broker *b, const struct message *m, struct policy *policy, struct grants *grants,
    struct publish_hint *hint, double now)
{
	if (enter_permitted(b, m, policy, hint))
		hint->granted = false;
	else if (!hint->again || !hint->granted)
		return hint->granted = grants != NULL && grants_use(grants, m->subject, now);
	return true;
}

/* The same subject as before, by the same policy. */
static inline bool
enter_again(const struct broker *b, const struct message *m, const struct policy *policy,
    struct publish_hint *hint)
{
	const struct entry	*e = hint->entry;

	if (b->mappings != NULL || hint->policy != policy || e == NULL || e->permitted != hint->serial ||
	    !entry_is(e, m->account, m->subject))
		return false;
	hint->again = hint->granted = false;
	hint->entered = b->built;
	return true;
}

/* Apart, so that who has neither does not pay for its registers. */
static __attribute__((noinline)) enum entering
enter_looked_at(struct broker *b, struct message *m, struct policy *policy, struct grants *grants,
    struct publish_hint *hint, double now)
{
	if (b->mappings != NULL && !map_near(b, m->account, &m->subject, &hint->mapped))
		return ENTER_REFUSED;
	if (policy != NULL && !enter_allowed(b, m, policy, grants, hint, now))
		return ENTER_REFUSED;
	hint->again = false;
	return ENTERS;
}

enum entering
broker_enter(struct broker *b, struct message *m, struct policy *policy, struct grants *grants,
    struct publish_hint *hint, double now)
{
	if ((b->mappings == NULL && policy == NULL) || enter_again(b, m, policy, hint))
		return ENTERS;
	return enter_looked_at(b, m, policy, grants, hint, now);
}

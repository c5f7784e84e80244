#include <stdlib.h>
#include <string.h>
#include "admin/system/tallies.h"

#define SLOW	BYTES("Slow Consumer ")	/* how the reasons of all that were cut for that begin */

/* A sum that stays within INT64_MAX. */
static void
add(uint64_t *sum, uint64_t n)
{
	if (n > INT64_MAX)
		n = INT64_MAX;
	*sum = n > INT64_MAX - *sum ? INT64_MAX : *sum + n;
}

static int
account_compare(const void *key, const void *member)
{
	uint32_t	a = *(const uint32_t *)key, b = ((const struct past_account *)member)->account;

	return a < b ? -1 : a > b;
}

/* Of that account, made if there was none. They are in order. NULL: no memory. */
static struct tally *
past_of(struct past *p, uint32_t account)
{
	struct past_account	*found, *grown;
	uint32_t		 i, room = p->room == 0 ? 16 : p->room * 2;

	found = p->count == 0 ? NULL : bsearch(&account, p->all, p->count, sizeof(*p->all), account_compare);
	if (found != NULL)
		return &found->tally;
	if (p->count == p->room) {
		grown = reallocarray(p->all, room, sizeof(*grown));
		if (grown == NULL)
			return NULL;
		p->all = grown;
		p->room = room;
	}
	for (i = p->count; i > 0 && p->all[i - 1].account > account; i--)
		p->all[i] = p->all[i - 1];
	p->all[i] = (struct past_account){ .account = account };
	p->count++;
	return &p->all[i].tally;
}

void
past_add(struct past *p, const struct msg_client_event *e)
{
	struct tally	*t = past_of(p, (uint32_t)e->account);

	if (t == NULL)
		return;
	add(&t->in_msgs, e->in_msgs);
	add(&t->in_bytes, e->in_bytes);
	add(&t->out_msgs, e->out_msgs);
	add(&t->out_bytes, e->out_bytes);
	if (e->reason.len > SLOW.len && memcmp(e->reason.data, SLOW.data, SLOW.len) == 0)
		add(&t->slow_consumers, 1);
}

void
past_free(struct past *p)
{
	free(p->all);
	*p = (struct past){ NULL, 0, 0 };
}

static int
number_compare(const void *key, const void *member)
{
	uint32_t	a = *(const uint32_t *)key, b = (*(struct account *const *)member)->number;

	return a < b ? -1 : a > b;
}

static void
tally_connection(struct tally *all, const struct accounts *a, const struct connection *c)
{
	struct account	**found = bsearch(&c->account, a->all, a->count, sizeof(*a->all), number_compare);
	struct tally	 *t;

	if (found == NULL)
		return;
	t = &all[found - a->all];
	t->connections++;
	add(&t->subscriptions, c->subscriptions);
	add(&t->in_msgs, c->in_msgs);
	add(&t->in_bytes, c->in_bytes);
	add(&t->out_msgs, c->out_msgs);
	add(&t->out_bytes, c->out_bytes);
}

struct tally *
tallies_take(const struct view *v, const struct past *p, const struct accounts *a)
{
	struct tally		*all = calloc(a->count, sizeof(*all));
	const struct past_account *was;
	struct connection	 c;
	uint32_t		 i, top;
	unsigned		 worker;

	if (all == NULL)
		return NULL;
	for (i = 0; i < a->count && p->count > 0; i++) {
		was = bsearch(&a->all[i]->number, p->all, p->count, sizeof(*p->all), account_compare);
		if (was != NULL)
			all[i] = was->tally;
	}
	for (worker = 0; worker < PARTICIPANTS; worker++)
		for (i = 0, top = connection_top(v, worker); i < top; i++)
			if (connection_read(v, worker, i, &c))
				tally_connection(all, a, &c);
	return all;
}

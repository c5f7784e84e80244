/*
 * One member of a group for each message: a random one, uniform over all
 * members here and there; from that on, the next that may have it.
 */
#include "broker/private.h"

/* splitmix64: no secret hangs on it, spread is all that is asked. */
static uint64_t
random_next(struct broker *b)
{
	uint64_t z = (b->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t
random_below(struct broker *b, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)random_next(b) * n) >> 64);
}

bool
queue_deliver(struct broker *b, const struct entry *e, const struct group *g, const struct message *m)
{
	const struct taker	*t = e->takers + g->first;
	uint32_t		 i, at;

	if (g->nlocal == 0)
		return false;
	at = (uint32_t)random_below(b, g->nlocal);
	for (i = 0; i < g->nlocal; i++, at = at + 1 == g->nlocal ? 0 : at + 1)
		if (deliver_one(b, t[at], m))
			return true;
	return false;
}

/* Index among g's takers of its member number `at`. */
static uint32_t
queue_member(const struct taker *t, const struct group *g, uint64_t at)
{
	uint32_t i;

	if (at < g->nlocal)
		return (uint32_t)at;
	at -= g->nlocal;
	for (i = g->nlocal; at >= t[i].weight; i++)
		at -= t[i].weight;
	return i;
}

static void
queue_pick(struct broker *b, const struct entry *e, const struct group *g, uint32_t participant)
{
	if (b->npicks < sizeof(b->picks) / sizeof(b->picks[0]))
		b->picks[b->npicks++] = (struct pick){ participant,
		    (uint32_t)(g - entry_groups(e)) };
}

bool
queue_publish(struct broker *b, const struct entry *e, struct group *g, const struct message *m)
{
	const struct taker	*t = e->takers + g->first;
	uint32_t		 n = g->nlocal + g->nremote, at, i, round;

	g->served = true;
	g->refused = false;
	at = queue_member(t, g, random_below(b, g->total));
	for (round = 0; round < 2; round++)
		for (i = 0; i < n; i++, at = at + 1 == n ? 0 : at + 1) {
			if (at < g->nlocal) {
				if (round == 0 && deliver_one(b, t[at], m))
					return true;
			} else if (round == 1 || (b->blocked & BIT(t[at].participant)) == 0) {
				g->refused = round == 1;
				queue_pick(b, e, g, t[at].participant);
				return false;
			}
		}
	g->served = false;
	return false;
}

bool
queue_blocked(const struct broker *b, const struct entry *e, const struct group *g,
    const struct message *m)
{
	const struct taker	*t = e->takers + g->first;
	uint32_t		 i;

	for (i = 0; i < g->nlocal; i++)
		if (!g->refused && (m->echo || t[i].connection != m->publisher))
			return false;
	for (; i < g->nlocal + g->nremote; i++)
		if ((b->blocked & BIT(t[i].participant)) == 0)
			return false;
	return g->nremote != 0;
}

int
queue_participant(struct broker *b, const struct entry *e, const struct group *g)
{
	const struct taker	*t = e->takers + g->first;
	uint64_t		 others = g->total - g->nlocal;

	if (others == 0)
		return -1;
	return (int)t[queue_member(t, g, g->nlocal + random_below(b, others))].participant;
}

/*
 * Granted subjects by hash, and in a ring from the oldest to the newest: all of
 * one client last equally long, so those that are over stand in front.
 */
#include <stdlib.h>
#include "broker/policy_private.h"
#include "common/messages.h"
#include "shm/hash.h"

#define PLACES_LEAST	8

struct grant {
	struct grant	*next;			/* of the same place */
	struct grant	*older, *newer;
	uint64_t	 hash, left;		/* messages that may come */
	double		 until;			/* negative: for ever */
	uint32_t	 length;
	char		 subject[];
};

struct grants_table {
	const uint8_t	*secret;		/* of the policies */
	struct grant	**places;
	uint32_t	 nplaces, count;	/* nplaces: a power of two */
	struct grant	*oldest, *newest;
	size_t		 bytes;			/* of all grants */
};

/* ---- the ring and the places */

static void
ring_add(struct grants_table *t, struct grant *g)
{
	g->newer = NULL;
	g->older = t->newest;
	if (t->newest != NULL)
		t->newest->newer = g;
	else
		t->oldest = g;
	t->newest = g;
}

static void
ring_remove(struct grants_table *t, struct grant *g)
{
	if (g->older != NULL)
		g->older->newer = g->newer;
	else
		t->oldest = g->newer;
	if (g->newer != NULL)
		g->newer->older = g->older;
	else
		t->newest = g->older;
}

static size_t
grant_bytes(size_t length)
{
	return sizeof(struct grant) + length;
}

static struct grant **
grant_place(const struct grants_table *t, uint64_t hash)
{
	return &t->places[hash & (t->nplaces - 1)];
}

static struct grant *
grant_find(const struct grants_table *t, uint64_t hash, struct bytes subject)
{
	struct grant *g = *grant_place(t, hash);

	while (g != NULL && (g->hash != hash ||
	    !bytes_equal((struct bytes){ g->subject, g->length }, subject)))
		g = g->next;
	return g;
}

static void
grant_end(struct grants_table *t, struct grant *g)
{
	struct grant **at = grant_place(t, g->hash);

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	ring_remove(t, g);
	t->count--;
	t->bytes -= grant_bytes(g->length);
	free(g);
}

/* Without the memory the lists get longer. */
static void
places_grow(struct grants_table *t)
{
	uint32_t	  n = t->nplaces * 2;
	struct grant	**places = calloc(n, sizeof(struct grant *)), *g;

	if (places == NULL)
		return;
	for (g = t->oldest; g != NULL; g = g->newer) {
		g->next = places[g->hash & (n - 1)];
		places[g->hash & (n - 1)] = g;
	}
	free(t->places);
	t->places = places;
	t->nplaces = n;
}

static struct grants_table *
table_new(const uint8_t *secret)
{
	struct grants_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->secret = secret;
	t->nplaces = PLACES_LEAST;
	t->places = calloc(t->nplaces, sizeof(struct grant *));
	if (t->places != NULL)
		return t;
	free(t);
	return NULL;
}

/* ---- granting */

static bool
is_over(const struct grant *g, double now)
{
	return g->until >= 0 && g->until < now;
}

static struct grant *
grant_new(struct grants_table *t, uint64_t hash, struct bytes subject)
{
	struct grant *g;

	if (subject.len > UINT32_MAX || (g = malloc(grant_bytes(subject.len))) == NULL)
		return NULL;
	if (t->count == t->nplaces)
		places_grow(t);
	g->hash = hash;
	g->left = 0;
	g->length = (uint32_t)subject.len;
	memcpy(g->subject, subject.data, subject.len);
	g->next = *grant_place(t, hash);
	*grant_place(t, hash) = g;
	ring_add(t, g);
	t->count++;
	t->bytes += grant_bytes(subject.len);
	return g;
}

bool
grants_add(struct grants *grants, struct policy *p, struct bytes reply, double now)
{
	struct grants_table	*t = grants->table;
	struct grant		*g;
	uint64_t		 messages, hash;
	double			 seconds;

	if (reply.len == 0 || !policy_responds(p, &messages, &seconds) || policy_allows(p, reply))
		return true;
	if (t == NULL && (t = grants->table = table_new(policy_secret(p))) == NULL)
		return false;
	while (t->oldest != NULL && (is_over(t->oldest, now) || t->count >= GRANTS_MOST ||
	    t->bytes + grant_bytes(reply.len) > GRANTS_BYTES))
		grant_end(t, t->oldest);
	hash = hash_bytes(t->secret, reply);
	g = grant_find(t, hash, reply);
	if (g == NULL)
		g = grant_new(t, hash, reply);
	if (g == NULL)
		return false;
	g->left = messages >= NO_LIMIT - g->left ? NO_LIMIT : g->left + messages;
	g->until = seconds < 0 ? -1 : now + seconds;
	ring_remove(t, g);
	ring_add(t, g);
	return true;
}

bool
grants_use(struct grants *grants, struct bytes subject, double now)
{
	struct grants_table	*t = grants->table;
	struct grant		*g;

	if (t == NULL || t->count == 0 ||
	    (g = grant_find(t, hash_bytes(t->secret, subject), subject)) == NULL)
		return false;
	if (is_over(g, now)) {
		grant_end(t, g);
		return false;
	}
	if (g->left != NO_LIMIT && --g->left == 0)
		grant_end(t, g);
	return true;
}

void
grants_free(struct grants *grants)
{
	struct grants_table *t = grants->table;

	if (t == NULL)
		return;
	while (t->oldest != NULL)
		grant_end(t, t->oldest);
	free(t->places);
	free(t);
	grants->table = NULL;
}

#include <errno.h>
#include <string.h>
#include "admin/system/view.h"

int
view_directory(struct view *v, int fd)
{
	struct segment	seg;
	int		rc;

	rc = segment_map_peer(&seg, fd, DIRECTORY_SIZE);
	if (rc != 0)
		return rc;
	if (v->directory.base != NULL)
		segment_unmap(&v->directory);
	v->directory = seg;
	return 0;
}

int
view_tables(struct view *v, unsigned slot, uint64_t incarnation, int fd)
{
	struct segment	seg;
	int		rc;

	rc = segment_map_peer(&seg, fd, TABLES_SIZE);
	if (rc != 0)
		return rc;
	if (v->workers[slot].incarnation != 0)
		segment_unmap(&v->workers[slot].tables);
	else
		v->live++;
	v->workers[slot].incarnation = incarnation;
	v->workers[slot].tables = seg;
	return 0;
}

void
view_tables_gone(struct view *v, unsigned slot, uint64_t incarnation)
{
	if (incarnation == 0 || v->workers[slot].incarnation != incarnation)
		return;
	segment_unmap(&v->workers[slot].tables);
	v->workers[slot].incarnation = 0;
	v->live--;
}

void
view_free(struct view *v)
{
	unsigned	slot;

	for (slot = 0; slot < PARTICIPANTS; slot++)
		view_tables_gone(v, slot, v->workers[slot].incarnation);
	if (v->directory.base != NULL)
		segment_unmap(&v->directory);
	memset(v, 0, sizeof(*v));
}

static uint64_t
load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Add a counter, at most `most` of it, to a sum that stays within INT64_MAX. */
static void
add(uint64_t *sum, const _Atomic uint64_t *counter, uint64_t most)
{
	uint64_t	n = load(counter);

	if (n > most)
		n = most;
	*sum = n > INT64_MAX - *sum ? INT64_MAX : *sum + n;
}

static void
add_worker(struct totals *t, const struct tables_head *h)
{
	add(&t->in_msgs, &h->in_msgs, INT64_MAX);
	add(&t->in_bytes, &h->in_bytes, INT64_MAX);
	add(&t->out_msgs, &h->out_msgs, INT64_MAX);
	add(&t->out_bytes, &h->out_bytes, INT64_MAX);
	add(&t->subscriptions, &h->subscriptions, TABLES_SUBSCRIPTIONS);
	add(&t->slow_consumers, &h->slow_consumers, INT64_MAX);
	add(&t->stale_connections, &h->stale_connections, INT64_MAX);
	add(&t->stalled, &h->stalled, INT64_MAX);
	for (unsigned i = 0; i < LIMITS; i++)
		add(&t->over_limit[i], &h->over_limit[i], INT64_MAX);
}

/* The supervisor's word: who is connected, who was, what dead workers left. */
static void
add_directory(struct totals *t, const struct directory *d)
{
	add(&t->in_msgs, &d->departed.in_msgs, INT64_MAX);
	add(&t->in_bytes, &d->departed.in_bytes, INT64_MAX);
	add(&t->out_msgs, &d->departed.out_msgs, INT64_MAX);
	add(&t->out_bytes, &d->departed.out_bytes, INT64_MAX);
	add(&t->slow_consumers, &d->departed.slow_consumers, INT64_MAX);
	add(&t->stale_connections, &d->departed.stale_connections, INT64_MAX);
	add(&t->stalled, &d->departed.stalled, INT64_MAX);
	for (unsigned i = 0; i < LIMITS; i++)
		add(&t->over_limit[i], &d->departed.over_limit[i], INT64_MAX);
	add(&t->connections, &d->connections, INT64_MAX);
	add(&t->total_connections, &d->total_connections, INT64_MAX);
	add(&t->replaced, &d->replaced, INT64_MAX);
	add(&t->started, &d->started, INT64_MAX);
}

void
view_totals(const struct view *v, struct totals *t)
{
	unsigned	slot;

	memset(t, 0, sizeof(*t));
	if (v->directory.base != NULL)
		add_directory(t, v->directory.base);
	for (slot = 0; slot < PARTICIPANTS; slot++)
		if (v->workers[slot].incarnation != 0)
			add_worker(t, tables_head(v->workers[slot].tables.base));
}

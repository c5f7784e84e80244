/* The broker as a whole, and its peers coming and going. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "broker/private.h"

int
broker_new(struct broker **out, const struct broker_config *config,
    const struct segment *directory, const struct segment *partition, const struct segment *tables)
{
	struct broker	*b;
	int		 rc;

	if (config->participant >= PARTICIPANTS || directory->size < sizeof(struct directory) ||
	    tables->size < TABLES_SIZE)
		return -EINVAL;
	if ((b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63)) == NULL)
		return -ENOMEM;
	memset(b, 0, offsetof(struct broker, head));
	if ((rc = index_new(&b->index, partition, config->secret)) != 0 ||
	    (rc = cache_init(&b->cache)) != 0) {
		broker_free(b);
		return rc;
	}
	memcpy(b->secret, config->secret, sizeof(b->secret));
	b->epoch = b->own_epoch = b->membership = 1;
	b->participant = config->participant;
	b->calls = *config->calls;
	b->program = config->program;
	b->max_payload = config->max_payload;
	b->watchdog = config->watchdog;
	b->server_name = config->server_name;
	b->cluster = config->cluster;
	b->directory = directory->base;
	b->tables = tables_head(tables->base);
	b->subs = tables_subscriptions(tables->base);
	b->nobody.subject = b->nobody.short_subject;
	b->nobody.takers = b->nobody.few;
	arc4random_buf(&b->random, sizeof(b->random));
	*out = b;
	return 0;
}

void
broker_raise_payload(struct broker *b, size_t max_payload)
{
	if (max_payload > b->max_payload)
		b->max_payload = max_payload;
}

void
broker_set_watchdog(struct broker *b, double watchdog)
{
	b->watchdog = watchdog;
}

/* ---- peers */

static void
peer_free(struct peer *p)
{
	lane_close(&p->lane);
	if (p->partition.base != NULL)
		segment_unmap(&p->partition);
	block_unref(p->partial);
	close(p->wake_fd);
	free(p);
}

static void
peer_remove(struct broker *b, struct peer *p)
{
	b->joined &= ~BIT(p->number);
	b->dirty &= ~BIT(p->number);
	b->slept &= ~BIT(p->number);
	b->peers[p->number] = NULL;
	match_membership(b);
	peer_drop_spills(b, p);
	requests_forget(b, p->number);
	peer_free(p);
}

void
broker_free(struct broker *b)
{
	unsigned i;

	if (b == NULL)
		return;
	for (i = 0; i < PARTICIPANTS; i++)
		if (b->peers[i] != NULL) {
			peer_drop_spills(b, b->peers[i]);
			peer_free(b->peers[i]);
		}
	subscription_forget_old(b);
	enter_free(b);
	shadows_free(b);
	answers_free(b);
	responders_free(b);
	importers_free(b);
	free(b->found);
	if (b->index != NULL)
		index_free(b->index);
	requests_free(b);
	cache_free(&b->cache);
	free(b->hits.records);
	free(b->items);
	free(b->leaving);
	free(b);
}

int
broker_add_lane(struct broker *b, unsigned peer, uint64_t incarnation, const struct lane *lane,
    int wake_peer)
{
	struct peer	*p;
	struct lane	 taken = *lane;
	int		 rc = -EINVAL;

	if (peer >= PARTICIPANTS || peer == b->participant)
		goto fail;
	rc = -EEXIST;
	if (b->peers[peer] != NULL && b->peers[peer]->incarnation >= incarnation)
		goto fail;
	rc = -ENOMEM;
	if (cache_widen(&b->cache, peer + 1) != 0 || (p = calloc(1, sizeof(*p))) == NULL)
		goto fail;
	if (b->peers[peer] != NULL)
		peer_remove(b, b->peers[peer]);
	p->number = peer;
	p->incarnation = incarnation;
	p->lane = taken;
	p->wake_fd = wake_peer;
	p->last_spill = &p->spills;
	b->peers[peer] = p;
	match_membership(b);		/* stamps may have moved */
	return 0;
 fail:
	lane_close(&taken);
	close(wake_peer);
	return rc;
}

/* The peer of that number and incarnation; NULL: none. */
static struct peer *
peer_find(const struct broker *b, unsigned peer, uint64_t incarnation)
{
	if (peer >= PARTICIPANTS || b->peers[peer] == NULL ||
	    b->peers[peer]->incarnation != incarnation)
		return NULL;
	return b->peers[peer];
}

/* From now on this is where its interest is read. */
static void
peer_read_partition(struct broker *b, struct peer *p, const struct segment *partition)
{
	p->partition = *partition;
	index_view_init(&p->view, &p->partition, b->secret);
	p->generation = index_generation(&p->view);
	match_membership(b);
	p->changed = b->epoch;
}

int
broker_add_peer(struct broker *b, unsigned peer, uint64_t incarnation,
    const struct segment *partition, int lane_fd)
{
	struct peer	*p = peer_find(b, peer, incarnation);
	struct segment	 taken = *partition;
	int		 rc;

	if (p == NULL || p->attached || p->broken) {
		rc = p == NULL ? -ESRCH : -EALREADY;
		close(lane_fd);
	} else
		rc = lane_attach(&p->lane, lane_fd);
	if (rc != 0) {
		segment_unmap(&taken);
		return rc;
	}
	p->attached = true;
	b->joined |= BIT(peer);
	b->dirty |= BIT(peer);
	peer_read_partition(b, p, &taken);
	return 0;
}

int
broker_replace_partition(struct broker *b, unsigned peer, uint64_t incarnation,
    const struct segment *partition)
{
	struct peer	*p = peer_find(b, peer, incarnation);
	struct segment	 taken = *partition;

	if (p == NULL || !p->attached) {
		segment_unmap(&taken);
		return -ESRCH;
	}
	segment_unmap(&p->partition);
	peer_read_partition(b, p, &taken);
	return 0;
}

struct index_view *
broker_peer_view(struct broker *b, unsigned peer, uint64_t incarnation)
{
	struct peer	*p = peer_find(b, peer, incarnation);

	return p == NULL || p->partition.base == NULL ? NULL : &p->view;
}

void
broker_remove_peer(struct broker *b, unsigned peer, uint64_t incarnation)
{
	struct peer *p = peer_find(b, peer, incarnation);

	if (p == NULL)
		return;
	peer_remove(b, p);
	lanes_unblocked(b);
}

void
broker_refresh(struct broker *b)
{
	uint64_t	 left, generation;
	struct peer	*p;
	bool		 changed = false;

	for (left = b->joined; left != 0; left &= left - 1) {
		p = b->peers[__builtin_ctzll(left)];
		generation = index_generation(&p->view);
		if (generation == p->generation)
			continue;
		p->generation = generation;
		p->changed = b->epoch + 1;
		changed = true;
	}
	if (changed)
		b->epoch++;
}

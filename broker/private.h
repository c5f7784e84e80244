#ifndef BROKER_PRIVATE_H
#define BROKER_PRIVATE_H
/*
 * What the files of this folder share. The idea of each is in README.md.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include "broker/broker.h"
#include "broker/wire.h"

/* ---- matches (cache.c, match.c) */

/* Who takes a message: a subscription of ours, or, in a group, a participant. */
struct taker {
	union { uint32_t connection, participant; };
	union { uint32_t slot, weight; };
};

/* A queue group, of whatever patterns; its members are takers[first..]: ours, then participants. */
struct group {
	uint32_t	name, length;		/* in the entry's names */
	uint32_t	first, nlocal, nremote;
	bool		served;			/* scratch of one message */
	bool		refused;		/* none of ours took the last one, and all lanes were full */
	uint64_t	total;			/* members, here and there */
};

#define ENTRY_TAKERS	4			/* of these no memory is asked for */
#define ENTRY_SUBJECT	88

/*
 * What is known about (account, subject). Lives in a slab that is never given
 * back, so that a pointer to it may be kept anywhere: whoever has one compares
 * account, subject and epoch before using it.
 *
 * A hit of one subscription looks at its first two cache lines.
 *
 * takers: nlocals plain ones of ours, then the groups' members; behind them
 * the groups (sorted by name) and their names.
 */
struct entry {
	uint64_t	 epoch;			/* b->epoch when all was last found true; 0: not */
	uint32_t	 account, length;	/* length of subject */
	char		*subject;		/* short_subject, or ours */
	uint64_t	 lanes;			/* participants with plain or unknown interest */
	uint32_t	 nlocals, ngroups;
	struct taker	*takers;		/* few, or ours */
	uint64_t	 own_epoch;		/* b->own_epoch when the local part was true; 0: not */
	uint64_t	 maybe;			/* of lanes: unknown interest */

	struct taker	 few[ENTRY_TAKERS];
	char		 short_subject[ENTRY_SUBJECT];

	uint64_t	 hash;
	uint64_t	 allowed;		/* participants that were asked */
	struct index_key key;
	uint32_t	 membership;		/* b->membership; 0: nobody was asked */
	uint32_t	 own_stamp;
	uint32_t	 token, any;		/* stripes of our own wildcards */
	uint32_t	 nmembers;
	uint32_t	 number;		/* in the slab */
	uint32_t	 room;			/* bytes of takers that are ours; 0: few */
	uint32_t	 subject_room;		/* bytes of subject that are ours; 0: short_subject */
	char		 pad[16];
};
_Static_assert(sizeof(struct entry) == 256, "four cache lines");

#define CACHE_WAYS	8
#define CACHE_CHUNK	256			/* entries allocated at once */
#define CACHE_LEAST	256			/* entries at first */
#define CACHE_MOST	16384
#define CACHE_BYTES	((size_t)64 << 20)	/* of all takers in it */
#define CACHE_KEEP	1024			/* bytes an entry keeps for its next subject */
#define CACHE_WINDOW	4096			/* misses between decisions to grow */
#define STRIPES		1024

struct cache_set { uint32_t tag[CACHE_WAYS], entry[CACHE_WAYS]; };	/* tag 0: free */

struct cache {
	struct cache_set	*sets;
	uint32_t		 capacity, used;	/* entries */
	uint32_t		 victim;
	struct entry		*chunks[CACHE_MOST / CACHE_CHUNK];
	uint32_t		*stamps;		/* capacity * stride: of each entry, of each participant */
	uint32_t		 stride;
	uint16_t		*ghosts;		/* of what was evicted last; CACHE_MOST */
	uint32_t		 misses, ghost_hits;
	size_t			 bytes;			/* of takers that are malloc'ed */
	uint32_t		 hand;			/* of cache_shrink() */
};

/* One queue group of one partition, while an entry is built. */
struct item {
	const char	*name;
	uint32_t	 length;
	uint32_t	 participant;	/* ITEM_OWN, or the number + 1 */
	uint32_t	 weight;
	uint32_t	 record;	/* of ours */
};
#define ITEM_OWN	0

/* ---- lanes (lanes.c, receive.c) */

/* The rest of a message that did not fit into the ring. */
struct spill {
	struct spill	*next;
	struct block	*body;		/* referenced */
	struct bytes	 rest;		/* the body, inside of it */
	size_t		 done;		/* bytes of head and body that are written */
	size_t		 head_len;
	char		 head[];
};

struct source { struct bytes head, body; };	/* a message on its way into a ring */

#define PACED		16

struct peer {
	unsigned		 number;
	uint64_t		 incarnation;
	struct lane		 lane;
	int			 wake_fd;
	bool			 wake;		/* its eventfd is to be written */
	bool			 broken;	/* we told; nothing is read or written any more */
	bool			 attached;
	/* its interest */
	struct segment		 partition;
	struct index_view	 view;
	uint64_t		 generation;	/* of the partition, as last seen */
	uint64_t		 changed;	/* b->epoch when we saw it change */
	struct index_match	 match;
	/* what waits for space */
	struct spill		*spills, **last_spill;
	double			 full_since;	/* seconds, monotonic */
	bool			 hung;		/* we told */
	/* what comes from it */
	struct publish_hint	 hint;
	struct block		*partial;	/* a message in pieces; NULL: none */
	size_t			 partial_len;
	uint64_t		 paced[PACED];	/* cids told in this batch */
	bool			 any_paced;
};

/* ---- no responders (requests.c) */

#define REQUESTS	4096		/* that wait for answers; the oldest is overwritten */
#define REQUEST_KEEP	512		/* bytes of text a slot keeps */

struct request {
	uint32_t	 number;	/* 0: free */
	uint32_t	 connection;	/* publisher; or, for a relayed one: */
	unsigned	 relay;		/* participant + 1 that asked us; 0: a publisher of ours */
	uint32_t	 asked;		/* under this number */
	uint64_t	 cid;		/* publisher's, or the participant's incarnation */
	uint64_t	 awaited;	/* participants that have not said `none` */
	char		*text;		/* subject, reply */
	uint32_t	 subject, reply, room;
};

struct pick { uint32_t participant, group; };

struct broker {
	/* what each message touches */
	uint64_t		 built;		/* entries ever filled in */
	uint64_t		 epoch;		/* rises with every change of interest seen */
	uint64_t		 own_epoch;	/* with every change of wildcards of ours */
	struct subscription	*subs;
	void			*program;
	struct broker_calls	 calls;
	uint64_t		 blocked;	/* lanes that hold a spill */
	uint64_t		 joined;	/* peers that are asked and read */
	uint64_t		 dirty;		/* lanes with something to publish or to wake */
	bool			 slow;		/* a subscriber of this message is */
	bool			 unblock;	/* a lane came free: tell the program */
	uint32_t		 receivers;	/* of ours, of the record being read */
	unsigned		 routing;	/* depth: no record may go away */
	uint32_t		 nleaving;
	uint64_t		 random;

	struct peer		*peers[PARTICIPANTS];
	uint64_t		 slept;
	unsigned		 turn;		/* whose lane is drained first */
	unsigned		 participant;
	uint32_t		 membership;	/* rises with every change of `joined` or of a partition's place */
	uint8_t			 secret[INDEX_SECRET];
	size_t			 max_payload;
	double			 watchdog;
	const struct directory	*directory;

	/* subscriptions */
	struct tables_head	*tables;
	struct index		*index;
	uint32_t		 top, free;	/* slots ever used; first of the free ones */
	uint64_t		 live;
	uint32_t		*leaving, leaving_room;
	bool			 leaving_lost;	/* some are only marked */
	uint32_t		 stripes[STRIPES];

	/* compaction: the partition that peers may still read */
	struct index		*old_index;
	uint32_t		*old_records, old_room;	/* by slot */

	struct cache		 cache;
	struct entry		 nobody;	/* of subjects too long to be subscribed to */
	struct index_hits	 hits;
	struct item		*items;
	size_t			 nitems, items_room;
	struct pick		 picks[PARTICIPANTS * INDEX_QUEUES];
	size_t			 npicks;

	struct request		*requests;
	uint32_t		 last_request;

	char			 head[WIRE_HEAD_MAX];	/* of a record being written */
	char			 text[WIRE_HEAD_MAX];	/* copied out of a record being read */
	char			 subject[INDEX_SUBJECT_MAX];
};

#define BIT(participant)	(UINT64_C(1) << (participant))

/* ---- cache.c */

/* 0 or -ENOMEM. */
int cache_init(struct cache *c);
void cache_free(struct cache *c);
void cache_forget(struct cache *c);	/* all entries, keeping their memory */
int cache_widen(struct cache *c, uint32_t participants);	/* stamps for so many. 0 or -ENOMEM */
/* NULL: not there. */
struct entry *cache_find(const struct cache *c, uint64_t hash, uint32_t account, struct bytes subject);
/* An entry for what is not there; nothing in it is true yet. NULL: no memory. */
struct entry *cache_take(struct cache *c, uint64_t hash, uint32_t account, struct bytes subject);
/* Room for so many bytes of takers, groups and names. 0 or -ENOMEM. */
int cache_reserve(struct cache *c, struct entry *e, size_t bytes);
/* Take the takers of entries other than keep, until no more than `most` bytes are held. */
void cache_shrink(struct cache *c, const struct entry *keep, size_t most);

/* NULL before the first peer. */
static inline uint32_t *
entry_stamps(const struct cache *c, const struct entry *e)
{
	return c->stride == 0 ? NULL : c->stamps + (size_t)e->number * c->stride;
}

static inline struct group *
entry_groups(const struct entry *e)
{
	return (struct group *)(e->takers + e->nlocals + e->nmembers);
}

static inline struct bytes
entry_group_name(const struct entry *e, const struct group *g)
{
	const char *names = (const char *)(entry_groups(e) + e->ngroups);

	return (struct bytes){ names + g->name, g->length };
}

static inline bool
entry_is(const struct entry *e, uint32_t account, struct bytes subject)
{
	return e->length == subject.len && e->account == account &&
	    memcmp(e->subject, subject.data, subject.len) == 0;
}

/* ---- match.c */

/* The entry of (account, subject), true for our own subscriptions; NULL: no memory. */
struct entry *match_own(struct broker *b, uint32_t account, struct bytes subject);
/* True for all participants. */
struct entry *match_all(struct broker *b, uint32_t account, struct bytes subject);
/* A subscription of ours came or went: what is known about it is not true any more. */
void match_changed(struct broker *b, uint32_t account, struct bytes subject);
/* The set of participants, or the place of a partition, changed. */
void match_membership(struct broker *b);
/* The group of that name in e; NULL: none. */
struct group *match_group(const struct entry *e, struct bytes name);

/* ---- queue.c */

/* 0..n-1, evenly enough; fast, and no secret. */
uint64_t random_below(struct broker *b, uint64_t n);
/* Give m to one local member of g. True: somebody took it. */
bool queue_deliver(struct broker *b, const struct entry *e, const struct group *g, const struct message *m);
/*
 * Give m to one member of g anywhere. A participant is only noted in b->picks.
 * True: a member of ours took it.
 */
bool queue_publish(struct broker *b, const struct entry *e, struct group *g, const struct message *m);
/* Does g have to wait for a blocked lane? */
bool queue_blocked(const struct broker *b, const struct entry *e, const struct group *g,
    const struct message *m);
/* A participant with members of g, by weight, or -1. */
int queue_participant(struct broker *b, const struct entry *e, const struct group *g);

/* ---- subscriptions.c */

/* Bit of subscription.flags that is the broker's: to be removed after this message. */
#define SUBSCRIPTION_LEAVING	0x80
/* Remove it when the message that is being routed is done. */
void subscription_leave(struct broker *b, uint32_t slot);
void subscriptions_leave(struct broker *b);	/* remove those */
void subscription_forget_old(struct broker *b);	/* nobody reads the old partition */

/* ---- publish.c: what is done after each message */

static inline bool
deliver_one(struct broker *b, struct taker t, const struct message *m)
{
	struct subscription	*sub = &b->subs[t.slot];
	enum delivery		 how;
	uint64_t		 delivered;

	if ((t.connection == m->publisher && !m->echo) || (sub->flags & SUBSCRIPTION_LEAVING) != 0)
		return false;
	how = b->calls.deliver(b->program, t.connection, sub, m);
	if (how == DELIVERY_REFUSED)
		return false;
	if (how == DELIVERED_SLOWLY)
		b->slow = true;
	delivered = atomic_load_explicit(&sub->delivered, memory_order_relaxed) + 1;
	atomic_store_explicit(&sub->delivered, delivered, memory_order_relaxed);
	if (sub->max != 0 && delivered >= sub->max)
		subscription_leave(b, t.slot);
	return true;
}

/* All plain subscriptions of ours. True: somebody took it. */
static inline bool
deliver_plain(struct broker *b, const struct entry *e, const struct message *m)
{
	const struct taker	*t = e->takers, *end = t + e->nlocals;
	bool			 taken = false;

	for (; t < end; t++) {
		if (end - t > 4)
			__builtin_prefetch(&b->subs[t[4].slot]);
		taken |= deliver_one(b, *t, m);
	}
	return taken;
}

/* ---- lanes.c */

/* Write a message into the bulk ring, or keep it until there is space. */
void peer_send(struct broker *b, struct peer *p, const struct source *s, struct block *block);
/* Write a record into the small ring. False: full, or too long; counted. */
bool peer_tell(struct broker *b, struct peer *p, uint32_t type, const struct source *s);
/* It broke the rules (what: static): forget what is under way to and from it, and complain, once. */
void peer_break(struct broker *b, struct peer *p, const char *what);
void lanes_continue(struct broker *b);		/* what waits for space */
void lanes_unblocked(struct broker *b);		/* tell the program, if so */
void peer_drop_spills(struct broker *b, struct peer *p);

/* ---- requests.c */

/* A request of a publisher of ours waits for `none` of all of these. Its number; 0: no memory. */
uint32_t request_new(struct broker *b, uint64_t awaited, const struct message *m, uint64_t cid);
/* The same for one that a peer asked us about. */
uint32_t request_relay(struct broker *b, uint64_t awaited, const struct peer *p, uint32_t asked);
/* This participant delivered to nobody: after the last such answer the publisher hears 503. */
void request_none(struct broker *b, uint32_t number, unsigned participant);
/* This participant will not answer any more. */
void requests_forget(struct broker *b, unsigned participant);
void requests_free(struct broker *b);

#endif

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
	union { uint32_t connection, participant, builtin; };
	union { uint32_t slot, weight, import; };
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
 * takers: nlocals plain ones of ours, then the groups' members, then service
 * imports; behind them the groups (sorted by name) and their names.
 *
 * lanes: our own bit says that it is a matter of services.c.
 */
struct entry {
	uint64_t	 epoch;			/* b->epoch when all was last found true; 0: not */
	uint32_t	 account, length;	/* length of subject */
	char		*subject;		/* short_subject, or ours */
	uint64_t	 lanes;			/* participants with plain or unknown interest */
	uint32_t	 nlocals, ngroups;
	struct taker	*takers;		/* few, or ours */
	uint64_t	 own_epoch;		/* b->own_epoch when the local part was true; 0: not */
	uint64_t	 permitted;		/* serial of a policy that may publish it; 0: none was found yet */

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
	uint32_t	 nservices;		/* of nmembers, the last ones: service imports */
	char		 pad[4];
	uint64_t	 maybe;			/* of lanes: unknown interest */
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
	uint32_t	 root;		/* not 0: one of the messages that this request was made into */
	uint32_t	 children;	/* of a root: those that wait, and one while there may come more */
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
	uint32_t		 internal;	/* of `live`, no client's */
	uint32_t		*leaving, leaving_room;
	bool			 leaving_lost;	/* some are only marked */
	struct mappings		*mappings;	/* NULL: no account has any */
	const struct accounts	*accounts;	/* NULL: none but the global one */
	struct answers		*answers;	/* NULL as long as accounts is */
	struct responders	*responders;	/* NULL until a request's time is to be told */
	const char		*server_name, *cluster;
	struct importer		*importers;	/* in the order of their numbers: importers.c */
	uint32_t		 nimporters;
	struct taker		*found;		/* imports that were asked for */
	uint32_t		 nfound, found_room;
	struct shadow		*shadows;	/* the first is nobody */
	uint32_t		 nshadows, shadows_room, free_shadow;
	uint32_t		*first_shadow, first_room;	/* by the parent's slot */
	bool			 imports_missing;	/* not all shadows are there that should be */
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
	char			 pattern[INDEX_SUBJECT_MAX];	/* of a shadow, of a leg; of a shadow's parent: */
	char			 parent[INDEX_SUBJECT_MAX];
	char			 mapped[INDEX_SUBJECT_MAX];	/* a message's subject for a shadow's parent, a leg's */
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
/* What is there, true or not; NULL: nothing. */
struct entry *match_find(struct broker *b, uint32_t account, struct bytes subject);
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

/* Bits of subscription.flags that are the broker's. */
#define SUBSCRIPTION_LEAVING	0x80	/* to be removed after this message */
#define SUBSCRIPTION_IMPORTS	0x40	/* has shadows */
#define SUBSCRIPTION_SHADOW	0x20	/* is one: imports.c */
#define SUBSCRIPTION_ANSWERS	0x10	/* takes what services answer: answers.c */
#define SUBSCRIPTION_INTERNAL	(SUBSCRIPTION_SHADOW | SUBSCRIPTION_ANSWERS)
#define NOBODY_SLOT		(NO_CONNECTION - 1)	/* connection of subscriptions that are our own */

/* A member more of an interest, without shadows. flags: of SUBSCRIPTION_INTERNAL. As broker_subscribe(). */
int subscription_add(struct broker *b, uint32_t account, uint32_t connection, struct bytes subject,
    struct bytes queue, uint8_t flags, uint32_t *slot);
/* Without a word to the program: what subscription_add() did is undone. */
void subscription_drop(struct broker *b, uint32_t slot);
/* Remove it when the message that is being routed is done. */
void subscription_leave(struct broker *b, uint32_t slot);
void subscriptions_leave(struct broker *b);	/* remove those */
void subscription_forget_old(struct broker *b);	/* nobody reads the old partition */

/* ---- importers.c: which imports of an account concern a subject, however many it has */

/* 0 or -ENOMEM: then there are none. */
int importers_set(struct broker *b, const struct accounts *accounts);
void importers_free(struct broker *b);
/* The account, if it imports anything; NULL: it does not. */
const struct importer *importer_find(const struct broker *b, uint32_t account);
const struct account *importer_account(const struct importer *im);
/*
 * Are its stream imports, in order, what they were under the accounts before? Then *before is where those were,
 * as long as they are there.
 */
bool importer_same(const struct importer *im, const struct stream_import **before);
/*
 * Stream imports that bring what a pattern may match, service imports that take a published subject: their
 * numbers, rising, into b->found[0..b->nfound). 0 or -ENOMEM.
 */
int importer_streams(struct broker *b, const struct importer *im, struct bytes pattern);
int importer_services(struct broker *b, const struct importer *im, struct bytes subject);
/* One more into b->found. 0 or -ENOMEM. */
int found_add(struct broker *b, struct taker t);

/* ---- imports.c: a subscription of an importer has a shadow in the exporter's account for each stream import */

struct shadow {
	const struct stream_import *import;
	uint32_t	slot, parent;		/* itself, whose it is */
	uint32_t	next;			/* of the same parent; of those that are free. 0 ends */
};

/* The shadows that a new subscription needs. 0; -ENOMEM, -ENOSPC: none are there. */
int shadows_add(struct broker *b, uint32_t parent);
void shadows_remove(struct broker *b, uint32_t parent);
/* All subscriptions have another slot: that of map[]. */
void shadows_moved(struct broker *b, const uint32_t *map, uint32_t top);
void shadows_free(struct broker *b);
/* A message of the exporter's, to the subscription whose shadow `sub` is. True: it took it. */
bool shadow_deliver(struct broker *b, const struct subscription *sub, const struct message *m);

/* ---- services.c: what is published to a service import's subject goes to the exporter too */

/*
 * The imports that (e->account, e->subject) matches, into b->found. Their number; -ENOMEM. Answers
 * come this way as well: *special says that publishing there needs services_publish().
 */
int services_find(struct broker *b, const struct entry *e, bool *special);
/* The message of an entry that is special. */
enum published services_publish(struct broker *b, const struct message *m, uint64_t cid);

/* ---- answers.c: to whom the answers of services go */

struct answers;
struct response;

/* Somebody of `requester` asks a service of `account`. */
struct asking {
	uint32_t	 account, requester;
	struct bytes	 reply;			/* the requester's */
	enum response_type type;
	double		 threshold;		/* seconds until the first answer, and from one to the next */
	struct sample	*sample;		/* how long it takes is to be told; NULL: not. Taken over */
};

#define ANSWER_OWN	8			/* characters that are the same for all of a participant */
#define ANSWER_TOKEN	16			/* and those of one request: 96 random bits */
#define ANSWER_PREFIX	"_R_."
#define ANSWER_SUBJECT	(sizeof(ANSWER_PREFIX) - 1 + ANSWER_OWN + 1 + ANSWER_TOKEN)
#define ANSWER_MARK	"-t"			/* ends those of requests whose time is told */
#define ANSWER_MARKED	(ANSWER_SUBJECT + sizeof(ANSWER_MARK) - 1)

int answers_new(struct broker *b);		/* 0 or -ENOMEM; not again if it was done */
void answers_free(struct broker *b);
/* Accounts are others now: what concerns those that are gone goes. */
void answers_accounts(struct broker *b);
/* Are answers published there? And such as who answers is to be told of? */
bool answers_subject(struct bytes subject);
bool answers_marked(struct bytes subject);
/* Is it one that we made? */
bool answers_own(const struct broker *b, struct bytes subject);
/* The participant's characters in our own subjects. */
struct bytes answers_name(const struct broker *b);
/* Those of any name or token: nothing that means more in a subject. */
bool answers_characters(struct bytes name);
/* Does a request of this token to this account wait, and is its time told? */
bool answers_sampled(const struct broker *b, uint32_t account, const char token[ANSWER_TOKEN]);
/*
 * What is to come goes to ask->reply; *subject, in to[ANSWER_MARKED], is the subject for the service.
 * NULL: too many wait, or no memory.
 */
struct response *answers_expect(struct broker *b, const struct asking *ask, char *to, struct bytes *subject);
/* Nobody is there to answer. */
void answers_cancel(struct broker *b, struct response *r);
/* A message to one of our subjects. False: nobody waits for it. */
bool answers_take(struct broker *b, const struct message *m);
/* So much waits for a lane that no more is taken from our own clients. Never while answers_continue() is at work. */
bool answers_full(const struct broker *b);
/* Publish what was taken, as far as lanes allow. */
void answers_continue(struct broker *b);
/* A message of ours, published before long. False: no room, it is counted as lost. */
bool answers_tell(struct broker *b, const struct message *m);
/* Who a message of ours is from; 0: not one of our clients. */
uint64_t publisher_cid(const struct broker *b, uint32_t publisher);
/* What took too long, and some of what nobody waits for any more. */
void answers_expire(struct broker *b);
/* A client's subscription in this account is gone: perhaps nobody waits for answers to it any more. */
void answers_unsubscribed(struct broker *b, uint32_t account);
/* Seconds until then, 0: nothing waits. */
double answers_timeout(const struct broker *b, double now);
void answers_moved(struct broker *b, const uint32_t *map);

/* ---- requester.c: who asks */

/*
 * What a service is told of a client: JSON. detailed: all, otherwise its account and round-trip time.
 * server: also where it is. service: the account of a chain of imports, NULL: none. NULL: it is gone, or no memory.
 */
struct json_t *requester_json(const struct broker *b, uint32_t connection, uint64_t cid, uint32_t account,
    bool detailed, bool server, const char *service);
/* What is told of a client. */
struct described {
	uint64_t	 cid, start, rtt;	/* cid 0: only its account is known. start, rtt: microseconds */
	uint32_t	 account;
	struct bytes	 host, user, name, lang, version;
};
/* As requester_json(). NULL: no memory. */
struct json_t *described_json(const struct broker *b, const struct described *d, bool detailed, bool server,
    const char *service);
/* A client of ours; d is good as long as the tables are where they are. False: it is none, or gone. */
bool described_client(const struct broker *b, uint32_t connection, uint64_t cid, struct described *d);
/* With its text, for free(). NULL: no memory. */
struct described *described_copy(const struct described *d);
size_t described_bytes(const struct described *d);	/* of a copy */
/* RFC 3339 with as many digits as it needs. */
#define TIME_TEXT	40
void time_text(char text[TIME_TEXT], uint64_t nanoseconds);
/* m's body with `info` in its headers, and nothing like it that the client wrote. NULL: no memory. */
struct block *requester_body(const struct message *m, struct bytes info, uint32_t *header);

/* ---- latency.c: how long services take */

struct sample;

/* Is this request to be told of? NULL: no, or no memory. */
struct sample *sample_new(struct broker *b, const struct service_import *import, uint32_t requester,
    const struct message *m, uint64_t cid);
void sample_free(struct sample *s);		/* NULL is nothing */
size_t sample_bytes(const struct sample *s);	/* of memory; NULL is nothing */
/* An answer to the request of this token came from a client of ours, or, if publisher is NO_CONNECTION, from elsewhere. */
void sample_answered(struct broker *b, struct sample *s, const struct message *m, const char token[ANSWER_TOKEN]);
/* It never will: 400, 408, 503, 504. */
void sample_failed(struct broker *b, struct sample *s, int status, const char *description);

/* ---- responders.c: who answered, where the answer comes from another participant */

struct responders;

/* Before a request whose time is told leaves: hear of who answers it. Where that fails nobody is described. */
void responders_listen(struct broker *b);
/* A client of ours is about to answer at a subject with a mark: tell who asked of it. */
void responders_tell(struct broker *b, const struct message *m, uint64_t cid);
/* What another participant tells. */
void responders_hear(struct broker *b, const struct message *m);
/* Who was described for this token, for free(); NULL: nobody. */
struct described *responders_take(struct broker *b, const char token[ANSWER_TOKEN]);
unsigned responders_count(const struct broker *b);	/* of those that are kept */
void responders_moved(struct broker *b, const uint32_t *map);
/* There are no accounts any more: nothing is heard of them. */
void responders_forget(struct broker *b);
void responders_free(struct broker *b);

double seconds_now(void);			/* monotonic */

/* ---- publish.c: what is done after each message */

/* Does it need a lane that is full? */
bool publish_blocked(const struct broker *b, const struct entry *e, const struct message *m);
/*
 * Deliver m here and send it to the participants of *set. True: somebody here took it. root: the
 * request of which it is one message; NULL: it is one itself, if it wants to be.
 */
bool publish_route(struct broker *b, const struct entry *e, const struct message *m, uint64_t cid,
    uint32_t *root, uint64_t *set);
/* What a message left behind. */
void publish_after(struct broker *b, const struct message *m, uint64_t cid);
bool deliver_internal(struct broker *b, const struct subscription *sub, const struct message *m);

static inline bool
deliver_one(struct broker *b, struct taker t, const struct message *m)
{
	struct subscription	*sub = &b->subs[t.slot];
	enum delivery		 how;
	uint64_t		 delivered;

	if (t.connection == m->publisher && !m->echo)
		return false;
	if ((sub->flags & (SUBSCRIPTION_LEAVING | SUBSCRIPTION_INTERNAL)) != 0)
		return (sub->flags & SUBSCRIPTION_LEAVING) == 0 && deliver_internal(b, sub, m);
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

/* ---- enter.c */

/* Mappings follow these accounts; NULL: there are none. 0 or -ENOMEM: there are none. */
int enter_set_accounts(struct broker *b, const struct accounts *accounts);
void enter_free(struct broker *b);
/*
 * Only if b->mappings: what the account's mapping makes of subject, in text; what broker_enter() made of
 * another one stays where it is. False: it gets too long.
 */
bool enter_map(struct broker *b, uint32_t account, struct bytes *subject, char text[INDEX_SUBJECT_MAX]);
/* Does a mapping of the account concern this subject? */
bool enter_maps(const struct broker *b, uint32_t account, struct bytes subject);

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
/* One that becomes several messages, by service imports: nobody took it when nobody took any of them. */
uint32_t request_root(struct broker *b, const struct message *m, uint64_t cid);
/* One of these. 0: nothing waits. */
uint32_t request_child(struct broker *b, uint64_t awaited, uint32_t root);
/* All were sent, or one of them has ended. taken: somebody took one. */
void request_root_done(struct broker *b, uint32_t root, bool taken);
/* The same for one that a peer asked us about. */
uint32_t request_relay(struct broker *b, uint64_t awaited, const struct peer *p, uint32_t asked);
/* This participant delivered to nobody: after the last such answer the publisher hears 503. */
void request_none(struct broker *b, uint32_t number, unsigned participant);
/* This participant will not answer any more. */
void requests_forget(struct broker *b, unsigned participant);
void requests_free(struct broker *b);

#endif

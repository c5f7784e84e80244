#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H
/*
 * The way of one message through one participant, the same for a worker, the
 * gateway and later the store: find the local subscriptions and the other
 * participants with interest, deliver to the first, send one record to each of
 * the second. docs/architecture.md 3.
 *
 * The program that uses it owns connections and their output; the broker owns
 * subscriptions, the cache of matches, the lanes to the other participants.
 * Single-threaded; nothing here waits or makes a system call, but for
 * broker_flush(), which writes the eventfds of peers that sleep.
 */
#include <stdint.h>
#include "broker/accounts.h"
#include "broker/policy.h"
#include "common/bytes.h"
#include "shm/directory.h"
#include "shm/index.h"
#include "shm/ring.h"
#include "shm/tables.h"

struct broker;

/* A payload that outputs share by reference. */
struct block {
	uint32_t	references;
	uint32_t	size;
	char		data[];
};
struct block *block_new(size_t size);	/* one reference; NULL: no memory */
void block_unref(struct block *b);

/* A message on its way. All bytes are valid for the call; with `block` set, body lies in it. */
struct message {
	uint32_t	 account;
	struct bytes	 subject, reply;
	struct bytes	 size_text;	/* decimal of body.len as the publisher wrote it; len 0: make it */
	struct bytes	 body;		/* headers, then payload */
	uint32_t	 header;	/* bytes of headers in body; 0: none */
	struct block	*block;		/* NULL: body must be copied */
	uint32_t	 publisher;	/* connection slot of the local publisher; NO_CONNECTION: not ours */
	bool		 echo;		/* the publisher also gets what it publishes */
	bool		 wants_503;	/* has a reply, and is to hear `no responders` */
	bool		 imported;	/* came through a service import: stream imports do not take it further */
};
#define NO_CONNECTION	UINT32_MAX

enum delivery {
	DELIVERED,
	DELIVERY_REFUSED,	/* closed or cut: count it as nobody; a queue group tries its next member */
	DELIVERED_SLOWLY,	/* delivered, but pace whoever feeds it */
};

/*
 * What the broker asks of its program. From within deliver(), broker_unsubscribe()
 * may be called (it takes effect after the message), broker_publish(), broker_subscribe()
 * and what drains or compacts may not.
 */
struct broker_calls {
	/* Append m for this subscription to its connection's output. Hot path. */
	enum delivery	(*deliver)(void *program, uint32_t connection, struct subscription *sub,
			    const struct message *m);
	/* Nobody took a message with wants_503. reply, subject: as published. */
	void		(*no_responders)(void *program, uint32_t connection, uint64_t cid,
			    struct bytes subject, struct bytes reply);
	/* A subscriber of this local publisher is slow: do not read from it for a moment. */
	void		(*pace)(void *program, uint32_t connection, uint64_t cid);
	/* A lane that was full has space again: publishers may go on. */
	void		(*unblocked)(void *program);
	/* A subscription reached its max, or broker_remove_connection(): it is gone after this call. */
	void		(*removed)(void *program, uint32_t connection, uint32_t subscription);
	/* A peer broke its lane (hung false) or left it full (hung true). */
	void		(*complain)(void *program, unsigned peer, uint64_t incarnation,
			    bool hung, const char *what);
};

struct broker_config {
	unsigned		 participant;	/* our number */
	const uint8_t		*secret;	/* INDEX_SECRET bytes, kept by the caller */
	const struct broker_calls *calls;
	void			*program;
	size_t			 max_payload;	/* largest body accepted from a lane */
	double			 watchdog;	/* seconds a lane may stay full before complain(hung) */
	const char		*server_name, *cluster;	/* for services that are told who asks; NULL: none */
};

/* partition, tables: ours, mapped writable, full of zeros. directory: read-only.
 * All three stay the caller's to unmap, after broker_free() or compaction. */
int broker_new(struct broker **out, const struct broker_config *config,
    const struct segment *directory, const struct segment *partition, const struct segment *tables);
/* Drop everything, without calls to the program; the lanes are closed. NULL is nothing. */
void broker_free(struct broker *b);

/*
 * Other settings. max_payload only ever grows: what peers sent under a larger one may still
 * be on its way, and what they send under a new one may be here before its `commit`.
 */
void broker_raise_payload(struct broker *b, size_t max_payload);
void broker_set_watchdog(struct broker *b, double watchdog);

/*
 * The accounts in force, kept by the caller until others take their place: shadow
 * subscriptions, service imports and mappings follow them. NULL: none but the global one, as at
 * the start. 0; -ENOMEM, -ENOSPC: some imports are missing, and were logged.
 */
int broker_set_accounts(struct broker *b, const struct accounts *accounts);

/* ---- peers */

/* Our lane to a peer that is about to join. Takes over what lane holds. wake_peer: eventfd,
 * ours to close. Both are consumed also on error. Replaces an older incarnation. 0; -EINVAL, -EEXIST, -ENOMEM. */
int broker_add_lane(struct broker *b, unsigned peer, uint64_t incarnation, const struct lane *lane,
    int wake_peer);
/* The peer's partition and lane segment. From now on it is asked for interest. Both are
 * consumed also on error. 0; -ESRCH no such lane; -EALREADY; -errno of lane_attach(). */
int broker_add_peer(struct broker *b, unsigned peer, uint64_t incarnation,
    const struct segment *partition, int lane_fd);
/* Its compacted partition, consumed; the old one is unmapped. 0 or -ESRCH. */
int broker_replace_partition(struct broker *b, unsigned peer, uint64_t incarnation,
    const struct segment *partition);
/* Its partition, for reports; NULL: it has not joined, or is gone. Valid until the next message about it. */
struct index_view *broker_peer_view(struct broker *b, unsigned peer, uint64_t incarnation);
/* It died: forget everything of it. Unknown or older incarnations are ignored. */
void broker_remove_peer(struct broker *b, unsigned peer, uint64_t incarnation);

/* ---- subscriptions */

/*
 * Subscribe connection to subject (valid) in queue (len 0: none).
 * 0: *slot is its number in the tables; the caller fills in sid and lists of its
 * own (conn_next, conn_prev, hash_next). -ENOSPC partition or tables are full; -E2BIG.
 */
int broker_subscribe(struct broker *b, uint32_t account, uint32_t connection,
    struct bytes subject, struct bytes queue, uint32_t *slot);
/* Remove it; calls `removed` first. The flags 0x10 to 0x80 of a subscription are the broker's. */
void broker_unsubscribe(struct broker *b, uint32_t slot);
/* The record of a slot that broker_subscribe() gave; in the tables, until it is removed or moved. */
struct subscription *broker_subscription(struct broker *b, uint32_t slot);
/* Its subject as subscribed, and its queue group, for the log. */
size_t broker_subject(struct broker *b, uint32_t slot, char *buf, size_t size, struct bytes *queue);
/* Its queue group alone; len 0: none. */
struct bytes broker_queue(const struct broker *b, const struct subscription *sub);
/* A subscription without queue group of this connection that matches subject; 0: none. */
uint32_t broker_find_plain(struct broker *b, uint32_t account, uint32_t connection, struct bytes subject);

/* ---- messages */

/* What one publisher's messages have in common; one for each connection, zeroed at its start and
 * when its account or policy changes. */
struct publish_hint {
	void		*entry;		/* the match of its last subject */
	const struct policy *policy;	/* asked last, and its serial; NULL: none */
	uint64_t	 serial;
	uint64_t	 entered;	/* entry is that of what broker_enter() let in, unless more were built since then; 0: it is not */
	uint32_t	 mapped, verdict;	/* where the last mapping and the last permission are kept */
	bool		 missed;	/* a subject was not in the cache; the caller resets it */
	bool		 again;		/* the caller sets it: this message was PUBLISH_BLOCKED and comes again */
	bool		 granted;	/* the last one was allowed as an answer */
};

/* What a message that enters here becomes. */
enum entering {
	ENTERS,			/* m is what is to be published */
	ENTER_REFUSED,		/* the publisher may not: tell it, with m->subject as it is now */
};

/*
 * The one way in, before broker_publish(): the account's mapping, then the permission of the
 * publisher. policy NULL: everything is allowed; grants: what it was sent replies for, NULL: nothing. m->subject
 * may be another after this, empty if the mapping loses the message: nobody gets that. It is valid until the
 * next call, or until other accounts are set. now: seconds, monotonic; used where grants are.
 */
enum entering broker_enter(struct broker *b, struct message *m, struct policy *policy,
    struct grants *grants, struct publish_hint *hint, double now);

enum published {
	PUBLISHED,		/* done; also if nobody wanted it */
	PUBLISH_BLOCKED,	/* nothing was done: a lane it needs is full. Keep it, stop
				 * reading this client, come again after `unblocked` */
};

/*
 * Route a message that enters here. cid: the publisher's, told back by `pace`
 * and `no_responders`.
 */
enum published broker_publish(struct broker *b, const struct message *m, uint64_t cid,
    struct publish_hint *hint);

/* These subjects, at most BROKER_EXPECTED, are about to be published: bring near what that needs.
 * Worth it where the cache misses. */
#define BROKER_EXPECTED	16u
void broker_expect(const struct broker *b, uint32_t account, const struct bytes *subjects, unsigned count);

/* Is anybody interested in what might be published there? What is costly to make is asked for first. */
bool broker_wanted(struct broker *b, uint32_t account, struct bytes subject);

/* Look at all partitions once for changes: after each read from a socket, before its messages. */
void broker_refresh(struct broker *b);

/* ---- the loop: call in this order */

/* Handle what has come in on lanes, at most `budget` bytes from each; many receivers count as
 * bytes. True: more is there. */
bool broker_drain(struct broker *b, size_t budget);
/* Show peers what we wrote, wake those that sleep. Before sleeping and after each batch. */
void broker_flush(struct broker *b);
/* About to sleep. False: something came in, do not. */
bool broker_sleep(struct broker *b);
/* Awake again after broker_sleep() returned true: peers need not write our eventfds. */
void broker_wake(struct broker *b);
/* Seconds until broker_flush() has to be called again though nothing happens (a full lane's
 * watchdog), or 0: never. */
double broker_timeout(const struct broker *b);

/* Much of our partition and tables is free: worth asking for new ones. */
bool broker_wants_compaction(const struct broker *b);
/*
 * Move everything into new segments; changes go to both partitions until broker_compacted().
 * Slots change: `moved` tells each, from rising, to never above from, when all are in their
 * new place already. conn_next, conn_prev and hash_next are translated; slots that the
 * program keeps elsewhere it translates itself. Of the counters, those of subscriptions and
 * records_lost are taken over. The old tables are not used any more after this, the old
 * partition not after broker_compacted(). 0, -ENOSPC, -ENOMEM, -EBUSY: as before.
 */
int broker_compact(struct broker *b, const struct segment *partition, const struct segment *tables,
    void (*moved)(void *program, uint32_t connection, uint32_t from, uint32_t to));
/* No peer reads the old partition any more. */
void broker_compacted(struct broker *b);
#endif

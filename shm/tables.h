#ifndef SHM_TABLES_H
#define SHM_TABLES_H
/*
 * What a worker shows of itself: counters, its connections, its subscriptions.
 * One segment, written by the worker with plain or relaxed stores, read by
 * system without slowing it. A subscription's record is here and only here:
 * the worker works on it too.
 *
 *   0          struct tables_head
 *   then       struct connection_record [TABLES_CONNECTIONS]
 *   then       struct subscription      [TABLES_SUBSCRIPTIONS]
 *   then       struct secure_record     [TABLES_CONNECTIONS]
 */
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/messages.h"

#define TABLES_CONNECTIONS	(1u << 20)
#define TABLES_SUBSCRIPTIONS	(1u << 26)
#define TABLES_SLOW		64	/* last slow consumers that were cut */

struct slow_record {			/* who was cut, for whom, what was lost */
	_Atomic uint32_t	sequence;	/* odd: being written */
	uint32_t		reason;		/* 0 pending bytes, 1 write deadline */
	uint64_t		cid, when;	/* microseconds since 1970 */
	uint64_t		pending, lost;	/* bytes, messages not delivered */
	uint32_t		account;
	char			address[64], name[64], subject[128];
};

struct tables_head {
	_Atomic uint64_t in_msgs, in_bytes, out_msgs, out_bytes;
	_Atomic uint64_t connections, subscriptions;
	_Atomic uint64_t slow_consumers, stale_connections, stalled, slow_pending, slow_deadline;
	_Atomic uint64_t records_lost;		/* small ring full: what was dropped */
	_Atomic uint64_t over_limit[LIMITS];	/* how often one of an account or a user was reached */
	_Atomic uint64_t connection_top, subscription_top;	/* slots ever used */
	_Atomic uint64_t slow_next;		/* slots of slow[] ever written */
	struct slow_record slow[TABLES_SLOW];
};

/* One client connection; strings are cut at their size and end with NUL. */
struct connection_record {
	_Atomic uint32_t	sequence;	/* odd: being written; strings and identity only */
	uint32_t		account;
	_Atomic uint64_t	cid;		/* 0: free */
	_Atomic uint64_t	start, last;	/* microseconds since 1970 */
	_Atomic uint64_t	in_msgs, in_bytes, out_msgs, out_bytes, pending, rtt;
	_Atomic uint32_t	subscriptions, first;	/* how many; slot of the newest, 0: none */
	uint16_t		port, listener;
	uint8_t			secure;		/* it has TLS: its secure_record counts */
	char			host[46], lang[13], version[16], name[64], user[64];
};

/* The TLS of a connection, written with its record. Of those without nothing is here, not even memory. */
struct secure_record {
	uint8_t			first;		/* it shook hands before INFO */
	uint8_t			verified;	/* it showed a certificate, which follows */
	char			version[6], cipher[56];
	char			subject[256];	/* cut */
	unsigned char		key[32], certificate[32];	/* SHA-256 of its public key, of all of it */
};

/* One subscription, one cache line. Slots begin with 1; 0 is nobody. */
struct subscription {
	uint32_t	record;			/* interest, in the owner's partition */
	uint32_t	connection;		/* slot */
	uint32_t	next, prev;		/* of the same interest; 0 ends */
	uint32_t	conn_next, conn_prev;	/* of the same connection */
	uint32_t	hash_next;		/* of the connection's table of sids */
	uint8_t		sid_len, flags;		/* sid_len 255: longer than sid[]; the worker keeps it aside */
	uint16_t	hash;
	_Atomic uint64_t delivered;
	uint64_t	max;			/* 0: none */
	char		sid[16];
};

#define TABLES_SIZE	((((sizeof(struct tables_head) + 4095) / 4096) * 4096) +	\
	(size_t)TABLES_CONNECTIONS * sizeof(struct connection_record) +			\
	(size_t)TABLES_SUBSCRIPTIONS * sizeof(struct subscription) +			\
	(size_t)TABLES_CONNECTIONS * sizeof(struct secure_record))

static inline struct tables_head *
tables_head(void *base)
{
	return base;
}

static inline struct connection_record *
tables_connections(void *base)
{
	return (struct connection_record *)((char *)base +
	    ((sizeof(struct tables_head) + 4095) / 4096) * 4096);
}

static inline struct subscription *
tables_subscriptions(void *base)
{
	return (struct subscription *)(tables_connections(base) + TABLES_CONNECTIONS);
}

static inline struct secure_record *
tables_secure(void *base)
{
	return (struct secure_record *)(tables_subscriptions(base) + TABLES_SUBSCRIPTIONS);
}

_Static_assert(sizeof(struct subscription) == 64, "one cache line");

/* A counter that only we write: no locked instruction. */
static inline void
counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter,
	    atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
#endif

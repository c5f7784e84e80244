#ifndef WORKER_CLIENT_H
#define WORKER_CLIENT_H
/*
 * One client connection. An idle one has no buffers: this struct, its record
 * in the tables and its watchers are all there is.
 *
 *   fresh -> open -> closing -> lingering -> freed
 *
 * fresh: `taken` is not said yet, nothing was written. closing: its
 * subscriptions are being removed, some in each turn of the loop. lingering:
 * what waits for it is written out and what it still sends is thrown away,
 * so that it gets our last words rather than a reset; CLIENT_LINGER at most.
 */
#include <sys/queue.h>
#include <ev.h>
#include "broker/broker.h"
#include "common/messages.h"
#include "nats/connect.h"
#include "worker/output.h"

#define CLIENT_LINGER	1.0	/* seconds */

enum client_state { CLIENT_FRESH, CLIENT_OPEN, CLIENT_CLOSING };

/* Why an open client is not read. One at a time. */
enum client_stop {
	CLIENT_READS,
	CLIENT_BLOCKED,		/* a lane that its message needs is full */
	CLIENT_PACED,		/* a subscriber of its is slow */
	CLIENT_SETTLES,		/* it was paced from afar: does what it sent since make it so again? */
	CLIENT_DROPPING,	/* a second CONNECT: its old subscriptions go first */
	CLIENT_YIELDS,		/* what it sent had very many receivers: others first */
	CLIENT_ASKS,		/* auth is asked who it is */
	CLIENT_LEASE,		/* auth is asked whether its account may have it, or one subscription more */
	CLIENT_RATED,		/* its account, or its user, published as much as it may for now */
	CLIENT_WAITS,		/* its account had its share of this turn of the loop */
	CLIENT_SHAKES,		/* it has no TLS yet, or did not say whether it wants it: secure.h */
};

enum client_flags {
	CLIENT_CONNECTED	= 1 << 0,	/* CONNECT came */
	CLIENT_VERBOSE		= 1 << 1,
	CLIENT_PEDANTIC		= 1 << 2,
	CLIENT_ECHO		= 1 << 3,
	CLIENT_HEADERS		= 1 << 4,
	CLIENT_503		= 1 << 5,	/* wants to hear `no responders` */
	CLIENT_INFO		= 1 << 6,	/* protocol >= 1: takes INFO at any time */
	CLIENT_PONGED		= 1 << 7,	/* its first PING was answered */
	CLIENT_REPEATS		= 1 << 8,	/* the next message was blocked before: its answers are given */
	CLIENT_PACE		= 1 << 9,	/* a subscriber was slow since it was last read */
	CLIENT_TOUCHED		= 1 << 10,	/* in worker.touched */
	CLIENT_HEAVY		= 1 << 11,	/* in worker.heavy */
	CLIENT_WRITES		= 1 << 12,	/* waits until its socket takes more */
	CLIENT_SLOW		= 1 << 13,	/* was above three quarters of max_pending */
	CLIENT_ENDED		= 1 << 14,	/* it sends no more */
	CLIENT_FAREWELL		= 1 << 15,	/* closing: its output was looked at */
	CLIENT_SHUT		= 1 << 16,	/* closing: our end is shut down */
	CLIENT_TOOK		= 1 << 17,	/* since write_deadline began to run, but not all */
	CLIENT_LATE		= 1 << 18,	/* write_deadline passed, and it was let go on */
	CLIENT_ENTERS		= 1 << 19,	/* what it publishes is mapped, or may be forbidden: broker_enter() */
	CLIENT_CHECKED		= 1 << 20,	/* what it is sent may be forbidden, or allow it to answer */
	CLIENT_TOLD		= 1 << 21,	/* the system account was told that it came */
	CLIENT_REFUSED		= 1 << 22,	/* it was not let in */
	CLIENT_DENIED		= 1 << 23,	/* CLIENT_LEASE ended without one: it may not subscribe */
	CLIENT_FULL		= 1 << 24,	/* the same, of the memory for it, or for a subscription */
};

/* As connz and the log of the 2.x server name them. */
enum close_reason {
	CLOSE_CLIENT, CLOSE_AUTHENTICATION, CLOSE_SLOW_PENDING, CLOSE_SLOW_DEADLINE,
	CLOSE_WRITE, CLOSE_READ, CLOSE_PARSE, CLOSE_STALE, CLOSE_PROTOCOL, CLOSE_VERSION,
	CLOSE_MAX_CONNECTIONS, CLOSE_MAX_PAYLOAD, CLOSE_MAX_CONTROL_LINE,
	CLOSE_SHUTDOWN, CLOSE_503_HEADERS, CLOSE_MEMORY,
	CLOSE_AUTHENTICATION_TIMEOUT, CLOSE_EXPIRED, CLOSE_MAX_ACCOUNT_CONNECTIONS, CLOSE_KICKED,
	CLOSE_RATE, CLOSE_MAX_MEMORY, CLOSE_TLS,
};

/* Bits of subscription.flags that are ours. */
#define SUBSCRIPTION_FILTERED	0x01	/* some of what it matches is denied: policy_delivers() */

struct client;
struct secure_record;
struct identity;
struct rest;
struct incoming;
struct secure;
struct worker;

TAILQ_HEAD(client_list, client);

struct client {
	ev_io			 io;
	ev_timer		 ping;
	struct worker		*worker;
	struct output		 out;
	uint64_t		 mark;		/* deliver takes the long way from this many pending bytes on */
	uint64_t		 cid;
	uint32_t		 slot;		/* in the tables */
	uint32_t		 account;
	uint32_t		 peer_uid, peer_gid;	/* who connected to a Unix socket; UINT32_MAX: it is none */
	uint32_t		 flags;
	uint8_t			 state, stop, interrupt;	/* interrupt: parse no further */
	uint8_t			 refusal;	/* enum refusal */
	uint8_t			 reason;	/* closing: enum close_reason */
	uint32_t		 allowance;	/* bytes it may still send before it is paced again; 0: any */
	uint32_t		 pings;		/* not answered */
	struct identity		*identity;	/* NULL: auth is not asked */
	struct secure		*secure;	/* its TLS; NULL: none */
	struct publish_hint	 hint;
	struct rest		*rest;		/* input that is not parsed yet; NULL: none */
	struct incoming		*incoming;	/* a large message that is coming in; NULL: none */
	uint32_t		 first;		/* newest subscription; 0: none */
	uint32_t		 subscriptions;
	uint32_t		*sids;		/* table of them by sid; NULL: they are few */
	uint32_t		 sid_buckets;
	uint32_t		 inbox;		/* subscription that took the last 503 */
	uint64_t		 out_bytes;	/* since the record was written */
	uint64_t		 out_recorded;	/* of out.messages, in the record */
	ev_tstamp		 heard, pinged;	/* last data, subscription or PING from it; last PING to it */
	ev_tstamp		 drained, tried;	/* its socket took something; was asked to */
	ev_tstamp		 settle_until;	/* it is let go bit by bit */
	ev_tstamp		 write_until, until;	/* on `writing`, on the other lists */
	uint64_t		 write_left;	/* bytes that it has to take before write_until */
	struct client		*next_touched, *next_heavy;
	struct client_list	*list;		/* which one `entry` is on; NULL: none */
	TAILQ_ENTRY(client)	 entry, writing;
};

/*
 * `connection` came: everything but the first byte to it. fd is consumed.
 * 0; -EPROTO: it is one more than the supervisor may pass before `taken`.
 */
int client_new(struct worker *w, const struct msg_connection *m, int fd);

/* `taken` was said: INFO, and it may speak, perhaps after a handshake. */
void client_open(struct client *c);
/* It may speak: auth_timeout begins, and its pings do. */
void client_serve(struct client *c);

/*
 * The end of an open client, now or after its last words. Safe wherever the
 * broker calls us: all that takes more than a flag is done by clients_reap().
 */
void client_close(struct client *c, enum close_reason reason);

/* Say why the server cannot have it, and close it. */
void client_refuse(struct client *c, enum refusal why);

/* Write out what waits. May close it. */
void client_flush(struct client *c);

/* Write out those with much to write. Not from within the broker's calls. */
void clients_flush_heavy(struct worker *w);

/* Read, write or both: what its state asks for. */
void client_watch(struct client *c);

/* Stop reading it for this reason; client_resume() reads on. */
void client_stop(struct client *c, enum client_stop why);
void client_resume(struct client *c);

/* Onto this list (NULL: none), from whichever it is on. */
void client_move(struct client *c, struct client_list *list);

/* Remove at most `most` of its subscriptions. How many. */
unsigned client_drop(struct client *c, unsigned most);

/* Say this, a whole protocol line. */
void client_say(struct client *c, struct bytes line);

enum info_kind {
	INFO_CHANGED,		/* as it is now */
	INFO_FIRST,		/* the first bytes to it: with a nonce, where that is wanted */
	INFO_CONNECT,		/* after the first PONG: with its account */
	INFO_LAME_DUCK,		/* it alone is to go elsewhere */
};
void client_say_info(struct client *c, enum info_kind kind);

/* It is in this account from now on, as this user (NULL: nobody). */
void client_belongs(struct client *c, uint32_t account, const char *user);

/* What CONNECT said of the client itself, into its record. */
void client_describe(struct client *c, const struct nats_connect *connect);

/* Its TLS, into the tables. */
void client_secured(struct client *c, const struct secure_record *secure);

/* Its counters into the tables. */
void client_account(struct client *c);

/* Its record in the tables, of which we are the only writer. */
struct connection_record *client_record(const struct client *c);

/* Take the closing ones a step further; true: there is more to do at once. */
bool clients_reap(struct worker *w);

/* Closing: nothing more from it or to it. */
void client_hang_up(struct client *c);

/* All of them, at once: the process ends. */
void clients_free(struct worker *w);

/* "Client Closed" and so on; static. */
const char *close_reason_text(enum close_reason reason);

#endif

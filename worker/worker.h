#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H
/*
 * A worker process: what its clients share. docs/architecture.md 3.
 */
#include <sys/tree.h>
#include <ev.h>
#include "broker/broker.h"
#include "broker/participant.h"
#include "common/child.h"
#include "nats/info.h"
#include "shm/segment.h"
#include "tls/stream.h"
#include "worker/client.h"
#include "worker/deadline.h"
#include "worker/deliver.h"
#include "worker/events.h"
#include "worker/limits.h"
#include "worker/login.h"
#include "worker/output.h"

#define WORKER_READ	(128u << 10)	/* most that one read takes */
#define WORKER_EARLY	(256u << 10)	/* pending bytes that are written out within a turn */
#define CLOSED_MOST	1024u		/* cids of one `closed`, messages.def */

struct long_sid;
RB_HEAD(long_sids, long_sid);
struct lame_duck;

/* What INFO says of where we are, by client_advertise. */
struct advertised { char *host; uint16_t port; };	/* host NULL: as we are */

struct worker {
	struct child		*child;
	struct ev_loop		*loop;
	struct settings		*settings;
	struct advertised	 advertised, next_advertised;	/* next: prepared by a reload */
	struct nats_info_form	 info_forms[2];	/* the second: with the account, as after the first PONG */
	uint64_t		 slow_limit;	/* three quarters of max_pending */

	/* what we share with the other participants */
	struct participant	 part;
	struct broker		*broker;	/* part.broker */
	struct tables_head	*head;		/* in part.tables */
	struct connection_record *records;

	/* who clients are and what they may */
	struct accounts		*accounts, *next_accounts;	/* next: prepared by a reload */
	struct policies		*policies;
	struct logins		 logins;
	uint64_t		 answers;	/* that were given in the system account's name */
	struct events		 events;

	/* TLS */
	struct tls_context	*tls, *next_tls;	/* NULL: none; next: prepared by a reload */
	struct signing		 signing;
	struct tls_tickets	 tickets;
	struct tls_buffers	 tls_buffers;

	/* clients, by slot */
	struct client		**clients;
	uint32_t		 slots, top;	/* room of clients, slots ever used */
	uint32_t		*free_slots;
	uint32_t		 nfree;
	uint32_t		 open;		/* clients that are not freed yet */
	struct long_sids	 long_sids;

	/* this turn of the loop */
	struct client		*touched, *heavy;
	struct client_list	 fresh, blocked, dropping, yielding, closing;
	struct client_list	 unread;	/* their streams have more to read */
	struct client_list	 shaking;	/* the next steps of their handshakes are due */
	struct client_list	 ended;		/* only `closed` is to be said for them, and cannot be now */
	uint64_t		 taken, told;	/* highest cid to say `taken` for (0: none), and said */
	uint64_t		 closed[CLOSED_MOST];	/* cids to say `closed` for */
	uint32_t		 nclosed;
	bool			 more;		/* lanes have more to drain */
	bool			 unblocked;	/* a full lane has space */
	bool			 caught_up;	/* a slow client came below three quarters */
	bool			 stopping;
	uint32_t		 unlisted;	/* subscription that is taken back before it was its client's */
	uint32_t		 readers, last_readers;	/* clients read in this turn, in the last */
	uint64_t		 out_msgs, out_bytes;	/* not in tables_head yet */
	struct client		*reading;	/* whose input is being handled; NULL: nobody's */
	uint64_t		 in_msgs, in_bytes;	/* of it */
	bool			 traces;		/* log_traces(), for this read */

	int64_t			 unlooked;	/* limits_unlooked() of it */

	struct limits		 limits;
	struct deadlines	 writing, paced, settling, lingering;
	ev_prepare		 turn_end;
	ev_check		 turn_begin;
	ev_idle			 busy;
	ev_timer		 lane_timeout, last_moment;
	ev_timer		 trim;		/* of the pool; runs only while there is something in it */
	struct lame_duck	*lame_duck;	/* NULL: not leaving */

	struct line		 line;		/* the message being published from input */
	struct output_pool	 pool;
	char			*buffer;	/* of input that is parsed in place */
	size_t			 buffer_size;
};

#define WORKER_TRIM		1.0	/* seconds after which memory that nobody needed is given back */
#define WORKER_LAST_MOMENT	0.1	/* seconds for what waits, at the end */
#define WORKER_AGAIN		0.1	/* seconds until the supervisor is told what could not be sent */

/* Everything that is needed before the sandbox. 0 or -errno. */
int worker_init(struct worker *w, struct child *child);
/* Close all clients and free everything but w and its child. */
void worker_free(struct worker *w);

/* A message from the supervisor. */
channel_receive worker_receive;

/* client_advertise of s. 0 or -ENOMEM; a->host is to be freed. */
int advertised_read(struct advertised *a, const struct settings *s);

/* child.stop: write out what waits, for WORKER_LAST_MOMENT at most, and end. */
void worker_stop(struct child *child);

/* What the loop does around its events; for those who have no loop. */
void worker_turn_begin(struct worker *w);
void worker_turn_end(struct worker *w);

/* Have c flushed at the end of this turn. */
static inline void
client_touch(struct client *c)
{
	if ((c->flags & CLIENT_TOUCHED) != 0)
		return;
	c->flags |= CLIENT_TOUCHED;
	c->next_touched = c->worker->touched;
	c->worker->touched = c;
}

/*
 * Tell the supervisor. What cannot be sent is logged. 0, also where the
 * supervisor is gone; -ENOBUFS, -ENOMEM: it was not told.
 */
int worker_tell(struct worker *w, const struct msg *m);
/* The same where nothing can be done about it: always 0. */
int worker_send(struct worker *w, const struct msg *m);

/* Say `closed` for those noted that were `taken`. What cannot be sent stays noted. */
void closed_tell(struct worker *w);

/*
 * May another be noted for `closed`? The other half of the list is for
 * connections that there was no memory for, which cannot wait: they are few,
 * since `taken` is not said meanwhile.
 */
static inline bool
closed_has_room(const struct worker *w)
{
	return w->nclosed < CLOSED_MOST / 2;
}

/* Since 1970, as of this turn of the loop. */
uint64_t worker_microseconds(const struct worker *w);
/* Seconds, never set back. */
double worker_monotonic(void);
/* An account of the configuration that is in force; NULL: it has none of that number. */
const struct account *worker_account(const struct worker *w, uint32_t number);
/* "$G"; "?" where it has none. */
const char *account_name(const struct worker *w, uint32_t number);
#endif

#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H
/*
 * A worker process: what its clients share. docs/architecture.md 3.
 */
#include <sys/tree.h>
#include <ev.h>
#include "broker/broker.h"
#include "common/child.h"
#include "shm/segment.h"
#include "worker/client.h"
#include "worker/deadline.h"
#include "worker/deliver.h"
#include "worker/output.h"

#define WORKER_READ	(128u << 10)	/* most that one read takes */
#define WORKER_EARLY	(256u << 10)	/* pending bytes that are written out within a turn */

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
	uint64_t		 slow_limit;	/* three quarters of max_pending */
	size_t			 most_payload;	/* max_payload was never larger, nor is about to be */

	/* what we share with the other participants */
	struct broker		*broker;	/* NULL until `segments` came */
	struct segment		 directory, partition, tables;
	struct segment		 old_partition, old_tables;	/* while a compaction is under way */
	struct tables_head	*head;
	struct connection_record *records;
	uint8_t			 secret[INDEX_SECRET];
	uint64_t		 generation;
	bool			 compacting;	/* asked for, or under way */
	bool			 removals;	/* subscriptions went since that was considered */
	int			 wakes;		/* epoll of the peers' eventfds */
	struct wake { uint64_t incarnation; int fd; } wake[PARTICIPANTS];	/* 0: none */
	ev_io			 woken;

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
	uint64_t		 taken;		/* highest cid to say `taken` for; 0: none */
	uint64_t		*closed;	/* cids to say `closed` for */
	uint32_t		 nclosed, closed_room;
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

/* Everything that is needed before the sandbox. 0 or -errno. */
int worker_init(struct worker *w, struct child *child);
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

/* Tell the supervisor. What it is too slow to take is logged, and its own loss: always 0. */
int worker_send(struct worker *w, const struct msg *m);

uint64_t worker_microseconds(const struct worker *w);
const char *account_name(uint32_t account);
#endif

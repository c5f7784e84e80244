#ifndef BROKER_PARTICIPANT_H
#define BROKER_PARTICIPANT_H
/*
 * A program's place in the fabric: its segments and lanes, and those of its
 * peers, as the supervisor hands them out (docs/joining.md), with the broker
 * over them. The same for every program that takes part.
 */
#include <ev.h>
#include "broker/broker.h"
#include "common/child.h"
#include "shm/segment.h"

/* What the program adds. NULL: nothing to do. `program` is that of the calls. */
struct participant_hooks {
	const struct broker_calls *calls;
	/* p->broker is there, or p->tables are in another place than before. */
	void	(*placed)(void *program);
	/* Compaction: what of the tables is not the broker's goes to `to` as well. */
	void	(*copy)(void *program, const struct segment *to);
	void	(*moved)(void *program, uint32_t connection, uint32_t from, uint32_t to);
};

struct participant {
	struct child		*child;
	const struct participant_hooks *hooks;
	void			*program;
	size_t			 max_payload;	/* largest body accepted from a lane; only ever grows */
	struct broker		*broker;	/* NULL until `segments` came */
	struct segment		 directory, partition, tables;
	struct segment		 old_partition;	/* while a compaction is under way */
	uint8_t			 secret[INDEX_SECRET];
	uint64_t		 generation;
	bool			 compacting;	/* asked for, or under way */
	ev_timer		 compact_pause;	/* since it failed: not asked for while this runs */
	bool			 removals;	/* subscriptions went since that was considered */
	int			 wakes;		/* epoll of the peers' eventfds */
	struct wake { uint64_t incarnation; int fd; } wake[PARTICIPANTS];	/* 0: none */
	ev_io			 woken;
};

#define PARTICIPANT_SAYS	(16u << 20)	/* bytes of a body that participants take whatever max_payload is */
#define COMPACTION_PAUSE	5.0	/* seconds after one that failed or was refused */

/* Before the sandbox: 0 or -errno. The hooks, and what they point to, stay the caller's. */
int participant_init(struct participant *p, struct child *child, const struct participant_hooks *hooks,
    void *program, size_t max_payload);
/* The broker, the peers' eventfds and all segments. Also of one that is all zeros. */
void participant_free(struct participant *p);

/* The number of this child among the participants. */
unsigned participant_number(const struct child *child);

/* Somebody may publish bodies of this size from now on: broker_raise_payload(), also before there is a broker. */
void participant_raise_payload(struct participant *p, size_t max_payload);

/* One message of the supervisor's about the fabric, with its descriptors. 0 or -errno; -EPROTO: it is none, or too early. */
int participant_receive(struct participant *p, const struct msg *m, const int *fds);

/* At the end of a turn: ask for new segments where it is worth it, and nobody asked yet. */
void participant_compact(struct participant *p);

/* broker_calls.complain of every program. */
void participant_complain(struct participant *p, unsigned peer, uint64_t incarnation, bool hung,
    const char *what);
#endif

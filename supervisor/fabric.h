#ifndef SUPERVISOR_FABRIC_H
#define SUPERVISOR_FABRIC_H
/*
 * The shared memory of the participants: who gets which segment when.
 * docs/joining.md has the order of the messages; the names of its steps are
 * used here. The supervisor maps none of it but the directory, which is its
 * own, and for a moment the counters of a dead participant.
 */
#include <ev.h>
#include "shm/directory.h"
#include "shm/hash.h"
#include "shm/segment.h"

struct supervisor;
struct process;
struct msg;

/* From one participant to another: the former's side of their lane. */
struct link {
	int		fd;		/* its lane segment, until the other has it; -1 */
	bool		sealed;
	bool		told;		/* the other was sent `peer` */
	bool		joined;		/* and answered */
	bool		rereads;	/* the other is to answer `partition_read` */
};

struct participant {
	struct process	*process;		/* NULL: nobody */
	int		 partition, tables;	/* what others are given; -1 none */
	bool		 sealed, serving;
	uint64_t	 generation;		/* of these two */
	bool		 compacting;
	bool		 replacing;		/* the new ones are sealed, peers change over to them */
	int		 new_partition, new_tables;
	ev_timer	 patience;		/* serves when it runs out, whoever has not answered */
	ev_timer	 rest;			/* no compaction begins while it runs */
};

struct fabric {
	struct directory	*directory;
	struct segment		 segment;	/* what directory lies in */
	int			 directory_fd;
	uint8_t			 secret[HASH_SECRET];
	size_t			 bulk, small;	/* bytes of the rings */
	struct participant	 participants[PARTICIPANTS];
	struct link		 links[PARTICIPANTS][PARTICIPANTS];	/* from, to */
};

#define FABRIC_PATIENCE	0.1	/* seconds */
#define FABRIC_REST	1.0	/* seconds between two compactions of one participant, at least */

/* Bytes of a bulk ring between this many participants; wanted: setting ring_size. */
size_t fabric_ring_size(unsigned participants, uint64_t wanted);

/* 0 or -errno. */
int fabric_init(struct supervisor *s);
/* Close all segments and stop the timers. */
void fabric_free(struct supervisor *s);

/* A participant said `ready`: steps 2 and 3. */
void fabric_join(struct process *p);

/* What a participant says of segments. 0; -EBADMSG and the like: it must go. */
int fabric_receive(struct process *p, const struct msg *m);

/* A participant has died. */
void fabric_leave(struct process *p);

/* Do all that joined serve, and are there any? */
bool fabric_serves(const struct fabric *f);

/* A new system process: it is told of everybody. */
void fabric_tell_system(struct supervisor *s);
#endif

#ifndef SUPERVISOR_PLACEMENT_H
#define SUPERVISOR_PLACEMENT_H
/*
 * Accepted connections: which worker gets them, and who has them. The
 * supervisor keeps its copy of the descriptor until the worker says `taken`,
 * so that a worker's death resets nobody whom it had not answered.
 */
#include <ev.h>
#include "common/messages.h"
#include "shm/directory.h"
#include "supervisor/addresses.h"
#include "supervisor/connections.h"

struct supervisor;
struct process;

#define PLACEMENT_WINDOW	64	/* passed to one worker and not taken, at most */

/* An accepted connection that no worker has taken. */
struct arrival {
	int		 fd;
	uint64_t	 cid;		/* new each time it is passed on */
	uint64_t	 refuse;	/* enum refusal */
	struct address	*address;	/* where it is counted; NULL: nowhere */
	uint64_t	 uid, gid;	/* who is at the other end of a Unix socket; NO_PEER */
	uint16_t	 listener, port;
	char		 host[46];
};

struct load {			/* of one worker */
	struct supervisor *supervisor;
	struct process	*process;
	bool		 serving;
	uint64_t	 connections;	/* passed to it and not closed, but for refused ones */
	struct arrival	*arrivals;	/* PLACEMENT_WINDOW; a ring */
	unsigned	 first, count;
	ev_timer	 patience;	/* for the oldest of them */
};

struct placement {
	struct load		*loads;		/* by slot */
	unsigned		 workers, next;	/* next: to break ties in turn */
	uint64_t		 most;		/* connections of one worker: its limit of open files */
	struct arrival		*waiting;	/* of workers that died */
	size_t			 nwaiting, room;
	struct connections	 connections;	/* taken ones */
	struct addresses	 addresses;
	uint64_t		 open;		/* connections, but for refused ones */
	uint64_t		 surplus;	/* of arrivals, above a lowered max_connections: closed when taken */
	uint64_t		 rate_second, rate_count;
	ev_tstamp		 tls_end;	/* of the second in which handshakes are counted */
	uint64_t		 tls_count, tls_rejected;
	ev_timer		 tls_told;	/* until the log says how many were rejected */
};

/* 0 or -ENOMEM. */
int placement_init(struct supervisor *s, unsigned workers);
/* Close what waits and forget who has what. */
void placement_free(struct supervisor *s);

/* How many connections a worker has descriptors for, of `descriptors`, among `workers`. */
uint64_t placement_most(uint64_t descriptors, unsigned workers);

/* How many workers there are by default on this machine. */
unsigned placement_workers(void);

/* Worker `slot` takes connections from now on; or it died. */
void placement_serve(struct supervisor *s, unsigned slot);
void placement_leave(struct supervisor *s, unsigned slot);

/* May one be accepted now? */
bool placement_has_room(struct supervisor *s);

/* Place a connection that was just accepted. fd is consumed. */
void placement_accept(struct supervisor *s, uint16_t listener, int fd,
    const struct sockaddr_storage *peer);

/* max_connections is lower than it was: close random ones above it. How many. */
uint64_t placement_trim(struct supervisor *s);

/* Close this client, or tell it alone of lame duck mode; an unknown one is gone already. */
void placement_kick(struct supervisor *s, uint64_t cid);
void placement_tell_lame_duck(struct supervisor *s, uint64_t cid);

/* taken and closed. 0; -EBADMSG: the worker cannot have meant that. */
int placement_receive(struct process *p, const struct msg *m);

/*
 * The slot that gets the next connection: the fewest connections, in turn
 * among equals; `able` says who may. -1: nobody.
 */
int placement_choose(struct placement *pl, bool (*able)(const struct load *load));
#endif

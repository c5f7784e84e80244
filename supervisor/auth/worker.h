#ifndef AUTH_WORKER_H
#define AUTH_WORKER_H
/* A worker: its channel, what it asks, what it has to be told. */
#include "supervisor/auth/auth.h"
#include "supervisor/auth/nonces.h"

struct session;
LIST_HEAD(session_list, session);
TAILQ_HEAD(telling_list, session);

#define WORKER_SESSIONS	(1u << 20)	/* more clients than a worker can have: shm/tables.h */
#define WORKER_WAITING	(64u << 20)	/* bytes of logins that wait */

struct worker {
	struct auth		*auth;
	struct channel		 channel;
	unsigned		 slot;
	uint64_t		 incarnation;
	bool			 told;		/* holds_end came */
	struct session_list	 sessions;
	uint32_t		 count;
	struct telling_list	 telling;
	struct nonces		 nonces;
	size_t			 waiting;	/* bytes of logins that wait */
};

/* The supervisor brought a channel: the slot's old one, and all that hung on it, is forgotten. 0 or -ENOMEM. */
int worker_open(struct auth *a, unsigned slot, uint64_t incarnation, int fd);
void worker_close(struct worker *w);

/*
 * Have all said who is in, but for those that take too long? Before, whether there is room for
 * another is not known.
 */
bool workers_told(const struct auth *a);

/* Note what s has to be told, in place of what was noted before. */
void worker_note(struct session *s, enum auth_refusal why, unsigned tell);
/* Tell what was noted, as fast as it is read. Refused sessions are gone then. */
void worker_flush(struct worker *w);

/* The lease of somebody changed: leases.h. */
extern const struct lease_calls worker_leases;
#endif

#ifndef WORKER_IDENTITY_H
#define WORKER_IDENTITY_H
/*
 * Who a client is and what it may, as auth said it. A client has one only
 * where auth is asked (auth_asked); elsewhere client.identity is NULL.
 *
 *   new -> asked -> in
 *                \-> asked again (a second CONNECT) -> in
 *
 * new: it has its INFO and auth_timeout runs. asked: its `login` is with auth,
 * or waits to be sent, and it is not read. in: `admitted` came.
 */
#include <sys/queue.h>
#include <sys/tree.h>
#include <ev.h>
#include "broker/policy.h"
#include "common/messages.h"
#include "worker/client.h"
#include "worker/limits.h"

struct question;

/* How the log and reports call it. */
enum identity_kind { IDENTITY_NOBODY, IDENTITY_USER, IDENTITY_NKEY, IDENTITY_TOKEN };

struct identity {
	RB_ENTRY(identity)	 by_cid;
	struct client		*client;
	ev_timer		 timer;		/* auth_timeout; once it is in, the user's expiry */
	struct question		*question;	/* what it offered; NULL: nothing is asked */
	struct policy		*policy;	/* NULL: everything is allowed */
	struct grants		 grants;
	uint64_t		 nonce;		/* number of the one in its INFO; 0: none was */
	uint64_t		 grant;		/* of `admitted` */
	uint64_t		 expires;	/* microseconds since 1970; 0: never */
	struct tenancy		 tenancy;	/* limits.c */
	TAILQ_ENTRY(identity)	 reviewing;	/* of logins.reviewed, while next is a subscription */
	uint32_t		 next;		/* to be looked at under a policy that is new; 0: none */
	char			*user;		/* never a secret; NULL: nobody */
	uint8_t			 kind;		/* enum identity_kind */
	bool			 in;		/* it was admitted */
	bool			 known;		/* auth knows its cid, on the channel that is open */
	bool			 responds;	/* may answer what it is sent: allow_responses */
	bool			 listed;	/* is found by its cid */
};

/* An `admitted` that is kept: its limits and its user lie in the two fields behind it. */
struct verdict {
	STAILQ_ENTRY(verdict)	 entry;
	struct msg_admitted	 m;
	struct policy		*policy;
	uint64_t		 limits[LIMITS];
	char			 user[];
};

/* Give c one; auth_timeout begins. 0 or -ENOMEM. */
int identity_new(struct client *c);
/* auth_timeout begins anew. */
void identity_wait(struct identity *id);
/* It is closing: nothing more is to happen by itself. NULL is nothing. */
void identity_rest(struct identity *id);
/* The client has none any more. NULL is nothing. */
void identity_free(struct identity *id);

/*
 * This holds from now on; v->policy is taken over. 0 or -ENOMEM: as before.
 * What it subscribed to is not looked at, nor its account's limits.
 */
int identity_take(struct identity *id, struct verdict *v);

/* "user:a", "nkey:U..." or "token", as its log lines have it; "" nobody. Returns text. */
const char *identity_label(const struct identity *id, char *text, size_t size);
/* `User "a"`, as the log of the 2.x server calls it where it is refused or loses something. */
const char *identity_name(enum identity_kind kind, const char *user, char *text, size_t size);

/*
 * What it may has changed: what it subscribed to and may not any more is
 * removed, and it is told. Of very many subscriptions some are looked at now and
 * some in each turn; until then they are as they were.
 */
void identity_review(struct client *c);
/* Go on with those of all clients; true: there is more to do at once. */
bool identities_review(struct worker *w);
/* Subscription `from` of c is about to become `to`, as a number or as the next one; 0: there is none. */
void identity_follow(struct client *c, uint32_t from, uint32_t to);

/* c->flags by what holds for its messages now: its policy, its account's mappings. */
void identity_flags(struct client *c);
#endif

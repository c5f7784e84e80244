#ifndef WORKER_LOGIN_H
#define WORKER_LOGIN_H
/*
 * The worker's side of auth: who a client is, is asked over one channel, and
 * the client is not read until the answer is there. When the channel is new
 * auth is told who is in, and asked again for those that wait.
 *
 * Verdicts of a configuration that this worker does not have yet wait for it.
 */
#include <sys/queue.h>
#include <sys/tree.h>
#include "common/channel.h"
#include "nats/connect.h"
#include "worker/identity.h"

#define LOGIN_GONE	1024u		/* cids of one `gone`, messages.def */
#define LOGIN_QUEUE	(256u << 10)	/* bytes on their way to auth; more waits here */
#define NONCES_LOW	128u		/* fewer than that: others are asked for */

/* What a client said of itself. */
struct question {
	TAILQ_ENTRY(question)	 entry;
	struct identity		*identity;
	struct nats_connect	 connect;	/* secrets, until auth has answered */
	bool			 implicit;	/* it said no CONNECT: no_auth_user, or nobody */
	bool			 sent;		/* else it is on logins.unsent */
	bool			 drops;		/* its old subscriptions have to go before it goes on */
};
TAILQ_HEAD(questions, question);
STAILQ_HEAD(verdicts, verdict);
RB_HEAD(identities, identity);
TAILQ_HEAD(identities_list, identity);

struct logins {
	struct channel		 channel;	/* fd -1: there is none, or it broke */
	struct identities	 all;		/* whose client is not closing */
	struct identities_list	 reviewed;	/* their subscriptions are being looked at */
	struct questions	 unsent;
	struct verdicts		 early;		/* of versions that are not in force here */
	uint32_t		 held;		/* clients of slots below it were told in `holds` */
	bool			 holds_told;	/* `holds_end` was said */
	uint64_t		 permissions_of;	/* cid whose records came ahead of `admitted`; 0: nobody's */
	struct policy		*permissions;
	uint64_t		 gone[LOGIN_GONE];
	uint32_t		 ngone;
	uint64_t		 nonce;		/* number of the next one */
	uint32_t		 nnonces, at;	/* that are left; the next one's place in raw */
	bool			 nonces_wanted;
	char			 raw[512 * NONCE_RAW];
};

void logins_init(struct worker *w);
void logins_free(struct worker *w);

/* `auth_channel` came; fd is consumed. 0. */
int login_channel(struct worker *w, int fd);

/*
 * Ask who c is, and stop reading it: session_admitted() goes on. connect is
 * taken over. It is closed where there is no memory, or what it offers is
 * longer than anything that is right.
 */
void login_ask(struct client *c, struct nats_connect *connect, bool implicit);
/* Whom it claims to be; *user: the name, NULL: there is none, or it is a secret. */
enum identity_kind login_claims(const struct nats_connect *connect, const char **user);
/* c begins to close: auth is told. */
void login_end(struct client *c);

/* Its client was not let in, or is not to be in any more: tell it why, and close it. */
void login_refuse(struct client *c, enum auth_refusal why, enum identity_kind kind, const char *user);

/* Other settings and accounts are in force: what waited for them, and who they do not fit. */
void logins_apply(struct worker *w);

/* Send what waits. After each turn. */
void logins_flush(struct worker *w);
/* Send m to auth. 0; -EPIPE: there is no channel, or auth is still being told who is in; -errno. */
int auth_tell(struct worker *w, const struct msg *m);

/* Is a nonce on its way, and has a client to wait for it? */
bool nonce_awaited(struct worker *w);
/* The next nonce; false: there is none, and INFO goes without. */
bool nonce_take(struct worker *w, uint64_t *number, char text[NONCE_ROOM]);
#endif

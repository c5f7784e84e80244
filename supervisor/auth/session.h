#ifndef AUTH_SESSION_H
#define AUTH_SESSION_H
/*
 * One client of one worker, from its login until the worker says that it is
 * gone. Found by worker and cid, so that a worker can speak of its own only.
 *
 *   DELAYED   is looked at later: its source failed too often, or not all workers said who is in
 *   HASHING   a thread looks at its password
 *   IN        it was admitted
 *   REFUSED   until the worker has been told; then it is nobody
 *   REVOKED   was in, and is not to be: until the worker says that it is gone
 */
#include "supervisor/auth/auth.h"

enum session_state { SESSION_NEW, SESSION_DELAYED, SESSION_HASHING, SESSION_IN, SESSION_REFUSED, SESSION_REVOKED };
enum session_tell { TELL_NOTHING, TELL_ADMITTED, TELL_REFUSED, TELL_REVOKED };

struct session {
	struct map_node		 node;
	LIST_ENTRY(session)	 entry;		/* of its worker */
	TAILQ_ENTRY(session)	 telling;	/* while there is something to tell */
	struct worker		*worker;
	uint64_t		 cid, grant;
	struct source		 source;
	const struct user	*user;		/* HASHING, IN; NULL: LOGIN_UNASKED */
	union {
		struct attempt		*attempt;	/* DELAYED, HASHING */
		char			*claims;	/* REFUSED; NULL: none */
		struct { uint32_t uid, gid; } peer;	/* NEW; IN by LOGIN_PEER */
	} u;
	uint32_t		 account;
	uint32_t		 expires;	/* its place in the heap; 0: none */
	uint8_t			 state, tell, how, type, why;
	bool			 counted;	/* in auth->counts */
	bool			 told;		/* the worker knows that it is in */
	bool			 peer_known;	/* u.peer is */
};

/* A new one. NULL: no memory. */
struct session *session_new(struct auth *a, struct worker *w, uint64_t cid);
struct session *session_find(struct auth *a, struct worker *w, uint64_t cid);
/* Forget it, with all that it waits for. */
void session_free(struct auth *a, struct session *s);

/* It is in as this user, whose limits allow it, or refused: the worker will be told. */
void session_admit(struct auth *a, struct session *s, enum login_how how, const struct user *user,
    const char *claims);
/* claims: as login_claimed() has it. s may be gone after the call. */
void session_refuse(struct auth *a, struct session *s, enum auth_refusal why, const char *claims);
void session_revoke(struct auth *a, struct session *s, enum auth_refusal why);

/* Count it for the limits of its account and user. 0 or -ENOMEM: it is not. */
int session_count(struct auth *a, struct session *s);
void session_uncount(struct auth *a, struct session *s);	/* if it was */

/*
 * Of one that a worker had before this process was there: it stays in if all is as its grant says, hears what
 * is new, or is revoked. 0; -EPROTO: there are two; -EMFILE, -ENOMEM.
 */
int session_hold(struct auth *a, struct worker *w, const struct msg_holds *m);

/* End who expires, and wait for the next. */
void sessions_expire(struct auth *a);
/*
 * What is in force is another than `before`: who is in is looked at again, and the
 * workers are told what is new.
 */
void sessions_review(struct auth *a, const struct users *before);
#endif

#ifndef AUTH_ATTEMPT_H
#define AUTH_ATTEMPT_H
/*
 * The way of one login: it waits its turn if its source failed too often, is decided, its hash compared.
 *
 * One login of such a source is looked at each auth_failure_delay, whatever connections, workers and users they
 * are for. Who goes, since its client left or auth_timeout was over, gives its turn to the next: so a
 * flood does not keep an honest login of the same address waiting after it has gone. A success does not end
 * the line, since one user's password may be known to who tries for another's.
 */
#include "supervisor/auth/session.h"

#define EARLY_PATIENCE	1.0	/* seconds that logins wait until all workers have said who is in */

/* 0; -EPROTO: it has this one already; -EMFILE: it has more clients than there can be; -errno of channel_send(). */
int attempt_begin(struct auth *a, struct worker *w, const struct msg_login *m);
/* Forget what s waits for, if it does. */
void attempt_cancel(struct auth *a, struct session *s);
/* Look at those whose time has come. */
void attempts_resume(struct auth *a);
/* The same of those that came before all workers had said who is in. */
void attempts_resume_early(struct auth *a);
/* Other settings are in force: nobody waits longer than they say. */
void attempts_reload(struct auth *a);
/* bcrypt_done and bcrypt_may of the process. */
void attempt_hashed(void *auth, void *session, bool right);
bool attempt_may(void *auth, void *session);
#endif

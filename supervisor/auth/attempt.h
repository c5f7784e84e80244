#ifndef AUTH_ATTEMPT_H
#define AUTH_ATTEMPT_H
/* The way of one login: delayed if its source failed too often, decided, its hash compared. */
#include "supervisor/auth/session.h"

#define EARLY_PATIENCE	1.0	/* seconds that logins wait until all workers have said who is in */

/* 0; -EPROTO: it has this one already; -EMFILE: it has more clients than there can be; -errno of channel_send(). */
int attempt_begin(struct auth *a, struct worker *w, const struct msg_login *m);
/* Forget what s waits for, if it does. */
void attempt_cancel(struct auth *a, struct session *s);
/* Look at those that were delayed long enough. */
void attempts_resume(struct auth *a);
/* The same of those that came before all workers had said who is in, if they have by now. */
void attempts_resume_early(struct auth *a);
/* bcrypt_done of the process. */
void attempt_hashed(void *auth, void *session, bool right);
#endif

#ifndef WORKER_USERINFO_H
#define WORKER_USERINFO_H
/* $SYS.REQ.USER.INFO: a client asks who it is and what it may. Its worker knows. */
#include "broker/broker.h"

struct client;

/* Does m, which c may publish, ask that, and is there a system account to answer? */
bool userinfo_asked(const struct client *c, const struct message *m);

/* Answer c to this subject, in its account; what cannot be sent at once is lost, as any request may be. */
void userinfo_answer(struct client *c, struct bytes reply);
#endif

#ifndef WORKER_EVENTS_H
#define WORKER_EVENTS_H
/*
 * What the system account is told of clients: records `client_event`, as
 * messages in the server's own account, and only where somebody there asked
 * for them (bulkhead-system does, where it has a system account to speak in).
 */
#include "worker/client.h"

#define EVENTS_SUBJECT	"event"		/* in ACCOUNT_SERVER */

/* c was let in. Not from within the broker's calls. */
void events_came(struct client *c);
/* c is being closed, for c->reason. Likewise. */
void events_left(struct client *c);
#endif

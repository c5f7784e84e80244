#ifndef WORKER_PEERS_H
#define WORKER_PEERS_H
/* Our segments and lanes, and those of the peers: docs/joining.md. */
#include "common/messages.h"

struct worker;

/* One message of the supervisor's about them, with its descriptors. 0 or -errno. */
int peers_receive(struct worker *w, const struct msg *m, const int *fds);

#define COMPACTION_PAUSE	5.0	/* seconds after one that failed or was refused */

/* Ask for a new partition where it is worth it, and nobody asked yet. */
void compaction_look(struct worker *w);

/* struct broker_calls */
void worker_complain(void *program, unsigned peer, uint64_t incarnation, bool hung, const char *what);

/* The broker, the peers' eventfds and all segments. */
void peers_free(struct worker *w);
#endif

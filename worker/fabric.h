#ifndef WORKER_FABRIC_H
#define WORKER_FABRIC_H
/* Our segments and lanes, and those of the peers: docs/joining.md. */
#include "common/messages.h"

struct worker;

/* One message of the supervisor's about them, with its descriptors. 0 or -errno. */
int fabric_receive(struct worker *w, const struct msg *m, const int *fds);

/* A new partition is worth asking for, and nobody asked yet. */
void fabric_look(struct worker *w);

/* struct broker_calls */
void worker_complain(void *program, unsigned peer, uint64_t incarnation, bool hung, const char *what);

void fabric_free(struct worker *w);
#endif

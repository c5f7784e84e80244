#ifndef WORKER_PEERS_H
#define WORKER_PEERS_H
/* What a worker adds to its place in the fabric (broker/participant.h): what the broker asks of it. */

struct worker;

/* Before the sandbox. 0 or -errno. */
int peers_init(struct worker *w);
#endif

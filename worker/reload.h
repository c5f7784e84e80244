#ifndef WORKER_RELOAD_H
#define WORKER_RELOAD_H
/* A worker whose settings change while it serves. docs/architecture.md, "How a reload goes". */
#include "common/child.h"

struct worker;

/* child.check: get what the next settings need, so that worker_apply() cannot fail. */
const char *worker_check(struct child *child, const struct settings *next);

/* child.apply */
void worker_apply(struct child *child, const struct settings *before);

/* `close_clients`: those of them that are still here. */
void clients_refuse(struct worker *w, const struct numbers *cids, enum refusal why);
#endif

#ifndef SUPERVISOR_USAGE_H
#define SUPERVISOR_USAGE_H
/* What system needs to tell of memory and processor time: it cannot open /proc itself. */
#include <sys/types.h>

struct supervisor;

/* Give system the /proc/PID/stat of one process. Without a system, or where
 * /proc is missing, nothing happens: the figures lack that process. */
void usage_tell(struct supervisor *s, pid_t pid);

/* A new system: of all that run, ourselves included. */
void usage_tell_all(struct supervisor *s);
#endif

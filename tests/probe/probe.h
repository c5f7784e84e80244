#ifndef TESTS_PROBE_PROBE_H
#define TESTS_PROBE_PROBE_H
/*
 * The probe: what is linked into the programs of the probe build, and into no
 * other (tests/probe/README.md). A test asks it to do what a broken process would.
 */
#include <stddef.h>
#include "common/child.h"

#define PROBE_FDS	8	/* descriptors that one request may bring */
#define PROBE_WORDS	16
#define PROBE_TRAPPED	1000	/* an errno of no other meaning: the filter did not execute the call */

struct probe_segment { int fd; void *base; size_t size; };	/* fd -1: none came yet */

struct probe {
	int			 fd;	/* to the test; -1: nobody asks */
	struct child		*child;
	ev_io			 readable;
	int			 given[PROBE_FDS];	/* came with the request */
	int			 ngiven;
	/* what the process had descriptors of: its own, a sibling's, and the supervisor's */
	struct probe_segment	 own, peer, directory;
};

extern struct probe probe;

/* One request. 0; -errno; PROBE_TRAPPED of errno counts as refused by the filter. */
typedef long probe_attempt(char **words);
struct probe_action { const char *name; probe_attempt *attempt; };

extern const struct probe_action probe_attempts[];	/* the last has no name */
/* Only in the worker: what one gone mad does. NULL elsewhere. */
extern const struct probe_action probe_mad[] __attribute__((weak));

#endif

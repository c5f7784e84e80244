#ifndef SYSTEM_USAGE_H
#define SYSTEM_USAGE_H
/* Which processes the server has, and what they use: as the supervisor and /proc/PID/stat (proc(5)) say. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/messages.h"

/* A place among the processes. Its stat stays readable in the sandbox once open. */
struct usage_process {
	struct msg_process	facts;
	int			fd;	/* -1: it has ended, another is to come */
	double			cpu;	/* seconds at the last usage_percent() */
};

/* By role and slot. */
struct usage {
	struct usage_process	*processes;
	size_t			 count, room;
	long			 page, ticks;	/* bytes; clock ticks a second */
	double			 seen;		/* monotonic seconds at the last usage_percent() */
};

/* What one uses now. */
struct usage_now { double cpu; uint64_t memory; bool stopped; };

/* Of no process yet. */
void usage_init(struct usage *u);
/* Close what usage_add() was given. */
void usage_free(struct usage *u);

/* One that is ready, in place of what was in its place. fd is consumed, also on error. 0, -ENOMEM, or -ENOSPC: more than USAGE_MAX. */
#define USAGE_MAX	256
int usage_add(struct usage *u, const struct msg_process *facts, int fd);
/* One has ended; 0 or the same. */
int usage_gone(struct usage *u, const struct msg_process_gone *gone);

/* False: it has ended, and its descriptor is closed. */
bool usage_read(struct usage *u, struct usage_process *p, struct usage_now *now);

/* Bytes resident now; what processes share counts in each. */
uint64_t usage_memory(struct usage *u);

/* Processor time since the last call, in percent of one processor, to one decimal. */
double usage_percent(struct usage *u);
#endif

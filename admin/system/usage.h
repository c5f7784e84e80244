#ifndef SYSTEM_USAGE_H
#define SYSTEM_USAGE_H
#include <stddef.h>
#include <stdint.h>

/* The /proc/PID/stat (proc(5)) of one process; it stays readable in the sandbox once open. */
struct usage_process { int fd; double cpu; };

/* What all processes of the server use. Those that ended drop out when they are next looked at, and when another comes. */
struct usage {
	struct usage_process	*processes;
	size_t			 count, room;
	long			 page, ticks;	/* bytes; clock ticks a second */
	double			 seen;		/* monotonic seconds at the last usage_percent() */
};

/* Of no process yet. */
void usage_init(struct usage *u);
/* Close what usage_add() was given. */
void usage_free(struct usage *u);

/* One more process. fd is consumed, also on error. 0, -ENOMEM, or -ENOSPC: more than USAGE_MAX. */
#define USAGE_MAX	256
int usage_add(struct usage *u, int fd);

/* Bytes resident now; what processes share counts in each. */
uint64_t usage_memory(struct usage *u);

/* Processor time since the last call, in percent of one processor, to one decimal. */
double usage_percent(struct usage *u);
#endif

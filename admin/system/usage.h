#ifndef SYSTEM_USAGE_H
#define SYSTEM_USAGE_H
#include <stdint.h>

/* What a process uses, from its /proc/PID/stat (proc(5)), which stays readable in the sandbox once open. */
struct usage {
	int		fd;		/* -1: not known */
	long		page, ticks;	/* bytes; clock ticks a second */
	double		seen, cpu;	/* monotonic seconds, processor seconds at the last usage_percent() */
};

void usage_open(struct usage *u);	/* our own; before the sandbox */
void usage_close(struct usage *u);

/* Bytes resident now; 0: not known. */
uint64_t usage_memory(const struct usage *u);

/* Processor time since the last call, in percent of one processor, to one decimal. */
double usage_percent(struct usage *u);
#endif

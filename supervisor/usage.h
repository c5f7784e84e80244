#ifndef SUPERVISOR_USAGE_H
#define SUPERVISOR_USAGE_H
/*
 * What system shows of the processes: which there are, and their /proc/PID/stat, which it
 * cannot open itself. Where /proc is missing so are they.
 */

struct process;

/* It is ready: tell system; a new system is told of all, ourselves included. */
void usage_process_ready(struct process *p);

/* It has ended. */
void usage_process_gone(struct process *p);
#endif

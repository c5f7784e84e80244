#ifndef SUPERVISOR_COMMAND_H
#define SUPERVISOR_COMMAND_H
/* --signal: tell a running server something. */
#include <sys/types.h>

/*
 * text: "command", "command=pid" or "command=pidfile"; a pid may end in `*`
 * and then stands for all whose number begins so. Prints what went wrong to
 * standard error. The exit status of the program.
 */
int command_signal(const char *text);

/* 0 and the signal that stands for the command; -EINVAL. */
int command_number(const char *name, size_t len, int *number);
#endif

#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H
#include <sys/types.h>
#include <stdbool.h>

/* The name that ps and the kernel's log show, as far as it fits. */
void process_name(const char *name);

/* End when the parent ends, however it ends. Lost by a change of uid. */
void process_end_with_parent(void);

/*
 * As fork(2). `apart`: where the host allows it the new process is the first of a pid namespace
 * of its own and sees no other; without privileges it gets a user namespace too, in which it
 * may still make the namespaces of sandbox_enter(). Whether it is apart is asked by
 * process_is_first(). For a process without threads.
 */
pid_t process_fork(bool apart);
bool process_is_first(void);

/*
 * The first process of a namespace ignores signals that it does not handle, those that it sends
 * itself too. Have it exit by them, with status PROCESS_SIGNALLED + number.
 */
void process_end_by_signals(void);
#define PROCESS_SIGNALLED	128
#endif

#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H
/* The event loop of every process: libev on epoll, woken by nothing but events. */
#include <ev.h>

/*
 * A new loop, or libev's default one (which alone reaps children). Must be made
 * before the sandbox, like all that it opens. NULL: epoll is missing, or no memory.
 */
struct ev_loop *loop_new(void);
struct ev_loop *loop_default(void);

/*
 * Call before close() for a watched descriptor that another process may still
 * have a copy of (passed by SCM_RIGHTS either way). epoll watches what a
 * descriptor stands for, so that a copy keeps it watched; libev meets such an
 * event by building a new epoll set, which costs much and which the sandbox forbids.
 */
void loop_forget(struct ev_loop *loop, int fd);
#endif

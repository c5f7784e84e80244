#ifndef AUTH_BCRYPT_H
#define AUTH_BCRYPT_H
/*
 * Passwords against bcrypt hashes, on threads that run only when nobody else
 * wants the processor (SCHED_IDLE): a storm of logins delays no message. The first
 * thread has a small share all the same (nice(2)), and is fed first: without it nobody
 * could log in while workers are busy.
 *
 * Jobs wait in a queue for each source, and the sources take turns, so that
 * one that offers thousands of passwords does not keep others out. Threads and
 * loop share no lock, which a thread that is not running could hold: each
 * thread has a place for one job, whose state says whose it is.
 *
 *   state    written by   then the job is
 *   IDLE     loop         the loop's
 *   WORK     loop         the thread's; an eventfd wakes it
 *   DONE     thread       the loop's; an eventfd wakes it
 */
#include <ev.h>
#include "supervisor/auth/source.h"

#define BCRYPT_JOBS	16384u	/* that wait; more are refused */
#define BCRYPT_THREADS	64u

struct bcrypt;
struct bcrypt_job;

/* What came of a job that was not cancelled; it is gone. of: as it was submitted. */
typedef void bcrypt_done(void *arg, void *of, bool right);
/* A job that has waited is about to begin. False: it is not to, and is gone; `done` is not called. */
typedef bool bcrypt_may(void *arg, void *of);

/* Is it such a hash, as the real server tells it from a password? */
bool bcrypt_is(struct bytes secret);

/* Before the sandbox. threads: 1 to BCRYPT_THREADS. 0; -ENOMEM; -errno of eventfd(2). */
int bcrypt_new(struct bcrypt **out, struct ev_loop *loop, unsigned threads, bcrypt_done *done,
    bcrypt_may *may, void *arg);
/* Start the threads and see all of them wait: no system call of a start is left. 0 or -errno. */
int bcrypt_start(struct bcrypt *b);
/* Ends the threads, after what they are at; `done` is not called. NULL is nothing. */
void bcrypt_free(struct bcrypt *b);

/* Compare. NULL: no memory, or too many wait, most of them from this source. */
struct bcrypt_job *bcrypt_submit(struct bcrypt *b, struct source from, struct bytes hash,
    struct bytes password, void *of);
/* `done` is not called for it. */
void bcrypt_cancel(struct bcrypt *b, struct bcrypt_job *job);
/* Jobs that wait or run. */
size_t bcrypt_jobs(const struct bcrypt *b);
#endif

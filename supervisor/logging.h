#ifndef SUPERVISOR_LOGGING_H
#define SUPERVISOR_LOGGING_H
/*
 * Lines for the log process. Each process writes to one end of a socketpair;
 * the supervisor keeps the other until, and while, the log process has it. When
 * that one dies everybody gets a new pair, and its successor also the old end,
 * with the lines that nobody had read.
 */
#include "common/messages.h"

struct supervisor;
struct process;

struct log_pipe {
	int	end;		/* for the log process; -1 none */
	int	previous;	/* what its predecessor had; -1 none */
	bool	given;		/* end was passed to the log process */
};

/* It has no ends. */
void log_pipe_init(struct log_pipe *lp);
/* Close those that it has. */
void log_pipe_close(struct log_pipe *lp);

/* A new pair. Its other end, to be passed to whoever writes, or -errno. */
int log_pipe_open(struct log_pipe *lp);

/* Pass the end to the log process, if there is one that serves. */
void log_pipe_give(struct supervisor *s, struct log_pipe *lp, enum role role, unsigned slot, pid_t pid);

/* Print what is still in it to standard error (before there is a log process). */
void log_pipe_print(struct log_pipe *lp);

/*
 * Open the configured log file, if any. 0: *fd is it, or a duplicate of
 * standard error; -errno: error is a sentence.
 */
int logging_open(struct supervisor *s, int *fd, char *error, size_t size);

/* Start the log process; our own lines go there from now on. 0 or -errno. */
int logging_start(struct supervisor *s, int fd);

/* The log process said `ready`: it gets its file and all the ends. */
void logging_ready(struct supervisor *s);

/* It died: new pairs for everybody. */
void logging_gone(struct supervisor *s);

/* Open the file again (SIGUSR1). */
void logging_reopen(struct supervisor *s);
#endif

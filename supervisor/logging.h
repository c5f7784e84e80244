#ifndef SUPERVISOR_LOGGING_H
#define SUPERVISOR_LOGGING_H
/*
 * Lines for the log process. Each process writes to one end of a socketpair;
 * the supervisor keeps the other until, and while, the log process has it. When
 * that one dies everybody gets a new pair, and its successor also the old end,
 * with the lines that nobody had read.
 */
#include <ev.h>
#include "common/messages.h"
#include "supervisor/syslog.h"

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

/* Where the lines are written. */
struct log_target {
	bool			 to_syslog;
	char			 path[4096];	/* of the file; empty: standard error or a syslog */
	char			 url[301];	/* of a remote syslog */
	int			 fd;		/* of the file, kept; of a syslog until it is passed on; -1 */
	struct syslog_address	 syslog;
	enum syslog_kind	 kind;		/* of fd */
};

struct logging {
	struct log_target	 now;
	struct log_target	*next;		/* of a reload that is under way; NULL: the same */
	ev_timer		 retry;		/* of a syslog whose connection broke */
	double			 delay, connected;	/* of the last connection: after which wait, and when */
};

void logging_init(struct supervisor *s);
void logging_free(struct supervisor *s);

/*
 * Open what the settings name: log_file, else remote_syslog or syslog, else
 * standard error. 0; -errno: error is a sentence.
 */
int logging_open(struct supervisor *s, char *error, size_t size);

/* Start the log process; our own lines go there from now on. 0 or -errno. */
int logging_start(struct supervisor *s);

/* The log process said `ready`: it gets its file and all the ends. */
void logging_ready(struct supervisor *s);

/* It wants another file or socket. 0 or -EBADMSG. */
int logging_receive(struct process *p, const struct msg *m);

/* It died: new pairs for everybody. */
void logging_gone(struct supervisor *s);

/* Open the file again (SIGUSR1). */
void logging_reopen(struct supervisor *s);

/*
 * A reload, in two steps: open what `next` names, if that is another target. 0; -errno:
 * error is a sentence, nothing has changed. Then use it, or forget it.
 */
int logging_reload(struct supervisor *s, const struct settings *next, char *error, size_t size);
void logging_reload_commit(struct supervisor *s);
void logging_reload_abandon(struct supervisor *s);
#endif

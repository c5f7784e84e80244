#ifndef SUPERVISOR_PROCESS_H
#define SUPERVISOR_PROCESS_H
/*
 * The process table: one entry for each process that is to run, whatever
 * process fills it just now.
 *
 *   IDLE      not running
 *   WAITING   will be started when its back-off ends
 *   STARTING  runs, has not said `ready`
 *   READY
 *   ENDING    was killed or asked to end; its exit has not been seen
 */
#include <sys/types.h>
#include <ev.h>
#include "common/channel.h"
#include "supervisor/backoff.h"
#include "supervisor/logging.h"

struct supervisor;

enum process_state {
	PROCESS_IDLE, PROCESS_WAITING, PROCESS_STARTING, PROCESS_READY, PROCESS_ENDING,
};

struct process {
	struct supervisor	*supervisor;
	enum role		 role;
	unsigned		 slot;
	enum process_state	 state;
	bool			 wanted;	/* is started again when it dies */
	bool			 asked;		/* to end, by `shutdown` */
	bool			 stopped;	/* by SIGSTOP or the like */
	uint64_t		 apart;		/* bits of roles to whom its channel broke (meetings.h) */
	bool			 keyed;		/* signer: it has loaded its keys (keys.h) */
	bool			 drained;	/* worker in lame duck mode: its last client is gone */
	uint64_t		 incarnation;	/* 0: none yet */
	uint64_t		 version, prepared;	/* of the settings: in force, prepared last (reload.h) */
	pid_t			 pid;		/* 0: not running */
	int			 pidfd;		/* -1 */
	uint64_t		 deaths;
	double			 started;	/* seconds since 1970 */
	struct backoff		 backoff;
	uint32_t		 layers;	/* of its sandbox (common/sandbox.h), as it said with `ready` */
	struct channel		 channel;
	struct log_pipe		 log;		/* its lines on their way to the log process */
	ev_io			 exited;
	ev_timer		 restart;	/* WAITING */
	ev_timer		 patience;	/* STARTING: to be ready (config: to answer; signer: to load its keys); then: stopped for too long */
	char			 why[256];	/* why we killed it; empty: we did not */
	double			 complained;	/* start of the window in which `complaints` are counted */
	unsigned		 complaints;
};

struct processes {
	struct process	**items;
	size_t		  count;
};

#define PROCESSES_EACH(all, p)						\
	for (size_t i_ = 0; i_ < (all)->count && ((p) = (all)->items[i_], true); i_++)

#define PROCESS_START_LIMIT	10.0	/* seconds from start to `ready`, of config to its answer, of the signer to its keys */
#define PROCESS_LAST_WORDS	0.1	/* and from closing its channel to its end */

/* A new entry, IDLE, wanted. NULL: no memory. */
struct process *processes_add(struct supervisor *s, enum role role, unsigned slot);
/* Forget all entries and close their channels, which ends whoever still runs. */
void processes_free(struct processes *all);

/* NULL: there is none. */
struct process *process_find(struct processes *all, enum role role, unsigned slot);
/* The only one of its role if it is READY, else NULL. */
struct process *process_serving(struct processes *all, enum role role);

/* Running, whatever its state. */
bool process_lives(const struct process *p);

/* Start it. What fails is treated as its death. */
void process_start(struct process *p);

/* It said `ready`. 0; -EBADMSG: it had no reason to. */
int process_ready(struct process *p, uint32_t layers);

/* SIGKILL it; the reason is logged with its death. */
void process_kill(struct process *p, const char *why, ...) __attribute__((format(printf, 2, 3)));

/* Ask it to end. */
void process_shutdown(struct process *p);

/* Reload: it is to run, or not, from now on; whoever is still ending is followed by another. */
void process_want(struct process *p);
void process_dismiss(struct process *p);

/* Send; whoever does not take what it is sent is killed. */
void process_send(struct process *p, const struct msg *m, const int *fds);

/* Note who is stopped, or goes on, before SIGCHLD says so. */
void processes_see_stopped(struct supervisor *s);
/* SIGCHLD: see who was stopped or goes on, and reap whom we did not start (as process 1). */
void processes_changed(struct supervisor *s);
#endif

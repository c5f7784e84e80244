#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H
/*
 * The supervisor's state and the order of its life:
 *
 *   CONFIGURING  the config process reads the file
 *   STARTING     listeners are bound, children start; nobody serves yet
 *   SERVING
 *   LAME_DUCK    listeners closed, workers send their clients away
 *   STOPPING     children are told to end; nobody is replaced
 */
#include <ev.h>
#include "common/settings.h"
#include "supervisor/control.h"
#include "supervisor/documents.h"
#include "supervisor/fabric.h"
#include "supervisor/files.h"
#include "supervisor/identity.h"
#include "supervisor/listener.h"
#include "supervisor/logging.h"
#include "supervisor/options.h"
#include "supervisor/placement.h"
#include "supervisor/process.h"
#include "supervisor/reload.h"
#include "supervisor/tickets.h"
#include "supervisor/tls.h"

enum phase {
	PHASE_CONFIGURING, PHASE_STARTING, PHASE_SERVING, PHASE_LAME_DUCK, PHASE_STOPPING,
};

#define SUPERVISOR_SIGNALS	6

struct supervisor {
	struct ev_loop		*loop;
	struct options		 options;
	struct settings		 settings;
	enum phase		 phase;
	int			 status;		/* what the program will return */
	bool			 quiet;			/* -t: ends without a word */
	unsigned		 workers;
	struct identities	 identities;		/* of children, from the settings */
	uint32_t		 layers;		/* of our own sandbox (common/sandbox.h) */
	int			 programs[ROLES];	/* -1 none */
	struct documents	 documents;		/* what each role is told at its start */
	struct logging		 logging;
	struct log_pipe		 log;			/* our own lines */
	uint64_t		 incarnations, cids;	/* the last ones given */
	struct configuring	*configuring;		/* NULL: nothing was asked yet */
	struct processes	 processes;
	struct fabric		 fabric;
	uint64_t		 participants;		/* bits of those that serve accounts (accounts.h) */
	uint32_t		 accounts_end;		/* behind the highest number in the directory */
	struct placement	 placement;
	struct listeners	 listeners;
	struct control		 control;
	struct reload		 reload;
	ev_signal		 signals[SUPERVISOR_SIGNALS];
	unsigned		 words;			/* `leaving` that system has not answered */
	bool			 parting;		/* STOPPING, and children are not told before it has */
	ev_timer		 stopping;		/* how long it, then children, may take */
	struct files		 files;
	struct tls_files	 tls;			/* what the TLS document in force was made from */
	uint64_t		 keys;			/* number of the last private key */
	struct tickets		 tickets;
	ev_timer		 watch;			/* until the files of `tls` are looked at (watch.h) */
	ev_timer		 meeting;		/* until children whose channel broke get a new one (meetings.h) */
	char			 digest[81];		/* of the configuration */
};

/* supervisor.c: 0 or -errno with a sentence */
int supervisor_init(struct supervisor *s, char *error, size_t size);
/* Close and free everything. Nothing to do after a supervisor_init() that failed. */
void supervisor_free(struct supervisor *s);

/* What happens to processes; called by process.c. */
/* A message of a child (ch->owner is its process). 0; -EBADMSG and the like: it must go. */
int supervisor_receive(struct channel *ch, const struct msg *m, const int *fds);
/* Its exit was seen: what it had is closed and given to others. */
void supervisor_process_gone(struct process *p);

/* startup.c */
/* Start the config process. */
void startup_begin(struct supervisor *s);
/* It died, as `how` says. Before anything serves that may be the end of us. */
void startup_process_failed(struct process *p, const char *how);
/* The signer has loaded its keys, or says why it cannot: before that nobody serves. */
void startup_keys_loaded(struct supervisor *s);
void startup_keys_refused(struct process *signer, struct bytes why);
void startup_served_if_ready(struct supervisor *s);	/* when all are up for the first time: open the doors */

/* shutdown.c */
/* End in order, with this exit status. */
void supervisor_stop(struct supervisor *s, int status);
/* The same after a line that says why, status 1. */
void supervisor_give_up(struct supervisor *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Close the listeners of clients, have workers send theirs away, then end. */
void supervisor_lame_duck(struct supervisor *s);
/* A process has ended or drained: is it time for the next step? */
void shutdown_continue(struct supervisor *s);

/* System has told what it was to tell (-EBADMSG: it was not asked to); or it never will. */
int shutdown_left_word(struct supervisor *s);
void shutdown_without_words(struct supervisor *s);
/* Children were stopped, or went on: those that are stopped are not waited for. */
void shutdown_some_stopped(struct supervisor *s);

/* signals.c */
/* Handle our signals in the loop, until signals_stop(). */
void signals_start(struct supervisor *s);
void signals_stop(struct supervisor *s);
#endif

#ifndef COMMON_CHILD_H
#define COMMON_CHILD_H
/*
 * What every child does before it works: take the channel that the supervisor
 * left at descriptor CHILD_CHANNEL, receive `start`, log through its log
 * channel, read its settings; then, when it has loaded what it needs, enter
 * the sandbox and say `ready`.
 */
#include <ev.h>
#include "common/channel.h"
#include "common/sandbox.h"
#include "common/settings.h"

#define CHILD_CHANNEL	3

struct child {
	enum role	 role;
	unsigned	 slot;
	uint64_t	 incarnation;
	struct ev_loop	*loop;
	struct channel	 supervisor;	/* state MSG_READY after child_ready() */
	struct settings	 settings;
	int		 accounts;	/* the accounts document (common/records.h); never -1 after child_init() */
	int		 tls;		/* the TLS document, likewise; empty without TLS */
	struct sandbox_start sandbox;	/* a program with threads sets how to start them */
	channel_receive	*receive;	/* the program's own messages */
	bool		 stopping;	/* `shutdown` came, or the supervisor is gone */
	/*
	 * Reload. `check`: can what is in `next` be applied? NULL: yes; or why not, a
	 * sentence that lives until the next call. It may be followed by another `check`
	 * instead of `apply`, when somebody else refused. `apply`: child->settings are the new
	 * ones now, `before` the old, freed after it. NULL hooks: nothing to check or do.
	 */
	const char	*(*check)(struct child *child, const struct settings *next);
	void		(*apply)(struct child *child, const struct settings *before);
	struct settings	 next;		/* prepared */
	int		 next_accounts, next_tls;	/* the documents that go with it; -1 none */
	uint64_t	 next_version;	/* of next; 0: none */
	bool		 refused;	/* next cannot be applied */
	uint64_t	 version;	/* of settings */
	void		(*stop)(struct child *child);	/* called for `shutdown`; NULL: break the loop */
	void		*program;	/* the program's own state */
};

/*
 * Set up child from descriptor CHILD_CHANNEL; exits with a sentence if it was
 * not started by bulkhead(8). `receive` gets every message but start,
 * log_channel, prepare, commit and shutdown, from now on (settings are read already).
 * The loop is libev's default loop, epoll, without environment or inotify.
 */
void child_init(struct child *child, enum role role, channel_receive *receive, void *program);

/* Sandbox, by the profile of its role, then `ready`. */
void child_ready(struct child *child);

/* Run the loop until `shutdown` or the supervisor's end. */
void child_run(struct child *child);
/* Close the channel to the supervisor, free the settings; the loop stays. */
void child_free(struct child *child);
#endif

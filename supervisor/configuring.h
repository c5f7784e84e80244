#ifndef SUPERVISOR_CONFIGURING_H
#define SUPERVISOR_CONFIGURING_H
/*
 * Ask a config process what the configuration says: the file of -c with all
 * that it includes, and the command line over it. It is started for one
 * question and ends with the answer; what it may see is handed to it one by
 * one: files that it asks for, variables of the environment by name, numbers of
 * users and groups.
 */
#include "supervisor/documents.h"

struct supervisor;
struct process;

struct configured {
	struct bytes	 errors;		/* one a line; empty: it is good */
	struct documents documents;		/* of each role; the callee takes what it sets to -1 */
	int		 tls_files;		/* what is named for TLS (tls.h), -1: no TLS; likewise */
	int		 printed;		/* for --print-config: the text, else -1; likewise */
	char		 digest[81];
};

typedef void configured_call(struct supervisor *s, struct configured *c);

/*
 * Start; `done` is called once, also when the process died or took longer than
 * PROCESS_START_LIMIT (errors say so), but not if the server is stopping by
 * then. Not while one is under way: -EBUSY; it may be started from `done`.
 * print: ask for the text of --print-config. 0; -ENOMEM, -EBUSY, or -errno of
 * the file with *why for the user ("open x: no such file or directory").
 */
int configuring_start(struct supervisor *s, bool print, configured_call *done, const char **why);

/* What a config process sends. */
int configuring_receive(struct process *p, const struct msg *m, const int *fds);

/* It ended, perhaps before it answered. how: "was killed by signal 9". */
void configuring_failed(struct process *p, const char *how);

/* When the supervisor ends. */
void configuring_free(struct supervisor *s);
#endif

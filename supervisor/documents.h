#ifndef SUPERVISOR_DOCUMENTS_H
#define SUPERVISOR_DOCUMENTS_H
/*
 * What each role is told of the configuration, as sealed memfds: its settings,
 * which the supervisor completes, its accounts, which pass through it unread, and
 * what concerns TLS, with the content of files in it (tls.h).
 */
#include "common/settings.h"

struct documents {
	int settings[ROLES], accounts[ROLES];	/* -1 none */
	int tls;				/* the same for all; -1 none */
};

/* There are none. */
void documents_init(struct documents *d);
/* Accounts and TLS documents with nothing in them, for who has no other. 0 or -errno. */
int documents_empty(struct documents *d);
/* Write the settings of all roles but config. 0 or -errno. */
int documents_write(struct documents *d, const struct settings *st);
/* What `from` has takes the place of what d has, which is left in `from`. */
void documents_take(struct documents *d, struct documents *from);
void documents_close(struct documents *d);
#endif

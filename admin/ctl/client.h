#ifndef ADMIN_CTL_CLIENT_H
#define ADMIN_CTL_CLIENT_H
/* A connection to a server's control socket. */
#include "common/channel.h"

#define CLIENT_PATIENCE	5.0	/* seconds for an answer */

/* One message of the answer. 0: go on; 1: it was the last; -errno: it is not what was asked for. */
typedef int client_receive(void *arg, const struct msg *m);

/*
 * Ask the server whose control socket is at path for `what`; NULL: the only one that is found,
 * in /run/bulkhead or bulkhead of $XDG_RUNTIME_DIR. EXIT_SUCCESS; or an exit status, after a
 * line on standard error.
 */
int client_ask(const char *path, const char *what, client_receive *receive, void *arg);
#endif

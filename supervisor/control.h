#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H
/*
 * The control socket, at which bulkheadctl reaches the server. Who connects and
 * may look, as the kernel says who it is, is handed to system with the first
 * byte unread; who may not is closed.
 */
#include <sys/types.h>
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include "supervisor/unix_socket.h"

struct supervisor;

#define CONTROL_FOLDER	"/run/bulkhead"	/* of sockets whose path is not configured; bulkheadctl looks there */

struct control {
	int			 fd;		/* -1: there is none */
	struct unix_socket	 file;
	struct unix_rights	 rights;	/* its group may look */
	ev_io			 readable;
	ev_timer		 pause;		/* until the next are accepted */
};

/*
 * Bind it where the settings say. 0: also if there is none, where none was asked for by its
 * path; -errno: error is a sentence.
 */
int control_open(struct supervisor *s, char *error, size_t size);
/* Close it and remove its file. */
void control_close(struct supervisor *s);

/* Something has changed that decides whether system can take a connection. */
void control_update(struct supervisor *s);
#endif

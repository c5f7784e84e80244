#ifndef SUPERVISOR_SYSLOG_H
#define SUPERVISOR_SYSLOG_H
/* The syslog that the settings name, and sockets to it. Nothing here waits but syslog_find(). */
#include <sys/socket.h>
#include "common/settings.h"

struct syslog_address {
	bool			 remote;	/* of remote_syslog; else this system's own */
	int			 type;		/* SOCK_STREAM, SOCK_DGRAM */
	struct sockaddr_storage	 address;
	socklen_t		 len;
	char			 text[300];	/* "tcp 127.0.0.1:514", for messages */
	char			 host[256];	/* of ours, for remote ones; else empty */
};

/*
 * What s says of where; a name is looked up, in at most so many milliseconds.
 * 0, or -errno: error is a sentence.
 */
int syslog_find(struct syslog_address *a, const struct settings *s, int patience, char *error,
    size_t size);

/*
 * A socket, connected or connecting, and in *kind what it is. With *refused
 * -errno and not 0 it is neither, and whoever writes to it will see that.
 * -errno: not even that.
 */
int syslog_connect(const struct syslog_address *a, enum syslog_kind *kind, int *refused);

/*
 * Wait up to so many milliseconds for what connects. 0: it is connected, or
 * still on its way; -errno: refused.
 */
int syslog_await(int fd, int milliseconds);

/* Why it was refused, as the real server words it. */
void syslog_refused(const struct syslog_address *a, int refused, char *error, size_t size);
#endif

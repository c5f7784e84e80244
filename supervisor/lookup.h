#ifndef SUPERVISOR_LOOKUP_H
#define SUPERVISOR_LOOKUP_H
/*
 * Names of hosts, users and groups. The system's resolver and its name
 * services (LDAP and the like) wait for a server for as long as they like, so a
 * process of its own asks them, and ends with our patience.
 */
#include <netdb.h>
#include <sys/socket.h>
#include <stdbool.h>
#include <stdint.h>

#define LOOKUP_STARTING	30000	/* milliseconds, before anybody is served */
#define LOOKUP_SERVING	2000	/* and at a reload: nobody is accepted meanwhile */

struct lookup {
	struct sockaddr_storage	 addr;
	socklen_t		 len;
};

/*
 * The address of a host (NULL: as getaddrinfo(3)) and port; of several, the first of
 * IPv4. An address written as one is not asked for. 0; EAI_AGAIN: nobody answered
 * within so many milliseconds; another EAI_, with errno if it is EAI_SYSTEM.
 */
int lookup(struct lookup *found, const char *host, const char *port, const struct addrinfo *hints,
    int patience);

/*
 * The number of a user or group: of a name in /etc/passwd or /etc/group, of one that the
 * system's name services know, or a number as it is. 0; -ENOENT: nobody has that name;
 * -EAGAIN: no answer within so many milliseconds; -errno.
 */
int lookup_identity(uint32_t *number, const char *name, bool group, int patience);
#endif

#ifndef SUPERVISOR_LOOKUP_H
#define SUPERVISOR_LOOKUP_H
/*
 * Names of hosts. The system's resolver waits for a name server for as long as
 * it likes, so a process of its own asks it, and ends with our patience.
 */
#include <netdb.h>
#include <sys/socket.h>

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
#endif

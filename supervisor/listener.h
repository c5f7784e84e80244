#ifndef SUPERVISOR_LISTENER_H
#define SUPERVISOR_LISTENER_H
/*
 * Listening sockets: bound once, never given away. Accepting stops while no
 * worker can take a connection, and for a moment when descriptors or memory
 * are exhausted.
 */
#include <ev.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include "supervisor/unix_socket.h"

struct settings;
struct supervisor;

struct listener {
	struct supervisor *supervisor;
	int		 fd;
	uint16_t	 number, port;	/* port: the real one */
	uint16_t	 asked;		/* port as configured; 0: any */
	bool		 http;
	bool		 local;		/* a Unix socket: host is "unix:/path" */
	struct unix_socket file;	/* of it, while fd is not -1 */
	unsigned	 batch;		/* to accept at the next event */
	char		 host[256];	/* as configured */
	ev_io		 readable;
};

struct listeners {
	struct listener	**items;	/* clients' first, then http's */
	size_t		 count;
	struct unix_rights rights;	/* of those that are local */
	int		 reserve;	/* a descriptor to give up when there is no other; -1 */
	ev_timer	 pause;		/* exhausted: accept again when it runs out */
	ev_tstamp	 exhausted;	/* since when; 0: not */
	ev_tstamp	 told;		/* when it was last so, if the log says that it is; 0: it does not */
};

/*
 * "host:port", "[v6]:port", ":port", "port"; port -1 is any free one (0).
 * What is not said is left as it is. 0 or -EINVAL.
 */
int listener_parse(const char *text, char host[256], uint16_t *port);

/* Bind everything the settings name. 0; -errno: error is a sentence. */
int listeners_open(struct supervisor *s, char *error, size_t size);
/* Close all of them. */
void listeners_free(struct supervisor *s);

/*
 * Reload: the set that `next` names, in *set. Those that are there already are
 * shared with s->listeners, the others are bound and listen, and accept nobody
 * yet. 0; -errno: error is a sentence, *set is empty.
 */
int listeners_prepare(struct supervisor *s, const struct settings *next, struct listeners *set,
    char *error, size_t size);

/* The prepared set is in use from now on; *set is what was before it. */
void listeners_swap(struct supervisor *s, struct listeners *set);

/* After it: Unix sockets that are in both have the rights that they are to have now. */
void listeners_change_rights(struct supervisor *s, const struct listeners *before);

/*
 * Close those of *set that are not in use, and empty it: after listeners_swap()
 * what was removed (who waits in its backlog is accepted before), without it
 * what was prepared in vain.
 */
void listeners_discard(struct supervisor *s, struct listeners *set);

/* Close those of the clients, or also those of HTTP. */
void listeners_close(struct supervisor *s, bool http);

/* Something has changed that decides who may accept. */
void listeners_update(struct supervisor *s);

/* "host:port", with brackets where they belong, or "unix:/path". Returns text. */
const char *listener_text(const struct listener *l, char *text, size_t size);

/* Is it in the set? */
bool listeners_have(const struct listeners *set, const struct listener *l);

/* The first of its kind that has a port, or NULL. */
const struct listener *listener_first(const struct listeners *all, bool http);
#endif

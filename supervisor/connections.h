#ifndef SUPERVISOR_CONNECTIONS_H
#define SUPERVISOR_CONNECTIONS_H
/*
 * Who has which connection: cid to worker and source address, for what a
 * worker says it closed, and for what ends with a worker. Open addressing,
 * 24 bytes an entry, between an eighth and three quarters full.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address;

struct connection {
	uint64_t	 cid;		/* 0: free */
	struct address	*address;	/* NULL: not counted */
	uint32_t	 worker;
	bool		 leaving;	/* its worker was told to close it */
};

struct connections {
	struct connection	*entries;
	size_t			 size, used;	/* size: a power of two */
	size_t			 leaving;	/* of those used */
};

/* Without a connection it has no memory. */
void connections_init(struct connections *c);
/* Free the table; the addresses are not left. */
void connections_free(struct connections *c);

/* 0 or -ENOMEM. cid is new and not 0. */
int connections_add(struct connections *c, uint64_t cid, unsigned worker, struct address *address);

/* Forget cid if it is this worker's. True: it was, and *address is its address. */
bool connections_remove(struct connections *c, uint64_t cid, unsigned worker,
    struct address **address);

/* Forget all of a worker; `left` is called with each one's address. Returns how many there were. */
size_t connections_remove_worker(struct connections *c, unsigned worker,
    void (*left)(void *arg, struct address *address), void *arg);

/* This one, which is there, is leaving. */
void connections_leave(struct connections *c, uint64_t cid);

/* NULL: it is not there. Valid until the next change. */
const struct connection *connections_get(const struct connections *c, uint64_t cid);

/* How many random ones are still to be chosen, of `left` that were not looked at. */
struct sample { size_t count, left; };

/*
 * The next one at or behind *at that the sample takes, of those that are not
 * leaving, each with the same chance; it is leaving now. NULL: that was all.
 */
const struct connection *connections_sample(struct connections *c, struct sample *sample,
    size_t *at);
#endif

#ifndef SYSTEM_TALLIES_H
#define SYSTEM_TALLIES_H
/* What the clients of each account have, and have had. */
#include "admin/system/connections.h"
#include "broker/accounts.h"

struct tally {
	uint64_t	connections, subscriptions;		/* now */
	uint64_t	in_msgs, in_bytes, out_msgs, out_bytes;	/* of these, and of those that left */
	uint64_t	slow_consumers;				/* of those that left */
};

/* Of the connections that are gone, as far as we heard of them: by account number, 0 nobody. */
struct past { struct past_account { uint32_t account; struct tally tally; } *all; uint32_t count, room; };

/* One left. Without memory it is forgotten. */
void past_add(struct past *p, const struct msg_client_event *e);
void past_free(struct past *p);

/*
 * One tally for each of a->all, in that order, from one walk over all connections. free().
 * NULL: no memory.
 */
struct tally *tallies_take(const struct view *v, const struct past *p, const struct accounts *a);
#endif

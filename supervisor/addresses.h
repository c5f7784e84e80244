#ifndef SUPERVISOR_ADDRESSES_H
#define SUPERVISOR_ADDRESSES_H
/*
 * How many connections each source address has; of IPv6 each /64, out of which
 * one host may take as many addresses as it likes; of Unix sockets each user. Kept only while
 * max_connections_per_address is set. A balanced tree: clients choose their
 * addresses, so no hash that they could fill.
 */
#include <sys/socket.h>
#include <sys/tree.h>
#include <stdint.h>

struct address {
	RB_ENTRY(address) entry;
	uint8_t		bytes[16];	/* IPv6, the last 8 are 0; IPv4 as ::ffff:a.b.c.d; ::100:0:uid */
	uint32_t	count;
};
RB_HEAD(addresses, address);

/* Nobody is connected. */
void addresses_init(struct addresses *all);
/* Forget them all; what address_enter() gave is gone too. */
void addresses_free(struct addresses *all);

/*
 * One more connection from this peer. 0: *out is to be left with
 * address_leave(); -EDQUOT its address or /64 has `limit` already; -ENOMEM.
 */
int address_enter(struct addresses *all, const struct sockaddr_storage *peer,
    uint32_t limit, struct address **out);

/* The same for one of a Unix socket: its user is counted. */
int address_enter_user(struct addresses *all, uint32_t uid, uint32_t limit, struct address **out);

/* One connection less; NULL is nobody. */
void address_leave(struct addresses *all, struct address *a);

/* The address as text without port, IPv4-mapped as IPv4, into 46 bytes or more, and the port. */
void address_text(const struct sockaddr_storage *peer, char *host, size_t size, uint16_t *port);
#endif

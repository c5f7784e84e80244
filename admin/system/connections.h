#ifndef SYSTEM_CONNECTIONS_H
#define SYSTEM_CONNECTIONS_H
/* Who is connected, as the tables of the workers show it, and who was last. */
#include "admin/system/view.h"
#include "common/messages.h"

/* A copy of what a record said; texts end with NUL, numbers may be anything. */
struct connection {
	uint64_t	cid, start, last, stop;		/* microseconds since 1970; stop 0: it is open */
	uint64_t	in_msgs, in_bytes, out_msgs, out_bytes, pending, rtt;
	uint32_t	account, subscriptions, first;
	uint16_t	port;
	bool		secure, tls_first;	/* it has TLS; since before INFO */
	char		tls_version[6], tls_cipher[56];
	char		host[46], lang[13], version[16], name[64], user[64], reason[48];
};

/* Slots of a worker that may be in use. */
uint32_t connection_top(const struct view *v, unsigned worker);
/* False: nobody is in that slot, or it changes faster than it can be read. slot is below connection_top(). */
bool connection_read(const struct view *v, unsigned worker, uint32_t slot, struct connection *c);
/* The certificate that it showed. False: none. c: as it was read from there. */
bool connection_certificate(const struct view *v, unsigned worker, uint32_t slot, const struct connection *c,
    struct secure_record *out);
/* The number of who is in that slot, whatever it is; 0: nobody. */
uint64_t connection_cid(const struct view *v, unsigned worker, uint32_t slot);
/* Is anybody connected who is in that account? */
bool connection_any(const struct view *v, uint32_t account);

/* The last that closed. */
#define CLOSED_KEPT	10000u
struct closed { struct connection *ring; uint32_t room, next; };

/* One more, in place of the oldest. Without memory it is forgotten. */
void closed_add(struct closed *all, const struct msg_client_event *e);
uint32_t closed_count(const struct closed *all);
void closed_free(struct closed *all);
#endif

#ifndef AUTH_EXPIRY_H
#define AUTH_EXPIRY_H
/* Sessions in the order in which they end: a binary heap, one timer for all. */
#include <stdint.h>

struct session;

struct expiring { uint64_t when; struct session *session; };	/* microseconds since 1970 */
struct expiry { struct expiring *all; uint32_t count, room; };

/* s is in no heap. 0 or -ENOMEM. Its place is kept in it. */
int expiry_add(struct expiry *e, struct session *s, uint64_t when);
/* It may be in none. */
void expiry_remove(struct expiry *e, struct session *s);
/* The first to end; NULL: nobody does. */
struct session *expiry_first(const struct expiry *e, uint64_t *when);
void expiry_free(struct expiry *e);
#endif

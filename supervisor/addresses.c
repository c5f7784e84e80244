#include <arpa/inet.h>
#include <netinet/in.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/addresses.h"

static int
address_compare(struct address *a, struct address *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

RB_GENERATE_INTERNAL(addresses, address, entry, address_compare, static __attribute__((unused)))

void
addresses_init(struct addresses *all)
{
	RB_INIT(all);
}

void
addresses_free(struct addresses *all)
{
	struct address *a, *next;

	RB_FOREACH_SAFE(a, addresses, all, next) {
		RB_REMOVE(addresses, all, a);
		free(a);
	}
}

/* What it is counted by: of IPv6 the first 64 bits, since one host may choose the others. */
static void
address_bytes(const struct sockaddr_storage *peer, uint8_t bytes[16])
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;

	memset(bytes, 0, 16);
	if (peer->ss_family == AF_INET6) {
		memcpy(bytes, &v6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 16 : 8);
	} else if (peer->ss_family == AF_INET) {
		bytes[10] = bytes[11] = 0xff;
		memcpy(bytes + 12, &v4->sin_addr, 4);
	}
}

static int
address_count(struct addresses *all, struct address *key, uint32_t limit, struct address **out)
{
	struct address *a = RB_FIND(addresses, all, key);

	if (a == NULL) {
		if (limit == 0)
			return -EDQUOT;
		a = calloc(1, sizeof(*a));
		if (a == NULL)
			return -ENOMEM;
		memcpy(a->bytes, key->bytes, sizeof(a->bytes));
		RB_INSERT(addresses, all, a);
	}
	if (a->count >= limit)
		return -EDQUOT;
	a->count++;
	*out = a;
	return 0;
}

int
address_enter(struct addresses *all, const struct sockaddr_storage *peer,
    uint32_t limit, struct address **out)
{
	struct address key;

	address_bytes(peer, key.bytes);
	return address_count(all, &key, limit, out);
}

int
address_enter_user(struct addresses *all, uint32_t uid, uint32_t limit, struct address **out)
{
	struct address key = { .bytes = { [8] = 1 } };	/* no IPv6: of that the last 8 are 0 */

	memcpy(key.bytes + 12, &uid, sizeof(uid));
	return address_count(all, &key, limit, out);
}

void
address_leave(struct addresses *all, struct address *a)
{
	if (a == NULL || --a->count > 0)
		return;
	RB_REMOVE(addresses, all, a);
	free(a);
}

void
address_text(const struct sockaddr_storage *peer, char *host, size_t size, uint16_t *port)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
	const char *text;

	if (peer->ss_family == AF_INET6) {
		*port = ntohs(v6->sin6_port);
		text = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ?
		    inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, (socklen_t)size) :
		    inet_ntop(AF_INET6, &v6->sin6_addr, host, (socklen_t)size);
	} else {
		*port = ntohs(v4->sin_port);
		text = inet_ntop(AF_INET, &v4->sin_addr, host, (socklen_t)size);
	}
	if (text == NULL)
		strlcpy(host, "unknown", size);
}

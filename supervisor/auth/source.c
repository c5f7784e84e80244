#include <arpa/inet.h>
#include <netinet/in.h>
#include "supervisor/auth/source.h"

#define ADDRESS_TEXT	64	/* bytes of an address in a message, at most */

/* Of what is no address: as no link-local network is, whose 54 bits behind fe80::/10 are 0. */
#define HIGH_TEXT	UINT64_C(0xfe80747874000000)
#define HIGH_FOUR	UINT64_C(0xffff)		/* as ::ffff:a.b.c.d has it */

static uint64_t
high_of(const struct in6_addr *a)
{
	uint64_t	high = 0;
	unsigned	i;

	for (i = 0; i < 8; i++)
		high = high << 8 | a->s6_addr[i];
	return high;
}

struct source
source_of(struct bytes address)
{
	char		text[ADDRESS_TEXT + 1];
	struct in6_addr	six;
	struct in_addr	four;
	size_t		len = address.len < ADDRESS_TEXT ? address.len : ADDRESS_TEXT;

	memcpy(text, address.data, len);
	text[len] = '\0';
	text[strcspn(text, "%")] = '\0';	/* the interface of a link-local one */
	if (inet_pton(AF_INET, text, &four) == 1)
		return (struct source){ HIGH_FOUR, ntohl(four.s_addr) };
	if (inet_pton(AF_INET6, text, &six) != 1)
		return (struct source){ HIGH_TEXT, map_hash(address) };
	if (IN6_IS_ADDR_V4MAPPED(&six)) {
		memcpy(&four, six.s6_addr + 12, sizeof(four));
		return (struct source){ HIGH_FOUR, ntohl(four.s_addr) };
	}
	return (struct source){ high_of(&six), 0 };
}

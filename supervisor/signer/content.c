#include <stdint.h>
#include "supervisor/signer/content.h"

#define RANDOM		32u	/* bytes of a hello's random number */
#define NAMED_CURVE	3	/* ECCurveType */
#define UNCOMPRESSED	4	/* first byte of a point in two coordinates */
#define PADDING		64u
#define SPACE		0x20

/* The end of the random number of a server that could do better than TLS 1.2, as all of ours; RFC 8446 4.1.3. */
static const uint8_t	downgrade[8] = { 'D', 'O', 'W', 'N', 'G', 'R', 'D', 1 };
static const char	context[] = "TLS 1.3, server CertificateVerify";	/* its NUL is signed too */

/* Groups of elliptic curves; others are not used in TLS 1.2. */
static const struct { unsigned group; size_t point; bool plain; } groups[] = {
	{ 23, 65, false },	/* secp256r1 */
	{ 24, 97, false },
	{ 25, 133, false },
	{ 29, 32, true },	/* x25519 */
	{ 30, 56, true },
};

/* SHA-256 or SHA-384: those of the cipher suites. */
static bool
is_tls13(const uint8_t *p, size_t len)
{
	size_t	i;

	if (len != PADDING + sizeof(context) + 32 && len != PADDING + sizeof(context) + 48)
		return false;
	for (i = 0; i < PADDING; i++)
		if (p[i] != SPACE)
			return false;
	return memcmp(p + PADDING, context, sizeof(context)) == 0;
}

static bool
is_tls12(const uint8_t *p, size_t len)
{
	const uint8_t	*parameters = p + 2 * RANDOM, *point = parameters + 4;
	unsigned	 group;
	size_t		 i;

	if (len <= 2 * RANDOM + 4 || parameters[0] != NAMED_CURVE ||
	    memcmp(parameters - sizeof(downgrade), downgrade, sizeof(downgrade)) != 0)
		return false;
	group = (unsigned)parameters[1] << 8 | parameters[2];
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (groups[i].group == group)
			return parameters[3] == groups[i].point && len == 2 * RANDOM + 4 + groups[i].point &&
			    (groups[i].plain || point[0] == UNCOMPRESSED);
	return false;
}

enum content
content_of(struct bytes b)
{
	const uint8_t	*p = (const uint8_t *)b.data;

	if (is_tls13(p, b.len))
		return CONTENT_TLS13;
	return is_tls12(p, b.len) ? CONTENT_TLS12 : CONTENT_OTHER;
}

struct bytes
content_sample(void)
{
	static char	sample[PADDING + sizeof(context) + 32];

	memset(sample, SPACE, PADDING);
	memcpy(sample + PADDING, context, sizeof(context));
	return (struct bytes){ sample, sizeof(sample) };
}

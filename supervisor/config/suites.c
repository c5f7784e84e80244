#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include "supervisor/config/suites.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))
#define BIT(place)	(UINT64_C(1) << (place))

/* openssl NULL: a suite that is not here. older: of TLS 1.2. */
static const struct suite {
	const char		*name, *openssl;
	bool			 older;
	enum suite_standing	 standing;
} suites[] = {
	{ "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", false, SUITE_GOOD },
	{ "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", false, SUITE_GOOD },
	{ "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", false, SUITE_GOOD },
	{ "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", true, SUITE_GOOD },
	{ "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", true, SUITE_GOOD },
	{ "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", true, SUITE_GOOD },
	{ "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", true, SUITE_GOOD },
	{ "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", true, SUITE_GOOD },
	{ "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305", true, SUITE_GOOD },
	{ "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA", true, SUITE_GOOD },
	{ "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA", true, SUITE_GOOD },
	{ "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA", true, SUITE_GOOD },
	{ "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA", true, SUITE_GOOD },
	{ "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256", true, SUITE_INSECURE },
	{ "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256", true, SUITE_INSECURE },
	{ "TLS_RSA_WITH_AES_128_GCM_SHA256", NULL, true, SUITE_RSA },
	{ "TLS_RSA_WITH_AES_256_GCM_SHA384", NULL, true, SUITE_RSA },
	{ "TLS_RSA_WITH_AES_128_CBC_SHA", NULL, true, SUITE_RSA },
	{ "TLS_RSA_WITH_AES_256_CBC_SHA", NULL, true, SUITE_RSA },
	{ "TLS_RSA_WITH_AES_128_CBC_SHA256", NULL, true, SUITE_RSA },
	{ "TLS_RSA_WITH_3DES_EDE_CBC_SHA", NULL, true, SUITE_RSA },
	{ "TLS_RSA_WITH_RC4_128_SHA", NULL, true, SUITE_RSA },
	{ "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", NULL, true, SUITE_BROKEN },
	{ "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", NULL, true, SUITE_BROKEN },
	{ "TLS_ECDHE_RSA_WITH_RC4_128_SHA", NULL, true, SUITE_BROKEN },
};

/* hybrid: OpenSSL has it since 3.5. */
static const struct curve { const char *name, *openssl; bool hybrid; } curves[] = {
	{ "X25519MLKEM768", "X25519MLKEM768", true },
	{ "SecP256r1MLKEM768", "SecP256r1MLKEM768", true },
	{ "SecP384r1MLKEM1024", "SecP384r1MLKEM1024", true },
	{ "X25519", "X25519", false },
	{ "CurveP256", "P-256", false },
	{ "CurveP384", "P-384", false },
	{ "CurveP521", "P-521", false },
};

#define HYBRIDS_SINCE	0x30500000ul

int
suite_find(struct bytes name)
{
	int	i;

	for (i = 0; i < COUNT(suites); i++)
		if (bytes_equal(name, bytes_of(suites[i].name)))
			return i;
	return -ENOENT;
}

enum suite_standing
suite_standing(int place)
{
	return suites[place].standing;
}

bool
suite_is_insecure(int place)
{
	return suites[place].standing != SUITE_GOOD;
}

const char *
suite_name(int place)
{
	return suites[place].name;
}

/* One more name at the end of a list that colons separate. */
static void
name_append(char out[SUITES_TEXT], const char *name)
{
	size_t	at = strlen(out);

	snprintf(out + at, SUITES_TEXT - at, "%s%s", at == 0 ? "" : ":", name);
}

void
suites_print(uint64_t set, bool older, char out[SUITES_TEXT])
{
	int	i;

	out[0] = '\0';
	for (i = 0; i < COUNT(suites); i++)
		if ((set & BIT(i)) != 0 && suites[i].older == older && suites[i].openssl != NULL)
			name_append(out, suites[i].openssl);
}

uint64_t
suites_usual(void)
{
	uint64_t	set = 0;
	int		i;

	for (i = 0; i < COUNT(suites); i++)
		if (suites[i].standing == SUITE_GOOD)
			set |= BIT(i);
	return set;
}

bool
suites_have(uint64_t set, bool older)
{
	int	i;

	for (i = 0; i < COUNT(suites); i++)
		if ((set & BIT(i)) != 0 && suites[i].older == older)
			return true;
	return false;
}

static bool
curve_is_there(int place)
{
	return !curves[place].hybrid || OpenSSL_version_num() >= HYBRIDS_SINCE;
}

int
curve_find(struct bytes name, int *place)
{
	int	i;

	for (i = 0; i < COUNT(curves); i++)
		if (bytes_equal(name, bytes_of(curves[i].name))) {
			*place = i;
			return curve_is_there(i) ? 0 : -ENOTSUP;
		}
	return -ENOENT;
}

void
curves_print(uint64_t set, char out[SUITES_TEXT])
{
	int	i;

	out[0] = '\0';
	for (i = 0; i < COUNT(curves); i++)
		if ((set & BIT(i)) != 0)
			name_append(out, curves[i].openssl);
}

uint64_t
curves_usual(void)
{
	uint64_t	set = 0;
	int		i;

	for (i = 0; i < COUNT(curves); i++)
		if (curve_is_there(i))
			set |= BIT(i);
	return set;
}

int
tls_version_find(struct bytes text, uint64_t *version)
{
	if (bytes_equal(text, BYTES("1.0")) || bytes_equal(text, BYTES("1.1")))
		return -ERANGE;
	if (bytes_equal(text, BYTES("1.2")))
		*version = TLS1_2_VERSION;
	else if (bytes_equal(text, BYTES("1.3")))
		*version = TLS1_3_VERSION;
	else
		return -EINVAL;
	return 0;
}

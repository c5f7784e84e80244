#include <openssl/sha.h>
#include "supervisor/auth/grant.h"

#define CREDENTIAL	UINT64_C(0x000000000000fff0)
#define RIGHTS		UINT64_C(0x000000ffffff0000)
#define SERIAL_SHIFT	40
#define SERIAL_MOST	UINT64_C(0xffffff)

static uint64_t
credential_bits(const struct user *user)
{
	const struct bytes	secret = user == NULL ? BYTES("") : user_secret(user);
	unsigned char		hash[SHA256_DIGEST_LENGTH];
	uint64_t		bits;

	SHA256((const unsigned char *)secret.data, secret.len, hash);
	bits = (uint64_t)hash[0] << 8 | hash[1];
	explicit_bzero(hash, sizeof(hash));
	return bits & CREDENTIAL;
}

static uint64_t
rights_bits(const struct users *u, const struct user *user)
{
	const struct permission_set	*set = users_permissions(u, user);
	uint64_t			 hash = 0;

	if (user != NULL) {
		hash = hash_mix(user->expires, user->number);
		if (user->limits != NULL)
			hash = hash_mix(hash, XXH3_64bits(user->limits, LIMITS * sizeof(*user->limits)));
	}
	if (set != NULL)
		hash = hash_mix(hash, XXH3_64bits(set->records.data, set->records.len));
	return hash & RIGHTS;
}

uint64_t
grant_make(uint64_t *serial, enum login_how how, const struct users *u, const struct user *user)
{
	*serial = *serial % SERIAL_MOST + 1;
	return *serial << SERIAL_SHIFT | rights_bits(u, user) | credential_bits(user) | (uint64_t)how;
}

enum login_how
grant_how(uint64_t grant)
{
	return (grant & 15) < LOGIN_HOWS ? (enum login_how)(grant & 15) : LOGIN_HOWS;
}

bool
grant_of_credential(uint64_t grant, const struct user *user)
{
	return (grant & CREDENTIAL) == credential_bits(user);
}

bool
grant_of_rights(uint64_t grant, const struct users *u, const struct user *user)
{
	return (grant & RIGHTS) == rights_bits(u, user);
}

#include <ctype.h>
#include "supervisor/config/passwords.h"

#define BCRYPT_TEXT	60	/* $2a$11$, 22 characters of salt, 31 of hash */
#define BCRYPT_HEAD	7

/* "$2a$", "$2b$", "$2x$", "$2y$" */
static bool
looks_hashed(struct bytes secret)
{
	return secret.len >= 4 && memcmp(secret.data, "$2", 2) == 0 && secret.data[2] != '\0' &&
	    strchr("abxy", secret.data[2]) != NULL && secret.data[3] == '$';
}

bool
password_hashed(struct bytes secret)
{
	static const char	alphabet[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	int			cost;
	size_t			i;

	if (secret.len != BCRYPT_TEXT || !isdigit((unsigned char)secret.data[4]) ||
	    !isdigit((unsigned char)secret.data[5]) || secret.data[6] != '$')
		return false;
	cost = (secret.data[4] - '0') * 10 + secret.data[5] - '0';
	for (i = BCRYPT_HEAD; i < secret.len; i++)
		if (memchr(alphabet, secret.data[i], sizeof(alphabet) - 1) == NULL)
			return false;
	return cost >= 4 && cost <= 31;
}

void
password_check(struct config_errors *errors, struct config_position at, struct bytes secret)
{
	if (looks_hashed(secret) && !password_hashed(secret))
		config_error(errors, at, "found the beginning of a bcrypt hash and something else behind it, "
		    "expected $2a$, a cost of 04 to 31, $ and 53 characters");
}

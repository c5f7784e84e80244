#include <sys/types.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/identity.h"
#include "supervisor/lookup.h"

/* A number in decimal and nothing else. */
static bool
number_parse(const char *text, uint32_t *number)
{
	size_t len = strlen(text);
	unsigned long long n;

	if (len == 0 || len > 10 || strspn(text, "0123456789") != len)
		return false;
	n = strtoull(text, NULL, 10);
	if (n >= UINT32_MAX)		/* that one means "leave it" to setresuid(2) */
		return false;
	*number = (uint32_t)n;
	return true;
}

/* Its group is set as well, if it has an entry. */
static bool
user_find(const char *name, uint32_t *uid, uint32_t *gid)
{
	const struct passwd *entry = getpwnam(name);

	if (entry == NULL && number_parse(name, uid)) {
		entry = getpwuid(*uid);
		*gid = entry != NULL ? entry->pw_gid : *uid;
		return true;
	}
	if (entry == NULL)
		return false;
	*uid = entry->pw_uid;
	*gid = entry->pw_gid;
	return true;
}

int
identity_find(struct identity *id, const struct settings *s, char *error, size_t size)
{
	struct identity found = { .given = *s->user != '\0' };

	if (!found.given && *s->group != '\0') {
		snprintf(error, size, "group: found \"%s\" without a user, expected both", s->group);
		return -EINVAL;
	}
	if (found.given && !user_find(s->user, &found.uid, &found.gid)) {
		snprintf(error, size, "user: found \"%s\", expected the name or number of a user", s->user);
		return -EINVAL;
	}
	if (*s->group != '\0' && lookup_identity(&found.gid, s->group, true, LOOKUP_STARTING) != 0) {
		snprintf(error, size, "group: found \"%s\", expected the name or number of a group", s->group);
		return -EINVAL;
	}
	if (found.given && (found.uid == 0 || found.gid == 0)) {
		snprintf(error, size, "%s: found root, expected one without its rights",
		    found.uid == 0 ? "user" : "group");
		return -EINVAL;
	}
	*id = found;
	return 0;
}

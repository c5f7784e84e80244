#include <sys/types.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/identity.h"
#include "supervisor/lookup.h"

#define IDENTITY_MAX	600	/* bytes of one in process_users: settings.def */
#define WORKERS_MAX	60	/* likewise */

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

/* `user` and `group`. */
static int
identity_of_all(struct identity *id, const struct settings *s, char *error, size_t size)
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

/* ---- process_users */

static int
users_refused(const char *item, const char *why, char *error, size_t size)
{
	snprintf(error, size, "process_users: found \"%s\", expected %s", item, why);
	return -EINVAL;
}

/* A child's role, by its name; ROLES: there is none. */
static enum role
role_find(const char *name)
{
	enum role role;

	for (role = ROLE_SUPERVISOR + 1; role < ROLES; role++)
		if (strcmp(role_name(role), name) == 0)
			break;
	return role;
}

/* "role:user" or "role:user:group" */
static int
identity_of_role(struct identities *ids, const char *item, char *error, size_t size)
{
	char text[IDENTITY_MAX + 1], *user, *group;
	struct identity *id, found = { .given = true, .own = true };
	enum role role;

	strlcpy(text, item, sizeof(text));
	user = strchr(text, ':');
	if (user == NULL)
		return users_refused(item, "\"role:user\" or \"role:user:group\"", error, size);
	*user++ = '\0';
	group = strchr(user, ':');
	if (group != NULL)
		*group++ = '\0';
	role = role_find(text);
	if (role == ROLES)
		return users_refused(item, "the name of a child, such as worker or signer", error, size);
	id = &ids->roles[role];
	if (id->given)
		return users_refused(item, "one user for each role", error, size);
	if (!user_find(user, &found.uid, &found.gid))
		return users_refused(item, "the name or number of a user", error, size);
	if (group != NULL && lookup_identity(&found.gid, group, true, LOOKUP_STARTING) != 0)
		return users_refused(item, "the name or number of a group", error, size);
	if (found.uid == 0 || found.gid == 0)
		return users_refused(item, "a user and a group without root's rights", error, size);
	*id = found;
	return 0;
}

/* Who runs as one of ids already? NULL: nobody. */
static const char *
identity_taken(const struct identities *ids, const struct settings *s, enum role role)
{
	const struct identity *id = &ids->roles[role];
	enum role other;

	for (other = 0; other < role; other++)
		if (ids->roles[other].given && ids->roles[other].uid == id->uid)
			return role_name(other);
	if (ids->all.given)
		return id->uid == ids->all.uid ? "user" : NULL;
	return id->uid >= s->uid_base && id->uid - s->uid_base < ROLES + WORKERS_MAX ? "uid_base" : NULL;
}

int
identities_find(struct identities *ids, const struct settings *s, char *error, size_t size)
{
	struct identities found = { .all = { .given = false } };
	const char *taken;
	enum role role;
	size_t i;
	int rc = identity_of_all(&found.all, s, error, size);

	for (i = 0; rc == 0 && i < s->process_users.count; i++)
		rc = identity_of_role(&found, s->process_users.items[i], error, size);
	for (role = 0; rc == 0 && role < ROLES; role++) {
		taken = found.roles[role].given ? identity_taken(&found, s, role) : NULL;
		if (taken == NULL)
			continue;
		snprintf(error, size, "process_users: %s would run as %u, as %s does, expected a user of its own",
		    role_name(role), (unsigned)found.roles[role].uid, taken);
		rc = -EINVAL;
	}
	if (rc == 0)
		*ids = found;
	return rc;
}

#ifndef SUPERVISOR_IDENTITY_H
#define SUPERVISOR_IDENTITY_H
/*
 * Whom children run as: the users of their roles (`process_users`), or else the settings `user`
 * and `group`, or else uids of their own.
 */
#include "common/messages.h"
#include "common/settings.h"

struct identity {
	bool		given;		/* it was set */
	bool		own;		/* of one role alone */
	uint32_t	uid, gid;
};

struct identities {
	struct identity	all;		/* of roles that have none */
	struct identity	roles[ROLES];
};

/*
 * Look them up, each a name or a number. Nothing is given where the settings are
 * empty. 0; -EINVAL with a sentence: there is no such one, it is
 * root, a group without a user, no role, or two roles have the same user.
 */
int identities_find(struct identities *ids, const struct settings *s, char *error, size_t size);
#endif

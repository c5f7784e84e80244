#ifndef SUPERVISOR_IDENTITY_H
#define SUPERVISOR_IDENTITY_H
/* Whom children run as: the settings `user` and `group`, or uids of their own. */
#include "common/settings.h"

struct identity {
	bool		given;		/* all are this one */
	uint32_t	uid, gid;
};

/*
 * Look `user` and `group` up, each a name or a number. Nothing is given where
 * both are empty. 0; -EINVAL with a sentence: there is no such one, it is
 * root, or a group without a user.
 */
int identity_find(struct identity *id, const struct settings *s, char *error, size_t size);
#endif

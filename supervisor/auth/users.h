#ifndef AUTH_USERS_H
#define AUTH_USERS_H
/*
 * The accounts, users and permissions of one accounts document, compactly:
 * 100,000 users are some 15 MB. Read whole, wiped when others take its place.
 */
#include "common/messages.h"
#include "supervisor/auth/map.h"

struct user {
	const char	*text;		/* name, then secret */
	uint64_t	 expires;	/* microseconds since 1970; 0: never */
	const uint64_t	*limits;	/* NULL: none */
	uint64_t	 number;	/* of `admitted`; 0: it has no limits */
	uint32_t	 account;	/* number */
	uint32_t	 types;		/* bits of enum connection_type; 0: all */
	uint32_t	 permissions;	/* place among the sets, from 1; 0: everything is allowed */
	uint32_t	 chain;		/* of the same hash: place, from 1 */
	uint16_t	 name_len, secret_len;
	uint8_t		 kind;		/* enum user_kind */
	bool		 anonymous, hashed;
	bool		 peer;		/* somebody of a Unix socket is this user */
};

struct permission_set {
	uint32_t	 number;
	int		 fd;		/* sealed, of what is too long for `admitted`; -1: none */
	struct bytes	 records;
};

struct account {
	uint32_t	 number;
	uint64_t	*limits;	/* NULL: none */
};

struct users;

/*
 * Read what config wrote for auth. 0: *out is for users_free(); -EBADMSG with
 * *why (static); -ENOMEM; -errno.
 */
int users_load(struct users **out, int fd, const char **why);
void users_free(struct users *u);	/* NULL is nothing */

static inline struct bytes
user_name(const struct user *user)
{
	return (struct bytes){ user->text, user->name_len };
}

static inline struct bytes
user_secret(const struct user *user)
{
	return (struct bytes){ user->text + user->name_len, user->secret_len };
}

/* May it come by this kind of connection? */
static inline bool
user_comes_by(const struct user *user, uint64_t type)
{
	return user->types == 0 || (user->types >> type & 1) != 0;
}

size_t users_count(const struct users *u);
#define ACCOUNT_UNASKED	1u	/* $G: that of who is not asked who it is */
/* There are no users: whoever comes is let in there. False also without that account. */
bool users_ask_nobody(const struct users *u);
/* Are there users of the one kind, and of the other? What there is not is not looked at. */
bool users_have_nkeys(const struct users *u);
bool users_have_names(const struct users *u);
/* Those that have a password or none at all, by name; those with an nkey, by its text. NULL: nobody. */
const struct user *users_named(const struct users *u, struct bytes name);
const struct user *users_nkey(const struct users *u, struct bytes nkey);
/* The one of the token, the one for who says nothing. NULL: there is none. */
const struct user *users_token(const struct users *u);
const struct user *users_anonymous(const struct users *u);
/* Of who connected to a Unix socket. A user of a uid and a gid wants both. */
const struct user *users_peer(const struct users *u, uint64_t uid, uint64_t gid);
/* By its number of `admitted`. */
const struct user *users_numbered(const struct users *u, uint64_t number);
/* Of a certificate's subject, a distinguished name. */
const struct user *users_distinguished(const struct users *u, struct bytes subject, uint64_t type);
const struct account *users_account(const struct users *u, uint32_t number);
/* NULL: everything is allowed. */
const struct permission_set *users_permissions(const struct users *u, const struct user *user);

/* A limit of an account or a user, which may be NULL: then there is none. */
uint64_t account_limit(const struct account *a, enum limit which);
uint64_t user_limit(const struct user *user, enum limit which);
#endif

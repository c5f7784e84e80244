#ifndef CONFIG_TENANTS_H
#define CONFIG_TENANTS_H
/*
 * Accounts and users, as the blocks accounts, authorization and mappings say
 * them: read entry by entry, then checked as a whole, then written as the
 * accounts documents of the roles. Texts lie in the configuration's own text.
 */
#include <msgpack.h>
#include "common/settings.h"
#include "shm/hash.h"
#include "supervisor/config/known.h"
#include "supervisor/config/schema.h"
#include "supervisor/config/source.h"

struct permission_set;		/* permissions.c */
struct patterns;		/* broker/patterns.h */

struct tenant_user {
	struct config_position	at;
	size_t			account;	/* its place in struct tenants */
	enum user_kind		kind;
	struct bytes		name, secret;
	uint8_t			key[32];	/* USER_NKEY */
	uint32_t		connection_types;	/* bits; 0: all */
	uint32_t		permissions;	/* number of a set; 0: everything is allowed */
	bool			permitted;	/* it has permissions of its own */
	bool			anonymous;
	uint64_t		limits[LIMITS];
	uint64_t		expires;	/* microseconds since 1970; 0: never */
	uint64_t		peer_uid, peer_gid;
};

struct tenant_export {
	struct config_position	 at;
	bool			 service;
	struct bytes		 subject;
	const struct config_value *listed;	/* names of accounts; NULL: it is public */
	bool			 also;		/* of a subject exported before: only to more accounts */
	size_t			*accounts;	/* their places */
	size_t			 count, room;
	unsigned		 token_position;
	enum response_type	 response;
	uint64_t		 threshold;	/* milliseconds */
	struct bytes		 latency;	/* .len 0: no samples */
	unsigned		 sampling;
};

struct tenant_import {
	struct config_position	 at;
	bool			 service, share, allow_trace;
	struct bytes		 account, subject;	/* theirs, as written */
	struct bytes		 to, prefix;		/* .len 0: not said */
	size_t			 owner, from;		/* places of accounts */
	char			*ours;		/* subject that our clients see, with `*` as wildcards */
	char			*transform;	/* of ours to theirs for a service, of theirs to ours for a stream */
	const struct tenant_export *export;
	uint32_t		 point;		/* cycles.c */
};

struct tenant_mapping {
	struct config_position	at;
	struct bytes		source, destination, cluster;
	uint64_t		weight;
};

struct tenant {
	struct bytes		 name;
	struct config_position	 at;
	uint32_t		 number;
	uint64_t		 limits[LIMITS];
	struct tenant_export	*exports;
	struct tenant_import	*imports;
	struct tenant_mapping	*mappings;
	size_t			 nexports, exports_room, nimports, imports_room, nmappings, mappings_room;
	struct known		 streams, services;	/* exports by subject */
	/* of streams, of services: made when they are asked for */
	struct patterns		*wide[2];	/* exports with wildcards */
	struct patterns		*ours[2];	/* imports, by what they are called here */
	struct known		 asked[2];	/* subjects that others import */
};

/* What an authorization block says beside its list of users. */
struct tenant_single {
	struct bytes		user, pass, token;
	struct config_position	at;		/* of the block */
	bool			given;		/* there is such a block */
	bool			users;		/* with a list of users, perhaps an empty one */
	uint32_t		permissions;
};

struct tenants {
	struct tenant		*accounts;	/* the first is the global one */
	size_t			 count, room;
	struct tenant_user	*users;
	size_t			 nusers, users_room;
	struct permission_set	*sets;		/* number i is sets[i - 1] */
	size_t			 nsets, sets_room;
	struct known		 account_names, user_names, set_texts;
	struct tenant_single	 single;
	struct bytes		 no_auth_user;
	struct config_position	 no_auth_user_at;
	bool			 no_system;
	size_t			 system;	/* its place; 0: it is none of the file's */
	uint8_t			 secret[HASH_SECRET];	/* of struct patterns; any will do, texts are the operator's */
	struct config_source	*source;	/* for the names of users and groups of the host */
	struct config_errors	*errors;
};

#define SUBJECT_MOST	16384	/* bytes; a record has several */
#define SECRET_MOST	8192

/* source, errors: kept by the caller. 0 or -ENOMEM. */
int tenants_init(struct tenants *t, struct config_source *source, struct config_errors *errors);
void tenants_free(struct tenants *t);

/* A new account. NULL: no memory. */
struct tenant *tenants_add(struct tenants *t, struct bytes name, struct config_position at);

/* -- the blocks: 0; what is wrong is in errors; -ENOMEM, -errno of the source */
int authorization_read(struct tenants *t, struct settings *s, struct schema_origins *origins,
    const struct config_entry *e);
int accounts_block_read(struct tenants *t, const struct config_entry *e);
int mappings_read(struct tenants *t, size_t account, const struct config_value *v);
/* Users of an account; default_permissions: for who has none of its own. */
int user_list_read(struct tenants *t, size_t account, const struct config_value *v);
void users_default(struct tenants *t, size_t first, uint32_t permissions);
int limits_read(struct tenants *t, uint64_t limits[LIMITS], const struct config_value *v);
int exports_read(struct tenants *t, size_t account, const struct config_value *v);
int imports_read(struct tenants *t, size_t account, const struct config_value *v);
void limits_none(uint64_t limits[LIMITS]);

/* -- permissions: a block into the number of its set; equal ones have the same. */
int permissions_read(struct tenants *t, const struct config_value *v, uint32_t *number);
/* The records of set number i. */
int permissions_write(const struct tenants *t, uint32_t number, msgpack_sbuffer *out);
void permissions_free(struct tenants *t);

/* A subject that may be subscribed to and fits in a record? False: the error is written down. */
bool subject_good(struct tenants *t, struct config_position at, struct bytes subject);
/* Has it characters that no subject of a configuration may have? Blanks are none of them. */
bool text_has_controls(struct bytes text);

/*
 * Tell `found` the places of a's exports of that kind that have wildcards and that subject
 * is within. 0 or -ENOMEM.
 */
int exports_around(struct tenants *t, struct tenant *a, bool service, struct bytes subject,
    bool (*found)(void *arg, uint32_t place), void *arg);

/* Lists of exports into accounts, imports against exports. */
int exports_resolve(struct tenants *t);
int imports_resolve(struct tenants *t);
/* Imports that feed themselves are errors. 0 or -ENOMEM. */
int cycles_find(struct tenants *t);

/*
 * What holds between all of these and the settings: users, the system account, numbers of
 * accounts. Sets the settings that follow from it. 0; what is wrong is in errors; -ENOMEM.
 */
int tenants_finish(struct tenants *t, struct settings *s, struct schema_origins *origins);

/* The accounts document of a role into out. 0 or -errno. */
int tenants_write(const struct tenants *t, enum role role, msgpack_sbuffer *out);
#endif

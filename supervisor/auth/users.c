#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/records.h"
#include "supervisor/auth/bcrypt.h"
#include "supervisor/auth/distinguished.h"
#include "supervisor/auth/users.h"

#define CHUNK		65536u		/* bytes of text in one piece of memory */
#define INLINE_MOST	40960u		/* messages.def: permissions of `admitted` */

struct chunk {
	struct chunk	*next;
	size_t		 used, size;
	_Alignas(8) char data[];
};

struct peer { uint64_t uid, gid; uint32_t user; };
struct numbered { uint64_t number; uint32_t user; };

struct users {
	struct user		*all;
	uint32_t		 count, room;
	uint32_t		*buckets;	/* by name: place in all, from 1 */
	uint32_t		 nbuckets;	/* a power of two */
	struct account		*accounts;	/* by number */
	uint32_t		 naccounts, accounts_room;
	struct permission_set	*sets;		/* by number */
	uint32_t		 nsets, sets_room;
	struct peer		*peers;		/* by uid, gid */
	uint32_t		 npeers, peers_room;
	struct numbered		*numbers;	/* by number */
	uint32_t		 nnumbers, numbers_room;
	struct distinguished		 distinguished;	/* names that are distinguished ones */
	const struct user	*token, *anonymous;
	bool			 nkeys, names;
	uint64_t		*limits;	/* the last that were kept: neighbours often have the same */
	struct chunk		*chunks;
};

struct reader {
	struct users	*users;
	msgpack_sbuffer	 set;		/* records of the last set */
	const char	*why;
};

/* Room for one more. 0 or -ENOMEM. */
static int
room_for(void *array, uint32_t count, uint32_t *room, size_t size)
{
	void		**items = array, *more;
	const uint32_t	  next = *room == 0 ? 16 : *room * 2;

	if (count < *room)
		return 0;
	if (next < *room || (more = reallocarray(*items, next, size)) == NULL)
		return -ENOMEM;
	*items = more;
	*room = next;
	return 0;
}

/* Memory that lives as long as the users do; wiped at their end. */
static void *
keep(struct users *u, size_t size)
{
	struct chunk	*c = u->chunks;
	const size_t	 wanted = (size + 7) & ~(size_t)7;

	if (c == NULL || c->size - c->used < wanted) {
		const size_t	 bytes = wanted > CHUNK ? wanted : CHUNK;

		if ((c = malloc(sizeof(*c) + bytes)) == NULL)
			return NULL;
		*c = (struct chunk){ .next = u->chunks, .size = bytes };
		u->chunks = c;
	}
	c->used += wanted;
	return c->data + c->used - wanted;
}

/* NULL in *out: no limits. 0 or -ENOMEM. */
static int
limits_keep(struct users *u, const struct numbers *n, uint64_t **out)
{
	uint64_t	values[LIMITS];
	bool		none = true;
	uint32_t	i;

	*out = NULL;
	for (i = 0; i < LIMITS; i++) {
		values[i] = msg_number(n, i);
		if (i != LIMIT_MESSAGES_BURST && i != LIMIT_BYTES_BURST && i != LIMIT_OVER_RATE &&
		    values[i] < NO_LIMIT)
			none = false;
	}
	if (none)
		return 0;
	if (u->limits == NULL || memcmp(u->limits, values, sizeof(values)) != 0) {
		if ((u->limits = keep(u, sizeof(values))) == NULL)
			return -ENOMEM;
		memcpy(u->limits, values, sizeof(values));
	}
	*out = u->limits;
	return 0;
}

static int
account_add(struct reader *r, const struct msg_account *m)
{
	struct users	*u = r->users;

	if (room_for(&u->accounts, u->naccounts, &u->accounts_room, sizeof(*u->accounts)) != 0)
		return -ENOMEM;
	u->accounts[u->naccounts] = (struct account){ .number = (uint32_t)m->number };
	return limits_keep(u, &m->limits, &u->accounts[u->naccounts++].limits);
}

/* The set that was read has ended. */
static int
set_finish(struct reader *r)
{
	struct users		*u = r->users;
	struct permission_set	*set;
	char			*records;

	if (r->set.size == 0)
		return 0;
	set = &u->sets[u->nsets - 1];
	if (r->set.size > INLINE_MOST && (set->fd = records_seal(&r->set)) < 0)
		return set->fd;
	if ((records = keep(u, r->set.size)) == NULL)
		return -ENOMEM;
	memcpy(records, r->set.data, r->set.size);
	set->records = (struct bytes){ records, r->set.size };
	msgpack_sbuffer_clear(&r->set);
	return 0;
}

static int
set_begin(struct reader *r, const struct msg *m)
{
	struct users	*u = r->users;
	const uint32_t	 number = (uint32_t)m->u.permission_set.number;

	r->why = "permission_set";
	if (u->nsets > 0 && u->sets[u->nsets - 1].number >= number)
		return -EBADMSG;
	if (room_for(&u->sets, u->nsets, &u->sets_room, sizeof(*u->sets)) != 0)
		return -ENOMEM;
	u->sets[u->nsets++] = (struct permission_set){ .number = number, .fd = -1 };
	return records_add(&r->set, m);
}

static int
set_compare(const void *a, const void *b)
{
	const struct permission_set	*x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* Its place from 1; 0: there is none of this number. */
static uint32_t
set_place(const struct users *u, uint64_t number)
{
	const struct permission_set	key = { .number = (uint32_t)number }, *set;

	set = u->nsets == 0 ? NULL : bsearch(&key, u->sets, u->nsets, sizeof(key), set_compare);
	return set == NULL ? 0 : (uint32_t)(set - u->sets) + 1;
}

static int
peer_add(struct users *u, const struct msg_user *m)
{
	if (m->peer_uid == NO_PEER && m->peer_gid == NO_PEER)
		return 0;
	if (room_for(&u->peers, u->npeers, &u->peers_room, sizeof(*u->peers)) != 0)
		return -ENOMEM;
	u->peers[u->npeers++] = (struct peer){ m->peer_uid, m->peer_gid, u->count };
	return 0;
}

/*
 * The same after every start: of the name, as leases outlive this process. Two users with one number
 * would share what is left of their limits, and 62 bits make that impossible by accident.
 */
static uint64_t
number_of(const struct msg_user *m)
{
	return XXH3_64bits_withSeed(m->name.data, m->name.len, m->kind) >> 2 | 1;
}

static int
number_add(struct users *u, uint64_t number)
{
	if (room_for(&u->numbers, u->nnumbers, &u->numbers_room, sizeof(*u->numbers)) != 0)
		return -ENOMEM;
	u->numbers[u->nnumbers++] = (struct numbered){ number, u->count };
	return 0;
}

static bool
user_is_sound(struct reader *r, const struct msg_user *m)
{
	r->why = "secret";
	if (m->kind == USER_NKEY && m->secret.len != 32)
		return false;
	r->why = "permissions";
	return m->permissions == 0 || set_place(r->users, m->permissions) != 0;
}

static int
user_add(struct reader *r, const struct msg_user *m)
{
	struct users	*u = r->users;
	struct user	*user;
	uint64_t	*limits;
	char		*text;

	if (!user_is_sound(r, m))
		return -EBADMSG;
	if (room_for(&u->all, u->count, &u->room, sizeof(*u->all)) != 0 ||
	    (text = keep(u, m->name.len + m->secret.len + 1)) == NULL ||
	    limits_keep(u, &m->limits, &limits) != 0 || peer_add(u, m) != 0 ||
	    (limits != NULL && number_add(u, number_of(m)) != 0))
		return -ENOMEM;
	memcpy(text, m->name.data, m->name.len);
	memcpy(text + m->name.len, m->secret.data, m->secret.len);
	user = &u->all[u->count++];
	*user = (struct user){ .text = text, .expires = m->expires, .limits = limits,
	    .number = limits == NULL ? 0 : number_of(m), .account = (uint32_t)m->account,
	    .types = (uint32_t)m->connection_types, .permissions = set_place(u, m->permissions),
	    .name_len = (uint16_t)m->name.len, .secret_len = (uint16_t)m->secret.len,
	    .kind = (uint8_t)m->kind, .anonymous = m->anonymous != 0,
	    .hashed = m->kind != USER_NKEY && bcrypt_is(m->secret),
	    .peer = m->peer_uid != NO_PEER || m->peer_gid != NO_PEER };
	return 0;
}

static int
record_add(struct reader *r, const struct msg *m)
{
	int	rc;

	if (m->type == MSG_permission) {
		r->why = "permission";
		return r->set.size == 0 ? -EBADMSG : records_add(&r->set, m);
	}
	if ((rc = set_finish(r)) != 0)
		return rc;
	switch (m->type) {
	case MSG_account:
		return account_add(r, &m->u.account);
	case MSG_permission_set:
		return set_begin(r, m);
	case MSG_user:
		return user_add(r, &m->u.user);
	default:
		return 0;	/* what only participants need */
	}
}

static int
record_receive(void *arg, const struct msg *m)
{
	struct reader	*r = arg;
	int		 rc = record_add(r, m);

	if (rc == 0)
		r->why = NULL;
	return rc;
}

/* -- finding */

static int
account_compare(const void *a, const void *b)
{
	const struct account	*x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static int
peer_compare(const void *a, const void *b)
{
	const struct peer	*x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return x->gid < y->gid ? -1 : x->gid > y->gid;
}

static int
number_compare(const void *a, const void *b)
{
	const struct numbered	*x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static uint64_t
name_hash(enum user_kind kind, struct bytes name)
{
	return map_mix(map_hash(name), kind == USER_NKEY);
}

static void
user_enter(struct users *u, uint32_t place)
{
	struct user	*user = &u->all[place];
	uint32_t	*bucket;

	if (user->anonymous)
		u->anonymous = user;
	if (user->kind == USER_NKEY)
		u->nkeys = true;
	if (user->kind == USER_TOKEN) {
		u->token = user;
		return;
	}
	bucket = &u->buckets[name_hash(user->kind, user_name(user)) & (u->nbuckets - 1)];
	user->chain = *bucket;
	*bucket = place + 1;
	u->names = u->names || (user->kind != USER_NKEY && user->name_len > 0);
}

static int
users_enter(struct users *u)
{
	uint32_t	i;
	int		rc;

	for (u->nbuckets = 16; u->nbuckets < u->count; u->nbuckets *= 2)
		;
	if ((u->buckets = calloc(u->nbuckets, sizeof(*u->buckets))) == NULL)
		return -ENOMEM;
	for (i = 0; i < u->count; i++) {
		user_enter(u, i);
		rc = u->all[i].kind == USER_NKEY ? 0 :
		    distinguished_add(&u->distinguished, user_name(&u->all[i]), i);
		if (rc != 0)
			return rc;
	}
	distinguished_sort(&u->distinguished);
	return 0;
}

/* All is read: what was grown is cut, what is looked up is sorted. */
static int
users_finish(struct reader *r)
{
	struct users	*u = r->users;
	struct user	*fit;
	uint32_t	 i;
	int		 rc = set_finish(r);

	if (rc != 0)
		return rc;
	if (u->naccounts > 0)
		qsort(u->accounts, u->naccounts, sizeof(*u->accounts), account_compare);
	if (u->npeers > 0)
		qsort(u->peers, u->npeers, sizeof(*u->peers), peer_compare);
	if (u->nnumbers > 0)
		qsort(u->numbers, u->nnumbers, sizeof(*u->numbers), number_compare);
	if (u->count > 0 && (fit = reallocarray(u->all, u->count, sizeof(*fit))) != NULL)
		u->all = fit;
	r->why = "account";
	for (i = 0; i < u->count; i++)
		if (users_account(u, u->all[i].account) == NULL)
			return -EBADMSG;
	return users_enter(u);
}

int
users_load(struct users **out, int fd, const char **why)
{
	struct reader	 r = { .users = calloc(1, sizeof(struct users)) };
	const char	*shape;
	int		 rc;

	*why = "memory";
	if (r.users == NULL)
		return -ENOMEM;
	msgpack_sbuffer_init(&r.set);
	rc = records_read(fd, ROLE_CONFIG, ROLE_AUTH, record_receive, &r, &shape);
	if (rc == 0)
		rc = users_finish(&r);
	msgpack_sbuffer_destroy(&r.set);
	if (rc != 0) {
		*why = rc == -ENOMEM ? "memory" : r.why != NULL ? r.why : shape;
		users_free(r.users);
		return rc;
	}
	*out = r.users;
	return 0;
}

void
users_free(struct users *u)
{
	struct chunk	*c;
	uint32_t	 i;

	if (u == NULL)
		return;
	while ((c = u->chunks) != NULL) {
		u->chunks = c->next;
		explicit_bzero(c->data, c->size);
		free(c);
	}
	for (i = 0; i < u->nsets; i++)
		if (u->sets[i].fd != -1)
			close(u->sets[i].fd);
	distinguished_free(&u->distinguished);
	free(u->all);
	free(u->buckets);
	free(u->accounts);
	free(u->sets);
	free(u->peers);
	free(u->numbers);
	free(u);
}

size_t
users_count(const struct users *u)
{
	return u->count;
}

bool
users_ask_nobody(const struct users *u)
{
	return u->count == 0 && users_account(u, ACCOUNT_UNASKED) != NULL;
}

bool
users_have_nkeys(const struct users *u)
{
	return u->nkeys;
}

bool
users_have_names(const struct users *u)
{
	return u->names;
}

static const struct user *
user_find(const struct users *u, bool nkey, struct bytes name)
{
	const struct user	*user;
	uint32_t		 place;

	place = u->buckets[name_hash(nkey ? USER_NKEY : USER_PASSWORD, name) & (u->nbuckets - 1)];
	for (; place != 0; place = user->chain) {
		user = &u->all[place - 1];
		if ((user->kind == USER_NKEY) == nkey && bytes_equal(user_name(user), name))
			return user;
	}
	return NULL;
}

const struct user *
users_named(const struct users *u, struct bytes name)
{
	return user_find(u, false, name);
}

const struct user *
users_nkey(const struct users *u, struct bytes nkey)
{
	return user_find(u, true, nkey);
}

const struct user *
users_token(const struct users *u)
{
	return u->token;
}

const struct user *
users_anonymous(const struct users *u)
{
	return u->anonymous;
}

static const struct user *
peer_find(const struct users *u, uint64_t uid, uint64_t gid)
{
	const struct peer	 key = { .uid = uid, .gid = gid };
	const struct peer	*it;

	it = u->npeers == 0 ? NULL : bsearch(&key, u->peers, u->npeers, sizeof(key), peer_compare);
	return it == NULL ? NULL : &u->all[it->user];
}

const struct user *
users_peer(const struct users *u, uint64_t uid, uint64_t gid)
{
	const struct user	*user;

	if (uid == NO_PEER && gid == NO_PEER)
		return NULL;
	user = peer_find(u, uid, gid);
	if (user == NULL && gid != NO_PEER)
		user = peer_find(u, uid, NO_PEER);
	if (user == NULL && uid != NO_PEER)
		user = peer_find(u, NO_PEER, gid);
	return user;
}

const struct user *
users_numbered(const struct users *u, uint64_t number)
{
	const struct numbered	 key = { .number = number };
	const struct numbered	*it;

	it = u->nnumbers == 0 ? NULL :
	    bsearch(&key, u->numbers, u->nnumbers, sizeof(key), number_compare);
	return it == NULL ? NULL : &u->all[it->user];
}

const struct user *
users_distinguished(const struct users *u, struct bytes subject, uint64_t type)
{
	const struct user	*reordered = NULL, *user;
	struct distinguished_walk	 w;
	uint32_t		 place;

	for (distinguished_begin(&w, &u->distinguished, subject); distinguished_next(&w, &place);) {
		user = &u->all[place];
		if (user->kind == USER_NKEY || user->kind == USER_TOKEN || !user_comes_by(user, type))
			continue;
		switch (distinguished_compare(user_name(user), subject)) {
		case NAMES_EQUAL:
			return user;
		case NAMES_REORDERED:
			if (reordered == NULL)
				reordered = user;
			break;
		case NAMES_DIFFER:
			break;
		}
	}
	return reordered;
}

const struct account *
users_account(const struct users *u, uint32_t number)
{
	const struct account	key = { .number = number };

	return u->naccounts == 0 ? NULL :
	    bsearch(&key, u->accounts, u->naccounts, sizeof(key), account_compare);
}

const struct permission_set *
users_permissions(const struct users *u, const struct user *user)
{
	return user == NULL || user->permissions == 0 ? NULL : &u->sets[user->permissions - 1];
}

uint64_t
account_limit(const struct account *a, enum limit which)
{
	return a == NULL || a->limits == NULL ? NO_LIMIT : a->limits[which];
}

uint64_t
user_limit(const struct user *user, enum limit which)
{
	return user == NULL || user->limits == NULL ? NO_LIMIT : user->limits[which];
}

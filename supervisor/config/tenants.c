#include <errno.h>
#include <stdlib.h>
#include "broker/patterns.h"
#include "common/log.h"
#include "supervisor/config/passwords.h"
#include "supervisor/config/tenants.h"

static const struct config_position	command_line = { .file = CONFIG_COMMAND_LINE };

int
tenants_init(struct tenants *t, struct config_source *source, struct config_errors *errors)
{
	static const struct config_position	nowhere;

	*t = (struct tenants){ .source = source, .errors = errors };
	XXH3_generateSecret_fromSeed(t->secret, 0);
	t->single.user = t->single.pass = t->single.token = t->no_auth_user = BYTES("");
	return tenants_add(t, BYTES("$G"), nowhere) == NULL ? -ENOMEM : 0;
}

static void
tenant_free(struct tenant *a)
{
	size_t	i;

	for (i = 0; i < a->nexports; i++)
		free(a->exports[i].accounts);
	for (i = 0; i < a->nimports; i++) {
		free(a->imports[i].ours);
		free(a->imports[i].transform);
	}
	free(a->exports);
	free(a->imports);
	free(a->mappings);
	known_free(&a->streams);
	known_free(&a->services);
	for (i = 0; i < 2; i++) {
		patterns_free(a->wide[i]);
		patterns_free(a->ours[i]);
		known_free(&a->asked[i]);
	}
}

void
tenants_free(struct tenants *t)
{
	while (t->count > 0)
		tenant_free(&t->accounts[--t->count]);
	free(t->accounts);
	free(t->users);
	permissions_free(t);
	known_free(&t->account_names);
	known_free(&t->user_names);
	known_free(&t->set_texts);
	*t = (struct tenants){ .accounts = NULL };
}

/* -- users */

/* What the command line says of a single user or a token takes the place of what the file says. */
static void
flags_apply(struct tenants *t, const struct settings *s)
{
	struct tenant_single	*one = &t->single;

	if (*s->flag_user == '\0' && *s->flag_pass == '\0' && *s->flag_token == '\0')
		return;
	one->at = command_line;
	if (*s->flag_user != '\0')
		one->user = bytes_of(s->flag_user);
	if (*s->flag_pass != '\0') {
		one->pass = bytes_of(s->flag_pass);
		password_check(t->errors, command_line, one->pass);
	}
	if (*s->flag_token != '\0') {
		one->token = bytes_of(s->flag_token);
		password_check(t->errors, command_line, one->token);
	}
}

/* Does what the file says of who may connect contradict itself? */
static bool
single_check(struct tenants *t)
{
	const struct tenant_single	*one = &t->single;
	const char			*what = NULL;

	if ((one->user.len > 0 || one->pass.len > 0) && one->token.len > 0)
		what = "found a user or password and a token, expected one of them";
	else if (one->user.len > 0 && (one->users || t->nusers > 0))
		what = "found a single user and a list of users, expected one of them";
	else if (one->token.len > 0 && (one->users || t->nusers > 0))
		what = "found a token and a list of users, expected one of them";
	else if (one->user.len == 0 && one->pass.len > 0)
		what = "found a password without a user, expected both";
	if (what != NULL)
		config_error(t->errors, one->at, "%s", what);
	return what == NULL;
}

/* One more user, in the global account. 0 or -ENOMEM. */
static int
user_append(struct tenants *t, enum user_kind kind, struct bytes name, struct bytes secret)
{
	struct tenant_user	u = { .at = t->single.at, .kind = kind, .name = name, .secret = secret,
	    .peer_uid = NO_PEER, .peer_gid = NO_PEER };
	void			*users = t->users;

	if (config_room(&users, t->nusers, &t->users_room, sizeof(u)) != 0)
		return -ENOMEM;
	t->users = users;
	if (kind != USER_WITHOUT)
		u.permissions = t->single.permissions;
	limits_none(u.limits);
	t->users[t->nusers++] = u;
	return 0;
}

/* The single user or the token as one of the users. 0 or -ENOMEM. */
static int
single_append(struct tenants *t)
{
	const struct tenant_single	*one = &t->single;
	int				 rc = 0;

	if (!single_check(t))
		return 0;
	if (one->user.len > 0) {
		rc = known_add(&t->user_names, one->user, (uint32_t)t->nusers, NULL);
		if (rc == 0)
			rc = user_append(t, USER_PASSWORD, one->user, one->pass);
	}
	if (rc == 0 && one->token.len > 0)
		rc = user_append(t, USER_TOKEN, BYTES(""), one->token);
	return rc;
}

/*
 * Who says nothing of itself: the user of no_auth_user; or, if there are only
 * users of the system account, whoever comes, in the global one. Not where
 * there is an authorization block, even an empty one: CVE-2023-47090.
 */
static int
anonymous_find(struct tenants *t)
{
	char		quote[CONFIG_QUOTED];
	uint32_t	place;
	int		rc;

	if (t->no_auth_user.len == 0) {
		if (t->system == 0 || t->count != 2 || t->single.given || t->nusers == 0)
			return 0;
		rc = user_append(t, USER_WITHOUT, BYTES(""), BYTES(""));
		if (rc == 0)
			t->users[t->nusers - 1].anonymous = true;
		return rc;
	}
	if (known_find(&t->user_names, t->no_auth_user, &place) && t->single.user.len == 0)
		t->users[place].anonymous = true;
	else
		config_error(t->errors, t->no_auth_user_at, "no_auth_user: found %s, expected a user or nkey of a list of users",
		    config_quote(quote, t->no_auth_user));
	return 0;
}

static int
peer_compare(const void *a, const void *b)
{
	const struct tenant_user	*x = *(const struct tenant_user *const *)a;
	const struct tenant_user	*y = *(const struct tenant_user *const *)b;

	if (x->peer_uid != y->peer_uid)
		return x->peer_uid < y->peer_uid ? -1 : 1;
	return (x->peer_gid > y->peer_gid) - (x->peer_gid < y->peer_gid);
}

/* Who of a Unix socket is which user has to be clear. 0 or -ENOMEM. */
static int
peers_check(struct tenants *t)
{
	const struct tenant_user	**peers = calloc(t->nusers + 1, sizeof(*peers));
	size_t				  i, n = 0;

	if (peers == NULL)
		return -ENOMEM;
	for (i = 0; i < t->nusers; i++)
		if (t->users[i].peer_uid != NO_PEER || t->users[i].peer_gid != NO_PEER)
			peers[n++] = &t->users[i];
	qsort(peers, n, sizeof(*peers), peer_compare);
	for (i = 1; i < n; i++)
		if (peer_compare(&peers[i - 1], &peers[i]) == 0)
			config_error(t->errors, peers[i]->at, "found the unix_user and unix_group of the user in line %u, "
			    "expected others", peers[i - 1]->at.line);
	free(peers);
	return 0;
}

/* -- accounts */

/* Which one the server speaks in. */
static int
system_find(struct tenants *t, struct settings *s, const struct schema_origins *origins)
{
	const struct setting	*which = setting_find(BYTES("system_account"));
	char			 quote[CONFIG_QUOTED];
	bool			 said = s->has_system_account && *s->system_account != '\0';
	const char		*name = said ? s->system_account : "$SYS";
	uint32_t		 place;

	if (known_find(&t->account_names, bytes_of(name), &place)) {
		t->system = place;
		t->no_system = false;
	} else if (said && strcmp(name, "$SYS") != 0) {
		config_error(t->errors, schema_said_at(origins, "system_account"),
		    "system_account: found %s, expected an account that is defined",
		    config_quote(quote, bytes_of(name)));
	} else {
		t->no_system = t->no_system && !said;
	}
	return setting_set_text(s, which, bytes_of(t->no_system ? "" : name));
}

/* Accounts that had a number and are not in the file any more. */
static int
gone_note(struct settings *s, const bool *there, uint32_t count)
{
	const struct setting	*which = setting_find(BYTES("accounts_gone"));
	char			 text[16];
	uint32_t		 i;
	int			 rc = 0;

	for (i = 0; i < count && rc == 0; i++) {
		if (there[i])
			continue;
		snprintf(text, sizeof(text), "%u", (unsigned)(ACCOUNT_FIRST + i));
		rc = setting_add_item(s, which, bytes_of(text));
	}
	return rc;
}

/* Numbers of accounts never change: those that had one keep it, the others get the next. */
static int
numbers_give(struct tenants *t, struct settings *s)
{
	const struct setting	*which = setting_find(BYTES("account_numbers"));
	struct known		 known = { NULL, 0, 0 };
	uint32_t		 next = (uint32_t)s->account_numbers.count, place;
	const uint32_t		 before = next;
	bool			*there = calloc(before + 1u, sizeof(*there));
	size_t			 i;
	int			 rc = there == NULL ? -ENOMEM : 0;

	for (i = 0; i < next && rc == 0; i++)
		rc = known_add(&known, bytes_of(s->account_numbers.items[i]), (uint32_t)i, NULL);
	for (i = 0; i < t->count && rc == 0; i++) {
		struct tenant	*a = &t->accounts[i];

		if (i == 0 || i == t->system) {
			a->number = i == 0 ? ACCOUNT_GLOBAL : ACCOUNT_SYSTEM;
			continue;
		}
		if (!known_find(&known, a->name, &place)) {
			place = next++;
			rc = setting_add_item(s, which, a->name);
		} else {
			there[place] = true;
		}
		if (place > ACCOUNT_MOST - ACCOUNT_FIRST) {
			config_error(t->errors, a->at, "found more than %u accounts since the server started",
			    ACCOUNT_MOST - ACCOUNT_FIRST + 1);
			break;
		}
		a->number = ACCOUNT_FIRST + place;
	}
	if (rc == 0)
		rc = gone_note(s, there, before);
	free(there);
	known_free(&known);
	return rc;
}

/* As the real server warns, once for all of them. */
static void
plaintext_warn(const struct tenants *t)
{
	size_t	i;

	for (i = 0; i < t->nusers && !t->errors->strict; i++)
		if (t->users[i].kind == USER_PASSWORD && !password_hashed(t->users[i].secret)) {
			log_warn("Plaintext passwords detected, use nkeys or bcrypt");
			return;
		}
}

static bool
has_nkeys(const struct tenants *t)
{
	size_t	i;

	for (i = 0; i < t->nusers; i++)
		if (t->users[i].kind == USER_NKEY)
			return true;
	return false;
}

/* What workers have to know of all this before anybody connects. */
static int
settings_follow(const struct tenants *t, struct settings *s)
{
	bool	asked = t->nusers > 0, given = t->no_auth_user.len > 0;
	bool	implicit = asked && !given && t->users[t->nusers - 1].anonymous;
	int	rc;

	if ((rc = setting_set_boolean(s, setting_find(BYTES("auth_asked")), asked)) == 0 &&
	    (rc = setting_set_boolean(s, setting_find(BYTES("auth_required")), asked && !given)) == 0 &&
	    (rc = setting_set_boolean(s, setting_find(BYTES("nonce_required")), has_nkeys(t))) == 0)
		rc = setting_set_boolean(s, setting_find(BYTES("no_auth_user_given")), given || implicit);
	return rc;
}

int
tenants_finish(struct tenants *t, struct settings *s, struct schema_origins *origins)
{
	int	rc;

	flags_apply(t, s);
	if ((rc = single_append(t)) != 0 || (rc = system_find(t, s, origins)) != 0 ||
	    (rc = anonymous_find(t)) != 0 || (rc = peers_check(t)) != 0 ||
	    (rc = exports_resolve(t)) != 0 || (rc = imports_resolve(t)) != 0)
		return rc;
	if (t->errors->count > 0)
		return 0;
	if ((rc = cycles_find(t)) != 0 || (rc = numbers_give(t, s)) != 0)
		return rc;
	plaintext_warn(t);
	return settings_follow(t, s);
}

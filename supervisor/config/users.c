/* The users of an account: who they are, how they show it, what they may. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>
#include "nats/nkey.h"
#include "supervisor/config/fields.h"
#include "supervisor/config/passwords.h"

/* A user entry while it is read. */
struct reading { struct tenant_user user; struct bytes nkey, pass; bool pass_given; };

static int
name_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	field_text(f, e, &r->user.name, 1024);
	return 0;
}

static int
pass_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	if (field_secret(f, e, &r->pass)) {
		r->pass_given = true;
		password_check(f->t->errors, e->value.at, r->pass);
	}
	return 0;
}

static int
nkey_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	char		 quote[CONFIG_QUOTED];

	if (!field_text(f, e, &r->nkey, 1024) || r->nkey.len == 0)
		return 0;
	if (nkey_decode(r->nkey, NKEY_USER, r->user.key) != 0)
		config_error(f->t->errors, e->value.at, "found %s, expected the public nkey of a user, U and 55 others",
		    nkey_found(r->nkey, quote));
	return 0;
}

static int
user_permissions_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->user.permitted = true;
	return permissions_read(f->t, &e->value, &r->user.permissions);
}

static void
connection_type_read(struct fields *f, const struct config_value *v)
{
	static const char *const	names[] = {
		[CONNECTION_STANDARD] = "STANDARD", [CONNECTION_WEBSOCKET] = "WEBSOCKET",
		[CONNECTION_LEAFNODE] = "LEAFNODE", [CONNECTION_LEAFNODE_WS] = "LEAFNODE_WS",
		[CONNECTION_MQTT] = "MQTT", [CONNECTION_MQTT_WS] = "MQTT_WS",
		[CONNECTION_IN_PROCESS] = "IN_PROCESS",
	};
	struct reading			*r = f->owner;
	char				 found[CONFIG_QUOTED];
	unsigned			 i;

	for (i = 0; v->kind == CONFIG_TEXT && i < CONNECTION_TYPES; i++)
		if (strlen(names[i]) == v->text.len && strncasecmp(names[i], v->text.data, v->text.len) == 0) {
			r->user.connection_types |= 1u << i;
			return;
		}
	config_error(f->t->errors, v->at, "found %s, expected a type of connection: STANDARD, WEBSOCKET, "
	    "LEAFNODE, LEAFNODE_WS, MQTT, MQTT_WS or IN_PROCESS", config_found(v, found));
}

static int
connection_types_read(struct fields *f, const struct config_entry *e)
{
	size_t	i;

	if (e->value.kind != CONFIG_LIST)
		connection_type_read(f, &e->value);
	else
		for (i = 0; i < e->value.list.count; i++)
			connection_type_read(f, &e->value.list.items[i]);
	return 0;
}

static int
user_limits_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	return limits_read(f->t, r->user.limits, &e->value);
}

/* "Z" or "+01:30" as seconds east of Greenwich. 0 or -EINVAL. */
static int
zone_parse(const char *text, long *seconds)
{
	unsigned	hours, minutes;
	char		sign;
	int		n = 0;

	*seconds = 0;
	if (strcmp(text, "Z") == 0)
		return 0;
	if (sscanf(text, "%c%2u:%2u%n", &sign, &hours, &minutes, &n) != 3 || n != 6 || text[n] != '\0' ||
	    strchr("+-", sign) == NULL || hours > 23 || minutes > 59)
		return -EINVAL;
	*seconds = (sign == '-' ? -60 : 60) * (long)(hours * 60 + minutes);
	return 0;
}

/* A date and time of RFC 3339, without fractions of seconds, as microseconds since 1970. 0 or -EINVAL. */
static int
time_parse(struct bytes text, uint64_t *when)
{
	struct tm	 tm = { 0 }, day;
	const char	*rest;
	char		 copy[40];
	long		 zone;
	time_t		 at;

	snprintf(copy, sizeof(copy), "%.*s", text.len < sizeof(copy) ? (int)text.len : 0, text.data);
	rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest == NULL || rest != copy + 19 || zone_parse(rest, &zone) != 0)
		return -EINVAL;
	day = tm;
	at = timegm(&day) - zone;
	if (day.tm_mday != tm.tm_mday || at <= 0)	/* February 30 became March 2 */
		return -EINVAL;
	*when = (uint64_t)at * 1000000;
	return 0;
}

static int
expires_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	if ((e->value.kind != CONFIG_TIME && e->value.kind != CONFIG_TEXT) ||
	    time_parse(e->value.text, &r->user.expires) != 0)
		field_expected(f, e, "a date and time, as 2027-01-02T15:04:05Z");
	return 0;
}

/* A user or group of the host, by name or number. 0; -errno of the source. */
static int
identity_read(struct fields *f, const struct config_entry *e, bool group, uint64_t *number)
{
	struct config_source	*source = f->t->source;
	struct bytes		 name;
	int			 rc;

	if (e->value.kind == CONFIG_INTEGER && e->value.integer >= 0 && e->value.integer < UINT32_MAX) {
		*number = (uint64_t)e->value.integer;
		return 0;
	}
	if (!field_text(f, e, &name, 255))
		return 0;
	if (name.len > 0 && source->identity != NULL) {
		rc = source->identity(source, group, name, number);
		if (rc != 0)
			return rc;
	}
	if (*number == NO_PEER)
		field_expected(f, e, group ? "the name or number of a group of this host" :
		    "the name or number of a user of this host");
	return 0;
}

static int
unix_user_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	return identity_read(f, e, false, &r->user.peer_uid);
}

static int
unix_group_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	return identity_read(f, e, true, &r->user.peer_gid);
}

/* What the entry as a whole is. False: the error is written down. */
static bool
user_settle(struct tenants *t, struct reading *r)
{
	struct tenant_user	*u = &r->user;
	bool			 peer = u->peer_uid != NO_PEER || u->peer_gid != NO_PEER;

	if (r->nkey.len > 0 && (u->name.len > 0 || r->pass.len > 0)) {
		config_error(t->errors, u->at, "found an nkey beside a user or a password, expected one way to log in");
		return false;
	}
	if (r->nkey.len == 0 && u->name.len == 0) {
		config_error(t->errors, u->at, "found a user entry without a name, expected user or nkey in it");
		return false;
	}
	u->kind = r->nkey.len > 0 ? USER_NKEY : peer && !r->pass_given ? USER_WITHOUT : USER_PASSWORD;
	u->secret = r->pass;
	if (u->kind == USER_NKEY)
		u->name = r->nkey;
	return true;
}

/* 0 or -ENOMEM. */
static int
user_add(struct tenants *t, const struct tenant_user *u)
{
	void		*users = t->users;
	char		 quote[CONFIG_QUOTED];
	uint32_t	 other = 0;
	int		 rc;

	rc = known_add(&t->user_names, u->name, (uint32_t)t->nusers, &other);
	if (rc == -EEXIST) {
		config_error(t->errors, u->at, "found the user %s, who is in line %u already",
		    config_quote(quote, u->name), t->users[other].at.line);
		return 0;
	}
	if (rc == 0)
		rc = config_room(&users, t->nusers, &t->users_room, sizeof(*t->users));
	if (rc != 0)
		return rc;
	t->users = users;
	t->users[t->nusers++] = *u;
	return 0;
}

static int
user_read(struct tenants *t, size_t account, const struct config_value *v)
{
	static const struct field	table[] = {
		{ "user,username", name_read }, { "pass,password", pass_read }, { "nkey", nkey_read },
		{ "permissions,permission,authorization", user_permissions_read },
		{ "allowed_connection_types,connection_types,clients", connection_types_read },
		{ "proxy_required", field_proxy }, { "limits", user_limits_read },
		{ "expires", expires_read }, { "unix_user", unix_user_read }, { "unix_group", unix_group_read },
	};
	struct reading			r = { .user = { .at = v->at, .account = account,
	    .name = BYTES(""), .peer_uid = NO_PEER, .peer_gid = NO_PEER }, .pass = BYTES("") };
	struct fields			f = { t, "a user", &r };
	unsigned			errors = t->errors->count;
	int				rc;

	limits_none(r.user.limits);
	rc = fields_read(&f, v, table, sizeof(table) / sizeof(table[0]));
	if (rc != 0 || t->errors->count > errors || !user_settle(t, &r))
		return rc;
	return user_add(t, &r.user);
}

int
user_list_read(struct tenants *t, size_t account, const struct config_value *v)
{
	size_t	i;
	int	rc = 0;

	if (v->kind != CONFIG_LIST)
		config_error(t->errors, v->at, "found %s, expected a list [...] of users", config_kind_name(v->kind));
	else
		for (i = 0; i < v->list.count && rc == 0; i++)
			rc = user_read(t, account, &v->list.items[i]);
	return rc;
}

void
users_default(struct tenants *t, size_t first, uint32_t permissions)
{
	for (; first < t->nusers; first++)
		if (!t->users[first].permitted)
			t->users[first].permissions = permissions;
}

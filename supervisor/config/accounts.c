/* The block accounts: names alone, or each with its users, exports, imports, mappings and limits. */
#include <errno.h>
#include "nats/nkey.h"
#include "supervisor/config/fields.h"

/* An account while it is read. */
struct reading { size_t place; uint32_t permissions; };

static int
nkey_read(struct fields *f, const struct config_entry *e)
{
	struct bytes	text;
	char		quote[CONFIG_QUOTED];
	uint8_t		key[32];

	if (field_text(f, e, &text, 1024) && nkey_decode(text, NKEY_ACCOUNT, key) != 0)
		config_error(f->t->errors, e->value.at, "found %s, expected the public nkey of an account, A and 55 others",
		    nkey_found(text, quote));
	return 0;
}

static int
account_users_read(struct fields *f, const struct config_entry *e)
{
	return user_list_read(f->t, ((struct reading *)f->owner)->place, &e->value);
}

static int
account_exports_read(struct fields *f, const struct config_entry *e)
{
	return exports_read(f->t, ((struct reading *)f->owner)->place, &e->value);
}

static int
account_imports_read(struct fields *f, const struct config_entry *e)
{
	return imports_read(f->t, ((struct reading *)f->owner)->place, &e->value);
}

static int
account_mappings_read(struct fields *f, const struct config_entry *e)
{
	return mappings_read(f->t, ((struct reading *)f->owner)->place, &e->value);
}

static int
account_limits_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	return limits_read(f->t, f->t->accounts[r->place].limits, &e->value);
}

static int
defaults_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	return permissions_read(f->t, &e->value, &r->permissions);
}

/* What does not exist here yet; switched off it does no harm. */
static int
jetstream_read(struct fields *f, const struct config_entry *e)
{
	if (!schema_value_is_off(&e->value))
		config_error(f->t->errors, e->at, "jetstream: this version does not have JetStream yet");
	return 0;
}

static int
trace_read(struct fields *f, const struct config_entry *e)
{
	config_error(f->t->errors, e->at, "%.*s: this version does not have message tracing yet",
	    (int)e->key.len, e->key.data);
	return 0;
}

struct tenant *
tenants_add(struct tenants *t, struct bytes name, struct config_position at)
{
	void		*accounts = t->accounts;
	struct tenant	*a;

	if (config_room(&accounts, t->count, &t->room, sizeof(*a)) != 0)
		return NULL;
	t->accounts = accounts;
	a = &t->accounts[t->count++];
	*a = (struct tenant){ .name = name, .at = at };
	limits_none(a->limits);
	return a;
}

/* A new account of that name, if it may have it. 0; -EBADMSG: the error is written down; -ENOMEM. */
static int
account_add(struct tenants *t, struct bytes name, struct config_position at)
{
	char		quote[CONFIG_QUOTED];
	uint32_t	other = 0;
	int		rc;

	if (name.len == 0 || name.len > 1024 || memchr(name.data, '\0', name.len) != NULL ||
	    bytes_equal(name, BYTES("$G"))) {
		config_error(t->errors, at, "found the account %s, expected a name other than \"$G\", "
		    "of 1 to 1024 bytes", config_quote(quote, name));
		return -EBADMSG;
	}
	rc = known_add(&t->account_names, name, (uint32_t)t->count, &other);
	if (rc == -EEXIST) {
		config_error(t->errors, at, "found the account %s, which is in line %u already",
		    config_quote(quote, name), t->accounts[other].at.line);
		return -EBADMSG;
	}
	return rc == 0 && tenants_add(t, name, at) == NULL ? -ENOMEM : rc;
}

static int
account_read(struct tenants *t, const struct config_entry *e)
{
	static const struct field	table[] = {
		{ "nkey", nkey_read }, { "users", account_users_read }, { "exports", account_exports_read },
		{ "imports", account_imports_read }, { "mappings,maps", account_mappings_read },
		{ "limits", account_limits_read }, { "default_permissions", defaults_read },
		{ "jetstream", jetstream_read }, { "msg_trace,trace_dest", trace_read },
	};
	struct reading			r = { .place = t->count };
	struct fields			f = { t, "an account", &r };
	size_t				first = t->nusers;
	int				rc = account_add(t, e->key, e->at);

	if (rc == 0)
		rc = fields_read(&f, &e->value, table, sizeof(table) / sizeof(table[0]));
	if (rc == 0)
		users_default(t, first, r.permissions);
	return rc == -EBADMSG ? 0 : rc;
}

/* [A, B]: accounts that have nobody yet. */
static int
names_read(struct tenants *t, const struct config_value *v)
{
	char	found[CONFIG_QUOTED];
	size_t	i;
	int	rc = 0;

	for (i = 0; i < v->list.count && (rc == 0 || rc == -EBADMSG); i++)
		if (v->list.items[i].kind == CONFIG_TEXT)
			rc = account_add(t, v->list.items[i].text, v->list.items[i].at);
		else
			config_error(t->errors, v->list.items[i].at, "found %s, expected the name of an account",
			    config_found(&v->list.items[i], found));
	return rc == -EBADMSG ? 0 : rc;
}

int
accounts_block_read(struct tenants *t, const struct config_entry *e)
{
	const struct config_value	*v = &e->value;
	size_t				 i;
	int				 rc = 0;

	if (v->kind == CONFIG_LIST)
		return names_read(t, v);
	if (v->kind != CONFIG_MAP) {
		config_error(t->errors, v->at, "found %s, expected a block {...} of accounts", config_kind_name(v->kind));
		return 0;
	}
	for (i = 0; i < v->map.count && rc == 0; i++)
		if (!v->map.entries[i].replaced && !v->map.entries[i].used)
			rc = account_read(t, &v->map.entries[i]);
	return rc;
}

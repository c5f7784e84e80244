/* The block authorization: one user, a token, or a list of users, in the global account. */
#include <errno.h>
#include "supervisor/config/fields.h"
#include "supervisor/config/passwords.h"

#define TIMEOUT_HIGH	60	/* seconds; above it is perhaps a mistake */

/* What the block is read into. */
struct reading { struct settings *s; struct schema_origins *origins; };

static int
single_user_read(struct fields *f, const struct config_entry *e)
{
	field_text(f, e, &f->t->single.user, 1024);
	return 0;
}

static int
single_pass_read(struct fields *f, const struct config_entry *e)
{
	if (field_secret(f, e, &f->t->single.pass))
		password_check(f->t->errors, e->value.at, f->t->single.pass);
	return 0;
}

static int
token_read(struct fields *f, const struct config_entry *e)
{
	if (field_secret(f, e, &f->t->single.token))
		password_check(f->t->errors, e->value.at, f->t->single.token);
	return 0;
}

static int
list_read(struct fields *f, const struct config_entry *e)
{
	f->t->single.users = true;
	return user_list_read(f->t, 0, &e->value);
}

static int
defaults_read(struct fields *f, const struct config_entry *e)
{
	return permissions_read(f->t, &e->value, &f->t->single.permissions);
}

/* Seconds as a number or a duration. 0 is the usual time. */
static int
timeout_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	double		 seconds;
	int		 rc;

	if (!field_seconds(f, e, &seconds))
		return 0;
	if (seconds > TIMEOUT_HIGH)
		field_doubt(f, e, "timeout: found more than 60 seconds, expected less; \"1m\" needs quotes");
	rc = seconds == 0 ? 0 : schema_set_duration(r->s, r->origins, "auth_timeout", seconds, e->at);
	if (rc == -ERANGE)
		field_expected(f, e, "0.001 to 86400 seconds");
	return rc == -ENOMEM ? rc : 0;
}

static int
callout_read(struct fields *f, const struct config_entry *e)
{
	config_error(f->t->errors, e->at, "%.*s: this version does not have auth callout yet",
	    (int)e->key.len, e->key.data);
	return 0;
}

int
authorization_read(struct tenants *t, struct settings *s, struct schema_origins *origins,
    const struct config_entry *e)
{
	static const struct field	table[] = {
		{ "user,username", single_user_read }, { "pass,password", single_pass_read },
		{ "token", token_read }, { "timeout", timeout_read }, { "users", list_read },
		{ "default_permissions,default_permission,permissions", defaults_read },
		{ "auth_callout,auth_hook", callout_read }, { "proxy_required", field_proxy },
	};
	struct reading			r = { s, origins };
	struct fields			f = { t, "authorization", &r };
	size_t				first = t->nusers;
	int				rc;

	t->single.given = true;
	t->single.at = e->at;
	rc = fields_read(&f, &e->value, table, sizeof(table) / sizeof(table[0]));
	if (rc == 0)
		users_default(t, first, t->single.permissions);
	return rc;
}

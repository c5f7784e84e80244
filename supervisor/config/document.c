/* Accounts and users as the records of a document: common/messages.def. */
#include <errno.h>
#include "common/records.h"
#include "supervisor/config/tenants.h"

static int
account_write(const struct tenant *a, msgpack_sbuffer *out)
{
	struct msg	m = { .type = MSG_account, .u.account = { .number = a->number, .name = a->name,
	    .limits = { .count = LIMITS, .own = a->limits } } };

	return records_add(out, &m);
}

static int
mapping_write(const struct tenant_mapping *x, msgpack_sbuffer *out)
{
	struct msg	m = { .type = MSG_mapping, .u.mapping = { .source = x->source,
	    .destination = x->destination, .weight = x->weight, .cluster = x->cluster } };

	return records_add(out, &m);
}

/* An export, and who is listed. */
static int
export_write(const struct tenants *t, const struct tenant_export *x, msgpack_sbuffer *out)
{
	struct msg	m = { .type = MSG_stream_export };
	size_t		i;
	int		rc;

	if (x->service) {
		m.type = MSG_service_export;
		m.u.service_export = (struct msg_service_export){ .subject = x->subject,
		    .restricted = x->listed != NULL, .token_position = x->token_position,
		    .response = x->response, .latency = x->latency, .sampling = x->sampling };
	} else {
		m.u.stream_export = (struct msg_stream_export){ .subject = x->subject,
		    .restricted = x->listed != NULL, .token_position = x->token_position };
	}
	rc = records_add(out, &m);
	for (i = 0; i < x->count && rc == 0; i++) {
		m = (struct msg){ .type = MSG_export_account,
		    .u.export_account.account = t->accounts[x->accounts[i]].number };
		rc = records_add(out, &m);
	}
	return rc;
}

static int
import_write(const struct tenants *t, const struct tenant_import *x, msgpack_sbuffer *out)
{
	struct msg	m = { .type = MSG_stream_import };
	uint64_t	from = t->accounts[x->from].number;

	if (x->service) {
		m.type = MSG_service_import;
		m.u.service_import = (struct msg_service_import){ .from = from,
		    .subject = bytes_of(x->transform), .to = bytes_of(x->ours),
		    .response = x->export->response, .threshold = x->export->threshold, .share = x->share,
		    .latency = x->export->latency, .sampling = x->export->sampling };
	} else {
		m.u.stream_import = (struct msg_stream_import){ .from = from, .subject = x->subject,
		    .to = bytes_of(x->transform), .allow_trace = x->allow_trace };
	}
	return records_add(out, &m);
}

/* An account with what belongs to it, as who routes messages needs it. */
static int
routing_write(const struct tenants *t, const struct tenant *a, msgpack_sbuffer *out)
{
	size_t	i;
	int	rc = account_write(a, out);

	for (i = 0; i < a->nmappings && rc == 0; i++)
		rc = mapping_write(&a->mappings[i], out);
	for (i = 0; i < a->nexports && rc == 0; i++)
		if (!a->exports[i].also)
			rc = export_write(t, &a->exports[i], out);
	for (i = 0; i < a->nimports && rc == 0; i++)
		rc = import_write(t, &a->imports[i], out);
	return rc;
}

static int
user_write(const struct tenants *t, const struct tenant_user *u, msgpack_sbuffer *out)
{
	struct msg	m = { .type = MSG_user, .u.user = { .account = t->accounts[u->account].number,
	    .kind = u->kind, .name = u->name, .secret = u->secret, .connection_types = u->connection_types,
	    .limits = { .count = LIMITS, .own = u->limits }, .expires = u->expires,
	    .peer_uid = u->peer_uid, .peer_gid = u->peer_gid, .permissions = u->permissions,
	    .anonymous = u->anonymous } };

	if (u->kind == USER_NKEY)
		m.u.user.secret = (struct bytes){ (const char *)u->key, sizeof(u->key) };
	return records_add(out, &m);
}

/* The system account that no file says anything of. */
static int
system_write(const struct tenants *t, msgpack_sbuffer *out)
{
	struct tenant	a = { .name = BYTES("$SYS"), .number = ACCOUNT_SYSTEM };

	if (t->system != 0 || t->no_system)
		return 0;
	limits_none(a.limits);
	return account_write(&a, out);
}

/* All that auth needs: who, in which account, with which permissions. */
static int
users_write(const struct tenants *t, msgpack_sbuffer *out)
{
	uint32_t	number;
	size_t		i;
	int		rc = system_write(t, out);

	for (i = 0; i < t->count && rc == 0; i++)
		rc = account_write(&t->accounts[i], out);
	for (number = 1; number <= t->nsets && rc == 0; number++)
		rc = permissions_write(t, number, out);
	for (i = 0; i < t->nusers && rc == 0; i++)
		rc = user_write(t, &t->users[i], out);
	return rc;
}

int
tenants_write(const struct tenants *t, enum role role, msgpack_sbuffer *out)
{
	size_t	i;
	int	rc = 0;

	if (role == ROLE_AUTH)
		return users_write(t, out);
	if (role != ROLE_WORKER && role != ROLE_SYSTEM)
		return 0;
	rc = system_write(t, out);
	for (i = 0; i < t->count && rc == 0; i++)
		rc = routing_write(t, &t->accounts[i], out);
	return rc;
}

/* Reports about what is not there: as the 2.x server makes them without it. */
#include "admin/system/object.h"
#include "admin/system/reports.h"
#include "admin/system/times.h"

const struct option options_routez[] = {
	{ "subscriptions", "subs", OPTION_SUBSCRIPTIONS }, { "subscriptions_detail", NULL, OPTION_BOOLEAN },
	{ NULL, NULL, OPTION_TEXT },
};
const struct option options_gatewayz[] = {
	{ "name", "gw_name", OPTION_TEXT }, { "accounts", "accs", OPTION_BOOLEAN },
	{ "account_name", "acc_name", OPTION_TEXT }, { NULL, NULL, OPTION_TEXT },
};
const struct option options_leafz[] = {
	{ "subscriptions", "subs", OPTION_BOOLEAN }, { "account", "acc", OPTION_TEXT },
	{ NULL, NULL, OPTION_TEXT },
};
const struct option options_jsz[] = {
	{ "account", "acc", OPTION_TEXT }, { "accounts", "accounts", OPTION_BOOLEAN },
	{ "streams", "streams", OPTION_BOOLEAN }, { "consumer", "consumers", OPTION_BOOLEAN },
	{ "config", "config", OPTION_BOOLEAN }, { "leader_only", "leader-only", OPTION_BOOLEAN },
	{ "offset", "offset", OPTION_NUMBER }, { "limit", "limit", OPTION_NUMBER },
	{ "raft", "raft", OPTION_BOOLEAN }, { NULL, NULL, OPTION_TEXT },
};

json_t *
routez_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	struct object	 o = OBJECT();
	const char	*name = r->settings->server_name;

	put_text(&o, "server_id", r->settings->server_id);
	put_text(&o, "server_name", name[0] != '\0' ? name : r->settings->server_id);
	put_time(&o, "now", times_now());
	put_number(&o, "num_routes", 0);
	put(&o, "routes", json_array());
	return object_json(&o);
}

json_t *
gatewayz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	struct object	o = OBJECT();

	put_text(&o, "server_id", r->settings->server_id);
	put_time(&o, "now", times_now());
	put(&o, "outbound_gateways", json_object());
	put(&o, "inbound_gateways", json_object());
	return object_json(&o);
}

json_t *
leafz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	struct object	o = OBJECT();

	put_text(&o, "server_id", r->settings->server_id);
	put_time(&o, "now", times_now());
	put_number(&o, "leafnodes", 0);
	put(&o, "leafs", json_array());
	return object_json(&o);
}

static void
put_zeros(struct object *o, const char *const *keys)
{
	for (; *keys != NULL; keys++)
		put_number(o, *keys, 0);
}

json_t *
jsz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	static const char *const	before[] = { "memory", "storage", "reserved_memory", "reserved_storage",
					    "accounts", "ha_assets", NULL };
	static const char *const	api[] = { "level", "total", "errors", NULL };
	static const char *const	config[] = { "max_memory", "max_storage", NULL };
	static const char *const	after[] = { "streams", "consumers", "messages", "bytes", "total", NULL };
	struct object			o = OBJECT(), part = OBJECT(), limits = OBJECT();

	put_zeros(&o, before);
	put_zeros(&part, api);
	put_object(&o, "api", &part);
	put_text(&o, "server_id", r->settings->server_id);
	put_time(&o, "now", times_now());
	put_boolean(&o, "disabled", true);
	put_zeros(&limits, config);
	put_object(&o, "config", &limits);
	put_zeros(&o, after);
	return object_json(&o);
}

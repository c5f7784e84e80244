#include <errno.h>
#include <strings.h>
#include "nats/info.h"
#include "nats/json.h"

enum kind { KIND_TEXT, KIND_FLAG, KIND_NUMBER, KIND_TEXTS, KIND_BYTES, KIND_SUBJECTS };

/*
 * What the real server's Info has, in its order. The largest 64-bit numbers are
 * not told from their successors: as doubles they are the same.
 */
static const struct key {
	const char	*name;
	enum kind	 kind;
	double		 least, most;
} keys[] = {
#define INT(bits)	KIND_NUMBER, -0x1p##bits, 0x1p##bits - 1
#define UINT(bits)	KIND_NUMBER, 0, 0x1p##bits - 1
	{ "server_id",			KIND_TEXT, 0, 0 },
	{ "server_name",		KIND_TEXT, 0, 0 },
	{ "version",			KIND_TEXT, 0, 0 },
	{ "proto",			INT(63) },
	{ "git_commit",			KIND_TEXT, 0, 0 },
	{ "go",				KIND_TEXT, 0, 0 },
	{ "host",			KIND_TEXT, 0, 0 },
	{ "port",			INT(63) },
	{ "headers",			KIND_FLAG, 0, 0 },
	{ "auth_required",		KIND_FLAG, 0, 0 },
	{ "tls_required",		KIND_FLAG, 0, 0 },
	{ "tls_verify",			KIND_FLAG, 0, 0 },
	{ "tls_available",		KIND_FLAG, 0, 0 },
	{ "max_payload",		INT(31) },
	{ "jetstream",			KIND_FLAG, 0, 0 },
	{ "ip",				KIND_TEXT, 0, 0 },
	{ "client_id",			UINT(64) },
	{ "client_ip",			KIND_TEXT, 0, 0 },
	{ "nonce",			KIND_TEXT, 0, 0 },
	{ "cluster",			KIND_TEXT, 0, 0 },
	{ "cluster_dynamic",		KIND_FLAG, 0, 0 },
	{ "domain",			KIND_TEXT, 0, 0 },
	{ "connect_urls",		KIND_TEXTS, 0, 0 },
	{ "ws_connect_urls",		KIND_TEXTS, 0, 0 },
	{ "ldm",			KIND_FLAG, 0, 0 },
	{ "compression",		KIND_TEXT, 0, 0 },
	{ "connect_info",		KIND_FLAG, 0, 0 },
	{ "remote_account",		KIND_TEXT, 0, 0 },
	{ "acc_is_sys",			KIND_FLAG, 0, 0 },
	{ "api_lvl",			INT(63) },
	{ "import",			KIND_SUBJECTS, 0, 0 },
	{ "export",			KIND_SUBJECTS, 0, 0 },
	{ "lnoc",			KIND_FLAG, 0, 0 },
	{ "lnocu",			KIND_FLAG, 0, 0 },
	{ "ln",				KIND_FLAG, 0, 0 },
	{ "info_on_connect",		KIND_FLAG, 0, 0 },
	{ "route_pool_size",		INT(63) },
	{ "route_pool_idx",		INT(63) },
	{ "route_account",		KIND_TEXT, 0, 0 },
	{ "route_acc_add_reqid",	KIND_TEXT, 0, 0 },
	{ "gossip_mode",		UINT(8) },
	{ "gateway",			KIND_TEXT, 0, 0 },
	{ "gateway_urls",		KIND_TEXTS, 0, 0 },
	{ "gateway_url",		KIND_TEXT, 0, 0 },
	{ "gateway_cmd",		UINT(8) },
	{ "gateway_cmd_payload",	KIND_BYTES, 0, 255 },
	{ "gateway_nrp",		KIND_FLAG, 0, 0 },
	{ "gateway_iom",		KIND_FLAG, 0, 0 },
	{ "leafnode_urls",		KIND_TEXTS, 0, 0 },
	{ "xkey",			KIND_TEXT, 0, 0 },
#undef INT
#undef UINT
};
#define KEYS	(sizeof(keys) / sizeof(keys[0]))

/* As integers they were, unless nats_json_load() had to read them as reals. */
static bool
is_number(const json_t *value, const struct key *key, bool reals)
{
	double n = json_number_value(value);

	return (json_is_integer(value) || (reals && json_is_real(value))) &&
	    n >= key->least && n <= key->most;
}

/* Go writes bytes as base64, and reads them from a list of numbers too. */
static bool
is_bytes(const json_t *value, const struct key *key, bool reals)
{
	json_t *item;
	size_t i;

	if (!json_is_array(value))
		return json_is_string(value);
	json_array_foreach(value, i, item)
		if (!json_is_null(item) && !is_number(item, key, reals))
			return false;
	return true;
}

static bool
is_of_kind(json_t *value, const struct key *key, bool reals)
{
	switch (key->kind) {
	case KIND_TEXT:
		return json_is_string(value);
	case KIND_FLAG:
		return json_is_boolean(value);
	case KIND_NUMBER:
		return is_number(value, key, reals);
	case KIND_TEXTS:
		return nats_json_is_texts(value);
	case KIND_BYTES:
		return is_bytes(value, key, reals);
	case KIND_SUBJECTS:
		return nats_json_is_subjects(value);
	}
	return false;
}

/* null says nothing, neither as a key's value nor alone. */
static bool
is_info(json_t *object, bool reals)
{
	const char *name;
	json_t *value;
	size_t i;

	if (!json_is_object(object))
		return json_is_null(object);
	json_object_foreach(object, name, value) {
		for (i = 0; i < KEYS && strcasecmp(name, keys[i].name) != 0; i++)
			;
		if (i < KEYS && !json_is_null(value) && !is_of_kind(value, &keys[i], reals))
			return false;
	}
	return true;
}

int
nats_info_check(struct bytes json)
{
	bool reals, good;
	json_t *object;
	int rc;

	rc = nats_json_load(&object, json, &reals);
	if (rc != 0)
		return rc;
	good = is_info(object, reals);
	json_decref(object);
	return good ? 0 : -EBADMSG;
}

#include <jansson.h>
#include <stdlib.h>
#include "nats/info.h"
#include "nats/utf8.h"

/* Text from a configuration may be anything; JSON has to be UTF-8. */
static json_t *
text_json(const char *text)
{
	size_t len = strlen(text);
	char *repaired;
	json_t *json;

	repaired = malloc(len * UTF8_GROWTH + 1);
	if (repaired == NULL)
		return NULL;
	len = utf8_repair(repaired, (struct bytes){ text, len });
	json = json_stringn(repaired, len);
	free(repaired);
	return json;
}

/* These return 0, or -1: no memory. What is empty or false is left out, as in the real server. */
static int
add_text(json_t *object, const char *key, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return 0;
	return json_object_set_new(object, key, text_json(text));
}

static int
add_true(json_t *object, const char *key, bool value)
{
	return value ? json_object_set_new(object, key, json_true()) : 0;
}

static int
add_number(json_t *object, const char *key, uint64_t value)
{
	return json_object_set_new(object, key, json_integer((json_int_t)value));
}

static int
add_urls(json_t *object, const char *const *urls)
{
	json_t *list;

	if (urls == NULL || urls[0] == NULL)
		return 0;
	list = json_array();
	for (; *urls != NULL; urls++)
		if (json_array_append_new(list, text_json(*urls)) != 0) {
			json_decref(list);
			return -1;
		}
	return json_object_set_new(object, "connect_urls", list);
}

static json_t *
info_json(const struct nats_info *info)
{
	json_t *o = json_object();
	int rc = 0;

	rc |= json_object_set_new(o, "server_id", text_json(info->server_id));
	rc |= json_object_set_new(o, "server_name", text_json(info->server_name));
	rc |= add_text(o, "version", NATS_VERSION);
	rc |= add_number(o, "proto", 1);
	rc |= add_text(o, "go", "bulkhead-" BULKHEAD_VERSION);
	rc |= json_object_set_new(o, "host", text_json(info->host));
	rc |= add_number(o, "port", info->port);
	rc |= json_object_set_new(o, "headers", json_boolean(info->headers));
	rc |= add_true(o, "auth_required", info->auth_required);
	rc |= add_true(o, "tls_required", info->tls_required);
	rc |= add_true(o, "tls_verify", info->tls_verify);
	rc |= add_true(o, "tls_available", info->tls_available);
	rc |= add_number(o, "max_payload", info->max_payload);
	if (info->client_id != 0)
		rc |= add_number(o, "client_id", info->client_id);
	rc |= add_text(o, "client_ip", info->client_ip);
	rc |= add_text(o, "nonce", info->nonce);
	rc |= add_text(o, "cluster", info->cluster);
	rc |= add_urls(o, info->connect_urls);
	rc |= add_true(o, "ldm", info->lame_duck);
	rc |= add_true(o, "connect_info", info->connect_info);
	rc |= add_text(o, "remote_account", info->remote_account);
	rc |= add_true(o, "acc_is_sys", info->account_is_system);
	rc |= add_number(o, "api_lvl", NATS_API_LEVEL);
	if (rc != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

char *
nats_info_line(const struct nats_info *info, size_t *len)
{
	static const char before[] = "INFO ", after[] = " \r\n";
	json_t *json;
	char *text, *line = NULL;
	size_t n;

	json = info_json(info);
	if (json == NULL)
		return NULL;
	text = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(json);
	if (text == NULL)
		return NULL;
	n = strlen(text);
	line = malloc(sizeof(before) - 1 + n + sizeof(after));
	if (line != NULL) {
		memcpy(line, before, sizeof(before) - 1);
		memcpy(line + sizeof(before) - 1, text, n);
		memcpy(line + sizeof(before) - 1 + n, after, sizeof(after));
		*len = sizeof(before) - 1 + n + sizeof(after) - 1;
	}
	free(text);
	return line;
}

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>
#include "nats/connect.h"
#include "nats/utf8.h"

enum kind {
	KIND_FLAG,		/* bool at offset */
	KIND_NUMBER,		/* int at offset */
	KIND_TEXT,		/* char * at offset, owned */
	KIND_ACCOUNT,		/* a text; sets the bool at offset if it is not empty */
	KIND_ACCOUNT_NEW,	/* true or false; sets it if true */
	KIND_UNUSED_TEXT,	/* read by servers of other roles; of no use here, but checked */
	KIND_UNUSED_SUBJECTS,
};

static const struct key {
	const char	*name;
	enum kind	 kind;
	size_t		 offset;
} keys[] = {
#define AT(field)	offsetof(struct nats_connect, field)
	{ "verbose",		KIND_FLAG,	AT(verbose) },
	{ "pedantic",		KIND_FLAG,	AT(pedantic) },
	{ "echo",		KIND_FLAG,	AT(echo) },
	{ "headers",		KIND_FLAG,	AT(headers) },
	{ "no_responders",	KIND_FLAG,	AT(no_responders) },
	{ "tls_required",	KIND_FLAG,	AT(tls_required) },
	{ "protocol",		KIND_NUMBER,	AT(protocol) },
	{ "name",		KIND_TEXT,	AT(name) },
	{ "lang",		KIND_TEXT,	AT(lang) },
	{ "version",		KIND_TEXT,	AT(version) },
	{ "user",		KIND_TEXT,	AT(user) },
	{ "pass",		KIND_TEXT,	AT(pass) },
	{ "auth_token",		KIND_TEXT,	AT(auth_token) },
	{ "nkey",		KIND_TEXT,	AT(nkey) },
	{ "sig",		KIND_TEXT,	AT(sig) },
	{ "jwt",		KIND_TEXT,	AT(jwt) },
	{ "account",		KIND_ACCOUNT,	AT(account_given) },
	{ "new_account",	KIND_ACCOUNT_NEW, AT(account_given) },
	{ "remote_account",	KIND_UNUSED_TEXT, 0 },
	{ "proxy_sig",		KIND_UNUSED_TEXT, 0 },
	{ "import",		KIND_UNUSED_SUBJECTS, 0 },
	{ "export",		KIND_UNUSED_SUBJECTS, 0 },
#undef AT
};
#define KEYS	(sizeof(keys) / sizeof(keys[0]))

static char **
text_of(struct nats_connect *c, const struct key *key)
{
	return (char **)(void *)((char *)c + key->offset);
}

static void
text_wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* Free the texts of c that `kept` does not have too. */
static void
texts_free(struct nats_connect *c, struct nats_connect *kept)
{
	size_t i;

	for (i = 0; i < KEYS; i++)
		if (keys[i].kind == KIND_TEXT && *text_of(c, &keys[i]) != *text_of(kept, &keys[i]))
			text_wipe(*text_of(c, &keys[i]));
}

void
nats_connect_defaults(struct nats_connect *c)
{
	*c = (struct nats_connect){ .verbose = true, .pedantic = true, .echo = true };
}

void
nats_connect_free(struct nats_connect *c)
{
	struct nats_connect none = { 0 };

	texts_free(c, &none);
	*c = none;
}

/* The number of \uXXXX at p, or -1. */
static long
escape_value(const char *p, const char *end)
{
	long value = 0;
	int i;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (i = 2; i < 6; i++) {
		if (p[i] >= '0' && p[i] <= '9')
			value = value << 4 | (p[i] - '0');
		else if ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f')
			value = value << 4 | ((p[i] | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/*
 * Replace what JSON allows and a C string or jansson does not, with U+FFFD:
 * \u0000, and half a surrogate pair (there Go does the same). Escapes keep
 * their length, so in place.
 */
static void
escapes_repair(char *text, size_t len)
{
	char *p = text, *end = text + len;
	long value, next;

	while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		value = escape_value(p, end);
		if (value < 0) {
			p += end - p < 2 ? 1 : 2;
			continue;
		}
		next = escape_value(p + 6, end);
		if (value >= 0xd800 && value <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) {
			p += 12;
			continue;
		}
		if (value == 0 || (value >= 0xd800 && value <= 0xdfff))
			memcpy(p + 2, "fffd", 4);
		p += 6;
	}
}

/*
 * 0: *json is the caller's. -EBADMSG, -ENOMEM. An integer that jansson cannot
 * hold is no fault where nobody reads it: then all are read as reals, and
 * *reals says so.
 */
static int
connect_load(json_t **json, struct bytes text, bool *reals)
{
	json_error_t error;
	size_t len, size = text.len * UTF8_GROWTH + 1;
	char *copy;

	if (text.len > SIZE_MAX / UTF8_GROWTH - 1 || (copy = malloc(size)) == NULL)
		return -ENOMEM;
	len = utf8_repair(copy, text);
	escapes_repair(copy, len);
	*json = json_loadb(copy, len, JSON_DECODE_ANY, &error);
	*reals = *json == NULL && json_error_code(&error) == json_error_numeric_overflow;
	if (*reals)
		*json = json_loadb(copy, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
	explicit_bzero(copy, len);
	free(copy);
	if (*json != NULL)
		return 0;
	return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
}

static int
text_set(char **text, char *const *kept, const json_t *value)
{
	char *copy;

	copy = strdup(json_string_value(value));
	if (copy == NULL)
		return -ENOMEM;
	if (*text != *kept)	/* the same key in another spelling, earlier in this object */
		text_wipe(*text);
	*text = copy;
	return 0;
}

/* {"allow": [...], "deny": [...]} of a leaf node. */
static bool
subjects_shaped(json_t *value)
{
	const char *name;
	json_t *list, *item;
	size_t i;

	if (!json_is_object(value))
		return false;
	json_object_foreach(value, name, list) {
		if (strcasecmp(name, "allow") != 0 && strcasecmp(name, "deny") != 0)
			continue;
		if (!json_is_array(list) && !json_is_null(list))
			return false;
		json_array_foreach(list, i, item)
			if (!json_is_string(item) && !json_is_null(item))
				return false;
	}
	return true;
}

/* As integers they were, unless connect_load() had to read them as reals. */
static int
number_set(int *number, const json_t *value, bool reals)
{
	double n;

	if (!json_is_integer(value) && !(reals && json_is_real(value)))
		return -EBADMSG;
	n = json_number_value(value);
	*number = n > INT_MAX ? INT_MAX : n < INT_MIN ? INT_MIN : (int)n;
	return 0;
}

/* Set what `key` is for in c, whose texts are those of `kept` as long as nothing else was said. */
static int
key_set(struct nats_connect *c, struct nats_connect *kept, const struct key *key,
    json_t *value, bool reals)
{
	bool *flag = (bool *)(void *)((char *)c + key->offset);

	switch (key->kind) {
	case KIND_FLAG:
		if (!json_is_boolean(value))
			return -EBADMSG;
		*flag = json_is_true(value);
		return 0;
	case KIND_NUMBER:
		return number_set((int *)(void *)flag, value, reals);
	case KIND_TEXT:
		if (!json_is_string(value))
			return -EBADMSG;
		return text_set(text_of(c, key), text_of(kept, key), value);
	case KIND_ACCOUNT:
		if (!json_is_string(value))
			return -EBADMSG;
		*flag |= json_string_length(value) > 0;
		return 0;
	case KIND_ACCOUNT_NEW:
		if (!json_is_boolean(value))
			return -EBADMSG;
		*flag |= json_is_true(value);
		return 0;
	case KIND_UNUSED_TEXT:
		return json_is_string(value) ? 0 : -EBADMSG;
	case KIND_UNUSED_SUBJECTS:
		return subjects_shaped(value) ? 0 : -EBADMSG;
	}
	return -EBADMSG;
}

/* null says nothing, neither as a key's value nor alone. */
static int
object_read(struct nats_connect *c, struct nats_connect *kept, json_t *object, bool reals)
{
	const char *name;
	json_t *value;
	size_t i;
	int rc;

	if (json_is_null(object))
		return 0;
	if (!json_is_object(object))
		return -EBADMSG;
	json_object_foreach(object, name, value) {
		for (i = 0; i < KEYS && strcasecmp(name, keys[i].name) != 0; i++)
			;
		if (i == KEYS || json_is_null(value))
			continue;
		rc = key_set(c, kept, &keys[i], value, reals);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
nats_connect_parse(struct nats_connect *c, struct bytes json)
{
	struct nats_connect next = *c;
	bool reals = false;
	json_t *object;
	int rc;

	rc = connect_load(&object, json, &reals);
	if (rc != 0)
		return rc;
	rc = object_read(&next, c, object, reals);
	json_decref(object);
	if (rc != 0) {
		texts_free(&next, c);
		return rc;
	}
	texts_free(c, &next);
	*c = next;
	return 0;
}

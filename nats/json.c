#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>
#include "nats/json.h"
#include "nats/utf8.h"

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

int
nats_json_load(json_t **json, struct bytes text, bool *reals)
{
	json_error_t error;
	size_t len, size = text.len * UTF8_GROWTH + 1;
	json_t *loaded;
	char *copy;

	if (text.len > SIZE_MAX / UTF8_GROWTH - 1 || (copy = malloc(size)) == NULL)
		return -ENOMEM;
	len = utf8_repair(copy, text);
	escapes_repair(copy, len);
	loaded = json_loadb(copy, len, JSON_DECODE_ANY, &error);
	*reals = loaded == NULL && json_error_code(&error) == json_error_numeric_overflow;
	if (*reals)
		loaded = json_loadb(copy, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
	explicit_bzero(copy, len);
	free(copy);
	if (loaded == NULL)
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
	*json = loaded;
	return 0;
}

bool
nats_json_is_texts(const json_t *value)
{
	json_t *item;
	size_t i;

	if (!json_is_array(value))
		return json_is_null(value);
	json_array_foreach(value, i, item)
		if (!json_is_string(item) && !json_is_null(item))
			return false;
	return true;
}

bool
nats_json_is_subjects(json_t *value)
{
	const char *name;
	json_t *list;

	if (!json_is_object(value))
		return false;
	json_object_foreach(value, name, list)
		if ((strcasecmp(name, "allow") == 0 || strcasecmp(name, "deny") == 0) &&
		    !nats_json_is_texts(list))
			return false;
	return true;
}

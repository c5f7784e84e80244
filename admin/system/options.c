#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "admin/system/object.h"
#include "admin/system/options.h"
#include "nats/json.h"

#define QUERY_PART	1024	/* bytes of a name or a value of a query */

const json_t *
option_find(const json_t *options, const char *name)
{
	const json_t	*found = NULL;
	const char	*key;
	json_t		*value;

	json_object_foreach((json_t *)(uintptr_t)options, key, value)
		if (strcasecmp(key, name) == 0)
			found = value;		/* the last one counts */
	return json_is_null(found) ? NULL : found;
}

bool
option_is(const json_t *options, const char *name)
{
	return json_is_true(option_find(options, name));
}

int64_t
option_number(const json_t *options, const char *name, int64_t otherwise)
{
	const json_t	*value = option_find(options, name);

	return value == NULL ? otherwise : json_integer_value(value);
}

struct bytes
option_text(const json_t *options, const char *name)
{
	const json_t	*value = option_find(options, name);

	return value == NULL ? BYTES("") :
	    (struct bytes){ json_string_value(value), json_string_length(value) };
}

/* ---- JSON */

static bool
kind_fits(const json_t *value, enum option_kind kind)
{
	switch (kind) {
	case OPTION_BOOLEAN:
	case OPTION_SUBSCRIPTIONS:
		return json_is_boolean(value);
	case OPTION_NUMBER:
	case OPTION_STATE:
		return json_is_integer(value);
	case OPTION_TEXT:
		return json_is_string(value);
	case OPTION_TEXTS:
		return nats_json_is_texts(value);
	}
	return false;
}

json_t *
options_read(struct bytes text, const struct option *known, char *error, size_t size)
{
	json_t		*options;
	const json_t	*value;
	bool		 reals = false;

	if (text.len == 0)
		return json_object();
	if (nats_json_load(&options, text, &reals) != 0) {
		snprintf(error, size, "invalid JSON");
		return NULL;
	}
	if (json_is_null(options)) {
		json_decref(options);
		return json_object();
	}
	if (!json_is_object(options)) {
		snprintf(error, size, "json: an object is expected");
		goto refused;
	}
	for (; known->name != NULL; known++) {
		value = option_find(options, known->name);
		if (value != NULL && !kind_fits(value, known->kind)) {
			snprintf(error, size, "json: \"%s\" is of the wrong type", known->name);
			goto refused;
		}
	}
	return options;
 refused:
	json_decref(options);
	return NULL;
}

/* ---- queries */

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decode a part into out[QUERY_PART], with a NUL. False: too long, or no part of a query. */
static bool
part_decode(char *out, struct bytes in)
{
	size_t	i, n = 0;
	char	c;

	if (in.len >= QUERY_PART)
		return false;
	for (i = 0; i < in.len; i++) {
		c = in.data[i] == '+' ? ' ' : in.data[i];
		if (c == '%') {
			if (i + 2 >= in.len || hex(in.data[i + 1]) < 0 || hex(in.data[i + 2]) < 0)
				return false;
			c = (char)(hex(in.data[i + 1]) << 4 | hex(in.data[i + 2]));
			i += 2;
		}
		if (c == '\0')
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

/* 1, 0; -1: neither. */
static int
boolean_parse(const char *text)
{
	static const char *const	yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const	no[] = { "0", "f", "F", "FALSE", "false", "False" };
	size_t				i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0)
			return strcmp(text, yes[i]) == 0;
	return -1;
}

/* True: put in. */
static bool
put_query_boolean(struct object *o, const struct option *known, const char *value, char *error, size_t size)
{
	int	is = boolean_parse(value);

	if (is == -1) {
		snprintf(error, size, "Error decoding boolean for '%s': strconv.ParseBool: parsing \"%.256s\": invalid syntax",
		    known->query, value);
		return false;
	}
	put_boolean(o, known->name, is != 0);
	return true;
}

static bool
put_query_number(struct object *o, const struct option *known, const char *value, char *error, size_t size)
{
	char		*end;
	long long	 n;

	errno = 0;
	n = strtoll(value, &end, 10);
	if (*value == '\0' || *end != '\0' || value[strspn(value, "+-0123456789")] != '\0' || errno != 0) {
		snprintf(error, size, "Error decoding int for '%s': strconv.Atoi: parsing \"%.256s\": %s",
		    known->query, value, errno == ERANGE ? "value out of range" : "invalid syntax");
		return false;
	}
	put(o, known->name, json_integer(n));
	return true;
}

static bool
put_query_state(struct object *o, const struct option *known, const char *value, char *error, size_t size)
{
	static const struct { const char *text; int state; } states[] = {
		{ "open", 0 }, { "closed", 1 }, { "any", 2 }, { "all", 2 }, { "", 0 },
	};
	size_t	i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcasecmp(value, states[i].text) == 0) {
			put_number(o, known->name, (uint64_t)states[i].state);
			return true;
		}
	snprintf(error, size, "Error decoding state for %.256s", value);
	return false;
}

static bool
put_query(struct object *o, const struct option *known, const char *value, char *error, size_t size)
{
	switch (known->kind) {
	case OPTION_BOOLEAN:
		return put_query_boolean(o, known, value, error, size);
	case OPTION_NUMBER:
		return put_query_number(o, known, value, error, size);
	case OPTION_STATE:
		return put_query_state(o, known, value, error, size);
	case OPTION_SUBSCRIPTIONS:
		if (strcasecmp(value, "detail") != 0)
			return put_query_boolean(o, known, value, error, size);
		put_boolean(o, known->name, true);
		put_boolean(o, "subscriptions_detail", true);
		return true;
	case OPTION_TEXT:
	case OPTION_TEXTS:
		put_text(o, known->name, value);
		return true;
	}
	return true;
}

/* One `name=value`; those that nobody knows are of no interest, and of those of one name the first counts. */
static bool
query_take(struct object *o, struct bytes pair, const struct option *known, char *error, size_t size)
{
	const char	*equals = memchr(pair.data, '=', pair.len);
	size_t		 at = equals == NULL ? pair.len : (size_t)(equals - pair.data);
	char		 name[QUERY_PART], value[QUERY_PART];

	if (!part_decode(name, (struct bytes){ pair.data, at }) || !part_decode(value,
	    (struct bytes){ pair.data + at + (equals != NULL), pair.len - at - (equals != NULL) }))
		return true;
	for (; known->name != NULL; known++)
		if (known->query != NULL && strcmp(known->query, name) == 0)
			break;
	if (known->name == NULL || value[0] == '\0' || json_object_get(o->json, known->name) != NULL)
		return true;
	return put_query(o, known, value, error, size);
}

json_t *
options_query(struct bytes query, const struct option *known, char *error, size_t size)
{
	struct object	 o = OBJECT();
	const char	*end = query.data + query.len, *at = query.data, *next;

	for (; at < end; at = next + 1) {
		next = memchr(at, '&', (size_t)(end - at));
		if (next == NULL)
			next = end;
		if (!query_take(&o, (struct bytes){ at, (size_t)(next - at) }, known, error, size)) {
			json_decref(o.json);
			return NULL;
		}
	}
	snprintf(error, size, "no memory");
	return object_json(&o);
}

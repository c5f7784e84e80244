#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "admin/system/filter.h"
#include "admin/system/options.h"
#include "nats/json.h"

bool
filter_checks(const json_t *options, char *error, size_t size)
{
	static const char *const	texts[] = { "server_name", "cluster", "host", "domain" };
	const json_t			*value;
	size_t				 i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		value = option_find(options, texts[i]);
		if (value != NULL && !json_is_string(value)) {
			snprintf(error, size, "json: \"%s\" is of the wrong type", texts[i]);
			return false;
		}
	}
	value = option_find(options, "tags");
	if ((value != NULL && !nats_json_is_texts(value)) ||
	    ((value = option_find(options, "exact_match")) != NULL && !json_is_boolean(value))) {
		snprintf(error, size, "json: a filter is of the wrong type");
		return false;
	}
	return true;
}

/* Is that what we are called, or, unless exact, part of it? */
static bool
is_called(struct bytes wanted, const char *name, bool exact)
{
	if (wanted.len == 0)
		return true;
	return exact ? bytes_equal(wanted, bytes_of(name)) : memmem(name, strlen(name), wanted.data, wanted.len) != NULL;
}

static bool
is_tagged(const struct settings *st, const char *tag)
{
	size_t	i;

	for (i = 0; i < st->server_tags.count; i++)
		if (strcasecmp(st->server_tags.items[i], tag) == 0)
			return true;
	return false;
}

bool
filter_passes(const json_t *options, const struct settings *st)
{
	bool		 exact = option_is(options, "exact_match");
	const char	*name = st->server_name[0] != '\0' ? st->server_name : st->server_id;
	const json_t	*tag;
	size_t		 i;

	if (!is_called(option_text(options, "server_name"), name, exact) ||
	    !is_called(option_text(options, "host"), st->host, exact) ||
	    !is_called(option_text(options, "cluster"), "", exact) ||
	    option_text(options, "domain").len > 0)
		return false;
	json_array_foreach(option_find(options, "tags"), i, tag)
		if (json_is_string(tag) && !is_tagged(st, json_string_value(tag)))
			return false;
	return true;
}

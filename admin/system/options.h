#ifndef SYSTEM_OPTIONS_H
#define SYSTEM_OPTIONS_H
/*
 * What a report is asked with: the JSON object of a request, or an HTTP query
 * made into the same. Names are compared without regard to case, as Go does.
 */
#include <jansson.h>
#include "common/bytes.h"

enum option_kind { OPTION_BOOLEAN, OPTION_NUMBER, OPTION_TEXT, OPTION_TEXTS, OPTION_SUBSCRIPTIONS, OPTION_STATE };

/* One that a report knows. query: its name in an HTTP query; NULL: it has none there. */
struct option { const char *name, *query; enum option_kind kind; };

/* NULL: as given, or null. */
const json_t *option_find(const json_t *options, const char *name);
bool option_is(const json_t *options, const char *name);
int64_t option_number(const json_t *options, const char *name, int64_t otherwise);
struct bytes option_text(const json_t *options, const char *name);	/* len 0: none */

/* Text of a request, empty or a JSON object. NULL: *why is a sentence in error[size]. Else the caller's. */
json_t *options_read(struct bytes text, const struct option *known, char *error, size_t size);
/* The same from a query. */
json_t *options_query(struct bytes query, const struct option *known, char *error, size_t size);
#endif

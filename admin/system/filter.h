#ifndef SYSTEM_FILTER_H
#define SYSTEM_FILTER_H
/* Which servers a request to all of them means: server_name, cluster, host, exact_match, tags, domain. */
#include <jansson.h>
#include "common/settings.h"

/* Are they of the right types? False: error[size] says which is not. */
bool filter_checks(const json_t *options, char *error, size_t size);
/* Are we meant? */
bool filter_passes(const json_t *options, const struct settings *settings);
#endif

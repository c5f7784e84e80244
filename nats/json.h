#ifndef NATS_JSON_H
#define NATS_JSON_H
/* JSON of CONNECT and INFO as the 2.x server reads it: what jansson would refuse and Go does not. */
#include <jansson.h>
#include "common/bytes.h"

/*
 * Load text, one JSON value of any kind. Invalid UTF-8 and halves of surrogate
 * pairs become U+FFFD; text behind the value is refused. An integer that jansson
 * cannot hold is no fault where nobody reads it: then all numbers are read as
 * reals, and *reals says so.
 * 0: *json is the caller's; -EBADMSG; -ENOMEM. On error *json is not written.
 */
int nats_json_load(json_t **json, struct bytes text, bool *reals);

/* A list of texts, any of which may be null, or null itself. */
bool nats_json_is_texts(const json_t *value);

/* {"allow": texts, "deny": texts}, either of which may be missing. */
bool nats_json_is_subjects(json_t *value);
#endif

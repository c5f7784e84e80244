#ifndef SYSTEM_OBJECT_H
#define SYSTEM_OBJECT_H
/* JSON objects that remember whether something could not be put into them, so that it is asked once, at the end. */
#include <stdint.h>
#include <jansson.h>
#include "common/bytes.h"

struct object { json_t *json; bool failed; };

#define OBJECT()	((struct object){ .json = json_object() })

/* value is consumed; NULL is a failure. */
void put(struct object *o, const char *key, json_t *value);
void put_number(struct object *o, const char *key, uint64_t n);
/* Whole ones without a fraction, as Go writes them. */
void put_real(struct object *o, const char *key, double v);
/* Bytes that are not UTF-8 become U+FFFD. */
void put_text(struct object *o, const char *key, const char *text);
void put_bytes(struct object *o, const char *key, struct bytes b);
/* The same where there is something: as Go's omitempty. */
void put_number_any(struct object *o, const char *key, uint64_t n);
void put_bytes_any(struct object *o, const char *key, struct bytes b);
void put_boolean(struct object *o, const char *key, bool is);
void put_time(struct object *o, const char *key, uint64_t microseconds);
/* Put one object into another, or behind the last of a list; consumes it. */
void put_object(struct object *into, const char *key, struct object *o);
void put_last(struct object *into, json_t *list, struct object *o);
/* {"msgs": , "bytes": } */
void put_traffic(struct object *o, const char *key, uint64_t messages, uint64_t bytes);

/* A text; NULL: no memory. */
json_t *text_json(struct bytes b);

/* What comes out; NULL, and freed, if it failed. */
json_t *object_json(struct object *o);
#endif

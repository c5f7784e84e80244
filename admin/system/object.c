#include <stdlib.h>
#include "admin/system/object.h"
#include "admin/system/times.h"
#include "nats/utf8.h"

void
put(struct object *o, const char *key, json_t *value)
{
	if (json_object_set_new(o->json, key, value) != 0)	/* also for a value of NULL */
		o->failed = true;
}

void
put_number(struct object *o, const char *key, uint64_t n)
{
	put(o, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

void
put_number_any(struct object *o, const char *key, uint64_t n)
{
	if (n != 0)
		put_number(o, key, n);
}

void
put_real(struct object *o, const char *key, double v)
{
	json_int_t	whole = (json_int_t)v;

	put(o, key, v == (double)whole ? json_integer(whole) : json_real(v));
}

json_t *
text_json(struct bytes b)
{
	char	*repaired = malloc(b.len * UTF8_GROWTH + 1);
	json_t	*json;

	if (repaired == NULL)
		return NULL;
	json = json_stringn(repaired, utf8_repair(repaired, b));
	free(repaired);
	return json;
}

void
put_bytes(struct object *o, const char *key, struct bytes b)
{
	put(o, key, text_json(b));
}

void
put_text(struct object *o, const char *key, const char *text)
{
	put_bytes(o, key, bytes_of(text));
}

void
put_bytes_any(struct object *o, const char *key, struct bytes b)
{
	if (b.len != 0)
		put_bytes(o, key, b);
}

void
put_boolean(struct object *o, const char *key, bool is)
{
	put(o, key, json_boolean(is));
}

void
put_time(struct object *o, const char *key, uint64_t microseconds)
{
	char	text[TIMES_TEXT];

	put_text(o, key, times_stamp(text, microseconds));
}

void
put_object(struct object *into, const char *key, struct object *o)
{
	into->failed |= o->failed;
	put(into, key, o->json);
}

void
put_last(struct object *into, json_t *list, struct object *o)
{
	into->failed |= o->failed;
	if (json_array_append_new(list, o->json) != 0)
		into->failed = true;
}

void
put_traffic(struct object *o, const char *key, uint64_t messages, uint64_t bytes)
{
	struct object	traffic = OBJECT();

	put_number(&traffic, "msgs", messages);
	put_number(&traffic, "bytes", bytes);
	put_object(o, key, &traffic);
}

json_t *
object_json(struct object *o)
{
	if (!o->failed)
		return o->json;
	json_decref(o->json);
	return NULL;
}

/* What an account or a user is limited in: limits.def, and the real server's shorter names. */
#include <strings.h>
#include "supervisor/config/fields.h"

static const struct { const char *name; } keys[] = {
#define LIMIT(name_, key, unit, help) [LIMIT_##name_] = { #key },
#include "common/limits.def"
};

/* Names of the real server for four of them. */
static const struct { const char *other; enum limit limit; } others[] = {
	{ "max_conn", LIMIT_CONNECTIONS }, { "max_subs", LIMIT_SUBSCRIPTIONS },
	{ "max_pay", LIMIT_PAYLOAD }, { "max_leafs", LIMIT_LEAFNODES },
};

void
limits_none(uint64_t limits[LIMITS])
{
	unsigned	i;

	for (i = 0; i < LIMITS; i++)
		limits[i] = NO_LIMIT;
	limits[LIMIT_MESSAGES_BURST] = limits[LIMIT_BYTES_BURST] = limits[LIMIT_OVER_RATE] = 0;
}

/* Which limit a key means; LIMITS: none. */
static enum limit
limit_named(struct bytes key)
{
	unsigned	i;

	for (i = 0; i < LIMITS; i++)
		if (strlen(keys[i].name) == key.len && strncasecmp(keys[i].name, key.data, key.len) == 0)
			return (enum limit)i;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strlen(others[i].other) == key.len && strncasecmp(others[i].other, key.data, key.len) == 0)
			return others[i].limit;
	return LIMITS;
}

static void
over_rate_read(struct fields *f, const struct config_entry *e, uint64_t *value)
{
	if (e->value.kind == CONFIG_TEXT && bytes_equal(e->value.text, BYTES("pace")))
		*value = 0;
	else if (e->value.kind == CONFIG_TEXT && bytes_equal(e->value.text, BYTES("close")))
		*value = 1;
	else
		field_expected(f, e, "pace or close");
}

/* Below 0 there is none. A rate of 0 would let nothing through. */
static void
limit_value(struct fields *f, const struct config_entry *e, enum limit limit, uint64_t *value)
{
	int64_t	n;

	if (limit == LIMIT_OVER_RATE)
		over_rate_read(f, e, value);
	else if (!field_whole(f, e, &n))
		;
	else if (n == 0 && (limit == LIMIT_MESSAGES || limit == LIMIT_BYTES))
		field_expected(f, e, "a number from 1, or -1 for no limit");
	else if (limit == LIMIT_MESSAGES_BURST || limit == LIMIT_BYTES_BURST)
		*value = n < 0 ? 0 : (uint64_t)n;
	else
		*value = n < 0 ? NO_LIMIT : (uint64_t)n;
}

int
limits_read(struct tenants *t, uint64_t limits[LIMITS], const struct config_value *v)
{
	struct fields			 f = { .t = t };
	bool				 seen[LIMITS] = { false };
	const struct config_entry	*e;
	char				 quote[CONFIG_QUOTED];
	enum limit			 which;
	size_t				 i;

	if (v->kind != CONFIG_MAP) {
		config_error(t->errors, v->at, "found %s, expected a block {...} for limits", config_kind_name(v->kind));
		return 0;
	}
	for (i = 0; i < v->map.count; i++) {
		e = &v->map.entries[i];
		if (e->replaced)
			continue;
		which = limit_named(e->key);
		if (which == LIMITS && !e->used)
			config_error(t->errors, e->at, "unknown field %s in limits", config_quote(quote, e->key));
		else if (which != LIMITS && seen[which])
			config_error(t->errors, e->at, "%s was said already in this block", keys[which].name);
		else if (which != LIMITS)
			limit_value(&f, e, which, &limits[which]);
		if (which != LIMITS)
			seen[which] = true;
	}
	return 0;
}

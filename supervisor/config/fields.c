#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include "nats/subject.h"
#include "supervisor/config/duration.h"
#include "supervisor/config/fields.h"

/* Is key one of the names? */
static bool
field_named(const char *names, struct bytes key)
{
	size_t	len;

	for (;; names += len + 1) {
		len = strcspn(names, ",");
		if (len == key.len && strncasecmp(names, key.data, len) == 0)
			return true;
		if (names[len] == '\0')
			return false;
	}
}

int
fields_read(struct fields *f, const struct config_value *v, const struct field *table, size_t count)
{
	bool				 seen[FIELDS_MOST] = { false };
	const struct config_entry	*e;
	char				 quote[CONFIG_QUOTED];
	size_t				 i, j;
	int				 rc = 0;

	if (v->kind != CONFIG_MAP) {
		config_error(f->t->errors, v->at, "found %s, expected a block {...} for %s",
		    config_kind_name(v->kind), f->where);
		return 0;
	}
	for (i = 0; i < v->map.count && rc == 0; i++) {
		e = &v->map.entries[i];
		if (e->replaced)
			continue;
		for (j = 0; j < count && !field_named(table[j].names, e->key); j++)
			;
		if (j == count && !e->used)
			config_error(f->t->errors, e->at, "unknown field %s in %s",
			    config_quote(quote, e->key), f->where);
		else if (j < count && seen[j])
			config_error(f->t->errors, e->at, "%.*s was said already in this block",
			    (int)strcspn(table[j].names, ","), table[j].names);
		else if (j < count)
			rc = table[j].read(f, e);
		if (j < count)
			seen[j] = true;
	}
	return rc;
}

void
field_expected(struct fields *f, const struct config_entry *e, const char *what)
{
	char	found[CONFIG_QUOTED], quote[CONFIG_QUOTED];

	config_error(f->t->errors, e->value.at, "%s: found %s, expected %s",
	    config_quote(quote, e->key), config_found(&e->value, found), what);
}

void
field_doubt(struct fields *f, const struct config_entry *e, const char *what)
{
	if (f->t->errors->strict)
		config_error(f->t->errors, e->at, "%s", what);
	else
		config_warn(f->t->errors, e->at, "%s", what);
}

bool
field_text(struct fields *f, const struct config_entry *e, struct bytes *text, size_t most)
{
	if (e->value.kind != CONFIG_TEXT) {
		field_expected(f, e, "text; put it in quotes");
		return false;
	}
	if (e->value.text.len > most || memchr(e->value.text.data, '\0', e->value.text.len) != NULL) {
		config_error(f->t->errors, e->value.at, "%.*s: expected text of at most %zu bytes without NUL bytes",
		    (int)e->key.len, e->key.data, most);
		return false;
	}
	*text = e->value.text;
	return true;
}

bool
field_secret(struct fields *f, const struct config_entry *e, struct bytes *text)
{
	if (e->value.kind == CONFIG_TEXT && e->value.text.len <= SECRET_MOST) {
		*text = e->value.text;
		return true;
	}
	config_error(f->t->errors, e->value.at, "%.*s: found %s, expected text of at most %d bytes; put it in quotes",
	    (int)e->key.len, e->key.data, config_kind_name(e->value.kind), SECRET_MOST);
	return false;
}

bool
field_boolean(struct fields *f, const struct config_entry *e, bool *value)
{
	if (e->value.kind != CONFIG_BOOLEAN) {
		field_expected(f, e, "true or false, without quotes");
		return false;
	}
	*value = e->value.boolean;
	return true;
}

bool
field_whole(struct fields *f, const struct config_entry *e, int64_t *value)
{
	if (e->value.kind != CONFIG_INTEGER) {
		field_expected(f, e, "a whole number, as 100 or 64MB, without quotes");
		return false;
	}
	*value = e->value.integer;
	return true;
}

bool
text_has_controls(struct bytes text)
{
	size_t	i;

	for (i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
			return true;
	return false;
}

bool
subject_good(struct tenants *t, struct config_position at, struct bytes subject)
{
	char	quote[CONFIG_QUOTED];

	if (subject.len <= SUBJECT_MOST && memchr(subject.data, ' ', subject.len) == NULL &&
	    !text_has_controls(subject) && subject_valid(subject))
		return true;
	config_error(t->errors, at, "found %s, expected a subject, as foo.bar, foo.* or foo.>",
	    config_quote(quote, subject));
	return false;
}

bool
field_subject(struct fields *f, const struct config_entry *e, struct bytes *subject)
{
	if (e->value.kind != CONFIG_TEXT) {
		field_expected(f, e, "a subject; put it in quotes");
		return false;
	}
	if (!subject_good(f->t, e->value.at, e->value.text))
		return false;
	*subject = e->value.text;
	return true;
}

bool
field_seconds(struct fields *f, const struct config_entry *e, double *seconds)
{
	const struct config_value	*v = &e->value;
	double				 n = -1;
	int				 rc = 0;

	if (v->kind == CONFIG_INTEGER)
		n = (double)v->integer;
	else if (v->kind == CONFIG_REAL)
		n = v->real;
	else
		rc = v->kind == CONFIG_TEXT ? duration_parse(v->text, &n) : -EINVAL;
	if (rc != 0 || !(n >= 0)) {
		field_expected(f, e, "seconds, or a duration as \"2s\"");
		return false;
	}
	*seconds = n;
	return true;
}

/* Digits with a percent sign behind them or not. */
static bool
percent_text(struct bytes text, uint64_t *value)
{
	size_t	i;

	if (text.len > 0 && text.data[text.len - 1] == '%')
		text.len--;
	if (text.len > 1 && text.data[0] == '+') {
		text.data++;
		text.len--;
	}
	for (*value = 0, i = 0; i < text.len && i < 9; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		*value = *value * 10 + (uint64_t)(text.data[i] - '0');
	}
	return i > 0 && i == text.len;
}

bool
field_percent(struct fields *f, const struct config_entry *e, int64_t least, uint64_t *value)
{
	const struct config_value	*v = &e->value;
	uint64_t			 n = 0;
	bool				 good = false;

	if (v->kind == CONFIG_INTEGER && v->integer >= 0) {
		n = (uint64_t)v->integer;
		good = true;
	} else if (v->kind == CONFIG_TEXT) {
		good = percent_text(v->text, &n);
	}
	if (!good || n > 100 || (int64_t)n < least) {
		field_expected(f, e, least > 0 ? "1 to 100, or \"1%\" to \"100%\"" : "0 to 100, or \"0%\" to \"100%\"");
		return false;
	}
	*value = n;
	return true;
}

const char *
nkey_found(struct bytes text, char out[CONFIG_QUOTED])
{
	return text.len > 0 && (*text.data == 'S' || *text.data == 's') ? "a seed, which is secret" :
	    config_quote(out, text);
}

int
field_proxy(struct fields *f, const struct config_entry *e)
{
	bool	required = false;

	if (field_boolean(f, e, &required) && required)
		config_error(f->t->errors, e->at, "proxy_required: this version does not have the PROXY protocol yet");
	return 0;
}

#include <sys/mman.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "common/memfd.h"
#include "common/settings.h"
#include "common/unpack.h"

#define NAME_MAX_LENGTH		64		/* longer ones are nobody's misspelling */
#define NAME_DISTANCE		3		/* letters that a misspelt name is off */
#define OBJECTS_MAX		(1u << 20)	/* names, values and items of one document */

static const struct setting table[] = {
#define SETTING(kind_, name_, value_, lo_, hi_, unit_, how_, roles_, help_)				\
	{ .name = #name_, .kind = SETTING_##kind_, .least = (double)(lo_),		\
	  .most = (double)(hi_), .unit = (unit_), .how = (how_), .roles = (roles_),	\
	  .value = #value_, .help = (help_),						\
	  .offset = offsetof(struct settings, name_),					\
	  .has = offsetof(struct settings, has_##name_) },
#define ALIAS(other, name)
#define BLOCK(name, how, help)
#define LATER(name, off, what)
#include "common/settings.def"
};
#define TABLE_COUNT	(sizeof(table) / sizeof(table[0]))

static const struct { const char *other, *name; } aliases[] = {
#define SETTING(kind, name, value, lo, hi, unit, how, roles, help)
#define ALIAS(other_, name_) { #other_, #name_ },
#define BLOCK(name, how, help)
#define LATER(name, off, what)
#include "common/settings.def"
};
#define ALIAS_COUNT	(sizeof(aliases) / sizeof(aliases[0]))

static const struct settings_block blocks[] = {
#define SETTING(kind, name, value, lo, hi, unit, how, roles, help)
#define ALIAS(other, name)
#define BLOCK(name_, how_, help) { #name_, how_ },
#define LATER(name, off, what)
#include "common/settings.def"
};
#define BLOCK_COUNT	(sizeof(blocks) / sizeof(blocks[0]))

static const struct later laters[] = {
#define SETTING(kind, name, value, lo, hi, unit, how, roles, help)
#define ALIAS(other, name)
#define BLOCK(name, how, help)
#define LATER(name_, off_, what_) { #name_, off_, what_ },
#include "common/settings.def"
};
#define LATER_COUNT	(sizeof(laters) / sizeof(laters[0]))

const struct setting *
settings_table(size_t *count)
{
	*count = TABLE_COUNT;
	return table;
}

/* -- names */

static bool
name_is(struct bytes name, const char *known)
{
	return strlen(known) == name.len && strncasecmp(known, name.data, name.len) == 0;
}

const struct setting *
setting_find(struct bytes name)
{
	size_t	i;

	for (i = 0; i < TABLE_COUNT; i++)
		if (name_is(name, table[i].name))
			return &table[i];
	for (i = 0; i < ALIAS_COUNT; i++)
		if (name_is(name, aliases[i].other))
			return setting_find(bytes_of(aliases[i].name));
	return NULL;
}

const struct settings_block *
settings_block_find(struct bytes name)
{
	size_t	i;

	for (i = 0; i < BLOCK_COUNT; i++)
		if (name_is(name, blocks[i].name))
			return &blocks[i];
	for (i = 0; i < ALIAS_COUNT; i++)
		if (name_is(name, aliases[i].other))
			return settings_block_find(bytes_of(aliases[i].name));
	return NULL;
}

const struct later *
later_find(struct bytes name)
{
	size_t	i;

	for (i = 0; i < LATER_COUNT; i++)
		if (name_is(name, laters[i].name))
			return &laters[i];
	return NULL;
}

static size_t
least_of(size_t a, size_t b, size_t c)
{
	return a < b ? (a < c ? a : c) : (b < c ? b : c);
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

/* Letters to change, add or leave out (Levenshtein), one row of the table at a time. */
static size_t
name_distance(struct bytes a, struct bytes b)
{
	size_t	row[NAME_MAX_LENGTH + 1], i, j, diagonal, above;

	for (j = 0; j <= b.len; j++)
		row[j] = j;
	for (i = 1; i <= a.len; i++) {
		diagonal = row[0];
		row[0] = i;
		for (j = 1; j <= b.len; j++) {
			above = row[j];
			row[j] = least_of(above + 1, row[j - 1] + 1,
			    diagonal + (lower(a.data[i - 1]) != lower(b.data[j - 1])));
			diagonal = above;
		}
	}
	return row[b.len];
}

/* All that a file may name: settings, aliases, what comes later. */
static const char *
name_at(size_t i)
{
	if (i < TABLE_COUNT)
		return table[i].name;
	i -= TABLE_COUNT;
	if (i < ALIAS_COUNT)
		return aliases[i].other;
	i -= ALIAS_COUNT;
	return i < BLOCK_COUNT ? blocks[i].name : laters[i - BLOCK_COUNT].name;
}

const char *
setting_suggest(struct bytes name)
{
	const char	*best = NULL, *known;
	size_t		 distance, nearest = NAME_DISTANCE + 1, i;

	if (name.len > NAME_MAX_LENGTH)
		return NULL;
	if (nearest > name.len / 2 + 1)		/* of short ones half may be wrong */
		nearest = name.len / 2 + 1;
	for (i = 0; i < TABLE_COUNT + ALIAS_COUNT + BLOCK_COUNT + LATER_COUNT; i++) {
		if (i < TABLE_COUNT && (table[i].how & OWN) != 0)
			continue;
		known = name_at(i);
		distance = name_distance(name, bytes_of(known));
		if (distance < nearest) {
			nearest = distance;
			best = known;
		}
	}
	return best;
}

/* -- values */

static void *
place(struct settings *s, const struct setting *which)
{
	return (char *)s + which->offset;
}

static const void *
place_of(const struct settings *s, const struct setting *which)
{
	return (const char *)s + which->offset;
}

static bool *
given(struct settings *s, const struct setting *which)
{
	return (bool *)((char *)s + which->has);
}

static bool
is_given(const struct settings *s, const struct setting *which)
{
	return *(const bool *)((const char *)s + which->has);
}

static void
list_free(struct text_list *list)
{
	while (list->count > 0)
		free(list->items[--list->count]);
	free(list->items);
	*list = (struct text_list){ NULL, 0 };
}

static void
value_free(struct settings *s, const struct setting *which)
{
	char	**text;

	if (which->kind == SETTING_list)
		list_free(place(s, which));
	else if (which->kind == SETTING_text) {
		text = place(s, which);
		free(*text);
		*text = NULL;
	}
}

#define DEFAULT_integer(v)	(v)
#define DEFAULT_duration(v)	(v)
#define DEFAULT_boolean(v)	(v)
#define DEFAULT_text(v)		strdup(v)
#define DEFAULT_list(v)		((struct text_list){ NULL, 0 })

int
settings_init(struct settings *s)
{
	size_t	i;

	memset(s, 0, sizeof(*s));
#define SETTING(kind, name, value, lo, hi, unit, how, roles, help) s->name = DEFAULT_##kind(value);
#define ALIAS(other, name)
#define BLOCK(name, how, help)
#define LATER(name, off, what)
#include "common/settings.def"
	for (i = 0; i < TABLE_COUNT; i++)
		if (table[i].kind == SETTING_text && *(char **)place(s, &table[i]) == NULL) {
			settings_free(s);
			return -ENOMEM;
		}
	return 0;
}

void
settings_free(struct settings *s)
{
	size_t	i;

	for (i = 0; i < TABLE_COUNT; i++)
		value_free(s, &table[i]);
}

int
setting_set_integer(struct settings *s, const struct setting *which, uint64_t value)
{
	if (which->kind != SETTING_integer)
		return -EINVAL;
	if (value > INT64_MAX || (double)value < which->least || (double)value > which->most)
		return -ERANGE;
	*(uint64_t *)place(s, which) = value;
	*given(s, which) = true;
	return 0;
}

int
setting_set_duration(struct settings *s, const struct setting *which, double seconds)
{
	if (which->kind != SETTING_duration)
		return -EINVAL;
	if (!(seconds >= which->least && seconds <= which->most))	/* NaN too */
		return -ERANGE;
	*(double *)place(s, which) = seconds;
	*given(s, which) = true;
	return 0;
}

int
setting_set_boolean(struct settings *s, const struct setting *which, bool value)
{
	if (which->kind != SETTING_boolean)
		return -EINVAL;
	*(bool *)place(s, which) = value;
	*given(s, which) = true;
	return 0;
}

/* A copy of a text in range. 0; -EINVAL a NUL in it; -ERANGE; -ENOMEM. */
static int
text_copy(char **copy, const struct setting *which, struct bytes value)
{
	if ((double)value.len < which->least || (double)value.len > which->most)
		return -ERANGE;
	if (value.len > 0 && memchr(value.data, 0, value.len) != NULL)
		return -EINVAL;
	*copy = malloc(value.len + 1);
	if (*copy == NULL)
		return -ENOMEM;
	if (value.len > 0)
		memcpy(*copy, value.data, value.len);
	(*copy)[value.len] = '\0';
	return 0;
}

int
setting_set_text(struct settings *s, const struct setting *which, struct bytes value)
{
	char	**text = place(s, which), *copy;
	int	  rc;

	if (which->kind != SETTING_text)
		return -EINVAL;
	rc = text_copy(&copy, which, value);
	if (rc != 0)
		return rc;
	free(*text);
	*text = copy;
	*given(s, which) = true;
	return 0;
}

int
setting_add_item(struct settings *s, const struct setting *which, struct bytes value)
{
	struct text_list	 *list = place(s, which);
	char			 *copy, **items;
	int			  rc;

	if (which->kind != SETTING_list)
		return -EINVAL;
	rc = text_copy(&copy, which, value);
	if (rc != 0)
		return rc;
	if ((list->count & (list->count - 1)) == 0) {	/* full: room is the next power of two */
		items = reallocarray(list->items, list->count == 0 ? 1 : 2 * list->count,
		    sizeof(*items));
		if (items == NULL) {
			free(copy);
			return -ENOMEM;
		}
		list->items = items;
	}
	list->items[list->count++] = copy;
	*given(s, which) = true;
	return 0;
}

/* -- looking at values */

bool
setting_given(const struct settings *s, const struct setting *which)
{
	return is_given(s, which);
}

static bool
list_equal(const struct text_list *a, const struct text_list *b)
{
	size_t	i;

	if (a->count != b->count)
		return false;
	for (i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

bool
setting_equal(const struct settings *a, const struct settings *b, const struct setting *which)
{
	const void	*x = place_of(a, which), *y = place_of(b, which);

	switch (which->kind) {
	case SETTING_integer:
		return *(const uint64_t *)x == *(const uint64_t *)y;
	case SETTING_duration:
		return *(const double *)x == *(const double *)y;
	case SETTING_boolean:
		return *(const bool *)x == *(const bool *)y;
	case SETTING_text:
		return strcmp(*(char *const *)x, *(char *const *)y) == 0;
	case SETTING_list:
		return list_equal(x, y);
	}
	return false;
}

static void
list_text(const struct text_list *list, char *text, size_t size)
{
	size_t	i;

	strlcpy(text, "[", size);
	for (i = 0; i < list->count; i++) {
		strlcat(text, i == 0 ? "" : " ", size);
		strlcat(text, list->items[i], size);
	}
	strlcat(text, "]", size);
}

const char *
setting_show(const struct settings *s, const struct setting *which, char *text, size_t size)
{
	const void	*value = place_of(s, which);

	if ((which->how & SECRET) != 0) {
		strlcpy(text, "[REDACTED]", size);
		return text;
	}
	switch (which->kind) {
	case SETTING_integer:
		snprintf(text, size, "%llu", (unsigned long long)*(const uint64_t *)value);
		break;
	case SETTING_duration:
		snprintf(text, size, "%.9gs", *(const double *)value);
		break;
	case SETTING_boolean:
		strlcpy(text, *(const bool *)value ? "true" : "false", size);
		break;
	case SETTING_text:
		strlcpy(text, *(char *const *)value, size);
		break;
	case SETTING_list:
		list_text(value, text, size);
		break;
	}
	return text;
}

/* -- writing the document */

static void
text_pack(msgpack_packer *p, const char *text)
{
	size_t	len = strlen(text);

	msgpack_pack_str(p, len);
	msgpack_pack_str_body(p, text, len);
}

static void
value_pack(msgpack_packer *p, const struct settings *s, const struct setting *which)
{
	const struct text_list	*list;
	size_t			 i;

	switch (which->kind) {
	case SETTING_integer:
		msgpack_pack_uint64(p, *(const uint64_t *)place_of(s, which));
		break;
	case SETTING_duration:
		msgpack_pack_double(p, *(const double *)place_of(s, which));
		break;
	case SETTING_boolean:
		if (*(const bool *)place_of(s, which))
			msgpack_pack_true(p);
		else
			msgpack_pack_false(p);
		break;
	case SETTING_text:
		text_pack(p, *(char *const *)place_of(s, which));
		break;
	case SETTING_list:
		list = place_of(s, which);
		msgpack_pack_array(p, list->count);
		for (i = 0; i < list->count; i++)
			text_pack(p, list->items[i]);
		break;
	}
}

/* Remembers that one write failed, so that packing needs no check at each step. */
struct document { msgpack_sbuffer buffer; bool failed; };

static int
document_append(void *data, const char *bytes, size_t len)
{
	struct document	*d = data;

	if (!d->failed && msgpack_sbuffer_write(&d->buffer, bytes, len) != 0)
		d->failed = true;
	return d->failed ? -1 : 0;
}

int
settings_write(const struct settings *s, enum role role)
{
	struct document	d = { .failed = false };
	msgpack_packer	p;
	size_t		i, count = 0;
	int		fd;

#define VISIBLE(which) (is_given(s, (which)) && \
	(role == ROLE_SUPERVISOR || ((which)->roles & ROLE_BIT(role)) != 0))
	for (i = 0; i < TABLE_COUNT; i++)
		count += VISIBLE(&table[i]);
	msgpack_sbuffer_init(&d.buffer);
	msgpack_packer_init(&p, &d, document_append);
	msgpack_pack_map(&p, count);
	for (i = 0; i < TABLE_COUNT; i++)
		if (VISIBLE(&table[i])) {
			text_pack(&p, table[i].name);
			value_pack(&p, s, &table[i]);
		}
#undef VISIBLE
	if (d.failed)
		fd = -ENOMEM;
	else if (d.buffer.size > SETTINGS_MAX)
		fd = -EMSGSIZE;
	else
		fd = memfd_sealed("settings", (struct bytes){ d.buffer.data, d.buffer.size });
	msgpack_sbuffer_destroy(&d.buffer);
	return fd;
}

/* -- reading it */

static int
list_unpack(struct settings *s, const struct setting *which, const msgpack_object *o)
{
	const msgpack_object	*item;
	uint32_t		 i;
	int			 rc;

	if (o->type != MSGPACK_OBJECT_ARRAY)
		return -EBADMSG;
	list_free(place(s, which));
	*given(s, which) = true;
	for (i = 0; i < o->via.array.size; i++) {
		item = &o->via.array.ptr[i];
		if (item->type != MSGPACK_OBJECT_STR)
			return -EBADMSG;
		rc = setting_add_item(s, which, (struct bytes){ item->via.str.ptr, item->via.str.size });
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
value_unpack(struct settings *s, const struct setting *which, const msgpack_object *o)
{
	switch (which->kind) {
	case SETTING_integer:
		return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER ?
		    setting_set_integer(s, which, o->via.u64) : -EBADMSG;
	case SETTING_duration:
		if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
			return setting_set_duration(s, which, (double)o->via.u64);
		return o->type == MSGPACK_OBJECT_FLOAT64 || o->type == MSGPACK_OBJECT_FLOAT32 ?
		    setting_set_duration(s, which, o->via.f64) : -EBADMSG;
	case SETTING_boolean:
		return o->type == MSGPACK_OBJECT_BOOLEAN ?
		    setting_set_boolean(s, which, o->via.boolean) : -EBADMSG;
	case SETTING_text:
		return o->type == MSGPACK_OBJECT_STR ? setting_set_text(s, which,
		    (struct bytes){ o->via.str.ptr, o->via.str.size }) : -EBADMSG;
	case SETTING_list:
		return list_unpack(s, which, o);
	}
	return -EBADMSG;
}

static int
document_unpack(struct settings *s, const msgpack_object *o, const char **why)
{
	const struct setting	*which;
	const msgpack_object	*key;
	uint32_t		 i;
	int			 rc;

	*why = "not a map";
	if (o->type != MSGPACK_OBJECT_MAP)
		return -EBADMSG;
	for (i = 0; i < o->via.map.size; i++) {
		key = &o->via.map.ptr[i].key;
		*why = "unknown setting";
		if (key->type != MSGPACK_OBJECT_STR)
			return -EBADMSG;
		which = setting_find((struct bytes){ key->via.str.ptr, key->via.str.size });
		if (which == NULL)
			return -EBADMSG;
		*why = which->name;
		rc = value_unpack(s, which, &o->via.map.ptr[i].val);
		if (rc != 0)
			return rc == -ENOMEM ? rc : -EBADMSG;
	}
	*why = NULL;
	return 0;
}

/* Take over what `from` was given. */
static void
settings_move(struct settings *s, struct settings *from)
{
	static const size_t	sizes[] = {
		[SETTING_integer] = sizeof(STORE_integer), [SETTING_duration] = sizeof(STORE_duration),
		[SETTING_boolean] = sizeof(STORE_boolean), [SETTING_text] = sizeof(STORE_text),
		[SETTING_list] = sizeof(STORE_list),
	};
	size_t			i;

	for (i = 0; i < TABLE_COUNT; i++)
		if (is_given(from, &table[i])) {
			value_free(s, &table[i]);
			memcpy(place(s, &table[i]), place(from, &table[i]), sizes[table[i].kind]);
			memset(place(from, &table[i]), 0, sizes[table[i].kind]);
			*given(s, &table[i]) = true;
		}
}

int
settings_parse(struct settings *s, struct bytes document, const char **why)
{
	struct settings		fresh;
	msgpack_unpacked	u;
	int			rc;

	*why = "out of memory";
	rc = settings_init(&fresh);
	if (rc != 0)
		return rc;
	*why = "not msgpack";
	msgpack_unpacked_init(&u);
	rc = unpack_bounded(&u, document, OBJECTS_MAX);
	if (rc == 0)
		rc = document_unpack(&fresh, &u.data, why);
	if (rc == 0)
		settings_move(s, &fresh);
	msgpack_unpacked_destroy(&u);
	settings_free(&fresh);
	return rc;
}

int
settings_read(struct settings *s, int fd, const char **why)
{
	struct bytes	document;
	int		rc;

	*why = "not a sealed document";
	rc = memfd_map_sealed(fd, SETTINGS_MAX, &document);
	if (rc != 0)
		return rc;
	rc = settings_parse(s, document, why);
	munmap((void *)(uintptr_t)document.data, document.len);
	return rc;
}

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "common/log.h"
#include "supervisor/config/tree.h"

int
config_room(void **items, size_t count, size_t *room, size_t size)
{
	size_t	 more = *room == 0 ? 4 : *room * 2;
	void	*grown;

	if (count < *room)
		return 0;
	grown = reallocarray(*items, more, size);
	if (grown == NULL)
		return -ENOMEM;
	*items = grown;
	*room = more;
	return 0;
}

struct config_value *
config_list_add(struct config_value *list)
{
	void			*items = list->list.items;
	struct config_value	*v;

	if (config_room(&items, list->list.count, &list->list.room, sizeof(*v)) != 0)
		return NULL;
	list->list.items = items;
	v = &list->list.items[list->list.count++];
	memset(v, 0, sizeof(*v));
	return v;
}

struct config_entry *
config_map_add(struct config_value *map)
{
	void			*entries = map->map.entries;
	struct config_entry	*e;

	if (config_room(&entries, map->map.count, &map->map.room, sizeof(*e)) != 0)
		return NULL;
	map->map.entries = entries;
	e = &map->map.entries[map->map.count++];
	memset(e, 0, sizeof(*e));
	return e;
}

static int
key_compare(struct bytes a, struct bytes b)
{
	size_t	least = a.len < b.len ? a.len : b.len;
	int	rc = least == 0 ? 0 : memcmp(a.data, b.data, least);

	if (rc != 0)
		return rc;
	return (a.len > b.len) - (a.len < b.len);
}

/* By key; entries with the same key in the order of the file. */
static int
entry_compare(const void *a, const void *b)
{
	const struct config_entry *const	*x = a, *const *y = b;
	int					 rc = key_compare((*x)->key, (*y)->key);

	return rc != 0 ? rc : (*x > *y) - (*x < *y);
}

const struct config_entry **
config_map_sorted(const struct config_value *map, size_t *count)
{
	const struct config_entry	**sorted;
	size_t				  i, n = 0;

	sorted = calloc(map->map.count + 1, sizeof(*sorted));
	if (sorted == NULL)
		return NULL;
	for (i = 0; i < map->map.count; i++)
		if (!map->map.entries[i].replaced)
			sorted[n++] = &map->map.entries[i];
	qsort(sorted, n, sizeof(*sorted), entry_compare);
	*count = n;
	return sorted;
}

struct config_entry *
config_map_find(const struct config_value *map, struct bytes key, bool any_case)
{
	struct config_entry	*e;
	size_t			 i;

	for (i = map->map.count; i-- > 0; ) {
		e = &map->map.entries[i];
		if (e->key.len == key.len && (any_case ?
		    strncasecmp(e->key.data, key.data, key.len) == 0 : bytes_equal(e->key, key)))
			return e;
	}
	return NULL;
}

int
config_map_settle(struct config_value *map)
{
	const struct config_entry	**sorted;
	size_t				  i, n;

	if (map->map.count < 2)
		return 0;
	sorted = config_map_sorted(map, &n);
	if (sorted == NULL)
		return -ENOMEM;
	for (i = 0; i + 1 < n; i++)
		if (key_compare(sorted[i]->key, sorted[i + 1]->key) == 0)
			map->map.entries[sorted[i] - map->map.entries].replaced = true;
	free(sorted);
	return 0;
}

/* Its items or entries. */
static int
copy_inside(struct config_value *to, const struct config_value *from, unsigned depth,
    size_t *budget)
{
	struct config_value	*item;
	struct config_entry	*entry;
	size_t			 i;
	int			 rc = 0;

	for (i = 0; from->kind == CONFIG_LIST && i < from->list.count && rc == 0; i++) {
		item = config_list_add(to);
		rc = item == NULL ? -ENOMEM :
		    config_value_copy(item, &from->list.items[i], depth, budget);
	}
	for (i = 0; from->kind == CONFIG_MAP && i < from->map.count && rc == 0; i++) {
		entry = config_map_add(to);
		if (entry == NULL)
			return -ENOMEM;
		*entry = from->map.entries[i];
		memset(&entry->value, 0, sizeof(entry->value));
		rc = config_value_copy(&entry->value, &from->map.entries[i].value, depth, budget);
	}
	return rc;
}

int
config_value_copy(struct config_value *to, const struct config_value *from, unsigned depth,
    size_t *budget)
{
	struct config_value	copy = *from;
	int			rc = 0;

	if (*budget == 0)
		return -E2BIG;
	--*budget;
	if (from->kind == CONFIG_LIST || from->kind == CONFIG_MAP) {
		if (depth >= CONFIG_DEPTH_MAX)
			return -ELOOP;
		copy = (struct config_value){ .kind = from->kind, .at = from->at };
		rc = copy_inside(&copy, from, depth + 1, budget);
	}
	if (rc == 0)
		*to = copy;
	else
		config_value_free(&copy);
	return rc;
}

void
config_value_free(struct config_value *v)
{
	size_t	i;

	if (v->kind == CONFIG_LIST) {
		for (i = 0; i < v->list.count; i++)
			config_value_free(&v->list.items[i]);
		free(v->list.items);
	} else if (v->kind == CONFIG_MAP) {
		for (i = 0; i < v->map.count; i++)
			config_value_free(&v->map.entries[i].value);
		free(v->map.entries);
	}
	memset(v, 0, sizeof(*v));
}

const char *
config_found(const struct config_value *v, char out[CONFIG_QUOTED])
{
	switch (v->kind) {
	case CONFIG_INTEGER:
		snprintf(out, CONFIG_QUOTED, "%" PRId64, v->integer);
		break;
	case CONFIG_REAL:
		snprintf(out, CONFIG_QUOTED, "%g", v->real);
		break;
	case CONFIG_BOOLEAN:
		snprintf(out, CONFIG_QUOTED, "%s", v->boolean ? "true" : "false");
		break;
	case CONFIG_TEXT:
		return config_quote(out, v->text);
	case CONFIG_TIME:
	case CONFIG_LIST:
	case CONFIG_MAP:
		return config_kind_name(v->kind);
	}
	return out;
}

const char *
config_kind_name(enum config_kind kind)
{
	static const char *const names[] = {
		[CONFIG_INTEGER] = "a whole number", [CONFIG_REAL] = "a number with a fraction",
		[CONFIG_BOOLEAN] = "true or false", [CONFIG_TEXT] = "text",
		[CONFIG_TIME] = "a date and time", [CONFIG_LIST] = "a list [...]",
		[CONFIG_MAP] = "a block {...}",
	};

	return names[kind];
}

#define LEFT_OUT_ROOM	64	/* for the line of config_errors_finish() */

void
config_errors_init(struct config_errors *e, struct bytes path)
{
	e->path = path;
	e->paths = NULL;
	e->files = e->room = 0;
	e->len = 0;
	e->count = 0;
	e->strict = false;
	e->text[0] = '\0';
}

void
config_errors_free(struct config_errors *e)
{
	free(e->paths);
	e->paths = NULL;
	e->files = e->room = 0;
}

int
config_errors_file(struct config_errors *e, struct bytes path, uint32_t *number)
{
	void	*paths = e->paths;

	if (e->files == CONFIG_COMMAND_LINE - 1 || config_room(&paths, e->files, &e->room, sizeof(path)) != 0)
		return -ENOMEM;
	e->paths = paths;
	e->paths[e->files++] = path;
	*number = (uint32_t)e->files;
	return 0;
}

struct bytes
config_path(const struct config_errors *e, struct config_position at)
{
	if (at.file == CONFIG_COMMAND_LINE)
		return BYTES("the command line");
	return at.file == 0 || at.file > e->files ? e->path : e->paths[at.file - 1];
}

/* "path:line:column: text" into out, without control characters. Its length, or -1: does not fit. */
__attribute__((format(printf, 5, 0)))
static int
position_print(const struct config_errors *e, struct config_position at, char *out, size_t size,
    const char *format, va_list args)
{
	struct bytes	path = config_path(e, at);
	int		head, body, i;

	if (at.line == 0)
		head = snprintf(out, size, "%.*s: ", (int)path.len, path.data);
	else
		head = snprintf(out, size, "%.*s:%u:%u: ", (int)path.len, path.data,
		    at.line, at.column);
	if (head < 0 || (size_t)head >= size)
		return -1;
	body = vsnprintf(out + head, size - (size_t)head, format, args);
	if (body < 0 || (size_t)body >= size - (size_t)head)
		return -1;
	for (i = 0; i < head + body; i++)
		if ((unsigned char)out[i] < ' ' || out[i] == 0x7f)
			out[i] = '?';
	return head + body;
}

void
config_error(struct config_errors *e, struct config_position at, const char *format, ...)
{
	va_list	args;
	int	n;

	e->count++;
	va_start(args, format);
	n = position_print(e, at, e->text + e->len, CONFIG_ERRORS_MAX - LEFT_OUT_ROOM - e->len,
	    format, args);
	va_end(args);
	if (n < 0) {
		e->text[e->len] = '\0';
		return;
	}
	e->len += (size_t)n;
	e->text[e->len++] = '\n';
	e->text[e->len] = '\0';
}

void
config_warn(const struct config_errors *e, struct config_position at, const char *format, ...)
{
	char	text[8192];
	va_list	args;

	va_start(args, format);
	if (position_print(e, at, text, sizeof(text), format, args) >= 0)
		log_warn("%s", text);
	va_end(args);
}

void
config_errors_finish(struct config_errors *e)
{
	size_t	 i;
	unsigned shown = 0;

	for (i = 0; i < e->len; i++)
		shown += e->text[i] == '\n';
	if (shown < e->count)
		e->len += (size_t)snprintf(e->text + e->len, LEFT_OUT_ROOM, "%u more\n",
		    e->count - shown);
	if (e->len > 0)
		e->text[--e->len] = '\0';	/* the last line end */
}

bool
config_key_is_secret(struct bytes key)
{
	static const char *const	names[] = { "pass", "password", "token" };
	size_t				i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == key.len && strncasecmp(names[i], key.data, key.len) == 0)
			return true;
	return false;
}

const char *
config_quote(char out[CONFIG_QUOTED], struct bytes b)
{
	static const char	hex[] = "0123456789abcdef";
	size_t			i, n = 0;
	unsigned char		c;

	out[n++] = '"';
	for (i = 0; i < b.len && n < CONFIG_QUOTED - 9; i++) {
		c = (unsigned char)b.data[i];
		if (c >= ' ' && c < 0x7f) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	memcpy(out + n, i < b.len ? "...\"" : "\"", i < b.len ? 5 : 2);
	return out;
}

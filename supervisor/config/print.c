#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "common/memfd.h"
#include "supervisor/config/print.h"

static void
bytes_print(FILE *to, struct bytes text)
{
	fputc('"', to);
	for (; text.len > 0; text.data++, text.len--)
		if (*text.data == '"' || *text.data == '\\')
			fprintf(to, "\\%c", *text.data);
		else if ((unsigned char)*text.data < ' ' || *text.data == 0x7f)
			fprintf(to, "\\x%02x", (unsigned char)*text.data);
		else
			fputc(*text.data, to);
	fputc('"', to);
}

static void
text_print(FILE *to, const char *text)
{
	bytes_print(to, bytes_of(text));
}

/* A free port is -1 in a file; inside, it is 0. */
static void
address_print(FILE *to, const char *text)
{
	size_t	 len = strlen(text);
	char	*address;

	if (len < 2 || strcmp(text + len - 2, ":0") != 0) {
		text_print(to, text);
		return;
	}
	if (asprintf(&address, "%.*s:-1", (int)(len - 2), text) == -1)
		return;
	text_print(to, address);
	free(address);
}

static void
list_print(FILE *to, const struct text_list *list, void (*item)(FILE *, const char *))
{
	size_t	i;

	fputc('[', to);
	for (i = 0; i < list->count; i++) {
		if (i > 0)
			fputs(", ", to);
		item(to, list->items[i]);
	}
	fputc(']', to);
}

/* Without an exponent, which a duration cannot have. */
static void
duration_print(FILE *to, double seconds)
{
	if (seconds > 0 && seconds < 0.001)
		fprintf(to, "\"%.0fns\"", seconds * 1e9);
	else
		fprintf(to, "\"%.15gs\"", seconds);
}

/* Settings that are not in the file what they are inside. False: it is none of them. */
static bool
special_print(FILE *to, const struct settings *s, const struct setting *which)
{
	const void	*value = (const char *)s + which->offset;

	if (value == &s->port)
		fprintf(to, "%" PRId64, s->port == 0 ? -1 : (int64_t)s->port);
	else if (value == &s->http_port)	/* 0 turns `http` off */
		fprintf(to, "%" PRId64, !s->http ? 0 : s->http_port == 0 ? -1 : (int64_t)s->http_port);
	else if (value == &s->listen)
		list_print(to, &s->listen, address_print);
	else
		return false;
	return true;
}

static void
value_print(FILE *to, const struct settings *s, const struct setting *which)
{
	const void	*value = (const char *)s + which->offset;

	if (special_print(to, s, which))
		return;
	switch (which->kind) {
	case SETTING_integer:
		fprintf(to, "%" PRIu64, *(const uint64_t *)value);
		break;
	case SETTING_duration:
		duration_print(to, *(const double *)value);
		break;
	case SETTING_boolean:
		fputs(*(const bool *)value ? "true" : "false", to);
		break;
	case SETTING_text:
		text_print(to, *(char *const *)value);
		break;
	case SETTING_list:
		list_print(to, value, text_print);
		break;
	}
}

static void
origin_print(FILE *to, const struct schema_origin *origin, const struct config_errors *errors)
{
	struct bytes	path = config_path(errors, origin->at);
	size_t		i;

	if (origin->kind == ORIGIN_FLAG)
		fputs("command line", to);
	if (origin->kind == ORIGIN_DEFAULT)
		fputs("default", to);
	if (origin->kind != ORIGIN_FILE)
		return;
	for (i = 0; i < path.len; i++)		/* a file's name may have line ends */
		fputc((unsigned char)path.data[i] < ' ' ? '?' : path.data[i], to);
	fprintf(to, ":%u", origin->at.line);
}

/* Not what the server sets itself; `http` is in the line of http_port. */
static bool
has_line(const struct setting *which)
{
	return (which->how & OWN) == 0 && strcmp(which->name, "http") != 0;
}

/* It has no items; that is the default, but `listen` cannot be said so. */
static bool
is_empty_list(const struct settings *s, const struct setting *which)
{
	return which->kind == SETTING_list &&
	    ((const struct text_list *)((const char *)s + which->offset))->count == 0;
}

static void
settings_print(FILE *to, const struct settings *s, const struct schema_origins *origins,
    const struct config_errors *errors)
{
	const struct setting	*table;
	size_t			 i, count;

	table = settings_table(&count);
	for (i = 0; i < count; i++) {
		if (!has_line(&table[i]))
			continue;
		if (is_empty_list(s, &table[i]))
			fputs("# ", to);
		fprintf(to, "%s: ", table[i].name);
		if ((table[i].how & SECRET) != 0 && setting_given(s, &table[i]))
			fputs("\"" CONFIG_REDACTED "\"", to);
		else
			value_print(to, s, &table[i]);
		fputs("  # ", to);
		origin_print(to, &origins->of[i], errors);
		fputc('\n', to);
	}
}

/* -- blocks, which are no settings: as they were said, but for what is secret */

/* hide: v's own keys may name what is secret. Those of mappings are subjects. */
static void block_print(FILE *to, const struct config_value *v, bool hide);

static bool
is_mappings(struct bytes key)
{
	const struct settings_block	*block = settings_block_find(key);

	return block != NULL && strcmp(block->name, "mappings") == 0;
}

/* Not what a variable stood for: where it stood, it is shown or not. */
static void
map_print(FILE *to, const struct config_value *map, bool hide)
{
	const struct config_entry	*e;
	const char			*comma = "";
	size_t				 i;

	fputc('{', to);
	for (i = 0; i < map->map.count; i++) {
		e = &map->map.entries[i];
		if (e->replaced || e->used)
			continue;
		fputs(comma, to);
		bytes_print(to, e->key);
		fputs(": ", to);
		if (hide && config_key_is_secret(e->key))
			fputs("\"" CONFIG_REDACTED "\"", to);
		else
			block_print(to, &e->value, !is_mappings(e->key));
		comma = ", ";
	}
	fputc('}', to);
}

static void
items_print(FILE *to, const struct config_value *list)
{
	size_t	i;

	fputc('[', to);
	for (i = 0; i < list->list.count; i++) {
		if (i > 0)
			fputs(", ", to);
		block_print(to, &list->list.items[i], true);
	}
	fputc(']', to);
}

static void
block_print(FILE *to, const struct config_value *v, bool hide)
{
	switch (v->kind) {
	case CONFIG_INTEGER:
		fprintf(to, "%" PRId64, v->integer);
		break;
	case CONFIG_REAL:
		fprintf(to, "%f", v->real);
		break;
	case CONFIG_BOOLEAN:
		fputs(v->boolean ? "true" : "false", to);
		break;
	case CONFIG_TEXT:
		bytes_print(to, v->text);
		break;
	case CONFIG_TIME:
		fprintf(to, "%.*s", (int)v->text.len, v->text.data);
		break;
	case CONFIG_LIST:
		items_print(to, v);
		break;
	case CONFIG_MAP:
		map_print(to, v, hide);
		break;
	}
}

/* The user or token of the command line, in the place of the file's block. */
static void
single_print(FILE *to, const struct tenant_single *one)
{
	fputs("authorization: {", to);
	if (one->user.len > 0) {
		fputs("user: ", to);
		bytes_print(to, one->user);
	}
	if (one->pass.len > 0)
		fputs(", pass: \"" CONFIG_REDACTED "\"", to);
	if (one->token.len > 0)
		fputs("token: \"" CONFIG_REDACTED "\"", to);
	fputs("}  # command line\n", to);
}

/* What the command line says in the place of keys of the block tls. */
static void
tls_flags_print(FILE *to, const struct tls_block *b)
{
	const struct { const char *key; const struct tls_name *name; } files[] = {
		{ "cert_file", &b->pair.certificate }, { "key_file", &b->pair.key }, { "ca_file", &b->authority },
	};
	size_t	i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (files[i].name->path.len == 0)
			continue;
		fprintf(to, "    \"%s\": ", files[i].key);
		bytes_print(to, files[i].name->path);
		fputs("  # command line\n", to);
	}
	fprintf(to, "    \"verify\": %s  # command line\n", b->verify ? "true" : "false");
}

/* The block tls, a key a line, as each may come from elsewhere. block: the file's; NULL: it has none. */
static void
tls_print(FILE *to, const struct configuration *c, const struct config_entry *block)
{
	const struct config_entry	*e;
	size_t				 i;

	fputs("tls: {  # ", to);
	origin_print(to, &(struct schema_origin){ block == NULL ? ORIGIN_FLAG : ORIGIN_FILE, c->tls.at }, &c->errors);
	fputc('\n', to);
	if (c->tls.flags)
		tls_flags_print(to, &c->tls);
	for (i = 0; block != NULL && i < block->value.map.count; i++) {
		e = &block->value.map.entries[i];
		if (e->replaced || e->used || (c->tls.flags && tls_key_of_flags(e->key)))
			continue;
		fputs("    ", to);
		bytes_print(to, e->key);
		fputs(": ", to);
		block_print(to, &e->value, true);
		fputs("  # ", to);
		origin_print(to, &(struct schema_origin){ ORIGIN_FILE, e->at }, &c->errors);
		fputc('\n', to);
	}
	fputs("}\n", to);
}

static void
blocks_print(FILE *to, const struct configuration *c)
{
	const struct config_entry	*e;
	const struct settings_block	*block;
	const struct config_entry	*tls = NULL;
	bool				 flags = c->tenants.single.at.file == CONFIG_COMMAND_LINE;
	size_t				 i;

	if (flags)
		single_print(to, &c->tenants.single);
	for (i = 0; i < c->tree.map.count; i++) {
		e = &c->tree.map.entries[i];
		block = e->replaced ? NULL : settings_block_find(e->key);
		if (block == NULL || (flags && strcmp(block->name, "authorization") == 0))
			continue;
		if (strcmp(block->name, "tls") == 0) {
			tls = e;
			continue;
		}
		fprintf(to, "%s: ", block->name);
		block_print(to, &e->value, !is_mappings(e->key));
		fputs("  # ", to);
		origin_print(to, &(struct schema_origin){ ORIGIN_FILE, e->at }, &c->errors);
		fputc('\n', to);
	}
	if (c->tls.given)
		tls_print(to, c, tls);
}

int
print_config(const struct configuration *c)
{
	char	*text = NULL;
	size_t	 len = 0;
	FILE	*to = open_memstream(&text, &len);
	int	 fd;

	if (to == NULL)
		return -errno;
	settings_print(to, &c->settings, &c->origins, &c->errors);
	blocks_print(to, c);
	if (ferror(to)) {
		fclose(to);
		free(text);
		return -ENOMEM;
	}
	if (fclose(to) != 0)
		return -errno;
	fd = memfd_sealed("printed", (struct bytes){ text, len });
	free(text);
	return fd;
}

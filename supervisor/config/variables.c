#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "supervisor/config/reader.h"

#define KEY	"pk"		/* makes an entry of what the environment says, as in the real server */

static struct config_entry *
scope_find(const struct scope *scope, struct bytes name, bool any_case)
{
	struct config_entry	*e = NULL;

	for (; scope != NULL && e == NULL; scope = scope->up)
		e = config_map_find(scope->map, name, any_case);
	return e;
}

static struct variable *
variable_add(struct reader *r, struct bytes name)
{
	size_t		  room = r->variable_room == 0 ? 16 : r->variable_room * 2;
	struct variable	**grown, *variable;

	if (r->variable_count == r->variable_room) {
		grown = reallocarray(r->variables, room, sizeof(*grown));
		if (grown == NULL)
			return NULL;
		r->variables = grown;
		r->variable_room = room;
	}
	variable = calloc(1, sizeof(*variable));
	if (variable == NULL)
		return NULL;
	variable->name = name;
	r->variables[r->variable_count++] = variable;
	return variable;
}

void
variables_free(struct reader *r)
{
	size_t	i;

	for (i = 0; i < r->variable_count; i++) {
		config_value_free(&r->variables[i]->value);
		free(r->variables[i]);
	}
	free(r->variables);
}

/* "$NAME" among the paths, for errors in its value. */
static int
variable_file(struct reader *r, struct bytes name, uint32_t *file)
{
	struct config_text	path;
	char			text[1032];
	int			n, rc;

	n = snprintf(text, sizeof(text), "$%.*s", (int)name.len, name.data);
	rc = config_texts_copy(&r->source->texts, (struct bytes){ text, (size_t)n }, &path);
	return rc == 0 ? config_errors_file(r->errors, (struct bytes){ path.data, path.len }, file) : rc;
}

/* Read its value as that of an entry; the text may have others, which do not count. */
static int
variable_parse(struct parser *up, struct variable *variable, struct bytes value,
    struct config_position at)
{
	struct reader		*r = up->reader;
	struct parser		 p = { .reader = r, .level = up->level + 1, .environment = true,
	    .up = up };
	struct config_value	 map;
	struct config_entry	*e;
	struct config_text	 text;
	uint32_t		 file = 0;
	char			*entry;
	int			 n, rc;

	n = asprintf(&entry, KEY "=%.*s", (int)value.len, value.data);
	if (n == -1)
		return -ENOMEM;
	rc = config_texts_copy(&r->source->texts, (struct bytes){ entry, (size_t)n }, &text);
	explicit_bzero(entry, (size_t)n);
	free(entry);
	if (rc == 0)
		rc = variable_file(r, variable->name, &file);
	if (rc == -E2BIG) {
		config_error(r->errors, at, "with this variable it is more than %u MiB in all",
		    CONFIG_TEXTS_MAX >> 20);
		rc = READ_ENDS;
	}
	if (rc != 0)
		return rc;
	lexer_init(&p.lx, text.data, text.len, file, r->errors);
	p.lx.secret = up->lx.secret;
	p.lx.line_start = strlen(KEY "=");	/* columns are those of the value */
	rc = parser_text(&p, &map);
	if (rc != 0)
		return rc;
	e = config_map_find(&map, BYTES(KEY), false);
	if (e != NULL) {
		variable->value = e->value;
		memset(&e->value, 0, sizeof(e->value));
	}
	config_value_free(&map);
	return 0;
}

static bool
is_blank(struct bytes b)
{
	size_t	i;

	for (i = 0; i < b.len; i++)
		if (b.data[i] != ' ' && b.data[i] != '\t')
			return false;
	return true;
}

/* Ask for a variable, and read its value. */
static int
variable_ask(struct parser *p, struct variable *variable, struct config_position at)
{
	struct config_source	*source = p->reader->source;
	struct config_text	 value = { NULL, 0 };
	unsigned		 errors = p->reader->errors->count;
	int			 rc = 0;

	if (source->environment != NULL && variable->name.len > 0 && variable->name.len <= 1024 &&
	    memchr(variable->name.data, '\0', variable->name.len) == NULL)
		rc = source->environment(source, variable->name, &value);
	if (rc != 0 || value.data == NULL)
		return rc;
	variable->found = true;
	variable->value = (struct config_value){ .kind = CONFIG_TEXT, .text = { "", 0 } };
	if (is_blank((struct bytes){ value.data, value.len }))
		return 0;
	variable->busy = true;
	rc = variable_parse(p, variable, (struct bytes){ value.data, value.len }, at);
	variable->busy = false;
	variable->wrong = p->reader->errors->count > errors;
	return rc;
}

/* Of the environment, asked for once. 0; -EBADMSG it is written down; -errno. */
static int
variable_find(struct parser *p, struct bytes name, struct config_position at,
    struct variable **found)
{
	struct reader	*r = p->reader;
	char		 quote[CONFIG_QUOTED];
	size_t		 i;

	for (i = 0; i < r->variable_count; i++) {
		*found = r->variables[i];
		if (!bytes_equal(name, (*found)->name))
			continue;
		if (!(*found)->busy)
			return 0;
		config_error(r->errors, at, "the variable %s stands in itself",
		    config_quote(quote, name));
		return -EBADMSG;
	}
	if (p->level >= CONFIG_LEVELS_MAX) {
		config_error(r->errors, at, "variables stand in each other over more than %u levels",
		    CONFIG_LEVELS_MAX);
		return -EBADMSG;
	}
	*found = variable_add(r, name);
	return *found == NULL ? -ENOMEM : variable_ask(p, *found, at);
}

/* It may be a password or a hash without quotes: then it is not shown. */
static int
unknown(struct parser *p, struct bytes name, struct config_position at)
{
	char	quote[CONFIG_QUOTED];
	bool	hash = name.len > 3 && (memcmp(name.data, "2b$", 3) == 0 ||
	    memcmp(name.data, "2y$", 3) == 0);

	config_error(p->reader->errors, at, hash ?
	    "found the variable %s, which is not set; put the hash of a password in quotes" :
	    "found the variable %s, which no entry before this one and no variable of the environment sets",
	    hash || p->lx.secret ? CONFIG_REDACTED : config_quote(quote, name));
	return -EBADMSG;
}

static int
copy(struct parser *p, struct config_value *v, const struct config_value *from, unsigned depth,
    struct config_position at)
{
	int	rc = config_value_copy(v, from, depth, &p->reader->copies);

	if (rc == -ELOOP)
		config_error(p->reader->errors, at, "the variable stands for maps and lists more than %u deep",
		    CONFIG_DEPTH_MAX);
	else if (rc == -E2BIG)
		config_error(p->reader->errors, at, "variables stand for more than %u values",
		    CONFIG_COPIES_MAX);
	else if (rc == 0)
		v->at = at;
	return rc == -ELOOP ? -EBADMSG : rc == -E2BIG ? READ_ENDS : rc;
}

/*
 * An entry of this name before; the environment; at last an entry whose name
 * differs in case, so that what the real server takes means the same here.
 */
int
variable_value(struct parser *p, struct config_value *v, unsigned depth, struct bytes name,
    struct config_position at)
{
	struct config_entry	*e = scope_find(p->scope, name, false);
	struct variable		*variable;
	int			 rc;

	if (e == NULL) {
		rc = variable_find(p, name, at, &variable);
		if (rc != 0)
			return rc;
		if (variable->wrong)
			return -EBADMSG;
		if (variable->found)
			return copy(p, v, &variable->value, depth, at);
		e = scope_find(p->scope, name, true);
	}
	if (e == NULL)
		return unknown(p, name, at);
	e->used = true;
	return copy(p, v, &e->value, depth, at);
}

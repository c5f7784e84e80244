#include <errno.h>
#include <strings.h>
#include "supervisor/config/reader.h"

#define SYNTAX_ERRORS_MAX	50	/* then it is some other kind of file */

/*
 * A map's entries are read one after the other; an error ends the entry, and
 * reading goes on in the next line. Return values: 0; -EBADMSG the entry is
 * lost; -ENODATA the text ends too early; anything else ends it all.
 *
 * Entries stand in a map, at the top of a text, or there in braces, where the
 * real server has other rules for what may be in between.
 */
enum place { PLACE_TOP, PLACE_BRACES, PLACE_MAP };

static int parse_value(struct parser *p, struct config_value *v, unsigned depth);

static int
unexpected(struct parser *p, const char *expected)
{
	char	found[CONFIG_QUOTED];

	config_error(p->lx.errors, lexer_position(&p->lx), "found %s, expected %s",
	    lexer_found(&p->lx, found), expected);
	return -EBADMSG;
}

/* Behind a value: the line's end, a comma, a semicolon, or what closes the map. */
static int
parse_entry_end(struct parser *p, enum place place)
{
	int	c;

	lexer_skip_blanks(&p->lx);
	c = lexer_peek(&p->lx);
	if (c == ',' || c == ';' || (c == '}' && place == PLACE_TOP))
		lexer_next(&p->lx);
	else if (c != -1 && c != '}' && !lexer_at_line_end(&p->lx) && !lexer_at_comment(&p->lx))
		return unexpected(p, "',', ';' or a new line behind the value");
	return 0;
}

static int
parse_pair(struct parser *p, struct config_value *map, unsigned depth, struct bytes key,
    struct config_position at)
{
	struct config_value	 v = { 0 };
	struct config_entry	*e;
	int			 rc;

	rc = parse_value(p, &v, depth);
	if (rc != 0) {
		config_value_free(&v);
		return rc;
	}
	e = config_map_add(map);
	if (e == NULL) {
		config_value_free(&v);
		return -ENOMEM;
	}
	e->key = key;
	e->at = at;
	e->value = v;
	return 0;
}

static int
parse_entry(struct parser *p, struct config_value *map, unsigned depth, enum place place)
{
	struct config_position	 at = lexer_position(&p->lx);
	struct bytes		 key, path;
	bool			 statement, secret = p->lx.secret;
	int			 rc;

	rc = lexer_key(&p->lx, &key, &statement);
	if (rc != 0)
		return rc;
	p->lx.secret = secret || config_key_is_secret(key);
	if (statement && key.len == 7 && strncasecmp(key.data, "include", 7) == 0) {
		rc = lexer_include(&p->lx, &path);
		if (rc == 0)
			rc = include_path(p, map, depth, path, at);
	} else {
		rc = lexer_separator(&p->lx, place == PLACE_MAP);
		if (rc == 0)
			rc = parse_pair(p, map, depth, key, at);
	}
	if (rc == 0)
		rc = parse_entry_end(p, place);
	p->lx.secret = secret;
	return rc;
}

/* One entry; an error in it is told, and reading goes on behind it. */
static int
parse_entry_or_recover(struct parser *p, struct config_value *map, unsigned depth,
    enum place place)
{
	int	rc;

	p->arrays = 0;
	rc = parse_entry(p, map, depth, place);
	if (rc != -EBADMSG || p->lx.errors->count >= SYNTAX_ERRORS_MAX)
		return rc;
	lexer_recover(&p->lx, p->arrays);
	return 0;
}

static int
not_closed(struct parser *p, struct config_position opened)
{
	config_error(p->lx.errors, lexer_position(&p->lx),
	    "found the end of the file, expected the '}' for the '{' in line %u", opened.line);
	return -ENODATA;
}

/* Entries up to the '}'. */
static int
parse_map(struct parser *p, struct config_value *map, unsigned depth)
{
	struct scope	scope = { map, p->scope };
	unsigned	arrays = p->arrays;
	int		c, rc = 0;

	p->scope = &scope;
	lexer_next(&p->lx);
	while (rc == 0) {
		lexer_skip_space(&p->lx);
		c = lexer_peek(&p->lx);
		if (c == '}')
			break;
		rc = c == -1 ? not_closed(p, map->at) :
		    parse_entry_or_recover(p, map, depth, PLACE_MAP);
	}
	p->scope = scope.up;
	if (rc != 0)
		return rc;
	lexer_next(&p->lx);
	p->arrays = arrays;
	return config_map_settle(map);
}

/* Behind an item: a comma or a new line, not both in this order, or the end. */
static int
parse_item_end(struct parser *p)
{
	int	c;

	lexer_skip_blanks(&p->lx);
	if (lexer_at_comment(&p->lx))
		lexer_skip_comment(&p->lx);
	c = lexer_peek(&p->lx);
	if (c == ',' || lexer_at_line_end(&p->lx))
		lexer_next(&p->lx);
	else if (c != ']')
		return unexpected(p, "',', ']' or a new line in a list");
	return 0;
}

static int
parse_list(struct parser *p, struct config_value *list, unsigned depth)
{
	struct config_value	v, *item;
	int			rc;

	p->arrays++;
	lexer_next(&p->lx);
	for (;;) {
		lexer_skip_space(&p->lx);
		if (lexer_peek(&p->lx) == ']')
			break;
		memset(&v, 0, sizeof(v));
		rc = parse_value(p, &v, depth);
		if (rc == 0 && (item = config_list_add(list)) == NULL)
			rc = -ENOMEM;
		if (rc != 0) {
			config_value_free(&v);
			return rc;
		}
		*item = v;
		rc = parse_item_end(p);
		if (rc != 0)
			return rc;
	}
	lexer_next(&p->lx);
	p->arrays--;
	return 0;
}

/* One value, of whatever kind; at most CONFIG_DEPTH_MAX deep. */
static int
parse_value(struct parser *p, struct config_value *v, unsigned depth)
{
	struct bytes	variable;
	int		c = lexer_peek(&p->lx), rc;

	if (c != '{' && c != '[') {
		rc = lexer_scalar(&p->lx, v, &variable);
		if (rc == 0 && variable.data != NULL)
			rc = variable_value(p, v, depth, variable, v->at);
		return rc;
	}
	v->at = lexer_position(&p->lx);
	if (depth >= CONFIG_DEPTH_MAX) {
		config_error(p->lx.errors, v->at, "found '%c' inside of %u others, expected at most %u",
		    c, depth, CONFIG_DEPTH_MAX);
		return READ_ENDS;
	}
	if (c == '[') {
		v->kind = CONFIG_LIST;
		return parse_list(p, v, depth + 1);
	}
	v->kind = CONFIG_MAP;
	return parse_map(p, v, depth + 1);
}

/* What may come behind inner braces before the next entry. */
static int
parse_braces_end(struct parser *p)
{
	int	c;

	do
		lexer_skip_blanks(&p->lx);
	while (lexer_at_line_end(&p->lx) && (lexer_next(&p->lx), true));
	c = lexer_peek(&p->lx);
	if (c == ',' || c == ';')
		lexer_next(&p->lx);
	else if (c != '}' && c != -1 && !lexer_at_comment(&p->lx))
		return unexpected(p, "',', ';' or '}' behind the inner '}'");
	return 0;
}

/* A '}' that nothing opened may be the end of a text. */
static int
parse_stray_brace(struct parser *p)
{
	lexer_next(&p->lx);
	lexer_skip_space(&p->lx);
	return lexer_peek(&p->lx) == -1 ? 0 : unexpected(p, "nothing behind the closing '}'");
}

/*
 * Braces that hold entries of the text itself, as in JSON; in them there may be
 * others. Behind inner ones an entry needs a comma or a semicolon.
 */
static int
parse_braces(struct parser *p, struct config_value *map, unsigned braces)
{
	struct config_position	opened = lexer_position(&p->lx);
	int			c, rc = 0;

	if (braces >= CONFIG_DEPTH_MAX) {
		config_error(p->lx.errors, opened, "found '{' inside of %u others, expected at most %u",
		    braces, CONFIG_DEPTH_MAX);
		return READ_ENDS;
	}
	lexer_next(&p->lx);
	while (rc == 0) {
		lexer_skip_space(&p->lx);
		c = lexer_peek(&p->lx);
		if (c == '}')
			break;
		if (c == -1)
			return not_closed(p, opened);
		if (c != '{') {
			rc = parse_entry_or_recover(p, map, p->depth, PLACE_BRACES);
			continue;
		}
		rc = parse_braces(p, map, braces + 1);
		if (rc == 0)
			rc = parse_braces_end(p);
	}
	lexer_next(&p->lx);
	return rc;
}

/* Entries and braces up to the end. */
static int
parse_top(struct parser *p, struct config_value *map)
{
	int	c, rc = 0;

	while (rc == 0) {
		lexer_skip_space(&p->lx);
		c = lexer_peek(&p->lx);
		if (c == -1)
			break;
		if (c == '}')
			rc = parse_stray_brace(p);
		else if (c == '{')
			rc = parse_braces(p, map, 0);
		else
			rc = parse_entry_or_recover(p, map, p->depth, PLACE_TOP);
	}
	return rc;
}

int
parser_text(struct parser *p, struct config_value *map)
{
	struct config_value	root = { .kind = CONFIG_MAP };
	struct scope		scope = { &root, NULL };
	int			rc;

	if (memchr(p->lx.text, '\0', p->lx.len) != NULL) {
		config_error(p->lx.errors, (struct config_position){ .file = p->lx.file },
		    "found the byte 0x00, expected a text");
		*map = root;
		return 0;
	}
	p->scope = &scope;
	root.at = lexer_position(&p->lx);
	rc = parse_top(p, &root);
	p->scope = NULL;
	if (rc == 0 || rc == -EBADMSG || rc == -ENODATA)
		rc = config_map_settle(&root);
	if (rc == 0)
		*map = root;
	else
		config_value_free(&root);
	return rc;
}

int
config_parse(struct config_value *root, char *text, size_t len,
    struct config_source *source, struct config_errors *errors)
{
	struct reader		r = { .source = source, .errors = errors, .copies = CONFIG_COPIES_MAX };
	struct parser		p = { .reader = &r };
	struct config_value	map = { .kind = CONFIG_MAP };
	int			rc;

	lexer_init(&p.lx, text, len, 0, errors);
	rc = parser_text(&p, &map);
	if (rc == READ_ENDS)
		rc = 0;
	if (rc == 0 && map.map.count == 0 && errors->count == 0)
		config_error(errors, (struct config_position){ 0 }, "config has no values or is empty");
	variables_free(&r);
	if (rc == 0)
		*root = map;
	return rc;
}

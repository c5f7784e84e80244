#include <errno.h>
#include <strings.h>
#include "supervisor/config/lexer.h"
#include "supervisor/config/parser.h"

#define SYNTAX_ERRORS_MAX	50	/* then it is some other kind of file */

/*
 * A map's entries are read one after the other; an error ends the entry, and
 * reading goes on in the next line. Return values: 0; -EBADMSG the entry is
 * lost; anything else ends it all.
 */
struct parser {
	struct config_lexer	 lx;
	unsigned		 arrays;	/* '[' open in the present entry */
};

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
parse_entry_end(struct parser *p)
{
	int	c;

	lexer_skip_blanks(&p->lx);
	c = lexer_peek(&p->lx);
	if (c == ',' || c == ';')
		lexer_next(&p->lx);
	else if (c != -1 && c != '\n' && c != '\r' && c != '}' && !lexer_at_comment(&p->lx))
		return unexpected(p, "',', ';' or a new line behind the value");
	return 0;
}

static int
parse_entry(struct parser *p, struct config_value *map, unsigned depth)
{
	struct config_position	 at = lexer_position(&p->lx);
	struct config_value	 v = { 0 };
	struct config_entry	*e;
	struct bytes		 key;
	int			 rc;

	rc = lexer_key(&p->lx, &key);
	if (rc != 0)
		return rc;
	if (key.len == 7 && strncasecmp(key.data, "include", 7) == 0) {
		config_error(p->lx.errors, at, "include is not supported by this version");
		return -EBADMSG;
	}
	rc = parse_value(p, &v, depth);
	if (rc == 0)
		rc = parse_entry_end(p);
	if (rc == 0 && (e = config_map_add(map)) == NULL)
		rc = -ENOMEM;
	if (rc != 0) {
		config_value_free(&v);
		return rc;
	}
	e->key = key;
	e->at = at;
	e->value = v;
	return 0;
}

/*
 * Entries up to `end`, '}' or -1 for the file's end. A '}' that nothing opened
 * may stand at the end of a file.
 */
static int
parse_entries(struct parser *p, struct config_value *map, int end, unsigned depth)
{
	unsigned	arrays = p->arrays;
	int		c, rc;

	for (;;) {
		lexer_skip_space(&p->lx);
		c = lexer_peek(&p->lx);
		if (c == end || c == '}')
			break;
		if (c == -1) {
			config_error(p->lx.errors, lexer_position(&p->lx),
			    "found the end of the file, expected the '}' for the '{' in line %u",
			    map->at.line);
			return -ENODATA;
		}
		p->arrays = 0;
		rc = parse_entry(p, map, depth);
		if (rc == -EBADMSG && p->lx.errors->count < SYNTAX_ERRORS_MAX)
			lexer_recover(&p->lx, p->arrays);
		else if (rc != 0)
			return rc;
	}
	lexer_next(&p->lx);
	p->arrays = arrays;
	return config_map_settle(map);
}

/* Items end by a comma or a new line. */
static int
parse_list(struct parser *p, struct config_value *list, unsigned depth)
{
	struct config_value	v, *item;
	uint32_t		line;
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
		line = p->lx.line;
		lexer_skip_space(&p->lx);
		if (lexer_peek(&p->lx) == ',')
			lexer_next(&p->lx);
		else if (lexer_peek(&p->lx) != ']' && p->lx.line == line)
			return unexpected(p, "',', ']' or a new line in a list");
	}
	lexer_next(&p->lx);
	p->arrays--;
	return 0;
}

/* One value, of whatever kind; at most CONFIG_DEPTH_MAX deep. */
static int
parse_value(struct parser *p, struct config_value *v, unsigned depth)
{
	int	c = lexer_peek(&p->lx);

	if (c != '{' && c != '[')
		return lexer_scalar(&p->lx, v);
	v->at = lexer_position(&p->lx);
	if (depth >= CONFIG_DEPTH_MAX) {
		config_error(p->lx.errors, v->at, "found '%c' inside of %u others, expected at most %u",
		    c, depth, CONFIG_DEPTH_MAX);
		return -E2BIG;
	}
	if (c == '[') {
		v->kind = CONFIG_LIST;
		return parse_list(p, v, depth + 1);
	}
	v->kind = CONFIG_MAP;
	lexer_next(&p->lx);
	return parse_entries(p, v, '}', depth + 1);
}

int
config_parse(struct config_value *root, char *text, size_t len, struct config_errors *errors)
{
	struct config_value	map = { .kind = CONFIG_MAP };
	struct parser		p = { 0 };
	int			rc;

	lexer_init(&p.lx, text, len, errors);
	lexer_skip_space(&p.lx);
	map.at = lexer_position(&p.lx);
	if (lexer_peek(&p.lx) == '{') {
		lexer_next(&p.lx);
		rc = parse_entries(&p, &map, '}', 1);
	} else {
		rc = parse_entries(&p, &map, -1, 0);
	}
	if (rc == 0) {
		lexer_skip_space(&p.lx);
		if (lexer_peek(&p.lx) != -1)
			unexpected(&p, "nothing behind the closing '}'");
		else if (map.map.count == 0 && errors->count == 0)
			config_error(errors, (struct config_position){ 0 },
			    "config has no values or is empty");
	}
	if (rc == -ENOMEM) {
		config_value_free(&map);
		return rc;
	}
	*root = map;
	return 0;
}

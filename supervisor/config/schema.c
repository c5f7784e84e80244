#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "supervisor/config/duration.h"
#include "supervisor/config/fields.h"
#include "supervisor/config/schema.h"
#include "supervisor/config/tls.h"

/* What one entry is applied with; an error ends the entry, -ENOMEM all. */
struct schema {
	struct settings			*s;
	struct schema_origins		*origins;
	struct config_errors		*errors;
	const struct setting		*which;
	const struct config_entry	*entry;
	int				 rc;
};

static const struct setting *
setting_named(const char *name)
{
	return setting_find(bytes_of(name));
}

static void
expected(struct schema *c, const struct config_value *v, const char *what)
{
	char	quote[CONFIG_QUOTED];

	config_error(c->errors, v->at, "%s: found %s, expected %s", c->which->name,
	    config_found(v, quote), what);
}

/* Its place in struct schema_origins. */
static size_t
origin_number(const struct setting *which)
{
	size_t	count;

	return (size_t)(which - settings_table(&count));
}

static struct schema_origin *
origin_of(struct schema_origins *origins, const struct setting *which)
{
	return &origins->of[origin_number(which)];
}

/* What a setter said about v. */
static void
applied(struct schema *c, const struct config_value *v, int rc)
{
	char	range[128];

	if (rc == 0) {
		*origin_of(c->origins, c->which) =
		    (struct schema_origin){ ORIGIN_FILE, c->entry->at };
	} else if (rc == -ENOMEM) {
		c->rc = rc;
	} else if (rc == -ERANGE && (c->which->kind == SETTING_text || c->which->kind == SETTING_list)) {
		snprintf(range, sizeof(range), "text of %.0f to %.0f bytes", c->which->least,
		    c->which->most);
		expected(c, v, range);
	} else if (rc == -ERANGE) {
		snprintf(range, sizeof(range), "%.15g to %.15g%s", c->which->least, c->which->most,
		    c->which->kind == SETTING_duration ? " seconds" : "");
		expected(c, v, range);
	} else if (rc != 0) {
		expected(c, v, "text without NUL bytes");
	}
}

static void
set_integer(struct schema *c, const char *name, uint64_t value)
{
	c->which = setting_named(name);
	applied(c, &c->entry->value, setting_set_integer(c->s, c->which, value));
}

static void
set_boolean(struct schema *c, const char *name, bool value)
{
	c->which = setting_named(name);
	applied(c, &c->entry->value, setting_set_boolean(c->s, c->which, value));
}

/* 0: v is a whole number; negative where `least` says it means something. */
static int
integer_value(struct schema *c, const struct config_value *v, int64_t least)
{
	if (v->kind != CONFIG_INTEGER)
		expected(c, v, "a whole number, as 100 or 64MB, without quotes");
	else if (v->integer < least)
		expected(c, v, least < 0 ? "a number from -1" : "a number from 0");
	else
		return 0;
	return -EBADMSG;
}

static void
apply_integer(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;

	if (integer_value(c, v, 0) != 0)
		return;
	if (v->integer == 0 && c->which->least > 0)
		return;		/* the default */
	applied(c, v, setting_set_integer(c->s, c->which, (uint64_t)v->integer));
}

/* Whole numbers are seconds, in the manner of older files. */
static void
apply_duration(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;
	static const char		 form[] = "a duration, as \"10s\" or \"1m30s\"";
	double				 seconds = 0;
	int				 rc = 0;

	if (v->kind == CONFIG_TEXT)
		rc = duration_parse(v->text, &seconds);
	else if (v->kind == CONFIG_INTEGER)
		seconds = (double)v->integer;
	else
		rc = -EINVAL;
	if (rc != 0) {
		expected(c, v, form);
		return;
	}
	if (v->kind == CONFIG_INTEGER && c->errors->strict) {
		expected(c, v, form);
		return;
	}
	if (v->kind == CONFIG_INTEGER)
		config_warn(c->errors, v->at, "%s should be %s; taken as seconds",
		    c->which->name, form);
	if (seconds == 0 && c->which->least > 0)
		return;		/* the default */
	applied(c, v, setting_set_duration(c->s, c->which, seconds));
}

static void
apply_boolean(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;

	if (v->kind != CONFIG_BOOLEAN)
		expected(c, v, "true or false, without quotes");
	else
		applied(c, v, setting_set_boolean(c->s, c->which, v->boolean));
}

static void
apply_text(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;

	if (v->kind != CONFIG_TEXT)
		expected(c, v, "text; put it in quotes");
	else
		applied(c, v, setting_set_text(c->s, c->which, v->text));
}

static void
apply_list(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;
	size_t				 i;

	if (v->kind == CONFIG_TEXT) {
		applied(c, v, setting_add_item(c->s, c->which, v->text));
		return;
	}
	if (v->kind != CONFIG_LIST) {
		expected(c, v, "text or a list of texts");
		return;
	}
	for (i = 0; i < v->list.count; i++)
		if (v->list.items[i].kind != CONFIG_TEXT)
			expected(c, &v->list.items[i], "text; put it in quotes");
		else
			applied(c, &v->list.items[i],
			    setting_add_item(c->s, c->which, v->list.items[i].text));
}

/* -- addresses */

#define PORT_ANY	(-1)

struct address { struct bytes host; int port; };	/* host.len 0: not said */

/* A port in decimal, or -1. 0 or -EINVAL. */
static int
port_text(struct bytes text, int *port)
{
	size_t	i;

	if (bytes_equal(text, BYTES("-1"))) {
		*port = PORT_ANY;
		return 0;
	}
	if (text.len == 0 || text.len > 5)
		return -EINVAL;
	for (*port = 0, i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return -EINVAL;
		*port = *port * 10 + (text.data[i] - '0');
	}
	return *port <= 65535 ? 0 : -EINVAL;
}

/* "host:port", ":port" or "[::1]:port". 0 or -EINVAL. */
static int
address_text(struct bytes text, struct address *a)
{
	const char	*colon = memrchr(text.data, ':', text.len);
	size_t		 i;

	if (colon == NULL)
		return -EINVAL;
	a->host = (struct bytes){ text.data, (size_t)(colon - text.data) };
	if (a->host.len > 255)
		return -EINVAL;
	if (a->host.len > 1 && a->host.data[0] == '[' && a->host.data[a->host.len - 1] == ']') {
		a->host.data++;
		a->host.len -= 2;
	} else if (a->host.len > 0 && memchr(a->host.data, ':', a->host.len) != NULL) {
		return -EINVAL;		/* IPv6 without brackets: where does the port begin? */
	}
	for (i = 0; i < a->host.len; i++)
		if ((unsigned char)a->host.data[i] <= ' ' || a->host.data[i] == '[' ||
		    a->host.data[i] == ']' || a->host.data[i] == 0x7f)
			return -EINVAL;
	return port_text((struct bytes){ colon + 1,
	    (size_t)(text.data + text.len - (colon + 1)) }, &a->port);
}

static int
address_value(struct schema *c, const struct config_value *v, struct address *a)
{
	a->host = (struct bytes){ "", 0 };
	if (v->kind == CONFIG_INTEGER && v->integer >= PORT_ANY && v->integer <= 65535) {
		a->port = (int)v->integer;
		return 0;
	}
	if (v->kind == CONFIG_TEXT && address_text(v->text, a) == 0)
		return 0;
	expected(c, v, "\"host:port\", \"[address]:port\" or a port up to 65535 (-1: any free one)");
	return -EBADMSG;
}

/* A port of the file as bind(2) wants it. */
static uint64_t
port_bound(int port, uint64_t when_zero)
{
	return port == PORT_ANY ? 0 : port == 0 ? when_zero : (uint64_t)port;
}

#define PORT_CLIENTS	4222	/* what 0 means */

static void
set_host(struct schema *c, const char *name, struct bytes host)
{
	if (host.len == 0)
		return;
	c->which = setting_named(name);
	applied(c, &c->entry->value, setting_set_text(c->s, c->which, host));
}

#define UNIX_PREFIX	"unix:"
#define UNIX_PATH_MOST	107	/* bytes; sun_path of unix(7) with its NUL */

static bool
is_unix_address(const struct config_value *v)
{
	return v->kind == CONFIG_TEXT && v->text.len >= strlen(UNIX_PREFIX) &&
	    memcmp(v->text.data, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
}

/* One more listener at "unix:/path". */
static void
add_unix_listener(struct schema *c, const struct config_value *v)
{
	struct bytes	path = { v->text.data + strlen(UNIX_PREFIX), v->text.len - strlen(UNIX_PREFIX) };

	if (path.len < 2 || path.len > UNIX_PATH_MOST || *path.data != '/')
		expected(c, v, "\"unix:/path\" with a path of at most 107 bytes");
	else
		applied(c, v, setting_add_item(c->s, c->which, v->text));
}

/* One more listener; the first with a port is also host and port. */
static void
add_listener(struct schema *c, const struct config_value *v, bool *first)
{
	struct address	a;
	char		item[300];
	int		n;

	c->which = setting_named("listen");
	if (is_unix_address(v)) {
		add_unix_listener(c, v);
		return;
	}
	if (address_value(c, v, &a) != 0)
		return;
	if (a.host.len == 0)
		a.host = BYTES("0.0.0.0");
	n = snprintf(item, sizeof(item), memchr(a.host.data, ':', a.host.len) != NULL ?
	    "[%.*s]:%" PRIu64 : "%.*s:%" PRIu64, (int)a.host.len, a.host.data,
	    port_bound(a.port, PORT_CLIENTS));
	applied(c, v, setting_add_item(c->s, c->which, (struct bytes){ item, (size_t)n }));
	if (*first) {
		set_host(c, "host", a.host);
		set_integer(c, "port", port_bound(a.port, PORT_CLIENTS));
	}
	*first = false;
}

/* Several listeners: items in one form. */
static void
apply_listen_list(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;
	bool				 first = true;
	size_t				 i;

	if (v->list.count == 0)
		expected(c, v, "at least one address");
	for (i = 0; i < v->list.count; i++)
		add_listener(c, &v->list.items[i], &first);
}

static void
apply_listen(struct schema *c)
{
	struct address	a;

	if (c->entry->value.kind == CONFIG_LIST) {
		apply_listen_list(c);
		return;
	}
	if (is_unix_address(&c->entry->value)) {
		add_unix_listener(c, &c->entry->value);
		return;
	}
	if (address_value(c, &c->entry->value, &a) != 0)
		return;
	set_host(c, "host", a.host);
	set_integer(c, "port", port_bound(a.port, PORT_CLIENTS));
}

static void
apply_port(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;

	if (v->kind != CONFIG_INTEGER || v->integer < PORT_ANY || v->integer > 65535)
		expected(c, v, "a port up to 65535 (-1: any free one)");
	else
		set_integer(c, "port", port_bound((int)v->integer, PORT_CLIENTS));
}

/* `http`, `http_port`: 0 leaves monitoring off. */
static void
apply_http(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;
	struct address			 a;

	if (c->which == setting_named("http_port") && v->kind != CONFIG_INTEGER) {
		expected(c, v, "a port up to 65535 (-1: any free one)");
		return;
	}
	if (address_value(c, v, &a) != 0)
		return;
	set_host(c, "http_host", a.host);
	set_integer(c, "http_port", port_bound(a.port, 0));
	set_boolean(c, "http", a.port != 0);
}

/* -- others that are more than their kind */

/* Settings whose text is one of a few words. */
static const struct { const char *name, *words[4], *expected; } worded[] = {
	{ "sandbox", { "best_effort", "required", "off" }, "best_effort, required or off" },
	{ "write_timeout", { "default", "close", "retry" }, "default, close or retry" },
	{ "log_format", { "text", "json" }, "text or json" },
};

static void
apply_word(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;
	struct bytes			 word = v->kind == CONFIG_TEXT ? v->text : BYTES("");
	size_t				 i = 0, j;

	while (strcmp(worded[i].name, c->which->name) != 0)
		i++;
	if (v->kind == CONFIG_BOOLEAN)	/* what on and off are in the file */
		word = v->boolean ? BYTES("on") : BYTES("off");
	for (j = 0; worded[i].words[j] != NULL; j++)
		if (bytes_equal(word, bytes_of(worded[i].words[j]))) {
			applied(c, v, setting_set_text(c->s, c->which, word));
			return;
		}
	expected(c, v, worded[i].expected);
}

/* -1: as large as can wait. */
static void
apply_max_payload(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;

	if (integer_value(c, v, -1) != 0)
		return;
	if (v->integer == -1)
		set_integer(c, c->which->name, (uint64_t)c->which->most);
	else
		apply_integer(c);
}

/* More than there can be is as many as there can be. */
static void
apply_most(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;

	if (v->kind == CONFIG_INTEGER && (double)v->integer > c->which->most)
		set_integer(c, c->which->name, (uint64_t)c->which->most);
	else
		apply_integer(c);
}

/* The same, and below 0 is 0: no limit, but for max_connections none at all. */
static void
apply_count(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;

	if (v->kind == CONFIG_INTEGER && v->integer < 0)
		set_integer(c, c->which->name, 0);
	else
		apply_most(c);
}

/* 0 is the default, although it would be possible. */
static void
apply_ping_max(struct schema *c)
{
	if (c->entry->value.kind != CONFIG_INTEGER || c->entry->value.integer != 0)
		apply_most(c);
}

/* Durations that never were numbers; one of them cannot be 0 either. */
static void
apply_lame_duck(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;
	double				 seconds;

	if (v->kind != CONFIG_TEXT)
		expected(c, v, "a duration, as \"10s\" or \"1m30s\"");
	else if (c->which->least > 0 && duration_parse(v->text, &seconds) == 0 && seconds == 0)
		applied(c, v, -ERANGE);
	else
		apply_duration(c);
}

/* "" is the default, all addresses. */
static void
apply_host(struct schema *c)
{
	if (c->entry->value.kind != CONFIG_TEXT || c->entry->value.text.len > 0)
		apply_text(c);
}

/* Names of users and groups may be numbers. */
static void
apply_identity(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;
	char				 text[32];

	if (v->kind != CONFIG_INTEGER || v->integer < 0) {
		apply_text(c);
		return;
	}
	snprintf(text, sizeof(text), "%" PRId64, v->integer);
	applied(c, v, setting_set_text(c->s, c->which, bytes_of(text)));
}

static bool
is_octal(struct bytes digits)
{
	size_t	i;

	for (i = 0; i < digits.len; i++)
		if (digits.data[i] < '0' || digits.data[i] > '7')
			return false;
	return digits.len == 3 || (digits.len == 4 && *digits.data == '0');
}

/* Octal digits; as a number they were read as decimal ones, which look the same. */
static void
apply_mode(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;
	struct bytes			 digits = v->kind == CONFIG_TEXT ? v->text : BYTES("");
	char				 text[32];

	if (v->kind == CONFIG_INTEGER && v->integer >= 0) {
		snprintf(text, sizeof(text), "%04" PRId64, v->integer);
		digits = bytes_of(text);
	}
	if (!is_octal(digits))
		expected(c, v, "a mode in octal, as \"0660\"");
	else
		applied(c, v, setting_set_text(c->s, c->which, digits));
}

/* More of the trace is wanted, so a trace is. */
static void
apply_trace_more(struct schema *c)
{
	apply_boolean(c);
	if (c->entry->value.kind == CONFIG_BOOLEAN && c->entry->value.boolean)
		set_boolean(c, "trace", true);
}

static bool
list_has(const struct text_list *list, const char *item)
{
	size_t	i;

	for (i = 0; i < list->count; i++)
		if (strcmp(list->items[i], item) == 0)
			return true;
	return false;
}

/* In lower case, without blanks around it, and once. */
static void
add_tag(struct schema *c, const struct config_value *v)
{
	struct bytes	 tag = v->text;
	char		*text;
	size_t		 i;

	if (v->kind != CONFIG_TEXT) {
		expected(c, v, "text; put it in quotes");
		return;
	}
	while (tag.len > 0 && isspace((unsigned char)tag.data[tag.len - 1]))
		tag.len--;
	for (; tag.len > 0 && isspace((unsigned char)*tag.data); tag.len--)
		tag.data++;
	text = strndup(tag.data, tag.len);
	for (i = 0; text != NULL && text[i] != '\0'; i++)
		text[i] = (char)tolower((unsigned char)text[i]);
	if (text == NULL)
		c->rc = -ENOMEM;
	else if (tag.len > 0 && !list_has(&c->s->server_tags, text))
		applied(c, v, setting_add_item(c->s, c->which, (struct bytes){ text, tag.len }));
	free(text);
}

static void
apply_tags(struct schema *c)
{
	const struct config_value	*v = &c->entry->value;
	size_t				 i;

	if (v->kind != CONFIG_LIST) {
		add_tag(c, v);
		return;
	}
	for (i = 0; i < v->list.count && c->rc == 0; i++)
		add_tag(c, &v->list.items[i]);
}

static void
apply_internal(struct schema *c)
{
	config_error(c->errors, c->entry->at, "%s is set by the server itself", c->which->name);
}

typedef void apply_function(struct schema *c);

static const struct { const char *name; apply_function *apply; } special[] = {
	{ "listen", apply_listen }, { "host", apply_host }, { "port", apply_port },
	{ "http", apply_http }, { "http_port", apply_http },
	{ "sandbox", apply_word }, { "write_timeout", apply_word }, { "log_format", apply_word },
	{ "max_payload", apply_max_payload }, { "max_connections", apply_count },
	{ "max_subscriptions", apply_count }, { "max_traced_msg_len", apply_count },
	{ "logfile_size_limit", apply_count }, { "logfile_max_num", apply_count },
	{ "ping_max", apply_ping_max },
	{ "lame_duck_duration", apply_lame_duck }, { "lame_duck_grace_period", apply_lame_duck },
	{ "unix_socket_mode", apply_mode }, { "unix_socket_group", apply_identity },
	{ "control_socket_group", apply_identity },
	{ "user", apply_identity }, { "group", apply_identity },
	{ "trace_verbose", apply_trace_more }, { "trace_headers", apply_trace_more },
	{ "server_tags", apply_tags },
};

static apply_function *
apply_for(const struct setting *which)
{
	static apply_function *const by_kind[] = {
		[SETTING_integer] = apply_integer, [SETTING_duration] = apply_duration,
		[SETTING_boolean] = apply_boolean, [SETTING_text] = apply_text,
		[SETTING_list] = apply_list,
	};
	size_t	i;

	if ((which->how & OWN) != 0)
		return apply_internal;
	for (i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (strcmp(special[i].name, which->name) == 0)
			return special[i].apply;
	return by_kind[which->kind];
}

bool
schema_value_is_off(const struct config_value *v)
{
	const struct config_entry	*enabled;

	if (v->kind == CONFIG_TEXT)
		return v->text.len == 0 || bytes_equal(v->text, BYTES("disabled")) ||
		    bytes_equal(v->text, BYTES("disable"));
	if (v->kind == CONFIG_MAP) {
		enabled = config_map_find(v, BYTES("enabled"), true);
		return enabled != NULL && schema_value_is_off(&enabled->value);
	}
	return (v->kind == CONFIG_BOOLEAN && !v->boolean) ||
	    (v->kind == CONFIG_INTEGER && v->integer == 0);
}

/* True: e is a key of the real server that has no meaning here, and was dealt with. */
static bool
later_key(struct config_errors *errors, const struct config_entry *e)
{
	const struct later	*later = later_find(e->key);

	if (later == NULL)
		return false;
	if (!later->off || !schema_value_is_off(&e->value))
		config_error(errors, e->at, "%s: this version does not have %s yet", later->name,
		    later->what);
	return true;
}

#define SUGGESTIONS_MAX	1000	/* errors after which nobody reads them, and they take time */

static void
unknown_key(struct config_errors *errors, const struct config_entry *e)
{
	const char	*near = errors->count < SUGGESTIONS_MAX ? setting_suggest(e->key) : NULL;
	char		 quote[CONFIG_QUOTED];

	if (near != NULL)
		config_error(errors, e->at, "unknown field %s, did you mean \"%s\"?",
		    config_quote(quote, e->key), near);
	else
		config_error(errors, e->at, "unknown field %s", config_quote(quote, e->key));
}

int
schema_set_duration(struct settings *s, struct schema_origins *origins, const char *name,
    double seconds, struct config_position at)
{
	const struct setting	*which = setting_named(name);
	int			 rc = setting_set_duration(s, which, seconds);

	if (rc == 0)
		*origin_of(origins, which) = (struct schema_origin){ ORIGIN_FILE, at };
	return rc;
}

/* Was it said before, under its other name or in another case? Then it contradicts itself. */
static bool
block_again(struct schema *c, const struct config_value *map, const struct settings_block *block)
{
	const struct config_entry	*e;

	for (e = map->map.entries; e != c->entry; e++)
		if (!e->replaced && settings_block_find(e->key) == block) {
			config_error(c->errors, c->entry->at, "%s was said already in line %u", block->name, e->at.line);
			return true;
		}
	return false;
}

/* The block that the entry begins, into the tenants or tls. */
static int
apply_block(struct schema *c, struct tenants *t, struct tls_block *tls, const struct settings_block *block)
{
	const struct config_entry	*e = c->entry;
	struct fields			 f = { .t = t };

	if (strcmp(block->name, "authorization") == 0)
		return authorization_read(t, c->s, c->origins, e);
	if (strcmp(block->name, "accounts") == 0)
		return accounts_block_read(t, e);
	if (strcmp(block->name, "mappings") == 0)
		return mappings_read(t, 0, &e->value);
	if (strcmp(block->name, "tls") == 0)
		return tls_block_read(tls, t, e);
	if (strcmp(block->name, "no_system_account") == 0) {
		field_boolean(&f, e, &t->no_system);
		return 0;
	}
	t->no_auth_user_at = e->at;
	field_text(&f, e, &t->no_auth_user, 1024);
	return 0;
}

int
schema_apply(struct settings *s, struct schema_origins *origins, struct tenants *tenants,
    struct tls_block *tls, const struct config_value *map, struct config_errors *errors)
{
	struct schema		 c = { .s = s, .origins = origins, .errors = errors };
	const struct settings_block	*block;
	size_t			 i;

	for (i = 0; i < map->map.count && c.rc == 0; i++) {
		c.entry = &map->map.entries[i];
		if (c.entry->replaced)
			continue;
		c.which = setting_find(c.entry->key);
		block = settings_block_find(c.entry->key);
		if (c.which != NULL)
			apply_for(c.which)(&c);
		else if (block != NULL && !block_again(&c, map, block))
			c.rc = apply_block(&c, tenants, tls, block);
		else if (block == NULL && !later_key(errors, c.entry) && !c.entry->used)
			unknown_key(errors, c.entry);
	}
	return c.rc;
}

static const struct config_position	command_line = { .file = CONFIG_COMMAND_LINE };

static void
list_clear(struct text_list *list)
{
	while (list->count > 0)
		free(list->items[--list->count]);
	free(list->items);
	*list = (struct text_list){ NULL, 0 };
}

/* What the command line gave wins, and is not the file's any more. */
static void
origins_override(struct settings *s, struct schema_origins *origins, const struct settings *flags)
{
	const struct setting	*table;
	size_t			 i, count;

	table = settings_table(&count);
	for (i = 0; i < count; i++)
		if (setting_given(flags, &table[i]))
			origins->of[i] = (struct schema_origin){ .kind = ORIGIN_FLAG };
	if ((flags->has_host || flags->has_port) && !flags->has_listen) {
		list_clear(&s->listen);
		s->has_listen = false;
		*origin_of(origins, setting_named("listen")) = (struct schema_origin){ .kind = ORIGIN_DEFAULT };
	}
}

int
schema_override(struct settings *s, struct schema_origins *origins, int document,
    struct config_errors *errors)
{
	struct settings	 flags;
	const char	*why = NULL;
	int		 rc;

	rc = settings_init(&flags);
	if (rc != 0)
		return rc;
	rc = settings_read(&flags, document, &why);
	if (rc == 0) {
		origins_override(s, origins, &flags);
		rc = settings_read(s, document, &why);
	}
	settings_free(&flags);
	if (rc == 0 || rc == -ENOMEM)
		return rc;
	config_error(errors, command_line, "%s (%s)",
	    why == NULL ? "unreadable" : why, strerror(-rc));
	return 0;
}

bool
schema_is_said(const struct schema_origins *origins, const char *name)
{
	return origins->of[origin_number(setting_named(name))].kind != ORIGIN_DEFAULT;
}

struct config_position
schema_said_at(const struct schema_origins *origins, const char *name)
{
	const struct schema_origin	*origin = &origins->of[origin_number(setting_named(name))];

	return origin->kind == ORIGIN_FLAG ? command_line : origin->at;
}

/* Where the last of two settings was said; a default was said nowhere. */
static struct config_position
last_said_at(const struct schema_origins *origins, const char *name, const char *other)
{
	struct config_position	a = schema_said_at(origins, name), b = schema_said_at(origins, other);

	if (a.file != b.file)
		return a.file < b.file ? b : a;
	if (a.line != b.line)
		return a.line < b.line ? b : a;
	return a.column < b.column ? b : a;
}

void
schema_check(const struct settings *s, const struct schema_origins *origins,
    struct config_errors *errors)
{
	if (s->max_payload > s->max_pending && s->max_payload != INT32_MAX)
		config_error(errors, last_said_at(origins, "max_payload", "max_pending"),
		    "max_payload (%" PRIu64 ") cannot be higher than max_pending (%" PRIu64 ")",
		    s->max_payload, s->max_pending);
	if (s->lame_duck_grace_period >= s->lame_duck_duration)
		config_error(errors,
		    last_said_at(origins, "lame_duck_grace_period", "lame_duck_duration"),
		    "lame_duck_grace_period (%gs) must be shorter than lame_duck_duration (%gs)",
		    s->lame_duck_grace_period, s->lame_duck_duration);
	if (strpbrk(s->server_name, " \t\r\n") != NULL)
		config_error(errors, schema_said_at(origins, "server_name"), "server_name cannot contain spaces");
	if ((s->ring_size & (s->ring_size - 1)) != 0 || (s->ring_size != 0 && s->ring_size < 65536))
		config_error(errors, schema_said_at(origins, "ring_size"),
		    "ring_size (%" PRIu64 ") must be a power of two from 64KB", s->ring_size);
}

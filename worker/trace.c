#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "common/log.h"
#include "nats/subject.h"
#include "worker/identity.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define TRACE_TEXT	16384	/* most of a payload or line that one log line shows */

static const char *const op_names[] = {
	[NATS_CONNECT] = "CONNECT", [NATS_PUB] = "PUB", [NATS_HPUB] = "HPUB", [NATS_SUB] = "SUB",
	[NATS_UNSUB] = "UNSUB", [NATS_PING] = "PING", [NATS_PONG] = "PONG", [NATS_OK] = "+OK",
	[NATS_INFO] = "INFO",
};

/* Who it is, behind the n bytes that are in text. */
static void
prefix_identity(const struct client *c, char text[CLIENT_PREFIX], size_t n)
{
	char	 label[CLIENT_PREFIX / 3], who[CLIENT_PREFIX / 3], quoted[CLIENT_PREFIX / 2];

	if (c->identity == NULL || c->identity->kind == IDENTITY_NOBODY)
		return;
	snprintf(who, sizeof(who), "%s/%s", account_name(c->worker, c->account),
	    identity_label(c->identity, label, sizeof(label)));
	subject_quote(quoted, sizeof(quoted), bytes_of(who));
	snprintf(text + n, CLIENT_PREFIX - n, "%s - ", quoted);
}

const char *
client_prefix(const struct client *c, char text[CLIENT_PREFIX])
{
	const struct connection_record	*r = client_record(c);
	bool				 six = strchr(r->host, ':') != NULL;
	int				 n;

	n = snprintf(text, CLIENT_PREFIX, "%s%s%s:%u - cid:%llu - ", six ? "[" : "", r->host,
	    six ? "]" : "", r->port, (unsigned long long)c->cid);
	if (r->version[0] != '\0' || r->lang[0] != '\0' || r->name[0] != '\0')
		n += snprintf(text + n, CLIENT_PREFIX - (size_t)n, "\"%s%s%s%s%s%s\" - ",
		    r->version[0] != '\0' ? "v" : "", r->version,
		    r->version[0] != '\0' && r->lang[0] != '\0' ? ":" : "", r->lang,
		    r->name[0] != '\0' && (r->version[0] != '\0' || r->lang[0] != '\0') ? ":" : "",
		    r->name);
	prefix_identity(c, text, (size_t)n);
	return text;
}

/* -- what a CONNECT says but for its secrets */

#define KEY_TEXT	48	/* longer keys are none of ours */

static int
hex_value(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

/* A key's text without its escapes, so that "p\u0061ss" is seen for what it is. */
static void
key_decode(char *text, size_t size, struct bytes key)
{
	size_t	n = 0, i, digits;
	int	value;

	for (i = 0; i < key.len && n < size - 1; i++) {
		if (key.data[i] != '\\' || i + 1 == key.len) {
			text[n++] = key.data[i];
			continue;
		}
		if (key.data[++i] != 'u') {
			text[n++] = key.data[i];
			continue;
		}
		for (value = 0, digits = 0; digits < 4 && i + 1 < key.len && hex_value(key.data[i + 1]) >= 0; digits++)
			value = value << 4 | hex_value(key.data[++i]);
		text[n++] = value < 0x80 ? (char)value : '?';
	}
	text[n] = '\0';
}

/*
 * Whatever CONNECT is not known to say in public. The 2.x server hides passwords and tokens only; but clients
 * have put all their options there, private keys too (CVE-2020-26149).
 */
static bool
is_secret(struct bytes key)
{
	static const char *const	 shown[] = {
		"verbose", "pedantic", "tls_required", "name", "lang", "version", "protocol", "echo",
		"headers", "no_responders", "user", "account", "new_account",
	};
	char				 text[KEY_TEXT];
	size_t				 i;

	key_decode(text, sizeof(text), key);
	for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (strcasecmp(text, shown[i]) == 0)
			return false;
	return true;
}

/* Behind the string that begins at at[0] == '"'. */
static const char *
string_end(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\' && at + 1 < end)
			at++;
	return at < end ? at + 1 : end;
}

/* Behind a string, an object or array with all that is in it, or a word. */
static const char *
value_end(const char *at, const char *end)
{
	size_t	depth = 0;

	if (at < end && *at == '"')
		return string_end(at, end);
	while (at < end && (depth > 0 || (*at != ',' && *at != '}' && *at != ']'))) {
		if (*at == '"') {
			at = string_end(at, end);
			continue;
		}
		depth += *at == '{' || *at == '[';
		depth -= *at == '}' || *at == ']';
		at++;
	}
	return at;
}

static const char *
skip_blanks(const char *at, const char *end)
{
	while (at < end && isspace((unsigned char)*at))
		at++;
	return at;
}

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '\\';
}

/* Behind what may be a key; anything else is one byte. */
static const char *
token_end(const char *at, const char *end, struct bytes *key)
{
	const char	*next = at + 1;

	*key = (struct bytes){ NULL, 0 };
	if (*at == '"') {
		next = string_end(at, end);
		*key = (struct bytes){ at + 1, (size_t)(next - at) - (next[-1] == '"' && next - at > 1 ? 2 : 1) };
	} else if (is_word(*at)) {
		while (next < end && is_word(*next))
			next++;
		*key = (struct bytes){ at, (size_t)(next - at) };
	}
	return next;
}

static bool
put(char *out, size_t size, size_t *n, struct bytes part)
{
	if (part.len > size - *n)
		return false;
	memcpy(out + *n, part.data, part.len);
	*n += part.len;
	return true;
}

struct bytes
trace_redact(char *out, size_t size, struct bytes json)
{
	const char	*at = json.data, *end = at + json.len, *next, *value;
	struct bytes	 key;
	size_t		 n = 0;

	for (; at < end; at = next) {
		next = token_end(at, end, &key);
		value = skip_blanks(next, end);
		if (key.data == NULL || value == end || *value != ':' || !is_secret(key)) {
			if (!put(out, size, &n, (struct bytes){ at, (size_t)(next - at) }))
				break;
			continue;
		}
		value = skip_blanks(value + 1, end);
		next = value_end(value, end);
		if (!put(out, size, &n, (struct bytes){ at, (size_t)(value - at) }) ||
		    !put(out, size, &n, value < end && *value == '"' ? BYTES("\"[REDACTED]\"") : BYTES("[REDACTED]")))
			break;
	}
	return (struct bytes){ out, n };
}

/* -- lines */

/* Those of the system account only with trace_verbose. */
static bool
is_traced(const struct client *c)
{
	return c->account != ACCOUNT_SYSTEM || c->worker->settings->trace_verbose;
}

void
trace_line(const struct client *c, const struct nats_line *l, struct bytes text)
{
	char		 prefix[CLIENT_PREFIX], json[TRACE_TEXT];
	const char	*name = op_names[l->op];
	size_t		 op = strlen(name);

	if (!is_traced(c))
		return;
	while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
		text.len--;
	if (l->op == NATS_PING || l->op == NATS_PONG || text.len <= op)
		text.len = 0;
	else {
		text.data += op;
		text.len -= op;
		while (text.len > 0 && isspace((unsigned char)*text.data)) {
			text.data++;
			text.len--;
		}
	}
	if (l->op == NATS_CONNECT)
		text = trace_redact(json, sizeof(json), text);
	log_line(LOG_TRACE, "%s<<- [%s%s%.*s]", client_prefix(c, prefix), name, text.len > 0 ? " " : "",
	    (int)(text.len < TRACE_TEXT ? text.len : TRACE_TEXT), text.data);
}

/* With trace_headers the headers without the empty line at their end, else all. */
static struct bytes
payload_wanted(const struct settings *s, uint32_t header, struct bytes body)
{
	if (!s->trace_headers)
		return body;
	return (struct bytes){ body.data, header >= 4 && header <= body.len ? header - 4 : 0 };
}

void
trace_payload(const struct client *c, const char *direction, uint32_t header, struct bytes body)
{
	const struct settings	*s = c->worker->settings;
	static char		 text[LOG_TEXT_MAX - 512];
	char			 prefix[CLIENT_PREFIX];
	size_t			 most = TRACE_TEXT;
	bool			 cut;

	if (!is_traced(c))
		return;
	body = payload_wanted(s, header, body);
	if (body.len == 0)
		return;
	if (s->max_traced_msg_len != 0 && s->max_traced_msg_len < most)
		most = s->max_traced_msg_len;
	cut = body.len > most;
	if (cut)
		body.len = most;
	subject_quote(text, sizeof(text), body);
	if (cut)
		text[strlen(text) - 1] = '\0';	/* the quote comes behind the dots */
	log_line(LOG_TRACE, "%s%s MSG_PAYLOAD: [%s%s]", client_prefix(c, prefix), direction, text,
	    cut ? "...\"" : "");
}

void
trace_delivery(const struct client *c, struct bytes subject, struct bytes sid,
    struct bytes reply, uint32_t header, struct bytes body)
{
	char	 prefix[CLIENT_PREFIX], head[16] = "";

	if (!is_traced(c))
		return;
	if (header != 0)
		snprintf(head, sizeof(head), "%u ", header);
	log_line(LOG_TRACE, "%s->> [%sMSG %.*s %.*s %.*s%s%s%zu]", client_prefix(c, prefix),
	    header != 0 ? "H" : "", (int)subject.len, subject.data, (int)sid.len, sid.data,
	    (int)reply.len, reply.len != 0 ? reply.data : "", reply.len != 0 ? " " : "", head, body.len);
	trace_payload(c, "->>", header, body);
}

void
trace_said(const struct client *c, struct bytes line)
{
	static const char	error[] = "-ERR '";
	const size_t		error_len = sizeof(error) - 1;
	char			prefix[CLIENT_PREFIX];

	if (!is_traced(c) || (line.len > 5 && memcmp(line.data, "INFO ", 5) == 0))
		return;
	while (line.len > 0 && isspace((unsigned char)line.data[line.len - 1]))
		line.len--;
	if (line.len > 0 && *line.data == '+') {
		line.data++;
		line.len--;
	}
	if (line.len > error_len && memcmp(line.data, error, error_len) == 0)
		log_line(LOG_TRACE, "%s->> [-ERR %.*s]", client_prefix(c, prefix),
		    (int)(line.len - error_len - 1), line.data + error_len);
	else
		log_line(LOG_TRACE, "%s->> [%.*s]", client_prefix(c, prefix), (int)line.len, line.data);
}

void
trace_removed(const struct client *c, struct bytes sid)
{
	char	prefix[CLIENT_PREFIX];

	if (is_traced(c))
		log_line(LOG_TRACE, "%s<-> [DELSUB %.*s]", client_prefix(c, prefix), (int)sid.len, sid.data);
}

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "common/log.h"
#include "nats/subject.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define TRACE_TEXT	16384	/* most of a payload or line that one log line shows */

static const char *const op_names[] = {
	[NATS_CONNECT] = "CONNECT", [NATS_PUB] = "PUB", [NATS_HPUB] = "HPUB", [NATS_SUB] = "SUB",
	[NATS_UNSUB] = "UNSUB", [NATS_PING] = "PING", [NATS_PONG] = "PONG", [NATS_OK] = "+OK",
	[NATS_INFO] = "INFO",
};

const char *
client_prefix(const struct client *c, char text[CLIENT_PREFIX])
{
	const struct connection_record	*r = client_record(c);
	bool				 six = strchr(r->host, ':') != NULL;
	int				 n;

	n = snprintf(text, CLIENT_PREFIX, "%s%s%s:%u - cid:%llu - ", six ? "[" : "", r->host,
	    six ? "]" : "", r->port, (unsigned long long)c->cid);
	if (r->version[0] != '\0' || r->lang[0] != '\0' || r->name[0] != '\0')
		snprintf(text + n, CLIENT_PREFIX - (size_t)n, "\"%s%s%s%s%s%s\" - ",
		    r->version[0] != '\0' ? "v" : "", r->version,
		    r->version[0] != '\0' && r->lang[0] != '\0' ? ":" : "", r->lang,
		    r->name[0] != '\0' && (r->version[0] != '\0' || r->lang[0] != '\0') ? ":" : "",
		    r->name);
	return text;
}

static bool
is_secret(struct bytes key)
{
	static const char *const	 secrets[] = { "auth_token", "sig", "jwt", "nkey_seed", "proxy_sig" };

	if (key.len >= 4 && strncasecmp(key.data, "pass", 4) == 0)
		return true;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (key.len == strlen(secrets[i]) && strncasecmp(key.data, secrets[i], key.len) == 0)
			return true;
	return false;
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

static const char *
value_end(const char *at, const char *end)
{
	if (at < end && *at == '"')
		return string_end(at, end);
	while (at < end && *at != ',' && *at != '}')
		at++;
	return at;
}

static const char *
skip_blanks(const char *at, const char *end)
{
	while (at < end && isspace((unsigned char)*at))
		at++;
	return at;
}

/* The JSON of a CONNECT with the values of its secrets replaced; cut to size. */
static struct bytes
redact(char *out, size_t size, struct bytes json)
{
	const char	*at = json.data, *end = at + json.len, *next;
	struct bytes	 part, key = { NULL, 0 };
	size_t		 n = 0;

	while (at < end) {
		if (key.data != NULL && is_secret(key)) {
			next = value_end(at, end);
			part = BYTES("\"[REDACTED]\"");
		} else {
			next = *at == '"' ? string_end(at, end) : at + 1;
			part = (struct bytes){ at, (size_t)(next - at) };
		}
		if (part.len > size - n)
			break;
		memcpy(out + n, part.data, part.len);
		n += part.len;
		key.data = NULL;
		if (*at == '"' && (next = skip_blanks(next, end)) < end && *next == ':') {
			key = (struct bytes){ at + 1, part.len >= 2 ? part.len - 2 : 0 };
			if (n < size)
				out[n++] = ':';
			next = skip_blanks(next + 1, end);
		}
		at = next;
	}
	return (struct bytes){ out, n };
}

void
trace_line(const struct client *c, const struct nats_line *l, struct bytes text)
{
	char		 prefix[CLIENT_PREFIX], json[TRACE_TEXT];
	const char	*name = op_names[l->op];
	size_t		 op = strlen(name);

	while (text.len > 0 && isspace((unsigned char)text.data[text.len - 1]))
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
		text = redact(json, sizeof(json), text);
	log_line(LOG_TRACE, "%s<<- [%s%s%.*s]", client_prefix(c, prefix), name, text.len > 0 ? " " : "",
	    (int)(text.len < TRACE_TEXT ? text.len : TRACE_TEXT), text.data);
}

void
trace_payload(const struct client *c, const char *direction, struct bytes body)
{
	static char	 text[2 * TRACE_TEXT];
	char		 prefix[CLIENT_PREFIX];

	if (body.len == 0)
		return;
	log_line(LOG_TRACE, "%s%s MSG_PAYLOAD: [%s]", client_prefix(c, prefix), direction,
	    subject_quote(text, sizeof(text), body));
}

void
trace_delivery(const struct client *c, struct bytes subject, struct bytes sid,
    struct bytes reply, uint32_t header, struct bytes body)
{
	char	 prefix[CLIENT_PREFIX], head[16] = "";

	if (header != 0)
		snprintf(head, sizeof(head), "%u ", header);
	log_line(LOG_TRACE, "%s->> [%sMSG %.*s %.*s %.*s%s%s%zu]", client_prefix(c, prefix),
	    header != 0 ? "H" : "", (int)subject.len, subject.data, (int)sid.len, sid.data,
	    (int)reply.len, reply.len != 0 ? reply.data : "", reply.len != 0 ? " " : "", head, body.len);
	trace_payload(c, "->>", body);
}

void
trace_said(const struct client *c, struct bytes line)
{
	char	 prefix[CLIENT_PREFIX];

	while (line.len > 0 && isspace((unsigned char)line.data[line.len - 1]))
		line.len--;
	if (line.len > 0 && *line.data == '+') {
		line.data++;
		line.len--;
	}
	log_line(LOG_TRACE, "%s->> [%.*s]", client_prefix(c, prefix), (int)line.len, line.data);
}

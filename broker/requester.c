/*
 * What a service is told of who asks: a header that only servers write. What a
 * client writes under its name is taken out, however it is spelled
 * (CVE-2026-33223: a service must be able to believe it).
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include "broker/private.h"
#include "nats/utf8.h"

#define REQUEST_INFO	"Nats-Request-Info"
#define VERSION_LINE	"NATS/1.0"

/* ---- as JSON */

/* Text that may be cut in the middle of a character. */
static void
put_text(json_t *o, const char *key, struct bytes text)
{
	char	*repaired;

	if (text.len == 0 || (repaired = malloc(text.len * UTF8_GROWTH)) == NULL)
		return;
	json_object_set_new(o, key, json_stringn(repaired, utf8_repair(repaired, text)));
	free(repaired);
}

void
time_text(char text[TIME_TEXT], uint64_t nanoseconds)
{
	time_t		 seconds = (time_t)(nanoseconds / 1000000000);
	unsigned	 fraction = (unsigned)(nanoseconds % 1000000000);
	struct tm	 tm;
	size_t		 len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	if (fraction != 0) {
		len += (size_t)snprintf(text + len, TIME_TEXT - len, ".%09u", fraction);
		while (text[len - 1] == '0')
			len--;
	}
	snprintf(text + len, TIME_TEXT - len, "Z");
}

static void
put_client(json_t *o, const struct described *d)
{
	char text[TIME_TEXT];

	time_text(text, d->start * 1000);
	json_object_set_new(o, "start", json_string(text));
	put_text(o, "host", d->host);
	json_object_set_new(o, "id", json_integer((json_int_t)d->cid));
}

static void
put_account(const struct broker *b, json_t *o, const char *key, uint32_t account)
{
	const struct account *a = accounts_find(b->accounts, account);

	if (a != NULL)
		put_text(o, key, bytes_of(a->name));
}

json_t *
described_json(const struct broker *b, const struct described *d, bool detailed, bool server, const char *service)
{
	json_t	*o = json_object();

	if (o == NULL)
		return NULL;
	detailed = detailed && d->cid != 0;
	if (detailed)
		put_client(o, d);
	put_account(b, o, "acc", d->account);
	if (service != NULL)
		put_text(o, "svc", bytes_of(service));
	if (detailed) {
		put_text(o, "user", d->user);
		put_text(o, "name", d->name);
		put_text(o, "lang", d->lang);
		put_text(o, "ver", d->version);
	}
	if (d->rtt != 0)
		json_object_set_new(o, "rtt", json_integer((json_int_t)(d->rtt * 1000)));
	if (server && b->server_name != NULL)
		put_text(o, "server", bytes_of(b->server_name));
	if (server && b->cluster != NULL)
		put_text(o, "cluster", bytes_of(b->cluster));
	if (detailed) {
		json_object_set_new(o, "kind", json_string("Client"));
		json_object_set_new(o, "client_type", json_string("nats"));
	}
	return o;
}

json_t *
requester_json(const struct broker *b, uint32_t connection, uint64_t cid, uint32_t account,
    bool detailed, bool server, const char *service)
{
	struct described	 d;

	if (connection == NO_CONNECTION)
		return NULL;
	if (!described_client(b, connection, cid, &d))
		d = (struct described){ .account = account };
	return described_json(b, &d, detailed, server, service);
}

/* ---- clients */

static struct bytes
text_of_record(const char *text, size_t size)
{
	return (struct bytes){ text, strnlen(text, size) };
}

bool
described_client(const struct broker *b, uint32_t connection, uint64_t cid, struct described *d)
{
	const struct connection_record	*c;

	if (connection >= TABLES_CONNECTIONS || cid == 0)
		return false;
	c = &tables_connections(b->tables)[connection];
	if (atomic_load_explicit(&c->cid, memory_order_relaxed) != cid)
		return false;
	*d = (struct described){ .account = c->account, .cid = cid,
	    .start = atomic_load_explicit(&c->start, memory_order_relaxed),
	    .rtt = atomic_load_explicit(&c->rtt, memory_order_relaxed),
	    .host = text_of_record(c->host, sizeof(c->host)), .user = text_of_record(c->user, sizeof(c->user)),
	    .name = text_of_record(c->name, sizeof(c->name)), .lang = text_of_record(c->lang, sizeof(c->lang)),
	    .version = text_of_record(c->version, sizeof(c->version)) };
	return true;
}

static struct bytes
text_keep(char **room, struct bytes text)
{
	struct bytes kept = { *room, text.len };

	if (text.len != 0)
		memcpy(*room, text.data, text.len);
	*room += text.len;
	return kept;
}

size_t
described_bytes(const struct described *d)
{
	return sizeof(*d) + d->host.len + d->user.len + d->name.len + d->lang.len + d->version.len;
}

struct described *
described_copy(const struct described *d)
{
	struct described	*copy = malloc(described_bytes(d));
	char			*room = (char *)(copy + 1);

	if (copy == NULL)
		return NULL;
	*copy = *d;
	copy->host = text_keep(&room, d->host);
	copy->user = text_keep(&room, d->user);
	copy->name = text_keep(&room, d->name);
	copy->lang = text_keep(&room, d->lang);
	copy->version = text_keep(&room, d->version);
	return copy;
}

/* ---- as a header */

/* The next line with its end, of whatever kind. False: that was all. */
static bool
line_next(struct bytes *rest, struct bytes *line)
{
	const char *end;

	if (rest->len == 0)
		return false;
	end = memchr(rest->data, '\n', rest->len);
	line->data = rest->data;
	line->len = end == NULL ? rest->len : (size_t)(end + 1 - rest->data);
	rest->data += line->len;
	rest->len -= line->len;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\0';
}

/* Could a reader take this line for one with our name? */
static bool
line_is_ours(struct bytes line)
{
	const char	*colon = memchr(line.data, ':', line.len), *end;

	if (colon == NULL)
		return false;
	for (end = colon; end > line.data && is_blank(end[-1]); end--)
		;
	while (line.data < end && is_blank(line.data[0]))
		line.data++;
	return (size_t)(end - line.data) == sizeof(REQUEST_INFO) - 1 &&
	    strncasecmp(line.data, REQUEST_INFO, sizeof(REQUEST_INFO) - 1) == 0;
}

/* Nothing but its end. */
static bool
line_is_empty(struct bytes line)
{
	while (line.len != 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
		line.len--;
	return line.len == 0;
}

static char *
put(char *to, struct bytes b)
{
	if (b.len != 0)
		memcpy(to, b.data, b.len);
	return to + b.len;
}

/* What the client wrote, but for lines with our name and what continues them. */
static char *
put_others(char *to, struct bytes header)
{
	struct bytes	 line;
	bool		 first = true, dropped = false;

	while (line_next(&header, &line) && !line_is_empty(line)) {
		dropped = line_is_ours(line) || (dropped && is_blank(line.data[0]));
		if (first && (line.len < sizeof(VERSION_LINE) - 1 ||
		    memcmp(line.data, VERSION_LINE, sizeof(VERSION_LINE) - 1) != 0))
			to = put(to, BYTES(VERSION_LINE "\r\n"));
		first = false;
		if (dropped)
			continue;
		to = put(to, line);
		if (line.data[line.len - 1] != '\n')
			to = put(to, BYTES("\r\n"));
	}
	return first ? put(to, BYTES(VERSION_LINE "\r\n")) : to;
}

struct block *
requester_body(const struct message *m, struct bytes info, uint32_t *header)
{
	struct bytes	 headers = { m->body.data, m->header };
	struct bytes	 payload = { m->body.data + m->header, m->body.len - m->header };
	struct block	*body;
	char		*at;

	if (info.len > WIRE_ADDED / 2)
		info.len = 0;
	body = block_new(m->body.len + info.len + sizeof(VERSION_LINE REQUEST_INFO) + 16);
	if (body == NULL)
		return NULL;
	if (m->header == 0 && info.len == 0) {
		*header = 0;
		at = body->data;
	} else {
		at = put_others(body->data, headers);
		if (info.len != 0) {
			at = put(put(at, BYTES(REQUEST_INFO ": ")), info);
			at = put(at, BYTES("\r\n"));
		}
		at = put(at, BYTES("\r\n"));
		*header = (uint32_t)(at - body->data);
	}
	at = put(at, payload);
	body->size = (uint32_t)(at - body->data);
	return body;
}

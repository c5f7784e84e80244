/*
 * How long services take: for each request that is sampled, a message to the
 * exporter's account when it is answered, or never will be. Which are sampled
 * a percentage says, or the requests' own headers for tracing: Zipkin's B3,
 * Jaeger's Uber-Trace-Id, the W3C's Traceparent.
 */
#include <jansson.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include "broker/private.h"

#define LATENCY_TYPE	"io.nats.server.metric.v1.service_latency"
#define ID_LENGTH	22
#define VALUE_MOST	256	/* bytes of a header's value that are told */

struct sample {
	uint32_t	 account;		/* the exporter's, where it goes */
	uint32_t	 connection;		/* who asked, */
	uint64_t	 cid;
	struct described *who;			/* what it was then; NULL: not a client of ours */
	bool		 share;			/* and whether more than its account is told of it */
	uint64_t	 started;		/* nanoseconds since 1970, of the request's arrival */
	json_t		*headers;		/* those that asked for it; NULL: none did */
	char		 subject[];
};

static uint64_t
nanoseconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- headers */

/* The first value of that name; data NULL: there is none. */
static struct bytes
header_value(const struct message *m, const char *name)
{
	struct bytes	 rest = { m->body.data, m->header }, value = { NULL, 0 };
	size_t		 len = strlen(name);
	const char	*end;

	while ((end = memchr(rest.data, '\n', rest.len)) != NULL) {
		if ((size_t)(end - rest.data) > len && rest.data[len] == ':' &&
		    strncasecmp(rest.data, name, len) == 0) {
			value = (struct bytes){ rest.data + len + 1, (size_t)(end - rest.data) - len - 1 };
			break;
		}
		rest.len -= (size_t)(end + 1 - rest.data);
		rest.data = end + 1;
	}
	while (value.len != 0 && (value.data[0] == ' ' || value.data[0] == '\t')) {
		value.data++;
		value.len--;
	}
	while (value.len != 0 && strchr(" \t\r", value.data[value.len - 1]) != NULL)
		value.len--;
	return value;
}

/* Field number n of a value, from 0; how many there are in *count. */
static struct bytes
value_field(struct bytes value, char separator, unsigned n, unsigned *count)
{
	struct bytes	 field = { NULL, 0 };
	const char	*start = value.data, *end = value.data + value.len, *p;

	*count = 0;
	for (p = start; p <= end; p++)
		if (p == end || *p == separator) {
			if ((*count)++ == n)
				field = (struct bytes){ start, (size_t)(p - start) };
			start = p + 1;
		}
	return field;
}

static void
headers_add(json_t *headers, const struct message *m, const char *name)
{
	struct bytes	 value = header_value(m, name);
	json_t		*text;

	if (value.data == NULL || value.len > VALUE_MOST || (text = json_stringn(value.data, value.len)) == NULL)
		return;
	json_object_set_new(headers, name, json_pack("[o]", text));
}

/* Is the last bit of so many hexadecimal digits set? */
static bool
flag_set(struct bytes digits)
{
	char	 text[3] = "", *end;
	unsigned long flags;

	if (digits.len == 0 || digits.len > 2)
		return false;
	memcpy(text, digits.data, digits.len);
	flags = strtoul(text, &end, 16);
	return *end == '\0' && end != text && text[0] != '-' && text[0] != '+' && (flags & 1) != 0;
}

static bool
b3_single(struct bytes value)
{
	unsigned	 count;
	struct bytes	 third = value_field(value, '-', 2, &count);

	if (count > 2)
		return !bytes_equal(third, BYTES("0"));
	return count != 1 || !bytes_equal(value, BYTES("0"));
}

/* Do the headers ask for it? Then those that do are in headers. */
static bool
headers_sample(const struct message *m, json_t *headers)
{
	static const char *const b3[] = { "X-B3-Sampled", "X-B3-Traceid", "X-B3-Parentspanid", "X-B3-Spanid" };
	struct bytes	 value, field;
	unsigned	 count;
	size_t		 i;

	if ((value = header_value(m, "Uber-Trace-Id")).len != 0) {
		field = value_field(value, ':', 3, &count);
		headers_add(headers, m, "Uber-Trace-Id");
		return count == 4 && flag_set(field);
	}
	value = header_value(m, b3[0]);
	if (bytes_equal(value, BYTES("0")))
		return false;
	if (bytes_equal(value, BYTES("1")) || header_value(m, b3[1]).data != NULL) {
		for (i = 0; i < sizeof(b3) / sizeof(b3[0]); i++)
			headers_add(headers, m, b3[i]);
		return true;
	}
	if ((value = header_value(m, "B3")).len != 0) {
		headers_add(headers, m, "B3");
		return b3_single(value);
	}
	if ((value = header_value(m, "Traceparent")).len == 0)
		return false;
	field = value_field(value, '-', 3, &count);
	headers_add(headers, m, "Traceparent");
	headers_add(headers, m, "Tracestate");
	return count == 4 && field.len == 2 && flag_set(field);
}

/* ---- one sample */

static bool
sample_wanted(struct broker *b, const struct service_import *import, const struct message *m, json_t **headers)
{
	*headers = NULL;
	if (import->sampling >= 1 && import->sampling <= 100 && random_below(b, 100) < import->sampling)
		return true;
	if (m->header == 0 || (*headers = json_object()) == NULL)
		return false;
	if (headers_sample(m, *headers))
		return true;
	json_decref(*headers);
	return false;
}

/* Who asked, which may be gone when that is to be told. NULL: not a client of ours, or no memory. */
static struct described *
sample_requester(struct broker *b, uint32_t account, const struct message *m, uint64_t cid, bool share)
{
	struct described	 d;

	if (m->publisher == NO_CONNECTION)
		return NULL;
	if (!described_client(b, m->publisher, cid, &d))
		d = (struct described){ .account = account };
	if (!share)
		d = (struct described){ .account = d.account, .rtt = d.rtt };
	return described_copy(&d);
}

struct sample *
sample_new(struct broker *b, const struct service_import *import, uint32_t requester,
    const struct message *m, uint64_t cid)
{
	size_t		 len = strlen(import->latency) + 1;
	json_t		*headers;
	struct sample	*s;

	if (!sample_wanted(b, import, m, &headers))
		return NULL;
	if ((s = malloc(sizeof(*s) + len)) == NULL) {
		json_decref(headers);
		return NULL;
	}
	*s = (struct sample){ .account = import->from, .connection = m->publisher, .cid = cid,
	    .who = sample_requester(b, requester, m, cid, import->share),
	    .share = import->share, .started = nanoseconds_now(), .headers = headers };
	memcpy(s->subject, import->latency, len);
	return s;
}

void
sample_free(struct sample *s)
{
	if (s == NULL)
		return;
	json_decref(s->headers);
	free(s->who);
	free(s);
}

size_t
sample_bytes(const struct sample *s)
{
	if (s == NULL)
		return 0;
	return sizeof(*s) + strlen(s->subject) + 1 + (s->who == NULL ? 0 : described_bytes(s->who)) +
	    (s->headers == NULL ? 0 : json_dumpb(s->headers, NULL, 0, JSON_COMPACT));
}

/* ---- telling */

static void
put_nanoseconds(json_t *o, const char *key, uint64_t nanoseconds)
{
	json_object_set_new(o, key, json_integer((json_int_t)nanoseconds));
}

static void
put_time(json_t *o, const char *key, uint64_t nanoseconds)
{
	char text[TIME_TEXT];

	time_text(text, nanoseconds);
	json_object_set_new(o, key, json_string(text));
}

/* Who asked: as it is now, or as it was. False: not a client of ours. */
static bool
sample_who(struct broker *b, const struct sample *s, struct described *d)
{
	if (described_client(b, s->connection, s->cid, d))
		return true;
	if (s->who == NULL)
		return false;
	*d = *s->who;
	return true;
}

/* Its round-trip time in nanoseconds; 0: not known. */
static uint64_t
sample_rtt(struct broker *b, const struct sample *s)
{
	struct described	 d;

	return sample_who(b, s, &d) ? d.rtt * 1000 : 0;
}

/* The part that all have. NULL: no memory. */
static json_t *
sample_begin(struct broker *b, const struct sample *s, int status, const char *description)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	struct described	 d;
	json_t			*o = json_object(), *who;
	char			 id[ID_LENGTH + 1] = "";
	size_t			 i;

	if (o == NULL)
		return NULL;
	for (i = 0; i < ID_LENGTH; i++)
		id[i] = digits[random_below(b, sizeof(digits) - 1)];
	json_object_set_new(o, "type", json_string(LATENCY_TYPE));
	json_object_set_new(o, "id", json_string(id));
	put_time(o, "timestamp", nanoseconds_now());
	json_object_set_new(o, "status", json_integer(status));
	if (description != NULL)
		json_object_set_new(o, "description", json_string(description));
	if (sample_who(b, s, &d) && (who = described_json(b, &d, s->share, s->share, NULL)) != NULL)
		json_object_set_new(o, "requestor", who);
	return o;
}

/* How long it took, and off. Consumes o and s. */
static void
sample_end(struct broker *b, struct sample *s, json_t *o, uint64_t service, uint64_t total)
{
	uint64_t	 rtt = sample_rtt(b, s);
	char		*text;
	struct message	 m = { .account = s->account, .subject = bytes_of(s->subject),
	    .publisher = NO_CONNECTION, .echo = true };

	if (s->headers != NULL)
		json_object_set(o, "header", s->headers);
	put_time(o, "start", s->started - rtt);
	put_nanoseconds(o, "service", service);
	put_nanoseconds(o, "system", 0);
	put_nanoseconds(o, "total", total);
	if ((text = json_dumps(o, JSON_COMPACT)) != NULL) {
		m.body = bytes_of(text);
		(void)answers_tell(b, &m);
		free(text);
	}
	json_decref(o);
	sample_free(s);
}

/* Who answered. Its round-trip time in nanoseconds; 0: not known. */
static uint64_t
put_responder(struct broker *b, json_t *o, const struct described *d)
{
	json_t	*who = described_json(b, d, true, true, NULL);

	if (who != NULL)
		json_object_set_new(o, "responder", who);
	return d->rtt > UINT64_MAX / 1000 ? 0 : d->rtt * 1000;
}

/* The same for whoever sent m. */
static uint64_t
sample_responder(struct broker *b, const struct sample *s, json_t *o, const struct message *m,
    const char token[ANSWER_TOKEN])
{
	struct described	 here = { .account = s->account }, *elsewhere;
	uint64_t		 rtt = 0;

	if (m->publisher != NO_CONNECTION) {
		(void)described_client(b, m->publisher, publisher_cid(b, m->publisher), &here);
		return put_responder(b, o, &here);
	}
	if ((elsewhere = responders_take(b, token)) != NULL)
		rtt = put_responder(b, o, elsewhere);
	free(elsewhere);
	return rtt;
}

void
sample_answered(struct broker *b, struct sample *s, const struct message *m, const char token[ANSWER_TOKEN])
{
	uint64_t	 took = nanoseconds_now() - s->started, theirs;
	json_t		*o = sample_begin(b, s, 200, NULL);

	if (o == NULL) {
		sample_free(s);
		return;
	}
	theirs = sample_responder(b, s, o, m, token);
	if ((int64_t)took < 0)
		took = 0;		/* the clock was set */
	sample_end(b, s, o, took > theirs ? took - theirs : 0, took + sample_rtt(b, s));
}

void
sample_failed(struct broker *b, struct sample *s, int status, const char *description)
{
	json_t	*o = sample_begin(b, s, status, description);

	if (o == NULL)
		sample_free(s);
	else
		sample_end(b, s, o, 0, 0);
}

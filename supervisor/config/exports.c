/* What accounts offer to others: messages of subjects, and services that answer. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>
#include "broker/patterns.h"
#include "nats/subject.h"
#include "supervisor/config/duration.h"
#include "supervisor/config/fields.h"

#define THRESHOLD_USUAL	120000	/* milliseconds in which an answer has to come */
#define SAMPLING_HEADERS 101
#define SERVICE_ONLY	"found in the export of a stream, expected only in that of a service"

/* An export while it is read. */
struct reading {
	struct tenant_export	 export;
	unsigned		 kinds;		/* how many of stream and service */
	const struct config_entry *service_only;	/* what only a service has */
};

static int
stream_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->kinds++;
	field_subject(f, e, &r->export.subject);
	return 0;
}

static int
service_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->export.service = true;
	return stream_read(f, e);
}

/* Names, which are looked up when all accounts are there. */
static int
listed_read(struct fields *f, const struct config_entry *e)
{
	const struct config_value	*v = &e->value;
	struct reading			*r = f->owner;
	size_t				 i;

	if (v->kind != CONFIG_LIST || v->list.count == 0) {
		field_expected(f, e, "a list of accounts, with one at least");
		return 0;
	}
	for (i = 0; i < v->list.count; i++)
		if (v->list.items[i].kind != CONFIG_TEXT) {
			field_expected(f, e, "a list of accounts; put their names in quotes");
			return 0;
		}
	r->export.listed = v;
	return 0;
}

static int
response_read(struct fields *f, const struct config_entry *e)
{
	static const struct { const char *name; enum response_type type; } names[] = {
		{ "singleton", RESPONSE_SINGLETON }, { "single", RESPONSE_SINGLETON },
		{ "stream", RESPONSE_STREAM }, { "chunked", RESPONSE_CHUNKED }, { "chunk", RESPONSE_CHUNKED },
	};
	struct reading	*r = f->owner;
	struct bytes	 text = e->value.kind == CONFIG_TEXT ? e->value.text : BYTES("");
	size_t		 i;

	r->service_only = e;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].name) == text.len && strncasecmp(names[i].name, text.data, text.len) == 0) {
			r->export.response = names[i].type;
			return 0;
		}
	field_expected(f, e, "singleton, stream or chunked");
	return 0;
}

/* 0 is the usual time. */
static int
threshold_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	double		 seconds;

	r->service_only = e;
	if (e->value.kind != CONFIG_TEXT || duration_parse(e->value.text, &seconds) != 0 || seconds < 0)
		field_expected(f, e, "a duration, as \"10s\" or \"1m30s\"");
	else if (seconds > 0)
		r->export.threshold = (uint64_t)ceil(seconds * 1000);
	return 0;
}

static int
sampling_read(struct fields *f, const struct config_entry *e)
{
	struct tenant_export	*export = f->owner;
	struct bytes		 text = e->value.kind == CONFIG_TEXT ? e->value.text : BYTES("");
	uint64_t		 percent;

	while (text.len > 0 && strchr(" \t\n", text.data[text.len - 1]) != NULL)
		text.len--;
	for (; text.len > 0 && strchr(" \t\n", *text.data) != NULL; text.len--)
		text.data++;
	if (text.len == 7 && strncasecmp(text.data, "headers", 7) == 0)
		export->sampling = SAMPLING_HEADERS;
	else if (field_percent(f, e, 1, &percent))
		export->sampling = (unsigned)percent;
	return 0;
}

/* Where samples go: published there, so it has no wildcards. */
static int
results_read(struct fields *f, const struct config_entry *e)
{
	struct tenant_export	*export = f->owner;

	if (!field_subject(f, e, &export->latency))
		return 0;
	if (!subject_literal(export->latency))
		field_expected(f, e, "a subject without wildcards");
	return 0;
}

static int
latency_read(struct fields *f, const struct config_entry *e)
{
	static const struct field	table[] = { { "sampling", sampling_read }, { "subject", results_read } };
	struct reading			*r = f->owner;
	struct fields			 inner = { f->t, "latency", &r->export };
	int				 rc;

	r->service_only = e;
	r->export.sampling = 100;
	if (e->value.kind == CONFIG_TEXT) {
		inner.where = f->where;
		return results_read(&inner, e);
	}
	rc = fields_read(&inner, &e->value, table, sizeof(table) / sizeof(table[0]));
	if (rc == 0 && e->value.kind == CONFIG_MAP && config_map_find(&e->value, BYTES("subject"), true) == NULL)
		config_error(f->t->errors, e->value.at, "found no subject in latency, expected one");
	return rc;
}

static int
position_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	int64_t		 position;

	if (!field_whole(f, e, &position))
		return 0;
	if (position < 0 || position > 255)
		field_expected(f, e, "the number of a token, from 1; 0: none");
	else
		r->export.token_position = (unsigned)position;
	return 0;
}

static int
trace_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	bool		 allowed;

	r->service_only = e;
	field_boolean(f, e, &allowed);
	return 0;
}

/* Token number `position` of subject is a `*`? */
static bool
token_is_star(struct bytes subject, unsigned position)
{
	const char	*dot;

	for (; position > 1; position--) {
		dot = memchr(subject.data, '.', subject.len);
		if (dot == NULL)
			return false;
		subject.len -= (size_t)(dot + 1 - subject.data);
		subject.data = dot + 1;
	}
	return subject.len > 0 && subject.data[0] == '*' && (subject.len == 1 || subject.data[1] == '.');
}

/* What holds between its parts. False: the error is written down. */
static bool
export_check(struct tenants *t, const struct reading *r)
{
	const struct tenant_export	*x = &r->export;

	if (r->kinds != 1)
		config_error(t->errors, x->at, "found %s in this export, expected a stream or a service",
		    r->kinds == 0 ? "neither" : "both");
	else if (!x->service && r->service_only != NULL)
		config_error(t->errors, r->service_only->at, "%.*s: " SERVICE_ONLY, (int)r->service_only->key.len,
		    r->service_only->key.data);
	else if (x->token_position > 0 && !token_is_star(x->subject, x->token_position))
		config_error(t->errors, x->at, "account_token_position: found no '*' as token %u of the subject, "
		    "expected one", x->token_position);
	else if (x->latency.len > 0 && x->response != RESPONSE_SINGLETON)
		config_error(t->errors, x->at, "found latency with responses that are not singleton, expected one answer");
	else
		return true;
	return false;
}

/* Do they differ in nothing but the accounts that each lists? */
static bool
is_same_offer(const struct tenant_export *a, const struct tenant_export *b)
{
	return a->listed != NULL && b->listed != NULL && a->token_position == b->token_position &&
	    a->response == b->response && a->threshold == b->threshold && a->sampling == b->sampling &&
	    bytes_equal(a->latency, b->latency);
}

/* One that is there already may only be opened to more accounts. 0 or -ENOMEM. */
static int
export_add(struct tenants *t, size_t account, struct tenant_export *x)
{
	struct tenant	*a = &t->accounts[account];
	void		*exports = a->exports;
	uint32_t	 other = 0;
	int		 rc;

	rc = known_add(x->service ? &a->services : &a->streams, x->subject, (uint32_t)a->nexports, &other);
	x->also = rc == -EEXIST;
	if (x->also && !is_same_offer(x, &a->exports[other])) {
		config_error(t->errors, x->at, "found the export of line %u again, expected the same of it and "
		    "lists of accounts in both", a->exports[other].at.line);
		return 0;
	}
	if (rc == -ENOMEM || config_room(&exports, a->nexports, &a->exports_room, sizeof(*x)) != 0)
		return -ENOMEM;
	a->exports = exports;
	a->exports[a->nexports++] = *x;
	return 0;
}

static int
export_read(struct tenants *t, size_t account, const struct config_value *v)
{
	static const struct field	table[] = {
		{ "stream", stream_read }, { "service", service_read }, { "accounts", listed_read },
		{ "response,response_type", response_read },
		{ "threshold,response_threshold,response_max_time,response_time", threshold_read },
		{ "latency", latency_read }, { "account_token_position", position_read },
		{ "allow_trace", trace_read },
	};
	struct reading			r = { .export = { .at = v->at, .subject = BYTES(""),
	    .latency = BYTES(""), .threshold = THRESHOLD_USUAL } };
	struct fields			f = { t, "an export", &r };
	unsigned			errors = t->errors->count;
	int				rc = fields_read(&f, v, table, sizeof(table) / sizeof(table[0]));

	if (rc != 0 || t->errors->count > errors || !export_check(t, &r))
		return rc;
	return export_add(t, account, &r.export);
}

int
exports_read(struct tenants *t, size_t account, const struct config_value *v)
{
	size_t	i;
	int	rc = 0;

	if (v->kind != CONFIG_LIST)
		config_error(t->errors, v->at, "found %s, expected a list [...] of exports", config_kind_name(v->kind));
	else
		for (i = 0; i < v->list.count && rc == 0; i++)
			rc = export_read(t, account, &v->list.items[i]);
	return rc;
}

/* The accounts of x's list by their places, into those of `to`. */
static int
listed_resolve(struct tenants *t, const struct tenant_export *x, struct tenant_export *to)
{
	const struct config_value	*item;
	void				*accounts;
	char				 quote[CONFIG_QUOTED];
	uint32_t			 place;
	size_t				 i;

	for (i = 0; x->listed != NULL && i < x->listed->list.count; i++) {
		item = &x->listed->list.items[i];
		accounts = to->accounts;
		if (config_room(&accounts, to->count, &to->room, sizeof(*to->accounts)) != 0)
			return -ENOMEM;
		to->accounts = accounts;
		if (known_find(&t->account_names, item->text, &place))
			to->accounts[to->count++] = place;
		else
			config_error(t->errors, item->at, "found the account %s, expected one that is defined",
			    config_quote(quote, item->text));
	}
	return 0;
}

/* NULL: no memory. */
static struct patterns *
wide_exports(struct tenants *t, struct tenant *a, bool service)
{
	struct patterns			**p = &a->wide[service];
	const struct tenant_export	 *x;
	size_t				  i;

	if (*p != NULL)
		return *p;
	*p = patterns_new(t->secret);
	for (i = 0; *p != NULL && i < a->nexports; i++) {
		x = &a->exports[i];
		if (x->also || x->service != service || !subject_has_wildcard(x->subject) ||
		    patterns_add(*p, x->subject, (uint32_t)i) == 0)
			continue;
		patterns_free(*p);
		*p = NULL;
	}
	return *p;
}

int
exports_around(struct tenants *t, struct tenant *a, bool service, struct bytes subject,
    bool (*found)(void *arg, uint32_t place), void *arg)
{
	struct patterns	*wide;

	if (a->nexports == 0)
		return 0;
	wide = wide_exports(t, a, service);
	if (wide == NULL)
		return -ENOMEM;
	(void)patterns_ask(wide, PATTERNS_CONTAIN, subject, found, arg);
	return 0;
}

static bool
one_found(void *arg, uint32_t place)
{
	(void)place;
	*(bool *)arg = true;
	return true;
}

/* Samples that go to a service would be requests of their own. 0 or -ENOMEM. */
static int
latency_check(struct tenants *t, struct tenant *a, const struct tenant_export *x)
{
	char		quote[CONFIG_QUOTED];
	uint32_t	place;
	bool		found;
	int		rc = 0;

	if (x->latency.len == 0)
		return 0;
	if (t->no_system)
		config_error(t->errors, x->at, "found latency without a system account, expected one");
	found = known_find(&a->services, x->latency, &place);
	if (!found)
		rc = exports_around(t, a, true, x->latency, one_found, &found);
	if (found)
		config_error(t->errors, x->at, "found the subject %s for latency, expected none that is a service",
		    config_quote(quote, x->latency));
	return rc;
}

int
exports_resolve(struct tenants *t)
{
	struct tenant		*a;
	struct tenant_export	*x;
	uint32_t		 first;
	size_t			 i, j;
	int			 rc = 0;

	for (i = 0; i < t->count && rc == 0; i++) {
		a = &t->accounts[i];
		for (j = 0; j < a->nexports && rc == 0; j++) {
			x = &a->exports[j];
			first = (uint32_t)j;
			if (x->also)
				known_find(x->service ? &a->services : &a->streams, x->subject, &first);
			rc = listed_resolve(t, x, &a->exports[first]);
			if (rc == 0)
				rc = latency_check(t, a, x);
		}
	}
	return rc;
}

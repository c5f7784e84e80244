/* What accounts take from others, and whether these offer it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "nats/subject.h"
#include "nats/transform.h"
#include "supervisor/config/fields.h"
#include "supervisor/config/placeholders.h"

/* An import while it is read. */
struct reading {
	struct tenant_import	 import;
	unsigned		 kinds;		/* how many of stream and service */
	const struct config_entry *stream_only, *service_only;
};

static int
account_read(struct fields *f, const struct config_entry *e)
{
	struct tenant_import	*import = f->owner;

	field_text(f, e, &import->account, 1024);
	return 0;
}

static int
theirs_read(struct fields *f, const struct config_entry *e)
{
	struct tenant_import	*import = f->owner;

	field_subject(f, e, &import->subject);
	return 0;
}

/* {account: A, subject: "a.>"} */
static int
source_read(struct fields *f, const struct config_entry *e)
{
	static const struct field	table[] = { { "account", account_read }, { "subject", theirs_read } };
	struct reading			*r = f->owner;
	struct fields			 inner = { f->t, "an import", &r->import };
	unsigned			 errors = f->t->errors->count;
	int				 rc;

	r->kinds++;
	rc = fields_read(&inner, &e->value, table, sizeof(table) / sizeof(table[0]));
	if (rc == 0 && f->t->errors->count == errors &&
	    (r->import.account.len == 0 || r->import.subject.len == 0))
		config_error(f->t->errors, e->value.at, "found no account or no subject, expected both");
	return rc;
}

static int
service_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->import.service = true;
	return source_read(f, e);
}

static int
to_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	field_text(f, e, &r->import.to, SUBJECT_MOST);
	return 0;
}

static int
prefix_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	struct bytes	 prefix;

	r->stream_only = e;
	if (!field_text(f, e, &r->import.prefix, SUBJECT_MOST) || r->import.prefix.len == 0)
		return 0;
	prefix = r->import.prefix;
	prefix.len -= prefix.data[prefix.len - 1] == '.';	/* it may end with its dot */
	if (!subject_good(f->t, e->value.at, prefix))
		return 0;
	if (!subject_literal(prefix))
		field_expected(f, e, "a subject without wildcards");
	r->import.prefix = prefix;
	return 0;
}

static int
share_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->service_only = e;
	field_boolean(f, e, &r->import.share);
	return 0;
}

static int
trace_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->stream_only = e;
	field_boolean(f, e, &r->import.allow_trace);
	return 0;
}

/* What holds between its parts. False: the error is written down. */
static bool
import_check(struct tenants *t, const struct reading *r)
{
	const struct tenant_import	*m = &r->import;
	const struct config_entry	*other = m->service ? r->stream_only : r->service_only;

	if (r->kinds != 1)
		config_error(t->errors, m->at, "found %s in this import, expected a stream or a service",
		    r->kinds == 0 ? "neither" : "both");
	else if (other != NULL)
		config_error(t->errors, other->at, "%.*s: found in the import of a %s, expected only in that of a %s",
		    (int)other->key.len, other->key.data, m->service ? "service" : "stream",
		    m->service ? "stream" : "service");
	else if (m->prefix.len > 0 && m->to.len > 0)
		config_error(t->errors, m->at, "found prefix and to in this import, expected one of them");
	else
		return true;
	return false;
}

/* What it is called here, as written. */
static struct bytes
written(const struct tenant_import *m)
{
	return m->to.len > 0 ? m->to : m->subject;
}

static int
import_add(struct tenants *t, size_t account, const struct tenant_import *m)
{
	struct tenant	*a = &t->accounts[account];
	void		*imports = a->imports;

	if (config_room(&imports, a->nimports, &a->imports_room, sizeof(*m)) != 0)
		return -ENOMEM;
	a->imports = imports;
	a->imports[a->nimports++] = *m;
	return 0;
}

static int
import_read(struct tenants *t, size_t account, const struct config_value *v)
{
	static const struct field	table[] = {
		{ "stream", source_read }, { "service", service_read }, { "to", to_read },
		{ "prefix", prefix_read }, { "share", share_read }, { "allow_trace", trace_read },
	};
	struct reading			r = { .import = { .at = v->at, .owner = account, .account = BYTES(""),
	    .subject = BYTES(""), .to = BYTES(""), .prefix = BYTES("") } };
	struct fields			f = { t, "an import", &r };
	unsigned			errors = t->errors->count;
	int				rc = fields_read(&f, v, table, sizeof(table) / sizeof(table[0]));

	if (rc != 0 || t->errors->count > errors || !import_check(t, &r))
		return rc;
	return import_add(t, account, &r.import);
}

static int
bytes_compare(struct bytes a, struct bytes b)
{
	int	rc = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

	return rc != 0 ? rc : (a.len > b.len) - (a.len < b.len);
}

/* 0: one of them is there twice. A service is by its name here, a stream by its subject there. */
static int
import_compare(const struct tenant_import *a, const struct tenant_import *b)
{
	int	rc = a->service - b->service;

	if (rc == 0)
		rc = bytes_compare(a->account, b->account);
	if (rc == 0)
		rc = a->service ? bytes_compare(written(a), written(b)) : bytes_compare(a->subject, b->subject);
	return rc;
}

/* Equal ones in the order of the text. */
static int
import_order(const void *a, const void *b)
{
	const struct tenant_import *const	*x = a, *const *y = b;
	int					 rc = import_compare(*x, *y);

	return rc != 0 ? rc : (*x > *y) - (*x < *y);
}

/* Each import is there once. 0 or -ENOMEM. */
static int
duplicates_find(struct tenants *t, const struct tenant *a)
{
	const struct tenant_import	**sorted = calloc(a->nimports + 1, sizeof(*sorted)), *first;
	size_t				  i;

	if (sorted == NULL)
		return -ENOMEM;
	for (i = 0; i < a->nimports; i++)
		sorted[i] = &a->imports[i];
	qsort(sorted, a->nimports, sizeof(*sorted), import_order);
	for (i = 1, first = sorted[0]; i < a->nimports; i++)
		if (import_compare(first, sorted[i]) == 0)
			config_error(t->errors, sorted[i]->at, "found the import of line %u again, expected it once",
			    first->at.line);
		else
			first = sorted[i];
	free(sorted);
	return 0;
}

int
imports_read(struct tenants *t, size_t account, const struct config_value *v)
{
	size_t	i;
	int	rc = 0;

	if (v->kind != CONFIG_LIST) {
		config_error(t->errors, v->at, "found %s, expected a list [...] of imports", config_kind_name(v->kind));
		return 0;
	}
	for (i = 0; i < v->list.count && rc == 0; i++)
		rc = import_read(t, account, &v->list.items[i]);
	return rc == 0 ? duplicates_find(t, &t->accounts[account]) : rc;
}

/* -- against the exports */

/* Is token number `position` of subject this name? */
static bool
token_is(struct bytes subject, unsigned position, struct bytes name)
{
	const char	*dot;
	size_t		 len;

	for (; position > 1; position--) {
		dot = memchr(subject.data, '.', subject.len);
		if (dot == NULL)
			return false;
		subject.len -= (size_t)(dot + 1 - subject.data);
		subject.data = dot + 1;
	}
	dot = memchr(subject.data, '.', subject.len);
	len = dot == NULL ? subject.len : (size_t)(dot - subject.data);
	return bytes_equal((struct bytes){ subject.data, len }, name);
}

/* May the owner of m have what x offers? */
static bool
is_authorized(const struct tenants *t, const struct tenant_export *x, const struct tenant_import *m)
{
	size_t	i;

	if (x->token_position > 0)
		return token_is(m->subject, x->token_position, t->accounts[m->owner].name);
	for (i = 0; i < x->count; i++)
		if (x->accounts[i] == m->owner)
			return true;
	return x->listed == NULL;
}

/* The choice of an export for an import. */
struct choice {
	const struct tenants		*t;
	const struct tenant_import	*import;
	const struct tenant		*from;
	const struct tenant_export	*best;
};

/* One that the import is within: narrower than the best so far decides, and of two that only overlap one that refuses. */
static bool
choice_better(void *arg, uint32_t place)
{
	struct choice			*c = arg;
	const struct tenant_export	*x = &c->from->exports[place];

	if (c->best == NULL || subject_within(x->subject, c->best->subject) ||
	    (!subject_within(c->best->subject, x->subject) && !is_authorized(c->t, x, c->import)))
		c->best = x;
	return false;
}

/*
 * The export that decides: of this very subject, or the narrowest that it is
 * within. Real servers take any of those that fit. 0; m->export NULL: there is none. -ENOMEM.
 */
static int
export_choose(struct tenants *t, struct tenant_import *m)
{
	struct tenant	*from = &t->accounts[m->from];
	struct choice	 choice = { t, m, from, NULL };
	uint32_t	 place;
	int		 rc = 0;

	if (known_find(m->service ? &from->services : &from->streams, m->subject, &place))
		choice.best = &from->exports[place];
	else
		rc = exports_around(t, from, m->service, m->subject, choice_better, &choice);
	m->export = choice.best;
	return rc;
}

/* Its account and export. 0; -EBADMSG: the error is written down; -ENOMEM. */
static int
source_resolve(struct tenants *t, struct tenant_import *m)
{
	char		quote[CONFIG_QUOTED], subject[CONFIG_QUOTED];
	uint32_t	place;
	int		rc;

	if (!known_find(&t->account_names, m->account, &place)) {
		config_error(t->errors, m->at, "found the account %s, expected one that is defined",
		    config_quote(quote, m->account));
		return -EBADMSG;
	}
	m->from = place;
	rc = export_choose(t, m);
	if (rc != 0 || (m->export != NULL && is_authorized(t, m->export, m)))
		return rc;
	config_error(t->errors, m->at, "found the import of %s from %s, %s", config_quote(subject, m->subject),
	    config_quote(quote, m->account), m->export == NULL ? "which does not export it" :
	    m->export->token_position > 0 ? "which exports it to the account whose name is in the subject" :
	    "which exports it to other accounts only");
	return -EBADMSG;
}

/* Can source be turned into that? 0; -EBADMSG: the error is written down; -ENOMEM. */
static int
transform_check(struct tenants *t, const struct tenant_import *m, struct bytes source, const char *to, bool strict)
{
	struct transform	*transform;
	const char		*why = "with the numbers of its wildcards it is too long";
	char			 from[CONFIG_QUOTED], quote[CONFIG_QUOTED];
	int			 rc = -EINVAL;

	if (strlen(to) <= SUBJECT_MOST)
		rc = transform_new(&transform, source, bytes_of(to), strict, &why);
	if (rc == 0)
		transform_free(transform);
	if (rc != -EINVAL)
		return rc;
	config_error(t->errors, m->at, "found %s for %s: %s", config_quote(quote, written(m)),
	    config_quote(from, source), why);
	return -EBADMSG;
}

/* Of theirs to ours. */
static int
stream_settle(struct tenants *t, struct tenant_import *m)
{
	char	*text = NULL;

	if (m->prefix.len > 0 && asprintf(&text, "%.*s.%.*s", (int)m->prefix.len, m->prefix.data,
	    (int)m->subject.len, m->subject.data) == -1)
		return -ENOMEM;
	m->transform = placeholders_set(text != NULL ? bytes_of(text) : written(m));
	free(text);
	if (m->transform == NULL)
		return -ENOMEM;
	m->ours = placeholders_clear(bytes_of(m->transform));
	if (m->ours == NULL)
		return -ENOMEM;
	if (!subject_good(t, m->at, bytes_of(m->ours)))
		return -EBADMSG;
	return transform_check(t, m, m->subject, m->transform, true);
}

/* It stands in the transform, where {{split(1,-)}} would make subjects of it that are not exported. */
static bool
service_is_text(struct tenants *t, const struct tenant_import *m)
{
	char	quote[CONFIG_QUOTED];

	if (!placeholders_in(m->subject))
		return true;
	config_error(t->errors, m->at, "found the subject %s of a service, expected it without $1 or {{...}}",
	    config_quote(quote, m->subject));
	return false;
}

/* Of ours to theirs, which may have to be turned round. */
static int
service_settle(struct tenants *t, struct tenant_import *m)
{
	bool	 same = bytes_equal(written(m), m->subject), wild = subject_has_wildcard(m->subject);
	char	*marked = placeholders_set(written(m));
	int	 rc = marked == NULL ? -ENOMEM : 0;

	if (rc == 0 && !service_is_text(t, m))
		rc = -EBADMSG;
	if (rc == 0 && wild)
		rc = transform_check(t, m, m->subject, marked, true);
	if (rc == 0) {
		m->ours = wild && !same ? placeholders_clear(bytes_of(marked)) :
		    strndup(written(m).data, written(m).len);
		m->transform = placeholders_turn(m->subject, bytes_of(marked));
		if (m->ours == NULL || m->transform == NULL)
			rc = -ENOMEM;
	}
	free(marked);
	if (rc != 0)
		return rc;
	if (!subject_good(t, m->at, bytes_of(m->ours)))
		return -EBADMSG;
	return transform_check(t, m, bytes_of(m->ours), m->transform, false);
}

int
imports_resolve(struct tenants *t)
{
	struct tenant_import	*m;
	size_t			 i, j;
	int			 rc = 0;

	for (i = 0; i < t->count; i++)
		for (j = 0; j < t->accounts[i].nimports; j++) {
			m = &t->accounts[i].imports[j];
			rc = source_resolve(t, m);
			if (rc == 0)
				rc = m->service ? service_settle(t, m) : stream_settle(t, m);
			if (rc != 0 && rc != -EBADMSG)
				return rc;
		}
	return 0;
}

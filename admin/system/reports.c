#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "admin/system/object.h"
#include "admin/system/reports.h"

const struct option options_none[] = { { NULL, NULL, OPTION_TEXT } };

static const struct report_kind kinds[REPORTS] = {
	{ "VARZ", "/varz", NULL, varz_make, options_none },
	{ "CONNZ", "/connz", NULL, connz_make, options_connz },
	{ "SUBSZ", "/subsz", "/subscriptionsz", subsz_make, options_subsz },
	{ "ACCOUNTZ", "/accountz", NULL, accountz_make, options_accountz },
	{ "ACCSTATZ", "/accstatz", NULL, accstatz_make, options_accstatz },
	{ "HEALTHZ", "/healthz", NULL, healthz_make, options_healthz },
	{ "ROUTEZ", "/routez", NULL, routez_make, options_routez },
	{ "GATEWAYZ", "/gatewayz", NULL, gatewayz_make, options_gatewayz },
	{ "LEAFZ", "/leafz", NULL, leafz_make, options_leafz },
	{ "JSZ", "/jsz", NULL, jsz_make, options_jsz },
};

const char *
reports_path(unsigned i)
{
	return kinds[i].path;
}

const struct report_kind *
report_named(struct bytes name)
{
	unsigned	i;

	for (i = 0; i < REPORTS; i++)
		if (bytes_equal(name, bytes_of(kinds[i].name)))
			return &kinds[i];
	return NULL;
}

json_t *
report_refuse(struct refused *refused, unsigned status, const char *format, ...)
{
	va_list	ap;

	refused->status = status;
	va_start(ap, format);
	vsnprintf(refused->why, sizeof(refused->why), format, ap);
	va_end(ap);
	return NULL;
}

void
report_window(const json_t *options, uint64_t *offset, uint64_t *limit)
{
	int64_t	from = option_number(options, "offset", 0), most = option_number(options, "limit", 0);

	*offset = from < 0 ? 0 : (uint64_t)from;
	*limit = most <= 0 ? REPORT_LIMIT : most > (int64_t)REPORT_MOST ? REPORT_MOST : (uint64_t)most;
}

/* ---- by HTTP */

static const struct report_kind *
report_at(struct bytes path)
{
	unsigned	i;

	for (i = 0; i < REPORTS; i++)
		if (bytes_equal(path, bytes_of(kinds[i].path)) ||
		    (kinds[i].alias != NULL && bytes_equal(path, bytes_of(kinds[i].alias))))
			return &kinds[i];
	return NULL;
}

/* As text; NULL: no memory, or *refused. */
static char *
report_text(struct reporter *r, const struct report_kind *kind, struct bytes query, struct refused *refused)
{
	json_t	*options, *json = NULL;
	char	*text = NULL;

	options = options_query(query, kind->options, refused->why, sizeof(refused->why));
	if (options == NULL) {
		refused->status = 400;
		return NULL;
	}
	json = kind->make(r, options, refused);
	json_decref(options);
	if (json == NULL)
		return NULL;
	if (kind->make == healthz_make)
		json_object_del(json, "status_code");	/* the answer has it */
	text = json_dumps(json, JSON_REAL_PRECISION(12) | (kind->make == healthz_make ? JSON_COMPACT : JSON_INDENT(2)));
	json_decref(json);
	return text;
}

void
report_make(struct reporter *r, struct bytes path, struct bytes query, struct report *report)
{
	const struct report_kind	*kind = report_at(path);
	struct refused			 refused = { 200, "" };

	if (kind == NULL) {
		refused.status = 404;
		report->body = strdup("404 page not found\n");
	} else {
		r->asked[kind - kinds]++;
		report->body = report_text(r, kind, query, &refused);
		if (report->body == NULL && refused.status != 200)
			report->body = strdup(refused.why);
	}
	report->status = report->body == NULL ? 500 : refused.status;	/* no memory */
	report->len = report->body == NULL ? 0 : strlen(report->body);
}

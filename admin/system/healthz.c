#include "admin/system/object.h"
#include "admin/system/reports.h"

const struct option options_healthz[] = {
	{ "js-enabled", "js-enabled", OPTION_BOOLEAN }, { "js-enabled-only", "js-enabled-only", OPTION_BOOLEAN },
	{ "js-server-only", "js-server-only", OPTION_BOOLEAN },
	{ "js-meta-only", "js-meta-only", OPTION_BOOLEAN }, { "details", "details", OPTION_BOOLEAN },
	{ "account", "account", OPTION_TEXT }, { "stream", "stream", OPTION_TEXT },
	{ "consumer", "consumer", OPTION_TEXT }, { NULL, NULL, OPTION_TEXT },
};

struct health { const char *status; unsigned code; const char *type, *error; };

/* Does the request make sense, and is there somebody to serve clients? */
static struct health
health_of(const struct reporter *r, const json_t *options)
{
	bool	account = option_text(options, "account").len > 0, stream = option_text(options, "stream").len > 0;

	if (stream && !account)
		return (struct health){ "error", 400, "BAD_REQUEST",
		    "\"account\" must not be empty when checking stream health" };
	if (!stream && option_text(options, "consumer").len > 0)
		return (struct health){ "error", 400, "BAD_REQUEST",
		    "\"stream\" must not be empty when checking consumer health" };
	if (r->view.directory.base == NULL)
		return (struct health){ "unavailable", 503, "CONNECTION", "the server is starting" };
	if (r->view.live == 0)
		return (struct health){ "unavailable", 503, "CONNECTION", "no worker is ready" };
	return (struct health){ "ok", 200, NULL, NULL };
}

static void
errors_put(struct object *o, const struct health *h)
{
	struct object	one = OBJECT();
	json_t		*list = json_array();

	put_text(&one, "type", h->type);
	put_text(&one, "error", h->error);
	put_last(o, list, &one);
	put(o, "errors", list);
}

/* The code is for who does not hear it as HTTP's. */
json_t *
healthz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	struct object		 o = OBJECT();
	const struct health	 h = health_of(r, options);
	bool			 details = option_is(options, "details");

	put_text(&o, "status", details && h.error != NULL ? "error" : h.status);
	put_number(&o, "status_code", h.code);
	if (h.error != NULL && details)
		errors_put(&o, &h);
	else if (h.error != NULL)
		put_text(&o, "error", h.error);
	refused->status = h.code;
	return object_json(&o);
}

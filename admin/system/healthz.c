#include "admin/system/object.h"
#include "admin/system/reports.h"

const struct option options_healthz[] = {
	{ "js-enabled", "js-enabled", OPTION_BOOLEAN }, { "js-enabled-only", "js-enabled-only", OPTION_BOOLEAN },
	{ "js-server-only", "js-server-only", OPTION_BOOLEAN },
	{ "js-meta-only", "js-meta-only", OPTION_BOOLEAN }, { "details", "details", OPTION_BOOLEAN },
	{ NULL, NULL, OPTION_TEXT },
};

/* 200 while there is somebody to serve clients. */
json_t *
healthz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	struct object	 o = OBJECT();
	const char	*error = NULL;

	if (r->view.directory.base == NULL)
		error = "the server is starting";
	else if (r->view.live == 0)
		error = "no worker is ready";
	put_text(&o, "status", error == NULL ? "ok" : "unavailable");
	if (error != NULL)
		put_text(&o, "error", error);
	refused->status = error == NULL ? 200 : 503;
	return object_json(&o);
}

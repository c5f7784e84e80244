#include <stdlib.h>
#include "admin/system/reports.h"

/* 200 while there is somebody to serve clients. */
static unsigned
healthz(struct reporter *r, char **body)
{
	const char	*error = NULL;
	char		 text[128];

	if (r->view.directory.base == NULL)
		error = "the server is starting";
	else if (r->view.live == 0)
		error = "no worker is ready";
	if (error == NULL) {
		*body = strdup("{\"status\":\"ok\"}");
		return 200;
	}
	snprintf(text, sizeof(text), "{\"status\":\"unavailable\",\"error\":\"%s\"}", error);
	*body = strdup(text);
	return 503;
}

static unsigned
varz(struct reporter *r, char **body)
{
	if (r->view.directory.base == NULL) {
		*body = strdup("the server is starting\n");
		return 503;
	}
	*body = varz_text(r);
	return 200;
}

static const struct {
	const char	*path;
	unsigned	(*make)(struct reporter *r, char **body);	/* the status */
} reports[REPORTS] = {
	{ "/varz", varz },
	{ "/healthz", healthz },
};

const char *
reports_path(unsigned i)
{
	return reports[i].path;
}

void
report_make(struct reporter *r, struct bytes path, struct report *report)
{
	unsigned	i;

	*report = (struct report){ .status = 404 };
	for (i = 0; i < REPORTS; i++)
		if (bytes_equal(path, bytes_of(reports[i].path)))
			break;
	if (i < REPORTS) {
		r->asked[i]++;
		report->status = reports[i].make(r, &report->body);
	} else {
		report->body = strdup("404 page not found\n");
	}
	if (report->body == NULL)
		report->status = 500;	/* no memory */
	else
		report->len = strlen(report->body);
}

#ifndef SYSTEM_REPORTS_H
#define SYSTEM_REPORTS_H
/* The reports by their path, as JSON text. */
#include "admin/system/usage.h"
#include "admin/system/view.h"
#include "common/settings.h"

#define REPORTS		2	/* kinds of them */

struct reporter {
	const struct settings	*settings;
	struct view		 view;
	struct usage		 usage;
	long			 processors;
	uint64_t		 asked[REPORTS];	/* how often, in the order of reports_path() */
};

struct report {
	unsigned	 status;	/* HTTP's */
	char		*body;		/* free() */
	size_t		 len;
};

/* Path of report i of REPORTS. */
const char *reports_path(unsigned i);

/* *report is written in any case; its status says what went wrong. */
void report_make(struct reporter *r, struct bytes path, struct report *report);

/* /varz; NULL: no memory. */
char *varz_text(struct reporter *r);
#endif

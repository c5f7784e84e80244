#ifndef LOG_FORMAT_H
#define LOG_FORMAT_H
/* How a line is written: for people, as JSON, or as a syslog wants it. */
#include "common/log.h"
#include "common/messages.h"

enum format_kind {
	FORMAT_TEXT,		/* log_format() */
	FORMAT_JSON,		/* an object a line */
	FORMAT_SYSLOG_LOCAL,	/* "<PRI>Jan  2 15:04:05 TAG[PID]: text\n" */
	FORMAT_SYSLOG_REMOTE,	/* "<PRI>2026-01-02T15:04:05+01:00 HOST TAG[PID]: text\n" */
};

struct format {
	enum format_kind	 kind;
	struct log_style	 style;		/* of text and JSON */
	unsigned		 facility;	/* of a syslog: 0 kern, 3 daemon */
	char			 host[256], tag[65];
};

struct line {
	enum log_level		 level;
	enum role		 role;		/* whose line it is */
	unsigned		 slot;
	int			 pid;
	struct bytes		 text;
};

/*
 * The line with its newline, its only one. Returns its length, at most size;
 * the text of one that does not fit is cut, no NUL follows. The time is now.
 */
#define FORMATTED_MAX(len)	(6 * (len) + 1024)	/* always enough for len bytes of text */
size_t format_line(char *out, size_t size, const struct format *f, const struct line *l);
#endif

#ifndef LOG_SINK_H
#define LOG_SINK_H
/*
 * Where lines are written. They gather in a buffer that is written once in a
 * loop turn. What a file does not take is dropped and counted; when writing
 * works again, a line says how many were lost and why. What a syslog does not
 * take stays in the buffer, also while there is no connection to it; what the
 * buffer does not hold is counted likewise.
 *
 *   kind      is written                 what is not taken
 *   NONE      standard error, at start   is lost
 *   FILE      the buffer                 is lost
 *   STREAM    the buffer                 waits
 *   DATAGRAM  one send for each line     waits
 */
#include <stdbool.h>
#include <stdint.h>
#include "common/settings.h"
#include "supervisor/log/format.h"

#define SINK_BUFFER	((size_t)256 * 1024)
#define SINK_DATAGRAM_MAX ((size_t)65000)	/* longest one: below what UDP carries */

enum sink_kind { SINK_NONE, SINK_FILE, SINK_STREAM, SINK_DATAGRAMS };

struct sink {
	enum sink_kind	 kind;
	int		 fd;		/* -1: standard error, or a syslog whose socket broke */
	struct format	 format;
	int		 pid;		/* ours, as the host counts */
	bool		 json;		/* for what is no syslog */
	char		*buffer;	/* SINK_BUFFER */
	size_t		 used;
	uint64_t	 lost;
	int		 why;		/* errno of the last failure */
	bool		 torn;		/* FILE: the last line was written in part */
	bool		 cut;		/* STREAM: so was the first in the buffer */

	/* for the owner, who tells the supervisor, and sets them to false */
	bool		 full;		/* the file reached its limit */
	bool		 broken;	/* the socket is of no use: to be taken out of the loop, then sink_unplug() */
	bool		 waits;		/* the socket takes no more now */

	bool		 rotates;	/* FILE: one that can be full */
	uint64_t	 size;		/* FILE: bytes in it */
	uint64_t	 limit;		/* FILE: of logfile_size_limit; 0 none */
	uint64_t	 full_at;	/* FILE: size at which it is full, or full once more */
};

/* 0 or -ENOMEM. Writes to standard error until sink_use_...(). */
int sink_init(struct sink *sink);
/* Write what is there, close its descriptor. */
void sink_free(struct sink *sink);

/* Take over how lines look and how large a file becomes; what waits stays as it is. */
void sink_settings(struct sink *sink, const struct settings *s);

/* Write to fd (consumed) from now on; size bytes are in it. */
void sink_use_file(struct sink *sink, int fd, enum log_file_kind kind, uint64_t size);

/* Write the first lines of a new file: they do not fill it, the next one may. */
void sink_settle(struct sink *sink);

/* Or to this socket (consumed), which may still be connecting. host: empty: the system's own. */
void sink_use_syslog(struct sink *sink, int fd, enum syslog_kind kind, struct bytes host,
    struct bytes tag);

/* Add a line, formatted; it is written when the buffer is full or by sink_flush(). */
void sink_line(struct sink *sink, const struct line *line);

/* Write what is there. */
void sink_flush(struct sink *sink);

/* The syslog's socket is of no more use: error is why. */
void sink_break(struct sink *sink, int error);

/* Close what broke. */
void sink_unplug(struct sink *sink);

/* At the end: the last lines that no syslog took go to standard error. */
void sink_last_words(struct sink *sink);
#endif

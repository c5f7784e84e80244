#ifndef LOG_SINK_H
#define LOG_SINK_H
/*
 * Where lines are written. They gather in a buffer that is written once in a
 * loop turn. What cannot be written is dropped and counted; when writing works
 * again, a line says how many were lost and why.
 */
#include <stdbool.h>
#include <stdint.h>
#include "common/log.h"

#define SINK_BUFFER	((size_t)256 * 1024)

struct sink {
	int		 fd;
	bool		 logtime;
	bool		 torn;		/* the last line was written in part */
	char		*buffer;	/* SINK_BUFFER */
	size_t		 used;
	uint64_t	 lost;
	int		 why;		/* errno of the last failure */
};

/* 0 or -ENOMEM. Writes to standard error until sink_use(). */
int sink_init(struct sink *sink, bool logtime);
/* Write what is there, close its descriptor. */
void sink_free(struct sink *sink);

/* Write to fd (consumed) from now on. */
void sink_use(struct sink *sink, int fd);

/* Add a line of this process, formatted; it is written when the buffer is full or by sink_flush(). */
void sink_line(struct sink *sink, enum log_level level, int pid, struct bytes text);

/* Write what is there. */
void sink_flush(struct sink *sink);
#endif

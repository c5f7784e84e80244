#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/log/sink.h"

_Static_assert(SINK_BUFFER >= LOG_FORMATTED((size_t)LOG_TEXT_MAX) + 512, "any line fits");

int
sink_init(struct sink *sink, bool logtime)
{
	*sink = (struct sink){ .fd = -1, .logtime = logtime };
	sink->buffer = malloc(SINK_BUFFER);
	return sink->buffer == NULL ? -ENOMEM : 0;
}

void
sink_free(struct sink *sink)
{
	sink_flush(sink);
	if (sink->fd != -1)
		close(sink->fd);
	free(sink->buffer);
	*sink = (struct sink){ .fd = -1 };
}

void
sink_use(struct sink *sink, int fd)
{
	sink_flush(sink);
	if (sink->fd != -1)
		close(sink->fd);
	sink->fd = fd;
	sink->torn = false;
}

/* Write all of it. 0 or -errno; *done bytes were written. */
static int
sink_write(struct sink *sink, const char *data, size_t len, size_t *done)
{
	int fd = sink->fd == -1 ? STDERR_FILENO : sink->fd;
	ssize_t n;

	for (*done = 0; *done < len; *done += (size_t)n) {
		n = write(fd, data + *done, len - *done);
		if (n == -1 && errno == EINTR)
			n = 0;
		else if (n == -1)
			return -errno;
		else if (n == 0)
			return -EIO;
	}
	return 0;
}

static uint64_t
lines_count(const char *data, size_t len)
{
	const char *end = data + len;
	uint64_t n = 0;

	while ((data = memchr(data, '\n', (size_t)(end - data))) != NULL) {
		data++;
		n++;
	}
	return n;
}

/* Before anything else is written: the end of a torn line, and what was lost. 0 or -errno. */
static int
sink_mend(struct sink *sink)
{
	char text[160], line[LOG_FORMATTED(sizeof(text))];
	size_t len = 0, done;
	int rc;

	if (sink->torn)
		line[len++] = '\n';
	if (sink->lost > 0) {
		snprintf(text, sizeof(text), "log: %llu lines were lost here: %s",
		    (unsigned long long)sink->lost, strerror(sink->why));
		len += log_format(line + len, sizeof(line) - len, LOG_ERROR, (int)getpid(),
		    sink->logtime, bytes_of(text));
	}
	rc = sink_write(sink, line, len, &done);
	if (rc == 0) {
		sink->lost = 0;
		sink->torn = false;
	}
	return rc;
}

void
sink_flush(struct sink *sink)
{
	size_t done = 0;
	int rc = 0;

	if (sink->used == 0)
		return;
	if (sink->torn || sink->lost > 0)
		rc = sink_mend(sink);
	if (rc == 0)
		rc = sink_write(sink, sink->buffer, sink->used, &done);
	if (rc != 0) {
		sink->lost += lines_count(sink->buffer + done, sink->used - done);
		sink->why = -rc;
		if (done > 0)
			sink->torn = sink->buffer[done - 1] != '\n';
	}
	sink->used = 0;
}

void
sink_line(struct sink *sink, enum log_level level, int pid, struct bytes text)
{
	if (SINK_BUFFER - sink->used < LOG_FORMATTED(text.len))
		sink_flush(sink);
	sink->used += log_format(sink->buffer + sink->used, SINK_BUFFER - sink->used, level, pid,
	    sink->logtime, text);
}

#include <sys/socket.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/log/sink.h"

_Static_assert(SINK_BUFFER >= FORMATTED_MAX((size_t)LOG_TEXT_MAX) + 512, "any line fits");

int
sink_init(struct sink *sink)
{
	*sink = (struct sink){ .fd = -1, .pid = (int)getpid(), .format.style.time = true };
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

static bool
is_syslog(const struct sink *sink)
{
	return sink->kind == SINK_STREAM || sink->kind == SINK_DATAGRAMS;
}

static void
format_choose(struct sink *sink)
{
	if (!is_syslog(sink))
		sink->format.kind = sink->json ? FORMAT_JSON : FORMAT_TEXT;
}

#define FULL_AGAIN	((uint64_t)64 * 1024)

/*
 * Full is what has more than the limit, as in the 2.x server. If nothing comes
 * of it, another is asked for when the file has grown by as much again, and by
 * more than what is said about that.
 */
static void
size_look(struct sink *sink)
{
	const uint64_t more = sink->limit > FULL_AGAIN ? sink->limit : FULL_AGAIN;

	if (!sink->rotates || sink->limit == 0 || sink->size <= sink->full_at)
		return;
	sink->full = true;
	sink->full_at = sink->size > UINT64_MAX - more ? UINT64_MAX : sink->size + more;
}

void
sink_settings(struct sink *sink, const struct settings *s)
{
	sink->format.style.time = s->logtime;
	sink->format.style.utc = s->logtime_utc;
	sink->json = strcmp(s->log_format, "json") == 0;
	format_choose(sink);
	if (sink->limit == s->logfile_size_limit)
		return;
	sink->limit = sink->full_at = s->logfile_size_limit;
	size_look(sink);
}

static uint64_t
lines_count(const char *data, size_t len)
{
	const char	*end = data + len;
	uint64_t	 n = 0;

	while ((data = memchr(data, '\n', (size_t)(end - data))) != NULL) {
		data++;
		n++;
	}
	return n;
}

/* Nobody will read the first `len` bytes any more, whole lines. */
static void
buffer_drop(struct sink *sink, size_t len)
{
	memmove(sink->buffer, sink->buffer + len, sink->used - len);
	sink->used -= len;
}

/* The last that the old target can get; what it does not take is lost with it. */
static void
target_leave(struct sink *sink)
{
	sink_flush(sink);
	sink->lost += lines_count(sink->buffer, sink->used);
	sink->used = 0;
	if (sink->fd != -1)
		close(sink->fd);
	sink->fd = -1;
	sink->torn = sink->cut = sink->full = sink->broken = sink->waits = sink->rotates = false;
}

void
sink_use_file(struct sink *sink, int fd, enum log_file_kind kind, uint64_t size)
{
	target_leave(sink);
	sink->kind = SINK_FILE;
	sink->fd = fd;
	sink->format.style.colours = kind == LOG_TO_TERMINAL;
	sink->size = size;
	sink->full_at = sink->limit;
	sink->rotates = kind == LOG_TO_FILE;
	format_choose(sink);
	size_look(sink);
}

void
sink_settle(struct sink *sink)
{
	sink_flush(sink);
	sink->full = false;
	sink->full_at = sink->limit;
}

static void
text_take(char *to, size_t size, struct bytes from)
{
	snprintf(to, size, "%.*s", (int)from.len, from.data);
}

void
sink_use_syslog(struct sink *sink, int fd, enum syslog_kind kind, struct bytes host,
    struct bytes tag)
{
	const bool	dgram = kind == SYSLOG_LOCAL || kind == SYSLOG_UDP;

	sink_unplug(sink);
	if (!is_syslog(sink) || sink->fd != -1)		/* else its lines have waited for this one */
		target_leave(sink);
	sink->kind = dgram ? SINK_DATAGRAMS : SINK_STREAM;
	sink->fd = fd;
	sink->format.kind = kind == SYSLOG_LOCAL || kind == SYSLOG_UNIX_STREAM ?
	    FORMAT_SYSLOG_LOCAL : FORMAT_SYSLOG_REMOTE;
	sink->format.facility = host.len == 0 ? 3 : 0;	/* daemon; to others, as the 2.x server, kern */
	text_take(sink->format.host, sizeof(sink->format.host), host);
	text_take(sink->format.tag, sizeof(sink->format.tag), tag);
}

/* -- writing to a file */

/* Write all of it. 0 or -errno; *done bytes were written. */
static int
file_write(struct sink *sink, const char *data, size_t len, size_t *done)
{
	int	fd = sink->fd == -1 ? STDERR_FILENO : sink->fd;
	ssize_t	n;

	for (*done = 0; *done < len; *done += (size_t)n) {
		n = write(fd, data + *done, len - *done);
		if (n == -1 && errno == EINTR)
			n = 0;
		else if (n == -1)
			return -errno;
		else if (n == 0)
			return -EIO;
		sink->size += (uint64_t)n;
	}
	return 0;
}

static size_t
lost_line(const struct sink *sink, char *out, size_t size)
{
	struct line	line = { .level = LOG_ERROR, .role = ROLE_LOG, .pid = sink->pid };
	char		text[160];

	snprintf(text, sizeof(text), "log: %llu lines were lost here: %s",
	    (unsigned long long)sink->lost, strerror(sink->why));
	line.text = bytes_of(text);
	return format_line(out, size, &sink->format, &line);
}

/* Before anything else is written: the end of a torn line, and what was lost. 0 or -errno. */
static int
file_mend(struct sink *sink)
{
	char	line[FORMATTED_MAX((size_t)160)];
	size_t	len = 0, done;
	int	rc;

	if (sink->torn)
		line[len++] = '\n';
	if (sink->lost > 0)
		len += lost_line(sink, line + len, sizeof(line) - len);
	rc = file_write(sink, line, len, &done);
	if (rc == 0) {
		sink->lost = 0;
		sink->torn = false;
	}
	return rc;
}

static void
file_flush(struct sink *sink)
{
	size_t	done = 0;
	int	rc = 0;

	if (sink->torn || sink->lost > 0)
		rc = file_mend(sink);
	if (rc == 0)
		rc = file_write(sink, sink->buffer, sink->used, &done);
	if (rc != 0) {
		sink->lost += lines_count(sink->buffer + done, sink->used - done);
		sink->why = -rc;
		if (done > 0)
			sink->torn = sink->buffer[done - 1] != '\n';
	}
	sink->used = 0;
	size_look(sink);
}

/* -- and to a syslog */

void
sink_break(struct sink *sink, int error)
{
	const char	*end;

	if (!is_syslog(sink) || sink->fd == -1 || sink->broken)
		return;
	sink->broken = true;
	sink->waits = false;
	sink->why = error;
	if (sink->cut) {	/* its beginning is gone */
		end = memchr(sink->buffer, '\n', sink->used);
		if (end != NULL)
			buffer_drop(sink, (size_t)(end + 1 - sink->buffer));
		sink->lost++;
		sink->cut = false;
	}
}

void
sink_unplug(struct sink *sink)
{
	if (!sink->broken)
		return;
	close(sink->fd);
	sink->fd = -1;
	sink->broken = false;
}

/* One send. Bytes that were taken; -EAGAIN; -errno. */
static ssize_t
socket_send(struct sink *sink, const char *data, size_t len)
{
	ssize_t	n;
	int	again = 1;

	do
		n = send(sink->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* UDP tells of an earlier datagram that nobody was there for: this one may arrive */
	while (n == -1 && (errno == EINTR || (errno == ECONNREFUSED &&
	    sink->kind == SINK_DATAGRAMS && again-- > 0)));
	return n == -1 ? -errno : n;
}

/* How much of what is at `data` goes out with one send. */
static size_t
socket_portion(const struct sink *sink, const char *data, size_t len)
{
	const char	*end;

	if (sink->kind == SINK_STREAM || (end = memchr(data, '\n', len)) == NULL)
		return len;
	return (size_t)(end + 1 - data);
}

/* A syslog that nobody listens to loses what it is sent, without an end of its socket. */
static bool
socket_refused(struct sink *sink, int error)
{
	if (sink->kind != SINK_DATAGRAMS || sink->format.kind != FORMAT_SYSLOG_REMOTE ||
	    (error != ECONNREFUSED && error != ENOBUFS && error != EMSGSIZE && error != EPERM &&
	    error != EHOSTUNREACH && error != ENETUNREACH && error != ENETDOWN))
		return false;
	sink->lost++;
	sink->why = error;
	return true;
}

static void
socket_flush(struct sink *sink)
{
	size_t	at = 0, len;
	ssize_t	n = 0;

	sink->waits = false;
	while (sink->fd != -1 && !sink->broken && at < sink->used) {
		len = socket_portion(sink, sink->buffer + at, sink->used - at);
		n = socket_send(sink, sink->buffer + at, len);
		if (n < 0 && socket_refused(sink, (int)-n))
			n = (ssize_t)len;
		if (n < 0)
			break;
		at += (size_t)n;
	}
	if (at > 0 && sink->kind == SINK_STREAM)
		sink->cut = sink->buffer[at - 1] != '\n';
	buffer_drop(sink, at);
	if (n == -EAGAIN || n == -ENOBUFS)
		sink->waits = true;
	else if (n < 0)
		sink_break(sink, (int)-n);
}

void
sink_flush(struct sink *sink)
{
	if (sink->used == 0)
		return;
	if (is_syslog(sink))
		socket_flush(sink);
	else
		file_flush(sink);
}

/* -- lines */

/* Room for a line, and before it for the one that says what was lost. */
static bool
buffer_room(struct sink *sink, size_t len)
{
	const size_t	lost = FORMATTED_MAX((size_t)160);

	if (SINK_BUFFER - sink->used < len + lost)
		sink_flush(sink);
	if (SINK_BUFFER - sink->used < len + lost)
		return false;
	if (is_syslog(sink) && sink->lost > 0) {
		sink->used += lost_line(sink, sink->buffer + sink->used, lost);
		sink->lost = 0;
		sink->why = 0;
	}
	return true;
}

void
sink_line(struct sink *sink, const struct line *line)
{
	size_t	room;

	if (!buffer_room(sink, FORMATTED_MAX(line->text.len))) {
		if (sink->lost++ == 0 && sink->why == 0)
			sink->why = ENOBUFS;
		return;
	}
	room = SINK_BUFFER - sink->used;
	if (sink->kind == SINK_DATAGRAMS && room > SINK_DATAGRAM_MAX)
		room = SINK_DATAGRAM_MAX;
	sink->used += format_line(sink->buffer + sink->used, room, &sink->format, line);
}

void
sink_last_words(struct sink *sink)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	const char *at = sink->buffer, *end, *next;

	sink_flush(sink);
	end = at + sink->used;
	/* only the end of it, what fits into a pipe at once: nobody may be reading that either */
	while ((size_t)(end - at) > PIPE_BUF && (next = memchr(at, '\n', (size_t)(end - at))) != NULL)
		at = next + 1;
	if (end > at && poll(&p, 1, 0) == 1 && write(STDERR_FILENO, at, (size_t)(end - at)) == -1)
		sink->why = errno;
	sink->used = 0;
}

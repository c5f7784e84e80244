#include <sys/socket.h>
#include <sys/uio.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/messages.h"

static struct {
	const char	*name;
	int		 fd;		/* log channel; -1: standard error */
	bool		 debug, trace;
	uint64_t	 burst;		/* lines of a limited kind in a second; 0: all */
	uint64_t	 lost;		/* lines that the channel did not take */
} logger = { .fd = -1, .burst = LOG_BURST };

/* The colours are those of the 2.x server. */
static const struct { const char *name, *colour; } levels[] = {
	{ "FTL", "31" }, { "ERR", "31" }, { "WRN", "0;93" }, { "INF", "32" }, { "DBG", "36" },
	{ "TRC", "33" },
};

void
log_init(const char *name, int fd)
{
	logger.name = name;
	logger.fd = fd;
}

void
log_to(int fd)
{
	if (logger.fd != -1)
		close(logger.fd);
	logger.fd = fd;
}

void
log_levels(bool debug, bool trace)
{
	logger.debug = debug;
	logger.trace = trace;
}

void
log_burst(uint64_t most)
{
	logger.burst = most;
}

bool
log_debugs(void)
{
	return logger.debug;
}

bool
log_traces(void)
{
	return logger.trace;
}

/* -- how a line looks */

const char *
log_level_name(enum log_level level)
{
	return (unsigned)level <= LOG_TRACE ? levels[level].name : "???";
}

/* RFC 3629. */
size_t
log_character(struct bytes text)
{
	static const unsigned	 least[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	const unsigned char	*p = (const unsigned char *)text.data;
	unsigned		 c = p[0];
	size_t			 n, i;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	n = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
	if (n == 0 || n > text.len)
		return 0;
	c &= 0x7fu >> n;
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

size_t
log_escape(char *out, size_t room, struct bytes text)
{
	static const char	hex[] = "0123456789abcdef";
	size_t			at = 0, n;
	unsigned char		c;
	char			e[4];

	for (; text.len > 0; text.data += n, text.len -= n) {
		n = log_character(text);
		if (n > 0) {
			if (n > room - at)
				break;
			memcpy(out + at, text.data, n);
			at += n;
			continue;
		}
		n = 1;
		c = (unsigned char)*text.data;
		e[0] = '\\';
		e[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : 'x';
		e[2] = hex[c >> 4];
		e[3] = hex[c & 15];
		if ((e[1] == 'x' ? 4u : 2u) > room - at)
			break;
		memcpy(out + at, e, e[1] == 'x' ? 4 : 2);
		at += e[1] == 'x' ? 4 : 2;
	}
	return at;
}

/* "YYYY/MM/DD hh:mm:ss.uuuuuu ", or nothing. */
static const char *
time_text(char *text, size_t size, const struct log_style *style)
{
	struct timespec	now;
	struct tm	t;

	text[0] = '\0';
	clock_gettime(CLOCK_REALTIME, &now);
	if (style->time && (style->utc ? gmtime_r(&now.tv_sec, &t) : localtime_r(&now.tv_sec, &t)) != NULL)
		snprintf(text, size, "%04d/%02d/%02d %02d:%02d:%02d.%06ld ", t.tm_year + 1900,
		    t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, now.tv_nsec / 1000);
	return text;
}

size_t
log_format(char *out, size_t size, const struct log_style *style, enum log_level level, int pid,
    struct bytes text)
{
	const char	*name = log_level_name(level);
	char		 head[160], time[96];
	int		 n;
	size_t		 len;

	if (size == 0)
		return 0;
	time_text(time, sizeof(time), style);
	if (style->colours && (unsigned)level <= LOG_TRACE)
		n = snprintf(head, sizeof(head), "[%d] %s[\x1b[%sm%s\x1b[0m] ", pid, time,
		    levels[level].colour, name);
	else
		n = snprintf(head, sizeof(head), "[%d] %s[%s] ", pid, time, name);
	len = (size_t)n < size - 1 ? (size_t)n : size - 1;
	memcpy(out, head, len);
	len += log_escape(out + len, size - 1 - len, text);
	out[len++] = '\n';
	return len;
}

/* -- where a line goes */

#define STDERR_WAIT	1000	/* milliseconds until somebody has to read it */

/* On standard error; a prefix says who starts. Nobody may be reading the pipe that it is. */
static void
stderr_write(enum log_level level, struct bytes text)
{
	const struct log_style	style = { .time = true };
	struct pollfd		p = { .fd = STDERR_FILENO, .events = POLLOUT };
	char			out[LOG_FORMATTED(LOG_TEXT_MAX)];
	size_t			len, at;
	ssize_t			n;

	len = log_format(out, sizeof(out), &style, level, (int)getpid(), text);
	for (at = 0; at < len; at += (size_t)n) {
		if (poll(&p, 1, STDERR_WAIT) == 0)
			return;
		n = write(STDERR_FILENO, out + at, len - at);
		if (n == -1 && errno == EINTR)
			n = 0;
		else if (n == -1)
			return;
	}
}

/* Over the channel, without waiting. 0 or -errno: it was not taken. */
static int
channel_write(enum log_level level, struct bytes text)
{
	struct msg	m = { .type = MSG_line, .u.line = { .level = (uint64_t)level, .text = text } };
	msgpack_sbuffer	b;
	int		rc;

	msgpack_sbuffer_init(&b);
	rc = msg_encode(&b, &m);
	if (rc == 0 && send(logger.fd, b.data, b.size, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		rc = -errno;
	msgpack_sbuffer_destroy(&b);
	return rc;
}

/* What was lost is said before the next line that gets through. */
static int
line_send(enum log_level level, struct bytes text)
{
	char	lost[80];
	int	rc;

	if (logger.lost > 0) {
		snprintf(lost, sizeof(lost), "log: %llu lines were lost here",
		    (unsigned long long)logger.lost);
		rc = channel_write(LOG_WARN, bytes_of(lost));
		if (rc == 0)
			logger.lost = 0;
	}
	rc = channel_write(level, text);
	if (rc != 0)
		logger.lost++;
	return rc;
}

static int line_write(enum log_level level, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* 0, or -errno: nobody will see it. */
static int
line_write(enum log_level level, const char *format, va_list ap)
{
	char	text[LOG_TEXT_MAX + 1];
	size_t	len = 0;
	int	n;

	if (logger.fd == -1 && logger.name != NULL)
		len = (size_t)snprintf(text, sizeof(text), "%.64s: ", logger.name);
	n = vsnprintf(text + len, sizeof(text) - len, format, ap);
	if (n < 0)
		return -EINVAL;
	len = (size_t)n >= sizeof(text) - len ? sizeof(text) - 1 : len + (size_t)n;
	if (logger.fd != -1)
		return line_send(level, (struct bytes){ text, len });
	stderr_write(level, (struct bytes){ text, len });
	return 0;
}

void
log_line(enum log_level level, const char *format, ...)
{
	const int	saved = errno;
	va_list		ap;

	va_start(ap, format);
	line_write(level, format, ap);
	va_end(ap);
	errno = saved;
}

void
fatal(const char *format, ...)
{
	va_list	ap;
	int	rc;

	va_start(ap, format);
	rc = line_write(LOG_FATAL, format, ap);
	va_end(ap);
	if (rc != 0) {		/* the last words must be seen by somebody */
		logger.fd = -1;
		va_start(ap, format);
		line_write(LOG_FATAL, format, ap);
		va_end(ap);
	}
	exit(EXIT_FAILURE);
}

_Static_assert(MSG_line < 0x80, "one byte in msgpack");

void
log_from_signal(enum log_level level, struct bytes text)
{
	unsigned char	head[5] = { 0x93, MSG_line, (unsigned char)level, 0xd9, 0 };
	struct iovec	iov[3] = { { head, sizeof(head) },
	    { (void *)(uintptr_t)text.data, text.len < 200 ? text.len : 200 }, { NULL, 0 } };
	struct msghdr	h = { .msg_iov = iov, .msg_iovlen = 2 };
	char		newline = '\n';

	head[4] = (unsigned char)iov[1].iov_len;	/* str8 */
	if (logger.fd != -1 && sendmsg(logger.fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) != -1)
		return;
	iov[2] = (struct iovec){ &newline, 1 };
	if (writev(STDERR_FILENO, iov + 1, 2) == -1)
		return;		/* nothing is left to try */
}

bool
log_allows(struct log_limit *limit, const char *kind)
{
	struct timespec	now;
	uint64_t	left_out;

	if (logger.trace || logger.burst == 0)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (limit->second != now.tv_sec) {
		left_out = limit->left_out;
		*limit = (struct log_limit){ .second = now.tv_sec };
		if (left_out > 0)
			log_warn("%llu more lines like the following were left out: %s",
			    (unsigned long long)left_out, kind);
	}
	if (limit->written < logger.burst) {
		limit->written++;
		return true;
	}
	limit->left_out++;
	return false;
}

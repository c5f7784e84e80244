#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "supervisor/log/format.h"

/* -- JSON: by hand, since a line must be written when there is no memory */

/* One character of a JSON string; *used bytes of text. What is not UTF-8 becomes a visible \xHH. */
static size_t
json_character(char e[8], struct bytes text, size_t *used)
{
	const unsigned char	c = (unsigned char)*text.data;

	*used = 1;
	if (c == '"' || c == '\\')
		return (size_t)sprintf(e, "\\%c", c);
	if (c == '\n' || c == '\r' || c == '\t')
		return (size_t)sprintf(e, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	if (c < 0x20 || c == 0x7f)
		return (size_t)sprintf(e, "\\u%04x", c);
	if (c == 0xc2 && text.len > 1 && (text.data[1] & 0xe0) == 0x80) {
		*used = 2;	/* U+0080 to U+009f: a terminal acts on them */
		return (size_t)sprintf(e, "\\u%04x", (unsigned char)text.data[1]);
	}
	*used = log_character(text);
	if (*used > 0) {
		memcpy(e, text.data, *used);
		return *used;
	}
	*used = 1;
	return (size_t)sprintf(e, "\\\\x%02x", c);
}

static size_t
json_text(char *out, size_t room, struct bytes text)
{
	size_t	at = 0, used, n;
	char	e[8];

	for (; text.len > 0; text.data += used, text.len -= used) {
		n = json_character(e, text, &used);
		if (n > room - at)
			break;
		memcpy(out + at, e, n);
		at += n;
	}
	return at;
}

/* "+01:00", "Z" */
static void
zone_text(char *text, size_t size, const struct tm *t)
{
	const long	m = t->tm_gmtoff / 60, positive = m < 0 ? -m : m;

	if (m == 0)
		strlcpy(text, "Z", size);
	else
		snprintf(text, size, "%c%02ld:%02ld", m < 0 ? '-' : '+', positive / 60, positive % 60);
}

/* RFC 3339, with so many digits of the second's fraction: 6 or 0. */
static const char *
time_rfc3339(char *text, size_t size, bool utc, bool fraction)
{
	char		us[24] = "", zone[32];
	struct timespec	now;
	struct tm	t;

	text[0] = '\0';
	clock_gettime(CLOCK_REALTIME, &now);
	if ((utc ? gmtime_r(&now.tv_sec, &t) : localtime_r(&now.tv_sec, &t)) == NULL)
		return text;
	if (fraction)
		snprintf(us, sizeof(us), ".%06ld", now.tv_nsec / 1000);
	zone_text(zone, sizeof(zone), &t);
	snprintf(text, size, "%04d-%02d-%02dT%02d:%02d:%02d%s%s", t.tm_year + 1900, t.tm_mon + 1,
	    t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, us, zone);
	return text;
}

/*
 * The connection that a worker's line begins with, "127.0.0.1:5000 - cid:7 - ":
 * the number, or 0. The address has no blank, so nothing a client says stands before it.
 */
static unsigned long long
line_connection(const struct line *l)
{
	static const char	mark[] = " - cid:";
	const size_t		mark_len = sizeof(mark) - 1;
	const char		*at = memchr(l->text.data, ' ', l->text.len);
	const char		*end = l->text.data + l->text.len;
	unsigned long long	 cid = 0;

	if (l->role != ROLE_WORKER || at == NULL || (size_t)(end - at) < mark_len ||
	    memcmp(at, mark, mark_len) != 0)
		return 0;
	for (at += mark_len; at < end && isdigit((unsigned char)*at) && cid < UINT64_MAX / 10 - 9; at++)
		cid = cid * 10 + (unsigned)(*at - '0');
	return cid;
}

static size_t
json_line(char *out, size_t size, const struct format *f, const struct line *l)
{
	static const char	 end[] = "\"}\n";
	const unsigned long long cid = line_connection(l);
	char			 time[96] = "", stamp[96], head[384], number[40] = "";
	size_t			 len;

	if (f->style.time)
		snprintf(time, sizeof(time), "\"time\":\"%.80s\",",
		    time_rfc3339(stamp, sizeof(stamp), f->style.utc, true));
	if (cid != 0)
		snprintf(number, sizeof(number), "\"cid\":%llu,", cid);
	len = (size_t)snprintf(head, sizeof(head),
	    "{%s\"level\":\"%s\",\"pid\":%d,\"process\":\"%s\",\"slot\":%u,%s\"text\":\"", time,
	    log_level_name(l->level), l->pid, role_name(l->role), l->slot, number);
	if (size < len + sizeof(end))
		return 0;
	memcpy(out, head, len);
	len += json_text(out + len, size - len - (sizeof(end) - 1), l->text);
	memcpy(out + len, end, sizeof(end) - 1);
	return len + sizeof(end) - 1;
}

/* -- syslog: the very bytes that the 2.x server sends, by way of Go's log/syslog */

/* RFC 3164; months in English, whatever the locale. */
static const char *
time_rfc3164(char *text, size_t size)
{
	static const char	months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
	    "Sep", "Oct", "Nov", "Dec" };
	time_t			now = time(NULL);
	struct tm		t;

	if (localtime_r(&now, &t) == NULL)
		return "Jan  1 00:00:00";
	snprintf(text, size, "%s %2d %02d:%02d:%02d", months[t.tm_mon % 12], t.tm_mday, t.tm_hour,
	    t.tm_min, t.tm_sec);
	return text;
}

static unsigned
severity(enum log_level level)
{
	static const unsigned	 severities[] = {
		[LOG_FATAL] = 2, [LOG_ERROR] = 3, [LOG_WARN] = 4, [LOG_INFO] = 5, [LOG_DEBUG] = 7,
		[LOG_TRACE] = 5,
	};

	return (unsigned)level <= LOG_TRACE ? severities[level] : 5;
}

static size_t
syslog_line(char *out, size_t size, const struct format *f, const struct line *l)
{
	const unsigned	priority = f->facility << 3 | severity(l->level);
	char		time[96], head[512];
	size_t		len;

	if (f->kind == FORMAT_SYSLOG_LOCAL)
		len = (size_t)snprintf(head, sizeof(head), "<%u>%s %s[%d]: ", priority,
		    time_rfc3164(time, sizeof(time)), f->tag, l->pid);
	else
		len = (size_t)snprintf(head, sizeof(head), "<%u>%s %s %s[%d]: ", priority,
		    time_rfc3339(time, sizeof(time), false, false), f->host, f->tag, l->pid);
	if (size < len + 1)
		return 0;
	memcpy(out, head, len);
	len += log_escape(out + len, size - len - 1, l->text);
	out[len++] = '\n';
	return len;
}

size_t
format_line(char *out, size_t size, const struct format *f, const struct line *l)
{
	switch (f->kind) {
	case FORMAT_JSON:
		return json_line(out, size, f, l);
	case FORMAT_SYSLOG_LOCAL:
	case FORMAT_SYSLOG_REMOTE:
		return syslog_line(out, size, f, l);
	case FORMAT_TEXT:
		break;
	}
	return log_format(out, size, &f->style, l->level, l->pid, l->text);
}

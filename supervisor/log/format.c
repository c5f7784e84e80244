#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "supervisor/log/format.h"

/* -- JSON */

/*
 * text as JSON can say it, malloc'd: what is not UTF-8, and what a terminal acts
 * on although JSON lets it pass (DEL, U+0080 to U+009f), becomes a visible \xHH.
 */
static char *
json_clean(struct bytes text, size_t *len)
{
	char		*clean = malloc(4 * text.len + 1), *to = clean;
	unsigned char	 c;
	size_t		 n;

	for (; clean != NULL && text.len > 0; text.data += n, text.len -= n) {
		c = (unsigned char)*text.data;
		n = c < 0x20 ? 1 : log_character(text);
		if (n > 0) {
			memcpy(to, text.data, n);
			to += n;
			continue;
		}
		n = 1;
		to += sprintf(to, "\\x%02x", c);
	}
	*len = (size_t)(to - clean);
	return clean;
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

/* Keys in this order; NULL: no memory. */
static json_t *
json_of(const struct format *f, const struct line *l)
{
	const unsigned long long cid = line_connection(l);
	char			 stamp[96];
	json_t			*o = json_object();
	size_t			 len;
	char			*text = json_clean(l->text, &len);
	int			 rc = o == NULL || text == NULL ? -1 : 0;

	if (rc == 0 && f->style.time)
		rc = json_object_set_new(o, "time",
		    json_string(time_rfc3339(stamp, sizeof(stamp), f->style.utc, true)));
	if (rc == 0)
		rc = json_object_set_new(o, "level", json_string(log_level_name(l->level)));
	if (rc == 0)
		rc = json_object_set_new(o, "pid", json_integer(l->pid));
	if (rc == 0)
		rc = json_object_set_new(o, "process", json_string(role_name(l->role)));
	if (rc == 0)
		rc = json_object_set_new(o, "slot", json_integer(l->slot));
	if (rc == 0 && cid != 0)
		rc = json_object_set_new(o, "cid", json_integer((json_int_t)cid));
	if (rc == 0)
		rc = json_object_set_new(o, "text", json_stringn(text, len));
	free(text);
	if (rc == 0)
		return o;
	json_decref(o);
	return NULL;
}

/* A line for which there is no memory or no room is not left out without a word. */
static size_t
json_line(char *out, size_t size, const struct format *f, const struct line *l)
{
	static const char	 instead[] = "{\"level\":\"ERR\",\"text\":\"no memory for this line\"}\n";
	json_t			*o = json_of(f, l);
	size_t			 len = 0;

	if (o != NULL && size > 0)
		len = json_dumpb(o, out, size - 1, JSON_COMPACT);
	json_decref(o);
	if (len > 0 && len < size) {
		out[len++] = '\n';
		return len;
	}
	if (size < sizeof(instead) - 1)
		return 0;
	memcpy(out, instead, sizeof(instead) - 1);
	return sizeof(instead) - 1;
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

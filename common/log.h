#ifndef COMMON_LOG_H
#define COMMON_LOG_H
/*
 * Lines for the log. Children send them to the log process over a channel of
 * their own, never wait for it, and count what it did not take; before that
 * channel is there, and in the log process, lines go to standard error.
 * The one global of the project: a process has one log.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "common/bytes.h"

enum log_level { LOG_FATAL, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* name: shown in messages of a child's start ("worker"). fd: -1 standard error. */
void log_init(const char *name, int fd);

/* Lines go here from now on; the old descriptor is closed. */
void log_to(int fd);

/* Which of debug and trace are wanted. */
void log_levels(bool debug, bool trace);

/* How many lines of one kind that outsiders can cause are written in a second; 0: all. */
void log_burst(uint64_t most);

bool log_debugs(void);
bool log_traces(void);

/* One line; control characters are escaped where it is written. errno is kept. */
void log_line(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...)	log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)	log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)	log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	do { if (log_debugs()) log_line(LOG_DEBUG, __VA_ARGS__); } while (0)
#define log_trace(...)	do { if (log_traces()) log_line(LOG_TRACE, __VA_ARGS__); } while (0)

/*
 * A line as it is written: "[PID] YYYY/MM/DD hh:mm:ss.uuuuuu [INF] text\n", with
 * what the style has of it. Control characters and what is not UTF-8 are
 * escaped. Returns its length, at most size; cut off text still ends in a
 * newline. No NUL follows. Needs tzset() before the sandbox.
 */
#define LOG_TEXT_MAX	32768			/* bytes of one line's text */
#define LOG_FORMATTED(len)	(4 * (len) + 64)	/* always enough for len bytes of text */
struct log_style {
	bool	time, utc;
	bool	colours;	/* of a terminal, around the level */
};
size_t log_format(char *out, size_t size, const struct log_style *style, enum log_level level,
    int pid, struct bytes text);

/* "INF"; "???" outside of the range. */
const char *log_level_name(enum log_level level);

/* Copy text into out with the escapes of log_format(). Bytes written, at most room. */
size_t log_escape(char *out, size_t room, struct bytes text);

/* Length of the valid UTF-8 character at the start of text, if it is none that controls; else 0. */
size_t log_character(struct bytes text);

/* One short line (up to 200 bytes) from a signal handler. */
void log_from_signal(enum log_level level, struct bytes text);

/* A kind of line that outsiders can cause: at most log_burst() in a second, then
 * one line that says how many were left out. */
#define LOG_BURST	10	/* before the settings are known */
struct log_limit { time_t second; uint64_t written; uint64_t left_out; };
bool log_allows(struct log_limit *limit, const char *kind);

#define log_limited(level, kind, ...) do {				\
	static struct log_limit limit_;					\
	if (log_allows(&limit_, (kind)))				\
		log_line((level), __VA_ARGS__);				\
} while (0)

/* One sentence, then exit(1). Never because of what a message said. */
_Noreturn void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif

#ifndef SUPERVISOR_ROTATION_H
#define SUPERVISOR_ROTATION_H
/*
 * Old logs beside the one in use, named as the 2.x server names them:
 * PATH.2006.01.02.15.04.05.123456789, the local time at which they were full.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

/*
 * Lines for the beginning of the new file, as `log_file` has them: if they went
 * the usual way, they could fill it, and be the reason for the next.
 */
struct rotation_says {
	char	text[16384];
	size_t	len;
};

/* Add a line; one that does not fit is left out. */
void rotation_say(struct rotation_says *says, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The name of an old log that is full now. False: it does not fit. */
bool rotation_name(char *out, size_t size, const char *path);

/* Is `name` that of an old log of `base`, to the letter? */
bool rotation_is_old(const char *name, const char *base);

/* Remove the oldest so that with the one in use `most` are left; says which, and what failed. */
void rotation_purge(const char *path, uint64_t most, struct rotation_says *says);
#endif

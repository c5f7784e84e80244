#include <sys/stat.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "supervisor/errors.h"
#include "supervisor/rotation.h"

struct names { char **items; size_t count; };

void
rotation_say(struct rotation_says *says, enum log_level level, const char *format, ...)
{
	const size_t room = sizeof(says->text) - says->len;
	va_list ap;
	int n;

	if (room < 3)
		return;
	va_start(ap, format);
	n = vsnprintf(says->text + says->len + 1, room - 1, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room - 1)
		return;
	says->text[says->len] = (char)('0' + level);
	says->len += 1 + (size_t)n;
	says->text[says->len++] = '\n';
}

bool
rotation_name(char *out, size_t size, const char *path)
{
	struct timespec now;
	struct tm t;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	if (localtime_r(&now.tv_sec, &t) == NULL)
		return false;
	n = snprintf(out, size, "%s.%04d.%02d.%02d.%02d.%02d.%02d.%09ld", path, t.tm_year + 1900,
	    t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, now.tv_nsec);
	return n > 0 && (size_t)n < size;
}

/* The number of `digits` digits behind a point at *at, which moves behind it; -1: none. */
static long
part_read(const char **at, int digits)
{
	long n = 0;

	if (*(*at)++ != '.')
		return -1;
	for (; digits > 0; digits--, (*at)++) {
		if (!isdigit((unsigned char)**at))
			return -1;
		n = n * 10 + (**at - '0');
	}
	return n;
}

bool
rotation_is_old(const char *name, const char *base)
{
	static const struct { int digits; long least, most; } parts[] = {
		{ 4, 0, 9999 }, { 2, 1, 12 }, { 2, 1, 31 }, { 2, 0, 23 }, { 2, 0, 59 }, { 2, 0, 60 },
		{ 9, 0, 999999999 },
	};
	const size_t len = strlen(base);
	const char *at = name + len;
	size_t i;
	long n;

	if (strncmp(name, base, len) != 0)
		return false;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		n = part_read(&at, parts[i].digits);
		if (n < parts[i].least || n > parts[i].most)
			return false;
	}
	return *at == '\0';
}

static void
names_free(struct names *all)
{
	while (all->count > 0)
		free(all->items[--all->count]);
	free(all->items);
}

/* 0 or -ENOMEM. */
static int
names_add(struct names *all, const char *name)
{
	char **items = reallocarray(all->items, all->count + 1, sizeof(*items));

	if (items == NULL)
		return -ENOMEM;
	all->items = items;
	items[all->count] = strdup(name);
	if (items[all->count] == NULL)
		return -ENOMEM;
	all->count++;
	return 0;
}

static int
names_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The old logs of base in this folder, oldest first: their names sort by time. 0 or -errno. */
static int
names_read(struct names *all, DIR *dir, const char *base)
{
	struct dirent *d;
	struct stat st;
	int rc = 0;

	errno = 0;
	while (rc == 0 && (d = readdir(dir)) != NULL) {
		if (rotation_is_old(d->d_name, base) &&
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			rc = names_add(all, d->d_name);
		errno = 0;
	}
	if (rc == 0)
		rc = -errno;
	if (all->count > 1)
		qsort(all->items, all->count, sizeof(*all->items), names_compare);
	return rc;
}

static DIR *
folder_open(const char *path, const char *slash)
{
	char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	DIR *dir = folder == NULL ? NULL : opendir(folder);
	const int error = errno;

	free(folder);
	errno = error;
	return dir;
}

void
rotation_purge(const char *path, uint64_t most, struct rotation_says *says)
{
	const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
	struct names old = { NULL, 0 };
	DIR *dir = folder_open(path, slash);
	size_t i;
	int rc = dir == NULL ? -errno : names_read(&old, dir, base);

	if (rc != 0)
		rotation_say(says, LOG_ERROR,
		    "the folder of \"%s\" cannot be read (%s): old logs stay until the next one is full",
		    path, error_text(-rc));
	for (i = 0; rc == 0 && most > 0 && i < old.count && old.count - i > most - 1; i++) {
		if (unlinkat(dirfd(dir), old.items[i], 0) == -1) {
			rc = -errno;
			rotation_say(says, LOG_ERROR,
			    "Unable to remove backup log file \"%s\" (%s), will attempt next rotation",
			    old.items[i], error_text(-rc));
		} else
			rotation_say(says, LOG_INFO, "Purged log file \"%s\"", old.items[i]);
	}
	names_free(&old);
	if (dir != NULL)
		closedir(dir);
}

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "supervisor/paths.h"

/* One more part at the end of out, which has no '/' there unless it is the root. */
static size_t
part_add(char *out, size_t len, const char *part, size_t n)
{
	if (len > 0 && out[len - 1] != '/')
		out[len++] = '/';
	memmove(out + len, part, n);
	return len + n;
}

/* Go back over the last part; `..` stays where there is none. */
static size_t
part_remove(char *out, size_t len)
{
	const char *slash = memrchr(out, '/', len);
	size_t last = slash == NULL ? 0 : (size_t)(slash - out) + 1;

	if (len == last && len > 0)
		return len;		/* above the root is the root */
	if (len == 0 || (len - last == 2 && memcmp(out + last, "..", 2) == 0))
		return part_add(out, len, "..", 2);
	return last > 1 ? last - 1 : last;
}

/* In place: what is written is never longer than what was read. */
static void
path_clean(char *path)
{
	const char *at = path;
	size_t len = 0, n;

	if (*at == '/')
		path[len++] = *at++;
	for (; *at != '\0'; at += n + strspn(at + n, "/")) {
		n = strcspn(at, "/");
		if (n == 0 || (n == 1 && *at == '.'))
			continue;
		if (n == 2 && memcmp(at, "..", 2) == 0)
			len = part_remove(path, len);
		else
			len = part_add(path, len, at, n);
	}
	if (len == 0)
		path[len++] = '.';
	path[len] = '\0';
}

int
path_beside(const char *parent, struct bytes path, char *out, size_t size)
{
	const char *slash = strrchr(parent, '/');
	int folder = slash == NULL ? 0 : (int)(slash - parent), n;

	n = snprintf(out, size, "%.*s%s%.*s", folder, parent,
	    slash == NULL ? "./" : "/", (int)path.len, path.data);
	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	path_clean(out);
	return 0;
}

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

bool
path_is_pattern(const char *path)
{
	const char *last = last_part(path), *bracket = strchr(last, '[');

	return strpbrk(last, "*?") != NULL || (bracket != NULL && strchr(bracket, ']') != NULL);
}

int
path_pattern(const char *path, char *out, size_t size)
{
	const char *last = last_part(path);
	size_t n = 0;

	for (; path < last && n + 2 < size; path++) {
		if (strchr("*?[\\", *path) != NULL)
			out[n++] = '\\';
		out[n++] = *path;
	}
	if (path < last || strlen(last) >= size - n)
		return -ENAMETOOLONG;
	memcpy(out + n, last, strlen(last) + 1);
	return 0;
}

#ifndef SUPERVISOR_PATHS_H
#define SUPERVISOR_PATHS_H
/* Paths of included files, as text. */
#include <stddef.h>
#include "common/bytes.h"

#define PATH_TEXT	4097	/* bytes of a path with its NUL */

/*
 * Where `path` is that the file `parent` names: in parent's folder, also with a
 * '/' at its beginning, without "." and ".." that can be resolved without
 * looking. 0, -ENAMETOOLONG.
 */
int path_beside(const char *parent, struct bytes path, char *out, size_t size);

/* Its last part has a '*', a '?' or '[...]' of glob(7). */
bool path_is_pattern(const char *path);

/* As glob(3) takes it, so that only its last part is a pattern. 0, -ENAMETOOLONG. */
int path_pattern(const char *path, char *out, size_t size);
#endif

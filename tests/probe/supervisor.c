/* The supervisor hands on what the probe's children read: BULKHEAD_PROBE and what begins so. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENVIRONMENT_MOST	64

int	__real_execveat(int fd, const char *path, char *const argv[], char *const environment[], int flags);
int	__wrap_execveat(int fd, const char *path, char *const argv[], char *const environment[], int flags);

int
__wrap_execveat(int fd, const char *path, char *const argv[], char *const environment[], int flags)
{
	static char	*all[ENVIRONMENT_MOST + 1];
	size_t		 n = 0;
	char		*const *e;

	for (e = environment; *e != NULL && n < ENVIRONMENT_MOST; e++)
		all[n++] = *e;
	for (e = environ; *e != NULL && n < ENVIRONMENT_MOST; e++)
		if (strncmp(*e, "BULKHEAD_PROBE", 14) == 0)
			all[n++] = *e;
	all[n] = NULL;
	return __real_execveat(fd, path, argv, all, flags);
}

/* Compiled against stub declarations only (tests/stubs/openbsd): nobody has run this yet. */
#include <sys/types.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/process.h"

void
process_name(const char *name)
{
	setproctitle("%s", name);
}

/* There is no such signal: the end of the channel tells (common/child.c). */
void
process_end_with_parent(void)
{
}

/* There are no namespaces. */
pid_t
process_fork(bool apart)
{
	return fork();
}

bool
process_is_first(void)
{
	return false;
}

void
process_end_by_signals(void)
{
}

#include <sys/prctl.h>
#include <signal.h>
#include "common/process.h"

void
process_name(const char *name)
{
	prctl(PR_SET_NAME, name, 0, 0, 0);
}

void
process_end_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

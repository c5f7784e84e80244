#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "supervisor/supervisor.h"
#include "supervisor/usage.h"

void
usage_tell(struct supervisor *s, pid_t pid)
{
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);
	struct msg m = { .type = MSG_process };
	char path[64];
	int fd;

	if (system == NULL)
		return;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return;
	process_send(system, &m, &fd);
	close(fd);
}

void
usage_tell_all(struct supervisor *s)
{
	struct process *p;

	usage_tell(s, getpid());
	PROCESSES_EACH(&s->processes, p)
		if (p->state == PROCESS_READY && p->role != ROLE_CONFIG)
			usage_tell(s, p->pid);
}

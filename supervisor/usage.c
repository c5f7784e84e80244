#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "supervisor/sandboxes.h"
#include "supervisor/supervisor.h"
#include "supervisor/usage.h"

static void
usage_tell(struct process *system, const struct msg_process *facts)
{
	struct msg m = { .type = MSG_process, .u.process = *facts };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)facts->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return;
	process_send(system, &m, &fd);
	close(fd);
}

static void
usage_tell_own(struct process *system)
{
	struct supervisor *s = system->supervisor;

	usage_tell(system, &(struct msg_process){ .role = ROLE_SUPERVISOR, .pid = (uint64_t)getpid(),
	    .started = s->fabric.directory->started, .layers = s->layers & OUR_LAYERS,
	    .possible = OUR_LAYERS });
}

static void
usage_tell_process(struct process *system, const struct process *p)
{
	struct msg gone = { .type = MSG_process_gone, .u.process_gone = { .role = p->role,
	    .slot = p->slot, .restarts = p->deaths, .replaced = p->wanted } };

	if (p->role == ROLE_CONFIG)	/* gone in a moment */
		return;
	if (p->state == PROCESS_READY)
		usage_tell(system, &(struct msg_process){ .role = p->role, .slot = p->slot,
		    .pid = (uint64_t)p->pid, .incarnation = p->incarnation,
		    .started = (uint64_t)(p->started * 1e6), .restarts = p->deaths,
		    .layers = p->layers, .possible = ALL_LAYERS });
	else
		process_send(system, &gone, NULL);
}

void
usage_process_ready(struct process *p)
{
	struct supervisor *s = p->supervisor;
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM), *other;

	if (system == NULL)
		return;
	if (p != system) {
		usage_tell_process(system, p);
		return;
	}
	usage_tell_own(system);
	PROCESSES_EACH(&s->processes, other)
		usage_tell_process(system, other);
}

void
usage_process_gone(struct process *p)
{
	struct process *system = process_serving(&p->supervisor->processes, ROLE_SYSTEM);

	if (system != NULL)
		usage_tell_process(system, p);
}

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "admin/system/usage.h"

/* Fields of /proc/PID/stat behind the name, from 0, which is a letter for its state. */
#define STAT_USER	11
#define STAT_SYSTEM	12
#define STAT_RESIDENT	21

static double
now(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The text of /proc/PID/stat behind the name. NULL: the process is gone. */
static const char *
stat_fields(const struct usage_process *p, char *text, size_t size)
{
	ssize_t n = p->fd == -1 ? 0 : pread(p->fd, text, size - 1, 0);
	char *end;

	if (n <= 0)
		return NULL;
	text[n] = '\0';
	end = strrchr(text, ')');	/* the name is in parentheses, and may hold any */
	return end == NULL || end[1] == '\0' ? NULL : end + 2;
}

static uint64_t
stat_field(const char *fields, int field)
{
	for (; fields != NULL && field > 0; field--)
		if ((fields = strchr(fields, ' ')) != NULL)
			fields++;
	return fields == NULL ? 0 : strtoull(fields, NULL, 10);
}

bool
usage_read(struct usage *u, struct usage_process *p, struct usage_now *now)
{
	const char *fields;
	char text[1024];

	fields = stat_fields(p, text, sizeof(text));
	if (fields == NULL) {
		if (p->fd != -1)
			close(p->fd);
		p->fd = -1;
		return false;
	}
	*now = (struct usage_now){
		.cpu = (double)(stat_field(fields, STAT_USER) + stat_field(fields, STAT_SYSTEM)) / (double)u->ticks,
		.memory = stat_field(fields, STAT_RESIDENT) * (uint64_t)u->page,
		.stopped = *fields == 'T' || *fields == 't',
	};
	return true;
}

void
usage_init(struct usage *u)
{
	*u = (struct usage){
		.page = sysconf(_SC_PAGESIZE), .ticks = sysconf(_SC_CLK_TCK), .seen = now(),
	};
}

void
usage_free(struct usage *u)
{
	size_t i;

	for (i = 0; i < u->count; i++)
		if (u->processes[i].fd != -1)
			close(u->processes[i].fd);
	free(u->processes);
	u->processes = NULL;
	u->count = u->room = 0;
}

/* Where that place is, or would be: they are in order. */
static size_t
usage_place(const struct usage *u, uint64_t role, uint64_t slot)
{
	const struct msg_process *f;
	size_t i;

	for (i = 0; i < u->count; i++) {
		f = &u->processes[i].facts;
		if (f->role > role || (f->role == role && f->slot >= slot))
			break;
	}
	return i;
}

/* The entry of that place, a new one if there is none, with this descriptor. 0; -errno. */
static int
usage_put(struct usage *u, const struct msg_process *facts, int fd, struct usage_process **out)
{
	size_t i = usage_place(u, facts->role, facts->slot), room = u->room == 0 ? 16 : u->room * 2;
	struct usage_process *p;

	if (i == u->count || u->processes[i].facts.role != facts->role ||
	    u->processes[i].facts.slot != facts->slot) {
		if (u->count == USAGE_MAX)
			return -ENOSPC;
		if (u->count == u->room) {
			p = reallocarray(u->processes, room, sizeof(*p));
			if (p == NULL)
				return -ENOMEM;
			u->processes = p;
			u->room = room;
		}
		memmove(&u->processes[i + 1], &u->processes[i], (u->count++ - i) * sizeof(*p));
		u->processes[i].fd = -1;
	}
	p = &u->processes[i];
	if (p->fd != -1)
		close(p->fd);
	*p = (struct usage_process){ .facts = *facts, .fd = fd };
	*out = p;
	return 0;
}

int
usage_add(struct usage *u, const struct msg_process *facts, int fd)
{
	struct usage_process *p;
	struct usage_now first;
	int rc = usage_put(u, facts, fd, &p);

	if (rc != 0)
		close(fd);
	else if (usage_read(u, p, &first))
		p->cpu = first.cpu;
	return rc;
}

int
usage_gone(struct usage *u, const struct msg_process_gone *gone)
{
	const struct msg_process facts = { .role = gone->role, .slot = gone->slot,
	    .restarts = gone->restarts };
	struct usage_process *p;
	size_t i;
	int rc = usage_put(u, &facts, -1, &p);

	if (rc != 0 || gone->replaced)
		return rc;
	i = (size_t)(p - u->processes);
	memmove(p, p + 1, (--u->count - i) * sizeof(*p));
	return 0;
}

uint64_t
usage_memory(struct usage *u)
{
	struct usage_now one;
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < u->count; i++)
		if (usage_read(u, &u->processes[i], &one))
			bytes += one.memory;
	return bytes;
}

double
usage_percent(struct usage *u)
{
	double seen = now(), used = 0, percent;
	struct usage_process *p;
	struct usage_now one;
	size_t i;

	for (i = 0; i < u->count; i++) {
		p = &u->processes[i];
		if (!usage_read(u, p, &one))
			continue;
		used += one.cpu > p->cpu ? one.cpu - p->cpu : 0;
		p->cpu = one.cpu;
	}
	percent = seen > u->seen ? used / (seen - u->seen) * 100 : 0;
	u->seen = seen;
	return (double)(uint64_t)(percent * 10 + 0.5) / 10;
}

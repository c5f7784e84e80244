#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "admin/system/usage.h"

/* Fields of /proc/PID/stat behind the name, from 0. */
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
	ssize_t n = pread(p->fd, text, size - 1, 0);

	if (n <= 0)
		return NULL;
	text[n] = '\0';
	return strrchr(text, ')');	/* the name is in parentheses, and may hold any */
}

static uint64_t
stat_field(const char *fields, int field)
{
	int i;

	for (i = -1; fields != NULL && i < field; i++)
		if ((fields = strchr(fields, ' ')) != NULL)
			fields++;
	return fields == NULL ? 0 : strtoull(fields, NULL, 10);
}

static double
cpu_seconds(const struct usage *u, const char *fields)
{
	return (double)(stat_field(fields, STAT_USER) + stat_field(fields, STAT_SYSTEM)) /
	    (double)u->ticks;
}

static void
usage_drop(struct usage *u, size_t i)
{
	close(u->processes[i].fd);
	u->processes[i] = u->processes[--u->count];
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
	while (u->count > 0)
		usage_drop(u, u->count - 1);
	free(u->processes);
	u->processes = NULL;
	u->room = 0;
}

int
usage_add(struct usage *u, int fd)
{
	struct usage_process	*grown;
	char			 text[1024];
	size_t			 room = u->room == 0 ? 16 : u->room * 2;

	usage_memory(u);	/* forgets those that ended: a new one often takes the place of one */
	if (u->count == USAGE_MAX) {
		close(fd);
		return -ENOSPC;
	}
	if (u->count == u->room) {
		grown = reallocarray(u->processes, room, sizeof(*grown));
		if (grown == NULL) {
			close(fd);
			return -ENOMEM;
		}
		u->processes = grown;
		u->room = room;
	}
	u->processes[u->count] = (struct usage_process){ .fd = fd };
	u->processes[u->count].cpu = cpu_seconds(u, stat_fields(&u->processes[u->count], text, sizeof(text)));
	u->count++;
	return 0;
}

uint64_t
usage_memory(struct usage *u)
{
	const char	*fields;
	char		 text[1024];
	uint64_t	 pages = 0;
	size_t		 i = 0;

	while (i < u->count) {
		fields = stat_fields(&u->processes[i], text, sizeof(text));
		if (fields == NULL) {
			usage_drop(u, i);
			continue;
		}
		pages += stat_field(fields, STAT_RESIDENT);
		i++;
	}
	return pages * (uint64_t)u->page;
}

double
usage_percent(struct usage *u)
{
	double		 seen = now(), cpu, used = 0, percent;
	const char	*fields;
	char		 text[1024];
	size_t		 i;

	for (i = 0; i < u->count; i++) {
		fields = stat_fields(&u->processes[i], text, sizeof(text));
		if (fields == NULL)
			continue;
		cpu = cpu_seconds(u, fields);
		used += cpu > u->processes[i].cpu ? cpu - u->processes[i].cpu : 0;
		u->processes[i].cpu = cpu;
	}
	percent = seen > u->seen ? used / (seen - u->seen) * 100 : 0;
	u->seen = seen;
	return (double)(uint64_t)(percent * 10 + 0.5) / 10;
}

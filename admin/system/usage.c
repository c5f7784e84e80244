#include <fcntl.h>
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

/* One field; 0 if it cannot be read. */
static uint64_t
stat_field(const struct usage *u, int field)
{
	char	 text[1024], *at;
	ssize_t	 n;
	int	 i;

	n = u->fd == -1 ? -1 : pread(u->fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strrchr(text, ')');	/* the name is in parentheses, and may hold any */
	for (i = -1; at != NULL && i < field; i++)
		if ((at = strchr(at, ' ')) != NULL)
			at++;
	return at == NULL ? 0 : strtoull(at, NULL, 10);
}

static double
cpu_seconds(const struct usage *u)
{
	return (double)(stat_field(u, STAT_USER) + stat_field(u, STAT_SYSTEM)) / (double)u->ticks;
}

void
usage_open(struct usage *u)
{
	u->fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	u->page = sysconf(_SC_PAGESIZE);
	u->ticks = sysconf(_SC_CLK_TCK);
	u->seen = now();
	u->cpu = cpu_seconds(u);
}

void
usage_close(struct usage *u)
{
	if (u->fd != -1)
		close(u->fd);
	u->fd = -1;
}

uint64_t
usage_memory(const struct usage *u)
{
	return stat_field(u, STAT_RESIDENT) * (uint64_t)u->page;
}

double
usage_percent(struct usage *u)
{
	double	seen = now(), cpu = cpu_seconds(u), percent;

	percent = seen > u->seen ? (cpu - u->cpu) / (seen - u->seen) * 100 : 0;
	u->seen = seen;
	u->cpu = cpu;
	return percent < 0 ? 0 : (double)(uint64_t)(percent * 10 + 0.5) / 10;
}

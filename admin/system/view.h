#ifndef SYSTEM_VIEW_H
#define SYSTEM_VIEW_H
/*
 * What system sees of the server: the supervisor's directory, and the tables
 * of each worker, mapped read-only. Every value in tables is written by a
 * process that may have been taken over: it is loaded once, clamped, and
 * never used as a place to look.
 */
#include <stdint.h>
#include "shm/directory.h"
#include "shm/segment.h"
#include "shm/tables.h"

struct view {
	struct segment	directory;			/* base NULL: not yet there */
	struct {
		uint64_t	incarnation;		/* 0: nobody */
		struct segment	tables;
	}		workers[PARTICIPANTS];
	unsigned	live;				/* workers with tables */
};

/* Counters over all workers, with those that are gone; each at most INT64_MAX. */
struct totals {
	uint64_t	in_msgs, in_bytes, out_msgs, out_bytes;
	uint64_t	subscriptions, slow_consumers, stale_connections, stalled;
	uint64_t	over_limit[LIMITS];	/* those of accounts and users */
	uint64_t	connections, total_connections, replaced, started;
};

/* fd is consumed. 0 or -errno of segment_map_peer(). */
int view_directory(struct view *v, int fd);
/* The same for the tables of a worker, in place of what that slot had. */
int view_tables(struct view *v, unsigned slot, uint64_t incarnation, int fd);
/* That worker is gone; another incarnation in its slot stays. */
void view_tables_gone(struct view *v, unsigned slot, uint64_t incarnation);
/* Unmap everything. */
void view_free(struct view *v);

/* The sum of what all show now, with what the departed left in the directory. */
void view_totals(const struct view *v, struct totals *t);
#endif

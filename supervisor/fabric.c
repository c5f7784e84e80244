#include <sys/eventfd.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/log.h"
#include "shm/index.h"
#include "shm/ring.h"
#include "shm/tables.h"
#include "supervisor/accounts.h"
#include "supervisor/supervisor.h"

#define BULK_LEAST	((size_t)65536)
#define BULK_MOST	((size_t)1 << 30)
#define SMALL_LEAST	((size_t)4096)
#define SMALL_MOST	((size_t)1 << 24)

#define COUNTER_MOST	((uint64_t)1 << 62)	/* what a dead worker may claim */

#define COMPLAINTS_MOST		10	/* of one worker ... */
#define COMPLAINTS_WINDOW	60.0	/* ... in so many seconds */

static const struct link link_none = { .fd = -1 };

static void fabric_serve_if_joined(struct supervisor *s, unsigned number);

static void
fd_drop(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* What a process is among the participants. */
static unsigned
number_of(const struct process *p)
{
	return p->role == ROLE_SYSTEM ? PARTICIPANT_SYSTEM : p->slot;
}

static struct participant *
participant_of(struct process *p)
{
	return &p->supervisor->fabric.participants[number_of(p)];
}

/* The process of this number if it is this incarnation and part of the fabric. */
static struct process *
participant_find(struct supervisor *s, uint64_t number, uint64_t incarnation)
{
	struct process *p = number < PARTICIPANTS ? s->fabric.participants[number].process : NULL;

	return p != NULL && p->incarnation == incarnation ? p : NULL;
}

/* Another that p speaks of. 1; 0: it died meanwhile; -EBADMSG: p cannot have been told of it. */
static int
peer_check(const struct process *p, uint64_t number, uint64_t incarnation)
{
	struct supervisor *s = p->supervisor;

	if ((number >= s->workers && number != PARTICIPANT_SYSTEM) || number == number_of(p) ||
	    incarnation > s->incarnations)
		return -EBADMSG;
	return participant_find(s, number, incarnation) != NULL;
}

size_t
fabric_ring_size(unsigned participants, uint64_t wanted)
{
	size_t size = BULK_LEAST;

	if (wanted == 0)
		return participants <= 4 ? 1u << 20 : participants <= 8 ? 1u << 19 : 1u << 18;
	while (size < wanted && size < BULK_MOST)
		size *= 2;
	return size;
}

static size_t
small_size(size_t bulk)
{
	size_t small = bulk / 16;

	return small < SMALL_LEAST ? SMALL_LEAST : small > SMALL_MOST ? SMALL_MOST : small;
}

static uint64_t
microseconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
fabric_impatient(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct process *p = w->data;

	ev_timer_stop(loop, w);
	fabric_serve_if_joined(p->supervisor, number_of(p));
}

static void
fabric_rested(struct ev_loop *loop, ev_timer *w, int revents)
{
	/* whoever waits for it asks again */
}

int
fabric_init(struct supervisor *s)
{
	struct fabric *f = &s->fabric;
	unsigned i, j;
	int rc, own;

	for (i = 0; i < PARTICIPANTS; i++) {
		f->participants[i] = (struct participant){ .partition = -1, .tables = -1,
		    .new_partition = -1, .new_tables = -1 };
		ev_init(&f->participants[i].patience, fabric_impatient);
		ev_init(&f->participants[i].rest, fabric_rested);
		for (j = 0; j < PARTICIPANTS; j++)
			f->links[i][j] = link_none;
	}
	f->bulk = fabric_ring_size(s->workers, s->settings.ring_size);
	f->small = small_size(f->bulk);
	arc4random_buf(f->secret, sizeof(f->secret));

	f->directory_fd = segment_create("bulkhead-directory", DIRECTORY_SIZE);
	if (f->directory_fd < 0)
		return f->directory_fd;
	own = fcntl(f->directory_fd, F_DUPFD_CLOEXEC, 0);
	if (own == -1)
		return -errno;
	rc = segment_map_own(&f->segment, own, DIRECTORY_SIZE);
	if (rc != 0)
		return rc;
	f->directory = f->segment.base;
	atomic_store_explicit(&f->directory->started, microseconds_now(), memory_order_relaxed);
	return 0;
}

static void
participant_clear(struct supervisor *s, struct participant *x)
{
	ev_timer_stop(s->loop, &x->patience);
	ev_timer_stop(s->loop, &x->rest);
	fd_drop(&x->partition);
	fd_drop(&x->tables);
	fd_drop(&x->new_partition);
	fd_drop(&x->new_tables);
	x->process = NULL;
	x->sealed = x->serving = x->compacting = x->replacing = false;
	x->generation = 0;
}

static void
links_clear(struct fabric *f, unsigned number)
{
	unsigned i;

	for (i = 0; i < PARTICIPANTS; i++) {
		fd_drop(&f->links[number][i].fd);
		fd_drop(&f->links[i][number].fd);
		f->links[number][i] = f->links[i][number] = link_none;
	}
}

void
fabric_free(struct supervisor *s)
{
	struct fabric *f = &s->fabric;
	unsigned i;

	if (f->directory == NULL)
		return;
	for (i = 0; i < PARTICIPANTS; i++) {
		participant_clear(s, &f->participants[i]);
		links_clear(f, i);
	}
	segment_unmap(&f->segment);
	f->directory = NULL;
	fd_drop(&f->directory_fd);
	explicit_bzero(f->secret, sizeof(f->secret));
}

/* A partition and its tables. 0 or -errno: none. */
static int
segments_create(int *partition, int *tables)
{
	int rc;

	*partition = segment_create("bulkhead-partition", INDEX_SIZE);
	if (*partition < 0) {
		rc = *partition;
		*partition = -1;
		return rc;
	}
	*tables = segment_create("bulkhead-tables", TABLES_SIZE);
	if (*tables < 0) {
		rc = *tables;
		*tables = -1;
		fd_drop(partition);
		return rc;
	}
	return 0;
}

static void
segments_send(struct process *p, int partition, int tables, uint64_t generation)
{
	struct fabric *f = &p->supervisor->fabric;
	struct msg m = { .type = MSG_segments, .u.segments = { .generation = generation,
	    .secret = { (const char *)f->secret, sizeof(f->secret) } } };
	int fds[3] = { f->directory_fd, partition, tables };

	process_send(p, &m, fds);
}

static void
lane_send(struct process *p, const struct process *peer, int segment, int wake_peer, int wake_us)
{
	struct fabric *f = &p->supervisor->fabric;
	struct msg m = { .type = MSG_lane, .u.lane = { .peer = number_of(peer),
	    .incarnation = peer->incarnation, .bulk = f->bulk, .small = f->small } };
	int fds[3] = { segment, wake_peer, wake_us };

	process_send(p, &m, fds);
}

/* Step 3 for one pair: a segment for each side, an eventfd for each direction. 0 or -errno. */
static int
lane_create(struct process *a, struct process *b)
{
	struct fabric *f = &a->supervisor->fabric;
	struct link *from_a = &f->links[number_of(a)][number_of(b)];
	struct link *from_b = &f->links[number_of(b)][number_of(a)];
	int wakes_a, wakes_b, rc = 0;

	wakes_a = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	wakes_b = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (wakes_a == -1 || wakes_b == -1) {
		rc = -errno;
		goto out;
	}
	*from_a = *from_b = link_none;
	from_a->fd = segment_create("bulkhead-lane", LANE_SIZE(f->bulk, f->small));
	from_b->fd = segment_create("bulkhead-lane", LANE_SIZE(f->bulk, f->small));
	if (from_a->fd < 0 || from_b->fd < 0) {
		rc = from_a->fd < 0 ? from_a->fd : from_b->fd;
		from_a->fd = from_a->fd < 0 ? -1 : from_a->fd;
		from_b->fd = from_b->fd < 0 ? -1 : from_b->fd;
		goto out;
	}
	lane_send(a, b, from_a->fd, wakes_b, wakes_a);
	lane_send(b, a, from_b->fd, wakes_a, wakes_b);
 out:
	fd_drop(&wakes_a);
	fd_drop(&wakes_b);
	return rc;
}

void
fabric_join(struct process *p)
{
	struct supervisor *s = p->supervisor;
	struct participant *x = participant_of(p);
	unsigned i;
	int rc;

	rc = segments_create(&x->partition, &x->tables);
	if (rc != 0) {
		process_kill(p, "no segments for it: %s", strerror(-rc));
		return;
	}
	x->process = p;
	segments_send(p, x->partition, x->tables, 0);
	for (i = 0; i < PARTICIPANTS; i++) {
		struct process *other = s->fabric.participants[i].process;
		if (other == NULL || other == p || other->state != PROCESS_READY)
			continue;
		rc = lane_create(p, other);
		if (rc != 0) {
			process_kill(p, "no lane between it and %s %u: %s",
			    role_name(other->role), other->slot, strerror(-rc));
			return;
		}
	}
	accounts_enter(s, number_of(p));
	x->patience.data = p;
	ev_timer_set(&x->patience, FABRIC_PATIENCE, 0);
	ev_timer_start(s->loop, &x->patience);
}

/* Step 4: y learns of x when x's partition and lane are sealed. */
static void
fabric_tell(struct supervisor *s, unsigned x, unsigned y)
{
	struct fabric *f = &s->fabric;
	struct participant *from = &f->participants[x], *to = &f->participants[y];
	struct link *link = &f->links[x][y];
	struct msg m = { .type = MSG_peer, .u.peer = { .peer = x } };
	int fds[2] = { from->partition, link->fd };

	if (x == y || to->process == NULL || !from->sealed || !link->sealed || link->told)
		return;
	m.u.peer.incarnation = from->process->incarnation;
	process_send(to->process, &m, fds);
	link->told = true;
	fd_drop(&link->fd);
}

static void
system_tell_tables(struct supervisor *s, const struct participant *x)
{
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);
	struct msg m = { .type = MSG_tables };

	if (system == NULL || !x->sealed || x->process->role != ROLE_WORKER)
		return;
	m.u.tables.slot = x->process->slot;
	m.u.tables.incarnation = x->process->incarnation;
	process_send(system, &m, &x->tables);
}

void
fabric_tell_system(struct supervisor *s)
{
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);
	struct msg m = { .type = MSG_server };
	unsigned i;

	if (system == NULL)
		return;
	process_send(system, &m, &s->fabric.directory_fd);
	for (i = 0; i < PARTICIPANTS; i++)
		system_tell_tables(s, &s->fabric.participants[i]);
}

/* Has everybody who was there answered? */
static bool
participant_joined(const struct fabric *f, unsigned number)
{
	unsigned i;

	for (i = 0; i < PARTICIPANTS; i++) {
		const struct participant *other = &f->participants[i];
		if (i == number || other->process == NULL || other->process->state != PROCESS_READY)
			continue;
		if (!f->links[number][i].joined || !f->links[i][number].joined)
			return false;
	}
	return true;
}

/* Step 5. */
static void
fabric_serve_if_joined(struct supervisor *s, unsigned number)
{
	struct participant *x = &s->fabric.participants[number];

	if (x->process == NULL || x->process->state != PROCESS_READY || !x->sealed || x->serving)
		return;
	if (ev_is_active(&x->patience) && !participant_joined(&s->fabric, number))
		return;
	ev_timer_stop(s->loop, &x->patience);
	x->serving = true;
	if (x->process->role == ROLE_WORKER)
		placement_serve(s, x->process->slot);
	startup_served_if_ready(s);
}

bool
fabric_serves(const struct fabric *f)
{
	unsigned i, serving = 0;

	for (i = 0; i < PARTICIPANTS; i++) {
		if (f->participants[i].process != NULL && !f->participants[i].serving)
			return false;
		serving += f->participants[i].serving;
	}
	return serving > 0;
}

static void
fabric_serve_all_joined(struct supervisor *s)
{
	unsigned i;

	for (i = 0; i < PARTICIPANTS; i++)
		fabric_serve_if_joined(s, i);
}

/* ---- compaction */

/* All peers read the new partition: the old one is nobody's. */
static void
compaction_end_if_read(struct supervisor *s, unsigned number)
{
	struct participant *x = &s->fabric.participants[number];
	struct msg m = { .type = MSG_compacted };
	unsigned i;

	if (!x->replacing)
		return;
	for (i = 0; i < PARTICIPANTS; i++)
		if (s->fabric.links[number][i].rereads)
			return;
	x->compacting = x->replacing = false;
	m.u.compacted.generation = x->generation;
	process_send(x->process, &m, NULL);
}

/* The owner filled its new segments: they take the old ones' place. */
static void
compaction_replace(struct supervisor *s, unsigned number)
{
	struct fabric *f = &s->fabric;
	struct participant *x = &f->participants[number];
	struct msg m = { .type = MSG_partition };
	unsigned i;

	fd_drop(&x->partition);
	fd_drop(&x->tables);
	x->partition = x->new_partition;
	x->tables = x->new_tables;
	x->new_partition = x->new_tables = -1;
	x->generation++;
	x->replacing = true;

	m.u.partition.peer = number;
	m.u.partition.incarnation = x->process->incarnation;
	m.u.partition.generation = x->generation;
	for (i = 0; i < PARTICIPANTS; i++) {
		if (f->participants[i].process == NULL || !f->links[number][i].told)
			continue;	/* learns of it by `peer` */
		f->links[number][i].rereads = true;
		process_send(f->participants[i].process, &m, &x->partition);
	}
	system_tell_tables(s, x);
	compaction_end_if_read(s, number);
}

static void
compaction_refuse(struct process *p)
{
	struct msg m = { .type = MSG_compaction_refused };

	process_send(p, &m, NULL);
}

/* However often it asks, it is given segments once in FABRIC_REST. */
static int
compaction_begin(struct process *p)
{
	struct participant *x = participant_of(p);
	struct ev_loop *loop = p->supervisor->loop;
	int rc;

	if (!x->sealed || x->compacting)
		return -EBADMSG;
	if (ev_is_active(&x->rest)) {
		compaction_refuse(p);
		return 0;
	}
	ev_timer_set(&x->rest, FABRIC_REST, 0);
	ev_timer_start(loop, &x->rest);
	rc = segments_create(&x->new_partition, &x->new_tables);
	if (rc != 0) {
		log_limited(LOG_WARN, "compactions", "no segments to compact %s %u into: %s",
		    role_name(p->role), p->slot, strerror(-rc));
		compaction_refuse(p);
		return 0;
	}
	x->compacting = true;
	segments_send(p, x->new_partition, x->new_tables, x->generation + 1);
	return 0;
}

/* It stays in its old segments; the new ones nobody has seen. */
static int
compaction_failed(struct process *p, uint64_t generation)
{
	struct participant *x = participant_of(p);

	if (!x->compacting || x->replacing || generation != x->generation + 1)
		return -EBADMSG;
	fd_drop(&x->new_partition);
	fd_drop(&x->new_tables);
	x->compacting = false;
	return 0;
}

/* ---- what participants say */

static int
segments_check(int partition, int tables)
{
	int rc = segment_check(partition, INDEX_SIZE);

	return rc != 0 ? rc : segment_check(tables, TABLES_SIZE);
}

static int
fabric_sealed(struct process *p, uint64_t generation)
{
	struct supervisor *s = p->supervisor;
	struct participant *x = participant_of(p);
	unsigned i;
	int rc;

	if (x->sealed) {
		if (!x->compacting || x->replacing || generation != x->generation + 1)
			return -EBADMSG;
		rc = segments_check(x->new_partition, x->new_tables);
		if (rc == 0)
			compaction_replace(s, number_of(p));
		return rc;
	}
	if (generation != 0)
		return -EBADMSG;
	rc = segments_check(x->partition, x->tables);
	if (rc != 0)
		return rc;
	x->sealed = true;
	for (i = 0; i < PARTICIPANTS; i++)
		fabric_tell(s, number_of(p), i);
	system_tell_tables(s, x);
	fabric_serve_if_joined(s, number_of(p));
	return 0;
}

static int
fabric_lane_sealed(struct process *p, const struct msg_lane_sealed *m)
{
	struct supervisor *s = p->supervisor;
	struct link *link;
	int rc = peer_check(p, m->peer, m->incarnation);

	if (rc <= 0)
		return rc;
	link = &s->fabric.links[number_of(p)][m->peer];
	if (link->fd == -1 || link->sealed)
		return -EBADMSG;
	rc = segment_check(link->fd, LANE_SIZE(s->fabric.bulk, s->fabric.small));
	if (rc != 0)
		return rc;
	link->sealed = true;
	fabric_tell(s, number_of(p), (unsigned)m->peer);
	return 0;
}

static int
fabric_joined(struct process *p, const struct msg_joined *m)
{
	struct supervisor *s = p->supervisor;
	struct link *link;
	int rc = peer_check(p, m->peer, m->incarnation);

	if (rc <= 0)
		return rc;
	link = &s->fabric.links[m->peer][number_of(p)];
	if (!link->told || link->joined)
		return -EBADMSG;
	link->joined = true;
	fabric_serve_if_joined(s, number_of(p));
	fabric_serve_if_joined(s, (unsigned)m->peer);
	return 0;
}

static int
fabric_partition_read(struct process *p, const struct msg_partition_read *m)
{
	struct supervisor *s = p->supervisor;
	struct link *link;
	int rc = peer_check(p, m->peer, m->incarnation);

	if (rc <= 0)
		return rc;
	link = &s->fabric.links[m->peer][number_of(p)];
	if (!link->rereads || m->generation != s->fabric.participants[m->peer].generation)
		return -EBADMSG;
	link->rereads = false;
	compaction_end_if_read(s, (unsigned)m->peer);
	return 0;
}

/*
 * A participant says that another breaks their lane, or leaves it full. It is
 * believed: whoever is accused wrongly loses its clients once, so who accuses
 * many is ended itself.
 */
static int
fabric_complaint(struct process *p, const struct msg_complaint *m)
{
	struct supervisor *s = p->supervisor;
	struct process *accused = participant_find(s, m->peer, m->incarnation);
	ev_tstamp now = ev_now(s->loop);
	int rc = peer_check(p, m->peer, m->incarnation);

	if (rc <= 0)
		return rc;
	if (accused->state != PROCESS_READY)
		return 0;	/* ended already */
	if (now - p->complained > COMPLAINTS_WINDOW) {
		p->complained = now;
		p->complaints = 0;
	}
	log_warn("%s %u complains about %s %u: %.*s", role_name(p->role), p->slot,
	    role_name(accused->role), accused->slot, (int)m->what.len, m->what.data);
	if (++p->complaints > COMPLAINTS_MOST) {
		process_kill(p, "it complained about others more than %d times in %g s",
		    COMPLAINTS_MOST, COMPLAINTS_WINDOW);
		return 0;
	}
	if (m->hung)
		process_kill(accused, "%s it leaves its lane from %s %u full",
		    accused->stopped ? "it is stopped and" : "it does not respond:",
		    role_name(p->role), p->slot);
	else
		process_kill(accused, "it broke the rules of its lane to %s %u: %.*s",
		    role_name(p->role), p->slot, (int)m->what.len, m->what.data);
	return 0;
}

int
fabric_receive(struct process *p, const struct msg *m)
{
	if (participant_of(p)->process != p)
		return p->state == PROCESS_ENDING ? 0 : -EBADMSG;
	switch (m->type) {
	case MSG_sealed:
		return fabric_sealed(p, m->u.sealed.generation);
	case MSG_lane_sealed:
		return fabric_lane_sealed(p, &m->u.lane_sealed);
	case MSG_joined:
		return fabric_joined(p, &m->u.joined);
	case MSG_partition_read:
		return fabric_partition_read(p, &m->u.partition_read);
	case MSG_compact:
		return compaction_begin(p);
	case MSG_compaction_failed:
		return compaction_failed(p, m->u.compaction_failed.generation);
	case MSG_complaint:
		return fabric_complaint(p, &m->u.complaint);
	default:
		return -EBADMSG;
	}
}

/* ---- the end of one */

static void
departed_add(_Atomic uint64_t *total, _Atomic uint64_t *claimed)
{
	uint64_t n = atomic_load_explicit(claimed, memory_order_relaxed);
	uint64_t sum = atomic_load_explicit(total, memory_order_relaxed);

	if (n > COUNTER_MOST)
		n = COUNTER_MOST;
	if (sum + n > COUNTER_MOST * 2)
		n = COUNTER_MOST * 2 - sum;
	atomic_store_explicit(total, sum + n, memory_order_relaxed);
}

/* Its counters outlive it, as far as they can be believed. */
static void
departed_count(struct fabric *f, struct participant *x)
{
	struct departed *d = &f->directory->departed;
	struct tables_head *h;
	struct segment seg;
	int fd, rc;

	if (!x->sealed)
		return;
	fd = fcntl(x->tables, F_DUPFD_CLOEXEC, 0);
	rc = fd == -1 ? -errno : segment_map_peer(&seg, fd, TABLES_SIZE);
	if (rc != 0) {
		log_warn("the counters of a dead worker are lost: %s", strerror(-rc));
		return;
	}
	h = tables_head(seg.base);
	departed_add(&d->in_msgs, &h->in_msgs);
	departed_add(&d->in_bytes, &h->in_bytes);
	departed_add(&d->out_msgs, &h->out_msgs);
	departed_add(&d->out_bytes, &h->out_bytes);
	departed_add(&d->slow_consumers, &h->slow_consumers);
	departed_add(&d->stale_connections, &h->stale_connections);
	departed_add(&d->stalled, &h->stalled);
	for (unsigned i = 0; i < LIMITS; i++)
		departed_add(&d->over_limit[i], &h->over_limit[i]);
	segment_unmap(&seg);
}

static void
fabric_tell_gone(struct supervisor *s, const struct process *p, bool tables)
{
	struct msg gone = { .type = MSG_peer_gone, .u.peer_gone = {
	    .peer = number_of(p), .incarnation = p->incarnation } };
	struct msg m = { .type = MSG_tables_gone, .u.tables_gone = {
	    .slot = p->slot, .incarnation = p->incarnation } };
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);
	unsigned i;

	for (i = 0; i < PARTICIPANTS; i++)
		if (s->fabric.participants[i].process != NULL)
			process_send(s->fabric.participants[i].process, &gone, NULL);
	if (tables && system != NULL)
		process_send(system, &m, NULL);
}

void
fabric_leave(struct process *p)
{
	struct supervisor *s = p->supervisor;
	struct participant *x = participant_of(p);
	bool sealed = x->sealed;
	unsigned i;

	if (x->process != p) {
		participant_clear(s, x);	/* what fabric_join() could not finish */
		return;
	}
	accounts_leave(s, number_of(p));
	if (p->role == ROLE_WORKER)
		departed_count(&s->fabric, x);
	participant_clear(s, x);
	links_clear(&s->fabric, number_of(p));
	fabric_tell_gone(s, p, sealed && p->role == ROLE_WORKER);
	for (i = 0; i < PARTICIPANTS; i++)
		compaction_end_if_read(s, i);
	fabric_serve_all_joined(s);
}

#include <sys/resource.h>
#include <sys/socket.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/supervisor.h"

#define WORKERS_MOST	8	/* by default */
#define CIDS_A_MESSAGE	1024u	/* messages.def: close_clients */

unsigned
placement_workers(void)
{
	cpu_set_t set;
	int n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > WORKERS_MOST ? WORKERS_MOST : (unsigned)n;
}

uint64_t
placement_most(uint64_t descriptors, unsigned workers)
{
	/* its loop, channels, two for each lane, those it is just closing or refusing */
	uint64_t own = 64 + 4 * (uint64_t)workers + PLACEMENT_WINDOW;

	if (descriptors > 2 * own)
		return descriptors - own;
	return descriptors < 4 ? 1 : descriptors / 4;
}

static void
load_impatient(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct load *load = w->data;

	ev_timer_stop(loop, w);
	process_kill(load->process, "it did not take a connection within watchdog (%g s)",
	    load->supervisor->settings.watchdog);
	listeners_update(load->supervisor);
}

static void placement_tls_told(struct ev_loop *loop, ev_timer *w, int revents);

int
placement_init(struct supervisor *s, unsigned workers)
{
	struct placement *pl = &s->placement;
	struct rlimit files;
	unsigned i;

	*pl = (struct placement){ .workers = workers, .most = UINT64_MAX };
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
		pl->most = placement_most(files.rlim_cur, workers);
	ev_init(&pl->tls_told, placement_tls_told);
	pl->tls_told.data = s;
	connections_init(&pl->connections);
	addresses_init(&pl->addresses);
	pl->loads = calloc(workers, sizeof(*pl->loads));
	if (pl->loads == NULL)
		return -ENOMEM;
	for (i = 0; i < workers; i++) {
		struct load *load = &pl->loads[i];
		load->supervisor = s;
		ev_init(&load->patience, load_impatient);
		load->patience.data = load;
		load->arrivals = calloc(PLACEMENT_WINDOW, sizeof(*load->arrivals));
		if (load->arrivals == NULL)
			return -ENOMEM;
	}
	return 0;
}

static struct arrival *
load_arrival(const struct load *load, unsigned i)
{
	return &load->arrivals[(load->first + i) % PLACEMENT_WINDOW];
}

void
placement_free(struct supervisor *s)
{
	struct placement *pl = &s->placement;
	unsigned i, j;

	if (pl->loads == NULL)
		return;
	ev_timer_stop(s->loop, &pl->tls_told);
	for (i = 0; i < pl->workers; i++) {
		struct load *load = &pl->loads[i];
		ev_timer_stop(s->loop, &load->patience);
		for (j = 0; j < load->count; j++)
			close(load_arrival(load, j)->fd);
		free(load->arrivals);
	}
	for (i = 0; i < pl->nwaiting; i++)
		close(pl->waiting[i].fd);
	free(pl->waiting);
	free(pl->loads);
	connections_free(&pl->connections);
	addresses_free(&pl->addresses);
	*pl = (struct placement){ .loads = NULL };
}

static void
directory_count(struct supervisor *s)
{
	atomic_store_explicit(&s->fabric.directory->connections, s->placement.open,
	    memory_order_relaxed);
}

static void
directory_increment(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter,
	    atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

static bool
load_able(const struct load *load)
{
	return load->serving && load->count < PLACEMENT_WINDOW && load->process != NULL &&
	    load->process->state == PROCESS_READY && !load->process->stopped;
}

int
placement_choose(struct placement *pl, bool (*able)(const struct load *load))
{
	unsigned i, slot;
	int best = -1;

	for (i = 0; i < pl->workers; i++) {
		slot = (pl->next + i) % pl->workers;
		if (able(&pl->loads[slot]) && (best == -1 ||
		    pl->loads[slot].connections < pl->loads[best].connections))
			best = (int)slot;
	}
	if (best != -1)
		pl->next = ((unsigned)best + 1) % pl->workers;
	return best;
}

bool
placement_has_room(struct supervisor *s)
{
	unsigned i;

	for (i = 0; i < s->placement.workers; i++)
		if (load_able(&s->placement.loads[i]))
			return s->placement.nwaiting == 0;
	return false;
}

/* It is nobody's: no longer counted. */
static void
arrival_leave(struct supervisor *s, struct address *address)
{
	address_leave(&s->placement.addresses, address);
	s->placement.open--;
}

static void
arrival_drop(struct supervisor *s, struct arrival *a)
{
	close(a->fd);
	if (a->refuse == REFUSE_NOTHING)
		arrival_leave(s, a->address);
	directory_count(s);
}

static void
arrival_pass(struct supervisor *s, struct load *load, struct arrival *a)
{
	struct msg m = { .type = MSG_connection };

	a->cid = ++s->cids;
	m.u.connection.cid = a->cid;
	m.u.connection.listener = a->listener;
	m.u.connection.host = bytes_of(a->host);
	m.u.connection.port = a->port;
	m.u.connection.refuse = a->refuse;
	m.u.connection.peer_uid = a->uid;
	m.u.connection.peer_gid = a->gid;
	if (load->count == 0) {
		ev_timer_set(&load->patience, s->settings.watchdog, s->settings.watchdog);
		ev_timer_start(s->loop, &load->patience);
	}
	*load_arrival(load, load->count++) = *a;
	if (a->refuse == REFUSE_NOTHING)
		load->connections++;
	process_send(load->process, &m, &a->fd);
}

/* Room for n more in the waiting list. 0 or -ENOMEM. */
static int
waiting_reserve(struct placement *pl, size_t n)
{
	struct arrival *more;

	if (pl->nwaiting + n <= pl->room)
		return 0;
	more = reallocarray(pl->waiting, pl->nwaiting + n, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	pl->waiting = more;
	pl->room = pl->nwaiting + n;
	return 0;
}

/* Pass on what a dead worker had not taken, oldest first. */
static void
placement_flush(struct supervisor *s)
{
	struct placement *pl = &s->placement;
	size_t done;
	int slot;

	for (done = 0; done < pl->nwaiting; done++) {
		struct arrival *a = &pl->waiting[done];
		if (s->phase == PHASE_LAME_DUCK && a->refuse == REFUSE_NOTHING) {
			arrival_leave(s, a->address);
			a->address = NULL;
			a->refuse = REFUSE_SHUTDOWN;
		}
		slot = placement_choose(pl, load_able);
		if (slot == -1)
			break;
		arrival_pass(s, &pl->loads[slot], a);
	}
	pl->nwaiting -= done;
	if (done > 0)
		memmove(pl->waiting, pl->waiting + done, pl->nwaiting * sizeof(*pl->waiting));
	if (pl->nwaiting == 0) {
		free(pl->waiting);
		pl->waiting = NULL;
		pl->room = 0;
	}
	listeners_update(s);
}

void
placement_serve(struct supervisor *s, unsigned slot)
{
	struct load *load = &s->placement.loads[slot];

	load->process = process_find(&s->processes, ROLE_WORKER, slot);
	load->serving = true;
	placement_flush(s);
}

static void
placement_left(void *arg, struct address *address)
{
	arrival_leave(arg, address);
}

/*
 * Was anything written to this connection? Then its client talks to the worker
 * that died, though `taken` has not come, and no other can go on with it.
 * Bytes are read from it only after INFO was written. A Unix socket does not
 * say what went through it, and so counts as answered.
 */
static bool
arrival_answered(const struct arrival *a)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	return getsockopt(a->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == -1 ||
	    info.tcpi_bytes_sent != 0 || info.tcpi_notsent_bytes != 0;
}

/* A dead worker's arrivals: those that are nobody's go to another. */
static void
arrivals_inherit(struct supervisor *s, struct load *load)
{
	struct placement *pl = &s->placement;
	bool room = waiting_reserve(pl, load->count) == 0;
	unsigned i;

	for (i = 0; i < load->count; i++) {
		struct arrival *a = load_arrival(load, i);
		if (room && !arrival_answered(a))
			pl->waiting[pl->nwaiting++] = *a;
		else
			arrival_drop(s, a);
	}
	load->first = load->count = 0;
}

void
placement_leave(struct supervisor *s, unsigned slot)
{
	struct placement *pl = &s->placement;
	struct load *load = &pl->loads[slot];

	load->serving = false;
	ev_timer_stop(s->loop, &load->patience);
	connections_remove_worker(&pl->connections, slot, placement_left, s);
	arrivals_inherit(s, load);
	load->connections = 0;
	directory_count(s);
	placement_flush(s);
}

/* Not passed on: nothing is left to refuse it with. */
static void
placement_close(struct supervisor *s, int fd)
{
	directory_increment(&s->fabric.directory->refused_connections);
	close(fd);
}

/* More than max_connection_rate in this second? */
static bool
placement_too_fast(struct supervisor *s)
{
	struct placement *pl = &s->placement;
	uint64_t second = (uint64_t)ev_now(s->loop);

	if (s->settings.max_connection_rate == 0)
		return false;
	if (second != pl->rate_second) {
		pl->rate_second = second;
		pl->rate_count = 0;
	}
	return ++pl->rate_count > s->settings.max_connection_rate;
}

static void
placement_tls_told(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;

	ev_timer_stop(loop, w);
	log_warn("Rejected %llu connections due to TLS rate limiting",
	    (unsigned long long)s->placement.tls_rejected);
	s->placement.tls_rejected = 0;
}

/* More than connection_rate_limit of TLS in this second, which began with the first of them? */
static bool
placement_tls_too_fast(struct supervisor *s)
{
	struct placement *pl = &s->placement;

	if (!s->tls.clients || s->tls.rate == 0)
		return false;
	if (ev_now(s->loop) >= pl->tls_end) {
		pl->tls_end = ev_now(s->loop) + 1;
		pl->tls_count = 0;
	}
	if (++pl->tls_count <= s->tls.rate)
		return false;
	if (pl->tls_rejected++ == 0) {
		ev_timer_set(&pl->tls_told, 1, 0);
		ev_timer_start(s->loop, &pl->tls_told);
	}
	return true;
}

/* Count it, or say why it is refused. */
static void
arrival_admit(struct supervisor *s, struct arrival *a, const struct sockaddr_storage *peer)
{
	struct placement *pl = &s->placement;
	uint64_t limit = s->settings.max_connections_per_address;
	int rc = 0;

	if (pl->open >= s->settings.max_connections) {
		a->refuse = REFUSE_MAX_CONNECTIONS;
		return;
	}
	if (limit != 0 && a->uid != NO_PEER)
		rc = address_enter_user(&pl->addresses, (uint32_t)a->uid, (uint32_t)limit, &a->address);
	else if (limit != 0)
		rc = address_enter(&pl->addresses, peer, (uint32_t)limit, &a->address);
	if (rc != 0) {
		a->refuse = REFUSE_PER_ADDRESS;
		return;
	}
	pl->open++;
}

/* Its address; of a Unix socket who connected, as the kernel noted it then. */
static void
arrival_name(struct arrival *a, const struct sockaddr_storage *peer)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (peer->ss_family != AF_UNIX) {
		address_text(peer, a->host, sizeof(a->host), &a->port);
	} else if (getsockopt(a->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
		a->uid = who.uid;
		a->gid = who.gid;
		snprintf(a->host, sizeof(a->host), "unix/%u", (unsigned)who.uid);
	} else {
		strlcpy(a->host, "unix", sizeof(a->host));
	}
}

void
placement_accept(struct supervisor *s, uint16_t listener, int fd,
    const struct sockaddr_storage *peer)
{
	struct arrival a = { .fd = fd, .uid = NO_PEER, .gid = NO_PEER, .listener = listener };
	int slot;

	if (placement_too_fast(s)) {
		log_limited(LOG_WARN, "connections above max_connection_rate",
		    "connections arrive faster than max_connection_rate (%llu a second): closed",
		    (unsigned long long)s->settings.max_connection_rate);
		placement_close(s, fd);
		return;
	}
	if (placement_tls_too_fast(s)) {
		placement_close(s, fd);
		return;
	}
	slot = placement_choose(&s->placement, load_able);
	if (slot == -1 || s->placement.loads[slot].connections >= s->placement.most) {
		log_limited(LOG_WARN, "connections that no worker has descriptors for",
		    "every worker has %llu connections, as many as its limit of open files allows (ulimit -n): new ones are closed",
		    (unsigned long long)s->placement.most);
		placement_close(s, fd);
		return;
	}
	arrival_name(&a, peer);
	arrival_admit(s, &a, peer);
	directory_increment(&s->fabric.directory->total_connections);
	if (a.refuse != REFUSE_NOTHING)
		directory_increment(&s->fabric.directory->refused_connections);
	directory_count(s);
	arrival_pass(s, &s->placement.loads[slot], &a);
}

/* ---- a lowered max_connections */

static void
clients_close(struct supervisor *s, unsigned slot, const uint64_t *cids, uint32_t count,
    enum refusal reason)
{
	struct process *p = process_find(&s->processes, ROLE_WORKER, slot);
	struct msg m = { .type = MSG_close_clients, .u.close_clients = {
	    .cids = { .count = count, .own = cids }, .reason = reason } };

	if (p != NULL && p->state == PROCESS_READY && count > 0)
		process_send(p, &m, NULL);
}

/* Tell the workers whose cids have come together; all: also those with few. */
static void
trim_tell(struct supervisor *s, uint64_t (*cids)[CIDS_A_MESSAGE], uint32_t *counts, bool all)
{
	unsigned slot;

	for (slot = 0; slot < s->placement.workers; slot++)
		if (all || counts[slot] == CIDS_A_MESSAGE) {
			clients_close(s, slot, cids[slot], counts[slot], REFUSE_MAX_CONNECTIONS);
			counts[slot] = 0;
		}
}

uint64_t
placement_trim(struct supervisor *s)
{
	struct placement *pl = &s->placement;
	uint64_t most = s->settings.max_connections + pl->connections.leaving;
	uint64_t surplus = pl->open > most ? pl->open - most : 0;
	uint64_t (*cids)[CIDS_A_MESSAGE] = calloc(pl->workers, sizeof(*cids));
	uint32_t *counts = calloc(pl->workers, sizeof(*counts));
	struct sample sample = { .left = pl->connections.used - pl->connections.leaving };
	const struct connection *c;
	size_t at = 0;

	sample.count = surplus < sample.left ? (size_t)surplus : sample.left;
	pl->surplus = surplus - sample.count;
	if (cids == NULL || counts == NULL) {
		log_error("no memory to close connections above max_connections: they stay");
		surplus = pl->surplus = sample.count = 0;
	}
	while ((c = connections_sample(&pl->connections, &sample, &at)) != NULL) {
		cids[c->worker][counts[c->worker]++] = c->cid;
		trim_tell(s, cids, counts, false);
	}
	if (surplus > 0)
		trim_tell(s, cids, counts, true);
	free(cids);
	free(counts);
	return surplus;
}

/* It was on its way when max_connections was lowered. */
static void
placement_trim_taken(struct supervisor *s, unsigned slot, uint64_t cid)
{
	struct placement *pl = &s->placement;

	if (pl->surplus == 0)
		return;
	pl->surplus--;
	if (pl->open <= s->settings.max_connections + pl->connections.leaving) {
		pl->surplus = 0;
		return;
	}
	connections_leave(&pl->connections, cid);
	clients_close(s, slot, &cid, 1, REFUSE_MAX_CONNECTIONS);
}

/* ---- one client */

/* Which worker has it, though it may not have taken it yet. -1: it is gone, or refused. */
static int
placement_slot(const struct placement *pl, uint64_t cid)
{
	const struct connection *c = connections_get(&pl->connections, cid);
	unsigned slot, i;

	if (c != NULL)
		return (int)c->worker;
	for (slot = 0; slot < pl->workers; slot++)
		for (i = 0; i < pl->loads[slot].count; i++) {
			const struct arrival *a = load_arrival(&pl->loads[slot], i);
			if (a->cid == cid && a->refuse == REFUSE_NOTHING)
				return (int)slot;
		}
	return -1;
}

void
placement_kick(struct supervisor *s, uint64_t cid)
{
	int slot = placement_slot(&s->placement, cid);

	if (slot == -1)
		return;
	if (connections_get(&s->placement.connections, cid) != NULL)
		connections_leave(&s->placement.connections, cid);
	clients_close(s, (unsigned)slot, &cid, 1, REFUSE_KICKED);
}

void
placement_tell_lame_duck(struct supervisor *s, uint64_t cid)
{
	struct msg m = { .type = MSG_tell_lame_duck, .u.tell_lame_duck.cid = cid };
	int slot = placement_slot(&s->placement, cid);
	struct process *p = slot == -1 ? NULL :
	    process_find(&s->processes, ROLE_WORKER, (unsigned)slot);

	if (p != NULL && p->state == PROCESS_READY)
		process_send(p, &m, NULL);
}

/* ---- answers of workers */

static void
arrival_taken(struct supervisor *s, struct load *load, unsigned slot, const struct arrival *a)
{
	if (a->refuse != REFUSE_NOTHING)
		return;
	if (connections_add(&s->placement.connections, a->cid, slot, a->address) != 0) {
		/* without a record it could never be subtracted: count it no more */
		arrival_leave(s, a->address);
		load->connections--;
		return;
	}
	placement_trim_taken(s, slot, a->cid);
}

/* All up to this cid are the worker's. */
static int
placement_taken(struct supervisor *s, unsigned slot, uint64_t cid)
{
	struct load *load = &s->placement.loads[slot];
	struct arrival *a;

	if (load->count == 0 || cid < load_arrival(load, 0)->cid ||
	    cid > load_arrival(load, load->count - 1)->cid)
		return -EBADMSG;
	while (load->count > 0) {
		a = load_arrival(load, 0);
		if (a->cid > cid)
			break;
		close(a->fd);
		arrival_taken(s, load, slot, a);
		load->first = (load->first + 1) % PLACEMENT_WINDOW;
		load->count--;
	}
	if (load->count > 0)
		ev_timer_again(s->loop, &load->patience);
	else
		ev_timer_stop(s->loop, &load->patience);
	listeners_update(s);
	return 0;
}

/* Refused ones are not counted, so that one may say `closed` for them or not. */
static int
placement_closed(struct supervisor *s, unsigned slot, const struct numbers *cids)
{
	struct address *address;
	uint32_t i;

	for (i = 0; i < cids->count; i++)
		if (msg_number(cids, i) > s->cids)
			return -EBADMSG;	/* that is nobody's yet */
	for (i = 0; i < cids->count; i++)
		if (connections_remove(&s->placement.connections, msg_number(cids, i), slot,
		    &address)) {
			arrival_leave(s, address);
			s->placement.loads[slot].connections--;
		}
	directory_count(s);
	return 0;
}

int
placement_receive(struct process *p, const struct msg *m)
{
	if (m->type == MSG_taken)
		return placement_taken(p->supervisor, p->slot, m->u.taken.cid);
	return placement_closed(p->supervisor, p->slot, &m->u.closed.cids);
}

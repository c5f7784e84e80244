#include <sys/epoll.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "broker/participant.h"
#include "common/log.h"
#include "shm/ring.h"

/* ---- what is said to the supervisor */

/* What cannot be sent is logged. 0, also where the supervisor is gone; -ENOBUFS, -ENOMEM. */
static int
tell(struct participant *p, const struct msg *m)
{
	int	 rc = channel_send(&p->child->supervisor, m, NULL);

	if (rc == 0 || rc == -EPIPE)
		return 0;
	log_limited(LOG_WARN, "messages to the supervisor", "%s: %s", msg_name(m->type), strerror(-rc));
	return rc;
}

/* Where nothing can be done about it: always 0. */
static int
say(struct participant *p, const struct msg *m)
{
	(void)tell(p, m);
	return 0;
}

void
participant_complain(struct participant *p, unsigned peer, uint64_t incarnation, bool hung,
    const char *what)
{
	const struct msg	m = { .type = MSG_complaint, .u.complaint = {
	    .peer = peer, .incarnation = incarnation, .hung = hung, .what = bytes_of(what) } };

	log_warn("participant %u %s: %s", peer, hung ? "does not take messages" : "broke its lane", what);
	(void)tell(p, &m);
}

/* ---- segments */

static int
segments_map(struct segment *directory, struct segment *partition, struct segment *tables,
    const int *fds)
{
	int	 rc;

	if ((rc = segment_map_peer(directory, fds[0], DIRECTORY_SIZE)) != 0) {
		close(fds[1]);
		close(fds[2]);
		return rc;
	}
	if ((rc = segment_map_own(partition, fds[1], INDEX_SIZE)) != 0) {
		close(fds[2]);
		segment_unmap(directory);
		return rc;
	}
	if ((rc = segment_map_own(tables, fds[2], TABLES_SIZE)) != 0) {
		segment_unmap(partition);
		segment_unmap(directory);
	}
	return rc;
}

static void
tables_use(struct participant *p, const struct segment *tables)
{
	p->tables = *tables;
	if (p->broker != NULL && p->hooks->placed != NULL)
		p->hooks->placed(p->program);
}

/* What our programs say themselves may be larger than what clients may. */
static size_t
lanes_payload(const struct participant *p)
{
	return p->max_payload < PARTICIPANT_SAYS ? PARTICIPANT_SAYS : p->max_payload;
}

static int
segments_first(struct participant *p, const struct msg_segments *m, const int *fds)
{
	struct broker_config	 config = {
		.participant = participant_number(p->child),
		.secret = p->secret,
		.calls = p->hooks->calls,
		.program = p->program,
		.max_payload = lanes_payload(p),
		.watchdog = p->child->settings.watchdog,
		.server_name = p->child->settings.server_name[0] != '\0' ?
		    p->child->settings.server_name : p->child->settings.server_id,
	};
	int			 rc;

	if ((rc = segments_map(&p->directory, &p->partition, &p->tables, fds)) != 0)
		return rc;
	memcpy(p->secret, m->secret.data, sizeof(p->secret));
	rc = broker_new(&p->broker, &config, &p->directory, &p->partition, &p->tables);
	if (rc == 0 && p->hooks->placed != NULL)
		p->hooks->placed(p->program);
	return rc;
}

/* Move into new segments. What cannot be done is left as it was. */
static int
segments_compact(struct participant *p, const struct msg_segments *m, const int *fds)
{
	struct segment	 directory, partition, tables, old = p->tables;
	int		 rc;

	if (p->old_partition.base != NULL || m->generation <= p->generation) {
		for (int i = 0; i < 3; i++)
			close(fds[i]);
		return -EPROTO;
	}
	if ((rc = segments_map(&directory, &partition, &tables, fds)) != 0)
		return rc;
	segment_unmap(&directory);
	if (p->hooks->copy != NULL)
		p->hooks->copy(p->program, &tables);
	tables_use(p, &tables);
	if ((rc = broker_compact(p->broker, &partition, &tables, p->hooks->moved)) != 0) {
		tables_use(p, &old);
		segment_unmap(&partition);
		segment_unmap(&tables);
		return rc;
	}
	p->old_partition = p->partition;
	p->partition = partition;
	segment_unmap(&old);
	p->generation = m->generation;
	return 0;
}

/* Everything stays where it is, for now: it is as much worth it as it was. */
static void
compaction_put_off(struct participant *p)
{
	p->compacting = false;
	p->removals = true;
	ev_timer_stop(p->child->loop, &p->compact_pause);
	ev_timer_set(&p->compact_pause, COMPACTION_PAUSE, 0);
	ev_timer_start(p->child->loop, &p->compact_pause);
}

static int
segments_receive(struct participant *p, const struct msg_segments *m, const int *fds)
{
	struct msg	 sealed = { .type = MSG_sealed, .u.sealed.generation = m->generation };
	struct msg	 failed = { .type = MSG_compaction_failed,
	    .u.compaction_failed.generation = m->generation };
	bool		 first = p->broker == NULL;
	int		 rc;

	rc = first ? segments_first(p, m, fds) : segments_compact(p, m, fds);
	if (rc == 0)
		return say(p, &sealed);
	if (first || rc == -EPROTO)
		return rc;
	log_limited(LOG_WARN, "compactions", "compaction failed: %s", strerror(-rc));
	compaction_put_off(p);
	return say(p, &failed);
}

static int
compaction_refused_receive(struct participant *p)
{
	if (!p->compacting || p->old_partition.base != NULL)
		return -EPROTO;
	compaction_put_off(p);
	return 0;
}

static int
compacted_receive(struct participant *p, const struct msg_compacted *m)
{
	if (p->old_partition.base == NULL || m->generation != p->generation)
		return -EPROTO;
	broker_compacted(p->broker);
	segment_unmap(&p->old_partition);
	p->compacting = false;
	return 0;
}

void
participant_compact(struct participant *p)
{
	const struct msg	m = { .type = MSG_compact };

	if (p->compacting || !p->removals || ev_is_active(&p->compact_pause) ||
	    p->child->supervisor.state != MSG_READY)
		return;
	p->removals = false;
	if (!broker_wants_compaction(p->broker))
		return;
	p->compacting = true;
	if (tell(p, &m) != 0)
		compaction_put_off(p);
}

/* ---- peers */

/* Short of resources, we do without this peer until we are replaced; the rest is a broken rule. */
static int
peer_failed(const char *what, int rc)
{
	if (rc != -ENOMEM && rc != -EMFILE && rc != -ENFILE && rc != -ENOSPC)
		return rc;
	log_error("%s: %s", what, strerror(-rc));
	return 0;
}

/* The eventfd by which a peer wakes us is not of use any more. */
static void
wake_drop(struct participant *p, unsigned peer)
{
	struct wake	*wake = &p->wake[peer];

	if (wake->incarnation == 0)
		return;
	/* The peer may hold it open, so closing alone would leave it in the set. */
	epoll_ctl(p->wakes, EPOLL_CTL_DEL, wake->fd, NULL);
	close(wake->fd);
	wake->incarnation = 0;
}

/*
 * Edge-triggered and never read: the peer may do to it what it likes. fd is
 * consumed, also on error.
 */
static int
wake_add(struct participant *p, unsigned peer, uint64_t incarnation, int fd)
{
	struct epoll_event	 ev = { .events = EPOLLIN | EPOLLET, .data.u64 = peer };
	int			 rc;

	wake_drop(p, peer);
	if (epoll_ctl(p->wakes, EPOLL_CTL_ADD, fd, &ev) == -1) {
		rc = -errno;
		close(fd);
		return rc;
	}
	p->wake[peer] = (struct wake){ incarnation, fd };
	return 0;
}

static int
lane_receive(struct participant *p, const struct msg_lane *m, const int *fds)
{
	struct msg	 sealed = { .type = MSG_lane_sealed, .u.lane_sealed = {
	    .peer = m->peer, .incarnation = m->incarnation } };
	struct lane	 lane;
	int		 rc;

	if ((rc = lane_open(&lane, fds[0], m->bulk, m->small)) != 0) {
		close(fds[1]);
		close(fds[2]);
		return peer_failed("lane", rc);
	}
	rc = broker_add_lane(p->broker, (unsigned)m->peer, m->incarnation, &lane, fds[1]);
	if (rc != 0) {
		close(fds[2]);
		return peer_failed("lane", rc);
	}
	if ((rc = wake_add(p, (unsigned)m->peer, m->incarnation, fds[2])) != 0)
		return peer_failed("lane", rc);
	return say(p, &sealed);
}

static int
peer_receive(struct participant *p, const struct msg_peer *m, const int *fds)
{
	struct msg	 joined = { .type = MSG_joined, .u.joined = {
	    .peer = m->peer, .incarnation = m->incarnation } };
	struct segment	 partition;
	int		 rc;

	if ((rc = segment_map_peer(&partition, fds[0], INDEX_SIZE)) != 0) {
		close(fds[1]);
		return peer_failed("peer", rc);
	}
	rc = broker_add_peer(p->broker, (unsigned)m->peer, m->incarnation, &partition, fds[1]);
	return rc != 0 ? peer_failed("peer", rc) : say(p, &joined);
}

static int
partition_receive(struct participant *p, const struct msg_partition *m, const int *fds)
{
	struct msg	 read = { .type = MSG_partition_read, .u.partition_read = {
	    .peer = m->peer, .incarnation = m->incarnation, .generation = m->generation } };
	struct segment	 partition;
	int		 rc;

	if ((rc = segment_map_peer(&partition, fds[0], INDEX_SIZE)) != 0)
		return peer_failed("partition", rc);
	rc = broker_replace_partition(p->broker, (unsigned)m->peer, m->incarnation, &partition);
	if (rc == -ESRCH)
		return 0;		/* it is gone meanwhile */
	return rc != 0 ? rc : say(p, &read);
}

static int
peer_gone_receive(struct participant *p, const struct msg_peer_gone *m)
{
	broker_remove_peer(p->broker, (unsigned)m->peer, m->incarnation);
	if (p->wake[m->peer].incarnation == m->incarnation)
		wake_drop(p, (unsigned)m->peer);
	return 0;
}

int
participant_receive(struct participant *p, const struct msg *m, const int *fds)
{
	if (m->type == MSG_segments)
		return segments_receive(p, &m->u.segments, fds);
	if (p->broker == NULL) {
		for (int i = 0; i < msg_descriptors(m->type); i++)
			close(fds[i]);
		return -EPROTO;
	}
	switch (m->type) {
	case MSG_lane:
		return lane_receive(p, &m->u.lane, fds);
	case MSG_peer:
		return peer_receive(p, &m->u.peer, fds);
	case MSG_peer_gone:
		return peer_gone_receive(p, &m->u.peer_gone);
	case MSG_partition:
		return partition_receive(p, &m->u.partition, fds);
	case MSG_compacted:
		return compacted_receive(p, &m->u.compacted);
	case MSG_compaction_refused:
		return compaction_refused_receive(p);
	default:
		return -EPROTO;
	}
}

/* ---- its beginning and end */

unsigned
participant_number(const struct child *child)
{
	return child->role == ROLE_SYSTEM ? PARTICIPANT_SYSTEM : child->slot;
}

void
participant_raise_payload(struct participant *p, size_t max_payload)
{
	if (max_payload > p->max_payload)
		p->max_payload = max_payload;
	if (p->broker != NULL)
		broker_raise_payload(p->broker, lanes_payload(p));
}

/* A peer wrote its eventfd; that the loop turns is all that matters. */
static void
woken(struct ev_loop *loop, ev_io *io, int events)
{
	struct epoll_event	 ev[PARTICIPANTS];

	(void)epoll_wait(io->fd, ev, PARTICIPANTS, 0);
}

static void
pause_is_over(struct ev_loop *loop, ev_timer *t, int events)
{
	/* the turn itself is what was waited for */
}

int
participant_init(struct participant *p, struct child *child, const struct participant_hooks *hooks,
    void *program, size_t max_payload)
{
	*p = (struct participant){ .child = child, .hooks = hooks, .program = program,
	    .max_payload = max_payload };
	if ((p->wakes = epoll_create1(EPOLL_CLOEXEC)) == -1)
		return -errno;
	ev_io_init(&p->woken, woken, p->wakes, EV_READ);
	ev_set_priority(&p->woken, EV_MAXPRI);
	ev_io_start(child->loop, &p->woken);
	ev_init(&p->compact_pause, pause_is_over);
	return 0;
}

void
participant_free(struct participant *p)
{
	if (p->child == NULL)
		return;
	broker_free(p->broker);
	p->broker = NULL;
	ev_io_stop(p->child->loop, &p->woken);
	ev_timer_stop(p->child->loop, &p->compact_pause);
	for (unsigned i = 0; i < PARTICIPANTS; i++)
		wake_drop(p, i);
	close(p->wakes);
	segment_unmap(&p->old_partition);
	segment_unmap(&p->partition);
	segment_unmap(&p->tables);
	segment_unmap(&p->directory);
}

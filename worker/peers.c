#include <sys/epoll.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "shm/directory.h"
#include "shm/ring.h"
#include "worker/client.h"
#include "worker/deliver.h"
#include "worker/peers.h"
#include "worker/sids.h"
#include "worker/slow.h"
#include "worker/trace.h"
#include "worker/worker.h"

/* ---- what the broker asks of us */

static void
worker_unblocked(void *program)
{
	((struct worker *)program)->unblocked = true;
}

static void
worker_removed(void *program, uint32_t connection, uint32_t subscription)
{
	struct worker	*w = program;
	struct client	*c = w->clients[connection];

	w->removals = true;
	if (subscription == w->unlisted)
		return;
	if (log_traces())
		trace_removed(c, sid_of(w, broker_subscription(w->broker, subscription)));
	sid_remove(c, subscription);
}

void
worker_complain(void *program, unsigned peer, uint64_t incarnation, bool hung, const char *what)
{
	const struct msg	m = { .type = MSG_complaint, .u.complaint = {
	    .peer = peer, .incarnation = incarnation, .hung = hung, .what = bytes_of(what) } };

	log_warn("participant %u %s: %s", peer, hung ? "does not take messages" : "broke its lane", what);
	worker_send(program, &m);
}

static const struct broker_calls calls = {
	.deliver = worker_deliver,
	.no_responders = worker_no_responders,
	.pace = worker_pace,
	.unblocked = worker_unblocked,
	.removed = worker_removed,
	.complain = worker_complain,
};

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
tables_use(struct worker *w, const struct segment *tables)
{
	w->tables = *tables;
	w->head = tables_head(tables->base);
	w->records = tables_connections(tables->base);
}

static int
segments_first(struct worker *w, const struct msg_segments *m, const int *fds)
{
	struct broker_config	 config = {
		.participant = w->child->slot,
		.secret = w->secret,
		.calls = &calls,
		.program = w,
		.max_payload = w->most_payload,
		.watchdog = w->settings->watchdog,
	};
	struct segment		 tables;
	int			 rc;

	if ((rc = segments_map(&w->directory, &w->partition, &tables, fds)) != 0)
		return rc;
	memcpy(w->secret, m->secret.data, sizeof(w->secret));
	tables_use(w, &tables);
	return broker_new(&w->broker, &config, &w->directory, &w->partition, &w->tables);
}

static void
subscription_moved(void *program, uint32_t connection, uint32_t from, uint32_t to)
{
	struct worker	*w = program;

	sid_moved(w->clients[connection], from, to);
}

/* Everything but the subscriptions, which the broker moves. */
static void
tables_copy(const struct worker *w, const struct segment *to)
{
	memcpy(to->base, w->head, sizeof(*w->head));
	memcpy(tables_connections(to->base), w->records, w->top * sizeof(*w->records));
}

/* Move into new segments. What cannot be done is left as it was. */
static int
segments_compact(struct worker *w, const struct msg_segments *m, const int *fds)
{
	struct segment	 directory, partition, tables, old = w->tables;
	int		 rc;

	if (w->old_partition.base != NULL || m->generation <= w->generation) {
		for (int i = 0; i < 3; i++)
			close(fds[i]);
		return -EPROTO;
	}
	if ((rc = segments_map(&directory, &partition, &tables, fds)) != 0)
		return rc;
	segment_unmap(&directory);
	tables_copy(w, &tables);
	tables_use(w, &tables);
	if ((rc = broker_compact(w->broker, &partition, &tables, subscription_moved)) != 0) {
		tables_use(w, &old);
		segment_unmap(&partition);
		segment_unmap(&tables);
		return rc;
	}
	w->old_partition = w->partition;
	w->partition = partition;
	segment_unmap(&old);
	w->generation = m->generation;
	return 0;
}

/* Everything stays where it is, for now: it is as much worth it as it was. */
static void
compaction_put_off(struct worker *w)
{
	w->compacting = false;
	w->removals = true;
	ev_timer_stop(w->loop, &w->compact_pause);
	ev_timer_set(&w->compact_pause, COMPACTION_PAUSE, 0);
	ev_timer_start(w->loop, &w->compact_pause);
}

static int
segments_receive(struct worker *w, const struct msg_segments *m, const int *fds)
{
	struct msg	 sealed = { .type = MSG_sealed, .u.sealed.generation = m->generation };
	struct msg	 failed = { .type = MSG_compaction_failed,
	    .u.compaction_failed.generation = m->generation };
	bool		 first = w->broker == NULL;
	int		 rc;

	rc = first ? segments_first(w, m, fds) : segments_compact(w, m, fds);
	if (rc == 0)
		return worker_send(w, &sealed);
	if (first || rc == -EPROTO)
		return rc;
	log_limited(LOG_WARN, "compactions", "compaction failed: %s", strerror(-rc));
	compaction_put_off(w);
	return worker_send(w, &failed);
}

static int
compaction_refused_receive(struct worker *w)
{
	if (!w->compacting || w->old_partition.base != NULL)
		return -EPROTO;
	compaction_put_off(w);
	return 0;
}

static int
compacted_receive(struct worker *w, const struct msg_compacted *m)
{
	if (w->old_partition.base == NULL || m->generation != w->generation)
		return -EPROTO;
	broker_compacted(w->broker);
	segment_unmap(&w->old_partition);
	w->compacting = false;
	return 0;
}

void
compaction_look(struct worker *w)
{
	const struct msg	m = { .type = MSG_compact };

	if (w->compacting || !w->removals || ev_is_active(&w->compact_pause) ||
	    w->child->supervisor.state != MSG_READY)
		return;
	w->removals = false;
	if (!broker_wants_compaction(w->broker))
		return;
	w->compacting = true;
	if (worker_tell(w, &m) != 0)
		compaction_put_off(w);
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
wake_drop(struct worker *w, unsigned peer)
{
	struct wake	*wake = &w->wake[peer];

	if (wake->incarnation == 0)
		return;
	/* The peer may hold it open, so closing alone would leave it in the set. */
	epoll_ctl(w->wakes, EPOLL_CTL_DEL, wake->fd, NULL);
	close(wake->fd);
	wake->incarnation = 0;
}

/*
 * Edge-triggered and never read: the peer may do to it what it likes. fd is
 * consumed, also on error.
 */
static int
wake_add(struct worker *w, unsigned peer, uint64_t incarnation, int fd)
{
	struct epoll_event	 ev = { .events = EPOLLIN | EPOLLET, .data.u64 = peer };
	int			 rc;

	wake_drop(w, peer);
	if (epoll_ctl(w->wakes, EPOLL_CTL_ADD, fd, &ev) == -1) {
		rc = -errno;
		close(fd);
		return rc;
	}
	w->wake[peer] = (struct wake){ incarnation, fd };
	return 0;
}

static int
lane_receive(struct worker *w, const struct msg_lane *m, const int *fds)
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
	rc = broker_add_lane(w->broker, (unsigned)m->peer, m->incarnation, &lane, fds[1]);
	if (rc != 0) {
		close(fds[2]);
		return peer_failed("lane", rc);
	}
	if ((rc = wake_add(w, (unsigned)m->peer, m->incarnation, fds[2])) != 0)
		return peer_failed("lane", rc);
	return worker_send(w, &sealed);
}

static int
peer_receive(struct worker *w, const struct msg_peer *m, const int *fds)
{
	struct msg	 joined = { .type = MSG_joined, .u.joined = {
	    .peer = m->peer, .incarnation = m->incarnation } };
	struct segment	 partition;
	int		 rc;

	if ((rc = segment_map_peer(&partition, fds[0], INDEX_SIZE)) != 0) {
		close(fds[1]);
		return peer_failed("peer", rc);
	}
	rc = broker_add_peer(w->broker, (unsigned)m->peer, m->incarnation, &partition, fds[1]);
	return rc != 0 ? peer_failed("peer", rc) : worker_send(w, &joined);
}

static int
partition_receive(struct worker *w, const struct msg_partition *m, const int *fds)
{
	struct msg	 read = { .type = MSG_partition_read, .u.partition_read = {
	    .peer = m->peer, .incarnation = m->incarnation, .generation = m->generation } };
	struct segment	 partition;
	int		 rc;

	if ((rc = segment_map_peer(&partition, fds[0], INDEX_SIZE)) != 0)
		return peer_failed("partition", rc);
	rc = broker_replace_partition(w->broker, (unsigned)m->peer, m->incarnation, &partition);
	if (rc == -ESRCH)
		return 0;		/* it is gone meanwhile */
	return rc != 0 ? rc : worker_send(w, &read);
}

static int
peer_gone_receive(struct worker *w, const struct msg_peer_gone *m)
{
	broker_remove_peer(w->broker, (unsigned)m->peer, m->incarnation);
	if (w->wake[m->peer].incarnation == m->incarnation)
		wake_drop(w, (unsigned)m->peer);
	return 0;
}

int
peers_receive(struct worker *w, const struct msg *m, const int *fds)
{
	if (m->type == MSG_segments)
		return segments_receive(w, &m->u.segments, fds);
	if (w->broker == NULL) {
		for (int i = 0; i < msg_descriptors(m->type); i++)
			close(fds[i]);
		return -EPROTO;
	}
	switch (m->type) {
	case MSG_lane:
		return lane_receive(w, &m->u.lane, fds);
	case MSG_peer:
		return peer_receive(w, &m->u.peer, fds);
	case MSG_peer_gone:
		return peer_gone_receive(w, &m->u.peer_gone);
	case MSG_partition:
		return partition_receive(w, &m->u.partition, fds);
	case MSG_compacted:
		return compacted_receive(w, &m->u.compacted);
	case MSG_compaction_refused:
		return compaction_refused_receive(w);
	default:
		return -EPROTO;
	}
}

void
peers_free(struct worker *w)
{
	broker_free(w->broker);
	w->broker = NULL;
	for (unsigned i = 0; i < PARTICIPANTS; i++)
		wake_drop(w, i);
	if (w->old_partition.base != NULL)
		segment_unmap(&w->old_partition);
	if (w->partition.base != NULL)
		segment_unmap(&w->partition);
	if (w->tables.base != NULL)
		segment_unmap(&w->tables);
	if (w->directory.base != NULL)
		segment_unmap(&w->directory);
}

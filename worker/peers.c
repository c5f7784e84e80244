#include <string.h>
#include "common/log.h"
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

	w->part.removals = true;
	if (subscription == w->unlisted)
		return;
	if (log_traces())
		trace_removed(c, sid_of(w, broker_subscription(w->broker, subscription)));
	sid_remove(c, subscription);
}

static void
worker_complain(void *program, unsigned peer, uint64_t incarnation, bool hung, const char *what)
{
	participant_complain(&((struct worker *)program)->part, peer, incarnation, hung, what);
}

static const struct broker_calls calls = {
	.deliver = worker_deliver,
	.no_responders = worker_no_responders,
	.pace = worker_pace,
	.unblocked = worker_unblocked,
	.removed = worker_removed,
	.complain = worker_complain,
};

/* ---- our tables */

static void
worker_placed(void *program)
{
	struct worker	*w = program;

	if (w->broker == NULL)		/* what is missing of the imports was logged */
		(void)broker_set_accounts(w->part.broker, w->accounts);
	w->broker = w->part.broker;
	w->head = tables_head(w->part.tables.base);
	w->records = tables_connections(w->part.tables.base);
}

/* Everything but the subscriptions, which the broker moves. */
static void
worker_copy(void *program, const struct segment *to)
{
	const struct worker	*w = program;

	memcpy(to->base, w->head, sizeof(*w->head));
	memcpy(tables_connections(to->base), w->records, w->top * sizeof(*w->records));
	for (uint32_t i = 0; i < w->top; i++)
		if (w->records[i].secure != 0)
			tables_secure(to->base)[i] = tables_secure(w->part.tables.base)[i];
}

static void
worker_moved(void *program, uint32_t connection, uint32_t from, uint32_t to)
{
	struct worker	*w = program;

	sid_moved(w->clients[connection], from, to);
}

static const struct participant_hooks hooks = {
	.calls = &calls,
	.placed = worker_placed,
	.copy = worker_copy,
	.moved = worker_moved,
};

int
peers_init(struct worker *w)
{
	return participant_init(&w->part, w->child, &hooks, w, w->settings->max_payload);
}

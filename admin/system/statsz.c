#include <stdlib.h>
#include "admin/system/object.h"
#include "admin/system/reports.h"

/* Accounts with somebody connected. */
static uint64_t
active_accounts(struct reporter *r)
{
	struct tally	*tallies;
	uint64_t	 n = 0;
	uint32_t	 i;

	if (r->accounts == NULL)
		return 0;
	tallies = tallies_take(&r->view, &r->past, r->accounts);
	for (i = 0; tallies != NULL && i < r->accounts->count; i++)
		n += tallies[i].connections > 0;
	free(tallies);
	return n;
}

/* Left out where there were none. */
static void
kinds_put(struct object *o, const char *key, uint64_t clients)
{
	struct object	kinds;

	if (clients == 0)
		return;
	kinds = OBJECT();
	put_number(&kinds, "clients", clients);
	put_number(&kinds, "routes", 0);
	put_number(&kinds, "gateways", 0);
	put_number(&kinds, "leafs", 0);
	put_object(o, key, &kinds);
}

void
statsz_put(struct object *o, struct reporter *r)
{
	struct object	s = OBJECT();
	struct totals	t;

	view_totals(&r->view, &t);
	put_time(&s, "start", t.started);
	put_number(&s, "mem", usage_memory(&r->usage));
	put_number(&s, "cores", (uint64_t)r->processors);
	put_real(&s, "cpu", usage_percent(&r->usage));
	put_number(&s, "connections", t.connections);
	put_number(&s, "total_connections", t.total_connections);
	put_number(&s, "active_accounts", active_accounts(r));
	put_number(&s, "subscriptions", t.subscriptions);
	put_traffic(&s, "sent", t.out_msgs, t.out_bytes);
	put_traffic(&s, "sent_to_clients", t.out_msgs, t.out_bytes);
	put_traffic(&s, "received", t.in_msgs, t.in_bytes);
	put_traffic(&s, "received_from_clients", t.in_msgs, t.in_bytes);
	put_number(&s, "slow_consumers", t.slow_consumers);
	kinds_put(&s, "slow_consumer_stats", t.slow_consumers);
	put_number_any(&s, "stalled_clients", t.stalled);
	kinds_put(&s, "stale_connection_stats", t.stale_connections);
	put_number(&s, "active_servers", 1);
	put_number(&s, "gomaxprocs", r->view.live);
	put_object(o, "statsz", &s);
}

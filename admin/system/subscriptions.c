#include "admin/system/object.h"
#include "admin/system/reports.h"

#define FLAGS_SHADOW	0x30	/* of imports: it is no client's (broker/broker.h) */
#define SID_CUT	16u	/* bytes of a sid that tables hold */

uint32_t
subscription_top(const struct view *v, unsigned worker)
{
	uint64_t	top;

	if (v->workers[worker].incarnation == 0)
		return 0;
	top = atomic_load_explicit(&tables_head(v->workers[worker].tables.base)->subscription_top,
	    memory_order_relaxed);
	return top >= TABLES_SUBSCRIPTIONS ? TABLES_SUBSCRIPTIONS - 1 : (uint32_t)top;
}

bool
subscription_read(const struct view *v, unsigned worker, uint32_t slot, struct subscription *sub)
{
	const volatile unsigned char	*shared;
	unsigned char			*ours = (unsigned char *)sub;
	size_t				 i;

	if (v->workers[worker].incarnation == 0 || slot == 0 || slot >= TABLES_SUBSCRIPTIONS)
		return false;
	shared = (const volatile unsigned char *)&tables_subscriptions(v->workers[worker].tables.base)[slot];
	for (i = 0; i < sizeof(*sub); i++)
		ours[i] = shared[i];
	return sub->record != 0 && (sub->flags & FLAGS_SHADOW) == 0;
}

bool
subscription_interest(struct reporter *r, unsigned worker, uint32_t record, struct index_interest *out)
{
	struct index_view	*view = NULL;

	if (r->broker != NULL)
		view = broker_peer_view(r->broker, worker, r->view.workers[worker].incarnation);
	return view != NULL && index_view_interest(view, record, out) == 0;
}

void
subscription_put(struct object *o, struct reporter *r, unsigned worker, const struct subscription *sub,
    const struct index_interest *interest, bool named)
{
	size_t	sid = sub->sid_len < SID_CUT ? sub->sid_len : SID_CUT;

	if (named) {
		put_bytes(o, "account", account_title(r, interest->account));
		put_bytes(o, "account_tag", account_title(r, interest->account));
	}
	put_bytes(o, "subject", interest->subject);
	put_bytes_any(o, "qgroup", interest->queue);
	put_bytes(o, "sid", (struct bytes){ sub->sid, sid });
	put_number(o, "msgs", sub->delivered);
	put_number_any(o, "max", sub->max);
	put_number(o, "cid", connection_cid(&r->view, worker, sub->connection));
}

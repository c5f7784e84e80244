/* Who subscribes to what: SUBSZ. */
#include <stdlib.h>
#include "admin/system/object.h"
#include "admin/system/reports.h"
#include "admin/system/times.h"
#include "nats/subject.h"

#define SLOTS_MOST	(1u << 23)	/* of their places: a worker may say that it has many, and all are free */
#define SCAN_MOST	(1u << 21)	/* subscriptions that one report looks at: a second or two of this process */

const struct option options_subsz[] = {
	{ "subscriptions", "subs", OPTION_BOOLEAN }, { "offset", "offset", OPTION_NUMBER },
	{ "limit", "limit", OPTION_NUMBER }, { "account", "acc", OPTION_TEXT }, { "test", "test", OPTION_TEXT },
	{ NULL, NULL, OPTION_TEXT },
};

struct subsz {
	struct reporter	*r;
	uint32_t	 account;		/* 0: all */
	struct bytes	 test;			/* len 0: whatever they match */
	uint64_t	 offset, limit, total;
	uint32_t	 looked;
	size_t		 named;			/* bytes of those that are listed */
	struct object	*o;
	json_t		*list;
};

/* One subscription that is meant; listed where it is within what was asked for. */
static void
subscription_take(struct subsz *z, unsigned worker, const struct subscription *sub,
    const struct index_interest *interest)
{
	struct object	one;

	if (z->total++ < z->offset || z->total > z->offset + z->limit || z->named > REPORT_TEXTS)
		return;
	z->named += REPORT_TEXT + interest->subject.len;
	one = OBJECT();
	subscription_put(&one, z->r, worker, sub, interest, true);
	put_last(z->o, z->list, &one);
}

static void
worker_scan(struct subsz *z, unsigned worker)
{
	static struct index_interest	interest;
	struct subscription		sub;
	uint32_t			slot, top = subscription_top(&z->r->view, worker);

	for (slot = 1; slot <= top && slot < SLOTS_MOST && z->looked < SCAN_MOST; slot++) {
		if (!subscription_read(&z->r->view, worker, slot, &sub))
			continue;
		z->looked++;
		if (!subscription_interest(z->r, worker, sub.record, &interest) ||
		    (z->account != 0 && interest.account != z->account) ||
		    (z->test.len > 0 && !subject_matches(interest.subject, z->test)))
			continue;
		subscription_take(z, worker, &sub, &interest);
	}
}

static uint64_t
subscriptions_count(struct reporter *r, uint32_t account)
{
	struct totals		 t;
	struct tally		*tallies;
	uint64_t		 n = 0;
	uint32_t		 i;

	if (account == 0 || r->accounts == NULL) {
		view_totals(&r->view, &t);
		return t.subscriptions;
	}
	tallies = tallies_take(&r->view, &r->past, r->accounts);
	for (i = 0; tallies != NULL && i < r->accounts->count; i++)
		if (r->accounts->all[i]->number == account)
			n = tallies[i].subscriptions;
	free(tallies);
	return n;
}

void
cache_put(struct object *o)
{
	static const char *const	none[] = { "num_cache", "num_inserts", "num_removes", "num_matches",
					    "cache_hit_rate", "max_fanout", "avg_fanout" };
	size_t				i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		put_number(o, none[i], 0);
}

json_t *
subsz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	struct object			o = OBJECT();
	struct bytes			account = option_text(options, "account");
	struct subsz			z = { .r = r, .o = &o, .test = option_text(options, "test") };
	unsigned			worker;

	if (z.test.len > 0 && !subject_literal(z.test)) {
		json_decref(o.json);
		return report_refuse(refused, 400, "invalid test subject, must be valid publish subject: %.*s",
		    (int)z.test.len, z.test.data);
	}
	report_window(options, &z.offset, &z.limit);
	if (z.offset > INT64_MAX - REPORT_MOST)
		z.offset = INT64_MAX - REPORT_MOST;
	z.account = account.len == 0 ? 0 : account_titled(r, account);
	if (account.len > 0 && z.account == 0)
		z.account = UINT32_MAX;		/* nobody's */
	z.list = json_array();
	for (worker = 0; worker < PARTICIPANTS && option_is(options, "subscriptions"); worker++)
		worker_scan(&z, worker);
	put_text(&o, "server_id", r->settings->server_id);
	put_time(&o, "now", times_now());
	put_number(&o, "num_subscriptions", subscriptions_count(r, z.account));
	cache_put(&o);
	put_number(&o, "total", z.total);
	put_number(&o, "offset", z.offset);
	put_number(&o, "limit", z.limit);
	if (json_array_size(z.list) > 0)
		put(&o, "subscriptions_list", json_incref(z.list));
	json_decref(z.list);
	return object_json(&o);
}

/* ---- how many: $SYS.DEBUG.SUBSCRIBERS */

static uint64_t
worker_count(struct reporter *r, unsigned worker, uint32_t account, struct bytes subject, struct bytes queue)
{
	static struct index_interest	interest;
	struct subscription		sub;
	uint64_t			n = 0;
	uint32_t			slot, top = subscription_top(&r->view, worker), looked = 0;

	for (slot = 1; slot <= top && slot < SLOTS_MOST && looked < SCAN_MOST; slot++) {
		if (!subscription_read(&r->view, worker, slot, &sub))
			continue;
		looked++;
		if (subscription_interest(r, worker, sub.record, &interest) && interest.account == account &&
		    bytes_equal(interest.queue, queue) && subject_matches(interest.subject, subject))
			n++;
	}
	return n;
}

uint64_t
subscribers_count(struct reporter *r, uint32_t account, struct bytes subject, struct bytes queue)
{
	uint64_t	n = 0;
	unsigned	worker;

	for (worker = 0; worker < PARTICIPANTS; worker++)
		n += worker_count(r, worker, account, subject, queue);
	return n;
}

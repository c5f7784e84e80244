/* Parts of limits against honest workers played at random: never too much lent, never too little. */
#include <errno.h>
#include <stdlib.h>
#include "supervisor/auth/leases.h"
#include "tests/unit/auth/document.h"

#define PLAYERS	5u

struct player { uint64_t free, used; bool asks, recalled, cut; uint64_t got; unsigned wait; bool answered; };

static struct leases	*leases;
static struct player	 players[PLAYERS];
static uint64_t		 limit, burst_of;
static bool		 strict;		/* a 0 is to be right */
static double		 now;

static uint64_t
limit_in_force(void *arg, enum lease_kind kind, uint64_t of, uint64_t *burst)
{
	*burst = burst_of;
	return limit;
}

static uint64_t
lent(void)
{
	uint64_t	sum = 0;
	unsigned	i;

	for (i = 0; i < PLAYERS; i++)
		sum += players[i].free + players[i].used;
	return sum;
}

static void
answer(void *arg, unsigned worker, enum lease_kind kind, uint64_t of, uint64_t amount, unsigned wait)
{
	struct player	*p = &players[worker];
	unsigned	 i;

	p->got = amount;
	p->wait = wait;
	p->answered = true;
	if ((kind == LEASE_ACCOUNT_PENDING || kind == LEASE_ACCOUNT_MEMORY) && amount == 0 && !p->asks) {
		p->cut = true;
		return;
	}
	ck_assert(p->asks);
	p->asks = false;
	p->free += amount;
	if (kind == LEASE_ACCOUNT_MESSAGES)
		return;
	ck_assert(amount == 0 || lent() <= limit);
	for (i = 0; amount == 0 && strict && i < PLAYERS; i++)
		ck_assert_msg(players[i].free == 0, "refused, and worker %u has %llu it does not need", i,
		    (unsigned long long)players[i].free);
	if (amount == 0 && strict)
		ck_assert_uint_eq(lent(), limit);
}

static void
recall(void *arg, unsigned worker, enum lease_kind kind, uint64_t of)
{
	ck_assert(!players[worker].recalled);
	players[worker].recalled = true;
}

static const struct lease_calls	calls = { limit_in_force, answer, recall };

static void
setup(void)
{
	map_seed();
	ck_assert_int_eq(leases_new(&leases, &calls, NULL), 0);
	memset(players, 0, sizeof(players));
	now = 1000;
	strict = true;
}

static void
teardown(void)
{
	leases_free(leases);
}

static void
ask_owed(unsigned i, enum lease_kind kind, uint64_t least, uint64_t wish, bool owed)
{
	players[i].asks = true;
	players[i].answered = false;
	ck_assert_int_eq(leases_ask(leases, i, kind, 4, least, wish, owed, now), 0);
}

static void
ask(unsigned i, enum lease_kind kind, uint64_t least, uint64_t wish)
{
	ask_owed(i, kind, least, wish, kind == LEASE_ACCOUNT_PENDING);
}

/* What is not used, as the answer to a recall. */
static void
give(unsigned i, enum lease_kind kind)
{
	const uint64_t	amount = players[i].free;

	players[i].free = 0;
	players[i].recalled = false;
	ck_assert_int_eq(leases_back(leases, i, kind, 4, amount, now), 0);
}

static void
end(unsigned i, enum lease_kind kind)
{
	players[i] = (struct player){ .recalled = false };
	leases_worker_gone(leases, i, now);
}

/* One step of a worker: it uses, frees, asks, answers, dies. */
static void
step(unsigned i, unsigned *seed, enum lease_kind kind)
{
	struct player	*p = &players[i];

	switch (rand_r(seed) % 8) {
	case 0:
	case 1:
	case 2:
		if (p->free > 0) {
			p->free--;
			p->used++;
		} else if (!p->asks)
			ask(i, kind, 1, 1 + (uint64_t)rand_r(seed) % 10);
		break;
	case 3:
		if (p->used > 0) {
			p->used--;
			p->free++;
		}
		break;
	case 4:
	case 5:
		if (p->recalled)
			give(i, kind);
		break;
	case 6:
		if (p->free > 3 && !p->recalled) {
			p->free--;
			ck_assert_int_eq(leases_back(leases, i, kind, 4, 1, now), 0);
		}
		break;
	case 7:
		if (rand_r(seed) % 50 == 0)
			end(i, kind);
		break;
	}
}

/* A worker that frees while another's refusal is on its way is no fault: nobody frees what it was recalled for. */
START_TEST(counts_are_exact)
{
	unsigned	seed = (unsigned)_i, i;

	limit = 1 + (uint64_t)_i % 60;
	burst_of = limit;
	strict = false;
	for (i = 0; i < 20000; i++)
		step((unsigned)rand_r(&seed) % PLAYERS, &seed, LEASE_ACCOUNT_SUBSCRIPTIONS);
	/* now nobody frees any more: the next refusal has to be right */
	for (i = 0; i < PLAYERS * PLAYERS; i++)
		if (players[i % PLAYERS].recalled)
			give(i % PLAYERS, LEASE_ACCOUNT_SUBSCRIPTIONS);
	for (i = 0; i < PLAYERS; i++)
		ck_assert(!players[i].asks);
	strict = true;
	for (i = 0; i < 1000; i++) {
		unsigned	who = (unsigned)rand_r(&seed) % PLAYERS, k;

		if (players[who].free > 0) {
			players[who].free--;
			players[who].used++;
		} else if (!players[who].asks)
			ask(who, LEASE_ACCOUNT_SUBSCRIPTIONS, 1, 5);
		for (k = 0; k < PLAYERS; k++)
			if (players[k].recalled)
				give(k, LEASE_ACCOUNT_SUBSCRIPTIONS);
	}
	ck_assert_uint_eq(lent(), limit);
}
END_TEST

START_TEST(who_does_not_answer_is_not_waited_for_long)
{
	limit = 10;
	ask(0, LEASE_ACCOUNT_SUBSCRIPTIONS, 10, 10);
	ck_assert_uint_eq(players[0].got, 10);
	strict = false;
	ask(1, LEASE_ACCOUNT_SUBSCRIPTIONS, 1, 1);
	ck_assert(!players[1].answered && players[0].recalled);
	leases_tick(leases, now + LEASE_PATIENCE / 2);
	ck_assert(!players[1].answered);
	ck_assert_double_eq_tol(leases_due(leases), now + LEASE_PATIENCE, 1e-6);
	now += LEASE_PATIENCE;
	leases_tick(leases, now);
	ck_assert(players[1].answered);
	ck_assert_uint_eq(players[1].got, 0);
	ck_assert_double_eq_tol(leases_due(leases), 0, 1e-6);
}
END_TEST

START_TEST(nobody_gives_back_what_it_never_had)
{
	limit = 10;
	ck_assert_int_eq(leases_back(leases, 0, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, now), -EPROTO);
	ck_assert_int_eq(leases_back(leases, 0, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 0, now), 0);
	ask(0, LEASE_ACCOUNT_SUBSCRIPTIONS, 3, 3);
	ck_assert_int_eq(leases_back(leases, 0, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 4, now), -EPROTO);
	ck_assert_int_eq(leases_back(leases, 1, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 1, now), -EPROTO);
	ck_assert_int_eq(leases_back(leases, 0, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 3, now), 0);
}
END_TEST

/* Pending bytes: who holds most hears it, and when it gave back the asker gets its part. */
START_TEST(who_holds_most_pending_is_told)
{
	limit = 100;
	ask(0, LEASE_ACCOUNT_PENDING, 70, 70);
	players[0].used = 70;
	players[0].free = 0;
	ask(1, LEASE_ACCOUNT_PENDING, 30, 30);
	players[1].used = 30;
	players[1].free = 0;
	ask(1, LEASE_ACCOUNT_PENDING, 10, 20);
	ck_assert(!players[1].answered && players[0].recalled);
	give(0, LEASE_ACCOUNT_PENDING);		/* it needs all */
	ck_assert(players[0].cut && !players[1].answered);
	players[0].used = 0;
	players[0].free = 70;
	give(0, LEASE_ACCOUNT_PENDING);
	ck_assert(players[1].answered);
	ck_assert_uint_ge(players[1].got, 10);
	/* the one with most hears it itself */
	strict = false;
	ask(1, LEASE_ACCOUNT_PENDING, 90, 90);
	ck_assert(players[1].answered);
	ck_assert_uint_eq(players[1].got, 0);
}
END_TEST

/* Memory: nobody is cut for what is not in use yet, a client or a subscription more; for what is, as above. */
START_TEST(nobody_is_cut_for_what_may_be_refused)
{
	limit = 100;
	strict = false;
	ask(0, LEASE_ACCOUNT_MEMORY, 70, 70);
	ask(1, LEASE_ACCOUNT_MEMORY, 30, 30);
	players[0].used = 70;
	players[1].used = 30;
	players[0].free = players[1].free = 0;
	ask_owed(1, LEASE_ACCOUNT_MEMORY, 10, 10, false);
	ck_assert(!players[1].answered && players[0].recalled);
	give(0, LEASE_ACCOUNT_MEMORY);
	ck_assert(players[1].answered && !players[0].cut);
	ck_assert_uint_eq(players[1].got, 0);
	ask_owed(1, LEASE_ACCOUNT_MEMORY, 10, 10, true);
	give(0, LEASE_ACCOUNT_MEMORY);
	ck_assert(!players[1].answered && players[0].cut);
	players[0].used = 40;
	players[0].free = 30;
	give(0, LEASE_ACCOUNT_MEMORY);
	ck_assert_uint_eq(players[1].got, 10);
	/* what is owed counts: 40 of worker 1 and 65 more are above the 60 of worker 0, who waits and is not cut */
	players[0].cut = false;
	ask_owed(0, LEASE_ACCOUNT_MEMORY, 20, 20, true);
	players[0].used = 60;
	players[0].free = 0;
	players[1].used = 40;
	players[1].free = 0;
	ask_owed(0, LEASE_ACCOUNT_MEMORY, 10, 10, true);
	ask_owed(1, LEASE_ACCOUNT_MEMORY, 65, 65, true);
	give(1, LEASE_ACCOUNT_MEMORY);
	ck_assert(players[1].answered && !players[0].answered);
	ck_assert_uint_eq(players[1].got, 0);
	players[1].used = 0;
	players[1].free = 40;
	give(1, LEASE_ACCOUNT_MEMORY);
	ck_assert_uint_eq(players[0].got, 10);
}
END_TEST

/* Pending bytes above a limit that a reload lowered: who holds most is told until there are fewer, if that helps. */
START_TEST(a_reload_cuts_who_holds_most_pending)
{
	limit = 100;
	ask(0, LEASE_ACCOUNT_PENDING, 70, 70);
	ask(1, LEASE_ACCOUNT_PENDING, 30, 30);
	players[0].used = 70;
	players[1].used = 30;
	players[0].free = players[1].free = 0;
	limit = 20;
	leases_reload(leases, now);
	ck_assert(players[0].recalled && players[1].recalled);
	give(0, LEASE_ACCOUNT_PENDING);
	ck_assert(!players[0].cut && !players[1].cut);	/* worker 1 may have some to give back */
	give(1, LEASE_ACCOUNT_PENDING);
	ck_assert(players[0].cut && !players[1].cut);
	players[0] = (struct player){ .free = 60, .used = 10 };
	give(0, LEASE_ACCOUNT_PENDING);
	ck_assert(!players[0].cut && players[1].cut);
	players[1].cut = false;
	give(1, LEASE_ACCOUNT_PENDING);			/* it has nobody to cut */
	ck_assert(!players[0].cut && !players[1].cut);
}
END_TEST

START_TEST(a_reload_lowers_and_raises)
{
	limit = 10;
	ask(0, LEASE_ACCOUNT_SUBSCRIPTIONS, 10, 10);
	limit = 5;
	leases_reload(leases, now);
	ck_assert(players[0].recalled);
	players[0].free = 2;
	players[0].used = 8;
	give(0, LEASE_ACCOUNT_SUBSCRIPTIONS);
	strict = false;
	ask(1, LEASE_ACCOUNT_SUBSCRIPTIONS, 1, 1);
	if (players[0].recalled)
		give(0, LEASE_ACCOUNT_SUBSCRIPTIONS);
	ck_assert_uint_eq(players[1].got, 0);
	limit = 9;
	leases_reload(leases, now);
	ask(1, LEASE_ACCOUNT_SUBSCRIPTIONS, 1, 1);
	ck_assert_uint_eq(players[1].got, 1);
}
END_TEST

START_TEST(told_is_what_it_has)
{
	limit = 10;
	strict = false;
	ck_assert_int_eq(leases_told(leases, 0, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 8, now), 0);
	ck_assert_int_eq(leases_told(leases, 0, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 6, now), 0);
	ask(1, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, 4);
	ck_assert_uint_eq(players[1].got, 4);
	ck_assert_int_eq(leases_told(leases, 0, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, INT64_MAX, now), 0);
	ck_assert_int_eq(leases_told(leases, 2, LEASE_ACCOUNT_SUBSCRIPTIONS, 4, INT64_MAX, now), 0);
	ask(1, LEASE_ACCOUNT_SUBSCRIPTIONS, 1, 1);
	ck_assert(!players[1].answered);	/* waits for those two */
}
END_TEST

/* Workers that always want more, for a minute: the rate, a fair share for each, few questions. */
START_TEST(a_rate_is_kept_and_shared)
{
	static const struct { uint64_t rate, burst, wish; } cases[] = {
		{ 1000, 1000, 1000000 }, { 10, 10, 5 }, { 1, 1, 1 }, { 1000000, 5000000, 1000000 },
		{ 1000, 50, 1000 }, { 300, 100, 7 },
	};
	double		next[PLAYERS], began = now;
	uint64_t	total = 0, each[PLAYERS] = { 0 }, asked = 0;
	unsigned	i, first;

	limit = cases[_i].rate;
	burst_of = cases[_i].burst;
	for (i = 0; i < PLAYERS; i++)
		next[i] = now + 0.001 * i;
	while (now < began + 60) {
		for (first = 0, i = 1; i < PLAYERS; i++)
			if (next[i] < next[first])
				first = i;
		now = next[first];
		ask(first, LEASE_ACCOUNT_MESSAGES, 1, cases[_i].wish);
		ck_assert(players[first].answered);
		asked++;
		total += players[first].got;
		each[first] += players[first].got;
		ck_assert_msg((double)total <= (double)burst_of + (double)limit * (now - began) + 1,
		    "%llu after %g s", (unsigned long long)total, now - began);
		ck_assert(players[first].got > 0 || players[first].wait > 0);
		next[first] = now + (players[first].got > 0 ? (double)players[first].got / (double)limit :
		    players[first].wait / 1e3) + 1e-4;
	}
	ck_assert_double_ge((double)total, 0.9 * (double)limit * 60 - 1);
	for (i = 0; i < PLAYERS; i++)
		ck_assert_msg((double)each[i] > 0.3 * (double)total / PLAYERS, "worker %u: %llu of %llu", i,
		    (unsigned long long)each[i], (unsigned long long)total);
	if (cases[_i].wish * 20 >= limit)
		ck_assert_msg(asked < 60 * PLAYERS * 45, "%llu questions", (unsigned long long)asked);
}
END_TEST

/* Giving all back is no way to a full bucket. */
START_TEST(a_burst_comes_once)
{
	uint64_t	total = 0;
	unsigned	i;

	limit = 100;
	burst_of = 100;
	for (i = 0; i < 1000; i++) {
		ask(0, LEASE_ACCOUNT_MESSAGES, 1, 100);
		total += players[0].got;
		ck_assert_int_eq(leases_back(leases, 0, LEASE_ACCOUNT_MESSAGES, 4, 0, now), 0);
		end(0, LEASE_ACCOUNT_MESSAGES);
		now += 0.001;
	}
	ck_assert_uint_le(total, 100 + 100 + 1);
}
END_TEST

/* Pools that say nothing go. */
START_TEST(memory_is_given_back)
{
	unsigned	i;

	limit = 10;
	for (i = 1; i < 100000; i++) {
		players[0].asks = true;
		ck_assert_int_eq(leases_ask(leases, 0, LEASE_USER_SUBSCRIPTIONS, i, 1, 1, false, now), 0);
		ck_assert_int_eq(leases_back(leases, 0, LEASE_USER_SUBSCRIPTIONS, i, 1, now), 0);
		players[0].free = 0;
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("leases");
	TCase	*t = tcase_create("leases");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, counts_are_exact, 0, 40);
	tcase_add_test(t, who_does_not_answer_is_not_waited_for_long);
	tcase_add_test(t, nobody_gives_back_what_it_never_had);
	tcase_add_test(t, who_holds_most_pending_is_told);
	tcase_add_test(t, nobody_is_cut_for_what_may_be_refused);
	tcase_add_test(t, a_reload_cuts_who_holds_most_pending);
	tcase_add_test(t, a_reload_lowers_and_raises);
	tcase_add_test(t, told_is_what_it_has);
	tcase_add_loop_test(t, a_rate_is_kept_and_shared, 0, 6);
	tcase_add_test(t, a_burst_comes_once);
	tcase_add_test(t, memory_is_given_back);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return run(s);
}

/* Who waits for a turn, against a list of all that wait, searched from end to end. */
#include <stdlib.h>
#include "supervisor/auth/turns.h"
#include "tests/unit/auth/document.h"

#define SOURCES	5u
#define MOST	20000u

struct waiter { struct turn turn; unsigned source; bool waits; };

static struct turns	turns;
static struct waiter	all[MOST];	/* in the order in which they came */
static unsigned		count, oldest;
static double		times[SOURCES];	/* of the first of each source */

static void
setup(void)
{
	map_seed();
	ck_assert_int_eq(turns_init(&turns), 0);
	count = oldest = 0;
}

static void
teardown(void)
{
	turns_free(&turns);
}

static struct source
from(unsigned i)
{
	return (struct source){ 7, i };
}

/* NULL: nobody of this source waits. */
static struct waiter *
model_first(unsigned source)
{
	unsigned	i;

	while (oldest < count && !all[oldest].waits)
		oldest++;
	for (i = oldest; i < count; i++)
		if (all[i].waits && all[i].source == source)
			return &all[i];
	return NULL;
}

static struct waiter *
comes(unsigned source, double when)
{
	struct waiter	*it = &all[count];

	if (model_first(source) == NULL)
		times[source] = when;
	*it = (struct waiter){ .source = source, .waits = true };
	count++;
	ck_assert_int_eq(turns_add(&turns, &it->turn, from(source), when), 0);
	return it;
}

static void
goes(struct waiter *it)
{
	it->waits = false;
	turns_cancel(&turns, &it->turn);
}

/* All sources, and what is said of them. Returns who is next. */
static struct waiter *
compared(void)
{
	struct waiter	*next;
	double		 when = 0, least = 1e9;
	unsigned	 i, waiting = 0;

	for (i = 0; i < SOURCES; i++) {
		next = model_first(i);
		ck_assert_int_eq(turns_wait(&turns, from(i)), next != NULL);
		waiting += next != NULL;
		if (next != NULL && times[i] < least)
			least = times[i];
	}
	ck_assert_uint_eq(turns.all.count, waiting);
	next = (struct waiter *)turns_first(&turns, &when);
	if (next == NULL) {
		ck_assert_uint_eq(waiting, 0);
		return NULL;
	}
	ck_assert_ptr_eq(next, model_first(next->source));
	ck_assert_double_eq(when, times[next->source]);
	ck_assert_double_eq(when, least);
	return next;
}

static void
look(struct waiter *it, double when)
{
	it->waits = false;
	times[it->source] = when;
	turns_done(&turns, &it->turn, when);
}

START_TEST(as_a_list_has_it)
{
	unsigned	 seed = (unsigned)_i, what, i;
	double		 now = 1000, delay = 1 + _i % 3;
	struct waiter	*next;

	while (count < MOST) {
		now += (double)(rand_r(&seed) % 1000) / 4000;
		what = (unsigned)rand_r(&seed) % 1000;
		if (what < 600)
			comes((unsigned)rand_r(&seed) % SOURCES, now + delay);
		else if (what < 900 && count > 0) {
			next = &all[oldest + (unsigned)rand_r(&seed) % (count - oldest + 1)];
			if (next < &all[count] && next->waits)
				goes(next);
		} else if (what < 905) {
			delay = 1 + rand_r(&seed) % 3;
			turns_hasten(&turns, now + delay);
			for (i = 0; i < SOURCES; i++)
				times[i] = times[i] > now + delay ? now + delay : times[i];
		}
		while ((next = compared()) != NULL && times[next->source] <= now) {
			if (rand_r(&seed) % 8 == 0)
				goes(next);		/* and the next has the same time */
			else
				look(next, now + delay);
		}
	}
	while ((next = compared()) != NULL)
		goes(next);
}
END_TEST

/* The first is looked at when it was said, each after it a delay later, whenever it came. */
START_TEST(one_at_a_time)
{
	struct waiter	*a = comes(1, 11), *b = comes(1, 11.5), *c = comes(1, 12), *other = comes(2, 12);
	double		 when;

	ck_assert_ptr_eq(turns_first(&turns, &when), &a->turn);
	ck_assert_double_eq(when, 11);
	look(a, 14);
	ck_assert_ptr_eq(turns_first(&turns, &when), &other->turn);
	goes(other);
	ck_assert_ptr_eq(turns_first(&turns, &when), &b->turn);
	ck_assert_double_eq(when, 14);
	goes(b);				/* its time is given to the next */
	ck_assert_ptr_eq(turns_first(&turns, &when), &c->turn);
	ck_assert_double_eq(when, 14);
	look(c, 17);
	ck_assert_ptr_null(turns_first(&turns, &when));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("turns");
	TCase	*t = tcase_create("turns");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, as_a_list_has_it, 0, 20);
	tcase_add_test(t, one_at_a_time);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return run(s);
}

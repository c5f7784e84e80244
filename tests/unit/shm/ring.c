/* Rings within one process: what fits, who is woken, what a lying peer gets. */
#include <sys/mman.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include "tests/unit/shm/ring_pair.h"

#define BULK	8192
#define SMALL	4096

static struct pair p;

static void
setup(void)
{
	pair_open(&p, BULK, SMALL);
	pair_attach(&p);
}

static void
teardown(void)
{
	pair_close(&p);
}

/* Fill the ring of a with records without bytes. */
static uint64_t
fill_ring(enum ring which)
{
	uint64_t n = 0;

	while (put(&p.a, which, n, 0))
		n++;
	return n;
}

/* ---- records */

static const uint64_t starts[] = { 0, 1000 * BULK, (uint64_t)0 - 2 * BULK, UINT64_MAX - BULK + 1 };

START_TEST(records_pass_at_every_offset)
{
	const enum ring which = _i % RINGS;
	const size_t size = which == RING_BULK ? BULK : SMALL;
	const size_t lens[] = { 0, 1, 7, 8, 9, 100, size / 4 - 9, size / 4 - 8 };

	for (uint64_t at = 0; at < 2 * size; at += 8)
		for (size_t i = 0; i < 8; i++) {
			pair_advance(&p, which, starts[_i / RINGS] + at);
			for (uint64_t n = 0; n < 3; n++)
				ck_assert(put(&p.a, which, n, lens[(i + n) % 8]));
			lane_publish(&p.a);
			for (uint64_t n = 0; n < 3; n++)
				ck_assert_int_eq(take(&p.b, which, n, lens[(i + n) % 8]), 1);
			ck_assert_int_eq(take(&p.b, which, 3, 0), 0);
		}
}
END_TEST

START_TEST(a_ring_takes_as_much_as_it_has_bytes)
{
	const enum ring which = _i;
	const size_t size = p.a.out[which].size;

	for (int round = 0; round < 3; round++) {
		ck_assert_uint_eq(fill_ring(which), size / 8);
		ck_assert_ptr_null(ring_reserve(&p.a, which, 0));
		ck_assert_int_eq(take(&p.b, which, 0, 0), 0);	/* not shown yet */
		lane_publish(&p.a);
		for (uint64_t n = 0; n < size / 8; n++)
			ck_assert_int_eq(take(&p.b, which, n, 0), 1);
		ck_assert_int_eq(take(&p.b, which, 0, 0), 0);
		ck_assert_ptr_null(ring_reserve(&p.a, which, 0));	/* not released yet */
		lane_release(&p.b);
	}
	ck_assert_ptr_null(p.a.broken);
	ck_assert_ptr_null(p.b.broken);
}
END_TEST

START_TEST(four_of_the_longest_fit)
{
	const enum ring which = _i;
	const size_t len = ring_record_max(&p.a, which);

	ck_assert_uint_eq(len, p.a.out[which].size / 4 - 8);
	for (uint64_t n = 0; n < 4; n++)
		ck_assert(put(&p.a, which, n, len));
	ck_assert(!put(&p.a, which, 4, len));
	ck_assert(!put(&p.a, which, 4, 0));
	lane_publish(&p.a);
	for (uint64_t n = 0; n < 4; n++)
		ck_assert_int_eq(take(&p.b, which, n, len), 1);
}
END_TEST

START_TEST(less_may_be_committed_than_reserved)
{
	char *at = ring_reserve(&p.a, RING_BULK, 1000);

	fill(at, 10, mix(0));
	ring_commit(&p.a, RING_BULK, 0, 10);
	ck_assert(put(&p.a, RING_BULK, 1, 5));
	lane_publish(&p.a);
	ck_assert_int_eq(take(&p.b, RING_BULK, 0, 10), 1);
	ck_assert_int_eq(take(&p.b, RING_BULK, 1, 5), 1);
}
END_TEST

START_TEST(bytes_stay_until_released)
{
	struct ring_record r[4];

	for (uint64_t n = 0; n < 4; n++)
		ck_assert(put(&p.a, RING_BULK, n, ring_record_max(&p.a, RING_BULK)));
	lane_publish(&p.a);
	for (int n = 0; n < 4; n++) {
		ck_assert_int_eq(ring_next(&p.b, RING_BULK, &r[n]), 1);
		ring_consume(&p.b, RING_BULK, &r[n]);
		ck_assert(!put(&p.a, RING_BULK, 9, 0));
	}
	for (uint64_t n = 0; n < 4; n++)
		ck_assert(filled(r[n].data, r[n].len, mix(n)));
	lane_release(&p.b);
	ck_assert(put(&p.a, RING_BULK, 9, 0));
}
END_TEST

START_TEST(rings_do_not_touch_each_other)
{
	fill_ring(RING_BULK);
	ck_assert(put(&p.a, RING_SMALL, 7, 100));
	ck_assert(put(&p.b, RING_SMALL, 8, 50));
	lane_publish(&p.a);
	lane_publish(&p.b);
	ck_assert_int_eq(take(&p.b, RING_SMALL, 7, 100), 1);
	ck_assert_int_eq(take(&p.a, RING_SMALL, 8, 50), 1);
	ck_assert_int_eq(take(&p.b, RING_BULK, 0, 0), 1);
	ck_assert_int_eq(take(&p.a, RING_BULK, 0, 0), 0);
}
END_TEST

START_TEST(too_long_a_record_is_our_own_mistake)
{
	ring_reserve(&p.a, RING_BULK, BULK / 4 - 7);
}
END_TEST

/* ---- opening and attaching */

START_TEST(sizes_are_checked)
{
	static const struct { size_t bulk, small; } sizes[] = {
		{ 0, 4096 }, { 4096, 0 }, { 2048, 4096 }, { 4096, 12288 }, { 65537, 4096 },
		{ RING_MOST * 2, 4096 }, { 4096, SIZE_MAX }, { (size_t)1 << 63, (size_t)1 << 63 },
	};
	struct lane lane = { .bulk = 1 };
	int fd;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fd = segment_create("test", 1 << 20);
		ck_assert_int_eq(lane_open(&lane, fd, sizes[i].bulk, sizes[i].small), -EINVAL);
		ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	}
	fd = segment_create("test", LANE_SIZE(4096, 4096) + 4096);
	ck_assert_int_eq(lane_open(&lane, fd, 4096, 4096), -EBADMSG);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_uint_eq(lane.bulk, 1);	/* untouched */
}
END_TEST

START_TEST(only_a_sealed_segment_of_our_size_is_attached)
{
	struct lane lane;
	int fd;

	pair_must(lane_open(&lane, segment_create("test", LANE_SIZE(BULK, SMALL)), BULK, SMALL), "");
	fd = segment_create("test", LANE_SIZE(BULK, SMALL));
	ck_assert_int_eq(lane_attach(&lane, fd), -EPERM);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	fd = segment_create("test", LANE_SIZE(BULK, SMALL) + 4096);
	ck_assert_int_eq(segment_seal(fd, LANE_SIZE(BULK, SMALL) + 4096), 0);
	ck_assert_int_eq(lane_attach(&lane, fd), -EBADMSG);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_ptr_null(lane.theirs);
	ck_assert_int_eq(lane_attach(&lane, dup(p.fd_a)), 0);
	ck_assert_int_eq(lane_attach(&lane, fd = dup(p.fd_a)), -EALREADY);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	lane_close(&lane);
	lane_close(&lane);
}
END_TEST

START_TEST(the_peer_cannot_write_what_it_reads)
{
	void *theirs = (void *)(uintptr_t)p.b.theirs;

	for (size_t at = 0; at < LANE_PAGE + 2 * (BULK + SMALL); at += 4096) {
		ck_assert_int_eq(mprotect((char *)theirs + at, 4096, PROT_READ | PROT_WRITE), -1);
		ck_assert_int_eq(errno, EACCES);
	}
	ck_assert(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd_a, 0) == MAP_FAILED);
	ck_assert_int_eq(ftruncate(p.fd_a, 0), -1);
}
END_TEST

START_TEST(what_is_written_before_the_peer_comes_waits)
{
	struct pair q;
	uint64_t n = 0;

	pair_open(&q, BULK, SMALL);
	while (put(&q.a, RING_BULK, n, 20))
		n++;
	ck_assert_uint_eq(n, BULK / 32);
	ck_assert(!lane_publish(&q.a));
	ck_assert(lane_want_space(&q.a, RING_BULK, 20));
	ck_assert_int_eq(take(&q.a, RING_BULK, 0, 0), 0);
	ck_assert(!lane_release(&q.a));
	ck_assert(lane_sleep(&q.a));
	lane_wake(&q.a);
	pair_attach(&q);
	for (uint64_t i = 0; i < n; i++)
		ck_assert_int_eq(take(&q.b, RING_BULK, i, 20), 1);
	ck_assert(lane_release(&q.b));
	ck_assert(put(&q.a, RING_BULK, n, 20));
	pair_close(&q);
}
END_TEST

START_TEST(a_peer_that_slept_before_we_attached_is_woken)
{
	struct pair q;

	pair_open(&q, BULK, SMALL);
	pair_must(lane_attach(&q.b, dup(q.fd_a)), "lane_attach");
	ck_assert(lane_sleep(&q.b));
	ck_assert(put(&q.a, RING_BULK, 0, 20));
	ck_assert(!lane_publish(&q.a));		/* it cannot know */
	pair_must(lane_attach(&q.a, dup(q.fd_b)), "lane_attach");
	ck_assert(lane_publish(&q.a));
	ck_assert(!lane_publish(&q.a));
	ck_assert_int_eq(take(&q.b, RING_BULK, 0, 20), 1);
	pair_close(&q);
}
END_TEST

/* ---- sleeping */

START_TEST(a_sleeper_is_woken_once)
{
	ck_assert(put(&p.a, _i, 0, 1));
	ck_assert(!lane_publish(&p.a));		/* it is awake */
	ck_assert(!lane_sleep(&p.b));		/* there is something to read */
	ck_assert_int_eq(take(&p.b, _i, 0, 1), 1);
	for (int round = 0; round < 3; round++) {
		ck_assert(lane_sleep(&p.b));
		ck_assert(!lane_publish(&p.a));	/* nothing new */
		ck_assert(put(&p.a, _i, 1, 1));
		ck_assert(lane_publish(&p.a));
		ck_assert(put(&p.a, _i, 2, 1));
		ck_assert(!lane_publish(&p.a));	/* on its way already */
		lane_wake(&p.b);
		ck_assert(put(&p.a, _i, 3, 1));
		ck_assert(!lane_publish(&p.a));
		for (uint64_t n = 1; n <= 3; n++) {
			ck_assert(!lane_sleep(&p.b));
			ck_assert_int_eq(take(&p.b, _i, n, 1), 1);
		}
	}
}
END_TEST

START_TEST(sleeping_again_without_waking_is_a_new_sleep)
{
	for (uint64_t n = 0; n < 5; n++) {
		ck_assert(lane_sleep(&p.b));
		ck_assert(put(&p.a, RING_BULK, n, 1));
		ck_assert(lane_publish(&p.a));
		ck_assert_int_eq(take(&p.b, RING_BULK, n, 1), 1);
	}
}
END_TEST

START_TEST(nobody_is_woken_who_is_awake)
{
	ck_assert(lane_sleep(&p.b));
	lane_wake(&p.b);			/* for another reason */
	ck_assert(put(&p.a, _i, 0, 1));
	ck_assert(!lane_publish(&p.a));
	ck_assert(!lane_sleep(&p.b));		/* refused: so still awake */
	ck_assert(put(&p.a, _i, 1, 1));
	ck_assert(!lane_publish(&p.a));
}
END_TEST

START_TEST(one_wake_up_for_both_rings)
{
	ck_assert(lane_sleep(&p.b));
	ck_assert(put(&p.a, RING_BULK, 0, 1));
	ck_assert(put(&p.a, RING_SMALL, 1, 1));
	ck_assert(lane_publish(&p.a));
	ck_assert(!lane_publish(&p.a));
	ck_assert_int_eq(take(&p.b, RING_BULK, 0, 1), 1);
	ck_assert_int_eq(take(&p.b, RING_SMALL, 1, 1), 1);
}
END_TEST

START_TEST(who_waits_for_space_is_woken_at_a_quarter)
{
	const size_t size = p.a.out[_i].size;
	uint64_t n = 0;

	fill_ring(_i);
	lane_publish(&p.a);
	ck_assert(lane_want_space(&p.a, _i, 100));
	for (; n < size / 32 - 1; n++) {
		ck_assert_int_eq(take(&p.b, _i, n, 0), 1);
		ck_assert(!lane_release(&p.b));
	}
	ck_assert_int_eq(take(&p.b, _i, n++, 0), 1);
	ck_assert(lane_release(&p.b));
	ck_assert(!lane_release(&p.b));
	ck_assert_int_eq(take(&p.b, _i, n++, 0), 1);
	ck_assert(!lane_release(&p.b));		/* told already */
	ck_assert(!lane_want_space(&p.a, _i, 100));
	ck_assert(put(&p.a, _i, 0, ring_record_max(&p.a, _i)));
	while (put(&p.a, _i, 0, 0))
		;
	ck_assert(lane_want_space(&p.a, _i, 8));
	ck_assert_int_eq(take(&p.b, _i, n++, 0), 1);
	while (!lane_release(&p.b))
		ck_assert_int_eq(take(&p.b, _i, n++, 0), 1);
	ck_assert(lane_want_space(&p.a, _i, size / 2));	/* in vain: asks anew */
	ck_assert_int_eq(take(&p.b, _i, n, 0), 1);
	ck_assert(lane_release(&p.b));
}
END_TEST

START_TEST(nobody_is_woken_who_found_space)
{
	fill_ring(RING_BULK);
	lane_publish(&p.a);
	while (take(&p.b, RING_BULK, p.b.in[RING_BULK].tail / 8, 0) == 1)
		;
	ck_assert(!lane_release(&p.b));
	ck_assert(!lane_want_space(&p.a, RING_BULK, 100));
	ck_assert(put(&p.a, RING_BULK, 0, 0));
	lane_publish(&p.a);
	ck_assert_int_eq(take(&p.b, RING_BULK, 0, 0), 1);
	ck_assert(!lane_release(&p.b));
}
END_TEST

/* ---- a lying peer: it writes whatever it likes into its own segment */

/* b reads what a says. a has written 4 records of 24 bytes with their heads. */
static const struct {
	const char *what;
	uint64_t head;
	uint32_t len;
	int taken;		/* records, then: */
	const char *broken;
} lies_to_reader[] = {
	{ "the truth",			96, 16, 4, NULL },
	{ "one record",			24, 16, 1, NULL },
	{ "beyond the ring",		BULK + 8, 16, 0, "head of a ring is outside" },
	{ "far beyond the ring",	(uint64_t)1 << 63, 16, 0, "head of a ring is outside" },
	{ "backwards",			(uint64_t)0 - 8, 16, 0, "head of a ring is outside" },
	{ "not a multiple of 8",	95, 16, 0, "head of a ring is inside" },
	{ "only a record's head",	8, 16, 0, "passes the head" },
	{ "length a byte too much",	24, 17, 0, "passes the head" },
	{ "length beyond head",		96, 89, 0, "passes the head" },
	{ "length up to head",		96, 88, 1, NULL },
	{ "largest length",		96, UINT32_MAX, 0, "passes the head" },
	{ "length that wraps",		96, UINT32_MAX - 7, 0, "passes the head" },
	{ "a quarter of the ring",	BULK, BULK / 4 - 8, 1, "-" },
	{ "more than a quarter",	BULK, BULK / 4 - 7, 0, "longer than its ring allows" },
	{ "all of the ring",		BULK, BULK - 8, 0, "longer than its ring allows" },
};

static void
assert_broken(struct lane *lane, const char *broken)
{
	if (broken == NULL)
		ck_assert_ptr_null(lane->broken);
	else if (*broken != '-') {
		ck_assert_ptr_nonnull(lane->broken);
		ck_assert_msg(strstr(lane->broken, broken) != NULL, "%s", lane->broken);
	}
}

/* Every call on a broken lane returns, and says that there is nothing to do. */
static void
assert_soft(struct lane *lane)
{
	struct ring_record r;
	const char *broken = lane->broken;

	for (int which = 0; which < RINGS; which++) {
		ck_assert_int_eq(ring_next(lane, which, &r), -EPROTO);
		ck_assert_ptr_null(ring_reserve(lane, which, 0));
		ck_assert(lane_want_space(lane, which, 0));
	}
	ck_assert(!lane_publish(lane));
	ck_assert(!lane_release(lane));
	ck_assert(lane_sleep(lane));
	lane_wake(lane);
	ck_assert_ptr_eq(lane->broken, broken);
}

START_TEST(reader_survives_lies)
{
	struct ring_record r;
	_Atomic uint32_t *len = (_Atomic uint32_t *)(p.a.out[RING_BULK].data);
	int taken = 0, rc;

	for (uint64_t n = 0; n < 4; n++)
		ck_assert(put(&p.a, RING_BULK, n, 16));
	atomic_store(len, lies_to_reader[_i].len);
	atomic_store(&p.a.mine->head[RING_BULK].at, lies_to_reader[_i].head);
	ck_assert(!lane_sleep(&p.b));	/* look at it */
	while ((rc = ring_next(&p.b, RING_BULK, &r)) == 1 && taken < lies_to_reader[_i].taken) {
		ck_assert(r.data >= p.b.in[RING_BULK].data);
		ck_assert(r.data + r.len <= p.b.in[RING_BULK].data + 2 * BULK);
		ring_consume(&p.b, RING_BULK, &r);
		taken++;
	}
	ck_assert_int_eq(taken, lies_to_reader[_i].taken);
	assert_broken(&p.b, lies_to_reader[_i].broken);
	if (p.b.broken != NULL) {
		ck_assert_int_eq(rc, -EPROTO);
		assert_soft(&p.b);
	}
}
END_TEST

START_TEST(a_head_that_goes_back_later_is_a_lie)
{
	for (uint64_t n = 0; n < 4; n++)
		ck_assert(put(&p.a, RING_SMALL, n, 16));
	lane_publish(&p.a);
	ck_assert_int_eq(take(&p.b, RING_SMALL, 0, 16), 1);
	atomic_store(&p.a.mine->head[RING_SMALL].at, 0);
	for (uint64_t n = 1; n < 4; n++)	/* known already, and still there */
		ck_assert_int_eq(take(&p.b, RING_SMALL, n, 16), 1);
	ck_assert_int_eq(take(&p.b, RING_SMALL, 4, 16), -EPROTO);
	assert_broken(&p.b, "head of a ring is outside");
	assert_soft(&p.b);
}
END_TEST

START_TEST(a_head_that_passes_what_was_not_given_back_is_a_lie)
{
	for (uint64_t n = 0; n < 4; n++)
		ck_assert(put(&p.a, RING_SMALL, n, 16));
	lane_publish(&p.a);
	for (uint64_t n = 0; n < 4; n++)
		ck_assert_int_eq(take(&p.b, RING_SMALL, n, 16), 1);
	atomic_store(&p.a.mine->head[RING_SMALL].at, SMALL);
	atomic_store((_Atomic uint32_t *)(p.a.out[RING_SMALL].data + 96), 8);
	ck_assert_int_eq(take(&p.b, RING_SMALL, 0, 8), -EBADMSG);	/* possible, if not that one */
	p.b.in[RING_SMALL].head = 96;
	atomic_store(&p.a.mine->head[RING_SMALL].at, SMALL + 8);
	ck_assert_int_eq(take(&p.b, RING_SMALL, 0, 8), -EPROTO);
	assert_broken(&p.b, "head of a ring is outside");
	assert_soft(&p.b);
}
END_TEST

START_TEST(a_length_counts_as_it_was_read_first)
{
	struct ring_record r;

	ck_assert(put(&p.a, RING_BULK, 0, 16));
	ck_assert(put(&p.a, RING_BULK, 1, 16));
	lane_publish(&p.a);
	ck_assert_int_eq(ring_next(&p.b, RING_BULK, &r), 1);
	atomic_store((_Atomic uint32_t *)(p.a.out[RING_BULK].data), 4000);
	ck_assert_uint_eq(r.len, 16);
	ring_consume(&p.b, RING_BULK, &r);
	ck_assert_int_eq(take(&p.b, RING_BULK, 1, 16), 1);
}
END_TEST

/* a has written 8192 bytes, b said that it took 1000, a wrote 1000 more; now b says: */
static const struct {
	const char *what;
	uint64_t tail;
	const char *broken;
} lies_to_writer[] = {
	{ "the truth",			2000, NULL },
	{ "nothing more",		1000, NULL },
	{ "everything",			BULK + 1000, NULL },
	{ "backwards",			992, "tail of a ring is outside" },
	{ "nothing ever",		0, "tail of a ring is outside" },
	{ "more than there was",	BULK + 1008, "tail of a ring is outside" },
	{ "much more",			(uint64_t)1 << 63, "tail of a ring is outside" },
	{ "one less than zero",		UINT64_MAX, "tail of a ring is outside" },
	{ "inside of a record",		2001, "tail of a ring is inside" },
};

START_TEST(writer_survives_lies)
{
	_Atomic uint64_t *tail = &p.b.mine->tail[RING_BULK].at;
	uint64_t n = 0;

	fill_ring(RING_BULK);
	lane_publish(&p.a);
	atomic_store(tail, 1000);
	while (put(&p.a, RING_BULK, n, 0))
		n++;
	ck_assert_uint_eq(n, 1000 / 8);
	atomic_store(tail, lies_to_writer[_i].tail);
	if (lies_to_writer[_i].broken != NULL) {
		ck_assert_ptr_null(ring_reserve(&p.a, RING_BULK, 0));
		assert_broken(&p.a, lies_to_writer[_i].broken);
		assert_soft(&p.a);
		return;
	}
	for (n = 0; put(&p.a, RING_BULK, n, 0); n++)
		;
	ck_assert_uint_eq(n * 8, lies_to_writer[_i].tail - 1000);
	ck_assert_ptr_null(p.a.broken);
}
END_TEST

START_TEST(a_tail_that_goes_back_a_little_is_a_lie)
{
	_Atomic uint64_t *tail = &p.b.mine->tail[RING_SMALL].at;

	fill_ring(RING_SMALL);
	atomic_store(tail, 64);
	ck_assert(put(&p.a, RING_SMALL, 0, 0));
	atomic_store(tail, 56);		/* the ring would still seem to hold all */
	ck_assert_ptr_null(ring_reserve(&p.a, RING_SMALL, 100));
	assert_broken(&p.a, "tail of a ring is outside");
	assert_soft(&p.a);
}
END_TEST

START_TEST(a_word_that_stays_odd_costs_one_wake_up)
{
	int woken = 0;

	atomic_store(&p.b.mine->asleep, 77);
	atomic_store(&p.b.mine->wants_space, UINT64_MAX);
	for (uint64_t n = 0; n < 1000; n++) {
		ck_assert(put(&p.a, RING_BULK, n, 100));
		woken += lane_publish(&p.a);
		ck_assert_int_eq(take(&p.b, RING_BULK, n, 100), 1);
		lane_release(&p.b);
		ck_assert(put(&p.b, RING_BULK, n, 100));
		lane_publish(&p.b);
		ck_assert_int_eq(take(&p.a, RING_BULK, n, 100), 1);
		woken += lane_release(&p.a);
	}
	ck_assert_int_eq(woken, 2);
}
END_TEST

START_TEST(a_reader_that_died_costs_nothing_more)
{
	lane_sleep(&p.b);
	ck_assert(put(&p.a, RING_BULK, 0, 0));
	ck_assert(lane_publish(&p.a));
	lane_close(&p.b);
	ck_assert_uint_eq(fill_ring(RING_BULK), BULK / 8 - 1);
	ck_assert(!lane_publish(&p.a));
	ck_assert(lane_want_space(&p.a, RING_BULK, 0));
	ck_assert(lane_sleep(&p.a));
	ck_assert_ptr_null(p.a.broken);
}
END_TEST

#define COUNT(table)	((int)(sizeof(table) / sizeof((table)[0])))

static void
add_wake_ups(TCase *c)
{
	tcase_add_loop_test(c, a_sleeper_is_woken_once, 0, RINGS);
	tcase_add_test(c, sleeping_again_without_waking_is_a_new_sleep);
	tcase_add_loop_test(c, nobody_is_woken_who_is_awake, 0, RINGS);
	tcase_add_test(c, one_wake_up_for_both_rings);
	tcase_add_loop_test(c, who_waits_for_space_is_woken_at_a_quarter, 0, RINGS);
	tcase_add_test(c, nobody_is_woken_who_found_space);
}

static void
add_lies(TCase *c)
{
	tcase_add_loop_test(c, reader_survives_lies, 0, COUNT(lies_to_reader));
	tcase_add_test(c, a_head_that_goes_back_later_is_a_lie);
	tcase_add_test(c, a_head_that_passes_what_was_not_given_back_is_a_lie);
	tcase_add_test(c, a_length_counts_as_it_was_read_first);
	tcase_add_loop_test(c, writer_survives_lies, 0, COUNT(lies_to_writer));
	tcase_add_test(c, a_tail_that_goes_back_a_little_is_a_lie);
	tcase_add_test(c, a_word_that_stays_odd_costs_one_wake_up);
	tcase_add_test(c, a_reader_that_died_costs_nothing_more);
}

int
main(void)
{
	Suite *s = suite_create("ring");
	TCase *c = tcase_create("ring");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, records_pass_at_every_offset, 0, RINGS * COUNT(starts));
	tcase_add_loop_test(c, a_ring_takes_as_much_as_it_has_bytes, 0, RINGS);
	tcase_add_loop_test(c, four_of_the_longest_fit, 0, RINGS);
	tcase_add_test(c, less_may_be_committed_than_reserved);
	tcase_add_test(c, bytes_stay_until_released);
	tcase_add_test(c, rings_do_not_touch_each_other);
	tcase_add_test_raise_signal(c, too_long_a_record_is_our_own_mistake, SIGABRT);
	tcase_add_test(c, sizes_are_checked);
	tcase_add_test(c, only_a_sealed_segment_of_our_size_is_attached);
	tcase_add_test(c, the_peer_cannot_write_what_it_reads);
	tcase_add_test(c, what_is_written_before_the_peer_comes_waits);
	tcase_add_test(c, a_peer_that_slept_before_we_attached_is_woken);
	add_wake_ups(c);
	add_lies(c);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

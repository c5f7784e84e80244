/*
 * Two processes, no lock, no word that both write. For each word who writes
 * it, who reads it, and what if the writer dies or lies: docs/shm-ring.md.
 */
#include <sys/mman.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <unistd.h>
#include "shm/ring.h"

static_assert(offsetof(struct lane_words, head) == 0, "layout");
static_assert(offsetof(struct lane_words, tail) == 128, "layout");
static_assert(offsetof(struct lane_words, asleep) == 256, "layout");
static_assert(offsetof(struct lane_words, wants_space) == 320, "layout");
static_assert(sizeof(struct lane_words) <= LANE_PAGE, "page 0");
static_assert(sizeof(struct record_head) == 8, "records begin at multiples of 8");

/* ---- mapping */

static size_t
lane_mapped(size_t bulk, size_t small)
{
	return LANE_PAGE + 2 * (bulk + small);
}

/* The whole segment, each ring's data twice back to back. fd stays open. */
static int
lane_map(void **out, int fd, size_t bulk, size_t small, int protection)
{
	const struct { size_t at, from, len; } piece[] = {
		{ 0,				0,			LANE_PAGE },
		{ LANE_PAGE,			LANE_PAGE,		bulk },
		{ LANE_PAGE + bulk,		LANE_PAGE,		bulk },
		{ LANE_PAGE + 2 * bulk,		LANE_PAGE + bulk,	small },
		{ LANE_PAGE + 2 * bulk + small,	LANE_PAGE + bulk,	small },
	};
	char	*base;
	int	 rc;

	base = mmap(NULL, lane_mapped(bulk, small), PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < sizeof(piece) / sizeof(piece[0]); i++)
		if (mmap(base + piece[i].at, piece[i].len, protection,
		    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd,
		    (off_t)piece[i].from) == MAP_FAILED) {
			rc = -errno;
			munmap(base, lane_mapped(bulk, small));
			return rc;
		}
	*out = base;
	return 0;
}

static bool
ring_size_valid(size_t size)
{
	return size >= RING_LEAST && size <= RING_MOST && (size & (size - 1)) == 0;
}

int
lane_open(struct lane *lane, int fd, size_t bulk, size_t small)
{
	void	*base;
	char	*data;
	int	 rc = -EINVAL;

	if (!ring_size_valid(bulk) || !ring_size_valid(small))
		goto out;
	rc = lane_map(&base, fd, bulk, small, PROT_READ | PROT_WRITE);
	if (rc != 0)
		goto out;
	rc = segment_seal(fd, LANE_SIZE(bulk, small));
	if (rc != 0) {
		munmap(base, lane_mapped(bulk, small));
		goto out;
	}
	data = (char *)base + LANE_PAGE;
	*lane = (struct lane){ .mine = base, .bulk = bulk, .small = small };
	lane->out[RING_BULK] = (struct ring_out){ .data = data, .size = bulk };
	lane->out[RING_SMALL] = (struct ring_out){ .data = data + 2 * bulk, .size = small };
 out:
	close(fd);
	return rc;
}

int
lane_attach(struct lane *lane, int fd)
{
	void		*base;
	const char	*data;
	int		 rc = -EALREADY;

	if (lane->theirs != NULL)
		goto out;
	rc = segment_check(fd, LANE_SIZE(lane->bulk, lane->small));
	if (rc != 0)
		goto out;
	rc = lane_map(&base, fd, lane->bulk, lane->small, PROT_READ);
	if (rc != 0)
		goto out;
	data = (const char *)base + LANE_PAGE;
	lane->in[RING_BULK] = (struct ring_in){ .data = data, .size = lane->bulk };
	lane->in[RING_SMALL] = (struct ring_in){ .data = data + 2 * lane->bulk,
	    .size = lane->small };
	lane->theirs = base;
 out:
	close(fd);
	return rc;
}

void
lane_close(struct lane *lane)
{
	if (lane->theirs != NULL)
		munmap((void *)(uintptr_t)lane->theirs, lane_mapped(lane->bulk, lane->small));
	if (lane->mine != NULL)
		munmap(lane->mine, lane_mapped(lane->bulk, lane->small));
	*lane = (struct lane){ 0 };
}

/* ---- odd and even: "wake me" and "no need to", never the same value twice */

static void
word_ask(_Atomic uint64_t *word)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

	atomic_store_explicit(word, (v + 1) | 1, memory_order_relaxed);
}

static void
word_withdraw(_Atomic uint64_t *word)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

	if (v & 1)
		atomic_store_explicit(word, v + 1, memory_order_relaxed);
}

/* Does the peer ask to be woken, and for the first time with this value? One
 * that dies or lies in its sleep leaves the value as it is: no further wake-up. */
static bool
word_answer(const _Atomic uint64_t *word, uint64_t *answered)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

	if ((v & 1) == 0 || v == *answered)
		return false;
	*answered = v;
	return true;
}

/* ---- writing */

/*
 * How far the peer has read. It can only go forward and not beyond what we
 * wrote, by difference, since positions wrap. acquire: its reads of the bytes
 * before tail are over (release in lane_release()), so we may write there.
 * A peer that says too much loses records of its own, nothing else.
 */
static bool
tail_refresh(struct lane *lane, enum ring which)
{
	struct ring_out	*out = &lane->out[which];
	uint64_t	 tail;

	if (lane->broken != NULL)
		return false;
	if (lane->theirs == NULL)
		return true;
	tail = atomic_load_explicit(&lane->theirs->tail[which].at, memory_order_acquire);
	if (tail - out->tail > out->head - out->tail) {
		lane_break(lane, "the tail of a ring is outside of what was written");
		return false;
	}
	if (tail % 8 != 0) {
		lane_break(lane, "the tail of a ring is inside of a record");
		return false;
	}
	out->tail = tail;
	return true;
}

bool
ring_look_for_space(struct lane *lane, enum ring which, uint64_t bytes)
{
	const struct ring_out *out = &lane->out[which];

	return tail_refresh(lane, which) && out->size - (out->head - out->tail) >= bytes;
}

/*
 * head, release: whoever sees it (acquire in ring_look_for_records()) sees the
 * records before it. Then a full fence between our store of head and our load
 * of asleep; lane_sleep() has the same between its store of asleep and its
 * load of head. So at least one of the two sees the other's store: we wake
 * it, or it does not sleep. Release and acquire alone let each load pass the
 * store before it, on x86 too.
 * Killed at any line: head is old or new, the records before it are whole.
 *
 * Without the peer's page nobody can be woken: `published` stays behind then,
 * so that the first call after lane_attach() looks at asleep.
 */
bool
lane_publish(struct lane *lane)
{
	bool news = false;

	for (int i = 0; i < RINGS; i++) {
		struct ring_out *out = &lane->out[i];

		if (out->published == out->head)
			continue;
		atomic_store_explicit(&lane->mine->head[i].at, out->head, memory_order_release);
		if (lane->theirs != NULL)
			out->published = out->head;
		news = true;
	}
	if (!news || lane->theirs == NULL || lane->broken != NULL)
		return false;
	atomic_thread_fence(memory_order_seq_cst);
	return word_answer(&lane->theirs->asleep, &lane->woken);
}

/*
 * The mirror image of sleeping: store wants_space, fence, load tail here;
 * store tail, fence, load wants_space in lane_release().
 */
bool
lane_want_space(struct lane *lane, enum ring which, size_t len)
{
	word_ask(&lane->mine->wants_space);
	atomic_thread_fence(memory_order_seq_cst);
	if (!ring_look_for_space(lane, which, ring_record_bytes(len)))
		return true;
	word_withdraw(&lane->mine->wants_space);
	return false;
}

/* ---- reading */

/*
 * How far the peer has written: not behind where we read (we have read all of
 * what it said before), and not more than a ring ahead of what we gave back.
 */
int
ring_look_for_records(struct lane *lane, enum ring which)
{
	struct ring_in	*in = &lane->in[which];
	uint64_t	 head;

	if (lane->broken != NULL)
		return -EPROTO;
	if (lane->theirs == NULL)
		return 0;
	head = atomic_load_explicit(&lane->theirs->head[which].at, memory_order_acquire);
	if (head - in->tail > in->released + in->size - in->tail)
		return lane_break(lane, "the head of a ring is outside of it");
	if (head % 8 != 0)
		return lane_break(lane, "the head of a ring is inside of a record");
	in->head = head;
	return head != in->tail;
}

/*
 * tail, release: our reads of what lies before it are over. Fence: see
 * lane_want_space(). The peer is woken when a quarter of the ring is free,
 * enough for any record, so that a full ring does not cost a wake-up for each
 * batch; until then records wait that we know of, so we come here again.
 */
bool
lane_release(struct lane *lane)
{
	bool room = false;

	for (int i = 0; i < RINGS; i++) {
		struct ring_in *in = &lane->in[i];

		if (in->released == in->tail)
			continue;
		atomic_store_explicit(&lane->mine->tail[i].at, in->tail, memory_order_release);
		in->released = in->tail;
		if (in->size - (in->head - in->tail) >= in->size / 4)
			room = true;
	}
	if (!room || lane->broken != NULL)
		return false;
	atomic_thread_fence(memory_order_seq_cst);
	return word_answer(&lane->theirs->wants_space, &lane->freed);
}

/*
 * Store asleep, fence, load both heads: see lane_publish(). Whether a head is
 * possible is for ring_next() to say, which is called next. Of a broken lane
 * nothing is read any more, so it keeps nobody awake.
 */
bool
lane_sleep(struct lane *lane)
{
	if (lane->theirs == NULL || lane->broken != NULL)
		return true;
	word_ask(&lane->mine->asleep);
	atomic_thread_fence(memory_order_seq_cst);
	for (int i = 0; i < RINGS; i++)
		if (atomic_load_explicit(&lane->theirs->head[i].at, memory_order_relaxed) !=
		    lane->in[i].tail) {
			word_withdraw(&lane->mine->asleep);
			return false;
		}
	return true;
}

void
lane_wake(struct lane *lane)
{
	word_withdraw(&lane->mine->asleep);
}

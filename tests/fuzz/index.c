/*
 * index_match(), index_view_interest() and index_check() over a partition that a peer has scribbled
 * on. It begins as a small honest one; the input is a list of writes,
 *
 *   1 byte what, 2 bytes where, 1 byte how, 8 bytes value
 *
 * that reach the places that matter: head, buckets, records, links.
 */
#include <sys/mman.h>
#include <stdlib.h>
#include "shm/index_owner.h"

#define OP	12u
#define CHECKED	(1u << 14)	/* more buckets are not worth a walk each time */

static uint8_t secret[INDEX_SECRET];
static struct segment seg;
static uint64_t top;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const patterns[] = { "a", "a.b", "a.*", "*.b", "a.*.c", ">", "a.>", "foo.bar.baz", "*.*.*" };
static const char *const subjects[] = { "a", "a.b", "a.b.c", "foo.bar.baz", "foo.bar", "a..b", "",
	"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a" };

static void
honest(void)
{
	struct index *idx;
	uint32_t record, i;

	if (index_new(&idx, &seg, secret) != 0)
		abort();
	for (i = 0; i < 3 * sizeof(patterns) / sizeof(patterns[0]); i++)
		if (index_add(idx, 1 + i % 2, bytes_of(patterns[i / 3]),
		    i % 3 == 0 ? BYTES("group") : BYTES(""), &record) < 0)
			abort();
	top = idx->top;
	index_free(idx);
}

/* A record, a bucket in use or the place itself. */
static uint64_t
offset_for(uint16_t where, size_t at)
{
	uint64_t units = (top - INDEX_ARENA) / INDEX_UNIT;

	return where % 4 == 3 ? at / INDEX_UNIT : INDEX_FIRST + where % units;
}

static void
scribble(const uint8_t *op)
{
	struct index_bucket *buckets = (struct index_bucket *)((char *)seg.base + INDEX_TABLE);
	uint64_t value, slot;
	uint16_t where;
	size_t at;

	memcpy(&where, op + 1, sizeof(where));
	memcpy(&value, op + 4, sizeof(value));
	switch (op[0] % 6) {
	case 0:
		at = where % sizeof(struct index_head) / 4 * 4;
		break;
	case 1:
		at = offsetof(struct index_head, shape);
		value %= op[3] % 4 == 0 ? UINT64_MAX : CHECKED;
		break;
	case 2:
		at = INDEX_TABLE + where % (INDEX_BUCKETS_MIN * 8) * 8;
		break;
	case 3:		/* a word of a record */
		at = (INDEX_ARENA + where % (size_t)(top - INDEX_ARENA)) / 4 * 4;
		break;
	case 4:		/* an overflow bucket for one in use */
		at = INDEX_TABLE + where % INDEX_BUCKETS_MIN * 64 + 56;
		break;
	default:	/* a good tag with another record */
		at = INDEX_TABLE + where % (INDEX_BUCKETS_MIN * 8) * 8;
		slot = index_load(&buckets[where % (INDEX_BUCKETS_MIN * 8) / 8].slot[0]);
		value = (slot & ~UINT64_C(0xffffffff)) | (uint32_t)value;
		break;
	}
	if (op[3] & 0x80)
		value = (value & ~UINT64_C(0xffffffff)) | offset_for((uint16_t)value, at);
	if (op[3] & 0x40)
		memcpy((char *)seg.base + at, &value, 4);
	else
		memcpy((char *)seg.base + at / 8 * 8, &value, 8);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct index_view view;
	static struct index_interest in;
	struct index_match m;
	const char *what;
	unsigned i, k;

	if (seg.base == NULL) {
		for (i = 0; i < sizeof(secret); i++)
			secret[i] = (uint8_t)(i * 37 + 11);
		seg.size = INDEX_SIZE;
		seg.base = mmap(NULL, INDEX_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (seg.base == MAP_FAILED)
			abort();
	}
	honest();
	for (; size >= OP; data += OP, size -= OP)
		scribble(data);
	index_view_init(&view, &seg, secret);
	for (i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		if (index_match(&view, 1 + i % 2, bytes_of(subjects[i]), &m) == INDEX_YES) {
			if (m.nqueues > INDEX_QUEUES || (!m.plain && m.nqueues == 0))
				abort();
			for (k = 0; k < m.nqueues; k++)
				if ((size_t)m.queue[k].at + m.queue[k].len > sizeof(m.names))
					abort();
		}
	for (i = 0; i < (top - INDEX_ARENA) / INDEX_UNIT; i++)
		if (index_view_interest(&view, INDEX_FIRST + i, &in) == 0 &&
		    (in.subject.len > INDEX_INTEREST_TEXT || in.queue.len > INDEX_INTEREST_TEXT))
			abort();
	if ((uint32_t)((struct index_head *)seg.base)->shape < CHECKED &&
	    index_check(&seg, &what) != 0 && what == NULL)
		abort();
	madvise(seg.base, INDEX_SIZE, MADV_DONTNEED);
	return 0;
}

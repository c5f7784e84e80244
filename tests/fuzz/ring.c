/*
 * A lane whose peer writes whatever it likes. The input is a script: the peer
 * lies in its words and its data, or does as it should, while our side reads,
 * writes, sleeps. What our side hands out must lie within its mappings, and
 * once the lane is broken every call has to say so softly.
 *
 * Input: repeated { operation, ring and size, operands }.
 */
#include <stdint.h>
#include <stdlib.h>
#include "tests/unit/shm/ring_pair.h"

#define BULK	8192
#define SMALL	4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script { const uint8_t *at, *end; };

static struct pair p, fresh;	/* a is ours, b the liar */

static uint64_t
script_number(struct script *s, size_t bytes)
{
	uint64_t v = 0;

	if ((size_t)(s->end - s->at) < bytes)
		bytes = (size_t)(s->end - s->at);
	memcpy(&v, s->at, bytes);
	s->at += bytes;
	return v;
}

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
start_anew(void)
{
	if (fresh.a.mine == NULL) {
		pair_open(&fresh, BULK, SMALL);
		pair_attach(&fresh);
	}
	p = fresh;
	memset(p.a.mine, 0, LANE_PAGE);
	memset(p.b.mine, 0, LANE_PAGE);
	for (int i = 0; i < RINGS; i++) {
		memset(p.a.out[i].data, 0, p.a.out[i].size);
		memset(p.b.out[i].data, 0, p.b.out[i].size);
	}
}

/* ---- ours */

static void
read_some(enum ring which, uint64_t most)
{
	const struct ring_in *in = &p.a.in[which];
	struct ring_record r;
	char copy[BULK];
	int rc = 0;

	while (most-- > 0 && (rc = ring_next(&p.a, which, &r)) == 1) {
		must(r.len <= ring_record_max(&p.a, which));
		must(r.data >= in->data && r.data + r.len <= in->data + 2 * in->size);
		memcpy(copy, r.data, r.len);
		ring_consume(&p.a, which, &r);
		must(in->tail - in->released <= in->size && in->head - in->tail <= in->size);
	}
	must(rc != -EPROTO || p.a.broken != NULL);
}

static void
write_some(enum ring which, size_t len, bool commit)
{
	const struct ring_out *out = &p.a.out[which];
	char *at;

	len %= ring_record_max(&p.a, which) + 1;
	at = ring_reserve(&p.a, which, len);
	if (at == NULL)
		return;
	must(at >= out->data && at + len <= out->data + 2 * out->size);
	memset(at, 'x', len);
	if (commit)
		ring_commit(&p.a, which, 1, len);
	must(out->head - out->tail <= out->size);
}

static void
sleep_and_wake(void)
{
	struct ring_record r;

	if (!lane_sleep(&p.a)) {
		must(p.a.broken == NULL);
		must(ring_next(&p.a, RING_BULK, &r) != 0 || ring_next(&p.a, RING_SMALL, &r) != 0);
		return;
	}
	lane_wake(&p.a);
	must(atomic_load(&p.a.mine->asleep) % 2 == 0);
}

static void
after_the_break(void)
{
	const char *broken = p.a.broken;
	struct ring_record r;

	for (int which = 0; which < RINGS; which++) {
		must(ring_next(&p.a, which, &r) == -EPROTO);
		must(ring_reserve(&p.a, which, 0) == NULL);
		must(lane_want_space(&p.a, which, 0));
	}
	must(!lane_publish(&p.a) && !lane_release(&p.a) && lane_sleep(&p.a));
	lane_wake(&p.a);
	must(p.a.broken == broken);
}

/* ---- the liar's */

static void
lie_about(_Atomic uint64_t *word, struct script *s, bool far)
{
	if (far)
		atomic_store(word, script_number(s, 8));
	else
		atomic_fetch_add(word, (uint64_t)(int64_t)(int16_t)script_number(s, 2));
}

static void
scribble(enum ring which, struct script *s)
{
	uint64_t at = script_number(s, 2) % p.b.out[which].size, what = script_number(s, 4);

	memcpy(p.b.out[which].data + at, &what, 4);	/* the mirror takes what passes the end */
}

static void
behave(enum ring which, struct script *s)
{
	size_t len = script_number(s, 2) % (ring_record_max(&p.b, which) + 1);

	put(&p.b, which, 1, len);
	lane_publish(&p.b);
}

static void
step(struct script *s)
{
	const unsigned op = (unsigned)script_number(s, 1);
	const enum ring which = op & 1 ? RING_SMALL : RING_BULK;
	const bool far = (op & 2) != 0;

	switch (op >> 2 & 15) {
	case 0: lie_about(&p.b.mine->head[which].at, s, far); break;
	case 1: lie_about(&p.b.mine->tail[which].at, s, far); break;
	case 2: lie_about(&p.b.mine->asleep, s, far); break;
	case 3: lie_about(&p.b.mine->wants_space, s, far); break;
	case 4: case 5: scribble(which, s); break;
	case 6: behave(which, s); break;
	case 7: read_some(RING_BULK, 1); read_some(RING_SMALL, 1); break;
	case 8: read_some(which, script_number(s, 1)); break;
	case 9: case 10: write_some(which, script_number(s, 2), !far); break;
	case 11: lane_publish(&p.a); break;
	case 12: lane_release(&p.a); break;
	case 13: sleep_and_wake(); break;
	case 14: lane_want_space(&p.a, which, script_number(s, 2) % 1000); break;
	case 15: take(&p.b, which, 1, 0); lane_release(&p.b); break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, data + size };

	start_anew();
	while (s.at < s.end) {
		step(&s);
		if (p.a.broken != NULL) {
			after_the_break();
			break;
		}
	}
	return 0;
}

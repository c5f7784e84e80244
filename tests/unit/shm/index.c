#include <check.h>
#include <errno.h>
#include "tests/unit/shm/index_help.h"

static struct segment seg;
static struct index *idx;
static struct index_view view;

static void
setup(void)
{
	random_init("index");
	seg = partition_new();
	ck_assert_int_eq(index_new(&idx, &seg, test_secret), 0);
	index_view_init(&view, &seg, test_secret);
}

static void
teardown(void)
{
	index_free(idx);
	partition_free(&seg);
}

static void
check_sound(void)
{
	const char *what;
	int rc = index_check_keyed(&seg, test_secret, &what);

	ck_assert_msg(rc == 0, "%s", what);
}

static uint32_t
add(uint32_t account, const char *subject, const char *queue)
{
	uint32_t record;

	ck_assert_int_ge(index_add(idx, account, bytes_of(subject), bytes_of(queue), &record), 0);
	return record;
}

static enum index_answer
match(uint32_t account, const char *subject, struct index_match *m)
{
	return index_match(&view, account, bytes_of(subject), m);
}

/* ---- the model: a list, and the rules of matching written down again */

struct entry {
	uint32_t	account, weight, record, note;
	char		subject[64], queue[8];
};

#define ENTRIES		4096
static struct entry entries[ENTRIES];
static size_t nentries;

static bool
naive_tokens(const char *pattern, const char *subject)
{
	size_t p = strcspn(pattern, "."), s = strcspn(subject, ".");

	if (p == 1 && pattern[0] == '>' && pattern[1] == '\0')
		return true;
	if (!(p == 1 && pattern[0] == '*') && (p != s || memcmp(pattern, subject, p) != 0))
		return false;
	if (pattern[p] == '\0' || subject[s] == '\0')
		return pattern[p] == subject[s];
	return naive_tokens(pattern + p + 1, subject + s + 1);
}

static bool
naive_matches(const struct entry *e, uint32_t account, const char *subject)
{
	size_t len = strlen(subject);

	if (len == 0 || subject[0] == '.' || subject[len - 1] == '.' || strstr(subject, "..") != NULL)
		return false;
	return e->weight > 0 && e->account == account && naive_tokens(e->subject, subject);
}

static const char *const tokens[] = { "a", "b", "*", "c", "foo*", "aa", "a>", "longer_than_sixteen_bytes", ">", "" };
static const uint32_t accounts[] = { 0, 1, 2, 70000, UINT32_MAX };
static const char *const queues[] = { "", "", "q", "workers", "*" };

/* Something that may be subscribed to, or anything that may be published. */
static void
random_subject(char *out, size_t size, bool subscribe)
{
	unsigned n = 1 + random_below(4), i, t;

	out[0] = '\0';
	for (i = 0; i < n; i++) {
		t = random_below(subscribe ? (i == n - 1 ? 9 : 8) : 30);
		if (t >= 10)
			t %= 2;
		if (i > 0)
			strlcat(out, ".", size);
		strlcat(out, tokens[t], size);
	}
}

static struct entry *
model_find(uint32_t account, const char *subject, const char *queue)
{
	size_t i;

	for (i = 0; i < nentries; i++)
		if (entries[i].weight > 0 && entries[i].account == account &&
		    strcmp(entries[i].subject, subject) == 0 && strcmp(entries[i].queue, queue) == 0)
			return &entries[i];
	return NULL;
}

static struct entry *
model_new(void)
{
	size_t i;

	for (i = 0; i < nentries; i++)
		if (entries[i].weight == 0)
			return &entries[i];
	ck_assert_uint_lt(nentries, ENTRIES);
	return &entries[nentries++];
}

/* Before which number of frees a record may not be used again. */
#define NOT_BEFORE	(1u << 18)
static uint64_t not_before[NOT_BEFORE];

/* Returns what index_add() said. */
static int
model_add(void)
{
	uint32_t account = accounts[random_below(5)], record;
	const char *queue = queues[random_below(5)];
	uint64_t generation = index_generation(&view);
	char subject[64];
	struct entry *e;
	int rc;

	random_subject(subject, sizeof(subject), true);
	e = model_find(account, subject, queue);
	rc = index_add(idx, account, bytes_of(subject), bytes_of(queue), &record);
	if (rc == -ENOSPC) {
		ck_assert_uint_eq(index_generation(&view), generation);
		return rc;
	}
	ck_assert_int_eq(rc, e == NULL);
	ck_assert_uint_lt(record - INDEX_FIRST, NOT_BEFORE);
	ck_assert_uint_ge(idx->head->frees, not_before[record - INDEX_FIRST]);
	ck_assert_uint_eq(index_generation(&view), generation + 1);
	if (e == NULL) {
		e = model_new();
		*e = (struct entry){ .account = account, .record = record };
		strlcpy(e->subject, subject, sizeof(e->subject));
		strlcpy(e->queue, queue, sizeof(e->queue));
	}
	e->weight++;
	ck_assert_uint_eq(e->record, record);
	ck_assert_uint_eq(index_note(idx, record), e->note);
	e->note = (uint32_t)random_number();
	index_set_note(idx, record, e->note);
	return rc;
}

static void
model_remove(void)
{
	uint64_t frees = idx->head->frees;
	struct entry *e;

	if (nentries == 0 || (e = &entries[random_below((uint32_t)nentries)])->weight == 0)
		return;
	ck_assert_int_eq(index_remove(idx, e->record), e->weight == 1);
	if (--e->weight == 0 && idx->head->frees != frees && e->queue[0] != '\0')
		not_before[e->record - INDEX_FIRST] = frees + 1 + idx->quarantine;
}

static int
number_compare(const void *a, const void *b)
{
	return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : *(const uint32_t *)a > *(const uint32_t *)b;
}

static void
model_match_own(uint32_t account, const char *subject)
{
	static struct index_hits hits;
	uint32_t expected[ENTRIES];
	size_t i, n = 0;

	for (i = 0; i < nentries; i++)
		if (naive_matches(&entries[i], account, subject))
			expected[n++] = entries[i].record;
	ck_assert_int_eq(index_match_own(idx, account, bytes_of(subject), &hits), 0);
	ck_assert_msg(hits.count == n, "%zu hits of %zu for %s", hits.count, n, subject);
	if (n == 0)
		return;
	qsort(expected, n, sizeof(*expected), number_compare);
	qsort(hits.records, n, sizeof(*expected), number_compare);
	ck_assert_mem_eq(expected, hits.records, n * sizeof(*expected));
}

/* What a peer sees, as text: the same text, the same answer. */
static void
answer_text(char *text, size_t size, enum index_answer answer, const struct index_match *m)
{
	char one[64];
	unsigned i, k;

	ck_assert_int_ne(answer, INDEX_MAYBE);
	snprintf(text, size, "%s", answer == INDEX_YES && m->plain ? "plain" : "");
	for (k = 2; answer == INDEX_YES && k < 5; k++)
		for (i = 0; i < m->nqueues; i++)
			if (bytes_equal((struct bytes){ m->names + m->queue[i].at, m->queue[i].len },
			    bytes_of(queues[k]))) {
				snprintf(one, sizeof(one), " %.8s=%u", queues[k], m->queue[i].weight);
				strlcat(text, one, size);
			}
}

static void
model_text(char *text, size_t size, uint32_t account, const char *subject)
{
	uint32_t weight;
	char one[64];
	unsigned k;
	size_t i;

	text[0] = '\0';
	for (k = 1; k < 5; k++) {
		weight = 0;
		for (i = 0; i < nentries; i++)
			if (strcmp(entries[i].queue, queues[k]) == 0 &&
			    naive_matches(&entries[i], account, subject))
				weight += entries[i].weight;
		if (weight == 0)
			continue;
		snprintf(one, sizeof(one), k == 1 ? "plain" : " %s=%u", queues[k], weight);
		strlcat(text, one, size);
	}
}

/* Answers that were true under a stamp: they stay true while it stays. */
#define CACHED	64
static struct { char subject[64], answer[128]; uint32_t account, stamp; bool used; } cached[CACHED];

static void
model_match_view(uint32_t account, const char *subject)
{
	char seen[128], expected[128];
	struct index_match m;
	enum index_answer answer = match(account, subject, &m);
	unsigned i = random_below(CACHED);

	answer_text(seen, sizeof(seen), answer, &m);
	model_text(expected, sizeof(expected), account, subject);
	ck_assert_msg(strcmp(seen, expected) == 0, "%u %s: '%s', not '%s'", account, subject, seen, expected);
	if (!cached[i].used) {
		cached[i].used = true;
		cached[i].account = account;
		strlcpy(cached[i].subject, subject, sizeof(cached[i].subject));
		strlcpy(cached[i].answer, seen, sizeof(cached[i].answer));
		cached[i].stamp = index_stamp(&view, account, bytes_of(subject));
		return;
	}
	ck_assert_uint_eq(index_stamp(&view, cached[i].account, bytes_of(cached[i].subject)),
	    index_own_stamp(idx, cached[i].account, bytes_of(cached[i].subject)));
	if (index_stamp(&view, cached[i].account, bytes_of(cached[i].subject)) == cached[i].stamp) {
		model_text(expected, sizeof(expected), cached[i].account, cached[i].subject);
		ck_assert_str_eq(expected, cached[i].answer);
	}
	cached[i].used = random_below(4) != 0;
}

static void
model_reset(void)
{
	nentries = 0;
	memset(cached, 0, sizeof(cached));
}

static int
model_step(uint32_t adds)
{
	char subject[64];
	int rc = 0;

	if (random_below(100) < adds)
		rc = model_add();
	else
		model_remove();
	random_subject(subject, sizeof(subject), false);
	model_match_own(accounts[random_below(5)], subject);
	random_subject(subject, sizeof(subject), random_below(2));
	model_match_view(accounts[random_below(5)], subject);
	return rc;
}

START_TEST(answers_are_those_of_a_plain_list)
{
	unsigned i;

	idx->quarantine = 4;
	model_reset();
	for (i = 0; i < 30000; i++) {
		/* grow, shrink, grow */
		model_step(i / 3000 % 2 == 0 ? 70 : 20);
		if (i % 500 == 0)
			check_sound();
	}
	check_sound();
	for (i = 0; i < nentries; i++)
		for (; entries[i].weight > 0; entries[i].weight--)
			index_remove(idx, entries[i].record);
	check_sound();
	ck_assert_uint_eq(idx->live, 0);
	ck_assert_uint_eq(idx->slots, 0);
	ck_assert_uint_eq(view.hostile + view.maybes, 0);
}
END_TEST

START_TEST(a_full_partition_changes_nothing)
{
	unsigned i, full = 0;

	idx->quarantine = 4;
	/* Every 16 bytes once: each allocation of an add is the one that fails at some time. */
	idx->limit = INDEX_ARENA + 2048 + 16 * (uint64_t)_i;
	model_reset();
	for (i = 0; i < 2500; i++) {
		full += model_step(70) == -ENOSPC;
		if (i % 100 == 0)
			check_sound();
	}
	check_sound();
	ck_assert_uint_gt(full, 10);
	ck_assert_uint_le(idx->top, idx->limit);
	for (i = 0; i < nentries; i++)
		for (; entries[i].weight > 0; entries[i].weight--)
			index_remove(idx, entries[i].record);
	ck_assert_uint_eq(idx->live, 0);
}
END_TEST

/* A table that grows in a full partition: overflow buckets cannot be had when they are wanted. */
START_TEST(a_table_grows_in_a_full_partition)
{
	static uint32_t records[40000];
	char subject[32];
	uint32_t i, n = 0, k;
	struct index_match m;

	idx->quarantine = 4;
	idx->limit = INDEX_ARENA + (UINT64_C(256) << 10);
	for (k = 0; k < 30; k++) {
		for (; n < 40000; n++) {
			snprintf(subject, sizeof(subject), "s.%u", n);
			if (index_add(idx, 1, bytes_of(subject), BYTES(""), &records[n]) == -ENOSPC)
				break;
		}
		ck_assert_uint_gt(n, 6000);
		check_sound();
		for (i = 0; i < n; i++) {
			snprintf(subject, sizeof(subject), "s.%u", i);
			ck_assert_int_eq(match(1, subject, &m), INDEX_YES);
		}
		for (i = 0; i < 500; i++)
			index_remove(idx, records[--n]);
	}
}
END_TEST

/* Large records go, small ones and overflow buckets come in their place. */
START_TEST(small_in_the_place_of_large)
{
	static char large[8000];
	uint32_t records[200], i, n;
	char subject[32];

	idx->quarantine = 1;
	idx->limit = INDEX_ARENA + (UINT64_C(1) << 20);
	memset(large, 'l', sizeof(large));
	for (n = 0; n < 200; n++) {
		memcpy(large, &n, sizeof(n));
		if (index_add(idx, 1, (struct bytes){ large, sizeof(large) }, BYTES(""), &records[n]) != 1)
			break;
	}
	ck_assert_uint_gt(n, 100);
	while (n > 0)
		index_remove(idx, records[--n]);
	for (i = 0; i < 14000; i++) {
		snprintf(subject, sizeof(subject), "s.%018u", i);
		add(1, subject, "");
	}
	check_sound();
}
END_TEST

/* The table wants to grow, there is memory for records, but none for its overflow buckets. */
START_TEST(a_table_that_cannot_grow)
{
	static char stars[40000];
	static bool added[30000];
	uint32_t record, other, i, full = 0, buckets;
	struct index_match m;
	char subject[32];

	/* Nodes of wildcards take memory but no slot. */
	idx->quarantine = 1;
	for (i = 0; i < sizeof(stars); i++)
		stars[i] = i % 2 ? '.' : '*';
	ck_assert_int_eq(index_add(idx, 1, (struct bytes){ stars, sizeof(stars) - 1 }, BYTES(""), &record), 1);
	for (i = 0; i < 4500; i++) {
		snprintf(subject, sizeof(subject), "s.%05u", i);
		add(9, subject, "");
		added[i] = true;
	}
	idx->limit = idx->top;
	idx->blocks = idx->nblocks = 0;
	index_remove(idx, record);
	buckets = idx->buckets;
	for (; i < 30000; i++) {
		snprintf(subject, sizeof(subject), "s.%05u", i);
		added[i] = index_add(idx, 9, bytes_of(subject), BYTES(""), &other) == 1;
		full += !added[i];
	}
	ck_assert_uint_gt(full, 100);
	/* How far it came is chance: to the first bucket that needs a block to be split. */
	ck_assert_uint_ge(idx->buckets, buckets);
	check_sound();
	for (i = 0; i < 30000; i++) {
		snprintf(subject, sizeof(subject), "s.%05u", i);
		ck_assert_int_eq(match(9, subject, &m), added[i] ? INDEX_YES : INDEX_NO);
	}
}
END_TEST

/* ---- what the model cannot see */

START_TEST(lengths)
{
	static char subject[INDEX_SUBJECT_MAX + 1], queue[INDEX_SUBJECT_MAX + 1], back[INDEX_SUBJECT_MAX];
	static uint32_t records[3][2200];
	struct index_hits hits = { NULL, 0, 0 };
	struct index_match m;
	size_t i, len;
	unsigned round, kind;

	memset(subject, 's', sizeof(subject));
	memset(queue, 'q', sizeof(queue));
	for (round = 0; round < 3; round++) {
		for (i = 1; i < 2200; i++)
			for (kind = 0; kind < 3; kind++) {
				/* s...; s...s.* ; s... with a group of as many bytes */
				len = i < 2190 ? i : INDEX_SUBJECT_MAX - (2199 - i);
				if (kind == 1 && len > 2)
					memcpy(subject + len - 2, ".*", 2);
				ck_assert_int_eq(index_add(idx, 7, (struct bytes){ subject, len },
				    (struct bytes){ queue, kind == 2 ? len : 0 }, &records[kind][i]),
				    kind != 1 || len > 2);
				ck_assert_int_eq(index_subject(idx, records[kind][i], back, sizeof(back)), (int)len);
				ck_assert_mem_eq(back, subject, len);
				ck_assert_uint_eq(index_queue(idx, records[kind][i]).len, kind == 2 ? len : 0);
				if (len > 1)
					ck_assert_int_eq(index_subject(idx, records[kind][i], back, len - 1), -ENOSPC);
				memset(subject, 's', len);
			}
		for (i = 1; i < 2200; i++) {
			len = i < 2190 ? i : INDEX_SUBJECT_MAX - (2199 - i);
			ck_assert_int_eq(index_match(&view, 7, (struct bytes){ subject, len }, &m),
			    len > INDEX_QUEUE_BYTES ? INDEX_MAYBE : INDEX_YES);
			ck_assert_int_eq(index_match_own(idx, 7, (struct bytes){ subject, len }, &hits), 0);
			ck_assert_uint_eq(hits.count, 2);
		}
		check_sound();
		for (i = 1; i < 2200; i++)
			for (kind = 0; kind < 3; kind++)
				index_remove(idx, records[kind][(i * 7) % 2200]);
		ck_assert_uint_eq(idx->live, 0);
	}
	ck_assert_int_eq(index_add(idx, 7, (struct bytes){ subject, INDEX_SUBJECT_MAX + 1 },
	    BYTES(""), &records[0][0]), -E2BIG);
	ck_assert_int_eq(index_add(idx, 7, BYTES("s"), (struct bytes){ queue, INDEX_SUBJECT_MAX + 1 },
	    &records[0][0]), -E2BIG);
	free(hits.records);
}
END_TEST

START_TEST(zeros_are_an_empty_partition)
{
	struct index_match m;

	check_sound();
	ck_assert_int_eq(match(1, "a.b", &m), INDEX_NO);
	ck_assert_uint_eq(view.hostile + view.maybes, 0);
}
END_TEST

START_TEST(what_a_record_says)
{
	uint32_t plain = add(3, "a.*.c", ""), group = add(3, "a.*.c", "g"), again;
	char buf[8];

	ck_assert_uint_ne(plain, group);
	ck_assert_uint_eq(index_account(idx, plain), 3);
	ck_assert_uint_eq(index_account(idx, group), 3);
	ck_assert_int_eq(index_subject(idx, group, buf, sizeof(buf)), 5);
	ck_assert_mem_eq(buf, "a.*.c", 5);
	ck_assert(bytes_equal(index_queue(idx, group), BYTES("g")));
	ck_assert_uint_eq(index_queue(idx, plain).len, 0);
	ck_assert_uint_eq(add(3, "a.*.c", "g"), group);
	ck_assert_uint_eq(index_weight(idx, group), 2);

	/* The note of an interest that ended is not that of a new one in the same record. */
	index_set_note(idx, plain, 77);
	ck_assert_int_eq(index_remove(idx, plain), 1);
	again = add(3, "a.*.c", "");
	ck_assert_uint_eq(index_note(idx, again), 0);
}
END_TEST

START_TEST(groups_of_one_name_are_one)
{
	struct index_match m;

	add(1, "a.b", "g");
	add(1, "a.*", "g");
	add(1, "a.*", "g");
	ck_assert_int_eq(match(1, "a.b", &m), INDEX_YES);
	ck_assert(!m.plain);
	ck_assert_uint_eq(m.nqueues, 1);
	ck_assert_uint_eq(m.queue[0].weight, 3);
}
END_TEST

START_TEST(too_many_is_maybe_and_nobody_is_accused)
{
	struct index_hits hits = { NULL, 0, 0 };
	struct index_match m;
	char text[64];
	unsigned i, bit;

	for (i = 0; i < INDEX_QUEUES; i++) {
		snprintf(text, sizeof(text), "g%u", i);
		add(1, "q", text);
	}
	ck_assert_int_eq(match(1, "q", &m), INDEX_YES);
	ck_assert_uint_eq(m.nqueues, INDEX_QUEUES);
	add(1, "q", "one more");
	ck_assert_int_eq(match(1, "q", &m), INDEX_MAYBE);
	/* Names that do not fit. */
	for (i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "%060u", i);
		add(1, "names", text);
	}
	ck_assert_int_eq(match(1, "names", &m), INDEX_MAYBE);
	/* 64 nodes on one level: each token either itself or a wildcard. */
	for (i = 0; i < 64; i++) {
		text[0] = '\0';
		for (bit = 0; bit < 6; bit++)
			strlcat(text, i & 1u << bit ? "*." : "x.", sizeof(text));
		strlcat(text, "end", sizeof(text));
		add(2, text, "");
	}
	ck_assert_int_eq(match(2, "x.x.x.x.x.x.end", &m), INDEX_MAYBE);
	ck_assert_int_eq(index_match_own(idx, 2, BYTES("x.x.x.x.x.x.end"), &hits), 0);
	ck_assert_uint_eq(hits.count, 64);
	ck_assert_uint_eq(view.maybes, 3);
	ck_assert_uint_eq(view.hostile, 0);
	free(hits.records);
	check_sound();
}
END_TEST

/* A lie costs the liar its answer, each lookup a bounded time, and is counted as what it is. */
static void
lie(_Atomic uint32_t *word, uint32_t value, const char *subject, uint64_t hostile, uint64_t maybes)
{
	uint32_t was = index_load(word);
	struct index_match m;

	view.hostile = view.maybes = 0;
	index_store(word, value);
	ck_assert_int_eq(match(1, subject, &m), INDEX_MAYBE);
	ck_assert_uint_eq(view.hostile, hostile);
	ck_assert_uint_eq(view.maybes, maybes);
	index_store(word, was);
	ck_assert_int_eq(match(1, subject, &m), INDEX_YES);
}

START_TEST(lies_are_maybe)
{
	uint32_t pattern = add(1, "a.*.b", ""), group = add(1, "s", "g"), other = add(1, "s", "h");
	uint32_t rest = add(1, "r.>", ""), literal = add(1, "t", "");
	struct index_record *node = index_record_at(idx, pattern);
	uint32_t star_at = index_load(&node->number);
	struct index_record *star = index_record_at(idx, star_at);
	struct index_record *a = index_record_at(idx, index_load(&star->number));
	struct index_record *r = index_record_at(idx, index_load(&index_record_at(idx, rest)->number));
	_Atomic uint32_t *splits = (_Atomic uint32_t *)&idx->head->shape;
	struct index_match m;

	lie(&a->star, INDEX_FIRST - 1, "a.x.b", 1, 0);
	lie(&a->star, INDEX_BEHIND, "a.x.b", 1, 0);
	lie(&a->star, UINT32_MAX, "a.x.b", 1, 0);
	lie(&a->star, literal, "a.x.b", 1, 0);
	lie(&a->star, pattern, "a.x.b", 1, 0);
	lie(&star->star, star_at, "a.x.b", 1, 0);
	lie(&r->rest, literal, "r.x", 1, 0);
	lie(&index_record_at(idx, group)->queues, UINT32_MAX, "s", 1, 0);
	lie(&index_record_at(idx, group)->queues, literal, "s", 1, 0);
	/* A group without a name: who passed it on would be taken for the liar. */
	view.hostile = 0;
	index_store(&index_record_at(idx, group)->len, 0);
	ck_assert_int_eq(match(1, "s", &m), INDEX_MAYBE);
	ck_assert_uint_eq(view.hostile, 1);
	index_store(&index_record_at(idx, group)->len, 1);
	/* A ring of groups is one too long: honest peers may have that. */
	lie(&index_record_at(idx, group)->queues, other, "s", 0, 1);
	lie(splits, INDEX_BUCKETS_MAX, "t", 1, 0);
	lie(splits, UINT32_MAX, "t", 1, 0);
}
END_TEST

START_TEST(tables_links_are_checked)
{
	struct index_bucket *table = (struct index_bucket *)((char *)seg.base + INDEX_TABLE);
	struct index_match m;
	uint32_t i, block = INDEX_FIRST + 1024;
	const char *what;

	/* All buckets lead to one that leads to itself; to something between; out. */
	add(1, "t", "");
	index_store(&index_bucket_at(idx, block)->next, block);
	for (i = 0; i < INDEX_BUCKETS_MIN; i++)
		index_store(&table[i].next, block);
	ck_assert_int_eq(match(2, "t", &m), INDEX_MAYBE);
	for (i = 0; i < INDEX_BUCKETS_MIN; i++)
		index_store(&table[i].next, block + 1);
	ck_assert_int_eq(match(2, "t", &m), INDEX_MAYBE);
	for (i = 0; i < INDEX_BUCKETS_MIN; i++)
		index_store(&table[i].next, UINT64_MAX - 3);
	ck_assert_int_eq(match(2, "t", &m), INDEX_MAYBE);
	ck_assert_uint_eq(view.hostile, 3);
	ck_assert_int_eq(index_check(&seg, &what), -EBADMSG);
}
END_TEST

/* One subject with very many groups costs each of them the same, and its neighbours nothing. */
START_TEST(many_groups)
{
	static uint32_t records[30000];
	struct index_hits hits = { NULL, 0, 0 };
	struct index_match m;
	char text[32];
	unsigned i;

	for (i = 0; i < 30000; i++) {
		snprintf(text, sizeof(text), "g%u", i);
		records[i] = add(1, i % 2 ? "s" : "*", text);
		snprintf(text, sizeof(text), "n.%u", i);
		add(1, text, "");
	}
	ck_assert_int_eq(index_match_own(idx, 1, BYTES("s"), &hits), 0);
	ck_assert_uint_eq(hits.count, 30000);
	for (i = 0; i < 30000; i++) {
		snprintf(text, sizeof(text), "n.%u", i);
		ck_assert_int_eq(match(1, text, &m), INDEX_YES);
	}
	check_sound();
	for (i = 0; i < 30000; i++)
		ck_assert_int_eq(index_remove(idx, records[(i * 7919) % 30000]), 1);
	check_sound();
	free(hits.records);
}
END_TEST

START_TEST(a_pattern_of_the_deepest_kind)
{
	static char text[INDEX_SUBJECT_MAX], back[INDEX_SUBJECT_MAX];
	struct index_hits hits = { NULL, 0, 0 };
	struct bytes subject = { text, sizeof(text) };
	struct index_match m;
	uint32_t record;
	size_t i;

	for (i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? '.' : i % 4 ? '*' : 'a';
	ck_assert_int_eq(index_add(idx, 1, subject, BYTES(""), &record), 1);
	ck_assert_int_eq(index_subject(idx, record, back, sizeof(back)), (int)sizeof(back));
	ck_assert_mem_eq(text, back, sizeof(text));
	ck_assert_int_eq(index_match_own(idx, 1, subject, &hits), 0);
	ck_assert_uint_eq(hits.count, 1);
	ck_assert_int_eq(index_match(&view, 1, subject, &m), INDEX_MAYBE);
	check_sound();
	ck_assert_int_eq(index_remove(idx, record), 1);
	ck_assert_uint_eq(idx->live, 0);
	free(hits.records);
}
END_TEST

static int
each_count(void *arg, uint32_t record)
{
	uint32_t *weight = arg;

	*weight += index_weight(idx, record);
	return *weight >= 1000000 ? 42 : 0;
}

START_TEST(each_sees_every_interest_once)
{
	uint32_t weight = 0;

	add(1, "a", "");
	add(1, "a", "g");
	add(1, "*", "");
	add(1, "*.*.>", "");
	add(1, ">", "");
	add(1, ">", "g");
	add(1, ">", "g");
	add(2, "a.*.b.*", "");
	add(2, "a.*.b.>", "g");
	add(2, "a.x.b.*.>", "");
	ck_assert_int_eq(index_each(idx, each_count, &weight), 0);
	ck_assert_uint_eq(weight, 10);
	weight = 999999;
	ck_assert_int_eq(index_each(idx, each_count, &weight), 42);
}
END_TEST

START_TEST(memory_comes_back)
{
	static uint32_t records[100000];
	struct index_usage before, after;
	char text[32];
	uint32_t i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 100000; i++) {
			snprintf(text, sizeof(text), i % 4 ? "burst.%07u.x" : "burst.%07u.*", i);
			records[i] = add(1 + i % 3, text, "");
		}
		index_usage(idx, round == 0 ? &before : &after);
		for (i = 0; i < 100000; i++)
			index_remove(idx, records[i]);
		ck_assert_uint_eq(idx->live, 0);
	}
	ck_assert_uint_eq(after.records, 100000);
	/* What is in quarantine, and what does not fit exactly. */
	ck_assert_uint_le(after.top_bytes, before.top_bytes + (1u << 20));
	index_usage(idx, &after);
	ck_assert_uint_eq(after.records, 0);
	ck_assert_uint_lt(after.live_bytes * 2, after.top_bytes);
}
END_TEST

START_TEST(large_records_are_used_again)
{
	static char subject[INDEX_SUBJECT_MAX];
	uint32_t records[16], i;

	idx->quarantine = 16;
	memset(subject, 'x', sizeof(subject));
	for (i = 0; i < 50000; i++) {
		if (i >= 16)
			index_remove(idx, records[i % 16]);
		memcpy(subject, &i, sizeof(i));
		ck_assert_int_eq(index_add(idx, 1, (struct bytes){ subject,
		    1024 + random_below(INDEX_SUBJECT_MAX - 1024) }, BYTES(""), &records[i % 16]), 1);
	}
	/* 32 of them are in use or in quarantine at a time. */
	ck_assert_uint_le(idx->top - INDEX_ARENA, 32u << 20);
	check_sound();
}
END_TEST

START_TEST(a_change_elsewhere_leaves_a_stamp_alone)
{
	uint32_t stamp = index_stamp(&view, 1, BYTES("a.b")), moved = 0, i;
	uint64_t generation = index_generation(&view);
	char text[32];

	for (i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), i % 2 ? "x%u.y" : "x%u.*", i);
		add(1, text, "");
		moved += index_stamp(&view, 1, BYTES("a.b")) != stamp;
		stamp = index_stamp(&view, 1, BYTES("a.b"));
	}
	ck_assert_uint_le(moved, 3);	/* by chance 0.06 */
	ck_assert_uint_eq(index_generation(&view), generation + 100);
	ck_assert_uint_eq(index_own_generation(idx), generation + 100);
}
END_TEST

/* ---- index_check() sees what is wrong */

static void
break_word(_Atomic uint32_t *word, uint32_t value, const char *expected)
{
	uint32_t was = index_load(word);
	const char *what;

	index_store(word, value);
	ck_assert_int_eq(index_check(&seg, &what), -EBADMSG);
	ck_assert_str_eq(what, expected);
	index_store(word, was);
	check_sound();
}

START_TEST(the_checker_finds_it)
{
	uint32_t pattern = add(1, "a.*.b", ""), group = add(1, "s", "g"), other = add(1, "s", "h");
	uint32_t literal = add(1, "t", "");
	struct index_record *node = index_record_at(idx, pattern);
	struct index_record *star = index_record_at(idx, index_load(&node->number));
	struct index_record *a = index_record_at(idx, index_load(&star->number));

	check_sound();
	break_word(&node->weight, 0, "empty node");
	break_word(&star->children, 2, "number of children");
	break_word(&star->number, literal, "node of a wildcard");
	break_word(&a->star, pattern, "used twice");
	break_word(&a->star, 5, "offset of a record");
	break_word(&a->number, pattern, "number of children");
	break_word(&index_record_at(idx, other)->queues, other, "link back from a group");
	break_word(&index_record_at(idx, group)->weight, 0, "group without members");
	break_word(&index_record_at(idx, group)->prev, 0, "link back from a group");
	break_word(&index_record_at(idx, other)->queues, 0, "groups that are only in the table");
	break_word(&index_record_at(idx, literal)->weight, 0, "empty subject");
	break_word(&index_record_at(idx, literal)->tag, 1, "tag of a slot");
	break_word(&index_record_at(idx, literal)->number, 9, "number of an account's interests");
	break_word(&index_record_at(idx, index_load(&a->number))->weight, 1, "number of an account's interests");
	index_store(&index_record_at(idx, literal)->kind, 9);
	{
		const char *what;

		ck_assert_int_eq(index_check(&seg, &what), -EBADMSG);
		ck_assert_str_eq(what, "kind of a record");
	}
}
END_TEST

/* Notes of what is there, 0 for what is not; and it writes nothing. */
START_TEST(what_is_expected)
{
	struct bytes subjects[INDEX_EXPECTED];
	char text[INDEX_EXPECTED][16];
	uint32_t record, notes[INDEX_EXPECTED];
	unsigned i;

	for (i = 0; i < INDEX_EXPECTED; i++) {
		snprintf(text[i], sizeof(text[i]), "expected.%u", i);
		subjects[i] = bytes_of(text[i]);
		if (i % 3 == 0)
			continue;
		ck_assert_int_eq(index_add(idx, 7, subjects[i], (struct bytes){ 0 }, &record), 1);
		index_set_note(idx, record, i + 100);
	}
	index_expect(idx, 7, subjects, INDEX_EXPECTED, notes);
	for (i = 0; i < INDEX_EXPECTED; i++)
		ck_assert_uint_eq(notes[i], i % 3 == 0 ? 0 : i + 100);
	index_expect(idx, 8, subjects, INDEX_EXPECTED, notes);
	for (i = 0; i < INDEX_EXPECTED; i++)
		ck_assert_uint_eq(notes[i], 0);
	index_expect(idx, 7, subjects, 0, notes);
}
END_TEST

/* What a peer named is read back as it was subscribed to. */
START_TEST(an_interest_is_read_back)
{
	static const struct { const char *subject, *queue; } all[] = {
		{ "a", "" }, { "a.b.c", "" }, { "a.b.c", "g" }, { ">", "" }, { "*", "" }, { "*", "a group" },
		{ "a.*.c", "" }, { "a.*.c.>", "q" }, { "some.longer.subject.with.*.tokens.>", "" },
	};
	static struct index_interest in;
	uint32_t records[sizeof(all) / sizeof(all[0])];
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		records[i] = add((uint32_t)i + 7, all[i].subject, all[i].queue);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ck_assert_int_eq(index_view_interest(&view, records[i], &in), 0);
		ck_assert_uint_eq(in.account, i + 7);
		ck_assert(bytes_equal(in.subject, bytes_of(all[i].subject)));
		ck_assert(bytes_equal(in.queue, bytes_of(all[i].queue)));
	}
	ck_assert_int_eq(index_view_interest(&view, 0, &in), -ENOENT);
	ck_assert_int_eq(index_view_interest(&view, UINT32_MAX, &in), -ENOENT);
}
END_TEST

/* A pattern that leads to itself, to what is none, out; a length that is not true. */
START_TEST(an_interest_may_lie)
{
	static struct index_interest in;
	uint32_t pattern = add(1, "a.*.b", ""), group = add(1, "s", "g"), literal = add(1, "t", "");
	struct index_record *node = index_record_at(idx, pattern);
	uint32_t above = index_load(&node->number), i;

	index_store(&node->number, pattern);
	ck_assert_int_eq(index_view_interest(&view, pattern, &in), -E2BIG);
	index_store(&node->number, literal);
	ck_assert_int_eq(index_view_interest(&view, pattern, &in), -ENOENT);
	index_store(&node->number, UINT32_MAX);
	ck_assert_int_eq(index_view_interest(&view, pattern, &in), -ENOENT);
	index_store(&node->number, above);
	index_store(&node->len, UINT16_MAX);
	ck_assert_int_eq(index_view_interest(&view, pattern, &in), -E2BIG);
	index_store(&index_record_at(idx, group)->len, UINT16_MAX);
	ck_assert_int_eq(index_view_interest(&view, group, &in), -E2BIG);
	index_store(&index_record_at(idx, literal)->len, UINT16_MAX);
	ck_assert_int_eq(index_view_interest(&view, literal, &in), -E2BIG);
	for (i = 0; i < 100000; i++)
		(void)index_view_interest(&view, INDEX_FIRST + random_below(64), &in);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("index");
	TCase *c = tcase_create("owner and view");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, answers_are_those_of_a_plain_list);
	tcase_add_loop_test(c, a_full_partition_changes_nothing, 0, 24);
	tcase_add_test(c, a_table_grows_in_a_full_partition);
	tcase_add_test(c, small_in_the_place_of_large);
	tcase_add_test(c, a_table_that_cannot_grow);
	tcase_add_test(c, lengths);
	tcase_add_test(c, zeros_are_an_empty_partition);
	tcase_add_test(c, what_a_record_says);
	tcase_add_test(c, groups_of_one_name_are_one);
	tcase_add_test(c, too_many_is_maybe_and_nobody_is_accused);
	tcase_add_test(c, lies_are_maybe);
	tcase_add_test(c, tables_links_are_checked);
	tcase_add_test(c, many_groups);
	tcase_add_test(c, a_pattern_of_the_deepest_kind);
	tcase_add_test(c, each_sees_every_interest_once);
	tcase_add_test(c, memory_comes_back);
	tcase_add_test(c, large_records_are_used_again);
	tcase_add_test(c, a_change_elsewhere_leaves_a_stamp_alone);
	tcase_add_test(c, the_checker_finds_it);
	tcase_add_test(c, what_is_expected);
	tcase_add_test(c, an_interest_is_read_back);
	tcase_add_test(c, an_interest_may_lie);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

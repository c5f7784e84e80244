/*
 * index_bench [subscriptions]: nanoseconds of CPU for each operation on the
 * subject index, and bytes for each subscription of 20 bytes.
 */
#include "tests/unit/shm/index_help.h"

#define HOT	20000u

static uint32_t n = 1000000;
static char (*subjects)[24];
static struct segment seg;
static struct index *idx;
static struct index_view view;

static struct bytes
subject(uint32_t i)
{
	return (struct bytes){ subjects[i], 20 };
}

static void
report(const char *what, double since, uint64_t count)
{
	printf("%-44s %8.1f ns\n", what, (seconds(CLOCK_PROCESS_CPUTIME_ID) - since) * 1e9 / (double)count);
}

/* Bytes of the partition that are really there. */
static uint64_t
resident(void)
{
	const size_t pages = INDEX_SIZE / 4096;
	unsigned char *in = malloc(pages);
	uint64_t count = 0;
	size_t i;

	if (in == NULL || mincore(seg.base, INDEX_SIZE, in) != 0)
		return 0;
	for (i = 0; i < pages; i++)
		count += in[i] & 1;
	free(in);
	return count * 4096;
}

static void
fill(uint32_t *records)
{
	double since = seconds(CLOCK_PROCESS_CPUTIME_ID);
	uint32_t i;

	for (i = 0; i < n; i++)
		if (index_add(idx, 1, subject(i), BYTES(""), &records[i]) != 1)
			abort();
	report("add", since, n);
	printf("%-44s %8.1f B\n", "memory for each", (double)resident() / n);
}

/* miss: change the last byte. */
static void
match(const char *what, uint32_t among, bool own, bool miss)
{
	struct index_hits hits = { NULL, 0, 0 };
	double since = seconds(CLOCK_PROCESS_CPUTIME_ID);
	const uint32_t count = 2000000;
	uint64_t found = 0;
	struct index_match m;
	char copy[24], label[64];
	uint32_t i, k;

	for (i = 0; i < count; i++) {
		k = random_below(among);
		memcpy(copy, subjects[k], sizeof(copy));
		if (miss)
			copy[19] = 'z';
		if (own) {
			index_match_own(idx, 1, (struct bytes){ copy, 20 }, &hits);
			found += hits.count > 0;
		} else
			found += index_match(&view, 1, (struct bytes){ copy, 20 }, &m) == INDEX_YES;
	}
	snprintf(label, sizeof(label), "%s, %s, %s", own ? "own" : "view", what, miss ? "miss" : "hit");
	report(label, since, count);
	if (!miss && found != count)
		printf("  found only %llu\n", (unsigned long long)found);
	free(hits.records);
}

static void
match_all(uint32_t wildcards)
{
	printf("-- with %u wildcards\n", wildcards);
	for (unsigned own = 0; own < 2; own++)
		for (unsigned miss = 0; miss < 2; miss++) {
			match("random of all", n, own, miss);
			match("hot", n < HOT ? n : HOT, own, miss);
		}
}

static void
add_wildcards(uint32_t from, uint32_t to)
{
	uint32_t record, i;
	char text[64];

	for (i = from; i < to; i++) {
		switch (i % 5) {
		case 0: snprintf(text, sizeof(text), "s%02u.*.m%07u", i % 100, i); break;
		case 1: snprintf(text, sizeof(text), "*.dev%04u.m%07u", i % 1000, i); break;
		case 2: snprintf(text, sizeof(text), "s%02u.dev%04u.>", i % 100, i % 1000); break;
		case 3: snprintf(text, sizeof(text), "x%05u.*.>", i); break;
		default: snprintf(text, sizeof(text), "s%02u.dev%04u.*", i % 100, i / 5 % 1000); break;
		}
		if (index_add(idx, 1, bytes_of(text), BYTES(""), &record) < 0)
			abort();
	}
}

static void
churn(uint32_t *records)
{
	double since = seconds(CLOCK_PROCESS_CPUTIME_ID);
	uint32_t i;

	for (i = 0; i < n; i += 2)
		index_remove(idx, records[i]);
	report("remove", since, n / 2);
	since = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (i = 0; i < n; i += 2)
		if (index_add(idx, 1, subject(i), BYTES(""), &records[i]) != 1)
			abort();
	report("add again", since, n / 2);
}

int
main(int argc, char **argv)
{
	uint32_t *records, i;
	struct index_key key;
	uint64_t sum = 0;
	double since;

	if (argc > 1)
		n = (uint32_t)strtoul(argv[1], NULL, 10);
	random_init("index_bench");
	subjects = malloc((size_t)n * sizeof(*subjects));
	records = malloc((size_t)n * sizeof(*records));
	seg = partition_new();
	if (n == 0 || subjects == NULL || records == NULL || index_new(&idx, &seg, test_secret) != 0)
		return EXIT_FAILURE;
	index_view_init(&view, &seg, test_secret);
	for (i = 0; i < n; i++)
		snprintf(subjects[i], sizeof(subjects[i]), "s%02u.dev%04u.m%07u", i % 100, i / 100 % 1000, i % 10000000);
	fill(records);
	match_all(0);
	add_wildcards(0, 100);
	match_all(100);
	add_wildcards(100, 10000);
	match_all(10000);
	key = index_key(test_secret, 1, subject(0));
	since = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (i = 0; i < 10000000; i++)
		sum += index_stamp_by_key(&view, (struct index_key){ key.literal + i, key.wild });
	report("stamp by key", since, 10000000);
	churn(records);
	index_free(idx);
	partition_free(&seg);
	free(records);
	free(subjects);
	return sum == 1;
}

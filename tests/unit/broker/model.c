/*
 * Three brokers against a list: random subscriptions, publishes, deaths and
 * compactions over a small alphabet, so that much matches. Every plain
 * subscription gets each message once and in order, every group one copy.
 */
#include "net.h"
#include "nats/subject.h"

#define SUBS	400
#define STEPS	3000

struct known { bool live; unsigned node; uint32_t slot, account; char subject[32], queue[8]; };

static struct net	*net;
static struct known	 known[SUBS];
static struct publish_hint hints[3];
static uint64_t		 seed;

static unsigned
chance(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % n;
}

static void
subject_make(char *out, bool pattern)
{
	static const char *const literal[] = { "a", "b", "c" };
	unsigned	n = 1 + chance(3), i;

	out[0] = '\0';
	for (i = 0; i < n; i++) {
		if (i > 0)
			strcat(out, ".");
		if (pattern && chance(4) == 0) {
			strcat(out, i == n - 1 && chance(2) ? ">" : "*");
		} else
			strcat(out, literal[chance(3)]);
	}
}

/* The connection of a subscription is its place in known[]. */
static void
step_subscribe(void)
{
	unsigned	i = chance(SUBS);
	struct known	*k = &known[i];

	if (k->live)
		return;
	k->node = chance(3);
	k->account = 1 + chance(2);
	subject_make(k->subject, true);
	k->queue[0] = '\0';
	if (chance(3) == 0)
		snprintf(k->queue, sizeof(k->queue), "q%u", chance(3));
	ck_assert_int_eq(broker_subscribe(net->node[k->node].b, k->account, i, bytes_of(k->subject),
	    bytes_of(k->queue), &k->slot), 0);
	k->live = true;
}

static void
step_unsubscribe(void)
{
	struct known *k = &known[chance(SUBS)];

	if (!k->live)
		return;
	broker_unsubscribe(net->node[k->node].b, k->slot);
	k->live = false;
}

static bool
model_matches(const struct known *k, uint32_t account, const char *subject)
{
	return k->live && k->account == account && subject_matches(bytes_of(k->subject), bytes_of(subject));
}

/* What arrived is what the list says. */
static void
assert_as_known(uint32_t account, const char *subject, unsigned copies)
{
	unsigned	counts[SUBS] = { 0 }, groups[3] = { 0 }, i, q;
	bool		exists[3] = { false };

	for (i = 0; i < net->ngot; i++) {
		ck_assert_uint_eq(net->got[i].node, known[net->got[i].connection].node);
		counts[net->got[i].connection]++;
	}
	for (i = 0; i < SUBS; i++) {
		if (!model_matches(&known[i], account, subject)) {
			ck_assert_uint_eq(counts[i], 0);
		} else if (known[i].queue[0] == '\0') {
			ck_assert_msg(counts[i] == copies, "%s at %u got %u of %u of %s", known[i].subject,
			    known[i].node, counts[i], copies, subject);
		} else {
			q = (unsigned)(known[i].queue[1] - '0');
			exists[q] = true;
			groups[q] += counts[i];
		}
	}
	for (q = 0; q < 3; q++)
		ck_assert_msg(groups[q] == (exists[q] ? copies : 0), "group %u got %u of %u of %s", q,
		    groups[q], copies, subject);
}

static void
step_publish(void)
{
	struct message	m = { .body = BYTES("x"), .publisher = NO_CONNECTION, .echo = true };
	char		subject[32];
	unsigned	node = chance(3), copies = 1 + chance(3), i;

	subject_make(subject, chance(20) == 0);
	m.account = 1 + chance(2);
	m.subject = bytes_of(subject);
	net_clear(net);
	broker_refresh(net->node[node].b);
	for (i = 0; i < copies; i++)
		ck_assert_int_eq(broker_publish(net->node[node].b, &m, 1, &hints[node]), PUBLISHED);
	net_settle(net);
	assert_as_known(m.account, subject, copies);
}

static void
step_death(void)
{
	unsigned node = chance(3), i;

	node_replace(net, node);
	hints[node].entry = NULL;
	for (i = 0; i < SUBS; i++)
		if (known[i].node == node)
			known[i].live = false;
}

static void
model_moved(void *program, uint32_t connection, uint32_t from, uint32_t to)
{
	ck_assert_uint_eq(known[connection].slot, from);
	known[connection].slot = to;
}

/* Some peers hear of it at once, some after more has happened. */
static void
step_compact(void)
{
	struct node	*n = &net->node[chance(3)];
	struct segment	 partition, tables, old, seg;
	int		 fd;
	unsigned	 i, more = chance(30), late = chance(3);

	segments_make(&partition, &fd, &tables);
	ck_assert_int_eq(broker_compact(n->b, &partition, &tables, model_moved), 0);
	segment_unmap(&n->tables);
	old = n->partition;
	n->tables = tables;
	n->partition = partition;
	close(n->partition_fd);
	n->partition_fd = fd;
	for (i = 0; i < 6; i++) {
		if (i == 3)
			while (more-- != 0) {
				step_subscribe();
				step_unsubscribe();
				step_publish();
			}
		if (i % 3 == n->number || (i < 3) == (i % 3 == late))
			continue;
		seg = partition_view(n);
		ck_assert_int_eq(broker_replace_partition(net->node[i % 3].b, n->number, n->incarnation, &seg), 0);
	}
	broker_compacted(n->b);
	segment_unmap(&old);
}

START_TEST(as_the_list_says)
{
	unsigned i, what;

	seed = (uint64_t)_i * 7919 + 1;
	memset(known, 0, sizeof(known));
	memset(hints, 0, sizeof(hints));
	net = net_new(3, 1 << 16, 1 << 13);
	for (i = 0; i < STEPS; i++) {
		what = chance(1000);
		if (what < 400)
			step_subscribe();
		else if (what < 600)
			step_unsubscribe();
		else if (what < 990)
			step_publish();
		else if (what < 994)
			step_death();
		else if (what < 997)
			step_compact();
	}
	ck_assert_uint_eq(net->ncomplaints, 0);
	for (i = 0; i < 3; i++)
		ck_assert_uint_eq(net->node[i].b->tables->records_lost, 0);
	net_free(net);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("model");
	TCase *c = tcase_create("model");

	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, as_the_list_says, 0, getenv("CHECK_LONG") != NULL ? 60 : 8);
	suite_add_tcase(s, c);
	return tests_run(s);
}

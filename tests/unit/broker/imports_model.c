/*
 * Accounts under random imports and exports, on three brokers, against a naive
 * reading of what imports mean: every subscription gets exactly what that says.
 * It begins with `deliver`: what a message to one account does.
 */
#include "nats/subject.h"
#include "tenants.h"

#define ACCOUNTS	4		/* A to D; each imports from those before it */
#define IMPORTS		10
#define SUBS		60
#define TOKENS		8
#define STEPS		400

struct pattern { unsigned n; char token[TOKENS][ANSWER_TOKEN + 1]; };
struct import { bool service; uint32_t from, by; struct pattern source, destination; };
struct known { bool live; unsigned node; uint32_t slot, account; char subject[64], queue[8]; };
/* What connection is to get; or, with a queue, any of its group. */
struct wanted { uint32_t account; char queue[8], subject[128]; unsigned connection, times; };
/* A message that a service is asked with: up to whom its answers go. */
struct asked { uint32_t account; char subject[128]; uint32_t path[16]; unsigned length; };

static struct net	*net;
static struct accounts	*accounts;
static struct tenants	 t;
static struct import	 imports[IMPORTS];
static unsigned		 nimports;
static struct known	 known[SUBS];
static struct wanted	 wanted[4096];
static unsigned		 nwanted;
static struct asked	 asked[256];
static unsigned		 nasked;
static uint64_t		 seed;

static unsigned
chance(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % n;
}

/* ---- making things up */

static void
pattern_make(struct pattern *p, bool wild)
{
	unsigned i;

	p->n = 1 + chance(3);
	for (i = 0; i < p->n; i++)
		if (wild && chance(3) == 0)
			strcpy(p->token[i], i == p->n - 1 && chance(2) ? ">" : "*");
		else
			snprintf(p->token[i], 8, "%c", 'a' + (char)chance(2));
}

static const char *
pattern_text(const struct pattern *p, char *out)
{
	unsigned i;

	out[0] = '\0';
	for (i = 0; i < p->n; i++) {
		if (i > 0)
			strcat(out, ".");
		strcat(out, p->token[i]);
	}
	return out;
}

static void
pattern_read(struct pattern *p, const char *text)
{
	char	 copy[128], *token, *rest = copy;

	snprintf(copy, sizeof(copy), "%s", text);
	for (p->n = 0; (token = strsep(&rest, ".")) != NULL; p->n++)
		snprintf(p->token[p->n], sizeof(p->token[0]), "%s", token);
}

/* All wildcards of source in another order, with other tokens in between. */
static void
destination_make(struct pattern *to, const struct pattern *source)
{
	unsigned order[TOKENS], n = 0, i, j, swap;

	for (i = 0; i < source->n; i++)
		if (source->token[i][0] == '*') {
			order[n] = n + 1;
			n++;
		}
	for (i = n; i > 1; i--) {
		j = chance(i);
		swap = order[j];
		order[j] = order[i - 1];
		order[i - 1] = swap;
	}
	to->n = 0;
	for (i = 0; i < n; i++) {
		if (chance(3) == 0)
			snprintf(to->token[to->n++], 8, "%c", 'a' + (char)chance(2));
		snprintf(to->token[to->n++], 8, "$%u", order[i]);
	}
	if (n == 0 || chance(3) == 0)
		snprintf(to->token[to->n++], 8, "%c", 'a' + (char)chance(2));
	if (source->token[source->n - 1][0] == '>')
		strcpy(to->token[to->n++], ">");
}

static void
configure(void)
{
	struct accounts	*old = accounts;
	struct import	*im;
	char		 source[64], destination[64];
	unsigned	 i, account_number;

	nimports = 0;
	for (account_number = A; account_number < A + ACCOUNTS; account_number++) {
		snprintf(source, sizeof(source), "account%u", account_number);
		account(&t, account_number, source);
		for (i = 0; account_number > A && i < 3; i++) {
			im = &imports[nimports++];
			im->service = chance(2);
			im->by = account_number;
			im->from = A + chance(account_number - A);
			pattern_make(&im->source, true);
			destination_make(&im->destination, &im->source);
			pattern_text(&im->source, source);
			pattern_text(&im->destination, destination);
			if (im->service)
				service(&t, im->from, source, destination);
			else
				stream(&t, im->from, source, destination);
		}
	}
	accounts = tenants_set(net, &t);
	accounts_free(old);
}

/* ---- what it means */

static bool
naive_matches(const struct pattern *p, const struct pattern *s)
{
	unsigned i;

	for (i = 0; i < p->n; i++) {
		if (p->token[i][0] == '>')
			return s->n > i;
		if (i >= s->n || (p->token[i][0] != '*' && strcmp(p->token[i], s->token[i]) != 0))
			return false;
	}
	return p->n == s->n;
}

static const char *
naive_transform(const struct import *im, const struct pattern *s, char *out)
{
	struct pattern	 to = { .n = 0 };
	unsigned	 i, j, k;

	for (i = 0; i < im->destination.n; i++) {
		if (im->destination.token[i][0] == '>') {
			for (j = im->source.n - 1; j < s->n; j++)
				strcpy(to.token[to.n++], s->token[j]);
		} else if (im->destination.token[i][0] == '$') {
			k = (unsigned)atoi(im->destination.token[i] + 1);
			for (j = 0; k > 0; j++)
				k -= im->source.token[j][0] == '*';
			strcpy(to.token[to.n++], s->token[j - 1]);
		} else
			strcpy(to.token[to.n++], im->destination.token[i]);
	}
	return pattern_text(&to, out);
}

static bool
naive_sub_matches(const struct known *k, uint32_t account_number, const char *subject)
{
	struct pattern p, s;

	pattern_read(&p, k->subject);
	pattern_read(&s, subject);
	return k->live && k->account == account_number && naive_matches(&p, &s);
}

static void
want(const struct known *k, const char *subject)
{
	unsigned	 connection = (unsigned)(k - known), i;
	struct wanted	*w;

	for (i = 0; i < nwanted; i++) {
		w = &wanted[i];
		if (w->connection == connection && strcmp(w->subject, subject) == 0) {
			w->times++;
			return;
		}
	}
	w = &wanted[nwanted++];
	*w = (struct wanted){ .connection = connection, .times = 1 };
	snprintf(w->subject, sizeof(w->subject), "%s", subject);
}

/* One copy for a group, whoever of it has it. */
static void
want_group(uint32_t account_number, const char *queue)
{
	unsigned	 i;
	struct wanted	*w;

	for (i = 0; i < nwanted; i++) {
		w = &wanted[i];
		if (w->account == account_number && strcmp(w->queue, queue) == 0) {
			w->times++;
			return;
		}
	}
	w = &wanted[nwanted++];
	*w = (struct wanted){ .account = account_number, .times = 1 };
	snprintf(w->queue, sizeof(w->queue), "%s", queue);
}

/* Subscriptions of account_number to whom a message comes under one subject or another. */
static void
deliver_to(uint32_t account_number, char subjects[][128], unsigned n)
{
	const char	*groups[SUBS];
	unsigned	 ngroups = 0, i, j, g;

	for (j = 0; j < n; j++)
		for (i = 0; i < SUBS; i++) {
			if (!naive_sub_matches(&known[i], account_number, subjects[j]))
				continue;
			if (known[i].queue[0] == '\0') {
				want(&known[i], subjects[j]);
				continue;
			}
			for (g = 0; g < ngroups && strcmp(groups[g], known[i].queue) != 0; g++)
				;
			if (g == ngroups)
				groups[ngroups++] = known[i].queue;
		}
	for (g = 0; g < ngroups; g++)
		want_group(account_number, groups[g]);
}

static void
deliver_streams(uint32_t account_number, const char *subject)
{
	char		subjects[IMPORTS][128];
	struct pattern	s;
	unsigned	n, i, by;

	pattern_read(&s, subject);
	for (by = A; by < A + ACCOUNTS; by++) {
		for (n = i = 0; i < nimports; i++)
			if (!imports[i].service && imports[i].by == by && imports[i].from == account_number &&
			    naive_matches(&imports[i].source, &s))
				naive_transform(&imports[i], &s, subjects[n++]);
		deliver_to(by, subjects, n);
	}
}

/* path: the accounts from the first asker to this one. */
static void
deliver(uint32_t account_number, const char *subject, bool imported, const uint32_t *path, unsigned length)
{
	char		subjects[1][128], theirs[128];
	struct pattern	s;
	unsigned	i;
	struct asked	*a;

	snprintf(subjects[0], 128, "%s", subject);
	deliver_to(account_number, subjects, 1);
	if (!imported)
		deliver_streams(account_number, subject);
	pattern_read(&s, subject);
	for (i = 0; i < nimports; i++) {
		if (!imports[i].service || imports[i].by != account_number || !naive_matches(&imports[i].source, &s))
			continue;
		naive_transform(&imports[i], &s, theirs);
		a = &asked[nasked++];
		*a = (struct asked){ .account = imports[i].from, .length = length + 1 };
		snprintf(a->subject, sizeof(a->subject), "%s", theirs);
		memcpy(a->path, path, length * sizeof(*path));
		a->path[length] = imports[i].from;
		deliver(imports[i].from, theirs, true, a->path, length + 1);
	}
}

/* ---- what happened */

/* Of our own reply subjects, wherever imports have moved them, the random tokens do not count. */
static const char *
shape(const char *subject)
{
	static char	 out[128];
	struct pattern	 p;
	unsigned	 i;

	pattern_read(&p, subject);
	for (i = 0; i < p.n; i++)
		if (strlen(p.token[i]) >= ANSWER_OWN)
			strcpy(p.token[i], strlen(p.token[i]) == ANSWER_OWN ? "x" : "y");
	return pattern_text(&p, out);
}

static unsigned
arrived(const struct wanted *w)
{
	unsigned	 n = 0, i;
	const struct known *k;

	for (i = 0; i < net->ngot; i++) {
		k = &known[net->got[i].connection];
		if (w->queue[0] != '\0')
			n += k->account == w->account && strcmp(k->queue, w->queue) == 0;
		else
			n += net->got[i].connection == w->connection && strcmp(shape(net->got[i].subject), w->subject) == 0;
	}
	return n;
}

static void
assert_as_wanted(const char *what)
{
	unsigned	i, all = 0;

	for (i = 0; i < nwanted; i++) {
		all += wanted[i].times;
		ck_assert_msg(arrived(&wanted[i]) == wanted[i].times, "%s: %s%s of %s: %u times, should be %u", what,
		    wanted[i].queue, known[wanted[i].connection].subject, wanted[i].subject, arrived(&wanted[i]),
		    wanted[i].times);
	}
	ck_assert_msg(net->ngot == all, "%s: %zu arrived, should be %u", what, net->ngot, all);
}

/* ---- steps */

static void
moved(void *program, uint32_t connection, uint32_t from, uint32_t to)
{
	struct known *k = &known[connection];

	if (!k->live || &net->node[k->node] != program || k->slot != from)
		ck_abort_msg("connection %u moved from %u to %u", connection, from, to);
	k->slot = to;
}

static void
compact(unsigned at)
{
	struct node	*n = &net->node[at];
	struct segment	 partition, tables, old = n->partition, seg;
	unsigned	 i;
	int		 fd;

	segments_make(&partition, &fd, &tables);
	ck_assert_int_eq(broker_compact(n->b, &partition, &tables, moved), 0);
	segment_unmap(&n->tables);
	n->tables = tables;
	n->partition = partition;
	close(n->partition_fd);
	n->partition_fd = fd;
	for (i = 0; i < net->nodes; i++)
		if (i != at) {
			seg = partition_view(n);
			ck_assert_int_eq(broker_replace_partition(net->node[i].b, at, n->incarnation, &seg), 0);
		}
	broker_compacted(n->b);
	segment_unmap(&old);
}

static void
step_subscribe(void)
{
	unsigned	 i = chance(SUBS);
	struct known	*k = &known[i];
	struct pattern	 p;

	if (k->live) {
		broker_unsubscribe(net->node[k->node].b, k->slot);
		k->live = false;
		return;
	}
	*k = (struct known){ .live = true, .node = chance(3), .account = A + chance(ACCOUNTS) };
	pattern_make(&p, true);
	pattern_text(&p, k->subject);
	if (chance(3) == 0)		/* a group has members of one account */
		snprintf(k->queue, sizeof(k->queue), "q%u%u", k->account, chance(2));
	k->slot = sub_in(net, k->node, k->account, i, k->subject, k->queue);
}

/* The one way in which this arrival was asked for; NULL: there are several, or it is no request. */
static const struct asked *
asked_as(const struct arrival *a)
{
	const struct asked	*found = NULL;
	unsigned		 i;

	if (strncmp(a->reply, "_R_.", 4) != 0)
		return NULL;
	for (i = 0; i < nasked; i++)
		if (asked[i].account == known[a->connection].account && strcmp(asked[i].subject, shape(a->subject)) == 0) {
			if (found != NULL)
				return NULL;
			found = &asked[i];
		}
	return found;
}

/* Whoever got the last message answers: it goes back the way of the request. */
static void
answer(const char *reply)
{
	const struct asked	*as = NULL;
	struct asked		 way;
	char			 subject[128];
	unsigned		 i, at;

	for (i = 0; i < net->ngot && as == NULL; i++)
		as = asked_as(&net->got[i]);
	if (as == NULL)
		return;
	way = *as;
	snprintf(subject, sizeof(subject), "%s", net->got[i - 1].reply);
	at = net->got[i - 1].node;
	nwanted = nasked = 0;
	deliver(way.account, "_R_.x.y", false, &way.account, 1);
	for (i = way.length - 1; i-- > 0; )
		deliver(way.path[i], i == 0 ? reply : "_R_.x.y", true, &way.path[i], 1);
	net_clear(net);
	if (chance(8) == 0)
		compact(chance(3));
	pub_in(net, at, way.account, subject, "", "answer");
	net_settle(net);
	assert_as_wanted("answer");
}

static void
step_publish(void)
{
	uint32_t	 account_number = A + chance(ACCOUNTS);
	char		 subject[128], reply[128] = "";
	struct pattern	 p;

	pattern_make(&p, false);
	pattern_text(&p, subject);
	if (chance(2)) {
		pattern_make(&p, false);
		pattern_text(&p, reply);
	}
	nwanted = nasked = 0;
	deliver(account_number, subject, false, &account_number, 1);
	net_clear(net);
	pub_in(net, chance(3), account_number, subject, reply, "x");
	net_settle(net);
	assert_as_wanted("publish");
	if (reply[0] != '\0')
		answer(reply);
}

START_TEST(as_the_naive_reading_says)
{
	unsigned i, what;

	seed = (uint64_t)_i * 7919 + 1;
	memset(known, 0, sizeof(known));
	accounts = NULL;
	net = net_new(3, 1 << 16, 1 << 13);
	tenants_init(&t);
	configure();
	for (i = 0; i < STEPS; i++) {
		what = chance(100);
		if (what < 50)
			step_subscribe();
		else if (what < 97)
			step_publish();
		else if (what < 98)
			compact(chance(3));
		else
			configure();
	}
	ck_assert_uint_eq(net->ncomplaints, 0);
	for (i = 0; i < 3; i++)
		ck_assert_uint_eq(net->node[i].b->tables->records_lost, 0);
	net_free(net);
	accounts_free(accounts);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("imports_model");
	TCase *c = tcase_create("model");

	tcase_set_timeout(c, 300);
	tcase_add_loop_test(c, as_the_naive_reading_says, 0, getenv("CHECK_LONG") != NULL ? 1000 : 100);
	suite_add_tcase(s, c);
	return tests_run(s);
}

/* What a client may do: tables of decisions, and a naive reference that random policies agree with. */
#include <sys/resource.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "broker/policy.h"
#include "common/records.h"

/* ---- policies from text: "+pub foo", "-sub foo.> q1", "resp 1 1000"; each line is one */

static struct policies *all;

static void
setup(void)
{
	ck_assert_int_eq(policies_new(&all), 0);
}

static void
teardown(void)
{
	policies_free(all);
}

static void
add(msgpack_sbuffer *out, const struct msg *record)
{
	if (records_add(out, record) != 0)
		ck_abort_msg("a record");
}

static void
add_permission(msgpack_sbuffer *out, enum permission_kind kind, const char *subject, const char *queue)
{
	add(out, &(struct msg){ .type = MSG_permission, .u.permission = {
	    .kind = kind, .subject = bytes_of(subject), .queue = bytes_of(queue) } });
}

static enum permission_kind
kind_of(const char *word)
{
	return word[1] == 'p' ? word[0] == '+' ? PUBLISH_ALLOW : PUBLISH_DENY :
	    word[0] == '+' ? SUBSCRIBE_ALLOW : SUBSCRIBE_DENY;
}

/* Publishing, subscribing is restricted where something is allowed. */
static void
add_text(msgpack_sbuffer *out, const char *text)
{
	struct msg	 set = { .type = MSG_permission_set, .u.permission_set = { .number = 1,
			    .publish = strstr(text, "+pub") != NULL, .subscribe = strstr(text, "+sub") != NULL } };
	char		*copy = strdup(text), *at = copy, *line, word[8], subject[64], queue[64];
	const char	*responses = strstr(text, "resp ");

	if (responses != NULL)
		ck_assert_int_eq(sscanf(responses, "resp %lu %lu", &set.u.permission_set.responses,
		    &set.u.permission_set.responses_time), 2);
	set.u.permission_set.publish |= responses != NULL;
	add(out, &set);
	while ((line = strsep(&at, ",")) != NULL) {
		queue[0] = '\0';
		if (sscanf(line, " %7s %63s %63s", word, subject, queue) >= 2 && word[0] != 'r')
			add_permission(out, kind_of(word), subject, queue);
	}
	free(copy);
}

static struct policy *
policy_of(const char *text)
{
	struct policy	*p = NULL;
	msgpack_sbuffer	 records;
	const char	*why = NULL;

	msgpack_sbuffer_init(&records);
	add_text(&records, text);
	ck_assert_msg(policy_get(all, (struct bytes){ records.data, records.size }, &p, &why) == 0, "%s", why);
	msgpack_sbuffer_destroy(&records);
	ck_assert_ptr_nonnull(p);
	return p;
}

/* ---- publishing */

static const struct { const char *policy, *subject; bool may; } publishes[] = {
	{ "-sub x", "anything", true },
	{ "+pub foo", "foo", true }, { "+pub foo", "bar", false }, { "+pub foo", "foo.bar", false },
	{ "+pub foo.*", "foo.a", true }, { "+pub foo.*", "foo.a.b", false }, { "+pub foo.*", "foo", false },
	{ "+pub foo.>", "foo.a.b", true }, { "+pub foo.>", "foo", false }, { "+pub >", "a.b", true },
	{ "+pub >", "a..b", false }, { "+pub >", "", false },
	{ "+pub foo, +pub bar.*", "bar.x", true }, { "+pub *.b, +pub a.*.c", "a.b", true },
	{ "+pub *.b, +pub a.*.c", "a.x.c", true }, { "+pub *.b, +pub a.*.c", "a.x.b", false },
	{ "-pub foo", "foo", false }, { "-pub foo", "bar", true }, { "-pub foo.>", "foo.a.b", false },
	{ "+pub >, -pub *.secret", "a.secret", false }, { "+pub >, -pub *.secret", "a.open", true },
	{ "+pub foo, -pub foo", "foo", false },
	/* published as they stand */
	{ "+pub foo.*", "foo.*", true }, { "+pub foo.bar", "foo.*", false }, { "-pub foo.bar", "foo.*", true },
	{ "resp 1 1000", "anything", false }, { "resp 1 1000, +pub foo", "foo", true },
};

START_TEST(publishing_is_decided)
{
	struct policy	*p = policy_of(publishes[_i].policy);
	uint32_t	 place = 77;
	int		 i;

	for (i = 0; i < 3; i++) {	/* then from the cache */
		ck_assert_int_eq(policy_publish(p, bytes_of(publishes[_i].subject)), publishes[_i].may);
		ck_assert_int_eq(policy_publish_near(p, bytes_of(publishes[_i].subject), &place),
		    publishes[_i].may);
	}
	policy_put(p);
}
END_TEST

/* ---- subscribing */

#define REFUSED		SUBSCRIBE_REFUSED
#define ALLOWED		SUBSCRIBE_ALLOWED
#define FILTERED	SUBSCRIBE_FILTERED

static const struct { const char *policy, *subject, *queue; enum policy_subscribes may; } subscribes[] = {
	{ "-pub x", "anything", "", ALLOWED },
	{ "+sub foo", "foo", "", ALLOWED }, { "+sub foo", "foo", "q", ALLOWED }, { "+sub foo", "bar", "", REFUSED },
	/* a subset only: the real server takes the second and the fourth */
	{ "+sub foo.*", "foo.*", "", ALLOWED }, { "+sub foo.*", "foo.>", "", REFUSED },
	{ "+sub *", "*", "", ALLOWED }, { "+sub *", ">", "", REFUSED }, { "+sub foo.*", "*.bar", "", REFUSED },
	{ "+sub foo.>", "foo.>", "", ALLOWED }, { "+sub foo.>", "foo.*.b.>", "", ALLOWED },
	{ "+sub foo.>", "foo", "", REFUSED }, { "+sub foo.>", "*.>", "", REFUSED }, { "+sub >", ">", "", ALLOWED },
	{ "+sub foo.a, +sub foo.b", "foo.*", "", REFUSED },
	/* queue groups */
	{ "+sub foo v1", "foo", "", REFUSED }, { "+sub foo v1", "foo", "v1", ALLOWED },
	{ "+sub foo v1", "foo", "v2", REFUSED }, { "+sub foo, +sub foo v1", "foo", "", ALLOWED },
	{ "+sub foo, +sub foo v1", "foo", "v1", ALLOWED }, { "+sub foo, +sub foo v1", "foo", "v2", REFUSED },
	{ "+sub foo.>, +sub foo.a v1", "foo.b", "v2", ALLOWED }, { "+sub foo.* v.*", "foo.x", "v.1", ALLOWED },
	{ "+sub foo.* v.*", "foo.x", "v.1.2", REFUSED }, { "+sub foo.* v.>", "foo.x", "v.1.2", ALLOWED },
	{ "+sub foo v.*", "foo", "v.*", ALLOWED }, { "+sub foo v.*", "foo", "v.>", REFUSED },
	{ "+sub > prod.>", "a.b", "prod.x", ALLOWED }, { "+sub > prod.>", "a.b", "", REFUSED },
	{ "+sub foo v1*", "foo", "v1*", ALLOWED }, { "+sub foo v1*", "foo", "v1x", REFUSED },
	/* what is denied */
	{ "-sub foo", "foo", "", REFUSED }, { "-sub foo", "foo", "q", REFUSED }, { "-sub foo", "bar", "", ALLOWED },
	{ "-sub foo v1", "foo", "", ALLOWED }, { "-sub foo v1", "foo", "v1", REFUSED },
	{ "-sub foo v1", "foo", "v2", ALLOWED }, { "-sub foo, -sub foo q1", "foo", "q2", REFUSED },
	{ "-sub foo q1, -sub foo", "foo", "q2", REFUSED },
	{ "-sub foo", "*", "", FILTERED }, { "-sub foo", ">", "", FILTERED }, { "-sub foo", "*", "q", FILTERED },
	{ "-sub foo.>", "foo.*", "", REFUSED }, { "-sub foo.*", "foo.>", "", REFUSED },
	{ "-sub *.secret", "foo.*", "", FILTERED }, { "-sub *.secret", "foo.>", "q", FILTERED },
	{ "-sub *.secret", "foo.*.*", "", ALLOWED }, { "-sub *.secret.>", "foo.>", "", FILTERED },
	{ "-sub foo v1", "*", "", ALLOWED }, { "-sub foo v1", "*", "v1", FILTERED },
	{ "-sub foo v1", "*", "v2", ALLOWED }, { "-sub a.>", "*.b", "", FILTERED }, { "-sub a.>", "*", "", ALLOWED },
	{ "+sub >, -sub foo", "*", "", FILTERED }, { "+sub foo.*, -sub foo.>", "foo.a", "", REFUSED },
};

START_TEST(subscribing_is_decided)
{
	struct policy	*p = policy_of(subscribes[_i].policy);
	int		 i;

	for (i = 0; i < 3; i++)
		ck_assert_msg(policy_subscribe(p, bytes_of(subscribes[_i].subject), bytes_of(subscribes[_i].queue)) ==
		    subscribes[_i].may, "%s: %s %s", subscribes[_i].policy, subscribes[_i].subject,
		    subscribes[_i].queue);
	policy_put(p);
}
END_TEST

/* ---- delivering */

static const struct { const char *policy, *subject, *queue; bool may; } deliveries[] = {
	{ "-sub foo", "foo", "", false }, { "-sub foo", "foo", "q", false }, { "-sub foo", "bar", "", true },
	{ "-sub *.secret", "foo.secret", "", false }, { "-sub *.secret", "foo.secret", "q", false },
	{ "-sub *.secret", "foo.open", "", true }, { "-sub foo v1", "foo", "", true },
	{ "-sub foo v1", "foo", "v1", false }, { "-sub foo v1", "foo", "v2", true },
	{ "-sub foo v.*", "foo", "v.2", false }, { "-sub foo v.*, -sub foo.b", "foo.b", "w", false },
	{ "+sub foo.>", "bar", "", true },
};

START_TEST(delivering_is_decided)
{
	struct policy	*p = policy_of(deliveries[_i].policy);
	int		 i;

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(policy_delivers(p, bytes_of(deliveries[_i].subject),
		    bytes_of(deliveries[_i].queue)), deliveries[_i].may);
	policy_put(p);
}
END_TEST

/* What is cached of publishing, of delivering, of one queue says nothing of another. */
START_TEST(answers_are_not_mixed_up)
{
	struct policy	*p = policy_of("-pub a, -sub b, -sub ab c, -sub a bc");
	int		 i;

	for (i = 0; i < 100; i++) {
		ck_assert(!policy_publish(p, BYTES("a")));
		ck_assert(policy_delivers(p, BYTES("a"), BYTES("")));
		ck_assert(policy_publish(p, BYTES("b")));
		ck_assert(!policy_delivers(p, BYTES("b"), BYTES("")));
		ck_assert(!policy_delivers(p, BYTES("ab"), BYTES("c")));
		ck_assert(!policy_delivers(p, BYTES("a"), BYTES("bc")));
		ck_assert(policy_delivers(p, BYTES("abc"), BYTES("")));
		ck_assert(policy_delivers(p, BYTES("a"), BYTES("b")));
	}
	policy_put(p);
}
END_TEST

/* ---- the naive reference */

#define RULES	6

struct rule { enum permission_kind kind; char subject[16], queue[8]; };
struct reference { struct rule rules[RULES]; unsigned n; bool publish, subscribe; };

static unsigned
cut(const char *text, char tokens[8][8])
{
	unsigned n = 0, len = 0;

	for (;; text++) {
		if (*text != '.' && *text != '\0') {
			tokens[n][len++] = *text;
			continue;
		}
		tokens[n++][len] = '\0';
		len = 0;
		if (*text == '\0')
			return n;
	}
}

/* Is each token of text taken by that of pattern? `>` takes all the rest, of which there is some. */
static bool
naive_match(const char *pattern, const char *text)
{
	char	 p[8][8], t[8][8];
	unsigned np = cut(pattern, p), nt = cut(text, t), i;

	for (i = 0; i < np; i++) {
		if (i == nt)
			return false;
		if (strcmp(p[i], ">") == 0)
			return true;
		if (strcmp(p[i], "*") != 0 && strcmp(p[i], t[i]) != 0)
			return false;
	}
	return np == nt;
}

/* The same, but `>` of text is taken by `>` only, and `*` not by a word. */
static bool
naive_within(const char *text, const char *pattern)
{
	char	 p[8][8], t[8][8];
	unsigned np = cut(pattern, p), nt = cut(text, t), i;

	for (i = 0; i < np; i++) {
		if (i == nt)
			return false;
		if (strcmp(p[i], ">") == 0)
			return true;
		if (strcmp(t[i], ">") == 0)
			return false;
		if (strcmp(p[i], "*") != 0 && strcmp(p[i], t[i]) != 0)
			return false;
	}
	return np == nt;
}

/* Is there a subject of a, b, c or d that both match? One that no pattern names is among them. */
static bool
naive_overlap(const char *a, const char *b)
{
	unsigned	tokens, i, number;
	char		text[16], *at;

	for (tokens = 1; tokens <= 5; tokens++)
		for (number = 0; number < 1u << (2 * tokens); number++) {
			for (at = text, i = 0; i < tokens; i++) {
				*at++ = "abcd"[number >> (2 * i) & 3];
				*at++ = '.';
			}
			at[-1] = '\0';
			if (naive_match(a, text) && naive_match(b, text))
				return true;
		}
	return false;
}

static bool
naive_group(const char *wanted, const char *queue)
{
	return strcmp(wanted, queue) == 0 || naive_within(queue, wanted);
}

typedef bool naive_relation(const char *pattern, const char *subject);

static bool
naive_contains(const char *pattern, const char *subject)
{
	return naive_within(subject, pattern);
}

/* Without a group; with a group that is theirs; with any. */
struct naive_found { bool plain, group, grouped; };

static struct naive_found
naive_search(const struct reference *r, enum permission_kind kind, naive_relation *related,
    const char *subject, const char *queue)
{
	struct naive_found	found = { false };
	unsigned		i;

	for (i = 0; i < r->n; i++) {
		if (r->rules[i].kind != kind || !related(r->rules[i].subject, subject))
			continue;
		if (r->rules[i].queue[0] == '\0')
			found.plain = true;
		else if (queue[0] != '\0') {
			found.grouped = true;
			found.group |= naive_group(r->rules[i].queue, queue);
		}
	}
	return found;
}

static bool
naive_publish(const struct reference *r, const char *subject)
{
	return (!r->publish || naive_search(r, PUBLISH_ALLOW, naive_match, subject, "").plain) &&
	    !naive_search(r, PUBLISH_DENY, naive_match, subject, "").plain;
}

static bool
naive_denied(const struct reference *r, naive_relation *related, const char *subject, const char *queue)
{
	struct naive_found found = naive_search(r, SUBSCRIBE_DENY, related, subject, queue);

	return found.plain || found.group;
}

static enum policy_subscribes
naive_subscribe(const struct reference *r, const char *subject, const char *queue)
{
	struct naive_found found = naive_search(r, SUBSCRIBE_ALLOW, naive_contains, subject, queue);

	if (r->subscribe && !(found.grouped ? found.group : found.plain))
		return SUBSCRIBE_REFUSED;
	if (naive_denied(r, naive_match, subject, queue))
		return SUBSCRIBE_REFUSED;
	return naive_denied(r, naive_overlap, subject, queue) ? SUBSCRIBE_FILTERED : SUBSCRIBE_ALLOWED;
}

/* ---- random policies */

static void
random_subject(char *out, bool wild)
{
	unsigned n = 1 + (unsigned)random() % 4, i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			*out++ = '.';
		*out++ = wild && i == n - 1 && random() % 4 == 0 ? '>' :
		    wild && random() % 3 == 0 ? '*' : "abc"[random() % 3];
	}
	*out = '\0';
}

static void
random_queue(char *out, bool wild)
{
	static const char *const names[] = { "", "", "q", "r", "q.r", "q.*", "q.>", "*", ">" };

	strcpy(out, names[(size_t)random() % (wild ? 9 : 5)]);
}

static struct policy *
random_policy(struct reference *r)
{
	struct msg	 set = { .type = MSG_permission_set, .u.permission_set = { .number = 1 } };
	struct policy	*p;
	msgpack_sbuffer	 records;
	const char	*why;
	unsigned	 i;

	*r = (struct reference){ .n = 1 + (unsigned)random() % RULES, .publish = random() % 2 == 0,
	    .subscribe = random() % 2 == 0 };
	set.u.permission_set.publish = r->publish;
	set.u.permission_set.subscribe = r->subscribe;
	msgpack_sbuffer_init(&records);
	add(&records, &set);
	for (i = 0; i < r->n; i++) {
		r->rules[i].kind = (enum permission_kind)(random() % 4);
		random_subject(r->rules[i].subject, true);
		if (r->rules[i].kind >= SUBSCRIBE_ALLOW)
			random_queue(r->rules[i].queue, true);
		add_permission(&records, r->rules[i].kind, r->rules[i].subject, r->rules[i].queue);
	}
	if (policy_get(all, (struct bytes){ records.data, records.size }, &p, &why) != 0)
		ck_abort_msg("%s", why);
	msgpack_sbuffer_destroy(&records);
	return p;
}

static void
show(const struct reference *r, const char *what, const char *subject, const char *queue)
{
	static const char *const kinds[] = { "+pub", "-pub", "+sub", "-sub" };
	unsigned i;

	for (i = 0; i < r->n; i++)
		fprintf(stderr, "%s %s %s\n", kinds[r->rules[i].kind], r->rules[i].subject, r->rules[i].queue);
	ck_abort_msg("%s %s %s, restricted %d %d", what, subject, queue, r->publish, r->subscribe);
}

/* A million decisions. Of those who subscribe it also has to hold that nothing denied gets through. */
START_TEST(random_policies_agree_with_the_reference)
{
	struct reference	 r;
	struct policy		*p;
	char			 subject[16], pattern[16], queue[8], name[8];
	unsigned		 round, i, counts[3] = { 0 };
	enum policy_subscribes	 may;

	srandom(17);
	for (round = 0; round < 11000; round++) {
		p = random_policy(&r);
		for (i = 0; i < 32; i++) {
			random_subject(subject, random() % 8 == 0);
			random_subject(pattern, true);
			random_queue(queue, false);
			random_queue(name, true);
			if (policy_publish(p, bytes_of(subject)) != naive_publish(&r, subject))
				show(&r, "publish", subject, "");
			may = policy_subscribe(p, bytes_of(pattern), bytes_of(name));
			counts[may]++;
			if (may != naive_subscribe(&r, pattern, name))
				show(&r, "subscribe", pattern, name);
			if (policy_delivers(p, bytes_of(subject), bytes_of(queue)) ==
			    naive_denied(&r, naive_match, subject, queue))
				show(&r, "deliver", subject, queue);
			if (policy_subscribe(p, bytes_of(pattern), bytes_of(queue)) == SUBSCRIBE_ALLOWED &&
			    naive_match(pattern, subject) && naive_denied(&r, naive_match, subject, queue))
				show(&r, "unfiltered", pattern, queue);
		}
		policy_put(p);
	}
	for (i = 0; i < 3; i++)
		ck_assert_uint_gt(counts[i], 5000);
}
END_TEST

/* ---- many of them */

static double
seconds_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* n patterns with and without wildcards, and what 20000 new subjects cost. */
static double
cost_of(unsigned n)
{
	msgpack_sbuffer	 records;
	struct policy	*p;
	char		 text[64];
	const char	*why;
	double		 start;
	unsigned	 i;

	msgpack_sbuffer_init(&records);
	add_text(&records, "+pub none");
	for (i = 0; i < n; i++) {
		snprintf(text, sizeof(text), i % 2 == 0 ? "orders.%u.*.done" : "orders.%u.>", i);
		add_permission(&records, PUBLISH_ALLOW, text, "");
	}
	ck_assert_int_eq(policy_get(all, (struct bytes){ records.data, records.size }, &p, &why), 0);
	msgpack_sbuffer_destroy(&records);
	start = seconds_cpu();
	for (i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "orders.%u.x%u.open", i % n, i);
		if (policy_publish(p, bytes_of(text)) != (i % n % 2 == 1))
			ck_abort_msg("%s", text);
	}
	start = seconds_cpu() - start;
	policy_put(p);
	return start;
}

START_TEST(many_patterns_cost_what_a_few_do)
{
	double few = cost_of(20), many = cost_of(20000);

	ck_assert_msg(many < 20 * few, "20 patterns: %f s, 20000: %f s", few, many);
}
END_TEST

/* A million subjects, and the cache stays as it is bounded. */
START_TEST(the_cache_is_bounded)
{
	struct policy	*p = policy_of("+pub a.>, -sub b.>");
	struct rusage	 before, after;
	char		 text[160];
	unsigned	 i;

	for (i = 0; i < 1000000; i++) {
		if (i == 10000)
			getrusage(RUSAGE_SELF, &before);
		snprintf(text, sizeof(text), "%c.%u", "ab"[i % 2], i);
		if (policy_publish(p, bytes_of(text)) != (i % 2 == 0) ||
		    policy_delivers(p, bytes_of(text), BYTES("")) != (i % 2 == 0))
			ck_abort_msg("%s", text);
	}
	getrusage(RUSAGE_SELF, &after);
	ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 1024);
	policy_put(p);
}
END_TEST

/* What does not fit into the cache is decided too, and disturbs nothing in it. */
START_TEST(long_subjects_are_not_kept)
{
	struct policy	*p = policy_of("+pub a.>");
	char		 text[160];
	unsigned	 i, j;

	memset(text, 'x', sizeof(text));
	for (i = 0; i < 2000; i++) {
		memcpy(text, i % 2 == 0 ? "a." : "b.", 2);
		for (j = 0; j < 11; j++)
			text[2 + j] = (char)('a' + (i >> j & 1));
		for (j = 60; j <= sizeof(text); j += 50)
			if (policy_publish(p, (struct bytes){ text, j }) != (i % 2 == 0))
				ck_abort_msg("%u of %.13s", j, text);
	}
	policy_put(p);
}
END_TEST

/* ---- sharing */

START_TEST(who_has_the_same_records_shares_a_policy)
{
	struct policy	*a = policy_of("+pub a"), *b = policy_of("+pub a"), *c = policy_of("+pub b"), *many[1000];
	char		 text[32];
	unsigned	 i;

	ck_assert_ptr_eq(a, b);
	ck_assert_ptr_ne(a, c);
	ck_assert_uint_gt(policy_records(a).len, 0);
	policy_put(a);
	ck_assert(policy_publish(b, BYTES("a")));
	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "+pub a.%u", i);
		many[i] = policy_of(text);
	}
	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "+pub a.%u", i);
		ck_assert_ptr_eq(policy_of(text), many[i]);
		policy_put(many[i]);
		policy_put(many[i]);
	}
	ck_assert(!policy_publish(c, BYTES("a")));
	policy_put(b);
	policy_put(c);
	policy_put(NULL);
}
END_TEST

START_TEST(no_records_allow_everything)
{
	struct policy	*p = (struct policy *)&p;
	const char	*why;

	ck_assert_int_eq(policy_get(all, BYTES(""), &p, &why), 0);
	ck_assert_ptr_null(p);
}
END_TEST

static void
refused(const msgpack_sbuffer *records, const char *wanted)
{
	struct policy	*p = NULL;
	const char	*why = NULL;

	ck_assert_int_eq(policy_get(all, (struct bytes){ records->data, records->size }, &p, &why), -EBADMSG);
	ck_assert_str_eq(why, wanted);
	ck_assert_ptr_null(p);
}

START_TEST(records_that_make_no_sense_are_refused)
{
	static const struct { enum permission_kind kind; const char *subject, *queue, *why; } bad[] = {
		{ PUBLISH_ALLOW, "a..b", "", "a permission's subject" },
		{ PUBLISH_DENY, "a", "q", "a permission's queue" },
		{ SUBSCRIBE_DENY, "a", "q.", "a permission's queue" },
	};
	msgpack_sbuffer records;
	size_t		i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		msgpack_sbuffer_init(&records);
		add_text(&records, "");
		add_permission(&records, bad[i].kind, bad[i].subject, bad[i].queue);
		refused(&records, bad[i].why);
		msgpack_sbuffer_destroy(&records);
	}
	msgpack_sbuffer_init(&records);
	add_permission(&records, PUBLISH_ALLOW, "a", "");
	refused(&records, "the order of permissions");
	msgpack_sbuffer_destroy(&records);
	msgpack_sbuffer_init(&records);
	add_text(&records, "");
	add_text(&records, "");
	refused(&records, "the order of permissions");
	records.size--;
	refused(&records, "length");
	msgpack_sbuffer_destroy(&records);
}
END_TEST

/* ---- replies */

START_TEST(a_reply_may_be_answered_as_often_as_allowed)
{
	struct policy	*p = policy_of("resp 2 5000, +pub open.>, -pub reply.denied");
	struct grants	 g = { NULL };

	ck_assert(!grants_use(&g, BYTES("reply.1"), 0));
	ck_assert(grants_add(&g, p, BYTES("reply.1"), 10));
	ck_assert(grants_add(&g, p, BYTES("reply.denied"), 10));
	ck_assert(!grants_use(&g, BYTES("reply.2"), 11));
	ck_assert(grants_use(&g, BYTES("reply.1"), 11));
	ck_assert(grants_use(&g, BYTES("reply.1"), 12));
	ck_assert(!grants_use(&g, BYTES("reply.1"), 12));
	ck_assert(grants_use(&g, BYTES("reply.denied"), 15));
	ck_assert(!grants_use(&g, BYTES("reply.denied"), 15.1));
	/* each message that came with it may be answered */
	ck_assert(grants_add(&g, p, BYTES("reply.3"), 20));
	ck_assert(grants_add(&g, p, BYTES("reply.3"), 24));
	ck_assert(grants_use(&g, BYTES("reply.3"), 28));
	ck_assert(grants_use(&g, BYTES("reply.3"), 28));
	ck_assert(grants_use(&g, BYTES("reply.3"), 28));
	ck_assert(grants_use(&g, BYTES("reply.3"), 28));
	ck_assert(!grants_use(&g, BYTES("reply.3"), 28));
	/* what is allowed anyway is not remembered */
	ck_assert(grants_add(&g, p, BYTES("open.1"), 30));
	ck_assert(!grants_use(&g, BYTES("open.1"), 30));
	grants_free(&g);
	grants_free(&g);
	policy_put(p);
}
END_TEST

START_TEST(without_allow_responses_nothing_is_granted)
{
	struct policy	*p = policy_of("+pub a");
	struct grants	 g = { NULL };

	ck_assert(grants_add(&g, p, BYTES("reply"), 1));
	ck_assert_ptr_null(g.table);
	ck_assert(!grants_use(&g, BYTES("reply"), 1));
	policy_put(p);
}
END_TEST

START_TEST(grants_without_limit_last)
{
	struct policy	*p = policy_of("resp 9223372036854775807 9223372036854775807");
	struct grants	 g = { NULL };
	unsigned	 i;

	ck_assert(grants_add(&g, p, BYTES("reply"), 1));
	ck_assert(grants_add(&g, p, BYTES("reply"), 1));
	for (i = 0; i < 1000; i++)
		ck_assert(grants_use(&g, BYTES("reply"), 1e9 + i));
	grants_free(&g);
	policy_put(p);
}
END_TEST

/* The oldest make room, and those that are over take none. */
START_TEST(grants_are_bounded)
{
	struct policy	*p = policy_of("resp 1 1000");
	struct grants	 g = { NULL };
	char		 text[32];
	unsigned	 i;
	bool		 wanted;

	for (i = 0; i < GRANTS_MOST + 1000; i++) {
		snprintf(text, sizeof(text), "reply.%u", i);
		if (!grants_add(&g, p, bytes_of(text), 5))
			ck_abort_msg("%s", text);
	}
	for (i = 0; i < GRANTS_MOST + 1000; i++) {
		snprintf(text, sizeof(text), "reply.%u", i);
		wanted = i >= 1000 && i % 2 == 0;
		if (i % 2 == 0 && grants_use(&g, bytes_of(text), 5) != wanted)
			ck_abort_msg("%s", text);
	}
	ck_assert(grants_add(&g, p, BYTES("reply.last"), 6.5));
	ck_assert(!grants_use(&g, BYTES("reply.1001"), 5));
	ck_assert(grants_use(&g, BYTES("reply.last"), 6.6));
	grants_free(&g);
	policy_put(p);
}
END_TEST

/* Whoever may publish where it subscribes chooses how long they are. */
START_TEST(long_grants_are_bounded_by_their_bytes)
{
	static char	 text[60000];
	struct policy	*p = policy_of("resp 1 1000");
	struct grants	 g = { NULL };
	struct bytes	 reply = { text, sizeof(text) };
	unsigned	 i;

	memset(text, 'r', sizeof(text));
	for (i = 0; i < 1000; i++) {
		snprintf(text, 16, "%014u", i);
		ck_assert(grants_add(&g, p, reply, 5));
	}
	for (i = 0; i < 1000; i++) {
		snprintf(text, 16, "%014u", i);
		ck_assert(grants_use(&g, reply, 5) == (i >= 1000 - GRANTS_BYTES / sizeof(text)));
	}
	for (i = 0; i < 200; i++) {		/* what was used gave its room back */
		snprintf(text, 16, "%014u", i);
		ck_assert(grants_add(&g, p, reply, 5));
	}
	for (i = 0; i < 200; i++) {
		snprintf(text, 16, "%014u", i);
		ck_assert(grants_use(&g, reply, 5));
	}
	grants_free(&g);
	policy_put(p);
}
END_TEST

#define COUNT(array)	((int)(sizeof(array) / sizeof((array)[0])))

int
main(void)
{
	Suite	*s = suite_create("policy");
	TCase	*c = tcase_create("policies");
	SRunner	*r;
	int	 failed;

	tcase_set_timeout(c, 300);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, publishing_is_decided, 0, COUNT(publishes));
	tcase_add_loop_test(c, subscribing_is_decided, 0, COUNT(subscribes));
	tcase_add_loop_test(c, delivering_is_decided, 0, COUNT(deliveries));
	tcase_add_test(c, answers_are_not_mixed_up);
	tcase_add_test(c, random_policies_agree_with_the_reference);
	tcase_add_test(c, many_patterns_cost_what_a_few_do);
	tcase_add_test(c, the_cache_is_bounded);
	tcase_add_test(c, long_subjects_are_not_kept);
	tcase_add_test(c, who_has_the_same_records_shares_a_policy);
	tcase_add_test(c, no_records_allow_everything);
	tcase_add_test(c, records_that_make_no_sense_are_refused);
	tcase_add_test(c, a_reply_may_be_answered_as_often_as_allowed);
	tcase_add_test(c, without_allow_responses_nothing_is_granted);
	tcase_add_test(c, grants_without_limit_last);
	tcase_add_test(c, grants_are_bounded);
	tcase_add_test(c, long_grants_are_bounded_by_their_bytes);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

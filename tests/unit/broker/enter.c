/* What a message becomes on its way in: mappings, then permissions, then what was granted. */
#include "net.h"
#include "common/records.h"
#include "nats/subject.h"

#define OTHER	4			/* an account besides the global one */

static struct net	*net;
static struct broker	*b;
static struct accounts	*accounts;
static struct policies	*policies;
static msgpack_sbuffer	 records;	/* of the document that is being written */

static void
add(const struct msg *record)
{
	if (records_add(&records, record) != 0)
		ck_abort_msg("a record");
}

static void
add_account(uint32_t number, const char *name)
{
	static const uint64_t limits[LIMITS];

	add(&(struct msg){ .type = MSG_account, .u.account = { .number = number, .name = bytes_of(name),
	    .limits = { .count = LIMITS, .own = limits } } });
}

static void
add_mapping(const char *source, const char *destination, unsigned weight, const char *cluster)
{
	add(&(struct msg){ .type = MSG_mapping, .u.mapping = { .source = bytes_of(source),
	    .destination = bytes_of(destination), .weight = weight, .cluster = bytes_of(cluster) } });
}

/* What was written is in force. */
static void
accounts_set(const char *cluster)
{
	struct accounts	*old = accounts;
	const char	*why = NULL;
	int		 fd = records_seal(&records);

	ck_assert_int_ge(fd, 0);
	ck_assert_msg(accounts_read(&accounts, fd, ROLE_WORKER, cluster, &why) == 0, "%s", why);
	close(fd);
	ck_assert_int_eq(broker_set_accounts(b, accounts), 0);
	accounts_free(old);
	msgpack_sbuffer_clear(&records);
}

static void
setup(void)
{
	net = net_new(1, 1 << 18, 1 << 16);
	b = net->node[0].b;
	msgpack_sbuffer_init(&records);
	ck_assert_int_eq(policies_new(&policies), 0);
}

static void
teardown(void)
{
	net_free(net);
	accounts_free(accounts);
	policies_free(policies);
	msgpack_sbuffer_destroy(&records);
}

/* What subject becomes; the hint is as a connection keeps it. */
static const char *
mapped_to(uint32_t account, const char *subject, struct publish_hint *hint)
{
	static char	text[256];
	struct message	m = { .account = account, .subject = bytes_of(subject) };

	if (broker_enter(b, &m, NULL, NULL, hint, 0) != ENTERS)
		return "(refused)";
	snprintf(text, sizeof(text), "%.*s", (int)m.subject.len, m.subject.data);
	return text;
}

static struct policy *
policy_of(uint64_t responses, const char *allow, const char *deny)
{
	msgpack_sbuffer	 out;
	struct policy	*p;
	struct msg	 set = { .type = MSG_permission_set, .u.permission_set = { .number = 1,
			    .publish = allow != NULL, .responses = responses, .responses_time = 60000 } };
	struct msg	 one = { .type = MSG_permission };
	const char	*why;

	msgpack_sbuffer_init(&out);
	ck_assert_int_eq(records_add(&out, &set), 0);
	one.u.permission = (struct msg_permission){ .kind = PUBLISH_ALLOW, .subject = bytes_of(allow != NULL ? allow : "x"),
	    .queue = BYTES("") };
	if (allow != NULL)
		ck_assert_int_eq(records_add(&out, &one), 0);
	one.u.permission = (struct msg_permission){ .kind = PUBLISH_DENY, .subject = bytes_of(deny), .queue = BYTES("") };
	ck_assert_int_eq(records_add(&out, &one), 0);
	ck_assert_int_eq(policy_get(policies, (struct bytes){ out.data, out.size }, &p, &why), 0);
	msgpack_sbuffer_destroy(&out);
	return p;
}

/* ---- mappings */

static const struct { const char *subject, *becomes; } cases[] = {
	{ "foo", "bar" }, { "other", "other" }, { "a.x", "literal" }, { "a.y", "first.y" }, { "a.b.c", "second.b.c" },
	{ "p.x.y", "y.x" }, { "s.ab-cd", "s.ab.cd" }, { "cut.abcdef", "cut.abc.def" }, { "foo.x", "foo.x" },
	{ "$SYS.x", "$SYS.x" },
};

START_TEST(subjects_are_mapped_before_and_after_caching)
{
	struct publish_hint	hint = { 0 };
	int			i;

	add_account(ACCOUNT_GLOBAL, "$G");
	add_mapping("foo", "bar", 100, "");
	add_mapping("a.*", "first.$1", 100, "");
	add_mapping("a.>", "second.>", 100, "");
	add_mapping("a.x", "literal", 100, "");
	add_mapping("p.*.*", "{{wildcard(2)}}.$1", 100, "");
	add_mapping("s.*", "s.{{split(1,-)}}", 100, "");
	add_mapping("cut.*", "cut.{{sliceFromLeft(1,3)}}", 100, "");
	accounts_set("");
	for (i = 0; i < 3; i++)
		ck_assert_str_eq(mapped_to(ACCOUNT_GLOBAL, cases[_i].subject, &hint), cases[_i].becomes);
	/* that of one account is not another's */
	ck_assert_str_eq(mapped_to(OTHER, cases[_i].subject, &hint), cases[_i].subject);
	ck_assert_str_eq(mapped_to(ACCOUNT_GLOBAL, cases[_i].subject, &hint), cases[_i].becomes);
}
END_TEST

START_TEST(other_accounts_take_the_place_of_the_old_ones)
{
	struct publish_hint hint = { 0 };

	ck_assert_str_eq(mapped_to(ACCOUNT_GLOBAL, "foo", &hint), "foo");
	add_account(ACCOUNT_GLOBAL, "$G");
	add_mapping("foo", "bar", 100, "");
	accounts_set("");
	ck_assert_str_eq(mapped_to(ACCOUNT_GLOBAL, "foo", &hint), "bar");
	add_account(ACCOUNT_GLOBAL, "$G");
	add_account(OTHER, "OTHER");
	add_mapping("foo", "baz", 100, "");
	accounts_set("");
	ck_assert_str_eq(mapped_to(ACCOUNT_GLOBAL, "foo", &hint), "foo");
	ck_assert_str_eq(mapped_to(OTHER, "foo", &hint), "baz");
	add_account(ACCOUNT_GLOBAL, "$G");
	accounts_set("");
	ck_assert_str_eq(mapped_to(OTHER, "foo", &hint), "foo");
}
END_TEST

static unsigned
count_mapped(const char *subject, const char *becomes)
{
	struct publish_hint	hint = { 0 };
	unsigned		i, n = 0;

	for (i = 0; i < 10000; i++)
		n += strcmp(mapped_to(ACCOUNT_GLOBAL, subject, &hint), becomes) == 0;
	return n;
}

/* Ten thousand throws each: within 5 standard deviations, which are at most 250. */
START_TEST(weights_are_kept)
{
	add_account(ACCOUNT_GLOBAL, "$G");
	add_mapping("canary.*", "new.$1", 20, "");
	add_mapping("canary.*", "old.$1", 80, "");
	add_mapping("half", "other", 50, "");
	add_mapping("lossy", "lossy", 70, "");
	add_mapping("never", "other", 0, "");
	accounts_set("");
	ck_assert_int_lt(abs((int)count_mapped("canary.x", "new.x") - 2000), 250);
	ck_assert_uint_eq(count_mapped("canary.x", "canary.x"), 0);
	ck_assert_int_lt(abs((int)count_mapped("half", "other") - 5000), 250);
	ck_assert_int_lt(abs((int)count_mapped("half", "half") - 5000), 250);
	ck_assert_int_lt(abs((int)count_mapped("lossy", "lossy") - 7000), 250);
	ck_assert_int_lt(abs((int)count_mapped("lossy", "") - 3000), 250);
	ck_assert_uint_eq(count_mapped("never", "other"), 0);
}
END_TEST

/* A message that a mapping loses reaches nobody, and who asked hears that. */
START_TEST(what_is_lost_reaches_nobody)
{
	struct publish_hint	hint = { 0 };
	struct message		m = { .account = ACCOUNT_GLOBAL, .subject = BYTES("lossy"), .reply = BYTES("r"),
				    .wants_503 = true, .publisher = 1 };

	sub(net, 0, 1, ">", NULL);
	add_account(ACCOUNT_GLOBAL, "$G");
	add_mapping("lossy", "lossy", 0, "");
	accounts_set("");
	ck_assert_int_eq(broker_enter(b, &m, NULL, NULL, &hint, 0), ENTERS);
	ck_assert_uint_eq(m.subject.len, 0);
	ck_assert_int_eq(broker_publish(b, &m, 7, &hint), PUBLISHED);
	ck_assert_uint_eq(net->ngot, 0);
	ck_assert_uint_eq(net->nno_responders, 1);
}
END_TEST

START_TEST(destinations_of_our_cluster_come_first)
{
	struct publish_hint	hint = { 0 };
	static const char	*const clusters[] = { "", "east", "west", "north" };
	static const char	*const becomes[] = { "all", "east", "west", "all" };

	add_account(ACCOUNT_GLOBAL, "$G");
	add_mapping("foo", "east", 100, "east");
	add_mapping("foo", "all", 100, "");
	add_mapping("foo", "west", 100, "west");
	add_mapping("bar", "only", 100, "east");
	accounts_set(clusters[_i]);
	ck_assert_str_eq(mapped_to(ACCOUNT_GLOBAL, "foo", &hint), becomes[_i]);
	ck_assert_str_eq(mapped_to(ACCOUNT_GLOBAL, "bar", &hint), _i == 1 ? "only" : "bar");
}
END_TEST

/* Long ones are not kept, but mapped; what gets too long is refused. */
START_TEST(long_subjects_are_mapped_too)
{
	static char		subject[INDEX_SUBJECT_MAX];
	struct publish_hint	hint = { 0 };
	struct message		m = { .account = ACCOUNT_GLOBAL };
	size_t			len;

	add_account(ACCOUNT_GLOBAL, "$G");
	add_mapping("a.*", "b.$1.$1", 100, "");
	accounts_set("");
	memset(subject, 'x', sizeof(subject));
	memcpy(subject, "a.", 2);
	for (len = 3; len < sizeof(subject); len += len < 200 ? 1 : 5000) {
		m.subject = (struct bytes){ subject, len };
		if (2 * len - 1 > INDEX_SUBJECT_MAX) {
			ck_assert_int_eq(broker_enter(b, &m, NULL, NULL, &hint, 0), ENTER_REFUSED);
			ck_assert_ptr_eq(m.subject.data, subject);
			continue;
		}
		ck_assert_int_eq(broker_enter(b, &m, NULL, NULL, &hint, 0), ENTERS);
		ck_assert_uint_eq(m.subject.len, 2 * len - 1);
		ck_assert_mem_eq(m.subject.data + 2, subject + 2, len - 2);
		ck_assert_int_eq(m.subject.data[len], '.');
	}
}
END_TEST

/* ---- a naive reference: literal sources, then patterns, each in the order of the file */

#define MAPPINGS 5

static void
random_subject(char *out, bool wild)
{
	unsigned n = 1 + (unsigned)random() % 3, i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			*out++ = '.';
		*out++ = wild && random() % 3 == 0 ? '*' : "abc"[random() % 3];
	}
	if (wild && random() % 4 == 0) {
		*out++ = '.';
		*out++ = '>';
	}
	*out = '\0';
}

static int
naive_choice(char sources[MAPPINGS][16], const char *subject)
{
	int i;

	for (i = 0; i < MAPPINGS; i++)
		if (strcmp(sources[i], subject) == 0)
			return i;
	for (i = 0; i < MAPPINGS; i++)
		if (subject_matches(bytes_of(sources[i]), bytes_of(subject)))
			return i;
	return -1;
}

static void
random_mappings(char sources[MAPPINGS][16])
{
	char	destination[16];
	int	i, j;

	add_account(ACCOUNT_GLOBAL, "$G");
	for (i = 0; i < MAPPINGS; i++) {
		do {
			random_subject(sources[i], random() % 3 != 0);
			for (j = 0; j < i && strcmp(sources[i], sources[j]) != 0; j++)
				;
		} while (j < i);
		snprintf(destination, sizeof(destination), strchr(sources[i], '>') != NULL ? "m%d.>" : "m%d", i);
		add_mapping(sources[i], destination, 100, "");
	}
	accounts_set("");
}

START_TEST(random_mappings_agree_with_the_reference)
{
	struct publish_hint	hint = { 0 };
	char			sources[MAPPINGS][16], subject[16], wanted[4];
	const char		*becomes;
	int			round, i, choice, mapped = 0;

	srandom(23);
	for (round = 0; round < 4000; round++) {
		random_mappings(sources);
		for (i = 0; i < 250; i++) {
			random_subject(subject, false);
			becomes = mapped_to(ACCOUNT_GLOBAL, subject, &hint);
			choice = naive_choice(sources, subject);
			mapped += choice >= 0;
			snprintf(wanted, sizeof(wanted), "m%d", choice);
			if (choice < 0 ? strcmp(becomes, subject) != 0 : strncmp(becomes, wanted, 2) != 0)
				ck_abort_msg("%s became %s, wanted %s", subject, becomes, wanted);
		}
	}
	ck_assert_int_gt(mapped, 100000);
}
END_TEST

/* ---- permissions */

static enum entering
enter(const char *subject, struct policy *p, struct grants *g, struct publish_hint *hint, double now)
{
	struct message m = { .account = ACCOUNT_GLOBAL, .subject = bytes_of(subject) };

	return broker_enter(b, &m, p, g, hint, now);
}

/* A user that may publish to `map.foo` only is refused: what counts is where it goes. */
START_TEST(permission_is_asked_for_the_mapped_subject)
{
	struct publish_hint	 hint = { 0 };
	struct policy		*p = policy_of(0, "map.*", "map.bar");

	ck_assert_int_eq(enter("map.foo", p, NULL, &hint, 0), ENTERS);
	add_account(ACCOUNT_GLOBAL, "$G");
	add_mapping("map.foo", "map.bar", 100, "");
	add_mapping("else", "map.baz", 100, "");
	accounts_set("");
	ck_assert_int_eq(enter("map.foo", p, NULL, &hint, 0), ENTER_REFUSED);
	ck_assert_int_eq(enter("map.foo", p, NULL, &hint, 0), ENTER_REFUSED);
	ck_assert_int_eq(enter("map.bar", p, NULL, &hint, 0), ENTER_REFUSED);
	ck_assert_int_eq(enter("else", p, NULL, &hint, 0), ENTERS);
	ck_assert_int_eq(enter("map.baz", p, NULL, &hint, 0), ENTERS);
	policy_put(p);
}
END_TEST

/* The hint of one policy says nothing of another, nor that of one subject. */
START_TEST(one_hint_does_not_answer_for_another_subject)
{
	struct publish_hint	 hint = { 0 };
	struct policy		*p = policy_of(0, NULL, "no"), *other = policy_of(0, "no", "yes");
	int			 i;

	for (i = 0; i < 50; i++) {
		ck_assert_int_eq(enter("yes", p, NULL, &hint, 0), ENTERS);
		ck_assert_int_eq(enter("no", p, NULL, &hint, 0), ENTER_REFUSED);
		ck_assert_int_eq(enter("yes", other, NULL, &hint, 0), ENTER_REFUSED);
		ck_assert_int_eq(enter("no", other, NULL, &hint, 0), ENTERS);
	}
	policy_put(p);
	policy_put(other);
}
END_TEST

static enum entering
enter_and_publish(const char *subject, struct policy *p, struct publish_hint *hint)
{
	struct message	m = { .account = ACCOUNT_GLOBAL, .subject = bytes_of(subject), .size_text = BYTES("0"),
			    .body = BYTES(""), .publisher = NO_CONNECTION };
	enum entering	how = broker_enter(b, &m, p, NULL, hint, 0);

	if (how == ENTERS)
		ck_assert_int_eq(broker_publish(b, &m, 1, hint), PUBLISHED);
	return how;
}

/* What is remembered with a subject's match is the word of one policy on that subject, also when the
 * place in the cache was another's before. */
START_TEST(a_match_remembers_who_may_publish_it)
{
	struct policy		*p = policy_of(0, NULL, "no.*"), *other = policy_of(0, "no.*", "x");
	struct publish_hint	 hint = { 0 }, others = { 0 };
	char			 yes[32], no[32];
	int			 i, j;

	for (i = 0; i < 40000; i++) {
		snprintf(yes, sizeof(yes), "yes.%d", i);
		snprintf(no, sizeof(no), "no.%d", i);
		for (j = 0; j < 3; j++) {
			ck_assert_int_eq(enter_and_publish(yes, p, &hint), ENTERS);
			ck_assert_int_eq(enter_and_publish(yes, other, &others), ENTER_REFUSED);
			ck_assert_int_eq(enter_and_publish(no, other, &others), ENTERS);
			ck_assert_int_eq(enter_and_publish(no, p, &hint), ENTER_REFUSED);
		}
	}
	policy_put(p);
	policy_put(other);
}
END_TEST

START_TEST(an_answer_is_granted_once)
{
	struct publish_hint	 hint = { 0 };
	struct policy		*p = policy_of(1, "only", "inbox.>");
	struct grants		 g = { NULL };

	ck_assert_int_eq(enter("inbox.1", p, &g, &hint, 1), ENTER_REFUSED);
	ck_assert(grants_add(&g, p, BYTES("inbox.1"), 1));
	ck_assert_int_eq(enter("inbox.2", p, &g, &hint, 1), ENTER_REFUSED);
	ck_assert_int_eq(enter("inbox.1", p, NULL, &hint, 1), ENTER_REFUSED);
	ck_assert_int_eq(enter("inbox.1", p, &g, &hint, 1), ENTERS);
	/* it was blocked and comes again, three times */
	hint.again = true;
	ck_assert_int_eq(enter("inbox.1", p, &g, &hint, 1), ENTERS);
	hint.again = true;
	ck_assert_int_eq(enter("inbox.1", p, &g, &hint, 1), ENTERS);
	ck_assert_int_eq(enter("inbox.1", p, &g, &hint, 1), ENTER_REFUSED);
	/* what was refused does not come again */
	hint.again = true;
	ck_assert_int_eq(enter("inbox.1", p, &g, &hint, 1), ENTER_REFUSED);
	grants_free(&g);
	policy_put(p);
}
END_TEST

#define COUNT(array)	((int)(sizeof(array) / sizeof((array)[0])))

int
main(void)
{
	Suite	*s = suite_create("enter");
	TCase	*c = tcase_create("entering");

	tcase_set_timeout(c, 300);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, subjects_are_mapped_before_and_after_caching, 0, COUNT(cases));
	tcase_add_test(c, other_accounts_take_the_place_of_the_old_ones);
	tcase_add_test(c, weights_are_kept);
	tcase_add_test(c, what_is_lost_reaches_nobody);
	tcase_add_loop_test(c, destinations_of_our_cluster_come_first, 0, 4);
	tcase_add_test(c, long_subjects_are_mapped_too);
	tcase_add_test(c, random_mappings_agree_with_the_reference);
	tcase_add_test(c, permission_is_asked_for_the_mapped_subject);
	tcase_add_test(c, one_hint_does_not_answer_for_another_subject);
	tcase_add_test(c, a_match_remembers_who_may_publish_it);
	tcase_add_test(c, an_answer_is_granted_once);
	suite_add_tcase(s, c);
	return tests_run(s);
}

/*
 * Permissions. Lines `ps+-` of a subject and a queue make a policy, as config would write it, and all others are
 * asked about; each answer is asked for twice, and what is allowed to be subscribed to without a filter is never
 * what is not to be delivered. Input that begins with 0 are records as they are.
 */
#include <stdlib.h>
#include "broker/policy.h"
#include "common/records.h"
#include "nats/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes
cut(struct bytes *rest, char at)
{
	const char	*end = rest->len == 0 ? NULL : memchr(rest->data, at, rest->len);
	struct bytes	 first = { rest->data, end == NULL ? rest->len : (size_t)(end - rest->data) };
	size_t		 used = end == NULL ? first.len : first.len + 1;

	rest->data += used;
	rest->len -= used;
	return first.len == 0 ? BYTES("") : first;
}

static bool
is_rule(struct bytes line)
{
	return line.len > 2 && (line.data[0] == 'p' || line.data[0] == 's') &&
	    (line.data[1] == '+' || line.data[1] == '-');
}

static void
rule_add(msgpack_sbuffer *out, struct bytes line)
{
	struct bytes	rest = { line.data + 2, line.len - 2 };
	struct msg	m = { .type = MSG_permission };

	m.u.permission.kind = (line.data[0] == 's') * 2u + (line.data[1] == '-');
	m.u.permission.subject = cut(&rest, ' ');
	m.u.permission.queue = cut(&rest, ' ');
	(void)records_add(out, &m);
}

static void
ask(struct policy *p, struct bytes line)
{
	struct bytes		subject = cut(&line, ' '), queue = cut(&line, ' ');
	enum policy_subscribes	may;
	struct grants		g = { NULL };
	bool			delivers = policy_delivers(p, subject, queue);

	if (policy_publish(p, subject) != policy_publish(p, subject) ||
	    policy_delivers(p, subject, queue) != delivers)
		abort();
	if (!grants_add(&g, p, subject, 1))
		abort();
	(void)grants_use(&g, subject, 1);
	grants_free(&g);
	if (!subject_valid(subject))
		return;
	may = policy_subscribe(p, subject, queue);
	if (subject_literal(subject) && may == SUBSCRIBE_ALLOWED && !delivers)
		abort();
}

static void
ask_all(struct policy *p, struct bytes text)
{
	struct bytes line;

	while (text.len > 0) {
		line = cut(&text, '\n');
		if (!is_rule(line))
			ask(p, line);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes	 text = { (const char *)data, size }, rest = text, line;
	struct msg	 set = { .type = MSG_permission_set, .u.permission_set = { .number = 1 } };
	struct policies	*all;
	struct policy	*p = NULL;
	msgpack_sbuffer	 records;
	const char	*why;

	if (size < 2 || policies_new(&all) != 0)
		return 0;
	msgpack_sbuffer_init(&records);
	set.u.permission_set.publish = data[0] & 1;
	set.u.permission_set.subscribe = data[0] >> 1 & 1;
	set.u.permission_set.responses = data[0] >> 2 & 1;
	(void)records_add(&records, &set);
	while (rest.len > 0) {
		line = cut(&rest, '\n');
		if (is_rule(line))
			rule_add(&records, line);
	}
	if (policy_get(all, data[0] == 0 ? (struct bytes){ text.data + 1, size - 1 } :
	    (struct bytes){ records.data, records.size }, &p, &why) == 0 && p != NULL)
		ask_all(p, text);
	policy_put(p);
	policies_free(all);
	msgpack_sbuffer_destroy(&records);
	return 0;
}

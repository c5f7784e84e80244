#ifndef TESTS_BROKER_TENANTS_H
#define TESTS_BROKER_TENANTS_H
/* Accounts for brokers: written as config does, read as a worker does. */
#include "broker/accounts.h"
#include "common/records.h"
#include "net.h"

#define A	4u			/* numbers of accounts */
#define B	5u
#define C	6u
#define D	7u

struct tenants { msgpack_sbuffer records; };

static UNUSED void
tenants_add(struct tenants *t, struct msg m)
{
	ck_assert_int_eq(records_add(&t->records, &m), 0);
}

static UNUSED void
tenants_init(struct tenants *t)
{
	msgpack_sbuffer_init(&t->records);
}

static UNUSED void
account(struct tenants *t, uint32_t number, const char *name)
{
	uint64_t	none[LIMITS];
	unsigned	i;

	for (i = 0; i < LIMITS; i++)
		none[i] = NO_LIMIT;
	tenants_add(t, (struct msg){ .type = MSG_account, .u.account = { .number = number,
	    .name = bytes_of(name), .limits = { .count = LIMITS, .own = none } } });
}

static UNUSED void
mapping(struct tenants *t, const char *source, const char *destination, unsigned weight, const char *cluster)
{
	tenants_add(t, (struct msg){ .type = MSG_mapping, .u.mapping = { .source = bytes_of(source),
	    .destination = bytes_of(destination), .weight = weight, .cluster = bytes_of(cluster) } });
}

static UNUSED void
stream(struct tenants *t, uint32_t from, const char *subject, const char *to)
{
	tenants_add(t, (struct msg){ .type = MSG_stream_import, .u.stream_import = { .from = from,
	    .subject = bytes_of(subject), .to = bytes_of(to) } });
}

static UNUSED void
service_import(struct tenants *t, uint32_t from, const char *to, const char *subject, struct service_import how)
{
	tenants_add(t, (struct msg){ .type = MSG_service_import, .u.service_import = { .from = from,
	    .subject = bytes_of(subject), .to = bytes_of(to), .response = how.response,
	    .threshold = how.threshold == 0 ? 120000 : (uint64_t)(how.threshold * 1000), .share = how.share,
	    .latency = how.latency == NULL ? BYTES("") : bytes_of(how.latency), .sampling = how.sampling } });
}

static UNUSED void
service(struct tenants *t, uint32_t from, const char *to, const char *subject)
{
	service_import(t, from, to, subject, (struct service_import){ .from = from });
}

/* What they are; t is empty again. */
static UNUSED struct accounts *
tenants_read(struct tenants *t)
{
	struct accounts	*accounts;
	const char	*why;
	int		 fd = records_seal(&t->records), rc;

	ck_assert_int_ge(fd, 0);
	rc = accounts_read(&accounts, fd, ROLE_WORKER, "", &why);
	if (rc != 0)
		ck_abort_msg("accounts_read: %d, %s", rc, why);
	close(fd);
	msgpack_sbuffer_destroy(&t->records);
	msgpack_sbuffer_init(&t->records);
	return accounts;
}

/* In force at all nodes. */
static UNUSED struct accounts *
tenants_set(struct net *net, struct tenants *t)
{
	struct accounts	*accounts = tenants_read(t);
	unsigned	 i;

	for (i = 0; i < net->nodes; i++)
		ck_assert_int_eq(broker_set_accounts(net->node[i].b, accounts), 0);
	return accounts;
}

static UNUSED uint32_t
sub_in(struct net *net, unsigned node, uint32_t account_number, uint32_t connection, const char *subject,
    const char *queue)
{
	uint32_t	slot;

	ck_assert_int_eq(broker_subscribe(net->node[node].b, account_number, connection, bytes_of(subject),
	    bytes_of(queue), &slot), 0);
	return slot;
}

static UNUSED enum published
pub_in(struct net *net, unsigned node, uint32_t account_number, const char *subject, const char *reply,
    const char *body)
{
	struct message	m = { .account = account_number, .subject = bytes_of(subject), .reply = bytes_of(reply),
	    .body = bytes_of(body), .publisher = 1000, .echo = true, .wants_503 = *reply != '\0' };

	return pub_message(net, node, &m, 77);
}

/* The only arrival, at this connection. */
static UNUSED const struct arrival *
only(const struct net *net, unsigned node, uint32_t connection)
{
	ck_assert_uint_eq(net->ngot, 1);
	ck_assert_uint_eq(net->got[0].node, node);
	ck_assert_uint_eq(net->got[0].connection, connection);
	return &net->got[0];
}
#endif

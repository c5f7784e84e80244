#ifndef UNIT_AUTH_DOCUMENT_H
#define UNIT_AUTH_DOCUMENT_H
/* Accounts documents as config writes them, made by hand. */
#include <check.h>
#include <unistd.h>
#include "common/records.h"

struct document { msgpack_sbuffer b; };

static const uint64_t	document_unlimited[LIMITS] = {
#define LIMIT(name, key, unit, help) [LIMIT_##name] = LIMIT_##name == LIMIT_MESSAGES_BURST || \
	LIMIT_##name == LIMIT_BYTES_BURST || LIMIT_##name == LIMIT_OVER_RATE ? 0 : NO_LIMIT,
#include "common/limits.def"
};

static inline void
document_add(struct document *d, struct msg m)
{
	ck_assert_int_eq(records_add(&d->b, &m), 0);
}

static inline void
document_account_limited(struct document *d, unsigned number, const char *name, const uint64_t *limits)
{
	document_add(d, (struct msg){ .type = MSG_account, .u.account = { .number = number,
	    .name = bytes_of(name), .limits = { .own = limits, .count = LIMITS } } });
}

/* An empty one with $G and the system account. */
static inline void
document_begin(struct document *d)
{
	msgpack_sbuffer_init(&d->b);
	document_account_limited(d, 1, "$G", document_unlimited);
	document_account_limited(d, 2, "$SYS", document_unlimited);
}

/* A user with this name and secret, all else as it is mostly. */
static inline struct msg
document_user(enum user_kind kind, unsigned account, const char *name, struct bytes secret)
{
	return (struct msg){ .type = MSG_user, .u.user = { .account = account, .kind = kind,
	    .name = bytes_of(name), .secret = secret,
	    .limits = { .own = document_unlimited, .count = LIMITS },
	    .peer_uid = NO_PEER, .peer_gid = NO_PEER } };
}

static inline void
document_password(struct document *d, unsigned account, const char *name, const char *password)
{
	document_add(d, document_user(USER_PASSWORD, account, name, bytes_of(password)));
}

static inline void
document_set(struct document *d, unsigned number, const char *subject)
{
	document_add(d, (struct msg){ .type = MSG_permission_set,
	    .u.permission_set = { .number = number, .publish = 1 } });
	document_add(d, (struct msg){ .type = MSG_permission, .u.permission = { .kind = PUBLISH_ALLOW,
	    .subject = bytes_of(subject), .queue = BYTES("") } });
}

/* Sealed; the document is used up. */
static inline int
document_end(struct document *d)
{
	int	fd = records_seal(&d->b);

	ck_assert_int_ge(fd, 0);
	msgpack_sbuffer_destroy(&d->b);
	return fd;
}

static inline int
run(Suite *s)
{
	SRunner	*r = srunner_create(s);
	int	 failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
#endif

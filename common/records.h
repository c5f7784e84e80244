#ifndef COMMON_RECORDS_H
#define COMMON_RECORDS_H
/*
 * Documents made of records: those of messages.def whose state is RECORD, one
 * after the other, in a sealed memfd or in memory. The accounts document of a
 * role is one, the permissions of a user another.
 */
#include "common/messages.h"

#define RECORDS_MAX	(256u << 20)	/* bytes of a document */

/*
 * Append a record to out. 0; -EINVAL: a field is out of its range; -EMSGSIZE: over
 * MESSAGE_MAX; -ENOMEM. On error out is as it was.
 */
int records_add(msgpack_sbuffer *out, const struct msg *record);

/* All of out as a sealed memfd, an empty one too. The descriptor, or -errno. */
int records_seal(const msgpack_sbuffer *out);

/* What is done with each record; what it points to lives as long as the call. Not 0 ends the reading. */
typedef int record_call(void *arg, const struct msg *record);

/*
 * Call f for each record of b, which was written by `from` for `to`. 0; what f returned; -EBADMSG with *why
 * (static; as of msg_decode(), or "length").
 */
int records_each(struct bytes b, enum role from, enum role to, record_call *f, void *arg, const char **why);

/* The same for a sealed memfd, which is kept open. Also -EPERM: it is not sealed; -errno of mmap(2). */
int records_read(int fd, enum role from, enum role to, record_call *f, void *arg, const char **why);
#endif

#ifndef COMMON_MESSAGES_H
#define COMMON_MESSAGES_H
/*
 * The messages of messages.def as C: a struct each, one encoder, one checker.
 * msgpack array [type, fields...]; docs/messages.md has the table.
 */
#include <stdint.h>
#include <msgpack.h>
#include "common/bytes.h"

enum role {
#define ROLE(name, program) ROLE_##name,
#include "common/roles.def"
	ROLES,
	ROLE_ANY = ROLES	/* in messages.def only: whichever child */
};
#define ROLE_BIT(role)	(1ull << (role))

/* "worker" for ROLE_WORKER; "?" outside of the range. */
const char *role_name(enum role role);

#define MESSAGE_MAX		65536	/* bytes of a datagram */
#define MESSAGE_FDS_MAX		4	/* descriptors with it */

/* Numbers inside a message: read with msg_number(). */
struct numbers { const msgpack_object *first; uint32_t count; const uint64_t *own; };

#define TYPE_u64 uint64_t
#define TYPE_str struct bytes
#define TYPE_bin struct bytes
#define TYPE_u64s struct numbers
#define MESSAGE(name, from, to, fds, state) struct msg_##name {
#define FIELD(kind, name, lo, hi) TYPE_##kind name;
#define END(name) char end_; };
#include "common/messages.def"

enum msg_type {
#define MESSAGE(name, from, to, fds, state) MSG_##name,
#define FIELD(kind, name, lo, hi)
#define END(name)
#include "common/messages.def"
	MSG_TYPES
};

enum msg_state { MSG_START = 1, MSG_READY = 2, MSG_ALWAYS = 3 };

/* What `refuse` of a connection says. */
enum refusal { REFUSE_NOTHING, REFUSE_MAX_CONNECTIONS, REFUSE_PER_ADDRESS, REFUSE_SHUTDOWN };

/* Why a log file comes. */
enum log_file_why { LOG_FILE_START, LOG_FILE_REOPENED, LOG_FILE_FULL, LOG_FILE_RELOAD };

/* What it is. */
enum log_file_kind {
	LOG_TO_FILE,		/* is renamed and made again at logfile_size_limit */
	LOG_TO_OTHER,		/* standard error, a FIFO or a device */
	LOG_TO_TERMINAL,	/* standard error, with colours */
};

/* What the socket of `log_syslog` is. */
enum syslog_kind { SYSLOG_LOCAL, SYSLOG_UNIX_STREAM, SYSLOG_UDP, SYSLOG_TCP };

struct msg {
	enum msg_type type;
	union {
#define MESSAGE(name, from, to, fds, state) struct msg_##name name;
#define FIELD(kind, name, lo, hi)
#define END(name)
#include "common/messages.def"
	} u;
};

/* Name of a type for the log; "?" outside of the range. */
const char *msg_name(enum msg_type type);

/* Descriptors that ride along with this type. */
int msg_descriptors(enum msg_type type);

/*
 * Append m as one datagram to out. 0; -EINVAL unknown type or a field out of
 * its range (our own mistake, nothing may be sent); -EMSGSIZE larger than
 * MESSAGE_MAX; -ENOMEM. On error out is as it was.
 */
int msg_encode(msgpack_sbuffer *out, const struct msg *m);

/*
 * Check and take apart what `from` sent to `to` with nfds descriptors.
 * state: MSG_START or MSG_READY, as the receiving channel is now.
 * 0: m is filled; its bytes lie inside o, empty ones are "". Otherwise *why names what was wrong
 * ("type", "sender", "shape", "state", or the field):
 *   -EPERM    not a message from this role to that, or not in this state
 *   -EBADMSG  malformed or out of range
 */
int msg_decode(struct msg *m, enum role from, enum role to, int nfds,
    enum msg_state state, const msgpack_object *o, const char **why);

/* Number i of a u64s field, received or of our own. */
uint64_t msg_number(const struct numbers *n, uint32_t i);

/* The message as text "connection cid=7 host=127.0.0.1", for debug; binary
 * fields as their length. Truncated to size. */
void msg_print(const struct msg *m, char *text, size_t size);
#endif

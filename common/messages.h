#ifndef COMMON_MESSAGES_H
#define COMMON_MESSAGES_H
/*
 * The messages of messages.def as C: a struct each, one encoder, one checker.
 * msgpack array [type, fields...]; docs/messages.md has the table.
 */
#include <stdint.h>
#include <msgpack.h>
#include "common/account.h"
#include "common/bytes.h"

enum role {
#define ROLE(name, program) ROLE_##name,
#include "common/roles.def"
	ROLES,
	ROLE_ANY = ROLES	/* in messages.def only: whichever child */
};
#define ROLE_FABRIC		((enum role)(ROLES + 1))	/* likewise: a participant of the fabric */
#define ROLE_CTL		((enum role)(ROLES + 2))	/* bulkheadctl at the control socket: no process of the server */
#define ROLE_BIT(role)	(1ull << (role))

/* "worker" for ROLE_WORKER; "?" outside of the range. */
const char *role_name(enum role role);

#define MESSAGE_MAX		65536	/* bytes of a datagram */
#define MESSAGE_FDS_MAX		4	/* descriptors with it */

#define NO_PEER			(UINT64_C(1) << 32)	/* in place of a uid or gid: there is none */
#define NONCE_RAW		11			/* bytes of a nonce */
#define NONCE_TEXT		15			/* characters of it in base64url */
#define NONCE_ROOM		17			/* for making them, with padding and NUL */

/* What an account or a user may be limited in: limits.def. */
enum limit {
#define LIMIT(name, key, unit, help) LIMIT_##name,
#include "common/limits.def"
	LIMITS
};
#define NO_LIMIT		((uint64_t)INT64_MAX)

/* What workers hold a part of: limits over all of them. */
enum lease_kind {
	LEASE_ACCOUNT_SUBSCRIPTIONS, LEASE_ACCOUNT_MESSAGES, LEASE_ACCOUNT_BYTES, LEASE_ACCOUNT_PENDING,
	LEASE_ACCOUNT_MEMORY,
	LEASE_USER_SUBSCRIPTIONS, LEASE_USER_MESSAGES, LEASE_USER_BYTES, LEASE_USER_PENDING,
	LEASE_USER_MEMORY,
	LEASE_KINDS
};

/* Why a login fails or ends; nats/reply texts are the worker's. */
enum auth_refusal {
	AUTH_VIOLATION,			/* whatever is wrong with what was offered */
	AUTH_ACCOUNT_CONNECTIONS,	/* the account's max_connections */
	AUTH_USER_CONNECTIONS,		/* the user's */
	AUTH_ADDRESS_CONNECTIONS,	/* those of the account from this address */
	AUTH_EXPIRED,			/* the user did */
	AUTH_REVOKED,			/* a reload changed or removed the user or its account */
	AUTH_REFUSALS
};

/* Why the signer does not sign. */
enum sign_refusal {
	SIGN_DONE,
	SIGN_UNKNOWN_KEY,	/* there is none of that number, or it is not for that role */
	SIGN_SCHEME,		/* not one of the key's */
	SIGN_CONTENT,		/* nothing that a TLS server signs in a handshake */
	SIGN_FAILED,
	SIGN_REFUSALS
};

#define TICKET_KEY	80	/* bytes: a name of 16, AES-256, HMAC-SHA-256 */

/* What a TLS context is for. */
enum tls_use { TLS_NOTHING, TLS_CLIENTS, TLS_USES };
enum tls_file_kind {
	TLS_FILE_CERTIFICATE, TLS_FILE_KEY, TLS_FILE_PASSWORD, TLS_FILE_AUTHORITY, TLS_FILE_REVOKED,
	TLS_FILES
};

/* As allowed_connection_types names them. */
enum connection_type {
	CONNECTION_STANDARD, CONNECTION_WEBSOCKET, CONNECTION_LEAFNODE, CONNECTION_LEAFNODE_WS,
	CONNECTION_MQTT, CONNECTION_MQTT_WS, CONNECTION_IN_PROCESS,
	CONNECTION_TYPES
};

enum user_kind { USER_PASSWORD, USER_TOKEN, USER_NKEY, USER_WITHOUT };	/* without: peers and certificates only */
enum response_type { RESPONSE_SINGLETON, RESPONSE_STREAM, RESPONSE_CHUNKED };
enum permission_kind { PUBLISH_ALLOW, PUBLISH_DENY, SUBSCRIBE_ALLOW, SUBSCRIBE_DENY };
/* A subject is compared as a distinguished name; text is one that the real server only compares letter by letter. */
enum certificate_name_kind {
	CERTIFICATE_EMAIL, CERTIFICATE_DNS, CERTIFICATE_URI, CERTIFICATE_SUBJECT, CERTIFICATE_TEXT
};
enum client_event_kind { EVENT_CONNECTED, EVENT_DISCONNECTED, EVENT_REFUSED, EVENT_NEVER_IN };

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

enum msg_state { MSG_START = 1, MSG_READY = 2, MSG_ALWAYS = 3, MSG_RECORD = 4 };

/* What `refuse` of a connection says. */
enum refusal { REFUSE_NOTHING, REFUSE_MAX_CONNECTIONS, REFUSE_PER_ADDRESS, REFUSE_SHUTDOWN, REFUSE_KICKED };

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
 * state: MSG_START or MSG_READY, as the receiving channel is now; MSG_RECORD: o is a record.
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

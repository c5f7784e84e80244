#ifndef WORKER_TRACE_H
#define WORKER_TRACE_H
/* What the log says of a client, as the 2.x server words it. */
#include "common/bytes.h"
#include "nats/parser.h"
#include "worker/client.h"

#define CLIENT_PREFIX	512

/*
 * `127.0.0.1:51234 - cid:7 - `, after CONNECT `... - "v1.2:py:name" - `, and where auth
 * said who it is `... - "ACCOUNT/user:name" - `. Returns text.
 */
const char *client_prefix(const struct client *c, char text[CLIENT_PREFIX]);

#define client_debug(c, format, ...) do {				\
	char prefix_[CLIENT_PREFIX];					\
	if (log_debugs())						\
		log_line(LOG_DEBUG, "%s" format, client_prefix((c), prefix_), ##__VA_ARGS__); \
} while (0)

/* A line at error level that the client's behaviour caused. */
#define client_error(c, format, ...) do {				\
	char prefix_[CLIENT_PREFIX];					\
	log_limited(LOG_ERROR, "clients' errors", "%s" format,		\
	    client_prefix((c), prefix_), ##__VA_ARGS__);		\
} while (0)

/* Only when log_traces(): */

/* A control line that came in; secrets of a CONNECT are left out. */
void trace_line(const struct client *c, const struct nats_line *l, struct bytes text);

/* What a message says, as much as the settings want of it. header: bytes of its headers, 0 none. */
void trace_payload(const struct client *c, const char *direction, uint32_t header, struct bytes body);
/* A message that goes to c: its line, then its body. */
void trace_delivery(const struct client *c, struct bytes subject, struct bytes sid,
    struct bytes reply, uint32_t header, struct bytes body);

/* A line of ours, but for INFO. */
void trace_said(const struct client *c, struct bytes line);

/* A subscription is gone, whoever wanted that. */
void trace_removed(const struct client *c, struct bytes sid);

/*
 * The JSON of a CONNECT with [REDACTED] in place of its passwords, tokens,
 * signatures and keys, at whatever depth and however their names are written,
 * also where it is no JSON after all. Cut to size; returns what of out is filled.
 */
struct bytes trace_redact(char *out, size_t size, struct bytes json);
#endif

#ifndef NATS_PARSER_H
#define NATS_PARSER_H
/*
 * The control lines of the client protocol, read in place. One line at a time:
 * the caller keeps an incomplete one and calls again when more has come.
 * reference: docs.nats.io client protocol; leniencies as the 2.x server's.
 */
#include <stdint.h>
#include "common/bytes.h"

enum nats_op {
	NATS_MORE,		/* no whole line yet; nothing consumed */
	NATS_CONNECT, NATS_PUB, NATS_HPUB, NATS_SUB, NATS_UNSUB,
	NATS_PING, NATS_PONG, NATS_OK, NATS_INFO,
	NATS_ERR,		/* the client said -ERR: close silently */
	/* The client broke the protocol: */
	NATS_UNKNOWN,		/* -ERR 'Unknown Protocol Operation', close */
	NATS_TOO_LONG,		/* -ERR 'maximum control line exceeded', close */
	NATS_MALFORMED,		/* close silently; why says what */
};

/* Only what is said to belong to the op is set; an optional argument not given has len 0. */
struct nats_line {
	enum nats_op	 op;
	struct bytes	 subject, reply;	/* PUB, HPUB; SUB: subject */
	struct bytes	 queue, sid;		/* SUB, UNSUB */
	struct bytes	 json;			/* CONNECT, INFO: all behind the op */
	struct bytes	 size_text;		/* PUB, HPUB: the total as it was written; echoed */
	uint32_t	 header, size;		/* bytes of headers (HPUB), of headers and payload */
	uint64_t	 max;			/* UNSUB: 0 none given or not a number above 0 */
	const char	*why;			/* NATS_MALFORMED, for the log */
};

/*
 * Read one line from data[0..len). Returns the bytes it took, with its line
 * end; 0 with line->op NATS_MORE. For the last three ops what is returned does
 * not matter. Bytes in *line point into data.
 * An unknown op, a line over max_control_line argument bytes and a malformed
 * op are told as soon as they can be known, whole line or not.
 */
size_t nats_parse(const char *data, size_t len, size_t max_control_line, struct nats_line *line);
#endif

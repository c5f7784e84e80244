#ifndef BROKER_WIRE_H
#define BROKER_WIRE_H
/*
 * The records of a lane. Both sides are processes of one running server, so
 * numbers are in host order; but what comes is written by a peer that may be
 * compromised, and may change while it is read: wire_read() copies out all
 * but the body, then checks.
 *
 * A message, in this order, with nothing between or behind:
 *
 *   struct wire_head
 *   u32 header          with WIRE_HEADER: bytes of headers in the body
 *   u32 request         with WIRE_REQUEST: answer `none` if nobody takes it
 *   u32 served          with WIRE_SERVE: bytes of the second list of names
 *   subject, reply
 *   names               groups chosen for the receiver: u16 length, bytes, ...
 *   served names        with WIRE_SERVE: groups that have been served; the
 *                       receiver serves its others
 *   body                all that is left
 */
#include <stdint.h>
#include "broker/broker.h"
#include "common/bytes.h"

enum wire_type {
	WIRE_MESSAGE = 1,	/* bulk: a whole message; small: one that is passed on */
	WIRE_FIRST,		/* bulk: struct wire_first, then the beginning of a message */
	WIRE_MORE,		/* bulk: what follows; nothing comes in between */
	WIRE_NONE,		/* small: struct wire_none */
	WIRE_PACE,		/* small: struct wire_pace */
};

enum wire_flag {
	WIRE_HEADER = 1, WIRE_REQUEST = 2, WIRE_SERVE = 4,
	WIRE_PASSED = 8,	/* for the named groups only; never passed on again */
	WIRE_IMPORTED = 16,	/* came through a service import */
	WIRE_FLAGS = 31
};

struct wire_head {
	uint64_t	cid;		/* of the publisher */
	uint32_t	account;
	uint32_t	publisher;	/* its connection at the sender; NO_CONNECTION: nobody to pace */
	uint16_t	subject, reply, names;	/* bytes */
	uint8_t		flags;
	uint8_t		digits;		/* the size was written with so many, zeros leading; 0: as usual */
};
_Static_assert(sizeof(struct wire_head) == 24, "no holes");

struct wire_first { uint32_t total, zero; };
struct wire_none { uint32_t request; };
struct wire_pace { uint64_t cid; uint32_t connection, zero; };

#define WIRE_TEXT_MAX	65535	/* bytes of a subject, of a reply */
#define WIRE_NAMES_MAX	4096	/* bytes of a list of names */
#define WIRE_DIGITS_MAX	9
#define WIRE_ADDED	16384	/* bytes that a service import may add to the headers of a body */
#define WIRE_HEAD_MAX	(sizeof(struct wire_head) + 12 + 2 * WIRE_TEXT_MAX + 2 * WIRE_NAMES_MAX)

/* A message being written: what all participants get, then what differs. */
struct wire_out {
	char		*buf;		/* WIRE_HEAD_MAX bytes */
	size_t		 len;		/* so far */
	size_t		 common;	/* of it, for all */
	struct wire_head head;
	const struct message *m;
	uint32_t	 request;
};

/* False: subject or reply are too long for a lane. */
bool wire_begin(struct wire_out *w, char *buf, const struct message *m, uint64_t cid, uint32_t request);
/* The next participant's: forget what was added since wire_begin(). */
void wire_again(struct wire_out *w, enum wire_flag flags);
/* Add a name to the list. False: the list is full. */
bool wire_add_name(struct wire_out *w, struct bytes name);
/* The names so far are those chosen; what follows are those served (WIRE_SERVE). */
void wire_add_served(struct wire_out *w);
/* All but the body, in w->buf. */
struct bytes wire_end(struct wire_out *w);

/* A message read: all bytes but the body's are copies. */
struct wire_in {
	struct message	m;
	uint64_t	cid;
	uint32_t	publisher;	/* at the sender */
	uint32_t	request;	/* 0: none wanted */
	enum wire_flag	flags;
	struct bytes	names, served;
	char		digits[WIRE_DIGITS_MAX];
};

/*
 * Take apart data[0..len) into *w; text has WIRE_HEAD_MAX bytes for the copies.
 * NULL, or what is wrong with it.
 */
const char *wire_read(struct wire_in *w, char *text, const char *data, size_t len, size_t max_payload);

/* The next name of a list that wire_read() has checked. False: that was all. */
bool wire_next_name(struct bytes *list, struct bytes *name);

/* No byte of it could end a token or a line on a client's wire. A carriage return could
 * not: clients' own subjects may have some (nats/parser.c). */
bool wire_text_clean(struct bytes text);
#endif

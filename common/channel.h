#ifndef COMMON_CHANNEL_H
#define COMMON_CHANNEL_H
/*
 * A channel: one end of a SOCK_SEQPACKET socketpair that carries the messages
 * of messages.def, with descriptors. Who is at the other end is known from
 * where the descriptor came from, never from what is said.
 */
#include <ev.h>
#include "common/messages.h"

struct channel;

/*
 * One checked message. fds: the msg_descriptors(m->type) descriptors that came
 * with it, close-on-exec, now the receiver's to close. m and what it points
 * to are valid until the function returns.
 * Returns 0, or -errno: the message is impossible where the receiver stands;
 * the channel then ends as with `broken`, why = the message's name.
 */
typedef int channel_receive(struct channel *ch, const struct msg *m, const int *fds);

/*
 * The channel is of no more use and is closed already: the peer closed it
 * (error 0), broke the rules (-EBADMSG, -EPERM; why says which field or
 * message), let more than CHANNEL_QUEUE bytes pile up (-ENOBUFS), or -errno of
 * the socket. May free the struct that holds the channel.
 */
typedef void channel_broken(struct channel *ch, int error, const char *why);

/* Nothing waits any more of what the peer did not take at once. */
typedef void channel_sent(struct channel *ch);

#define CHANNEL_QUEUE	(4u << 20)	/* bytes that may wait for a slow peer */

struct channel_packet;			/* one that waits to be sent */

struct channel {
	int			 fd;	/* -1: closed */
	enum role		 self, peer;
	enum msg_state		 state;	/* what we take now; starts as MSG_START, set by the owner */
	struct ev_loop		*loop;
	ev_io			 readable, writable;
	channel_receive		*receive;
	channel_broken		*broken;
	channel_sent		*sent;	/* NULL after channel_open(): nobody asks */
	void			*owner;
	struct channel_packet	*first, **last;
	size_t			 queued;	/* bytes */
};

/*
 * Start to use fd (made non-blocking by whoever made the socketpair:
 * SOCK_NONBLOCK; F_SETFL is forbidden in children). Consumed.
 */
void channel_open(struct channel *ch, struct ev_loop *loop, int fd,
    enum role self, enum role peer, channel_receive *receive,
    channel_broken *broken, void *owner);

/*
 * Send m with its descriptors; they stay the caller's (what has to wait is
 * duplicated). Sent now, or in order when the peer reads again.
 * 0; -EPIPE closed; -ENOBUFS more than CHANNEL_QUEUE waits; -EINVAL, -EMSGSIZE
 * of msg_encode(); -errno. Never calls `broken`.
 */
int channel_send(struct channel *ch, const struct msg *m, const int *fds);

/* Handle what has arrived, at most `most` messages, without waiting. */
void channel_drain(struct channel *ch, int most);

/*
 * Wait up to `seconds` for the next message of this type and hand it to
 * `receive` as always (for the time before the event loop runs).
 * 0; -ETIMEDOUT; -EPIPE; -EBADMSG after another message.
 */
int channel_await(struct channel *ch, enum msg_type type, double seconds);

/* Close it and drop what still waits; `broken` is not called. Closed twice is closed. */
void channel_close(struct channel *ch);

/* A pair of non-blocking, close-on-exec ends. 0 or -errno. */
int channel_pair(int fds[2]);
#endif

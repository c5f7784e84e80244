#ifndef MONITOR_HTTP_H
#define MONITOR_HTTP_H
/*
 * HTTP by libmicrohttpd, without a listening socket and without threads: the
 * event loop watches its epoll descriptor and its nearest timeout. A request
 * waits, suspended, until whoever was asked has answered or HTTP_PATIENCE is over.
 * A place is held for a bounded time, however the client spreads its bytes: the
 * library's own timeout counts from the last byte, so it is not used.
 */
#include <ev.h>
#include <stdint.h>
#include <sys/queue.h>
#include "common/bytes.h"

#define HTTP_CONNECTIONS	512	/* at the same time; more are closed */
#define HTTP_SEND		10.0	/* seconds from connecting, or the last answer, to a whole request */
#define HTTP_TAKE		30.0	/* seconds from there until its answer is taken */
#define HTTP_PATIENCE		5.0	/* seconds a report may take */
#define HTTP_PATH_MAX		256	/* bytes; what report_wanted carries */
#define HTTP_QUERY_MAX		4096
#define HTTP_BODY_MAX		((size_t)64 << 20)

struct http;
struct request;
struct place;
TAILQ_HEAD(requests, request);
TAILQ_HEAD(places, place);

/*
 * Ask for a report; its pieces come back by http_report() with this number.
 * 0 or -errno: the client hears 503.
 */
typedef int http_ask(struct http *h, uint64_t number, struct bytes path, struct bytes query);

struct http {
	struct ev_loop		*loop;
	struct MHD_Daemon	*daemon;
	ev_io			 readable;
	ev_timer		 timeout;	/* libmicrohttpd's */
	ev_timer		 patience;	/* of the request that waits longest */
	ev_timer		 hurry;		/* of the place that is over next */
	struct requests		 waiting;	/* in the order they came */
	struct places		 sending, taking;	/* connections, in the order their time is over */
	uint64_t		 last_number;
	http_ask		*ask;
	void			*owner;
};

/* Makes the descriptors it will use: before the sandbox. 0 or -ENOMEM. */
int http_start(struct http *h, struct ev_loop *loop, http_ask *ask, void *owner);
/* Close all connections and free what http_start() made. */
void http_stop(struct http *h);

/*
 * Serve a connected, non-blocking socket. fd is consumed, also on error:
 * -EINVAL it would block; -EMFILE too many connections or no memory.
 */
int http_serve(struct http *h, int fd);

/* A piece of a report; one that nobody waits for (any more) is dropped. */
void http_report(struct http *h, uint64_t number, unsigned status, bool last, struct bytes piece);

/* There is a new system: ask it for all that wait. */
void http_ask_again(struct http *h);

/* Nobody is going to answer: all that wait hear 503. */
void http_fail(struct http *h);
#endif

#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>
#include <microhttpd.h>
#include "admin/monitor/http.h"
#include "admin/monitor/pages.h"

/*
 * NEW      its head is not yet complete
 * READ     what the client may send as a body is thrown away
 * WAITING  suspended, in `waiting`, until its report is complete
 * DONE     to be answered from status and body
 */
enum request_state { REQUEST_NEW, REQUEST_READ, REQUEST_WAITING, REQUEST_DONE };

struct request {
	TAILQ_ENTRY(request)	 next;		/* in `waiting` */
	struct http		*http;
	struct MHD_Connection	*connection;
	enum request_state	 state;
	uint64_t		 number;
	ev_tstamp		 until;
	char			*path, *query;
	unsigned		 status;
	char			*body;
	size_t			 len, room;
};

/* A connection and how long it may go on as it does. */
struct place {
	TAILQ_ENTRY(place)	 next;
	struct places		*list;		/* sending or taking */
	struct MHD_Connection	*connection;
	ev_tstamp		 until;
};

/* -- places */

static ev_tstamp
places_next(const struct places *all, ev_tstamp next)
{
	const struct place *first = TAILQ_FIRST(all);

	return first != NULL && first->until < next ? first->until : next;
}

static void
hurry_start(struct http *h)
{
	const ev_tstamp	never = INFINITY;
	ev_tstamp	next, left;

	ev_timer_stop(h->loop, &h->hurry);
	next = places_next(&h->taking, places_next(&h->sending, never));
	if (next == never)
		return;
	left = next - ev_now(h->loop);
	ev_timer_set(&h->hurry, left > 0 ? left : 0, 0);
	ev_timer_start(h->loop, &h->hurry);
}

/* From now on it has `seconds`, as all others on that list. */
static void
place_move(struct http *h, struct place *p, struct places *to, double seconds)
{
	if (p->list != NULL)
		TAILQ_REMOVE(p->list, p, next);
	p->list = to;
	p->until = ev_now(h->loop) + seconds;
	TAILQ_INSERT_TAIL(to, p, next);
	if (!ev_is_active(&h->hurry))
		hurry_start(h);
}

static struct place *
place_of(struct MHD_Connection *c)
{
	return MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The library closes it when it looks next. */
static void
connection_cut(struct MHD_Connection *c)
{
	shutdown(MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
	    SHUT_RDWR);
}

static void
places_cut(struct http *h, struct places *all)
{
	struct place *p;

	while ((p = TAILQ_FIRST(all)) != NULL && p->until <= ev_now(h->loop)) {
		TAILQ_REMOVE(all, p, next);
		p->list = NULL;
		connection_cut(p->connection);
	}
}

static void
place_notify(void *cls, struct MHD_Connection *c, void **context,
    enum MHD_ConnectionNotificationCode what)
{
	struct http	*h = cls;
	struct place	*p = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		p = *context = calloc(1, sizeof(*p));
		if (p == NULL) {
			connection_cut(c);
			return;
		}
		p->connection = c;
		place_move(h, p, &h->sending, HTTP_SEND);
	} else if (p != NULL) {
		if (p->list != NULL)
			TAILQ_REMOVE(p->list, p, next);
		free(p);
		*context = NULL;
	}
}

/* -- answering */

static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, const char *type, char *body, size_t len,
    enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response	*response = MHD_create_response_from_buffer(len, body, mode);
	enum MHD_Result		 rc;

	if (response == NULL) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(body);
		return MHD_NO;		/* closes the connection */
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (type == page_json)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, "*");
	else if (type == page_text)
		MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	rc = MHD_queue_response(c, status, response);
	MHD_destroy_response(response);
	return rc;
}

static enum MHD_Result
answer_page(struct MHD_Connection *c, const struct page *page)
{
	return answer(c, page->status, page->type, (char *)(uintptr_t)page->body,
	    strlen(page->body), MHD_RESPMEM_PERSISTENT);
}

/* What system said. Its reports are JSON, its refusals text. */
static enum MHD_Result
answer_report(struct request *r)
{
	const char	*type = r->len > 0 && r->body[0] == '{' ? page_json : page_text;
	char		*body = r->body;

	if (r->status == 0)
		return answer_page(r->connection, &page_unavailable);
	if (r->len == 0 && r->status >= 500)
		return answer_page(r->connection, &page_failed);
	r->body = NULL;
	return answer(r->connection, r->status, type, body, r->len, MHD_RESPMEM_MUST_FREE);
}

/* -- waiting */

static void
patience_start(struct http *h)
{
	struct request	*first = TAILQ_FIRST(&h->waiting);
	ev_tstamp	 left;

	ev_timer_stop(h->loop, &h->patience);
	if (first == NULL)
		return;
	left = first->until - ev_now(h->loop);
	ev_timer_set(&h->patience, left > 0 ? left : 0, 0);
	ev_timer_start(h->loop, &h->patience);
}

/* Go on with r; http_run() does the rest. */
static void
request_resume(struct request *r)
{
	TAILQ_REMOVE(&r->http->waiting, r, next);
	r->state = REQUEST_DONE;
	MHD_resume_connection(r->connection);
}

/* Ask system. Where it is not there, its successor is asked, by http_ask_again(). */
static void
request_send(struct request *r)
{
	struct http *h = r->http;

	r->number = ++h->last_number;
	(void)h->ask(h, r->number, bytes_of(r->path), bytes_of(r->query));
}

static enum MHD_Result
request_wait(struct request *r, const char *url)
{
	struct http	*h = r->http;
	size_t		 len = strlen(url);

	if (len == 0 || len > HTTP_PATH_MAX)
		return answer_page(r->connection, &page_not_found);
	if (strlen(r->query) > HTTP_QUERY_MAX)
		return answer_page(r->connection, &page_too_long);
	r->path = strdup(url);
	if (r->path == NULL)
		return answer_page(r->connection, &page_unavailable);
	request_send(r);
	r->state = REQUEST_WAITING;
	r->until = ev_now(h->loop) + HTTP_PATIENCE;
	TAILQ_INSERT_TAIL(&h->waiting, r, next);
	if (TAILQ_FIRST(&h->waiting) == r)
		patience_start(h);
	MHD_suspend_connection(r->connection);
	return MHD_YES;
}

/* -- what libmicrohttpd calls */

/* The first that is known of a request, and where its query is still whole. */
static void *
request_begin(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct request	*r = calloc(1, sizeof(*r));
	const char	*mark = strchr(uri, '?');

	if (r == NULL)
		return NULL;
	r->http = cls;
	r->connection = connection;
	r->query = strdup(mark == NULL ? "" : mark + 1);
	if (r->query == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

static void
request_end(void *cls, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode how)
{
	struct request	*r = *context;
	struct place	*p = place_of(connection);

	if (r == NULL)
		return;
	if (p != NULL && p->list != NULL)
		place_move(r->http, p, &r->http->sending, HTTP_SEND);
	if (r->state == REQUEST_WAITING)
		TAILQ_REMOVE(&r->http->waiting, r, next);
	free(r->path);
	free(r->query);
	free(r->body);
	free(r);
	*context = NULL;
}

static enum MHD_Result
request_handle(void *cls, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_size,
    void **context)
{
	struct request	*r = *context;
	struct place	*p = place_of(connection);

	if (r == NULL || p == NULL)
		return MHD_NO;		/* there was no memory for it */
	switch (r->state) {
	case REQUEST_NEW:
		if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
			return answer_page(connection, &page_bad_method);
		r->state = REQUEST_READ;
		return MHD_YES;
	case REQUEST_READ:
		if (*upload_size > 0) {
			*upload_size = 0;
			return MHD_YES;
		}
		if (p->list == &r->http->sending)
			place_move(r->http, p, &r->http->taking, HTTP_TAKE);
		if (strcmp(url, "/") == 0)
			return answer_page(connection, &page_index);
		return request_wait(r, url);
	case REQUEST_WAITING:
		return MHD_YES;
	case REQUEST_DONE:
		return answer_report(r);
	}
	return MHD_NO;
}

/* -- the event loop */

static void
http_run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG	milliseconds;

	MHD_run(h->daemon);
	ev_timer_stop(h->loop, &h->timeout);
	if (MHD_get_timeout(h->daemon, &milliseconds) != MHD_YES)
		return;
	ev_timer_set(&h->timeout, (double)milliseconds / 1000, 0);
	ev_timer_start(h->loop, &h->timeout);
}

static void
daemon_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	http_run(w->data);
}

static void
daemon_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	http_run(w->data);
}

static void
patience_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct http	*h = w->data;
	struct request	*r;

	while ((r = TAILQ_FIRST(&h->waiting)) != NULL && r->until <= ev_now(loop)) {
		r->status = 0;
		request_resume(r);
	}
	http_run(h);
	patience_start(h);
}

static void
hurry_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct http	*h = w->data;

	places_cut(h, &h->sending);
	places_cut(h, &h->taking);
	http_run(h);
	hurry_start(h);
}

/* -- */

int
http_start(struct http *h, struct ev_loop *loop, http_ask *ask, void *owner)
{
	const union MHD_DaemonInfo	*info;

	*h = (struct http){ .loop = loop, .ask = ask, .owner = owner };
	TAILQ_INIT(&h->waiting);
	TAILQ_INIT(&h->sending);
	TAILQ_INIT(&h->taking);
	ev_timer_init(&h->hurry, hurry_over, 0, 0);
	h->daemon = MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME,
	    0, NULL, NULL, request_handle, h,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS,
	    MHD_OPTION_NOTIFY_CONNECTION, place_notify, h,
	    MHD_OPTION_URI_LOG_CALLBACK, request_begin, h,
	    MHD_OPTION_NOTIFY_COMPLETED, request_end, h,
	    MHD_OPTION_END);
	if (h->daemon == NULL)
		return -ENOMEM;
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (info == NULL || info->epoll_fd == -1) {
		MHD_stop_daemon(h->daemon);
		return -ENOMEM;
	}
	ev_io_init(&h->readable, daemon_readable, info->epoll_fd, EV_READ);
	ev_timer_init(&h->timeout, daemon_timeout, 0, 0);
	ev_timer_init(&h->patience, patience_over, 0, 0);
	h->readable.data = h->timeout.data = h->patience.data = h->hurry.data = h;
	ev_io_start(loop, &h->readable);
	return 0;
}

void
http_stop(struct http *h)
{
	http_fail(h);	/* nothing may be suspended */
	ev_io_stop(h->loop, &h->readable);
	ev_timer_stop(h->loop, &h->timeout);
	MHD_stop_daemon(h->daemon);
	ev_timer_stop(h->loop, &h->hurry);	/* what closed may have started it */
}

int
http_serve(struct http *h, int fd)
{
	/* libmicrohttpd wants an address; it is never looked at. */
	const struct sockaddr_in	nobody = { .sin_family = AF_INET };
	int				flags = fcntl(fd, F_GETFL);

	if (flags == -1 || (flags & O_NONBLOCK) == 0) {
		close(fd);
		return -EINVAL;		/* F_SETFL, which it would do, is forbidden */
	}
	if (MHD_add_connection(h->daemon, fd, (const struct sockaddr *)&nobody, sizeof(nobody)) != MHD_YES)
		return -EMFILE;		/* it has closed fd */
	http_run(h);
	return 0;
}

/* Append to r's body. 0 or -ENOMEM, -EMSGSIZE. */
static int
body_append(struct request *r, struct bytes piece)
{
	size_t	 room = r->room == 0 ? 4096 : r->room;
	char	*grown;

	if (piece.len > HTTP_BODY_MAX - r->len)
		return -EMSGSIZE;
	while (room - r->len < piece.len)
		room *= 2;
	if (room > r->room) {
		grown = realloc(r->body, room);
		if (grown == NULL)
			return -ENOMEM;
		r->body = grown;
		r->room = room;
	}
	memcpy(r->body + r->len, piece.data, piece.len);
	r->len += piece.len;
	return 0;
}

void
http_report(struct http *h, uint64_t number, unsigned status, bool last, struct bytes piece)
{
	struct request	*r;

	TAILQ_FOREACH(r, &h->waiting, next)
		if (r->number == number)
			break;
	if (r == NULL)
		return;
	r->status = status;
	if (piece.len > 0 && body_append(r, piece) != 0) {
		r->status = 0;
		last = true;
	}
	if (!last)
		return;
	request_resume(r);
	http_run(h);
	patience_start(h);
}

void
http_ask_again(struct http *h)
{
	struct request *r;

	TAILQ_FOREACH(r, &h->waiting, next) {
		r->len = 0;
		request_send(r);
	}
}

void
http_fail(struct http *h)
{
	struct request	*r;

	while ((r = TAILQ_FIRST(&h->waiting)) != NULL) {
		r->status = 0;
		request_resume(r);
	}
	http_run(h);
	patience_start(h);
}

#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/errors.h"
#include "supervisor/lookup.h"
#include "supervisor/supervisor.h"

#define LISTENER_BACKLOG	4096
#define LISTENER_BATCH		64	/* accepted in one loop turn, at most */
#define LISTENER_PAUSE		0.05	/* seconds without accepting when exhausted */
#define LISTENER_SHED		1.0	/* exhausted for so long: close who waits */
#define LISTENER_CALM		1.0	/* not exhausted for so long: it is over */

int
listener_parse(const char *text, char host[256], uint16_t *port)
{
	const char *colon = strrchr(text, ':'), *digits = colon == NULL ? text : colon + 1;
	size_t len = colon == NULL ? 0 : (size_t)(colon - text);
	long number;
	char *end;

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL || memchr(text, '[', len) != NULL) {
		return -EINVAL;		/* IPv6 without brackets: where does it end? */
	}
	errno = 0;
	number = strtol(digits, &end, 10);
	if (errno != 0 || end == digits || *end != '\0' || number < -1 || number > 65535 ||
	    len >= 256)
		return -EINVAL;
	if (len > 0) {
		memcpy(host, text, len);
		host[len] = '\0';
	}
	*port = number == -1 ? 0 : (uint16_t)number;
	return 0;
}

const char *
listener_text(const struct listener *l, char *text, size_t size)
{
	if (l->local)
		strlcpy(text, l->host, size);
	else
		snprintf(text, size, strchr(l->host, ':') != NULL ? "[%s]:%u" : "%s:%u", l->host,
		    l->port);
	return text;
}

static bool
listener_is_any(const struct listener *l)
{
	return *l->host == '\0' || strcmp(l->host, "0.0.0.0") == 0 || strcmp(l->host, "::") == 0;
}

/*
 * The address to bind. As the real server does, an address that means "all of
 * IPv4" is all of IPv6 as well, where the host has it.
 */
static int
listener_resolve(const struct listener *l, struct lookup *found)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(l->port),
	    .sin6_addr = IN6ADDR_ANY_INIT };
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	    .ai_socktype = SOCK_STREAM };
	char port[8];
	int rc;

	if (listener_is_any(l)) {
		memcpy(&found->addr, &any, sizeof(any));
		found->len = sizeof(any);
		return 0;
	}
	snprintf(port, sizeof(port), "%u", l->port);
	rc = lookup(found, l->host, port, &hints,
	    l->supervisor->phase == PHASE_SERVING ? LOOKUP_SERVING : LOOKUP_STARTING);
	if (rc != 0)
		return rc == EAI_MEMORY ? -ENOMEM : rc == EAI_SYSTEM ? -errno : -EADDRNOTAVAIL;
	return 0;
}

/* share: beside those of ours that have SO_REUSEPORT set just now. */
static int
listener_options(int fd, bool share)
{
	int on = 1;

	/* Accepted connections inherit TCP_NODELAY: no call for each. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		return -1;
	return share ? setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) : 0;
}

/* A bound, listening socket, or -errno with the step that failed. */
static int
listener_socket(const struct sockaddr_storage *addr, socklen_t len, bool share, const char **step)
{
	int fd, off = 0, rc;

	*step = "socket";
	fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	*step = "bind";
	if (addr->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(
	    &((const struct sockaddr_in6 *)addr)->sin6_addr))
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (listener_options(fd, share) == -1 || bind(fd, (const struct sockaddr *)addr, len) == -1)
		goto fail;
	*step = "listen";
	if (listen(fd, LISTENER_BACKLOG) == -1)
		goto fail;
	return fd;
 fail:
	rc = -errno;
	close(fd);
	return rc;
}

/* No IPv6 here: the same for IPv4 alone. */
static int
listener_socket_any(uint16_t port, bool share, const char **step)
{
	struct sockaddr_storage addr = { .ss_family = AF_INET };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&addr;

	v4->sin_port = htons(port);
	v4->sin_addr.s_addr = htonl(INADDR_ANY);
	return listener_socket(&addr, sizeof(*v4), share, step);
}

static int
listener_bind(struct listener *l, bool share, char *error, size_t size)
{
	struct sockaddr_storage addr;
	const char *step = "lookup";
	struct lookup found;
	char text[300];
	uint16_t port;
	socklen_t len;
	int rc;

	listener_text(l, text, sizeof(text));
	rc = listener_resolve(l, &found);
	if (rc == 0)
		rc = listener_socket(&found.addr, found.len, share, &step);
	if ((rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) && listener_is_any(l))
		rc = listener_socket_any(l->port, share, &step);
	if (rc < 0) {
		snprintf(error, size, "Error listening on %s: %s, \"listen tcp %s: %s: %s\"",
		    l->http ? "http port" : "port", text, text, step, error_text(-rc));
		return rc;
	}
	l->fd = rc;
	len = sizeof(addr);
	if (getsockname(l->fd, (struct sockaddr *)&addr, &len) == 0) {
		address_text(&addr, text, sizeof(text), &port);
		l->port = port;
	}
	return 0;
}

static int
listener_bind_path(struct listener *l, const struct unix_rights *rights, char *error, size_t size)
{
	const char *step;
	int rc = unix_socket_listen(&l->file, unix_socket_path(l->host), SOCK_STREAM, rights,
	    LISTENER_BACKLOG, &step);

	if (rc < 0) {
		snprintf(error, size, "Error listening on %s: %s: %s", l->host, step,
		    error_text(-rc));
		return rc;
	}
	l->fd = rc;
	return 0;
}

static bool
listener_may_accept(struct listener *l)
{
	struct supervisor *s = l->supervisor;
	struct process *monitor;

	if (ev_is_active(&s->listeners.pause))
		return false;
	if (!l->http)
		return s->phase == PHASE_SERVING && placement_has_room(s);
	monitor = process_serving(&s->processes, ROLE_MONITOR);
	return (s->phase == PHASE_SERVING || s->phase == PHASE_LAME_DUCK) &&
	    monitor != NULL && !monitor->stopped && monitor->channel.queued == 0;
}

void
listeners_update(struct supervisor *s)
{
	struct listeners *all = &s->listeners;
	size_t i;

	for (i = 0; i < all->count; i++) {
		struct listener *l = all->items[i];
		if (l->fd == -1 || !listener_may_accept(l))
			ev_io_stop(s->loop, &l->readable);
		else
			ev_io_start(s->loop, &l->readable);
	}
	control_update(s);
}

/*
 * Out of descriptors or memory. For a moment they may wait in the backlog; if
 * it lasts they are closed, by means of the descriptor kept for that.
 */
static void
listener_shed(struct listener *l)
{
	struct listeners *all = &l->supervisor->listeners;
	int i, fd;

	if (all->reserve == -1)
		return;
	close(all->reserve);
	for (i = 0; i < LISTENER_BATCH; i++) {
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd == -1)
			break;
		close(fd);
	}
	all->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
listener_exhausted(struct listener *l, int error)
{
	struct supervisor *s = l->supervisor;
	struct listeners *all = &s->listeners;
	ev_tstamp since = all->exhausted;

	if (since == 0)
		since = ev_now(s->loop);
	if (all->told == 0) {
		log_error("cannot accept connections: %s%s; new ones have to wait",
		    error_text(error), error == EMFILE ? " (limit of open files of this process)" :
		    error == ENFILE ? " (limit of open files of this host)" : "");
	} else if (ev_now(s->loop) - since >= LISTENER_SHED) {
		log_limited(LOG_ERROR, "connections that could not be accepted",
		    "new connections are closed: %s", error_text(error));
		listener_shed(l);
	}
	all->exhausted = since;
	all->told = ev_now(s->loop);
	ev_timer_set(&all->pause, LISTENER_PAUSE, 0);
	ev_timer_start(s->loop, &all->pause);
	listeners_update(s);
}

static void
listener_recovered(struct supervisor *s)
{
	struct listeners *all = &s->listeners;

	all->exhausted = 0;
	if (all->told == 0 || ev_now(s->loop) - all->told < LISTENER_CALM)
		return;
	all->told = 0;
	log_info("connections are accepted again");
}

static void
http_accepted(struct supervisor *s, int fd)
{
	struct process *monitor = process_serving(&s->processes, ROLE_MONITOR);
	struct msg m = { .type = MSG_http_connection, .u.http_connection = { .cid = ++s->cids } };

	if (monitor != NULL)
		process_send(monitor, &m, &fd);
	close(fd);
}

/* What belongs to the one connection, not to the listener. */
static bool
accept_failed_once(int error)
{
	return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN ||
	    error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
	    error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH ||
	    error == EPERM;
}

/* Accept at most `most` of those who wait. False: there are no more, or they have to wait. */
static bool
listener_accept(struct listener *l, unsigned most)
{
	struct supervisor *s = l->supervisor;
	struct sockaddr_storage peer;
	socklen_t len;
	unsigned i;
	int fd;

	for (i = 0; i < most; i++) {
		if (!listener_may_accept(l)) {
			listeners_update(s);
			return true;
		}
		len = sizeof(peer);
		fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1 && accept_failed_once(errno))
			continue;
		if (fd == -1) {
			if (errno != EAGAIN)
				listener_exhausted(l, errno);
			return false;
		}
		listener_recovered(s);
		if (l->http)
			http_accepted(s, fd);
		else
			placement_accept(s, l->number, fd, &peer);
	}
	return true;
}

/*
 * An accept() that finds nobody costs nearly as much as one that does: where
 * connections come one by one it is not tried, and while they come faster each
 * turn takes twice as many as the last.
 */
static void
listener_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct listener *l = w->data;

	if (!listener_accept(l, l->batch))
		l->batch = 1;
	else if (listener_may_accept(l))
		l->batch = l->batch < LISTENER_BATCH ? l->batch * 2 : LISTENER_BATCH;
}

/* The moment is over. */
static void
listeners_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	ev_timer_stop(loop, w);
	listeners_update(w->data);
}

/* ---- which there are */

bool
listeners_have(const struct listeners *set, const struct listener *l)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		if (set->items[i] == l)
			return true;
	return false;
}

/* One that is there and not in the set yet. */
static struct listener *
listeners_find(const struct supervisor *s, const struct listeners *set, const char *host,
    uint16_t port, bool http)
{
	const struct listeners *all = &s->listeners;
	size_t i;

	for (i = 0; i < all->count; i++) {
		struct listener *l = all->items[i];
		if (l->fd != -1 && l->http == http && l->asked == port &&
		    strcmp(l->host, host) == 0 && !listeners_have(set, l))
			return l;
	}
	return NULL;
}

static struct listener *
listener_new(struct supervisor *s, const char *host, uint16_t port, bool http)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	*l = (struct listener){ .supervisor = s, .fd = -1, .http = http, .port = port,
	    .asked = port, .batch = 1 };
	strlcpy(l->host, host, sizeof(l->host));
	l->local = unix_socket_path(host) != NULL;
	ev_init(&l->readable, listener_readable);
	l->readable.data = l;
	return l;
}

static int
listeners_add(struct supervisor *s, struct listeners *set, const char *host, uint16_t port,
    bool http)
{
	struct listener **items, *l = listeners_find(s, set, host, port, http);

	items = reallocarray(set->items, set->count + 1, sizeof(struct listener *));
	if (items == NULL)
		return -ENOMEM;
	set->items = items;
	if (l == NULL)
		l = listener_new(s, host, port, http);
	if (l == NULL)
		return -ENOMEM;
	items[set->count++] = l;
	return 0;
}

/* One for each item of `listen`, unless host or port were given on the command line. */
static int
listeners_of_clients(struct supervisor *s, const struct settings *st, struct listeners *set,
    char *error, size_t size)
{
	struct settings *flags = &s->options.flags;
	char host[256];
	uint16_t port;
	size_t i;
	int rc;

	if (st->listen.count == 0 || flags->has_host || flags->has_port)
		return listeners_add(s, set, st->host, (uint16_t)st->port, false);
	for (i = 0; i < st->listen.count; i++) {
		strlcpy(host, st->host, sizeof(host));
		port = (uint16_t)st->port;
		if (unix_socket_path(st->listen.items[i]) != NULL) {
			strlcpy(host, st->listen.items[i], sizeof(host));
			port = 0;
		} else if (listener_parse(st->listen.items[i], host, &port) != 0) {
			snprintf(error, size, "listen: \"%s\" is not an address with a port",
			    st->listen.items[i]);
			return -EINVAL;
		}
		rc = listeners_add(s, set, host, port, false);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/*
 * Those that are not in the set are going to be closed, and so may not stand
 * in the way of a new one, as 127.0.0.1:4222 does in that of 0.0.0.0:4222.
 * (The kernel remembers: afterwards other processes of our user could share
 * the port, if they ask for that.) How many have this port.
 */
static unsigned
listeners_make_way(struct supervisor *s, const struct listeners *set, uint16_t port, int way)
{
	unsigned count = 0;
	size_t i;

	for (i = 0; i < s->listeners.count; i++) {
		struct listener *l = s->listeners.items[i];
		if (l->fd != -1 && l->port == port && !listeners_have(set, l) &&
		    setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &way, sizeof(way)) == 0)
			count++;
	}
	return count;
}

static int
listeners_bind(struct supervisor *s, const struct listeners *set, struct listener *l,
    char *error, size_t size)
{
	int rc, off = 0;

	if (l->local)
		return listener_bind_path(l, &set->rights, error, size);
	rc = listener_bind(l, false, error, size);
	if (rc != -EADDRINUSE || listeners_make_way(s, set, l->port, 1) == 0)
		return rc;
	rc = listener_bind(l, true, error, size);
	listeners_make_way(s, set, l->port, 0);
	if (rc == 0)
		(void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
	return rc;
}

static bool
listeners_have_local(const struct listeners *set)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		if (set->items[i]->local)
			return true;
	return false;
}

int
listeners_prepare(struct supervisor *s, const struct settings *next, struct listeners *set,
    char *error, size_t size)
{
	size_t i;
	int rc;

	*set = (struct listeners){ .reserve = -1 };
	strlcpy(error, "no memory for listeners", size);
	rc = listeners_of_clients(s, next, set, error, size);
	if (rc == 0 && next->http)
		rc = listeners_add(s, set, *next->http_host != '\0' ? next->http_host :
		    next->host, (uint16_t)next->http_port, true);
	if (rc == 0 && listeners_have_local(set))
		rc = unix_rights_find(&set->rights, next,
		    s->phase == PHASE_SERVING ? LOOKUP_SERVING : LOOKUP_STARTING, error, size);
	for (i = 0; rc == 0 && i < set->count; i++) {
		struct listener *l = set->items[i];
		if (l->fd != -1)
			continue;
		rc = listeners_bind(s, set, l, error, size);
		if (rc == 0)
			ev_io_set(&l->readable, l->fd, EV_READ);
	}
	if (rc != 0)
		listeners_discard(s, set);
	return rc;
}

void
listeners_swap(struct supervisor *s, struct listeners *set)
{
	struct listeners *all = &s->listeners;
	struct listener **items = all->items;
	struct unix_rights rights = all->rights;
	size_t count = all->count, i;

	all->items = set->items;
	all->count = set->count;
	all->rights = set->rights;
	set->rights = rights;
	set->items = items;
	set->count = count;
	for (i = 0; i < all->count; i++)
		all->items[i]->number = (uint16_t)i;
}

void
listeners_change_rights(struct supervisor *s, const struct listeners *before)
{
	const struct listeners *all = &s->listeners;
	const struct unix_rights *was = &before->rights, *now = &all->rights;
	size_t i;
	int rc;

	if (was->mode == now->mode && was->grouped == now->grouped && was->group == now->group)
		return;
	for (i = 0; i < all->count; i++) {
		struct listener *l = all->items[i];
		if (!l->local || !listeners_have(before, l))
			continue;
		rc = unix_socket_change(&l->file, now);
		if (rc != 0)
			log_error("%s: its mode and group cannot be changed: %s", l->host,
			    error_text(-rc));
	}
}

static void
listener_close(struct listener *l)
{
	if (l->fd == -1)
		return;
	if (l->local)
		unix_socket_remove(&l->file);
	ev_io_stop(l->supervisor->loop, &l->readable);
	close(l->fd);
	l->fd = -1;
}

void
listeners_discard(struct supervisor *s, struct listeners *set)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		struct listener *l = set->items[i];
		if (listeners_have(&s->listeners, l))
			continue;
		if (l->fd != -1)
			(void)listener_accept(l, LISTENER_BACKLOG);
		listener_close(l);
		free(l);
	}
	free(set->items);
	*set = (struct listeners){ .reserve = -1 };
}

int
listeners_open(struct supervisor *s, char *error, size_t size)
{
	struct listeners *all = &s->listeners, set;
	int rc;

	*all = (struct listeners){ .reserve = open("/dev/null", O_RDONLY | O_CLOEXEC) };
	ev_init(&all->pause, listeners_retry);
	all->pause.data = s;
	rc = listeners_prepare(s, &s->settings, &set, error, size);
	if (rc == 0)
		listeners_swap(s, &set);
	return rc;
}

void
listeners_close(struct supervisor *s, bool http)
{
	struct listeners *all = &s->listeners;
	size_t i;

	for (i = 0; i < all->count; i++)
		if (http || !all->items[i]->http)
			listener_close(all->items[i]);
}

void
listeners_free(struct supervisor *s)
{
	struct listeners *all = &s->listeners;
	size_t i;

	listeners_close(s, true);
	ev_timer_stop(s->loop, &all->pause);
	if (all->reserve != -1)
		close(all->reserve);
	for (i = 0; i < all->count; i++)
		free(all->items[i]);
	free(all->items);
	*all = (struct listeners){ .reserve = -1 };
}

const struct listener *
listener_first(const struct listeners *all, bool http)
{
	size_t i;

	for (i = 0; i < all->count; i++)
		if (all->items[i]->http == http && !all->items[i]->local)
			return all->items[i];
	return NULL;
}

#include <sys/un.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/errors.h"
#include "supervisor/lookup.h"
#include "supervisor/syslog.h"

#define SYSLOG_PATIENCE	10000	/* milliseconds that sent bytes may stay unanswered */
#define SYSLOG_SYNS	3	/* attempts to connect: about as long */

/* 0, or -ENAMETOOLONG. */
static int
unix_address(struct syslog_address *a, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (strlcpy(un.sun_path, path, sizeof(un.sun_path)) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(&a->address, &un, sizeof(un));
	a->len = sizeof(un);
	return 0;
}

/* "host:port", "[host]:port" taken apart; false: it is neither. */
static bool
host_and_port(const char *text, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(text, ':'), *end = colon;

	if (colon == NULL || colon[1] == '\0')
		return false;
	*port = colon + 1;
	if (*text == '[') {
		text++;
		if (end == text || *--end != ']')
			return false;
	} else if (memchr(text, ':', (size_t)(end - text)) != NULL)
		return false;
	if ((size_t)(end - text) >= size)
		return false;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	return true;
}

static int
inet_find(struct syslog_address *a, const char *where, int patience, char *error, size_t size)
{
	const struct addrinfo hints = { .ai_socktype = a->type };
	const char *network = a->type == SOCK_DGRAM ? "udp" : "tcp", *port;
	struct lookup found;
	char host[256];
	int rc;

	if (!host_and_port(where, host, sizeof(host), &port)) {
		snprintf(error, size, "error connecting to syslog: \"dial %s: address %s: missing port in address\"",
		    network, where);
		return -EINVAL;
	}
	rc = lookup(&found, *host == '\0' ? NULL : host, port, &hints, patience);
	if (rc != 0) {
		snprintf(error, size, "error connecting to syslog: \"dial %s: lookup %s: %s\"", network,
		    host, rc == EAI_NONAME ? "no such host" : gai_strerror(rc));
		return -EHOSTUNREACH;
	}
	a->address = found.addr;
	a->len = found.len;
	snprintf(a->text, sizeof(a->text), "%s %.280s", network, where);
	return 0;
}

/* The path in unix:///path; a host is left out, as the real server does. */
static int
unix_find(struct syslog_address *a, const char *where, char *error, size_t size)
{
	const char *path = strchr(where, '/');

	snprintf(a->text, sizeof(a->text), "unix %.280s", path == NULL ? "" : path);
	if (path != NULL && unix_address(a, path) == 0)
		return 0;
	syslog_refused(a, path == NULL ? -EINVAL : -ENAMETOOLONG, error, size);
	return -EINVAL;
}

/* The part of a URL between its scheme and its path. */
static void
authority(char *out, size_t size, const char *where)
{
	snprintf(out, size, "%.*s", (int)strcspn(where, "/?#"), where);
}

static int
remote_find(struct syslog_address *a, const char *url, int patience, char *error, size_t size)
{
	const char *where = strstr(url, "://");
	int scheme = where == NULL ? 0 : (int)(where - url);
	char at[300];

	where = where == NULL ? "" : where + 3;
	authority(at, sizeof(at), where);
	a->remote = true;
	if (gethostname(a->host, sizeof(a->host) - 1) == -1 || *a->host == '\0')
		strlcpy(a->host, "localhost", sizeof(a->host));
	a->type = SOCK_STREAM;
	if (scheme == 4 && strncasecmp(url, "unix", 4) == 0)
		return unix_find(a, where, error, size);
	if (scheme == 3 && strncasecmp(url, "tcp", 3) == 0)
		return inet_find(a, at, patience, error, size);
	a->type = SOCK_DGRAM;
	if (scheme == 3 && strncasecmp(url, "udp", 3) == 0)
		return inet_find(a, at, patience, error, size);
	snprintf(error, size, "error invalid network type: \"%.*s\"", scheme, url);
	return -EINVAL;
}

int
syslog_find(struct syslog_address *a, const struct settings *s, int patience, char *error,
    size_t size)
{
	*a = (struct syslog_address){ .remote = false };
	if (*s->remote_syslog != '\0')
		return remote_find(a, s->remote_syslog, patience, error, size);
	return 0;
}

static void
tcp_options(int fd)
{
	const unsigned patience = SYSLOG_PATIENCE;
	const int syns = SYSLOG_SYNS, on = 1;

	/* what the kernel does not know it goes on without */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof(patience));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &syns, sizeof(syns));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static int
socket_connect(const struct syslog_address *a, int *refused)
{
	int fd = socket(a->address.ss_family, a->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -errno;
	if (a->address.ss_family != AF_UNIX && a->type == SOCK_STREAM)
		tcp_options(fd);
	*refused = 0;
	if (connect(fd, (const struct sockaddr *)&a->address, a->len) == -1 && errno != EINPROGRESS)
		*refused = -errno;
	return fd;
}

/* This system's own: where it usually is, as the real server looks for it. */
static int
local_connect(enum syslog_kind *kind, int *refused)
{
	static const char *const paths[] = { "/dev/log", "/var/run/syslog", "/var/run/log" };
	const size_t count = sizeof(paths) / sizeof(paths[0]);
	struct syslog_address a = { .remote = false };
	size_t i;
	int fd = -ENOENT;

	for (i = 0; i < 2 * count; i++) {
		a.type = i < count ? SOCK_DGRAM : SOCK_STREAM;
		if (unix_address(&a, paths[i % count]) != 0)
			continue;
		if (fd >= 0)
			close(fd);
		fd = socket_connect(&a, refused);
		if (fd < 0 || *refused == 0)
			break;
	}
	*kind = a.type == SOCK_DGRAM ? SYSLOG_LOCAL : SYSLOG_UNIX_STREAM;
	return fd;
}

int
syslog_connect(const struct syslog_address *a, enum syslog_kind *kind, int *refused)
{
	if (!a->remote)
		return local_connect(kind, refused);
	*kind = a->address.ss_family == AF_UNIX ? SYSLOG_UNIX_STREAM :
	    a->type == SOCK_DGRAM ? SYSLOG_UDP : SYSLOG_TCP;
	return socket_connect(a, refused);
}

int
syslog_await(int fd, int milliseconds)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = 0;

	if (poll(&p, 1, milliseconds) == 1)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return -error;
}

void
syslog_refused(const struct syslog_address *a, int refused, char *error, size_t size)
{
	if (a->remote)
		snprintf(error, size, "error connecting to syslog: \"dial %s: connect: %s\"", a->text,
		    error_text(-refused));
	else
		snprintf(error, size, "error connecting to syslog: \"Unix syslog delivery error\"");
}

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/errors.h"
#include "supervisor/files.h"
#include "supervisor/supervisor.h"

/* All of it into what is at this path. 0 or -errno. */
static int
text_write(const char *path, const char *text, int flags)
{
	size_t len = strlen(text);
	int fd, rc = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | flags, 0644);
	if (fd == -1)
		return -errno;
	errno = 0;
	if (write(fd, text, len) != (ssize_t)len)
		rc = errno == 0 ? -ENOSPC : -errno;
	close(fd);
	return rc;
}

/*
 * Whoever waits for the file sees it whole or not at all; a device or a pipe
 * is written to, never replaced. 0 or -errno.
 */
static int
file_write(const char *path, const char *text)
{
	char next[PATH_MAX];
	struct stat st;
	int rc;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return text_write(path, text, O_NONBLOCK);
	if (snprintf(next, sizeof(next), "%s.%d", path, (int)getpid()) >= (int)sizeof(next))
		return -ENAMETOOLONG;
	rc = text_write(next, text, O_CREAT | O_TRUNC | O_NOFOLLOW);
	if (rc == 0 && rename(next, path) == -1)
		rc = -errno;
	if (rc != 0)
		unlink(next);
	return rc;
}

int
files_write_pid(struct supervisor *s, char *error, size_t size)
{
	const char *path = s->settings.pid_file;
	char text[16];
	int rc;

	if (*path == '\0')
		return 0;
	snprintf(text, sizeof(text), "%d", (int)getpid());
	rc = file_write(path, text);
	if (rc != 0)
		snprintf(error, size, "Could not write pidfile: open %s: %s", path, error_text(-rc));
	s->pid_written = rc == 0;
	return rc;
}

static int
urls_add(json_t *urls, const char *scheme, const char *host, uint16_t port)
{
	return json_array_append_new(urls, json_sprintf(
	    strchr(host, ':') != NULL ? "%s://[%s]:%u" : "%s://%s:%u", scheme, host, port));
}

/* For a listener on all addresses: each that the host has. 0 or -1. */
static int
urls_add_all(json_t *urls, const char *scheme, uint16_t port)
{
	struct ifaddrs *list, *i;
	struct sockaddr_storage addr;
	char host[INET6_ADDRSTRLEN];
	uint16_t unused;
	size_t len;
	int rc = 0;

	if (getifaddrs(&list) == -1)
		return -1;
	for (i = list; i != NULL && rc == 0; i = i->ifa_next) {
		if (i->ifa_addr == NULL || !(i->ifa_flags & IFF_UP) ||
		    (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		len = i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) :
		    sizeof(struct sockaddr_in6);
		memcpy(&addr, i->ifa_addr, len);
		address_text(&addr, host, sizeof(host), &unused);
		rc = urls_add(urls, scheme, host, port);
	}
	freeifaddrs(list);
	return rc;
}

static int
urls_add_listener(json_t *urls, const struct listener *l)
{
	const char *scheme = l->http ? "http" : "nats";

	if (*l->host == '\0' || strcmp(l->host, "0.0.0.0") == 0 || strcmp(l->host, "::") == 0)
		return urls_add_all(urls, scheme, l->port);
	return urls_add(urls, scheme, l->host, l->port);
}

json_t *
files_ports(const struct listeners *all)
{
	json_t *ports = json_object(), *urls;
	const char *key;
	size_t i;

	for (i = 0; i < all->count; i++) {
		key = all->items[i].http ? "monitoring" : "nats";
		urls = json_object_get(ports, key);
		if (urls == NULL) {
			urls = json_array();
			if (json_object_set_new(ports, key, urls) != 0)
				goto fail;
		}
		if (urls_add_listener(urls, &all->items[i]) != 0)
			goto fail;
	}
	return ports;
 fail:
	json_decref(ports);
	return NULL;
}

/* <folder>/<program>_<pid>.ports */
static int
ports_path(const struct supervisor *s, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/%s_%d.ports", s->settings.ports_file_dir,
	    getprogname(), (int)getpid()) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int
files_write_ports(struct supervisor *s, char *error, size_t size)
{
	char path[PATH_MAX], *text = NULL;
	json_t *ports;
	int rc;

	if (*s->settings.ports_file_dir == '\0')
		return 0;
	rc = ports_path(s, path);
	ports = files_ports(&s->listeners);
	if (rc == 0) {
		text = ports == NULL ? NULL : json_dumps(ports, JSON_COMPACT);
		rc = text == NULL ? -ENOMEM : file_write(path, text);
	}
	json_decref(ports);
	free(text);
	if (rc != 0)
		snprintf(error, size, "Error writing ports file to %s/: %s",
		    s->settings.ports_file_dir, error_text(-rc));
	s->ports_written = rc == 0;
	return rc;
}

/* Still a file with our number? Another server may have been started with the same one. */
static bool
pid_file_is_ours(const char *path)
{
	char text[16], ours[16];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd == -1)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	snprintf(ours, sizeof(ours), "%d", (int)getpid());
	return strcmp(text, ours) == 0;
}

void
files_remove(struct supervisor *s)
{
	char path[PATH_MAX];

	if (s->pid_written && pid_file_is_ours(s->settings.pid_file))
		unlink(s->settings.pid_file);
	if (s->ports_written && ports_path(s, path) == 0)
		unlink(path);
	s->pid_written = s->ports_written = false;
}

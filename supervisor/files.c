#include <arpa/inet.h>
#include <net/if.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/errors.h"
#include "supervisor/files.h"
#include "supervisor/supervisor.h"

#define PID_TRIES	16	/* that another server was quicker */

/* All of it. 0 or -errno. */
static int
text_write(int fd, const char *text)
{
	size_t len = strlen(text);

	errno = 0;
	if (write(fd, text, len) == (ssize_t)len)
		return 0;
	return errno == 0 ? -ENOSPC : -errno;
}

/* Into what is at this path already: a device, a pipe, a file in a folder of others. */
static int
text_write_over(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | flags), rc;

	if (fd == -1)
		return -errno;
	rc = text_write(fd, text);
	close(fd);
	return rc;
}

/*
 * A new file with this text beside `path`, to be renamed to it: whoever waits
 * for `path` sees it whole or not at all. next: its name. Its descriptor, or
 * -errno, and there is no such file.
 */
static int
text_write_beside(const char *path, const char *text, char next[PATH_MAX])
{
	int fd, rc;

	if (snprintf(next, PATH_MAX, "%s.%d", path, (int)getpid()) >= PATH_MAX)
		return -ENAMETOOLONG;
	/* what a killed process of the same number left */
	(void)unlink(next);
	fd = open(next, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd == -1)
		return -errno;
	rc = text_write(fd, text);
	if (rc == 0)
		return fd;
	close(fd);
	unlink(next);
	return rc;
}

static bool
same_file(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino;
}

/* ---- the pid file */

/* The number in it, or 0. */
static int
pid_read(int fd)
{
	char text[16];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return atoi(text);
}

/*
 * There is none yet. -EAGAIN: another server was quicker, or it is a symlink
 * to a file that did not exist and does now.
 */
static int
pid_create(struct files *f, const char *path, const char *text)
{
	char next[PATH_MAX];
	struct stat st;
	int fd, rc = 0;

	if (lstat(path, &st) == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
		if (fd == -1)
			return -errno;
		close(fd);
		return -EAGAIN;
	}
	fd = text_write_beside(path, text, next);
	if (fd < 0)
		return fd;
	(void)flock(fd, LOCK_EX | LOCK_NB);	/* some file systems have no locks */
	if (renameat2(AT_FDCWD, next, AT_FDCWD, path, RENAME_NOREPLACE) == -1)
		rc = errno == EEXIST ? -EAGAIN : -errno;
	/* a file system that knows no such rename: two servers at once are not noticed */
	if ((rc == -EINVAL || rc == -ENOSYS) && rename(next, path) == 0)
		rc = 0;
	if (rc == 0) {
		f->pid_fd = fd;
		f->pid_path = strdup(path);
		return 0;
	}
	unlink(next);
	close(fd);
	return rc;
}

/* `old` is locked by us, and is what path leads to. */
static int
pid_replace(struct files *f, int old, const char *path, const char *text)
{
	char next[PATH_MAX];
	int fd, rc;

	fd = text_write_beside(path, text, next);
	if (fd == -EACCES || fd == -EPERM || fd == -EROFS) {
		/* the file may be ours in a folder that is not: then it stays the same one */
		rc = text_write_over(path, text, O_TRUNC | O_NOFOLLOW);
		if (rc == 0)
			f->pid_fd = fcntl(old, F_DUPFD_CLOEXEC, 0);
		return rc;
	}
	if (fd < 0)
		return fd;
	(void)flock(fd, LOCK_EX | LOCK_NB);
	if (rename(next, path) == -1) {
		rc = -errno;
		unlink(next);
		close(fd);
		return rc;
	}
	f->pid_fd = fd;
	f->pid_path = strdup(path);
	return 0;
}

/*
 * One try. Symlinks are followed by open(2), under the kernel's rules for
 * those in folders that everybody may write to. -EBUSY: *holder has it.
 */
static int
pid_try(struct files *f, const char *path, const char *text, int *holder)
{
	char *real = NULL;
	struct stat st;
	int old, rc;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return text_write_over(path, text, O_NONBLOCK);
	old = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (old == -1)
		return errno == ENOENT ? pid_create(f, path, text) : -errno;
	if (flock(old, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK) {
		*holder = pid_read(old);
		rc = -EBUSY;
		goto out;
	}
	rc = -EAGAIN;
	real = realpath(path, NULL);
	if (real != NULL && same_file(old, real))
		rc = pid_replace(f, old, real, text);
 out:
	free(real);
	close(old);
	return rc;
}

/* A new *f for this path. 0, or -errno with a sentence. */
static int
pid_take(struct files *f, const char *path, char *error, size_t size)
{
	char text[16];
	int rc = -EAGAIN, tries, holder = 0;

	snprintf(text, sizeof(text), "%d", (int)getpid());
	for (tries = 0; tries < PID_TRIES && rc == -EAGAIN; tries++)
		rc = pid_try(f, path, text, &holder);
	if (rc == -EBUSY)
		snprintf(error, size, "Could not write pidfile: %s belongs to a server that runs, "
		    "process %d", path, holder);
	else if (rc != 0)
		snprintf(error, size, "Could not write pidfile: open %s: %s", path, error_text(-rc));
	return rc;
}

static void
pid_remove(struct files *f)
{
	/* who has the lock is about to put its own in its place */
	if (f->pid_path != NULL && flock(f->pid_fd, LOCK_EX | LOCK_NB) == 0 &&
	    same_file(f->pid_fd, f->pid_path) && pid_read(f->pid_fd) == getpid())
		unlink(f->pid_path);
	if (f->pid_fd != -1)
		close(f->pid_fd);
	free(f->pid_path);
	f->pid_path = NULL;
	f->pid_fd = -1;
}

int
files_write_pid(struct supervisor *s, char *error, size_t size)
{
	struct files *f = &s->files, next = { .pid_fd = -1, .ports_path = f->ports_path };
	const char *path = s->settings.pid_file;
	struct stat ours, there;
	int rc = 0;

	if (*path != '\0' && f->pid_fd != -1 && fstat(f->pid_fd, &ours) == 0 &&
	    stat(path, &there) == 0 && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
		return 0;
	if (*path != '\0')
		rc = pid_take(&next, path, error, size);
	if (rc != 0)
		return rc;
	pid_remove(f);
	*f = next;
	return 0;
}

void
files_unlock(struct files *f)
{
	if (f->pid_fd != -1)
		(void)flock(f->pid_fd, LOCK_UN);
}

/* ---- the ports file */

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

	if (l->local)
		return json_array_append_new(urls, json_string(l->host));

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
		key = all->items[i]->local ? "unix" : all->items[i]->http ? "monitoring" : "nats";
		urls = json_object_get(ports, key);
		if (urls == NULL) {
			urls = json_array();
			if (json_object_set_new(ports, key, urls) != 0)
				goto fail;
		}
		if (urls_add_listener(urls, all->items[i]) != 0)
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

/* The text, by rename. 0 or -errno. */
static int
ports_write(const char *path, const struct listeners *all)
{
	json_t *ports = files_ports(all);
	char *text = ports == NULL ? NULL : json_dumps(ports, JSON_COMPACT), next[PATH_MAX];
	int fd = -ENOMEM, rc;

	if (text != NULL)
		fd = text_write_beside(path, text, next);
	json_decref(ports);
	free(text);
	if (fd < 0)
		return fd;
	close(fd);
	rc = rename(next, path) == 0 ? 0 : -errno;
	if (rc != 0)
		unlink(next);
	return rc;
}

static void
ports_remove(struct files *f)
{
	if (f->ports_path != NULL)
		unlink(f->ports_path);
	free(f->ports_path);
	f->ports_path = NULL;
}

int
files_write_ports(struct supervisor *s, char *error, size_t size)
{
	struct files *f = &s->files;
	char path[PATH_MAX], *copy;
	int rc;

	if (*s->settings.ports_file_dir == '\0') {
		ports_remove(f);
		return 0;
	}
	rc = ports_path(s, path);
	copy = strdup(path);
	if (rc == 0)
		rc = copy == NULL ? -ENOMEM : ports_write(path, &s->listeners);
	if (rc != 0) {
		snprintf(error, size, "Error writing ports file (%s): %s", path, error_text(-rc));
		free(copy);
		return rc;
	}
	if (f->ports_path != NULL && strcmp(f->ports_path, path) != 0)
		ports_remove(f);
	free(f->ports_path);
	f->ports_path = copy;
	return 0;
}

void
files_remove(struct files *f)
{
	pid_remove(f);
	ports_remove(f);
}

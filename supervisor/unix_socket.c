#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/settings.h"
#include "supervisor/lookup.h"
#include "supervisor/unix_socket.h"

const char *
unix_socket_path(const char *item)
{
	size_t len = strlen(UNIX_PREFIX);

	return strncmp(item, UNIX_PREFIX, len) == 0 ? item + len : NULL;
}

static int
mode_parse(const char *text, mode_t *mode)
{
	if (strspn(text, "01234567") != strlen(text) || strtoul(text, NULL, 8) > 0777)
		return -EINVAL;
	*mode = (mode_t)strtoul(text, NULL, 8);
	return 0;
}

int
unix_rights_find(struct unix_rights *r, const struct settings *st, int patience, char *error,
    size_t size)
{
	struct unix_rights found = { .grouped = *st->unix_socket_group != '\0' };
	uint32_t group = 0;
	int rc;

	if (mode_parse(st->unix_socket_mode, &found.mode) != 0) {
		snprintf(error, size, "unix_socket_mode: found \"%s\", expected an octal mode up to 0777",
		    st->unix_socket_mode);
		return -EINVAL;
	}
	rc = found.grouped ? lookup_identity(&group, st->unix_socket_group, true, patience) : 0;
	if (rc != 0) {
		snprintf(error, size, rc == -ENOENT ?
		    "unix_socket_group: found \"%s\", expected the name or number of a group" :
		    "unix_socket_group: nobody says in time what group \"%s\" is", st->unix_socket_group);
		return rc == -ENOENT ? -EINVAL : -EAGAIN;
	}
	found.group = group;
	*r = found;
	return 0;
}

/* Does nobody listen at this socket any more? Others than sockets are not ours to judge. */
static bool
socket_is_dead(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, error = 0;

	if (lstat(addr->sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return false;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == -1)
		error = errno;
	close(fd);
	return error == ECONNREFUSED;
}

/* Until its rights are set, nobody but its owner has any. */
static int
socket_bind(int fd, const struct sockaddr_un *addr)
{
	mode_t before = umask(S_IRWXG | S_IRWXO);
	int rc;

	rc = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ? 0 : -errno;
	umask(before);
	return rc;
}

static int
socket_bind_or_replace(int fd, const struct sockaddr_un *addr)
{
	int rc = socket_bind(fd, addr);

	if (rc != -EADDRINUSE || !socket_is_dead(addr))
		return rc;
	if (unlink(addr->sun_path) == -1 && errno != ENOENT)
		return -errno;
	return socket_bind(fd, addr);
}

/* First the group, then its rights; no link is followed that somebody puts there. */
int
unix_socket_change(const struct unix_socket *u, const struct unix_rights *r)
{
	if (fchmodat(AT_FDCWD, u->path, r->mode & S_IRWXU, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	if (fchownat(AT_FDCWD, u->path, (uid_t)-1, r->grouped ? r->group : u->group,
	    AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	if (fchmodat(AT_FDCWD, u->path, r->mode, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	return 0;
}

int
unix_socket_listen(struct unix_socket *u, const char *path, int type, const struct unix_rights *r,
    int backlog, const char **step)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st = { .st_ino = 0 };
	int fd, rc;

	*step = "socket";
	if (*path != '/' || strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path))
		return *path != '/' ? -EINVAL : -ENAMETOOLONG;
	strlcpy(u->path, path, sizeof(u->path));
	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	*step = "bind";
	rc = socket_bind_or_replace(fd, &addr);
	if (rc != 0)
		goto no_file;
	rc = lstat(path, &st) == 0 ? 0 : -errno;
	u->device = st.st_dev;
	u->inode = st.st_ino;
	u->group = st.st_gid;
	*step = "mode";
	if (rc == 0)
		rc = unix_socket_change(u, r);
	*step = rc == 0 ? "listen" : *step;
	if (rc == 0 && listen(fd, backlog) == -1)
		rc = -errno;
	if (rc == 0)
		return fd;
	unix_socket_remove(u);
 no_file:
	close(fd);
	return rc;
}

void
unix_socket_remove(const struct unix_socket *u)
{
	struct stat st;

	if (lstat(u->path, &st) == 0 && st.st_dev == u->device && st.st_ino == u->inode)
		unlink(u->path);
}

void
unix_socket_sweep(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) < sizeof(addr.sun_path) &&
	    socket_is_dead(&addr))
		unlink(path);
}

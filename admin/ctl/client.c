#include <sys/socket.h>
#include <sys/un.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "admin/ctl/client.h"
#include "admin/ctl/ctl.h"
#include "common/loop.h"

#define SYSTEM_FOLDER	"/run/bulkhead"

static const char may_not[] =
    "only root, the user that the server runs as, and who is in control_socket_group may ask";

/* A connection, or -errno. */
static int
client_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* Why there is no connection; an exit status. */
static int
client_complain(const char *path, int error)
{
	switch (error) {
	case -ENOENT: case -ENOTDIR:
		ctl_fail("no server at %s: there is no such socket; --socket names that of a server, which its log "
		    "tells at its start", path);
		return CTL_NO_SERVER;
	case -ECONNREFUSED:
		ctl_fail("no server at %s: the one that made this socket is gone", path);
		return CTL_NO_SERVER;
	case -EACCES:
		return ctl_fail("%s: %s: %s", path, strerror(EACCES), may_not);
	case -EPROTOTYPE:
		return ctl_fail("%s is not the control socket of a server", path);
	case -EAGAIN:
		return ctl_fail("the server at %s does not answer: too many wait there", path);
	default:
		return ctl_fail("%s: %s", path, strerror(-error));
	}
}

/* ---- which server */

/* path: of the first, and fd is connected to it; without any: of one that denied us, and error says so. */
struct found { char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; unsigned count; int fd, error; };

/* Those of a folder at which somebody listens. */
static void
servers_find(const char *folder, struct found *found)
{
	struct dirent *entry;
	DIR *d = opendir(folder);
	char path[sizeof(found->path)];
	const char *end;
	int fd;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		end = strrchr(entry->d_name, '.');
		if (end == NULL || strcmp(end, ".sock") != 0 ||
		    snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path))
			continue;
		fd = client_connect(path);
		if (fd == -EACCES && found->count == 0 && found->error == 0) {
			found->error = fd;
			strlcpy(found->path, path, sizeof(found->path));
		}
		if (fd < 0)
			continue;
		if (++found->count > 1) {
			fprintf(stderr, "%s\n", path);
			close(fd);
		} else {
			strlcpy(found->path, path, sizeof(found->path));
			found->fd = fd;
		}
	}
	if (d != NULL)
		closedir(d);
}

/* The only one there is: EXIT_SUCCESS, and we are connected; or an exit status. */
static int
server_find(struct found *found)
{
	const char *user = getenv("XDG_RUNTIME_DIR");
	char folder[sizeof(found->path)];

	servers_find(SYSTEM_FOLDER, found);
	if (user != NULL && snprintf(folder, sizeof(folder), "%s/bulkhead", user) < (int)sizeof(folder))
		servers_find(folder, found);
	if (found->count == 1)
		return EXIT_SUCCESS;
	if (found->count > 1) {
		close(found->fd);
		fprintf(stderr, "%s\n", found->path);
		return ctl_fail("these are %u servers: --socket says which one", found->count);
	}
	if (found->error != 0)
		return client_complain(found->path, found->error);
	ctl_fail("no server found in %s%s%s: --socket names the control socket of one, which its log tells at its start",
	    SYSTEM_FOLDER, user == NULL ? "" : " or bulkhead of XDG_RUNTIME_DIR, ", user == NULL ? "" : user);
	return CTL_NO_SERVER;
}

/* ---- its answer */

struct client {
	const char	*path;
	struct channel	 channel;
	struct ev_loop	*loop;
	client_receive	*receive;
	void		*arg;
	int		 status;
};

static void
client_end(struct client *c, int status)
{
	c->status = status;
	ev_break(c->loop, EVBREAK_ALL);
}

static int
client_message(struct channel *ch, const struct msg *m, const int *fds)
{
	struct client *c = ch->owner;
	char why[1024];
	int rc;

	if (m->type == MSG_request_refused) {
		client_end(c, ctl_fail("%s: %s", c->path, ctl_printable(why, sizeof(why), m->u.request_refused.why)));
		channel_close(ch);
		return 0;
	}
	rc = c->receive(c->arg, m);
	if (rc == 1) {
		client_end(c, EXIT_SUCCESS);
		channel_close(ch);
	}
	return rc < 0 ? rc : 0;
}

static void
client_broken(struct channel *ch, int error, const char *why)
{
	struct client *c = ch->owner;

	if (error == -EBADMSG || error == -EPERM)
		client_end(c, ctl_fail("%s: its answer is not understood (%s): is that server of another version?",
		    c->path, why));
	else if (error != 0)
		client_end(c, ctl_fail("%s: %s", c->path, strerror(-error)));
	else
		client_end(c, ctl_fail("%s: the server closed the connection before it had answered: %s",
		    c->path, may_not));
}

static void
client_late(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct client *c = w->data;

	client_end(c, ctl_fail("%s: the server does not answer within %g s", c->path, CLIENT_PATIENCE));
}

/* Ask, and wait for the answer. fd is consumed. */
static int
client_run(struct client *c, int fd, const char *what)
{
	struct msg m = { .type = MSG_request, .u.request = { .what = bytes_of(what), .about = BYTES("") } };
	ev_timer patience;

	c->loop = loop_new();
	if (c->loop == NULL) {
		close(fd);
		return ctl_fail("no event loop: epoll is missing");
	}
	ev_timer_init(&patience, client_late, CLIENT_PATIENCE, 0);
	patience.data = c;
	ev_timer_start(c->loop, &patience);
	channel_open(&c->channel, c->loop, fd, ROLE_CTL, ROLE_SYSTEM, client_message, client_broken, c);
	/* if it cannot be sent, that is seen when the answer is read */
	(void)channel_send(&c->channel, &m, NULL);
	ev_run(c->loop, 0);
	channel_close(&c->channel);
	ev_loop_destroy(c->loop);
	return c->status;
}

int
client_ask(const char *path, const char *what, client_receive *receive, void *arg)
{
	struct found found = { .fd = -1 };
	struct client c = { .path = path, .receive = receive, .arg = arg };
	int status;

	if (path == NULL) {
		status = server_find(&found);
		if (status != EXIT_SUCCESS)
			return status;
		c.path = found.path;
	} else {
		found.fd = client_connect(path);
		if (found.fd < 0)
			return client_complain(path, found.fd);
	}
	return client_run(&c, found.fd, what);
}

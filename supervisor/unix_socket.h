#ifndef SUPERVISOR_UNIX_SOCKET_H
#define SUPERVISOR_UNIX_SOCKET_H
/*
 * Sockets that listen at a path. The file has never wider rights than it shall
 * have; what a dead server left is replaced, one that somebody listens at is
 * not; at the end the file goes, unless another has taken its place.
 * unix(7).
 */
#include <sys/types.h>
#include <sys/un.h>
#include <stdbool.h>
#include <stddef.h>

struct settings;

#define UNIX_PREFIX	"unix:"		/* of an item of `listen` */
#define UNIX_PATH	(sizeof(((struct sockaddr_un *)0)->sun_path))	/* bytes of a path with its NUL */

struct unix_rights {
	mode_t	mode;
	bool	grouped;	/* group is to be set */
	gid_t	group;
};

struct unix_socket {
	char	path[UNIX_PATH];
	dev_t	device;		/* of the file that is ours */
	ino_t	inode;
	gid_t	group;		/* that it had when it was made */
};

/* The path of an item of `listen`: it lies in item; NULL: it is none, it is an address. */
const char *unix_socket_path(const char *item);

/*
 * What unix_socket_mode and unix_socket_group say. 0; -EINVAL, or -EAGAIN: nobody could
 * say what group that is; error is a sentence.
 */
int unix_rights_find(struct unix_rights *r, const struct settings *st, int patience, char *error,
    size_t size);

/*
 * Bind and listen, non-blocking; type: SOCK_STREAM, SOCK_SEQPACKET. The descriptor, and *u is what unix_socket_remove() needs;
 * or -errno with the step that failed: -EADDRINUSE: somebody listens there, or it is no socket.
 */
int unix_socket_listen(struct unix_socket *u, const char *path, int type, const struct unix_rights *r,
    int backlog, const char **step);

/* Other rights. 0 or -errno. */
int unix_socket_change(const struct unix_socket *u, const struct unix_rights *r);

/* Remove the file if it is still ours; before the descriptor is closed, or its number may be another's. */
void unix_socket_remove(const struct unix_socket *u);

/* Remove a socket at which nobody listens any more. */
void unix_socket_sweep(const char *path);
#endif

#ifndef SUPERVISOR_FILES_H
#define SUPERVISOR_FILES_H
/*
 * The pid file and the ports file. Both appear whole, by rename, and go at the
 * end if they are still ours.
 *
 * The pid file is locked (flock) as long as the server serves: a second server
 * with the same one refuses to start. What a killed server left has no lock
 * and is replaced. A server in lame duck mode gives the file free for the one
 * that takes its place.
 */
#include <jansson.h>

struct supervisor;
struct listeners;

struct files {
	char	*pid_path;	/* where the pid file really is; NULL: none, or not ours to remove */
	int	 pid_fd;	/* it, and with it the lock; -1 none */
	char	*ports_path;	/* NULL none */
};

/*
 * Make what the settings name; without the setting nothing. Called again with
 * other settings they also remove what was there under the old name. 0; -errno:
 * error is a sentence, and what was there before is as it was.
 */
int files_write_pid(struct supervisor *s, char *error, size_t size);
int files_write_ports(struct supervisor *s, char *error, size_t size);

/* Another server may take the pid file over from now on. */
void files_unlock(struct files *f);

/* Ours, not what another server has put in its place. */
void files_remove(struct files *f);

/* {"nats":["nats://host:port",...],"monitoring":[...],"unix":["unix:/path"]}, or NULL: no memory. */
json_t *files_ports(const struct listeners *all);
#endif

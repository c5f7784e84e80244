#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/log/source.h"

#define SOURCE_DRAIN	10000	/* lines of one source: more than its socket can hold */

static int
source_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct source *src = ch->owner;
	struct line line = { .role = src->role, .slot = src->slot, .pid = src->pid };

	if (m->type != MSG_line)
		return -EBADMSG;
	line.level = (enum log_level)m->u.line.level;
	line.text = m->u.line.text;
	sink_line(src->sink, &line);
	return 0;
}

static void
source_remove(struct source *src)
{
	channel_close(&src->channel);
	LIST_REMOVE(src, entry);
	free(src);
}

static void
source_broken(struct channel *ch, int error, const char *why)
{
	struct source *src = ch->owner;

	if (error != 0)
		log_error("process %d: what it sent for the log was refused: %s", src->pid,
		    why == NULL ? "?" : why);
	source_remove(src);
}

int
source_add(struct sources *all, struct ev_loop *loop, struct sink *sink, int fd,
    const struct msg_log_source *whose)
{
	const enum role role = (enum role)whose->role;
	struct source *src = calloc(1, sizeof(*src));

	if (src == NULL) {
		close(fd);
		return -ENOMEM;
	}
	src->sink = sink;
	src->role = role;
	src->slot = (unsigned)whose->slot;
	src->pid = (int)whose->pid;
	/* our own lines come back to us, vouched for by the supervisor */
	channel_open(&src->channel, loop, fd, ROLE_LOG,
	    role == ROLE_LOG ? ROLE_SUPERVISOR : role, source_receive, source_broken, src);
	LIST_INSERT_HEAD(all, src, entry);
	return 0;
}

void
sources_drain(struct sources *all)
{
	struct source *src, *next;

	for (src = LIST_FIRST(all); src != NULL; src = next) {
		next = LIST_NEXT(src, entry);
		channel_drain(&src->channel, SOURCE_DRAIN);
	}
}

void
sources_free(struct sources *all)
{
	while (!LIST_EMPTY(all))
		source_remove(LIST_FIRST(all));
}

#ifndef LOG_SOURCE_H
#define LOG_SOURCE_H
/* Whose lines come in: one channel for each process, until its end. */
#include <sys/queue.h>
#include "common/channel.h"
#include "supervisor/log/sink.h"

struct source {
	LIST_ENTRY(source)	 entry;
	struct channel		 channel;
	struct sink		*sink;
	enum role		 role;
	unsigned		 slot;
	int			 pid;
};
LIST_HEAD(sources, source);

/* fd: the log's end; consumed. 0 or -ENOMEM. */
int source_add(struct sources *all, struct ev_loop *loop, struct sink *sink, int fd,
    const struct msg_log_source *whose);

/* Take what has come in, however much it is; for the end. */
void sources_drain(struct sources *all);
/* Close all channels; what was not taken is lost. */
void sources_free(struct sources *all);
#endif

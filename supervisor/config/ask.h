#ifndef CONFIG_ASK_H
#define CONFIG_ASK_H
/* A config_source whose answers come from the supervisor, while the caller waits. */
#include "common/child.h"
#include "supervisor/config/source.h"

struct ask {
	struct child		*child;
	struct config_source	*source;
	struct config_files	*files;		/* where answers go; NULL: none is awaited */
	struct config_text	*value;
	uint64_t		*number;
	int			 rc;
};

/* From now on source asks child's supervisor. Not from inside the loop, which it runs to wait. */
void ask_init(struct ask *a, struct child *child, struct config_source *source);

/* What the supervisor answers. 0; -EBADMSG: it was not asked. */
int ask_receive(struct ask *a, const struct msg *m, const int *fds);
#endif

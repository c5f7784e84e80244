#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "supervisor/config/ask.h"

/* Send, and run the loop until the answer is there. 0, -errno. */
static int
ask_wait(struct ask *a, const struct msg *m)
{
	a->rc = channel_send(&a->child->supervisor, m, NULL);
	while (a->rc == 0 && (a->files != NULL || a->value != NULL || a->number != NULL)) {
		if (a->child->stopping)
			a->rc = -EINTR;
		else
			ev_run(a->child->loop, EVRUN_ONCE);
	}
	a->files = NULL;
	a->value = NULL;
	a->number = NULL;
	return a->rc;
}

static int
ask_include(struct config_source *from, uint64_t parent, struct bytes path,
    struct config_files *files)
{
	struct ask	*a = from->owner;
	struct msg	 m = { .type = MSG_include,
	    .u.include = { .parent = parent, .path = path } };

	a->files = files;
	return ask_wait(a, &m);
}

static int
ask_environment(struct config_source *from, struct bytes name, struct config_text *value)
{
	struct ask	*a = from->owner;
	struct msg	 m = { .type = MSG_environment, .u.environment = { .name = name } };

	a->value = value;
	return ask_wait(a, &m);
}

static int
ask_identity(struct config_source *from, bool group, struct bytes name, uint64_t *number)
{
	struct ask	*a = from->owner;
	struct msg	 m = { .type = MSG_identity, .u.identity = { .group = group, .name = name } };

	a->number = number;
	return ask_wait(a, &m);
}

void
ask_init(struct ask *a, struct child *child, struct config_source *source)
{
	*a = (struct ask){ .child = child, .source = source };
	source->include = ask_include;
	source->environment = ask_environment;
	source->identity = ask_identity;
	source->owner = a;
}

/* Read at once, so that no more than one descriptor is open. */
static int
included(struct ask *a, const struct msg_included *m, int fd)
{
	struct config_file	*f = a->files == NULL ? NULL : config_files_add(a->files);
	int			 rc;

	if (a->files == NULL) {
		close(fd);
		return -EBADMSG;
	}
	rc = f == NULL ? -ENOMEM : config_texts_copy(&a->source->texts, m->path, &f->path);
	if (rc == 0) {
		f->number = m->number;
		f->error = config_texts_read(&a->source->texts, fd, &f->text);
	}
	close(fd);
	if (a->rc == 0)
		a->rc = rc;
	return 0;
}

static int
include_end(struct ask *a, const struct msg_include_end *m)
{
	if (a->files == NULL)
		return -EBADMSG;
	snprintf(a->files->error, sizeof(a->files->error), "%.*s", (int)m->error.len, m->error.data);
	a->files = NULL;
	return 0;
}

static int
environment_is(struct ask *a, const struct msg_environment_is *m)
{
	if (a->value == NULL)
		return -EBADMSG;
	if (m->found != 0)
		a->rc = config_texts_copy(&a->source->texts, m->value, a->value);
	a->value = NULL;
	return 0;
}

static int
identity_is(struct ask *a, const struct msg_identity_is *m)
{
	if (a->number == NULL)
		return -EBADMSG;
	*a->number = m->number;
	a->number = NULL;
	return 0;
}

int
ask_receive(struct ask *a, const struct msg *m, const int *fds)
{
	switch (m->type) {
	case MSG_included:
		return included(a, &m->u.included, fds[0]);
	case MSG_include_end:
		return include_end(a, &m->u.include_end);
	case MSG_environment_is:
		return environment_is(a, &m->u.environment_is);
	case MSG_identity_is:
		return identity_is(a, &m->u.identity_is);
	default:
		return -EPERM;
	}
}

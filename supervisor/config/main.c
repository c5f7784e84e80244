/*
 * bulkhead-config: text in, settings out. The only process that parses what
 * the operator wrote; it has that text, and nothing else.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/child.h"
#include "common/log.h"
#include "supervisor/config/configuration.h"
#include "supervisor/config/schema.h"

/* One document to the supervisor. 0 or -errno. */
static int
document_send(struct channel *ch, const struct settings *s, enum role role)
{
	struct msg	m = { .type = MSG_document, .u.document = { .role = role } };
	int		fd = settings_write(s, role), rc;

	if (fd < 0)
		return fd;
	rc = channel_send(ch, &m, &fd);
	close(fd);
	return rc;
}

static int
answer(struct channel *ch, const struct configuration *c)
{
	struct msg	m = { .type = MSG_configured };
	unsigned	role;
	int		rc;

	if (c->errors.count > 0) {
		m.type = MSG_misconfigured;
		m.u.misconfigured.error = (struct bytes){ c->errors.text, c->errors.len };
		return channel_send(ch, &m, NULL);
	}
	for (role = 0; role < ROLES; role++) {
		if (role == ROLE_CONFIG)
			continue;
		rc = document_send(ch, &c->settings, (enum role)role);
		if (rc != 0)
			return rc;
	}
	m.u.configured.digest = bytes_of(c->digest);
	return channel_send(ch, &m, NULL);
}

/* file, flags: see `configure`. */
static int
configure(struct channel *ch, struct bytes path, int file, int flags)
{
	struct configuration	*c = malloc(sizeof(*c));
	int			 rc;

	if (c == NULL)
		return -ENOMEM;
	rc = configuration_init(c, path);
	if (rc != 0)
		goto out;
	if (path.len > 0)
		rc = configuration_read(c, file);
	if (rc == 0)
		rc = schema_override(&c->settings, flags, &c->errors);
	if (rc == 0 && c->errors.count == 0)
		schema_check(&c->settings, &c->errors);
	if (rc == 0) {
		config_errors_finish(&c->errors);
		rc = answer(ch, c);
	}
	configuration_free(c);
 out:
	free(c);
	return rc;
}

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	int	rc;

	if (m->type != MSG_configure)
		return -EPERM;
	rc = configure(ch, m->u.configure.path, fds[0], fds[1]);
	close(fds[0]);
	close(fds[1]);
	if (rc != 0)		/* the supervisor sees us end, and says so */
		fatal("the configuration could not be handled: %s", strerror(-rc));
	return 0;
}

int
main(void)
{
	struct child	child;

	child_init(&child, ROLE_CONFIG, receive, NULL);
	if (digest_prepare() != 0)
		fatal("OpenSSL has no SHA-256");
	child_ready(&child, &sandbox_config);
	child_run(&child);
	child_free(&child);
	return EXIT_SUCCESS;
}

/*
 * bulkhead-config: text in, settings out. The only process that parses what
 * the operator wrote; it has that text, the files that it includes and the
 * variables that it names, as the supervisor hands them to it, and nothing else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/child.h"
#include "common/log.h"
#include "common/records.h"
#include "supervisor/config/ask.h"
#include "supervisor/config/configuration.h"
#include "supervisor/config/print.h"

/* What is told of accounts: to whom, and to nobody else. */
struct accounts_documents { msgpack_sbuffer of[ROLES]; };

static void
accounts_free(struct accounts_documents *d)
{
	enum role role;

	for (role = 0; role < ROLES; role++)
		msgpack_sbuffer_destroy(&d->of[role]);
}

/* All of them, and their digest among the settings. 0 or -errno. */
static int
accounts_write(struct accounts_documents *d, struct configuration *c)
{
	struct bytes	texts[ROLES];
	char		digest[DIGEST_TEXT];
	enum role	role;
	int		rc = 0;

	for (role = 0; role < ROLES; role++)
		msgpack_sbuffer_init(&d->of[role]);
	for (role = 0; role < ROLES && rc == 0; role++) {
		rc = tenants_write(&c->tenants, role, &d->of[role]);
		texts[role] = (struct bytes){ d->of[role].data, d->of[role].size };
	}
	if (rc == 0)
		rc = digest_texts(texts, ROLES, digest);
	if (rc == 0)
		rc = setting_set_text(&c->settings, setting_find(BYTES("accounts_digest")), bytes_of(digest));
	return rc;
}

/* Its documents to the supervisor. 0 or -errno. */
static int
document_send(struct channel *ch, const struct settings *s, const msgpack_sbuffer *accounts, enum role role)
{
	struct msg	m = { .type = MSG_document, .u.document = { .role = role } };
	int		fds[2], rc;

	if ((fds[0] = settings_write(s, role)) < 0)
		return fds[0];
	if ((fds[1] = records_seal(accounts)) < 0) {
		close(fds[0]);
		return fds[1];
	}
	rc = channel_send(ch, &m, fds);
	close(fds[0]);
	close(fds[1]);
	return rc;
}

/* The records of TLS, and their digest among the settings. 0 or -errno. */
static int
tls_write(struct configuration *c, msgpack_sbuffer *records)
{
	char	digest[DIGEST_TEXT];
	int	rc = tls_block_write(&c->tls, &c->errors, records);

	if (rc != 0 || records->size == 0)
		return rc;
	rc = digest_texts(&(struct bytes){ records->data, records->size }, 1, digest);
	return rc != 0 ? rc : setting_set_text(&c->settings, setting_find(BYTES("tls_digest")), bytes_of(digest));
}

/* Nothing if there is no TLS. */
static int
tls_send(struct channel *ch, const msgpack_sbuffer *records)
{
	struct msg	m = { .type = MSG_tls_files };
	int		fd, rc;

	if (records->size == 0)
		return 0;
	if ((fd = records_seal(records)) < 0)
		return fd;
	rc = channel_send(ch, &m, &fd);
	close(fd);
	return rc;
}

static int
documents_send(struct channel *ch, struct configuration *c)
{
	struct accounts_documents	accounts;
	msgpack_sbuffer			tls;
	enum role			role;
	int				rc = accounts_write(&accounts, c);

	msgpack_sbuffer_init(&tls);
	if (rc == 0)
		rc = tls_write(c, &tls);
	for (role = 0; role < ROLES && rc == 0; role++)
		if (role != ROLE_CONFIG)
			rc = document_send(ch, &c->settings, &accounts.of[role], role);
	if (rc == 0)
		rc = tls_send(ch, &tls);
	msgpack_sbuffer_destroy(&tls);
	accounts_free(&accounts);
	return rc;
}

static int
answer(struct channel *ch, struct configuration *c)
{
	struct msg	m = { .type = MSG_configured };
	int		rc;

	if (c->errors.count > 0) {
		m.type = MSG_misconfigured;
		m.u.misconfigured.error = (struct bytes){ c->errors.text, c->errors.len };
		return channel_send(ch, &m, NULL);
	}
	rc = documents_send(ch, c);
	if (rc != 0)
		return rc;
	m.u.configured.digest = bytes_of(c->digest);
	return channel_send(ch, &m, NULL);
}

/* The text of --print-config instead. */
static int
answer_printed(struct channel *ch, const struct configuration *c)
{
	struct msg	m = { .type = MSG_printed };
	int		fd = print_config(c), rc;

	if (fd < 0)
		return fd;
	rc = channel_send(ch, &m, &fd);
	close(fd);
	return rc;
}

/* The question: what `configure` said. */
struct question {
	struct child	*child;
	struct ask	*ask;		/* while it is worked on */
	bool		 asked;
	char		*path;
	bool		 print, strict;
	int		 file, flags;
};

static int
configure(struct question *q)
{
	struct configuration	*c = malloc(sizeof(*c));
	struct ask		 ask;
	int			 rc;

	if (c == NULL)
		return -ENOMEM;
	rc = configuration_init(c, bytes_of(q->path));
	if (rc != 0)
		goto out;
	c->errors.strict = q->strict;
	ask_init(&ask, q->child, &c->source);
	q->ask = &ask;
	if (*q->path != '\0')
		rc = configuration_read(c, q->file);
	if (rc == 0)
		rc = configuration_finish(c, q->flags);
	q->ask = NULL;
	if (rc == 0) {
		config_errors_finish(&c->errors);
		rc = q->print && c->errors.count == 0 ? answer_printed(&q->child->supervisor, c) :
		    answer(&q->child->supervisor, c);
	}
	configuration_free(c);
 out:
	free(c);
	return rc;
}

/* Work on the question, outside of the loop, which has to run for what it asks. */
static void
answer_question(struct question *q)
{
	int	rc = configure(q);

	free(q->path);
	close(q->file);
	close(q->flags);
	q->asked = false;
	if (rc != 0 && !q->child->stopping)	/* the supervisor sees us end, and says so */
		fatal("the configuration could not be handled: %s", strerror(-rc));
}

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct child	*child = ch->owner;
	struct question	*q = child->program;

	if (m->type != MSG_configure)
		return q->ask != NULL ? ask_receive(q->ask, m, fds) : -EPERM;
	if (q->asked)
		return -EBUSY;
	q->path = strndup(m->u.configure.path.data, m->u.configure.path.len);
	if (q->path == NULL)
		return -ENOMEM;
	q->asked = true;
	q->print = m->u.configure.print != 0;
	q->strict = m->u.configure.strict != 0;
	q->file = fds[0];
	q->flags = fds[1];
	ev_break(child->loop, EVBREAK_ONE);
	return 0;
}

int
main(void)
{
	struct child	child;
	struct question	question = { .child = &child };

	child_init(&child, ROLE_CONFIG, receive, &question);
	if (digest_prepare() != 0)
		fatal("OpenSSL has no SHA-256");
	child_ready(&child);
	while (!child.stopping) {
		child_run(&child);
		if (question.asked)
			answer_question(&question);
	}
	child_free(&child);
	return EXIT_SUCCESS;
}

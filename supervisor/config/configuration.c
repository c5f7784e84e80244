#include <errno.h>
#include <poll.h>
#include <string.h>
#include "supervisor/config/configuration.h"
#include "supervisor/config/parser.h"
#include "supervisor/config/schema.h"

int
configuration_init(struct configuration *c, struct bytes path)
{
	memset(&c->source, 0, sizeof(c->source));
	config_errors_init(&c->errors, path);
	c->digest[0] = '\0';
	memset(&c->origins, 0, sizeof(c->origins));
	return settings_init(&c->settings);
}

void
configuration_free(struct configuration *c)
{
	settings_free(&c->settings);
	config_errors_free(&c->errors);
	config_texts_free(&c->source.texts);
}

int
configuration_parse(struct configuration *c, char *text, size_t len)
{
	struct config_value	root;
	int			rc;

	rc = config_parse(&root, text, len, &c->source, &c->errors);
	if (rc != 0)
		return rc;
	rc = schema_apply(&c->settings, &c->origins, &root, &c->errors);
	if (rc == 0 && c->errors.count == 0)
		rc = digest_config(&root, c->digest);
	config_value_free(&root);
	return rc;
}

int
configuration_read(struct configuration *c, int fd)
{
	static const struct config_position	nowhere;
	struct config_text			text;
	struct pollfd				p = { .fd = fd, .events = POLLIN };
	int					rc;

	/* a named pipe that nobody writes to yet would read as an empty file */
	while (poll(&p, 1, -1) == -1 && errno == EINTR)
		;
	rc = config_texts_read(&c->source.texts, fd, &text);
	if (rc == -ENOMEM)
		return rc;
	if (rc != 0) {
		config_error(&c->errors, nowhere, "%s", config_texts_error(rc));
		return 0;
	}
	return configuration_parse(c, text.data, text.len);
}

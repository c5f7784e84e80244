#include <errno.h>
#include <poll.h>
#include <string.h>
#include "supervisor/config/configuration.h"
#include "supervisor/config/parser.h"
#include "supervisor/config/schema.h"

int
configuration_init(struct configuration *c, struct bytes path)
{
	int	rc;

	memset(&c->source, 0, sizeof(c->source));
	config_errors_init(&c->errors, path);
	c->digest[0] = '\0';
	memset(&c->origins, 0, sizeof(c->origins));
	memset(&c->tree, 0, sizeof(c->tree));
	tls_block_init(&c->tls, TLS_CLIENTS);
	rc = settings_init(&c->settings);
	if (rc != 0)
		return rc;
	rc = tenants_init(&c->tenants, &c->source, &c->errors);
	if (rc != 0)
		settings_free(&c->settings);
	return rc;
}

void
configuration_free(struct configuration *c)
{
	settings_free(&c->settings);
	tenants_free(&c->tenants);
	tls_block_free(&c->tls);
	config_value_free(&c->tree);
	config_errors_free(&c->errors);
	config_texts_free(&c->source.texts);
}

int
configuration_parse(struct configuration *c, char *text, size_t len)
{
	int	rc;

	rc = config_parse(&c->tree, text, len, &c->source, &c->errors);
	if (rc != 0)
		return rc;
	rc = schema_apply(&c->settings, &c->origins, &c->tenants, &c->tls, &c->tree, &c->errors);
	if (rc == 0 && c->errors.count == 0)
		rc = digest_config(&c->tree, c->digest);
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

int
configuration_finish(struct configuration *c, int flags)
{
	int	rc = schema_override(&c->settings, &c->origins, flags, &c->errors);

	if (rc != 0)
		return rc;
	if (c->errors.count == 0)
		schema_check(&c->settings, &c->origins, &c->errors);
	tls_block_override(&c->tls, &c->settings);
	if (c->errors.count == 0)
		tls_block_check(&c->tls, &c->errors);
	if (c->errors.count == 0)
		rc = tls_block_follow(&c->tls, &c->tenants, &c->settings, &c->origins);
	if (c->errors.count == 0 && rc == 0)
		rc = tenants_finish(&c->tenants, &c->settings, &c->origins);
	/* tenants have it now, and nobody else is to */
	c->settings.has_flag_user = c->settings.has_flag_pass = c->settings.has_flag_token = false;
	return rc;
}

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "supervisor/config/configuration.h"
#include "supervisor/config/parser.h"
#include "supervisor/config/schema.h"

#define READ_FIRST	65536

int
configuration_init(struct configuration *c, struct bytes path)
{
	config_errors_init(&c->errors, path);
	c->digest[0] = '\0';
	return settings_init(&c->settings);
}

void
configuration_free(struct configuration *c)
{
	settings_free(&c->settings);
}

int
configuration_parse(struct configuration *c, char *text, size_t len)
{
	struct config_value	root;
	int			rc;

	rc = config_parse(&root, text, len, &c->errors);
	if (rc != 0)
		return rc;
	rc = schema_apply(&c->settings, &root, &c->errors);
	if (rc == 0 && c->errors.count == 0)
		rc = digest_config(&root, c->digest);
	config_value_free(&root);
	return rc;
}

/* All of fd into a malloc'd *text. 0, -EFBIG, -ENOMEM, -errno. */
static int
text_read(int fd, char **text, size_t *len)
{
	size_t	 room = READ_FIRST, used = 0;
	char	*buf = malloc(room), *grown;
	ssize_t	 n;
	int	 rc;

	rc = buf == NULL ? -ENOMEM : 0;
	while (rc == 0) {
		n = read(fd, buf + used, room - used);
		if (n == 0)
			break;
		if (n == -1 && errno != EINTR)
			rc = -errno;
		if (n > 0)
			used += (size_t)n;
		if (used > CONFIG_TEXT_MAX)
			rc = -EFBIG;
		if (used < room || rc != 0)
			continue;
		grown = realloc(buf, room * 2);
		if (grown == NULL)
			rc = -ENOMEM;
		else
			buf = grown;
		room *= 2;
	}
	if (rc != 0) {
		free(buf);
		return rc;
	}
	*text = buf;
	*len = used;
	return 0;
}

int
configuration_read(struct configuration *c, int fd)
{
	static const struct config_position	nowhere;
	char					*text;
	size_t					 len;
	int					 rc;

	rc = text_read(fd, &text, &len);
	if (rc == -ENOMEM)
		return rc;
	if (rc == -EFBIG)
		config_error(&c->errors, nowhere, "found more than %u MiB, expected a configuration",
		    CONFIG_TEXT_MAX >> 20);
	else if (rc != 0)
		config_error(&c->errors, nowhere, "%s", strerror(-rc));
	if (rc != 0)
		return 0;
	rc = configuration_parse(c, text, len);
	explicit_bzero(text, len);
	free(text);
	return rc;
}

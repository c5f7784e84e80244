/*
 * Any text as a configuration, through parser, schema and digest. Its errors
 * must fit their message, and its settings their document.
 */
#include <stdint.h>
#include <stdlib.h>
#include "common/channel.h"
#include "common/log.h"
#include "supervisor/config/configuration.h"
#include "supervisor/config/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct configuration	c;
	static bool			prepared;
	static int			log[2];
	char				*text = malloc(size == 0 ? 1 : size);

	if (!prepared) {
		check(digest_prepare() == 0);
		check(channel_pair(log) == 0);
		log_to(log[0]);		/* warnings go nowhere */
		prepared = true;
	}
	check(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	check(configuration_init(&c, BYTES("f")) == 0);
	check(configuration_parse(&c, text, size) == 0);
	free(text);
	if (c.errors.count == 0) {
		check(strlen(c.digest) == DIGEST_TEXT - 1);
		schema_check(&c.settings, &c.errors);
	}
	config_errors_finish(&c.errors);
	check(c.errors.len <= CONFIG_ERRORS_MAX && strlen(c.errors.text) == c.errors.len);
	check((c.errors.count == 0) == (c.errors.len == 0));
	configuration_free(&c);
	return 0;
}

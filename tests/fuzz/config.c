/*
 * Any text as a configuration, through parser, schema and digest, with files
 * that it includes and an environment. Its errors must fit their message, and
 * its settings their document.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/channel.h"
#include "common/log.h"
#include "supervisor/config/configuration.h"
#include "supervisor/config/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

/*
 * Files are parts of the input, which form feeds separate:
 * `include N` is the part N, a pattern all of them. Variables of the
 * environment are parts likewise: $N.
 */
static const uint8_t	*input;
static size_t		 input_size;

#define PART_END	'\f'

/* Part n, 0 the first; data NULL: there is none. */
static struct bytes
part(size_t n)
{
	const uint8_t	*at = input, *end = input + input_size, *stop;

	for (; at != NULL && at <= end; n--) {
		stop = at == end ? NULL : memchr(at, PART_END, (size_t)(end - at));
		if (n == 0)
			return (struct bytes){ (const char *)at, (size_t)((stop == NULL ? end : stop) - at) };
		if (stop == NULL)
			break;
		at = stop + 1;
	}
	return (struct bytes){ NULL, 0 };
}

static size_t
part_number(struct bytes name)
{
	return name.len == 1 ? (size_t)(unsigned char)name.data[0] - '0' : SIZE_MAX;
}

static int
include(struct config_source *from, uint64_t parent, struct bytes path, struct config_files *files)
{
	size_t			 n = part_number(path), last = n;
	struct config_file	*f;

	if (bytes_equal(path, BYTES("*"))) {
		n = 0;
		last = 9;
	}
	for (; n <= last && n < 10 && part(n).data != NULL; n++) {
		f = config_files_add(files);
		check(f != NULL);
		f->number = n + 1;
		check(config_texts_copy(&from->texts, path, &f->path) == 0);
		f->error = config_texts_copy(&from->texts, part(n), &f->text);
	}
	if (files->count == 0)
		snprintf(files->error, sizeof(files->error), "there is no such part");
	return 0;
}

static int
environment(struct config_source *from, struct bytes name, struct config_text *value)
{
	size_t	n = part_number(name);

	if (n < 10 && part(n).data != NULL)
		check(config_texts_copy(&from->texts, part(n), value) == 0);
	return 0;
}

/* Some names have a number, as on some host. */
static int
identity(struct config_source *from, bool group, struct bytes name, uint64_t *number)
{
	(void)from;
	*number = name.len < 5 ? name.len + group : NO_PEER;
	return 0;
}

/* What is good is written for whom it is for, and printed. */
static void
written(const struct configuration *c)
{
	msgpack_sbuffer	records;
	enum role	role;
	int		fd;

	for (role = 0; role < ROLES; role++) {
		msgpack_sbuffer_init(&records);
		check(tenants_write(&c->tenants, role, &records) == 0);
		msgpack_sbuffer_destroy(&records);
	}
	msgpack_sbuffer_init(&records);
	check(tls_block_write(&c->tls, &c->errors, &records) == 0);
	msgpack_sbuffer_destroy(&records);
	fd = print_config(c);
	check(fd >= 0);
	close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct configuration	c;
	static struct settings		flags;
	static bool			prepared;
	static int			log[2];
	char				*text = malloc(size == 0 ? 1 : size);
	int				 fd;

	if (!prepared) {
		check(digest_prepare() == 0);
		check(settings_init(&flags) == 0);
		check(channel_pair(log) == 0);
		log_to(log[0]);		/* warnings go nowhere */
		prepared = true;
	}
	input = data;
	input_size = size;
	size = part(0).len;
	check(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	check(configuration_init(&c, BYTES("f")) == 0);
	c.source.include = include;
	c.source.environment = environment;
	c.source.identity = identity;
	check(configuration_parse(&c, text, size) == 0);
	check(c.errors.count > 0 || strlen(c.digest) == DIGEST_TEXT - 1);
	fd = settings_write(&flags, ROLE_SUPERVISOR);
	check(fd >= 0 && configuration_finish(&c, fd) == 0);
	close(fd);
	if (c.errors.count == 0)
		written(&c);
	config_errors_finish(&c.errors);
	check(c.errors.len <= CONFIG_ERRORS_MAX && strlen(c.errors.text) == c.errors.len);
	check((c.errors.count == 0) == (c.errors.len == 0));
	configuration_free(&c);
	free(text);
	return 0;
}

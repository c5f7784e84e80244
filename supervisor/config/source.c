#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "supervisor/config/source.h"

#define READ_FIRST	16384

const char *
config_texts_error(int error)
{
	static char	text[96];

	if (error == -EFBIG)
		snprintf(text, sizeof(text), "found more than %u MiB, expected a configuration",
		    CONFIG_TEXT_MAX >> 20);
	else if (error == -E2BIG)
		snprintf(text, sizeof(text), "with this file it is more than %u MiB in all",
		    CONFIG_TEXTS_MAX >> 20);
	else
		return strerror(-error);
	return text;
}

/* buf, with `len` bytes in it, is one more; freed on error. */
static int
texts_add(struct config_texts *t, char *buf, size_t len, struct config_text *text)
{
	size_t			 room = t->room == 0 ? 16 : t->room * 2;
	struct config_text	*grown;

	if (t->count == t->room) {
		grown = reallocarray(t->items, room, sizeof(*grown));
		if (grown == NULL) {
			explicit_bzero(buf, len);
			free(buf);
			return -ENOMEM;
		}
		t->items = grown;
		t->room = room;
	}
	*text = (struct config_text){ buf, len };
	t->items[t->count++] = *text;
	t->bytes += len;
	return 0;
}

/* A larger place for what is in *buf; the old one is overwritten. 0 or -ENOMEM. */
static int
buffer_grow(char **buf, size_t used, size_t *room)
{
	char	*grown = malloc(*room * 2);

	if (grown == NULL)
		return -ENOMEM;
	memcpy(grown, *buf, used);
	explicit_bzero(*buf, used);
	free(*buf);
	*buf = grown;
	*room *= 2;
	return 0;
}

int
config_texts_read(struct config_texts *t, int fd, struct config_text *text)
{
	size_t	 room = READ_FIRST, used = 0;
	char	*buf = malloc(room);
	ssize_t	 n;
	int	 rc = buf == NULL ? -ENOMEM : 0;

	while (rc == 0) {
		n = read(fd, buf + used, room - used);
		if (n == 0)
			return texts_add(t, buf, used, text);
		if (n == -1 && errno != EINTR)
			rc = -errno;
		if (n > 0)
			used += (size_t)n;
		if (used > CONFIG_TEXT_MAX)
			rc = -EFBIG;
		else if (used > CONFIG_TEXTS_MAX - t->bytes)
			rc = -E2BIG;
		else if (rc == 0 && used == room)
			rc = buffer_grow(&buf, used, &room);
	}
	if (buf != NULL)
		explicit_bzero(buf, used);
	free(buf);
	return rc;
}

int
config_texts_copy(struct config_texts *t, struct bytes b, struct config_text *text)
{
	char	*copy;

	if (b.len > CONFIG_TEXTS_MAX - t->bytes)
		return -E2BIG;
	copy = malloc(b.len + 1);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, b.data, b.len);
	return texts_add(t, copy, b.len, text);
}

void
config_texts_free(struct config_texts *t)
{
	size_t	i;

	for (i = 0; i < t->count; i++) {
		explicit_bzero(t->items[i].data, t->items[i].len);
		free(t->items[i].data);
	}
	free(t->items);
	*t = (struct config_texts){ NULL, 0, 0, 0 };
}

struct config_file *
config_files_add(struct config_files *files)
{
	size_t			 room = files->room == 0 ? 4 : files->room * 2;
	struct config_file	*grown;

	if (files->count == files->room) {
		grown = reallocarray(files->items, room, sizeof(*grown));
		if (grown == NULL)
			return NULL;
		files->items = grown;
		files->room = room;
	}
	grown = &files->items[files->count++];
	memset(grown, 0, sizeof(*grown));
	return grown;
}

void
config_files_free(struct config_files *files)
{
	free(files->items);
	files->items = NULL;
	files->count = files->room = 0;
}

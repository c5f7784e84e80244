#include <errno.h>
#include "supervisor/config/reader.h"

/* A file that is being read already would include itself without end. */
static bool
is_open(const struct parser *p, struct bytes path)
{
	struct config_position	at = { 0 };

	for (; p != NULL; p = p->up) {
		at.file = p->lx.file;
		if (!p->environment && bytes_equal(config_path(p->reader->errors, at), path))
			return true;
	}
	return false;
}

/* The entries of `from` become the last of `map`; from is empty then. 0 or -ENOMEM. */
static int
map_move(struct config_value *map, struct config_value *from)
{
	struct config_entry	*e;
	size_t			 i;

	for (i = 0; i < from->map.count; i++) {
		if (from->map.entries[i].replaced)
			continue;
		e = config_map_add(map);
		if (e == NULL)
			return -ENOMEM;
		*e = from->map.entries[i];
		memset(&from->map.entries[i].value, 0, sizeof(e->value));
	}
	return 0;
}

/* Entries of one file; its own errors do not end the one that includes it. */
static int
include_file(struct parser *up, struct config_value *map, unsigned depth, struct config_file *f,
    struct config_position at)
{
	struct parser		p = { .reader = up->reader, .number = f->number,
	    .level = up->level + 1, .depth = depth, .up = up };
	struct bytes		path = { f->path.data, f->path.len };
	struct config_value	own;
	uint32_t		file;
	int			rc;

	if (is_open(up, path)) {
		config_error(up->reader->errors, at, "%.*s includes itself", (int)path.len, path.data);
		return 0;
	}
	rc = config_errors_file(up->reader->errors, path, &file);
	if (rc != 0)
		return rc;
	if (f->error != 0) {
		config_error(up->reader->errors, (struct config_position){ .file = file }, "%s",
		    config_texts_error(f->error));
		return 0;
	}
	lexer_init(&p.lx, f->text.data, f->text.len, file, up->reader->errors);
	rc = parser_text(&p, &own);
	if (rc != 0)
		return rc;
	rc = map_move(map, &own);
	config_value_free(&own);
	return rc;
}

/* Can it be asked for at all? */
static int
include_check(struct parser *p, struct bytes path, struct config_position at)
{
	char	quote[CONFIG_QUOTED];

	if (p->environment)
		config_error(p->reader->errors, at, "a variable of the environment cannot include files");
	else if (path.len == 0 || path.len > 4096 || memchr(path.data, '\0', path.len) != NULL)
		config_error(p->reader->errors, at, "found %s, expected the path of a file",
		    config_quote(quote, path));
	else if (p->level >= CONFIG_LEVELS_MAX)
		config_error(p->reader->errors, at, "files include each other over more than %u levels",
		    CONFIG_LEVELS_MAX);
	else
		return 0;
	return -EBADMSG;
}

int
include_path(struct parser *p, struct config_value *map, unsigned depth, struct bytes path,
    struct config_position at)
{
	struct reader		*r = p->reader;
	struct config_files	 files = { .error = "there are no other files" };
	size_t			 i;
	int			 rc;

	rc = include_check(p, path, at);
	if (rc != 0)
		return rc;
	if (r->source->include != NULL) {
		files.error[0] = '\0';
		rc = r->source->include(r->source, p->number, path, &files);
	}
	if (rc == 0 && files.error[0] != '\0') {
		config_error(r->errors, at, "include: %s", files.error);
		rc = -EBADMSG;
	}
	r->files += files.count;
	if (rc == 0 && r->files > CONFIG_FILES_MAX) {
		config_error(r->errors, at, "more than %u files are included", CONFIG_FILES_MAX);
		rc = READ_ENDS;
	}
	for (i = 0; i < files.count && rc == 0; i++)
		rc = include_file(p, map, depth, &files.items[i], at);
	config_files_free(&files);
	return rc;
}

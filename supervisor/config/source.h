#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H
/*
 * Where the text of a configuration comes from: the files that it includes and
 * the environment. The parser can open neither; it asks, and whoever answers
 * (the supervisor, a test) decides what there is to see.
 */
#include <stdbool.h>
#include "supervisor/config/tree.h"

/* All text that is read; trees point into it. */
struct config_texts {
	struct config_text { char *data; size_t len; } *items;
	size_t		count, room;
	size_t		bytes;		/* of all of them */
};

/*
 * All of fd (kept open) as one more text. 0; -EFBIG more than CONFIG_TEXT_MAX;
 * -E2BIG more than CONFIG_TEXTS_MAX with the others; -ENOMEM; -errno of read(2).
 */
int config_texts_read(struct config_texts *t, int fd, struct config_text *text);

/* A copy of b. 0, -E2BIG, -ENOMEM. */
int config_texts_copy(struct config_texts *t, struct bytes b, struct config_text *text);

/* They may hold passwords: overwritten, then freed. */
void config_texts_free(struct config_texts *t);

/* "more than 16 MiB, expected a configuration": why a text could not be read. */
const char *config_texts_error(int error);

/* A file that an include stands for. */
struct config_file {
	uint64_t		number;		/* for the includes in it */
	struct config_text	path;		/* for messages */
	struct config_text	text;
	int			error;		/* -errno: it could not be read */
};

struct config_files {
	struct config_file	*items;
	size_t			 count, room;
	char			 error[513];	/* why there are none; empty: no error */
};

/* A new, zeroed place at the end; NULL: no memory. */
struct config_file *config_files_add(struct config_files *files);
void config_files_free(struct config_files *files);

struct config_source {
	struct config_texts	 texts;
	/*
	 * Who answers; NULL: there is nothing. 0, or -errno, which ends it all.
	 * include: path as written in the file `parent`, 0 for the first one.
	 * environment: value->data NULL, there is no such variable.
	 * identity: number of a user or group of the host; NO_PEER: there is none.
	 */
	int	(*include)(struct config_source *from, uint64_t parent, struct bytes path,
		    struct config_files *files);
	int	(*environment)(struct config_source *from, struct bytes name,
		    struct config_text *value);
	int	(*identity)(struct config_source *from, bool group, struct bytes name,
		    uint64_t *number);
	void	*owner;
};
#endif

#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H
/*
 * What a configuration file says, as a tree of values that know where they
 * stand, and the list of what is wrong with it.
 */
#include <stdint.h>
#include "common/bytes.h"

struct config_position {
	uint32_t	line, column;	/* both from 1; 0: nowhere */
	uint32_t	file;		/* its number among those of struct config_errors */
};

#define CONFIG_COMMAND_LINE	UINT32_MAX	/* in place of a file's number */

enum config_kind {
	CONFIG_INTEGER, CONFIG_REAL, CONFIG_BOOLEAN, CONFIG_TEXT, CONFIG_TIME,
	CONFIG_LIST, CONFIG_MAP
};

struct config_value {
	enum config_kind	 kind;
	struct config_position	 at;
	union {
		int64_t		 integer;
		double		 real;
		bool		 boolean;
		struct bytes	 text;	/* CONFIG_TEXT, CONFIG_TIME; in the tree's text */
		struct { struct config_value *items; size_t count, room; } list;
		struct { struct config_entry *entries; size_t count, room; } map;
	};
};

struct config_entry {
	struct bytes		 key;	/* as written, in the tree's text */
	struct config_position	 at;
	struct config_value	 value;
	bool			 replaced;	/* the same key comes again later, and counts */
	bool			 used;		/* a variable stood for it: any key may do that */
};

#define CONFIG_TEXT_MAX		(16u << 20)	/* bytes of a file */
#define CONFIG_DEPTH_MAX	128		/* maps and lists in each other */

#define CONFIG_TEXTS_MAX	(64u << 20)	/* of all files together */
#define CONFIG_FILES_MAX	4096		/* that are included */
#define CONFIG_LEVELS_MAX	100		/* of files that include each other */
#define CONFIG_COPIES_MAX	(1u << 20)	/* values that variables stand for, all together */

/* Room for one more of `size` bytes in *items, an array of *room. 0 or -ENOMEM. */
int config_room(void **items, size_t count, size_t *room, size_t size);

/* A new, zeroed place at the end of a list or map; NULL: no memory. */
struct config_value *config_list_add(struct config_value *list);
struct config_entry *config_map_add(struct config_value *map);

/* Mark entries whose key comes again. 0 or -ENOMEM. */
int config_map_settle(struct config_value *map);

/*
 * The entries that count in the order of their keys' bytes: an array of *count
 * pointers, to free(). NULL: no memory.
 */
const struct config_entry **config_map_sorted(const struct config_value *map, size_t *count);

/*
 * The entry of this key that counts so far, in a map that may be still unsettled.
 * any_case: the key may differ in case. NULL: there is none.
 */
struct config_entry *config_map_find(const struct config_value *map, struct bytes key, bool any_case);

/*
 * *to becomes the same value; its text is not copied.
 *   depth   of maps and lists that *to is in
 *   budget  how many values may still be copied; less what this took
 * 0; -ENOMEM; -ELOOP deeper than CONFIG_DEPTH_MAX; -E2BIG: *to is not written.
 */
int config_value_copy(struct config_value *to, const struct config_value *from, unsigned depth,
    size_t *budget);

void config_value_free(struct config_value *v);	/* what it holds */

/* "a whole number", for messages */
const char *config_kind_name(enum config_kind kind);

#define CONFIG_ERRORS_MAX	32768	/* bytes; what `misconfigured` can carry */

struct config_errors {
	struct bytes	 path;		/* of the file with number 0; the caller's */
	struct bytes	*paths;		/* of the others */
	size_t		 files, room;	/* how many others */
	char		 text[CONFIG_ERRORS_MAX + 1];
	size_t		 len;
	unsigned	 count;		/* also those that found no room */
	bool		 strict;	/* what is only a warning is an error */
};

/* None yet. path: kept by the caller. */
void config_errors_init(struct config_errors *e, struct bytes path);
void config_errors_free(struct config_errors *e);

/* A number for one more file, whose path is the caller's and outlives e. 0 or -ENOMEM. */
int config_errors_file(struct config_errors *e, struct bytes path, uint32_t *number);

/* The path of the file that `at` is in, or "the command line". */
struct bytes config_path(const struct config_errors *e, struct config_position at);

/* Add "path:line:column: ..." and a line end; control characters become "?". */
void config_error(struct config_errors *e, struct config_position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same text to the log, as a warning. */
void config_warn(const struct config_errors *e, struct config_position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* End the text: says how many errors found no room. */
void config_errors_finish(struct config_errors *e);

/* Is the value of such a key secret? Then no message and no --print-config repeats it. */
bool config_key_is_secret(struct bytes key);
#define CONFIG_REDACTED	"[REDACTED]"

/* b in double quotes, with \xHH for what does not print, cut to fit. Returns out. */
#define CONFIG_QUOTED	72
const char *config_quote(char out[CONFIG_QUOTED], struct bytes b);

/* "127.0.0.1" for a text, true, 5, "a list [...]": what was found, for messages. */
const char *config_found(const struct config_value *v, char out[CONFIG_QUOTED]);
#endif

#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H
/*
 * The words of the configuration language: keys, values, what separates them.
 * The language is the one of nats-server 2.x, bulkhead.conf(5): the real server
 * reads character by character, so that what a word is depends on where it
 * stands. Whoever finds a rule odd here finds it so there too; where we differ
 * is in docs/configuration.md.
 */
#include "supervisor/config/tree.h"

struct config_lexer {
	char			*text;	/* escapes are decoded in place, behind `at` */
	size_t			 len, at, line_start;
	uint32_t		 line, file;
	bool			 secret;	/* what is read is: no message repeats it */
	struct config_errors	*errors;
};

/* Begin with text[0..len), which stays the caller's and is changed. file: its number among those of errors. */
void lexer_init(struct config_lexer *lx, char *text, size_t len, uint32_t file,
    struct config_errors *errors);

/* The next character, or -1 at the end. */
int lexer_peek(const struct config_lexer *lx);
/* Over one character; at the end nothing happens. */
void lexer_next(struct config_lexer *lx);
/* Where the next character stands. */
struct config_position lexer_position(const struct config_lexer *lx);

void lexer_skip_blanks(struct config_lexer *lx);	/* spaces and tabs */
void lexer_skip_space(struct config_lexer *lx);		/* also line ends and comments */
bool lexer_at_comment(const struct config_lexer *lx);
void lexer_skip_comment(struct config_lexer *lx);	/* up to the line's end */
bool lexer_at_line_end(const struct config_lexer *lx);

/*
 * A key, without what separates it from its value. *statement: it has neither
 * quotes nor a separator directly behind it, so that `include` is one.
 * 0, or -EBADMSG: the error is written down.
 */
int lexer_key(struct config_lexer *lx, struct bytes *key, bool *statement);

/*
 * Behind a key, up to its value. inside: of a map, where the value may be in
 * the next line even behind a separator. 0, or -EBADMSG: the error is written down.
 */
int lexer_separator(struct config_lexer *lx, bool inside);

/* The path behind `include`. 0, or -EBADMSG: the error is written down. */
int lexer_include(struct config_lexer *lx, struct bytes *path);

/*
 * A value other than a list or a map. variable: the name behind a '$', and *v
 * is not written; data NULL: it is none. 0, or -EBADMSG: the error is written down.
 */
int lexer_scalar(struct config_lexer *lx, struct config_value *v, struct bytes *variable);

/*
 * After an error: to the end of the line, or before a '}' that closes the
 * enclosing block; over whatever is opened on the way. depth: '[' open already.
 */
void lexer_recover(struct config_lexer *lx, unsigned depth);

/* "'x'" or "the end of the file": what comes next, for messages. Returns out. */
const char *lexer_found(const struct config_lexer *lx, char out[CONFIG_QUOTED]);
#endif

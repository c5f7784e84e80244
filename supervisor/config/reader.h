#ifndef CONFIG_READER_H
#define CONFIG_READER_H
/* What the parts of the parser share: parser.c, include.c and variables.c, and nobody else. */
#include <errno.h>
#include "supervisor/config/lexer.h"
#include "supervisor/config/parser.h"

/* A variable of the environment, read once. */
struct variable {
	struct bytes		 name;		/* as some file has it */
	bool			 found, wrong;	/* wrong: what it says is, and was written down */
	bool			 busy;		/* being read, so it may not stand in itself */
	struct config_value	 value;
};

/* One configuration with all of its files. */
struct reader {
	struct config_source	 *source;
	struct config_errors	 *errors;
	struct variable		**variables;	/* those that were asked for */
	size_t			  variable_count, variable_room;
	size_t			  files;	/* included so far */
	size_t			  copies;	/* values that variables may still stand for */
};

/* The maps that are open, the innermost first: where a variable is looked for. */
struct scope {
	struct config_value	*map;
	const struct scope	*up;
};

/* One text: a file, or the value of a variable of the environment. */
struct parser {
	struct reader		*reader;
	struct config_lexer	 lx;
	uint64_t		 number;	/* of the file, to the source */
	unsigned		 level;		/* of texts in each other */
	unsigned		 depth;		/* of maps that an include stands in */
	bool			 environment;	/* it cannot include */
	const struct parser	*up;		/* the text that this one is for */
	const struct scope	*scope;
	unsigned		 arrays;	/* '[' open in the present entry */
};

/* An error was written down behind which nothing else can be read. */
#define READ_ENDS	(-ECANCELED)

/* parser.c: all of p->lx's text. 0: *map is written; what is wrong is in the errors. -errno. */
int parser_text(struct parser *p, struct config_value *map);

/* include.c: the entries of other files into map. 0; -EBADMSG it is written down; -errno. */
int include_path(struct parser *p, struct config_value *map, unsigned depth, struct bytes path,
    struct config_position at);

/* variables.c: what stands for $name, `depth` deep. 0; -EBADMSG it is written down; -errno. */
int variable_value(struct parser *p, struct config_value *v, unsigned depth, struct bytes name,
    struct config_position at);
void variables_free(struct reader *r);
#endif

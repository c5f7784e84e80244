#ifndef CONFIG_CONFIGURATION_H
#define CONFIG_CONFIGURATION_H
/* From the text of a file and the command line to settings, or to a list of errors. */
#include "common/settings.h"
#include "supervisor/config/digest.h"
#include "supervisor/config/schema.h"
#include "supervisor/config/source.h"
#include "supervisor/config/tenants.h"
#include "supervisor/config/tls.h"
#include "supervisor/config/tree.h"

struct configuration {
	struct settings		settings;
	struct schema_origins	origins;		/* of them */
	char			digest[DIGEST_TEXT];	/* "": there was no file */
	struct config_errors	errors;			/* count 0: settings are good */
	struct config_source	source;			/* of more text: the caller says who answers */
	struct config_value	tree;			/* what the text says; tenants point into it */
	struct tenants		tenants;		/* checked by configuration_finish() */
	struct tls_block	tls;			/* of clients; likewise */
};

/* path: of the file, for messages; the caller's. There are no other files. 0 or -ENOMEM. */
int configuration_init(struct configuration *c, struct bytes path);
/* Free all of it. */
void configuration_free(struct configuration *c);

/* Apply a file's text, which is changed and has to live as long as c. 0 or -ENOMEM, -EIO, or what the source answered. */
int configuration_parse(struct configuration *c, char *text, size_t len);

/*
 * Read the file from fd (kept open), up to CONFIG_TEXT_MAX bytes, and apply
 * it. What cannot be read is an error of the configuration. Returns likewise.
 */
int configuration_read(struct configuration *c, int fd);

/*
 * When all was read: let the flags, a sealed document, win, and check what holds
 * between the parts. 0, -ENOMEM, or what the source answered.
 */
int configuration_finish(struct configuration *c, int flags);
#endif

#ifndef CONFIG_CONFIGURATION_H
#define CONFIG_CONFIGURATION_H
/* From the text of a file and the command line to settings, or to a list of errors. */
#include "common/settings.h"
#include "supervisor/config/digest.h"
#include "supervisor/config/tree.h"

struct configuration {
	struct settings		settings;
	char			digest[DIGEST_TEXT];	/* "": there was no file */
	struct config_errors	errors;			/* count 0: settings are good */
};

/* path: of the file, for messages; the caller's. 0 or -ENOMEM. */
int configuration_init(struct configuration *c, struct bytes path);
/* Free the settings. */
void configuration_free(struct configuration *c);

/* Apply a file's text, which is changed. 0 or -ENOMEM, -EIO. */
int configuration_parse(struct configuration *c, char *text, size_t len);

/*
 * Read the file from fd (kept open), up to CONFIG_TEXT_MAX bytes, and apply
 * it. What cannot be read is an error of the configuration. 0 or -ENOMEM, -EIO.
 */
int configuration_read(struct configuration *c, int fd);
#endif

#ifndef SUPERVISOR_OPTIONS_H
#define SUPERVISOR_OPTIONS_H
/* The command line, in the syntax of Go's flag package: -x v, -x=v, --x. */
#include <stdio.h>
#include "common/settings.h"

/* Of several that are wanted the last one here is done. */
enum action {
	ACTION_RUN, ACTION_TEST, ACTION_PRINT, ACTION_SIGNAL, ACTION_HELP_TLS, ACTION_HELP,
	ACTION_VERSION,
};

struct options {
	enum action	 action;
	const char	*config;	/* -c; NULL: none */
	const char	*signal;	/* --signal's value */
	struct settings	 flags;		/* what was given; wins over the file */
};

/*
 * Read argv. Strings in *o point into argv. 0; -EINVAL: error has the
 * sentence for the user, *usage says whether the usage text helps; -ENOMEM.
 */
int options_parse(struct options *o, int argc, char **argv, char *error, size_t size, bool *usage);
/* Overwrite what is secret in argv, which others on the host can read: options_parse() was 0 for it. */
void options_hide(char **argv);
/* Free the flags. */
void options_free(struct options *o);
/* Write what -h shows. */
void options_usage(FILE *to);

/* What --help_tls shows. */
void options_usage_tls(FILE *to);
#endif

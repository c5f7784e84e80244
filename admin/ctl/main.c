/* bulkheadctl(1): what an operator does by hand. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "admin/ctl/ctl.h"
#include "nats/info.h"

static const struct ctl_command {
	const char	*name, *arguments, *help;
	int		(*run)(int argc, char **argv);
} commands[] = {
	{ "passwd", "[-p] [-c cost]", "make a password, or read one, and show its bcrypt hash", passwd_command },
	{ "nkey", "user|account|server [--seed-only]", "make a pair of keys", nkey_command },
	{ "nkey", "[user|account|server] --public file ...", "show the public keys of seeds", nkey_command },
	{ "status", "[--json] [-s socket]", "show a server's processes", status_command },
};
#define COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static int
usage(void)
{
	char left[80];
	size_t i;

	printf("Usage: bulkheadctl [--help | --version] command ...\n\n");
	for (i = 0; i < COMMANDS; i++) {
		snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].arguments);
		printf("    %-46s %s\n", left, commands[i].help);
	}
	return ctl_finish(EXIT_SUCCESS);
}

static int
command_run(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, argv[0]) == 0)
			return commands[i].run(argc, argv);
	return ctl_misused("unknown command \"%s\"", argv[0]);
}

/* Is the one word `--name` or `-n`? */
static bool
asked(char **argv, const char *name)
{
	const char *word = argv[1];

	if (word == NULL || argv[2] != NULL || word[0] != '-')
		return false;
	return (word[1] == name[0] && word[2] == '\0') ||
	    (word[1] == '-' && strcmp(word + 2, name) == 0);
}

int
main(int argc, char **argv)
{
	/* the name that servers of the line give this command */
	bool passwd = strcmp(getprogname(), "mkpasswd") == 0;

	if (asked(argv, "help") || (argc > 1 && asked(argv + 1, "help")))
		return usage();
	if (asked(argv, "version")) {
		printf("%s: v%s\n", getprogname(), BULKHEAD_VERSION);
		return ctl_finish(EXIT_SUCCESS);
	}
	if (passwd)
		return passwd_command(argc, argv);
	if (argc < 2)
		return ctl_misused("which command?");
	if (argv[1][0] == '-')
		return ctl_misused("unknown option %s", argv[1]);
	return command_run(argc - 1, argv + 1);
}

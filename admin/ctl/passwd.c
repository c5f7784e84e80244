#include <crypt.h>
#include <errno.h>
#include <getopt.h>
#include <readpassphrase.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "admin/ctl/ctl.h"

#define COST_DEFAULT	11	/* as the tool that servers of the line ship */
#define PASSWORD_MADE	22	/* characters: 128 bits of an alphabet of 57 */
#define PASSWORD_MAX	72	/* bytes: bcrypt reads no further */
#define PASSWORD_ROOM	1024	/* to see that there were more */

/*
 * Letters and digits only, which need no quotes in a configuration, a URL or
 * a shell; without 0 O 1 I l, which look alike.
 */
static void
password_make(char password[PASSWORD_ROOM])
{
	static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
	size_t i;

	/* a letter first: what begins with a digit may be read as a number */
	password[0] = alphabet[arc4random_uniform(sizeof(alphabet) - 1 - 8)];
	for (i = 1; i < PASSWORD_MADE; i++)
		password[i] = alphabet[arc4random_uniform(sizeof(alphabet) - 1)];
	password[i] = '\0';
}

/* One line of standard input, byte by byte: nothing of it stays in a buffer. 0 or -errno. */
static int
password_read(char password[PASSWORD_ROOM])
{
	size_t len = 0;
	ssize_t n = 0;

	while (len < PASSWORD_ROOM - 1 && (n = read(STDIN_FILENO, password + len, 1)) == 1 &&
	    password[len] != '\n')
		if (password[len++] == '\0')
			return -EILSEQ;
	if (n == -1)
		return -errno;
	if (n == 1 && len > 0 && password[len - 1] == '\r')
		len--;
	password[len] = '\0';
	return 0;
}

/* NULL: the same was typed twice; or a sentence. */
static const char *
password_ask(char password[PASSWORD_ROOM])
{
	char again[PASSWORD_ROOM];
	const char *why = NULL;

	if (readpassphrase("Enter Password: ", password, PASSWORD_ROOM, RPP_REQUIRE_TTY) == NULL ||
	    readpassphrase("Reenter Password: ", again, sizeof(again), RPP_REQUIRE_TTY) == NULL)
		why = "no password: the terminal cannot be read";
	else if (strcmp(password, again) != 0)
		why = "the passwords do not match";
	explicit_bzero(again, sizeof(again));
	return why;
}

/* NULL: one that bcrypt can take; or a sentence. */
static const char *
password_get(char password[PASSWORD_ROOM])
{
	const char *why;
	int rc;

	if (isatty(STDIN_FILENO)) {
		why = password_ask(password);
		if (why != NULL)
			return why;
	} else {
		rc = password_read(password);
		if (rc == -EILSEQ)
			return "the password has a NUL byte";
		if (rc != 0)
			return "standard input cannot be read";
	}
	if (*password == '\0')
		return "the password is empty";
	if (strlen(password) > PASSWORD_MAX)
		return "the password is longer than 72 bytes, of which bcrypt would use no more";
	return NULL;
}

/*
 * $2b$ is the same as what others write as $2a$, byte for byte. libxcrypt's
 * own $2a$ is not: it guards against an old error of its own, so that some
 * passwords that are not ASCII would get another hash. 0 or -errno.
 */
static int
password_print_hash(const char *password, unsigned long cost)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *hash;
	int rc = 0;

	if (data == NULL)
		return -ENOMEM;
	hash = crypt_gensalt_rn("$2b$", cost, NULL, 0, setting, sizeof(setting));
	if (hash != NULL)
		hash = crypt_rn(password, setting, data, sizeof(*data));
	if (hash != NULL)
		printf("bcrypt hash: $2a%s\n", hash + 3);
	else
		rc = -errno;
	explicit_bzero(data, sizeof(*data));
	free(data);
	return rc;
}

/* 0; -EINVAL: not a cost of bcrypt. */
static int
cost_parse(const char *text, unsigned long *cost)
{
	char *end;

	*cost = strtoul(text, &end, 10);
	return strspn(text, "0123456789") == 0 || *end != '\0' || *cost < 4 || *cost > 31 ?
	    -EINVAL : 0;
}

static int
passwd_run(bool ask, unsigned long cost)
{
	char password[PASSWORD_ROOM];
	const char *why = NULL;
	int rc = 0;

	ctl_keep_secret();
	if (ask)
		why = password_get(password);
	else
		password_make(password);
	if (why == NULL && !ask)
		printf("pass: %s\n", password);
	if (why == NULL)
		rc = password_print_hash(password, cost);
	explicit_bzero(password, sizeof(password));
	if (why != NULL)
		return ctl_fail("%s", why);
	return rc != 0 ? ctl_fail("bcrypt: %s", strerror(-rc)) : ctl_finish(EXIT_SUCCESS);
}

int
passwd_command(int argc, char **argv)
{
	static const struct option options[] = {
		{ "password", no_argument, NULL, 'p' }, { "cost", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long cost = COST_DEFAULT;
	bool ask = false;
	int c;

	while ((c = getopt_long(argc, argv, "+pc:", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			ask = true;
			break;
		case 'c':
			if (cost_parse(optarg, &cost) != 0)
				return ctl_misused("invalid cost \"%s\": 4 to 31", optarg);
			break;
		default:
			return ctl_misused("wrong option of passwd");
		}
	}
	if (optind < argc)
		return ctl_misused("passwd takes no password as an argument, where others see it: "
		    "-p asks for it");
	return passwd_run(ask, cost);
}

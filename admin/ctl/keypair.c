#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>
#include "admin/ctl/ctl.h"
#include "nats/nkey.h"

#define SEED_FILE_MAX	65536	/* credentials with a long JWT before the seed are a few KiB */

struct keypair { enum nkey_kind kind; uint8_t seed[32]; };

static const struct { const char *name; enum nkey_kind kind; } kinds[] = {
	{ "user", NKEY_USER }, { "account", NKEY_ACCOUNT }, { "server", NKEY_SERVER },
};
#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

/* 0; -EINVAL: no such kind. */
static int
kind_find(const char *name, enum nkey_kind *kind)
{
	size_t i;

	for (i = 0; i < KINDS; i++)
		if (strcmp(kinds[i].name, name) == 0) {
			*kind = kinds[i].kind;
			return 0;
		}
	return -EINVAL;
}

/* 0; -ENOTSUP: no Ed25519 in this OpenSSL. */
static int
keypair_public(const struct keypair *pair, char text[NKEY_TEXT])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, pair->seed,
	    sizeof(pair->seed));
	uint8_t public[32];
	size_t len = sizeof(public);
	int rc = -ENOTSUP;

	if (key != NULL && EVP_PKEY_get_raw_public_key(key, public, &len) == 1) {
		nkey_encode(text, pair->kind, public);
		rc = 0;
	}
	EVP_PKEY_free(key);
	return rc;
}

static int
keypair_make(enum nkey_kind kind, bool seed_only)
{
	struct keypair pair = { .kind = kind };
	char seed[NKEY_SEED_TEXT], public[NKEY_TEXT];
	int rc;

	arc4random_buf(pair.seed, sizeof(pair.seed));
	rc = keypair_public(&pair, public);
	if (rc == 0) {
		nkey_seed_encode(seed, kind, pair.seed);
		printf("%s\n", seed);
		if (!seed_only)
			printf("%s\n", public);
	}
	explicit_bzero(&pair, sizeof(pair));
	explicit_bzero(seed, sizeof(seed));
	return rc != 0 ? ctl_fail("OpenSSL: no Ed25519") : ctl_finish(EXIT_SUCCESS);
}

/* The first line that is a seed, be it alone or among credentials. 0 or -EBADMSG. */
static int
seed_find(struct keypair *pair, const char *text, size_t len)
{
	const char *end = text + len, *next;
	struct bytes line;

	for (; text < end; text = next + 1) {
		next = memchr(text, '\n', (size_t)(end - text));
		if (next == NULL)
			next = end;
		line = (struct bytes){ text, (size_t)(next - text) };
		while (line.len > 0 && memchr(" \t\r", line.data[line.len - 1], 3) != NULL)
			line.len--;
		while (line.len > 0 && (*line.data == ' ' || *line.data == '\t')) {
			line.data++;
			line.len--;
		}
		if (nkey_seed_decode(line, &pair->kind, pair->seed) == 0)
			return 0;
	}
	return -EBADMSG;
}

/* All of it into text. Its length, or -errno. */
static ssize_t
seed_file_read(const char *path, char *text, size_t size)
{
	int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	ssize_t n;

	if (fd == -1)
		return -errno;
	do {
		n = read(fd, text + len, size - len);
		if (n == -1)
			n = -errno;
		else
			len += (size_t)n;
	} while (n > 0 && len < size);
	if (fd != STDIN_FILENO)
		close(fd);
	if (n < 0)
		return n;
	return len == size ? -EFBIG : (ssize_t)len;
}

/* Its public key on standard output. kind: NULL for any. */
static int
seed_file_show(const char *path, const enum nkey_kind *kind)
{
	char *text = malloc(SEED_FILE_MAX), public[NKEY_TEXT];
	struct keypair pair = { .kind = NKEY_USER };
	ssize_t len;
	int rc;

	if (text == NULL)
		return ctl_fail("no memory");
	len = seed_file_read(path, text, SEED_FILE_MAX);
	rc = len < 0 ? (int)len : seed_find(&pair, text, (size_t)len);
	if (rc == 0 && kind != NULL && *kind != pair.kind)
		rc = -EPROTOTYPE;
	if (rc == 0)
		rc = keypair_public(&pair, public);
	explicit_bzero(&pair, sizeof(pair));
	explicit_bzero(text, SEED_FILE_MAX);
	free(text);
	if (rc != 0)
		return ctl_fail("%s: %s", path, rc == -EBADMSG ? "no seed in it" :
		    rc == -EPROTOTYPE ? "a seed of another kind" : strerror(-rc));
	printf("%s\n", public);
	return EXIT_SUCCESS;
}

static int
seed_files_show(char **paths, const enum nkey_kind *kind)
{
	int status = EXIT_SUCCESS;

	for (; *paths != NULL; paths++)
		if (seed_file_show(*paths, kind) != EXIT_SUCCESS)
			status = EXIT_FAILURE;
	return ctl_finish(status);
}

int
nkey_command(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed-only", no_argument, NULL, 's' }, { "public", no_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	bool has_kind = argc > 1 && argv[1][0] != '-', seed_only = false, public = false;
	enum nkey_kind kind = NKEY_USER;
	int c;

	if (has_kind && kind_find(argv[1], &kind) != 0)
		return ctl_misused("no keys for \"%s\": user, account or server", argv[1]);
	if (has_kind) {
		argv++;
		argc--;
	}
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		seed_only = seed_only || c == 's';
		public = public || c == 'p';
		if (c == '?')
			return ctl_misused("wrong option of nkey");
	}
	if (seed_only && public)
		return ctl_misused("either --seed-only or --public");
	if (public && optind == argc)
		return ctl_misused("--public of which file? - is standard input");
	ctl_keep_secret();
	if (public)
		return seed_files_show(argv + optind, has_kind ? &kind : NULL);
	if (optind < argc)
		return ctl_misused("nkey takes no seed as an argument, where others see it: "
		    "--public reads files");
	return has_kind ? keypair_make(kind, seed_only) :
	    ctl_misused("keys for what? user, account or server");
}

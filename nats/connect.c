#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>
#include "nats/connect.h"
#include "nats/json.h"

enum kind {
	KIND_FLAG,		/* bool at offset */
	KIND_NUMBER,		/* int at offset */
	KIND_TEXT,		/* char * at offset, owned */
	KIND_ACCOUNT,		/* a text; sets the bool at offset if it is not empty */
	KIND_ACCOUNT_NEW,	/* true or false; sets it if true */
	KIND_UNUSED_TEXT,	/* read by servers of other roles; of no use here, but checked */
	KIND_UNUSED_SUBJECTS,
};

static const struct key {
	const char	*name;
	enum kind	 kind;
	size_t		 offset;
} keys[] = {
#define AT(field)	offsetof(struct nats_connect, field)
	{ "verbose",		KIND_FLAG,	AT(verbose) },
	{ "pedantic",		KIND_FLAG,	AT(pedantic) },
	{ "echo",		KIND_FLAG,	AT(echo) },
	{ "headers",		KIND_FLAG,	AT(headers) },
	{ "no_responders",	KIND_FLAG,	AT(no_responders) },
	{ "tls_required",	KIND_FLAG,	AT(tls_required) },
	{ "protocol",		KIND_NUMBER,	AT(protocol) },
	{ "name",		KIND_TEXT,	AT(name) },
	{ "lang",		KIND_TEXT,	AT(lang) },
	{ "version",		KIND_TEXT,	AT(version) },
	{ "user",		KIND_TEXT,	AT(user) },
	{ "pass",		KIND_TEXT,	AT(pass) },
	{ "auth_token",		KIND_TEXT,	AT(auth_token) },
	{ "nkey",		KIND_TEXT,	AT(nkey) },
	{ "sig",		KIND_TEXT,	AT(sig) },
	{ "jwt",		KIND_TEXT,	AT(jwt) },
	{ "account",		KIND_ACCOUNT,	AT(account_given) },
	{ "new_account",	KIND_ACCOUNT_NEW, AT(account_given) },
	{ "remote_account",	KIND_UNUSED_TEXT, 0 },
	{ "proxy_sig",		KIND_UNUSED_TEXT, 0 },
	{ "import",		KIND_UNUSED_SUBJECTS, 0 },
	{ "export",		KIND_UNUSED_SUBJECTS, 0 },
#undef AT
};
#define KEYS	(sizeof(keys) / sizeof(keys[0]))

static char **
text_of(struct nats_connect *c, const struct key *key)
{
	return (char **)(void *)((char *)c + key->offset);
}

static void
text_wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* Free the texts of c that `kept` does not have too. */
static void
texts_free(struct nats_connect *c, struct nats_connect *kept)
{
	size_t i;

	for (i = 0; i < KEYS; i++)
		if (keys[i].kind == KIND_TEXT && *text_of(c, &keys[i]) != *text_of(kept, &keys[i]))
			text_wipe(*text_of(c, &keys[i]));
}

void
nats_connect_defaults(struct nats_connect *c)
{
	*c = (struct nats_connect){ .verbose = true, .pedantic = true, .echo = true };
}

void
nats_connect_free(struct nats_connect *c)
{
	struct nats_connect none = { 0 };

	texts_free(c, &none);
	*c = none;
}

static int
text_set(char **text, char *const *kept, const json_t *value)
{
	char *copy;

	copy = strdup(json_string_value(value));
	if (copy == NULL)
		return -ENOMEM;
	if (*text != *kept)	/* the same key in another spelling, earlier in this object */
		text_wipe(*text);
	*text = copy;
	return 0;
}

/* As integers they were, unless nats_json_load() had to read them as reals. */
static int
number_set(int *number, const json_t *value, bool reals)
{
	double n;

	if (!json_is_integer(value) && !(reals && json_is_real(value)))
		return -EBADMSG;
	n = json_number_value(value);
	*number = n > INT_MAX ? INT_MAX : n < INT_MIN ? INT_MIN : (int)n;
	return 0;
}

/* Set what `key` is for in c, whose texts are those of `kept` as long as nothing else was said. */
static int
key_set(struct nats_connect *c, struct nats_connect *kept, const struct key *key,
    json_t *value, bool reals)
{
	bool *flag = (bool *)(void *)((char *)c + key->offset);

	switch (key->kind) {
	case KIND_FLAG:
		if (!json_is_boolean(value))
			return -EBADMSG;
		*flag = json_is_true(value);
		return 0;
	case KIND_NUMBER:
		return number_set((int *)(void *)flag, value, reals);
	case KIND_TEXT:
		if (!json_is_string(value))
			return -EBADMSG;
		return text_set(text_of(c, key), text_of(kept, key), value);
	case KIND_ACCOUNT:
		if (!json_is_string(value))
			return -EBADMSG;
		*flag |= json_string_length(value) > 0;
		return 0;
	case KIND_ACCOUNT_NEW:
		if (!json_is_boolean(value))
			return -EBADMSG;
		*flag |= json_is_true(value);
		return 0;
	case KIND_UNUSED_TEXT:
		return json_is_string(value) ? 0 : -EBADMSG;
	case KIND_UNUSED_SUBJECTS:
		return nats_json_is_subjects(value) ? 0 : -EBADMSG;
	}
	return -EBADMSG;
}

/* null says nothing, neither as a key's value nor alone. */
static int
object_read(struct nats_connect *c, struct nats_connect *kept, json_t *object, bool reals)
{
	const char *name;
	json_t *value;
	size_t i;
	int rc;

	if (json_is_null(object))
		return 0;
	if (!json_is_object(object))
		return -EBADMSG;
	json_object_foreach(object, name, value) {
		for (i = 0; i < KEYS && strcasecmp(name, keys[i].name) != 0; i++)
			;
		if (i == KEYS || json_is_null(value))
			continue;
		rc = key_set(c, kept, &keys[i], value, reals);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
nats_connect_parse(struct nats_connect *c, struct bytes json)
{
	struct nats_connect next = *c;
	bool reals = false;
	json_t *object;
	int rc;

	rc = nats_json_load(&object, json, &reals);
	if (rc != 0)
		return rc;
	rc = object_read(&next, c, object, reals);
	json_decref(object);
	if (rc != 0) {
		texts_free(&next, c);
		return rc;
	}
	texts_free(c, &next);
	*c = next;
	return 0;
}

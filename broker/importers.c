/*
 * An account may import from thousands of others: which of its imports concern
 * a subject is asked of a trie of their local subjects.
 */
#include <errno.h>
#include <stdlib.h>
#include "broker/patterns.h"
#include "broker/private.h"
#include "nats/transform.h"

struct importer {
	const struct account	*account;
	struct patterns		*streams, *services;	/* numbers: places in the account's lists */
	bool			 same;			/* its stream imports are what they were before, */
	const struct stream_import *before;		/* here */
};

/* ---- when accounts come */

/* The pattern of what a transform makes: `*` for each token that it computes. */
static int
local_add(struct patterns *p, const struct transform *t, uint32_t number, char text[INDEX_SUBJECT_MAX])
{
	struct bytes	 rest = transform_destination(t);
	const char	*dot;
	size_t		 len, n = 0;

	for (;;) {
		dot = memchr(rest.data, '.', rest.len);
		len = dot == NULL ? rest.len : (size_t)(dot - rest.data);
		if (len > 1 && (rest.data[0] == '$' || memcmp(rest.data, "{{", 2) == 0)) {
			text[n++] = '*';
		} else {
			memcpy(text + n, rest.data, len);
			n += len;
		}
		if (dot == NULL)
			break;
		text[n++] = '.';
		rest.data += len + 1;
		rest.len -= len + 1;
	}
	return patterns_add(p, (struct bytes){ text, n }, number);
}

static bool
streams_same(const struct account *a, const struct account *b)
{
	uint32_t i;

	if (a->nstreams != b->nstreams)
		return false;
	for (i = 0; i < a->nstreams; i++)
		if (a->streams[i].from != b->streams[i].from ||
		    a->streams[i].allow_trace != b->streams[i].allow_trace ||
		    !bytes_equal(transform_source(a->streams[i].to), transform_source(b->streams[i].to)) ||
		    !bytes_equal(transform_destination(a->streams[i].to), transform_destination(b->streams[i].to)))
			return false;
	return true;
}

static int
importer_fill(struct broker *b, struct importer *im, const struct account *a)
{
	const struct account	*before = b->accounts == NULL ? NULL : accounts_find(b->accounts, a->number);
	uint32_t		 i;

	im->account = a;
	if (before != NULL && streams_same(before, a)) {
		im->same = true;
		im->before = before->streams;
	}
	if ((im->streams = patterns_new(b->secret)) == NULL || (im->services = patterns_new(b->secret)) == NULL)
		return -ENOMEM;
	for (i = 0; i < a->nstreams; i++)
		if (local_add(im->streams, a->streams[i].to, i, b->pattern) != 0)
			return -ENOMEM;
	for (i = 0; i < a->nservices; i++)
		if (patterns_add(im->services, bytes_of(a->services[i].to), i) != 0)
			return -ENOMEM;
	return 0;
}

void
importers_free(struct broker *b)
{
	uint32_t i;

	for (i = 0; i < b->nimporters; i++) {
		patterns_free(b->importers[i].streams);
		patterns_free(b->importers[i].services);
	}
	free(b->importers);
	b->importers = NULL;
	b->nimporters = 0;
}

int
importers_set(struct broker *b, const struct accounts *accounts)
{
	const struct account	*a;
	uint32_t		 i, n = 0;

	importers_free(b);
	for (i = 0; accounts != NULL && i < accounts->count; i++)
		n += (accounts->all[i]->nstreams | accounts->all[i]->nservices) != 0;
	if (n == 0)
		return 0;
	if ((b->importers = calloc(n, sizeof(*b->importers))) == NULL)
		return -ENOMEM;
	for (i = 0; i < accounts->count; i++) {
		a = accounts->all[i];
		if ((a->nstreams | a->nservices) != 0 && importer_fill(b, &b->importers[b->nimporters++], a) != 0) {
			importers_free(b);
			return -ENOMEM;
		}
	}
	return 0;
}

/* ---- asking */

const struct importer *
importer_find(const struct broker *b, uint32_t account)
{
	uint32_t low = 0, high = b->nimporters, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (b->importers[middle].account->number == account)
			return &b->importers[middle];
		if (b->importers[middle].account->number < account)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct account *
importer_account(const struct importer *im)
{
	return im->account;
}

bool
importer_same(const struct importer *im, const struct stream_import **before)
{
	*before = im->before;
	return im->same;
}

int
found_add(struct broker *b, struct taker t)
{
	struct taker	*found;
	uint32_t	 room;

	if (b->nfound == b->found_room) {
		room = b->found_room == 0 ? 16 : b->found_room * 2;
		if ((found = reallocarray(b->found, room, sizeof(*found))) == NULL)
			return -ENOMEM;
		b->found = found;
		b->found_room = room;
	}
	b->found[b->nfound++] = t;
	return 0;
}

struct looking { struct broker *b; int rc; };

static bool
found(void *arg, uint32_t number)
{
	struct looking *l = arg;

	l->rc = found_add(l->b, (struct taker){ { .builtin = 0 }, { .import = number } });
	return l->rc != 0;
}

static int
taker_compare(const void *left, const void *right)
{
	const struct taker *a = left, *b = right;

	return (a->import > b->import) - (a->import < b->import);
}

static int
importer_ask(struct broker *b, struct patterns *p, enum patterns_asked asked, struct bytes subject)
{
	struct looking l = { .b = b };

	b->nfound = 0;
	(void)patterns_ask(p, asked, subject, found, &l);
	if (b->nfound > 1)
		qsort(b->found, b->nfound, sizeof(*b->found), taker_compare);
	return l.rc;
}

int
importer_streams(struct broker *b, const struct importer *im, struct bytes pattern)
{
	return importer_ask(b, im->streams, PATTERNS_OVERLAP, pattern);
}

int
importer_services(struct broker *b, const struct importer *im, struct bytes subject)
{
	return importer_ask(b, im->services, PATTERNS_MATCH, subject);
}

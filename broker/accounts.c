/* The accounts document, read once; nothing of it changes after that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "broker/accounts.h"
#include "common/records.h"
#include "nats/subject.h"
#include "shm/directory.h"

const struct builtin_import builtin_imports[BUILTIN_IMPORTS] = {
	{ "$SYS.REQ.ACCOUNT.PING.CONNZ", "CONNZ" },
	{ "$SYS.REQ.SERVER.PING.CONNZ", "CONNZ" },
	{ "$SYS.REQ.ACCOUNT.PING.STATZ", "STATZ" },
};

struct reading {
	struct accounts	*out;
	struct account	*account;		/* what follows belongs to it */
	const char	*cluster;		/* ours */
	bool		 ours;			/* the last mapping has destinations for our cluster */
	const char	**why;
};

/* Room for one more of a list that grows in powers of two. */
static int
list_room(void *list, uint32_t count, size_t size)
{
	void	**all = list, *more;

	if ((count & (count - 1)) != 0)
		return 0;
	more = reallocarray(*all, count == 0 ? 1 : (size_t)count * 2, size);
	if (more == NULL)
		return -ENOMEM;
	*all = more;
	return 0;
}

static int
text_copy(char **out, struct bytes text)
{
	return (*out = strndup(text.data, text.len)) == NULL ? -ENOMEM : 0;
}

static int
transform_read(struct reading *r, struct transform **out, struct bytes source,
    struct bytes destination, bool strict)
{
	int	 rc = transform_new(out, source, destination, strict, r->why);

	return rc == -EINVAL ? -EBADMSG : rc;
}

/* ---- records */

static int
account_read(struct reading *r, const struct msg_account *m)
{
	struct accounts	*a = r->out;
	struct account	*one;
	uint32_t	 i;

	if (list_room(&a->all, a->count, sizeof(*a->all)) != 0 ||
	    (one = calloc(1, sizeof(*one))) == NULL)
		return -ENOMEM;
	if (text_copy(&one->name, m->name) != 0) {
		free(one);
		return -ENOMEM;
	}
	one->number = (uint32_t)m->number;
	for (i = 0; i < LIMITS; i++)
		one->limits[i] = msg_number(&m->limits, i);
	a->all[a->count++] = one;
	r->account = one;
	return 0;
}

/* A destination for our cluster takes the place of those for all. */
static bool
mapping_takes(struct reading *r, struct mapping *map, struct bytes cluster)
{
	bool	 ours = cluster.len != 0;

	if (ours && !bytes_equal(cluster, bytes_of(r->cluster)))
		return false;
	if (r->ours && !ours)
		return false;
	if (ours && !r->ours) {
		while (map->count > 0)
			transform_free(map->to[--map->count].transform);
		free(map->to);
		map->to = NULL;
	}
	r->ours = ours;
	return true;
}

/* The mapping that this record goes on with, or a new one. NULL: no memory. */
static struct mapping *
mapping_of(struct reading *r, struct bytes source)
{
	struct account	*a = r->account;
	struct mapping	*map;

	if (a->nmappings > 0 && bytes_equal(bytes_of(a->mappings[a->nmappings - 1].source), source))
		return &a->mappings[a->nmappings - 1];
	if (list_room(&a->mappings, a->nmappings, sizeof(*map)) != 0)
		return NULL;
	map = &a->mappings[a->nmappings];
	*map = (struct mapping){ .source = NULL };
	if (text_copy(&map->source, source) != 0)
		return NULL;
	a->nmappings++;
	r->ours = false;
	return map;
}

static int
mapping_read(struct reading *r, const struct msg_mapping *m)
{
	struct mapping			*map = mapping_of(r, m->source);
	struct mapping_destination	*to;
	int				 rc;

	if (map == NULL)
		return -ENOMEM;
	if (!mapping_takes(r, map, m->cluster))
		return 0;
	if (list_room(&map->to, map->count, sizeof(*to)) != 0)
		return -ENOMEM;
	to = &map->to[map->count];
	if ((rc = transform_read(r, &to->transform, m->source, m->destination, false)) != 0)
		return rc;
	to->weight = (uint32_t)m->weight;
	map->count++;
	return 0;
}

/* An empty export at the end of the account's. NULL: no memory. */
static struct export *
export_new(struct account *a, struct bytes subject)
{
	struct export	*e;

	if (list_room(&a->exports, a->nexports, sizeof(*e)) != 0)
		return NULL;
	e = &a->exports[a->nexports];
	*e = (struct export){ .subject = NULL };
	if (text_copy(&e->subject, subject) != 0)
		return NULL;
	a->nexports++;
	return e;
}

static int
stream_export_read(struct reading *r, const struct msg_stream_export *m)
{
	struct export	*e = export_new(r->account, m->subject);

	if (e == NULL)
		return -ENOMEM;
	e->restricted = m->restricted != 0;
	e->token_position = (unsigned)m->token_position;
	return 0;
}

static int
service_export_read(struct reading *r, const struct msg_service_export *m)
{
	struct export	*e = export_new(r->account, m->subject);

	if (e == NULL)
		return -ENOMEM;
	e->service = true;
	e->restricted = m->restricted != 0;
	e->token_position = (unsigned)m->token_position;
	e->response = (enum response_type)m->response;
	e->sampling = (unsigned)m->sampling;
	return m->latency.len == 0 ? 0 : text_copy(&e->latency, m->latency);
}

static int
export_account_read(struct reading *r, const struct msg_export_account *m)
{
	struct export	*e;

	if (r->account->nexports == 0)
		return -EBADMSG;
	e = &r->account->exports[r->account->nexports - 1];
	if (list_room(&e->accounts, e->naccounts, sizeof(*e->accounts)) != 0)
		return -ENOMEM;
	e->accounts[e->naccounts++] = (uint32_t)m->account;
	return 0;
}

static int
stream_import_read(struct reading *r, const struct msg_stream_import *m)
{
	struct account		*a = r->account;
	struct stream_import	*import;
	int			 rc;

	if (list_room(&a->streams, a->nstreams, sizeof(*import)) != 0)
		return -ENOMEM;
	import = &a->streams[a->nstreams];
	*import = (struct stream_import){ .from = (uint32_t)m->from, .allow_trace = m->allow_trace != 0 };
	if ((rc = transform_read(r, &import->to, m->subject, m->to, true)) != 0)
		return rc;
	if ((rc = text_copy(&import->subject, m->subject)) != 0) {
		transform_free(import->to);
		return rc;
	}
	a->nstreams++;
	return 0;
}

static void
service_import_free(struct service_import *import)
{
	free(import->to);
	free(import->latency);
	transform_free(import->subject);
}

static int
service_import_read(struct reading *r, const struct msg_service_import *m)
{
	struct account		*a = r->account;
	struct service_import	*import;
	int			 rc;

	if (list_room(&a->services, a->nservices, sizeof(*import)) != 0)
		return -ENOMEM;
	import = &a->services[a->nservices];
	*import = (struct service_import){ .from = (uint32_t)m->from,
	    .response = (enum response_type)m->response, .threshold = (double)m->threshold / 1000,
	    .share = m->share != 0, .sampling = (unsigned)m->sampling };
	if ((rc = transform_read(r, &import->subject, m->to, m->subject, false)) != 0)
		return rc;
	if ((rc = text_copy(&import->to, m->to)) != 0 ||
	    (m->latency.len != 0 && (rc = text_copy(&import->latency, m->latency)) != 0)) {
		service_import_free(import);
		return rc;
	}
	a->nservices++;
	return 0;
}

static int
record_read(void *arg, const struct msg *m)
{
	struct reading	*r = arg;

	*r->why = msg_name(m->type);
	if (m->type == MSG_account)
		return account_read(r, &m->u.account);
	if (r->account == NULL)
		return -EBADMSG;
	switch (m->type) {
	case MSG_mapping:
		return mapping_read(r, &m->u.mapping);
	case MSG_stream_export:
		return stream_export_read(r, &m->u.stream_export);
	case MSG_service_export:
		return service_export_read(r, &m->u.service_export);
	case MSG_export_account:
		return export_account_read(r, &m->u.export_account);
	case MSG_stream_import:
		return stream_import_read(r, &m->u.stream_import);
	case MSG_service_import:
		return service_import_read(r, &m->u.service_import);
	case MSG_user:
	case MSG_permission_set:
	case MSG_permission:
		return 0;		/* auth's */
	default:
		return -EBADMSG;
	}
}

/* ---- when all is read */

static int
global_add(struct reading *r)
{
	uint64_t	none[LIMITS];
	uint32_t	i;
	struct msg_account m = { .number = ACCOUNT_GLOBAL, .name = BYTES("$G"),
	    .limits = { .count = LIMITS, .own = none } };

	for (i = 0; i < r->out->count; i++)
		if (r->out->all[i]->number == ACCOUNT_GLOBAL)
			return 0;
	for (i = 0; i < LIMITS; i++)
		none[i] = NO_LIMIT;
	return account_read(r, &m);
}

static int
number_compare(const void *left, const void *right)
{
	const struct account *const *a = left, *const *b = right;

	return ((*a)->number > (*b)->number) - ((*a)->number < (*b)->number);
}

static int
name_compare(const void *left, const void *right)
{
	const struct account *const *a = left, *const *b = right;

	return strcmp((*a)->name, (*b)->name);
}

/* Literal sources to the front; the others keep their order. */
static int
mappings_order(struct account *a)
{
	struct mapping	*ordered;
	uint32_t	 i, n = 0, pass;

	if (a->nmappings < 2)
		return 0;
	if ((ordered = reallocarray(NULL, a->nmappings, sizeof(*ordered))) == NULL)
		return -ENOMEM;
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < a->nmappings; i++)
			if (subject_has_wildcard(bytes_of(a->mappings[i].source)) == (pass == 1))
				ordered[n++] = a->mappings[i];
	free(a->mappings);
	a->mappings = ordered;
	return 0;
}

/* What an import names has to be there. */
static int
imports_check(const struct accounts *all, const struct account *a, const char **why)
{
	uint32_t	 i;

	*why = "account of an import";
	for (i = 0; i < a->nstreams; i++)
		if (accounts_find(all, a->streams[i].from) == NULL)
			return -EBADMSG;
	for (i = 0; i < a->nservices; i++)
		if (accounts_find(all, a->services[i].from) == NULL)
			return -EBADMSG;
	return 0;
}

static int
accounts_finish(struct reading *r)
{
	struct accounts	*a = r->out;
	uint32_t	 i;
	int		 rc;

	if ((rc = global_add(r)) != 0)
		return rc;
	if ((a->by_name = reallocarray(NULL, a->count, sizeof(*a->by_name))) == NULL)
		return -ENOMEM;
	memcpy(a->by_name, a->all, a->count * sizeof(*a->all));
	qsort(a->all, a->count, sizeof(*a->all), number_compare);
	qsort(a->by_name, a->count, sizeof(*a->by_name), name_compare);
	*r->why = "two accounts of one number or name";
	for (i = 1; i < a->count; i++)
		if (a->all[i - 1]->number == a->all[i]->number ||
		    strcmp(a->by_name[i - 1]->name, a->by_name[i]->name) == 0)
			return -EBADMSG;
	for (i = 0; i < a->count; i++)
		if ((rc = mappings_order(a->all[i])) != 0 ||
		    (rc = imports_check(a, a->all[i], r->why)) != 0)
			return rc;
	return 0;
}

int
accounts_read(struct accounts **out, int fd, enum role role, const char *cluster, const char **why)
{
	struct reading	 r = { .cluster = cluster, .why = why };
	int		 rc;

	if ((r.out = calloc(1, sizeof(*r.out))) == NULL)
		return -ENOMEM;
	rc = records_read(fd, ROLE_CONFIG, role, record_read, &r, why);
	if (rc == 0)
		rc = accounts_finish(&r);
	if (rc != 0) {
		accounts_free(r.out);
		return rc;
	}
	*out = r.out;
	return 0;
}

/* ---- the end */

static void
account_free(struct account *a)
{
	uint32_t	 i, j;

	for (i = 0; i < a->nmappings; i++) {
		for (j = 0; j < a->mappings[i].count; j++)
			transform_free(a->mappings[i].to[j].transform);
		free(a->mappings[i].to);
		free(a->mappings[i].source);
	}
	for (i = 0; i < a->nstreams; i++) {
		transform_free(a->streams[i].to);
		free(a->streams[i].subject);
	}
	for (i = 0; i < a->nservices; i++)
		service_import_free(&a->services[i]);
	for (i = 0; i < a->nexports; i++) {
		free(a->exports[i].subject);
		free(a->exports[i].latency);
		free(a->exports[i].accounts);
	}
	free(a->mappings);
	free(a->streams);
	free(a->services);
	free(a->exports);
	free(a->name);
	free(a);
}

void
accounts_free(struct accounts *a)
{
	uint32_t	 i;

	if (a == NULL)
		return;
	for (i = 0; i < a->count; i++)
		account_free(a->all[i]);
	free(a->all);
	free(a->by_name);
	free(a);
}

/* ---- looking */

const struct account *
accounts_find(const struct accounts *a, uint32_t number)
{
	uint32_t	 low = 0, high = a->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (a->all[middle]->number == number)
			return a->all[middle];
		if (a->all[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* As strcmp(), but name may have any bytes: a client's. */
static int
name_order(struct bytes name, const char *other)
{
	size_t	 len = strlen(other);
	int	 order = memcmp(name.data, other, name.len < len ? name.len : len);

	return order != 0 ? order : (name.len > len) - (name.len < len);
}

bool
account_imports_from(const struct account *a, uint32_t from)
{
	uint32_t	i;

	for (i = 0; i < a->nstreams; i++)
		if (a->streams[i].from == from)
			return true;
	return false;
}

const struct account *
accounts_named(const struct accounts *a, struct bytes name)
{
	uint32_t	 low = 0, high = a->count, middle;
	int		 order;

	while (low < high) {
		middle = low + (high - low) / 2;
		order = name_order(name, a->by_name[middle]->name);
		if (order == 0)
			return a->by_name[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

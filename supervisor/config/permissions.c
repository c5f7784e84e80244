/* Blocks of permissions, and the sets that are written once for all who have the same. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "common/records.h"
#include "nats/subject.h"
#include "supervisor/config/duration.h"
#include "supervisor/config/fields.h"

/* What one set says: the fields of its `permission_set`, and the records that follow. */
struct permission_set {
	bool		 publish, subscribe;
	uint64_t	 responses, responses_time;
	msgpack_sbuffer	 records;
	char		*text;		/* all of that, by which equal ones are found */
};

#define RESPONSES_USUAL		1		/* messages */
#define RESPONSES_TIME_USUAL	120000		/* milliseconds */

/* Records of one set while it is read. */
struct reading {
	struct permission_set	set;
	enum permission_kind	allow, deny;	/* of the part that is being read */
	bool			*restricted;
};

static int
subject_add(struct reading *r, enum permission_kind kind, struct bytes subject, struct bytes queue)
{
	struct msg	m = { .type = MSG_permission,
	    .u.permission = { .kind = kind, .subject = subject, .queue = queue } };

	return records_add(&r->set.records, &m);
}

static bool
is_blank(char c)
{
	return c != '\0' && strchr(" \t\n\v\f\r", c) != NULL;
}

/* The word at the front of *text, which is what follows it then. */
static struct bytes
word_take(struct bytes *text)
{
	struct bytes	word;

	for (; text->len > 0 && is_blank(*text->data); text->len--)
		text->data++;
	for (word = (struct bytes){ text->data, 0 }; text->len > 0 && !is_blank(*text->data); text->len--) {
		text->data++;
		word.len++;
	}
	return word;
}

/* One subject; where queues are meant, perhaps with the name of one behind it. */
static int
subject_read(struct fields *f, const struct config_value *v, enum permission_kind kind)
{
	struct bytes	 rest = v->text, subject, queue = BYTES("");
	char		 found[CONFIG_QUOTED];

	if (v->kind != CONFIG_TEXT) {
		config_error(f->t->errors, v->at, "found %s, expected a subject", config_found(v, found));
		return 0;
	}
	subject = rest;
	if (kind == SUBSCRIBE_ALLOW || kind == SUBSCRIBE_DENY) {
		subject = word_take(&rest);
		queue = word_take(&rest);
		if (queue.len == 0 || word_take(&rest).len > 0) {	/* no queue, or too much of it */
			subject = v->text;
			queue = BYTES("");
		}
	}
	if (!subject_good(f->t, v->at, subject) || (queue.len > 0 && !subject_good(f->t, v->at, queue)))
		return 0;
	return subject_add(f->owner, kind, subject, queue);
}

/* A subject or a list of them. *any: there was one. */
static int
subjects_read(struct fields *f, const struct config_value *v, enum permission_kind kind, bool *any)
{
	size_t	i;
	int	rc = 0;

	if (v->kind != CONFIG_LIST) {
		*any = true;
		return subject_read(f, v, kind);
	}
	for (i = 0; i < v->list.count && rc == 0; i++)
		rc = subject_read(f, &v->list.items[i], kind);
	*any = v->list.count > 0;
	return rc;
}

static int
allow_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	return subjects_read(f, &e->value, r->allow, r->restricted);
}

static int
deny_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	bool		 any;

	return subjects_read(f, &e->value, r->deny, &any);
}

/* Subjects that are allowed, or a block that says which are and which are not. */
static int
part_read(struct fields *f, const struct config_entry *e)
{
	static const struct field	table[] = { { "allow", allow_read }, { "deny", deny_read } };
	struct fields			inner = { f->t, "permissions of subjects", f->owner };

	if (e->value.kind == CONFIG_MAP)
		return fields_read(&inner, &e->value, table, sizeof(table) / sizeof(table[0]));
	return allow_read(f, e);
}

static int
publish_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->allow = PUBLISH_ALLOW;
	r->deny = PUBLISH_DENY;
	r->restricted = &r->set.publish;
	return part_read(f, e);
}

static int
subscribe_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->allow = SUBSCRIBE_ALLOW;
	r->deny = SUBSCRIBE_DENY;
	r->restricted = &r->set.subscribe;
	return part_read(f, e);
}

/* 0 is the usual number, below it there is no limit. */
static int
responses_max_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	int64_t		 most;

	if (field_whole(f, e, &most) && most != 0)
		r->set.responses = most < 0 ? NO_LIMIT : (uint64_t)most;
	return 0;
}

static int
responses_time_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	double		 seconds;

	if (e->value.kind != CONFIG_TEXT || duration_parse(e->value.text, &seconds) != 0)
		field_expected(f, e, "a duration, as \"10s\" or \"1m30s\"");
	else if (seconds < 0)
		r->set.responses_time = NO_LIMIT;
	else if (seconds > 0)
		r->set.responses_time = (uint64_t)ceil(seconds * 1000);
	return 0;
}

static int
responses_read(struct fields *f, const struct config_entry *e)
{
	static const struct field	table[] = {
		{ "max,max_msgs,max_messages,max_responses", responses_max_read },
		{ "expires,expiration,ttl", responses_time_read },
	};
	struct fields			inner = { f->t, "allow_responses", f->owner };
	struct reading			*r = f->owner;

	if (e->value.kind == CONFIG_BOOLEAN && !e->value.boolean)
		return 0;
	r->set.responses = RESPONSES_USUAL;
	r->set.responses_time = RESPONSES_TIME_USUAL;
	r->set.publish = true;		/* replies, and what else is allowed, but not everything */
	if (e->value.kind == CONFIG_BOOLEAN)
		return 0;
	return fields_read(&inner, &e->value, table, sizeof(table) / sizeof(table[0]));
}

/* Does it leave everything allowed? */
static bool
set_is_open(const struct permission_set *set)
{
	return !set->publish && !set->subscribe && set->responses == 0 && set->records.size == 0;
}

/* All that it says, as bytes. 0 or -ENOMEM. */
static int
set_text(struct permission_set *set, struct bytes *text)
{
	uint64_t	head[4] = { set->publish, set->subscribe, set->responses, set->responses_time };

	*text = (struct bytes){ NULL, sizeof(head) + set->records.size };
	set->text = malloc(text->len);
	if (set->text == NULL)
		return -ENOMEM;
	text->data = set->text;
	memcpy(set->text, head, sizeof(head));
	if (set->records.size > 0)
		memcpy(set->text + sizeof(head), set->records.data, set->records.size);
	return 0;
}

static void
set_free(struct permission_set *set)
{
	msgpack_sbuffer_destroy(&set->records);
	free(set->text);
}

/* Its number: that of an equal one, or the next. It is taken over if this returns 0 and *taken. */
static int
set_number(struct tenants *t, struct permission_set *set, uint32_t *number, bool *taken)
{
	void		*sets = t->sets;
	struct bytes	 text;
	uint32_t	 next = (uint32_t)t->nsets + 1;
	int		 rc;

	*taken = false;
	if (set_text(set, &text) != 0 ||
	    config_room(&sets, t->nsets, &t->sets_room, sizeof(*t->sets)) != 0)
		return -ENOMEM;
	t->sets = sets;
	rc = known_add(&t->set_texts, text, next, number);
	if (rc == -EEXIST)
		return 0;
	if (rc != 0)
		return rc;
	t->sets[t->nsets++] = *set;
	*taken = true;
	*number = next;
	return 0;
}

int
permissions_read(struct tenants *t, const struct config_value *v, uint32_t *number)
{
	static const struct field	table[] = {
		{ "publish,pub,import", publish_read }, { "subscribe,sub,export", subscribe_read },
		{ "allow_responses,publish_allow_responses", responses_read },
	};
	struct reading			r = { .set = { .publish = false } };
	struct fields			f = { t, "permissions", &r };
	bool				taken = false;
	int				rc;

	msgpack_sbuffer_init(&r.set.records);
	*number = 0;
	rc = fields_read(&f, v, table, sizeof(table) / sizeof(table[0]));
	if (rc == 0 && !set_is_open(&r.set))
		rc = set_number(t, &r.set, number, &taken);
	if (!taken)
		set_free(&r.set);
	return rc;
}

int
permissions_write(const struct tenants *t, uint32_t number, msgpack_sbuffer *out)
{
	const struct permission_set	*set = &t->sets[number - 1];
	struct msg			 m = { .type = MSG_permission_set, .u.permission_set = {
	    .number = number, .publish = set->publish, .subscribe = set->subscribe,
	    .responses = set->responses, .responses_time = set->responses_time } };
	int				 rc = records_add(out, &m);

	if (rc == 0 && set->records.size > 0 &&
	    msgpack_sbuffer_write(out, set->records.data, set->records.size) != 0)
		rc = -ENOMEM;
	return rc;
}

void
permissions_free(struct tenants *t)
{
	while (t->nsets > 0)
		set_free(&t->sets[--t->nsets]);
	free(t->sets);
}

/* Blocks of permissions, and the sets that are written once for all who have the same. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "common/records.h"
#include "nats/subject.h"
#include "supervisor/config/duration.h"
#include "supervisor/config/fields.h"

/* The fields of one `permission_set`. */
struct permission_head {
	uint64_t	publish, subscribe;	/* 0 or 1 */
	uint64_t	responses, responses_time;
};

/* What one set says: its head, and the records that follow. By these bytes equal ones are found. */
struct permission_set { struct bytes text; };

#define RESPONSES_USUAL		1		/* messages */
#define RESPONSES_TIME_USUAL	120000		/* milliseconds */

/* Records of one set while it is read. */
struct reading {
	struct permission_head	head;
	msgpack_sbuffer		records;
	enum permission_kind	allow, deny;	/* of the part that is being read */
	uint64_t		*restricted;
};

static int
subject_add(struct reading *r, enum permission_kind kind, struct bytes subject, struct bytes queue)
{
	struct msg	m = { .type = MSG_permission,
	    .u.permission = { .kind = kind, .subject = subject, .queue = queue } };

	return records_add(&r->records, &m);
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
	bool		 any;
	int		 rc = subjects_read(f, &e->value, r->allow, &any);

	if (any)		/* an empty list does not take back what allow_responses said before it */
		*r->restricted = 1;
	return rc;
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
	r->restricted = &r->head.publish;
	return part_read(f, e);
}

static int
subscribe_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->allow = SUBSCRIBE_ALLOW;
	r->deny = SUBSCRIBE_DENY;
	r->restricted = &r->head.subscribe;
	return part_read(f, e);
}

/* 0 is the usual number, below it there is no limit. */
static int
responses_max_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;
	int64_t		 most;

	if (field_whole(f, e, &most) && most != 0)
		r->head.responses = most < 0 ? NO_LIMIT : (uint64_t)most;
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
		r->head.responses_time = NO_LIMIT;
	else if (seconds > 0)
		r->head.responses_time = (uint64_t)ceil(seconds * 1000);
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
	r->head.responses = RESPONSES_USUAL;
	r->head.responses_time = RESPONSES_TIME_USUAL;
	r->head.publish = 1;		/* replies, and what else is allowed, but not everything */
	if (e->value.kind == CONFIG_BOOLEAN)
		return 0;
	return fields_read(&inner, &e->value, table, sizeof(table) / sizeof(table[0]));
}

/* Does it leave everything allowed? */
static bool
is_open(const struct reading *r)
{
	return r->head.publish == 0 && r->head.subscribe == 0 && r->head.responses == 0 && r->records.size == 0;
}

/* All that was read, as bytes to free. 0 or -ENOMEM. */
static int
set_text(const struct reading *r, struct bytes *text)
{
	char	*data = malloc(sizeof(r->head) + r->records.size);

	if (data == NULL)
		return -ENOMEM;
	memcpy(data, &r->head, sizeof(r->head));
	if (r->records.size > 0)
		memcpy(data + sizeof(r->head), r->records.data, r->records.size);
	*text = (struct bytes){ data, sizeof(r->head) + r->records.size };
	return 0;
}

static void
text_free(struct bytes text)
{
	free((void *)(uintptr_t)text.data);
}

/* The number of what was read: that of an equal set, or the next. 0 or -ENOMEM. */
static int
set_number(struct tenants *t, const struct reading *r, uint32_t *number)
{
	void		*sets = t->sets;
	struct bytes	 text;
	int		 rc;

	if (config_room(&sets, t->nsets, &t->sets_room, sizeof(*t->sets)) != 0)
		return -ENOMEM;
	t->sets = sets;
	if (set_text(r, &text) != 0)
		return -ENOMEM;
	rc = known_add(&t->set_texts, text, (uint32_t)t->nsets + 1, number);
	if (rc != 0) {
		text_free(text);
		return rc == -EEXIST ? 0 : rc;
	}
	t->sets[t->nsets++].text = text;
	*number = (uint32_t)t->nsets;
	return 0;
}

int
permissions_read(struct tenants *t, const struct config_value *v, uint32_t *number)
{
	static const struct field	table[] = {
		{ "publish,pub,import", publish_read }, { "subscribe,sub,export", subscribe_read },
		{ "allow_responses,publish_allow_responses", responses_read },
	};
	struct reading			r = { .head = { .publish = 0 } };
	struct fields			f = { t, "permissions", &r };
	int				rc;

	msgpack_sbuffer_init(&r.records);
	*number = 0;
	rc = fields_read(&f, v, table, sizeof(table) / sizeof(table[0]));
	if (rc == 0 && !is_open(&r))
		rc = set_number(t, &r, number);
	msgpack_sbuffer_destroy(&r.records);
	return rc;
}

int
permissions_write(const struct tenants *t, uint32_t number, msgpack_sbuffer *out)
{
	struct bytes		 text = t->sets[number - 1].text;
	struct permission_head	 head;
	struct msg		 m = { .type = MSG_permission_set };
	int			 rc;

	memcpy(&head, text.data, sizeof(head));
	m.u.permission_set = (struct msg_permission_set){ .number = number, .publish = head.publish,
	    .subscribe = head.subscribe, .responses = head.responses, .responses_time = head.responses_time };
	rc = records_add(out, &m);
	if (rc == 0 && text.len > sizeof(head) &&
	    msgpack_sbuffer_write(out, text.data + sizeof(head), text.len - sizeof(head)) != 0)
		rc = -ENOMEM;
	return rc;
}

void
permissions_free(struct tenants *t)
{
	while (t->nsets > 0)
		text_free(t->sets[--t->nsets].text);
	free(t->sets);
}

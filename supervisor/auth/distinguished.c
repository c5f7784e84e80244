#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include "supervisor/auth/distinguished.h"

#define NAME_MOST	8192u	/* bytes of a name */
#define ATTRIBUTES	64u	/* of one */

struct attribute {
	struct bytes	type, value;
	unsigned	part;	/* the number of its part, from 0 */
};

struct name {
	struct attribute all[ATTRIBUTES];
	unsigned	 count, parts;
	size_t		 used;
	char		 text[NAME_MOST];
};

/* What is being read. */
struct scan { struct bytes rest; struct name *name; };

static int
hex_digit(char c)
{
	if (!isxdigit((unsigned char)c))
		return -1;
	return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

/* Behind a backslash: one of the characters that need it, or two hex digits. -1: neither. */
static int
escape_take(struct scan *s)
{
	const struct bytes	r = s->rest;

	if (r.len > 0 && strchr(" \"#+,;<=>\\", r.data[0]) != NULL && r.data[0] != '\0') {
		s->rest = (struct bytes){ r.data + 1, r.len - 1 };
		return (unsigned char)r.data[0];
	}
	if (r.len < 2 || hex_digit(r.data[0]) < 0 || hex_digit(r.data[1]) < 0)
		return -1;
	s->rest = (struct bytes){ r.data + 2, r.len - 2 };
	return hex_digit(r.data[0]) << 4 | hex_digit(r.data[1]);
}

/* Up to one of `ends`, without blanks around it but escaped ones. False: empty, or a bad escape. */
static bool
text_take(struct scan *s, const char *ends, struct bytes *out)
{
	struct name	*n = s->name;
	char		*text = n->text + n->used;
	size_t		 len = 0, keep = 0;
	int		 c;

	while (s->rest.len > 0 && s->rest.data[0] == ' ')
		s->rest = (struct bytes){ s->rest.data + 1, s->rest.len - 1 };
	while (s->rest.len > 0 && (s->rest.data[0] == '\0' || strchr(ends, s->rest.data[0]) == NULL)) {
		c = (unsigned char)s->rest.data[0];
		s->rest = (struct bytes){ s->rest.data + 1, s->rest.len - 1 };
		if (c == '\\') {
			if ((c = escape_take(s)) < 0)
				return false;
			keep = len + 1;
		} else if (c != ' ')
			keep = len + 1;
		text[len++] = (char)c;
	}
	*out = (struct bytes){ text, keep };
	n->used += keep;
	return keep > 0;
}

static bool
attribute_take(struct scan *s)
{
	struct name		*n = s->name;
	struct attribute	*a;

	if (n->count == ATTRIBUTES)
		return false;
	a = &n->all[n->count++];
	a->part = n->parts;
	if (!text_take(s, "=,+", &a->type) || s->rest.len == 0 || s->rest.data[0] != '=')
		return false;
	s->rest = (struct bytes){ s->rest.data + 1, s->rest.len - 1 };
	if (s->rest.len > 0 && s->rest.data[0] == '#')
		return false;
	return text_take(s, ",+", &a->value);
}

/* What is read is never longer than what it is read from, so text has room. */
static bool
name_parse(struct name *n, struct bytes text)
{
	struct scan	s = { text, n };
	char		between;

	n->count = n->parts = 0;
	n->used = 0;
	if (text.len > NAME_MOST || memchr(text.data, '=', text.len) == NULL)
		return false;
	for (;;) {
		if (!attribute_take(&s))
			return false;
		if (s.rest.len == 0)
			break;
		between = s.rest.data[0];
		s.rest = (struct bytes){ s.rest.data + 1, s.rest.len - 1 };
		n->parts += between == ',';
	}
	n->parts++;
	return true;
}

static bool
attribute_equal(const struct attribute *a, const struct attribute *b)
{
	return a->type.len == b->type.len && strncasecmp(a->type.data, b->type.data, a->type.len) == 0 &&
	    bytes_equal(a->value, b->value);
}

/* One part of each: is each attribute of the one in the other, as often? */
static bool
part_equal(const struct name *a, unsigned i, const struct name *b, unsigned k)
{
	bool		taken[ATTRIBUTES] = { false };
	unsigned	x, y, left = 0;

	for (y = 0; y < b->count; y++)
		left += b->all[y].part == k;
	for (x = 0; x < a->count; x++) {
		if (a->all[x].part != i)
			continue;
		for (y = 0; y < b->count; y++)
			if (b->all[y].part == k && !taken[y] && attribute_equal(&a->all[x], &b->all[y]))
				break;
		if (y == b->count)
			return false;
		taken[y] = true;
		left--;
	}
	return left == 0;
}

static enum distinguished_compared
parts_compare(const struct name *a, const struct name *b)
{
	bool		taken[ATTRIBUTES] = { false };
	unsigned	i, k;

	if (a->parts != b->parts || a->count != b->count)
		return NAMES_DIFFER;
	for (i = 0; i < a->parts && part_equal(a, i, b, i); i++)
		;
	if (i == a->parts)
		return NAMES_EQUAL;
	for (i = 0; i < a->parts; i++) {
		for (k = 0; k < b->parts && (taken[k] || !part_equal(a, i, b, k)); k++)
			;
		if (k == b->parts)
			return NAMES_DIFFER;
		taken[k] = true;
	}
	return NAMES_REORDERED;
}

enum distinguished_compared
distinguished_compare(struct bytes a, struct bytes b)
{
	struct name		*two = malloc(2 * sizeof(*two));
	enum distinguished_compared	 rc = NAMES_DIFFER;

	if (two != NULL && name_parse(&two[0], a) && name_parse(&two[1], b))
		rc = parts_compare(&two[0], &two[1]);
	free(two);
	return rc;
}

/* Sums, so that no order counts. */
static uint64_t
parsed_hash(const struct name *n)
{
	char		type[NAME_MOST];
	uint64_t	hash = n->parts, part = 0;
	unsigned	i;
	size_t		k;

	for (i = 0; i < n->count; i++) {
		const struct attribute	*a = &n->all[i];

		for (k = 0; k < a->type.len; k++)
			type[k] = (char)tolower((unsigned char)a->type.data[k]);
		part += map_mix(map_hash((struct bytes){ type, a->type.len }), map_hash(a->value));
		if (i + 1 == n->count || n->all[i + 1].part != a->part) {
			hash += map_mix(part, 0);
			part = 0;
		}
	}
	return hash;
}

/* 1: it has one; 0: it is no distinguished name; -ENOMEM. */
static int
name_hash(struct bytes text, uint64_t *hash)
{
	struct name	*n = malloc(sizeof(*n));
	int		 rc;

	if (n == NULL)
		return -ENOMEM;
	rc = name_parse(n, text);
	if (rc == 1)
		*hash = parsed_hash(n);
	free(n);
	return rc;
}

int
distinguished_add(struct distinguished *n, struct bytes name, uint32_t of)
{
	struct name_entry	*more;
	uint64_t		 hash;
	uint32_t		 room = n->room == 0 ? 16 : n->room * 2;
	int			 rc = memchr(name.data, '=', name.len) == NULL ? 0 : name_hash(name, &hash);

	if (rc <= 0)
		return rc;
	if (n->count == n->room) {
		if (room < n->room || (more = reallocarray(n->all, room, sizeof(*more))) == NULL)
			return -ENOMEM;
		n->all = more;
		n->room = room;
	}
	n->all[n->count++] = (struct name_entry){ hash, of };
	return 0;
}

static int
entry_compare(const void *a, const void *b)
{
	const struct name_entry	*x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->of < y->of ? -1 : x->of > y->of;
}

void
distinguished_sort(struct distinguished *n)
{
	if (n->count > 0)
		qsort(n->all, n->count, sizeof(*n->all), entry_compare);
}

void
distinguished_free(struct distinguished *n)
{
	free(n->all);
	*n = (struct distinguished){ NULL, 0, 0 };
}

void
distinguished_begin(struct distinguished_walk *w, const struct distinguished *n, struct bytes name)
{
	uint32_t	low = 0, high = n->count, middle;

	*w = (struct distinguished_walk){ .names = n };
	if (n->count == 0 || name_hash(name, &w->hash) <= 0) {
		w->at = n->count;
		return;
	}
	while (low < high) {
		middle = low + (high - low) / 2;
		if (n->all[middle].hash < w->hash)
			low = middle + 1;
		else
			high = middle;
	}
	w->at = low;
}

bool
distinguished_next(struct distinguished_walk *w, uint32_t *of)
{
	if (w->at >= w->names->count || w->names->all[w->at].hash != w->hash)
		return false;
	*of = w->names->all[w->at++].of;
	return true;
}

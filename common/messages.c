#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/messages.h"

/* -- one kind of field each: put_ checks and packs our own, get_ checks theirs,
 * print_ shows. put_: 0, -EINVAL out of range, -ENOMEM. get_: 0 or -1. */

static int
put_u64(msgpack_packer *p, uint64_t v, uint64_t lo, uint64_t hi)
{
	if (v < lo || v > hi)
		return -EINVAL;
	return msgpack_pack_uint64(p, v) == 0 ? 0 : -ENOMEM;
}

static int
put_str(msgpack_packer *p, struct bytes b, size_t lo, size_t hi)
{
	if (b.len < lo || b.len > hi || (b.len > 0 && memchr(b.data, 0, b.len) != NULL))
		return -EINVAL;
	if (msgpack_pack_str(p, b.len) != 0)
		return -ENOMEM;
	return b.len == 0 || msgpack_pack_str_body(p, b.data, b.len) == 0 ? 0 : -ENOMEM;
}

static int
put_bin(msgpack_packer *p, struct bytes b, size_t lo, size_t hi)
{
	if (b.len < lo || b.len > hi)
		return -EINVAL;
	if (msgpack_pack_bin(p, b.len) != 0)
		return -ENOMEM;
	return b.len == 0 || msgpack_pack_bin_body(p, b.data, b.len) == 0 ? 0 : -ENOMEM;
}

static int
put_u64s(msgpack_packer *p, struct numbers n, uint64_t lo, uint64_t hi)
{
	uint32_t	i;

	if (n.count < lo || n.count > hi)
		return -EINVAL;
	if (msgpack_pack_array(p, n.count) != 0)
		return -ENOMEM;
	for (i = 0; i < n.count; i++)
		if (msgpack_pack_uint64(p, msg_number(&n, i)) != 0)
			return -ENOMEM;
	return 0;
}

static int
get_u64(const msgpack_object *o, uint64_t *v, uint64_t lo, uint64_t hi)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return -1;
	*v = o->via.u64;
	return *v < lo || *v > hi ? -1 : 0;
}

static int
get_str(const msgpack_object *o, struct bytes *b, size_t lo, size_t hi)
{
	if (o->type != MSGPACK_OBJECT_STR)
		return -1;
	*b = o->via.str.size == 0 ? BYTES("") : (struct bytes){ o->via.str.ptr, o->via.str.size };
	if (b->len < lo || b->len > hi)
		return -1;
	return b->len > 0 && memchr(b->data, 0, b->len) != NULL ? -1 : 0;
}

static int
get_bin(const msgpack_object *o, struct bytes *b, size_t lo, size_t hi)
{
	if (o->type != MSGPACK_OBJECT_BIN)
		return -1;
	*b = o->via.bin.size == 0 ? BYTES("") : (struct bytes){ o->via.bin.ptr, o->via.bin.size };
	return b->len < lo || b->len > hi ? -1 : 0;
}

static int
get_u64s(const msgpack_object *o, struct numbers *n, uint64_t lo, uint64_t hi)
{
	uint32_t	i;

	if (o->type != MSGPACK_OBJECT_ARRAY)
		return -1;
	*n = (struct numbers){ .first = o->via.array.ptr, .count = o->via.array.size };
	if (n->count < lo || n->count > hi)
		return -1;
	for (i = 0; i < n->count; i++)
		if (n->first[i].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
			return -1;
	return 0;
}

/* Text of limited size. */
struct printer { char *text; size_t size, len; };

static void print(struct printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
print(struct printer *p, const char *format, ...)
{
	va_list	ap;
	int	n;

	if (p->len + 1 >= p->size)
		return;
	va_start(ap, format);
	n = vsnprintf(p->text + p->len, p->size - p->len, format, ap);
	va_end(ap);
	if (n > 0)
		p->len = (size_t)n >= p->size - p->len ? p->size - 1 : p->len + (size_t)n;
}

static void
print_u64(struct printer *p, const char *name, uint64_t v)
{
	print(p, " %s=%llu", name, (unsigned long long)v);
}

static void
print_str(struct printer *p, const char *name, struct bytes b)
{
	print(p, " %s=%.*s", name, (int)b.len, b.len == 0 ? "" : b.data);
}

static void
print_bin(struct printer *p, const char *name, struct bytes b)
{
	print(p, " %s=(%zu bytes)", name, b.len);
}

static void
print_u64s(struct printer *p, const char *name, struct numbers n)
{
	print(p, " %s=(%u numbers)", name, n.count);
}

/* -- one message each */

#define MESSAGE(name, from, to, fds, state) enum { NFIELDS_##name = 0
#define FIELD(kind, name, lo, hi) + 1
#define END(name) };
#include "common/messages.def"

#define MESSAGE(name, from, to, fds, state) static int		\
encode_##name(msgpack_packer *p, const struct msg_##name *m) {	\
	int rc = 0;
#define FIELD(kind, name, lo, hi)				\
	if (rc == 0)						\
		rc = put_##kind(p, m->name, lo, hi);
#define END(name) return rc; }
#include "common/messages.def"

#define MESSAGE(name, from, to, fds, state) static const char *	\
decode_##name(struct msg_##name *m, const msgpack_object *o) {
#define FIELD(kind, name, lo, hi)				\
	if (get_##kind(o++, &m->name, lo, hi) != 0)		\
		return #name;
#define END(name) return NULL; }
#include "common/messages.def"

#define MESSAGE(name, from, to, fds, state) static void		\
print_##name(struct printer *p, const struct msg_##name *m) {
#define FIELD(kind, name, lo, hi) print_##kind(p, #name, m->name);
#define END(name) }
#include "common/messages.def"

static const struct {
	const char	*name;
	enum role	 from, to;
	int		 fds;
	enum msg_state	 state;
	uint32_t	 nfields;
} table[] = {
#define MESSAGE(name, from, to, fds, state) \
	{ #name, ROLE_##from, ROLE_##to, fds, MSG_##state, NFIELDS_##name },
#define FIELD(kind, name, lo, hi)
#define END(name)
#include "common/messages.def"
};

#define MESSAGE(name, from, to, fds, state) \
	_Static_assert((fds) <= MESSAGE_FDS_MAX, #name);
#define FIELD(kind, name, lo, hi)
#define END(name)
#include "common/messages.def"

static const char *const roles[] = {
#define ROLE(name, program) #program,
#include "common/roles.def"
};

const char *
role_name(enum role role)
{
	return (unsigned)role < ROLES ? roles[role] : "?";
}

const char *
msg_name(enum msg_type type)
{
	return (unsigned)type < MSG_TYPES ? table[type].name : "?";
}

int
msg_descriptors(enum msg_type type)
{
	return (unsigned)type < MSG_TYPES ? table[type].fds : 0;
}

uint64_t
msg_number(const struct numbers *n, uint32_t i)
{
	return n->own != NULL ? n->own[i] : n->first[i].via.u64;
}

static int
fields_encode(msgpack_packer *p, const struct msg *m)
{
	switch (m->type) {
#define MESSAGE(name, from, to, fds, state) \
	case MSG_##name: return encode_##name(p, &m->u.name);
#define FIELD(kind, name, lo, hi)
#define END(name)
#include "common/messages.def"
	case MSG_TYPES:
		break;
	}
	return -EINVAL;
}

int
msg_encode(msgpack_sbuffer *out, const struct msg *m)
{
	const size_t	before = out->size;
	msgpack_packer	p;
	int		rc;

	if ((unsigned)m->type >= MSG_TYPES)
		return -EINVAL;
	msgpack_packer_init(&p, out, msgpack_sbuffer_write);
	if (msgpack_pack_array(&p, 1 + table[m->type].nfields) != 0 ||
	    msgpack_pack_uint64(&p, m->type) != 0)
		rc = -ENOMEM;
	else
		rc = fields_encode(&p, m);
	if (rc == 0 && out->size - before > MESSAGE_MAX)
		rc = -EMSGSIZE;
	if (rc != 0)
		out->size = before;
	return rc;
}

/* ANY stands for every role but the one at the other end. */
static bool
role_fits(enum role declared, enum role is, enum role other)
{
	if (declared == ROLE_ANY)
		return is != other;
	if (declared == ROLE_FABRIC)
		return is == ROLE_WORKER || is == ROLE_SYSTEM;
	return is == declared;
}

static const char *
fields_decode(struct msg *m, const msgpack_object *o)
{
	switch (m->type) {
#define MESSAGE(name, from, to, fds, state) \
	case MSG_##name: return decode_##name(&m->u.name, o);
#define FIELD(kind, name, lo, hi)
#define END(name)
#include "common/messages.def"
	case MSG_TYPES:
		break;
	}
	return "type";
}

int
msg_decode(struct msg *m, enum role from, enum role to, int nfds,
    enum msg_state state, const msgpack_object *o, const char **why)
{
	const msgpack_object	*a;

	*why = "type";
	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size < 1)
		return -EBADMSG;
	a = o->via.array.ptr;
	if (a->type != MSGPACK_OBJECT_POSITIVE_INTEGER || a->via.u64 >= MSG_TYPES)
		return -EBADMSG;
	m->type = (enum msg_type)a->via.u64;

	*why = "sender";
	if (!role_fits(table[m->type].from, from, to) || !role_fits(table[m->type].to, to, from))
		return -EPERM;
	*why = "shape";
	if (o->via.array.size != 1 + table[m->type].nfields || table[m->type].fds != nfds)
		return -EBADMSG;
	*why = "state";
	if ((table[m->type].state & state) == 0)
		return -EPERM;
	*why = fields_decode(m, a + 1);
	return *why == NULL ? 0 : -EBADMSG;
}

void
msg_print(const struct msg *m, char *text, size_t size)
{
	struct printer	p = { text, size, 0 };

	if (size == 0)
		return;
	text[0] = '\0';
	print(&p, "%s", msg_name(m->type));
	switch (m->type) {
#define MESSAGE(name, from, to, fds, state) \
	case MSG_##name: print_##name(&p, &m->u.name); break;
#define FIELD(kind, name, lo, hi)
#define END(name)
#include "common/messages.def"
	case MSG_TYPES:
		break;
	}
}

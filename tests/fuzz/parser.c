/*
 * The client protocol's lines, alone: what a connection does with them has a
 * target of its own. The first byte chooses max_control_line.
 * Holds for all bytes: nothing is read outside; what is taken is there; a line
 * reads alike alone and with more behind it; no part of a line says what the
 * line does not.
 */
#include <stdint.h>
#include <stdlib.h>
#include "nats/connect.h"
#include "nats/parser.h"
#include "nats/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
demand(bool so)
{
	if (!so)
		abort();
}

static void
is_inside(struct bytes part, const char *data, size_t len)
{
	demand(part.len == 0 ||
	    (part.data >= data && part.len <= len && part.data + part.len <= data + len));
}

static void
is_same(struct bytes a, const char *from_a, struct bytes b, const char *from_b)
{
	demand(a.len == b.len && (a.len == 0 || a.data - from_a == b.data - from_b));
}

/* The first `len` bytes in memory of just that size. */
static char *
copy_exactly(const char *data, size_t len)
{
	char *copy = malloc(len + (len == 0));

	demand(copy != NULL);
	memcpy(copy, data, len);
	return copy;
}

static void
subjects_use(struct bytes a, struct bytes b)
{
	char quoted[64];

	subject_quote(quoted, sizeof(quoted), a);
	demand(subject_literal(a) == (subject_valid(a) && !subject_has_wildcard(a)));
	demand(a.len == 0 || subject_tokens(a) >= 1);
	if (subject_valid(a))
		demand(subject_matches(a, a) && (!subject_matches(a, b) || b.len > 0));
}

static void
fields_use(const struct nats_line *line, const char *data, size_t len)
{
	struct nats_connect c;

	switch (line->op) {
	case NATS_PUB:
	case NATS_HPUB:
		is_inside(line->subject, data, len);
		is_inside(line->reply, data, len);
		is_inside(line->size_text, data, len);
		demand(line->subject.len > 0 && line->size_text.len > 0);
		demand(line->size <= 999999999 && line->header <= line->size);
		subjects_use(line->subject, line->reply);
		break;
	case NATS_SUB:
		is_inside(line->subject, data, len);
		is_inside(line->queue, data, len);
		is_inside(line->sid, data, len);
		demand(line->subject.len > 0 && line->sid.len > 0);
		subjects_use(line->subject, line->queue);
		break;
	case NATS_UNSUB:
		is_inside(line->sid, data, len);
		demand(line->sid.len > 0);
		break;
	case NATS_CONNECT:
	case NATS_INFO:
		is_inside(line->json, data, len);
		nats_connect_defaults(&c);
		nats_connect_parse(&c, line->json);
		nats_connect_free(&c);
		break;
	default:
		break;
	}
}

/* The line alone, and its parts. */
static void
line_again(const struct nats_line *line, const char *data, size_t len, size_t most)
{
	struct nats_line again;
	size_t part;
	char *copy;

	copy = copy_exactly(data, len);
	demand(nats_parse(copy, len, most, &again) == len && again.op == line->op);
	if (line->op == NATS_PUB || line->op == NATS_HPUB) {
		is_same(line->subject, data, again.subject, copy);
		is_same(line->reply, data, again.reply, copy);
		is_same(line->size_text, data, again.size_text, copy);
		demand(line->size == again.size && line->header == again.header);
	}
	free(copy);
	for (part = 0; part < len; part += 1 + len / 16) {
		copy = copy_exactly(data, part);
		demand(nats_parse(copy, part, most, &again) == 0 && again.op == NATS_MORE);
		free(copy);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nats_line line;
	size_t at = 0, taken, most;
	char *text;

	if (size == 0)
		return 0;
	most = data[0] & 1 ? 4096 : 32 + data[0];
	size--;
	text = copy_exactly((const char *)data + 1, size);
	while (at < size) {
		taken = nats_parse(text + at, size - at, most, &line);
		if (line.op == NATS_MORE || line.op >= NATS_ERR)
			break;
		demand(taken > 0 && taken <= size - at);
		fields_use(&line, text + at, taken);
		line_again(&line, text + at, taken, most);
		at += taken;
		if (line.op == NATS_PUB || line.op == NATS_HPUB)
			at += line.size + 2;
	}
	free(text);
	return 0;
}

/*
 * Mappings: source, destination, a subject and a size, a line each. What is accepted maps
 * what it matches within the size, and what is taken back matches what it should.
 */
#include <errno.h>
#include <stdlib.h>
#include "nats/subject.h"
#include "nats/transform.h"

#define OUT	4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes
line_next(struct bytes *rest)
{
	const char	*end = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);
	struct bytes	 line = { rest->data, end == NULL ? rest->len : (size_t)(end - rest->data) };
	size_t		 used = end == NULL ? line.len : line.len + 1;

	rest->data += used;
	rest->len -= used;
	return line;
}

/* Into memory of just that size. */
static void
map(const struct transform *t, struct bytes subject, size_t size)
{
	char	*out = malloc(size == 0 ? 1 : size);
	int	 len;

	if (out == NULL)
		abort();
	len = transform_subject(t, subject, size * UINT64_C(0x9e3779b97f4a7c15), out, size);
	if (len != -ENOSPC && (len < 0 || (size_t)len > size))
		abort();
	free(out);
}

static void
take_back(const struct transform *t, struct bytes wanted)
{
	static char	back[OUT], forth[OUT];
	struct bytes	pattern;
	int		len = transform_back(t, wanted, back, sizeof(back));

	if (len < 0)
		return;
	pattern = (struct bytes){ back, (size_t)len };
	if (!subject_valid(pattern) || !subject_within(pattern, transform_source(t)))
		abort();
	/* a literal one maps to what was wanted */
	if (!subject_literal(pattern))
		return;
	len = transform_subject(t, pattern, 0, forth, sizeof(forth));
	if (len >= 0 && !subject_matches(wanted, (struct bytes){ forth, (size_t)len }))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes	 rest = { (const char *)data, size };
	struct bytes	 source, destination, subject;
	struct transform *t;
	const char	*why = NULL;

	if (size == 0)
		return 0;
	source = line_next(&rest);
	destination = line_next(&rest);
	subject = line_next(&rest);
	if (transform_new(&t, source, destination, false, &why) == 0) {
		if (transform_matches(t, subject))
			map(t, subject, rest.len == 0 ? OUT : (uint8_t)rest.data[0]);
		transform_free(t);
	} else if (why == NULL)
		abort();
	if (transform_new(&t, source, destination, true, &why) == 0) {
		if (subject_valid(subject))
			take_back(t, subject);
		transform_free(t);
	}
	return 0;
}

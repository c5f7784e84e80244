#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/pem.h"

#define BEGIN		"-----BEGIN "
#define END		"-----END "
#define DASHES		"-----"

/* The block that is being read: no longer than the text that it comes from. */
struct pem {
	const char	*label;
	char		*out;
	size_t		 len;
	size_t		 digits, padding;	/* of its base64 */
	bool		 inside;
};

/* The next line of what is left, without its end and white space there. False: there is none. */
static bool
line_next(struct bytes *left, struct bytes *line)
{
	const char *end;

	if (left->len == 0)
		return false;
	end = memchr(left->data, '\n', left->len);
	*line = (struct bytes){ left->data, end == NULL ? left->len : (size_t)(end - left->data) };
	left->len -= line->len + (end != NULL);
	left->data += line->len + (end != NULL);
	while (line->len > 0 && strchr(" \t\r", line->data[line->len - 1]) != NULL &&
	    line->data[line->len - 1] != '\0')
		line->len--;
	return true;
}

static bool
starts_with(struct bytes b, const char *prefix)
{
	return b.len >= strlen(prefix) && memcmp(b.data, prefix, strlen(prefix)) == 0;
}

/* The label of a line "-----BEGIN label-----". False: it is none. */
static bool
line_label(struct bytes line, const char *prefix, struct bytes *label)
{
	size_t head = strlen(prefix), tail = strlen(DASHES);

	if (!starts_with(line, prefix) || line.len < head + tail ||
	    memcmp(line.data + line.len - tail, DASHES, tail) != 0)
		return false;
	*label = (struct bytes){ line.data + head, line.len - head - tail };
	return true;
}

static void
line_add(struct pem *p, struct bytes line)
{
	memcpy(p->out + p->len, line.data, line.len);
	p->len += line.len;
	p->out[p->len++] = '\n';
}

/* A line of base64: padding only at the end of the last one. */
static int
base64_add(struct pem *p, struct bytes line)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i;

	for (i = 0; i < line.len; i++) {
		if (line.data[i] == '=')
			p->padding++;
		else if (p->padding > 0 || memchr(alphabet, line.data[i], sizeof(alphabet) - 1) == NULL)
			return -EBADMSG;
	}
	p->digits += line.len;
	if (line.len > 0)
		line_add(p, line);
	return 0;
}

static void
block_begin(struct pem *p, struct bytes line)
{
	p->inside = true;
	p->len = p->digits = p->padding = 0;
	line_add(p, line);
}

/* A line of the block. 0, 1: it was its last one; -EBADMSG. */
static int
block_line(struct pem *p, struct bytes line)
{
	struct bytes label;

	if (!starts_with(line, DASHES))
		return base64_add(p, line);
	if (!line_label(line, END, &label) || !bytes_equal(label, bytes_of(p->label)) || p->digits == 0 ||
	    p->digits % 4 != 0 || p->padding > 2)
		return -EBADMSG;
	line_add(p, line);
	p->inside = false;
	return 1;
}

int
pem_each(struct bytes text, const char *label, pem_call *f, void *arg, size_t *count)
{
	/* every line is copied at most once, and only the last may have come without its end */
	struct pem p = { .label = label, .out = malloc(text.len + 1) };
	struct bytes line, found;
	size_t n = 0;
	int rc = 0;

	if (p.out == NULL)
		return -ENOMEM;
	while (rc == 0 && line_next(&text, &line)) {
		if (p.inside)
			rc = block_line(&p, line);
		else if (line_label(line, BEGIN, &found) && bytes_equal(found, bytes_of(label)))
			block_begin(&p, line);
		if (rc != 1)
			continue;
		n++;
		rc = f(arg, (struct bytes){ p.out, p.len });
	}
	if (rc == 0 && p.inside)
		rc = -EBADMSG;
	free(p.out);
	if (count != NULL)
		*count = n;
	return rc;
}

bool
pem_has(struct bytes text, const char *label)
{
	struct bytes line, found;
	size_t len = strlen(label);

	while (line_next(&text, &line))
		if (line_label(line, BEGIN, &found) && found.len >= len &&
		    memcmp(found.data + found.len - len, label, len) == 0)
			return true;
	return false;
}

/*
 * A destination is cut into parts once, one for each token. What a token of a
 * subject is, is found by counting dots: subjects are short, and most parts
 * ask for one token only.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include "nats/subject.h"
#include "nats/transform.h"
#include "nats/utf8.h"

enum function {
	FUNCTION_TEXT, FUNCTION_REST,
	FUNCTION_WILDCARD, FUNCTION_PARTITION, FUNCTION_RANDOM, FUNCTION_SPLIT,
	FUNCTION_SPLIT_LEFT, FUNCTION_SPLIT_RIGHT, FUNCTION_SLICE_LEFT, FUNCTION_SLICE_RIGHT,
	FUNCTION_LEFT, FUNCTION_RIGHT,
};

/* Names with the characters that may be of either case in upper case. */
static const struct { const char *name; enum function function; } functions[] = {
	{ "Wildcard", FUNCTION_WILDCARD }, { "Partition", FUNCTION_PARTITION },
	{ "SplitFromLeft", FUNCTION_SPLIT_LEFT }, { "SplitFromRight", FUNCTION_SPLIT_RIGHT },
	{ "SliceFromLeft", FUNCTION_SLICE_LEFT }, { "SliceFromRight", FUNCTION_SLICE_RIGHT },
	{ "Left", FUNCTION_LEFT }, { "Right", FUNCTION_RIGHT },
	{ "Split", FUNCTION_SPLIT }, { "Random", FUNCTION_RANDOM },
};

/* One token of the destination. */
struct part {
	enum function	 function;
	uint32_t	 first, count;		/* its tokens of the source, in `tokens` */
	uint32_t	 number;		/* of partitions, of characters */
	struct bytes	 text;			/* the token; of split: what is between */
};

struct transform {
	struct bytes	 source, destination;
	struct bytes	 pattern;		/* destination with `*` for its wildcards; strict ones only */
	uint32_t	*stars;			/* tokens of source that are `*` */
	uint32_t	*back;			/* of each star, the token of destination that is it; strict ones only */
	uint32_t	*tokens;
	struct part	*parts;
	uint32_t	 nstars, nsource, ntokens, nparts;
	bool		 rest;			/* source ends in `>` */
	bool		 random;
	char		 text[];
};

/* ---- tokens */

/* Take the first token off rest, and its dot. False: there is none. */
static bool
token_next(struct bytes *rest, struct bytes *token)
{
	const char *dot;

	if (rest->data == NULL)
		return false;
	dot = memchr(rest->data, '.', rest->len);
	token->data = rest->data;
	token->len = dot == NULL ? rest->len : (size_t)(dot - rest->data);
	if (dot == NULL)
		*rest = (struct bytes){ NULL, 0 };
	else {
		rest->data += token->len + 1;
		rest->len -= token->len + 1;
	}
	return true;
}

/* All of the subject from token n on; data is NULL where it has fewer. */
static struct bytes
tokens_from(struct bytes subject, uint32_t n)
{
	struct bytes token;

	while (n-- > 0 && token_next(&subject, &token))
		;
	return subject;
}

static struct bytes
token_at(struct bytes subject, uint32_t n)
{
	struct bytes token = BYTES("");

	subject = tokens_from(subject, n);
	(void)token_next(&subject, &token);
	return token;
}

/* ---- reading a destination */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

/* Without the characters before and behind it that `spaces` has. */
static struct bytes
trimmed(struct bytes b, const char *spaces)
{
	for (; b.len > 0 && strchr(spaces, b.data[0]) != NULL && b.data[0] != '\0'; b.data++, b.len--)
		;
	for (; b.len > 0 && strchr(spaces, b.data[b.len - 1]) != NULL && b.data[b.len - 1] != '\0'; b.len--)
		;
	return b;
}

/* A decimal number, perhaps with a sign, within `most` of 0. */
static bool
integer_read(struct bytes b, int64_t most, int64_t *number)
{
	bool	minus = b.len > 0 && b.data[0] == '-';
	size_t	i = minus || (b.len > 0 && b.data[0] == '+');
	int64_t	n = 0;

	if (i == b.len)
		return false;
	for (; i < b.len; i++) {
		if (b.data[i] < '0' || b.data[i] > '9')
			return false;
		n = n * 10 + (b.data[i] - '0');
		if (n > most)
			return false;
	}
	*number = minus ? -n : n;
	return true;
}

/* Take the next argument off args: up to a comma, and the blanks behind it. */
static bool
argument_next(struct bytes *args, struct bytes *one)
{
	const char *comma;

	if (args->data == NULL)
		return false;
	comma = memchr(args->data, ',', args->len);
	*one = (struct bytes){ args->data, comma == NULL ? args->len : (size_t)(comma - args->data) };
	if (comma == NULL) {
		args->data = NULL;
		return true;
	}
	args->data += one->len + 1;
	args->len -= one->len + 1;
	for (; args->len > 0 && is_space(args->data[0]); args->data++, args->len--)
		;
	return true;
}

static const char bad_argument[] = "function argument is invalid or in the wrong format";
static const char few_arguments[] = "not enough arguments passed to the function";
static const char many_arguments[] = "too many arguments passed to the function";
static const char out_of_range[] = "wildcard index out of range";

/* The number of a wildcard becomes the token of source that it is. NULL, or why not. */
static const char *
wildcard_take(struct transform *t, struct part *p, struct bytes text)
{
	int64_t n;

	if (!integer_read(trimmed(text, " "), INT32_MAX, &n))
		return bad_argument;
	if (n < 1 || n > t->nstars)
		return out_of_range;
	t->tokens[t->ntokens++] = t->stars[n - 1];
	p->count++;
	return NULL;
}

/* partition(n) and partition(n, wildcards...) */
static const char *
partition_read(struct transform *t, struct part *p, struct bytes args)
{
	struct bytes	 one;
	const char	*why;
	int64_t		 n;

	(void)argument_next(&args, &one);
	if (!integer_read(trimmed(one, " "), INT32_MAX, &n) || n < 0)
		return bad_argument;
	p->number = (uint32_t)n;
	while (argument_next(&args, &one)) {
		if (t->nstars == 0 && !t->rest && integer_read(trimmed(one, " "), INT32_MAX, &n))
			continue;
		if ((why = wildcard_take(t, p, one)) != NULL)
			return why;
	}
	return NULL;
}

static const char *
random_read(struct transform *t, struct part *p, struct bytes args)
{
	struct bytes	one;
	int64_t		n;

	(void)argument_next(&args, &one);
	if (args.data != NULL)
		return many_arguments;
	if (!integer_read(trimmed(one, " "), INT32_MAX, &n) || n < 0)
		return bad_argument;
	p->number = (uint32_t)n;
	t->random = true;
	return NULL;
}

static const char *
split_read(struct part *p, struct bytes between)
{
	if (memchr(between.data, ' ', between.len) != NULL)
		return bad_argument;
	p->text = between;
	return NULL;
}

/* A wildcard, and for all but wildcard() itself one argument more. */
static const char *
function_read(struct transform *t, struct part *p, struct bytes args)
{
	struct bytes	 one, two = BYTES("");
	const char	*why;
	int64_t		 n = 0;

	if (p->function == FUNCTION_PARTITION)
		return partition_read(t, p, args);
	if (p->function == FUNCTION_RANDOM)
		return random_read(t, p, args);
	if (p->function == FUNCTION_WILDCARD && args.len == 0)
		return few_arguments;
	(void)argument_next(&args, &one);
	if (p->function != FUNCTION_WILDCARD && !argument_next(&args, &two))
		return few_arguments;
	if (args.data != NULL)
		return many_arguments;
	if ((why = wildcard_take(t, p, one)) != NULL || p->function == FUNCTION_WILDCARD)
		return why;
	if (p->function == FUNCTION_SPLIT)
		return split_read(p, two);
	if (!integer_read(trimmed(two, " "), INT32_MAX, &n))
		return bad_argument;
	p->number = n < 0 ? 0 : (uint32_t)n;
	return NULL;
}

static bool
name_is(struct bytes text, const char *name)
{
	size_t i;

	if (text.len != strlen(name))
		return false;
	for (i = 0; i < text.len; i++)
		if (text.data[i] != name[i] &&
		    !(name[i] >= 'A' && name[i] <= 'Z' && text.data[i] == name[i] + ('a' - 'A')))
			return false;
	return true;
}

/* `{{name(arguments)}}` */
static const char *
braces_read(struct transform *t, struct part *p, struct bytes token)
{
	static const char	 spaces[] = " \t\n\f\r", unknown[] = "unknown function";
	struct bytes		 inside = trimmed((struct bytes){ token.data + 2, token.len - 4 }, spaces);
	const char		*open = memchr(inside.data, '(', inside.len);
	struct bytes		 name, args;
	size_t			 i;

	if (open == NULL || inside.data[inside.len - 1] != ')')
		return unknown;
	name = trimmed((struct bytes){ inside.data, (size_t)(open - inside.data) }, spaces);
	args = (struct bytes){ open + 1, inside.len - (size_t)(open - inside.data) - 2 };
	if (memchr(args.data, '\n', args.len) != NULL)
		return unknown;
	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (name_is(name, functions[i].name)) {
			p->function = functions[i].function;
			return function_read(t, p, args);
		}
	return unknown;
}

/* One token of the destination. NULL, or why not. */
static const char *
part_read(struct transform *t, struct part *p, struct bytes token)
{
	int64_t n;
	size_t	i;

	*p = (struct part){ .text = token, .first = t->ntokens };
	if (token.len == 1 && token.data[0] == '>') {
		p->function = FUNCTION_REST;
		return NULL;
	}
	if (token.len > 4 && memcmp(token.data, "{{", 2) == 0 &&
	    memcmp(token.data + token.len - 2, "}}", 2) == 0)
		return braces_read(t, p, token);
	if (token.len > 1 && token.data[0] == '$' &&
	    integer_read((struct bytes){ token.data + 1, token.len - 1 }, INT64_MAX / 10 - 9, &n)) {
		p->function = FUNCTION_WILDCARD;
		return wildcard_take(t, p, (struct bytes){ token.data + 1, token.len - 1 });
	}
	for (i = 0; i < token.len; i++)
		if (is_space(token.data[i]))
			return "invalid transform";
	return NULL;
}

/* ---- making one */

/* Where the wildcards of source are. */
static void
source_read(struct transform *t)
{
	struct bytes rest = t->source, token;

	for (t->nsource = 0; token_next(&rest, &token); t->nsource++) {
		if (token.len != 1)
			continue;
		if (token.data[0] == '*')
			t->stars[t->nstars++] = t->nsource;
		t->rest |= token.data[0] == '>';
	}
}

static const char *
destination_read(struct transform *t)
{
	struct bytes	 rest = t->destination, token;
	bool		 ends = false;
	const char	*why;

	while (token_next(&rest, &token)) {
		if (token.len == 1 && token.data[0] == '*')
			return "a destination has no `*`, but $1 or {{wildcard(1)}}";
		if ((why = part_read(t, &t->parts[t->nparts], token)) != NULL)
			return why;
		ends |= t->parts[t->nparts++].function == FUNCTION_REST;
	}
	return ends == t->rest ? NULL : "source and destination have to end in `>` both, or neither";
}

/* Which token of destination each wildcard becomes; every one just one. */
static const char *
strict_read(struct transform *t)
{
	uint32_t i, star, used = 0;

	for (star = 0; star < t->nstars; star++)
		t->back[star] = UINT32_MAX;
	for (i = 0; i < t->nparts; i++) {
		if (t->parts[i].function == FUNCTION_TEXT || t->parts[i].function == FUNCTION_REST)
			continue;
		if (t->parts[i].function != FUNCTION_WILDCARD)
			return "the only mapping function allowed for import transforms is {{Wildcard()}}";
		for (star = 0; t->stars[star] != t->tokens[t->parts[i].first]; star++)
			;
		if (t->back[star] != UINT32_MAX)
			return "a wildcard is used twice";
		t->back[star] = i;
		used++;
	}
	return used == t->nstars ? NULL : "not using all of the token wildcard(s)";
}

/* The destination as a pattern, behind both texts. */
static void
pattern_make(struct transform *t, char *out)
{
	uint32_t	i;
	struct bytes	text;

	t->pattern.data = out;
	for (i = 0; i < t->nparts; i++) {
		text = t->parts[i].function == FUNCTION_WILDCARD ? BYTES("*") : t->parts[i].text;
		if (i != 0)
			*out++ = '.';
		memcpy(out, text.data, text.len);
		out += text.len;
	}
	t->pattern.len = (size_t)(out - t->pattern.data);
}

/* Tokens that partition() names are more than there are dots: a comma is for each. */
static uint32_t
tokens_most(struct bytes destination)
{
	uint32_t	n = subject_tokens(destination);
	size_t		i;

	for (i = 0; i < destination.len; i++)
		n += destination.data[i] == ',';
	return n;
}

static struct transform *
transform_allocate(struct bytes source, struct bytes destination)
{
	struct transform *t = calloc(1, sizeof(*t) + source.len + 2 * destination.len);

	if (t == NULL)
		return NULL;
	memcpy(t->text, source.data, source.len);
	memcpy(t->text + source.len, destination.data, destination.len);
	t->source = (struct bytes){ t->text, source.len };
	t->destination = (struct bytes){ t->text + source.len, destination.len };
	t->stars = calloc(subject_tokens(source), sizeof(*t->stars));
	t->back = calloc(subject_tokens(source), sizeof(*t->back));
	t->tokens = calloc(tokens_most(destination), sizeof(*t->tokens));
	t->parts = calloc(subject_tokens(destination), sizeof(*t->parts));
	if (t->stars != NULL && t->back != NULL && t->tokens != NULL && t->parts != NULL)
		return t;
	transform_free(t);
	return NULL;
}

int
transform_new(struct transform **out, struct bytes source, struct bytes destination, bool strict,
    const char **why)
{
	struct transform *t;

	*why = "invalid subject";
	if (source.len > INT32_MAX || destination.len > INT32_MAX || !subject_valid(source) ||
	    !subject_valid(destination))
		return -EINVAL;
	t = transform_allocate(source, destination);
	if (t == NULL)
		return -ENOMEM;
	source_read(t);
	*why = destination_read(t);
	if (*why == NULL && strict) {
		*why = strict_read(t);
		pattern_make(t, t->text + source.len + destination.len);
	}
	if (*why != NULL) {
		transform_free(t);
		return -EINVAL;
	}
	*out = t;
	return 0;
}

void
transform_free(struct transform *t)
{
	if (t == NULL)
		return;
	free(t->stars);
	free(t->back);
	free(t->tokens);
	free(t->parts);
	free(t);
}

bool
transform_matches(const struct transform *t, struct bytes subject)
{
	return subject_matches(t->source, subject);
}

struct bytes
transform_source(const struct transform *t)
{
	return t->source;
}

struct bytes
transform_destination(const struct transform *t)
{
	return t->destination;
}

bool
transform_fixed(const struct transform *t)
{
	return !t->random;
}

/* ---- using one */

/* What is written, as far as there is room. */
struct writer { char *out; size_t size, len; };

static void
put(struct writer *w, struct bytes b)
{
	if (w->len <= w->size && b.len <= w->size - w->len) {
		if (b.len != 0)
			memcpy(w->out + w->len, b.data, b.len);
		w->len += b.len;
	} else
		w->len = w->size + 1;
}

static void
put_number(struct writer *w, uint32_t n)
{
	char	text[10];
	size_t	at = sizeof(text);

	do
		text[--at] = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	put(w, (struct bytes){ text + at, sizeof(text) - at });
}

/* FNV-1a of 32 bits, going on from `hash`. */
static uint32_t
fnv(uint32_t hash, struct bytes b)
{
	size_t i;

	for (i = 0; i < b.len; i++)
		hash = (hash ^ (uint8_t)b.data[i]) * 16777619u;
	return hash;
}

static void
put_partition(struct writer *w, const struct transform *t, const struct part *p, struct bytes subject)
{
	uint32_t hash = 2166136261u, i;

	for (i = 0; i < p->count; i++)
		hash = fnv(hash, token_at(subject, t->tokens[p->first + i]));
	if (p->count == 0)
		hash = fnv(hash, subject);
	put_number(w, p->number == 0 ? 0 : hash % p->number);
}

/* Two tokens: the first `first` characters, and the others. */
static void
put_split(struct writer *w, struct bytes token, size_t first)
{
	put(w, (struct bytes){ token.data, first });
	put(w, BYTES("."));
	put(w, (struct bytes){ token.data + first, token.len - first });
}

/* Pieces of `size` characters; the first one, where it is not 0, has `first`. */
static void
put_slices(struct writer *w, struct bytes token, size_t first, size_t size)
{
	size_t n = first != 0 ? first : size;

	for (; token.len > n; n = size) {
		put(w, (struct bytes){ token.data, n });
		put(w, BYTES("."));
		token.data += n;
		token.len -= n;
	}
	put(w, token);
}

/* Bytes up to where `between` stands next, or to the end; an empty one stands behind each character. */
static size_t
piece_length(struct bytes token, struct bytes between)
{
	const char	*at;
	uint32_t	 character;
	size_t		 n;

	if (between.len == 0) {
		n = utf8_decode(token, &character);
		return n == 0 ? 1 : n;
	}
	at = memmem(token.data, token.len, between.data, between.len);
	return at == NULL ? token.len : (size_t)(at - token.data);
}

/*
 * A dot stands between two pieces if the second is not empty, unless the first is the
 * token's first and is empty: so the real server has it.
 */
static void
put_pieces(struct writer *w, struct bytes token, struct bytes between)
{
	bool	leads = true;
	size_t	n, next;

	while (token.len > 0) {
		n = piece_length(token, between);
		put(w, (struct bytes){ token.data, n });
		if (n == token.len)
			return;
		token.data += n + between.len;
		token.len -= n + between.len;
		next = token.len == 0 ? 0 : piece_length(token, between);
		if (next != 0 && !(leads && n == 0))
			put(w, BYTES("."));
		leads = false;
	}
}

/* Those whose argument is one token and that take a number of its characters. */
static void
put_characters(struct writer *w, const struct part *p, struct bytes token)
{
	size_t n = p->number;

	if (n == 0 || n >= token.len)
		put(w, token);
	else if (p->function == FUNCTION_SPLIT_LEFT)
		put_split(w, token, n);
	else if (p->function == FUNCTION_SPLIT_RIGHT)
		put_split(w, token, token.len - n);
	else if (p->function == FUNCTION_SLICE_LEFT)
		put_slices(w, token, 0, n);
	else if (p->function == FUNCTION_SLICE_RIGHT)
		put_slices(w, token, token.len % n, n);
	else if (p->function == FUNCTION_LEFT)
		put(w, (struct bytes){ token.data, n });
	else
		put(w, (struct bytes){ token.data + token.len - n, n });
}

/* The number for one random(n), and another one for the next. */
static uint32_t
random_next(uint64_t *random)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*random >> 33);
}

static void
put_part(struct writer *w, const struct transform *t, const struct part *p, struct bytes subject,
    uint64_t *random)
{
	switch (p->function) {
	case FUNCTION_TEXT:
		put(w, p->text);
		break;
	case FUNCTION_REST:
		put(w, tokens_from(subject, t->nsource - 1));
		break;
	case FUNCTION_PARTITION:
		put_partition(w, t, p, subject);
		break;
	case FUNCTION_RANDOM:
		put_number(w, p->number == 0 ? 0 : random_next(random) % p->number);
		break;
	case FUNCTION_WILDCARD:
		put(w, token_at(subject, t->tokens[p->first]));
		break;
	case FUNCTION_SPLIT:
		put_pieces(w, token_at(subject, t->tokens[p->first]), p->text);
		break;
	default:
		put_characters(w, p, token_at(subject, t->tokens[p->first]));
	}
}

int
transform_subject(const struct transform *t, struct bytes subject, uint64_t random, char *out, size_t size)
{
	struct writer	w = { out, size < INT_MAX ? size : INT_MAX - 1, 0 };
	uint32_t	i;

	for (i = 0; i < t->nparts; i++) {
		if (i != 0)
			put(&w, BYTES("."));
		put_part(&w, t, &t->parts[i], subject, &random);
	}
	return w.len > w.size ? -ENOSPC : (int)w.len;
}

/* ---- the other way */

/* What a wildcard of wanted's token n asks for: the token, or `*`. */
static struct bytes
wanted_token(struct bytes wanted, uint32_t n)
{
	struct bytes token = token_at(wanted, n);

	return token.len == 0 || (token.len == 1 && token.data[0] == '>') ? BYTES("*") : token;
}

/* What the `>` of the destination, its token n, is asked for. */
static struct bytes
wanted_rest(struct bytes wanted, uint32_t n)
{
	wanted = tokens_from(wanted, n);
	return wanted.data == NULL ? BYTES(">") : wanted;
}

int
transform_back(const struct transform *t, struct bytes wanted, char *out, size_t size)
{
	struct writer	w = { out, size < INT_MAX ? size : INT_MAX - 1, 0 };
	struct bytes	rest = t->source, token;
	uint32_t	star = 0, i;

	if (!subject_overlaps(t->pattern, wanted))
		return -ENOENT;
	for (i = 0; token_next(&rest, &token); i++) {
		if (i != 0)
			put(&w, BYTES("."));
		if (star < t->nstars && t->stars[star] == i)
			put(&w, wanted_token(wanted, t->back[star++]));
		else if (t->rest && i == t->nsource - 1)
			put(&w, wanted_rest(wanted, t->nparts - 1));
		else
			put(&w, token);
	}
	return w.len > w.size ? -ENOSPC : (int)w.len;
}

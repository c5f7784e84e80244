#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "supervisor/config/placeholders.h"

#define PLACEHOLDER_TEXT	16	/* bytes, "$4294967295" */

/* The token at *at; *at is behind its dot then, or behind the end. False: there is none. */
static bool
token_next(struct bytes subject, size_t *at, struct bytes *token)
{
	size_t	start = *at;

	if (start > subject.len)
		return false;
	while (*at < subject.len && subject.data[*at] != '.')
		++*at;
	*token = (struct bytes){ subject.data + start, *at - start };
	++*at;
	return true;
}

/* Over this word, which may have blanks before it. False: something else is there. */
static bool
word_skip(struct bytes *text, const char *word)
{
	size_t	len = strlen(word);

	for (; text->len > 0 && *text->data == ' '; text->len--)
		text->data++;
	if (text->len < len || strncasecmp(text->data, word, len) != 0)
		return false;
	text->data += len;
	text->len -= len;
	return true;
}

/* Digits at the front of *text, which is what follows them then; 0: none, or too many. */
static unsigned
number_take(struct bytes *text)
{
	unsigned	number = 0, digits = 0;

	for (; text->len > 0 && isdigit((unsigned char)*text->data); text->data++, text->len--)
		if (digits++ < 9)
			number = number * 10 + (unsigned)(*text->data - '0');
	return digits <= 9 ? number : 0;
}

/* The number of a placeholder, from 1; 0: it is none. */
static unsigned
placeholder_number(struct bytes token)
{
	struct bytes	text = token;
	unsigned	number;

	if (token.len > 1 && token.data[0] == '$') {
		text = (struct bytes){ token.data + 1, token.len - 1 };
		number = number_take(&text);
		return text.len == 0 ? number : 0;
	}
	if (!word_skip(&text, "{{") || !word_skip(&text, "wildcard") || !word_skip(&text, "(") || !word_skip(&text, ""))
		return 0;
	number = number_take(&text);
	return word_skip(&text, ")") && word_skip(&text, "}}") && text.len == 0 ? number : 0;
}

bool
placeholders_in(struct bytes subject)
{
	struct bytes	token;
	size_t		at = 0;

	while (token_next(subject, &at, &token))
		if (token.len > 1 && (memcmp(token.data, "{{", 2) == 0 ||
		    (token.data[0] == '$' && strchr("+-0123456789", token.data[1]) != NULL)))
			return true;
	return false;
}

static bool
is_star(struct bytes token)
{
	return token.len == 1 && *token.data == '*';
}

/* Which placeholder of transform has this number, from 1; 0: none. */
static unsigned
placeholder_place(struct bytes transform, unsigned number)
{
	struct bytes	token;
	size_t		at = 0;
	unsigned	found, place = 0;

	while (token_next(transform, &at, &token)) {
		found = placeholder_number(token);
		place += found > 0;
		if (found == number)
			return place;
	}
	return 0;
}

/* subject with each `*` as a placeholder: of transform's, or without one in order. */
static char *
stars_replace(struct bytes subject, const struct bytes *transform)
{
	size_t		at = 0, len = 0, size = subject.len * PLACEHOLDER_TEXT + 1;
	char		*out = malloc(size);
	struct bytes	token;
	unsigned	star = 0;

	while (out != NULL && token_next(subject, &at, &token)) {
		if (is_star(token)) {
			star++;
			len += (size_t)snprintf(out + len, size - len, "%s$%u", len > 0 ? "." : "",
			    transform == NULL ? star : placeholder_place(*transform, star));
		} else {
			len += (size_t)snprintf(out + len, size - len, "%s%.*s", len > 0 ? "." : "",
			    (int)token.len, token.data);
		}
	}
	return out;
}

char *
placeholders_set(struct bytes subject)
{
	return stars_replace(subject, NULL);
}

char *
placeholders_turn(struct bytes theirs, struct bytes transform)
{
	return stars_replace(theirs, &transform);
}

char *
placeholders_clear(struct bytes transform)
{
	size_t		at = 0, len = 0, size = transform.len + 2;
	char		*out = malloc(size);
	struct bytes	token;

	while (out != NULL && token_next(transform, &at, &token)) {
		if (placeholder_number(token) > 0)
			token = BYTES("*");
		len += (size_t)snprintf(out + len, size - len, "%s%.*s", len > 0 ? "." : "",
		    (int)token.len, token.data);
	}
	return out;
}

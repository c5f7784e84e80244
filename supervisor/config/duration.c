#include <ctype.h>
#include <errno.h>
#include "supervisor/config/duration.h"

#define DURATION_MAX	9223372036.0	/* seconds; what Go's nanoseconds can say */

/* Digits with or without a fraction, at *at. 0 or -EINVAL. */
static int
number(struct bytes text, size_t *at, double *value)
{
	double	scale = 1;
	size_t	digits = 0;

	for (*value = 0; *at < text.len && isdigit((unsigned char)text.data[*at]); ++*at, digits++)
		*value = *value * 10 + (text.data[*at] - '0');
	if (*at < text.len && text.data[*at] == '.')
		for (++*at; *at < text.len && isdigit((unsigned char)text.data[*at]); ++*at, digits++)
			*value += (text.data[*at] - '0') * (scale /= 10);
	return digits > 0 ? 0 : -EINVAL;
}

/* Seconds of the unit at *at; 0: none. Longer names first. */
static double
unit(struct bytes text, size_t *at)
{
	static const struct { const char *name; double seconds; } units[] = {
		{ "ns", 1e-9 }, { "us", 1e-6 }, { "\xc2\xb5s", 1e-6 }, { "\xce\xbcs", 1e-6 },
		{ "ms", 1e-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 },
	};
	size_t	i, len;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		len = strlen(units[i].name);
		if (text.len - *at >= len && memcmp(text.data + *at, units[i].name, len) == 0) {
			*at += len;
			return units[i].seconds;
		}
	}
	return 0;
}

int
duration_parse(struct bytes text, double *seconds)
{
	double	value, factor, sum = 0;
	size_t	at = 0;
	bool	negative;

	negative = text.len > 0 && text.data[0] == '-';
	if (text.len > 0 && (text.data[0] == '-' || text.data[0] == '+'))
		at++;
	if (text.len == at + 1 && text.data[at] == '0') {
		*seconds = 0;
		return 0;
	}
	do {
		if (number(text, &at, &value) != 0 || (factor = unit(text, &at)) == 0)
			return -EINVAL;
		sum += value * factor;
	} while (at < text.len);
	if (!(sum <= DURATION_MAX))
		return -ERANGE;
	*seconds = negative ? -sum : sum;
	return 0;
}

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "admin/system/times.h"

uint64_t
times_now(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

const char *
times_stamp(char out[TIMES_TEXT], uint64_t microseconds)
{
	static const uint64_t	latest = UINT64_C(253402300799);	/* the last second of 9999 */
	time_t			seconds = (time_t)(microseconds / 1000000 > latest ?
				    latest : microseconds / 1000000);
	struct tm		tm;
	size_t			n;

	gmtime_r(&seconds, &tm);
	n = strftime(out, TIMES_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	if (microseconds % 1000000 != 0) {
		n += (size_t)snprintf(out + n, TIMES_TEXT - n, ".%06u",
		    (unsigned)(microseconds % 1000000));
		while (out[n - 1] == '0')
			n--;
	}
	memcpy(out + n, "Z", 2);
	return out;
}

const char *
times_uptime(char out[TIMES_TEXT], uint64_t seconds)
{
	const struct { uint64_t count; char unit; } parts[] = {
		{ seconds / 86400 / 365, 'y' }, { seconds / 86400 % 365, 'd' },
		{ seconds / 3600 % 24, 'h' }, { seconds / 60 % 60, 'm' }, { seconds % 60, 's' },
	};
	size_t	i, n = 0;

	for (i = 0; i < 5; i++)
		if (n > 0 || parts[i].count > 0 || i == 4)
			n += (size_t)snprintf(out + n, TIMES_TEXT - n, "%" PRIu64 "%c",
			    parts[i].count, parts[i].unit);
	return out;
}

/* A number of units with at most `digits` digits behind the point, without trailing zeros. */
static size_t
fraction_write(char *out, size_t size, uint64_t whole, uint64_t rest, int digits, const char *unit)
{
	size_t	n = (size_t)snprintf(out, size, "%" PRIu64 ".%0*" PRIu64, whole, digits, rest);

	while (out[n - 1] == '0')
		n--;
	if (out[n - 1] == '.')
		n--;
	return n + (size_t)snprintf(out + n, size - n, "%s", unit);
}

const char *
times_duration(char out[TIMES_TEXT], uint64_t microseconds)
{
	uint64_t	seconds = microseconds / 1000000, rest = microseconds % 1000000;
	size_t		n = 0;

	if (microseconds < 1000) {
		snprintf(out, TIMES_TEXT, "%" PRIu64 "\xc2\xb5s", microseconds);
		return out;
	}
	if (seconds == 0) {
		fraction_write(out, TIMES_TEXT, microseconds / 1000, microseconds % 1000, 3, "ms");
		return out;
	}
	if (seconds >= 3600)
		n += (size_t)snprintf(out + n, TIMES_TEXT - n, "%" PRIu64 "h", seconds / 3600);
	if (seconds >= 60)
		n += (size_t)snprintf(out + n, TIMES_TEXT - n, "%" PRIu64 "m", seconds / 60 % 60);
	fraction_write(out + n, TIMES_TEXT - n, seconds % 60, rest, 6, "s");
	return out;
}

#ifndef SYSTEM_TIMES_H
#define SYSTEM_TIMES_H
/* Times in the forms that reports have always had. */
#include <stdint.h>

#define TIMES_TEXT	48

uint64_t times_now(void);	/* microseconds since 1970 */

/* "2026-11-21T11:00:32.298738Z": RFC 3339, UTC, no trailing zeros. Returns out. */
const char *times_stamp(char out[TIMES_TEXT], uint64_t microseconds);

/* "1h2m3s", "1y3d0h0m5s". Returns out. */
const char *times_uptime(char out[TIMES_TEXT], uint64_t seconds);

/* "693us" (with a Greek m), "6.9221s", "1m2.5s": as Go writes a duration. Returns out. */
const char *times_duration(char out[TIMES_TEXT], uint64_t microseconds);
#endif

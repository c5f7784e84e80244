#ifndef CONFIG_DURATION_H
#define CONFIG_DURATION_H
#include "common/bytes.h"

/*
 * Seconds of a duration in the form of Go's time.ParseDuration: "10s",
 * "1h2m3.5s", "250ms", "0". 0; -EINVAL not of that form; -ERANGE over 292 years.
 */
int duration_parse(struct bytes text, double *seconds);
#endif

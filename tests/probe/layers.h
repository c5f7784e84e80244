#ifndef TESTS_PROBE_LAYERS_H
#define TESTS_PROBE_LAYERS_H
#include <stdbool.h>

/* What is called now is an attempt of the probe's, and none of the layers that are left out. */
extern bool layers_ignored;
#endif

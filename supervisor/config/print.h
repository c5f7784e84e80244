#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H
#include "supervisor/config/configuration.h"

/*
 * All settings in force and the blocks that were given, one a line with where
 * each comes from behind it, as a configuration file that says the same;
 * secrets are left out. A sealed memfd, or -ENOMEM, -errno.
 */
int print_config(const struct configuration *c);
#endif

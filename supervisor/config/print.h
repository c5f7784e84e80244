#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H
#include "supervisor/config/schema.h"

/*
 * All settings in force, one a line with where each comes from behind it, as a
 * configuration file that says the same; secrets are left out. A sealed memfd,
 * or -ENOMEM, -errno.
 */
int print_config(const struct settings *s, const struct schema_origins *origins,
    const struct config_errors *errors);
#endif

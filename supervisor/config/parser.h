#ifndef CONFIG_PARSER_H
#define CONFIG_PARSER_H
#include "supervisor/config/source.h"

/*
 * Read a configuration. text is changed (escapes are decoded in place) and,
 * as source->texts, must live as long as the tree, which points into them.
 * 0: *root is a CONFIG_MAP (config_value_free()). What is wrong is in errors,
 * and what was read beside it in the tree. -ENOMEM, or what source answered:
 * *root is not written.
 */
int config_parse(struct config_value *root, char *text, size_t len,
    struct config_source *source, struct config_errors *errors);
#endif

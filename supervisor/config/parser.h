#ifndef CONFIG_PARSER_H
#define CONFIG_PARSER_H
#include "supervisor/config/tree.h"

/*
 * Read a configuration. text is changed (escapes are decoded in place) and
 * must live as long as the tree, which points into it.
 * 0: *root is a CONFIG_MAP (config_value_free()). What is wrong is in errors,
 * and what was read beside it in the tree. -ENOMEM: *root is not written.
 */
int config_parse(struct config_value *root, char *text, size_t len, struct config_errors *errors);
#endif

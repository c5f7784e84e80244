#ifndef CONFIG_PASSWORDS_H
#define CONFIG_PASSWORDS_H
#include "supervisor/config/tree.h"

/*
 * A password or token of the file: what begins as a bcrypt hash has to be
 * one, as nobody could log in with it otherwise. It is not shown.
 */
void password_check(struct config_errors *errors, struct config_position at, struct bytes secret);

/* Is it a hash rather than the password itself? */
bool password_hashed(struct bytes secret);
#endif

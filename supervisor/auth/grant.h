#ifndef AUTH_GRANT_H
#define AUTH_GRANT_H
/*
 * The number that names a decision, which workers keep and show to the next
 * process of ours when this one died: is what was decided still right?
 *
 *   bits 0..3    enum login_how
 *   bits 4..15   of the SHA-256 of the credential: enough to see most changes
 *                in the moment while nobody of us was there, too few to guess a password by
 *   bits 16..39  of what the user may, and its limits
 *   bits 40..63  counted up, never 0
 */
#include "supervisor/auth/login.h"

/* serial: of this process, counted up. */
uint64_t grant_make(uint64_t *serial, enum login_how how, const struct users *u, const struct user *user);
/* LOGIN_HOWS: it is none of ours. */
enum login_how grant_how(uint64_t grant);
/* Is it of this credential; of these rights? */
bool grant_of_credential(uint64_t grant, const struct user *user);
bool grant_of_rights(uint64_t grant, const struct users *u, const struct user *user);
#endif

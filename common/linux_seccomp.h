#ifndef COMMON_LINUX_SECCOMP_H
#define COMMON_LINUX_SECCOMP_H
#include "common/sandbox.h"

/*
 * Load the profile's list of system calls. From now on any other ends the
 * process, with its name in the log. 0 or -errno: nothing was loaded.
 */
int seccomp_enter(const struct sandbox_profile *profile);
#endif

#ifndef COMMON_LINUX_SECCOMP_H
#define COMMON_LINUX_SECCOMP_H
#include <seccomp.h>
#include <signal.h>
#include "common/bytes.h"
#include "common/sandbox.h"

/*
 * Load the profile's list of system calls. From now on any other ends the
 * process, with its name in the log. 0 or -errno: nothing was loaded.
 */
int seccomp_enter(const struct sandbox_profile *profile);

/*
 * The same for the supervisor (linux_seccomp_parent.c): any other fails with EPERM. Children
 * inherit it, over their exec too.
 */
int seccomp_enter_supervisor(void);

/* What both are made of. 0 or -errno. */
int seccomp_attributes(scmp_filter_ctx c);
int seccomp_allow(scmp_filter_ctx c, const int *calls, size_t count);
int seccomp_handle(void (*trap)(int, siginfo_t *, void *), int flags);
/* In the handler: a line with the call's name, and `after`. */
void seccomp_tell(unsigned call, struct bytes after);

/* The kernel looks at the low half of an int argument only, and so must we. */
#define INT_IS(arg, value) \
	SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)(value))
#endif

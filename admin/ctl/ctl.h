#ifndef ADMIN_CTL_CTL_H
#define ADMIN_CTL_CTL_H
/* bulkheadctl(1): one function for each command; argv[0] is the command's name. */
#include <stddef.h>
#include "common/bytes.h"

/* Exit statuses besides EXIT_SUCCESS and EXIT_FAILURE. */
#define CTL_MISUSED	2
#define CTL_NO_SERVER	3

/* What a command that fails returns, after `program: sentence` on standard error. */
int ctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The command line is wrong: the same, and where to read how it goes. */
int ctl_misused(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Text that a server sent, without what a terminal would take as a command; cut to size. Returns out. */
const char *ctl_printable(char *out, size_t size, struct bytes text);

/* Standard output is written; `status`, or a failure if that did not work. */
int ctl_finish(int status);

/* From here on no core file and no debugger of this user shows what we hold. */
void ctl_keep_secret(void);

int passwd_command(int argc, char **argv);
int nkey_command(int argc, char **argv);
int status_command(int argc, char **argv);
#endif

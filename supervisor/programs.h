#ifndef SUPERVISOR_PROGRAMS_H
#define SUPERVISOR_PROGRAMS_H
/*
 * The programs of the children: opened once, executed from these descriptors,
 * so that an upgrade of the package never mixes versions.
 */
#include <sys/types.h>
#include <stdbool.h>
#include "common/messages.h"

/*
 * Open bulkhead-NAME for each role, all in one folder: ../libexec/bulkhead
 * beside this executable's, or else LIBEXECDIR. programs[ROLE_SUPERVISOR] is -1.
 * 0; -errno: error is a sentence that says what was looked for.
 */
int programs_open(int programs[ROLES], char *error, size_t size);

/*
 * Start one: fork, exec from `program`, with `channel` at CHILD_CHANNEL, our
 * standard error, and nothing else; `apart`: in a pid namespace, as process_fork(). channel
 * stays the caller's.
 * 0 and *pid, or -errno of fork.
 */
int program_start(int program, enum role role, bool apart, int channel, pid_t *pid);
#endif

#ifndef SUPERVISOR_WATCH_H
#define SUPERVISOR_WATCH_H
/*
 * Looks at the files of certificates and keys every tls_file_check, through
 * symbolic links. If one is another or was written to, and all are at rest (a pair is
 * rarely replaced at once), they are read again: a reload of them alone (reload.h).
 * Files that were no good are not tried again before they change once more.
 */
#include <ev.h>

struct supervisor;

#define WATCH_SETTLE	0.5	/* seconds that nothing may have changed */

void watch_init(struct supervisor *s);
void watch_stop(struct supervisor *s);

/* The settings, or the files, in force are others now. */
void watch_update(struct supervisor *s);
#endif

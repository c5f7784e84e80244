#ifndef STUBS_OPENBSD_H
#define STUBS_OPENBSD_H
/*
 * What OpenBSD declares and this system does not, so that common/openbsd_*.c can at least be
 * compiled here: pledge(2), unveil(2), shm_mkstemp(3), setproctitle(3). Nothing behind it.
 */
int pledge(const char *promises, const char *execpromises);
int unveil(const char *path, const char *permissions);
int shm_mkstemp(char *template);
#endif

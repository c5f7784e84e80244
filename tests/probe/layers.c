/*
 * Layers of the sandbox that BULKHEAD_PROBE_WITHOUT names ("filter,landlock")
 * are left out: what would put them in force fails, as on a host that does not allow it.
 */
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/probe/layers.h"

#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

bool	layers_ignored;

static bool
left_out(const char *layer)
{
	const char	*list = getenv("BULKHEAD_PROBE_WITHOUT");
	const size_t	 len = strlen(layer);

	if (layers_ignored)
		return false;
	for (; list != NULL; list = strchr(list, ',')) {
		list += *list == ',';
		if (strncmp(list, layer, len) == 0 && (list[len] == ',' || list[len] == '\0'))
			return true;
	}
	return false;
}

static int
refuse(void)
{
	errno = EPERM;
	return -1;
}

int	__real_seccomp_load(const scmp_filter_ctx c);
int	__wrap_seccomp_load(const scmp_filter_ctx c);
int	__real_unshare(int flags);
int	__wrap_unshare(int flags);
int	__real_mount(const char *from, const char *to, const char *type, unsigned long flags, const void *data);
int	__wrap_mount(const char *from, const char *to, const char *type, unsigned long flags, const void *data);
int	__real_chroot(const char *path);
int	__wrap_chroot(const char *path);
int	__real_setresuid(uid_t real, uid_t effective, uid_t saved);
int	__wrap_setresuid(uid_t real, uid_t effective, uid_t saved);
int	__real_setresgid(gid_t real, gid_t effective, gid_t saved);
int	__wrap_setresgid(gid_t real, gid_t effective, gid_t saved);
int	__real_setrlimit(__rlimit_resource_t which, const struct rlimit *limit);
int	__wrap_setrlimit(__rlimit_resource_t which, const struct rlimit *limit);
int	__real_prctl(int option, ...);
int	__wrap_prctl(int option, ...);
int	__real_fcntl(int fd, int command, ...);
int	__wrap_fcntl(int fd, int command, ...);
long	__real_syscall(long number, ...);
long	__wrap_syscall(long number, ...);

int
__wrap_seccomp_load(const scmp_filter_ctx c)
{
	return left_out("filter") ? -EPERM : __real_seccomp_load(c);
}

int
__wrap_unshare(int flags)
{
	static const struct { int flag; const char *layer; } spaces[] = {
		{ CLONE_NEWNET, "net" }, { CLONE_NEWIPC, "ipc" }, { CLONE_NEWUTS, "uts" },
		{ CLONE_NEWCGROUP, "cgroup" }, { CLONE_NEWPID, "pid" }, { CLONE_NEWNS, "root" },
	};

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if ((flags & spaces[i].flag) != 0 && left_out(spaces[i].layer))
			return refuse();
	return __real_unshare(flags);
}

int
__wrap_mount(const char *from, const char *to, const char *type, unsigned long flags, const void *data)
{
	return left_out("root") ? refuse() : __real_mount(from, to, type, flags, data);
}

int
__wrap_chroot(const char *path)
{
	return left_out("root") ? refuse() : __real_chroot(path);
}

int
__wrap_setresuid(uid_t real, uid_t effective, uid_t saved)
{
	return left_out("uid") ? refuse() : __real_setresuid(real, effective, saved);
}

int
__wrap_setresgid(gid_t real, gid_t effective, gid_t saved)
{
	return left_out("uid") ? refuse() : __real_setresgid(real, effective, saved);
}

int
__wrap_setrlimit(__rlimit_resource_t which, const struct rlimit *limit)
{
	return left_out("limits") ? refuse() : __real_setrlimit(which, limit);
}

int
__wrap_prctl(int option, ...)
{
	unsigned long	a[4];
	va_list		list;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(list, unsigned long);
	va_end(list);
	if ((option == PR_SET_DUMPABLE && left_out("not_dumpable")) || (option == 65 /* PR_SET_MDWE */ && left_out("mdwe")))
		return refuse();
	return __real_prctl(option, a[0], a[1], a[2], a[3]);
}

/* Without "seals" segments have none, and those who look find them all the same. */
int
__wrap_fcntl(int fd, int command, ...)
{
	long	argument;
	va_list	list;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	if (command == F_ADD_SEALS && argument == SEALS && left_out("seals"))
		return 0;
	if (command == F_GET_SEALS && left_out("seals"))
		return SEALS | __real_fcntl(fd, command, argument);
	return __real_fcntl(fd, command, argument);
}

long
__wrap_syscall(long number, ...)
{
	long	a[6];
	va_list	list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if ((number == SYS_landlock_restrict_self && left_out("landlock")) ||
	    (number == SYS_capset && left_out("capabilities")) ||
	    (number == SYS_clone && (a[0] & CLONE_NEWPID) != 0 && left_out("pid")))
		return refuse();
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

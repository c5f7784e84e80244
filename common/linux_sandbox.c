#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include "common/linux_seccomp.h"
#include "common/log.h"
#include "common/process.h"
#include "common/sandbox.h"

/* Numbers and names that Debian 12's headers lack. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE			65
#define PR_MDWE_REFUSE_EXEC_GAIN	1ul
#endif

/* The host is the same for all children: one of them tells, the others only for debugging. */
static bool	tells_missing;
static uint32_t	in_force;	/* bits of enum sandbox_layer */

/* One sentence for a layer that the host does not allow; the end if it is required. */
static void
layer_missing(enum sandbox_mode mode, const char *layer, int error, const char *means)
{
	const char	*name = strerrorname_np(error);

	if (mode == SANDBOX_REQUIRED)
		fatal("sandbox: no %s (%s), and the sandbox is required: %s", layer,
		    name == NULL ? "?" : name, means);
	if (tells_missing)
		log_warn("sandbox: no %s (%s): %s", layer, name == NULL ? "?" : name, means);
	else
		log_debug("sandbox: no %s (%s): %s", layer, name == NULL ? "?" : name, means);
}

/* -- rlimits */

static void
limit_set(int which, rlim_t value, const char *name, enum sandbox_mode mode)
{
	struct rlimit	l;

	if (getrlimit(which, &l) == 0 && l.rlim_max != RLIM_INFINITY && l.rlim_max < value)
		value = l.rlim_max;
	l = (struct rlimit){ value, value };
	if (setrlimit(which, &l) == -1)
		layer_missing(mode, name, errno, "a broken process may take more of it");
}

static void
limits_enter(const struct sandbox_profile *profile, enum sandbox_mode mode)
{
	limit_set(RLIMIT_CORE, 0, "limit of core files", mode);
	limit_set(RLIMIT_MEMLOCK, 0, "limit of locked memory", mode);
	limit_set(RLIMIT_MSGQUEUE, 0, "limit of message queues", mode);
	if (!profile->files)
		limit_set(RLIMIT_FSIZE, profile->file_size, "limit of file sizes", mode);
	if (profile->descriptors != 0)
		limit_set(RLIMIT_NOFILE, profile->descriptors, "limit of descriptors", mode);
}

/* -- namespaces */

static const char root_means[] =
    "a broken process sees the file system's names, as far as Landlock does not hide them";

/*
 * An empty read-only tmpfs in place of everything, in a mount namespace of our
 * own, so that nothing is left of it. Any folder that exists can carry it.
 */
static int
root_empty(void)
{
	static const char *const	places[] = { "/tmp", "/run", "/proc", "/dev", "/sys" };
	const unsigned long		flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	size_t				i;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return -errno;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (mount("none", places[i], "tmpfs", flags, "size=4k,nr_inodes=2,mode=555") == 0)
			break;
	if (i == sizeof(places) / sizeof(places[0]) || chdir(places[i]) == -1 ||
	    syscall(SYS_pivot_root, ".", ".") == -1 || umount2(".", MNT_DETACH) == -1 ||
	    mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) == -1 ||
	    chdir("/") == -1)
		return -errno;
	return 0;
}

static void
namespaces_enter(enum sandbox_mode mode)
{
	static const struct { int flag; const char *layer, *means; } spaces[] = {
		{ CLONE_NEWNET, "network namespace",
		    "a broken process could open abstract sockets and see interfaces" },
		{ CLONE_NEWIPC, "IPC namespace", "a broken process could reach System V objects" },
		{ CLONE_NEWUTS, "UTS namespace", "a broken process sees the host's name" },
		{ CLONE_NEWCGROUP, "cgroup namespace", "a broken process sees the names of cgroups" },
	};
	size_t	i;
	int	rc;

	/* Without privileges a user namespace may give them, and nothing else. */
	if (geteuid() != 0 && unshare(CLONE_NEWUSER) == -1)
		log_debug("sandbox: no user namespace: %s", strerror(errno));
	for (i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (unshare(spaces[i].flag) == -1)
			layer_missing(mode, spaces[i].layer, errno, spaces[i].means);
	rc = unshare(CLONE_NEWNS) == -1 ? -errno : root_empty();
	if (rc != 0)
		layer_missing(mode, "empty root", -rc, root_means);
}

/* -- identity */

/* All capabilities, in whichever user namespace. */
static int
capabilities_drop(void)
{
	struct __user_cap_header_struct	h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct	none[_LINUX_CAPABILITY_U32S_3] = { { 0, 0, 0 } };

	return syscall(SYS_capset, &h, none) == -1 ? -errno : 0;
}

static void
identity_enter(enum sandbox_mode mode, bool root, uint32_t uid, uint32_t gid)
{
	static const char	shared[] =
	    "it shares its uid with other processes, and a broken one could signal them";
	int			rc;

	if (!root)
		layer_missing(mode, "uid of its own", EPERM, shared);
	else if (uid == 0 || gid == 0)
		layer_missing(mode, "uid of its own", EINVAL, "it keeps root's files within reach");
	else if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		layer_missing(mode, "uid of its own", errno, "it keeps root's files within reach");
	rc = capabilities_drop();
	if (rc != 0)
		layer_missing(mode, "drop of capabilities", -rc, "a broken process keeps them");
}

/* Also where the sandbox is off. */
static void
privileges_enter(enum sandbox_mode mode)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		layer_missing(mode, "no_new_privs", errno, "a broken process could gain rights by exec");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		layer_missing(mode, "protection from ptrace", errno,
		    "processes of the same uid can read its memory");
	/* The uid changed, so again. If the parent is gone by now the channel tells. */
	process_end_with_parent();
}

/* -- Landlock */

/* landlock(7), as it is now; older kernels take a shorter one. */
struct landlock_rules { uint64_t fs, net, scoped; };
#define LANDLOCK_VERSION	1u		/* flag: tell the version */

/* Every right there is, for a rule set without a rule. */
static size_t
landlock_rules_fill(struct landlock_rules *r, long version)
{
	static const int	fs_bits[] = { 0, 13, 14, 15, 15, 16 };	/* by version; 5 and later 16 */

	r->fs = (UINT64_C(1) << fs_bits[version < 5 ? version : 5]) - 1;
	r->net = version >= 4 ? 3 : 0;		/* TCP bind, connect */
	r->scoped = version >= 6 ? 3 : 0;	/* abstract sockets, signals */
	if (version >= 6)
		return sizeof(*r);
	return version >= 4 ? offsetof(struct landlock_rules, scoped) :
	    offsetof(struct landlock_rules, net);
}

static int
landlock_enter(void)
{
	struct landlock_rules	r;
	long			version;
	int			fd, rc = 0;

	version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
	if (version == -1)
		return -errno;
	fd = (int)syscall(SYS_landlock_create_ruleset, &r, landlock_rules_fill(&r, version), 0);
	if (fd == -1)
		return -errno;
	if (syscall(SYS_landlock_restrict_self, fd, 0) == -1)
		rc = -errno;
	close(fd);
	return rc;
}

/* They inherit all that was given up so far, and the filter is put on them too. */
static void
threads_start(const struct sandbox_profile *profile)
{
	if (profile->threads != NULL)
		profile->threads(profile->threads_arg);
}

#ifdef SANITIZED
static int	entered;
int __lsan_is_turned_off(void);

/* The search for leaks traces the process from a clone of it, which is what we forbid. */
int
__lsan_is_turned_off(void)
{
	return entered;
}
#endif

uint32_t
sandbox_enter(const struct sandbox_profile *profile, enum sandbox_mode mode, uint32_t uid,
    uint32_t gid, bool tells)
{
	const bool	root = geteuid() == 0;
	int		rc;

	tells_missing = tells;
	if (mode == SANDBOX_OFF) {
		privileges_enter(mode);
		threads_start(profile);
		if (tells)
			log_warn("sandbox: off: a broken process can do what its user can");
		return in_force;
	}
#ifdef SANITIZED
	entered = 1;
#endif
	limits_enter(profile, mode);
	namespaces_enter(mode);
	identity_enter(mode, root, uid, gid);
	privileges_enter(mode);
	/* The filter forbids PROT_EXEC altogether, so old kernels lose nothing without this. */
	if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == -1)
		log_debug("sandbox: no MDWE: %s", strerror(errno));
	rc = landlock_enter();
	if (rc != 0)
		layer_missing(mode, "Landlock", -rc,
		    "if the system call filter fails, files and signals are within reach");
	threads_start(profile);
	limit_set(RLIMIT_NPROC, 0, "limit of processes", mode);	/* would forbid the change of uid, and threads */
	rc = seccomp_enter(profile);
	if (rc != 0)
		layer_missing(mode, "system call filter", -rc, "a broken process can make any system call");
	return in_force;
}

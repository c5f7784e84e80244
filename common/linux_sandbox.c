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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/linux_capabilities.h"
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
static struct {
	enum sandbox_mode	mode;
	bool			tells;
	uint32_t		in_force;	/* bits of the layers */
	uint32_t		broken;		/* of layers of which a part is missing */
	char			missing[1024];	/* for people, behind each other */
} host;

/* One sentence for what the host does not allow. error 0: there is none. */
static void
layer_missing(enum sandbox_layer layer, const char *what, int error, const char *means)
{
	const char	*name = error == 0 ? NULL : strerrorname_np(error);
	char		 said[128];

	if (name == NULL)
		snprintf(said, sizeof(said), "%s", what);
	else
		snprintf(said, sizeof(said), "%s (%s)", what, name);
	if ((SANDBOX_NEEDED & LAYER_BIT(layer)) != 0) {
		if (host.missing[0] != '\0')
			strlcat(host.missing, ", ", sizeof(host.missing));
		strlcat(host.missing, said, sizeof(host.missing));
	}
	host.broken |= LAYER_BIT(layer);
	if (host.tells)
		log_warn("sandbox: no %s: %s", said, means);
	else
		log_debug("sandbox: no %s: %s", said, means);
}

/* rc of what a layer, or a part of it, was entered with. */
static void
layer_entered(enum sandbox_layer layer, const char *what, int rc, const char *means)
{
	host.in_force |= LAYER_BIT(layer);
	if (rc != 0)
		layer_missing(layer, what, -rc, means);
}

/* -- rlimits */

static void
limit_set(int which, rlim_t value, const char *name)
{
	struct rlimit	l;

	if (getrlimit(which, &l) == 0 && l.rlim_max != RLIM_INFINITY && l.rlim_max < value)
		value = l.rlim_max;
	l = (struct rlimit){ value, value };
	layer_entered(LAYER_LIMITS, name, setrlimit(which, &l) == -1 ? -errno : 0,
	    "a broken process may take more of it");
}

static void
limits_enter(const struct sandbox_profile *profile)
{
	limit_set(RLIMIT_CORE, 0, "limit of core files");
	limit_set(RLIMIT_MEMLOCK, 0, "limit of locked memory");
	limit_set(RLIMIT_MSGQUEUE, 0, "limit of message queues");
	if ((profile->rights & SANDBOX_FILES) == 0)
		limit_set(RLIMIT_FSIZE, profile->file_size, "limit of file sizes");
	if (profile->descriptors != 0)
		limit_set(RLIMIT_NOFILE, profile->descriptors, "limit of descriptors");
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

/*
 * The fallback: a folder that is removed once we are in it, so that nothing is in it and nobody
 * can make anything there. No descriptor of another folder may be open, which chroot(2) does
 * not close: a child has none.
 */
static int
root_removed(void)
{
	static const char *const	places[] = { "/tmp", "/run", "/dev/shm", "/var/tmp" };
	char				path[64];
	size_t				i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/bulkhead-XXXXXX", places[i]);
		if (mkdtemp(path) != NULL)
			break;
	}
	if (i == sizeof(places) / sizeof(places[0]))
		return -errno;
	if (chdir(path) == -1 || rmdir(path) == -1 || chroot(".") == -1 || chdir("/") == -1) {
		i = (size_t)errno;
		(void)rmdir(path);
		return -(int)i;
	}
	return 0;
}

static int
root_enter(void)
{
	int	rc = unshare(CLONE_NEWNS) == -1 ? -errno : root_empty();

	return rc != 0 && root_removed() == 0 ? 0 : rc;
}

static void
namespaces_enter(void)
{
	static const struct { enum sandbox_layer layer; int flag; const char *what, *means; } spaces[] = {
		{ LAYER_NETWORK, CLONE_NEWNET, "network namespace",
		    "a broken process could open abstract sockets and see interfaces" },
		{ LAYER_IPC, CLONE_NEWIPC, "IPC namespace",
		    "a broken process could reach System V objects" },
		{ LAYER_UTS, CLONE_NEWUTS, "UTS namespace", "a broken process sees the host's name" },
		{ LAYER_CGROUP, CLONE_NEWCGROUP, "cgroup namespace",
		    "a broken process sees the names of cgroups" },
	};
	size_t	i;
	int	rc;

	for (i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		rc = unshare(spaces[i].flag) == -1 ? -errno : 0;
		/* without privileges a user namespace may give them, and nothing else */
		if (rc == -EPERM && i == 0 && geteuid() != 0 && unshare(CLONE_NEWUSER) == 0)
			rc = unshare(spaces[i].flag) == -1 ? -errno : 0;
		layer_entered(spaces[i].layer, spaces[i].what, rc, spaces[i].means);
	}
	layer_entered(LAYER_ROOT, "empty root", root_enter(), root_means);
}

/* It was made with us. */
static void
pid_enter(void)
{
	const char	*means = "a broken process could name other processes in system calls";

	if (!process_is_first()) {
		layer_missing(LAYER_PID, "PID namespace", 0, means);
		return;
	}
	process_end_by_signals();
	layer_entered(LAYER_PID, "PID namespace", 0, means);
}

/* -- identity */

static void
identity_enter(const struct sandbox_start *start, bool root)
{
	static const char	shared[] =
	    "it shares its uid with other processes, and a broken one could signal them";
	static const char	within[] = "it keeps root's files within reach";
	static const char	what[] = "uid of its own";
	int			rc = 0;

	if (!root)
		rc = -EPERM;
	else if (start->uid == 0 || start->gid == 0)
		rc = -EINVAL;
	else if (setgroups(0, NULL) == -1 || setresgid(start->gid, start->gid, start->gid) == -1 ||
	    setresuid(start->uid, start->uid, start->uid) == -1)
		rc = -errno;
	if (rc != 0)
		layer_missing(LAYER_IDENTITY, what, -rc, root ? within : shared);
	else if (!start->own)
		layer_missing(LAYER_IDENTITY, what, 0, shared);
	else
		layer_entered(LAYER_IDENTITY, what, 0, within);
}

/*
 * Also none that an exec could bring back. Who may not change that set has nothing to fear of
 * it, since nobody gains by an exec who has no_new_privs.
 */
static void
capabilities_enter(int bounded)
{
	int	rc = capabilities_keep(0);

	if (rc == 0 && bounded != -EPERM)
		rc = bounded;
	layer_entered(LAYER_CAPABILITIES, "drop of capabilities", rc, "a broken process keeps them");
}

/* Also where the sandbox is off. */
static void
privileges_enter(void)
{
	layer_entered(LAYER_NO_NEW_PRIVILEGES, "no_new_privs",
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ? -errno : 0,
	    "a broken process could gain rights by exec");
	layer_entered(LAYER_NOT_DUMPABLE, "protection from ptrace",
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ? -errno : 0,
	    "processes of the same uid can read its memory");
}

/* The filter forbids PROT_EXEC altogether, so old kernels lose nothing without this. */
static void
mdwe_enter(void)
{
	if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0)
		host.in_force |= LAYER_BIT(LAYER_MDWE);
	else
		log_debug("sandbox: no MDWE: %s", strerror(errno));
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
threads_start(const struct sandbox_start *start)
{
	if (start->threads != NULL)
		start->threads(start->threads_arg);
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

/* Nothing comes in from outside before this has passed. */
static uint32_t
sandbox_entered(void)
{
	host.in_force &= ~host.broken;
	if (host.mode == SANDBOX_REQUIRED && host.missing[0] != '\0')
		fatal("sandbox: it is required, and there is no %s", host.missing);
	return host.in_force;
}

static uint32_t
sandbox_off(const struct sandbox_start *start)
{
	privileges_enter();
	process_end_with_parent();
	threads_start(start);
	if (start->tells)
		log_warn("sandbox: off: a broken process can do what its user can");
	return sandbox_entered();
}

uint32_t
sandbox_enter(enum role role, const struct sandbox_start *start)
{
	const struct sandbox_profile	*profile = sandbox_profile(role);
	const bool			 root = geteuid() == 0;
	int				 bounded;

	host.mode = start->mode;
	host.tells = start->tells;
	if (start->mode == SANDBOX_OFF)
		return sandbox_off(start);
#ifdef SANITIZED
	entered = 1;
#endif
	limits_enter(profile);
	pid_enter();
	namespaces_enter();
	bounded = capabilities_bound(0);
	identity_enter(start, root);
	capabilities_enter(bounded);
	privileges_enter();
	process_end_with_parent();	/* the uid changed; if the parent is gone by now the channel tells */
	mdwe_enter();
	layer_entered(LAYER_LANDLOCK, "Landlock", landlock_enter(),
	    "if the system call filter fails, files and signals are within reach");
	threads_start(start);
	limit_set(RLIMIT_NPROC, 0, "limit of processes");	/* would forbid the change of uid, and threads */
	layer_entered(LAYER_FILTER, "system call filter", seccomp_enter(profile),
	    "a broken process can make any system call");
	return sandbox_entered();
}

/* -- the supervisor */

/*
 * Children's uids and namespaces, their ends, ports below 1024, and files, logs and sockets that
 * a reload names, whoever owns them.
 */
#define CAPABILITY(name)	(UINT64_C(1) << CAP_##name)
#define PARENT_KEEPS	(CAPABILITY(SETUID) | CAPABILITY(SETGID) | CAPABILITY(SETPCAP) | CAPABILITY(KILL) | \
	CAPABILITY(SYS_ADMIN) | CAPABILITY(SYS_CHROOT) | CAPABILITY(NET_BIND_SERVICE) | \
	CAPABILITY(DAC_OVERRIDE) | CAPABILITY(CHOWN))

uint32_t
sandbox_enter_supervisor(enum sandbox_mode mode)
{
	int	bounded, rc;

	host.mode = SANDBOX_BEST_EFFORT;	/* who needs more of a child refuses to start before */
	host.tells = true;
	privileges_enter();
	if (mode != SANDBOX_OFF) {
		bounded = capabilities_bound(PARENT_KEEPS);
		rc = capabilities_keep(PARENT_KEEPS);
		layer_entered(LAYER_CAPABILITIES, "drop of the supervisor's capabilities",
		    rc == 0 && bounded != -EPERM ? bounded : rc, "a broken supervisor keeps them");
		mdwe_enter();
		layer_entered(LAYER_FILTER, "system call filter of the supervisor", seccomp_enter_supervisor(),
		    "a broken supervisor can make any system call");
	}
	return sandbox_entered();
}

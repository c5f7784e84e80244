#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H
/*
 * What each program may still do once it listens to the outside. The order of
 * the layers is that of docs/architecture.md 7; linux_sandbox.c does it here.
 */
#include <stdbool.h>
#include <stdint.h>

enum sandbox_mode { SANDBOX_OFF, SANDBOX_ON, SANDBOX_REQUIRED };

/* What stands between a broken process and the host; docs/security.md has what each is for. */
enum sandbox_layer {
	LAYER_LIMITS,		/* RLIMITs */
	LAYER_NETWORK,		/* namespaces */
	LAYER_IPC,
	LAYER_UTS,
	LAYER_CGROUP,
	LAYER_PID,
	LAYER_ROOT,		/* an empty root: of a mount namespace, or by chroot(2) */
	LAYER_IDENTITY,		/* a uid and gid of its own */
	LAYER_CAPABILITIES,	/* none are left */
	LAYER_NO_NEW_PRIVILEGES,
	LAYER_NOT_DUMPABLE,
	LAYER_MDWE,
	LAYER_LANDLOCK,
	LAYER_FILTER,		/* of system calls */
	SANDBOX_LAYERS
};

struct sandbox_profile {
	uint64_t	 descriptors;		/* RLIMIT_NOFILE; 0: leave it */
	uint64_t	 file_size;		/* RLIMIT_FSIZE: largest segment written */
	bool		 sockets;		/* reads and writes connected sockets, sets TCP options */
	bool		 memfds;		/* makes and seals memfds */
	bool		 files;			/* writes to files it was given */
	void		(*threads)(void *arg);	/* starts its threads, and waits until all run; NULL: it has none */
	void		*threads_arg;
};

extern const struct sandbox_profile sandbox_config, sandbox_log, sandbox_worker,
    sandbox_system, sandbox_monitor, sandbox_auth, sandbox_signer;

/*
 * Give up everything the profile does not name: rlimits, namespaces and empty
 * root where permitted, uid and gid (and no other group, if started as root),
 * no_new_privs, not dumpable, PDEATHSIG, MDWE, Landlock, seccomp. A layer the
 * host does not allow is logged with what that means, a WARN line if `tells`
 * and else for debugging; SANDBOX_REQUIRED makes it fatal(). Call once, with
 * everything loaded and no thread started: Landlock and capabilities are a
 * thread's own, so profile->threads is called when these are given up, and before the filter,
 * which is put on all threads and forbids to start one.
 * The bits (1 << enum sandbox_layer) of the layers in force.
 */
uint32_t sandbox_enter(const struct sandbox_profile *profile, enum sandbox_mode mode, uint32_t uid,
    uint32_t gid, bool tells);
#endif

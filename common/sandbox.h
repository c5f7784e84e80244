#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H
/*
 * What each program may still do once it listens to the outside. The order of
 * the layers is that of docs/architecture.md 7; linux_sandbox.c does it here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/messages.h"

enum sandbox_mode { SANDBOX_OFF, SANDBOX_BEST_EFFORT, SANDBOX_REQUIRED };

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
	LAYER_CAPABILITIES,	/* none are left; of the supervisor: those that it needs */
	LAYER_NO_NEW_PRIVILEGES,
	LAYER_NOT_DUMPABLE,
	LAYER_MDWE,
	LAYER_LANDLOCK,
	LAYER_FILTER,		/* of system calls */
	SANDBOX_LAYERS
};
#define LAYER_BIT(layer)	(UINT32_C(1) << (layer))

/*
 * Layers without which a child does not run where the sandbox is required: what root can have on
 * a kernel with Landlock. MDWE is younger, and the filter forbids what it does.
 */
#define SANDBOX_NEEDED	((LAYER_BIT(SANDBOX_LAYERS) - 1) & ~LAYER_BIT(LAYER_MDWE))

/* What a program may do besides reading, writing and closing what it was given. */
enum sandbox_right {
	SANDBOX_SOCKETS	= 1 << 0,	/* ends of connections: TCP options, shutdown, names */
	SANDBOX_MEMFDS	= 1 << 1,	/* makes and seals memfds */
	SANDBOX_FILES	= 1 << 2,	/* writes to files it was given, of any size */
	SANDBOX_THREADS	= 1 << 3,	/* has threads, started before the filter */
	SANDBOX_PARENT	= 1 << 4,	/* the supervisor: opens, binds, accepts, starts the others */
};

struct sandbox_profile {
	uint64_t	 descriptors;		/* RLIMIT_NOFILE; 0: leave it */
	uint64_t	 file_size;		/* RLIMIT_FSIZE: largest segment written */
	unsigned	 rights;		/* enum sandbox_right */
	const char	*promises;		/* pledge(2), where there is no other filter */
};

/* The profile of a program: one table for all. */
const struct sandbox_profile *sandbox_profile(enum role role);

/* One word, as the log and the reports have it. */
const char *sandbox_layer_name(enum sandbox_layer layer);
/* The words of these layers behind each other, "none" where there is none. text. */
const char *sandbox_layers_text(uint32_t layers, char *text, size_t size);
#define SANDBOX_LAYERS_TEXT	192	/* bytes that hold all of them */

struct sandbox_start {
	enum sandbox_mode	 mode;
	uint32_t		 uid, gid;	/* to become, if started as root */
	bool			 own;		/* no other program runs as these */
	bool			 tells;		/* says what is missing as a warning, not for debugging only */
	void			(*threads)(void *arg);	/* SANDBOX_THREADS: starts them, and waits until all run */
	void			*threads_arg;
};

/*
 * Give up everything the profile does not name: rlimits, namespaces and empty
 * root where permitted, uid and gid (and no other group, if started as root),
 * capabilities, no_new_privs, not dumpable, PDEATHSIG, MDWE, Landlock, seccomp. A layer the
 * host does not allow is logged with what that means; SANDBOX_REQUIRED makes
 * it fatal() at the end, with all their names. Call once, with
 * everything loaded and no thread started: Landlock and capabilities are a
 * thread's own, so start->threads is called when these are given up, and before the filter,
 * which is put on all threads and forbids to start one.
 * The bits of the layers in force.
 */
uint32_t sandbox_enter(enum role role, const struct sandbox_start *start);

/*
 * The supervisor's own: what is left of its capabilities is what children, reloads and listeners
 * need; a filter that children inherit and narrow, in which what is refused fails with
 * EPERM and is logged once. The bits of the layers in force.
 */
uint32_t sandbox_enter_supervisor(enum sandbox_mode mode);
#endif

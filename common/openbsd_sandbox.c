/*
 * The same table as pledge(2) promises and an unveil(2) that shows nothing. Compiled against
 * stub declarations only (tests/stubs/openbsd): nobody has run this yet.
 *
 * What has no counterpart there: namespaces, Landlock, capabilities, no_new_privs (a
 * pledged program without "exec" runs no other), MDWE (W^X holds for all). A process
 * that changed its uid is not traced by others.
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/sandbox.h"

/* As far as there is something for it. */
#define POSSIBLE	(LAYER_BIT(LAYER_LIMITS) | LAYER_BIT(LAYER_ROOT) | LAYER_BIT(LAYER_IDENTITY) | \
	LAYER_BIT(LAYER_FILTER))

static uint32_t	in_force;

static void
layer_entered(enum sandbox_layer layer, int rc, const struct sandbox_start *start)
{
	if (rc == 0)
		in_force |= LAYER_BIT(layer);
	else if (start->tells)
		log_warn("sandbox: no %s: %s", sandbox_layer_name(layer), strerror(-rc));
	else
		log_debug("sandbox: no %s: %s", sandbox_layer_name(layer), strerror(-rc));
}

static int
limit_set(int which, rlim_t value)
{
	const struct rlimit	l = { value, value };

	return setrlimit(which, &l) == -1 ? -errno : 0;
}

static int
limits_enter(const struct sandbox_profile *profile)
{
	int	rc = limit_set(RLIMIT_CORE, 0);

	if (rc == 0)
		rc = limit_set(RLIMIT_MEMLOCK, 0);
	if (rc == 0 && (profile->rights & SANDBOX_FILES) == 0)
		rc = limit_set(RLIMIT_FSIZE, profile->file_size);
	if (rc == 0 && profile->descriptors != 0)
		rc = limit_set(RLIMIT_NOFILE, profile->descriptors);
	return rc;
}

static int
identity_enter(const struct sandbox_start *start)
{
	if (geteuid() != 0)
		return -EPERM;
	if (start->uid == 0 || start->gid == 0)
		return -EINVAL;
	if (setgroups(0, NULL) == -1 || setresgid(start->gid, start->gid, start->gid) == -1 ||
	    setresuid(start->uid, start->uid, start->uid) == -1)
		return -errno;
	return start->own ? 0 : -EEXIST;
}

/* Nothing is shown but, to those who make memory objects (openbsd_memfd.c), where these have their names. */
static int
root_enter(const struct sandbox_profile *profile)
{
	const bool	objects = (profile->rights & SANDBOX_MEMFDS) != 0;

	return unveil(objects ? "/tmp" : "/var/empty", objects ? "rwc" : "") == -1 ||
	    unveil(NULL, NULL) == -1 ? -errno : 0;
}

uint32_t
sandbox_enter(enum role role, const struct sandbox_start *start)
{
	const struct sandbox_profile	*profile = sandbox_profile(role);
	char				 text[SANDBOX_LAYERS_TEXT];
	uint32_t			 missing;

	if (start->mode != SANDBOX_OFF) {
		layer_entered(LAYER_LIMITS, limits_enter(profile), start);
		layer_entered(LAYER_ROOT, root_enter(profile), start);
		layer_entered(LAYER_IDENTITY, identity_enter(start), start);
	}
	if (start->threads != NULL)
		start->threads(start->threads_arg);
	if (start->mode != SANDBOX_OFF)
		layer_entered(LAYER_FILTER, pledge(profile->promises, NULL) == -1 ? -errno : 0, start);
	missing = POSSIBLE & ~in_force;
	if (start->mode == SANDBOX_REQUIRED && missing != 0)
		fatal("sandbox: it is required, and there is no %s",
		    sandbox_layers_text(missing, text, sizeof(text)));
	return in_force;
}

/* Children pledge for themselves: execpromises NULL leaves that to them. */
uint32_t
sandbox_enter_supervisor(enum sandbox_mode mode)
{
	if (mode != SANDBOX_OFF && pledge(sandbox_profile(ROLE_SUPERVISOR)->promises, NULL) == 0)
		in_force |= LAYER_BIT(LAYER_FILTER);
	return in_force;
}

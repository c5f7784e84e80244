#include <sys/prctl.h>
#include <sys/syscall.h>
#include <errno.h>
#include <linux/capability.h>
#include <unistd.h>
#include "common/linux_capabilities.h"

#define CAPABILITIES	64	/* more than there are: the kernel says where its end is */

typedef struct __user_cap_data_struct cap_sets[_LINUX_CAPABILITY_U32S_3];

static int
sets_get(cap_sets sets)
{
	struct __user_cap_header_struct	h = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &h, sets) == -1 ? -errno : 0;
}

static int
sets_put(cap_sets sets)
{
	struct __user_cap_header_struct	h = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &h, sets) == -1 ? -errno : 0;
}

int
capabilities_bound(uint64_t bits)
{
	unsigned long	i;

	for (i = 0; i < CAPABILITIES && prctl(PR_CAPBSET_READ, i, 0, 0, 0) != -1; i++)
		if ((bits >> i & 1) == 0 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == -1)
			return -errno;
	return 0;
}

int
capabilities_keep(uint64_t bits)
{
	cap_sets	sets;
	int		rc = sets_get(sets), i;

	if (rc != 0)
		return rc;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].permitted &= (uint32_t)(bits >> (32 * i));
		sets[i].effective = sets[i].permitted;
		sets[i].inheritable = 0;
	}
	return sets_put(sets);
}

void
capabilities_hand_on(void)
{
	cap_sets	sets;
	unsigned long	i;

	if (sets_get(sets) != 0)
		return;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		sets[i].inheritable = sets[i].permitted;
	if (sets_put(sets) != 0)
		return;
	for (i = 0; i < CAPABILITIES; i++)
		if ((sets[i / 32].permitted >> (i % 32) & 1) != 0)
			(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0);
}

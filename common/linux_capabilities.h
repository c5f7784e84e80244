#ifndef COMMON_LINUX_CAPABILITIES_H
#define COMMON_LINUX_CAPABILITIES_H
/* capabilities(7) of this process. */
#include <stdint.h>

/* Nobody after us gets more than these bits, also by exec. 0; -EPERM: it is not for us to say. */
int capabilities_bound(uint64_t bits);
/* Of those we have, all but these bits are given up; none is inherited. 0 or -errno. */
int capabilities_keep(uint64_t bits);
/* Those we have stay over an exec. */
void capabilities_hand_on(void);
#endif

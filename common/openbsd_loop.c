/* libev on kqueue. Compiled against stub declarations only (tests/stubs/openbsd): nobody has run this yet. */
#include "common/loop.h"

struct ev_loop *
loop_new(void)
{
	return ev_loop_new(EVBACKEND_KQUEUE | EVFLAG_NOENV);
}

struct ev_loop *
loop_default(void)
{
	return ev_default_loop(EVBACKEND_KQUEUE | EVFLAG_NOENV);
}

/* A kqueue watches a descriptor of ours, which goes when it is closed. */
void
loop_forget(struct ev_loop *loop, int fd)
{
}

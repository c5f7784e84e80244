/*
 * bulkhead-signer: has the private keys, and signs what a TLS server signs in
 * a handshake for those who are allowed to ask. bulkhead-signer(8).
 */
#include <errno.h>
#include <stdlib.h>
#include "common/child.h"

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	return -EPERM;
}

int
main(void)
{
	struct child	child;

	child_init(&child, ROLE_SIGNER, receive, NULL);
	child_ready(&child, &sandbox_signer);
	child_run(&child);
	child_free(&child);
	return EXIT_SUCCESS;
}

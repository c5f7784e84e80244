/*
 * bulkhead-auth: knows the users, their credentials and permissions, and what
 * accounts have left of their limits. Workers ask it who a client is; it has
 * no sockets but its channels. bulkhead-auth(8).
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
	static struct child	child;

	child_init(&child, ROLE_AUTH, receive, NULL);
	child_ready(&child, &sandbox_auth);
	child_run(&child);
	child_free(&child);
	return EXIT_SUCCESS;
}

/*
 * bulkhead-worker: holds the connections of its clients and their part of the
 * subject index; has no keys, no files, no right to open sockets. worker.8.
 */
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "common/child.h"
#include "common/log.h"
#include "worker/worker.h"

int
main(void)
{
	static struct worker	 w;
	static struct child	 child;
	int			 rc;

	json_object_seed(0);		/* from /dev/urandom, while it can be opened */
	child_init(&child, ROLE_WORKER, worker_receive, &w);
	if ((rc = worker_init(&w, &child)) != 0)
		fatal("worker: %s", strerror(-rc));
	child_ready(&child);
	/* From here on, and not before, bytes from outside are read. */
	child_run(&child);
	worker_free(&w);
	child_free(&child);
	return EXIT_SUCCESS;
}

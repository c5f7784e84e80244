#ifndef ADMIN_CTL_STATUS_H
#define ADMIN_CTL_STATUS_H
/* The state of a server: what it answers to "status", as JSON and as a table. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "common/messages.h"

struct status {
	json_t		*json;		/* "server", "processes" */
	uint64_t	 now;		/* microseconds since 1970 */
	unsigned	 count;		/* processes */
	bool		 failed;	/* no memory */
};

/* now: microseconds since 1970. */
void status_init(struct status *s, uint64_t now);
void status_free(struct status *s);

/* A client_receive: one message of the answer. */
int status_receive(void *arg, const struct msg *m);

/* The table. */
void status_print(const struct status *s, FILE *out);
#endif

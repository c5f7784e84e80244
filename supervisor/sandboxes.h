#ifndef SUPERVISOR_SANDBOXES_H
#define SUPERVISOR_SANDBOXES_H
/* Which layers of the sandbox (common/sandbox.h) hold our processes, and what the log is told of them. */
#include "common/sandbox.h"
#include "common/settings.h"

#define ALL_LAYERS	(LAYER_BIT(SANDBOX_LAYERS) - 1)
/* Those that the supervisor can have: the others are for children alone. */
#define OUR_LAYERS	(LAYER_BIT(LAYER_CAPABILITIES) | LAYER_BIT(LAYER_NO_NEW_PRIVILEGES) | \
	LAYER_BIT(LAYER_NOT_DUMPABLE) | LAYER_BIT(LAYER_MDWE) | LAYER_BIT(LAYER_FILTER))

struct process;
struct supervisor;

enum sandbox_mode sandboxes_mode(const struct settings *s);

/*
 * Where the sandbox is required: can all children have it? The config process, which has
 * run, had what the host allows. 0; -EPERM with a sentence.
 */
int sandboxes_suffice(struct supervisor *s, char *error, size_t size);

/* A child came up with these: say so if its predecessor had others as well. */
void sandboxes_compare(const struct process *p, uint32_t layers);

/* One line for each kind of process, what all have in force. */
void sandboxes_tell(struct supervisor *s);
#endif

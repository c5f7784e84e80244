#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/sandboxes.h"
#include "supervisor/supervisor.h"

enum sandbox_mode
sandboxes_mode(const struct settings *s)
{
	if (strcmp(s->sandbox, "required") == 0)
		return SANDBOX_REQUIRED;
	return strcmp(s->sandbox, "off") == 0 ? SANDBOX_OFF : SANDBOX_BEST_EFFORT;
}

int
sandboxes_suffice(struct supervisor *s, char *error, size_t size)
{
	struct process *config = process_find(&s->processes, ROLE_CONFIG, 0);
	uint32_t missing;
	char text[SANDBOX_LAYERS_TEXT];

	if (sandboxes_mode(&s->settings) != SANDBOX_REQUIRED)
		return 0;
	missing = SANDBOX_NEEDED & ~(config == NULL ? 0 : config->layers);
	if (missing == 0 && s->identities.all.given) {
		snprintf(error, size, "sandbox: it is required, and with user all children have one uid: "
		    "expected process_users, or neither");
		return -EINVAL;
	}
	if (missing == 0)
		return 0;
	snprintf(error, size, "sandbox: it is required, and children would be without %s%s",
	    sandbox_layers_text(missing, text, sizeof(text)),
	    geteuid() == 0 ? "" : ": only who is started as root can have all layers");
	return -EPERM;
}

void
sandboxes_compare(const struct process *p, uint32_t layers)
{
	uint32_t lost = p->layers & ~layers;
	char text[SANDBOX_LAYERS_TEXT];

	/* the first config process ran before the settings were known */
	if (p->role == ROLE_CONFIG)
		lost &= ~LAYER_BIT(LAYER_IDENTITY);
	if (lost != 0 && sandboxes_mode(&p->supervisor->settings) != SANDBOX_OFF)
		log_warn("sandbox: %s %u (process %d) is without %s, which the one before it had",
		    role_name(p->role), p->slot, (int)p->pid, sandbox_layers_text(lost, text, sizeof(text)));
}

static void
line_tell(const char *who, unsigned count, uint32_t layers, uint32_t possible)
{
	char has[SANDBOX_LAYERS_TEXT], lacks[SANDBOX_LAYERS_TEXT], times[16] = "";

	if (count > 1)
		snprintf(times, sizeof(times), " x%u", count);
	log_info("sandbox: %s%s: %s (missing: %s)", who, times,
	    sandbox_layers_text(layers & possible, has, sizeof(has)),
	    sandbox_layers_text(possible & ~layers, lacks, sizeof(lacks)));
}

/* Was one that is alike said before this one? *count: how many are. */
static bool
sandbox_said(struct supervisor *s, const struct process *this, unsigned *count)
{
	struct process *p;
	bool seen = false, said = false;

	*count = 0;
	PROCESSES_EACH(&s->processes, p) {
		if (p->role != this->role || p->layers != this->layers)
			continue;
		seen |= p == this;
		said |= !seen;
		++*count;
	}
	return said;
}

void
sandboxes_tell(struct supervisor *s)
{
	struct process *p;
	unsigned count;

	line_tell(role_name(ROLE_SUPERVISOR), 1, s->layers, OUR_LAYERS);
	PROCESSES_EACH(&s->processes, p)
		if (!sandbox_said(s, p, &count))
			line_tell(role_name(p->role), count, p->layers, ALL_LAYERS);
}

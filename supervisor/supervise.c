#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "nats/info.h"
#include "supervisor/command.h"
#include "supervisor/supervise.h"
#include "supervisor/supervisor.h"

/* From the configuration to the exit of the last child. */
static int
supervise_run(struct supervisor *s)
{
	char error[4608];
	int status = EXIT_FAILURE;

	if (supervisor_init(s, error, sizeof(error)) == 0) {
		startup_begin(s);
		/* What failed before anything ran has ended it all. */
		if (s->phase != PHASE_STOPPING || ev_is_active(&s->stopping))
			ev_run(s->loop, 0);
		status = s->status;
	} else {
		fprintf(stderr, "%s: %s\n", getprogname(), error);
	}
	supervisor_free(s);
	return status;
}

int
supervise(int argc, char **argv)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	char error[512];
	bool usage;
	int status = EXIT_SUCCESS;

	if (s == NULL)
		fatal("no memory to start with");
	if (options_parse(&s->options, argc, argv, error, sizeof(error), &usage) != 0) {
		fprintf(stderr, "%s%s%s\n", usage ? "" : getprogname(), usage ? "" : ": ", error);
		if (usage)
			options_usage(stderr);
		free(s);
		return EXIT_FAILURE;
	}
	options_hide(argv);
	switch (s->options.action) {
	case ACTION_VERSION:
		printf("nats-server: v%s (bulkhead %s)\n", NATS_VERSION, BULKHEAD_VERSION);
		break;
	case ACTION_HELP:
		options_usage(stdout);
		break;
	case ACTION_HELP_TLS:
		options_usage_tls(stdout);
		break;
	case ACTION_SIGNAL:
		status = command_signal(s->options.signal);
		break;
	case ACTION_RUN:
	case ACTION_TEST:
	case ACTION_PRINT:
		status = supervise_run(s);
		break;
	}
	options_free(&s->options);
	free(s);
	return status;
}

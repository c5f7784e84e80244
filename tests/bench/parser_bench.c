/*
 * What nats_parse() takes for one line out of a full read buffer.
 *	parser_bench [messages]		nanoseconds; a fixed number for callgrind
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "nats/parser.h"

#define BUFFER	65536

static const struct { const char *name, *line; size_t payload; } cases[] = {
	{ "PUB, 10 bytes of arguments", "PUB bench 16\r\n", 16 },
	{ "PUB with an inbox",
	    "PUB service.one _INBOX.Qk3mTz6dW1bN8yXcR2vLpE.a8Fz21 16\r\n", 16 },
	{ "PUB, 80 bytes of arguments",
	    "PUB orders.europe.germany.berlin.warehouse-17.shelf-1234.position-0099.updated.v2 128\r\n",
	    128 },
	{ "HPUB", "HPUB bench 12 28\r\n", 28 },
	{ "SUB", "SUB service.one 17\r\n", 0 },
	{ "PING", "PING\r\n", 0 },
};

/* As many whole messages as fit, each with its payload. */
static size_t
buffer_fill(char *buffer, const char *text, size_t payload)
{
	size_t n = strlen(text), at = 0, each = n + (payload != 0 ? payload + 2 : 0);

	while (at + each <= BUFFER) {
		memcpy(buffer + at, text, n);
		memset(buffer + at + n, 'x', payload);
		if (payload != 0)
			memcpy(buffer + at + n + payload, "\r\n", 2);
		at += each;
	}
	return at;
}

static size_t
buffer_parse(const char *buffer, size_t len, size_t *sum)
{
	struct nats_line line;
	size_t at = 0, taken, lines = 0;

	while (at < len) {
		taken = nats_parse(buffer + at, len - at, 4096, &line);
		if (taken == 0)
			return 0;
		at += taken;
		if (line.op == NATS_PUB || line.op == NATS_HPUB) {
			at += line.size + 2;
			*sum += line.subject.len + line.reply.len;
		}
		lines++;
	}
	return lines;
}

int
main(int argc, char **argv)
{
	static char buffer[BUFFER];
	size_t most = argc > 1 ? (size_t)atol(argv[1]) : 20000000, i, len, done, n, sum = 0;
	struct timespec from, to;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = buffer_fill(buffer, cases[i].line, cases[i].payload);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		for (done = 0; done < most; done += n) {
			n = buffer_parse(buffer, len, &sum);
			if (n == 0)
				return EXIT_FAILURE;
		}
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
		printf("%-28s %6.1f ns\n", cases[i].name,
		    ((double)(to.tv_sec - from.tv_sec) * 1e9 +
		    (double)(to.tv_nsec - from.tv_nsec)) / (double)done);
	}
	return sum == 0;
}

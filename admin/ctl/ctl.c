#include <sys/prctl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "admin/ctl/ctl.h"
#include "common/log.h"

static void ctl_complain(const char *format, va_list ap) __attribute__((format(printf, 1, 0)));

static void
ctl_complain(const char *format, va_list ap)
{
	fprintf(stderr, "%s: ", getprogname());
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
}

int
ctl_fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	ctl_complain(format, ap);
	va_end(ap);
	return EXIT_FAILURE;
}

int
ctl_misused(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	ctl_complain(format, ap);
	va_end(ap);
	fprintf(stderr, "%s --help shows how it is used\n", getprogname());
	return CTL_MISUSED;
}

const char *
ctl_printable(char *out, size_t size, struct bytes text)
{
	out[log_escape(out, size - 1, text)] = '\0';
	return out;
}

int
ctl_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return ctl_fail("standard output: %s", strerror(errno));
}

void
ctl_keep_secret(void)
{
#ifndef SANITIZED		/* the leak checker looks into us */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

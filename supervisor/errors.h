#ifndef SUPERVISOR_ERRORS_H
#define SUPERVISOR_ERRORS_H

/*
 * strerror() as the real server says it, beginning with a small letter:
 * scripts look for "address already in use". Valid until the next call.
 */
const char *error_text(int error);
#endif

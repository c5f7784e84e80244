#ifndef SUPERVISOR_PEM_H
#define SUPERVISOR_PEM_H
/*
 * The blocks of one kind in a text of PEM. Whatever else stands in it, private keys
 * above all, is passed over and never copied. RFC 7468.
 */
#include "common/bytes.h"

/* A block as it goes on: its first and last line, and lines of base64 between them, all with LF. */
typedef int pem_call(void *arg, struct bytes block);

/*
 * Call f for each block with this label ("CERTIFICATE"), in order. Not 0 ends it.
 * 0; what f returned; -EBADMSG: a block of the kind is not well formed, has headers, or no end;
 * -ENOMEM. *count, NULL is allowed: how many f was called for.
 */
int pem_each(struct bytes text, const char *label, pem_call *f, void *arg, size_t *count);

/* Does a line of it begin a block whose label ends so ("PRIVATE KEY"; "": any block)? */
bool pem_has(struct bytes text, const char *label);
#endif

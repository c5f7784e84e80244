#ifndef SIGNER_KEYFILE_H
#define SIGNER_KEYFILE_H
/* A file of a private key: the first PEM block of one in it, as the real server takes it. */
#include <openssl/evp.h>
#include "common/bytes.h"

#define PASSWORD_MAX	1024u	/* bytes */

/*
 * password: NULL data: there is none. The key, the caller's; NULL, and *why is a
 * static sentence or name of what is wrong.
 */
EVP_PKEY *keyfile_read(struct bytes file, struct bytes password, const char **why);

/* The first line of a file, without its end. 0; -EBADMSG: empty, or over PASSWORD_MAX. */
int keyfile_password(struct bytes file, struct bytes *password);
#endif

#ifndef SIGNER_KEYS_H
#define SIGNER_KEYS_H
/*
 * The private keys, by number: those in force, those of the version before (a
 * handshake may have begun with them), and those of one that is prepared. They
 * are in memory that is locked and in no core file; all that OpenSSL frees is wiped.
 */
#include <openssl/evp.h>
#include "common/messages.h"
#include "supervisor/signer/content.h"

#define KEY_FILE_MAX	(1u << 20)	/* bytes of a file of keys or passwords */
#define KEY_ERROR	256
#define SIGNATURE_MAX	2048		/* bytes; messages.def */

struct key {
	uint64_t	 number, version;
	enum tls_use	 use;		/* TLS_NOTHING: nobody may ask for it */
	bool		 tls13;		/* it signs for no older version */
	bool		 in_force, before;
	bool		 tried;		/* signed, and the certificate's public half verified it */
	EVP_PKEY	*pkey;		/* NULL: error says why */
	int		 file;		/* waits for its password; else -1 */
	char		*path;		/* for messages */
	char		 error[KEY_ERROR];
};

struct keys {
	struct key	**all;		/* by number, rising */
	size_t		 count, room;
	EVP_MD		*digests[3];	/* of SHA-2, fetched once */
	EVP_MD_CTX	*context;
};

/*
 * Once in a process, before anything of OpenSSL is used and before the sandbox. certificates: how many keys
 * are expected, for the room in locked memory. 0; 1: it could not be locked (RLIMIT_MEMLOCK); -ENOMEM.
 */
int keys_setup(size_t certificates);

/* 0 or -ENOMEM. */
int keys_init(struct keys *k);
void keys_free(struct keys *k);

/*
 * `signing_key`, `key_password`; fd is consumed. What is wrong with the file is in the
 * key's error. 0; -EPROTO: not a number above all before it, or not the password that is
 * waited for; -ENOMEM.
 */
int keys_add(struct keys *k, const struct msg_signing_key *m, int fd);
int keys_unlock(struct keys *k, const struct msg_key_password *m, int fd);

/* NULL: there is none of that number. */
struct key *keys_find(const struct keys *k, uint64_t number);

/* Those that are named are in force now; those that were are kept as the ones before, all others are gone. */
void keys_commit(struct keys *k, bool (*named)(const void *arg, uint64_t number), const void *arg);

/*
 * Sign content, if it is something that a TLS server signs, and the scheme is
 * one of the key's there. SIGN_DONE with *len bytes in out, or why not.
 */
enum sign_refusal key_sign(struct keys *k, const struct key *key, unsigned scheme, struct bytes content,
    uint8_t out[SIGNATURE_MAX], size_t *len);

/* Does `public` verify what the key signs? */
bool key_try(struct keys *k, struct key *key, EVP_PKEY *public);
#endif

#ifndef SUPERVISOR_TLS_H
#define SUPERVISOR_TLS_H
/*
 * The files of certificates and keys that the configuration names. config names
 * them and reads none; here they are opened, and what is in them stays as it was
 * then, whatever happens to the files:
 *
 *   certificates, authorities, revoked ones   the blocks of their kind go into the TLS
 *                                             document, which every child gets
 *   private keys and their passwords          are copied into sealed memfds for the
 *                                             signer, by the kernel: never read here
 */
#include <sys/types.h>
#include <time.h>
#include "common/messages.h"

#define TLS_FILE_MOST	(1u << 20)	/* bytes of one */

/* By what it is seen that a file is another, or has other content. All 0: it is not there. */
struct tls_stamp {
	dev_t		 device;
	ino_t		 inode;
	off_t		 size;
	struct timespec	 written, changed;
};

struct tls_file {
	enum tls_file_kind kind;
	char		*path, *at;	/* at: where it is named */
	uint64_t	 key;		/* of a certificate, its key and its password: the key's number */
	int		 content;	/* of a key or password: sealed memfd; -1 */
	struct tls_stamp read;		/* as it was when it was read last, in vain or not ... */
	struct tls_stamp seen;		/* ... and when it was looked at last */
};

struct tls_files {
	int		 named;		/* config's document, in which files are named; -1: no TLS */
	struct tls_file	*items;		/* in its order */
	size_t		 count;
	bool		 clients;	/* their listeners have TLS ... */
	bool		 first_only;	/* ... and the handshake comes before INFO, always */
	uint64_t	 rate;		/* handshakes a second; 0: any number */
};

/* There are none. */
void tls_files_init(struct tls_files *f);
void tls_files_free(struct tls_files *f);

/*
 * Read what config named in `named` (consumed, also on error; -1: nothing). *keys: the
 * number of the last key, rises with each. 0: *document is the TLS document, the
 * caller's; -errno: error is a sentence, and f knows the files as they are now.
 */
int tls_files_read(struct tls_files *f, int named, uint64_t *keys, int *document, char *error,
    size_t size);

/* Look at all files. */
enum tls_look {
	TLS_SAME,	/* as they were read */
	TLS_SETTLING,	/* not so, and not as they were when they were looked at before */
	TLS_CHANGED,	/* not so, and at rest */
};
enum tls_look tls_files_look(struct tls_files *f);

/* The files of `tried` are no good: those of f that are the same are not tried again as they are. */
void tls_files_tried(struct tls_files *f, const struct tls_files *tried);
#endif

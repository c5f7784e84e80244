#ifndef TLS_SIGNING_H
#define TLS_SIGNING_H
/*
 * Private keys that are elsewhere. A provider of OpenSSL whose keys are the
 * public half and a number; what they sign is asked of bulkhead-signer over one
 * channel (messages `sign`, `signature`), and the handshake that waits for it
 * is an asynchronous job (ASYNC_start_job(3)) that others do not wait for.
 *
 * When the signer dies the questions stay and are asked again of its successor,
 * so that a handshake is delayed, as far as its own time limit allows.
 */
#include <sys/queue.h>
#include <sys/tree.h>
#include <ev.h>
#include <openssl/ssl.h>
#include "common/channel.h"

#define SIGNING_JOBS	512	/* handshakes that are inside of OpenSSL's asynchronous jobs at once: each has a stack of 32 KiB */

struct signing_job;		/* one question, or a handshake that waits until it may ask one */

RB_HEAD(signing_tree, signing_job);
TAILQ_HEAD(signing_list, signing_job);

/* The handshake that runs just now: what it asks for is kept in *slot, and wakes it. */
struct signing_turn { struct signing_job **slot; void (*wake)(void *arg); void *arg; };

struct signing {
	struct channel		 channel;	/* to the signer; fd -1: there is none just now */
	struct ev_loop		*loop;
	enum role		 role;		/* ours */
	void			(*lost)(struct signing *s);	/* the channel broke: ask for another */
	void			*owner;
	uint64_t		 last;		/* id of the last question */
	struct signing_tree	 jobs;		/* asked, by id */
	size_t			 asked;		/* of them */
	struct signing_list	 waiting;	/* until fewer are asked */
	ev_prepare		 next;		/* never started: woken by hand for the first of `waiting` */
	struct signing_turn	 turn;
	OSSL_PROVIDER		*standard, *provider;	/* OpenSSL's default one, ours */
	OSSL_LIB_CTX		*library;	/* that all contexts and streams use */
};

/*
 * Before the sandbox, once in a process: registers the provider beside the
 * default one. owner, lost: of s. 0 or -ENOMEM.
 */
int signing_init(struct signing *s, struct ev_loop *loop, enum role role,
    void (*lost)(struct signing *s), void *owner);
/* After all streams are freed. */
void signing_free(struct signing *s);

/* `signer_channel` came; fd is consumed. What waits is asked again. */
void signing_channel(struct signing *s, int fd);

/*
 * The key of that number, whose public half is the certificate's, for
 * SSL_CTX_use_PrivateKey(3). The caller's. NULL: not RSA, EC or EdDSA, or no memory.
 */
EVP_PKEY *signing_key(struct signing *s, uint64_t key, X509 *certificate);

/*
 * Around SSL_do_handshake(3) of one stream: what it asks for meanwhile wakes
 * `wake(arg)` when it is answered, from the loop. *slot keeps the question
 * between calls; it begins as NULL.
 */
void signing_begin(struct signing *s, struct signing_job **slot, void (*wake)(void *arg), void *arg);
void signing_end(struct signing *s);
/* It found all jobs taken: wake it when one is free. 0 or -ENOMEM. */
int signing_wait(struct signing *s, struct signing_job **slot, void (*wake)(void *arg), void *arg);
/*
 * It runs on, or is given up: it waits for nothing any more. A question that was asked counts as
 * refused; the handshake is to be run once more, to its end, for the sake of what is on its stack.
 */
void signing_cancel(struct signing_job **slot);
#endif

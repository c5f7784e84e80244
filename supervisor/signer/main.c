/*
 * bulkhead-signer: has the private keys, and signs what a TLS server signs in
 * a handshake for those who are allowed to ask. bulkhead-signer(8).
 */
#include <sys/resource.h>
#include <errno.h>
#include <stdlib.h>
#include "common/log.h"
#include "common/records.h"
#include "supervisor/signer/signer.h"
#include "tls/context.h"

/*
 * A signature by an RSA key takes a processor for longer than a message of those who are in may wait:
 * where processors are scarce, they come first. A ninth of one stays for handshakes all the same.
 */
#define SIGNER_NICE	10

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	return signer_receive(((struct child *)ch->owner)->program, m, fds);
}

static int
certificate_count(void *arg, const struct msg *m)
{
	size_t	*count = arg;

	*count += m->type == MSG_tls_certificate;
	return 0;
}

/* All that needs files, or memory that stays where it is. */
static void
prepare(struct signer *s)
{
	const char	*why;
	size_t		 count = 0;
	int		 rc = records_read(s->child.tls, ROLE_SUPERVISOR, ROLE_SIGNER, certificate_count, &count, &why);

	if (rc != 0)
		fatal("the TLS document: %s (%s)", why, strerror(-rc));
	if ((rc = keys_setup(count)) < 0)
		fatal("no memory for keys, or OpenSSL has no random numbers");
	if (rc != 0)
		log_warn("the memory of keys cannot be locked, so that they may be swapped out: the limit of locked memory (RLIMIT_MEMLOCK) is too low");
	tls_load();
	if (signer_init(s) != 0)
		fatal("no memory");
	(void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + SIGNER_NICE);
}

int
main(void)
{
	static struct signer	s;

	child_init(&s.child, ROLE_SIGNER, receive, &s);
	prepare(&s);
	s.child.check = signer_check;
	s.child.apply = signer_apply;
	child_ready(&s.child);
	child_run(&s.child);
	signer_free(&s);
	child_free(&s.child);
	return EXIT_SUCCESS;
}

/*
 * bulkhead-auth: knows the users, their credentials and permissions, and what
 * accounts have left of their limits. Workers ask it who a client is; it has
 * no sockets but its channels. bulkhead-auth(8).
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/auth/attempt.h"
#include "supervisor/auth/nonces.h"
#include "supervisor/auth/worker.h"

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct auth	*a = ((struct child *)ch->owner)->program;
	int		 rc;

	if (m->type != MSG_worker_channel)
		return -EPERM;
	a->coming = (unsigned)m->u.worker_channel.others;
	a->early_until = auth_now() + EARLY_PATIENCE;
	leases_hold(a->leases, a->early_until);
	auth_timer(a, &a->patience, leases_due(a->leases));
	rc = worker_open(a, (unsigned)m->u.worker_channel.slot, m->u.worker_channel.incarnation, fds[0]);
	if (rc != 0)
		log_error("worker %u cannot ask: %s", (unsigned)m->u.worker_channel.slot, strerror(-rc));
	return 0;	/* its channel is closed: it will say so, and get another */
}

/* -- reload */

static const char *
check(struct child *child, const struct settings *next)
{
	struct auth	*a = child->program;
	const char	*why;
	int		 rc;

	users_free(a->next);
	a->next = NULL;
	rc = users_load(&a->next, child->next_accounts, &why);
	if (rc == -ENOMEM)
		return "auth has no memory for the users";
	return rc != 0 ? "auth cannot read the users" : NULL;
}

static void
throttle_apply(struct auth *a)
{
	throttle_set(&a->throttle, a->child.settings.auth_failures, a->child.settings.auth_failure_window);
}

static void
apply(struct child *child, const struct settings *before)
{
	struct auth	*a = child->program;
	struct users	*was = a->users;

	a->users = a->next;
	a->next = NULL;
	throttle_apply(a);
	attempts_reload(a);
	sessions_review(a, was);
	leases_reload(a->leases, auth_now());
	auth_timer(a, &a->patience, leases_due(a->leases));
	users_free(was);
}

/* -- timers */

static void
expires_due(struct ev_loop *loop, ev_periodic *w, int revents)
{
	sessions_expire(w->data);
}

static void
delay_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	attempts_resume(w->data);
}

static void
patience_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct auth	*a = w->data;

	leases_tick(a->leases, auth_now());
	auth_timer(a, &a->patience, leases_due(a->leases));
}

/* -- life */

static void
threads_start(void *arg)
{
	struct auth	*a = arg;
	int		 rc = bcrypt_start(a->bcrypt);

	if (rc != 0)
		fatal("auth_threads: no thread could be started: %s", strerror(-rc));
}

static unsigned
threads_wanted(const struct settings *s)
{
	long	processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (s->auth_threads != 0)
		return (unsigned)s->auth_threads;
	return processors < 1 ? 1 : processors > BCRYPT_THREADS ? BCRYPT_THREADS : (unsigned)processors;
}

static void
auth_init(struct auth *a)
{
	const char	*why;
	int		 rc;

	map_seed();
	if (!nonces_prepare())
		fatal("OpenSSL has no Ed25519");
	TAILQ_INIT(&a->early);
	a->nonces = 1;
	ev_periodic_init(&a->expires, expires_due, 0, 0, NULL);
	ev_timer_init(&a->delay, delay_due, 0, 0);
	ev_timer_init(&a->patience, patience_due, 0, 0);
	a->expires.data = a->delay.data = a->patience.data = a;
	rc = users_load(&a->users, a->child.accounts, &why);
	if (rc != 0)
		fatal("the accounts document: %s (%s)", why, strerror(-rc));
	if (throttle_init(&a->throttle) != 0 || turns_init(&a->turns) != 0 || counts_init(&a->counts) != 0 || map_init(&a->sessions) != 0 ||
	    leases_new(&a->leases, &worker_leases, a) != 0)
		fatal("no memory");
	throttle_apply(a);
	rc = bcrypt_new(&a->bcrypt, a->child.loop, threads_wanted(&a->child.settings),
	    attempt_hashed, attempt_may, a);
	if (rc != 0)
		fatal("auth_threads: %s", strerror(-rc));
}

int
main(void)
{
	static struct auth	a;

	child_init(&a.child, ROLE_AUTH, receive, &a);
	auth_init(&a);
	a.child.check = check;
	a.child.apply = apply;
	a.child.sandbox.threads = threads_start;
	a.child.sandbox.threads_arg = &a;
	child_ready(&a.child);
	child_run(&a.child);
	users_free(a.users);
	users_free(a.next);
	child_free(&a.child);
	return EXIT_SUCCESS;	/* ends the threads, whatever they are at */
}

#include <errno.h>
#include <stdlib.h>
#include "common/log.h"
#include "worker/deadline.h"
#include "worker/input.h"
#include "worker/ping.h"
#include "worker/reload.h"
#include "worker/secure.h"
#include "worker/session.h"
#include "worker/slow.h"
#include "worker/worker.h"

/* Read the next accounts document; NULL, or what is wrong. */
static const char *
accounts_check(struct worker *w, int fd)
{
	const char	*why = "no memory for the accounts";

	accounts_free(w->next_accounts);
	w->next_accounts = NULL;
	return accounts_read(&w->next_accounts, fd, ROLE_WORKER, "", &why) == 0 ? NULL : why;
}

static void
accounts_apply(struct worker *w)
{
	struct accounts	*before = w->accounts;

	w->accounts = w->next_accounts;
	w->next_accounts = NULL;
	if (w->broker != NULL)
		(void)broker_set_accounts(w->broker, w->accounts);	/* what is missing was logged */
	limits_reload(w);
	accounts_free(before);
}

/*
 * Before anybody publishes under a larger max_payload, everybody takes it from
 * the lanes; `commit` comes to one worker earlier than to another.
 */
const char *
worker_check(struct child *child, const struct settings *next)
{
	struct worker		*w = child->program;
	const char		*why = accounts_check(w, child->next_accounts);
	struct advertised	 a;

	if (why != NULL)
		return why;
	if (input_resize(w, (size_t)next->max_control_line) != 0)
		return "no memory for lines of max_control_line";
	if (advertised_read(&a, next) != 0)
		return "no memory for client_advertise";
	if (secure_check(w, child->next_tls, next, &why) != 0) {
		free(a.host);
		return why;
	}
	free(w->next_advertised.host);
	w->next_advertised = a;
	participant_raise_payload(&w->part, (size_t)next->max_payload);
	return NULL;
}

/* It was within max_pending as that was; is it slow by what it is now? */
static void
client_retune(struct client *c)
{
	struct worker	*w = c->worker;

	if ((c->flags & CLIENT_SLOW) != 0 && c->out.pending < w->slow_limit) {
		c->flags &= ~(uint32_t)CLIENT_SLOW;
		w->caught_up = true;
	}
	slow_mark(c);
}

void
worker_apply(struct child *child, const struct settings *before)
{
	struct worker		*w = child->program;
	const struct settings	*s = w->settings;
	struct client		*c;

	accounts_apply(w);
	secure_apply(w);
	free(w->advertised.host);
	w->advertised = w->next_advertised;
	w->next_advertised = (struct advertised){ NULL, 0 };
	w->slow_limit = s->max_pending / 4 * 3;
	if (s->write_deadline != before->write_deadline)
		deadlines_change(&w->writing, s->write_deadline);
	if (w->broker != NULL)
		broker_set_watchdog(w->broker, s->watchdog);
	for (uint32_t i = 0; i < w->top; i++) {
		c = w->clients[i];
		if (c == NULL || c->state != CLIENT_OPEN)
			continue;
		client_retune(c);
		ping_retime(c);
		session_look_payload(c);
		if (c->out.pending > s->max_pending)
			slow_cut(c, NULL, CLOSE_SLOW_PENDING);
	}
	logins_apply(w);
}

static int
cid_compare(const void *a, const void *b)
{
	uint64_t	 x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void
clients_refuse(struct worker *w, const struct numbers *cids, enum refusal why)
{
	uint64_t	*sorted = reallocarray(NULL, cids->count, sizeof(*sorted));
	struct client	*c;

	if (sorted == NULL) {
		log_error("no memory to close %u clients: they stay", cids->count);
		return;
	}
	for (uint32_t i = 0; i < cids->count; i++)
		sorted[i] = msg_number(cids, i);
	qsort(sorted, cids->count, sizeof(*sorted), cid_compare);
	for (uint32_t i = 0; i < w->top; i++) {
		c = w->clients[i];
		if (c != NULL && c->state == CLIENT_OPEN &&
		    bsearch(&c->cid, sorted, cids->count, sizeof(*sorted), cid_compare) != NULL)
			client_refuse(c, why);
	}
	free(sorted);
}

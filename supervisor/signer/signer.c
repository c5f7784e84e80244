#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <openssl/err.h>
#include "common/log.h"
#include "supervisor/signer/signer.h"
#include "tls/context.h"

/* Who may ask for signatures by the keys of each use. */
static const uint64_t	rights[TLS_USES] = {
	[TLS_CLIENTS] = ROLE_BIT(ROLE_WORKER),
};

static bool
may_ask(enum role role)
{
	uint64_t	all = 0;
	size_t		i;

	for (i = 0; i < TLS_USES; i++)
		all |= rights[i];
	return (all & ROLE_BIT(role)) != 0;
}

enum sign_refusal
signer_answer(void *owner, enum role role, const struct msg_sign *m, uint8_t *out, size_t *len)
{
	struct signer	*s = owner;
	struct key	*key = keys_find(&s->keys, m->key);

	if (key == NULL || key->pkey == NULL || (rights[key->use] & ROLE_BIT(role)) == 0)
		return SIGN_UNKNOWN_KEY;
	return key_sign(&s->keys, key, (unsigned)m->scheme, m->content, out, len);
}

/* -- is a document fit to be served? */

static const char *
pair_refused(struct signer *s, const struct certificate *c)
{
	static const char	pair[] = "error parsing X509 certificate/key pair: ";
	struct key		*key = keys_find(&s->keys, c->key);
	char			 what[sizeof(pair) + KEY_ERROR];
	const char		*why = NULL;

	if (key == NULL)
		why = "its key did not come";
	else if (key->pkey == NULL)
		why = key->error;
	else if (EVP_PKEY_get_base_id(key->pkey) != EVP_PKEY_get_base_id(c->public))
		why = "tls: private key type does not match public key type";
	else if (EVP_PKEY_eq(key->pkey, c->public) != 1)
		why = "tls: private key does not match public key";
	else if (!key_try(&s->keys, key, c->public))
		why = "its private and its public half do not belong together";
	ERR_clear_error();
	if (why == NULL) {
		key->use = c->use;
		key->tls13 = c->tls13;
		return NULL;
	}
	snprintf(what, sizeof(what), "%s%s", pair, why);
	inventory_blame(s->error, what, c->path, key == NULL ? NULL : key->path);
	return s->error;
}

/* All the rest that askers will do with it. */
static const char *
contexts_refused(struct signer *s, int document)
{
	struct tls_tickets	 tickets = { .count = 0 };
	struct tls_context	*context;
	int			 use;

	for (use = TLS_NOTHING + 1; use < TLS_USES; use++) {
		context = NULL;
		if (tls_context_read(&context, document, ROLE_SIGNER, (enum tls_use)use, NULL, &tickets,
		    s->error, sizeof(s->error)) != 0)
			return s->error;
		tls_context_unref(context);
	}
	return NULL;
}

const char *
signer_judge(struct signer *s, struct inventory *c, int document)
{
	const char	*why = NULL;
	size_t		 i;

	inventory_free(c);
	if (inventory_read(c, document, s->error) != 0)
		return s->error;
	for (i = 0; i < c->count && why == NULL; i++)
		if (c->all[i].key != 0)
			why = pair_refused(s, &c->all[i]);
	if (why == NULL)
		why = contexts_refused(s, document);
	if (why != NULL)
		inventory_free(c);
	return why;
}

/* -- what comes into force */

static void
log_all(struct signer *s)
{
	inventory_log(&s->in_force, time(NULL));
	ev_now_update(s->child.loop);
	ev_timer_again(s->child.loop, &s->daily);
}

static bool
is_named(const void *certificates, uint64_t key)
{
	return inventory_find(certificates, key) != NULL;
}

static void
next_apply(struct signer *s)
{
	inventory_free(&s->in_force);
	s->in_force = s->next;
	s->next = (struct inventory){ .count = 0 };
	keys_commit(&s->keys, is_named, &s->in_force);
	log_all(s);
}

const char *
signer_check(struct child *child, const struct settings *next)
{
	struct signer	*s = child->program;

	return signer_judge(s, &s->next, child->next_tls);
}

void
signer_apply(struct child *child, const struct settings *before)
{
	struct signer	*s = child->program;

	s->askers.rate = child->settings.signer_rate;
	next_apply(s);
}

/* -- what the supervisor says */

static int
keys_came(struct signer *s, uint64_t version)
{
	struct msg	 m = { .type = MSG_keys_loaded, .u.keys_loaded = { .version = version } };
	const char	*why = signer_judge(s, &s->next, s->child.tls);
	int		 rc;

	if (why != NULL)
		m.u.keys_loaded.refused = (struct bytes){ why, strnlen(why, BLAME_MAX) };
	else {
		next_apply(s);
		askers_open(&s->askers);
	}
	rc = channel_send(&s->child.supervisor, &m, NULL);
	return rc == -EPIPE ? 0 : rc;
}

static int
asker_came(struct signer *s, const struct msg_asker_channel *m, int fd)
{
	int	rc;

	if (m->role >= ROLES || !may_ask((enum role)m->role)) {
		close(fd);
		return -EPERM;
	}
	rc = asker_open(&s->askers, (enum role)m->role, (unsigned)m->slot, fd);
	if (rc != 0)
		log_error("%s %u cannot ask: %s", role_name((enum role)m->role), (unsigned)m->slot, strerror(-rc));
	return 0;	/* its channel is closed: it will say so, and get another */
}

int
signer_receive(struct signer *s, const struct msg *m, const int *fds)
{
	switch (m->type) {
	case MSG_signing_key:
		return keys_add(&s->keys, &m->u.signing_key, fds[0]);
	case MSG_key_password:
		return keys_unlock(&s->keys, &m->u.key_password, fds[0]);
	case MSG_signing_keys:
		return keys_came(s, m->u.signing_keys.version);
	case MSG_asker_channel:
		return asker_came(s, &m->u.asker_channel, fds[0]);
	default:
		return -EPERM;
	}
}

/* -- life */

static void
daily_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct signer	*s = w->data;

	inventory_log(&s->in_force, time(NULL));
}

int
signer_init(struct signer *s)
{
	askers_init(&s->askers, s->child.loop, s->child.settings.signer_rate, signer_answer, s);
	ev_timer_init(&s->daily, daily_due, 0, LOG_AGAIN);
	s->daily.data = s;
	return keys_init(&s->keys);
}

void
signer_free(struct signer *s)
{
	askers_free(&s->askers);
	ev_timer_stop(s->child.loop, &s->daily);
	inventory_free(&s->in_force);
	inventory_free(&s->next);
	keys_free(&s->keys);
}

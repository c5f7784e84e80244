#include <sys/mman.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/memfd.h"
#include "common/records.h"
#include "nats/base64.h"
#include "worker/login.h"
#include "worker/secure.h"
#include "worker/session.h"
#include "worker/trace.h"
#include "worker/worker.h"

#define CREDENTIAL_MOST	8192	/* messages.def: login */
#define NKEY_MOST	256
#define SIG_MOST	512
#define ALL_TOLD	UINT32_MAX

static void logins_lost(struct worker *w);

static int
identity_compare(const struct identity *a, const struct identity *b)
{
	return a->client->cid < b->client->cid ? -1 : a->client->cid > b->client->cid;
}

RB_GENERATE_INTERNAL(identities, identity, by_cid, identity_compare, static __attribute__((unused)))

/* NULL: it is gone, or never was. */
static struct identity *
identity_find(struct worker *w, uint64_t cid)
{
	struct client	 c = { .cid = cid };
	struct identity	 key = { .client = &c };

	return RB_FIND(identities, &w->logins.all, &key);
}

/* ---- questions */

static void
question_free(struct worker *w, struct identity *id)
{
	struct question	*q = id->question;

	if (q == NULL)
		return;
	if (!q->sent)
		TAILQ_REMOVE(&w->logins.unsent, q, entry);
	nats_connect_free(&q->connect);
	free(q);
	id->question = NULL;
}

static struct bytes
text_of(const char *text)
{
	return text == NULL ? (struct bytes){ "", 0 } : bytes_of(text);
}

/* Is it short enough to be right? */
static bool
connect_fits(const struct nats_connect *connect)
{
	return text_of(connect->user).len <= CREDENTIAL_MOST &&
	    text_of(connect->pass).len <= CREDENTIAL_MOST &&
	    text_of(connect->auth_token).len <= CREDENTIAL_MOST &&
	    text_of(connect->nkey).len <= NKEY_MOST && text_of(connect->sig).len <= SIG_MOST;
}

enum identity_kind
login_claims(const struct nats_connect *connect, const char **user)
{
	if (connect->nkey != NULL && connect->nkey[0] != '\0') {
		*user = connect->nkey;
		return IDENTITY_NKEY;
	}
	if (connect->user != NULL && connect->user[0] != '\0') {
		*user = connect->user;
		return IDENTITY_USER;
	}
	*user = NULL;
	return connect->auth_token != NULL && connect->auth_token[0] != '\0' ? IDENTITY_TOKEN : IDENTITY_NOBODY;
}

/* Auth says no to what is asked of it. */
static void
question_refuse(struct client *c, enum auth_refusal why)
{
	enum identity_kind	 kind;
	const char		*user;

	kind = login_claims(&c->identity->question->connect, &user);
	login_refuse(c, why, kind, user);
	/* For the system account, when the log has been told without it. */
	if (!c->identity->in && user != NULL)
		c->identity->user = strdup(user);
	client_describe(c, &c->identity->question->connect);
}

/* Auth is to forget its cid, if it knows it. */
static void
identity_gone(struct worker *w, struct identity *id)
{
	struct logins	*l = &w->logins;

	if (!id->known || l->channel.fd == -1)
		return;
	id->known = false;
	l->gone[l->ngone++] = id->client->cid;
	if (l->ngone == LOGIN_GONE)
		logins_flush(w);
}

void
login_ask(struct client *c, struct nats_connect *connect, bool implicit)
{
	struct worker	*w = c->worker;
	struct question	*q = calloc(1, sizeof(*q));

	if (q == NULL || (c->identity == NULL && identity_new(c) != 0)) {
		free(q);
		nats_connect_free(connect);
		log_limited(LOG_ERROR, "memory", "no memory for the login of a client: it is closed");
		client_close(c, CLOSE_MEMORY);
		return;
	}
	q->identity = c->identity;
	q->connect = *connect;
	q->implicit = implicit;
	q->drops = c->stop == CLIENT_DROPPING;
	c->identity->question = q;
	TAILQ_INSERT_TAIL(&w->logins.unsent, q, entry);
	if (!c->identity->listed) {
		RB_INSERT(identities, &w->logins.all, c->identity);
		c->identity->listed = true;
	}
	if (!connect_fits(connect)) {
		question_refuse(c, AUTH_VIOLATION);
		return;
	}
	identity_gone(w, c->identity);	/* as whoever it was */
	client_stop(c, CLIENT_ASKS);
}

void
login_end(struct client *c)
{
	struct worker	*w = c->worker;
	struct identity	*id = c->identity;

	if (id == NULL || !id->listed)
		return;
	RB_REMOVE(identities, &w->logins.all, id);
	id->listed = false;
	question_free(w, id);
	identity_gone(w, id);
}

/* ---- why not */

static const struct { const char *error; enum close_reason reason; } refusals[AUTH_REFUSALS] = {
	[AUTH_VIOLATION] = { "Authorization Violation", CLOSE_AUTHENTICATION },
	[AUTH_ACCOUNT_CONNECTIONS] = { "maximum account active connections exceeded", CLOSE_MAX_ACCOUNT_CONNECTIONS },
	[AUTH_USER_CONNECTIONS] = { "maximum user active connections exceeded", CLOSE_MAX_ACCOUNT_CONNECTIONS },
	[AUTH_ADDRESS_CONNECTIONS] = { "maximum account connections of an address exceeded", CLOSE_MAX_ACCOUNT_CONNECTIONS },
	[AUTH_EXPIRED] = { "User Authentication Expired", CLOSE_EXPIRED },
	[AUTH_REVOKED] = { "Authorization Violation", CLOSE_AUTHENTICATION },
};

void
login_refuse(struct client *c, enum auth_refusal why, enum identity_kind kind, const char *user)
{
	char	 name[320], text[96];

	if (why == AUTH_EXPIRED)
		client_debug(c, "%s", refusals[why].error);
	else if (why != AUTH_VIOLATION && why != AUTH_REVOKED)
		client_error(c, "%s", refusals[why].error);
	else if (kind == IDENTITY_NOBODY)
		client_error(c, "authentication error");
	else
		client_error(c, "authentication error - %s", identity_name(kind, user, name, sizeof(name)));
	snprintf(text, sizeof(text), "-ERR '%s'\r\n", refusals[why].error);
	client_say(c, bytes_of(text));
	c->flags |= CLIENT_REFUSED;
	client_close(c, refusals[why].reason);
}

/* ---- verdicts */

static void
verdict_free(struct verdict *v)
{
	policy_put(v->policy);
	free(v);
}

/* The policy that m comes with: in it, or in the `permissions` before it. 0; -EBADMSG: there is none. */
static int
verdict_policy(struct worker *w, const struct msg_admitted *m, struct policy **policy)
{
	struct logins	*l = &w->logins;
	const char	*why = "";
	int		 rc;

	if (l->permissions_of == m->cid && m->permissions.len == 0) {
		*policy = l->permissions;
		l->permissions = NULL;
		l->permissions_of = 0;
		return 0;
	}
	rc = policy_get(w->policies, m->permissions, policy, &why);
	if (rc != 0)
		log_error("permissions of client %llu: %s (%s)", (unsigned long long)m->cid, why, strerror(-rc));
	return rc;
}

/* A copy that lives as long as it has to. NULL: no memory, or its permissions are none. */
static struct verdict *
verdict_new(struct worker *w, const struct msg_admitted *m)
{
	struct verdict	*v = calloc(1, sizeof(*v) + m->user.len + 1);

	if (v == NULL || verdict_policy(w, m, &v->policy) != 0) {
		free(v);
		return NULL;
	}
	v->m = *m;
	for (uint32_t i = 0; i < LIMITS; i++)
		v->limits[i] = msg_number(&m->limits, i);
	v->m.limits = (struct numbers){ .count = LIMITS, .own = v->limits };
	memcpy(v->user, m->user.data, m->user.len);
	v->m.user = (struct bytes){ v->user, m->user.len };
	v->m.permissions = (struct bytes){ "", 0 };
	return v;
}

/* It is in: what it said goes on, or, if it was in before, what it has is looked at. */
static void
verdict_settle(struct client *c)
{
	struct worker		*w = c->worker;
	struct question		*q = c->identity->question;
	struct nats_connect	 connect;
	bool			 implicit, drops;

	identity_flags(c);
	if (q == NULL) {
		identity_review(c);
		return;
	}
	connect = q->connect;
	nats_connect_defaults(&q->connect);
	implicit = q->implicit;
	drops = q->drops;
	question_free(w, c->identity);
	if (implicit)
		identity_review(c);
	session_admitted(c, implicit ? NULL : &connect, drops);
	nats_connect_free(&connect);
}

/* An account that nobody here can be in is nobody's. */
static bool
verdict_is_possible(const struct worker *w, const struct verdict *v)
{
	return v->m.account != ACCOUNT_SERVER &&
	    (v->m.account == ACCOUNT_GLOBAL || worker_account(w, (uint32_t)v->m.account) != NULL);
}

static void
verdict_apply(struct worker *w, struct verdict *v)
{
	struct identity	*id = identity_find(w, v->m.cid);
	struct client	*c;
	int		 rc;

	if (id == NULL || (id->question != NULL && !id->question->sent))
		return;
	c = id->client;
	if (!verdict_is_possible(w, v)) {
		client_error(c, "auth says account %llu, which is not in the configuration",
		    (unsigned long long)v->m.account);
		login_refuse(c, AUTH_VIOLATION, IDENTITY_NOBODY, NULL);
		return;
	}
	if (id->in && id->question == NULL && v->m.account != c->account) {
		client_close(c, CLOSE_CLIENT);	/* it is to connect again, as in the 2.x server */
		return;
	}
	rc = identity_take(id, v);
	if (rc == 0)
		rc = limits_enter(c, &v->m);
	if (rc != 0) {
		log_limited(LOG_ERROR, "memory", "no memory for the login of a client: it is closed");
		client_close(c, CLOSE_MEMORY);
		return;
	}
	verdict_settle(c);
}

/* ---- what auth says */

static int
admitted_receive(struct worker *w, const struct msg_admitted *m)
{
	struct identity	*id = identity_find(w, m->cid);
	struct verdict	*v = verdict_new(w, m);

	if (v == NULL) {
		if (id != NULL)
			login_refuse(id->client, AUTH_VIOLATION, IDENTITY_NOBODY, NULL);
		return 0;
	}
	if (m->version > w->child->version) {
		STAILQ_INSERT_TAIL(&w->logins.early, v, entry);
		return 0;
	}
	verdict_apply(w, v);
	verdict_free(v);
	return 0;
}

static int
permissions_receive(struct worker *w, uint64_t cid, int fd)
{
	struct logins	*l = &w->logins;
	struct bytes	 content;
	const char	*why = "the document";
	int		 rc = memfd_map_sealed(fd, RECORDS_MAX, &content);

	close(fd);
	policy_put(l->permissions);
	l->permissions = NULL;
	l->permissions_of = 0;
	if (rc == 0) {
		/* The last byte ends the document. */
		rc = policy_get(w->policies, (struct bytes){ content.data, content.len - 1 }, &l->permissions, &why);
		munmap((void *)(uintptr_t)content.data, content.len);
	}
	if (rc != 0) {
		log_error("permissions of client %llu: %s (%s)", (unsigned long long)cid, why, strerror(-rc));
		return rc;
	}
	l->permissions_of = cid;
	return 0;
}

static void
identity_refuse(struct identity *id, enum auth_refusal why)
{
	login_refuse(id->client, why, (enum identity_kind)id->kind, id->user);
}

static int
refused_receive(struct worker *w, const struct msg_refused *m)
{
	struct identity	*id = identity_find(w, m->cid);

	if (id == NULL)
		return 0;
	if (id->question != NULL && id->question->sent)
		question_refuse(id->client, (enum auth_refusal)m->why);
	else if (id->question == NULL && id->in)	/* an older `admitted` was taken for its answer */
		identity_refuse(id, (enum auth_refusal)m->why);
	return 0;
}

static int
revoked_receive(struct worker *w, const struct msg_revoked *m)
{
	struct identity	*id = identity_find(w, m->cid);

	if (id != NULL && id->in)
		identity_refuse(id, (enum auth_refusal)m->why);
	return 0;
}

static int
nonces_receive(struct worker *w, const struct msg_nonces *m)
{
	struct logins	*l = &w->logins;

	if (m->raw.len % NONCE_RAW != 0)
		return -EBADMSG;
	memcpy(l->raw, m->raw.data, m->raw.len);
	l->nonce = m->first;
	l->at = 0;
	l->nnonces = (uint32_t)(m->raw.len / NONCE_RAW);
	l->nonces_wanted = false;
	return 0;
}

static int
login_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct worker	*w = ch->owner;

	switch (m->type) {
	case MSG_admitted:
		return admitted_receive(w, &m->u.admitted);
	case MSG_permissions:
		return permissions_receive(w, m->u.permissions.cid, fds[0]);
	case MSG_refused:
		return refused_receive(w, &m->u.refused);
	case MSG_revoked:
		return revoked_receive(w, &m->u.revoked);
	case MSG_nonces:
		return nonces_receive(w, &m->u.nonces);
	default:
		return limits_receive(w, m);
	}
}

/* ---- what auth is told */

/* False: not now; what the channel's end means is seen where it is read. */
static bool
logins_send(struct worker *w, const struct msg *m)
{
	int	rc = channel_send(&w->logins.channel, m, NULL);

	if (rc != 0 && rc != -EPIPE)
		log_limited(LOG_WARN, "messages to auth", "%s: %s", msg_name(m->type), strerror(-rc));
	return rc == 0;
}

int
auth_tell(struct worker *w, const struct msg *m)
{
	struct logins	*l = &w->logins;

	if (!l->holds_told && m->type != MSG_leased)
		return -EPIPE;
	return channel_send(&l->channel, m, NULL);
}

static uint64_t
peer_number(uint32_t id)
{
	return id == UINT32_MAX ? NO_PEER : id;
}

/* certificate: records of the names in its certificate. */
static bool
question_send(struct worker *w, struct question *q, struct bytes certificate)
{
	const struct client		*c = q->identity->client;
	const struct nats_connect	*o = &q->connect;
	struct msg			 m = { .type = MSG_login, .u.login = {
	    .cid = c->cid, .address = bytes_of(client_record(c)->host), .connection_type = CONNECTION_STANDARD,
	    .peer_uid = peer_number(c->peer_uid), .peer_gid = peer_number(c->peer_gid), .nonce = q->identity->nonce, .implicit = q->implicit,
	    .user = text_of(o->user), .pass = text_of(o->pass), .token = text_of(o->auth_token),
	    .nkey = text_of(o->nkey), .sig = text_of(o->sig), .certificate = certificate } };

	if (!logins_send(w, &m))
		return false;
	TAILQ_REMOVE(&w->logins.unsent, q, entry);
	q->sent = true;
	q->identity->known = true;
	return true;
}

/* The names of its certificate go along. One that has more than fit, or than there is memory for, is refused. */
static bool
question_ask(struct worker *w, struct question *q)
{
	struct client	*c = q->identity->client;
	msgpack_sbuffer	 names;
	bool		 done = true;

	msgpack_sbuffer_init(&names);
	if (secure_names(c, &names) == 0)
		done = question_send(w, q, names.size == 0 ? (struct bytes){ "", 0 } :
		    (struct bytes){ names.data, names.size });
	else {
		TAILQ_REMOVE(&w->logins.unsent, q, entry);
		q->sent = true;		/* as far as it ever will be */
		question_refuse(c, AUTH_VIOLATION);
	}
	msgpack_sbuffer_destroy(&names);
	return done;
}

static bool
hold_send(struct worker *w, struct identity *id)
{
	const struct client	*c = id->client;
	struct msg		 m = { .type = MSG_holds, .u.holds = {
	    .cid = c->cid, .account = c->account, .grant = id->grant, .address = bytes_of(client_record(c)->host),
	    .user = text_of(id->user) } };

	if (!logins_send(w, &m))
		return false;
	id->known = true;
	return true;
}

/* Who asks to be somebody else is asked about anew instead: auth takes a cid once. */
static bool
is_held(const struct client *c)
{
	const struct identity	*id = c == NULL ? NULL : c->identity;

	return id != NULL && id->listed && id->in && id->question == NULL;
}

/* Tell of who is in, as far as the channel takes it. True: of all. */
static bool
holds_send(struct worker *w)
{
	const struct msg	 end = { .type = MSG_holds_end };
	struct logins		*l = &w->logins;
	struct client		*c;

	for (; l->held < w->top && l->channel.queued < LOGIN_QUEUE; l->held++) {
		c = w->clients[l->held];
		if (is_held(c) && !hold_send(w, c->identity))
			return false;
	}
	if (l->held < w->top || !logins_send(w, &end))
		return false;
	l->holds_told = true;
	limits_renew(w);
	return true;
}

static bool
gone_send(struct worker *w)
{
	struct logins	*l = &w->logins;
	struct msg	 m = { .type = MSG_gone,
	    .u.gone.cids = { .count = l->ngone, .own = l->gone } };

	if (l->ngone == 0)
		return true;
	if (!logins_send(w, &m))
		return false;
	l->ngone = 0;
	return true;
}

static void
nonces_ask(struct worker *w)
{
	const struct msg	 m = { .type = MSG_nonces_wanted };
	struct logins		*l = &w->logins;

	if (w->settings->nonce_required && !l->nonces_wanted && l->nnonces < NONCES_LOW)
		l->nonces_wanted = logins_send(w, &m);
}

void
logins_flush(struct worker *w)
{
	struct logins	*l = &w->logins;
	struct question	*q;

	if (l->channel.fd == -1 || (!l->holds_told && !holds_send(w)))
		goto out;
	nonces_ask(w);
	if (!gone_send(w))
		goto out;
	while (l->channel.queued < LOGIN_QUEUE && (q = TAILQ_FIRST(&l->unsent)) != NULL)
		if (!question_ask(w, q))
			break;
 out:
	if (l->ngone == LOGIN_GONE)	/* auth is to be told anew of who is here */
		logins_lost(w);
}

/* ---- the channel */

static void
login_sent(struct channel *ch)
{
	logins_flush(ch->owner);
}

/* What auth knew of us it knows no more. */
static void
logins_forget(struct worker *w)
{
	struct logins	*l = &w->logins;
	struct identity	*id;
	struct verdict	*v;

	l->ngone = l->held = l->nnonces = 0;
	l->holds_told = l->nonces_wanted = false;
	policy_put(l->permissions);
	l->permissions = NULL;
	l->permissions_of = 0;
	while ((v = STAILQ_FIRST(&l->early)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->early, entry);
		verdict_free(v);
	}
	RB_FOREACH(id, identities, &l->all) {
		id->known = false;
		if (id->question != NULL && id->question->sent) {
			id->question->sent = false;
			TAILQ_INSERT_TAIL(&l->unsent, id->question, entry);
		}
	}
}

static void
logins_lost(struct worker *w)
{
	const struct msg	 m = { .type = MSG_auth_lost };

	channel_close(&w->logins.channel);
	w->logins.channel.fd = -1;
	logins_forget(w);
	worker_send(w, &m);
}

static void
login_broken(struct channel *ch, int error, const char *why)
{
	struct worker	*w = ch->owner;

	if (error != 0)
		log_error("auth's channel: %s (%s)", why, strerror(-error));
	logins_lost(w);
}

int
login_channel(struct worker *w, int fd)
{
	struct logins	*l = &w->logins;

	channel_close(&l->channel);
	logins_forget(w);
	channel_open(&l->channel, w->loop, fd, ROLE_WORKER, ROLE_AUTH, login_receive, login_broken, w);
	l->channel.sent = login_sent;
	l->channel.state = MSG_READY;
	limits_tell(w);
	logins_flush(w);
	return 0;
}

/* ---- nonces */

bool
nonce_awaited(struct worker *w)
{
	const struct logins	*l = &w->logins;

	return w->settings->nonce_required && l->nnonces == 0 && l->channel.fd != -1;
}

bool
nonce_take(struct worker *w, uint64_t *number, char text[NONCE_ROOM])
{
	struct logins	*l = &w->logins;

	if (!w->settings->nonce_required || l->nnonces == 0)
		return false;
	*number = l->nonce++;
	(void)base64url_encode(text, (const uint8_t *)l->raw + l->at++ * NONCE_RAW, NONCE_RAW);
	l->nnonces--;
	if (l->nnonces < NONCES_LOW)
		nonces_ask(w);
	return true;
}

/* ---- other settings */

/* It was let in unasked: is it anybody? One that said nothing yet has to say CONNECT. */
static void
client_begin_asking(struct client *c)
{
	struct nats_connect	 connect;

	if ((c->flags & CLIENT_CONNECTED) == 0) {
		if (identity_new(c) != 0)
			client_close(c, CLOSE_MEMORY);
		return;
	}
	nats_connect_defaults(&connect);
	login_ask(c, &connect, true);
}

/* Nobody is asked any more. Who was somebody has to come again, as in the 2.x server. */
static void
client_cease_asking(struct client *c)
{
	struct identity		*id = c->identity;
	struct nats_connect	 connect;
	struct question		*q = id->question;
	bool			 implicit = true, drops = false;

	if (id->in && id->kind != IDENTITY_NOBODY) {
		client_close(c, CLOSE_CLIENT);
		return;
	}
	nats_connect_defaults(&connect);
	if (q != NULL) {
		implicit = q->implicit;
		drops = q->drops;
		connect = q->connect;
		nats_connect_defaults(&q->connect);
	}
	login_end(c);
	limits_leave(c);
	identity_free(id);
	client_belongs(c, ACCOUNT_GLOBAL, NULL);
	if (q != NULL)
		session_admitted(c, implicit ? NULL : &connect, drops);
	nats_connect_free(&connect);
}

static void
client_apply(struct client *c)
{
	struct worker	*w = c->worker;

	c->hint = (struct publish_hint){ 0 };
	if (c->account != ACCOUNT_GLOBAL && worker_account(w, c->account) == NULL)
		client_close(c, CLOSE_CLIENT);
	else if (c->identity == NULL && w->settings->auth_asked)
		client_begin_asking(c);
	else if (c->identity != NULL && !w->settings->auth_asked)
		client_cease_asking(c);
	if (c->state == CLIENT_OPEN)
		identity_flags(c);
}

/* Verdicts of the version that is in force now. Those that come later stay in their order. */
static void
verdicts_apply(struct worker *w)
{
	struct verdicts	 all = STAILQ_HEAD_INITIALIZER(all);
	struct verdict	*v;

	STAILQ_CONCAT(&all, &w->logins.early);
	while ((v = STAILQ_FIRST(&all)) != NULL) {
		STAILQ_REMOVE_HEAD(&all, entry);
		if (v->m.version > w->child->version) {
			STAILQ_INSERT_TAIL(&w->logins.early, v, entry);
			continue;
		}
		verdict_apply(w, v);
		verdict_free(v);
	}
}

void
logins_apply(struct worker *w)
{
	struct client	*c;

	for (uint32_t i = 0; i < w->top; i++)
		if ((c = w->clients[i]) != NULL && c->state == CLIENT_OPEN)
			client_apply(c);
	verdicts_apply(w);
}

void
logins_init(struct worker *w)
{
	w->logins.channel.fd = -1;
	RB_INIT(&w->logins.all);
	TAILQ_INIT(&w->logins.reviewed);
	TAILQ_INIT(&w->logins.unsent);
	STAILQ_INIT(&w->logins.early);
}

void
logins_free(struct worker *w)
{
	channel_close(&w->logins.channel);
	logins_forget(w);
}

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/log.h"
#include "supervisor/accounts.h"
#include "supervisor/configuring.h"
#include "supervisor/errors.h"
#include "supervisor/files.h"
#include "supervisor/keys.h"
#include "supervisor/supervisor.h"
#include "supervisor/watch.h"

#define FAILED	"Failed to reload server configuration: "
#define FILES_FAILED	"Failed to reload changed certificates and keys, those before stay in force: "

static void reload_begin(struct supervisor *s);
static void reload_continue(struct supervisor *s);

/* Every process that knows settings and answers; config has none of its own. */
#define RELOAD_EACH(s, p)						\
	PROCESSES_EACH(&(s)->processes, p)				\
		if ((p)->state == PROCESS_READY && (p)->role != ROLE_CONFIG)

/* Forget the other settings, those that did not come to be or those that were. */
static void
reload_forget(struct supervisor *s)
{
	struct reload *r = &s->reload;

	ev_timer_stop(s->loop, &r->patience);
	settings_free(&r->configured);
	settings_free(&r->settings);
	listeners_discard(s, &r->listeners);
	documents_close(&r->documents);
	tls_files_free(&r->tls);
	r->state = RELOAD_IDLE;
	r->files = false;
	accounts_update(s);
}

/* System is told how the reload ended that it asked for, as often as it asked. */
static void
reload_answer(struct supervisor *s, unsigned *asked)
{
	struct process *system = process_serving(&s->processes, ROLE_SYSTEM);
	struct msg m = { .type = MSG_reloaded, .u.reloaded.error = bytes_of(s->reload.error) };

	for (; *asked > 0; (*asked)--)
		if (system != NULL)
			process_send(system, &m, NULL);
}

static void
reload_finish(struct supervisor *s)
{
	reload_forget(s);
	reload_answer(s, &s->reload.asked);
	reload_serving(s);
}

/* Log why it fails, and note it for who asked. */
static void reload_complain(struct supervisor *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
reload_complain(struct supervisor *s, const char *format, ...)
{
	char text[5000], *error = s->reload.error;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log_error("%s%s", s->reload.files ? FILES_FAILED : FAILED, text);
	if (*error != '\0')
		strlcat(error, "\n", sizeof(s->reload.error));
	strlcat(error, text, sizeof(s->reload.error));
}

/* Whom workers ask; that they do is in their settings. */
static const enum role asked_roles[] = { ROLE_AUTH, ROLE_SIGNER };

#define ASKED_EACH(role)						\
	for (size_t j_ = 0; j_ < sizeof(asked_roles) / sizeof(asked_roles[0]) &&	\
	    ((role) = asked_roles[j_], true); j_++)

static bool
reload_asks(const struct settings *st, enum role role)
{
	return role == ROLE_AUTH ? st->auth_asked : st->tls_asked;
}

/*
 * Who is asked runs where the settings in force or the other ones (NULL: there are
 * none) ask it: it is there before workers do, so that a login or a handshake of then
 * has not to wait for it, and until the last of them has followed.
 */
static void
reload_asked(struct supervisor *s, const struct settings *other)
{
	struct process *p;
	enum role role;
	bool asked;

	ASKED_EACH(role) {
		p = process_find(&s->processes, role, 0);
		asked = reload_asks(&s->settings, role) || (other != NULL && reload_asks(other, role));
		if (p == NULL || p->wanted == asked)
			continue;
		if (asked)
			process_want(p);
		else
			process_dismiss(p);
	}
}

static double
reload_tickets(const struct settings *st)
{
	return st->tls_asked ? st->tls_ticket_lifetime : 0;
}

/* Nothing has changed anywhere. */
static void
reload_abandon(struct supervisor *s)
{
	logging_reload_abandon(s);
	reload_asked(s, NULL);
	tickets_update(s, reload_tickets(&s->settings));
	reload_finish(s);
}

static void reload_refuse(struct supervisor *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
reload_refuse(struct supervisor *s, const char *format, ...)
{
	char text[5000];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	reload_complain(s, "%s", text);
	reload_abandon(s);
}

/* ---- the new settings */

int
reload_started(struct supervisor *s, int document)
{
	const char *why;

	return settings_read(&s->reload.in_force, document, &why);
}

static int
text_set(struct settings *st, const char *name, const char *value)
{
	return setting_set_text(st, setting_find(bytes_of(name)), bytes_of(value));
}

static int
number_set(struct settings *st, const char *name, uint64_t value)
{
	return setting_set_integer(st, setting_find(bytes_of(name)), value);
}

int
reload_complete(const struct supervisor *s, const struct listeners *all, const char *digest,
    struct settings *st)
{
	const struct listener *clients = listener_first(all, false);
	const struct listener *http = listener_first(all, true);
	int rc;

	rc = number_set(st, "port", clients != NULL ? clients->port : 0);
	if (rc == 0 && clients != NULL)
		rc = text_set(st, "host", clients->host);
	if (rc == 0 && http != NULL)
		rc = number_set(st, "http_port", http->port);
	if (rc == 0)
		rc = number_set(st, "workers", s->workers);
	if (rc == 0)
		rc = text_set(st, "config_digest", digest);
	return rc;
}

/* As reload_complete(), and what stays as it has been since the start. */
static int
reload_settings(struct supervisor *s)
{
	struct reload *r = &s->reload;
	struct timespec now;
	int rc;

	clock_gettime(CLOCK_REALTIME, &now);
	rc = reload_complete(s, &r->listeners, r->digest, &r->settings);
	if (rc == 0)
		rc = text_set(&r->settings, "server_id", s->settings.server_id);
	if (rc == 0)
		rc = text_set(&r->settings, "server_name", s->settings.server_name);
	if (rc == 0 && r->files)
		rc = number_set(&r->settings, "config_load_time", s->settings.config_load_time);
	else if (rc == 0)
		rc = number_set(&r->settings, "config_load_time",
		    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	return rc;
}

/* What only a start can change; each is told. True: there is none. */
static bool
reload_is_possible(struct supervisor *s)
{
	const struct reload *r = &s->reload;
	const struct setting *table;
	char before[1024], after[1024];
	bool possible = true;
	size_t count, i;

	table = settings_table(&count);
	for (i = 0; i < count; i++) {
		if ((table[i].how & FIXED) == 0 ||
		    setting_equal(&r->in_force, &r->configured, &table[i]))
			continue;
		reload_complain(s, "config reload not supported for %s: old=%s, new=%s", table[i].name,
		    setting_show(&r->in_force, &table[i], before, sizeof(before)),
		    setting_show(&r->configured, &table[i], after, sizeof(after)));
		possible = false;
	}
	return possible;
}

static int
reload_read(struct reload *r, int document)
{
	const char *why;
	int rc;

	rc = settings_init(&r->configured);
	if (rc == 0)
		rc = settings_init(&r->settings);
	if (rc == 0)
		rc = settings_read(&r->configured, document, &why);
	if (rc == 0)
		rc = settings_read(&r->settings, document, &why);
	return rc;
}

/* A process that the other settings need: its entry in the table, not wanted yet. 0 or -ENOMEM. */
static int
reload_enter(struct supervisor *s, enum role role)
{
	struct process *p = process_find(&s->processes, role, 0);

	if (p != NULL)
		return 0;
	p = processes_add(s, role, 0);
	if (p == NULL)
		return -ENOMEM;
	p->wanted = false;
	return 0;
}

/* Entries for all whom workers will ask. 0 or -ENOMEM. */
static int
reload_enter_asked(struct supervisor *s)
{
	enum role role;
	int rc = 0;

	ASKED_EACH(role)
		if (rc == 0 && reload_asks(&s->reload.settings, role))
			rc = reload_enter(s, role);
	return rc;
}

/* Is it for want of what may be there when the files are looked at again? */
static bool
is_passing(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

/* Open, bind and write all that may fail. named: of TLS, consumed; -1 none. 0, or -errno with a sentence. */
static int
reload_open(struct supervisor *s, int named, char *error, size_t size)
{
	struct reload *r = &s->reload;
	int rc;

	rc = tls_files_read(&r->tls, named, &s->keys, &r->documents.tls, error, size);
	if (rc != 0 && !is_passing(rc))
		tls_files_tried(&s->tls, &r->tls);
	if (rc == 0)
		rc = listeners_prepare(s, &r->settings, &r->listeners, error, size);
	if (rc == 0)
		rc = logging_reload(s, &r->settings, error, size);
	if (rc != 0)
		return rc;
	strlcpy(error, "no memory", size);
	if (r->settings.http)
		rc = reload_enter(s, ROLE_MONITOR);
	if (rc == 0)
		rc = reload_enter_asked(s);
	if (rc == 0)
		rc = reload_settings(s);
	if (rc == 0)
		rc = documents_write(&r->documents, &r->settings);
	return rc;
}

/* ---- prepare */

/* With the keys that belong to it, if it is the signer. */
static void
prepare_send(struct process *p, uint64_t version, const struct documents *d,
    const struct tls_files *tls)
{
	struct msg m = { .type = MSG_prepare, .u.prepare.version = version };
	int fds[3] = { d->settings[p->role], d->accounts[p->role], d->tls };

	if (p->role == ROLE_SIGNER)
		keys_send(p, tls, version);
	process_send(p, &m, fds);
}

static void
commit_send(struct process *p, uint64_t version)
{
	struct msg m = { .type = MSG_commit, .u.commit.version = version };

	process_send(p, &m, NULL);
}

static double
reload_patience(const struct supervisor *s)
{
	double watchdog = s->settings.watchdog;

	return watchdog < RELOAD_PATIENCE ? watchdog : RELOAD_PATIENCE;
}

static void
reload_await(struct supervisor *s, enum reload_state state)
{
	struct reload *r = &s->reload;

	r->state = state;
	ev_timer_stop(s->loop, &r->patience);
	ev_timer_set(&r->patience, reload_patience(s), 0);
	ev_timer_start(s->loop, &r->patience);
}

static void
reload_prepare(struct supervisor *s)
{
	struct reload *r = &s->reload;
	struct process *p;

	r->next++;
	reload_await(s, RELOAD_PREPARING);
	accounts_update(s);
	if (!s->settings.tls_asked)
		tickets_update(s, reload_tickets(&r->settings));
	RELOAD_EACH(s, p)
		prepare_send(p, r->next, &r->documents, &r->tls);
	reload_asked(s, &r->settings);
	reload_continue(s);
}

static void
reload_tell_errors(struct supervisor *s, struct bytes errors)
{
	const char *line = errors.data, *end = errors.data + errors.len, *next;

	for (; line < end; line = next + 1) {
		next = memchr(line, '\n', (size_t)(end - line));
		if (next == NULL)
			next = end;
		if (next > line)
			reload_complain(s, "%.*s", (int)(next - line), line);
	}
}

/* The other settings are known: on to their preparation. */
static void
reload_proceed(struct supervisor *s, int named)
{
	char error[9216];

	if (reload_open(s, named, error, sizeof(error)) != 0)
		reload_refuse(s, "%s", error);
	else
		reload_prepare(s);
}

static void
reload_configured(struct supervisor *s, struct configured *c)
{
	struct reload *r = &s->reload;
	int named = c->tls_files, rc;

	if (r->state != RELOAD_CONFIGURING)
		return;			/* the server goes meanwhile */
	if (c->errors.len > 0) {
		reload_tell_errors(s, c->errors);
		reload_finish(s);
		return;
	}
	strlcpy(r->digest, c->digest, sizeof(r->digest));
	rc = reload_read(r, c->documents.settings[ROLE_SUPERVISOR]);
	documents_take(&r->documents, &c->documents);
	if (rc != 0) {
		reload_refuse(s, "settings: %s", error_text(-rc));
	} else if (!accounts_continue(&s->settings, &r->configured)) {
		reload_refuse(s, "the numbers of accounts do not continue those in force");
	} else if (!reload_is_possible(s)) {
		reload_finish(s);
	} else {
		c->tls_files = -1;
		reload_proceed(s, named);
	}
}

/* ---- commit */

#define SWAP(a, b) do { __typeof__(a) swap_ = (a); (a) = (b); (b) = swap_; } while (0)

static void
reload_swap(struct supervisor *s)
{
	struct reload *r = &s->reload;
	char digest[sizeof(s->digest)];

	SWAP(s->settings, r->settings);
	SWAP(r->in_force, r->configured);
	SWAP(s->tls, r->tls);
	listeners_swap(s, &r->listeners);
	memcpy(digest, s->digest, sizeof(digest));
	memcpy(s->digest, r->digest, sizeof(digest));
	memcpy(r->digest, digest, sizeof(digest));
}

static void
reload_monitor(struct supervisor *s)
{
	struct process *monitor = process_find(&s->processes, ROLE_MONITOR, 0);

	if (monitor == NULL || monitor->wanted == s->settings.http)
		return;
	if (s->settings.http)
		process_want(monitor);
	else
		process_dismiss(monitor);
}

static void
reload_tell_listener(const struct listener *l, bool added)
{
	char text[320];

	listener_text(l, text, sizeof(text));
	if (!added)
		log_info("Stopped listening on %s", text);
	else if (l->http)
		log_info("Starting http monitor on %s", text);
	else
		log_info("Listening for client connections on %s", text);
}

/* After the switch: those that were added, and those that were removed. */
static void
reload_listeners(struct supervisor *s)
{
	struct listeners *now = &s->listeners, *before = &s->reload.listeners;
	size_t i;

	for (i = 0; i < now->count; i++)
		if (!listeners_have(before, now->items[i]))
			reload_tell_listener(now->items[i], true);
	for (i = 0; i < before->count; i++)
		if (!listeners_have(now, before->items[i]))
			reload_tell_listener(before->items[i], false);
	listeners_change_rights(s, before);
	listeners_discard(s, before);
	listeners_update(s);
}

/* The switch point: what follows cannot fail. */
static void
reload_switch(struct supervisor *s)
{
	struct reload *r = &s->reload;
	struct process *p;
	uint64_t closed;

	r->version = r->next;
	documents_take(&s->documents, &r->documents);
	reload_await(s, RELOAD_COMMITTING);
	RELOAD_EACH(s, p)
		commit_send(p, r->version);
	log_levels(s->settings.debug, s->settings.trace);
	log_burst(s->settings.log_burst);
	logging_reload_commit(s);
	reload_monitor(s);
	reload_listeners(s);
	tickets_update(s, reload_tickets(&s->settings));
	watch_update(s);
	closed = placement_trim(s);
	if (closed > 0)
		log_info("Closed %llu connections to fall within max_connections",
		    (unsigned long long)closed);
}

static void
reload_commit(struct supervisor *s)
{
	char error[4608], again[4608];

	reload_swap(s);
	if (files_write_pid(s, error, sizeof(error)) == 0 &&
	    files_write_ports(s, error, sizeof(error)) == 0) {
		reload_switch(s);
		reload_continue(s);
		return;
	}
	reload_swap(s);
	if (files_write_pid(s, again, sizeof(again)) != 0)
		log_error("%s", again);
	reload_refuse(s, "%s", error);
}

/* As the real server, which says this of TLS whenever there is or was any. */
static void
reload_tell(struct supervisor *s)
{
	struct reload *r = &s->reload;
	const struct setting *table;
	char text[1024];
	size_t count, i;

	if (r->files) {
		log_info("Reloaded certificates and keys: their files have changed");
		return;
	}

	table = settings_table(&count);
	for (i = 0; i < count; i++)
		if ((table[i].how & OWN) == 0 &&
		    !setting_equal(&r->in_force, &r->configured, &table[i]))
			log_info("Reloaded: %s = %s", table[i].name,
			    setting_show(&r->in_force, &table[i], text, sizeof(text)));
	if (strcmp(r->in_force.accounts_digest, r->configured.accounts_digest) != 0)
		log_info("Reloaded: accounts");
	if (s->settings.tls_asked || r->settings.tls_asked)
		log_info("Reloaded: tls = %s", s->settings.tls_asked ? "enabled" : "disabled");
	log_info("Reloaded server configuration (%s)", s->digest);
}

/* All have followed. */
static void
reload_done(struct supervisor *s)
{
	reload_tell(s);
	log_debug("the reload took %.1f ms", (ev_time() - s->reload.began) * 1e3);
	reload_asked(s, NULL);
	reload_finish(s);
}

/* ---- answers */

/* It has not prepared, or not followed yet. */
static bool
reload_awaits(const struct reload *r, const struct process *p)
{
	return r->state == RELOAD_PREPARING ? p->prepared != r->next : p->version != r->version;
}

/*
 * The other settings need it, and it is not up yet. Of auth it is no matter if those in
 * force need it as well, but nobody except the signer knows whether keys are good.
 */
static bool
reload_awaits_asked(struct supervisor *s, enum role role)
{
	return s->reload.state == RELOAD_PREPARING && reload_asks(&s->reload.settings, role) &&
	    (role == ROLE_SIGNER || !reload_asks(&s->settings, role)) &&
	    process_serving(&s->processes, role) == NULL;
}

static bool
reload_awaits_any_asked(struct supervisor *s)
{
	bool awaits = false;
	enum role role;

	ASKED_EACH(role)
		awaits |= reload_awaits_asked(s, role);
	return awaits;
}

static bool
reload_all_answered(struct supervisor *s)
{
	struct process *p;

	RELOAD_EACH(s, p)
		if (reload_awaits(&s->reload, p))
			return false;
	return !reload_awaits_any_asked(s);
}

/* Somebody answered or is gone: is it time for the next step? */
static void
reload_continue(struct supervisor *s)
{
	struct reload *r = &s->reload;

	if (r->state == RELOAD_PREPARING && reload_all_answered(s))
		reload_commit(s);
	else if (r->state == RELOAD_COMMITTING && reload_all_answered(s))
		reload_done(s);
}

static void
reload_impatient(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = w->data;
	struct process *p;

	RELOAD_EACH(s, p)
		if (reload_awaits(&s->reload, p))
			process_kill(p, "it did not answer to a reload within %g s",
			    reload_patience(s));
	reload_continue(s);
	if (reload_awaits_any_asked(s))		/* which have PROCESS_START_LIMIT to come up */
		reload_await(s, RELOAD_PREPARING);
}

/*
 * It refuses the other settings. The signer refuses nothing but keys and certificates,
 * and if only their files have changed it is they that nobody takes. Whatever else
 * fails a reload says nothing about the files: they are read again.
 */
static void
reload_refused(struct process *p, struct bytes why)
{
	struct supervisor *s = p->supervisor;

	if (p->role == ROLE_SIGNER || s->reload.files)
		tls_files_tried(&s->tls, &s->reload.tls);
	reload_refuse(s, "%s %u: %.*s", role_name(p->role), p->slot, (int)why.len, why.data);
}

static int
reload_prepared(struct process *p, const struct msg_prepared *m)
{
	struct supervisor *s = p->supervisor;
	struct reload *r = &s->reload;

	if (m->version > r->next || m->version <= p->prepared)
		return -EBADMSG;
	p->prepared = m->version;
	if (m->refused.len == 0)
		reload_continue(s);
	else if (r->state == RELOAD_PREPARING && m->version == r->next)
		reload_refused(p, m->refused);
	else if (m->version == r->version)
		process_kill(p, "it cannot apply the settings: %.*s", (int)m->refused.len,
		    m->refused.data);
	return 0;
}

int
reload_receive(struct process *p, const struct msg *m)
{
	struct reload *r = &p->supervisor->reload;

	if (m->type == MSG_prepared)
		return reload_prepared(p, &m->u.prepared);
	if (m->u.committed.version > r->version || m->u.committed.version <= p->version)
		return -EBADMSG;
	p->version = m->u.committed.version;
	reload_continue(p->supervisor);
	return 0;
}

/* ---- processes that come while, or after, the settings change */

void
reload_process_gone(struct process *p)
{
	struct supervisor *s = p->supervisor;

	if (p->role == ROLE_SYSTEM)
		s->reload.asked = s->reload.asked_again = 0;
	/* One that an earlier reload asked to end makes room for its successor. */
	if (!p->asked && (p->role == ROLE_AUTH || p->role == ROLE_SIGNER) &&
	    reload_awaits_asked(s, p->role))
		reload_refuse(s, "%s did not come up", role_name(p->role));
	else
		reload_continue(s);
}

void
reload_process_started(struct process *p)
{
	p->version = p->supervisor->reload.version;
	p->prepared = 0;
}

void
reload_process_ready(struct process *p)
{
	struct supervisor *s = p->supervisor;
	struct reload *r = &s->reload;

	if (p->role == ROLE_CONFIG)
		return;
	if (p->version != r->version) {
		prepare_send(p, r->version, &s->documents, &s->tls);
		commit_send(p, r->version);
	} else if (p->role == ROLE_SIGNER) {
		keys_send(p, &s->tls, r->version);
	}
	if (p->role == ROLE_SIGNER)
		keys_sent(p, r->version);
	if (r->state == RELOAD_PREPARING)
		prepare_send(p, r->next, &r->documents, &r->tls);
}

/* ---- its beginning and end */

/* The settings in force once more, and what config made of accounts and files. 0 or -errno. */
static int
reload_repeat(struct supervisor *s)
{
	struct reload *r = &s->reload;
	int document = settings_write(&r->in_force, ROLE_SUPERVISOR), rc;
	enum role role;

	if (document < 0)
		return document;
	rc = reload_read(r, document);
	close(document);
	for (role = 0; role < ROLES && rc == 0; role++) {
		if (s->documents.accounts[role] == -1)
			continue;
		r->documents.accounts[role] = fcntl(s->documents.accounts[role], F_DUPFD_CLOEXEC, 0);
		if (r->documents.accounts[role] == -1)
			rc = -errno;
	}
	return rc;
}

void
reload_files(struct supervisor *s)
{
	struct reload *r = &s->reload;
	int named, rc;

	if (s->phase != PHASE_SERVING || r->state != RELOAD_IDLE)
		return;
	r->files = true;
	r->error[0] = '\0';
	r->began = ev_time();
	strlcpy(r->digest, s->digest, sizeof(r->digest));
	rc = reload_repeat(s);
	named = rc == 0 ? fcntl(s->tls.named, F_DUPFD_CLOEXEC, 0) : -1;
	if (rc == 0 && named == -1)
		rc = -errno;
	if (rc == 0)
		reload_proceed(s, named);
	else
		reload_refuse(s, "%s", error_text(-rc));
}

static void
reload_begin(struct supervisor *s)
{
	struct reload *r = &s->reload;
	const char *why = NULL;
	int rc;

	r->again = false;
	r->asked += r->asked_again;
	r->asked_again = 0;
	r->error[0] = '\0';
	r->began = ev_time();
	r->state = RELOAD_CONFIGURING;
	rc = configuring_start(s, false, reload_configured, &why);
	if (rc == 0)
		return;
	reload_complain(s, "%s", why != NULL ? why : error_text(-rc));
	r->state = RELOAD_IDLE;
	reload_answer(s, &r->asked);
}

void
reload_request(struct supervisor *s)
{
	const char *why = NULL;

	if (s->options.config == NULL)
		why = "can only reload config when a file is provided using -c or --config";
	else if (s->phase >= PHASE_LAME_DUCK)
		why = "the server is shutting down";
	if (why != NULL) {
		if (s->reload.state == RELOAD_IDLE)
			s->reload.error[0] = '\0';
		reload_complain(s, "%s", why);
		reload_answer(s, &s->reload.asked_again);
		return;
	}
	s->reload.again = true;
	reload_serving(s);
}

void
reload_request_of(struct process *system)
{
	system->supervisor->reload.asked_again++;
	reload_request(system->supervisor);
}

void
reload_serving(struct supervisor *s)
{
	if (s->phase == PHASE_SERVING && s->reload.again && s->reload.state == RELOAD_IDLE)
		reload_begin(s);
}

void
reload_stop(struct supervisor *s)
{
	struct reload *r = &s->reload;

	r->again = false;
	if (r->state == RELOAD_COMMITTING)
		reload_done(s);
	else if (r->state == RELOAD_PREPARING)
		reload_refuse(s, "the server is shutting down");
	r->state = RELOAD_IDLE;
	strlcpy(r->error, "the server is shutting down", sizeof(r->error));
	reload_answer(s, &r->asked);
	reload_answer(s, &r->asked_again);
}

void
reload_init(struct supervisor *s)
{
	struct reload *r = &s->reload;

	documents_init(&r->documents);
	tls_files_init(&r->tls);
	ev_init(&r->patience, reload_impatient);
	r->patience.data = s;
}

void
reload_free(struct supervisor *s)
{
	reload_forget(s);
	settings_free(&s->reload.in_force);
}

/*
 * The supervisor with children that misbehave. This program is all of them: it
 * runs the supervisor, and the supervisor runs it under the names of the
 * others. The server's name says how they are to behave.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <jansson.h>
#include "common/child.h"
#include "common/log.h"
#include "common/process.h"
#include "shm/directory.h"
#include "shm/index.h"
#include "shm/ring.h"
#include "shm/tables.h"
#include "supervisor/log/sink.h"
#include "supervisor/log/source.h"
#include "supervisor/supervise.h"

#define WORKERS		3
#define WATCHDOG	0.4
/* What monitor and auth, who do not learn the name, are told by log_burst. */
#define LATE		777
#define LOSES_WORKERS	778
#define NEVER_READY	779
#define ENDS_SLOWLY	780

/* ======== the children */

static struct child fake;
static struct sink fake_sink;
static struct sources fake_sources;
static unsigned fake_peers;		/* that have joined */
static unsigned fake_refusals;		/* of compactions */
static bool fake_failed;		/* so did a compaction */
static struct channel fake_other = { .fd = -1 };	/* between system and monitor */
static struct channel fake_auth = { .fd = -1 };		/* of a worker */
static struct channel fake_askers[WORKERS];		/* of auth */
static struct directory *fake_directory;		/* of system */
static ev_timer fake_later;

static bool
behaves(const char *how)
{
	return strcmp(fake.settings.server_name, how) == 0;
}

/* The first process of the first slot: its successors behave. */
static bool
misbehaves(const char *how)
{
	return behaves(how) && fake.role == ROLE_WORKER && fake.slot == 0 &&
	    fake.incarnation <= 2 + WORKERS;
}

static void
say(struct msg m)
{
	(void)channel_send(&fake.supervisor, &m, NULL);
}

#define SAY(name, ...)	say((struct msg){ .type = MSG_##name, .u.name = { __VA_ARGS__ } })

/* The file has one number: max_payload. */
static void
config_read(struct settings *s, int fd)
{
	char text[32];
	ssize_t n = read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	if (n > 0)
		setting_set_integer(s, setting_find(BYTES("max_payload")), strtoull(text, NULL, 10));
}

/* A max_payload of 70xx has auth, and accounts as xx says. */
static void
config_accounts(struct settings *s)
{
	static const char *const names[] = { "A", "B", "C", "D" };
	const struct setting *numbers = setting_find(BYTES("account_numbers"));
	size_t want = s->max_payload == 7001 ? 2 : s->max_payload == 7002 ? 4 : 0, i;
	char digest[32];

	if (s->max_payload < 7000 || s->max_payload > 7099)
		return;
	setting_set_boolean(s, setting_find(BYTES("auth_asked")), true);
	snprintf(digest, sizeof(digest), "%u", (unsigned)s->max_payload);
	setting_set_text(s, setting_find(BYTES("accounts_digest")), bytes_of(digest));
	for (i = s->account_numbers.count; i < want; i++)
		setting_add_item(s, numbers, bytes_of(names[i]));
	if (s->max_payload == 7002)
		setting_add_item(s, setting_find(BYTES("accounts_gone")), BYTES("5"));
	if (s->max_payload == 7003)		/* C has a number already, which it may not lose */
		strcpy(s->account_numbers.items[2], "X");
}

/* The first process of a pid namespace cannot kill itself; the supervisor reads this as the signal. */
static _Noreturn void
die(void)
{
	_exit(PROCESS_SIGNALLED + SIGKILL);
}

/* What the config process would answer to the flags. */
static int
config_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	struct msg document = { .type = MSG_document };
	struct settings s;
	enum role role;
	const char *why;
	int fd[2];

	settings_init(&s);
	if (m->type != MSG_configure || settings_read(&s, fds[1], &why) != 0)
		return -EBADMSG;
	if (strcmp(s.server_name, "config-dies") == 0)
		die();
	if (strcmp(s.server_name, "config-leaves") == 0)
		exit(0);
	if (strcmp(s.server_name, "config-hangs") == 0)
		return 0;
	if (strcmp(s.server_name, "config-refuses") == 0) {
		SAY(misconfigured, .error = BYTES("f:1:2: first\nf:3:4: second\n"));
		return 0;
	}
	config_read(&s, fds[0]);
	if (s.max_payload == 666) {
		SAY(misconfigured, .error = BYTES("f:1:1: no\nf:2:2: never\n"));
		return 0;
	}
	setting_set_integer(&s, setting_find(BYTES("workers")), s.max_payload == 555 ? 9 : WORKERS);
	if (strcmp(s.server_name, "monitor-ends-late") == 0)
		setting_set_integer(&s, setting_find(BYTES("log_burst")), LATE);
	if (strcmp(s.server_name, "loses-workers") == 0)
		setting_set_integer(&s, setting_find(BYTES("log_burst")), LOSES_WORKERS);
	if (strcmp(s.server_name, "auth-never-ready") == 0)
		setting_set_integer(&s, setting_find(BYTES("log_burst")), NEVER_READY);
	if (strcmp(s.server_name, "auth-ends-slowly") == 0)
		setting_set_integer(&s, setting_find(BYTES("log_burst")), ENDS_SLOWLY);
	if (s.max_payload == 444)
		setting_set_boolean(&s, setting_find(BYTES("http")), false);
	setting_set_duration(&s, setting_find(BYTES("watchdog")), WATCHDOG);
	config_accounts(&s);
	fd[0] = fd[1] = settings_write(&s, ROLE_SUPERVISOR);
	for (role = 0; role < ROLES; role++) {
		document.u.document.role = role;
		if (role != ROLE_CONFIG)
			channel_send(ch, &document, fd);
	}
	close(fd[0]);
	SAY(configured, .digest = BYTES("sha256:0"));
	return 0;
}

static int
log_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	if (m->type == MSG_log_file)
		sink_use_file(&fake_sink, fds[0], (enum log_file_kind)m->u.log_file.kind,
		    m->u.log_file.size);
	else
		source_add(&fake_sources, fake.loop, &fake_sink, fds[0], &m->u.log_source);
	return 0;
}

static void
log_write(struct ev_loop *loop, ev_prepare *w, int revents)
{
	sink_flush(&fake_sink);
}

static void
log_stop(struct child *child)
{
	sources_drain(&fake_sources);
	sink_flush(&fake_sink);
	ev_break(child->loop, EVBREAK_ALL);
}

static void
worker_segments(const struct msg *m, const int *fds)
{
	static struct segment partition, tables;
	struct tables_head *h;

	if (misbehaves("unsealed")) {
		SAY(sealed, .generation = m->u.segments.generation);
		return;
	}
	if (behaves("compacts-badly") && m->u.segments.generation > 0 && !fake_failed) {
		fake_failed = true;
		SAY(compaction_failed, .generation = m->u.segments.generation);
		SAY(compact, .end_ = 0);
		return;
	}
	segment_map_own(&partition, fds[1], INDEX_SIZE);
	segment_map_own(&tables, fds[2], TABLES_SIZE);
	h = tables_head(tables.base);
	counter_add(&h->in_msgs, misbehaves("boaster") ? UINT64_MAX : 5);
	SAY(sealed, .generation = misbehaves("wrong-generation") ? 7 : m->u.segments.generation);
	log_info("segments of %s %u", role_name(fake.role), fake.slot);
	close(fds[0]);
}

static void
worker_lane(const struct msg *m, const int *fds)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	lane_open(lane, fds[0], m->u.lane.bulk, m->u.lane.small);
	SAY(lane_sealed, .peer = m->u.lane.peer, .incarnation = m->u.lane.incarnation);
	if (misbehaves("seals-twice"))
		SAY(lane_sealed, .peer = m->u.lane.peer, .incarnation = m->u.lane.incarnation);
}

/* All have joined: now the ones that wait for it begin. */
static void
worker_joined(const struct msg *m, const int *fds)
{
	uint64_t peer = m->u.peer.peer, incarnation = m->u.peer.incarnation;

	close(fds[0]);
	close(fds[1]);
	SAY(joined, .peer = peer, .incarnation = incarnation);
	fake_peers++;
	if (misbehaves("joins-twice"))
		SAY(joined, .peer = peer, .incarnation = incarnation);
	if (misbehaves("takes-nothing-given"))
		SAY(taken, .cid = 12345);
	if (misbehaves("complains-about-itself"))
		SAY(complaint, .peer = fake.slot, .incarnation = fake.incarnation, .hung = 1,
		    .what = BYTES("me"));
	if (misbehaves("complains-about-nobody"))
		SAY(complaint, .peer = WORKERS, .incarnation = 1, .hung = 1, .what = BYTES("nobody"));
	if (misbehaves("joins-the-future"))
		SAY(joined, .peer = peer, .incarnation = UINT64_MAX);
	if (misbehaves("drains-early"))
		SAY(drained, .end_ = 0);
	if (misbehaves("closes-nothing-given"))
		SAY(closed, .cids = { .count = 1, .own = (uint64_t[]){ UINT64_MAX } });
	if (misbehaves("complains"))
		SAY(complaint, .peer = peer, .incarnation = incarnation, .hung = 0,
		    .what = BYTES("impossible bytes"));
	if (fake.role == ROLE_WORKER && fake.slot == 0 && behaves("complains-always"))
		SAY(complaint, .peer = peer, .incarnation = incarnation, .hung = 1,
		    .what = BYTES("full"));
	if (misbehaves("fails-to-compact-nothing"))
		SAY(compaction_failed, .generation = 1);
	if (fake_peers == WORKERS && (misbehaves("compacts") || misbehaves("compacts-badly") ||
	    misbehaves("compacts-always") || misbehaves("compacts-twice")))
		SAY(compact, .end_ = 0);
	if (fake_peers == WORKERS && misbehaves("compacts-twice"))
		SAY(compact, .end_ = 0);
}

static void
worker_compacts(struct ev_loop *loop, ev_timer *w, int revents)
{
	SAY(compact, .end_ = 0);
}

/* Some ask at once, very often; then all wait a little. */
static void
worker_refused(void)
{
	if (++fake_refusals < 1000) {
		SAY(compact, .end_ = 0);
		return;
	}
	if (fake_refusals == 1000)
		log_info("refused a thousand times");
	ev_timer_init(&fake_later, worker_compacts, 0.1, 0);
	ev_timer_start(fake.loop, &fake_later);
}

static void
worker_connection(const struct msg *m, const int *fds)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%u %llu %llu\n", fake.slot,
	    (unsigned long long)fake.incarnation, (unsigned long long)m->u.connection.refuse);

	if (misbehaves("dies-untaken") || (behaves("all-die-untaken") && fake.incarnation <= 2 + WORKERS))
		die();
	if (misbehaves("takes-nothing"))
		return;
	SAY(taken, .cid = m->u.connection.cid);
	if (write(fds[0], text, (size_t)n) != n)
		log_error("write: %s", strerror(errno));
	if (behaves("dies-answered"))
		die();
	/* kept open: the tests look at who ends it */
}

static int
nothing_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	return 0;
}

static void
auth_lost(struct channel *ch, int error, const char *why)
{
	SAY(auth_lost, .end_ = 0);
}

static void
worker_auth(const int *fds)
{
	channel_close(&fake_auth);
	channel_open(&fake_auth, fake.loop, fds[0], ROLE_WORKER, ROLE_AUTH, nothing_receive, auth_lost,
	    NULL);
	log_info("worker %u has an auth", fake.slot);
}

static void
worker_close(const struct msg_close_clients *m)
{
	uint64_t cid = msg_number(&m->cids, 0);

	log_info("worker %u closes %llu for %llu", fake.slot, (unsigned long long)cid,
	    (unsigned long long)m->reason);
	SAY(closed, .cids = { .count = 1, .own = &cid });
}

static int
worker_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	switch (m->type) {
	case MSG_auth_channel:
		worker_auth(fds);
		break;
	case MSG_close_clients:
		worker_close(&m->u.close_clients);
		break;
	case MSG_tell_lame_duck:
		log_info("worker %u tells %llu", fake.slot,
		    (unsigned long long)m->u.tell_lame_duck.cid);
		break;
	case MSG_segments:
		worker_segments(m, fds);
		break;
	case MSG_lane:
		worker_lane(m, fds);
		break;
	case MSG_peer:
		worker_joined(m, fds);
		break;
	case MSG_partition:
		close(fds[0]);
		SAY(partition_read, .peer = m->u.partition.peer,
		    .incarnation = m->u.partition.incarnation,
		    .generation = m->u.partition.generation);
		break;
	case MSG_compacted:
		log_info("compacted to generation %d", (int)m->u.compacted.generation);
		if (behaves("compacts-always"))
			SAY(compact, .end_ = 0);
		break;
	case MSG_compaction_refused:
		worker_refused();
		break;
	case MSG_connection:
		worker_connection(m, fds);
		break;
	case MSG_lame_duck:
		if (!behaves("never-drains"))
			SAY(drained, .end_ = 0);
		break;
	default:
		break;
	}
	return 0;
}

/* Twice is no more than once. */
static void
system_lost(struct channel *ch, int error, const char *why)
{
	SAY(system_lost, .end_ = 0);
	SAY(system_lost, .end_ = 0);
}

static void
nobody_lost(struct channel *ch, int error, const char *why)
{
}

static int
auth_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	unsigned slot = (unsigned)m->u.worker_channel.slot;

	log_info("auth has worker %u", slot);
	if (fake.settings.log_burst == LOSES_WORKERS) {
		close(fds[0]);
		return 0;
	}
	channel_close(&fake_askers[slot]);
	channel_open(&fake_askers[slot], fake.loop, fds[0], ROLE_AUTH, ROLE_WORKER, nothing_receive,
	    nobody_lost, NULL);
	return 0;
}

static void
system_kicks(struct ev_loop *loop, ev_timer *w, int revents)
{
	SAY(kick_lame_duck, .cid = 1);
	SAY(kick, .cid = 1);
	SAY(kick, .cid = UINT64_MAX);
}

static void
system_directory(const int *fds)
{
	static struct segment seg;

	segment_map_peer(&seg, fds[0], DIRECTORY_SIZE);
	fake_directory = seg.base;
	if (behaves("kicks")) {
		ev_timer_init(&fake_later, system_kicks, 0.05, 0.05);
		ev_timer_start(fake.loop, &fake_later);
	}
	if (behaves("asks-for-a-reload")) {
		SAY(reload, .end_ = 0);
		SAY(reload, .end_ = 0);
	}
	if (behaves("told-early") && fake.incarnation <= 3 + WORKERS)
		SAY(left_word, .end_ = 0);
}

/* Who may serve which account, in the order of the numbers. */
static void
system_accounts(const char *when)
{
	char text[256];
	unsigned i;
	int n = 0;

	for (i = ACCOUNT_GLOBAL; i < ACCOUNT_FIRST + 5; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %d", __builtin_popcountll(
		    atomic_load(&fake_directory->participants[i])));
	log_info("%s:%s", when, text);
}

static void
system_leaving(const struct msg_leaving *m)
{
	if (behaves("silent"))
		return;
	usleep(20000);			/* the log reads one child's lines before another's */
	log_info("system tells of %s", m->lame_duck ? "lame duck mode" : "the end");
	usleep(20000);
	SAY(left_word, .end_ = 0);
}

static int
other_receive(struct channel *ch, const struct msg *m, const int *fds)
{
	int i;

	switch (m->type) {
	case MSG_segments:
	case MSG_lane:
	case MSG_peer:
	case MSG_partition:
		return worker_receive(ch, m, fds);
	case MSG_leaving:
		system_leaving(&m->u.leaving);
		return 0;
	case MSG_reloaded:
		log_info("reloaded: %.*s", (int)m->u.reloaded.error.len, m->u.reloaded.error.data);
		system_accounts("after");
		return 0;
	default:
		break;
	}
	if (m->type == MSG_http_connection) {
		if (m->u.http_connection.cid == 1)
			sleep(1);	/* connections pile up meanwhile */
		close(fds[0]);
		return 0;
	}
	if (m->type == MSG_server) {
		struct directory *d;
		system_directory(fds);
		d = fake_directory;
		/* what a new system process sees of those who were */
		log_info("departed in_msgs=%llu replaced=%llu participants=%llx",
		    (unsigned long long)atomic_load(&d->departed.in_msgs),
		    (unsigned long long)atomic_load(&d->replaced),
		    (unsigned long long)atomic_load(&d->participants[ACCOUNT_GLOBAL]));
		return 0;
	}
	if (m->type == MSG_system_channel) {
		channel_close(&fake_other);
		channel_open(&fake_other, fake.loop, fds[0], ROLE_MONITOR, ROLE_SYSTEM,
		    other_receive, system_lost, NULL);
		log_info("monitor has a system");
		return 0;
	}
	if (m->type == MSG_monitor_channel && !behaves("loses-monitor")) {
		channel_close(&fake_other);
		channel_open(&fake_other, fake.loop, fds[0], ROLE_SYSTEM, ROLE_MONITOR,
		    other_receive, nobody_lost, NULL);
		return 0;
	}
	for (i = 0; i < msg_descriptors(m->type); i++)
		close(fds[i]);
	return 0;
}

/* ---- reload */

static const char *
fake_check(struct child *child, const struct settings *next)
{
	if (misbehaves("dies-preparing"))
		die();
	if (misbehaves("hangs-preparing"))
		sleep(60);
	if (misbehaves("commits-too-early"))
		SAY(committed, .version = child->version + 1);
	if (misbehaves("prepares-the-future"))
		SAY(prepared, .version = UINT64_MAX, .refused = BYTES(""));
	if (behaves("late") && fake.slot == 1)
		usleep(WATCHDOG * 5e5);		/* so that others come meanwhile */
	return behaves("refuses") && fake.slot == 1 && next->max_payload == 2000 ? "not with me" : NULL;
}

static void
fake_apply(struct child *child, const struct settings *before)
{
	if (misbehaves("dies-committing"))
		die();
	if (misbehaves("hangs-committing"))
		sleep(60);
	if (misbehaves("commits-twice"))
		SAY(committed, .version = child->version);
	log_info("%s %u goes from %u to %u", role_name(fake.role), fake.slot,
	    (unsigned)before->max_payload, (unsigned)child->settings.max_payload);
}

static void
system_apply(struct child *child, const struct settings *before)
{
	if (before->max_payload == child->settings.max_payload)
		return;
	system_accounts("meanwhile");
	SAY(reload, .end_ = 0);		/* so that it learns when all have followed */
}

static void
never_stop(struct child *child)
{
}

static void
worker_stop_telling(struct child *child)
{
	log_info("worker %u is to end", fake.slot);
	ev_break(child->loop, EVBREAK_ALL);
}

static void
late_stop(struct child *child)
{
	sleep(1);
	ev_break(child->loop, EVBREAK_ALL);
}

static int
fake_main(enum role role)
{
	static channel_receive *const receive[ROLES] = {
		[ROLE_CONFIG] = config_receive, [ROLE_LOG] = log_receive,
		[ROLE_WORKER] = worker_receive, [ROLE_SYSTEM] = other_receive,
		[ROLE_MONITOR] = other_receive, [ROLE_AUTH] = auth_receive,
	};
	static ev_prepare prepare;

	child_init(&fake, role, receive[role], NULL);
	if (role == ROLE_LOG) {
		sink_init(&fake_sink);
		sink_settings(&fake_sink, &fake.settings);
		ev_prepare_init(&prepare, log_write);
		ev_prepare_start(fake.loop, &prepare);
		fake.stop = log_stop;
	}
	if (role == ROLE_WORKER && behaves("never-ready"))
		exit(7);
	if (role == ROLE_WORKER && behaves("tells-its-end"))
		fake.stop = worker_stop_telling;
	if (role == ROLE_WORKER && behaves("never-ends"))
		fake.stop = never_stop;
	if (role == ROLE_AUTH && fake.settings.log_burst == NEVER_READY)
		exit(7);
	for (unsigned i = 0; i < WORKERS; i++)
		fake_askers[i].fd = -1;
	if (role == ROLE_MONITOR && fake.settings.log_burst == LATE && fake.incarnation <= 4 + WORKERS)
		fake.stop = late_stop;
	if (role == ROLE_AUTH && fake.settings.log_burst == ENDS_SLOWLY)
		fake.stop = late_stop;
	fake.check = role == ROLE_WORKER ? fake_check : NULL;
	fake.apply = role == ROLE_WORKER ? fake_apply :
	    role == ROLE_SYSTEM && behaves("looks-at-accounts") ? system_apply : NULL;
	if (role == ROLE_WORKER)
		log_info("worker %u starts with %u", fake.slot, (unsigned)fake.settings.max_payload);
	if (role == ROLE_WORKER && behaves("late") && fake.incarnation > 3 + WORKERS)
		usleep(fake.slot == 0 ? WATCHDOG * 3e5 : WATCHDOG * 9e5);	/* before, after the commit */
	child_ready(&fake);
	if (misbehaves("ready-twice"))
		SAY(ready, .end_ = 0);
	if (misbehaves("garbage") && write(CHILD_CHANNEL, "\x91\xc3garbage", 9) != 9)
		exit(8);
	if (misbehaves("closes-channel"))
		shutdown(CHILD_CHANNEL, SHUT_WR);
	child_run(&fake);
	return 0;
}

/* ======== the tests */

static char folder[] = "/tmp/bulkhead-tree-XXXXXX";
static char err_path[PATH_MAX];
static char config_path[PATH_MAX];	/* empty: without -c */
static pid_t server;
static int port, http_port;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void
nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

static char *
err_text(void)
{
	static char text[1 << 18];
	int fd = open(err_path, O_RDONLY);
	ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	close(fd);
	return text;
}

static int
err_count(const char *what)
{
	const char *at = err_text();
	int n = 0;

	while ((at = strstr(at, what)) != NULL) {
		at++;
		n++;
	}
	return n;
}

/* The last lines: Check takes messages up to 4 KiB only. */
static const char *
err_tail(void)
{
	const char *text = err_text();
	size_t len = strlen(text);

	return len > 3000 ? text + len - 3000 : text;
}

/* Wait for a line; the last of them are the message of a failure. */
static void
err_await(const char *what)
{
	double until = now() + 10;

	while (err_count(what) == 0 && now() < until)
		nap();
	ck_assert_msg(err_count(what) > 0, "no \"%s\" in:\n%s", what, err_tail());
}

/* Wait until there are n such lines. */
static void
err_await_more(const char *what, int n)
{
	double until = now() + 20;

	while (err_count(what) < n && now() < until)
		nap();
	ck_assert_msg(err_count(what) >= n, "not %d times \"%s\" in:\n%s", n, what, err_tail());
}

static void
server_start(const char *name)
{
	char how[128] = "";
	int fd;

	snprintf(err_path, sizeof(err_path), "%s/err", folder);
	unlink(err_path);
	snprintf(how, sizeof(how), "--name=%s", name);
	server = fork();
	if (server == 0) {
		char *argv[] = { how + sizeof(how) - 1, (char[]){ "-p=-1" }, (char[]){ "-m=-1" }, how,
		    (char[]){ "--ports_file_dir" }, folder, (char[]){ "-D" },
		    *config_path == '\0' ? NULL : (char[]){ "-c" }, config_path, NULL };
		fd = open(err_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(fd, STDERR_FILENO);
		exit(supervise(*config_path == '\0' ? 7 : 9, argv));
	}
}

static int
url_port(const json_t *ports, const char *which)
{
	const char *url = json_string_value(json_array_get(json_object_get(ports, which), 0));

	ck_assert_msg(url != NULL, "no address for %s", which);
	return atoi(strrchr(url, ':') + 1);
}

/* The same, until it serves. */
static void
server_serves(const char *name)
{
	char path[PATH_MAX];
	double until = now() + 10;
	json_t *ports;

	server_start(name);
	snprintf(path, sizeof(path), "%s/%s_%d.ports", folder, getprogname(), (int)server);
	while (access(path, R_OK) != 0 && now() < until)
		nap();
	ports = json_load_file(path, 0, NULL);
	ck_assert_msg(ports != NULL, "it does not serve:\n%s", err_tail());
	port = url_port(ports, "nats");
	http_port = url_port(ports, "monitoring");
	json_decref(ports);
}

static int
server_ends(double *seconds)
{
	double start = now();
	int status = 0;

	while (waitpid(server, &status, WNOHANG) == 0 && now() < start + 60)
		nap();
	*seconds = now() - start;
	ck_assert_msg(WIFEXITED(status), "status %x:\n%s", status, err_tail());
	return WEXITSTATUS(status);
}

/* Ask it to end; it must, in order, within a second, and leave nothing. */
static void
server_stop(void)
{
	double seconds;
	char path[PATH_MAX];

	kill(server, SIGTERM);
	ck_assert_int_eq(server_ends(&seconds), 0);
	ck_assert_msg(seconds < 1.0 + (getenv("ASAN_OPTIONS") != NULL), "%g s", seconds);
	ck_assert_int_eq(err_count("Server Exiting.."), 1);
	snprintf(path, sizeof(path), "%s/%s_%d.ports", folder, getprogname(), (int)server);
	ck_assert_msg(access(path, F_OK) == -1, "%s is left", path);
}

/* A socket, once it is connected. */
static int
connected(int to)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)to),
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static int
client(void)
{
	return connected(port);
}

static void
client_greeted(int fd, unsigned *slot, unsigned long *incarnation)
{
	char text[64];
	unsigned long refuse;
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	ck_assert_msg(n > 0, "%s:\n%s", n == 0 ? "closed" : strerror(errno), err_tail());
	text[n] = '\0';
	ck_assert_int_eq(sscanf(text, "%u %lu %lu", slot, incarnation, &refuse), 3);
}

START_TEST(connections_are_spread)
{
	unsigned slot, each[WORKERS] = { 0 }, seen = 0;
	unsigned long incarnation;
	int i;

	server_serves("good");
	for (i = 0; i < 60 || seen != (1u << WORKERS) - 1; i++) {	/* some begin later than others */
		client_greeted(client(), &slot, &incarnation);
		ck_assert_uint_lt(slot, WORKERS);
		seen |= 1u << slot;
		each[slot]++;
	}
	for (; each[0] != each[1] || each[1] != each[2]; i++) {	/* but all get the same in the end */
		ck_assert_int_lt(i, 1000);
		client_greeted(client(), &slot, &incarnation);
		each[slot]++;
	}
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* What each of these does ends it, and nobody else. */
static const struct { const char *how, *line; } liars[] = {
	{ "unsealed",            "what it sent was refused: sealed" },
	{ "wrong-generation",    "what it sent was refused: sealed" },
	{ "seals-twice",         "what it sent was refused: lane_sealed" },
	{ "joins-twice",         "what it sent was refused: joined" },
	{ "takes-nothing-given", "what it sent was refused: taken" },
	{ "ready-twice",         "what it sent was refused: state" },
	{ "garbage",             "what it sent was refused:" },
	{ "closes-channel",      "exited with status 0; it is replaced" },
	{ "drains-early",        "what it sent was refused: drained" },
	{ "joins-the-future",    "what it sent was refused: joined" },
	{ "closes-nothing-given", "what it sent was refused: closed" },
	{ "complains-about-itself", "what it sent was refused: complaint" },
	{ "complains-about-nobody", "what it sent was refused: complaint" },
	{ "compacts-twice", "what it sent was refused: compact" },
	{ "fails-to-compact-nothing", "what it sent was refused: compaction_failed" },
};

START_TEST(a_liar_is_replaced)
{
	unsigned slot, seen = 0;
	unsigned long incarnation;
	double until = now() + 10;
	int fd;

	server_serves(liars[_i].how);
	err_await(liars[_i].line);
	while (seen != (1u << WORKERS) - 1 && now() < until) {	/* the successor serves, the others still do */
		fd = client();
		client_greeted(fd, &slot, &incarnation);
		seen |= 1u << slot;
	}
	ck_assert_uint_eq(seen, (1u << WORKERS) - 1);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

START_TEST(nobody_is_reset_whom_a_dead_worker_had_not_taken)
{
	unsigned slot;
	unsigned long incarnation;
	int fds[60], i;

	server_serves(_i == 0 ? "dies-untaken" : _i == 1 ? "takes-nothing" : "all-die-untaken");
	for (i = 0; i < 60; i++)
		fds[i] = client();
	for (i = 0; i < 60; i++)
		client_greeted(fds[i], &slot, &incarnation);
	while (_i == 1 && err_count("did not take a connection within watchdog") == 0)
		client_greeted(client(), &slot, &incarnation);	/* if that worker began late */
	server_stop();
}
END_TEST

/* Who was spoken to is lost with its worker; nobody else may go on with it. */
START_TEST(the_answered_end_with_their_worker)
{
	unsigned slot;
	unsigned long incarnation;
	char byte;
	int fd;

	server_serves("dies-answered");
	fd = client();
	client_greeted(fd, &slot, &incarnation);
	ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
	server_stop();
}
END_TEST

START_TEST(what_never_is_ready_is_given_up)
{
	double seconds;

	server_start("never-ready");
	/* 10 deaths, backing off from 0.1 s up to 5 s */
	ck_assert_int_eq(server_ends(&seconds), 1);
	ck_assert_msg(err_count("[FTL] worker") == 1, "%s", err_tail());
	ck_assert_int_eq(err_count("died 10 times before it was ready, the last time it exited with status 7"), 1);
}
END_TEST

static const struct { const char *how, *line; } configs[] = {
	{ "config-refuses", "f:1:2: first\n" },
	{ "config-refuses", "f:3:4: second\n" },
	{ "config-dies", "was ended by signal 9" },
	{ "config-leaves", "exited with status 0" },
	{ "config-hangs", "it did not answer within" },
};

START_TEST(without_configuration_it_does_not_start)
{
	double seconds;

	server_start(configs[_i].how);
	ck_assert_int_eq(server_ends(&seconds), 1);
	ck_assert_msg(err_count(configs[_i].line) == 1, "%s", err_tail());
	ck_assert_int_eq(err_count("Listening"), 0);
}
END_TEST

START_TEST(who_does_not_end_is_ended)
{
	server_serves("never-ends");
	server_stop();
	ck_assert_int_eq(err_count("did not end within 0.5 s"), WORKERS);
}
END_TEST

START_TEST(a_complaint_replaces_the_accused)
{
	server_serves("complains");
	err_await("it broke the rules of its lane to worker 0: impossible bytes");
	server_stop();
}
END_TEST

START_TEST(who_complains_about_everybody_is_replaced)
{
	double seconds;

	server_start("complains-always");	/* it never serves: somebody is always being replaced */
	err_await("it complained about others more than 10 times");
	kill(server, SIGTERM);
	ck_assert_int_eq(server_ends(&seconds), 0);
}
END_TEST

START_TEST(compaction_goes_round)
{
	server_serves("compacts");
	err_await("compacted to generation 1");
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* It is forgotten on both sides, and the next one goes round. */
START_TEST(a_compaction_that_fails_is_not_the_last)
{
	server_serves("compacts-badly");
	err_await("refused a thousand times");
	err_await("compacted to generation 1");
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* However often a worker asks, the supervisor gives, and writes, little; and gives again when it can. */
START_TEST(without_descriptors_compaction_waits)
{
	const char *failure = "no segments to compact worker 0 into: Too many open files";
	struct rlimit limit, none;
	int before;
	double begun;

	server_serves("compacts-always");
	err_await_more("compacted to generation", 2);
	ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, NULL, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, &none, NULL), 0);
	err_await(failure);
	begun = now();
	err_await_more(failure, 3);
	ck_assert_double_gt(now() - begun, 1);
	ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, &limit, NULL), 0);
	before = err_count("compacted to generation");
	err_await_more("compacted to generation", before + 2);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* The pid of the newest process of this name, once it is ready, by its lines in the debug log. */
static pid_t
child_pid(const char *what)
{
	char name[64], ready[96];
	const char *at, *last = NULL;
	int pid;

	snprintf(name, sizeof(name), "started %s (process ", what);
	err_await(name);
	for (at = err_text(); (at = strstr(at, name)) != NULL; at++)
		last = at;
	pid = atoi(last + strlen(name));
	snprintf(ready, sizeof(ready), "%s (process %d) is ready", what, pid);
	err_await(ready);
	return pid;
}

/* Both get a new channel, but not in a loop. */
START_TEST(monitor_and_system_meet_again)
{
	double begun;

	server_serves("loses-monitor");
	err_await("monitor has a system");
	begun = now();
	err_await_more("monitor has a system", 5);
	ck_assert_double_gt(now() - begun, 1);
	kill(child_pid("system 0"), SIGKILL);
	err_await("was ended by signal 9");
	err_await_more("monitor has a system", err_count("monitor has a system") + 2);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

/* One that nobody breaks is left alone, also when one of both is new. */
START_TEST(monitor_and_system_that_have_met_stay_together)
{
	server_serves("good");
	err_await("monitor has a system");
	kill(child_pid("system 0"), SIGKILL);
	err_await("was ended by signal 9");
	err_await_more("monitor has a system", 2);
	nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);	/* longer than a pause */
	ck_assert_int_eq(err_count("monitor has a system"), 2);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

START_TEST(a_dead_workers_counters_are_kept_as_far_as_they_are_plausible)
{
	char line[128];

	server_serves(_i == 0 ? "good" : "boaster");
	err_await("segments of worker 0");
	kill(child_pid("worker 0"), SIGKILL);
	err_await("was ended by signal 9");
	kill(child_pid("system 0"), SIGKILL);
	snprintf(line, sizeof(line), "departed in_msgs=%llu replaced=2",
	    _i == 0 ? 5ull : 1ull << 62);
	err_await(line);
	server_stop();
}
END_TEST

START_TEST(a_stopped_child_is_replaced_one_that_goes_on_is_not)
{
	pid_t pid;

	server_serves("good");
	pid = child_pid(_i == 0 ? "worker 1" : _i == 1 ? "log 0" : "system 0");
	kill(pid, SIGSTOP);
	if (_i != 1) {		/* the log cannot tell while it is stopped */
		err_await("is stopped; it is replaced");
		kill(pid, SIGCONT);
		err_await("goes on");
		kill(pid, SIGSTOP);
	}
	err_await("it was stopped for longer than watchdog allows");
	ck_assert_int_eq(kill(pid, 0), -1);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

/* A new log process writes what the old one had not read. */
START_TEST(no_line_is_lost_with_the_log)
{
	int i;

	server_serves("good");
	for (i = 0; i < 5; i++) {
		pid_t pid = child_pid("log 0");
		kill(pid, SIGSTOP);
		kill(server, SIGHUP);
		kill(child_pid("system 0"), SIGKILL);	/* a reason for lines */
		nap();
		kill(pid, SIGKILL);
		double until = now() + 10;
		while (err_count("started log 0") < i + 2 && now() < until)
			nap();
	}
	server_stop();
	ck_assert_msg(err_count("can only reload config when a file is provided") == 5, "%s", err_tail());
	ck_assert_msg(err_count("lines were lost") == 0, "%s", err_tail());
}
END_TEST

START_TEST(lame_duck_ends_when_all_have_drained)
{
	double seconds;

	server_serves("good");
	kill(server, SIGUSR2);
	ck_assert_int_eq(server_ends(&seconds), 0);
	ck_assert_int_eq(err_count("Entering lame duck mode"), 1);
	ck_assert_int_eq(err_count("Server Exiting.."), 1);
}
END_TEST

START_TEST(who_dies_in_lame_duck_mode_is_said)
{
	pid_t pid;
	double seconds;

	server_serves("never-drains");
	pid = child_pid("worker 1");
	kill(server, SIGUSR2);
	err_await("Entering lame duck mode");
	kill(pid, SIGKILL);
	err_await("was ended by signal 9");
	kill(server, SIGINT);
	ck_assert_int_eq(server_ends(&seconds), 0);
	ck_assert_msg(err_count("[ERR] worker 1") == 1, "%s", err_tail());
}
END_TEST

/* More than its channel takes at once: the rest is accepted when there is room again. */
START_TEST(monitor_is_given_more_than_its_channel_takes)
{
	int fds[900], i;
	char byte;

	server_serves("good");
	for (i = 0; i < 900; i++)
		fds[i] = connected(http_port);
	for (i = 0; i < 900; i++) {
		ck_assert_msg(recv(fds[i], &byte, 1, 0) == 0, "connection %d: %s", i, strerror(errno));
		close(fds[i]);
	}
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* Nobody is left, whatever the supervisor died of. */
/* ---- reload */

static void
config_write(unsigned max_payload)
{
	FILE *f;

	snprintf(config_path, sizeof(config_path), "%s/config", folder);
	f = fopen(config_path, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "%u", max_payload);
	fclose(f);
}

static void
reload(unsigned max_payload)
{
	config_write(max_payload);
	kill(server, SIGHUP);
}

/* Each worker's last word on it. */
static void
all_have(unsigned max_payload)
{
	char to[64], start[64];
	int i;

	for (i = 0; i < WORKERS; i++) {
		const char *text = err_text(), *last = NULL, *at;
		snprintf(to, sizeof(to), "worker %d ", i);
		for (at = text; (at = strstr(at, to)) != NULL; at++)
			if (strncmp(at + strlen(to), "goes", 4) == 0 ||
			    strncmp(at + strlen(to), "starts", 6) == 0)
				last = at;
		ck_assert_ptr_nonnull(last);
		snprintf(start, sizeof(start), "%.*s", (int)strcspn(last, "\n"), last);
		snprintf(to, sizeof(to), "%u", max_payload);
		ck_assert_msg(strlen(start) > strlen(to) &&
		    strcmp(start + strlen(start) - strlen(to), to) == 0, "%s:\n%s", start, err_tail());
	}
}

START_TEST(all_processes_follow)
{
	config_write(1000);
	server_serves("good");
	reload(2000);
	err_await("Reloaded: max_payload = 2000");
	err_await("Reloaded server configuration (sha256:0)");
	all_have(2000);
	ck_assert_int_eq(err_count("goes from 1000 to 2000"), WORKERS);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
	ck_assert_int_eq(err_count("Reloaded: "), 1);
}
END_TEST

START_TEST(one_refusal_is_all_it_takes)
{
	config_write(1000);
	server_serves("refuses");
	reload(2000);
	err_await("Failed to reload server configuration: worker 1: not with me");
	reload(555);
	err_await("Failed to reload server configuration: config reload not supported for workers: old=3, new=9");
	reload(666);
	err_await("Failed to reload server configuration: f:1:1: no");
	err_await("Failed to reload server configuration: f:2:2: never");
	ck_assert_int_eq(err_count("goes from"), 0);
	ck_assert_int_eq(err_count("Reloaded"), 0);
	reload(3000);		/* with that one everybody can go along */
	err_await("Reloaded server configuration");
	ck_assert_int_eq(err_count("goes from 1000 to 3000"), WORKERS);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 4);
}
END_TEST

/* One worker spoils it for itself: it is replaced, and its successor has what is in force. */
static const struct { const char *how, *line; } spoilers[] = {
	{ "dies-preparing",	"was ended by signal 9" },
	{ "hangs-preparing",	"it did not answer to a reload within 0.4 s" },
	{ "dies-committing",	"was ended by signal 9" },
	{ "hangs-committing",	"it did not answer to a reload within 0.4 s" },
	{ "commits-too-early",	"what it sent was refused: committed" },
	{ "commits-twice",	"what it sent was refused: committed" },
	{ "prepares-the-future", "what it sent was refused: prepared" },
};

START_TEST(who_does_not_follow_is_replaced)
{
	config_write(1000);
	server_serves(spoilers[_i].how);
	reload(2000);
	err_await("Reloaded server configuration");
	err_await(spoilers[_i].line);
	while (err_count("worker 0 starts with") < 2)
		nap();
	while (err_count("worker 0 (process") < 4)	/* started, ready, ended, started */
		nap();
	err_await("it is replaced");
	reload(3000);
	while (err_count("Reloaded server configuration") < 2)
		nap();
	while (err_count(" to 3000\n") < WORKERS)	/* a successor that is not ready follows later */
		nap();
	all_have(3000);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

/* A successor that becomes ready in each phase of a reload, and after it. */
START_TEST(who_comes_late_follows)
{
	config_write(1000);
	server_serves("late");
	for (unsigned i = 0; i < 6; i++) {
		int before = err_count("Reloaded server configuration");
		char what[64];
		snprintf(what, sizeof(what), "worker %d", i % 2 == 0 ? 0 : 2);
		kill(child_pid(what), SIGKILL);
		reload(2000 + i);
		usleep(i * 30000);		/* at different moments */
		while (err_count("Reloaded server configuration") == before)
			nap();
		while (err_count(" starts with ") < WORKERS + 1 + (int)i)
			nap();
		snprintf(what, sizeof(what), "%u\n", 2000 + i);
		while (err_count(what) < WORKERS + 1)	/* each worker's, and `Reloaded` */
			nap();
		all_have(2000 + i);
	}
	server_stop();
}
END_TEST

/* Wanted again while its predecessor is still ending. */
START_TEST(monitoring_comes_back)
{
	config_write(1000);
	server_serves("monitor-ends-late");
	reload(444);
	err_await("Reloaded server configuration");
	reload(2000);
	while (err_count("Reloaded server configuration") < 2)
		nap();
	ck_assert_int_eq(err_count("started monitor 0"), 1);
	while (err_count("started monitor 0") < 2)
		nap();
	while (err_count("monitor 0 (process") < 3)	/* started, ready, started */
		nap();
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
	ck_assert_int_eq(err_count("started monitor 0"), 2);
}
END_TEST

/* ---- auth and accounts */

/* Each worker has a channel to it, whichever of the two is new. */
START_TEST(workers_meet_auth)
{
	config_write(7000);
	server_serves("good");
	err_await_more("has an auth", WORKERS);
	kill(child_pid("auth 0"), SIGKILL);
	err_await("auth 0 (process");
	err_await_more("has an auth", 2 * WORKERS);
	kill(child_pid("worker 1"), SIGKILL);
	err_await_more("has an auth", 2 * WORKERS + 1);
	err_await_more("auth has worker 1", 3);
	nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);	/* longer than a pause */
	ck_assert_int_le(err_count("has an auth"), 3 * WORKERS + 1);	/* `auth_lost` may have crossed */
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 2);
}
END_TEST

/* They meet again, but not in a loop. */
START_TEST(workers_meet_an_auth_that_loses_them_after_a_pause)
{
	double begun;

	config_write(7000);
	server_serves("loses-workers");
	err_await_more("has an auth", WORKERS);
	begun = now();
	err_await_more("has an auth", 4 * WORKERS);
	ck_assert_double_gt(now() - begun, 1);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
}
END_TEST

/* It is there before a worker asks it, and until the last one does not any more. */
START_TEST(auth_comes_and_goes_by_reload)
{
	const char *text;
	int i;

	config_write(1000);
	server_serves("good");
	for (i = 1; i <= 2; i++) {
		reload(7000);
		err_await_more("Reloaded server configuration", 2 * i - 1);
		ck_assert_int_eq(err_count("started auth 0"), i);
		err_await_more("has an auth", i * WORKERS);
		reload(1000);
		err_await_more("Reloaded server configuration", 2 * i);
	}
	text = err_text();
	ck_assert(strstr(text, "worker 0 has an auth") <
	    strstr(text, "worker 0 goes from 1000 to 7000"));
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
	ck_assert_int_eq(err_count("Reloaded: accounts\n"), 4);
	ck_assert_int_eq(err_count("Reloaded: auth"), 0);
	ck_assert_int_eq(err_count("Reloaded: account_numbers"), 0);
}
END_TEST

/* It is wanted again before the one that was dismissed has ended. */
START_TEST(auth_comes_back_while_it_goes)
{
	config_write(1000);
	server_serves("auth-ends-slowly");
	reload(7000);
	err_await_more("Reloaded server configuration", 1);
	reload(1000);
	err_await_more("Reloaded server configuration", 2);
	reload(7000);
	err_await_more("Reloaded server configuration", 3);
	ck_assert_int_eq(err_count("started auth 0"), 2);
	ck_assert_int_eq(err_count("did not come up"), 0);
	server_stop();
}
END_TEST

START_TEST(without_auth_there_is_no_reload_that_needs_it)
{
	config_write(1000);
	server_serves("auth-never-ready");
	reload(7000);
	err_await("Failed to reload server configuration: auth did not come up");
	reload(2000);
	err_await("Reloaded server configuration");
	all_have(2000);
	server_stop();
	ck_assert_int_eq(err_count("goes from 1000 to 7000"), 0);
	ck_assert_int_eq(err_count("started auth 0"), 1);
}
END_TEST

/* Numbers 1 to 3 are always served, others while the settings of before or of after have them. */
START_TEST(accounts_are_served_while_they_are_there)
{
	config_write(1000);
	server_serves("looks-at-accounts");
	reload(7001);
	err_await("after: 4 4 4 4 4 0 0 0");
	ck_assert_int_eq(err_count("meanwhile: 4 4 4 4 4 0 0 0"), 1);
	reload(7002);		/* C and D are new, B is gone */
	err_await("after: 4 4 4 4 0 4 4 0");
	ck_assert_int_eq(err_count("meanwhile: 4 4 4 4 4 4 4 0"), 1);
	reload(7003);
	err_await("configuration: the numbers of accounts do not continue those in force");
	reload(7004);		/* B is there again, with its number */
	err_await("after: 4 4 4 4 4 4 4 0");
	kill(child_pid("worker 0"), SIGKILL);
	err_await_more("segments of worker 0", 2);
	server_stop();
}
END_TEST

/* ---- what system asks for, and is told */

START_TEST(system_has_its_reloads)
{
	config_write(1000);
	server_serves("asks-for-a-reload");
	err_await_more("reloaded: \n", 2);
	config_write(666);
	kill(child_pid("system 0"), SIGKILL);
	err_await_more("reloaded: f:1:1: no", 2);	/* escaped: the lines are one in the log */
	server_stop();
}
END_TEST

START_TEST(system_kicks_one_client)
{
	unsigned slot, other;
	unsigned long incarnation;
	char line[64];

	server_serves("kicks");
	client_greeted(client(), &slot, &incarnation);
	snprintf(line, sizeof(line), "worker %u closes 1 for 4\n", slot);
	err_await(line);
	snprintf(line, sizeof(line), "worker %u tells 1\n", slot);
	err_await(line);
	client_greeted(client(), &other, &incarnation);
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 0);
	ck_assert_int_eq(err_count(" closes 1 for"), err_count(" closes "));
}
END_TEST

/* The system account hears of the end while there are workers to tell it. */
START_TEST(system_tells_before_workers_go)
{
	const char *text;

	server_serves("tells-its-end");
	server_stop();
	text = err_text();
	ck_assert_int_eq(err_count("system tells of the end"), 1);
	ck_assert_int_eq(err_count("is to end"), WORKERS);
	ck_assert(strstr(text, "system tells of the end") < strstr(text, "is to end"));
}
END_TEST

START_TEST(a_silent_system_is_not_waited_for)
{
	server_serves("silent");
	server_stop();
	server_serves("silent");
	kill(child_pid("system 0"), SIGSTOP);
	err_await("is stopped; it is replaced");
	server_stop();
}
END_TEST

START_TEST(system_says_nothing_unasked)
{
	server_start("told-early");
	err_await("what it sent was refused: left_word");
	err_await("Server is ready");
	server_stop();
	ck_assert_int_eq(err_count("[ERR]"), 1);
}
END_TEST

START_TEST(the_end_comes_before_a_reload)
{
	double seconds;

	config_write(1000);
	server_serves("hangs-preparing");
	reload(2000);
	while (err_count("config 0") < 4)	/* it has answered: all are being asked */
		nap();
	kill(server, SIGTERM);
	ck_assert_int_eq(server_ends(&seconds), 0);
	ck_assert_int_eq(err_count("goes from"), 0);
}
END_TEST

START_TEST(children_end_with_the_supervisor)
{
	static const char *const names[] = { "worker 0", "worker 1", "worker 2", "system 0", "log 0" };
	pid_t pids[5];
	double until;
	char path[64], state;
	FILE *f;
	int i;

	server_serves("never-ends");
	for (i = 0; i < 5; i++)
		pids[i] = child_pid(names[i]);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	until = now() + 5;
	for (i = 0; i < 5; i++) {
		state = '?';
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pids[i]);
		while ((f = fopen(path, "r")) != NULL && now() < until) {
			if (fscanf(f, "%*d %*s %c", &state) != 1)
				state = 'Z';
			fclose(f);
			if (state == 'Z')	/* whoever inherited it waits for it, or not */
				break;
			nap();
		}
		ck_assert_msg(now() < until, "%s lives", names[i]);
	}
}
END_TEST

/* ../libexec/bulkhead beside our folder: links to ourselves. */
static void
links_make(void)
{
	char self[PATH_MAX], at[PATH_MAX], name[PATH_MAX + 64];
	enum role role;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n] = '\0';
	strlcpy(at, self, sizeof(at));
	*strrchr(at, '/') = '\0';
	*strrchr(at, '/') = '\0';
	strlcat(at, "/libexec", sizeof(at));
	mkdir(at, 0755);
	strlcat(at, "/bulkhead", sizeof(at));
	mkdir(at, 0755);
	for (role = ROLE_CONFIG; role < ROLES; role++) {
		snprintf(name, sizeof(name), "%s/bulkhead-%s", at, role_name(role));
		unlink(name);
		if (symlink(self, name) == -1)
			exit(EXIT_FAILURE);
	}
}

static Suite *
tree_suite(void)
{
	Suite *s = suite_create("tree");
	TCase *c = tcase_create("tree");

	tcase_set_timeout(c, 90);
	tcase_add_test(c, connections_are_spread);
	tcase_add_loop_test(c, a_liar_is_replaced, 0, sizeof(liars) / sizeof(liars[0]));
	tcase_add_loop_test(c, nobody_is_reset_whom_a_dead_worker_had_not_taken, 0, 3);
	tcase_add_test(c, the_answered_end_with_their_worker);
	tcase_add_test(c, what_never_is_ready_is_given_up);
	tcase_add_loop_test(c, without_configuration_it_does_not_start, 0,
	    sizeof(configs) / sizeof(configs[0]));
	tcase_add_test(c, who_does_not_end_is_ended);
	tcase_add_test(c, a_complaint_replaces_the_accused);
	tcase_add_test(c, who_complains_about_everybody_is_replaced);
	tcase_add_test(c, compaction_goes_round);
	tcase_add_test(c, a_compaction_that_fails_is_not_the_last);
	tcase_add_test(c, without_descriptors_compaction_waits);
	tcase_add_test(c, monitor_and_system_meet_again);
	tcase_add_test(c, monitor_and_system_that_have_met_stay_together);
	tcase_add_loop_test(c, a_dead_workers_counters_are_kept_as_far_as_they_are_plausible, 0, 2);
	tcase_add_loop_test(c, a_stopped_child_is_replaced_one_that_goes_on_is_not, 0, 3);
	tcase_add_test(c, no_line_is_lost_with_the_log);
	tcase_add_test(c, lame_duck_ends_when_all_have_drained);
	tcase_add_test(c, who_dies_in_lame_duck_mode_is_said);
	tcase_add_test(c, monitor_is_given_more_than_its_channel_takes);
	tcase_add_test(c, all_processes_follow);
	tcase_add_test(c, one_refusal_is_all_it_takes);
	tcase_add_loop_test(c, who_does_not_follow_is_replaced, 0,
	    sizeof(spoilers) / sizeof(spoilers[0]));
	tcase_add_test(c, who_comes_late_follows);
	tcase_add_test(c, monitoring_comes_back);
	tcase_add_test(c, workers_meet_auth);
	tcase_add_test(c, workers_meet_an_auth_that_loses_them_after_a_pause);
	tcase_add_test(c, auth_comes_and_goes_by_reload);
	tcase_add_test(c, auth_comes_back_while_it_goes);
	tcase_add_test(c, without_auth_there_is_no_reload_that_needs_it);
	tcase_add_test(c, accounts_are_served_while_they_are_there);
	tcase_add_test(c, system_has_its_reloads);
	tcase_add_test(c, system_kicks_one_client);
	tcase_add_test(c, system_tells_before_workers_go);
	tcase_add_test(c, a_silent_system_is_not_waited_for);
	tcase_add_test(c, system_says_nothing_unasked);
	tcase_add_test(c, the_end_comes_before_a_reload);
	tcase_add_test(c, children_end_with_the_supervisor);
	suite_add_tcase(s, c);
	return s;
}

int
main(int argc, char **argv)
{
	enum role role;
	SRunner *r;
	int failed;

	for (role = ROLE_CONFIG; role < ROLES; role++)
		if (strncmp(argv[0], "bulkhead-", 9) == 0 &&
		    strcmp(argv[0] + 9, role_name(role)) == 0)
			return fake_main(role);
	links_make();
	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	r = srunner_create(tree_suite());
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	unlink(err_path);
	snprintf(config_path, sizeof(config_path), "%s/config", folder);
	unlink(config_path);
	rmdir(folder);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

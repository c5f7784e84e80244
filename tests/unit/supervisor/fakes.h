#ifndef TESTS_UNIT_SUPERVISOR_FAKES_H
#define TESTS_UNIT_SUPERVISOR_FAKES_H
/*
 * Children that misbehave. A test's program is all of them: the supervisor runs it under
 * the names of the others. The server's name says how they are to behave.
 */
#include <sys/socket.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/child.h"
#include "common/log.h"
#include "common/process.h"
#include "shm/directory.h"
#include "shm/index.h"
#include "shm/ring.h"
#include "shm/tables.h"
#include "supervisor/log/sink.h"
#include "supervisor/log/source.h"

#define WORKERS		3
#define WATCHDOG	0.4
/* What monitor and auth, who do not learn the name, are told by log_burst. */
#define LATE		777
#define LOSES_WORKERS	778
#define NEVER_READY	779
#define ENDS_SLOWLY	780

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
#endif

/*
 * bulkhead-signer as the supervisor starts it. The test is the supervisor and
 * two workers: it gives keys, asks for signatures and verifies them, and says
 * much that no worker would.
 */
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include "common/loop.h"
#include "supervisor/signer/asker.h"
#include "tests/unit/program.h"
#include "tests/unit/signer/material.h"

#define WORKERS	2

struct worker {
	struct channel	channel;
	uint64_t	asked, answered;	/* ids */
	unsigned	refused, gone;
	bool		wild;		/* what it hears is not looked at */
	uint8_t		signature[2048];
	size_t		len;
};

static struct ev_loop	*loop;
static struct settings	 settings;
static struct program	 signer;
static struct worker	 workers[WORKERS];
static EVP_PKEY		*made[MATERIAL_KINDS];
static char		*pems[MATERIAL_KINDS], *chains[MATERIAL_KINDS];
static msgpack_sbuffer	 document;
static char		 refusal[1024], logged[1 << 16];
static uint64_t		 loaded, prepared, committed, numbers;
static uint8_t		 content[CONTENT_ROOM];

static void
refusal_note(struct bytes text)
{
	snprintf(refusal, sizeof(refusal), "%.*s", (int)text.len, text.data);
}

static int
receive(struct channel *ch, const struct msg *m, const int *fds)
{
	switch (m->type) {
	case MSG_keys_loaded:
		loaded = m->u.keys_loaded.version;
		refusal_note(m->u.keys_loaded.refused);
		break;
	case MSG_prepared:
		prepared = m->u.prepared.version;
		refusal_note(m->u.prepared.refused);
		break;
	case MSG_committed:
		committed = m->u.committed.version;
		break;
	default:
		break;	/* `ready` */
	}
	return 0;
}

static void
say(struct msg m, const int *fds)
{
	ck_assert_int_eq(channel_send(&signer.channel, &m, fds), 0);
}

static void
turn(void)
{
	ck_assert(!signer.gone);
	ev_run(loop, EVRUN_ONCE);
}

/* -- keys */

/* A key of this version, and its file's text. */
static void
key_say(uint64_t version, uint64_t number, const char *text, const char *password)
{
	int	fd = material_file(text);

	say((struct msg){ .type = MSG_signing_key, .u.signing_key = { .version = version, .key = number,
	    .locked = password != NULL, .path = BYTES("/etc/keys/key.pem") } }, &fd);
	close(fd);
	if (password == NULL)
		return;
	fd = material_file(password);
	say((struct msg){ .type = MSG_key_password, .u.key_password = { .key = number, .path = BYTES("/etc/keys/password") } }, &fd);
	close(fd);
}

static void
start(void)
{
	msgpack_sbuffer	nothing;
	int		accounts, tls = material_seal(&document);

	msgpack_sbuffer_init(&nothing);
	accounts = records_seal(&nothing);
	program_start_documents(&signer, loop, ROLE_SIGNER, &settings, accounts, tls, receive);
	close(accounts);
	close(tls);
}

/* All keys of the start were said. What is wrong with them. */
static const char *
keys_load(void)
{
	loaded = 0;
	say((struct msg){ .type = MSG_signing_keys, .u.signing_keys = { .version = 1 } }, NULL);
	while (loaded != 1)
		turn();
	return refusal;
}

/* A start with one pair. */
static const char *
start_with(const char *chain, const char *key, const char *password)
{
	material_context(&document);
	material_pair(&document, 1, "/etc/keys/server.pem", chain);
	numbers = 1;
	start();
	key_say(0, 1, key, password);
	return keys_load();
}

/* Two more steps: keys were said, and document is what goes with them. */
static const char *
prepare(uint64_t version)
{
	int	fds[3];

	fds[0] = settings_write(&settings, ROLE_SIGNER);
	fds[1] = material_seal(&(msgpack_sbuffer){ 0 });
	fds[2] = material_seal(&document);
	say((struct msg){ .type = MSG_prepare, .u.prepare = { .version = version } }, fds);
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
	while (prepared != version)
		turn();
	return refusal;
}

static void
commit(uint64_t version)
{
	say((struct msg){ .type = MSG_commit, .u.commit = { .version = version } }, NULL);
	while (committed != version)
		turn();
}

/* A reload to a pair of this kind. */
static void
reload(uint64_t version, unsigned kind)
{
	numbers++;
	key_say(version, numbers, pems[kind], NULL);
	material_context(&document);
	material_pair(&document, numbers, "/etc/keys/server.pem", chains[kind]);
	ck_assert_str_eq(prepare(version), "");
	commit(version);
}

/* -- workers */

static int
hears(struct channel *ch, const struct msg *m, const int *fds)
{
	struct worker			*w = ch->owner;
	const struct msg_signature	*s = &m->u.signature;

	ck_assert_int_eq(m->type, MSG_signature);
	if (w->wild)
		return 0;
	ck_assert_uint_eq(s->id, w->answered + 1);
	w->answered++;
	w->refused = (unsigned)s->refused;
	w->len = s->signature.len;
	memcpy(w->signature, s->signature.data, w->len);
	return 0;
}

static void
closed(struct channel *ch, int error, const char *why)
{
	((struct worker *)ch->owner)->gone++;
}

static void
introduce(unsigned i)
{
	struct msg	m = { .type = MSG_asker_channel, .u.asker_channel = { .role = ROLE_WORKER, .slot = i, .incarnation = 1 } };
	int		ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	if (workers[i].channel.loop != NULL)
		channel_close(&workers[i].channel);
	workers[i] = (struct worker){ .asked = 0 };
	channel_open(&workers[i].channel, loop, ends[0], ROLE_WORKER, ROLE_SIGNER, hears, closed, &workers[i]);
	workers[i].channel.state = MSG_READY;
	say(m, &ends[1]);
	close(ends[1]);
}

static void
ask(unsigned i, uint64_t key, unsigned scheme, struct bytes b)
{
	const struct msg	m = { .type = MSG_sign, .u.sign = { .id = ++workers[i].asked, .key = key, .scheme = scheme, .content = b } };

	ck_assert_int_eq(channel_send(&workers[i].channel, &m, NULL), 0);
}

/* Ask and wait: SIGN_DONE and it is the right one, or why not. */
static unsigned
signs(unsigned i, uint64_t key, unsigned scheme, struct bytes b, EVP_PKEY *public)
{
	struct worker	*w = &workers[i];

	ask(i, key, scheme, b);
	while (w->answered < w->asked)
		turn();
	if (w->refused == SIGN_DONE)
		ck_assert(material_verify(public, scheme, b, (struct bytes){ (const char *)w->signature, w->len }));
	return w->refused;
}

static void
setup(void)
{
	unsigned	i;

	loop = loop_new();
	ck_assert_int_eq(settings_init(&settings), 0);
	msgpack_sbuffer_init(&document);
	for (i = 0; i < MATERIAL_KINDS; i++) {
		made[i] = material_key(i);
		pems[i] = material_pem(made[i], FORM_PKCS8, NULL);
		chains[i] = material_self_signed(made[i], material_kinds[i].what, -1, 90);
	}
}

static void
teardown(void)
{
	unsigned	i;

	for (i = 0; i < WORKERS; i++)
		if (workers[i].channel.loop != NULL)
			channel_close(&workers[i].channel);
	program_stop(&signer);
	for (i = 0; i < MATERIAL_KINDS; i++) {
		EVP_PKEY_free(made[i]);
		free(pems[i]);
		free(chains[i]);
	}
	settings_free(&settings);
}

/* -- tests */

START_TEST(every_kind_signs)
{
	unsigned	i;

	material_context(&document);
	for (i = 0; i < MATERIAL_KINDS; i++)
		material_pair(&document, i + 1, "/etc/keys/server.pem", chains[i]);
	start();
	for (i = 0; i < MATERIAL_KINDS; i++)
		key_say(0, i + 1, pems[i], NULL);
	ck_assert_str_eq(keys_load(), "");
	introduce(0);
	for (i = 0; i < MATERIAL_KINDS; i++) {
		ck_assert_uint_eq(signs(0, i + 1, material_kinds[i].tls13, material_tls13(content, 32), made[i]), SIGN_DONE);
		ck_assert_uint_eq(signs(0, i + 1, material_kinds[i].tls12, material_tls12(content, i % 5), made[i]), SIGN_DONE);
		ck_assert_uint_eq(signs(0, i + 1, 0x0101, material_tls13(content, 32), NULL), SIGN_SCHEME);
		ck_assert_uint_eq(signs(0, i + 1, material_kinds[i].tls13, BYTES("a digest of 32 bytes or whatever"), NULL), SIGN_CONTENT);
	}
	ck_assert_uint_eq(signs(0, 7, 0x0403, material_tls13(content, 32), NULL), SIGN_UNKNOWN_KEY);
	ck_assert_uint_eq(signs(0, UINT64_MAX, 0x0403, material_tls13(content, 32), NULL), SIGN_UNKNOWN_KEY);
}
END_TEST

/* min_version: "1.3". */
START_TEST(where_tls12_is_not_spoken_its_form_is_not_signed)
{
	material_minimum = 0x0304;
	ck_assert_str_eq(start_with(chains[1], pems[1], NULL), "");
	introduce(0);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_DONE);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls12(content, 0), NULL), SIGN_CONTENT);
	material_minimum = 0x0303;
}
END_TEST

START_TEST(a_locked_key_is_opened)
{
	char	*locked = material_pem(made[1], _i == 0 ? FORM_PKCS8_LOCKED : FORM_TRADITIONAL_LOCKED, "sesame");

	ck_assert_str_eq(start_with(chains[1], locked, "sesame\nand more\n"), "");
	introduce(0);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_DONE);
	free(locked);
}
END_TEST

/* What is wrong is said with the files that it is about. */
START_TEST(what_does_not_fit_is_refused)
{
	EVP_PKEY	*other = material_key(1);
	char		*pem = material_pem(other, FORM_PKCS8, NULL), *locked = material_pem(made[1], FORM_PKCS8_LOCKED, "x");
	const struct { const char *key, *password, *says; } cases[] = {
		{ pem, NULL, "error parsing X509 certificate/key pair: tls: private key does not match public key "
		    "(certificate /etc/keys/server.pem, key /etc/keys/key.pem)" },
		{ pems[0], NULL, "error parsing X509 certificate/key pair: tls: private key type does not match public key type "
		    "(certificate /etc/keys/server.pem, key /etc/keys/key.pem)" },
		{ "hello", NULL, "error parsing X509 certificate/key pair: tls: failed to find any PEM data in key input "
		    "(certificate /etc/keys/server.pem, key /etc/keys/key.pem)" },
		{ locked, NULL, "error parsing X509 certificate/key pair: it is encrypted, and there is no key_password_file "
		    "(certificate /etc/keys/server.pem, key /etc/keys/key.pem)" },
		{ locked, "y\n", "error parsing X509 certificate/key pair: the first line of key_password_file does not open it "
		    "(certificate /etc/keys/server.pem, key /etc/keys/key.pem)" },
	};

	ck_assert_str_eq(start_with(chains[1], cases[_i].key, cases[_i].password), cases[_i].says);
	free(pem);
	free(locked);
	EVP_PKEY_free(other);
}
END_TEST

START_TEST(a_key_that_did_not_come_is_missed)
{
	material_context(&document);
	material_pair(&document, 9, "/etc/keys/server.pem", chains[1]);
	start();
	ck_assert_str_eq(keys_load(), "error parsing X509 certificate/key pair: its key did not come (certificate /etc/keys/server.pem)");
}
END_TEST

/* A certificate that ended or has not begun is served, as the real server does, and warned of. */
static const struct { int from, until; const char *says; } ends[] = {
	{ -1, 90, "TLS certificate /etc/keys/server.pem (CN=x) expires " },
	{ -1, 90, ", days left: 90" },
	{ -1, 12, ", days left: 12" },
	{ -20, -10, "TLS certificate /etc/keys/server.pem (CN=x) expired " },
	{ 5, 90, "TLS certificate /etc/keys/server.pem (CN=x) is not valid before " },
};

START_TEST(the_end_is_told)
{
	char	*chain = material_self_signed(made[1], "x", ends[_i].from, ends[_i].until);
	char	*at;

	ck_assert_str_eq(start_with(chain, pems[1], NULL), "");
	program_log(&signer, logged, sizeof(logged));
	at = memmem(logged, sizeof(logged), ends[_i].says, strlen(ends[_i].says));
	ck_assert_msg(at != NULL, "%s", ends[_i].says);
	introduce(0);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_DONE);
	free(chain);
}
END_TEST

START_TEST(two_versions_sign)
{
	ck_assert_str_eq(start_with(chains[1], pems[1], NULL), "");
	introduce(0);
	reload(1, 4);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_DONE);
	ck_assert_uint_eq(signs(0, 2, 0x0807, material_tls13(content, 32), made[4]), SIGN_DONE);
	reload(2, 0);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_UNKNOWN_KEY);
	ck_assert_uint_eq(signs(0, 2, 0x0807, material_tls13(content, 32), made[4]), SIGN_DONE);
	ck_assert_uint_eq(signs(0, 3, 0x0804, material_tls13(content, 32), made[0]), SIGN_DONE);
}
END_TEST

/* Prepared is enough: a worker may hear of the commit before the signer does. Not so what was refused. */
START_TEST(a_refused_reload_changes_nothing)
{
	ck_assert_str_eq(start_with(chains[1], pems[1], NULL), "");
	introduce(0);
	key_say(1, 2, pems[0], NULL);
	material_context(&document);
	material_pair(&document, 2, "/etc/keys/server.pem", chains[1]);
	ck_assert_str_eq(prepare(1), "error parsing X509 certificate/key pair: tls: private key type does not match public key type "
	    "(certificate /etc/keys/server.pem, key /etc/keys/key.pem)");
	ck_assert_uint_eq(signs(0, 2, 0x0804, material_tls13(content, 32), made[0]), SIGN_UNKNOWN_KEY);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_DONE);
	key_say(2, 3, pems[0], NULL);
	material_context(&document);
	material_pair(&document, 3, "/etc/keys/server.pem", chains[0]);
	ck_assert_str_eq(prepare(2), "");
	ck_assert_uint_eq(signs(0, 3, 0x0804, material_tls13(content, 32), made[0]), SIGN_DONE);
	commit(2);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_DONE);
	ck_assert_uint_eq(signs(0, 2, 0x0804, material_tls13(content, 32), made[0]), SIGN_UNKNOWN_KEY);
}
END_TEST

/* Turned off by a reload, and on by another. */
START_TEST(tls_comes_and_goes)
{
	start();
	ck_assert_str_eq(keys_load(), "");
	introduce(0);
	reload(1, 1);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_DONE);
	ck_assert_str_eq(prepare(2), "");
	commit(2);
	ck_assert_str_eq(prepare(3), "");
	commit(3);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_UNKNOWN_KEY);
}
END_TEST

/* Garbage, floods and wrong questions of one worker: it may lose its channel, the other is served. */
START_TEST(a_hostile_worker_costs_nobody_else)
{
	struct msg	m = { .type = MSG_sign };
	char		bytes[600];
	msgpack_sbuffer	b;
	unsigned	round;

	ck_assert_str_eq(start_with(chains[1], pems[1], NULL), "");
	introduce(0);
	introduce(1);
	msgpack_sbuffer_init(&b);
	for (round = 0; round < 400; round++) {
		arc4random_buf(bytes, sizeof(bytes));
		m.u.sign = (struct msg_sign){ .id = 1, .key = round % 3, .scheme = arc4random_uniform(65536),
		    .content = { bytes, 1 + arc4random_uniform(512) } };
		m.u.sign.key++;
		b.size = 0;
		ck_assert_int_eq(msg_encode(&b, &m), 0);
		if (round % 4 == 0)
			b.data[arc4random_uniform((uint32_t)b.size)] ^= (char)(1u << round % 8);
		if (round % 16 == 0)
			send(workers[0].channel.fd, bytes, arc4random_uniform(sizeof(bytes)), MSG_NOSIGNAL | MSG_DONTWAIT);
		send(workers[0].channel.fd, b.data, b.size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (round % 8 == 0)
			introduce(0);
		workers[0].wild = true;
		ck_assert_uint_eq(signs(1, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_DONE);
	}
	ck_assert_uint_eq(workers[1].gone, 0);
	msgpack_sbuffer_destroy(&b);
}
END_TEST

/* RSA signatures in thousands for one worker; the other is not behind them. */
START_TEST(a_flood_leaves_turns)
{
	unsigned	i;

	ck_assert_str_eq(start_with(chains[0], pems[0], NULL), "");
	introduce(0);
	introduce(1);
	for (i = 0; i < 3000; i++)
		ask(0, 1, 0x0804, material_tls13(content, 32));
	for (i = 0; i < 10; i++)
		ck_assert_uint_eq(signs(1, 1, 0x0804, material_tls13(content, 32), made[0]), SIGN_DONE);
	ck_assert_uint_lt(workers[0].answered, 3000);
	while (workers[0].answered < 3000)
		turn();
}
END_TEST

START_TEST(the_rate_holds)
{
	double		began, took;
	unsigned	i;

	ck_assert_int_eq(setting_set_integer(&settings, setting_find(BYTES("signer_rate")), 100), 0);
	ck_assert_str_eq(start_with(chains[1], pems[1], NULL), "");
	introduce(0);
	began = program_now();
	for (i = 0; i < 110; i++)
		ask(0, 1, 0x0403, material_tls13(content, 32));
	while (workers[0].answered < 110)
		turn();
	took = program_now() - began;
	ck_assert_double_ge(took, 0.99);
	ck_assert_int_eq(setting_set_integer(&settings, setting_find(BYTES("signer_rate")), 0), 0);
	reload(1, 1);
	began = program_now();
	for (i = 0; i < 500; i++)
		ask(0, 2, 0x0403, material_tls13(content, 32));
	while (workers[0].answered < 610)
		turn();
	ck_assert_double_lt(program_now() - began, 4.9);	/* 500 at the old rate */
}
END_TEST

/* -- what is left of a key */

/* Private bytes of a key, in either byte order, as they may lie in memory. */
static size_t
secret_of(unsigned kind, uint8_t out[2][512])
{
	const char	*name = kind == 0 ? OSSL_PKEY_PARAM_RSA_FACTOR1 : OSSL_PKEY_PARAM_PRIV_KEY;
	BIGNUM		*n = NULL;
	size_t		 size = 512;

	if (kind >= 4) {
		ck_assert_int_eq(EVP_PKEY_get_raw_private_key(made[kind], out[0], &size), 1);
		memcpy(out[1], out[0], size);
		return size;
	}
	ck_assert_int_eq(EVP_PKEY_get_bn_param(made[kind], name, &n), 1);
	size = (size_t)BN_num_bytes(n);
	BN_bn2binpad(n, out[0], (int)size);
	BN_bn2lebinpad(n, out[1], (int)size);
	BN_free(n);
	return size;
}

/* How often one of them is in the signer's writable memory. */
static unsigned
memory_search(uint8_t secret[2][512], size_t size)
{
	char			 path[64], line[512], *at, *data = NULL;
	unsigned long long	 from, to;
	unsigned		 found = 0, i;
	ssize_t			 n;
	FILE			*maps;
	int			 mem;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)signer.pid);
	ck_assert_ptr_nonnull(maps = fopen(path, "r"));
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)signer.pid);
	ck_assert_int_ge(mem = open(path, O_RDONLY | O_CLOEXEC), 0);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%llx-%llx rw", &from, &to) != 2 || strstr(line, " rw") == NULL)
			continue;
		ck_assert_ptr_nonnull(data = realloc(data, (size_t)(to - from)));
		n = pread(mem, data, (size_t)(to - from), (off_t)from);
		for (i = 0; i < 2 && n > 0; i++)
			for (at = data; (at = memmem(at, (size_t)(data + n - at), secret[i], size)) != NULL; at++)
				found++;
	}
	free(data);
	fclose(maps);
	close(mem);
	return found;
}

START_TEST(a_key_that_is_dropped_is_wiped)
{
	const unsigned	kind = (unsigned)_i, other = (kind + 1) % MATERIAL_KINDS;
	uint8_t		secret[2][512];
	size_t		size = secret_of(kind, secret);
	char		*locked = kind % 2 == 0 ? NULL : material_pem(made[kind], FORM_PKCS8_LOCKED, "sesame");

	ck_assert_str_eq(start_with(chains[kind], locked == NULL ? pems[kind] : locked, locked == NULL ? NULL : "sesame"), "");
	introduce(0);
	ck_assert_uint_eq(signs(0, 1, material_kinds[kind].tls13, material_tls13(content, 32), made[kind]), SIGN_DONE);
	ck_assert_uint_ge(memory_search(secret, size), 1);
	reload(1, other);
	reload(2, other);
	ck_assert_uint_eq(signs(0, 3, material_kinds[other].tls13, material_tls13(content, 32), made[other]), SIGN_DONE);
	ck_assert_uint_eq(memory_search(secret, size), 0);
	free(locked);
}
END_TEST

/* Nothing is asked: it sleeps. */
START_TEST(idle_is_idle)
{
	long	before;

	ck_assert_str_eq(start_with(chains[1], pems[1], NULL), "");
	introduce(0);
	ck_assert_uint_eq(signs(0, 1, 0x0403, material_tls13(content, 32), made[1]), SIGN_DONE);
	poll(NULL, 0, 200);		/* what the last answer leaves to do */
	before = program_wakeups(&signer);
	poll(NULL, 0, 2000);
	ck_assert_int_eq(program_wakeups(&signer), before);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("bulkhead-signer");
	TCase	*t = tcase_create("program");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_kind_signs);
	tcase_add_test(t, where_tls12_is_not_spoken_its_form_is_not_signed);
	tcase_add_loop_test(t, a_locked_key_is_opened, 0, 2);
	tcase_add_loop_test(t, what_does_not_fit_is_refused, 0, 5);
	tcase_add_test(t, a_key_that_did_not_come_is_missed);
	tcase_add_loop_test(t, the_end_is_told, 0, (int)(sizeof(ends) / sizeof(ends[0])));
	tcase_add_test(t, two_versions_sign);
	tcase_add_test(t, a_refused_reload_changes_nothing);
	tcase_add_test(t, tls_comes_and_goes);
	tcase_add_test(t, a_hostile_worker_costs_nobody_else);
	tcase_add_test(t, a_flood_leaves_turns);
	tcase_add_test(t, the_rate_holds);
	tcase_add_loop_test(t, a_key_that_is_dropped_is_wiped, 0, MATERIAL_KINDS);
	tcase_add_test(t, idle_is_idle);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

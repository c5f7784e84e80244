/* Files of certificates and keys: what of them goes into the document, what is refused, what shows as a change. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/memfd.h"
#include "common/records.h"
#include "supervisor/tls.h"

#define CERT(body)	"-----BEGIN CERTIFICATE-----\n" body "\n-----END CERTIFICATE-----\n"
#define CRL(body)	"-----BEGIN X509 CRL-----\n" body "\n-----END X509 CRL-----\n"
#define KEY		"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"

static char		 folder[] = "/tmp/bulkhead-tls-XXXXXX";
static char		 error[9216];
static struct tls_files	 files;
static uint64_t		 keys;
static msgpack_sbuffer	 named;

static const char *
path(const char *name)
{
	static char text[4][128];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(text[next], sizeof(text[next]), "%s/%s", folder, name);
	return text[next];
}

static void
write_bytes(const char *name, const char *data, size_t len)
{
	FILE *f = fopen(path(name), "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

static void
write_file(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

static void
setup(void)
{
	mkdir(path("d"), 0700);
	msgpack_sbuffer_init(&named);
	tls_files_init(&files);
	keys = 40;
	strlcpy(error, "", sizeof(error));
	write_file("a.pem", CERT("QUFB"));
	write_file("a-key.pem", KEY);
}

static void
teardown(void)
{
	tls_files_free(&files);
	msgpack_sbuffer_destroy(&named);
}

static void
name_context(uint64_t rate)
{
	struct msg m = { .type = MSG_tls_context, .u.tls_context = { .use = TLS_CLIENTS, .at = BYTES("x.conf:1:1"),
	    .minimum = 0x0303, .timeout = 2000, .first = 1, .rate = rate, .ciphers = BYTES(""),
	    .suites = BYTES(""), .groups = BYTES("") } };

	ck_assert_int_eq(records_add(&named, &m), 0);
}

static void
name_file(enum tls_file_kind kind, const char *name)
{
	struct msg m = { .type = MSG_tls_file, .u.tls_file = { .kind = kind, .path = bytes_of(path(name)),
	    .at = BYTES("x.conf:2:3") } };

	ck_assert_int_eq(records_add(&named, &m), 0);
}

/* Read what was named; what the document says comes as text. */
static char said[1 << 20];
static size_t said_len;

__attribute__((format(printf, 1, 2)))
static void
say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	said_len += (size_t)vsnprintf(said + said_len, sizeof(said) - said_len, format, ap);
	va_end(ap);
	ck_assert_uint_lt(said_len, sizeof(said));
}

static const char *
base(struct bytes p)
{
	static char text[64];

	snprintf(text, sizeof(text), "%.*s", (int)(p.len - strlen(folder) - 1), p.data + strlen(folder) + 1);
	return text;
}

static int
record(void *arg, const struct msg *m)
{
	switch (m->type) {
	case MSG_tls_context:
		say("context rate=%d\n", (int)m->u.tls_context.rate);
		break;
	case MSG_tls_certificate:
		say("certificate %d %s\n%.*s", (int)m->u.tls_certificate.key, base(m->u.tls_certificate.path),
		    (int)m->u.tls_certificate.chain.len, m->u.tls_certificate.chain.data);
		break;
	case MSG_tls_authority:
		say("authority %s\n%.*s", base(m->u.tls_authority.path), (int)m->u.tls_authority.certificate.len,
		    m->u.tls_authority.certificate.data);
		break;
	case MSG_tls_revoked:
		say("revoked %s %d %zu\n", base(m->u.tls_revoked.path), (int)m->u.tls_revoked.last,
		    m->u.tls_revoked.part.len);
		break;
	default:
		ck_abort_msg("a record %s", msg_name(m->type));
	}
	return 0;
}

static int
read_named(void)
{
	const char *why = NULL;
	int document = -1, rc;

	rc = tls_files_read(&files, records_seal(&named), &keys, &document, error, sizeof(error));
	said_len = 0;
	said[0] = '\0';
	if (rc == 0) {
		ck_assert_int_eq(records_read(document, ROLE_SUPERVISOR, ROLE_WORKER, record, NULL, &why), 0);
		close(document);
	} else {
		ck_assert_int_eq(document, -1);
	}
	return rc;
}

START_TEST(files_become_a_document)
{
	write_file("both.pem", KEY CERT("QkJC") CERT("Q0ND"));
	write_file("ca.pem", CERT("Q0Ex") "text\n" CERT("Q0Ey"));
	write_file("crl.pem", CRL("Q1JM"));
	write_file("password", "secret\n");
	name_context(7);
	name_file(TLS_FILE_CERTIFICATE, "a.pem");
	name_file(TLS_FILE_KEY, "a-key.pem");
	name_file(TLS_FILE_CERTIFICATE, "both.pem");
	name_file(TLS_FILE_KEY, "both.pem");
	name_file(TLS_FILE_PASSWORD, "password");
	name_file(TLS_FILE_AUTHORITY, "ca.pem");
	name_file(TLS_FILE_REVOKED, "crl.pem");
	ck_assert_msg(read_named() == 0, "%s", error);
	ck_assert_str_eq(said, "context rate=7\ncertificate 41 a.pem\n" CERT("QUFB")
	    "certificate 42 both.pem\n" CERT("QkJC") CERT("Q0ND")
	    "authority ca.pem\n" CERT("Q0Ex") "authority ca.pem\n" CERT("Q0Ey") "revoked crl.pem 1 53\n");
	ck_assert_uint_eq(keys, 42);
	ck_assert_uint_eq(files.count, 7);
	ck_assert(files.clients && files.first_only && files.rate == 7);
	ck_assert_uint_eq(files.items[1].key, 41);
	ck_assert_uint_eq(files.items[3].key, 42);
	ck_assert_uint_eq(files.items[4].key, 42);
}
END_TEST

START_TEST(numbers_of_keys_are_never_given_again)
{
	name_context(0);
	name_file(TLS_FILE_CERTIFICATE, "a.pem");
	name_file(TLS_FILE_KEY, "a-key.pem");
	ck_assert_int_eq(read_named(), 0);
	ck_assert_uint_eq(files.items[1].key, 41);
	ck_assert_int_eq(read_named(), 0);
	ck_assert_uint_eq(files.items[1].key, 42);
	ck_assert_uint_eq(files.count, 2);
}
END_TEST

START_TEST(a_key_is_sealed_as_it_was)
{
	struct bytes content;

	name_file(TLS_FILE_CERTIFICATE, "a.pem");
	name_file(TLS_FILE_KEY, "a-key.pem");
	ck_assert_int_eq(read_named(), 0);
	write_file("a-key.pem", "something else");
	ck_assert_int_eq(memfd_map_sealed(files.items[1].content, TLS_FILE_MOST, &content), 0);
	ck_assert(bytes_equal(content, BYTES(KEY)));
	munmap((void *)(uintptr_t)content.data, content.len);
	ck_assert_int_eq(files.items[0].content, -1);
}
END_TEST

START_TEST(without_tls_the_document_is_empty)
{
	int document = -1;
	const char *why;

	ck_assert_int_eq(tls_files_read(&files, -1, &keys, &document, error, sizeof(error)), 0);
	said_len = 0;
	ck_assert_int_eq(records_read(document, ROLE_SUPERVISOR, ROLE_WORKER, record, NULL, &why), 0);
	ck_assert_uint_eq(said_len, 0);
	ck_assert(!files.clients);
	close(document);
}
END_TEST

/* A list of revoked certificates is longer than a message may be: its parts make it up. */
START_TEST(a_long_list_goes_in_parts)
{
	size_t len = 0, lines;
	char *text = malloc(200000);

	len += (size_t)sprintf(text, "-----BEGIN X509 CRL-----\n");
	for (lines = 0; lines < 2000; lines++)
		len += (size_t)sprintf(text + len, "%064zu\n", lines);
	len += (size_t)sprintf(text + len, "-----END X509 CRL-----\n");
	write_bytes("long.pem", text, len);
	name_file(TLS_FILE_REVOKED, "long.pem");
	ck_assert_msg(read_named() == 0, "%s", error);
	ck_assert_str_eq(said, "revoked long.pem 0 49152\nrevoked long.pem 0 49152\nrevoked long.pem 1 31744\n");
	free(text);
}
END_TEST

#define PAIR	"x.conf:2:3: error parsing X509 certificate/key pair: "

static const struct { const char *what; enum tls_file_kind kind; const char *name, *text; int rc; const char *error; } bad[] = {
	{ "missing", TLS_FILE_CERTIFICATE, "none.pem", NULL, -ENOENT, PAIR "open %s/none.pem: no such file or directory" },
	{ "missing key", TLS_FILE_KEY, "none.pem", NULL, -ENOENT, PAIR "open %s/none.pem: no such file or directory" },
	{ "missing authority", TLS_FILE_AUTHORITY, "none.pem", NULL, -ENOENT,
	    "x.conf:2:3: open %s/none.pem: no such file or directory" },
	{ "missing password", TLS_FILE_PASSWORD, "none", NULL, -ENOENT,
	    "x.conf:2:3: error reading the password of a key: open %s/none: no such file or directory" },
	{ "a folder", TLS_FILE_CERTIFICATE, "d", NULL, -EISDIR, PAIR "read %s/d: is a directory" },
	{ "a folder as key", TLS_FILE_KEY, "d", NULL, -EISDIR, PAIR "read %s/d: is a directory" },
	{ "a pipe", TLS_FILE_CERTIFICATE, "fifo", NULL, -EINVAL, PAIR "read %s/fifo: not a regular file" },
	{ "empty key", TLS_FILE_KEY, "x", "", -ENODATA, PAIR "read %s/x: it is empty" },
	{ "empty", TLS_FILE_CERTIFICATE, "x", "", -EBADMSG,
	    PAIR "%s/x: failed to find any PEM data in certificate input" },
	{ "garbage", TLS_FILE_CERTIFICATE, "x", "garbage\n", -EBADMSG,
	    PAIR "%s/x: failed to find any PEM data in certificate input" },
	{ "a key", TLS_FILE_CERTIFICATE, "x", KEY, -EBADMSG,
	    PAIR "%s/x: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched" },
	{ "a list", TLS_FILE_CERTIFICATE, "x", CRL("Q1JM"), -EBADMSG,
	    PAIR "%s/x: failed to find certificate PEM data in certificate input" },
	{ "malformed", TLS_FILE_CERTIFICATE, "x", CERT("***"), -EBADMSG,
	    PAIR "%s/x: a block of PEM in it is malformed" },
	{ "no authority", TLS_FILE_AUTHORITY, "x", KEY, -EBADMSG,
	    "x.conf:2:3: %s/x: failed to parse root ca certificate" },
	{ "no list", TLS_FILE_REVOKED, "x", CERT("QUFB"), -EBADMSG,
	    "x.conf:2:3: %s/x: no list of revoked certificates (X509 CRL) in it" },
};

START_TEST(what_is_wrong_is_said_with_its_place)
{
	char expected[512];

	(void)mkfifo(path("fifo"), 0600);
	if (bad[_i].text != NULL)
		write_file("x", bad[_i].text);
	name_context(0);
	name_file(bad[_i].kind, bad[_i].name);
	ck_assert_msg(read_named() == bad[_i].rc, "%s: %s", bad[_i].what, error);
	snprintf(expected, sizeof(expected), "%.*s%s%s", (int)(strcspn(bad[_i].error, "%")), bad[_i].error, folder,
	    strchr(bad[_i].error, '%') + 2);
	ck_assert_str_eq(error, expected);
}
END_TEST

START_TEST(large_files_are_refused)
{
	static char text[TLS_FILE_MOST + 1];
	size_t at;

	memset(text, '\n', sizeof(text));
	write_bytes("large", text, sizeof(text));
	name_file(_i == 0 ? TLS_FILE_KEY : TLS_FILE_AUTHORITY, "large");
	ck_assert_int_eq(read_named(), -EFBIG);
	ck_assert_ptr_nonnull(strstr(error, "it has more than 1048576 bytes"));
	/* of the largest that may be, a chain is still too long for its record */
	for (at = 0; at + 64 < TLS_FILE_MOST; at += strlen(CERT("QUFB")))
		memcpy(text + at, CERT("QUFB"), strlen(CERT("QUFB")));
	write_bytes("chain", text, TLS_FILE_MOST);
	msgpack_sbuffer_clear(&named);
	name_file(TLS_FILE_CERTIFICATE, "chain");
	ck_assert_int_eq(read_named(), -EMSGSIZE);
	ck_assert_ptr_nonnull(strstr(error, "chain: more than 61440 bytes of certificates"));
}
END_TEST

/* The key's text, masked so that looking for it does not put it into memory. */
static uint8_t masked[48];

static void
mask_fill(char *out)
{
	size_t i;

	for (i = 0; i < sizeof(masked); i++)
		out[i] = (char)(masked[i] ^ 0x80);
}

static bool
chunk_has(const uint8_t *chunk, size_t len)
{
	size_t at, i;

	for (at = 0; at + sizeof(masked) <= len; at++) {
		for (i = 0; i < sizeof(masked) && chunk[at + i] == (masked[i] ^ 0x80); i++)
			;
		if (i == sizeof(masked))
			return true;
	}
	return false;
}

/* Is it anywhere in memory that we can write? */
static bool
memory_has_it(void)
{
	static uint8_t chunk[1 << 16];
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY);
	unsigned long from, to;
	char line[512], rights[8];
	bool found = false;
	ssize_t n;

	while (!found && fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[1] != 'w')
			continue;
		for (; from < to && !found; from += sizeof(chunk) / 2) {
			n = pread(mem, chunk, to - from < sizeof(chunk) ? to - from : sizeof(chunk), (off_t)from);
			found = n > 0 && chunk_has(chunk, (size_t)n);
		}
	}
	explicit_bzero(chunk, sizeof(chunk));
	fclose(maps);
	close(mem);
	return found;
}

/* The key stands in the same file as the certificate: read, but not kept. */
START_TEST(no_byte_of_a_key_stays_in_memory)
{
	static const char head[] = CERT("QUFB") "-----BEGIN PRIVATE KEY-----\n",
	    tail[] = "\n-----END PRIVATE KEY-----\n" CERT("QkJC");
	char *text = malloc(sizeof(head) + sizeof(masked) + sizeof(tail));
	size_t i, len = sizeof(head) - 1;
	int fd;

	for (i = 0; i < sizeof(masked); i++)
		masked[i] = (uint8_t)(('a' + arc4random_uniform(26)) ^ 0x80);
	memcpy(text, head, len);
	mask_fill(text + len);
	len += sizeof(masked);
	memcpy(text + len, tail, sizeof(tail) - 1);
	len += sizeof(tail) - 1;
	fd = open(path("secret.pem"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	close(fd);
	ck_assert(memory_has_it());
	explicit_bzero(text, len);
	ck_assert(!memory_has_it());
	name_file(TLS_FILE_CERTIFICATE, "secret.pem");
	name_file(TLS_FILE_KEY, "secret.pem");
	name_file(TLS_FILE_AUTHORITY, "secret.pem");
	ck_assert_msg(read_named() == 0, "%s", error);
	ck_assert(!memory_has_it());
	free(text);
}
END_TEST

/* -- watching */

static void
watch_pair(void)
{
	name_context(0);
	name_file(TLS_FILE_CERTIFICATE, "w.pem");
	name_file(TLS_FILE_KEY, "w-key.pem");
	ck_assert_msg(read_named() == 0, "%s", error);
	ck_assert_int_eq(tls_files_look(&files), TLS_SAME);
}

/* It is seen at once, and again until nothing moves any more; then it stays changed until it is read. */
static void
changed(void)
{
	ck_assert_int_eq(tls_files_look(&files), TLS_SETTLING);
	ck_assert_int_eq(tls_files_look(&files), TLS_CHANGED);
	ck_assert_int_eq(tls_files_look(&files), TLS_CHANGED);
}

START_TEST(changes_of_files_are_seen)
{
	unlink(path("w.pem"));
	write_file("w.pem", CERT("QUFB"));
	write_file("w-key.pem", KEY);
	watch_pair();
	switch (_i) {
	case 0:		/* written anew, longer */
		write_file("w.pem", CERT("QUFBQUFB"));
		break;
	case 1:		/* replaced, as long as before */
		write_file("new.pem", CERT("QkJC"));
		ck_assert_int_eq(rename(path("new.pem"), path("w.pem")), 0);
		break;
	case 2:		/* removed */
		unlink(path("w-key.pem"));
		break;
	case 3:		/* touched */
		ck_assert_int_eq(utimensat(AT_FDCWD, path("w-key.pem"), NULL, 0), 0);
		break;
	}
	changed();
	write_file("w-key.pem", KEY);	/* a last change, and all of it is read */
	ck_assert_int_eq(tls_files_look(&files), TLS_SETTLING);
	ck_assert_int_eq(read_named(), 0);
	ck_assert_int_eq(tls_files_look(&files), TLS_SAME);
}
END_TEST

/* As Kubernetes does: the names stay, a link in their way leads elsewhere. */
START_TEST(links_are_followed)
{
	mkdir(path("one"), 0700);
	mkdir(path("two"), 0700);
	write_file("one/tls.pem", CERT("QUFB"));
	write_file("two/tls.pem", CERT("QUFB"));
	unlink(path("data"));
	unlink(path("w.pem"));
	ck_assert_int_eq(symlink("one", path("data")), 0);
	ck_assert_int_eq(symlink("data/tls.pem", path("w.pem")), 0);
	write_file("w-key.pem", KEY);
	watch_pair();
	ck_assert_int_eq(symlink("two", path("data.new")), 0);
	ck_assert_int_eq(rename(path("data.new"), path("data")), 0);
	changed();
	unlink(path("w.pem"));
}
END_TEST

START_TEST(files_that_were_no_good_are_not_tried_again)
{
	struct tls_files tried;
	int document = -1;

	write_file("w.pem", CERT("QUFB"));
	write_file("w-key.pem", KEY);
	watch_pair();
	write_file("w.pem", "garbage of another length");
	changed();
	tls_files_init(&tried);
	ck_assert_int_eq(tls_files_read(&tried, records_seal(&named), &keys, &document, error, sizeof(error)), -EBADMSG);
	tls_files_tried(&files, &tried);
	tls_files_free(&tried);
	ck_assert_int_eq(tls_files_look(&files), TLS_SAME);
	write_file("w.pem", CERT("QUFB"));
	changed();
}
END_TEST

static int
removed(const char *file, const struct stat *st, int type, struct FTW *at)
{
	return remove(file);
}

int
main(void)
{
	Suite *s = suite_create("tls");
	TCase *c = tcase_create("tls");
	SRunner *r;
	int failed;

	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, files_become_a_document);
	tcase_add_test(c, numbers_of_keys_are_never_given_again);
	tcase_add_test(c, a_key_is_sealed_as_it_was);
	tcase_add_test(c, without_tls_the_document_is_empty);
	tcase_add_test(c, a_long_list_goes_in_parts);
	tcase_add_loop_test(c, what_is_wrong_is_said_with_its_place, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_loop_test(c, large_files_are_refused, 0, 2);
	tcase_add_test(c, no_byte_of_a_key_stays_in_memory);
	tcase_add_loop_test(c, changes_of_files_are_seen, 0, 4);
	tcase_add_test(c, links_are_followed);
	tcase_add_test(c, files_that_were_no_good_are_not_tried_again);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	nftw(folder, removed, 8, FTW_DEPTH | FTW_PHYS);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
